//! A registry's HTTP verbs. Each says what the registry said, or fails with a typed [`Error`]; nothing here decides
//! what to keep or to delete. Uploads are absent, but for the question whether they would
//! be accepted: this tool only ever puts manifests back.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use tokio::sync::Semaphore;

use self::auth::Auth;
use self::scope::Scopes;
use self::session::Session;
use self::transport::{Answer, Call, Reading, Retry, Transport};
use crate::credentials::Credentials;
use crate::model::RegistryAddress;
use crate::pace::Pace;

mod auth;
mod blobs;
mod connect;
mod deletion;
mod error;
mod listing;
mod manifests;
mod referrers;
mod scope;
mod session;
mod tls;
mod transport;
mod uploads;

pub(crate) use self::deletion::{DeleteSupport, Deletion};
pub(crate) use self::error::{Error, Kind};
pub(crate) use self::manifests::Reference;
pub(crate) use self::uploads::PushSupport;

/// How a registry is reached.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) address: RegistryAddress,
    pub(crate) credentials: Option<Credentials>,
    /// The engine or the user calls it insecure: its certificate is not verified, and plain HTTP will do.
    pub(crate) is_insecure: bool,
    /// A folder as the engine keeps it in `certs.d`. Need not exist; not read for insecure registries.
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) concurrency: usize,
    pub(crate) timeouts: Timeouts,
    pub(crate) trace: Trace,
}

/// Is told every request in a line, without its secrets.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<Tell>>);

type Tell = dyn Fn(&str) + Send + Sync;

impl Trace {
    pub(crate) fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(tell) = &self.0 {
            tell(&line());
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
    /// A registry reads every tag of the repository for each deletion by digest: minutes, with thousands of tags.
    pub(crate) deletion: Duration,
    /// Before the second try of a request; four times as long before the third.
    pub(crate) pause: Duration,
}

impl Timeouts {
    pub(crate) fn at(pace: Pace) -> Self {
        Self {
            connect: pace.of(Duration::from_secs(10)),
            request: pace.of(Duration::from_secs(60)),
            deletion: pace.of(Duration::from_secs(600)),
            pause: pace.of(Duration::from_millis(250)),
        }
    }
}

/// A registry that has answered as one. Clones share connections, tokens and the limit on concurrency.
#[derive(Clone)]
pub(crate) struct Registry(Arc<Session>);

impl Registry {
    pub(crate) fn address(&self) -> &RegistryAddress {
        &self.0.address
    }

    /// How many requests were sent so far, those to token services and storage hosts among them.
    pub(crate) fn requests(&self) -> u64 {
        self.0.transport.sent()
    }

    fn new(transport: Transport, access: &Access) -> Self {
        Self(Arc::new(Session {
            transport,
            auth: Auth::new(access.credentials.clone()),
            address: access.address.clone(),
            permits: Semaphore::new(access.concurrency.max(1)),
        }))
    }

    fn url(&self, path: &str) -> Url {
        self.0.transport.url(path)
    }

    fn call(&self, method: Method, url: Url) -> Call {
        Call {
            method,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            retry: Retry::Transient,
            time_limit: self.0.transport.timeouts.request,
            size_limit: 0,
            reading: Reading::Keep,
            may_lie_elsewhere: false,
        }
    }

    async fn send(&self, call: Call, scopes: &Scopes) -> Result<Answer, Error> {
        self.0.send(call, scopes).await
    }
}

#[cfg(test)]
#[path = "../tests/it/fake_registry.rs"]
mod fake_registry;
#[cfg(test)]
mod tests;
