//! `prune`, `rm` and `gc`: one flow. Read, plan, show, ask, save, delete, collect, verify, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::cli::{self, Format, GcMode};
use crate::collect::{self, Doors, Task};
use crate::confirm::{self, Approved};
use crate::engine::{Manner, Quiet, Usage};
use crate::error::Failure;
use crate::execute::execute;
use crate::model::{Digest, Holdings, RegistryAddress, Repository, Snapshot, StoredFile};
use crate::outcome::{Collection, Outcome};
use crate::plan::{Estimate, Plan, RepositoryPlan, Request};
use crate::policy::review;
use crate::record::{self, Run};
use crate::reference::Pattern;
use crate::registry::Registry;
use crate::report;
use crate::site::Site;
use crate::undo::Contents;

use super::Session;
use super::session::Place;

mod again;
mod dates;
mod ending;
mod limit;
mod reading;
mod ready;
mod rights;
mod saved;
mod stopped;
mod survey;

use ending::verify;

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
    /// Nothing is done but to say why these tags stay or go.
    pub(super) explain: Vec<Pattern>,
    pub(super) request: Request,
    pub(super) hosts: Vec<RegistryAddress>,
    pub(super) reach: Reach,
    pub(super) collects: Collects,
    pub(super) flags: cli::Change,
    pub(super) window: cli::Window,
    pub(super) access: cli::Access,
    pub(super) source: cli::Source,
    pub(super) output: cli::Output,
}

/// What was deleted, and the record that can put it back.
struct Deleted {
    outcome: Outcome,
    run: Run,
}

/// What remains of a plan when it has been carried out.
struct Planned {
    /// Where it is to be printed: it is larger than the plan.
    document: Option<Value>,
    kept: Arc<Holdings>,
    estimate: Estimate,
    /// The files of blobs, where they were seen.
    files: Option<BTreeMap<Digest, StoredFile>>,
    blockers: Vec<String>,
    dead: BTreeSet<Digest>,
    registry: RegistryAddress,
}

impl Change {
    pub(super) async fn run(mut self, session: &Session) -> anyhow::Result<u8> {
        if matches!(self.request, Request::Collect)
            && let Some(site) = session.stopped(&self.hosts, &self.access).await?
        {
            return Box::pin(self.collect_stopped(session, &site)).await;
        }
        let mut registry = match session.registry(&self.hosts, &self.access).await {
            Ok(registry) => registry,
            Err(error) => return Err(session.or_is_stopped(error, &self.access).await),
        };
        let had_recovered = session.has_recovered();
        let (place, usage) = tokio::join!(self.place(session, &registry), self.usage(session));
        let place = place?;
        if session.has_recovered() != had_recovered {
            registry = session.answering(registry.address(), &self.access).await?;
        }
        let mut snapshot = self.read(session, &registry, &place).await?;
        let place = self.certain(session, place, &snapshot).await?;
        // Without rules that remove tags only orphans and manifests without a tag go, and whether there can be any is known
        // now.
        let usage = if usage.is_none() && self.may_remove_garbage(&snapshot) {
            Some(self.images_in_use(session).await)
        } else {
            usage
        };
        self.protect(session, usage)?;
        let dating = Box::pin(self.date(session, &registry, &place, &mut snapshot));
        session.unless_cancelled(dating).await?;
        self.leave_out_what_is_removed(session, &snapshot);
        if let Some(store) = &mut snapshot.store {
            // A large registry has many, and nothing is read any more.
            store.forget_layers();
        }
        let mut plan = self.plan(session, &registry, &place, &mut snapshot).await?;
        if !self.explain.is_empty() {
            return self.tell_why(session, &plan, &snapshot);
        }
        self.remark(session, &snapshot);
        if let (Some(store), true) = (&snapshot.store, self.takes_uploads(&place)) {
            plan.count_uploads(store, self.window.uploads_older_than);
        }
        let contents = Contents::of(&plan, &snapshot);
        let files = snapshot.store.take().map(|store| store.blobs);
        drop(snapshot);
        self.show(session, &plan);
        let exceeded = session.unless_cancelled(self.exceeded(&registry, &plan)).await?;
        if self.flags.dry_run {
            if let Some(refusal) = exceeded {
                session.would_refuse(&refusal);
            }
            return self.dry_run(session, &place, plan).await;
        }
        if let Some(refusal) = exceeded {
            return Err(refusal.into());
        }
        if plan.has_steps() {
            self.refuse_unfit(session, &registry, &place, &plan.kept).await?;
        } else if !self.has_garbage(session, &place, &plan).await? {
            return Ok(self.nothing_to_do(session, &plan, &place));
        }
        let planned = Planned { files, ..Planned::of(&plan, self.output.format) };
        let warning = report::warning(&plan, &self.then(&place));
        let approval = confirm::approve(plan, &warning, session.consent(&self.flags), &session.ui);
        let Some(approved) = session.unless_cancelled(approval).await? else {
            session.ui.say("Nothing was removed.");
            return Ok(0);
        };
        let deleted = self.delete(session, &registry, &place, approved, contents).await?;
        let (collection, back) = self.collect(session, &registry, &place, &planned).await;
        self.mark_collected(session, &planned, &collection);
        let verified = match back {
            Some(registry) => {
                let site = place.site().filter(|_| planned.files.is_some());
                Some(verify(session, &registry, site, &planned.kept).await)
            }
            None => None,
        };
        session
            .ui
            .debug(|| format!("{} requests to the registry before the collection", registry.requests()));
        Ok(self.report(session, planned, deleted.as_ref(), &collection, verified))
    }

    /// Which images the engine's containers and services use; only asked where rules remove tags.
    async fn usage(&self, session: &Session) -> Option<anyhow::Result<Usage>> {
        match &self.request {
            Request::Prune(policy) if policy.removes_tags() => Some(self.images_in_use(session).await),
            _ => None,
        }
    }

    fn may_remove_garbage(&self, snapshot: &Snapshot) -> bool {
        matches!(self.request, Request::Prune(_))
            && (snapshot.has_absent_subjects() || snapshot.store.is_some())
    }

    async fn images_in_use(&self, session: &Session) -> anyhow::Result<Usage> {
        session.unless_cancelled(async { session.engine().await?.images_in_use().await }).await
    }

    fn protect(&mut self, session: &Session, usage: Option<anyhow::Result<Usage>>) -> anyhow::Result<()> {
        match (&mut self.request, usage) {
            (Request::Prune(policy), Some(Ok(usage))) => {
                super::policy::add_in_use(policy, usage, &session.ui)
            }
            (_, Some(Err(error))) if self.collects == Collects::Yes => Err(error),
            (_, Some(Err(_))) => {
                session.ui.warn("the engine cannot be reached: what its containers use is not protected.");
                Ok(())
            }
            (_, Some(Ok(_)) | None) => Ok(()),
        }
    }

    fn tell_why(&self, session: &Session, plan: &Plan, snapshot: &Snapshot) -> anyhow::Result<u8> {
        let text = report::explain::explain(plan, snapshot, &self.explain, session.settings.now);
        if text.is_empty() {
            return Err(Failure::failed("no tag matches what is to be explained")
                .hint(format!("`docker registry ls {}` lists what there is", plan.registry))
                .into());
        }
        session.ui.data(&text);
        Ok(0)
    }

    /// What a person should know of the policy, now that it has met the registry.
    fn remark(&self, session: &Session, snapshot: &Snapshot) {
        if let Request::Prune(policy) = &self.request {
            for remark in review::remarks(policy, snapshot, session.settings.now) {
                session.ui.warn(&format!("{remark}."));
            }
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
            Format::Json => session.ui.talk(&text),
        }
    }

    fn then(&self, place: &Place) -> String {
        match (self.collects, place) {
            (Collects::Yes, Place::Here(site)) => {
                let name = &site.container.name;
                match self.window.gc_mode {
                    GcMode::Offline => {
                        format!(
                            "all garbage, repositories without images and uploads unfinished for {}; \
                             the container `{name}` is stopped for it and started again",
                            self.window.uploads_older_than
                        )
                    }
                    GcMode::ReadOnly => format!(
                        "all garbage; meanwhile a read-only stand-in serves pulls in place of the container `{name}`, which is stopped for it and started again"
                    ),
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
        mut contents: Contents,
    ) -> anyhow::Result<Option<Deleted>> {
        if !approved.plan().has_steps() {
            return Ok(None);
        }
        let site = place.site();
        saved::complete(&mut contents, approved.plan(), site, registry, &session.ui).await;
        let directory = session.settings.state_directory.as_deref();
        let run = record::save(approved.plan(), &contents, self.name, directory, session.settings.now)?;
        drop(contents);
        session.ui.debug(|| format!("saved what is deleted as the run {}", run.name));
        let outcome = execute(approved, registry, site, &session.cancel, &session.ui).await;
        Ok(Some(Deleted { outcome, run }))
    }

    fn task<'a>(&self, session: &'a Session, site: &'a Site, planned: &'a Planned) -> Task<'a> {
        Task {
            site,
            manner: self.manner(),
            kept: &planned.kept,
            dead: &planned.dead,
            quiet: self.quiet(session),
            uploads_older_than: self.window.uploads_older_than,
            files: planned.files.as_ref(),
        }
    }

    fn quiet<'a>(&self, session: &'a Session) -> Quiet<'a> {
        let now = session.settings.now;
        let wait = self.window.wait.map(|age| now.duration_since(age.before(now)).unsigned_abs());
        Quiet::new(wait, &session.ui)
    }

    /// Whether uploads that nobody goes on with are removed too: not while the registry serves.
    fn takes_uploads(&self, place: &Place) -> bool {
        self.collects == Collects::Yes
            && matches!(place, Place::Here(_))
            && self.window.gc_mode != GcMode::Live
    }

    fn manner(&self) -> Manner {
        match self.window.gc_mode {
            GcMode::Offline => Manner::Offline,
            GcMode::ReadOnly => Manner::ReadOnly,
            GcMode::Live => Manner::Live,
        }
    }

    /// The collection and, if there was one, a connection to the registry that is back in service.
    async fn collect(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
        planned: &Planned,
    ) -> (Collection, Option<Registry>) {
        let site = match (self.collects, place) {
            (Collects::No, _) => return (Collection::NotAsked, None),
            (Collects::Yes, Place::Elsewhere(why)) => return (Collection::NotHere(why.clone()), None),
            (Collects::Yes, Place::Here(site)) => site,
        };
        if let Some(refusal) = survey::blocked(&planned.blockers) {
            return (Collection::Failed(refusal.into()), None);
        }
        if self.window.gc_mode == GcMode::Live {
            session.ui.warn("live collection: what is pushed meanwhile can be damaged.");
        }
        let doors = Doors {
            refuses_pushes: async || self.refuses_pushes(session, registry.address(), &planned.kept).await,
            answers: async |within| self.answers(session, site, registry.address(), within).await,
        };
        collect::collect(&self.task(session, site, planned), &session.cancel, &session.ui, doors).await
    }
}

impl Planned {
    fn of(plan: &Plan, format: Format) -> Self {
        let needed: BTreeSet<&Digest> =
            plan.kept.all_blobs().into_iter().chain(plan.kept.manifests.values().flatten()).collect();
        let dead = plan
            .repositories
            .iter()
            .flat_map(RepositoryPlan::dead)
            .filter(|digest| !needed.contains(digest))
            .cloned()
            .collect();
        Self {
            document: (format == Format::Json).then(|| report::json::plan(plan)),
            kept: Arc::clone(&plan.kept),
            estimate: plan.estimate,
            files: None,
            blockers: plan.blockers.clone(),
            dead,
            registry: plan.registry.clone(),
        }
    }
}
