//! Which registry is meant, when more than one place could say. The first place that says anything wins; two answers
//! from one place are an error that lists them, never a guess.

use crate::error::Failure;
use crate::model::RegistryAddress;

/// What each place says, in the order in which they count.
pub(crate) struct Places<'a> {
    /// In front of references and patterns.
    pub(crate) arguments: &'a [RegistryAddress],
    pub(crate) flag: Option<&'a RegistryAddress>,
    pub(crate) configured: Option<&'a RegistryAddress>,
}

/// A registry that a lower place knows, with how it is shown to people.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) address: RegistryAddress,
    pub(crate) shown: String,
}

/// What a person said; `None` when nobody said anything.
pub(crate) fn said(places: &Places) -> Result<Option<RegistryAddress>, Failure> {
    let mut named: Vec<&RegistryAddress> = Vec::new();
    for address in places.arguments.iter().chain(places.flag) {
        if !named.iter().any(|known| known.host() == address.host()) {
            named.push(address);
        }
    }
    match named[..] {
        [] => Ok(places.configured.cloned()),
        // The flag may say the scheme that the argument leaves open.
        [one] => Ok(Some(places.flag.unwrap_or(one).clone())),
        _ => {
            let all = named.iter().map(|address| address.host()).collect::<Vec<_>>().join(", ");
            Err(Failure::command_line(format!("several registries are named: {all}"))
                .hint("run the command once for each of them"))
        }
    }
}

/// The only one of `candidates`, if there is any.
pub(crate) fn only(candidates: &[Candidate], what: &str) -> Result<Option<RegistryAddress>, Failure> {
    match candidates {
        [] => Ok(None),
        [one] => Ok(Some(one.address.clone())),
        several => {
            let list: Vec<String> =
                several.iter().map(|candidate| format!("\n  {}", candidate.shown)).collect();
            Err(Failure::command_line(format!("which registry? There are several {what}:{}", list.concat()))
                .hint(format!("name one: --registry {}", several[0].address)))
        }
    }
}

/// Nobody knows a registry.
pub(crate) fn none(engine_said: Option<&str>) -> Failure {
    let engine =
        engine_said.map_or_else(|| "no registry container runs on this engine".to_owned(), ToOwned::to_owned);
    Failure::command_line(format!("no registry is named; {engine}, and the Docker config has no login to a private registry"))
        .hint("name it: `--registry 127.0.0.1:5000`, or in front of a repository: `127.0.0.1:5000/team/app`")
        .hint("or once and for all in the Docker config file: {\"plugins\": {\"registry\": {\"address\": \"127.0.0.1:5000\"}}}")
}

/// The hosts of private registries that the Docker config has a login for.
pub(crate) fn private_logins<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Vec<Candidate> {
    let addresses = hosts.into_iter().filter_map(|host| host.parse::<RegistryAddress>().ok());
    addresses
        .map(|address| Candidate { shown: format!("{address} (a login in the Docker config)"), address })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> RegistryAddress {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_place_that_says_something_wins() {
        let (a, b, c) = (address("a:1"), address("b:2"), address("c:3"));
        let said = |arguments: &[RegistryAddress], flag, configured| {
            said(&Places { arguments, flag, configured })
                .map(|found| found.map(|address| address.to_string()))
        };
        assert_eq!(said(&[a.clone(), a.clone()], None, Some(&c)).unwrap(), Some("a:1".into()));
        assert_eq!(said(&[], Some(&b), Some(&c)).unwrap(), Some("b:2".into()));
        assert_eq!(said(&[], None, Some(&c)).unwrap(), Some("c:3".into()));
        assert_eq!(said(&[], None, None).unwrap(), None);
        assert!(said(&[a.clone(), b.clone()], None, None).unwrap_err().to_string().contains("a:1, b:2"));
        assert!(said(&[a], Some(&b), None).is_err());
    }

    #[test]
    fn several_candidates_are_listed_not_guessed() {
        let error =
            only(&private_logins(["r.example:5000", "other.example"]), "logins").unwrap_err().to_string();
        assert!(error.contains("r.example:5000") && error.contains("other.example"), "{error}");
        assert_eq!(only(&private_logins(["r.example"]), "logins").unwrap(), Some(address("r.example")));
        assert_eq!(only(&[], "logins").unwrap(), None);
    }
}
