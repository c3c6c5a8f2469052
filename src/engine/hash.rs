//! Contents hashed where they lie, by the programs of the registry's own image: nothing of them is transferred.
//!
//! The paths are the command's own arguments, so that no shell is needed, and nothing is written into a container whose
//! file system may be read-only.

use anyhow::{Result, bail};

use super::configuration::STORE;
use super::{Engine, RegistryContainer};
use crate::model::{ByteSize, Digest, printable};

/// A command ends by itself soon after whoever asked for it has gone.
const BLOBS_AT_ONCE: usize = 100;
const BYTES_AT_ONCE: u64 = 1 << 30;

impl Engine {
    /// Tells of each blob what it hashes to. A blob that could not be read is not told of; an error is the reason why none
    /// can be, from there on.
    pub(crate) async fn hash_blobs(
        &self,
        registry: &RegistryContainer,
        root: &str,
        blobs: &[(&Digest, ByteSize)],
        mut tell: impl FnMut(&Digest, &Digest),
    ) -> Result<()> {
        for batch in batches(blobs) {
            let paths: Vec<String> = batch.iter().map(|(digest, _)| path_of(root, digest)).collect();
            let command: Vec<&str> =
                ["sha256sum"].into_iter().chain(paths.iter().map(String::as_str)).collect();
            let mut is_any = false;
            let finished = self.exec(&registry.id, &command, &[], |line| {
                if let Some((wanted, found)) = read_line(line) {
                    is_any = true;
                    tell(&wanted, &found);
                }
            });
            let finished = finished.await.map_err(|error| error.context(NO_TOOL))?;
            match finished.exit_code {
                126 | 127 => bail!(NO_TOOL),
                _ if !is_any => {
                    bail!("`sha256sum` in the container said nothing: {}", printable(&finished.stderr))
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The length of a blob's file; `None` where it cannot be measured.
    pub(crate) async fn length_in_store(
        &self,
        registry: &RegistryContainer,
        root: &str,
        digest: &Digest,
    ) -> Option<u64> {
        let mut length = None;
        let path = path_of(root, digest);
        let command = ["wc", "-c", &path];
        let measured = self.exec(&registry.id, &command, &[], |line| {
            length = line.split_whitespace().next().and_then(|number| number.parse().ok());
        });
        measured.await.is_ok_and(|measured| measured.exit_code == 0).then_some(length)?
    }
}

const NO_TOOL: &str = "`sha256sum` cannot be run in the registry's container";

/// Where the registry keeps a blob's content, below the root of its driver.
pub(crate) fn path_of(root: &str, digest: &Digest) -> String {
    let (root, hex) = (root.trim_end_matches('/'), digest.hex());
    format!("{root}/{STORE}/blobs/sha256/{}/{hex}/data", &hex[..2])
}

/// `<hash>  <path>`: the digest that the place says, and the one that the content has.
fn read_line(line: &str) -> Option<(Digest, Digest)> {
    let (hash, path) = line.split_once("  ")?;
    let wanted = path.strip_suffix("/data")?.rsplit('/').next()?;
    let digest = |hex: &str| format!("sha256:{hex}").parse().ok();
    Some((digest(wanted)?, digest(hash)?))
}

fn batches<'a, 'b>(
    blobs: &'a [(&'b Digest, ByteSize)],
) -> impl Iterator<Item = &'a [(&'b Digest, ByteSize)]> {
    let mut rest = blobs;
    std::iter::from_fn(move || {
        let mut bytes = 0u64;
        let fits = |(_, size): &&(&Digest, ByteSize)| {
            let fits = bytes == 0 || bytes.saturating_add(size.0) <= BYTES_AT_ONCE;
            bytes = bytes.saturating_add(size.0);
            fits
        };
        let length = rest.iter().take(BLOBS_AT_ONCE).take_while(fits).count();
        let (batch, behind) = rest.split_at(length);
        rest = behind;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wanted_and_what_is_there() {
        let (wanted, found) = (Digest::of(b"wanted"), Digest::of(b"found"));
        let line = format!("{}  {}", found.hex(), path_of("/var/lib/registry/", &wanted));
        assert_eq!(read_line(&line), Some((wanted.clone(), found)));
        for odd in ["", "sha256sum: can't open", &format!("{}  /data", wanted.hex()), &line[1..]] {
            assert_eq!(read_line(odd), None, "{odd}");
        }
    }

    #[test]
    fn batches_are_small_and_leave_nothing_out() {
        let digest = Digest::of(b"");
        let sizes = |sizes: &[u64]| -> Vec<usize> {
            let blobs: Vec<_> = sizes.iter().map(|size| (&digest, ByteSize(*size))).collect();
            batches(&blobs).map(<[_]>::len).collect()
        };
        assert_eq!(sizes(&[]), [] as [usize; 0]);
        assert_eq!(sizes(&[1; 250]), [100, 100, 50]);
        assert_eq!(sizes(&[BYTES_AT_ONCE, 1, BYTES_AT_ONCE * 3, u64::MAX, u64::MAX, 0]), [1, 1, 1, 1, 1, 1]);
    }
}
