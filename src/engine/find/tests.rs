use std::collections::HashMap;

use super::*;

fn container(name: &str, image: &str, ports: &[(&str, u16, u16)]) -> ContainerSummary {
    ContainerSummary {
        id: Some(format!("id-{name}")),
        names: Some(vec![format!("/{name}")]),
        image: Some(image.to_owned()),
        command: Some("/start".to_owned()),
        state: Some(SummaryState::Running),
        ports: Some(
            ports
                .iter()
                .map(|&(ip, public_port, private_port)| PortSummary {
                    ip: Some(ip.to_owned()),
                    private_port,
                    public_port: Some(public_port),
                    protocol: Some("tcp".to_owned()),
                })
                .collect(),
        ),
        ..Default::default()
    }
}

fn address(text: &str) -> RegistryAddress {
    text.parse().unwrap()
}

fn shown(containers: &[ContainerSummary], at: &str, place: Place) -> String {
    match pick(containers, Some(&address(at)), place) {
        Pick::One { id, because, certainty } => {
            format!("{id}, {}: {because}", if certainty == Certainty::Sure { "certain" } else { "perhaps" })
        }
        Pick::Several { names } => format!("several: {}", names.join(" ")),
        Pick::None { why } => why,
    }
}

#[test]
fn registries_are_known_by_image_or_command() {
    for image in [
        "registry",
        "registry:2",
        "library/registry:3",
        "localhost:5000/mirror/docker-registry:x",
        "distribution/distribution@sha256:aa",
    ] {
        assert!(looks_like_registry(&container("x", image, &[])), "{image}");
    }
    for image in ["nginx", "registry/nginx", "registry-ui:2", "goharbor/registry-photon:v2"] {
        assert!(!looks_like_registry(&container("x", image, &[])), "{image}");
    }
    for command in [
        "/entrypoint.sh /etc/docker/registry/config.yml",
        "/bin/registry serve /x.yml",
        "/entrypoint.sh /etc/distribution/config.yml",
    ] {
        let own = ContainerSummary { command: Some(command.to_owned()), ..container("x", "own", &[]) };
        assert!(looks_like_registry(&own), "{command}");
    }
    let labels = HashMap::from([(crate::engine::journal::ROLE.to_owned(), "collector".to_owned())]);
    let collector = ContainerSummary { labels: Some(labels), ..container("x", "registry:2", &[]) };
    assert!(!looks_like_registry(&collector));
}

#[test]
fn the_published_port_decides() {
    let containers = [
        container("one", "registry:2", &[("127.0.0.1", 5000, 5000)]),
        container("two", "registry:2", &[("0.0.0.0", 5001, 5000)]),
        container("web", "nginx", &[("0.0.0.0", 8080, 80)]),
    ];
    let here = Place::ThisEngine;
    assert_eq!(shown(&containers, "127.0.0.1:5000", here), "id-one, certain: it publishes port 5000");
    assert_eq!(shown(&containers, "localhost:5001", here), "id-two, certain: it publishes port 5001");
    assert_eq!(
        shown(&containers, "localhost:5002", here),
        "no running container of this engine publishes port 5002"
    );
    assert_eq!(shown(&containers, "10.0.0.1:5001", here), "id-two, certain: it publishes port 5001");
    assert_eq!(
        shown(&containers, "10.0.0.1:5000", here),
        "no running container of this engine publishes port 5000"
    );
    assert_eq!(shown(&containers, "localhost:8080", here), "several: one two");
}

#[test]
fn another_machines_address_is_only_perhaps_this_engines() {
    let containers = [
        container("one", "registry:2", &[("0.0.0.0", 5000, 5000)]),
        container("web", "nginx", &[("0.0.0.0", 443, 443)]),
    ];
    let there = Place::Elsewhere;
    assert_eq!(shown(&containers, "registry.example:5000", there), "id-one, perhaps: it publishes port 5000");
    assert_eq!(
        shown(&containers, "registry.example", there),
        "no container of this engine runs a registry and publishes port 443, as registry.example has it"
    );
}

#[test]
fn a_registry_behind_a_proxy_or_on_the_hosts_network_is_perhaps_it() {
    let here = Place::ThisEngine;
    let behind = [container("one", "registry:2", &[]), container("web", "nginx", &[("0.0.0.0", 443, 443)])];
    assert_eq!(
        shown(&behind, "localhost:443", here),
        "id-one, perhaps: it is the only container that runs a registry, and `web` publishes port 443 without being one"
    );
    let host = container("one", "registry:2", &[]);
    assert_eq!(
        shown(&[host], "localhost:5000", here),
        "id-one, perhaps: it is the only container that runs a registry, and none publishes port 5000"
    );
    let own_image = [container("own", "corp/images", &[("0.0.0.0", 5000, 5000)])];
    assert_eq!(shown(&own_image, "localhost:5000", here), "id-own, perhaps: it publishes port 5000");
}

#[test]
fn without_an_address_there_must_be_one_registry() {
    let one = container("one", "registry:2", &[]);
    let two = container("two", "registry:3", &[]);
    let stopped = ContainerSummary { state: Some(SummaryState::Exited), ..two.clone() };
    let anywhere = |containers: &[ContainerSummary]| pick(containers, None, Place::Anywhere);
    assert!(matches!(
        anywhere(&[one.clone(), stopped.clone()]),
        Pick::One { certainty: Certainty::Sure, .. }
    ));
    assert_eq!(anywhere(&[one, two]), Pick::Several { names: vec!["one".to_owned(), "two".to_owned()] });
    assert_eq!(
        anywhere(&[stopped]),
        Pick::None { why: "the registry's container `two` is not running".to_owned() }
    );
    assert_eq!(anywhere(&[]), Pick::None { why: "no container of this engine runs a registry".to_owned() });
}

#[test]
fn addresses_are_those_that_reach_from_here() {
    let read = |ports: &[(&str, u16, u16)], host: Option<&str>| {
        published_address(&container("x", "registry:3", ports), host).map(|address| address.to_string())
    };
    let metrics = ("0.0.0.0", 5001, 5001);
    assert_eq!(read(&[metrics, ("0.0.0.0", 5555, 5000)], None).as_deref(), Some("127.0.0.1:5555"));
    assert_eq!(read(&[("127.0.0.1", 5000, 5000)], None).as_deref(), Some("127.0.0.1:5000"));
    assert_eq!(read(&[("192.168.1.5", 5000, 5000)], None).as_deref(), Some("192.168.1.5:5000"));
    assert_eq!(
        read(&[("0.0.0.0", 5000, 5000)], Some("build.example")).as_deref(),
        Some("build.example:5000")
    );
    assert_eq!(read(&[("127.0.0.1", 5000, 5000)], Some("build.example")), None);
    assert_eq!(read(&[], None), None);
}
