//! The walk through a store: every file and folder is told once, line by line, by the `find`, `stat` and `grep` of the
//! image.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Result, bail};
use futures_util::future;

use super::lines::Lines;
use super::{OpenStore, name_of};
use crate::engine::exec::{NOT_EXECUTABLE, NOT_FOUND};
use crate::engine::output::Output;
use crate::model::{Repository, StoreView, printable};

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
        r"-path ./blobs -prune -o -path './repositories/*' -path '*/_manifests/tags*' ! -path '*/_layers/*' \
            ! -path '*/_manifests/revisions/*' ! -path '*/_uploads/*' -prune -o",
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
const AT_ONCE: usize = 20_000;
/// More than this of complaints is not looked through.
const MOST_COMPLAINTS: usize = 3500;

/// How much of a store is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What the registry holds.
    Present,
    /// What tags were at before as well: all of it, as `du` counts.
    Everything,
}

pub(super) enum Listed {
    View(Box<StoreView>),
    NoTools,
}

enum Walked {
    Told { complaints: String },
    NoTools,
}

impl OpenStore<'_> {
    /// `None`: too much was gone when it was looked at.
    pub(super) async fn list(
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
            // None is left behind when another fails: a command goes on without its reader.
            future::join_all(walks).await.into_iter().collect::<Result<Vec<_>>>()?
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
        // It is 1 when something went meanwhile; a walk that was killed has not told everything.
        if !matches!(finished.exit_code, 0 | 1) {
            bail!("the store could not be listed: `find` ended with {}", finished.exit_code);
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
}
