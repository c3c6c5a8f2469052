//! States of a store in which the collector is known to sweep what is in use, and which no listing over HTTP shows.
//!
//! Distribution 2.7 and 2.8 end their walk at a *file* whose name begins with `_` and take everything behind it for
//! garbage; 2.x does not visit a repository without `_layers`, nor does it list it. Both sweeps end with exit code 0.

use std::collections::BTreeSet;
use std::io::{self, Read};

use anyhow::{Context, Result};
use tar::{Archive, EntryType};

use super::configuration::{Driver, STORE, StoreConfiguration};
use super::{Engine, RegistryContainer};
use crate::error::Failure;
use crate::model::printable;

/// What of a store's folder `repositories` decides whether the collector sees all of it. Paths are relative to it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Layout {
    stray_files: BTreeSet<String>,
    with_manifests: BTreeSet<String>,
    with_layers: BTreeSet<String>,
    /// Repositories that hold at least one manifest; known only where the whole archive was read.
    with_revisions: Option<BTreeSet<String>>,
}

impl Engine {
    pub(super) async fn refuse_hazards(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        let Driver::Filesystem { root } = &store.driver else {
            return Ok(());
        };
        let folder = format!("{}/{STORE}/repositories", root.trim_end_matches('/'));
        let found = if registry.is_stopped() { None } else { self.find_layout(registry, &folder).await? };
        let layout = match found {
            Some(layout) => layout,
            None => self.archived_layout(registry, &folder).await?,
        };
        if let Some(file) = layout.stray_files.first() {
            return Err(Failure::refused(format!(
                "the store of `{}` has a file `{}` among its repositories: the collector would take what comes after it for garbage",
                registry.name,
                printable(file)
            ))
            .hint(format!("move it away: docker exec {} mv {} /tmp/", registry.name, quoted(&format!("{folder}/{file}"))))
            .into());
        }
        for repository in layout.with_manifests.difference(&layout.with_layers) {
            let holds = match &layout.with_revisions {
                Some(known) => known.contains(repository),
                None => self.has_revisions(registry, &format!("{folder}/{repository}")).await?,
            };
            if holds {
                return Err(Failure::refused(format!(
                    "the repository `{}` in the store of `{}` holds manifests but no `_layers`: the collector would not see it, and \
                     take its images for garbage",
                    printable(repository),
                    registry.name
                ))
                .hint(format!("push one image to `{}` again, which makes the folder anew", printable(repository)))
                .into());
            }
        }
        Ok(())
    }

    /// By the `find` of the container's own image; `None` where it has none that can do it.
    async fn find_layout(&self, registry: &RegistryContainer, folder: &str) -> Result<Option<Layout>> {
        let command = [
            "find", folder, "(", "-type", "d", "-name", "_*", "-prune", "-print", ")", "-o", "(", "!",
            "-type", "d", "-name", "_*", "-exec", "echo", "stray", "{}", ";", ")",
        ];
        let mut layout = Layout::default();
        let found = self.exec(&registry.id, &command, &[], |line| layout.read_line(folder, line)).await;
        let found = found.context("look through the store's repositories")?;
        match found.exit_code {
            0 => Ok(Some(layout)),
            // There is no such program, it does not know these words, a folder is closed to it or went while it looked:
            // what it did not see is not known to be absent.
            _ => Ok(None),
        }
    }

    async fn has_revisions(&self, registry: &RegistryContainer, repository: &str) -> Result<bool> {
        let mut is_any = false;
        let revisions = format!("{repository}/_manifests/revisions");
        let command = ["find", &revisions, "-type", "f", "-name", "link"];
        self.exec(&registry.id, &command, &[], |line| {
            is_any |= line.ends_with("/link");
        })
        .await?;
        Ok(is_any)
    }

    async fn archived_layout(&self, registry: &RegistryContainer, folder: &str) -> Result<Layout> {
        let layout = self.stream_archive(&registry.id, folder.to_owned(), read_layout).await;
        Ok(layout.context("read the store's repositories")?.unwrap_or_default())
    }
}

impl Layout {
    /// One line of `find`: a folder, or `stray` and a file.
    fn read_line(&mut self, folder: &str, line: &str) {
        let relative =
            |path: &str| path.strip_prefix(folder).map(|path| path.trim_start_matches('/').to_owned());
        if let Some(file) = line.strip_prefix("stray ") {
            self.stray_files.extend(relative(file));
        } else if let Some(path) = relative(line) {
            self.add_folder(&path);
        }
    }

    fn add_folder(&mut self, path: &str) {
        match path.rsplit_once('/') {
            Some((repository, "_manifests")) => self.with_manifests.insert(repository.to_owned()),
            Some((repository, "_layers")) => self.with_layers.insert(repository.to_owned()),
            _ => false,
        };
    }
}

/// From an archive of `repositories/`, of which only the names are looked at.
fn read_layout(mut archive: Archive<impl Read>) -> io::Result<Layout> {
    let mut layout = Layout { with_revisions: Some(BTreeSet::new()), ..Layout::default() };
    for entry in archive.entries()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some((_, path)) = path.trim_end_matches('/').split_once('/') else {
            continue;
        };
        let is_folder = entry.header().entry_type() == EntryType::Directory;
        // Everything from the first component with `_` on belongs to the repository before it.
        let inside = path.split('/').position(|component| component.starts_with('_'));
        let Some(inside) = inside else { continue };
        let is_last = path.split('/').count() == inside + 1;
        if is_last && is_folder {
            layout.add_folder(path);
        } else if is_last {
            layout.stray_files.insert(path.to_owned());
        } else if let Some((repository, rest)) = path.split_once("/_manifests/revisions/")
            && rest.ends_with("/link")
        {
            layout.with_revisions.get_or_insert_default().insert(repository.to_owned());
        }
    }
    Ok(layout)
}

/// For a shell that a person pastes it into.
fn quoted(path: &str) -> String {
    format!("'{}'", printable(path).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_find_tells_folders_from_stray_files() {
        let mut layout = Layout::default();
        for line in [
            "/s/a/_manifests",
            "/s/a/_layers",
            "/s/a/b/_manifests",
            "stray /s/_x",
            "stray /s/a/_y z",
            "find: nonsense",
        ] {
            layout.read_line("/s", line);
        }
        assert_eq!(layout.stray_files, ["_x".to_owned(), "a/_y z".to_owned()].into());
        assert_eq!(layout.with_manifests, ["a".to_owned(), "a/b".to_owned()].into());
        assert_eq!(layout.with_layers, ["a".to_owned()].into());
    }

    #[test]
    fn an_archive_tells_the_same() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind: EntryType| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            tar.append_data(&mut header, path, &[][..]).unwrap();
        };
        for folder in [
            "repositories",
            "repositories/a",
            "repositories/a/_manifests",
            "repositories/a/_layers",
            "repositories/a/b/_manifests",
        ] {
            add(folder, EntryType::Directory);
        }
        add("repositories/a/b/_manifests/revisions/sha256/00/link", EntryType::Regular);
        add("repositories/a/_manifests/_inside", EntryType::Regular);
        add("repositories/_x", EntryType::Regular);
        let layout = read_layout(Archive::new(&*tar.into_inner().unwrap())).unwrap();
        assert_eq!(layout.stray_files, ["_x".to_owned()].into());
        assert_eq!(layout.with_manifests, ["a".to_owned(), "a/b".to_owned()].into());
        assert_eq!(layout.with_layers, ["a".to_owned()].into());
        assert_eq!(layout.with_revisions, Some(["a/b".to_owned()].into()));
    }
}
