//! The harmless question whether pushes would be accepted. Nothing is ever uploaded.

use reqwest::Method;
use reqwest::header::LOCATION;

use super::Registry;
use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::Retry;
use crate::model::Repository;

/// What a registry says to the beginning of a push.
#[derive(Debug)]
pub(crate) enum PushSupport {
    Accepted,
    ReadOnly,
    /// The account may not push, or nobody is logged in.
    Denied(Error),
}

impl Registry {
    /// Whether a push to `repository`, which need not exist, would be accepted. One that was is taken back at once.
    pub(crate) async fn push_support(&self, repository: &Repository) -> Result<PushSupport, Error> {
        let scopes = Scopes::repository(repository, &["pull", "push"]);
        let mut call = self.call(Method::POST, self.url(&format!("{repository}/blobs/uploads/")));
        call.retry = Retry::Unserved;
        call.size_limit = 64 * 1024;
        let begun = match self.send(call, &scopes).await {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) => return classified(Error::refused(&answer)),
            Err(error) => return classified(error),
        };
        let location = begun.header(LOCATION.as_str()).and_then(|location| begun.url.join(location).ok());
        if let Some(upload) = location.filter(|upload| self.0.transport.is_home(upload)) {
            let mut call = self.call(Method::DELETE, upload);
            call.retry = Retry::Unserved;
            call.size_limit = 64 * 1024;
            // What stays is an empty upload, which the registry removes by itself.
            let _ = self.send(call, &scopes).await;
        }
        Ok(PushSupport::Accepted)
    }
}

fn classified(error: Error) -> Result<PushSupport, Error> {
    match error.kind() {
        Kind::ReadOnly => Ok(PushSupport::ReadOnly),
        Kind::Unauthorized | Kind::Denied => Ok(PushSupport::Denied(error)),
        _ => Err(error),
    }
}
