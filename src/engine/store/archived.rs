//! The store out of the engine's archive of the container, which needs no program in the image. The archive holds every
//! layer as well: what is not needed is passed over as it comes, and never held.

use std::io::{self, Read};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tar::{Archive, EntryType};

use super::lines::{Entry, Lines};
use super::{OpenStore, name_of};
use crate::model::{Digest, StoreView, printable};
use crate::place::Kind;

/// What a link may hold, and more than any does.
const LONGEST_LINK: u64 = 256;
/// How most file systems divide a disk.
const BLOCK: u64 = 4096;

impl OpenStore<'_> {
    /// An archive does not tell what a file takes on the disk: its size counts, in whole blocks, and a block for a folder.
    pub(super) async fn read_archive(&self) -> Result<StoreView> {
        let now = self.engine.engine_time().await?;
        let store = self.store();
        let read = self
            .engine
            .stream_archive(&self.registry.id, store.clone(), move |archive| read_entries(archive, now));
        let lines = read.await.with_context(|| format!("read {} in the container", printable(&store)))?;
        // A registry to which nothing was ever pushed has none.
        Ok(lines.unwrap_or_else(|| begun(now)).finish())
    }

    pub(super) async fn archived_contents(
        &self,
        blobs: &[&Digest],
        largest: u64,
        mut tell: impl FnMut(&Digest, &[u8]),
    ) -> Result<()> {
        for digest in blobs {
            let path = format!("{}/blobs/{}/data", self.store(), name_of(digest));
            let read = self.engine.stream_archive(&self.registry.id, path, move |mut archive| {
                let Some(entry) = archive.entries()?.next() else { return Ok(None) };
                let entry = entry?;
                if entry.header().entry_type() != EntryType::Regular || entry.size() > largest {
                    return Ok(None);
                }
                let mut content = Vec::new();
                entry.take(largest).read_to_end(&mut content)?;
                Ok(Some(content))
            });
            if let Some(content) = read.await?.flatten()
                && digest.matches(&content) == Some(true)
            {
                tell(digest, &content);
            }
        }
        Ok(())
    }
}

fn begun(now: Timestamp) -> Lines {
    let mut lines = Lines::default();
    lines.at(now);
    lines
}

fn read_entries(mut archive: Archive<impl Read>, now: Timestamp) -> io::Result<Lines> {
    let mut lines = begun(now);
    for entry in archive.entries()? {
        let entry = entry?;
        let header = entry.header();
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Folder,
            EntryType::Regular => Kind::File,
            _ => Kind::Other,
        };
        let size = entry.size();
        let told = Entry {
            kind,
            modified: header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default(),
            size,
            on_disk: match kind {
                Kind::Folder => BLOCK,
                Kind::File => size.next_multiple_of(BLOCK),
                Kind::Other => 0,
            },
        };
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // The archive begins with the folder's own name.
        let path = match path.trim_end_matches('/').split_once('/') {
            Some((_, path)) => path.to_owned(),
            None => ".".to_owned(),
        };
        lines.entry(&path, told);
        if kind == Kind::File && size <= LONGEST_LINK && path.ends_with("/current/link") {
            let mut content = String::new();
            if entry.take(LONGEST_LINK).read_to_string(&mut content).is_ok() {
                lines.link(&path, &content);
            }
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use tar::Header;

    use super::*;
    use crate::model::ByteSize;

    #[test]
    fn an_archive_tells_what_the_programs_tell() {
        let digest = Digest::of(b"manifest");
        let blob = format!("v2/blobs/{}", name_of(&digest));
        let link = "v2/repositories/app/_manifests/tags/v1/current/link";
        let mut tar = tar::Builder::new(Vec::new());
        let mut append = |kind, path: &str, content: &[u8]| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mtime(5);
            header.set_size(content.len() as u64);
            if kind == EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            tar.append_data(&mut header, path, content).unwrap();
        };
        append(EntryType::Directory, "v2/", b"");
        append(EntryType::Directory, &blob, b"");
        append(EntryType::Regular, &format!("{blob}/data"), b"manifest");
        append(EntryType::Regular, link, digest.to_string().as_bytes());
        append(EntryType::Symlink, "v2/repositories/app/_layers", b"");
        let bytes = tar.into_inner().unwrap();

        let now = Timestamp::from_second(9).unwrap();
        let view = read_entries(Archive::new(bytes.as_slice()), now).unwrap().finish();
        assert_eq!(view.now, now);
        let file = view.blobs[&digest];
        assert_eq!((file.size, file.on_disk), (ByteSize(8), ByteSize(2 * BLOCK)));
        let tag = view.repositories.values().next().unwrap().tags.values().next().unwrap();
        assert_eq!((tag.digest.as_ref(), tag.pushed.as_second()), (Some(&digest), 5));
        assert_eq!(view.odd[0].path, "repositories/app/_layers");
        assert!(read_entries(Archive::new(&bytes[..900]), now).is_err());
    }
}
