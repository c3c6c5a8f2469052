//! Properties that hold for every registry, against a second way to find out what is needed: by asking again and again
//! what the tags that are left lead to.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Thing {
    Image { layers: Vec<u8> },
    Untagged { layers: Vec<u8> },
    Index { parts: Vec<usize> },
    UntaggedIndex { parts: Vec<usize> },
    Alias { of: usize },
    Referrer { of: usize, layers: Vec<u8> },
    Signature { of: usize, layers: Vec<u8> },
    Orphan { layers: Vec<u8> },
}

fn thing() -> impl Strategy<Value = Thing> {
    let layers = || prop::collection::vec(0u8..8, 0..4);
    let parts = || prop::collection::vec(0usize..10, 0..4);
    prop_oneof![
        5 => layers().prop_map(|layers| Thing::Image { layers }),
        2 => layers().prop_map(|layers| Thing::Untagged { layers }),
        2 => parts().prop_map(|parts| Thing::Index { parts }),
        1 => parts().prop_map(|parts| Thing::UntaggedIndex { parts }),
        2 => (0usize..10).prop_map(|of| Thing::Alias { of }),
        2 => ((0usize..10), layers()).prop_map(|(of, layers)| Thing::Referrer { of, layers }),
        2 => ((0usize..10), layers()).prop_map(|(of, layers)| Thing::Signature { of, layers }),
        1 => layers().prop_map(|layers| Thing::Orphan { layers }),
    ]
}

/// Things in up to three repositories.
fn registries() -> impl Strategy<Value = Vec<(usize, Thing)>> {
    prop::collection::vec((0usize..3, thing()), 1..14)
}

fn build(things: &[(usize, Thing)]) -> Snapshot {
    let mut world = World::default();
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (number, (repository, thing)) in things.iter().enumerate() {
        let repository = ["a", "b", "team/c"][repository % 3];
        let name = format!("{repository}:t{number}");
        let earlier = names.entry(repository).or_default();
        let of =
            |of: &usize| earlier.get(of % earlier.len().max(1)).cloned().unwrap_or_else(|| "gone".to_owned());
        let stack: Vec<(String, u64)> = match thing {
            Thing::Image { layers }
            | Thing::Untagged { layers }
            | Thing::Referrer { layers, .. }
            | Thing::Signature { layers, .. }
            | Thing::Orphan { layers } => {
                layers.iter().map(|layer| (format!("layer {layer}"), 10u64.pow(u32::from(*layer)))).collect()
            }
            _ => Vec::new(),
        };
        let layers: Vec<(&str, u64)> = stack.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        world = match thing {
            Thing::Untagged { .. } => world.untagged(repository, &name, &layers),
            Thing::Index { parts } | Thing::UntaggedIndex { parts } => {
                let parts: Vec<String> = parts.iter().map(of).collect();
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let world = world.index(repository, &name, &parts);
                if matches!(thing, Thing::Index { .. }) { world.tag(&name, &name) } else { world }
            }
            Thing::Alias { of: target } if !earlier.is_empty() => world.tag(&name, &of(target)),
            Thing::Image { .. } | Thing::Alias { .. } => world.image(&name, &layers),
            Thing::Referrer { of: target, .. } => world.about(repository, &name, &of(target), &layers),
            Thing::Signature { of: target, .. } => {
                let tag = format!("{repository}:{}", signature_tag(&of(target)));
                world.untagged(repository, &name, &layers).tag(&tag, &name)
            }
            Thing::Orphan { .. } => {
                let tag = format!("{repository}:{}", signature_tag(&format!("gone {number}")));
                world.untagged(repository, &name, &layers).tag(&tag, &name)
            }
        };
        if !matches!(thing, Thing::Alias { .. }) {
            earlier.push(name);
        }
    }
    world.snapshot().stored()
}

fn needed(snapshot: &Snapshot, gone: impl Fn(&Repository, &Tag) -> bool) -> BTreeMap<Digest, u64> {
    needed_if(false, snapshot, gone)
}

/// The contents that tags need, but for the tags that are `gone`; what was an orphan at the beginning stays one, and
/// needs nothing unless `orphans_need`.
fn needed_if(
    orphans_need: bool,
    snapshot: &Snapshot,
    gone: impl Fn(&Repository, &Tag) -> bool,
) -> BTreeMap<Digest, u64> {
    let known = snapshot.known_manifests();
    let mut needed = BTreeMap::new();
    for (repository, view) in snapshot.read_repositories() {
        let mut held: Vec<Digest> = Vec::new();
        loop {
            let before = held.len();
            for (tag, state) in &view.tags {
                let TagState::At(digest) = state else { panic!("{tag} was read") };
                let holds = match tag.attachment_subject() {
                    Some(subject) if view.manifest(&subject).is_some() => held.contains(&subject),
                    Some(subject) => {
                        orphans_need || known.contains(&subject) || view.holds_only_attachments()
                    }
                    None => true,
                };
                if holds && !gone(repository, tag) && !held.contains(digest) {
                    held.push(digest.clone());
                }
            }
            for (digest, manifest) in view.read_manifests() {
                let subject = manifest.subject.as_ref().map(|subject| &subject.digest);
                if subject.is_some_and(|subject| held.contains(subject)) && !held.contains(digest) {
                    held.push(digest.clone());
                }
            }
            for digest in held.clone() {
                let manifest = view.manifest(&digest).expect("what is held was read");
                let leads =
                    manifest.child_manifests().chain(manifest.subject.as_deref()).map(|next| &next.digest);
                for next in leads.filter(|next| view.manifest(next).is_some()) {
                    if !held.contains(next) {
                        held.push(next.clone());
                    }
                }
            }
            if held.len() == before {
                break;
            }
        }
        for digest in held {
            let manifest = view.manifest(&digest).expect("what is held was read");
            needed.extend(manifest.blobs().map(|blob| (blob.digest.clone(), blob.size.0)));
            needed.insert(digest, manifest.size.0);
        }
    }
    needed
}

fn sum(contents: &BTreeMap<Digest, u64>) -> u64 {
    contents.values().sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unique_is_what_a_deletion_frees(things in registries()) {
        let snapshot = build(&things);
        let usage = Usage::of(&snapshot, day_ago());
        let all = sum(&needed(&snapshot, |_, _| false));
        prop_assert_eq!(usage.in_use.bytes.0, all);
        for (repository, of_repository) in &usage.repositories {
            let left = sum(&needed(&snapshot, |other, _| other == *repository));
            prop_assert_eq!(of_repository.space.unique.bytes.0, all - left, "{}", repository);
            for (tag, space) in &of_repository.tags {
                let known = snapshot.known_manifests();
                let is_orphan = tag.attachment_subject().is_some_and(|subject| !known.contains(&subject))
                    && snapshot.view(repository).is_some_and(|view| !view.holds_only_attachments());
                let all = sum(&needed_if(is_orphan, &snapshot, |_, _| false));
                let left = needed_if(is_orphan, &snapshot, |other, name| (other, name) == (repository, tag));
                prop_assert_eq!(space.unique.bytes.0, all - sum(&left), "{}:{}", repository, tag);
            }
            for image in &of_repository.images {
                let left = sum(&needed(&snapshot, |other, name| other == *repository && image.tags.contains(&name)));
                prop_assert_eq!(image.space.unique.bytes.0, all - left, "{}: {:?}", repository, &image.tags);
            }
        }
    }

    #[test]
    fn the_parts_are_the_whole(things in registries(), lost in 0u64..3, uploads in prop::collection::vec(0i64..50, 0..4)) {
        let mut snapshot = build(&things);
        let store = snapshot.store.as_mut().expect("a store");
        for number in 0..lost {
            let file = StoredFile { size: bytes(number), on_disk: bytes(4096 * number) };
            store.on_disk += file.on_disk;
            store.blobs.insert(digest_of(&format!("lost {number}")), file);
        }
        let mut empty = StoredRepository { on_disk: bytes(512), ..StoredRepository::default() };
        for (number, hours) in uploads.iter().enumerate() {
            let touched = now() - jiff::SignedDuration::from_hours(*hours);
            let upload = StoredUpload { touched, size: bytes(1), on_disk: bytes(4096) };
            empty.uploads.insert(number.to_string(), upload);
        }
        let is_garbage = uploads.iter().all(|hours| *hours > 24);
        store.on_disk += bytes(512 + 4096 * uploads.len() as u64);
        store.repositories.insert("uploading".parse().expect("a name"), empty);
        let whole = store.on_disk.0;
        let contents: u64 = store.blobs.values().map(|file| file.size.0).sum();
        let manifests: usize = store.repositories.values().map(|stored| stored.revisions.len()).sum();

        let usage = Usage::of(&snapshot, day_ago());
        let unique: Part = usage.repositories.values().map(|of| of.space.unique).sum();
        prop_assert_eq!(unique + usage.shared, usage.in_use);
        let of_kind = |kind| usage.garbage[&kind].expect("the store is there").only;
        let contents_of_garbage = of_kind(Kind::OrphanedAttachments)
            + of_kind(Kind::UntaggedManifests)
            + of_kind(Kind::UnreferencedBlobs);
        prop_assert_eq!((usage.in_use + contents_of_garbage).bytes.0, contents);
        let garbage: Part = usage.garbage.values().flatten().map(|garbage| garbage.only).sum();
        let parts = unique.on_disk + usage.shared.on_disk + garbage.on_disk + usage.uploads.on_disk;
        let overhead = usage.overhead().expect("the store is there");
        prop_assert_eq!((parts + overhead).0, whole);
        // What is left over is known here: a block for each manifest's links, one above, and the folders of uploads.
        let folders = if is_garbage { 0 } else { 512 };
        prop_assert_eq!(overhead.0, 4096 * (manifests as u64 + 1) + folders);
    }

    #[test]
    fn what_no_tag_needs_is_garbage(things in registries()) {
        let snapshot = build(&things);
        let usage = Usage::of(&snapshot, day_ago());
        let needed = needed(&snapshot, |_, _| false);
        let is_needed = |digest: &Digest| needed.contains_key(digest);
        let garbage = usage.contents.iter().filter(|content| !is_needed(content.digest));
        let garbage: u64 = garbage.map(|content| content.size.bytes.0).sum();
        prop_assert_eq!(garbage, usage.reclaimable().bytes.0);
    }
}
