//! How a fake registry differs from a good one, and what goes wrong when.

use std::fmt;
use std::sync::Arc;

/// The switchboard. The default is an open Distribution 2.8 with deletion enabled.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a switchboard")]
pub(crate) struct Quirks {
    pub(crate) version: Version,
    pub(crate) deletion: Deletions,
    pub(crate) access: Access,
    /// The catalog is refused with this status.
    pub(crate) catalog_refused: Option<u16>,
    /// A larger `n` gets 400, as with `catalog.maxentries`. Without `n` a page has 100.
    pub(crate) catalog_limit: Option<usize>,
    /// With this `n` the catalog's connection is dropped, as when Distribution 3 panics.
    pub(crate) catalog_drops: Option<usize>,
    /// Full pages do not say that more follows, as in 2.5 to 2.8.
    pub(crate) omits_link: bool,
    /// The last page links to an empty one.
    pub(crate) links_to_empty_page: bool,
    /// Every page links to this.
    pub(crate) link: Option<String>,
    /// Tags come in pages of this size without being asked for, as from other registries.
    pub(crate) tags_page: Option<usize>,
    /// An empty list of tags is `null`.
    pub(crate) tags_null: bool,
    pub(crate) head_without_digest: bool,
    /// Every manifest is served with this digest.
    pub(crate) wrong_digest: Option<String>,
    /// Manifests are served whatever the client accepts, as by registries that store what they do not know.
    pub(crate) serves_any_type: bool,
    /// Everything is answered with a web page.
    pub(crate) is_a_web_page: bool,
    /// Referrers are listed, in pages of this size; Distribution does not.
    pub(crate) referrers_page: Option<usize>,
    /// Every list of referrers names these beside the true ones.
    pub(crate) false_referrers: Vec<String>,
    /// Blobs are redirected to this address.
    pub(crate) blobs_at: Option<String>,
}

/// What a deletion by tag does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// 400 `DIGEST_INVALID`.
    #[default]
    Two,
    /// Removes that tag and leaves the manifest.
    Three,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Deletions {
    #[default]
    Enabled,
    /// Also what a pull-through proxy says.
    Disabled,
    ReadOnly,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Access {
    #[default]
    Open,
    Basic {
        username: String,
        password: String,
    },
    Bearer(TokenService),
}

/// The token service at `/token` of the same address.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenService {
    /// Without one anybody gets a token.
    pub(crate) account: Option<(String, String)>,
    /// The identity token that is taken by POST; without one POST is 404.
    pub(crate) identity_token: Option<String>,
    /// Scopes such as `repository:app:delete` that are left out of tokens without a word.
    pub(crate) never_grants: Vec<String>,
    /// A token is good for so many requests.
    pub(crate) uses: Option<usize>,
    /// A deletion needs `*`, as up to 2.6.
    pub(crate) deletion_needs_star: bool,
}

/// Something that goes wrong: at which requests, how often, how.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    number: Option<usize>,
    method: Option<&'static str>,
    path: String,
    spared: usize,
    times: usize,
    effect: Effect,
}

#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Hang,
    /// The connection ends before anything was done.
    CutBefore,
    /// It was done, and the connection ends before the answer.
    CutAfter,
    /// It was not done, and this is said.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// It was done, and an error is said.
    AnswerAfter(u16),
    /// It was done, then this is, and only then it is answered.
    Then(Act),
}

/// Something that happens elsewhere.
#[derive(Clone)]
pub(crate) struct Act(Arc<dyn Fn() + Send + Sync>);

impl Act {
    pub(crate) fn new(act: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }

    pub(crate) fn happen(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Act")
    }
}

/// Is asked what to do about each request as it arrives, before any [`Fault`].
#[derive(Clone)]
pub(crate) struct Gate(Arc<Ask>);

type Ask = dyn Fn(&str) -> Option<Effect> + Send + Sync;

impl Gate {
    pub(crate) fn new(ask: impl Fn(&str) -> Option<Effect> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn ask(&self, request: &str) -> Option<Effect> {
        (self.0)(request)
    }
}

impl Fault {
    /// Strikes requests of `method` whose path has `path` in it.
    pub(crate) fn on(method: &'static str, path: &str) -> Self {
        Self {
            number: None,
            method: Some(method),
            path: path.to_owned(),
            spared: 0,
            times: usize::MAX,
            effect: Effect::CutBefore,
        }
    }

    /// Strikes the `number`th request, counted from 1.
    pub(crate) fn at(number: usize) -> Self {
        Self {
            number: Some(number),
            method: None,
            path: String::new(),
            spared: 0,
            times: 1,
            effect: Effect::CutBefore,
        }
    }

    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Spares the first requests it would strike.
    pub(crate) fn after(mut self, spared: usize) -> Self {
        self.spared = spared;
        self
    }

    pub(crate) fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    pub(crate) fn answers(self, status: u16) -> Self {
        self.effect(Effect::Answer(status, Vec::new(), String::new()))
    }

    pub(crate) fn too_many_requests(self, retry_after: &str) -> Self {
        let header = ("retry-after", retry_after.to_owned());
        self.effect(Effect::Answer(429, vec![header], String::new()))
    }

    pub(crate) fn hangs(self) -> Self {
        self.effect(Effect::Hang)
    }

    pub(crate) fn cuts(self) -> Self {
        self.effect(Effect::CutBefore)
    }

    pub(crate) fn cuts_after_the_effect(self) -> Self {
        self.effect(Effect::CutAfter)
    }

    pub(super) fn strikes(&mut self, number: usize, method: &str, path: &str) -> bool {
        let is_meant = self.times > 0
            && self.number.is_none_or(|at| at == number)
            && self.method.is_none_or(|of| of == method)
            && path.contains(&self.path);
        if is_meant && self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        is_meant
    }

    pub(super) fn strike(&mut self) -> Effect {
        self.times -= 1;
        self.effect.clone()
    }
}
