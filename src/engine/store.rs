//! A registry's whole store on files, read by the programs of its own image: in its container while that runs, else in
//! one beside it that sees the same volumes and cannot write to them. Nothing is changed.
//!
//! The image's own `find`, `stat` and `grep` tell 10,000 tags four times faster than the engine's archive, which is the
//! way where they are not there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Result, bail};
use bollard::container::LogOutput;
use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::configuration::STORE;
use super::container::State;
use super::exec::{NOT_EXECUTABLE, NOT_FOUND};
use super::output::Output;
use super::{Engine, RegistryContainer};
use crate::model::{Digest, Repository, StoreView, printable};

mod archived;
mod beside;
mod cpio;
mod lines;

use cpio::Cpio;
use lines::Lines;

/// What is walked at the same time, each by a `find` of its own: where it begins, and what it leaves to the others.
/// Together they come to everything once. A tag may be called `_layers`.
const WALKS: [(&str, &str); 3] = [
    ("./blobs", ""),
    (
        "./repositories",
        r"! -path '*/_manifests/tags*' '(' -path '*/_layers' -o -path '*/_manifests/revisions' -o -path '*/_uploads' ')' \
            -prune -o ! -path '*/_manifests/tags*' -o",
    ),
    (
        ".",
        r"-path ./blobs -prune -o -path '*/_manifests/tags*' ! -path '*/_layers/*' ! -path '*/_manifests/revisions/*' \
            ! -path '*/_uploads/*' -prune -o",
    ),
];
/// What tags were at before takes more files than what they are at.
const WITHOUT_HISTORY: &str = "-path '*/_manifests/tags/*/index' -prune -o";
/// Of the files whose names come in, so many. The `xargs` of busybox 1.35 garbles long lists.
const LOOK: &str = r#"
look() { stat -c '%f %Y %s %b %n' "$@"; }
each() {
    set --
    while IFS= read -r path; do
        set -- "$@" "$path"
        if [ $# -eq 200 ]; then look "$@"; set --; fi
    done
    [ $# -eq 0 ] || look "$@"
}
date +%s && cd "$1" && head -n "$2" | each
"#;
const COPY: &str = r#"cd "$1" && head -n "$2" | cpio -o -H newc"#;
const AT_ONCE: usize = 20_000;
/// Contents are copied in batches, some of them at the same time.
const COPIED_AT_ONCE: usize = 5_000;
const COPIES: usize = 2;
/// More than this of complaints is not looked through.
const MOST_COMPLAINTS: usize = 3500;

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

/// How much of a store is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What the registry holds.
    Present,
    /// What tags were at before as well: all of it, as `du` counts.
    Everything,
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
            let ended: Vec<bool> = copies.buffered(COPIES).try_collect().await?;
            let has_ended = ended.into_iter().take_while(|ended| *ended).count();
            cut_short = &blobs[blobs.len().min(has_ended * COPIED_AT_ONCE)..];
        }
        match self.tools {
            // The registry itself can be asked.
            Tools::Inside => Ok(()),
            Tools::Beside(_) | Tools::None => self.archived_contents(cut_short, largest, tell.into_inner()).await,
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

    /// `None`: too much was gone when it was looked at.
    async fn list(
        &self,
        container: &str,
        repositories: Option<&BTreeSet<Repository>>,
        extent: Extent,
    ) -> Result<Option<Listed>> {
        let lines = RefCell::new(Lines::default());
        let walked = if let Some(names) = repositories {
            let folders: Vec<String> = names.iter().map(|name| format!("./repositories/{name}")).collect();
            vec![self.walk(container, &folders, "", extent, &lines).await?]
        } else {
            let walks = WALKS.map(|(folder, others)| async {
                self.walk(container, &[folder.to_owned()], others, extent, &lines).await
            });
            future::try_join_all(walks).await?
        };
        let mut lines = lines.into_inner();
        if walked.iter().any(|walked| matches!(walked, Walked::NoTools)) {
            return Ok(Some(Listed::NoTools));
        }
        let complaints = walked.into_iter().filter_map(|walked| match walked {
            Walked::Told { complaints } => Some(complaints),
            Walked::NoTools => None,
        });
        let mut has_begun = repositories.is_some() || lines.has_begun();
        for complaints in complaints {
            match Complaints::of(&complaints) {
                Complaints::Gone => {}
                Complaints::NoStore => has_begun = true,
                Complaints::TooMany => return Ok(None),
                Complaints::Other => bail!("the store could not be listed: {}", printable(&complaints)),
            }
        }
        if !has_begun {
            bail!("the store could not be listed: its folder was not told");
        }
        self.look_at_blobs(container, &mut lines).await?;
        Ok(Some(Listed::View(Box::new(lines.finish()))))
    }

    async fn walk(
        &self,
        container: &str,
        folders: &[String],
        others: &str,
        extent: Extent,
        lines: &RefCell<Lines>,
    ) -> Result<Walked> {
        let (store, script) = (self.store(), list(others, extent));
        let command = ["sh", "-c", &script, "sh", &store].into_iter();
        let command: Vec<&str> = command.chain(folders.iter().map(String::as_str)).collect();
        let mut has_time = false;
        let on_line = |line: &str| {
            let mut lines = lines.borrow_mut();
            if has_time { lines.read(line) } else { has_time = lines.time(line) }
        };
        let finished = self.engine.exec(container, &command, &[], on_line).await?;
        if matches!(finished.exit_code, NOT_EXECUTABLE | NOT_FOUND) || !has_time {
            return Ok(Walked::NoTools);
        }
        Ok(Walked::Told { complaints: finished.stderr })
    }

    /// The blobs that were not looked for, or were looked for before they were pushed: a push writes them before its links.
    async fn look_at_blobs(&self, container: &str, lines: &mut Lines) -> Result<()> {
        let store = self.store();
        let wanted: Vec<String> = lines
            .unseen_blobs()
            .into_iter()
            .flat_map(|digest| {
                let folder = format!("./blobs/{}", name_of(digest));
                [format!("{folder}\n"), format!("{folder}/data\n")]
            })
            .collect();
        for batch in wanted.chunks(AT_ONCE) {
            let count = batch.len().to_string();
            let command = ["sh", "-c", LOOK, "sh", &store, &count];
            let mut is_first = true;
            let mut output = Output::new(|line: &str| {
                // The time is known.
                if !std::mem::take(&mut is_first) {
                    lines.read(line);
                }
            });
            let input = batch.concat();
            let looked = self.engine.exec_on(container, &command, &[], input.as_bytes(), |chunk| {
                output.take_in(chunk);
            });
            looked.await?;
            let complaints = output.finish();
            if matches!(Complaints::of(&complaints), Complaints::Other) {
                bail!("the blobs of the store could not be looked at: {}", printable(&complaints));
            }
        }
        Ok(())
    }
}

/// No symbolic link is followed. A name with a line break could pass for any line: only where it lies is told. The
/// current links' contents come along; the one condition that never holds leads on to `stat`. `find` of busybox 1.35
/// forgets what it has gathered within parentheses.
fn list(others: &str, extent: Extent) -> String {
    let history = if extent == Extent::Present { WITHOUT_HISTORY } else { "" };
    format!(
        r#"
date +%s
cd "$1" 2>/dev/null || exec stat "$1"
shift
exec find "$@" -name '*
*' -prune -exec sh -c 'for path; do echo "? ${{path%/*}}"; done' sh {{}} + \
    -o {others} {history} \
    -path '*/_manifests/tags/*/current/link' -type f -exec grep -H '' {{}} + -name / \
    -o -exec stat -c '%f %Y %s %b %n' {{}} +
"#
    )
}

enum Walked {
    Told { complaints: String },
    NoTools,
}

enum Listed {
    View(Box<StoreView>),
    NoTools,
}

/// What the programs said beside their answer.
#[derive(Debug, PartialEq, Eq)]
enum Complaints {
    /// Nothing, or that something went between being found and being looked at.
    Gone,
    NoStore,
    TooMany,
    Other,
}

impl Complaints {
    fn of(stderr: &str) -> Self {
        let is_gone = |line: &str| line.ends_with("No such file or directory");
        let mut lines = stderr.lines();
        if stderr.len() > MOST_COMPLAINTS {
            // It may begin within a line.
            lines.next();
            return if lines.all(is_gone) { Self::TooMany } else { Self::Other };
        }
        let complaints: Vec<&str> = lines.collect();
        match complaints.as_slice() {
            [one] if is_gone(one) && one.starts_with("stat: ") && !one.contains("./") => Self::NoStore,
            all if all.iter().all(|line| is_gone(line) && line.contains("./")) => Self::Gone,
            _ => Self::Other,
        }
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
    fn what_went_meanwhile_is_told_from_what_could_not_be_read() {
        let gone = "stat: can't stat './repositories/app/_uploads/1': No such file or directory";
        for (complaints, expected) in [
            ("", Complaints::Gone),
            (gone, Complaints::Gone),
            (
                "grep: ./repositories/app/_manifests/tags/1/current/link: No such file or directory",
                Complaints::Gone,
            ),
            (&[gone; 100].join("\n"), Complaints::TooMany),
            ("stat: can't stat '/data/docker/registry/v2': No such file or directory", Complaints::NoStore),
            ("find: ./repositories/app: Permission denied", Complaints::Other),
            (&format!("{gone}\nfind: ./repositories/app: Permission denied"), Complaints::Other),
            ("stat: can't stat '/data/docker/registry/v2': Permission denied", Complaints::Other),
            ("find: grep: No such file or directory", Complaints::Other),
        ] {
            assert_eq!(Complaints::of(complaints), expected, "{complaints:.80}");
        }
    }

    #[test]
    fn a_blob_has_its_place() {
        let digest = Digest::of(b"content");
        let hex = digest.to_string()["sha256:".len()..].to_owned();
        assert_eq!(name_of(&digest), format!("sha256/{}/{hex}", &hex[..2]));
    }
}
