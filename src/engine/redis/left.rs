//! Connections whose run was killed before the engine could know that it is to remove them with their end: they were
//! made and never started.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use super::bridge::{BRIDGE, remove};
use crate::engine::Engine;
use crate::engine::ask::{ContainerSummary, SummaryState};
use crate::engine::find::label_of;
use crate::engine::journal::OWNER;
use crate::engine::owner::{Life, Owner};

/// Longer than a connection that is at work is on its way to its start.
const STARTS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

impl Engine {
    /// They hold nothing and keep nobody from anything, so that a failure is the next run's to mend.
    pub(in crate::engine) async fn remove_left_connections(&self, registry: Option<&str>) -> Result<()> {
        let filter = registry.map_or_else(|| BRIDGE.to_owned(), |registry| format!("{BRIDGE}={registry}"));
        let found = self.list(true, Some(filter)).await?;
        let now = if found.is_empty() { return Ok(()) } else { self.engine_time().await? };
        for container in found.iter().filter(|container| is_left(container, now)) {
            remove(self, container.id.as_deref().unwrap_or_default()).await;
        }
        Ok(())
    }
}

fn is_left(container: &ContainerSummary, now: Timestamp) -> bool {
    match label_of(container, OWNER).map_or(Life::Unknown, Owner::life) {
        Life::Alive => false,
        Life::Dead => true,
        Life::Unknown => {
            let created = Timestamp::from_second(container.created.unwrap_or_default());
            let is_old = created.is_ok_and(|created| now.duration_since(created) > STARTS_WITHIN);
            is_old && container.state == Some(SummaryState::Created)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn only_what_nobody_will_start_is_removed() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let left = |state, seconds: i64, owner: Option<&str>| {
            let labels = owner.map(|owner| HashMap::from([(OWNER.to_owned(), owner.to_owned())]));
            let created = Some(now.as_second() - seconds);
            is_left(&ContainerSummary { state: Some(state), created, labels, ..Default::default() }, now)
        };
        let (created, running) = (SummaryState::Created, SummaryState::Running);
        assert!(left(created, 3600, None) && left(created, 3600, Some("another/machine 1 2")));
        assert!(!left(created, 60, None) && !left(running, 3600, None));
        let alive = Owner::this_process().map(|owner| owner.label());
        assert!(!left(created, 3600, alive.as_deref()) || alive.is_none());
    }
}
