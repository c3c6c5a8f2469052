//! Who refers to a manifest, where the registry says it (the referrers API of the OCI distribution specification 1.1).

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Registry;
use super::error::{Error, Kind};
use super::listing::List;
use super::scope::Scopes;
use super::transport::Answer;
use crate::model::manifest::OCI_INDEX;
use crate::model::{Digest, Manifest, ManifestKind, Repository, printable};

impl Registry {
    /// The manifests whose subject is `digest`, as the registry lists them; `None` where it does not serve such lists.
    /// Distribution does not.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Vec<Digest>>, Error> {
        let scopes = Scopes::repository(repository, &["pull"]);
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(OCI_INDEX))]);
        let mut list = List::new("manifests");
        let first = self.url(&format!("{repository}/referrers/{digest}"));
        let mut answer = match self.list_page(first, headers.clone(), &scopes).await {
            Ok(answer) => answer,
            Err(error) if is_not_served(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        loop {
            let page = list.extend(referrers_in(&answer)?);
            let Some(url) = list.next(&answer, page)? else {
                return Ok(Some(list.finish()));
            };
            answer = self.list_page(url, headers.clone(), &scopes).await?;
        }
    }
}

/// The specification forbids a 404 where there are none. Others say that they do not do it.
fn is_not_served(error: &Error) -> bool {
    error.status() == Some(404) || error.kind() == Kind::Unsupported
}

/// An answer that is no index says nothing: it is not an empty list.
fn referrers_in(answer: &Answer) -> Result<Vec<Digest>, Error> {
    let malformed = |why: String| Error::unusable(answer, Kind::Malformed, why);
    let media_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let index = Manifest::parse(Digest::of(&answer.body), media_type, &answer.body).map_err(malformed)?;
    if index.kind != ManifestKind::Index {
        return Err(malformed("the list of referrers is no index".to_owned()));
    }
    if let Some(odd) = index.children.iter().find(|referrer| !referrer.is_manifest()) {
        let media_type = printable(odd.media_type.as_str());
        return Err(malformed(format!("the referrer {} is of the unknown type `{media_type}`", odd.digest)));
    }
    Ok(index.children.iter().map(|referrer| referrer.digest.clone()).collect())
}
