//! The vocabulary of the tool. No I/O and no clock.
//!
//! *Registry*: a server that speaks the OCI distribution API, named by its `host[:port]`. *Repository*: a name under
//! which it keeps manifests. *Tag*: a name in a repository for one digest at a time. *Manifest*: a JSON document that
//! names blobs (an image) or other manifests (an *index*, Docker's manifest list). *Digest*: the address of a
//! manifest or blob, made from its content. *Blob*: a config or a layer. *Referrer*: a manifest about another one,
//! its *subject*.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) mod created;
pub(crate) mod digest;
pub(crate) mod flaw;
mod held;
pub(crate) mod holdings;
pub(crate) mod manifest;
pub(crate) mod media_type;
pub(crate) mod ordered;
pub(crate) mod size;
pub(crate) mod snapshot;
pub(crate) mod store;

pub(crate) use created::{Created, Source};
pub(crate) use digest::{Digest, Hasher};
pub(crate) use flaw::{Flaw, ServerVersion};
pub(crate) use holdings::Holdings;
pub(crate) use manifest::{Descriptor, ImageFacts, Manifest, ManifestKind, Platform, Shared};
pub(crate) use media_type::MediaType;
pub(crate) use ordered::Ordered;
pub(crate) use size::ByteSize;
pub(crate) use snapshot::{ManifestState, RepositoryState, RepositoryView, Snapshot, TagState};
pub(crate) use store::{Odd, StoreView, StoredFile, StoredRepository, StoredTag, StoredUpload};

/// Why a piece of text is not the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidName(String);

impl InvalidName {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $type(Arc<str>);

        impl $type {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $check(text).map_err(InvalidName)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name!(
    /// A repository's name within its registry: `team/app`.
    Repository,
    check_repository
);
name!(
    /// A tag's name within its repository: `1.2`.
    Tag,
    check_tag
);

impl Tag {
    /// The manifest that a tag of the form `sha256-<hex>`, with or without an ending, is about: the tags of cosign
    /// (`.sig`, `.att`, `.sbom`) and the fallback of the OCI referrers API.
    pub(crate) fn attachment_subject(&self) -> Option<Digest> {
        let rest = self.0.strip_prefix("sha256-")?;
        let (hex, ending) = rest.split_at_checked(64)?;
        (ending.is_empty() || ending.starts_with('.')).then(|| format!("sha256:{hex}").parse().ok())?
    }
}

/// The grammar of the OCI distribution specification; it also keeps a name from being a path such as `../x`.
fn check_repository(text: &str) -> Result<(), String> {
    let component = |part: &str| {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
            return false;
        };
        let separators_fit = part
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .filter(|separator| !separator.is_empty())
            .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'));
        alphanumeric(first) && alphanumeric(last) && separators_fit
    };
    if text.len() <= 255 && text.split('/').all(component) {
        Ok(())
    } else {
        Err(format!("`{}` is not a repository name (lower case, such as `team/app`)", printable(text)))
    }
}

fn check_tag(text: &str) -> Result<(), String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let fits = bytes.first().is_some_and(|&first| word(first))
        && bytes.len() <= 128
        && bytes.iter().all(|&byte| word(byte) || matches!(byte, b'.' | b'-'));
    if fits { Ok(()) } else { Err(format!("`{}` is not a tag", printable(text))) }
}

/// Text from outside, fit for a terminal: control characters and direction marks are replaced, length is bounded.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 400;
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut clean: String =
        text.chars().take(LONGEST).map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.push('…');
    }
    clean
}

/// Where a registry answers: `host[:port]`, and the scheme where the user named one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RegistryAddress {
    pub(crate) scheme: Option<Scheme>,
    host: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl RegistryAddress {
    /// `host[:port]`, as Docker writes it in front of a repository.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The host without its port and without the brackets of IPv6.
    pub(crate) fn hostname(&self) -> &str {
        let host = match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => {
                host
            }
            _ => &self.host,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> Option<u16> {
        let (host, port) = self.host.rsplit_once(':')?;
        if host.contains(':') && !host.ends_with(']') { None } else { port.parse().ok() }
    }

    /// Loopback addresses are reached without a verified certificate, as the engine does.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.hostname();
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for RegistryAddress {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some((other, _)) => {
                return Err(InvalidName(format!(
                    "`{}://` is not a registry's scheme: use http or https",
                    printable(other)
                )));
            }
            None => (None, text),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        };
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(InvalidName(format!(
                "`{}` is not a registry address (`host[:port]`)",
                printable(text)
            )));
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase() })
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.host)
    }
}

impl Serialize for RegistryAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.host)
    }
}

#[cfg(test)]
mod tests;
