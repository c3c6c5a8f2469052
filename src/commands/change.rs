//! `prune`, `rm` and `gc`: one flow. Read, plan, show, ask, save, delete, collect, verify, report.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{self, Format, GcMode};
use crate::collect::{self, Task};
use crate::confirm::{self, Approved};
use crate::engine::Manner;
use crate::error::{self, Failure};
use crate::execute::execute;
use crate::model::{ByteSize, Digest, Holdings, RegistryAddress, Repository, Snapshot};
use crate::outcome::{Collection, Outcome, Verified};
use crate::plan::{self, Plan, Request};
use crate::record;
use crate::reference::Target;
use crate::registry::{DeleteSupport, Registry};
use crate::report::{self, Ended};
use crate::site::Site;
use crate::snapshot::{self, Scope, Wanted};
use crate::verify;

use super::Session;
use super::session::Place;

/// How much has to be read: a collection needs to know everything that is kept.
pub(super) enum Reach {
    Whole,
    Patterns,
    Named(BTreeSet<Repository>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Collects {
    Yes,
    No,
}

/// A command that changes the registry.
pub(super) struct Change {
    pub(super) name: &'static str,
    pub(super) request: Request,
    pub(super) hosts: Vec<RegistryAddress>,
    pub(super) reach: Reach,
    pub(super) collects: Collects,
    pub(super) flags: cli::Change,
    pub(super) window: cli::Window,
    pub(super) access: cli::Access,
    pub(super) output: cli::Output,
}

/// What remains of a plan when it has been carried out.
struct Planned {
    document: Value,
    kept: Holdings,
    freed: ByteSize,
    is_freed_exact: bool,
    blockers: Vec<String>,
    dead: BTreeSet<Digest>,
    has_steps: bool,
}

impl Change {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<u8> {
        let registry = session.registry(&self.hosts, &self.access).await?;
        let place = self.place(session, &registry).await?;
        let mut snapshot = session.unless_cancelled(self.read(session, &registry)).await?;
        if let Place::Here(site) = &place {
            site.check_identity(&snapshot).await?;
        }
        let plan = self.plan(session, &registry, &place, &mut snapshot).await?;
        drop(snapshot);
        self.show(session, &plan);
        if self.flags.dry_run {
            return self.dry_run(session, &place, plan).await;
        }
        if !plan.has_steps() && !self.has_garbage(session, &place, &plan).await? {
            return Ok(self.nothing_to_do(session, &plan));
        }
        let planned = Planned::of(&plan);
        let warning = report::warning(&plan, &self.then(&place));
        let approval = confirm::approve(plan, &warning, session.consent(&self.flags), &session.ui);
        let Some(approved) = session.unless_cancelled(approval).await? else {
            session.ui.say("Nothing was removed.");
            return Ok(0);
        };
        let outcome = self
            .delete(session, &registry, &place, approved, &planned)
            .await?;
        let (collection, registry) = self.collect(session, registry, &place, &planned).await;
        let verified = self.verify(session, &registry, &collection, &planned).await;
        self.report(
            session,
            &registry,
            &planned,
            outcome.as_ref(),
            &collection,
            verified,
        )
    }

    /// The container, found before anything is changed. A run that collects nothing can do without.
    async fn place(&self, session: &Session, registry: &Registry) -> anyhow::Result<Place> {
        let place = session
            .unless_cancelled(session.place(registry, &self.access))
            .await;
        if self.collects == Collects::No {
            return Ok(place.unwrap_or_else(|error| Place::Elsewhere(format!("{error:#}"))));
        }
        let place = place?;
        if let Place::Here(site) = &place {
            if let Some(refusal) = site.container.refusal() {
                return Err(refusal
                    .hint("`--no-gc` deletes without touching the container")
                    .into());
            }
            if let Some(upstream) = &site.store.proxies {
                return Err(Failure::refused(format!(
                    "the registry is a pull-through proxy of {upstream}: it deletes by its own schedule"
                ))
                .hint("set `proxy.ttl` in its configuration to keep what it caches for a shorter time")
                .into());
            }
            for sentence in session
                .unless_cancelled(site.engine.recover(&site.container))
                .await?
            {
                session.ui.say(&sentence);
            }
        }
        Ok(place)
    }

    async fn read(&self, session: &Session, registry: &Registry) -> anyhow::Result<Snapshot> {
        let none = |_: &Repository, _: &_| false;
        let wanted = match &self.request {
            Request::Prune(rules) => {
                let scope = match &self.reach {
                    Reach::Patterns if !rules.patterns.is_empty() => Scope::Matching(&rules.patterns),
                    _ => Scope::Whole,
                };
                let needs_date = |repository: &Repository, tag: &_| rules.needs_date(repository, tag);
                return snapshot::take(
                    registry,
                    &Wanted {
                        scope,
                        digests: Vec::new(),
                        facts: &needs_date,
                    },
                    &session.ui,
                )
                .await;
            }
            Request::Remove(references) => {
                let digests = references.iter().filter_map(|reference| match &reference.target {
                    Target::Digest(digest) => Some((reference.repository.clone(), digest.clone())),
                    Target::Tag(_) | Target::WholeRepository => None,
                });
                let scope = match &self.reach {
                    Reach::Named(names) => Scope::Named(names.clone()),
                    _ => Scope::Whole,
                };
                Wanted {
                    scope,
                    digests: digests.collect(),
                    facts: &none,
                }
            }
            Request::Collect => Wanted {
                scope: Scope::Whole,
                digests: Vec::new(),
                facts: &none,
            },
        };
        snapshot::take(registry, &wanted, &session.ui).await
    }

    /// The plan, and whether this registry lets this account carry it out: asked with a digest that no registry has. A
    /// dry run only says what a run would meet.
    async fn plan(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
        snapshot: &mut Snapshot,
    ) -> anyhow::Result<Plan> {
        let now = session.settings.now;
        let plan = plan::make(snapshot, &self.request, now)?;
        let Some(repository) = plan.first_changed().cloned() else {
            return Ok(plan);
        };
        let support = session
            .unless_cancelled(async { Ok(registry.delete_support(&repository).await?) })
            .await?;
        match refusal_to_delete(registry, place, &repository, &support) {
            // How one tag leaves a manifest that stays depends on the server.
            None if plan.has_lone_tags() => {
                let asked =
                    session.unless_cancelled(async { Ok(registry.deletes_tags_by_name(&repository).await?) });
                snapshot.deletes_tags_by_name = asked.await?;
                Ok(plan::make(snapshot, &self.request, now)?)
            }
            None => Ok(plan),
            Some(refusal) if self.flags.dry_run => {
                session.ui.warn(&format!("a run would be refused: {refusal}"));
                refusal
                    .hints
                    .iter()
                    .for_each(|hint| session.ui.say(&format!("hint: {hint}")));
                Ok(plan)
            }
            Some(refusal) => Err(refusal.into()),
        }
    }

    fn show(&self, session: &Session, plan: &Plan) {
        if matches!(self.request, Request::Collect) {
            return;
        }
        let text = report::plan(plan, self.output.verbose);
        match self.output.format {
            Format::Table => session.ui.data(&text),
            Format::Json if self.flags.force => {}
            Format::Json => session.ui.ask(&text),
        }
    }

    /// What a run would do beyond the plan that was shown: what the collector says it would remove.
    async fn dry_run(&self, session: &Session, place: &Place, plan: Plan) -> anyhow::Result<u8> {
        let planned = Planned::of(&plan);
        if let (Place::Here(site), false) = (place, plan.has_steps()) {
            let survey = session
                .unless_cancelled(collect::survey(&self.task(site, &planned), &session.cancel))
                .await?;
            let eligible = survey.output.eligible().len();
            session.ui.say(&format!(
                "The collector would remove {eligible} blobs that nothing refers to."
            ));
        }
        if self.output.format == Format::Json {
            session.ui.data(&format!(
                "{:#}\n",
                report::json::run(self.name, plan.registry.host(), planned.document, None, 0)
            ));
        } else {
            session.ui.say("Dry run: nothing was changed.");
        }
        Ok(0)
    }

    /// Whether a run without deletions has anything to collect: the registry is not stopped to find out.
    async fn has_garbage(&self, session: &Session, place: &Place, plan: &Plan) -> anyhow::Result<bool> {
        let (Place::Here(site), Collects::Yes) = (place, self.collects) else {
            return Ok(false);
        };
        let planned = Planned::of(plan);
        if let Some(refusal) = blocked(&planned.blockers) {
            return Err(refusal.into());
        }
        let survey = session
            .unless_cancelled(collect::survey(&self.task(site, &planned), &session.cancel))
            .await?;
        // What cannot be surveyed while it is in service is looked at again with the registry stopped.
        Ok(survey.output.summary().is_none_or(|summary| summary.blobs > 0) && !survey.found_no_store())
    }

    fn nothing_to_do(&self, session: &Session, plan: &Plan) -> u8 {
        let collection = match self.collects {
            Collects::Yes => Collection::NothingToCollect,
            Collects::No => Collection::NotAsked,
        };
        let ended = Ended {
            outcome: None,
            collection: &collection,
            verified: None,
            freed: plan.freed,
            is_freed_exact: plan.is_freed_exact,
        };
        match self.output.format {
            Format::Json => {
                let document = report::json::run(
                    self.name,
                    plan.registry.host(),
                    report::json::plan(plan),
                    Some(&ended),
                    0,
                );
                session.ui.data(&format!("{document:#}\n"));
            }
            Format::Table => session.ui.data(&report::ended(&ended)),
        }
        0
    }

    fn then(&self, place: &Place) -> String {
        match (self.collects, place) {
            (Collects::Yes, Place::Here(site)) => {
                let name = &site.container.name;
                match self.window.gc_mode {
                    GcMode::Offline => {
                        format!("all garbage; the container `{name}` is stopped for it and started again")
                    }
                    GcMode::Live => format!(
                        "all garbage, while `{name}` goes on serving; then it is restarted. WHAT IS PUSHED MEANWHILE CAN BE DAMAGED"
                    ),
                }
            }
            _ => String::new(),
        }
    }

    async fn delete(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
        approved: Approved,
        planned: &Planned,
    ) -> anyhow::Result<Option<Outcome>> {
        if !planned.has_steps {
            return Ok(None);
        }
        let saved = record::save(
            approved.plan(),
            session.settings.state_directory.as_deref(),
            session.settings.now,
        )?;
        session
            .ui
            .debug(|| format!("saved what is deleted to {}", saved.display()));
        let site = match place {
            Place::Here(site) => Some(&**site),
            Place::Elsewhere(_) => None,
        };
        Ok(Some(
            execute(approved, registry, site, &session.cancel, &session.ui).await,
        ))
    }

    fn task<'a>(&self, site: &'a Site, planned: &'a Planned) -> Task<'a> {
        let manner = match self.window.gc_mode {
            GcMode::Offline => Manner::Stopped,
            GcMode::Live => Manner::Live,
        };
        Task {
            site,
            manner,
            kept: &planned.kept,
            dead: &planned.dead,
        }
    }

    /// The collection, and the connection to the registry that is good afterwards.
    async fn collect(
        &self,
        session: &Session,
        registry: Registry,
        place: &Place,
        planned: &Planned,
    ) -> (Collection, Registry) {
        let site = match (self.collects, place) {
            (Collects::No, _) => return (Collection::NotAsked, registry),
            (Collects::Yes, Place::Elsewhere(why)) => return (Collection::NotHere(why.clone()), registry),
            (Collects::Yes, Place::Here(site)) => site,
        };
        if let Some(refusal) = blocked(&planned.blockers) {
            return (Collection::Failed(refusal.into()), registry);
        }
        if self.window.gc_mode == GcMode::Live {
            session
                .ui
                .warn("live collection: what is pushed meanwhile can be damaged.");
        }
        let answers = async |within: Duration| self.answers(session, site, registry.address(), within).await;
        let (collection, fresh) =
            collect::collect(&self.task(site, planned), &session.cancel, &session.ui, answers).await;
        (collection, fresh.unwrap_or(registry))
    }

    /// Waits until the registry answers again. A port that the engine chose is another one after each start.
    async fn answers(
        &self,
        session: &Session,
        site: &Site,
        address: &RegistryAddress,
        within: Duration,
    ) -> anyhow::Result<Registry> {
        let asked = Instant::now();
        loop {
            let moved = site.moved_to(address).await;
            match session
                .connect(moved.as_ref().unwrap_or(address), &self.access)
                .await
            {
                Ok(registry) => {
                    if let Some(moved) = moved {
                        session.ui.warn(&format!(
                            "the engine gave the registry another port: it was at {address} and is now at {moved}. \
                             Publish a fixed port (`-p 5000:5000`) to keep its address."
                        ));
                    }
                    return Ok(registry);
                }
                Err(error) if asked.elapsed() > within => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// After a collection everything kept is looked at again.
    async fn verify(
        &self,
        session: &Session,
        registry: &Registry,
        collection: &Collection,
        planned: &Planned,
    ) -> Option<anyhow::Result<Verified>> {
        match collection {
            Collection::Done(_) => Some(
                session
                    .unless_cancelled(verify::compare(registry, &planned.kept, &session.ui))
                    .await,
            ),
            _ => None,
        }
    }

    fn report(
        &self,
        session: &Session,
        registry: &Registry,
        planned: &Planned,
        outcome: Option<&Outcome>,
        collection: &Collection,
        verified: Option<anyhow::Result<Verified>>,
    ) -> anyhow::Result<u8> {
        let (verified, unverified) = match verified {
            Some(Ok(verified)) => (Some(verified), None),
            Some(Err(error)) => (None, Some(error.context("what was kept could not be verified"))),
            None => (None, None),
        };
        let ended = Ended {
            outcome,
            collection,
            verified: verified.as_ref(),
            freed: planned.freed,
            is_freed_exact: planned.is_freed_exact,
        };
        let failure = match collection {
            Collection::Failed(error) => Some(error),
            _ => unverified.as_ref(),
        };
        let exit_code = exit_code(&ended, failure, session.cancel.is_cancelled());
        match self.output.format {
            Format::Json => {
                let host = registry.address().host();
                let document =
                    report::json::run(self.name, host, planned.document.clone(), Some(&ended), exit_code);
                session.ui.data(&format!("{document:#}\n"));
            }
            Format::Table => session.ui.data(&report::ended(&ended)),
        }
        if let Some(error) = failure {
            session.ui.ask(&error::describe(error));
        }
        Ok(exit_code)
    }
}

/// The worst of what happened decides.
fn exit_code(ended: &Ended, failure: Option<&anyhow::Error>, is_cancelled: bool) -> u8 {
    if let Some(error) = failure {
        return error::kind_of(error).exit_code();
    }
    if is_cancelled {
        return error::Kind::Interrupted.exit_code();
    }
    let is_damaged = ended
        .verified
        .is_some_and(|verified| !verified.problems.is_empty())
        || ended.outcome.is_some_and(Outcome::has_vanished);
    match (is_damaged, ended.outcome.is_some_and(Outcome::has_failed)) {
        (true, _) => super::verify::DIFFERS,
        (false, true) => 3,
        (false, false) => 0,
    }
}

fn blocked(blockers: &[String]) -> Option<Failure> {
    if blockers.is_empty() {
        return None;
    }
    let list: String = blockers
        .iter()
        .map(|blocker| format!("\n  - {blocker}"))
        .collect();
    Some(Failure::refused(format!(
        "nothing was collected: what could not be read may need what looks like garbage:{list}"
    )))
}

fn refusal_to_delete(
    registry: &Registry,
    place: &Place,
    repository: &Repository,
    support: &DeleteSupport,
) -> Option<Failure> {
    let address = registry.address();
    match support {
        DeleteSupport::Enabled => None,
        DeleteSupport::ReadOnly => Some(
            Failure::refused(format!(
                "the registry at {address} is in read-only mode: it accepts no deletions"
            ))
            .hint("switch `storage.maintenance.readonly` off and restart it"),
        ),
        DeleteSupport::DisabledOrProxy => {
            if let Place::Here(site) = place
                && let Some(upstream) = &site.store.proxies
            {
                return Some(Failure::refused(format!(
                    "the registry at {address} is a pull-through proxy of {upstream}: it accepts no deletions"
                )));
            }
            Some(
                Failure::refused(format!("the registry at {address} has deletion switched off (or is a pull-through proxy)"))
                    .hint("start it with the environment variable REGISTRY_STORAGE_DELETE_ENABLED=true, or set `storage: {delete: {enabled: true}}` in its configuration, and try again"),
            )
        }
        DeleteSupport::Denied(why) => Some(
            Failure::refused(format!(
                "this account may not delete in `{repository}` at {address}: {why}"
            ))
            .hint(format!("log in with an account that may: docker login {address}")),
        ),
    }
}

impl Planned {
    fn of(plan: &Plan) -> Self {
        let needed: BTreeSet<&Digest> = plan
            .kept
            .all_blobs()
            .into_iter()
            .chain(plan.kept.manifests.values().flatten())
            .collect();
        let dead = plan
            .repositories
            .iter()
            .flat_map(|repository| repository.dead())
            .filter(|digest| !needed.contains(digest))
            .cloned()
            .collect();
        Self {
            document: report::json::plan(plan),
            kept: plan.kept.clone(),
            freed: plan.freed,
            is_freed_exact: plan.is_freed_exact,
            blockers: plan.blockers.clone(),
            dead,
            has_steps: plan.has_steps(),
        }
    }
}
