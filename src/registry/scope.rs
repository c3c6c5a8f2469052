//! Scopes of the token specification: `type:name:action[,action]`, several of them joined by blanks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::{Ordered, Repository};

/// What a token is asked to allow: actions by resource. Ordered, so that the same demand is the same key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    pub(super) fn repository(repository: &Repository, actions: &[&str]) -> Self {
        Self::one(format!("repository:{repository}"), actions)
    }

    pub(super) fn catalog() -> Self {
        Self::one("registry:catalog".to_owned(), &["*"])
    }

    fn one(resource: String, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|&action| action.to_owned()).into_set();
        Self(BTreeMap::from([(resource, actions)]))
    }

    /// A name may hold a host with a port, so the type is split off in front and the actions at the end.
    pub(super) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for (resource, actions) in text.split_whitespace().filter_map(|scope| scope.rsplit_once(':')) {
            let actions = actions.split(',').map(ToOwned::to_owned);
            scopes.0.entry(resource.to_owned()).or_default().extend(actions);
        }
        scopes
    }

    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for (resource, actions) in &other.0 {
            merged.0.entry(resource.clone()).or_default().extend(actions.iter().cloned());
        }
        merged
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn each(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.each().collect::<Vec<_>>().join(" "))
    }
}
