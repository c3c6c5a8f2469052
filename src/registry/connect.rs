//! The first contact: which scheme, and whether it is a registry that answers.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::{Answer, Retry, Transport};
use super::{Access, Registry};
use crate::model::Scheme;

/// The registry's own mark. The OCI specification does not ask for it.
pub(super) const API_VERSION: &str = "docker-distribution-api-version";
const LONGEST_GREETING: u64 = 64 * 1024;

impl Registry {
    /// Finds the scheme and makes sure that a registry answers and accepts the credentials.
    ///
    /// A scheme that the user named is taken. Without one, loopback and insecure registries are tried over HTTPS with
    /// any certificate and then over plain HTTP, as the engine does: only theirs may credentials travel in the open.
    /// All others speak HTTPS with a certificate that can be verified.
    pub(crate) async fn connect(access: &Access) -> Result<Self, Error> {
        let is_lax = access.is_insecure || access.address.is_loopback();
        let scheme = match access.address.scheme {
            None if is_lax => return Self::connect_as_engine_does(access).await,
            named => named.unwrap_or(Scheme::Https),
        };
        Self::greeted(access, scheme, !is_lax, Retry::Transient).await
    }

    async fn connect_as_engine_does(access: &Access) -> Result<Self, Error> {
        let over_tls = match Self::greeted(access, Scheme::Https, false, Retry::Never).await {
            Err(error) if speaks_no_tls(&error) => error,
            other => return other,
        };
        match Self::greeted(access, Scheme::Http, false, Retry::Transient).await {
            // TLS that failed for a reason of its own says more than what plain HTTP then met.
            Err(_) if over_tls.kind() == Kind::Tls => Err(over_tls),
            other => other,
        }
    }

    async fn greeted(access: &Access, scheme: Scheme, verifies: bool, retry: Retry) -> Result<Self, Error> {
        let registry = Self::new(Transport::new(access, scheme, verifies)?, access);
        registry.greet(retry).await?;
        Ok(registry)
    }

    async fn greet(&self, retry: Retry) -> Result<(), Error> {
        let mut call = self.call(Method::GET, self.url(""));
        call.retry = retry;
        call.size_limit = LONGEST_GREETING;
        match self.send(call, &Scopes::default()).await {
            Ok(answer) if answer.status == 200 && is_registrys(&answer) => Ok(()),
            Ok(answer) if answer.status == 200 => Err(Error::unusable(
                &answer,
                Kind::NotARegistry,
                format!("what answers is no registry, but {}", looks_like(&answer)),
            )),
            Ok(answer) => Err(not_greeted(Error::refused(&answer))),
            // Whether a token service lets anybody in shows only when something is asked for.
            Err(error) if error.status() == Some(401) && self.0.auth.is_anonymous_with_tokens() => Ok(()),
            Err(error) if error.status() == Some(401) && !self.0.auth.knows_what_is_asked() => Err(error
                .with_kind(Kind::NotARegistry)
                .with_explanation("it wants to know who is asking but not how to say it")),
            Err(error) => Err(error),
        }
    }
}

fn speaks_no_tls(error: &Error) -> bool {
    let was_cut = error.kind() == Kind::Transient && error.status().is_none() && !error.is_timeout();
    was_cut || matches!(error.kind(), Kind::PlainHttp | Kind::Tls | Kind::Unreachable)
}

fn not_greeted(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound | Kind::Absent | Kind::Unsupported | Kind::ReadOnly | Kind::Rejected => {
            error.with_kind(Kind::NotARegistry)
        }
        _ => error,
    }
}

fn is_registrys(answer: &Answer) -> bool {
    let is_marked = answer.header(API_VERSION).is_some_and(|mark| mark.starts_with("registry/"));
    is_marked
        || answer.body.is_empty()
        || serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok_and(|body| body.is_object())
}

fn looks_like(answer: &Answer) -> &'static str {
    match answer.header(CONTENT_TYPE.as_str()) {
        Some(kind) if kind.starts_with("text/html") => "a web page",
        _ => "something else",
    }
}
