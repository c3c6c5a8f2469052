//! The end of a maintenance: whatever is at work ends, the registry runs, and then the journal goes. The same for the
//! run that opened it and for whoever finds what a killed run left; doing it twice does no harm.

use std::time::Duration;

use anyhow::Result;

use super::Engine;
use super::journal::Journal;
use super::lifecycle::left_down;
use crate::error::Failure;

impl Engine {
    /// `has_swept`: a process that served before or during the sweep remembers blobs that are gone, and must not go on.
    pub(super) async fn put_back(&self, name: &str, registry: &str, has_swept: bool) -> Result<(), Failure> {
        const PAUSES: [u64; 5] = [0, 1, 3, 6, 12];
        let journal = Journal::of(registry);
        if has_swept && self.is_running(registry).await.unwrap_or(false) {
            // Before the sweep's trace goes. What comes of it is seen when it is started.
            let _ = self.stop(registry).await;
        }
        let mut obstacle = None;
        for pause in PAUSES {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            obstacle = self.clear(&journal).await.err();
            if obstacle.is_none() {
                break;
            }
        }
        if let Some(error) = obstacle
            && self.may_be_at_work(&journal).await
        {
            let Journal { sweep, stand_in, .. } = &journal;
            return Err(left_down(name, &format!("{error:#}"))
                .hint(format!("`docker rm -f {sweep} {stand_in}; docker start {name}` puts it back")));
        }
        if has_swept {
            self.start_afresh(name, registry).await?;
        } else {
            self.start_again(name, registry).await?;
        }
        // The registry serves; what could not be removed now is only untidy, and the next command removes it.
        let _ = self.remove_journal(&journal).await;
        Ok(())
    }

    /// Nothing writes to the store or holds the registry's ports any more. The lock stays.
    async fn clear(&self, journal: &Journal) -> Result<()> {
        self.remove_one_off(&journal.sweep).await?;
        self.end_stand_in(&journal.stand_in).await
    }

    /// The lock last.
    pub(super) async fn remove_journal(&self, journal: &Journal) -> Result<()> {
        for name in [&journal.sweep, &journal.stand_in, &journal.lock] {
            self.remove_one_off(name).await?;
        }
        Ok(())
    }

    async fn may_be_at_work(&self, journal: &Journal) -> bool {
        for name in [&journal.sweep, &journal.stand_in] {
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
