//! What is to be done, item by item: each tag that went, and each manifest. Parts come before the indexes that name
//! them, and tags before the digests they bring along.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Digest, Manifest, Ordered, Repository, Tag};

use super::record::{Removed, Saved};

/// Where a manifest is put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Tag(Tag),
    Digest(Digest),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// What is at each place now; the error is why that could not be read.
pub(crate) type Present = BTreeMap<Place, Result<Option<Digest>, String>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) digest: Digest,
    /// Items of one rank may run together; a rank begins when the one before has ended.
    pub(crate) rank: usize,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// To be put back.
    Due,
    PutBack,
    /// It was there already.
    There,
    /// Something else is in its place, and what.
    Left(String),
    Failed(String),
}

/// What became of everything a record holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Undone {
    pub(crate) repositories: Vec<(Repository, Vec<Item>)>,
}

impl Removed {
    /// The places to look at, and what was there.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Place, Digest)> {
        let tags = self.tags.iter().filter_map(|(tag, digest)| Some((tag.clone(), digest.clone()?)));
        tags.map(|(tag, digest)| (Place::Tag(tag), digest))
            .chain(self.deleted().map(|saved| (Place::Digest(saved.digest.clone()), saved.digest.clone())))
    }

    pub(crate) fn items(&self, present: &Present) -> Vec<Item> {
        let depths = self.depths();
        let item = |(place, digest): (Place, Digest)| {
            let depth = depths.get(&digest).copied().unwrap_or_default();
            let fate = self.fate(&digest, present.get(&place).unwrap_or(&Ok(None)));
            let rank = 2 * depth + usize::from(matches!(place, Place::Digest(_)));
            Item { place, digest, rank, fate }
        };
        let mut items: Vec<Item> = self.places().map(item).collect();
        items.sort_by_key(|item| item.rank);
        items
    }

    fn fate(&self, digest: &Digest, present: &Result<Option<Digest>, String>) -> Fate {
        match (present, self.saved(digest)) {
            (Err(why), _) => Fate::Failed(why.clone()),
            (Ok(Some(there)), _) if there == digest => Fate::There,
            (Ok(Some(other)), _) => Fate::left_to(other),
            (Ok(None), None) => Fate::Failed("its manifest is not in the record".to_owned()),
            (Ok(None), Some(Saved { collected: Some(sweep), .. })) => {
                Fate::Failed(format!("what it needs is gone: {sweep}"))
            }
            (Ok(None), Some(_)) => Fate::Due,
        }
    }

    fn deleted(&self) -> impl Iterator<Item = &Saved> {
        self.manifests.iter().filter(|saved| !saved.stays)
    }

    /// How many levels of parts of the record are below each manifest.
    fn depths(&self) -> BTreeMap<Digest, usize> {
        let parsed: Vec<Manifest> = self.manifests.iter().filter_map(Saved::parsed).collect();
        let mut depths: BTreeMap<Digest, usize> =
            parsed.iter().map(|manifest| (manifest.digest.clone(), 0)).into_map();
        // A level is settled with each pass.
        for _ in 0..parsed.len() {
            let mut has_changed = false;
            for manifest in &parsed {
                let below = manifest.child_manifests().filter_map(|child| depths.get(&child.digest)).max();
                let depth = below.map_or(0, |below| below + 1);
                if depths.insert(manifest.digest.clone(), depth) != Some(depth) {
                    has_changed = true;
                }
            }
            if !has_changed {
                break;
            }
        }
        depths
    }
}

impl Fate {
    pub(crate) fn left_to(other: &Digest) -> Self {
        Self::Left(format!("it is at sha256:{} now, which is left alone", other.short()))
    }

    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::PutBack | Self::There)
    }
}

impl Undone {
    pub(crate) fn items(&self) -> impl Iterator<Item = (&Repository, &Item)> {
        self.repositories.iter().flat_map(|(name, items)| items.iter().map(move |item| (name, item)))
    }

    /// Whether everything is there again.
    pub(crate) fn is_whole(&self) -> bool {
        self.items().all(|(_, item)| item.fate.is_good())
    }

    /// Tags and manifests of this fate.
    pub(crate) fn counts(&self, fate: &Fate) -> (usize, usize) {
        let of = |wants_tag: bool| {
            let meant = self
                .items()
                .filter(|(_, item)| item.fate == *fate && matches!(item.place, Place::Tag(_)) == wants_tag);
            meant.count()
        };
        (of(true), of(false))
    }
}
