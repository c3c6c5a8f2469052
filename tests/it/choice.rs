//! Which registry is meant: the first place that says anything wins, and two answers from one place are listed, not
//! guessed.

use serde_json::{Value, json};

use crate::fake_registry::FakeRegistry;
use crate::run::{CREATED, Tool};

/// A registry with the one repository `name`.
fn registry(name: &str) -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    fake.image(name, "v1", CREATED, &["layer"]);
    fake
}

fn login(hosts: &[&str]) -> Value {
    let entry = |host: &&str| (host.to_string(), json!({ "auth": "YW5uOnBhc3M=" }));
    json!({ "auths": hosts.iter().map(entry).collect::<serde_json::Map<_, _>>() })
}

#[test]
fn the_argument_comes_before_the_configuration() {
    let (meant, configured) = (registry("meant"), registry("configured"));
    let config = json!({ "plugins": { "registry": { "address": configured.host() } } });
    let tool = Tool::new().config(&config);
    tool.run(&["ls", &format!("{}/meant", meant.host())]).exits(0).says("meant").never_says("configured");
    tool.on(&meant, &["ls"]).exits(0).says("meant").never_says("configured");
    tool.run(&["ls"]).exits(0).says("configured");
    assert!(meant.requests().iter().all(|line| !line.contains("configured")));
}

#[test]
fn rm_takes_the_registry_of_its_reference() {
    let (meant, configured) = (registry("app"), registry("app"));
    let config = json!({ "plugins": { "registry": { "address": configured.host() } } });
    let tool = Tool::new().config(&config);
    let reference = format!("{}/app:v1", meant.host());
    let _ = tool.run(&["rm", "--force", &reference]).exits(0).says("Deleted 1 tag");
    assert_eq!(meant.tags("app"), [""; 0]);
    assert_eq!(configured.requests(), [""; 0]);
}

#[test]
fn the_flag_and_the_argument_may_say_the_same() {
    let fake = registry("app");
    let pattern = format!("{}/app", fake.host());
    let _ = Tool::new().on(&fake, &["ls", &pattern]).exits(0).says("app");
    let plain = format!("http://{}", fake.host());
    let _ = Tool::new().run(&["ls", &pattern, "--registry", &plain]).exits(0).says("app");
}

#[test]
fn two_registries_in_one_command_are_refused() {
    let (one, two) = (registry("app"), registry("app"));
    let (in_one, in_two) = (format!("{}/app:v1", one.host()), format!("{}/app:v1", two.host()));
    for arguments in [
        &["rm", "--force", &in_one, &in_two][..],
        &["ls", &in_one, &in_two],
        &["rm", "--force", &in_one, "--registry", &two.host()],
        &["prune", "--no-gc", "--force", "--keep", "1", &in_one, "--exclude", &in_two],
    ] {
        let answer = Tool::new().run(arguments).exits(2).says("several registries are named");
        let _ = answer.says(&one.host()).says(&two.host());
    }
    assert_eq!(one.requests(), [""; 0]);
    assert_eq!(two.requests(), [""; 0]);
}

#[test]
fn the_only_private_login_is_taken_and_said() {
    let fake = registry("app");
    let config = login(&[&fake.host(), "https://index.docker.io/v1/"]);
    let sentence = format!("Using the registry at {}, the only private login", fake.host());
    let _ = Tool::new().config(&config).run(&["ls"]).exits(0).says(&sentence).says("app");
}

#[test]
fn several_logins_are_listed_and_none_is_taken() {
    let (one, two) = (registry("app"), registry("app"));
    let config = login(&[&one.host(), &two.host()]);
    for arguments in [&["ls"][..], &["prune", "--no-gc", "--force", "--keep", "1"], &["rm", "-f", "app:v1"]] {
        let answer = Tool::new().config(&config).run(arguments).exits(2).says("which registry?");
        let _ = answer.says(&one.host()).says(&two.host()).says("--registry");
    }
    assert_eq!(one.requests(), [""; 0]);
}

#[test]
fn no_registry_at_all_is_told_with_every_way_to_name_one() {
    let answer = Tool::new().run(&["ls"]).exits(2).says("no registry is named");
    let _ = answer.says("--registry").says("127.0.0.1:5000/team/app").says("plugins");
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_and_shows_no_secret() {
    let fake = registry("app");
    for (config, said) in [
        (json!({ "plugins": { "registry": { "address": 5000 } } }), "plugins.registry.address"),
        (json!({ "plugins": { "registry": { "address": "no address" } } }), "plugins.registry.address"),
        (json!({ "auths": { fake.host(): { "auth": "planted-secret" } } }), "docker login"),
        (json!({ "auths": { fake.host(): { "auth": ["planted-secret"] } } }), "config.json"),
    ] {
        let tool = Tool::new().config(&config);
        for arguments in [&["ls"][..], &["-D", "ls"]] {
            let _ = tool.run(arguments).exits(1).says(said).never_says("planted-secret");
        }
    }
}
