//! What the collector leaves in a store on files: listed and removed by the programs of the registry's own image, in a
//! one-off container, while the registry is stopped. What may go is decided elsewhere; a folder goes by `rmdir`, which
//! fails when there is more in it than was seen.

use anyhow::{Result, bail};

use super::configuration::{Driver, STORE, StoreConfiguration};
use super::window::{Window, interrupted};
use super::{Engine, RegistryContainer};
use crate::leftovers::{Leftovers, Listing};
use crate::model::printable;

const TOOLS: &str = "for tool in date find stat rm rmdir sleep; do command -v $tool || exit 1; done";
/// `find` follows no symbolic links, and `stat` says what they are.
const LIST: &str = r#"date +%s && exec find "$1" -exec stat -c '%f %Y %s %n' {} +"#;
/// The system takes four times as much as arguments of a program, as long as nobody has limited its stack.
const BYTES_AT_ONCE: usize = 500_000;

impl Engine {
    /// Whether the image has the programs for it.
    pub(super) async fn can_tidy(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<bool> {
        let Driver::Filesystem { .. } = store.driver else { return Ok(false) };
        let asked = self.exec(&registry.id, &["sh", "-c", TOOLS], &[], |_| ()).await?;
        Ok(asked.exit_code == 0)
    }

    /// Everything in the store. In a running registry it fails when files come and go meanwhile.
    pub(crate) async fn list_store(&self, container: &str, root: &str) -> Result<Listing> {
        let store = store_at(root);
        let mut listing = Listing::default();
        let command = ["sh", "-c", LIST, "sh", &store];
        let finished = self.exec(container, &command, &[], |line| listing.read_line(&store, line)).await?;
        if finished.exit_code != 0 || !finished.stderr.is_empty() {
            bail!("the store could not be listed: {}", printable(&finished.stderr));
        }
        Ok(listing)
    }

    /// Each list only when everything before it went. The paths are the programs' own arguments: the `xargs` of busybox
    /// 1.35 garbles long lists, and a shell reads them byte by byte. `rm` without `-f` says what it did not find.
    async fn remove_leftovers(&self, container: &str, root: &str, leftovers: &Leftovers) -> Result<()> {
        let store = store_at(root);
        let lists = [("rm", &leftovers.files), ("rmdir", &leftovers.folders), ("rmdir", &leftovers.frames)];
        for (program, paths) in lists {
            let paths: Vec<String> = paths.iter().map(|path| format!("{store}/{path}")).collect();
            for batch in batches(&paths) {
                let command: Vec<&str> =
                    std::iter::once(program).chain(batch.iter().map(String::as_str)).collect();
                let finished = self.exec(container, &command, &[], |_| ()).await?;
                if finished.exit_code != 0 {
                    bail!("not everything could be removed: {}", printable(&finished.stderr));
                }
            }
        }
        Ok(())
    }
}

impl Window<'_> {
    pub(crate) async fn list_store(&self, root: &str) -> Result<Listing> {
        let container = &self.journal.tidy;
        if let Err(error) = &self.tidies {
            bail!("{error:#}");
        }
        self.require_quiet().await?;
        self.engine.start_collector(container).await?;
        self.unless_cancelled(self.engine.list_store(container, root)).await
    }

    /// Removes what a plan made from [`Self::list_store`] says. Cut short anywhere it leaves a store that the registry
    /// and its collector can live with.
    pub(crate) async fn remove(&self, root: &str, leftovers: &Leftovers) -> Result<()> {
        let container = &self.journal.tidy;
        self.require_quiet().await?;
        self.has_swept.set(true);
        self.unless_cancelled(self.engine.remove_leftovers(container, root, leftovers)).await
    }

    /// What is left running in the container ends with it.
    async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(interrupted()),
            done = work => done,
        }
    }
}

fn store_at(root: &str) -> String {
    format!("{}/{STORE}", root.trim_end_matches('/'))
}

/// As many as fit one command line.
fn batches(paths: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = paths;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |path: &&String| {
            bytes += path.len() + 1;
            bytes <= BYTES_AT_ONCE
        };
        let (batch, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1).min(rest.len()));
        rest = behind;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_to_a_program_fits_and_leaves_nothing_out() {
        let sizes = |lengths: &[usize]| -> Vec<usize> {
            let paths: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            batches(&paths).map(<[_]>::len).collect()
        };
        assert_eq!(sizes(&[]), [] as [usize; 0]);
        assert_eq!(sizes(&[99_999; 12]), [5, 5, 2]);
        assert_eq!(sizes(&[BYTES_AT_ONCE, BYTES_AT_ONCE - 1, 0, 3]), [1, 1, 2]);
    }
}
