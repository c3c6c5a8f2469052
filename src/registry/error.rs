//! What can go wrong between this tool and a registry, typed so that callers branch on the kind and never on text.
//! Addresses are kept without their query, which may hold a signature or a token.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{ALLOW, CONTENT_TYPE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::transport::Answer;
use crate::model::printable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No connection could be made; nothing was sent.
    Unreachable,
    /// HTTPS was spoken to a server that speaks plain HTTP.
    PlainHttp,
    /// The certificate is not trusted, or no TLS connection could be agreed on.
    Tls,
    /// Something answered, but not as a registry does.
    NotARegistry,
    /// Credentials are missing or were refused.
    Unauthorized,
    /// The account lacks a right.
    Denied,
    /// The registry does not do this: deletion is switched off, or it is a pull-through proxy.
    Unsupported,
    /// The registry is in read-only mode.
    ReadOnly,
    /// The registry does not list its repositories, to this account or to anybody.
    NoCatalog,
    /// The registry itself says that this does not exist.
    Absent,
    /// A 404 that is not in a registry's words. It says nothing about what the registry holds.
    NotFound,
    /// Busy, cut off or too slow: later it may work.
    Transient,
    /// A fault inside the registry.
    ServerFault,
    /// The registry understood and said no.
    Rejected,
    /// The answer does not fit what was asked: a wrong digest, a list that goes in circles, no JSON.
    Malformed,
    /// Something on this machine: an unreadable certificate.
    Local,
}

/// Whom the requests go to, for the hints.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) has_credentials: bool,
}

/// A request that did not do what it was for.
pub(crate) struct Error(Box<Details>);

struct Details {
    kind: Kind,
    method: Method,
    /// Without the query, user and password.
    target: String,
    status: Option<StatusCode>,
    said: Vec<Said>,
    explanation: String,
    place: Arc<Place>,
    cause: Option<reqwest::Error>,
}

/// One entry of a registry's `errors`.
#[derive(Debug, Clone, Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Error {
    pub(super) fn new(
        kind: Kind,
        method: &Method,
        url: &Url,
        place: &Arc<Place>,
        explanation: impl Into<String>,
    ) -> Self {
        Self(Box::new(Details {
            kind,
            method: method.clone(),
            target: without_secrets(url),
            status: None,
            said: Vec::new(),
            explanation: explanation.into(),
            place: place.clone(),
            cause: None,
        }))
    }

    /// No request can be made of this address.
    pub(super) fn address(place: &Arc<Place>) -> Self {
        Self(Box::new(Details {
            kind: Kind::Local,
            method: Method::GET,
            target: place.host.clone(),
            status: None,
            said: Vec::new(),
            explanation: "not an address that can be reached".to_owned(),
            place: place.clone(),
            cause: None,
        }))
    }

    /// A request that got no answer.
    pub(super) fn unanswered(method: &Method, url: &Url, place: &Arc<Place>, cause: reqwest::Error) -> Self {
        let (kind, explanation) = kind_of_cause(&cause);
        let mut error = Self::new(kind, method, url, place, explanation);
        error.0.cause = Some(cause.without_url());
        error
    }

    /// An answer whose status says that it was not done.
    pub(super) fn refused(answer: &Answer) -> Self {
        let said = said_in(answer);
        let kind = kind_of_status(answer, &said);
        let explanation = if said.is_empty() { plain_text(answer) } else { String::new() };
        let mut error = Self::new(kind, &answer.method, &answer.url, &answer.place, explanation);
        error.0.status = Some(answer.status);
        error.0.said = said;
        error
    }

    /// An answer with a good status and a content that cannot be used.
    pub(super) fn unusable(answer: &Answer, kind: Kind, explanation: impl Into<String>) -> Self {
        Self::new(kind, &answer.method, &answer.url, &answer.place, explanation)
    }

    pub(super) fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(super) fn with_explanation(mut self, explanation: impl Into<String>) -> Self {
        self.0.explanation = explanation.into();
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.0.status.map(|status| status.as_u16())
    }

    /// Whether the registry itself says that the thing does not exist. Nothing else may be read as "not there".
    pub(crate) fn is_absent(&self) -> bool {
        self.0.kind == Kind::Absent
    }

    /// Whether a manifest was refused because something that it names is not there.
    pub(crate) fn is_for_missing_parts(&self) -> bool {
        let codes = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"];
        self.0.said.iter().any(|said| codes.contains(&said.code.as_str()))
    }

    /// Whether this was a write that may or may not have had its effect: what it was for has to be looked at again. A
    /// DELETE that ends with a fault inside the registry can have removed the manifest and left its tags.
    pub(crate) fn is_effect_unknown(&self) -> bool {
        self.is_write()
            && match self.0.status {
                Some(status) => status.is_server_error(),
                None => matches!(self.0.kind, Kind::Transient | Kind::Malformed),
            }
    }

    /// What the user can do about it.
    pub(crate) fn hints(&self) -> Vec<String> {
        let Place { host, has_credentials } = &*self.0.place;
        let login = if *has_credentials {
            format!("the stored credentials were not accepted: log in again with `docker login {host}`")
        } else {
            format!("log in first: `docker login {host}`")
        };
        let hint = match self.0.kind {
            Kind::Unreachable => {
                format!("see whether the registry runs, and whether `{host}` is its address and port")
            }
            Kind::PlainHttp => format!(
                "if this registry has no TLS, say so with `--insecure`, or add \"{host}\" to `insecure-registries` \
                 of the engine"
            ),
            Kind::Tls => format!(
                "put the registry's CA certificate at `/etc/docker/certs.d/{host}/ca.crt`, or use `--insecure` to go \
                 without verification"
            ),
            Kind::NotARegistry => format!(
                "`{host}` must be the address of the registry itself, not of its web page: see its port, and whether \
                 it speaks http or https"
            ),
            Kind::Unauthorized => login,
            Kind::Denied => "the account needs the right to pull, and to delete where something is deleted: ask \
                             the registry's administrator for it"
                .to_owned(),
            Kind::Unsupported if self.is_write() => {
                "deletion is switched off: set `storage.delete.enabled: true` in the registry's configuration (or \
                 REGISTRY_STORAGE_DELETE_ENABLED=true in its environment) and restart it; a pull-through proxy never \
                 deletes"
                    .to_owned()
            }
            Kind::ReadOnly => "the registry is in read-only mode: take `storage.maintenance.readonly` out of its \
                               configuration and restart it"
                .to_owned(),
            Kind::NoCatalog => {
                let name = format!(
                    "this registry does not list its repositories: name them, as in `docker registry ls {host}/team/app`"
                );
                return if self.status() == Some(401) {
                    vec![login, name]
                } else {
                    vec![name]
                };
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }

    pub(super) fn is_timeout(&self) -> bool {
        self.0.cause.as_ref().is_some_and(reqwest::Error::is_timeout)
    }

    fn is_write(&self) -> bool {
        !matches!(self.0.method, Method::GET | Method::HEAD)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        write!(f, "{} {}", details.method, printable(&details.target))?;
        if let Some(status) = details.status {
            write!(f, ": {}", status.as_u16())?;
            if details.said.is_empty()
                && let Some(reason) = status.canonical_reason()
            {
                write!(f, " {reason}")?;
            }
        }
        for said in &details.said {
            write!(f, " {}", printable(&said.code))?;
            if !said.message.is_empty() {
                write!(f, ": {}", printable(&said.message))?;
            }
        }
        if !details.explanation.is_empty() {
            write!(f, ": {}", printable(&details.explanation))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registry::Error({:?}, {self})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // reqwest's own words ("error sending request") say less than ours: what lies below them is what helps.
        self.0.cause.as_ref().and_then(std::error::Error::source)
    }
}

fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn kind_of_status(answer: &Answer, said: &[Said]) -> Kind {
    const ABSENT: [&str; 4] = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"];
    let is_said = |codes: &[&str]| said.iter().any(|said| codes.contains(&said.code.as_str()));
    let is_write = !matches!(answer.method, Method::GET | Method::HEAD);
    match answer.status.as_u16() {
        401 => Kind::Unauthorized,
        403 => Kind::Denied,
        404 if is_said(&ABSENT) => Kind::Absent,
        404 => Kind::NotFound,
        // Distribution: a registry in read-only mode has no handler for writes and says so in text, with `Allow`;
        // deletion switched off and proxies answer in the registry's own JSON.
        405 if is_write && said.is_empty() && answer.headers.contains_key(ALLOW) => Kind::ReadOnly,
        405 => Kind::Unsupported,
        400 if is_said(&["UNSUPPORTED"]) => Kind::Unsupported,
        408 | 429 | 502..=504 => Kind::Transient,
        500..=599 => Kind::ServerFault,
        300..=399 => Kind::Malformed,
        _ => Kind::Rejected,
    }
}

fn said_in(answer: &Answer) -> Vec<Said> {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<Said>,
    }
    let mut said = serde_json::from_slice::<Errors>(&answer.body).map(|body| body.errors).unwrap_or_default();
    said.truncate(3);
    said
}

/// A short answer in plain text often says what is the matter; a page of HTML does not.
fn plain_text(answer: &Answer) -> String {
    let is_text =
        answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    match std::str::from_utf8(&answer.body) {
        Ok(text) if is_text => text.trim().to_owned(),
        _ => String::new(),
    }
}

fn kind_of_cause(cause: &reqwest::Error) -> (Kind, &'static str) {
    if let Some(tls) = tls_error_in(cause) {
        return match tls {
            rustls::Error::InvalidMessage(_) => {
                (Kind::PlainHttp, "the server does not speak HTTPS here, it seems to speak plain HTTP")
            }
            rustls::Error::InvalidCertificate(_) => (Kind::Tls, "the server's certificate is not trusted"),
            _ => (Kind::Tls, "no secure connection could be made"),
        };
    }
    if cause.is_connect() {
        (Kind::Unreachable, "could not connect")
    } else if cause.is_timeout() {
        (Kind::Transient, "no answer in time")
    } else if cause.is_builder() {
        (Kind::Local, "the request could not be made")
    } else {
        (Kind::Transient, "the connection was cut")
    }
}

/// An `io::Error` hides the error it carries from `source()`, so each is opened on the way down.
fn tls_error_in(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
