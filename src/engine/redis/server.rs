//! Where the redis is and how to log in to it, as the registry's configuration says: `addr` up to 2.8, `addrs` from 3.0.

use std::fmt;

use serde_json::Value;

use crate::credentials::Secret;
use crate::model::printable;

/// One redis server, spoken to without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: u32,
}

impl Server {
    /// From the section `redis`; an error is a sentence that says why this server cannot be spoken to.
    pub(in crate::engine) fn parse(section: Option<&Value>) -> Result<Self, String> {
        let at = |key: &str| section.and_then(|section| section.get(key));
        let mut addresses = texts(at("addr"));
        addresses.extend(texts(at("addrs")));
        addresses.sort_unstable();
        addresses.dedup();
        let address = match addresses.as_slice() {
            [] => return Err("the configuration names no address (`redis.addr`, `redis.addrs`)".to_owned()),
            [address] => address,
            several => {
                let several = printable(&several.join(", "));
                return Err(format!("a cluster, or several addresses, cannot be emptied: {several}"));
            }
        };
        if text(at("mastername")).is_some() || at("isclustermode").is_some_and(is_set) {
            return Err(format!("{} is not the server itself (sentinel, cluster)", printable(address)));
        }
        if at("tls").is_some_and(has_tls) {
            return Err(format!("{} is reached by TLS, which this tool does not speak", printable(address)));
        }
        let (host, port) = split(address)
            .ok_or_else(|| format!("`{}` is no address of the form host:port", printable(address)))?;
        let database = match text(at("db")) {
            None => 0,
            Some(number) => {
                number.parse().map_err(|_| format!("`{}` is no number of a database", printable(&number)))?
            }
        };
        Ok(Self {
            host,
            port,
            username: text(at("username")),
            password: text(at("password")).map(Secret::from),
            database,
        })
    }

    /// How a person calls it, but for the password.
    pub(super) fn command_line(&self) -> String {
        let Self { host, port, database, .. } = self;
        let user =
            self.username.as_ref().map_or_else(String::new, |user| format!(" --user '{}'", printable(user)));
        let password = if self.password.is_some() { " --askpass" } else { "" };
        format!("redis-cli -h {host} -p {port} -n {database}{user}{password}")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}, database {}", self.host, self.port, self.database)
    }
}

/// A host becomes a word of a command line.
fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = if host.is_empty() { "localhost" } else { host };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let is_word = !host.starts_with('-') && host.bytes().all(is_host);
    Some((host.to_owned(), port.parse().ok()?)).filter(|_| is_word)
}

/// A scalar as it is written; `None` for nothing and for an empty text.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

/// One address or a list of them; those that the environment gave by number are a map.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(|item| text(Some(item))).collect(),
        Some(Value::Object(items)) => items.values().filter_map(|item| text(Some(item))).collect(),
        one => text(one).into_iter().collect(),
    }
}

fn is_set(value: &Value) -> bool {
    texts(Some(value)).iter().any(|text| text != "false")
}

/// 2.x has a switch; 3.x speaks TLS as soon as it is given a certificate.
fn has_tls(section: &Value) -> bool {
    section.as_object().map_or_else(|| is_set(section), |settings| settings.values().any(is_set))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(host: &str, port: u16) -> Server {
        Server { host: host.to_owned(), port, username: None, password: None, database: 0 }
    }

    #[test]
    fn both_generations_name_one_server() {
        let second =
            json!({ "addr": "redis:6379", "password": "geheim", "db": 2, "pool": { "maxidle": 16 } });
        let expected = Server { password: Some("geheim".into()), database: 2, ..server("redis", 6379) };
        assert_eq!(Server::parse(Some(&second)), Ok(expected));
        let third = json!({ "addrs": ["10.0.0.7:7000"], "username": "registry", "password": 1234 });
        let expected = Server {
            username: Some("registry".to_owned()),
            password: Some("1234".into()),
            ..server("10.0.0.7", 7000)
        };
        assert_eq!(Server::parse(Some(&third)), Ok(expected));
        for (section, expected) in [
            (json!({ "addr": "a:1", "addrs": ["a:1"] }), server("a", 1)),
            (json!({ "addrs": { "0": "a:1" } }), server("a", 1)),
            (json!({ "addr": "[fd00::1]:6379", "tls": { "enabled": false } }), server("fd00::1", 6379)),
            (json!({ "addr": ":6379", "tls": {} }), server("localhost", 6379)),
        ] {
            assert_eq!(Server::parse(Some(&section)), Ok(expected), "{section}");
        }
    }

    #[test]
    fn what_cannot_be_spoken_to_is_said() {
        for (section, words) in [
            (json!(null), "names no address"),
            (json!({ "db": 1 }), "names no address"),
            (json!({ "addrs": ["a:1", "b:1"] }), "several addresses"),
            (json!({ "addr": "a:1", "addrs": ["b:1"] }), "several addresses"),
            (json!({ "addrs": ["a:1"], "mastername": "m" }), "sentinel"),
            (json!({ "addr": "a:1", "tls": { "enabled": true } }), "TLS"),
            (json!({ "addrs": ["a:1"], "tls": { "certificate": "/c.pem", "key": "/k.pem" } }), "TLS"),
            (json!({ "addrs": ["a:1"], "tls": { "clientcas": ["/ca.pem"] } }), "TLS"),
            (json!({ "addr": "a" }), "host:port"),
            (json!({ "addr": "redis://a:1/0" }), "host:port"),
            (json!({ "addr": "-e:1" }), "host:port"),
            (json!({ "addr": "a:1", "db": "x" }), "number of a database"),
        ] {
            let why = Server::parse(Some(&section)).unwrap_err();
            assert!(why.contains(words), "{section}: {why}");
        }
        assert!(Server::parse(None).unwrap_err().contains("names no address"));
    }

    #[test]
    fn the_password_is_never_printed() {
        let section = json!({ "addr": "redis:6379", "password": "geheim", "username": "u" });
        let server = Server::parse(Some(&section)).unwrap();
        assert!(!format!("{server:?} {server} {}", server.command_line()).contains("geheim"));
    }
}
