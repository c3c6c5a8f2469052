//! Looks at what of a record is missing in the registry, and puts it back. Nothing that is there is overwritten: every
//! place is looked at again immediately before the PUT, and afterwards.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use crate::cancel::Cancel;
use crate::model::{Digest, Manifest, ManifestKind, Ordered, Repository};
use crate::plan::placeholder;
use crate::registry::{self, Reference, Registry};
use crate::ui::Ui;
use crate::undo::{Fate, Item, Place, Present, Record, Removed, Undone};

/// Requests in flight; the registry's own limit bounds them further.
const AT_ONCE: usize = 64;

pub(super) struct Restorer<'a> {
    pub(super) registry: &'a Registry,
    pub(super) cancel: &'a Cancel,
}

impl Restorer<'_> {
    /// What of `record` is there, and what is to be put back.
    pub(super) async fn look(&self, record: &Record) -> Undone {
        let mut undone = Undone::default();
        for removed in &record.repositories {
            let places: Vec<(Place, Digest)> = removed.places().collect();
            let present: Present = stream::iter(places)
                .map(|(place, digest)| async move {
                    let now = self.at(&removed.repository, &place, &digest).await;
                    (place, now.map_err(|error| error.to_string()))
                })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            undone.repositories.push((removed.repository.clone(), removed.items(&present)));
        }
        undone
    }

    /// Puts back what is due, rank after rank.
    pub(super) async fn restore(&self, record: &Record, undone: &mut Undone, ui: &Ui) {
        let due = undone.items().filter(|(_, item)| item.fate == Fate::Due).count();
        let progress = ui.progress("Putting back", due);
        for (removed, (_, items)) in record.repositories.iter().zip(&mut undone.repositories) {
            let repository = Restoring { restorer: self, removed, blobs: RefCell::default() };
            let ranks: BTreeSet<usize> = items.iter().map(|item| item.rank).into_set();
            for rank in ranks {
                let due: Vec<usize> = (0..items.len())
                    .filter(|&number| items[number].rank == rank && items[number].fate == Fate::Due)
                    .collect();
                let lost = without_tags(items);
                let fates: Vec<(usize, Fate)> = stream::iter(due)
                    .map(|number| {
                        let (item, repository, lost) = (&items[number], &repository, &lost);
                        async move { (number, repository.put_back(item, lost).await) }
                    })
                    .buffer_unordered(AT_ONCE)
                    .inspect(|_| progress.advance(1))
                    .collect()
                    .await;
                for (number, fate) in fates {
                    items[number].fate = fate;
                }
            }
        }
    }

    /// What is at `place`, where `wanted` belongs. A placeholder of an interrupted run is nobody's image, so it counts
    /// as nothing.
    async fn at(
        &self,
        repository: &Repository,
        place: &Place,
        wanted: &Digest,
    ) -> Result<Option<Digest>, registry::Error> {
        let there = self.registry.resolve(repository, reference(place)).await?;
        if there.is_none() || there.as_ref() == Some(wanted) {
            return Ok(there);
        }
        let manifest = self.registry.manifest(repository, reference(place)).await?;
        Ok(manifest.filter(|manifest| !placeholder::is_one(manifest)).map(|manifest| manifest.digest))
    }
}

/// The work in one repository.
struct Restoring<'a> {
    restorer: &'a Restorer<'a>,
    removed: &'a Removed,
    /// Blobs that were asked for: images share them.
    blobs: RefCell<BTreeMap<Digest, Result<bool, String>>>,
}

impl Restoring<'_> {
    /// A manifest comes with its tags: it shares their failure, and where they brought it there is nothing to do.
    async fn put_back(&self, item: &Item, lost: &BTreeMap<Digest, Fate>) -> Fate {
        if self.restorer.cancel.is_cancelled() {
            return Fate::Failed("interrupted".to_owned());
        }
        if let (Place::Digest(_), Some(failed)) = (&item.place, lost.get(&item.digest)) {
            return failed.clone();
        }
        match self.now(item).await {
            Err(error) => Fate::Failed(error.to_string()),
            Ok(Some(there)) if there == item.digest && matches!(item.place, Place::Tag(_)) => Fate::There,
            Ok(Some(there)) if there == item.digest => Fate::PutBack,
            Ok(Some(other)) => Fate::left_to(&other),
            Ok(None) => match self.removed.manifest(&item.digest) {
                Some((manifest, raw)) => self.put(item, &manifest, raw).await,
                None => Fate::Failed("its manifest in the record cannot be read".to_owned()),
            },
        }
    }

    async fn put(&self, item: &Item, manifest: &Manifest, raw: &[u8]) -> Fate {
        if let Err(why) = self.has_blobs(manifest).await {
            return Fate::Failed(why);
        }
        let registry = self.restorer.registry;
        let repository = &self.removed.repository;
        let put = registry
            .put_manifest(repository, reference(&item.place), manifest.media_type.as_str(), raw)
            .await;
        if let Err(error) = &put
            && !error.is_effect_unknown()
        {
            return Fate::Failed(match manifest.kind {
                ManifestKind::Image if error.is_for_missing_parts() => collected(&error.to_string()),
                ManifestKind::Index if error.is_for_missing_parts() => {
                    format!("a manifest that it names is not there: {error}")
                }
                _ => error.to_string(),
            });
        }
        match (self.now(item).await, put) {
            (Ok(Some(there)), _) if there == item.digest => Fate::PutBack,
            (_, Err(error)) | (Err(error), Ok(())) => Fate::Failed(error.to_string()),
            (Ok(Some(other)), Ok(())) => {
                Fate::Failed(format!("the registry took it, and has sha256:{} there", other.short()))
            }
            (Ok(None), Ok(())) => Fate::Failed("the registry took it, and does not have it".to_owned()),
        }
    }

    async fn now(&self, item: &Item) -> Result<Option<Digest>, registry::Error> {
        self.restorer.at(&self.removed.repository, &item.place, &item.digest).await
    }

    /// Whether everything below the manifest can be read. The server itself cannot be trusted with this where somebody
    /// collected while it was running: it takes the manifest of an image whose layers are gone.
    async fn has_blobs(&self, manifest: &Manifest) -> Result<(), String> {
        for blob in manifest.blobs().filter(|blob| !blob.is_foreign) {
            let found = self.has_blob(&blob.digest).await;
            match found {
                Ok(true) => {}
                Ok(false) => return Err(collected(&format!("the registry has no blob {}", blob.digest))),
                Err(why) => return Err(format!("a blob that it needs cannot be read: {why}")),
            }
        }
        Ok(())
    }

    async fn has_blob(&self, digest: &Digest) -> Result<bool, String> {
        if let Some(known) = self.blobs.borrow().get(digest) {
            return known.clone();
        }
        let found = self.restorer.registry.has_content(&self.removed.repository, digest).await;
        let found = found.map_err(|error| error.to_string());
        self.blobs.borrow_mut().insert(digest.clone(), found.clone());
        found
    }
}

/// The digests that could not be put back with one of their tags.
fn without_tags(items: &[Item]) -> BTreeMap<Digest, Fate> {
    let failed = items
        .iter()
        .filter(|item| matches!(item.place, Place::Tag(_)) && matches!(item.fate, Fate::Failed(_)));
    failed.map(|item| (item.digest.clone(), item.fate.clone())).into_map()
}

fn collected(evidence: &str) -> String {
    format!("its layers were collected ({evidence})")
}

fn reference(place: &Place) -> Reference<'_> {
    match place {
        Place::Tag(tag) => Reference::Tag(tag),
        Place::Digest(digest) => Reference::Digest(digest),
    }
}
