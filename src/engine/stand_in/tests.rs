//! A stand-in is met where the registry was, and only pulls are served.

use bollard::models::{ContainerInspectResponse, Mount};

use super::*;
use crate::engine::container::sample;

fn bindings(entries: &[(&str, &[(&str, &str)])]) -> PortMap {
    let binding = |(ip, port): &(&str, &str)| PortBinding {
        host_ip: (!ip.is_empty()).then(|| (*ip).to_owned()),
        host_port: Some((*port).to_owned()),
    };
    let entry = |(port, published): &(&str, &[(&str, &str)])| {
        ((*port).to_owned(), Some(published.iter().map(binding).collect()))
    };
    entries.iter().map(entry).collect()
}

fn setting(found: &mut ContainerInspectResponse) -> (&mut HostConfig, &mut NetworkSettings) {
    (
        found.host_config.get_or_insert_with(HostConfig::default),
        found.network_settings.get_or_insert_with(NetworkSettings::default),
    )
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
    let environment = body(&registry, None).env.unwrap();
    assert_eq!(
        environment,
        ["REGISTRY_HTTP_SECRET=x", "REGISTRY_STORAGE_MAINTENANCE_READONLY={\"enabled\":true}"]
    );
}

#[test]
fn it_runs_as_the_registry_does_and_is_nobodys_to_start_again() {
    let registry = sample(|found| {
        let (host, _) = setting(found);
        host.cap_drop = Some(vec!["ALL".to_owned()]);
        host.binds = Some(vec!["/srv:/var/lib/registry".to_owned()]);
        host.links = Some(vec!["/redis:/registry/cache".to_owned()]);
        host.auto_remove = Some(true);
        host.restart_policy =
            Some(RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), ..Default::default() });
        let mount = |typ| Mount { typ: Some(typ), ..Mount::default() };
        host.mounts = Some(vec![mount(MountType::TMPFS), mount(MountType::VOLUME)]);
        let config = found.config.as_mut().unwrap();
        config.labels = Some(HashMap::from([("com.docker.compose.service".to_owned(), "reg".to_owned())]));
        config.cmd = Some(vec!["/etc/own.yml".to_owned()]);
    });
    let body = body(&registry, None);
    let host = body.host_config.unwrap();
    assert_eq!(host.volumes_from, Some(vec![registry.id.clone()]));
    assert_eq!((host.binds, host.auto_remove), (None, Some(false)));
    assert_eq!(host.mounts.unwrap().len(), 1, "volumes come with those of the registry");
    assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
    assert_eq!(host.links.unwrap(), ["redis:cache"]);
    assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
    assert_eq!(body.cmd.unwrap(), ["/etc/own.yml"]);
    assert!(body.labels.unwrap().keys().all(|label| label.starts_with("io.github.docker-registry-prune.")));
}

#[test]
fn it_is_published_where_the_registry_is_now() {
    let published = |wanted: PortMap, now: PortMap| {
        let registry = sample(|found| {
            let (host, network) = setting(found);
            (host.port_bindings, network.ports) = (Some(wanted), Some(now));
        });
        body(&registry, None).host_config.unwrap().port_bindings.unwrap()
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
    assert_eq!(published(PortMap::new(), own.clone()), own, "all exposed ports are published");
    let unpublished = bindings(&[("5000/tcp", &[])]);
    assert_eq!(published(PortMap::new(), unpublished), PortMap::new());
}

#[test]
fn it_is_found_by_the_registrys_names_on_every_network() {
    let endpoint = |alias: &str, address: Option<&str>| EndpointSettings {
        aliases: Some(vec![alias.to_owned()]),
        ip_address: Some("172.20.0.7".to_owned()),
        network_id: Some(format!("id of {alias}")),
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: address.map(ToOwned::to_owned),
            ..Default::default()
        }),
        ..Default::default()
    };
    let registry = sample(|found| {
        let (host, network) = setting(found);
        host.network_mode = Some("front".to_owned());
        network.networks = Some(HashMap::from([
            ("back".to_owned(), endpoint("hub", Some("172.20.0.9"))),
            ("bridge".to_owned(), endpoint("x", None)),
            ("front".to_owned(), endpoint("reg", None)),
        ]));
    });
    let (first, others) = endpoints(&registry);
    let (name, front) = first.unwrap();
    assert_eq!(
        (name.as_str(), front.aliases.unwrap()),
        ("front", vec!["reg".to_owned(), "registry".to_owned()])
    );
    assert_eq!((front.ipam_config, front.ip_address, front.network_id), (None, None, None));
    let names: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["back", "bridge"]);
    let fixed = others[0].1.ipam_config.as_ref().and_then(|ipam| ipam.ipv4_address.as_deref());
    assert_eq!(fixed, Some("172.20.0.9"));
    assert_eq!(others[1].1.aliases, None, "the default network knows no names");
}

#[test]
fn the_hosts_network_is_no_endpoint() {
    for mode in ["host", "none", "container:abc"] {
        let registry = sample(|found| {
            let (host, network) = setting(found);
            host.network_mode = Some(mode.to_owned());
            let networks = if mode == "host" {
                vec![("host".to_owned(), EndpointSettings::default())]
            } else {
                Vec::new()
            };
            network.networks = Some(networks.into_iter().collect());
        });
        let (first, others) = endpoints(&registry);
        assert!(first.is_none() && others.is_empty(), "{mode}");
        assert_eq!(body(&registry, None).host_config.unwrap().network_mode.as_deref(), Some(mode));
    }
}
