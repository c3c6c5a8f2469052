//! A server that is no container of this engine: its deletions are done, its garbage is its operator's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::content::Recipe;
use crate::support::engine::{docker_says, left_out, registry_image};
use crate::support::registry::{Registry, eventually, free_port};
use crate::support::tool::Tool;

/// The server of the image, run as an ordinary process.
struct Process {
    child: Child,
    address: String,
    client: Client,
    folder: TempDir,
}

impl Process {
    fn start() -> Self {
        let folder = TempDir::new().expect("make a folder");
        let binary = folder.path().join("registry");
        copy_server(&binary);
        let port = free_port();
        let config = format!(
            "version: 0.1\n\
             storage:\n  \
               delete: {{ enabled: true }}\n  \
               cache: {{ blobdescriptor: inmemory }}\n  \
               filesystem: {{ rootdirectory: {}/store }}\n\
             http: {{ addr: '127.0.0.1:{port}' }}\n",
            folder.path().display()
        );
        fs::write(folder.path().join("config.yml"), config).expect("write the configuration");
        let child = Command::new(&binary)
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the server of the image on this machine");
        let address = format!("127.0.0.1:{port}");
        let process = Self { child, client: Client::new(&address, None), address, folder };
        eventually("the server answers", || process.client.send(&reqwest::Method::GET, "/v2/", None).is_ok());
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy_server(target: &Path) {
    let container = docker_says(["create", registry_image()]);
    let target_text = target.display().to_string();
    docker_says(["cp", &format!("{container}:/bin/registry"), &target_text]);
    docker_says(["rm", "--volumes", &container]);
    fs::set_permissions(target, fs::Permissions::from_mode(0o755)).expect("make it a program");
}

#[test]
fn a_registry_in_no_container_gets_its_deletions_and_a_clear_sentence() {
    if left_out() {
        return;
    }
    let process = Process::start();
    // The only other registry that could be mistaken for it.
    let bystander = Registry::start();
    bystander.client.push("app", &["old"], &Recipe::new("bystander").build());
    let started = bystander.started_at();
    for tag in ["old", "older", "kept"] {
        process.client.push("app", &[tag], &Recipe::new(&format!("outside {tag}")).build());
    }
    let blobs = count_files(&process.folder.path().join("store"));
    let tool = Tool::standalone();

    tool.run(&["rm", "--force", &format!("{}/app:old", process.address)]).success();
    tool.run(&["rm", "--gc", "--force", &format!("{}/app:older", process.address)]).success().says_one_of(&[
        "garbage-collect",
        "operator",
        "whoever runs",
    ]);
    assert_eq!(process.client.tags("app"), ["kept"]);
    process.client.pull("app", "kept").unwrap();
    assert_eq!(count_files(&process.folder.path().join("store")), blobs);

    assert_eq!(bystander.started_at(), started, "another registry was touched");
    bystander.assert_pulls("app", ["old"]);
}

/// Blobs below the folder.
fn count_files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| {
            if entry.path().is_dir() {
                count_files(&entry.path())
            } else {
                usize::from(entry.file_name() == "data")
            }
        })
        .sum()
}
