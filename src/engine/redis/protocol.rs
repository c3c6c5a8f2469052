//! What redis says and is told: its serialization protocol, as far as looking for keys and removing them needs it.

use anyhow::{Result, bail, ensure};

use crate::model::printable;

/// Our questions have short answers.
const LONGEST: usize = 16 * 1024 * 1024;
const DEEPEST: u8 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK` and the like, or nothing at all.
    Done,
    Number(i64),
    Text(Vec<u8>),
    List(Vec<Reply>),
    Refused(String),
}

/// A command as an array of its words.
pub(super) fn encode(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

impl Reply {
    /// The first reply in `bytes` and how long it is; `None` while its end is missing.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        ensure!(bytes.len() <= LONGEST, "the answer is too long to be one of redis");
        let mut rest = bytes;
        Ok(read(&mut rest, 0)?.map(|reply| (reply, bytes.len() - rest.len())))
    }

    pub(super) fn number(self) -> Result<u64> {
        match self {
            Self::Number(number) => Ok(u64::try_from(number)?),
            other => bail!("a number was expected, not {other:?}"),
        }
    }

    /// An answer to `SCAN`: where to go on, and keys.
    pub(super) fn page(self) -> Result<(String, Vec<Vec<u8>>)> {
        if let Self::List(parts) = self
            && let Ok([Self::Text(cursor), Self::List(keys)]) = <[Self; 2]>::try_from(parts)
        {
            let keys = keys.into_iter().map(|key| match key {
                Self::Text(key) => Ok(key),
                other => bail!("a key was expected, not {other:?}"),
            });
            return Ok((String::from_utf8(cursor)?, keys.collect::<Result<_>>()?));
        }
        bail!("a page of keys was expected")
    }
}

fn read(rest: &mut &[u8], depth: u8) -> Result<Option<Reply>> {
    let Some(line) = line(rest) else { return Ok(None) };
    let Some((kind, text)) = line.split_first() else { bail!("an empty line is no answer of redis") };
    let text = String::from_utf8_lossy(text);
    Ok(Some(match kind {
        b'+' => Reply::Done,
        b'-' => Reply::Refused(printable(&text)),
        b':' => Reply::Number(text.parse()?),
        b'$' | b'*' if text.starts_with('-') => Reply::Done,
        b'$' => {
            let length: usize = text.parse()?;
            ensure!(length <= LONGEST, "the answer is too long to be one of redis");
            if rest.len() < length + 2 {
                return Ok(None);
            }
            let (value, after) = rest.split_at(length);
            *rest = &after[2..];
            Reply::Text(value.to_vec())
        }
        b'*' => {
            ensure!(depth < DEEPEST, "the answer is too deep to be one of redis");
            let mut items = Vec::new();
            for _ in 0..text.parse::<usize>()? {
                let Some(item) = read(rest, depth + 1)? else { return Ok(None) };
                items.push(item);
            }
            Reply::List(items)
        }
        _ => bail!("it does not answer like redis"),
    }))
}

/// A line without its end; nothing is taken while the end is missing.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, after) = rest.split_at(end);
    *rest = &after[2..];
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn commands_are_arrays_of_words() {
        assert_eq!(encode(&["DEL", "a b\r\n", ""]), b"*3\r\n$3\r\nDEL\r\n$5\r\na b\r\n\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies_are_read_one_by_one() {
        for (bytes, reply) in [
            ("+PONG\r\n", Reply::Done),
            (
                "-NOAUTH Authentication required.\r\n",
                Reply::Refused("NOAUTH Authentication required.".to_owned()),
            ),
            (":12\r\n", Reply::Number(12)),
            ("$5\r\na\r\nbc\r\n", text("a\r\nbc")),
            ("$-1\r\n", Reply::Done),
            ("*0\r\n", Reply::List(Vec::new())),
            (
                "*2\r\n$1\r\n7\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
                Reply::List(vec![text("7"), Reply::List(vec![text("a"), text("b")])]),
            ),
        ] {
            let whole = format!("{bytes}+next\r\n");
            assert_eq!(Reply::read(whole.as_bytes()).unwrap(), Some((reply, bytes.len())), "{bytes:?}");
            for end in 0..bytes.len() {
                assert_eq!(Reply::read(&bytes.as_bytes()[..end]).unwrap(), None, "{:?}", &bytes[..end]);
            }
        }
    }

    #[test]
    fn what_is_no_redis_is_told_from_it() {
        let deep = "*1\r\n".repeat(100);
        for odd in ["HTTP/1.1 400 Bad Request\r\n", "\r\n", ":x\r\n", "$99999999999\r\n", &deep] {
            assert!(Reply::read(odd.as_bytes()).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_page_is_a_cursor_and_keys() {
        let page = Reply::List(vec![text("7"), Reply::List(vec![text("blobs::x")])]);
        assert_eq!(page.page().unwrap(), ("7".to_owned(), vec![b"blobs::x".to_vec()]));
        assert!(Reply::List(vec![text("7")]).page().is_err());
        assert!(Reply::Done.page().is_err());
    }
}
