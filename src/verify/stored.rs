//! Whether a store still holds what was kept, by its files: for a registry that does not run, and cannot be asked.

use std::collections::BTreeMap;

use super::{PUSH_AGAIN, finish, lost_tag};
use crate::model::{Digest, Holdings, Repository, StoreView, StoredRepository};
use crate::outcome::{Problem, Verified};

/// Every kept tag is at its manifest, every manifest and blob is linked and there, in its full length.
pub(crate) fn compare_stored(view: &StoreView, kept: &Holdings) -> Verified {
    let nothing = StoredRepository::default();
    let stored = |name: &Repository| view.repositories.get(name).unwrap_or(&nothing);
    let mut problems = Vec::new();
    for (name, tags) in &kept.tags {
        for (tag, digest) in tags {
            let now = stored(name).tags.get(tag).and_then(|stored| stored.digest.as_ref());
            if now != Some(digest) {
                problems.push(lost_tag(name, tag, "its link in the store is gone or has changed"));
            }
        }
    }
    for (name, manifests) in &kept.manifests {
        let is_whole = |digest: &&Digest| {
            stored(name).revisions.contains_key(*digest) && view.blobs.contains_key(*digest)
        };
        let lost = manifests.iter().filter(|digest| !is_whole(digest));
        problems.extend(lost.map(|digest| problem(kept, name, &format!("manifest {digest} is gone"))));
    }
    for (name, blobs) in &kept.blobs {
        for (digest, size) in blobs {
            let what = match view.blobs.get(digest) {
                Some(_) if !stored(name).layers.contains(digest) => "is not linked any more".to_owned(),
                Some(blob) if blob.size == *size => continue,
                Some(blob) => format!("has {} bytes where its manifest says {}", blob.size.0, size.0),
                None => "is missing".to_owned(),
            };
            problems.push(problem(kept, name, &format!("blob {digest} {what}")));
        }
    }
    finish(kept, problems, Vec::new())
}

fn problem(kept: &Holdings, repository: &Repository, what: &str) -> Problem {
    let tags = kept.tags.get(repository).into_iter().flat_map(BTreeMap::keys);
    Problem {
        repository: repository.clone(),
        // Which of them need it is not known any more.
        tags: tags.cloned().collect(),
        what: format!("`{repository}`: {what}"),
        mend: PUSH_AGAIN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ByteSize, StoredFile, StoredTag};

    #[test]
    fn every_loss_is_named() {
        let [manifest, layer, config] =
            ["manifest", "layer", "config"].map(|text| Digest::of(text.as_bytes()));
        let name: Repository = "app".parse().unwrap();
        let tag: crate::model::Tag = "1".parse().unwrap();
        let kept = Holdings {
            tags: [(name.clone(), [(tag.clone(), manifest.clone())].into())].into(),
            manifests: [(name.clone(), [manifest.clone()].into())].into(),
            blobs: [(name.clone(), [(layer.clone(), ByteSize(5)), (config.clone(), ByteSize(5))].into())]
                .into(),
        };
        let mut whole = StoreView::default();
        let file = StoredFile { size: ByteSize(5), on_disk: ByteSize(4096) };
        whole.blobs = [&manifest, &layer, &config].map(|digest| (digest.clone(), file)).into();
        let app = whole.repositories.entry(name.clone()).or_default();
        let at = StoredTag { digest: Some(manifest.clone()), ..stored_nowhere() };
        app.tags.insert(tag.clone(), at);
        app.revisions.insert(manifest.clone(), jiff::Timestamp::default());
        app.layers.extend([layer.clone(), config.clone()]);
        assert_eq!(compare_stored(&whole, &kept).problems, []);

        let found = |change: &dyn Fn(&mut StoreView)| {
            let mut view = whole.clone();
            change(&mut view);
            let problems = compare_stored(&view, &kept).problems;
            problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("; ")
        };
        let app = |view: &mut StoreView, change: &dyn Fn(&mut StoredRepository)| {
            change(view.repositories.get_mut(&name).unwrap());
        };
        assert!(
            found(&|view| view.blobs.retain(|digest, _| *digest != manifest)).contains("manifest sha256:")
        );
        assert!(found(&|view| view.blobs.retain(|digest, _| *digest != layer)).contains("is missing"));
        assert!(found(&|view| view.blobs.get_mut(&layer).unwrap().size.0 = 4).contains("has 4 bytes"));
        assert!(found(&|view| app(view, &|app| app.layers.clear())).contains("not linked"));
        assert!(found(&|view| app(view, &|app| app.revisions.clear())).contains("is gone"));
        assert!(found(&|view| app(view, &|app| app.tags.clear())).contains("its link in the store"));
        assert_eq!(compare_stored(&StoreView::default(), &kept).problems.len(), 4);
    }

    fn stored_nowhere() -> StoredTag {
        StoredTag { digest: None, pushed: jiff::Timestamp::default(), history: Vec::new() }
    }
}
