//! `install.sh`: what it puts where, that it takes away exactly that, and what it says when something is missing.
//! Every test has a home folder of its own; nothing outside it is written.

#![expect(clippy::unwrap_used, reason = "what a test needs and does not get ends the test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_docker-registry-prune");
const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

struct Home {
    folder: TempDir,
}

struct Answer {
    code: i32,
    /// What was said on stdout, then on stderr.
    text: String,
}

impl Home {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plugin(&self) -> PathBuf {
        self.path(".docker/cli-plugins/docker-registry")
    }

    fn misplaced(&self) -> PathBuf {
        self.path(".docker/cli-plugins/docker-registry-prune")
    }

    fn binary(&self) -> PathBuf {
        self.path(".local/bin/docker-registry-prune")
    }

    fn install_script(&self) -> Command {
        let mut command = Command::new("bash");
        command
            .arg(Path::new(CHECKOUT).join("install.sh"))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        for name in ["XDG_BIN_HOME", "DOCKER_CONFIG", "CARGO_HOME", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs install.sh with these options.
    fn run(&self, options: &[&str]) -> Answer {
        answer(self.install_script().args(options))
    }

    /// Runs install.sh with the binary under test.
    fn install(&self, options: &[&str]) -> Answer {
        answer(self.install_script().args(["--binary", BINARY]).args(options))
    }

    /// The commands install.sh cannot do without, alone in a folder that can be the whole PATH.
    fn bare_path(&self) -> PathBuf {
        let folder = self.path("tools");
        fs::create_dir_all(&folder).unwrap();
        for tool in ["bash", "basename", "dirname", "head", "mkdir", "readlink", "sed"] {
            let at = ["/usr/bin", "/bin"]
                .map(|place| Path::new(place).join(tool))
                .into_iter()
                .find(|path| path.exists())
                .unwrap();
            symlink(at, folder.join(tool)).unwrap();
        }
        folder
    }

    fn write_program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Answer { code: output.status.code().unwrap(), text: String::from_utf8(text).unwrap() }
}

#[track_caller]
fn check(answer: &Answer, code: i32, says: &[&str]) {
    assert_eq!(answer.code, code, "{}", answer.text);
    for words in says {
        assert!(answer.text.contains(words), "`{words}` is missing in:\n{}", answer.text);
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[test]
fn the_user_gets_the_binary_and_the_link_and_loses_exactly_them() {
    let home = Home::new();
    let neighbour = home.write_program(".docker/cli-plugins/docker-other", "another plugin");

    check(
        &home.install(&[]),
        0,
        &["installed  ", "linked     ", "is not on PATH", "next: docker registry ls"],
    );
    assert_eq!(fs::read(home.binary()).unwrap(), fs::read(BINARY).unwrap());
    assert_eq!(fs::read_link(home.plugin()).unwrap(), home.binary());
    assert!(!is_there(&home.misplaced()));

    check(&home.install(&[]), 0, &["installed  "]);

    check(&home.run(&["--uninstall"]), 0, &["removed    "]);
    assert!(!is_there(&home.binary()) && !is_there(&home.plugin()));
    assert!(is_there(&neighbour));

    check(&home.run(&["--uninstall"]), 0, &["nothing to uninstall"]);
}

#[test]
fn the_plugin_goes_where_docker_config_says() {
    let home = Home::new();
    let install = answer(
        home.install_script()
            .args(["--binary", BINARY])
            .env("DOCKER_CONFIG", "its own config")
            .env("XDG_BIN_HOME", home.path("programs")),
    );
    check(&install, 0, &["linked     "]);
    assert_eq!(
        fs::read_link(home.path("its own config/cli-plugins/docker-registry")).unwrap(),
        home.path("programs/docker-registry-prune")
    );
    assert!(!is_there(&home.plugin()));
}

#[test]
fn an_install_for_all_users_stays_below_its_prefix() {
    let home = Home::new();
    let options = ["--system", "--prefix", "all users"];
    let binary = home.path("all users/bin/docker-registry-prune");
    let plugin = home.path("all users/lib/docker/cli-plugins/docker-registry");

    // Docker would not find a plugin there, which is said.
    check(&home.install(&options), 0, &["cliPluginsExtraDirs"]);
    assert_eq!(fs::read_link(&plugin).unwrap(), binary);
    assert!(binary.exists() && !is_there(&home.plugin()) && !is_there(&home.binary()));

    check(&home.run(&["--uninstall"]), 0, &["nothing to uninstall"]);
    assert!(binary.exists());

    let uninstall = ["--uninstall", "--system", "--prefix", "all users"];
    check(&home.run(&uninstall), 0, &["removed    "]);
    assert!(!is_there(&binary) && !is_there(&plugin));
}

#[test]
fn a_foreign_plugin_of_the_same_name_is_left_alone() {
    let home = Home::new();
    let foreign = home.write_program(".docker/cli-plugins/docker-registry", "somebody else's");

    check(&home.install(&[]), 1, &["did not install", "nothing was changed"]);
    assert!(!is_there(&home.binary()));
    check(&home.run(&["--uninstall"]), 1, &["it was left alone"]);
    assert_eq!(fs::read_to_string(foreign).unwrap(), "somebody else's");

    fs::remove_file(home.plugin()).unwrap();
    symlink("/opt/somebody/docker-registry", home.plugin()).unwrap();
    check(&home.install(&[]), 1, &["a link to /opt/somebody/docker-registry"]);
    check(&home.run(&["--uninstall"]), 1, &["it was left alone"]);
    assert!(is_there(&home.plugin()));
}

#[test]
fn a_link_of_another_installation_is_replaced_but_not_uninstalled() {
    let home = Home::new();
    check(&home.install(&["--prefix", "first"]), 0, &["linked     "]);
    check(&home.install(&[]), 0, &["replacing  "]);
    assert_eq!(fs::read_link(home.plugin()).unwrap(), home.binary());

    check(&home.run(&["--uninstall", "--prefix", "first"]), 1, &["it was left alone", "--prefix"]);
    assert!(is_there(&home.plugin()) && !is_there(&home.path("first/bin/docker-registry-prune")));
}

#[test]
fn no_invalid_plugin_is_left_behind() {
    let home = Home::new();
    fs::create_dir_all(home.misplaced().parent().unwrap()).unwrap();
    symlink(home.binary(), home.misplaced()).unwrap();
    check(&home.install(&[]), 0, &["invalid plugin"]);
    assert!(!is_there(&home.misplaced()));

    symlink(home.binary(), home.misplaced()).unwrap();
    check(&home.run(&["--uninstall"]), 0, &["invalid plugin"]);
    assert!(!is_there(&home.misplaced()));

    fs::write(home.misplaced(), "put there by hand").unwrap();
    check(&home.install(&[]), 0, &["was not put there by this script"]);
    assert!(is_there(&home.misplaced()));
}

#[test]
fn what_is_missing_for_the_build_is_named_with_the_mend() {
    let home = Home::new();
    let tools = home.bare_path();
    let build = || answer(home.install_script().env("PATH", &tools));

    let needed = format!("Rust {}", env!("CARGO_PKG_RUST_VERSION"));
    check(&build(), 1, &["cargo is missing", &needed, "--install-rust"]);

    home.write_program("tools/cargo", "#!/bin/sh\necho 'cargo 1.63.0'\n");
    check(&build(), 1, &["cargo is too old (cargo 1.63.0)", &needed, "rustup update"]);

    home.write_program("tools/cargo", "#!/bin/sh\necho 'cargo 1.99.0'\n");
    check(&build(), 1, &["cc is missing", "build-essential"]);
    assert!(!is_there(&home.binary()) && !is_there(&home.plugin()));
}

#[test]
fn a_wrong_command_line_changes_nothing() {
    let home = Home::new();
    check(&home.run(&["--help"]), 0, &["Usage: ./install.sh"]);
    check(&home.run(&["--sytem"]), 2, &["unknown option: --sytem"]);
    check(&home.run(&["--prefix"]), 2, &["--prefix needs a value"]);
    check(&home.run(&["--binary", "nowhere"]), 1, &["is no program"]);
    assert!(!is_there(&home.binary()) && !is_there(&home.plugin()));
}

#[test]
#[expect(clippy::print_stderr, reason = "says why it was left out")]
fn the_scripts_are_clean_for_shellcheck() {
    let checkout = Path::new(CHECKOUT);
    let mut scripts = vec![checkout.join("install.sh"), checkout.join(".ci/run")];
    for entry in fs::read_dir(checkout.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            scripts.push(path);
        }
    }
    let found = Command::new("tests/shellcheck.sh").current_dir(checkout).output().unwrap();
    let shellcheck = String::from_utf8(found.stdout).unwrap();
    if shellcheck.trim().is_empty() {
        eprintln!("left out, CI has it: {}", String::from_utf8_lossy(&found.stderr));
        return;
    }
    let output = Command::new(shellcheck.trim()).args(scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
