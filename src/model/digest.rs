//! The address of a manifest or blob, made from its content.

use std::fmt;
use std::str::{self, FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{InvalidName, printable};

/// `sha256:<hex>`. A registry is full of them, so they are kept as the bytes that they stand for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(Sum);

/// In the order of the texts. The longer one is rare, and must not make the other one larger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sum {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

/// What stands before the hexadecimal digits; both algorithms have names of the same length.
const PREFIX: usize = "sha256:".len();
/// Room for any digest as text.
const LONGEST: usize = PREFIX + 128;

impl Digest {
    /// The digest of `content`.
    pub(crate) fn of(content: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(content);
        hasher.finish()
    }

    /// Whether contents can be checked against it here.
    pub(crate) fn is_checkable(&self) -> bool {
        matches!(self.0, Sum::Sha256(_))
    }

    pub(crate) fn hex(&self) -> String {
        self.write(&mut [0; LONGEST])[PREFIX..].to_owned()
    }

    /// The first twelve hexadecimal digits, as Docker shortens ids.
    pub(crate) fn short(&self) -> String {
        self.write(&mut [0; LONGEST])[PREFIX..PREFIX + 12].to_owned()
    }

    /// Whether `content` hashes to this digest; `None` for an algorithm that is not checked here.
    pub(crate) fn matches(&self, content: &[u8]) -> Option<bool> {
        self.is_checkable().then(|| Self::of(content) == *self)
    }

    fn write<'a>(&self, text: &'a mut [u8; LONGEST]) -> &'a str {
        let (prefix, sum): (&[u8], &[u8]) = match &self.0 {
            Sum::Sha256(sum) => (b"sha256:", sum),
            Sum::Sha512(sum) => (b"sha512:", &**sum),
        };
        let (name, digits) = text.split_at_mut(PREFIX);
        name.copy_from_slice(prefix);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(sum) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        str::from_utf8(&text[..PREFIX + 2 * sum.len()]).unwrap_or_default()
    }
}

/// The grammar of the OCI image specification: sha256 and sha512 are registered.
impl FromStr for Digest {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (sum, length) = match text.split_once(':') {
            Some(("sha256", hex)) => (bytes(hex).map(Sum::Sha256), 64),
            Some(("sha512", hex)) => (bytes(hex).map(|sum| Sum::Sha512(Box::new(sum))), 128),
            _ => {
                let text = printable(text);
                return Err(InvalidName(format!(
                    "`{text}` is not a digest (sha256:<64 hexadecimal digits>)"
                )));
            }
        };
        sum.map(Self).ok_or_else(|| {
            let text = printable(text);
            InvalidName(format!("`{text}` is not a digest: {length} hexadecimal digits belong after `:`"))
        })
    }
}

/// Exactly as many bytes as `hex` has to stand for, in lower case.
fn bytes<const LENGTH: usize>(hex: &str) -> Option<[u8; LENGTH]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if hex.len() != 2 * LENGTH {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.write(&mut [0; LONGEST]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; LONGEST]))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The digest of a content that comes in pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hasher(sha2::Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        sha2::Digest::update(&mut self.0, piece);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(Sum::Sha256(sha2::Digest::finalize(self.0).into()))
    }
}
