//! One HTTP exchange: sent, counted, read up to a limit, and sent again where that is safe. Knows nothing of
//! credentials beyond the header it is handed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url};

use super::Trace;
use super::error::{Error, Kind, Place};
use super::tls::Trust;
use super::{Access, Timeouts};
use crate::model::{Digest, Hasher, Scheme, printable};

const TRIES: u32 = 3;
/// A registry that wants a longer pause than this is reported instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Error pages are read no further.
const LONGEST_REFUSAL: u64 = 64 * 1024;

pub(super) struct Transport {
    pub(super) place: Arc<Place>,
    pub(super) timeouts: Timeouts,
    root: Url,
    /// For the registry's own host.
    near: Client,
    /// For storage hosts and token services elsewhere: always verified.
    far: OnceLock<Client>,
    sent: AtomicU64,
    trace: Trace,
}

/// A request as it is sent. Its body may hold a secret, so it cannot be printed.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) retry: Retry,
    pub(super) time_limit: Duration,
    /// The longest good answer that is read.
    pub(super) size_limit: u64,
    pub(super) reading: Reading,
    /// Blobs may lie on another host; everything else is the registry's own to say.
    pub(super) may_lie_elsewhere: bool,
}

/// What is done with the body of a good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Keep,
    /// It is never held as a whole.
    Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Whatever seems to pass: for requests that change nothing.
    Transient,
    /// Only what was not connected or was turned away unserved: for deletions.
    Unserved,
    Never,
}

pub(super) struct Answer {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) place: Arc<Place>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// What the body hashes to and its length, where it was hashed instead of kept.
    pub(super) hashed: Option<(Digest, u64)>,
}

impl Transport {
    pub(super) fn new(access: &Access, scheme: Scheme, verifies: bool) -> Result<Self, Error> {
        let address = &access.address;
        let place = Arc::new(Place {
            host: address.host().to_owned(),
            has_credentials: access.credentials.is_some(),
        });
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let root =
            Url::parse(&format!("{scheme}://{}/v2/", address.host())).map_err(|_| Error::address(&place))?;
        let near = Trust::of_registry(verifies, !address.is_loopback(), access.certificates.as_deref())
            .and_then(|trust| trust.client(access.timeouts.connect))
            .map_err(|error| Error::new(Kind::Local, &Method::GET, &root, &place, format!("{error:#}")))?;
        Ok(Self {
            place,
            timeouts: access.timeouts,
            root,
            near,
            far: OnceLock::new(),
            sent: AtomicU64::new(0),
            trace: access.trace.clone(),
        })
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The address of `path` below `/v2/`. Names and digests hold nothing that would need escaping.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("/v2/{path}"));
        url
    }

    /// Whether `url` is the registry itself: the only one to be sent the registry's credentials.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.root.origin()
    }

    pub(super) fn is_plain(&self) -> bool {
        self.root.scheme() == "http"
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.root)
    }

    pub(super) fn error(&self, kind: Kind, method: &Method, url: &Url, explanation: &str) -> Error {
        Error::new(kind, method, url, &self.place, explanation)
    }

    /// Sends `call` and reads the answer, whatever its status is.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let mut pause = self.timeouts.pause;
        for _ in 1..TRIES {
            let result = self.once(call, authorization).await;
            let Some(wait) = wait_before_retry(call.retry, &result, pause) else {
                return result;
            };
            tokio::time::sleep(wait).await;
            pause *= 4;
        }
        self.once(call, authorization).await
    }

    async fn once(&self, call: &Call, authorization: Option<&HeaderValue>) -> Result<Answer, Error> {
        let client = self.client_for(&call.url)?;
        let mut request = client
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone())
            .timeout(call.time_limit);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !call.body.is_empty() {
            request = request.body(call.body.clone());
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let unanswered = |cause| Error::unanswered(&call.method, &call.url, &self.place, cause);
        let mut response = request.send().await.map_err(unanswered)?;
        let mut answer = Answer {
            method: call.method.clone(),
            url: call.url.clone(),
            place: self.place.clone(),
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
            hashed: None,
        };
        self.trace.tell(|| {
            let place = printable(&without_query(&call.url));
            format!("{} {place}: {} in {:.0?}", call.method, answer.status.as_u16(), asked.elapsed())
        });
        let is_good = answer.status.is_success();
        let limit = if is_good { call.size_limit } else { LONGEST_REFUSAL };
        if is_good && call.method != Method::HEAD && answer.length().is_some_and(|length| length > limit) {
            return Err(answer.too_long(limit));
        }
        if is_good && call.reading == Reading::Hash {
            let mut hasher = Hasher::default();
            let mut length = 0;
            while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
                length += chunk.len() as u64;
                if length > limit {
                    return Err(answer.too_long(limit));
                }
                hasher.update(&chunk);
            }
            answer.hashed = Some((hasher.finish(), length));
            return Ok(answer);
        }
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(answer.body.len());
            if chunk.len() > room {
                if is_good {
                    return Err(answer.too_long(limit));
                }
                answer.body.extend_from_slice(&chunk[..room]);
                break;
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn client_for(&self, url: &Url) -> Result<&Client, Error> {
        if url.host_str() == self.root.host_str() || (is_loopback(url) && is_loopback(&self.root)) {
            return Ok(&self.near);
        }
        if let Some(far) = self.far.get() {
            return Ok(far);
        }
        let far = Trust::of_registry(true, !is_loopback(url), None)
            .and_then(|trust| trust.client(self.timeouts.connect))
            .map_err(|error| Error::new(Kind::Local, &Method::GET, url, &self.place, format!("{error:#}")))?;
        Ok(self.far.get_or_init(|| far))
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Length`, which a HEAD has without a body.
    pub(super) fn length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    fn too_long(&self, limit: u64) -> Error {
        Error::unusable(
            self,
            Kind::Malformed,
            format!("the answer is longer than the {limit} bytes that are read of it"),
        )
    }
}

fn wait_before_retry(retry: Retry, result: &Result<Answer, Error>, pause: Duration) -> Option<Duration> {
    let again = match result {
        Err(error) => match error.kind() {
            Kind::Unreachable => retry != Retry::Never,
            Kind::Transient => retry == Retry::Transient && !error.is_timeout(),
            _ => false,
        },
        Ok(answer) => match answer.status.as_u16() {
            429 | 503 => retry != Retry::Never,
            502 | 504 => retry == Retry::Transient,
            _ => false,
        },
    };
    let asked = result.as_ref().ok().and_then(|answer| {
        let seconds = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    });
    (again && asked.is_none_or(|asked| asked <= LONGEST_PAUSE)).then(|| asked.unwrap_or(pause))
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// A query may hold a signature or a token.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
