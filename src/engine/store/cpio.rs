//! An archive as `cpio -H newc` writes it, read as it comes: never more than one file is held.

use std::ops::Range;

const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
const SIZE: Range<usize> = 54..62;
const NAME_LENGTH: Range<usize> = 94..102;
const END: &str = "TRAILER!!!";
const LONGEST_NAME: usize = 4096;

/// Tells every file by its name and content. What is no archive, or holds a larger file than expected, is not read on.
pub(super) struct Cpio<F: FnMut(&str, &[u8])> {
    on_file: F,
    largest: usize,
    received: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Broken,
}

impl<F: FnMut(&str, &[u8])> Cpio<F> {
    pub(super) fn new(largest: u64, on_file: F) -> Self {
        let largest = usize::try_from(largest).unwrap_or(usize::MAX);
        Self { on_file, largest, received: Vec::new(), state: State::Reading }
    }

    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        if self.state != State::Reading {
            return;
        }
        self.received.extend_from_slice(bytes);
        let mut read = 0;
        while self.state == State::Reading {
            match self.file(read) {
                Some(next) => read = next,
                None => break,
            }
        }
        self.received.drain(..read);
    }

    /// Whether the archive came to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The file that begins here, if it is there as a whole, and where the next one begins.
    fn file(&mut self, start: usize) -> Option<usize> {
        let header = self.received.get(start..start + HEADER)?;
        let number = |range: Range<usize>| {
            let digits = std::str::from_utf8(&header[range]).ok()?;
            usize::try_from(u32::from_str_radix(digits, 16).ok()?).ok()
        };
        let lengths = number(NAME_LENGTH).zip(number(SIZE)).filter(|_| header.starts_with(MAGIC));
        let Some((name_length, size)) =
            lengths.filter(|(name, size)| (1..=LONGEST_NAME).contains(name) && *size <= self.largest)
        else {
            self.state = State::Broken;
            return None;
        };
        let name_start = start + HEADER;
        let content = aligned(name_start + name_length, start);
        let end = aligned(content + size, start);
        if self.received.len() < end {
            return None;
        }
        let name = &self.received[name_start..name_start + name_length - 1];
        match std::str::from_utf8(name) {
            Ok(END) => self.state = State::Ended,
            Ok(name) => (self.on_file)(name, &self.received[content..content + size]),
            Err(_) => {}
        }
        Some(end)
    }
}

/// Names and contents are filled up to four bytes, counted from the file's beginning.
fn aligned(at: usize, start: usize) -> usize {
    start + (at - start).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> Vec<u8> {
        let mut bytes = b"070701".to_vec();
        for field in 0..13 {
            let number = match field {
                6 => content.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            bytes.extend(format!("{number:08X}").into_bytes());
        }
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content.bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn read(bytes: &[u8], at_once: usize) -> (Vec<(String, usize)>, bool) {
        let mut files = Vec::new();
        let mut cpio =
            Cpio::new(1000, |name: &str, content: &[u8]| files.push((name.to_owned(), content.len())));
        bytes.chunks(at_once).for_each(|chunk| cpio.take_in(chunk));
        let has_ended = cpio.has_ended();
        (files, has_ended)
    }

    #[test]
    fn files_are_told_however_they_come() {
        let archive =
            [file("a", "one"), file("b/c", ""), file("d", &"x".repeat(999)), file(END, "")].concat();
        let expected =
            [("a", 3), ("b/c", 0), ("d", 999)].map(|(name, size)| (name.to_owned(), size)).to_vec();
        for at_once in [1, 7, 110, 5000] {
            assert_eq!(read(&archive, at_once), (expected.clone(), true), "{at_once}");
        }
        let (files, has_ended) = read(&archive[..archive.len() - 200], 64);
        assert_eq!((files.len(), has_ended), (2, false));
    }

    #[test]
    fn what_is_no_archive_is_not_read_on() {
        for odd in [
            "cpio: not found".repeat(20).into_bytes(),
            [file("a", "one"), b"junk".repeat(50), file("b", "two"), file(END, "")].concat(),
            [file("large", &"x".repeat(1001)), file(END, "")].concat(),
        ] {
            let (files, has_ended) = read(&odd, 50);
            assert!(files.len() <= 1 && !has_ended);
        }
    }
}
