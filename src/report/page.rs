//! The same as one page for a browser: everything is in it, and it may ask nobody for anything.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::model::{ByteSize, Repository, RepositoryView, Snapshot};
use crate::usage::{Content, ImageUsage, RepositoryUsage, Usage};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// However large the registry: the page of one with 100,000 tags is opened as well. The smaller rest is counted.
const REPOSITORIES: usize = 200;
const IMAGES: usize = 3000;
const IMAGES_OF_REPOSITORY: usize = 300;
const LAYERS: usize = 20;

/// Contents by their place in `Usage::contents`, and by their place in the page.
type Places = BTreeMap<usize, usize>;

pub(crate) fn page(snapshot: &Snapshot, usage: &Usage, now: Timestamp) -> String {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    // The data comes last, so that nothing in it is taken for a place of the template.
    [("@policy@", policy.as_str()), ("@style@", STYLE), ("@script@", SCRIPT)]
        .into_iter()
        .fold(TEMPLATE.to_owned(), |page, (place, text)| page.replacen(place, text, 1))
        .replacen("@data@", &inert(&data(snapshot, usage, now)), 1)
}

fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// JSON that ends no script and begins no comment wherever it stands in a page. These stand only within its strings.
fn inert(data: &Value) -> String {
    let mut text = String::new();
    for c in data.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

fn data(snapshot: &Snapshot, usage: &Usage, now: Timestamp) -> Value {
    let mut shown: Vec<_> = usage.repositories.iter().collect();
    shown.sort_by_key(|(_, of)| Reverse((of.space.unique.bytes, of.space.size)));
    let more = shown.split_off(shown.len().min(REPOSITORIES));
    let images = (IMAGES / shown.len().max(1)).min(IMAGES_OF_REPOSITORY);
    let mut places = Places::new();
    let repositories: Vec<Value> = shown
        .into_iter()
        .map(|(name, of)| repository(snapshot.view(name), name, of, usage, images, &mut places, now))
        .collect();
    let mut contents: Vec<(usize, usize)> = places.into_iter().map(|(of, place)| (place, of)).collect();
    contents.sort_unstable();
    let reclaimable = usage.is_certain.then(|| usage.reclaimable().bytes);
    let on_disk = usage.on_disk.map(|on_disk| ("On disk", Some(on_disk)));
    let totals =
        [("In use", Some(usage.in_use.bytes)), ("Reclaimable", reclaimable)].into_iter().chain(on_disk);
    json!({
        "version": super::json::VERSION,
        "registry": snapshot.registry,
        "limits": {
            "repositories": REPOSITORIES,
            "images": images,
            "layers": LAYERS,
        },
        "totals": totals.collect::<Vec<_>>(),
        "certain": usage.is_certain,
        "shared": usage.shared.bytes,
        "repositories": repositories,
        "more": {
            "count": more.len(),
            "unique": more.iter().map(|(_, of)| of.space.unique.bytes).sum::<ByteSize>(),
        },
        "contents": contents.into_iter().map(|(_, of)| content(&usage.contents[of])).collect::<Vec<_>>(),
        "garbage": usage.garbage.iter().map(|(kind, garbage)| json!({
            "kind": kind.to_string(),
            "total": garbage.map(|garbage| garbage.total),
            "size": garbage.map(|garbage| garbage.size.bytes),
            "bytes": garbage.map(|garbage| garbage.only.bytes),
            "reclaimable": garbage.and_then(|garbage| garbage.reclaimable).map(|part| part.bytes),
        })).collect::<Vec<_>>(),
    })
}

fn repository(
    view: Option<&RepositoryView>,
    name: &Repository,
    of: &RepositoryUsage,
    usage: &Usage,
    limit: usize,
    places: &mut Places,
    now: Timestamp,
) -> Value {
    let mut shown: Vec<&ImageUsage> = of.images.iter().collect();
    shown.sort_by_key(|image| Reverse((image.space.unique.bytes, image.space.size)));
    let alone: ByteSize = shown.iter().map(|image| image.space.unique.bytes).sum();
    let more = shown.split_off(shown.len().min(limit));
    json!({
        "name": name,
        "tags": view.map_or(0, |view| view.tags.len()),
        "size": of.space.size,
        "unique": of.space.unique.bytes,
        "inner": of.space.unique.bytes.saturating_sub(alone),
        "images": shown.into_iter().map(|of| image(view, of, usage, places, now)).collect::<Vec<_>>(),
        "more": {
            "count": more.len(),
            "unique": more.iter().map(|image| image.space.unique.bytes).sum::<ByteSize>(),
        },
    })
}

fn image(
    view: Option<&RepositoryView>,
    of: &ImageUsage,
    usage: &Usage,
    places: &mut Places,
    now: Timestamp,
) -> Value {
    let mut shown = of.contents.clone();
    shown.sort_by_key(|place| Reverse(usage.contents[*place].size.bytes));
    let more = shown.split_off(shown.len().min(LAYERS));
    let mut place = |of: usize| {
        let next = places.len();
        *places.entry(of).or_insert(next)
    };
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let pushed = of.tags.iter().filter_map(|tag| view?.pushed.get(*tag)).max();
    json!({
        "tags": of.tags,
        "digest": of.digest.short(),
        "created": view.and_then(|view| view.created(of.digest, now).at()).map(day),
        "pushed": pushed.copied().map(day),
        "size": of.space.size,
        "unique": of.space.unique.bytes,
        "layers": shown.into_iter().map(&mut place).collect::<Vec<_>>(),
        "more": {
            "count": more.len(),
            "bytes": more.iter().map(|place| usage.contents[*place].size.bytes).sum::<ByteSize>(),
        },
    })
}

fn content(of: &Content) -> Value {
    json!([of.digest.short(), of.size.bytes, of.role, of.tags])
}

#[cfg(test)]
mod tests;
