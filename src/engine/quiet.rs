//! Who would be harmed by a stop, or would write to the store during it: other containers on the same files, uploads
//! under way, pushes that have just written. They hold a window back for a while, then it is refused.
//!
//! An upload that nothing was added to for a while is none: an aborted push leaves one behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::configuration::{Driver, STORE, StoreConfiguration};
use super::container::Mount;
use super::find::{looks_like_registry, name_of};
use super::journal::REGISTRY;
use super::window::{Manner, interrupted};
use super::{Engine, RegistryContainer};
use crate::cancel::Cancel;
use crate::error::Failure;
use crate::model::printable;
use crate::ui::Ui;

/// Added to so many seconds ago, an upload is under way.
const UPLOAD_SECONDS: i64 = 30;
/// A manifest or tag written so many seconds ago belongs to a push that may go on.
const LINK_SECONDS: i64 = 2;
const LOOK: &str = r#"date +%s && exec find "$1" '(' -path '*/_uploads/*' -o -path '*/_manifests/*' ')' -type f -mmin -2 -exec stat -c '%Y %n' {} +"#;

/// How long a window is held back before it is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet<'a> {
    /// What a person asked for.
    wait: Option<Duration>,
    asked: Instant,
    ui: &'a Ui,
}

impl<'a> Quiet<'a> {
    pub(crate) fn new(wait: Option<Duration>, ui: &'a Ui) -> Self {
        Self { wait, asked: Instant::now(), ui }
    }

    pub(super) fn restarted(self) -> Self {
        Self { asked: Instant::now(), ..self }
    }

    fn waits_for(&self, disturbance: &Disturbance) -> bool {
        // A push is often about to end; a container is not.
        let default = if disturbance.is_push { Duration::from_secs(5) } else { Duration::ZERO };
        self.asked.elapsed() < self.wait.unwrap_or(default)
    }
}

/// What holds a window back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disturbance {
    is_push: bool,
    /// A sentence's subject and verb.
    what: String,
    mend: String,
}

impl Engine {
    /// Waits until nobody is in the way, as long as is allowed; then it is a refusal.
    pub(crate) async fn await_quiet(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
        quiet: &Quiet<'_>,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut said = None;
        loop {
            if cancel.is_cancelled() {
                return Err(interrupted());
            }
            let Some(disturbance) = self.disturbance(registry, store, manner).await? else {
                return Ok(());
            };
            if !quiet.waits_for(&disturbance) {
                return Err(Failure::refused(disturbance.what).hint(disturbance.mend).into());
            }
            if said.as_ref() != Some(&disturbance) {
                quiet.ui.say(&format!("Waiting: {}", disturbance.what));
            }
            said = Some(disturbance);
            tokio::select! {
                () = self.pace.pause(Duration::from_secs(1)) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    /// Who is in the way now.
    pub(super) async fn disturbance(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
    ) -> Result<Option<Disturbance>> {
        let Driver::Filesystem { root } = &store.driver else {
            return Ok(None);
        };
        match self.other_writer(registry, root).await? {
            None if manner != Manner::Live => Ok(self.push(registry, root).await),
            writer => Ok(writer),
        }
    }

    /// Nobody is waited for once the window is open.
    pub(super) async fn refuse_other_writers(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        let Driver::Filesystem { root } = &store.driver else {
            return Ok(());
        };
        match self.other_writer(registry, root).await? {
            Some(writer) => Err(Failure::refused(writer.what).hint(writer.mend).into()),
            None => Ok(()),
        }
    }

    /// A second registry on the same files would write while this one is stopped.
    async fn other_writer(&self, registry: &RegistryContainer, root: &str) -> Result<Option<Disturbance>> {
        let Some(own) = registry.mount_of(root) else {
            return Ok(None);
        };
        for other in self.list(false, None).await.context("look for others who write to the store")? {
            // The stand-in is shown not to write.
            let is_ours = other.labels.as_ref().and_then(|labels| labels.get(REGISTRY)) == Some(&registry.id);
            if is_ours || other.id.as_deref() == Some(&registry.id) {
                continue;
            }
            let is_registry = looks_like_registry(&other);
            let name = name_of(&other);
            let mounts = other.mounts.unwrap_or_default().into_iter().map(Mount::from_engine);
            if mounts.into_iter().any(|mount| mount.is_writable && mount.shares_files_with(own, is_registry))
            {
                return Ok(Some(Disturbance {
                    is_push: false,
                    what: format!(
                        "the container `{name}` can write to the store of `{}` and runs",
                        registry.name
                    ),
                    mend: format!(
                        "`docker stop {name}` for the time of the collection, `--wait 10min` until it has ended, or delete only with `--no-gc`"
                    ),
                }));
            }
        }
        Ok(None)
    }

    /// Without `find` and `stat` in the image nothing is known, and nobody is waited for.
    async fn push(&self, registry: &RegistryContainer, root: &str) -> Option<Disturbance> {
        let repositories = format!("{}/{STORE}/repositories", root.trim_end_matches('/'));
        let mut traces = Traces::default();
        let command = ["sh", "-c", LOOK, "sh", &repositories];
        // Files come and go under a running registry, which `find` reports as a failure.
        let looked = self.exec(&registry.id, &command, &[], |line| traces.read_line(&repositories, line));
        looked.await.ok()?;
        let what = traces.found?;
        Some(Disturbance {
            is_push: true,
            what: format!("{what} in the registry `{}`, which has to be stopped", registry.name),
            mend: "try again when it has ended, or let `--wait 10min` do that; an aborted push counts as under way for half a minute".to_owned(),
        })
    }
}

/// The files that were written a moment ago.
#[derive(Debug, Default)]
struct Traces {
    now: Option<i64>,
    found: Option<String>,
}

impl Traces {
    fn read_line(&mut self, repositories: &str, line: &str) {
        let Some(now) = self.now else {
            self.now = line.trim().parse().ok();
            return;
        };
        if self.found.is_none() {
            self.found = push(now, repositories, line);
        }
    }
}

/// A line of `stat`: `<seconds> <repositories>/<repository>/_uploads/…` or `…/_manifests/…/link`.
fn push(now: i64, repositories: &str, line: &str) -> Option<String> {
    let (seconds, path) = line.split_once(' ')?;
    let age = now - seconds.parse::<i64>().ok()?;
    let path = path.strip_prefix(repositories)?.strip_prefix('/')?;
    let (repository, inside) = path.split_once("/_")?;
    let repository = printable(repository);
    // One that was cancelled leaves `hashstates` behind.
    let has_content = inside.ends_with("/data") || inside.ends_with("/startedat");
    if inside.starts_with("uploads/") && has_content && age.abs() < UPLOAD_SECONDS {
        Some(format!("a push to `{repository}` is under way"))
    } else if inside.starts_with("manifests/") && age.abs() < LINK_SECONDS {
        Some(format!("`{repository}` was pushed to a moment ago"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_a_moment_ago_is_a_push() {
        let upload = "/s/team/app/_uploads/4f6a/data";
        let link = "/s/app/_manifests/tags/1/current/link";
        let found = |seconds: i64, path: &str| {
            let mut traces = Traces::default();
            for line in ["1000".to_owned(), format!("{seconds} {path}")] {
                traces.read_line("/s", &line);
            }
            traces.found
        };
        assert_eq!(found(971, upload).as_deref(), Some("a push to `team/app` is under way"));
        assert_eq!(found(970, upload), None, "left lying by an aborted push");
        assert_eq!(found(1000, "/s/app/_uploads/4f6a/hashstates/sha256/0"), None, "it was cancelled");
        assert_eq!(found(999, link).as_deref(), Some("`app` was pushed to a moment ago"));
        assert_eq!(found(998, link), None);
        assert_eq!(found(1000, "/s/app/_layers/sha256/00/link"), None);
        assert_eq!(found(1000, "/elsewhere/app/_uploads/4f6a/data"), None);
        let mut traces = Traces::default();
        traces.read_line("/s", &format!("1000 {upload}"));
        assert_eq!(traces.found, None, "without a clock nothing is known");
    }
}
