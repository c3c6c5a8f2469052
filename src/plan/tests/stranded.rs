//! Tags that a server would leave behind stay, whatever takes them.

use super::world::{World, world};
use super::{check, keep, refused, remove};
use crate::error::Kind;
use crate::model::Flaw;

fn versions() -> World {
    world()
        .image("app", "1.0", "a", 40)
        .image("app", "1.0-rc", "b", 30)
        .image("app", "1.00", "c", 20)
        .image("app", "2.0", "d", 1)
        .with_flaw(Flaw::StrandsTags)
}

#[test]
fn rules_keep_a_tag_that_would_be_left_behind() {
    check(
        &versions(),
        &keep(1),
        "app:1.0 keep: left behind by this version of the registry
         app:1.0-rc remove: not among the newest 1
         app:1.00 remove: not among the newest 1
         app:2.0 keep: the newest 1
         0 delete c with 1.00
         0 delete b with 1.0-rc
         frees 2320",
    );
}

#[test]
fn what_belongs_to_such_a_tag_stays_with_it() {
    let world = versions().signature("app", "signature", "a");
    check(
        &world,
        &keep(1),
        &format!(
            "app:1.0 keep: left behind by this version of the registry
             app:1.0-rc remove: not among the newest 1
             app:1.00 remove: not among the newest 1
             app:2.0 keep: the newest 1
             app:{} keep: attached to what is kept
             0 delete c with 1.00
             0 delete b with 1.0-rc
             frees 2320",
            super::world::signature_tag("a")
        ),
    );
}

#[test]
fn one_of_several_tags_of_a_digest_is_not_left_behind_either() {
    let world = world().image("app", "1.0", "a", 40).tag("app", "1.0.1", "a").with_flaw(Flaw::StrandsTags);
    refused(&world.snapshot(), &remove(&["app:1.0"]), Kind::Refused, "leave `app:1.0` behind");
    check(
        &world,
        &remove(&["app:1.0.1"]),
        "app:1.0 keep: not named
         app:1.0.1 remove: named
         0 untag 1.0.1
         frees 0",
    );
}

#[test]
fn what_a_person_named_is_refused() {
    let digest = format!("app@{}", super::digest_of("a"));
    for named in ["app:1.0", "app", digest.as_str()] {
        refused(&versions().snapshot(), &remove(&[named]), Kind::Refused, "as long as there is `app:1.0-rc`");
    }
    check(
        &versions(),
        &remove(&["app:1.0-rc"]),
        "app:1.0 keep: not named
         app:1.0-rc remove: named
         app:1.00 keep: not named
         app:2.0 keep: not named
         0 delete b with 1.0-rc
         frees 1160",
    );
}
