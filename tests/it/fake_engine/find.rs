//! `find` over the files of a container, as far as it is asked for here: names, kinds, pruning, `-exec`.

use super::exec::{Ended, run_on_files};
use super::files::{Node, Tree, below};

enum Expression {
    Name(String),
    Path(String),
    /// Written within the last minutes.
    Recent,
    Kind(String),
    Prune,
    Print,
    Exec {
        words: Vec<String>,
        at_once: bool,
    },
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// `Err`: words that are not known here.
pub(super) fn find(words: &[String], tree: &Tree) -> Result<Ended, String> {
    let (folder, mut rest) = words.split_first().ok_or("find what?")?;
    let expression = any(&mut rest)?;
    if !rest.is_empty() {
        return Err(format!("what is {rest:?} of find?"));
    }
    let nodes: Vec<(&str, &Node)> = below(tree, folder).collect();
    if nodes.is_empty() {
        let stderr = format!("find: {folder}: No such file or directory\n");
        return Ok(Ended { stdout: String::new(), stderr, code: 1 });
    }
    let mut walk = Walk { tree, prints: !acts(&expression), ended: Ended::default(), gathered: Vec::new() };
    let mut closed: Option<&str> = None;
    for (path, node) in nodes {
        if closed.is_some_and(|closed| path.starts_with(&format!("{closed}/"))) {
            continue;
        }
        let mut prunes = false;
        if walk.holds(&expression, path, node, &mut prunes)? && walk.prints {
            walk.ended.say(path);
        }
        if prunes {
            closed = Some(path);
        }
    }
    for (words, paths) in std::mem::take(&mut walk.gathered) {
        let ended = run_on_files(&words, &paths, tree)?;
        walk.ended.stdout.push_str(&ended.stdout);
        walk.ended.code = walk.ended.code.max(ended.code);
    }
    Ok(walk.ended)
}

struct Walk<'a> {
    tree: &'a Tree,
    /// Without an action of its own, what holds is printed.
    prints: bool,
    ended: Ended,
    /// The commands that get all paths at once.
    gathered: Vec<(Vec<String>, Vec<String>)>,
}

impl Walk<'_> {
    fn holds(
        &mut self,
        expression: &Expression,
        path: &str,
        node: &Node,
        prunes: &mut bool,
    ) -> Result<bool, String> {
        Ok(match expression {
            Expression::Name(pattern) => is_like(path.rsplit('/').next().unwrap_or_default(), pattern),
            Expression::Path(pattern) => is_like(path, pattern),
            // Everything was pushed long ago.
            Expression::Recent => false,
            Expression::Kind(kind) => (kind == "d") == matches!(node, Node::Folder),
            Expression::Prune => {
                *prunes = true;
                true
            }
            Expression::Print => {
                self.ended.say(path);
                true
            }
            Expression::Exec { words, at_once: false } => {
                let ended = run_on_files(words, &[path.to_owned()], self.tree)?;
                self.ended.stdout.push_str(&ended.stdout);
                ended.code == 0
            }
            Expression::Exec { words, at_once: true } => {
                match self.gathered.iter_mut().find(|(known, _)| known == words) {
                    Some((_, paths)) => paths.push(path.to_owned()),
                    None => self.gathered.push((words.clone(), vec![path.to_owned()])),
                }
                true
            }
            Expression::Not(inner) => !self.holds(inner, path, node, prunes)?,
            Expression::All(all) => {
                for one in all {
                    if !self.holds(one, path, node, prunes)? {
                        return Ok(false);
                    }
                }
                true
            }
            Expression::Any(any) => {
                for one in any {
                    if self.holds(one, path, node, prunes)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

fn acts(expression: &Expression) -> bool {
    match expression {
        Expression::Print | Expression::Exec { .. } => true,
        Expression::Not(inner) => acts(inner),
        Expression::All(inner) | Expression::Any(inner) => inner.iter().any(acts),
        Expression::Name(_)
        | Expression::Path(_)
        | Expression::Recent
        | Expression::Kind(_)
        | Expression::Prune => false,
    }
}

fn any(words: &mut &[String]) -> Result<Expression, String> {
    let mut alternatives = vec![all(words)?];
    while words.first().is_some_and(|word| word == "-o") {
        *words = &words[1..];
        alternatives.push(all(words)?);
    }
    Ok(Expression::Any(alternatives))
}

fn all(words: &mut &[String]) -> Result<Expression, String> {
    let mut terms = Vec::new();
    while words.first().is_some_and(|word| word != "-o" && word != ")") {
        terms.push(term(words)?);
    }
    Ok(Expression::All(terms))
}

fn term(words: &mut &[String]) -> Result<Expression, String> {
    let next = |words: &mut &[String]| -> Result<String, String> {
        let (first, rest) = words.split_first().ok_or("find ends too early")?;
        *words = rest;
        Ok(first.clone())
    };
    let word = next(words)?;
    Ok(match word.as_str() {
        "-name" => Expression::Name(next(words)?),
        "-path" => Expression::Path(next(words)?),
        "-mmin" if next(words)?.starts_with('-') => Expression::Recent,
        "-type" => Expression::Kind(next(words)?),
        "-prune" => Expression::Prune,
        "-print" => Expression::Print,
        "!" => Expression::Not(Box::new(term(words)?)),
        "(" => {
            let inner = any(words)?;
            next(words)?;
            inner
        }
        "-exec" => {
            let end = words.iter().position(|word| word == ";" || word == "+").ok_or("-exec has no end")?;
            let command = words[..end].iter().filter(|word| *word != "{}").cloned().collect();
            let at_once = words[end] == "+";
            *words = &words[end + 1..];
            Expression::Exec { words: command, at_once }
        }
        _ => return Err(format!("what is {word} of find?")),
    })
}

/// A pattern in which stars stand for anything.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| is_like(&name[at..], rest))
        }),
    }
}
