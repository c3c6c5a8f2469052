//! What a path in the store is, by its place in the registry's layout. The collector's hazards decide what is a frame:
//! a folder that the registry or its collector misses when it is not there.

use crate::model::{Digest, Repository, Tag};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    /// A symbolic link, a device, a pipe.
    Other,
}

impl Kind {
    pub(crate) fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o040_000 => Self::Folder,
            0o100_000 => Self::File,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    /// A folder that stays as long as its repository.
    Frame,
    /// The same, and it may not go before the repository's `_manifests`.
    LateFrame,
    /// A folder above repositories, or of one.
    Group,
    /// A folder that goes when it is empty.
    Husk,
    Blob(&'a str),
    Revision(&'a str),
    Layer(&'a str),
    /// The link of a tag.
    Current(&'a str),
    /// What a tag once was.
    Index(&'a str),
    /// A file or folder of the upload of this id.
    Upload(&'a str),
    Unknown,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The repository that it decides about.
    pub(crate) repository: Option<&'a str>,
    pub(crate) role: Role<'a>,
}

const REPOSITORIES: &str = "repositories/";

impl<'a> Place<'a> {
    pub(crate) fn of(path: &'a str, kind: Kind) -> Self {
        let Some(below) = path.strip_prefix(REPOSITORIES) else {
            return Self { repository: None, role: outside_of_repositories(path, kind) };
        };
        match split(below) {
            (name, Some(inside)) if is_name(name) => {
                let parts: Vec<&str> = inside.split('/').collect();
                let role = match kind {
                    Kind::Folder => folder(&parts),
                    Kind::File => file(&parts),
                    Kind::Other => Role::Unknown,
                };
                Self { repository: Some(name), role }
            }
            (name, None) if is_name(name) && kind == Kind::Folder => {
                Self { repository: None, role: Role::Group }
            }
            // It lies in the folder of what may be a repository.
            (name, _) => {
                let parent = name.rsplit_once('/').map(|(parent, _)| parent);
                Self { repository: parent, role: Role::Unknown }
            }
        }
    }
}

/// The repository, and what is inside of it: from the first name with `_` in front.
fn split(below: &str) -> (&str, Option<&str>) {
    match below.find("/_") {
        Some(at) => (&below[..at], Some(&below[at + 1..])),
        None => (below, None),
    }
}

pub(crate) fn upload_of(path: &str) -> Option<&str> {
    let (_, inside) = split(path.strip_prefix(REPOSITORIES)?);
    inside?.strip_prefix("_uploads/")?.split('/').next()
}

pub(crate) fn tag_of(path: &str) -> Option<&str> {
    let (_, inside) = split(path.strip_prefix(REPOSITORIES)?);
    inside?.strip_prefix("_manifests/tags/")?.split('/').next()
}

fn outside_of_repositories(path: &str, kind: Kind) -> Role<'_> {
    let parts: Vec<&str> = path.split('/').collect();
    match (kind, parts.as_slice()) {
        (Kind::Folder, ["blobs" | "repositories"] | ["blobs", "sha256" | "sha512"]) => Role::Frame,
        (Kind::Folder, ["blobs", "sha256" | "sha512", start]) if start.len() == 2 && is_hex(start) => {
            Role::Husk
        }
        (Kind::Folder, ["blobs", algorithm, start, hex]) if is_blob(algorithm, start, hex) => Role::Husk,
        (Kind::File, ["blobs", algorithm, start, hex, "data"]) if is_blob(algorithm, start, hex) => {
            Role::Blob(hex)
        }
        _ => Role::Unknown,
    }
}

fn folder<'a>(parts: &[&'a str]) -> Role<'a> {
    match parts {
        ["_manifests"]
        | ["_manifests", "tags" | "revisions"]
        | ["_manifests", "revisions", "sha256" | "sha512"] => Role::Frame,
        ["_manifests", "revisions", algorithm, hex] | ["_layers", algorithm, hex]
            if is_digest(algorithm, hex) =>
        {
            Role::Husk
        }
        ["_manifests", "tags", tag]
        | ["_manifests", "tags", tag, "current" | "index"]
        | ["_manifests", "tags", tag, "index", "sha256" | "sha512"]
            if is_tag(tag) =>
        {
            Role::Frame
        }
        ["_manifests", "tags", tag, "index", algorithm, hex] if is_tag(tag) && is_digest(algorithm, hex) => {
            Role::Husk
        }
        ["_layers" | "_uploads"] | ["_layers", "sha256" | "sha512"] => Role::LateFrame,
        ["_uploads", id]
        | ["_uploads", id, "hashstates"]
        | ["_uploads", id, "hashstates", "sha256" | "sha512"]
            if is_id(id) =>
        {
            Role::Upload(id)
        }
        _ => Role::Unknown,
    }
}

fn file<'a>(parts: &[&'a str]) -> Role<'a> {
    match parts {
        ["_manifests", "revisions", algorithm, hex, "link"] if is_digest(algorithm, hex) => {
            Role::Revision(hex)
        }
        ["_manifests", "tags", tag, "current", "link"] if is_tag(tag) => Role::Current(tag),
        ["_manifests", "tags", tag, "index", algorithm, hex, "link"]
            if is_tag(tag) && is_digest(algorithm, hex) =>
        {
            Role::Index(hex)
        }
        ["_layers", algorithm, hex, "link"] if is_digest(algorithm, hex) => Role::Layer(hex),
        ["_uploads", id, "startedat" | "data"] if is_id(id) => Role::Upload(id),
        ["_uploads", id, "hashstates", "sha256" | "sha512", offset] if is_id(id) && is_number(offset) => {
            Role::Upload(id)
        }
        _ => Role::Unknown,
    }
}

fn is_name(text: &str) -> bool {
    text.parse::<Repository>().is_ok()
}

fn is_tag(text: &str) -> bool {
    text.parse::<Tag>().is_ok()
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_digest(algorithm: &str, hex: &str) -> bool {
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && is_hex(hex)
}

fn is_blob(algorithm: &str, start: &str, hex: &str) -> bool {
    start.len() == 2 && is_digest(algorithm, hex) && hex.starts_with(start)
}

/// The digest whose name in the store is `hex`: its length tells the algorithm.
pub(crate) fn digest_of(hex: &str) -> Option<Digest> {
    let algorithm = if hex.len() == 128 { "sha512" } else { "sha256" };
    format!("{algorithm}:{hex}").parse().ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The registry names uploads by UUIDs.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
