//! The records of runs, one private file each: what a run is about to delete, so that it can be put back as long as its
//! blobs have not been collected. A run that cannot save does not delete.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};

use crate::error::Failure;
use crate::model::{Digest, RegistryAddress};
use crate::plan::Plan;
use crate::undo::{Contents, Record, Sweep};

/// A record is of use until the next collection, which for most registries is a matter of days; a month spans those who
/// collect rarely, and a look back at what went.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A manifest takes one to two kilobytes here: some 40,000 of them, more than a registry loses in a month.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;
/// How the names of records begin: the second in which the run began, UTC.
const NAME_LENGTH: usize = "20261121T213455".len();

/// One recorded run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) name: String,
    path: PathBuf,
}

/// Writes the record of `plan` below `directory` and gives the name of the run.
pub(crate) fn save(
    plan: &Plan,
    contents: &Contents,
    command: &str,
    directory: Option<&Path>,
    now: Timestamp,
) -> anyhow::Result<Run> {
    let Some(directory) = directory else {
        return Err(Failure::refused(
            "there is no folder to save what would be deleted, so nothing was deleted",
        )
        .hint("set HOME, or name a folder in XDG_STATE_HOME")
        .into());
    };
    let record = Record::of(plan, contents, command, now).ok_or_else(|| unsaved(plan, contents))?;
    let run = write(&record, directory).map_err(|error| {
        Failure::refused(format!(
            "what would be deleted could not be saved first, so nothing was deleted: {error:#}"
        ))
        .hint(format!("make `{}` writable, or name another folder in XDG_STATE_HOME", directory.display()))
    })?;
    // Old records are no reason not to delete.
    let _ = forget_old(directory, &run, now);
    Ok(run)
}

fn unsaved(plan: &Plan, contents: &Contents) -> Failure {
    let missing = contents.missing(plan);
    let named = missing.first().map(|(repository, digest)| format!("`{repository}@{digest}`"));
    Failure::refused(format!(
        "what would be deleted could not be saved first, so nothing was deleted: the content of {} manifests is not \
         at hand, such as that of {}",
        missing.len(),
        named.unwrap_or_default()
    ))
    .hint("see with `docker registry verify` whether the registry still serves it, and try again")
}

/// The recorded runs, latest first.
pub(crate) fn runs(directory: Option<&Path>) -> anyhow::Result<Vec<Run>> {
    let Some(directory) = directory else {
        return Err(Failure::failed("there is no folder in which runs would be recorded")
            .hint("set HOME, or name a folder in XDG_STATE_HOME")
            .into());
    };
    let folder = directory.join("runs");
    let unreadable = || format!("read the records of runs in `{}`", folder.display());
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(unreadable)?,
    };
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.with_context(unreadable)?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"))
            && begun(name).is_some()
        {
            runs.push(Run { name: name.to_owned(), path });
        }
    }
    // Of runs in the same second the later one has the greater number, and the longer name.
    runs.sort_by(|a, b| b.order().cmp(&a.order()));
    Ok(runs)
}

impl Run {
    pub(crate) fn read(&self) -> anyhow::Result<Record> {
        let failed = |why: String| {
            Failure::failed(format!(
                "the record of the run {} in `{}` cannot be read: {why}",
                self.name,
                self.path.display()
            ))
        };
        let text = fs::read(&self.path).map_err(|error| failed(error.to_string()))?;
        Ok(Record::parse(&text).map_err(failed)?)
    }

    /// Puts `record` in the place of the one that is there, or leaves that.
    pub(crate) fn replace(&self, record: &Record) -> anyhow::Result<()> {
        let beside = self.path.with_extension("new");
        let written = fs::remove_file(&beside)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .map_err(anyhow::Error::from)
            .and_then(|()| create(&beside, record))
            .and_then(|()| Ok(fs::rename(&beside, &self.path)?));
        written.with_context(|| format!("write `{}`", self.path.display()))
    }

    fn order(&self) -> (&str, usize, &str) {
        (self.name.get(..NAME_LENGTH).unwrap_or_default(), self.name.len(), &self.name)
    }
}

/// Marks in the records of `registry` what a sweep took. The answer are the records in which that failed.
pub(crate) fn mark_collected(
    directory: Option<&Path>,
    registry: &RegistryAddress,
    swept: &BTreeSet<Digest>,
    sweep: &Sweep,
) -> Vec<anyhow::Error> {
    let runs = match directory.map(|directory| runs(Some(directory))) {
        None => return Vec::new(),
        Some(Ok(runs)) => runs,
        Some(Err(error)) => return vec![error],
    };
    let mark = |run: &Run| {
        let mut record = run.read()?;
        if record.registry.host() == registry.host() && record.mark(swept, sweep) {
            run.replace(&record)?;
        }
        anyhow::Ok(())
    };
    runs.iter().filter_map(|run| mark(run).err()).collect()
}

fn write(record: &Record, directory: &Path) -> anyhow::Result<Run> {
    let folder = directory.join("runs");
    create_private_folder(&folder).with_context(|| format!("create `{}`", folder.display()))?;
    let began = format!("{}Z", second(record.at));
    for number in 1..=1000 {
        let name = if number == 1 { began.clone() } else { format!("{began}_{number}") };
        let path = folder.join(format!("{name}.json"));
        match create(&path, record) {
            Ok(()) => return Ok(Run { name, path }),
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error.context(format!("write `{}`", path.display()))),
        }
    }
    anyhow::bail!("too many runs began in the same second")
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::AlreadyExists)
}

/// Writes a file that must not be there yet; none is left when that fails.
fn create(path: &Path, record: &Record) -> anyhow::Result<()> {
    let mut file = BufWriter::new(create_private(path)?);
    let written = serde_json::to_writer(&mut file, record)
        .map_err(std::io::Error::from)
        .and_then(|()| file.flush())
        .and_then(|()| file.get_ref().sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    Ok(written?)
}

/// Removes records that are too old, and the oldest of those that together are too large; never that of `latest`.
fn forget_old(directory: &Path, latest: &Run, now: Timestamp) -> anyhow::Result<()> {
    let mut room = KEPT_BYTES.saturating_sub(fs::metadata(&latest.path)?.len());
    for run in runs(Some(directory))?.into_iter().filter(|run| run != latest) {
        let size = fs::metadata(&run.path)?.len();
        let is_old = begun(&run.name).is_some_and(|began| now.duration_since(began) > KEPT_FOR);
        if is_old || size > room {
            // What is older than one for which there is no room goes too.
            room = 0;
            fs::remove_file(&run.path)?;
        } else {
            room -= size;
        }
    }
    Ok(())
}

/// When the run of this name began; none for what is not a name of a run.
fn begun(name: &str) -> Option<Timestamp> {
    let began = name.get(..NAME_LENGTH)?;
    let at = format!("{began}Z").parse().ok()?;
    (second(at) == began).then_some(at)
}

fn second(at: Timestamp) -> String {
    format!("{at:.0}").trim_end_matches('Z').replace(['-', ':'], "")
}

/// Names of images are nobody else's business on a shared machine.
fn create_private(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

#[cfg(test)]
mod tests;
