//! The server's access log: what really was asked of it. It writes one line per request in the combined log format.

const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
}

impl Access {
    /// Whether this asked for a change. Deleting the digest that nothing has, or the tag that nobody uses, is a harmless
    /// question: whether deleting is allowed at all, and whether by name.
    pub(crate) fn changes(&self) -> bool {
        let is_harmless_question =
            self.path.ends_with(NO_DIGEST) || self.path.contains("/docker-registry-prune-asks-");
        let is_read = matches!(self.method.as_str(), "GET" | "HEAD");
        let is_question = is_harmless_question && self.status >= 400;
        !is_read && !is_question
    }
}

/// Reads `172.17.0.1 - - [21/Nov/2026:18:43:38 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "curl/7.88.1"` and skips other lines.
pub(crate) fn parse(log: &str) -> Vec<Access> {
    log.lines().filter_map(access).collect()
}

fn access(line: &str) -> Option<Access> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once('"')?;
    let mut words = request.split(' ');
    Some(Access {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        status: rest.split_whitespace().next()?.parse().ok()?,
    })
}
