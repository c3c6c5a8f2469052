use serde_json::{Value, json};

use super::*;

const OLD: &str = "127.0.0.1:5000/app@sha256:aaaa";
const NEW: &str = "127.0.0.1:5000/app@sha256:bbbb";

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// As engine 20.10 lists them.
fn image(id: &str, tags: &Value, digests: &Value) -> Value {
    json!({
        "Containers": -1, "Created": 1_795_000_000, "Id": id, "Labels": null, "ParentId": "", "SharedSize": -1,
        "Size": 3, "VirtualSize": 3, "RepoTags": tags, "RepoDigests": digests,
    })
}

fn container(name: &str, image: &str, id: &str) -> Value {
    json!({
        "Id": "c0ffee", "Names": [name], "Image": image, "ImageID": id, "Command": "/x", "State": "created",
        "Ports": [], "Labels": {}, "Mounts": [],
    })
}

fn used(containers: Value, images: Value) -> Vec<(String, Vec<String>)> {
    of_containers(&read::<Vec<_>>(containers), &read::<Vec<_>>(images))
        .into_iter()
        .map(|used| (used.user.clone(), used.references().map(ToOwned::to_owned).collect()))
        .collect()
}

fn expected(user: &str, references: &[&str]) -> (String, Vec<String>) {
    (user.to_owned(), references.iter().map(|&reference| reference.to_owned()).collect())
}

#[test]
fn a_container_uses_its_image_under_all_of_its_names() {
    let used = used(
        json!([
            container("/web", "127.0.0.1:5000/app:v1", "sha256:02"),
            container("/stopped", "sha256:01", "sha256:01"),
            container("/local", "app:x", "sha256:02"),
        ]),
        json!([
            image("sha256:02", &json!(["127.0.0.1:5000/app:v1", "app:x"]), &json!([NEW])),
            image("sha256:01", &json!(["<none>:<none>"]), &json!([OLD])),
            image("sha256:03", &json!(["unused:1"]), &json!(null)),
        ]),
    );
    let names = ["sha256:02", "127.0.0.1:5000/app:v1", "app:x", NEW];
    assert_eq!(
        used,
        [
            expected("container `local`", &[&["app:x"][..], &names].concat()),
            expected("container `stopped`", &["sha256:01", "sha256:01", OLD]),
            expected("container `web`", &[&["127.0.0.1:5000/app:v1"][..], &names].concat()),
        ]
    );
}

#[test]
fn an_image_that_was_removed_by_force_is_known_by_its_id() {
    let used = used(json!([container("/web", "sha256:01", "sha256:01")]), json!([]));
    assert_eq!(used, [expected("container `web`", &["sha256:01", "sha256:01"])]);
}

#[test]
fn images_that_were_neither_tagged_nor_pushed_have_no_other_names() {
    let images = json!([
        image("sha256:01", &json!(["<none>:<none>"]), &json!(["<none>@<none>"])),
        image("sha256:02", &json!(null), &json!(null)),
    ]);
    let containers =
        json!([container("/a", "sha256:01", "sha256:01"), container("/b", "sha256:02", "sha256:02")]);
    assert_eq!(
        used(containers, images),
        [
            expected("container `a`", &["sha256:01", "sha256:01"]),
            expected("container `b`", &["sha256:02", "sha256:02"])
        ]
    );
}

#[test]
fn of_an_index_the_manifest_that_runs_is_in_use_too() {
    let mut container = container("/web", "app:x", "sha256:01");
    container["ImageManifestDescriptor"] = json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:dd", "size": 480 });
    let used = used(json!([container]), json!([]));
    assert_eq!(used, [expected("container `web`", &["app:x", "sha256:01", "sha256:dd"])]);
}

#[test]
fn a_service_uses_its_image_and_that_of_its_rollback() {
    let spec = |name: &str, image: &str| {
        json!({
            "Name": name, "Labels": {}, "Mode": { "Replicated": { "Replicas": 0 } },
            "TaskTemplate": {
                "ContainerSpec": { "Image": image, "Args": ["/x"], "DNSConfig": {}, "Isolation": "default" },
                "Placement": {}, "ForceUpdate": 0, "Runtime": "container",
            },
        })
    };
    let plugin =
        json!({ "Name": "plug", "TaskTemplate": { "PluginSpec": { "Remote": "x" }, "Runtime": "plugin" } });
    let services = json!([
        { "ID": "01", "Spec": spec("web", "127.0.0.1:5000/web:v1"), "Endpoint": { "Spec": {} } },
        { "ID": "02", "Spec": spec("api", NEW), "PreviousSpec": spec("api", OLD), "UpdateStatus": { "State": "paused" } },
        { "ID": "03", "Spec": plugin },
        { "ID": "04", "Spec": { "TaskTemplate": { "ContainerSpec": { "Image": "app:x" } } }, "PreviousSpec": null },
    ]);
    let used: Vec<_> = of_services(read(services))
        .into_iter()
        .map(|used| (used.user.clone(), used.references().map(ToOwned::to_owned).collect()))
        .collect();
    assert_eq!(
        used,
        [
            expected("service `04`", &["app:x"]),
            expected("service `api`", &[NEW]),
            expected("service `web`", &["127.0.0.1:5000/web:v1"]),
            expected("the rollback of service `api`", &[OLD]),
        ]
    );
}

#[test]
fn services_are_asked_for_where_a_manager_can_answer() {
    let of = |swarm: Value| services_of(Some(&read(swarm)));
    assert_eq!(services_of(None), Services::None);
    assert_eq!(of(json!({})), Services::None);
    assert_eq!(of(json!({ "LocalNodeState": "", "ControlAvailable": false })), Services::None);
    assert_eq!(of(json!({ "LocalNodeState": "inactive", "ControlAvailable": false })), Services::None);
    assert_eq!(of(json!({ "LocalNodeState": "active", "ControlAvailable": true })), Services::Listed);
    assert_eq!(of(json!({ "LocalNodeState": "active", "ControlAvailable": false })), Services::NotAManager);
    for state in ["locked", "pending", "error"] {
        let swarm = json!({ "LocalNodeState": state, "ControlAvailable": false });
        assert_eq!(of(swarm), Services::NotReady { state: state.to_owned() });
    }
}
