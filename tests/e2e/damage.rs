//! `verify` on a store that is damaged in each way that its files show: what is harmed is named with the mend, and
//! nothing is touched.

use crate::support::answer::Answer;
use crate::support::content::{Content, Image, OCI_INDEX, Recipe, index};
use crate::support::engine::left_out;
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

/// Two images with tags, `one` and `two`, and an index `many` over two more; and what is like them in another repository.
struct World {
    registry: Registry,
    one: Image,
    parts: [Image; 2],
}

fn hex(content: &Content) -> &str {
    &content.digest[7..]
}

fn file(content: &Content) -> String {
    let hex = hex(content);
    format!("{STORE}/blobs/sha256/{}/{hex}/data", &hex[..2])
}

impl World {
    fn new(name: &str) -> Self {
        let registry = Registry::start();
        let image = |part: &str| Recipe::new(&format!("damage {name} {part}")).build();
        let (one, two, healthy) = (image("one"), image("two"), image("healthy"));
        let parts =
            [image("amd64"), Recipe::new(&format!("damage {name} arm")).architecture("arm64").build()];
        registry.client.push("team/app", &["one"], &one);
        registry.client.push("team/app", &["two"], &two);
        registry.client.push("other", &["healthy"], &healthy);
        for part in &parts {
            registry.client.push("team/app", &[], part);
        }
        registry.client.put_manifest("team/app", "many", &index(OCI_INDEX, &[&parts[0], &parts[1]]));
        Self { registry, one, parts }
    }

    fn verify(&self) -> Answer {
        Tool::standalone().run(&["verify", "--registry", &self.registry.address])
    }

    /// Every file with its time and content, and every folder.
    fn fingerprint(&self) -> String {
        self.registry.shell(&format!(
            "find {STORE} -exec stat -c '%n %s %Y %f' {{}} + | sort | sha256sum; \
             find {STORE} -type f -exec sha256sum {{}} + | sort | sha256sum"
        ))
    }

    /// Damages the store by a shell line, and has it verified.
    #[track_caller]
    fn damaged_by(&self, line: &str) -> Answer {
        self.registry.shell(line);
        let before = self.fingerprint();
        let answer = self.verify();
        assert_eq!(self.fingerprint(), before, "verification changed the store\n{answer}");
        answer.never_says("other:healthy")
    }
}

#[test]
fn a_healthy_store_is_whole() {
    if left_out() {
        return;
    }
    let world = World::new("none");
    world.damaged_by("true").success().says("4 tags, 6 manifests and 10 blobs are whole");
}

#[test]
fn a_lost_layer_harms_its_tags_and_is_mended_by_a_push() {
    if left_out() {
        return;
    }
    let world = World::new("layer");
    let layer = &world.one.layers[0];
    world
        .damaged_by(&format!("rm {}", file(layer)))
        .exits(5)
        .says(&format!("blob {} is missing", layer.digest))
        .says("harms team/app:one")
        .says("push the image again")
        .says("1 problem found")
        .never_says("app:two");
    crate::support::engine::docker_says(["restart", &world.registry.name]);
    world.registry.wait_until_it_answers();
    world.registry.client.push("team/app", &["one"], &world.one);
    world.verify().success();
}

#[test]
fn a_lost_part_of_an_index_harms_the_index() {
    if left_out() {
        return;
    }
    let world = World::new("part");
    let part = &world.parts[0].manifest;
    world.damaged_by(&format!("rm {}", file(part))).exits(5).says(&part.digest).says("harms team/app:many");
    let link = format!("{STORE}/repositories/team/app/_manifests/revisions/sha256/{}", hex(part));
    world.damaged_by(&format!("rm -r {link}")).exits(5).says("is missing from its index");
}

#[test]
fn a_tag_that_leads_nowhere_is_mended_by_its_removal() {
    if left_out() {
        return;
    }
    let world = World::new("tag");
    let link =
        format!("{STORE}/repositories/team/app/_manifests/revisions/sha256/{}", hex(&world.one.manifest));
    world
        .damaged_by(&format!("rm -r {link}"))
        .exits(5)
        .says("`team/app:one`: it is listed, but there is no manifest for it")
        .says("docker registry rm")
        .says("1 problem found");
    let reference = world.registry.reference("team/app:one");
    Tool::standalone().run(&["rm", "--force", &reference]).success();
    world.verify().success();
}

#[test]
fn a_tag_with_an_empty_link_is_named() {
    if left_out() {
        return;
    }
    let world = World::new("link");
    let link = format!("{STORE}/repositories/team/app/_manifests/tags/one/current/link");
    world.damaged_by(&format!(": > {link}")).exits(5).says("`team/app:one`").never_says("app:two");
}

#[test]
fn a_blob_of_another_size_and_a_lost_link_are_told_apart() {
    if left_out() {
        return;
    }
    let world = World::new("size");
    let layer = &world.one.layers[0];
    world
        .damaged_by(&format!("truncate -s 600 {}", file(layer)))
        .exits(5)
        .says(&format!("blob {} has 600 bytes where its manifest says {}", layer.digest, layer.bytes.len()))
        .says("harms team/app:one")
        .says("a registry does not replace a content that it has");
    let arm = &world.parts[1].layers[0];
    world
        .damaged_by(&format!("rm -r {STORE}/repositories/team/app/_layers/sha256/{}", hex(arm)))
        .exits(5)
        .says(&format!("blob {} is there, and the repository has no link to it", arm.digest))
        .says("harms team/app:many")
        .says("2 problems found");
}

#[test]
fn what_harms_no_tag_is_said_and_no_failure() {
    if left_out() {
        return;
    }
    let world = World::new("notes");
    let layers = format!("{STORE}/repositories/team/app/_layers/sha256");
    let nobody = "0123456789abcdef".repeat(4);
    let link = format!("mkdir -p {layers}/{nobody} && printf 'sha256:{nobody}' > {layers}/{nobody}/link");
    world
        .damaged_by(&format!("{link} && echo mine > {STORE}/repositories/team/notes.txt"))
        .success()
        .says("1 layer link to blobs that are gone")
        .says("repositories/team/notes.txt")
        .says("are whole");
}
