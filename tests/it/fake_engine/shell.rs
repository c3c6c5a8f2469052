//! Lines of a shell in a container, as far as they are asked for here: programs one after another, as long as none
//! fails; whether programs are there; lists of paths that are given to a program.

use super::exec::{Ended, run_on_files};
use super::files::tree;
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
    ) -> Result<Result<Ended, String>, Refused> {
        if let Some((programs, _)) = script.strip_prefix(LOOKS_FOR).and_then(|rest| rest.split_once(';')) {
            let mut ended = Ended::default();
            programs.split_whitespace().for_each(|program| ended.say(&format!("/bin/{program}")));
            return Ok(Ok(ended));
        }
        // What `each` does with a list is known: it is taken apart, line by line.
        let line = script.rsplit_once("\n}\n").map_or(script, |(_, line)| line);
        let mut all = Ended::default();
        let mut by = String::new();
        for command in commands(line, arguments) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let run = match words.as_slice() {
                [set] if set.starts_with("by=") => {
                    set.trim_start_matches("by=").clone_into(&mut by);
                    continue;
                }
                ["each", list] if list.starts_with('<') => {
                    let Some(list) = self.find(container)?.files.get(&list[1..]) else {
                        return Ok(Err(format!("there is no list {list}")));
                    };
                    let paths: Vec<String> =
                        String::from_utf8_lossy(list).lines().map(ToOwned::to_owned).collect();
                    if paths.is_empty() {
                        continue;
                    }
                    self.program(container, &[vec![by.clone()], paths].concat())?
                }
                _ => self.program(container, &command)?,
            };
            let run = match run {
                Ok(run) => run,
                Err(unknown) => return Ok(Err(unknown)),
            };
            all.stdout.push_str(&run.stdout);
            all.stderr.push_str(&run.stderr);
            all.code = run.code;
            if run.code != 0 {
                break;
            }
        }
        Ok(Ok(all))
    }

    pub(super) fn program(
        &mut self,
        container: &str,
        words: &[String],
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
                let tree = tree(contents.as_ref(), &left, &self.find(container)?.files);
                match program {
                    Some((program, rest)) if program == "find" => find(rest, &tree),
                    _ => run_on_files(words, &[], &tree),
                }
            }
        })
    }
}

/// The words of each command. Both `;` and `&&` end one.
fn commands(line: &str, arguments: &[String]) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut is_word = false;
    let mut quote = None;
    let end = |word: &mut String, is_word: &mut bool, commands: &mut Vec<Vec<String>>| {
        if std::mem::take(is_word) {
            commands.last_mut().expect("a command").push(std::mem::take(word));
        }
    };
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => (quote, is_word) = (Some(letter), true),
            (_, Some(_)) => word.push(letter),
            (_, None) if letter.is_whitespace() => end(&mut word, &mut is_word, &mut commands),
            (';', None) => {
                end(&mut word, &mut is_word, &mut commands);
                commands.push(Vec::new());
            }
            (_, None) => {
                is_word = true;
                word.push(letter);
            }
        }
    }
    end(&mut word, &mut is_word, &mut commands);
    let is_end = |word: &String| word == "&&";
    let commands = commands.iter().flat_map(|command| command.split(is_end));
    let filled = |word: &String| match word.as_str() {
        "$1" => arguments.get(1).cloned().unwrap_or_default(),
        _ => word.clone(),
    };
    let commands = commands.map(|words| words.iter().filter(|word| *word != "exec").map(filled).collect());
    commands.filter(|words: &Vec<String>| !words.is_empty()).collect()
}
