//! Deletions, and the harmless questions that come before them.

use std::hash::{BuildHasher, RandomState};

use reqwest::Method;

use super::Registry;
use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::{Answer, Retry};
use crate::model::{Digest, Repository, Tag};

/// No content has this digest, so no registry can have it to delete.
const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    Done,
    AlreadyAbsent,
}

/// What a registry says to deletions before any is attempted.
#[derive(Debug)]
pub(crate) enum DeleteSupport {
    Enabled,
    /// Deletion is switched off, or this is a pull-through proxy: over HTTP they answer alike.
    DisabledOrProxy,
    ReadOnly,
    /// The account may not delete, or nobody is logged in.
    Denied(Error),
}

impl Registry {
    /// Deletes the manifest with `digest`, and with it every tag of the repository that has this digest.
    pub(crate) async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Deletion, Error> {
        deletion(&self.delete(repository, &digest.to_string()).await?)
    }

    /// Deletes one tag and leaves its manifest. Only where [`Self::deletes_tags_by_name`].
    pub(crate) async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<Deletion, Error> {
        deletion(&self.delete(repository, tag.as_str()).await?)
    }

    /// Whether deletions would be accepted in `repository`, which need not exist. Changes nothing: it asks for the
    /// deletion of something that cannot be there.
    pub(crate) async fn delete_support(&self, repository: &Repository) -> Result<DeleteSupport, Error> {
        let error = match self.delete(repository, NOTHING).await {
            Ok(answer) if answer.status.is_success() => return Ok(DeleteSupport::Enabled),
            Ok(answer) => Error::refused(&answer),
            Err(error) => error,
        };
        match error.kind() {
            Kind::Absent => Ok(DeleteSupport::Enabled),
            Kind::Unsupported => Ok(DeleteSupport::DisabledOrProxy),
            Kind::ReadOnly => Ok(DeleteSupport::ReadOnly),
            Kind::Unauthorized | Kind::Denied => Ok(DeleteSupport::Denied(error)),
            _ => Err(error),
        }
    }

    /// Whether the registry deletes a tag by its name and leaves the other tags of the digest: Distribution 3 does, 2
    /// does not. To be asked only where [`DeleteSupport::Enabled`]: 3.0 deletes tags even where deletion is off.
    /// Changes nothing: the tag is a name that nobody uses.
    pub(crate) async fn deletes_tags_by_name(&self, repository: &Repository) -> Result<bool, Error> {
        let random = RandomState::new().hash_one(repository.as_str());
        let name = format!("docker-registry-prune-asks-{random:016x}");
        let answer = self.delete(repository, &name).await?;
        let error = match answer.status.as_u16() {
            200..=299 => return Ok(true),
            _ => Error::refused(&answer),
        };
        match (error.kind(), error.status()) {
            (Kind::Absent, _) => Ok(true),
            // 2.x takes the name for a digest: 400 DIGEST_INVALID.
            (Kind::Unsupported, _) | (_, Some(400)) => Ok(false),
            _ => Err(error),
        }
    }

    async fn delete(&self, repository: &Repository, reference: &str) -> Result<Answer, Error> {
        let mut call = self.call(Method::DELETE, self.url(&format!("{repository}/manifests/{reference}")));
        call.retry = Retry::Unserved;
        call.time_limit = self.0.transport.timeouts.deletion;
        call.size_limit = 64 * 1024;
        self.send(call, &Scopes::repository(repository, &["pull", "delete"])).await
    }
}

fn deletion(answer: &Answer) -> Result<Deletion, Error> {
    if answer.status.is_success() {
        return Ok(Deletion::Done);
    }
    let error = Error::refused(answer);
    if error.is_absent() { Ok(Deletion::AlreadyAbsent) } else { Err(error) }
}
