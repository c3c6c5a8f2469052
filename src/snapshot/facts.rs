//! What the configs of images say: from the store where that was read, else over HTTP.

use std::collections::BTreeMap;

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

/// The manifests that have a config.
type Holders = Vec<(Repository, Digest)>;

/// What configs say; they are shared by digest over the whole registry, and each is read once. Without a registry to ask,
/// what the store does not say is not known.
pub(crate) async fn read_facts(
    registry: Option<&Registry>,
    store: Option<(&OpenStore<'_>, &StoreView)>,
    repositories: &mut Repositories,
    wanted: &WantedFacts<'_>,
    ui: &Ui,
) {
    let mut configs: BTreeMap<Digest, Holders> = BTreeMap::new();
    let mut foreign: Holders = Vec::new();
    for (name, view) in views(repositories) {
        for (digest, manifest) in images(view, |tag| (wanted.of)(name, tag)) {
            match &manifest.config {
                Some(config) if !manifest.is_artifact() => {
                    configs.entry(config.digest.clone()).or_default().push((name.clone(), digest.clone()));
                }
                _ => foreign.push((name.clone(), digest.clone())),
            }
        }
    }
    let why = "it is no image: its config says neither date nor labels";
    note(repositories, foreign, &Err(why.to_owned()));
    let mut shared = Shared::default();
    let progress = ui.progress("Reading configs", configs.len());
    if let Some((store, view)) = store {
        for (config, facts) in stored(store, view, &configs, wanted.labels, &mut shared).await {
            progress.advance(1);
            note(repositories, configs.remove(&config).unwrap_or_default(), &Ok(facts));
        }
    }
    let mut read = stream::iter(configs)
        .map(|(config, holders)| async move {
            let facts = match registry {
                Some(registry) => read_config(registry, &config, &holders, wanted.labels).await,
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
        note(repositories, holders, &facts);
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

fn note(repositories: &mut Repositories, holders: Holders, facts: &Result<ImageFacts, String>) {
    for (name, digest) in holders {
        if let Some(view) = view_mut(repositories, &name) {
            view.facts.insert(digest, facts.clone());
        }
    }
}

/// What the store says; the registry decides about the rest.
async fn stored(
    store: &OpenStore<'_>,
    view: &StoreView,
    wanted: &BTreeMap<Digest, Holders>,
    labels: &dyn Fn(&str) -> bool,
    shared: &mut Shared,
) -> BTreeMap<Digest, ImageFacts> {
    let serves = |holders: &Holders, config: &Digest| {
        let repository = holders.first().and_then(|(name, _)| view.repositories.get(name));
        repository.is_some_and(|repository| repository.layers.contains(config))
    };
    let is_there = |config: &Digest| view.blobs.get(config).is_some_and(|blob| blob.size.0 <= LARGEST_CONFIG);
    let readable = wanted.iter().filter(|(config, holders)| serves(holders, config) && is_there(config));
    let readable: Vec<&Digest> = readable.map(|(config, _)| config).collect();
    let mut facts = BTreeMap::new();
    let tell = |config: &Digest, content: &[u8]| {
        let mut said = ImageFacts::parse(content, labels);
        shared.share_facts(&mut said);
        facts.insert(config.clone(), said);
    };
    // What was not told by then is asked for.
    let _ = store.contents(&readable, LARGEST_CONFIG, tell).await;
    facts
}

async fn read_config(
    registry: &Registry,
    config: &Digest,
    holders: &[(Repository, Digest)],
    labels: &dyn Fn(&str) -> bool,
) -> Result<ImageFacts, String> {
    let Some((repository, _)) = holders.first() else {
        return Err("no repository holds its config".to_owned());
    };
    match registry.blob(repository, config, LARGEST_CONFIG).await {
        Ok(Some(bytes)) => Ok(ImageFacts::parse(&bytes, labels)),
        Ok(None) => Err("its config is missing".to_owned()),
        Err(error) => Err(format!("its config could not be read: {error}")),
    }
}
