//! The end of a maintenance: whatever is at work ends, the registry runs, and then the journal goes. The same for the
//! run that opened it and for whoever finds what a killed run left; doing it twice does no harm.

use std::time::Duration;

use anyhow::Result;

use super::Engine;
use super::journal::Journal;
use super::lifecycle::left_down;
use super::redis::{self, Server};
use crate::error::Failure;

/// A registry that is put back.
pub(super) struct Closing<'a> {
    pub(super) name: &'a str,
    pub(super) id: &'a str,
    /// One that was stopped before stays so, unless somebody has started it meanwhile.
    pub(super) was_running: bool,
    /// A process that served before or during the sweep remembers blobs that are gone, and must not go on.
    pub(super) has_swept: bool,
    /// Where it remembers them beyond its own end.
    pub(super) redis: Option<&'a Result<Server, String>>,
}

/// What came of it. One may have failed without the other.
pub(super) struct Closed {
    pub(super) restored: Result<(), Failure>,
    /// How many keys of the redis were removed; `None` where nothing had to be forgotten.
    pub(super) forgotten: Option<Result<u64>>,
}

impl Engine {
    pub(super) async fn put_back(&self, closing: &Closing<'_>) -> Closed {
        let mut forgotten = None;
        let restored = self.serve_again(closing, &mut forgotten).await;
        Closed { restored, forgotten }
    }

    async fn serve_again(
        &self,
        closing: &Closing<'_>,
        forgotten: &mut Option<Result<u64>>,
    ) -> Result<(), Failure> {
        const PAUSES: [u64; 5] = [0, 1, 3, 6, 12];
        let &Closing { name, id: registry, was_running, has_swept, .. } = closing;
        let journal = Journal::of(registry);
        // A stop that a killed run asked for goes on without it, and would end what is started before it has.
        let must_end = has_swept || self.is_stopping(registry).await.unwrap_or(false);
        if must_end && self.is_running(registry).await.unwrap_or(false) {
            // Before the sweep's trace goes. What comes of it is seen when it is started.
            let _ = self.stop(registry).await;
        }
        let runs = was_running || self.is_running(registry).await.unwrap_or(true);
        let mut obstacle = None;
        for pause in PAUSES {
            self.pace.pause(Duration::from_secs(pause)).await;
            obstacle = self.clear(&journal).await.err();
            if obstacle.is_none() {
                break;
            }
        }
        if let Some(error) = obstacle
            && self.may_be_at_work(&journal).await
        {
            let Journal { sweep, tidy, stand_in, .. } = &journal;
            if !runs {
                return Err(Failure::failed(format!("the containers of the collection are left: {error:#}"))
                    .hint(format!("`docker rm -f {sweep} {tidy}` removes them")));
            }
            return Err(left_down(name, &format!("{error:#}")).hint(format!(
                "`docker rm -f {sweep} {tidy} {stand_in}; docker start {name}` puts it back"
            )));
        }
        if !runs {
            if has_swept {
                *forgotten = self.forget_swept(closing).await;
            }
        } else if has_swept {
            // Nothing serves, so nothing is remembered anew; and the journal is there until it is done.
            *forgotten = self.forget_swept(closing).await;
            let once_more = async || *forgotten = self.forget_swept(closing).await;
            self.start_afresh(name, registry, once_more).await?;
        } else {
            self.start_again(name, registry).await?;
        }
        // The registry serves; what could not be removed now is only untidy, and the next command removes it.
        let _ = self.remove_journal(&journal).await;
        Ok(())
    }

    async fn forget_swept(&self, closing: &Closing<'_>) -> Option<Result<u64>> {
        let redis = closing.redis?;
        let forgotten = self.forget(closing.id, redis).await;
        Some(forgotten.map_err(|error| redis::still_remembers(closing.name, redis, &error)))
    }

    /// Nothing writes to the store or holds the registry's ports any more. The lock stays.
    async fn clear(&self, journal: &Journal) -> Result<()> {
        self.remove_one_off(&journal.sweep).await?;
        self.remove_one_off(&journal.tidy).await?;
        self.end_stand_in(&journal.stand_in).await
    }

    /// The lock last.
    pub(super) async fn remove_journal(&self, journal: &Journal) -> Result<()> {
        for name in [&journal.sweep, &journal.tidy, &journal.stand_in, &journal.lock] {
            self.remove_one_off(name).await?;
        }
        Ok(())
    }

    async fn may_be_at_work(&self, journal: &Journal) -> bool {
        for name in [&journal.sweep, &journal.tidy, &journal.stand_in] {
            let Ok(found) = self.inspect(name).await else {
                return true;
            };
            if found.and_then(|found| found.state).is_some_and(|state| state.running == Some(true)) {
                return true;
            }
        }
        false
    }
}
