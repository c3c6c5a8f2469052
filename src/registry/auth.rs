//! Who we are to the registry: nobody, Basic, or Bearer with a token service. Credentials go to the registry's own
//! host (Basic) or to the realm it names (Bearer), never anywhere else; tokens go to the registry only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::{Answer, Call, Reading, Retry, Transport};
use crate::credentials::{Credentials, Secret};

const CLIENT: &str = "docker-registry-prune";
const LONGEST_TOKEN_ANSWER: u64 = 64 * 1024;
/// The token specification: without `expires_in`, and at the least, a token lives this long.
const SHORTEST_LIFE: u64 = 60;
/// A token is renewed this many seconds before its end, so that none dies on its way.
const RENEWED_BEFORE: u64 = 10;
const DAY: u64 = 24 * 3600;

pub(super) struct Auth {
    credentials: Option<Credentials>,
    demand: RwLock<Demand>,
    slots: Mutex<HashMap<Scopes, Arc<tokio::sync::Mutex<Slot>>>>,
}

/// What the registry asks for, learnt from its first 401.
#[derive(Debug, Clone)]
enum Demand {
    Nothing,
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// The token for one set of scopes. Its lock lets one request fetch while the others wait for the same token.
#[derive(Default)]
struct Slot {
    /// What the registry demanded beyond what was asked for: 2.6 and older want `*` for a deletion.
    wider: Scopes,
    token: Option<Token>,
}

struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, demand: RwLock::new(Demand::Nothing), slots: Mutex::default() }
    }

    /// The header for a request that needs `scopes`, as far as the registry's demands are known.
    pub(super) async fn authorization(
        &self,
        transport: &Transport,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, Error> {
        let demand = self.demand();
        match (demand, &self.credentials) {
            (Demand::Nothing, _) | (Demand::Basic, None | Some(Credentials::IdentityToken(_))) => Ok(None),
            (_, Some(Credentials::RegistryToken(token))) => Ok(bearer(token.expose())),
            (Demand::Basic, Some(Credentials::Basic { username, password })) => Ok(basic(username, password)),
            // An anonymous token without scopes would say nothing, and some services refuse it.
            (Demand::Bearer { .. }, None) if scopes.is_empty() => Ok(None),
            (Demand::Bearer { realm, service }, _) => {
                let slot = self.slot(scopes);
                let mut slot = slot.lock().await;
                if let Some(token) = slot.token.as_ref().filter(|token| Instant::now() < token.renew_at) {
                    return Ok(Some(token.header.clone()));
                }
                let scopes = scopes.merged(&slot.wider);
                let token = self.fetch(transport, &realm, service.as_deref(), &scopes).await?;
                let header = token.header.clone();
                slot.token = Some(token);
                Ok(Some(header))
            }
        }
    }

    /// Reads the challenge of a 401. Says whether asking again can help: `used` was refused, so it is not used again.
    pub(super) async fn learn(&self, answer: &Answer, scopes: &Scopes, used: Option<&HeaderValue>) -> bool {
        let Some((demand, demanded)) = read_challenge(answer) else {
            return false;
        };
        let is_bearer = matches!(demand, Demand::Bearer { .. });
        *self.demand.write().unwrap_or_else(PoisonError::into_inner) = demand;
        if !is_bearer || matches!(self.credentials, Some(Credentials::RegistryToken(_))) {
            return used.is_none();
        }
        let slot = self.slot(scopes);
        let mut slot = slot.lock().await;
        slot.wider = slot.wider.merged(&demanded);
        if slot.token.as_ref().map(|token| &token.header) == used {
            slot.token = None;
        }
        true
    }

    /// The error for a 401 that credentials did not help against.
    pub(super) fn refusal(&self, answer: &Answer, scopes: &Scopes, used: Option<&HeaderValue>) -> Error {
        let error = Error::refused(answer);
        match (self.demand(), &self.credentials, used) {
            (
                Demand::Bearer { .. },
                Some(Credentials::Basic { .. } | Credentials::IdentityToken(_)),
                Some(_),
            ) => error
                .with_kind(Kind::Denied)
                .with_explanation(format!("the token service did not grant `{scopes}`")),
            (Demand::Basic, Some(Credentials::IdentityToken(_)), _) => error.with_explanation(
                "the registry asks for a user name and a password, and only an identity token is stored",
            ),
            (_, None, _) => error.with_explanation("the registry wants to know who is asking"),
            _ => error,
        }
    }

    /// Whether tokens are given out and nobody is logged in: then some things may still be allowed to anyone.
    pub(super) fn is_anonymous_with_tokens(&self) -> bool {
        self.credentials.is_none() && matches!(self.demand(), Demand::Bearer { .. })
    }

    pub(super) fn knows_what_is_asked(&self) -> bool {
        !matches!(self.demand(), Demand::Nothing)
    }

    async fn fetch(
        &self,
        transport: &Transport,
        realm: &Url,
        service: Option<&str>,
        scopes: &Scopes,
    ) -> Result<Token, Error> {
        // Who can change what a plain registry answers could name any realm: only there may the realm be plain too.
        if realm.scheme() != "https" && !(transport.is_plain() || transport.is_loopback()) {
            return Err(transport.error(
                Kind::Malformed,
                &Method::GET,
                realm,
                "the registry names a token service without TLS, which is not told any credentials",
            ));
        }
        let answer = match &self.credentials {
            Some(Credentials::IdentityToken(refresh)) => {
                let answer =
                    transport.exchange(&oauth_call(transport, realm, service, scopes, refresh), None).await?;
                if matches!(answer.status.as_u16(), 404 | 405) {
                    // This service does not speak OAuth2: the older form takes the same secret.
                    let header = basic("", refresh);
                    let call = token_call(transport, realm, service, scopes, None);
                    transport.exchange(&call, header.as_ref()).await?
                } else {
                    answer
                }
            }
            Some(Credentials::Basic { username, password }) => {
                let header = basic(username, password);
                let call = token_call(transport, realm, service, scopes, Some(username));
                transport.exchange(&call, header.as_ref()).await?
            }
            Some(Credentials::RegistryToken(_)) | None => {
                let call = token_call(transport, realm, service, scopes, None);
                transport.exchange(&call, None).await?
            }
        };
        read_token(&answer)
    }

    fn demand(&self) -> Demand {
        self.demand.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn slot(&self, scopes: &Scopes) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(scopes.clone()).or_default().clone()
    }
}

/// The first Bearer challenge, else a Basic one: several may stand in one header or in several.
fn read_challenge(answer: &Answer) -> Option<(Demand, Scopes)> {
    let lines: Vec<&str> =
        answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok()).collect();
    let challenges: Vec<_> =
        lines.iter().filter_map(|line| http_auth::parse_challenges(line).ok()).flatten().collect();
    let bearer = challenges.iter().filter(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"));
    for challenge in bearer {
        let value = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        if let Some(realm) = value("realm").and_then(|realm| answer.url.join(&realm).ok()) {
            let scopes = value("scope").map(|scope| Scopes::parse(&scope)).unwrap_or_default();
            let service = value("service");
            return Some((Demand::Bearer { realm, service }, scopes));
        }
    }
    challenges
        .iter()
        .any(|challenge| challenge.scheme.eq_ignore_ascii_case("basic"))
        .then(|| (Demand::Basic, Scopes::default()))
}

fn token_call(
    transport: &Transport,
    realm: &Url,
    service: Option<&str>,
    scopes: &Scopes,
    account: Option<&str>,
) -> Call {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.each().map(|scope| ("scope", scope)));
        query.extend_pairs(account.map(|account| ("account", account)));
    }
    call(transport, Method::GET, url)
}

/// An identity token is an `OAuth2` refresh token.
fn oauth_call(
    transport: &Transport,
    realm: &Url,
    service: Option<&str>,
    scopes: &Scopes,
    refresh: &Secret,
) -> Call {
    let mut form = Url::clone(realm);
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", refresh.expose())
        .append_pair("client_id", CLIENT)
        .append_pair("scope", &scopes.to_string())
        .extend_pairs(service.map(|service| ("service", service)));
    let mut call = call(transport, Method::POST, realm.clone());
    call.body = form.query().unwrap_or_default().as_bytes().to_vec();
    call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    call
}

fn call(transport: &Transport, method: Method, url: Url) -> Call {
    Call {
        method,
        url,
        headers: HeaderMap::new(),
        body: Vec::new(),
        retry: Retry::Transient,
        time_limit: transport.timeouts.request,
        size_limit: LONGEST_TOKEN_ANSWER,
        reading: Reading::Keep,
        may_lie_elsewhere: false,
    }
}

fn read_token(answer: &Answer) -> Result<Token, Error> {
    if !answer.status.is_success() {
        let error = Error::refused(answer);
        return Err(match answer.status.as_u16() {
            403 if answer.place.has_credentials => {
                error.with_explanation("the token service refused the scopes")
            }
            // OAuth2 says `invalid_grant` with a 400.
            400 | 401 | 403 => {
                error.with_kind(Kind::Unauthorized).with_explanation("the token service refused")
            }
            _ => error.with_explanation("the token service did not answer as one"),
        });
    }
    let malformed =
        |why: &str| Error::unusable(answer, Kind::Malformed, format!("the token service's answer {why}"));
    let read: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| malformed("is not JSON"))?;
    let token = [read.token, read.access_token]
        .into_iter()
        .flatten()
        .find(|token| !token.is_empty())
        .ok_or_else(|| malformed("has no token"))?;
    let header = bearer(&token).ok_or_else(|| malformed("has a token that fits no header"))?;
    let life = read.expires_in.unwrap_or(SHORTEST_LIFE).clamp(SHORTEST_LIFE, DAY);
    Ok(Token { header, renew_at: Instant::now() + Duration::from_secs(life - RENEWED_BEFORE) })
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret_header(&format!("Bearer {token}"))
}

fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
    secret_header(&format!("Basic {pair}"))
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
