//! Blobs: small ones are read, large ones only measured or hashed.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderValue, RANGE};

use super::Registry;
use super::connect::API_VERSION;
use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::{Call, Reading, Retry};
use crate::model::{ByteSize, Digest, Repository};

/// Bytes in a second: a line that is slower than this is taken for one that stands still.
const SLOWEST: u64 = 16 * 1024;

impl Registry {
    /// The content of a blob of at most `limit` bytes, verified; `None` where the registry says there is none.
    pub(crate) async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut call = self.blob_call(Method::GET, repository, digest);
        call.size_limit = limit;
        let answer = self.send(call, &Scopes::repository(repository, &["pull"])).await?;
        if answer.status != 200 {
            let error = Error::refused(&answer);
            return if error.is_absent() { Ok(None) } else { Err(error) };
        }
        if digest.matches(&answer.body) == Some(true) {
            Ok(Some(answer.body))
        } else {
            let why = format!("the content is not that of {digest}");
            Err(Error::unusable(&answer, Kind::Malformed, why))
        }
    }

    /// The size the registry gives for a blob; `None` where it has none.
    pub(crate) async fn blob_size(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        let call = self.blob_call(Method::HEAD, repository, digest);
        let answer = self.send(call, &Scopes::repository(repository, &["pull"])).await?;
        match (answer.status.as_u16(), answer.length()) {
            (200, Some(size)) => Ok(Some(size)),
            (200, None) => Err(Error::unusable(&answer, Kind::Malformed, "the answer has no size")),
            // A HEAD has no body to show whose 404 this is; the registry's own carries its mark.
            (404, _) if answer.header(API_VERSION).is_some() => Ok(None),
            _ => Err(Error::refused(&answer)),
        }
    }

    /// Whether the content of a blob is there: its first byte is read. A server that serves on after a collection
    /// remembers the size of blobs that are gone, and cuts their content off.
    pub(crate) async fn has_content(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let mut call = self.blob_call(Method::GET, repository, digest);
        call.headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        call.retry = Retry::Unserved;
        call.size_limit = 1;
        let answer = match self.send(call, &Scopes::repository(repository, &["pull"])).await {
            Ok(answer) => answer,
            // Longer than was asked for, from a server that knows no ranges.
            Err(error) if error.kind() == Kind::Malformed => return Ok(true),
            Err(error) => return Err(error),
        };
        match answer.status.as_u16() {
            // There is no first byte in an empty blob.
            416 => Ok(true),
            200 | 206 => Ok(!answer.body.is_empty() || answer.length() == Some(0)),
            _ => {
                let error = Error::refused(&answer);
                if error.is_absent() { Ok(false) } else { Err(error) }
            }
        }
    }

    /// What the content of a blob of this size hashes to, and its length. It is read as a stream and not kept; `None` where
    /// the registry says there is none.
    pub(crate) async fn hash_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: ByteSize,
    ) -> Result<Option<(Digest, u64)>, Error> {
        let mut call = self.blob_call(Method::GET, repository, digest);
        call.reading = Reading::Hash;
        call.size_limit = size.0;
        call.time_limit += Duration::from_secs(size.0 / SLOWEST);
        let answer = self.send(call, &Scopes::repository(repository, &["pull"])).await?;
        if answer.status == 200 && answer.hashed.is_some() {
            return Ok(answer.hashed);
        }
        let error = Error::refused(&answer);
        if error.is_absent() { Ok(None) } else { Err(error) }
    }

    fn blob_call(&self, method: Method, repository: &Repository, digest: &Digest) -> Call {
        let mut call = self.call(method, self.url(&format!("{repository}/blobs/{digest}")));
        call.may_lie_elsewhere = true;
        call
    }
}
