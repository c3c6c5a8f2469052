//! What the configs of images say: from the store where that was read, else over HTTP.

use std::collections::BTreeMap;
use std::iter;

use futures_util::stream::{self, StreamExt};

use super::{AHEAD, Repositories, view_mut, views};
use crate::engine::OpenStore;
use crate::model::{
    Digest, ImageFacts, Manifest, ManifestKind, Repository, RepositoryView, Shared, StoreView, Tag, TagState,
};
use crate::registry::Registry;
use crate::ui::Ui;

/// Configs are small documents; a larger one says nothing that is needed here.
const LARGEST_CONFIG: u64 = 8 << 20;

/// Which configs matter, and what of them.
pub(crate) struct WantedFacts<'a> {
    /// Those of the images of these tags.
    pub(crate) of: &'a dyn Fn(&Repository, &Tag) -> bool,
    pub(crate) labels: &'a dyn Fn(&str) -> bool,
}

/// A config and a manifest that has it.
type Holder = (Digest, Repository, Digest);
/// By the digests of manifests.
type Noted = BTreeMap<Repository, Vec<(Digest, Result<ImageFacts, String>)>>;

/// What configs say; they are shared by digest over the whole registry, and each is read once. Without a registry to ask,
/// what the store does not say is not known.
pub(crate) async fn read_facts(
    registry: Option<&Registry>,
    store: Option<(&OpenStore<'_>, &StoreView)>,
    repositories: &mut Repositories,
    wanted: &WantedFacts<'_>,
    ui: &Ui,
) {
    let mut noted = Noted::new();
    let mut holders: Vec<Holder> = Vec::new();
    for (name, view) in views(repositories) {
        for (digest, manifest) in images(view, |tag| (wanted.of)(name, tag)) {
            match &manifest.config {
                Some(config) if !manifest.is_artifact() => {
                    holders.push((config.digest.clone(), name.clone(), digest.clone()));
                }
                _ => {
                    let why = "it is no image: its config says neither date nor labels";
                    noted.entry(name.clone()).or_default().push((digest.clone(), Err(why.to_owned())));
                }
            }
        }
    }
    holders.sort_unstable();
    let mut configs: Vec<&[Holder]> = holders.chunk_by(|one, other| one.0 == other.0).collect();
    let mut shared = Shared::default();
    let progress = ui.progress("Reading configs", configs.len());
    if let Some((store, view)) = store {
        let mut told = vec![false; configs.len()];
        let readable: Vec<&Digest> =
            configs.iter().filter_map(|holders| readable(view, holders.first()?)).collect();
        let tell = |config: &Digest, content: &[u8]| {
            progress.advance(1);
            let mut facts = ImageFacts::parse(content, wanted.labels);
            shared.share_facts(&mut facts);
            if let Ok(place) = configs.binary_search_by(|holders| holders[0].0.cmp(config)) {
                note(&mut noted, configs[place], Ok(facts));
                told[place] = true;
            }
        };
        // What was not told by then is asked for.
        let _ = store.contents(&readable, LARGEST_CONFIG, tell).await;
        let mut told = told.into_iter();
        configs.retain(|_| told.next() == Some(false));
    }
    let mut read = stream::iter(configs)
        .map(|holders| async move {
            let facts = match registry {
                Some(registry) => read_config(registry, holders, wanted.labels).await,
                None => Err("its config could not be read from the store".to_owned()),
            };
            (holders, facts)
        })
        .buffer_unordered(AHEAD);
    while let Some((holders, mut facts)) = read.next().await {
        progress.advance(1);
        if let Ok(facts) = &mut facts {
            shared.share_facts(facts);
        }
        note(&mut noted, holders, facts);
    }
    for (name, noted) in noted {
        if let Some(view) = view_mut(repositories, &name) {
            view.facts.append(&mut noted.into_iter().collect());
        }
    }
}

/// The images that the wanted tags of a repository lead to.
fn images(view: &RepositoryView, is_wanted: impl Fn(&Tag) -> bool) -> Vec<(&Digest, &Manifest)> {
    let tags = view.tags.iter().filter(|(tag, _)| is_wanted(tag));
    let roots = tags.filter_map(|(_, state)| match state {
        TagState::At(digest) => Some(digest),
        TagState::Dangling | TagState::Unreadable(_) => None,
    });
    let reached = view.reachable(roots).into_iter();
    let manifests = reached.filter_map(|digest| Some((digest, view.manifest(digest)?)));
    manifests.filter(|(_, manifest)| manifest.kind == ManifestKind::Image).collect()
}

fn note(noted: &mut Noted, holders: &[Holder], facts: Result<ImageFacts, String>) {
    for ((_, name, digest), facts) in holders.iter().zip(iter::repeat_n(facts, holders.len())) {
        noted.entry(name.clone()).or_default().push((digest.clone(), facts));
    }
}

/// The config, if the store says it; the registry decides about the rest.
fn readable<'a>(view: &StoreView, (config, name, _): &'a Holder) -> Option<&'a Digest> {
    let is_served = view.repositories.get(name)?.layers.contains(config);
    (is_served && view.blobs.get(config)?.size.0 <= LARGEST_CONFIG).then_some(config)
}

async fn read_config(
    registry: &Registry,
    holders: &[Holder],
    labels: &dyn Fn(&str) -> bool,
) -> Result<ImageFacts, String> {
    let Some((config, repository, _)) = holders.first() else {
        return Err("no repository holds its config".to_owned());
    };
    match registry.blob(repository, config, LARGEST_CONFIG).await {
        Ok(Some(bytes)) => Ok(ImageFacts::parse(&bytes, labels)),
        Ok(None) => Err("its config is missing".to_owned()),
        Err(error) => Err(format!("its config could not be read: {error}")),
    }
}
