//! Files in and out of a container, as tar.

use std::io::Read as _;

use super::files::{Node, below, tree};
use super::{Refused, State};

impl State {
    pub(super) fn archive(&mut self, container: &str, path: &str) -> Result<Vec<u8>, Refused> {
        let contents = self.contents_for(container)?;
        let left = self.left.clone();
        let tree = tree(contents.as_ref(), &left, &self.find(container)?.files);
        let path = path.trim_end_matches('/');
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let mut tar = tar::Builder::new(Vec::new());
        let mut is_any = false;
        for (found, node) in below(&tree, path) {
            is_any = true;
            let name = found[above.len()..].trim_start_matches('/');
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            let bytes: &[u8] = match node {
                Node::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    &[]
                }
                Node::File(bytes) => bytes,
            };
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).expect("append to the archive");
        }
        if !is_any {
            return Err(Refused(404, format!("Could not find the file {path} in container {container}")));
        }
        Ok(tar.into_inner().expect("the archive"))
    }

    pub(super) fn unpack(&mut self, container: &str, folder: &str, archive: &[u8]) -> Result<(), Refused> {
        let container = self.find(container)?;
        let broken = |error: std::io::Error| Refused(400, error.to_string());
        for entry in tar::Archive::new(archive).entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(broken)?;
            container.files.insert(format!("{}/{name}", folder.trim_end_matches('/')), bytes);
        }
        Ok(())
    }
}
