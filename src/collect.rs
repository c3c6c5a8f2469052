//! Collects the garbage: the collector runs dry first, and only what its output certifies is swept. Then the registry
//! is awaited, so that the run ends with a registry that answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::age::Age;
use crate::cancel::Cancel;
use crate::certificate::{self, Agreement, Certified, CollectorRun, Demand};
use crate::engine::{Manner, Mode, Opening, Quiet, Restored, Window, path_of};
use crate::error::{self, Failure, Kind};
use crate::leftovers::{self, Counts};
use crate::model::{ByteSize, Digest, Holdings, StoredFile};
use crate::outcome::{Collected, Collection, Service, Tidied};
use crate::site::Site;
use crate::ui::Ui;

/// Evidence is shown up to this number of lines.
const SHOWN_VIOLATIONS: usize = 10;
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);
/// What must be told, whatever went wrong afterwards.
const SWEPT: &str = "the garbage was collected";

/// What a collection is told.
pub(crate) struct Task<'a> {
    pub(crate) site: &'a Site,
    pub(crate) manner: Manner,
    pub(crate) kept: &'a Holdings,
    /// What the plan itself left without a holder.
    pub(crate) dead: &'a BTreeSet<Digest>,
    pub(crate) quiet: Quiet<'a>,
    pub(crate) uploads_older_than: Age,
    /// The files of blobs, where they were seen.
    pub(crate) files: Option<&'a BTreeMap<Digest, StoredFile>>,
}

/// What the dry run and the sweep said.
struct Swept {
    certificate: CollectorRun,
    sweep: Option<CollectorRun>,
    tidied: Tidied,
}

/// Asks the collector what it would remove, with the registry in service. Nothing is changed.
pub(crate) async fn survey(site: &Site) -> anyhow::Result<CollectorRun> {
    Box::pin(site.engine.survey(&site.container, &site.store)).await
}

/// Where nothing could be collected, it is said before there is anything to collect.
pub(crate) async fn refuse_unfit(site: &Site) -> anyhow::Result<()> {
    site.engine.refuse_unfit(&site.container, &site.store, Manner::Live).await
}

/// The registry's door, seen from outside.
pub(crate) struct Doors<P, A> {
    /// Whether who serves now can be shown to refuse pushes; `false`: nobody answers yet.
    pub(crate) refuses_pushes: P,
    /// Waits for the registry and gives a fresh connection to it: those from before the window are dead.
    pub(crate) answers: A,
}

/// Runs the whole window.
pub(crate) async fn collect<R>(
    task: &Task<'_>,
    cancel: &Cancel,
    ui: &Ui,
    doors: Doors<impl AsyncFn() -> anyhow::Result<bool>, impl AsyncFn(Duration) -> anyhow::Result<R>>,
) -> (Collection, Option<R>) {
    let Site { engine, container, store, .. } = task.site;
    let before = task.site.size().await;
    let progress = ui.spinner("Collecting garbage");
    let demand = demand(task.kept);
    let opening = Opening { registry: container, store, manner: task.manner, quiet: task.quiet, cancel };
    let work = async |window: &Window<'_>| {
        let certificate = window.collect(Mode::Dry).await?;
        let sweep = if certify(task.site, &certificate, &demand)? == Certified::NothingToCollect
            || certificate.output.eligible().is_empty()
        {
            None
        } else {
            Some(window.collect(Mode::Real).await?)
        };
        let tidied = tidy(task, window).await;
        let tidied = if sweep.is_some() { tidied.context(SWEPT)? } else { tidied? };
        Ok(Swept { certificate, sweep, tidied })
    };
    let window = engine.with_window(&opening, doors.refuses_pushes, work);
    let maintained = match Box::pin(window).await {
        Ok(maintained) => maintained,
        Err(error) => return (Collection::Failed(error), None),
    };
    drop(progress);
    if let Some(Err(error)) = &maintained.forgotten {
        ui.error(error);
    }
    let failed = if maintained.has_swept { Collection::CutShort } else { Collection::Failed };
    let before_that = match &maintained.result {
        Err(error) => Some(format!("before that: {error:#}")),
        Ok(Swept { sweep: Some(_), .. }) => Some(format!("before that {SWEPT}")),
        Ok(_) => None,
    };
    let restored = match maintained.restored {
        Ok(restored) => restored,
        Err(down) => {
            let down = before_that.into_iter().fold(down, Failure::hint);
            return (failed(down.into()), None);
        }
    };
    let progress = ui.spinner("Waiting for the registry");
    let registry = match (doors.answers)(ANSWERS_WITHIN).await {
        Ok(registry) => registry,
        Err(error) => {
            let name = &container.name;
            let down = Failure::new(
                Kind::LeftDown,
                format!("the registry's container `{name}` was started, but the registry does not answer"),
            )
            .hint(format!("see why with `docker logs --tail 50 {name}`"));
            let down = before_that.into_iter().fold(down, Failure::hint);
            return (failed(error.context(down)), None);
        }
    };
    drop(progress);
    let service = Service::between(&restored, Instant::now());
    let swept = match maintained.result {
        Ok(swept) => swept,
        Err(error) => return (failed(error), Some(registry)),
    };
    let after = task.site.size().await;
    let forgotten = maintained.forgotten.map(|forgotten| forgotten.map_err(|error| error.to_string()));
    let collection = match report(task, &swept) {
        Ok(collected) => {
            Collection::Done(Box::new(Collected { before, after, service, forgotten, ..collected }))
        }
        Err(error) => failed(error),
    };
    (collection, Some(registry))
}

impl Service {
    /// Of a registry that was put back and answered at `answered`.
    fn between(restored: &Restored, answered: Instant) -> Self {
        let Some(stopped) = restored.stopped else { return Self::default() };
        match restored.stood_in {
            None => Self { interruptions: vec![answered - stopped], read_only: None },
            Some((since, until)) => Self {
                interruptions: vec![since - stopped, answered - until],
                read_only: Some(until - since),
            },
        }
    }
}

/// What the collector has left, looked for with the registry in service; what is not known is not counted.
pub(crate) async fn leftovers(task: &Task<'_>) -> Counts {
    let (Manner::Offline | Manner::ReadOnly, Some(root)) = (task.manner, task.site.root()) else {
        return Counts::default();
    };
    let listing = task.site.engine.list_store(&task.site.container.id, root).await;
    listing.map_or_else(
        |_| Counts::default(),
        |listing| leftovers::plan(&listing, task.kept, task.uploads_older_than).counts,
    )
}

/// Removes what the collector leaves. That it cannot be done is no failure of the collection.
async fn tidy(task: &Task<'_>, window: &Window<'_>) -> anyhow::Result<Tidied> {
    let mut tidied = Tidied::default();
    let root = match (task.site.root(), window.cannot_tidy()) {
        (Some(root), None) => root,
        (None, _) => {
            tidied.left.push("what a collection leaves, since the store is not on files".to_owned());
            return Ok(tidied);
        }
        (Some(_), Some(why)) => {
            tidied.left.push(why.to_owned());
            return Ok(tidied);
        }
    };
    let removed = async {
        let leftovers = leftovers::plan(&window.list_store(root).await?, task.kept, task.uploads_older_than);
        tidied.left.clone_from(&leftovers.odd);
        if !leftovers.is_empty() {
            window.remove(root, &leftovers).await?;
        }
        tidied.counts = leftovers.counts;
        anyhow::Ok(())
    };
    match removed.await {
        Err(error) if error::failure_in(&error).is_some() => return Err(error),
        Err(error) => tidied.failed = Some(format!("{error:#}")),
        Ok(()) => {}
    }
    Ok(tidied)
}

fn demand(kept: &Holdings) -> Demand {
    Demand { manifests: kept.manifests.clone(), blobs: kept.all_blobs().into_iter().cloned().collect() }
}

/// The refusal where the collector stopped at a manifest that is not what it should be, and what mends it: the registry
/// keeps a file that it has, so pushing the image again is not enough.
pub(crate) fn broken_manifest(site: &Site, dry: &CollectorRun) -> Option<Failure> {
    let (repository, digest) = dry.stopped_at()?;
    let name = &site.container.name;
    let failure = Failure::refused(format!(
        "nothing was collected: the collector stopped at the manifest {digest} of `{repository}`, whose content in the store is broken"
    ));
    Some(match site.root() {
        Some(root) => failure.hint(format!(
            "`docker exec {name} rm {}` and `docker restart {name}`; if the image is needed, push it again then",
            path_of(root, &digest)
        )),
        None => failure.hint("remove its content from the store; if the image is needed, push it again then"),
    })
}

/// The certificate: without it nothing is swept.
fn certify(site: &Site, dry: &CollectorRun, demand: &Demand) -> anyhow::Result<Certified> {
    if let Some(broken) = broken_manifest(site, dry) {
        return Err(broken.into());
    }
    certificate::check(dry, demand).map_err(|violations| {
        let mut evidence: Vec<String> =
            violations.iter().take(SHOWN_VIOLATIONS).map(|violation| format!("\n  - {violation}")).collect();
        if violations.len() > SHOWN_VIOLATIONS {
            evidence.push(format!("\n  - and {} more", violations.len() - SHOWN_VIOLATIONS));
        }
        Failure::refused(format!(
            "nothing was collected: the collector's dry run does not spare everything that is kept:{}",
            evidence.concat()
        ))
        .hint("`docker registry verify` says what is wrong in the registry; a stray file beginning with `_` among its repositories, or a repository without `_layers`, makes the collector blind")
        .into()
    })
}

fn report(task: &Task<'_>, swept: &Swept) -> anyhow::Result<Collected> {
    let marked = swept.certificate.output.summary().map_or(0, |summary| summary.marked);
    let eligible = swept.certificate.output.eligible();
    let mut remarks = Vec::new();
    if let Some(sweep) = &swept.sweep {
        if sweep.exit_code != 0 {
            return Err(Failure::failed(format!(
                "the collector stopped with code {} before its end: {}",
                sweep.exit_code, sweep.stderr
            ))
            .hint("what it had removed until then was garbage; mend the cause and run `docker registry gc`")
            .into());
        }
        if let Agreement::Differs { unannounced, left } =
            certificate::agrees(&swept.certificate.output, &sweep.output)
        {
            remarks.push(format!(
                "The sweep differs from its dry run: {} blobs removed that were not announced, {} announced and left",
                unannounced.len(),
                left.len()
            ));
        }
    }
    let still_needed = task.dead.difference(eligible).count();
    if still_needed > 0 {
        remarks.push(format!(
            "Not collected: {still_needed} of the removed blobs, which other manifests in the store need (without a tag, or pushed or skipped meanwhile)"
        ));
    }
    let removed = match &swept.sweep {
        // The oldest collectors list nothing when they sweep.
        Some(sweep) => eligible.union(sweep.output.eligible()).cloned().collect(),
        None => BTreeSet::new(),
    };
    let content = task.files.map(|files| {
        let blobs: ByteSize =
            removed.iter().filter_map(|digest| files.get(digest)).map(|file| file.size).sum();
        ByteSize(blobs.0 + swept.tidied.counts.bytes.0)
    });
    Ok(Collected {
        container: task.site.container.name.clone(),
        mode: task.manner.name(),
        marked,
        content,
        swept: removed,
        beyond_plan: eligible.iter().filter(|digest| !task.dead.contains(*digest)).cloned().collect(),
        remarks,
        tidied: swept.tidied.clone(),
        before: None,
        after: None,
        forgotten: None,
        service: Service::default(),
    })
}
