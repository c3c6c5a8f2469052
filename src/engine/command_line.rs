//! Which binary a registry's container runs, and which configuration file it was told: taken from the container's own
//! command line, since 2.x and 3.x keep the file in different places and people mount their own.

/// What `registry garbage-collect` must be called as to see the same store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) binary: String,
    /// `None`: the command line does not say, nor does the environment.
    pub(crate) configuration: Option<String>,
}

/// The official image's binary; found on the container's `PATH`.
const BINARY: &str = "registry";

impl CommandLine {
    /// From the first word and the others; `from_environment` is the container's `REGISTRY_CONFIGURATION_PATH`, which
    /// the registry uses when its command line names no file.
    pub(super) fn parse(path: &str, arguments: &[String], from_environment: Option<&str>) -> Self {
        let words = unfold_shell(std::iter::once(path).chain(arguments.iter().map(String::as_str)).collect());
        let serve = words.iter().position(|&word| word == "serve");
        let candidates = match serve {
            Some(position) => &words[position + 1..],
            None => &words[1..],
        };
        let is_file = |word: &&&str| {
            let has_extension = [".yml", ".yaml", ".json"].iter().any(|extension| word.ends_with(extension));
            !word.starts_with('-') && (has_extension || (serve.is_some() && word.starts_with('/')))
        };
        let before_serve = serve.and_then(|position| position.checked_sub(1));
        let binary = before_serve.map_or(words[0], |position| words[position]);
        Self {
            binary: if is_registry_binary(binary) { binary } else { BINARY }.to_owned(),
            configuration: candidates
                .iter()
                .find(is_file)
                .copied()
                .or(from_environment)
                .map(ToOwned::to_owned),
        }
    }
}

/// `sh -c "exec registry serve x.yml"` as words. Quotes and expansions are not understood: a command with them has no
/// word that looks like a file's path, or one that cannot be read, and both are refused later.
fn unfold_shell(words: Vec<&str>) -> Vec<&str> {
    let shell = words.iter().position(|word| *word == "-c").filter(|&position| {
        position > 0 && matches!(base_name(words[position - 1]), "sh" | "bash" | "ash" | "dash")
    });
    match shell.and_then(|position| words.get(position + 1)) {
        Some(script) => {
            let inner: Vec<&str> = script
                .split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '"' | '\''))
                .filter(|word| !word.is_empty() && *word != "exec")
                .collect();
            if inner.is_empty() { words } else { inner }
        }
        None => words,
    }
}

fn is_registry_binary(word: &str) -> bool {
    matches!(base_name(word), "registry" | "docker-registry" | "distribution")
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> (String, Option<String>) {
        let mut words = words.split(' ').map(|word| word.replace('~', " "));
        let path = words.next().unwrap();
        let command = CommandLine::parse(&path, &words.collect::<Vec<_>>(), None);
        (command.binary, command.configuration)
    }

    #[test]
    fn the_usual_forms_name_binary_and_file() {
        for (words, binary, file) in [
            ("/entrypoint.sh /etc/docker/registry/config.yml", "registry", "/etc/docker/registry/config.yml"),
            ("/entrypoint.sh /etc/distribution/config.yml", "registry", "/etc/distribution/config.yml"),
            ("/entrypoint.sh serve /x.yml", "registry", "/x.yml"),
            ("/entrypoint.sh registry serve /x.yaml", "registry", "/x.yaml"),
            ("registry serve /etc/registry.conf", "registry", "/etc/registry.conf"),
            ("/bin/registry serve /x.yml", "/bin/registry", "/x.yml"),
            ("/usr/bin/docker-registry serve --x /x.yml", "/usr/bin/docker-registry", "/x.yml"),
            ("/sbin/tini -- /bin/registry serve /x.yml", "/bin/registry", "/x.yml"),
            ("/bin/sh -c exec~registry~serve~/x.yml", "registry", "/x.yml"),
            ("sh -c update-ca-certificates~&&~/entrypoint.sh~/x.yml", "registry", "/x.yml"),
        ] {
            assert_eq!(parse(words), (binary.to_owned(), Some(file.to_owned())), "{words}");
        }
    }

    #[test]
    fn without_a_file_the_environment_decides() {
        assert_eq!(parse("registry serve"), ("registry".to_owned(), None));
        let command = CommandLine::parse("/bin/registry", &["serve".to_owned()], Some("/from/env.yml"));
        assert_eq!(command.configuration.as_deref(), Some("/from/env.yml"));
    }
}
