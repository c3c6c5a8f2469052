//! The registry's effective configuration, as far as a collection depends on it: its YAML file with the `REGISTRY_…`
//! variables of the container's environment laid over it, by the registry's own rules.
//!
//! Deliberately absent: everything else of the file, which may hold secrets.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use yaml_rust2::{ScanError, Yaml, YamlLoader};

use super::container::Environment;
use super::redis::Server;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreConfiguration {
    pub(crate) driver: Driver,
    /// `None`: the file does not say, which means no.
    pub(crate) deletes_enabled: Option<bool>,
    pub(crate) is_read_only: bool,
    /// The upstream of a pull-through cache.
    pub(crate) proxies: Option<String>,
    /// The redis in which blobs are remembered, or why it cannot be spoken to. `None`: the memory ends with the process.
    pub(crate) redis: Option<Result<Server, String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Driver {
    /// `root` is the configured `rootdirectory`; the store begins at [`STORE`] below it.
    Filesystem {
        root: String,
    },
    Other(String),
}

/// Where the registry keeps its files below the driver's root.
pub(crate) const STORE: &str = "docker/registry/v2";

const DEFAULT_ROOT: &str = "/var/lib/registry";

impl StoreConfiguration {
    pub(super) fn parse(yaml: &str, environment: &Environment) -> Result<Self> {
        let mut configuration = read_yaml(yaml).context("parse the registry's configuration as YAML")?;
        overlay(&mut configuration, environment);
        let storage = match configuration.get("storage") {
            // `storage: filesystem` stands for `storage: {filesystem: {}}`.
            Some(Value::String(name)) => Value::Object(Map::from_iter([(name.clone(), Value::Null)])),
            Some(storage) => storage.clone(),
            None => Value::Null,
        };
        let at = |path: &[&str]| path.iter().try_fold(&storage, |value, key| value.get(key));
        // `layerinfo` is its older name.
        let cache = at(&["cache", "blobdescriptor"]).or_else(|| at(&["cache", "layerinfo"]));
        let is_redis = text(cache).is_some_and(|kind| kind.eq_ignore_ascii_case("redis"));
        Ok(Self {
            driver: driver(&storage),
            deletes_enabled: at(&["delete", "enabled"]).map(is_on),
            is_read_only: at(&["maintenance", "readonly", "enabled"]).is_some_and(is_on),
            proxies: text(configuration.pointer("/proxy/remoteurl")),
            redis: is_redis.then(|| Server::parse(configuration.get("redis"))),
        })
    }
}

/// The first document; an empty text is null.
fn read_yaml(text: &str) -> Result<Value, ScanError> {
    let documents = YamlLoader::load_from_str(text)?;
    Ok(documents.into_iter().next().map_or(Value::Null, from_yaml))
}

fn from_yaml(yaml: Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::String(text),
        Yaml::Integer(number) => number.into(),
        Yaml::Boolean(is_true) => is_true.into(),
        Yaml::Array(items) => items.into_iter().map(from_yaml).collect(),
        Yaml::Hash(map) => {
            map.into_iter().filter_map(|(key, value)| Some((key.into_string()?, from_yaml(value)))).collect()
        }
        Yaml::Null | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

/// The registry reads YAML 1.1, in which `yes` and `on` are true as well.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Bool(is_true) => *is_true,
        Value::String(text) => matches!(text.to_ascii_lowercase().as_str(), "yes" | "on" | "y" | "true"),
        _ => false,
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// The section's one key that is not about something else names the driver.
fn driver(storage: &Value) -> Driver {
    const NOT_DRIVERS: [&str; 5] = ["maintenance", "cache", "delete", "redirect", "tag"];
    let mut names = storage
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .filter(|name| !NOT_DRIVERS.contains(name));
    match (names.next(), names.next()) {
        (Some("filesystem"), None) => Driver::Filesystem {
            root: text(storage.pointer("/filesystem/rootdirectory"))
                .unwrap_or_else(|| DEFAULT_ROOT.to_owned()),
        },
        (Some(name), None) => Driver::Other(name.to_owned()),
        (Some(first), Some(second)) => Driver::Other(format!("{first}+{second}")),
        (None, _) => Driver::Other("none".to_owned()),
    }
}

/// `REGISTRY_STORAGE_DELETE_ENABLED=true` sets `storage.delete.enabled`; the value is YAML. Shorter names go first, so
/// that `REGISTRY_STORAGE` does not undo `REGISTRY_STORAGE_DELETE_ENABLED`.
fn overlay(configuration: &mut Value, environment: &Environment) {
    let mut overrides: Vec<(&str, &str)> = environment
        .pairs()
        .filter_map(|(name, value)| Some((name.strip_prefix("REGISTRY_")?, value)))
        .filter(|(name, _)| ["STORAGE", "PROXY", "REDIS"].iter().any(|section| name.starts_with(section)))
        // The registry ignores names below this one, or does not start with them: the value must be a map.
        .filter(|(name, _)| !name.starts_with("STORAGE_MAINTENANCE_READONLY_"))
        .collect();
    overrides.sort_unstable();
    for (name, value) in overrides {
        let value = match read_yaml(value) {
            // `0123` is a password rather than a number.
            Ok(Value::Number(number)) if number.to_string() != value.trim() => value.into(),
            Ok(value) => value,
            Err(_) => value.into(),
        };
        set(configuration, &name.split('_').collect::<Vec<_>>(), value);
    }
}

fn set(target: &mut Value, path: &[&str], value: Value) {
    let Some((name, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if let Value::String(name) = target {
        *target = Value::Object(Map::from_iter([(name.clone(), Value::Null)]));
    }
    if let Value::Array(items) = target
        && name.parse::<usize>().is_ok()
    {
        let numbered = items.drain(..).enumerate().map(|(number, item)| (number.to_string(), item));
        *target = Value::Object(numbered.collect());
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Some(map) = target.as_object_mut() {
        let key = map
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))
            .cloned()
            .unwrap_or_else(|| name.to_ascii_lowercase());
        set(map.entry(key).or_insert(Value::Null), rest, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OFFICIAL_2: &str = "version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

    fn parse(yaml: &str, environment: &[&str]) -> StoreConfiguration {
        let pairs = environment.iter().map(|&pair| pair.to_owned()).collect();
        StoreConfiguration::parse(yaml, &Environment::new(pairs)).unwrap()
    }

    fn filesystem(root: &str) -> Driver {
        Driver::Filesystem { root: root.to_owned() }
    }

    fn server(section: &Value) -> Server {
        Server::parse(Some(section)).unwrap()
    }

    #[test]
    fn the_redis_that_remembers_blobs_is_read_from_file_and_environment() {
        let file = OFFICIAL_2.replace("inmemory", "redis")
            + "redis:\n  addr: cache:6379\n  password: geheim\n  db: 3\n  pool:\n    maxidle: 16\n";
        let from_file = json!({ "addr": "cache:6379", "password": "geheim", "db": 3 });
        let third = file.replace("addr: cache:6379", "addrs: [cache:6379]");
        let by_old_name = file.replace("blobdescriptor", "layerinfo");
        for (file, environment, expected) in [
            (&file, [].as_slice(), from_file.clone()),
            (&third, &[], from_file.clone()),
            (&by_old_name, &[], from_file),
            (
                &file,
                &["REGISTRY_REDIS_PASSWORD=0123", "REGISTRY_REDIS_DB=0"],
                json!({ "addr": "cache:6379", "password": "0123" }),
            ),
            (
                &third,
                &["REGISTRY_REDIS_ADDRS=[other:7000]", "REGISTRY_REDIS_USERNAME=u"],
                json!({ "addr": "other:7000", "username": "u", "password": "geheim", "db": 3 }),
            ),
            (
                &third,
                &["REGISTRY_REDIS_ADDRS_0=other:7000", "REGISTRY_REDIS={}"],
                json!({ "addr": "other:7000" }),
            ),
        ] {
            assert_eq!(parse(file, environment).redis, Some(Ok(server(&expected))), "{environment:?}");
        }
        let unused = OFFICIAL_2.to_owned() + "redis:\n  addr: cache:6379\n";
        assert_eq!(parse(&unused, &["REGISTRY_REDIS_DB=1"]).redis, None);
        let several = parse(&third, &["REGISTRY_REDIS_ADDRS_1=other:7000"]).redis;
        assert!(several.unwrap().unwrap_err().contains("several addresses"));
    }

    #[test]
    fn the_official_file_is_read() {
        assert_eq!(
            parse(OFFICIAL_2, &["PATH=/bin"]),
            StoreConfiguration {
                driver: filesystem("/var/lib/registry"),
                deletes_enabled: None,
                is_read_only: false,
                proxies: None,
                redis: None,
            }
        );
        let third = OFFICIAL_2.replace(
            "storage:\n",
            "storage:\n  delete:\n    enabled: true\n  tag:\n    concurrencylimit: 5\n",
        );
        let third = parse(&third, &[]);
        assert_eq!(third.deletes_enabled, Some(true));
        assert_eq!(third.driver, filesystem("/var/lib/registry"));
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let read = parse(
            OFFICIAL_2,
            &[
                "REGISTRY_STORAGE_DELETE_ENABLED=true",
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data",
                "REGISTRY_PROXY_REMOTEURL=https://registry-1.docker.io",
                "REGISTRY_STORAGE_MAINTENANCE_READONLY={\"enabled\":true}",
                "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=redis",
                "REGISTRY_REDIS_ADDR=redis:6379",
            ],
        );
        assert_eq!(
            read,
            StoreConfiguration {
                driver: filesystem("/data"),
                deletes_enabled: Some(true),
                is_read_only: true,
                proxies: Some("https://registry-1.docker.io".to_owned()),
                redis: Some(Ok(server(&json!({ "addr": "redis:6379" })))),
            }
        );
    }

    #[test]
    fn a_driver_of_the_environment_replaces_that_of_the_file() {
        let pairs =
            ["REGISTRY_STORAGE_S3_BUCKET=b", "REGISTRY_STORAGE=s3", "REGISTRY_STORAGE_DELETE_ENABLED=yes"];
        assert_eq!(parse(OFFICIAL_2, &pairs).driver, Driver::Other("s3".to_owned()));
        assert_eq!(
            parse(OFFICIAL_2, &["REGISTRY_STORAGE_S3_BUCKET=b"]).driver,
            Driver::Other("filesystem+s3".to_owned())
        );
        assert_eq!(parse("version: 0.1\nstorage: filesystem\n", &[]).driver, filesystem("/var/lib/registry"));
        assert_eq!(parse("version: 0.1\n", &[]).driver, Driver::Other("none".to_owned()));
    }

    #[test]
    fn the_read_only_variable_that_does_nothing_is_not_believed() {
        let nested = ["REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"];
        let file = OFFICIAL_2
            .replace("storage:\n", "storage:\n  maintenance:\n    readonly:\n      enabled: false\n");
        assert!(!parse(&file, &nested).is_read_only);
    }

    #[test]
    fn odd_files_are_tolerated_and_broken_ones_named() {
        let odd = format!("{OFFICIAL_2}\n1: number as key\nredis: &r\n  addr: x\nother: *r\n");
        assert_eq!(parse(&odd, &[]).driver, filesystem("/var/lib/registry"));
        let broken = StoreConfiguration::parse("storage: [", &Environment::default()).unwrap_err();
        assert_eq!(broken.to_string(), "parse the registry's configuration as YAML");
    }
}
