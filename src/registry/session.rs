//! One request as a caller means it: within the limit on concurrency, with authorization, redirects followed.

use reqwest::Method;
use reqwest::header::LOCATION;
use tokio::sync::Semaphore;

use super::auth::Auth;
use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::{Answer, Call, Transport};
use crate::model::RegistryAddress;

const MOST_REDIRECTS: usize = 5;

pub(super) struct Session {
    pub(super) transport: Transport,
    pub(super) address: RegistryAddress,
    pub(super) auth: Auth,
    pub(super) permits: Semaphore,
}

impl Session {
    /// Sends `call` and returns the registry's answer whatever its status, save 401, which is an error.
    pub(super) async fn send(&self, mut call: Call, scopes: &Scopes) -> Result<Answer, Error> {
        // Never closed, so a permit is always had.
        let _permit = self.permits.acquire().await;
        let mut authorization = self.auth.authorization(&self.transport, scopes).await?;
        let mut was_challenged = false;
        let mut redirects = 0;
        loop {
            let is_home = self.transport.is_home(&call.url);
            let header = authorization.as_ref().filter(|_| is_home);
            let answer = self.transport.exchange(&call, header).await?;
            if answer.status == 401 && is_home {
                if !was_challenged && self.auth.learn(&answer, scopes, header).await {
                    was_challenged = true;
                    authorization = self.auth.authorization(&self.transport, scopes).await?;
                    if authorization.is_some() {
                        continue;
                    }
                }
                return Err(self.auth.refusal(&answer, scopes, authorization.as_ref()));
            }
            if !answer.status.is_redirection() || !matches!(call.method, Method::GET | Method::HEAD) {
                return Ok(answer);
            }
            redirects += 1;
            if redirects > MOST_REDIRECTS {
                return Err(Error::refused(&answer).with_explanation("it sends us on and on"));
            }
            self.follow(&mut call, &answer)?;
        }
    }

    /// A registry may keep its blobs with a storage service, which must not see the registry's credentials. Lists and
    /// manifests are the registry's own to say.
    fn follow(&self, call: &mut Call, answer: &Answer) -> Result<(), Error> {
        let location = answer.header(LOCATION.as_str());
        let Some(next) = location.and_then(|location| answer.url.join(location).ok()) else {
            return Err(Error::refused(answer).with_explanation("it sends us on without saying where"));
        };
        let place = next.origin().ascii_serialization();
        if !self.transport.is_home(&next) && !call.may_lie_elsewhere {
            return Err(Error::refused(answer)
                .with_kind(Kind::NotARegistry)
                .with_explanation(format!("it sends us on to {place}")));
        }
        if call.url.scheme() == "https" && next.scheme() != "https" {
            return Err(
                Error::refused(answer).with_explanation(format!("it sends us on to {place}, without TLS"))
            );
        }
        call.url = next;
        Ok(())
    }
}
