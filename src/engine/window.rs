//! The bracket around a collection: the registry is stopped, the work is done, and whatever came of it (an error, a
//! panic, a cancelled run, a lost answer of the stop request) the registry is started again.
//!
//! The mode only changes what stands in for the registry meanwhile. There is no asynchronous `Drop`, so the bracket is a
//! function. What a killed process leaves is found in its journal and put right by `recover`.

use std::any::Any;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt;

use super::collector::{LOG_LEVEL, Mode};
use super::configuration::StoreConfiguration;
use super::journal::Journal;
use super::put_back::Closing;
use super::quiet::Quiet;
use super::redis;
use super::{Engine, RegistryContainer};
use crate::cancel::Cancel;
use crate::certificate::CollectorRun;
use crate::error::{Failure, Kind};

/// What a sweep has done whose end is not known.
const CUT_SHORT: &str = "what the collector removed until then was garbage; how much it was is not known";

/// How the garbage is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With the registry stopped.
    Offline,
    /// With a stand-in in the registry's place, from which can be pulled.
    ReadOnly,
    /// In the running registry, which is restarted afterwards. Nothing then keeps a push from being damaged.
    Live,
}

impl Manner {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::ReadOnly => "read-only",
            Self::Live => "live",
        }
    }
}

/// What came of the work, and of putting the registry back. One may have failed without the other.
#[derive(Debug)]
pub(crate) struct Maintained<T> {
    pub(crate) result: Result<T>,
    pub(crate) restored: Result<Restored, Failure>,
    /// Whether anything may have been removed from the store.
    pub(crate) has_swept: bool,
    /// How many keys of a cache that outlives the registry were removed; `None` where there is none, or no sweep.
    pub(crate) forgotten: Option<Result<u64>>,
}

/// The moments between which nobody served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restored {
    /// When the registry was asked to stop; `None` if it never was.
    pub(crate) stopped: Option<Instant>,
    /// Since when the stand-in served, and when it was told to end.
    pub(crate) stood_in: Option<(Instant, Instant)>,
}

/// Which registry is to be collected, how, and what may hold that back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) registry: &'a RegistryContainer,
    pub(crate) store: &'a StoreConfiguration,
    pub(crate) manner: Manner,
    pub(crate) quiet: Quiet<'a>,
    pub(crate) cancel: &'a Cancel,
}

/// The time between the brackets: the only place from which anything can be swept.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    pub(super) engine: &'a Engine,
    registry: &'a RegistryContainer,
    store: &'a StoreConfiguration,
    manner: Manner,
    pub(super) cancel: &'a Cancel,
    pub(super) journal: Journal,
    /// Whether the image has what it takes to tidy up, or why that is not known.
    pub(super) tidies: Result<bool>,
    stopped: Cell<Option<Instant>>,
    stands_in: Cell<Option<Instant>>,
    /// Whether a process that serves meanwhile may remember what is gone.
    pub(super) has_swept: Cell<bool>,
    forgotten: Cell<u64>,
}

impl Window<'_> {
    pub(crate) async fn collect(&self, mode: Mode) -> Result<CollectorRun> {
        if self.cancel.is_cancelled() {
            return Err(interrupted());
        }
        // What could not be forgotten is not swept.
        if mode == Mode::Real {
            self.forget().await.map_err(|error| redis::not_collected(&self.registry.name, &error))?;
        }
        if self.manner == Manner::Live {
            return self.collect_live(mode).await;
        }
        self.require_quiet().await?;
        let collector = match mode {
            Mode::Dry => &self.journal.lock,
            Mode::Real => &self.journal.sweep,
        };
        self.has_swept.set(self.has_swept.get() || mode == Mode::Real);
        let run = async {
            let run = self.engine.run_collector(collector, self.cancel).await?;
            self.require_quiet().await?;
            Ok(run)
        };
        match mode {
            Mode::Dry => run.await,
            Mode::Real => run.await.context(CUT_SHORT),
        }
    }

    /// Stops the registry and puts the stand-in into its place.
    async fn open(&self, refuses_pushes: &impl AsyncFn() -> Result<bool>) -> Result<()> {
        if self.manner == Manner::Live || self.registry.is_stopped() {
            return Ok(());
        }
        // Before the request is sent: its answer may be lost while it takes effect.
        self.stopped.set(Some(Instant::now()));
        self.engine.stop(&self.registry.id).await?;
        if self.manner == Manner::ReadOnly && !self.cancel.is_cancelled() {
            self.engine.serve_read_only(&self.journal.stand_in, self.cancel, refuses_pushes).await?;
            self.stands_in.set(Some(Instant::now()));
        }
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        if let Some(redis) = &self.store.redis {
            let removed = self.engine.forget(&self.registry.id, redis).await?;
            self.forgotten.set(self.forgotten.get() + removed);
        }
        Ok(())
    }

    /// Why nothing can be removed from the store beside what the collector removes.
    pub(crate) fn cannot_tidy(&self) -> Option<&'static str> {
        match self.manner {
            Manner::Live => Some("what a collection leaves, since the registry went on serving"),
            _ if matches!(self.tidies, Ok(false)) => {
                Some("what a collection leaves, since there are no tools in the registry's image")
            }
            Manner::Offline | Manner::ReadOnly => None,
        }
    }

    /// Nobody may write while a collector looks: not even a registry that somebody else has started.
    pub(super) async fn require_quiet(&self) -> Result<()> {
        if self.engine.is_running(&self.registry.id).await? {
            return Err(Failure::failed(format!(
                "somebody started the container `{}` during the collection",
                self.registry.name
            ))
            .hint("look for what watches over it (an autostart, a deployment), and verify with `docker registry verify`")
            .into());
        }
        self.engine.refuse_other_writers(self.registry, self.store).await
    }

    async fn collect_live(&self, mode: Mode) -> Result<CollectorRun> {
        if mode == Mode::Real {
            // Its trace in the journal: whoever finds it restarts the registry.
            let Self { engine, registry, store, manner, .. } = self;
            let trace = engine.create_collector(&self.journal.sweep, Some(mode), registry, store, *manner);
            require(trace.await?)?;
            self.has_swept.set(true);
            return self.engine.collect_inside(self.registry, mode).await.context(CUT_SHORT);
        }
        self.engine.collect_inside(self.registry, mode).await
    }
}

impl Engine {
    /// `Err`: the registry was not touched. `Ok`: `work` ran, or stopping failed; both results say how it ended.
    /// `refuses_pushes` looks whether the stand-in can be written to; `false`: it does not answer yet.
    pub(crate) async fn with_window<T>(
        &self,
        opening: &Opening<'_>,
        refuses_pushes: impl AsyncFn() -> Result<bool>,
        work: impl AsyncFnOnce(&Window<'_>) -> Result<T>,
    ) -> Result<Maintained<T>> {
        let &Opening { registry, store, manner, quiet, cancel } = opening;
        self.refuse_unfit(registry, store, manner).await?;
        let quiet = quiet.restarted();
        let tidies = match manner {
            Manner::Live => Ok(false),
            // Nobody can be asked; it is seen when it is tried.
            _ if registry.is_stopped() => Ok(true),
            Manner::Offline | Manner::ReadOnly => self.can_tidy(registry, store).await,
        };
        let journal = loop {
            self.await_quiet(registry, store, manner, &quiet, cancel).await?;
            let journal = self.open_journal(registry, store, manner, matches!(tidies, Ok(true))).await?;
            // Making it took a moment.
            match self.disturbance(registry, store, manner).await {
                Ok(None) => break journal,
                disturbed => {
                    self.remove_journal(&journal).await?;
                    disturbed?;
                }
            }
        };
        let window = Window {
            engine: self,
            registry,
            store,
            manner,
            cancel,
            journal,
            tidies,
            stopped: Cell::new(None),
            stands_in: Cell::new(None),
            has_swept: Cell::new(false),
            forgotten: Cell::new(0),
        };
        let result = caught(async {
            window.open(&refuses_pushes).await?;
            work(&window).await
        })
        .await;
        let closing = Instant::now();
        let has_swept = window.has_swept.get();
        let (name, id, redis) = (registry.name.as_str(), registry.id.as_str(), store.redis.as_ref());
        let was_running = !registry.is_stopped();
        let closed = self.put_back(&Closing { name, id, was_running, has_swept, redis }).await;
        let restored = closed.restored.map(|()| Restored {
            stopped: window.stopped.get().or_else(|| (has_swept && was_running).then_some(closing)),
            stood_in: window.stands_in.get().map(|since| (since, closing)),
        });
        let forgotten = closed.forgotten.map(|forgotten| Ok(forgotten? + window.forgotten.get()));
        Ok(Maintained { result, restored, has_swept, forgotten })
    }

    /// What the collector would remove, asked in the running registry. Nothing is changed, so nobody is locked out.
    pub(crate) async fn survey(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<CollectorRun> {
        self.refuse_unfit(registry, store, Manner::Live).await?;
        self.collect_inside(registry, Mode::Dry).await
    }

    /// Everything that will be needed, made while the registry still serves: what can fail fails now.
    async fn open_journal(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
        tidies: bool,
    ) -> Result<Journal> {
        let journal = Journal::of(&registry.id);
        if !self.create_collector(&journal.lock, Some(Mode::Dry), registry, store, manner).await? {
            return Err(self.locked_by(registry).await.into());
        }
        let rest = async {
            let mut made = vec![&journal.lock];
            if manner != Manner::Live {
                let sweep = self.create_collector(&journal.sweep, Some(Mode::Real), registry, store, manner);
                require(sweep.await?)?;
                made.push(&journal.sweep);
            }
            if tidies {
                require(self.create_collector(&journal.tidy, None, registry, store, manner).await?)?;
            }
            if manner == Manner::ReadOnly {
                require(self.create_stand_in(&journal.stand_in, registry).await?)?;
                made.push(&journal.stand_in);
            }
            if manner != Manner::Live {
                self.give_configuration(registry, &made).await?;
            }
            Ok(())
        };
        match rest.await {
            Ok(()) => Ok(journal),
            Err(error) => {
                self.remove_journal(&journal).await?;
                Err(error)
            }
        }
    }

    /// A file that was copied into the registry's container, or edited there, is not part of its image.
    async fn give_configuration(&self, registry: &RegistryContainer, containers: &[&String]) -> Result<()> {
        let path = registry.configuration_path()?;
        let Some(theirs) = self.read_file(&registry.id, path).await? else { return Ok(()) };
        for name in containers {
            if self.read_file(name, path).await?.as_ref() != Some(&theirs) {
                self.write_file(name, path, &theirs).await?;
            }
        }
        Ok(())
    }

    /// Not cut short when the run is cancelled: the collector in the container would go on.
    async fn collect_inside(&self, registry: &RegistryContainer, mode: Mode) -> Result<CollectorRun> {
        let mut command = vec![registry.command.binary.as_str()];
        command.extend(mode.arguments(registry.configuration_path()?));
        let mut run = CollectorRun::default();
        let on_line = |line: &str| run.output.read_line(line);
        let finished = self.exec(&registry.id, &command, &[LOG_LEVEL], on_line).await?;
        run.exit_code = finished.exit_code;
        run.stderr = finished.stderr;
        Ok(run)
    }
}

/// The lock is ours, so the other names can only be taken by what somebody left.
fn require(is_made: bool) -> Result<()> {
    if is_made {
        return Ok(());
    }
    Err(Failure::refused("a container of an earlier collection is in the way")
        .hint("`docker registry recover` removes what an interrupted run left")
        .into())
}

/// Runs to the end; a panic becomes an error, so that what follows is done.
async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(anyhow!("internal error: {}", panic_text(panic.as_ref()))))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

pub(super) fn interrupted() -> anyhow::Error {
    Failure::new(Kind::Interrupted, "interrupted").into()
}
