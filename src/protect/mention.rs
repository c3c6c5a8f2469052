//! References as other tools write them, one by one or in lines of text: what `docker ps` and `kubectl get pods` print,
//! the images of a compose file.

use crate::model::{Digest, InvalidName, RegistryAddress, Repository, Tag, printable};
use crate::reference::{Reference, Target};

/// What one reference names: content, a tag, or both (`app:v1@sha256:…`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) registry: Option<RegistryAddress>,
    pub(super) tag: Option<(Repository, Tag)>,
    pub(super) digest: Option<Digest>,
}

impl Mention {
    pub(super) fn read(text: &str) -> Result<Self, InvalidName> {
        // The ids that Kubernetes gives for images begin so on engines of Docker.
        let text = ["docker-pullable://", "docker://"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        if text.starts_with("sha256:") || text.starts_with("sha512:") {
            return Ok(Self { registry: None, tag: None, digest: Some(text.parse()?) });
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let Reference { registry, repository, target } = name.parse()?;
        let tag = match target {
            Target::Tag(tag) => Some(tag),
            Target::WholeRepository if digest.is_none() => Some("latest".parse()?),
            Target::WholeRepository | Target::Digest(_) => None,
        };
        Ok(Self { registry, tag: tag.map(|tag| (repository, tag)), digest })
    }
}

/// Every reference with the number of its line. Several may stand on a line; `#` begins a comment.
pub(super) fn read_lines(text: &str) -> Result<Vec<(usize, Mention)>, InvalidName> {
    // Windows' shells begin a file with a mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut mentions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let invalid = |why: String| InvalidName::new(format!("line {line_number}: {why}"));
        let mut words = line
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
            .take_while(|word| !word.starts_with('#'))
            .peekable();
        if words.peek().is_none() {
            continue;
        }
        let mut references = words.skip_while(|word| begins_item(word)).peekable();
        if references.peek().is_none() {
            return Err(invalid(format!("`{}` names nothing", printable(line.trim()))));
        }
        for word in references {
            let word = unquoted(word);
            if is_bare_id(word) {
                return Err(invalid(format!(
                    "`{word}` is the id of an image on some engine: name its tag, or its digest (`app@sha256:…`)"
                )));
            }
            let mention = Mention::read(word)
                .map_err(|error| invalid(format!("`{}` is not a reference: {error}", printable(word))))?;
            mentions.push((line_number, mention));
        }
    }
    Ok(mentions)
}

/// The beginning of a line of YAML or JSON: `- image: app:v1`.
fn begins_item(word: &str) -> bool {
    matches!(word, "-" | "image:" | "\"image\":" | "'image':")
}

fn unquoted(word: &str) -> &str {
    let inside = |quote: char| word.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(word)
}

/// `docker ps` prints an id in place of a name that its image has lost. It would pass for a repository's name.
fn is_bare_id(word: &str) -> bool {
    matches!(word.len(), 12 | 64) && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
