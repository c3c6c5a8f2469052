//! The shapes in which people run a registry's container: each is collected, and is afterwards what it was before.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use crate::support::content::Recipe;
use crate::support::engine::{docker_says, left_out};
use crate::support::network::Network;
use crate::support::registry::{Options, Registry};
use crate::support::tool::Tool;

/// What the engine says of a container that a restart may change.
fn description(registry: &Registry) -> String {
    let lasting = "{{.Id}} {{json .HostConfig}} {{json .Config}} {{.RestartCount}} \
                   {{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{$network.Aliases}} {{end}}";
    let mounts = "{{range .Mounts}}{{json .}}\n{{end}}";
    let [lasting, mounts] =
        [lasting, mounts].map(|format| docker_says(["inspect", "--format", format, &registry.name]));
    // The engine lists them in another order each time.
    let mut mounts: Vec<&str> = mounts.lines().collect();
    mounts.sort_unstable();
    format!("{lasting} {}", mounts.join(" "))
}

/// In each mode a rule takes one of two tags, its garbage is collected, and the other can be pulled.
#[track_caller]
fn is_collected(registry: &Registry) {
    let tool = Tool::standalone();
    let before = description(registry);
    let image =
        |tag: &str, created: &str| Recipe::new(&format!("{} {tag}", registry.name)).created(created).build();
    registry.client.push("app", &["new"], &image("new", "2024-01-01T00:00:00Z"));
    for mode in ["offline", "read-only"] {
        registry.client.push("app", &[mode], &image(mode, "2023-01-01T00:00:00Z"));
        let rules = ["--keep", "1", "--min-age", "none", "--max-delete", "100%", "--wait", "1min"];
        let words = ["prune", "--force", "--gc-mode", mode, "--registry", &registry.address];
        let answer = tool.run(&[&words[..], &rules].concat()).success().says("are whole");
        assert!(registry.is_running(), "{answer}");
        registry.assert_in_service();
        assert_eq!(description(registry), before, "{answer}");
        assert_eq!(registry.client.tags("app"), ["new"], "{answer}");
        assert_eq!(registry.blob_count(), 3, "{answer}");
        registry.assert_pulls("app", ["new"]);
    }
    tool.run(&["verify", "--deep", "--registry", &registry.address]).success().says("where they lie");
}

#[test]
fn options_of_the_container_are_as_they_were() {
    if left_out() {
        return;
    }
    let check = ["--health-cmd=wget -q -O /dev/null http://127.0.0.1:5000/v2/", "--health-interval=1s"];
    let shapes: [&[&str]; 4] = [
        &["--restart=always"],
        &["--restart=no", check[0], check[1]],
        &["--restart=on-failure:3", "--memory=512m", "--cap-drop=ALL", "--security-opt=no-new-privileges"],
        &[
            "--restart=unless-stopped",
            "--read-only",
            "--init",
            "--hostname=registry",
            "--log-opt=max-size=1m",
        ],
    ];
    for shape in shapes {
        let options = shape.iter().fold(Options::default(), |options, option| options.with(option));
        is_collected(&options.start());
    }
}

#[test]
fn a_registry_that_is_not_root_is_collected_as_that_user() {
    if left_out() {
        return;
    }
    let store = TempDir::new().unwrap();
    fs::set_permissions(store.path(), Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(store.path(), Some(1000), Some(1000)).unwrap();
    let mount = format!("--volume={}:/var/lib/registry", store.path().display());
    is_collected(&Options::default().with("--user=1000:1000").with(&mount).start());
}

#[test]
fn the_configuration_is_a_file_that_is_mounted_read_only() {
    if left_out() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("config.yml");
    let text = "version: 0.1\nstorage:\n  delete: { enabled: true }\n  filesystem: { rootdirectory: /var/lib/registry }\n\
                http: { addr: ':5000' }\n";
    fs::write(&file, text).unwrap();
    let mount = format!("--volume={}:/etc/docker/registry/config.yml:ro", file.display());
    is_collected(&Options::deletion_disabled().with(&mount).start());
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn the_configuration_is_the_environment_alone() {
    if left_out() {
        return;
    }
    is_collected(&Options::default().by_environment().start());
}

#[test]
fn a_registry_on_several_networks_is_on_all_of_them_again() {
    if left_out() {
        return;
    }
    let networks = [Network::new("front"), Network::new("back")];
    let registry = Options::default().network(&networks[0].name, "registry").start();
    networks[1].connect(&registry.name, "store");
    is_collected(&registry);
    for (network, alias) in networks.iter().zip(["registry", "store"]) {
        assert!(network.neighbour().address_of(alias).is_some(), "{alias}");
    }
}

/// Containers with the labels of a project would be taken for services of it, and be removed as its orphans.
#[test]
fn nothing_that_a_collection_makes_belongs_to_the_project_of_the_registry() {
    if left_out() {
        return;
    }
    let project = "com.docker.compose.project";
    let registry = Options::default()
        .label(project, "shop")
        .label("com.docker.compose.service", "registry")
        .label("com.docker.compose.container-number", "1")
        .label("com.docker.compose.oneoff", "False")
        .start();
    is_collected(&registry);

    registry.client.leave_garbage("app", "project");
    registry.leave_much_garbage();
    let address = &registry.address;
    let tool = Tool::standalone();
    let mut run =
        tool.start(&["gc", "--force", "--gc-mode", "read-only", "--wait", "1min", "--registry", address]);
    run.until("a stand-in serves", || registry.has_one_off("stand-in", &["running"]));
    let filter = format!("name={}", registry.one_off(""));
    let made = docker_says(["ps", "--all", "--filter", &filter, "--format", "{{.Names}}:{{.Labels}}"]);
    run.wait().success();
    assert!(made.lines().count() >= 3, "{made}");
    assert!(!made.contains("com.docker.compose"), "{made}");
    let label = docker_says(["inspect", "--format", "{{json .Config.Labels}}", &registry.name]);
    assert!(label.contains(project), "{label}");
}
