//! Who may enter: Basic, and Bearer with a token service that keeps its own books.

use std::collections::HashMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::quirks::{Access, TokenService};
use super::{Asked, Reply};

#[derive(Default)]
pub(super) struct Door {
    tokens: HashMap<String, Grant>,
}

struct Grant {
    scopes: Vec<String>,
    uses: usize,
}

impl Door {
    pub(super) fn refuses(&mut self, access: &Access, asked: &Asked, address: SocketAddr) -> Option<Reply> {
        match access {
            Access::Open => None,
            Access::Basic { username, password } => {
                let is_known = asked.header("authorization") == Some(&basic(username, password));
                (!is_known).then(|| unauthorized("Basic realm=\"fake\"".to_owned()))
            }
            Access::Bearer(service) => {
                let needed = needed_scope(asked, service);
                let problem = self.problem(asked, needed.as_deref())?;
                let scope = needed.map_or_else(String::new, |scope| format!(",scope=\"{scope}\""));
                Some(unauthorized(format!(
                    "Bearer realm=\"http://{address}/token\",service=\"fake\"{scope}{problem}"
                )))
            }
        }
    }

    fn problem(&mut self, asked: &Asked, needed: Option<&str>) -> Option<&'static str> {
        let Some(token) = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer ")) else {
            return Some("");
        };
        let grant = self.tokens.get_mut(token).filter(|grant| grant.uses > 0);
        let Some(grant) = grant else {
            return Some(",error=\"invalid_token\"");
        };
        grant.uses -= 1;
        let is_granted = needed.is_none_or(|needed| grant.scopes.iter().any(|scope| scope == needed));
        (!is_granted).then_some(",error=\"insufficient_scope\"")
    }

    pub(super) fn token(&mut self, access: &Access, asked: &Asked) -> Reply {
        let Access::Bearer(service) = access else {
            return Reply::new(404);
        };
        let scopes: Vec<String> = if asked.method == "POST" {
            let form = format!("http://form/?{}", String::from_utf8_lossy(&asked.body));
            let form = form.parse().ok().and_then(|uri| {
                let form = axum::extract::Query::<HashMap<String, String>>::try_from_uri(&uri).ok()?;
                Some(form.0)
            });
            let form = form.unwrap_or_default();
            match &service.identity_token {
                None => return Reply::new(404),
                Some(token) if form.get("refresh_token") != Some(token) => return Reply::new(401),
                Some(_) => {}
            }
            let scope = form.get("scope").map(String::as_str).unwrap_or_default();
            scope.split_whitespace().map(ToOwned::to_owned).collect()
        } else {
            let account = service.account.as_ref().map(|(user, password)| basic(user, password));
            if account.is_some_and(|account| asked.header("authorization") != Some(&account)) {
                return Reply::new(401);
            }
            let scopes = asked.query.iter().filter(|(name, _)| name == "scope");
            scopes.map(|(_, scope)| scope.clone()).collect()
        };
        let token = format!("token-{}", self.tokens.len() + 1);
        let grant = Grant {
            scopes: single(&scopes).filter(|scope| !service.never_grants.contains(scope)).collect(),
            uses: service.uses.unwrap_or(usize::MAX),
        };
        self.tokens.insert(token.clone(), grant);
        Reply::json(200, &json!({ "token": token, "expires_in": 300 }))
    }
}

/// `repository:app:pull,delete` as one scope for each action.
fn single(scopes: &[String]) -> impl Iterator<Item = String> {
    scopes
        .iter()
        .filter_map(|scope| scope.rsplit_once(':'))
        .flat_map(|(resource, actions)| actions.split(',').map(move |action| format!("{resource}:{action}")))
}

fn needed_scope(asked: &Asked, service: &TokenService) -> Option<String> {
    let path = asked.path.strip_prefix("/v2/")?;
    if path.is_empty() {
        return None;
    }
    if path == "_catalog" {
        return Some("registry:catalog:*".to_owned());
    }
    let name = ["/tags/", "/manifests/", "/blobs/", "/referrers/"]
        .iter()
        .find_map(|part| path.rsplit_once(part))
        .map(|(name, _)| name)?;
    let action = match asked.method.as_str() {
        "DELETE" if service.deletion_needs_star => "*",
        "DELETE" => "delete",
        "PUT" => "push",
        _ => "pull",
    };
    Some(format!("repository:{name}:{action}"))
}

fn unauthorized(challenge: String) -> Reply {
    Reply::error(401, "UNAUTHORIZED", "authentication required").header("www-authenticate", challenge)
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}
