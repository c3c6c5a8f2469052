//! Lines of a shell in a container, as far as they are asked for here: programs one after another, as long as none
//! fails; whether programs are there; lists of paths that are given to a program.

use super::exec::{Ended, run_on_files};
use super::files::{Node, Tree, tree};
use super::find::find;
use super::{Refused, State};

/// Before the programs that a script looks for.
const LOOKS_FOR: &str = "for tool in ";

impl State {
    /// `arguments` begin with the name of the script. `Err`: words that are not known here.
    pub(super) fn script(
        &mut self,
        container: &str,
        script: &str,
        arguments: &[String],
        input: &[u8],
    ) -> Result<Result<Ended, String>, Refused> {
        if let Some((programs, _)) = script.strip_prefix(LOOKS_FOR).and_then(|rest| rest.split_once(';')) {
            let mut ended = Ended::default();
            programs.split_whitespace().for_each(|program| ended.say(&format!("/bin/{program}")));
            return Ok(Ok(ended));
        }
        // What `each` does with a list is known: it is taken apart, line by line.
        let line = script.rsplit_once("\n}\n").map_or(script, |(_, line)| line);
        let mut shell = Shell { arguments: arguments.to_vec(), folder: String::new() };
        let mut all = Ended::default();
        for (joint, command) in commands(line) {
            match joint {
                Joint::And if all.code != 0 => continue,
                Joint::Or if all.code == 0 => continue,
                _ => {}
            }
            let run = match self.command(container, &mut shell, &command, input)? {
                Ok(run) => run,
                Err(unknown) => return Ok(Err(unknown)),
            };
            all.stdout.push_str(&run.stdout);
            all.stderr.push_str(&run.stderr);
            all.code = run.code;
            if command.first().is_some_and(|word| word == "exec") {
                break;
            }
        }
        Ok(Ok(all))
    }

    fn command(
        &mut self,
        container: &str,
        shell: &mut Shell,
        command: &[String],
        input: &[u8],
    ) -> Result<Result<Ended, String>, Refused> {
        let command: Vec<String> =
            command.iter().filter(|word| *word != "exec").flat_map(|word| shell.filled(word)).collect();
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["shift"] => {
                shell.arguments.remove(1);
                Ok(Ok(Ended::default()))
            }
            ["cd", folder, ..] => {
                let contents = self.contents_for(container)?;
                let left = self.left.clone();
                let tree = tree(contents.as_ref(), &left, &self.find(container)?.files);
                (*folder).clone_into(&mut shell.folder);
                let code = i64::from(!tree.contains_key(*folder));
                Ok(Ok(Ended { code, ..Ended::default() }))
            }
            ["head", "-n", count, "|", rest @ ..] => {
                let input = String::from_utf8_lossy(input).into_owned();
                let count = count.parse().expect("how many lines");
                let paths = input.lines().take(count).map(ToOwned::to_owned);
                let by: &[&str] = match rest {
                    ["each"] => &["stat", "-c", "%f %Y %s %b %n"],
                    known => known,
                };
                let words = by.iter().map(|word| (*word).to_owned());
                self.program(container, &words.chain(paths).collect::<Vec<_>>(), &shell.folder)
            }
            _ => self.program(container, &command, &shell.folder),
        }
    }

    pub(super) fn program(
        &mut self,
        container: &str,
        words: &[String],
        folder: &str,
    ) -> Result<Result<Ended, String>, Refused> {
        Ok(match words.split_first() {
            Some((program, paths)) if program == "rm" || program == "rmdir" => {
                Ok(self.remove_files(container, program == "rmdir", paths)?)
            }
            Some((program, rest)) if program == "date" && rest == ["+%s"] => {
                Ok(Ended { stdout: format!("{}\n", self.now), ..Ended::default() })
            }
            program => {
                let contents = self.contents_for(container)?;
                let left = self.left.clone();
                let tree = seen_from(folder, tree(contents.as_ref(), &left, &self.find(container)?.files));
                match program {
                    Some((program, rest)) if program == "find" => find(rest, &tree),
                    Some((program, rest)) if program == "cpio" => Ok(copy(&rest[3..], &tree)),
                    Some((program, rest)) if program == "stat" => {
                        run_on_files(&words[..3], &rest[2..], &tree)
                    }
                    _ => run_on_files(words, &[], &tree),
                }
            }
        })
    }
}

/// What a shell remembers from one command to the next.
struct Shell {
    arguments: Vec<String>,
    folder: String,
}

impl Shell {
    fn filled(&self, word: &str) -> Vec<String> {
        match word {
            "$1" => self.arguments.get(1).cloned().into_iter().collect(),
            "$2" => self.arguments.get(2).cloned().into_iter().collect(),
            "$@" => self.arguments.iter().skip(1).cloned().collect(),
            "2>/dev/null" => Vec::new(),
            word => vec![word.to_owned()],
        }
    }
}

/// With the names that the files have in a folder: `./data` and `data`. Without a folder, all as they are.
fn seen_from(folder: &str, tree: Tree) -> Tree {
    if folder.is_empty() {
        return tree;
    }
    let inside = tree.into_iter().filter_map(|(path, node)| {
        let path = path.strip_prefix(folder)?;
        (path.is_empty() || path.starts_with('/')).then(|| (format!(".{path}"), node))
    });
    let inside: Tree = inside.collect();
    let bare =
        inside.iter().filter_map(|(path, node)| Some((path.strip_prefix("./")?.to_owned(), node.clone())));
    bare.collect::<Tree>().into_iter().chain(inside).collect()
}

/// `cpio -o -H newc`, which ends at the first file that is not there.
fn copy(paths: &[String], tree: &Tree) -> Ended {
    let mut ended = Ended::default();
    let mut append = |name: &str, content: &str| {
        let numbers = [0, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0];
        let header: String = numbers.iter().map(|number| format!("{number:08X}")).collect();
        let mut file = format!("070701{header}{name}\0");
        file.extend(std::iter::repeat_n('\0', file.len().next_multiple_of(4) - file.len()));
        file.push_str(content);
        file.extend(std::iter::repeat_n('\0', file.len().next_multiple_of(4) - file.len()));
        ended.stdout.push_str(&file);
    };
    for path in paths {
        let Some(Node::File(bytes)) = tree.get(path) else {
            return Ended { stderr: format!("cpio: {path}: No such file or directory\n"), code: 1, ..ended };
        };
        // Contents that are no text are no manifests, and are not asked for.
        append(path, &String::from_utf8(bytes.clone()).expect("text"));
    }
    append("TRAILER!!!", "");
    ended
}

/// Whether a command is run, after the one before it.
#[derive(Clone, Copy)]
enum Joint {
    Always,
    And,
    Or,
}

/// The words of each command. `;` and the end of a line end one, and `&&` and `||`.
fn commands(line: &str) -> Vec<(Joint, Vec<String>)> {
    const END: &str = ";";
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let line = line.replace("\\\n", " ");
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            ('\n' | ';', None) => {
                words.extend(word.take());
                words.push(END.to_owned());
            }
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    let mut commands = vec![(Joint::Always, Vec::new())];
    for word in words {
        let joint = match word.as_str() {
            END => Joint::Always,
            "&&" => Joint::And,
            "||" => Joint::Or,
            _ => {
                commands.last_mut().expect("a command").1.push(word);
                continue;
            }
        };
        commands.push((joint, Vec::new()));
    }
    commands.retain(|(_, words)| !words.is_empty());
    commands
}
