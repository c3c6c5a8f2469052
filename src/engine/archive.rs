//! Files out of a container, also a stopped one, through the engine's archive endpoint: one request gives a folder as
//! a tar stream, which is read as it comes.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use futures_util::StreamExt;
use hyper::body::Bytes;
use tar::{Archive, EntryType, Header};
use tokio::sync::mpsc;

use super::configuration::StoreConfiguration;
use super::tags::{Links, PushTimes, add_push_time};
use super::{Engine, RegistryContainer, status};
use crate::model::printable;

const LONGEST_CONFIGURATION: u64 = 1024 * 1024;
/// A link file holds a digest and nothing else.
const LONGEST_LINK: u64 = 256;

impl Engine {
    pub(crate) async fn store_configuration(
        &self,
        registry: &RegistryContainer,
    ) -> Result<StoreConfiguration> {
        let path = registry.configuration_path()?;
        let Some(file) = self.read_file(&registry.id, path).await? else {
            bail!("the container `{}` has no file {}", registry.name, printable(path));
        };
        let text = String::from_utf8(file).with_context(|| format!("read {} as text", printable(path)))?;
        StoreConfiguration::parse(&text, &registry.environment)
            .with_context(|| format!("read {} in the container `{}`", printable(path), registry.name))
    }

    pub(super) async fn archived_links(&self, container: &str, folder: &str) -> Result<Links> {
        let links = self.stream_archive(container, folder.to_owned(), read_links).await;
        Ok(links.with_context(|| format!("read {} in the container", printable(folder)))?.unwrap_or_default())
    }

    pub(super) async fn archived_push_times(&self, container: &str, folder: &str) -> Result<PushTimes> {
        let times = self.stream_archive(container, folder.to_owned(), read_push_times).await;
        Ok(times.with_context(|| format!("read {} in the container", printable(folder)))?.unwrap_or_default())
    }

    /// A file's bytes, symbolic links followed; `None` if there is no such file.
    pub(super) async fn read_file(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>> {
        const MOST_LINKS: usize = 8;
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let found = self
                .stream_archive(container, path.clone(), read_first)
                .await
                .with_context(|| format!("read {} in the container", printable(&path)))?;
            match found.flatten() {
                None => return Ok(None),
                Some(Content::File(bytes)) => return Ok(Some(bytes)),
                Some(Content::Link(target)) if target.starts_with('/') => path = target,
                Some(Content::Link(target)) => {
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    path = format!("{folder}/{target}");
                }
            }
        }
        bail!("{} is a chain of symbolic links without an end", printable(&path))
    }

    /// Puts a file into a container, in place of the one that is there.
    pub(super) async fn write_file(&self, container: &str, path: &str, content: &[u8]) -> Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut header, name, content)?;
        let options = UploadToContainerOptions {
            path: if folder.is_empty() { "/" } else { folder }.to_owned(),
            ..Default::default()
        };
        self.docker
            .upload_to_container(container, Some(options), bollard::body_full(tar.into_inner()?.into()))
            .await
            .with_context(|| format!("write {} in the container", printable(path)))
    }

    /// Runs `read` over the archive of `path` on a thread of its own; `None` if there is no such path.
    pub(super) async fn stream_archive<T: Send + 'static>(
        &self,
        container: &str,
        path: String,
        read: impl FnOnce(Archive<Chunks>) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        // A few chunks ahead, never the whole archive.
        let (sender, receiver) = mpsc::channel(8);
        let reader = tokio::task::spawn_blocking(move || read(Archive::new(Chunks::new(receiver))));
        let options = DownloadFromContainerOptions { path };
        let mut stream = self.docker.download_from_container(container, Some(options));
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Err(error) if status(&error) == Some(404) => return Ok(None),
                chunk => chunk.map_err(io::Error::other),
            };
            // The reader has enough, or has failed and says so below.
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
        drop(sender);
        Ok(Some(reader.await??))
    }
}

/// The channel's other end as a `Read`.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Chunks {
    fn new(receiver: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { receiver, current: Bytes::new() }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.current = chunk?,
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

enum Content {
    File(Vec<u8>),
    Link(String),
}

fn read_first(mut archive: Archive<impl Read>) -> io::Result<Option<Content>> {
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let entry = entry?;
    match entry.header().entry_type() {
        EntryType::Regular => {
            if entry.size() > LONGEST_CONFIGURATION {
                return Err(io::Error::other("the file is too large"));
            }
            let mut bytes = Vec::new();
            entry.take(LONGEST_CONFIGURATION).read_to_end(&mut bytes)?;
            Ok(Some(Content::File(bytes)))
        }
        EntryType::Symlink => {
            let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
            Ok(target.map(Content::Link))
        }
        _ => Ok(None),
    }
}

/// From an archive of `_manifests/`.
fn read_links(mut archive: Archive<impl Read>) -> io::Result<Links> {
    let mut links = Links::default();
    for entry in archive.entries()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(path) = path.trim_start_matches("./").strip_prefix("_manifests/") else { continue };
        let seconds = entry.header().mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
        links.add_revision(path, seconds);
        let mut link = String::new();
        if path.ends_with("/link") && entry.take(LONGEST_LINK).read_to_string(&mut link).is_ok() {
            links.add_tag(path, &link);
        }
    }
    Ok(links)
}

/// From an archive of `repositories/`, of which names and times are looked at.
fn read_push_times(mut archive: Archive<impl Read>) -> io::Result<PushTimes> {
    let mut times = PushTimes::new();
    for entry in archive.entries()? {
        let entry = entry?;
        if let Ok(path) = std::str::from_utf8(&entry.path_bytes())
            && let Some(path) = path.trim_start_matches("./").strip_prefix("repositories/")
        {
            let seconds = entry.header().mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
            add_push_time(&mut times, path, seconds);
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;
    use crate::model::{Digest, Tag};

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mtime(1);
            tar.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn only_whole_links_are_read() {
        let (one, other) = ("a".repeat(64), "b".repeat(64));
        let digest = format!("sha256:{one}");
        let bytes = archive(&[
            ("_manifests/tags/v1/current/link", &digest),
            ("_manifests/tags/v1/index/sha256/aa/link", &format!("sha256:{other}")),
            ("_manifests/tags/empty/current/link", ""),
            ("_manifests/tags/cut/current/link", &digest[..40]),
            ("_manifests/tags/long/current/link", &"x".repeat(10_000)),
            ("_manifests/tags/.odd/current/link", &digest),
            ("_manifests/tags/v2/current/link", &digest),
            (&format!("_manifests/revisions/sha256/{one}/link"), &digest),
            ("_manifests/revisions/sha256/aa/link", &digest),
        ]);
        let links = read_links(Archive::new(bytes.as_slice())).unwrap();
        let digest = Digest::from_str(&digest).unwrap();
        let names: Vec<&str> = links.tags.keys().map(Tag::as_str).collect();
        assert_eq!(names, ["v1", "v2"]);
        assert!(links.tags.values().all(|at| *at == digest));
        assert_eq!(links.revisions.into_keys().collect::<Vec<_>>(), [digest]);
    }

    #[test]
    fn an_archive_that_breaks_off_is_an_error() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let bytes = archive(&[("_manifests/tags/v1/current/link", &digest)]);
        assert!(read_links(Archive::new(&bytes[..600])).is_err());
    }
}
