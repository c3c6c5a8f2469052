//! Lists that come in pages. A list is complete or it is an error.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, Url};
use serde_json::Value;

use super::Registry;
use super::error::{Error, Kind};
use super::scope::Scopes;
use super::transport::Answer;
use crate::model::{Repository, Tag, printable};

/// Page sizes for the catalog, each tried when the one before was refused (2.8.2 and later allow 1000 by default) or
/// ended in a dropped connection: Distribution 3 panics on some repository names, depending on where a page ends.
const PAGE_SIZES: [usize; 4] = [1000, 100, 99, 10];
/// A list of 2.x comes whole: a hundred thousand tags of the longest name.
const LONGEST_LIST: u64 = 16 * 1024 * 1024;
/// Pages in a row that bring nothing new before a list counts as endless.
const MOST_IDLE_PAGES: u32 = 20;

impl Registry {
    /// Every repository, sorted. Where the registry does not tell, the error's kind is [`Kind::NoCatalog`].
    pub(crate) async fn catalog(&self) -> Result<Vec<Repository>, Error> {
        let mut list = List::new("repositories");
        let mut sizes = PAGE_SIZES.into_iter().peekable();
        let mut promised: Option<Url> = None;
        while let Some(&size) = sizes.peek() {
            let url = promised.take().unwrap_or_else(|| self.catalog_page(size, list.last.as_deref()));
            let answer = match self.list_page(url, HeaderMap::new(), &Scopes::catalog()).await {
                Ok(answer) => answer,
                Err(error) if is_worth_another_size(&error) => {
                    sizes.next();
                    if sizes.peek().is_none() {
                        return Err(error);
                    }
                    continue;
                }
                Err(error) => return Err(without_catalog(error)),
            };
            let page = list.add(&answer)?;
            promised = list.next(&answer, page)?;
            // 2.5 to 2.8 leave the Link out of some full pages although more follows.
            let may_follow = page.names >= size && page.new_names > 0;
            if promised.is_none() && !may_follow {
                break;
            }
        }
        Ok(list.finish())
    }

    /// Every tag of `repository`, sorted. A repository the registry does not know is an error that
    /// [`Error::is_absent`].
    pub(crate) async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, Error> {
        let scopes = Scopes::repository(repository, &["pull"]);
        let mut list = List::new("tags");
        // Without `n` every version answers with all tags; 3.1 pages what is asked for with too large an `n`.
        let mut page_url = Some(self.url(&format!("{repository}/tags/list")));
        while let Some(url) = page_url {
            let answer = self.list_page(url, HeaderMap::new(), &scopes).await?;
            let page = list.add(&answer)?;
            page_url = list.next(&answer, page)?;
        }
        Ok(list.finish())
    }

    fn catalog_page(&self, size: usize, last: Option<&str>) -> Url {
        let mut url = self.url("_catalog");
        url.query_pairs_mut()
            .append_pair("n", &size.to_string())
            .extend_pairs(last.map(|last| ("last", last)));
        url
    }

    pub(super) async fn list_page(
        &self,
        url: Url,
        headers: HeaderMap,
        scopes: &Scopes,
    ) -> Result<Answer, Error> {
        let mut call = self.call(Method::GET, url);
        call.headers = headers;
        call.size_limit = LONGEST_LIST;
        let answer = self.send(call, scopes).await?;
        if answer.status == 200 { Ok(answer) } else { Err(Error::refused(&answer)) }
    }
}

/// 400 is a page size that is too large. A cut connection may be the panic described above.
fn is_worth_another_size(error: &Error) -> bool {
    error.status() == Some(400)
        || (error.kind() == Kind::Transient && error.status().is_none() && !error.is_timeout())
}

fn without_catalog(error: Error) -> Error {
    match error.status() {
        Some(401 | 403 | 404 | 405 | 501) => error.with_kind(Kind::NoCatalog),
        _ => error,
    }
}

/// A list as it grows by pages.
pub(super) struct List<T> {
    key: &'static str,
    names: BTreeSet<T>,
    /// The last name of the last page, in the registry's own order.
    last: Option<String>,
    promised: HashSet<Url>,
    idle_pages: u32,
}

#[derive(Clone, Copy)]
pub(super) struct PageSize {
    names: usize,
    new_names: usize,
}

impl<T: FromStr<Err: Display> + Ord> List<T> {
    pub(super) fn new(key: &'static str) -> Self {
        Self { key, names: BTreeSet::new(), last: None, promised: HashSet::new(), idle_pages: 0 }
    }

    fn add(&mut self, answer: &Answer) -> Result<PageSize, Error> {
        let malformed = |why: String| Error::unusable(answer, Kind::Malformed, why);
        let Ok(page) = serde_json::from_slice::<Value>(&answer.body) else {
            return Err(Error::unusable(answer, Kind::NotARegistry, "the answer is not JSON"));
        };
        let names = match page.get(self.key) {
            Some(Value::Array(names)) => names.as_slice(),
            // An empty list is `null` in 2.x and 3.1.
            Some(Value::Null) => &[],
            _ => return Err(malformed(format!("the answer has no list of {}", self.key))),
        };
        let mut parsed = Vec::new();
        for name in names {
            let text = name.as_str().unwrap_or_default();
            parsed.push(text.parse().map_err(|error: T::Err| {
                malformed(format!("the list of {} is not usable: {error}", self.key))
            })?);
            self.last = Some(text.to_owned());
        }
        Ok(self.extend(parsed))
    }

    pub(super) fn extend(&mut self, names: Vec<T>) -> PageSize {
        let (before, count) = (self.names.len(), names.len());
        self.names.extend(names);
        PageSize { names: count, new_names: self.names.len() - before }
    }

    /// The page that the registry promises after this one.
    pub(super) fn next(&mut self, answer: &Answer, page: PageSize) -> Result<Option<Url>, Error> {
        let malformed = |why: String| Error::unusable(answer, Kind::Malformed, why);
        let Some(target) = next_link(&answer.headers).map_err(|why| malformed(why.to_owned()))? else {
            return Ok(None);
        };
        let next =
            answer.url.join(&target).ok().filter(|next| next.origin() == answer.url.origin()).ok_or_else(
                || malformed(format!("the list goes on at another place: `{}`", printable(&target))),
            )?;
        self.idle_pages = if page.new_names == 0 { self.idle_pages + 1 } else { 0 };
        if self.idle_pages > MOST_IDLE_PAGES || !self.promised.insert(next.clone()) {
            return Err(malformed("the list goes in circles".to_owned()));
        }
        Ok(Some(next))
    }

    pub(super) fn finish(self) -> Vec<T> {
        self.names.into_iter().collect()
    }
}

/// The target with `rel="next"` among all `Link` headers (RFC 8288, as far as registries use it).
pub(super) fn next_link(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    const UNREADABLE: &str = "its `Link` header cannot be read";
    for line in headers.get_all(LINK) {
        let mut rest = line.to_str().map_err(|_| UNREADABLE)?.trim();
        while !rest.is_empty() {
            let (target, after) =
                rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(UNREADABLE)?;
            // Parameters end where the next link begins.
            let end = after.find(",<").or_else(|| after.find(", <")).unwrap_or(after.len());
            let (parameters, following) = after.split_at(end);
            let is_next = parameters.split(';').any(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or_default();
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
            });
            if is_next {
                return Ok(Some(target.to_owned()));
            }
            rest = following.trim_start_matches(',').trim_start();
        }
    }
    Ok(None)
}
