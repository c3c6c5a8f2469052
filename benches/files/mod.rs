//! A registry's own files, written as an archive: a large store is there in seconds, without a push.

use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};

use crate::support::content::{Content, Image};
use crate::support::engine::docker;
use crate::support::registry::{Registry, STORE};

/// Long ago: no push is under way.
const WRITTEN: u64 = 1_700_000_000;

/// An archive of files below a store's folder.
pub(crate) struct Files<W: Write>(tar::Builder<W>);

impl Default for Files<Vec<u8>> {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Files<Vec<u8>> {
    pub(crate) fn archive(self) -> Vec<u8> {
        self.0.into_inner().expect("a tar in memory")
    }
}

/// Unpacked in a registry's container as it is written.
pub(crate) struct Unpacking {
    pub(crate) files: Files<ChildStdin>,
    child: Child,
}

impl Unpacking {
    pub(crate) fn into(registry: &Registry) -> Self {
        let unpack = format!("mkdir -p {STORE} && tar x -C {STORE}");
        let mut child = docker(["exec", "--interactive", &registry.name, "sh", "-c", &unpack])
            .stdin(Stdio::piped())
            .spawn()
            .expect("start docker");
        let files = Files(tar::Builder::new(child.stdin.take().expect("stdin is a pipe")));
        Self { files, child }
    }

    pub(crate) fn finish(mut self) {
        drop(self.files.0.into_inner().expect("write to docker"));
        assert!(self.child.wait().expect("wait for docker").success(), "the archive was not unpacked");
    }
}

impl<W: Write> Files<W> {
    pub(crate) fn file(&mut self, path: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(WRITTEN);
        self.0.append_data(&mut header, path, bytes).expect("write an archive");
    }

    pub(crate) fn blob(&mut self, content: &Content) {
        let hex = hex_of(content);
        self.file(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]), &content.bytes);
    }

    fn link(&mut self, folder: &str, content: &Content) {
        self.file(&format!("{folder}/sha256/{}/link", hex_of(content)), content.digest.as_bytes());
    }

    /// The links to the config and the layers.
    pub(crate) fn layer_links(&mut self, repository: &str, image: &Image) {
        for blob in image.layers.iter().chain([&image.config]) {
            self.link(&format!("repositories/{repository}/_layers"), blob);
        }
    }

    /// A manifest of the repository that no tag has to lead to.
    pub(crate) fn revision(&mut self, repository: &str, manifest: &Content) {
        self.link(&format!("repositories/{repository}/_manifests/revisions"), manifest);
    }

    pub(crate) fn tag(&mut self, repository: &str, tag: &str, manifest: &Content) {
        self.revision(repository, manifest);
        let folder = format!("repositories/{repository}/_manifests/tags/{tag}");
        self.link(&format!("{folder}/index"), manifest);
        self.file(&format!("{folder}/current/link"), manifest.digest.as_bytes());
    }
}

fn hex_of(content: &Content) -> &str {
    content.digest.trim_start_matches("sha256:")
}
