//! What the registry's own collector says it did or would do, and whether that may be believed.
//!
//! The collector's exit code proves nothing (an unknown flag ends with 0, an error while listing a repository leaves
//! the rest of it unmarked and ends with 0), so its output is read line by line and compared with what must survive.
//! Pure: where the lines come from is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::{Digest, Repository, printable};

/// What one run of `registry garbage-collect` printed on stdout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CollectorOutput {
    marked: BTreeMap<Repository, BTreeSet<Digest>>,
    eligible: BTreeSet<Digest>,
    /// Lines "manifest eligible for deletion": only `--delete-untagged`, which is never used, makes them.
    manifests_eligible: u64,
    summary: Option<Summary>,
    unknown_lines: u64,
    unknown_samples: Vec<String>,
}

/// `<marked> blobs marked, <blobs> blobs [and <manifests> manifests] eligible for deletion`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Manifests count as blobs here.
    pub(crate) marked: u64,
    pub(crate) blobs: u64,
    pub(crate) manifests: u64,
}

impl CollectorOutput {
    const SAMPLES: usize = 5;

    /// Takes in one line, without its line end.
    pub(crate) fn read_line(&mut self, line: &str) {
        // 2.4 to 2.6 end "marking manifest" lines with a blank, as the later ones do; a TTY would add a CR.
        let line = line.trim_end();
        if self.understand(line).is_none() {
            self.unknown_lines += 1;
            if self.unknown_samples.len() < Self::SAMPLES {
                self.unknown_samples.push(printable(line));
            }
        }
    }

    fn understand(&mut self, line: &str) -> Option<()> {
        if line.is_empty() || is_log(line) {
            return Some(());
        }
        if let Some(digest) = line.strip_prefix("blob eligible for deletion: ") {
            self.eligible.insert(digest.parse().ok()?);
        } else if line.starts_with("manifest eligible for deletion") {
            self.manifests_eligible += 1;
        } else if let Some(summary) = summary(line) {
            self.summary = Some(summary);
        } else if let Some((name, rest)) = line.split_once(": ") {
            let repository: Repository = name.parse().ok()?;
            if let Some(digest) = rest.strip_prefix("marking manifest ") {
                let digest = digest.parse().ok()?;
                self.marked.entry(repository).or_default().insert(digest);
            } else {
                let known = ["marking blob ", "marking configuration ", "marking signature "];
                let is_known = known.iter().any(|prefix| rest.starts_with(prefix))
                    || rest.starts_with("layer link eligible for deletion: ");
                is_known.then_some(())?;
            }
        } else {
            self.marked.entry(line.parse().ok()?).or_default();
        }
        Some(())
    }

    /// What is deleted, manifests among them.
    pub(crate) fn eligible(&self) -> &BTreeSet<Digest> {
        &self.eligible
    }

    pub(crate) fn summary(&self) -> Option<Summary> {
        self.summary
    }

    fn is_silent(&self) -> bool {
        self.summary.is_none() && self.marked.is_empty() && self.eligible.is_empty()
    }
}

fn summary(line: &str) -> Option<Summary> {
    let (marked, rest) = line.split_once(" blobs marked, ")?;
    let rest = rest.strip_suffix(" eligible for deletion")?;
    let (blobs, manifests) = match rest.split_once(" blobs and ") {
        Some((blobs, manifests)) => (blobs, manifests.strip_suffix(" manifests")?),
        None => (rest.strip_suffix(" blobs")?, "0"),
    };
    Some(Summary {
        marked: marked.parse().ok()?,
        blobs: blobs.parse().ok()?,
        manifests: manifests.parse().ok()?,
    })
}

/// Until 2.6 the log goes to stdout too, as text or JSON.
fn is_log(line: &str) -> bool {
    line.starts_with("time=") || line.starts_with('{') || line.starts_with("INFO[")
}

/// One run of the collector, complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CollectorRun {
    pub(crate) exit_code: i64,
    pub(crate) output: CollectorOutput,
    /// The last lines of stderr: the reason, when it failed.
    pub(crate) stderr: String,
}

impl CollectorRun {
    /// The manifest that it could not read and at which it gave up, and where that is.
    pub(crate) fn stopped_at(&self) -> Option<(&Repository, Digest)> {
        const WORDS: &str = "failed to retrieve manifest for digest ";
        let said = self.stderr.split(WORDS).nth(1)?;
        let end = said.match_indices(':').nth(1).map_or(said.len(), |(end, _)| end);
        let digest: Digest = said[..end].trim().parse().ok()?;
        let mut repositories = self.output.marked.iter();
        repositories.find(|(_, marked)| marked.contains(&digest)).map(|(repository, _)| (repository, digest))
    }

    /// A registry to which nothing was ever pushed has no folders yet, which the collector calls a failure.
    pub(crate) fn found_no_store(&self) -> bool {
        let missing = self.stderr.lines().map(str::trim_end).any(|line| {
            line.ends_with("Path not found: /docker/registry/v2/repositories")
                || line.ends_with("Path not found: /docker/registry/v2/blobs")
        });
        self.exit_code == 1 && self.output.is_silent() && missing
    }
}

/// What must survive a collection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand {
    /// With the children of indexes.
    pub(crate) manifests: BTreeMap<Repository, BTreeSet<Digest>>,
    /// Configs and layers.
    pub(crate) blobs: BTreeSet<Digest>,
}

/// What a dry run that passed allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certified {
    Sweep,
    /// The store is empty, and nothing was expected in it.
    NothingToCollect,
}

/// Why a dry run forbids the sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    Failed { exit_code: i64, stderr: String },
    NoSummary { said: Vec<String> },
    CountsDisagree { announced: u64, listed: u64 },
    DeletesManifests { lines: u64 },
    RepositoryNotVisited { repository: Repository },
    NotMarked { repository: Repository, manifest: Digest },
    ManifestEligible { repository: Repository, manifest: Digest },
    BlobEligible { blob: Digest },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { exit_code, stderr } if stderr.is_empty() => {
                write!(f, "the collector ended with code {exit_code}")
            }
            Self::Failed { exit_code, stderr } => {
                write!(f, "the collector ended with code {exit_code}: {}", printable(stderr))
            }
            Self::NoSummary { said } if said.is_empty() => f.write_str("the collector printed no summary"),
            Self::NoSummary { said } => {
                write!(f, "the collector printed no summary; it said: {}", said.join(" / "))
            }
            Self::CountsDisagree { announced, listed } => {
                write!(f, "the collector announced {announced} blobs to delete and listed {listed}")
            }
            Self::DeletesManifests { lines } => {
                write!(f, "the collector would delete {lines} manifests by itself, which was not asked of it")
            }
            Self::RepositoryNotVisited { repository } => {
                write!(f, "the collector did not visit `{repository}`")
            }
            Self::NotMarked { repository, manifest } => {
                write!(f, "the collector did not mark the kept manifest {manifest} of `{repository}`")
            }
            Self::ManifestEligible { repository, manifest } => {
                write!(f, "the collector would delete the kept manifest {manifest} of `{repository}`")
            }
            Self::BlobEligible { blob } => {
                write!(f, "the collector would delete the kept blob {blob}")
            }
        }
    }
}

/// Whether the dry run may be followed by the sweep.
pub(crate) fn check(run: &CollectorRun, demand: &Demand) -> Result<Certified, Vec<Violation>> {
    let output = &run.output;
    let nothing_is_kept = demand.blobs.is_empty() && demand.manifests.values().all(BTreeSet::is_empty);
    if run.found_no_store() && nothing_is_kept {
        return Ok(Certified::NothingToCollect);
    }
    let mut violations = Vec::new();
    if run.exit_code != 0 {
        violations.push(Violation::Failed { exit_code: run.exit_code, stderr: run.stderr.clone() });
    }
    match output.summary {
        None => violations.push(Violation::NoSummary { said: output.unknown_samples.clone() }),
        Some(summary) => {
            let listed = output.eligible.len() as u64;
            if summary.blobs != listed {
                violations.push(Violation::CountsDisagree { announced: summary.blobs, listed });
            }
            let manifests = summary.manifests.max(output.manifests_eligible);
            if manifests > 0 {
                violations.push(Violation::DeletesManifests { lines: manifests });
            }
        }
    }
    for (repository, manifests) in &demand.manifests {
        check_repository(output, repository, manifests, &mut violations);
    }
    let kept_blobs = demand.blobs.iter().filter(|blob| output.eligible.contains(blob));
    violations.extend(kept_blobs.map(|blob| Violation::BlobEligible { blob: blob.clone() }));
    if violations.is_empty() { Ok(Certified::Sweep) } else { Err(violations) }
}

fn check_repository(
    output: &CollectorOutput,
    repository: &Repository,
    manifests: &BTreeSet<Digest>,
    violations: &mut Vec<Violation>,
) {
    let marked = output.marked.get(repository);
    if marked.is_none() && !manifests.is_empty() {
        violations.push(Violation::RepositoryNotVisited { repository: repository.clone() });
    }
    for manifest in manifests {
        if marked.is_some_and(|marked| !marked.contains(manifest)) {
            violations
                .push(Violation::NotMarked { repository: repository.clone(), manifest: manifest.clone() });
        }
        if output.eligible.contains(manifest) {
            violations.push(Violation::ManifestEligible {
                repository: repository.clone(),
                manifest: manifest.clone(),
            });
        }
    }
}

/// How a sweep compares with the dry run before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Agreement {
    Same,
    /// 2.4 and 2.5 print nothing when they really delete.
    Silent,
    Differs {
        /// Deleted without having been announced.
        unannounced: Vec<Digest>,
        /// Announced and not deleted.
        left: Vec<Digest>,
    },
}

pub(crate) fn agrees(certificate: &CollectorOutput, sweep: &CollectorOutput) -> Agreement {
    if sweep.is_silent() {
        return Agreement::Silent;
    }
    let only_in =
        |one: &BTreeSet<Digest>, other: &BTreeSet<Digest>| one.difference(other).cloned().collect::<Vec<_>>();
    let unannounced = only_in(&sweep.eligible, &certificate.eligible);
    let left = only_in(&certificate.eligible, &sweep.eligible);
    if unannounced.is_empty() && left.is_empty() {
        Agreement::Same
    } else {
        Agreement::Differs { unannounced, left }
    }
}

#[cfg(test)]
mod tests;
