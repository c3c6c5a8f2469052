//! Collects the garbage: the collector runs dry first, and only what its output certifies is swept. Then the registry
//! is awaited, so that the run ends with a registry that answers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cancel::Cancel;
use crate::certificate::{self, Agreement, Certified, CollectorRun, Demand};
use crate::engine::{Manner, Mode};
use crate::error::{Failure, Kind};
use crate::model::{Digest, Holdings};
use crate::outcome::{Collected, Collection};
use crate::site::Site;
use crate::ui::Ui;

/// Evidence is shown up to this number of lines.
const SHOWN_VIOLATIONS: usize = 10;
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);

/// What a collection is told.
pub(crate) struct Task<'a> {
    pub(crate) site: &'a Site,
    pub(crate) manner: Manner,
    pub(crate) kept: &'a Holdings,
    /// What the plan itself left without a holder.
    pub(crate) dead: &'a BTreeSet<Digest>,
}

/// What the dry run and the sweep said.
struct Swept {
    certificate: CollectorRun,
    sweep: Option<CollectorRun>,
}

/// Asks the collector what it would remove, with the registry in service. Nothing is changed.
pub(crate) async fn survey(task: &Task<'_>, cancel: &Cancel) -> anyhow::Result<CollectorRun> {
    let Site { engine, container, store, .. } = task.site;
    let window = engine
        .with_window(container, store, Manner::Live, cancel, async |window| window.collect(Mode::Dry).await);
    let surveyed = Box::pin(window).await?;
    surveyed.result
}

/// Runs the whole window. `answers` waits for the registry and gives a fresh connection to it: those from before the
/// window are dead.
pub(crate) async fn collect<R>(
    task: &Task<'_>,
    cancel: &Cancel,
    ui: &Ui,
    answers: impl AsyncFn(Duration) -> anyhow::Result<R>,
) -> (Collection, Option<R>) {
    let Site { engine, container, store, .. } = task.site;
    let before = task.site.size().await;
    let progress = ui.spinner("Collecting garbage");
    let demand = demand(task.kept);
    let window = engine.with_window(container, store, task.manner, cancel, async |window| {
        let certificate = window.collect(Mode::Dry).await?;
        if certify(&certificate, &demand)? == Certified::NothingToCollect
            || certificate.output.eligible().is_empty()
        {
            return Ok(Swept { certificate, sweep: None });
        }
        let sweep = window.collect(Mode::Real).await;
        let sweep = sweep
            .context("what the collector removed until then was garbage; how much it was is not known")?;
        Ok(Swept { certificate, sweep: Some(sweep) })
    });
    let maintained = match Box::pin(window).await {
        Ok(maintained) => maintained,
        Err(error) => return (Collection::Failed(error), None),
    };
    drop(progress);
    let restored = match maintained.restored {
        Ok(restored) => restored,
        Err(down) => {
            let during = maintained
                .result
                .err()
                .map_or_else(String::new, |error| format!(" (before that: {error:#})"));
            let down = if during.is_empty() {
                down
            } else {
                down.context(format!("the registry is not back{during}"))
            };
            return (Collection::Failed(down), None);
        }
    };
    let progress = ui.spinner("Waiting for the registry");
    let asked = Instant::now();
    let registry = match answers(ANSWERS_WITHIN).await {
        Ok(registry) => registry,
        Err(error) => {
            let name = &container.name;
            let down = Failure::new(
                Kind::LeftDown,
                format!("the registry's container `{name}` was started, but the registry does not answer"),
            )
            .hint(format!("see why with `docker logs --tail 50 {name}`"));
            return (Collection::Failed(error.context(down)), None);
        }
    };
    drop(progress);
    let swept = match maintained.result {
        Ok(swept) => swept,
        Err(error) => return (Collection::Failed(error), Some(registry)),
    };
    let interruption = (!restored.interruption.is_zero()).then(|| restored.interruption + asked.elapsed());
    let after = task.site.size().await;
    let collection = match report(task, &swept) {
        Ok(collected) => Collection::Done(Collected { before, after, interruption, ..collected }),
        Err(error) => Collection::Failed(error),
    };
    (collection, Some(registry))
}

fn demand(kept: &Holdings) -> Demand {
    Demand { manifests: kept.manifests.clone(), blobs: kept.all_blobs().into_iter().cloned().collect() }
}

/// The certificate: without it nothing is swept.
fn certify(dry: &CollectorRun, demand: &Demand) -> anyhow::Result<Certified> {
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
    let removed = if swept.sweep.is_some() { eligible.len() } else { 0 };
    Ok(Collected {
        container: task.site.container.name.clone(),
        mode: match task.manner {
            Manner::Stopped => "offline",
            Manner::Live => "live",
        },
        marked,
        swept: removed as u64,
        beyond_plan: eligible.iter().filter(|digest| !task.dead.contains(*digest)).cloned().collect(),
        remarks,
        before: None,
        after: None,
        interruption: None,
    })
}
