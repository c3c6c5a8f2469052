//! What a path in the store is, by its place in the registry's layout. The collector's hazards decide what is a frame:
//! a folder that the registry or its collector misses when it is not there.

use super::Kind;
use crate::model::{Repository, Tag};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role<'a> {
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
pub(super) struct Place<'a> {
    /// The repository that it decides about.
    pub(super) repository: Option<&'a str>,
    pub(super) role: Role<'a>,
}

const REPOSITORIES: &str = "repositories/";

impl<'a> Place<'a> {
    pub(super) fn of(path: &'a str, kind: Kind) -> Self {
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

pub(super) fn upload_of(path: &str) -> Option<&str> {
    let (_, inside) = split(path.strip_prefix(REPOSITORIES)?);
    inside?.strip_prefix("_uploads/")?.split('/').next()
}

pub(super) fn tag_of(path: &str) -> Option<&str> {
    let (_, inside) = split(path.strip_prefix(REPOSITORIES)?);
    inside?.strip_prefix("_manifests/tags/")?.split('/').next()
}

fn outside_of_repositories(path: &str, kind: Kind) -> Role<'_> {
    let parts: Vec<&str> = path.split('/').collect();
    match (kind, parts.as_slice()) {
        (Kind::Folder, ["blobs" | "repositories"] | ["blobs", "sha256"]) => Role::Frame,
        (Kind::Folder, ["blobs", "sha256", start]) if start.len() == 2 && is_hex(start) => Role::Husk,
        (Kind::Folder, ["blobs", "sha256", start, hex]) if is_blob(start, hex) => Role::Husk,
        (Kind::File, ["blobs", "sha256", start, hex, "data"]) if is_blob(start, hex) => Role::Blob(hex),
        _ => Role::Unknown,
    }
}

fn folder<'a>(parts: &[&'a str]) -> Role<'a> {
    match parts {
        ["_manifests"] | ["_manifests", "tags" | "revisions"] | ["_manifests", "revisions", "sha256"] => {
            Role::Frame
        }
        ["_manifests", "revisions", "sha256", hex] | ["_layers", "sha256", hex] if is_digest(hex) => {
            Role::Husk
        }
        ["_manifests", "tags", tag]
        | ["_manifests", "tags", tag, "current" | "index"]
        | ["_manifests", "tags", tag, "index", "sha256"]
            if is_tag(tag) =>
        {
            Role::Frame
        }
        ["_manifests", "tags", tag, "index", "sha256", hex] if is_tag(tag) && is_digest(hex) => Role::Husk,
        ["_layers" | "_uploads"] | ["_layers", "sha256"] => Role::LateFrame,
        ["_uploads", id] | ["_uploads", id, "hashstates"] | ["_uploads", id, "hashstates", "sha256"]
            if is_id(id) =>
        {
            Role::Upload(id)
        }
        _ => Role::Unknown,
    }
}

fn file<'a>(parts: &[&'a str]) -> Role<'a> {
    match parts {
        ["_manifests", "revisions", "sha256", hex, "link"] if is_digest(hex) => Role::Revision(hex),
        ["_manifests", "tags", tag, "current", "link"] if is_tag(tag) => Role::Current(tag),
        ["_manifests", "tags", tag, "index", "sha256", hex, "link"] if is_tag(tag) && is_digest(hex) => {
            Role::Index(hex)
        }
        ["_layers", "sha256", hex, "link"] if is_digest(hex) => Role::Layer(hex),
        ["_uploads", id, "startedat" | "data"] if is_id(id) => Role::Upload(id),
        ["_uploads", id, "hashstates", "sha256", offset] if is_id(id) && is_number(offset) => {
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

fn is_digest(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_blob(start: &str, hex: &str) -> bool {
    start.len() == 2 && is_digest(hex) && hex.starts_with(start)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The registry names uploads by UUIDs.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
