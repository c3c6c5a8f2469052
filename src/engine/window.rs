//! The bracket around a collection: the registry is stopped, the work is done, and whatever came of it (an error, a
//! panic, a cancelled run, a lost answer of the stop request) the registry is started again.
//!
//! There is no asynchronous `Drop`, so the bracket is a function. What a killed process leaves is found by its
//! collectors' labels and put right by `recover`.

use std::any::Any;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt;

use super::collector::{Collectors, LOG_LEVEL, Mode, live_journal};
use super::configuration::{Driver, StoreConfiguration};
use super::find::looks_like_registry;
use super::lifecycle::left_down;
use super::{Engine, RegistryContainer};
use crate::cancel::Cancel;
use crate::certificate::CollectorRun;
use crate::error::{Failure, Kind};

/// How the collector runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// In a one-off container, while the registry is stopped.
    Stopped,
    /// In the running registry, which is restarted afterwards. Nothing then keeps a push from being damaged.
    Live,
}

/// What came of the work, and of putting the registry back. One may have failed without the other.
#[derive(Debug)]
pub(crate) struct Maintained<T> {
    pub(crate) result: Result<T>,
    pub(crate) restored: Result<Restored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restored {
    /// From asking it to stop until the engine said that it runs; zero if it never had to stop.
    pub(crate) interruption: Duration,
}

/// The time between the brackets: the only place from which a collector can be run.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    engine: &'a Engine,
    registry: &'a RegistryContainer,
    store: &'a StoreConfiguration,
    cancel: &'a Cancel,
    /// `None`: live.
    collectors: Option<&'a Collectors>,
    has_swept: Cell<bool>,
}

impl Window<'_> {
    pub(crate) async fn collect(&self, mode: Mode) -> Result<CollectorRun> {
        if self.cancel.is_cancelled() {
            return Err(interrupted());
        }
        if mode == Mode::Real && self.collectors.is_none() {
            self.engine.create_live_journal(self.registry, self.store).await?;
        }
        self.has_swept.set(self.has_swept.get() || mode == Mode::Real);
        match self.collectors {
            Some(collectors) => {
                self.require_stopped().await?;
                let run = self.engine.run_collector(collectors.name(mode), self.cancel).await?;
                self.require_stopped().await?;
                Ok(run)
            }
            None => self.collect_live(mode).await,
        }
    }

    /// Nobody may write while a collector looks: not even a registry that somebody else has started.
    async fn require_stopped(&self) -> Result<()> {
        if self.engine.is_running(&self.registry.id).await? {
            return Err(Failure::failed(format!(
                "somebody started the container `{}` during the collection",
                self.registry.name
            ))
            .hint("look for what watches over it (an autostart, a deployment), and verify with `docker registry verify`")
            .into());
        }
        Ok(())
    }

    /// Not cut short when the run is cancelled: the collector in the container would go on.
    async fn collect_live(&self, mode: Mode) -> Result<CollectorRun> {
        let registry = self.registry;
        let mut command = vec![registry.command.binary.as_str()];
        command.extend(mode.arguments(registry.configuration_path()?));
        let mut run = CollectorRun::default();
        let on_line = |line: &str| run.output.read_line(line);
        let finished = self.engine.exec(&registry.id, &command, &[LOG_LEVEL], on_line).await?;
        run.exit_code = finished.exit_code;
        run.stderr = finished.stderr;
        Ok(run)
    }
}

impl Engine {
    /// `Err`: the registry was not touched. `Ok`: `work` ran, or stopping failed; both results say how it ended.
    pub(crate) async fn with_window<T>(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
        cancel: &Cancel,
        work: impl AsyncFnOnce(&Window<'_>) -> Result<T>,
    ) -> Result<Maintained<T>> {
        self.refuse_unfit(registry, store, manner).await?;
        if cancel.is_cancelled() {
            return Err(interrupted());
        }
        match manner {
            Manner::Stopped => self.while_stopped(registry, store, cancel, work).await,
            Manner::Live => Ok(self.while_live(registry, store, cancel, work).await),
        }
    }

    /// Whether a window can be opened at all, to be asked before anything is deleted for a collection.
    pub(crate) async fn refuse_unfit(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
    ) -> Result<()> {
        if let Some(refusal) = registry.refusal() {
            return Err(refusal.into());
        }
        registry.configuration_path()?;
        if let Driver::Filesystem { root } = &store.driver
            && manner == Manner::Stopped
            && !registry.is_on_a_mount(root)
        {
            return Err(Failure::refused(format!(
                "the store {root} is neither on a volume nor on a bind mount of the container `{}`: \
                     no other container can reach it",
                registry.name
            ))
            .hint("`--gc-mode live` collects inside the running registry; nobody may push meanwhile")
            .into());
        }
        self.refuse_other_writers(registry, store).await?;
        self.refuse_hazards(registry, store).await
    }

    async fn while_stopped<T>(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        cancel: &Cancel,
        work: impl AsyncFnOnce(&Window<'_>) -> Result<T>,
    ) -> Result<Maintained<T>> {
        let collectors = Collectors::create(self, registry, store).await?;
        let window = Window {
            engine: self,
            registry,
            store,
            cancel,
            collectors: Some(&collectors),
            has_swept: Cell::new(false),
        };
        // The bracket opens before the request to stop is sent: its answer may be lost while it takes effect.
        let opened = Instant::now();
        let result = caught(async {
            self.stop(&registry.id).await?;
            work(&window).await
        })
        .await;
        let restored = self.put_back(registry, &collectors, window.has_swept.get()).await;
        let restored = restored.map(|()| Restored { interruption: opened.elapsed() });
        Ok(Maintained { result, restored: restored.map_err(Into::into) })
    }

    /// No collector may be at work when the registry starts, so the one that may be goes first. The other one stays until
    /// the registry is back: a run that is killed in between is recovered from it.
    async fn put_back(
        &self,
        registry: &RegistryContainer,
        collectors: &Collectors,
        has_swept: bool,
    ) -> Result<(), Failure> {
        const PAUSES: [u64; 5] = [0, 1, 3, 6, 12];
        let (at_work, journal) = if has_swept { (Mode::Real, Mode::Dry) } else { (Mode::Dry, Mode::Real) };
        let mut reason = None;
        for pause in PAUSES {
            self.pace.pause(Duration::from_secs(pause)).await;
            match self.remove_collector(collectors.name(at_work)).await {
                Ok(()) => {
                    if has_swept {
                        self.start_afresh(&registry.name, &registry.id).await?;
                    } else {
                        self.start_again(&registry.name, &registry.id).await?;
                    }
                    self.tidy(collectors.name(journal)).await;
                    return Ok(());
                }
                Err(error) => reason = Some(error),
            }
        }
        if self.may_be_at_work(collectors).await {
            let reason = reason.map_or_else(String::new, |error| format!("{error:#}"));
            let names = [Mode::Dry, Mode::Real].map(|mode| collectors.name(mode)).join(" ");
            let name = &registry.name;
            return Err(left_down(name, &reason).hint(format!(
                "`docker rm -f {names} && docker start {name}` ends the collection and starts it"
            )));
        }
        // They have ended; that they are still there is only untidy.
        self.start_again(&registry.name, &registry.id).await
    }

    /// What cannot be removed is only untidy: the next run removes it.
    async fn tidy(&self, name: &str) {
        const PAUSES: [u64; 3] = [0, 1, 3];
        for pause in PAUSES {
            self.pace.pause(Duration::from_secs(pause)).await;
            if self.remove_collector(name).await.is_ok() {
                return;
            }
        }
    }

    async fn may_be_at_work(&self, collectors: &Collectors) -> bool {
        for mode in [Mode::Dry, Mode::Real] {
            let Ok(found) = self.inspect(collectors.name(mode)).await else {
                return true;
            };
            if found.and_then(|found| found.state).is_some_and(|state| state.running == Some(true)) {
                return true;
            }
        }
        false
    }

    async fn while_live<T>(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        cancel: &Cancel,
        work: impl AsyncFnOnce(&Window<'_>) -> Result<T>,
    ) -> Maintained<T> {
        let window =
            Window { engine: self, registry, store, cancel, collectors: None, has_swept: Cell::new(false) };
        let result = caught(work(&window)).await;
        let restored = if window.has_swept.get() {
            let restarted = self.restart(registry).await;
            if restarted.is_ok() {
                self.tidy(&live_journal(registry)).await;
            }
            restarted
        } else {
            Ok(Restored { interruption: Duration::ZERO })
        };
        Maintained { result, restored }
    }

    /// The process that served during a collection must not go on: it remembers blobs that are gone.
    async fn restart(&self, registry: &RegistryContainer) -> Result<Restored> {
        let asked = Instant::now();
        let stopped = self.stop(&registry.id).await;
        self.start_again(&registry.name, &registry.id).await?;
        let restored = Restored { interruption: asked.elapsed() };
        let same_process = match self.inspect(&registry.id).await? {
            Some(found) => {
                found.state.and_then(|state| state.started_at).as_ref() == Some(&registry.started_at)
            }
            None => true,
        };
        if same_process {
            let reason = stopped.err().unwrap_or_else(|| anyhow!("the same process still runs"));
            return Err(reason.context(
                Failure::failed(format!("the registry's container `{}` was not restarted", registry.name))
                    .hint(format!(
                        "`docker restart {}` before anything is pushed: it remembers blobs that are gone",
                        registry.name
                    )),
            ));
        }
        Ok(restored)
    }

    /// A second registry on the same files would write while this one is stopped.
    async fn refuse_other_writers(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        let Driver::Filesystem { root } = &store.driver else {
            return Ok(());
        };
        let Some(own) = registry.mount_of(root) else {
            return Ok(());
        };
        for other in self.list(false, None).await.context("look for others who write to the store")? {
            if other.id.as_deref() == Some(&registry.id) {
                continue;
            }
            let is_registry = looks_like_registry(&other);
            let name = super::find::name_of(&other);
            let mounts =
                other.mounts.unwrap_or_default().into_iter().map(super::container::Mount::from_engine);
            if mounts.into_iter().any(|mount| mount.is_writable && mount.shares_files_with(own, is_registry))
            {
                return Err(Failure::refused(format!(
                    "the container `{name}` can write to the store of `{}` and runs",
                    registry.name
                ))
                .hint(format!(
                    "`docker stop {name}` for the time of the collection, or delete only with `--no-gc`"
                ))
                .into());
            }
        }
        Ok(())
    }
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

fn interrupted() -> anyhow::Error {
    Failure::new(Kind::Interrupted, "interrupted before the collection").into()
}
