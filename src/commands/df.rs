//! `docker registry df`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::{Df, Format};
use crate::engine::Extent;
use crate::error::Failure;
use crate::model::{Repository, Snapshot, Tag};
use crate::reference::literal_repositories;
use crate::registry::Registry;
use crate::report::page;
use crate::report::usage::Report;
use crate::snapshot::{Scope, Wanted, WantedFacts};
use crate::usage::Usage;

use super::Session;

pub(crate) async fn run(session: &Session, mut df: Df) -> anyhow::Result<u8> {
    let hosts = super::hosts(df.patterns.iter());
    // A registry alone means all of it.
    if df.patterns.iter().any(|pattern| pattern.text().is_empty()) {
        df.patterns.clear();
    }
    if df.html.is_some() && !df.patterns.is_empty() {
        return Err(Failure::command_line("the page of `--html` is about a whole registry")
            .hint("leave out what names repositories, or name the registry alone")
            .into());
    }
    let registry = session.registry(&hosts, &df.access).await?;
    let snapshot = read(session, &registry, &df).await?;
    let now = session.settings.now;
    let stale_before = df.uploads_older_than.before(snapshot.store.as_ref().map_or(now, |store| store.now));
    let usage = Usage::of(&snapshot, stale_before);
    let report = Report { snapshot: &snapshot, usage: &usage, patterns: &df.patterns, sort: df.sort, now };
    match (&df.html, df.format) {
        (Some(path), _) => {
            write(path, &page::page(&snapshot, &usage, now))?;
            session.ui.say(&format!("Wrote `{}`: open it in a browser", path.display()));
        }
        (None, Format::Json) => session.ui.data(&format!("{:#}\n", report.document())),
        (None, Format::Table) if df.verbose => session.ui.data(&report.details()),
        (None, Format::Table) => session.ui.data(&report.table()),
    }
    if !snapshot.is_whole {
        session
            .ui
            .warn("the registry does not list its repositories: what others share with these is not known");
    }
    // A tag without a manifest takes no space.
    let unread = snapshot.unread(|repository, tag| snapshot.is_dangling(repository, tag));
    for sentence in &unread {
        session.ui.warn(sentence);
    }
    Ok(u8::from(!unread.is_empty()))
}

/// All of the registry, whatever is to be shown: only then it is known what is shared. Where its repositories cannot be
/// listed, those that are named are read.
async fn read(session: &Session, registry: &Registry, df: &Df) -> anyhow::Result<Snapshot> {
    let wants_dates = df.verbose || df.html.is_some() || df.format == Format::Json;
    let is_meant = |repository: &Repository, tag: &Tag| {
        wants_dates
            && (df.patterns.is_empty() || df.patterns.iter().any(|pattern| pattern.covers(repository, tag)))
    };
    let all = |_: &Repository, _: &Tag| true;
    let wanted = |scope| Wanted {
        facts: WantedFacts { of: &is_meant, labels: &|_| false },
        subjects: &all,
        extent: Extent::Everything,
        ..Wanted::within(scope)
    };
    let source = df.reading.source;
    let place = session.place_to_read(registry, &df.access, source).await?;
    let whole = session.read(registry, &place, source, &wanted(Scope::Whole)).await;
    match (whole, literal_repositories(&df.patterns)) {
        (Err(_), Some(named)) if !session.cancel.is_cancelled() => {
            session.read(registry, &place, source, &wanted(Scope::Named(named))).await
        }
        (read, _) => read,
    }
}

/// Beside the place where it is to be, so that nothing half-written ever is there.
fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().context("`--html` takes the name of a file")?;
    let beside = folder.join(format!(".{}.{}", name.display(), std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(page.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
        .with_context(|| format!("write `{}`", path.display()))
}
