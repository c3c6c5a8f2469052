//! `--filter KEY=VALUE`, in Docker's words.

use std::str::FromStr;

use super::rule::{LabelFilter, Matcher, Rule};
use crate::age::Age;
use crate::model::printable;

#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Until(Age),
    Label(LabelFilter),
    Tag(Matcher),
    Repository(Matcher),
}

impl Filter {
    /// Adds the filter to a rule; an age may be said once only.
    pub(crate) fn apply(self, rule: &mut Rule) -> Result<(), String> {
        match self {
            Self::Until(_) if rule.older_than.is_some() => {
                return Err(
                    "the age is given twice: `--older-than` and `--filter until=…` say the same".to_owned()
                );
            }
            Self::Until(age) => rule.older_than = Some(age),
            Self::Label(label) => rule.selection.labels.push(label),
            Self::Tag(tag) => rule.selection.tags.push(tag),
            Self::Repository(repository) => rule.selection.repositories.push(repository),
        }
        Ok(())
    }
}

impl FromStr for Filter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{}` has no value: write KEY=VALUE", printable(text)))?;
        match key {
            "until" => value.parse().map(Self::Until),
            "label" => value.parse().map(Self::Label),
            "label!" => format!("!{value}").parse().map(Self::Label),
            "tag" => value.parse().map(Self::Tag),
            "repository" => value.parse().map(Self::Repository),
            _ => Err(format!(
                "there is no filter `{}`: write until, label, label!, tag or repository",
                printable(key)
            )),
        }
    }
}
