//! Manifests: read, resolved, put back. A manifest counts only with a digest that fits its bytes.

use std::fmt;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Registry;
use super::connect::API_VERSION;
use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::{Answer, Call, Retry};
use crate::model::manifest::ACCEPTED;
use crate::model::{Digest, Manifest, ManifestKind, Repository, Tag, printable};

const CONTENT_DIGEST: &str = "docker-content-digest";
/// Distribution accepts no manifest above 4 MiB; others may.
const LONGEST_MANIFEST: u64 = 16 * 1024 * 1024;

/// How a manifest is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    Tag(&'a Tag),
    Digest(&'a Digest),
}

impl<'a> From<&'a Tag> for Reference<'a> {
    fn from(tag: &'a Tag) -> Self {
        Self::Tag(tag)
    }
}

impl<'a> From<&'a Digest> for Reference<'a> {
    fn from(digest: &'a Digest) -> Self {
        Self::Digest(digest)
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Registry {
    /// The manifest behind `reference`, its digest verified; `None` where the registry says there is none.
    pub(crate) async fn manifest<'a>(
        &self,
        repository: &Repository,
        reference: impl Into<Reference<'a>>,
    ) -> Result<Option<Manifest>, Error> {
        let reference = reference.into();
        let mut call = self.manifest_call(Method::GET, repository, reference);
        call.headers = accepting_all();
        call.size_limit = LONGEST_MANIFEST;
        let answer = self.send(call, &Scopes::repository(repository, &["pull"])).await?;
        if answer.status == 200 {
            return read_manifest(&answer, reference).map(Some);
        }
        let error = Error::refused(&answer);
        if error.is_absent() { Ok(None) } else { Err(error) }
    }

    /// The digest that `reference` has now; `None` where the registry says there is no such manifest.
    pub(crate) async fn resolve<'a>(
        &self,
        repository: &Repository,
        reference: impl Into<Reference<'a>>,
    ) -> Result<Option<Digest>, Error> {
        let reference = reference.into();
        let mut call = self.manifest_call(Method::HEAD, repository, reference);
        call.headers = accepting_all();
        let answer = self.send(call, &Scopes::repository(repository, &["pull"])).await?;
        match (answer.status.as_u16(), digest_header(&answer)) {
            (200, Ok(Some(digest))) => Ok(Some(digest)),
            // A HEAD has no body to show whose 404 this is; the registry's own carries its mark.
            (404, _) if answer.header(API_VERSION).is_some() => Ok(None),
            (200 | 404 | 405, _) => {
                let manifest = self.manifest(repository, reference).await?;
                Ok(manifest.map(|manifest| manifest.digest))
            }
            _ => Err(Error::refused(&answer)),
        }
    }

    /// Puts `body` under a tag or its own digest. Never sent twice.
    pub(crate) async fn put_manifest<'a>(
        &self,
        repository: &Repository,
        reference: impl Into<Reference<'a>>,
        media_type: &str,
        body: &[u8],
    ) -> Result<(), Error> {
        let mut call = self.manifest_call(Method::PUT, repository, reference.into());
        call.retry = Retry::Never;
        call.body = body.to_vec();
        let Ok(content_type) = HeaderValue::from_str(media_type) else {
            let why = "the media type fits no header";
            return Err(self.0.transport.error(Kind::Local, &call.method, &call.url, why));
        };
        call.headers.insert(CONTENT_TYPE, content_type);
        let answer = self.send(call, &Scopes::repository(repository, &["pull", "push"])).await?;
        if !matches!(answer.status.as_u16(), 200..=202) {
            return Err(Error::refused(&answer));
        }
        match digest_header(&answer)? {
            Some(digest) if digest.matches(body) == Some(false) => {
                Err(malformed(&answer, format!("the registry stored something else: {digest}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn manifest_call(
        &self,
        method: Method,
        repository: &Repository,
        reference: Reference<'_>,
    ) -> Call {
        self.call(method, self.url(&format!("{repository}/manifests/{reference}")))
    }
}

/// Everything this tool reads, each type in a line of its own: 2.4 does not split at commas. A registry that is not
/// told of a type converts the manifest, or picks a child of a list, and names another digest.
fn accepting_all() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for media_type in ACCEPTED {
        headers.append(ACCEPT, HeaderValue::from_static(media_type));
    }
    headers
}

fn read_manifest(answer: &Answer, asked: Reference<'_>) -> Result<Manifest, Error> {
    let media_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let named = digest_header(answer)?;
    let asked = match asked {
        Reference::Digest(digest) => Some(digest),
        Reference::Tag(_) => None,
    };
    if let (Some(asked), Some(named)) = (asked, &named)
        && asked != named
    {
        return Err(malformed(answer, format!("asked for {asked}, got {named}")));
    }
    let digest = asked.cloned().or(named).unwrap_or_else(|| Digest::of(&answer.body));
    let manifest = Manifest::parse(digest, media_type, &answer.body).map_err(|why| malformed(answer, why))?;
    let manifest = Manifest { raw: Some(answer.body.as_slice().into()), ..manifest };
    // The digest of a schema 1 manifest is made without the signatures that its bytes hold: it is taken as said.
    if manifest.kind == ManifestKind::Schema1 {
        return if asked.is_some() || answer.headers.contains_key(CONTENT_DIGEST) {
            Ok(manifest)
        } else {
            Err(malformed(answer, "a schema 1 manifest without its digest"))
        };
    }
    match manifest.digest.matches(&answer.body) {
        Some(true) => Ok(manifest),
        Some(false) => {
            Err(malformed(answer, format!("the digest {} does not fit the content", manifest.digest)))
        }
        None => Err(malformed(answer, format!("the digest {} cannot be verified", manifest.digest))),
    }
}

fn digest_header(answer: &Answer) -> Result<Option<Digest>, Error> {
    answer
        .header(CONTENT_DIGEST)
        .map(|text| {
            text.parse()
                .map_err(|_| malformed(answer, format!("its digest `{}` is not one", printable(text))))
        })
        .transpose()
}

fn malformed(answer: &Answer, why: impl Into<String>) -> Error {
    Error::unusable(answer, Kind::Malformed, why)
}
