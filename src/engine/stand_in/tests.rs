//! A stand-in is met where the registry was, and only pulls are served.

use std::collections::BTreeMap;

use super::*;
use crate::engine::container::sample;

fn bindings(entries: &[(&str, &[(&str, &str)])]) -> Value {
    let binding = |(ip, port): &(&str, &str)| json!({ "HostIp": ip, "HostPort": port });
    let entry = |(port, published): &(&str, &[(&str, &str)])| {
        ((*port).to_owned(), published.iter().map(binding).collect::<Value>())
    };
    entries.iter().map(entry).collect()
}

#[test]
fn it_is_told_to_refuse_pushes_whatever_the_registry_was_told() {
    let registry = sample(|found| {
        found.config.as_mut().unwrap().env = Some(vec![
            "REGISTRY_STORAGE_MAINTENANCE_READONLY={\"enabled\":false}".to_owned(),
            "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=false".to_owned(),
            "REGISTRY_HTTP_SECRET=x".to_owned(),
        ]);
    });
    assert_eq!(
        body(&registry, None)["Env"],
        json!(["REGISTRY_HTTP_SECRET=x", "REGISTRY_STORAGE_MAINTENANCE_READONLY={\"enabled\":true}"])
    );
}

#[test]
fn it_runs_as_the_registry_does_and_is_nobodys_to_start_again() {
    let registry = sample(|found| {
        found.host_config = json!({
            "CapDrop": ["ALL"],
            "Binds": ["/srv:/var/lib/registry"],
            "Links": ["/redis:/registry/cache"],
            "AutoRemove": true,
            "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 },
            "Mounts": [{ "Type": "tmpfs" }, { "Type": "volume" }],
        });
        let config = found.config.as_mut().unwrap();
        config.labels = Some(BTreeMap::from([("com.docker.compose.service".to_owned(), "reg".to_owned())]));
        config.cmd = json!(["/etc/own.yml"]);
    });
    let body = body(&registry, None);
    let host = &body["HostConfig"];
    assert_eq!(host["VolumesFrom"], json!([registry.id]));
    assert_eq!((&host["Binds"], &host["AutoRemove"]), (&Value::Null, &json!(false)));
    assert_eq!(host["Mounts"], json!([{ "Type": "tmpfs" }]), "volumes come with those of the registry");
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["Links"], json!(["redis:cache"]));
    assert_eq!(host["RestartPolicy"], json!({ "Name": "no" }));
    assert_eq!(body["Cmd"], json!(["/etc/own.yml"]));
    let labels = body["Labels"].as_object().unwrap();
    assert!(labels.keys().all(|label| label.starts_with("io.github.docker-registry-prune.")));
}

#[test]
fn it_is_published_where_the_registry_is_now() {
    let published = |wanted: Value, now: Value| {
        let registry = sample(|found| {
            found.host_config = json!({ "PortBindings": wanted });
            found.network_settings = json!({ "Ports": now });
        });
        body(&registry, None)["HostConfig"]["PortBindings"].clone()
    };
    let both: &[(&str, &str)] = &[("0.0.0.0", "5000"), ("::", "5000")];
    let fixed = bindings(&[("5000/tcp", &[("", "5000")])]);
    assert_eq!(published(fixed.clone(), bindings(&[("5000/tcp", both)])), fixed);
    let once = bindings(&[("5000/tcp", &[("", "5000")])]);
    for wanted in [&[("", "")][..], &[("", "0")], &[("", "5000-5010")]] {
        assert_eq!(published(bindings(&[("5000/tcp", wanted)]), bindings(&[("5000/tcp", both)])), once);
    }
    let own = bindings(&[("5000/tcp", &[("127.0.0.1", "32768")])]);
    assert_eq!(published(bindings(&[("5000/tcp", &[("127.0.0.1", "")])]), own.clone()), own);
    assert_eq!(published(json!({}), own.clone()), own, "all exposed ports are published");
    for unpublished in [json!({ "5000/tcp": [] }), json!({ "5000/tcp": null })] {
        assert_eq!(published(json!({}), unpublished), json!({}));
    }
}

#[test]
fn it_is_found_by_the_registrys_names_on_every_network() {
    let endpoint = |alias: &str, address: Option<&str>| {
        json!({
            "Aliases": [alias],
            "IPAddress": "172.20.0.7",
            "NetworkID": format!("id of {alias}"),
            "IPAMConfig": address.map(|address| json!({ "IPv4Address": address })),
        })
    };
    let registry = sample(|found| {
        found.host_config = json!({ "NetworkMode": "front" });
        found.network_settings = json!({ "Networks": {
            "back": endpoint("hub", Some("172.20.0.9")),
            "bridge": endpoint("x", None),
            "front": endpoint("reg", None),
        } });
    });
    let (first, others) = endpoints(&registry);
    let (name, front) = first.unwrap();
    assert_eq!((name.as_str(), &front["Aliases"]), ("front", &json!(["reg", "registry"])));
    assert_eq!(
        (&front["IPAMConfig"], front.get("IPAddress"), front.get("NetworkID")),
        (&Value::Null, None, None)
    );
    let names: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["back", "bridge"]);
    assert_eq!(others[0].1["IPAMConfig"]["IPv4Address"], "172.20.0.9");
    assert_eq!(others[1].1["Aliases"], Value::Null, "the default network knows no names");
}

#[test]
fn the_hosts_network_is_no_endpoint() {
    for mode in ["host", "none", "container:abc"] {
        let registry = sample(|found| {
            found.host_config = json!({ "NetworkMode": mode });
            let networks = if mode == "host" { json!({ "host": {} }) } else { json!({}) };
            found.network_settings = json!({ "Networks": networks });
        });
        let (first, others) = endpoints(&registry);
        assert!(first.is_none() && others.is_empty(), "{mode}");
        assert_eq!(body(&registry, None)["HostConfig"]["NetworkMode"], mode);
    }
}
