//! The address of a manifest or blob, made from its content.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{self, Hash};
use std::ptr;
use std::str::{self, FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::held::Held;
use super::{InvalidName, printable};

/// `sha256:<hex>`. A registry is full of them, and each is named in many places: so its bytes are held once, as long as
/// the program runs, and how they begin is at hand to tell it from others.
#[derive(Clone)]
pub(crate) enum Digest {
    Sha256 { begin: u32, sum: &'static [u8; 32] },
    Sha512 { begin: u32, sum: &'static [u8; 64] },
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

    fn sha256(sum: [u8; 32]) -> Self {
        static HELD: Held<32> = Held::new();
        Self::Sha256 { begin: begin(&sum), sum: HELD.hold(sum) }
    }

    fn sha512(sum: [u8; 64]) -> Self {
        static HELD: Held<64> = Held::new();
        Self::Sha512 { begin: begin(&sum), sum: HELD.hold(sum) }
    }

    /// The algorithm, and how the sum begins.
    fn start(&self) -> (usize, u32) {
        match self {
            Self::Sha256 { begin, sum } => (sum.len(), *begin),
            Self::Sha512 { begin, sum } => (sum.len(), *begin),
        }
    }

    fn sum(&self) -> &'static [u8] {
        match self {
            Self::Sha256 { sum, .. } => &sum[..],
            Self::Sha512 { sum, .. } => &sum[..],
        }
    }

    /// Whether contents can be checked against it here.
    pub(crate) fn is_checkable(&self) -> bool {
        matches!(self, Self::Sha256 { .. })
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
        let mut hasher = Hasher::default();
        hasher.update(content);
        self.is_checkable().then(|| hasher.sum() == *self.sum())
    }

    fn write<'a>(&self, text: &'a mut [u8; LONGEST]) -> &'a str {
        let (prefix, sum) = match self {
            Self::Sha256 { .. } => (b"sha256:", self.sum()),
            Self::Sha512 { .. } => (b"sha512:", self.sum()),
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
        let (digest, length) = match text.split_once(':') {
            Some(("sha256", hex)) => (bytes(hex).map(Self::sha256), 64),
            Some(("sha512", hex)) => (bytes(hex).map(Self::sha512), 128),
            _ => {
                let text = printable(text);
                return Err(InvalidName(format!(
                    "`{text}` is not a digest (sha256:<64 hexadecimal digits>)"
                )));
            }
        };
        digest.ok_or_else(|| {
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

fn begin(sum: &[u8]) -> u32 {
    sum.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// Sums are held once.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.start() == other.start() && ptr::eq(self.sum(), other.sum())
    }
}

impl Eq for Digest {}

/// In the order of the texts.
impl Ord for Digest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.start().cmp(&other.start()).then_with(|| self.sum().cmp(other.sum()))
    }
}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Digest {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.start().hash(state);
    }
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
        Digest::sha256(self.sum())
    }

    fn sum(self) -> [u8; 32] {
        sha2::Digest::finalize(self.0).into()
    }
}
