//! Commands in a running container. A command that is not known here raises an alarm.

use serde_json::{Value, json};

use super::container::Status;
use super::files::{Node, Tree, below};
use super::{Refused, State, collector};

pub(super) struct Exec {
    container: String,
    words: Vec<String>,
    reads: bool,
    ended: Option<Ended>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Ended {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) code: i64,
}

impl Ended {
    pub(super) fn say(&mut self, line: &str) {
        self.stdout.push_str(line);
        self.stdout.push('\n');
    }
}

impl State {
    pub(super) fn create_exec(&mut self, container: &str, body: &Value) -> Result<Value, Refused> {
        let found = self.find(container)?;
        if found.status != Status::Running {
            return Err(Refused(409, format!("Container {container} is not running")));
        }
        let container = found.id.clone();
        let id = format!("{:064x}", self.execs.len() + 1);
        self.execs.insert(
            id.clone(),
            Exec { container, words: words_of(body), reads: body["AttachStdin"] == true, ended: None },
        );
        Ok(json!({ "Id": id }))
    }

    /// How many lines it reads before it ends: its last argument says so.
    pub(super) fn lines_read_by(&self, id: &str) -> Option<usize> {
        let exec = self.execs.get(id).filter(|exec| exec.reads)?;
        exec.words.last()?.parse().ok()
    }

    /// Runs it to its end.
    pub(super) fn start_exec(&mut self, id: &str, input: &[u8]) -> Result<Ended, Refused> {
        let unknown = || Refused(404, format!("No such exec instance: {id}"));
        let exec = self.execs.get(id).ok_or_else(unknown)?;
        let (container, words) = (exec.container.clone(), exec.words.clone());
        if self.find(&container)?.status != Status::Running {
            return Err(Refused(409, format!("Container {container} is not running")));
        }
        let ended = self.run(&container, &words, input)?;
        if let Some(exec) = self.execs.get_mut(id) {
            exec.ended = Some(ended.clone());
        }
        Ok(ended)
    }

    pub(super) fn inspect_exec(&self, id: &str) -> Result<Value, Refused> {
        let exec = self.execs.get(id).ok_or_else(|| Refused(404, format!("No such exec instance: {id}")))?;
        let code = exec.ended.as_ref().map(|ended| ended.code);
        Ok(json!({ "ID": id, "Running": false, "ExitCode": code, "ContainerID": exec.container }))
    }

    /// The command, for the journal.
    pub(super) fn words_of_exec(&self, id: &str) -> String {
        self.execs.get(id).map_or_else(|| id.to_owned(), |exec| shown(&exec.words))
    }

    fn run(&mut self, container: &str, words: &[String], input: &[u8]) -> Result<Ended, Refused> {
        let contents = self.contents_for(container)?;
        if words.iter().any(|word| word == "garbage-collect") {
            let found = collector::mark(contents.as_ref(), self.ailment);
            if !words.iter().any(|word| word == "--dry-run") {
                self.sweep(&found.eligible);
            }
            return Ok(Ended { stdout: found.stdout, stderr: found.stderr, code: found.exit_code });
        }
        let ended = match words {
            [shell, flag, script, arguments @ ..] if shell == "sh" && flag == "-c" => {
                self.script(container, script, arguments, input)?
            }
            _ => self.program(container, words, "")?,
        };
        Ok(ended.unwrap_or_else(|what| {
            self.alarm(format!("an unknown command in a container: {what}"));
            Ended { stdout: String::new(), stderr: what, code: 127 }
        }))
    }
}

pub(super) fn words_of(body: &Value) -> Vec<String> {
    let words = body["Cmd"].as_array().into_iter().flatten();
    words.filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect()
}

/// On one line, which tells what is run.
pub(super) fn shown(words: &[String]) -> String {
    const LONGEST: usize = 100;
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// The small programs; `Err` for one that is not known.
pub(super) fn run_on_files(words: &[String], paths: &[String], tree: &Tree) -> Result<Ended, String> {
    let known: Vec<&str> = words.iter().map(String::as_str).collect();
    let stdout = match known.as_slice() {
        ["grep", "-H", ""] => {
            let lines = paths.iter().filter_map(|path| match tree.get(path) {
                Some(Node::File(bytes)) => Some(format!("{path}:{}\n", String::from_utf8_lossy(bytes))),
                _ => None,
            });
            lines.collect()
        }
        // The one time at which everything was pushed.
        ["stat", "-c", "%Y %n"] => paths.iter().map(|path| format!("1714521600 {path}\n")).collect(),
        ["stat", "-c", "%f %Y %s %n"] => {
            let lines = paths.iter().filter_map(|path| {
                let (mode, size) = match tree.get(path)? {
                    Node::Folder => ("41ed", 4096),
                    Node::File(bytes) => ("81a4", bytes.len()),
                };
                Some(format!("{mode} 1714521600 {size} {path}\n"))
            });
            lines.collect()
        }
        ["stat", "-c", "%f %Y %s %b %n"] => {
            let lines = paths.iter().filter_map(|path| {
                let (mode, size) = match tree.get(path)? {
                    Node::Folder => ("41ed", 4096),
                    Node::File(bytes) => ("81a4", bytes.len()),
                };
                Some(format!("{mode} 1714521600 {size} {} {path}\n", size.div_ceil(4096) * 8))
            });
            lines.collect()
        }
        ["echo", said @ ..] => format!("{} {}\n", said.join(" "), paths.join(" ")),
        ["du", "-sk", folder] => {
            let kibibytes: usize = below(tree, folder)
                .map(|(_, node)| match node {
                    Node::Folder => 4,
                    Node::File(bytes) => bytes.len().div_ceil(4096) * 4,
                })
                .sum();
            format!("{kibibytes}\t{folder}\n")
        }
        _ => return Err(words.join(" ")),
    };
    Ok(Ended { stdout, ..Ended::default() })
}
