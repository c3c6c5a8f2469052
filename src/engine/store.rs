//! A registry's whole store on files, read by the programs of its own image: in its container while that runs, else in
//! one beside it that sees the same volumes and cannot write to them. Nothing is changed.
//!
//! The image's own `find`, `stat` and `grep` tell 10,000 tags four times faster than the engine's archive, which is the
//! way where they are not there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Result, bail};
use bollard::container::LogOutput;
use futures_util::stream::{self, StreamExt};

use super::configuration::STORE;
use super::container::State;
use super::{Engine, RegistryContainer};
use crate::model::{Digest, Repository, StoreView};

mod archived;
mod beside;
mod cpio;
mod lines;
mod walk;

use cpio::Cpio;
pub(crate) use walk::Extent;
use walk::Listed;

const COPY: &str = r#"cd "$1" && head -n "$2" | cpio -o -H newc"#;
/// Contents are copied in batches, some of them at the same time.
const COPIED_AT_ONCE: usize = 5_000;
const COPIES: usize = 2;

/// What the store's files are read by.
#[derive(Debug)]
pub(crate) struct OpenStore<'a> {
    engine: &'a Engine,
    registry: &'a RegistryContainer,
    root: &'a str,
    tools: Tools,
}

#[derive(Debug)]
enum Tools {
    /// Those of the registry's own container.
    Inside,
    /// Those of a container beside it, of this name.
    Beside(String),
    /// The image has none.
    None,
}

/// Whether a store may be read by its archive, which holds every layer, where the image has no tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Spared,
    Whatever,
}

impl Engine {
    /// To be closed.
    pub(crate) async fn open_store<'a>(
        &'a self,
        registry: &'a RegistryContainer,
        root: &'a str,
    ) -> Result<OpenStore<'a>> {
        let tools = match registry.state {
            State::Running => Tools::Inside,
            State::Paused | State::Restarting | State::Stopped => self.open_beside(registry).await?,
        };
        Ok(OpenStore { engine: self, registry, root, tools })
    }
}

impl OpenStore<'_> {
    pub(crate) async fn close(self) -> Result<()> {
        match self.tools {
            Tools::Beside(name) => self.engine.remove_one_off(&name).await,
            Tools::Inside | Tools::None => Ok(()),
        }
    }

    /// The whole store or, of some repositories, themselves and the blobs that they may serve.
    pub(crate) async fn read(
        &self,
        repositories: Option<&BTreeSet<Repository>>,
        extent: Extent,
        effort: Effort,
    ) -> Result<StoreView> {
        if let Some(container) = self.container() {
            // While the registry serves, what is found may be gone when it is looked at; rarely more than can be told.
            const TRIES: u32 = 3;
            for _ in 0..TRIES {
                if let Some(read) = self.list(container, repositories, extent).await? {
                    return match read {
                        Listed::View(view) => Ok(*view),
                        Listed::NoTools if effort == Effort::Whatever => self.read_archive().await,
                        Listed::NoTools => bail!("there are no `find` and `stat` in the registry's image"),
                    };
                }
            }
            bail!("the store changes faster than it can be listed");
        }
        self.read_archive().await
    }

    /// Tells the contents of `blobs` that fit their digests and are no larger than `largest`; what is not told could not
    /// be read.
    pub(crate) async fn contents(
        &self,
        blobs: &[&Digest],
        largest: u64,
        tell: impl FnMut(&Digest, &[u8]),
    ) -> Result<()> {
        let tell = RefCell::new(tell);
        let mut cut_short = blobs;
        if let Some(container) = self.container() {
            let batches = stream::iter(blobs.chunks(COPIED_AT_ONCE));
            let copies = batches.map(|batch| self.copy(container, batch, largest, &tell));
            let ended: Vec<Result<bool>> = copies.buffered(COPIES).collect().await;
            let ended = ended.into_iter().collect::<Result<Vec<bool>>>()?;
            let has_ended = ended.into_iter().take_while(|ended| *ended).count();
            cut_short = &blobs[blobs.len().min(has_ended * COPIED_AT_ONCE)..];
        }
        match self.tools {
            // The registry itself can be asked.
            Tools::Inside => Ok(()),
            Tools::Beside(_) | Tools::None => {
                self.archived_contents(cut_short, largest, tell.into_inner()).await
            }
        }
    }

    /// Whether the copy came to its end.
    async fn copy(
        &self,
        container: &str,
        blobs: &[&Digest],
        largest: u64,
        tell: &RefCell<impl FnMut(&Digest, &[u8])>,
    ) -> Result<bool> {
        let folder = format!("{}/blobs", self.store());
        let names: String = blobs.iter().map(|digest| name_of(digest) + "/data\n").collect();
        let count = blobs.len().to_string();
        let mut asked = blobs.iter();
        let mut cpio = Cpio::new(largest, |name: &str, content: &[u8]| {
            let is_it = |digest: &&&Digest| name.strip_suffix("/data") == Some(&name_of(digest));
            if let Some(digest) = asked.by_ref().find(|digest| is_it(digest))
                && digest.matches(content) == Some(true)
            {
                tell.borrow_mut()(digest, content);
            }
        });
        let command = ["sh", "-c", COPY, "sh", &folder, &count];
        let on_output = |chunk: &LogOutput| {
            if let LogOutput::StdOut { message } = chunk {
                cpio.take_in(message);
            }
        };
        self.engine.exec_on(container, &command, &[], names.as_bytes(), on_output).await?;
        Ok(cpio.has_ended())
    }

    fn container(&self) -> Option<&str> {
        match &self.tools {
            Tools::Inside => Some(&self.registry.id),
            Tools::Beside(name) => Some(name),
            Tools::None => None,
        }
    }

    fn store(&self) -> String {
        format!("{}/{STORE}", self.root.trim_end_matches('/'))
    }
}

/// The folder of a blob, below that of all blobs.
fn name_of(digest: &Digest) -> String {
    let text = digest.to_string();
    let (algorithm, hex) = text.split_once(':').unwrap_or_default();
    format!("{algorithm}/{}/{hex}", hex.get(..2).unwrap_or(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_its_place() {
        let digest = Digest::of(b"content");
        let hex = digest.to_string()["sha256:".len()..].to_owned();
        assert_eq!(name_of(&digest), format!("sha256/{}/{hex}", &hex[..2]));
    }
}
