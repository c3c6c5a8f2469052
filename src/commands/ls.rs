//! `docker registry ls`.

use crate::cli::{Format, Ls};
use crate::reference::literal_repositories;
use crate::report::listing::Listing;
use crate::snapshot::{Scope, Wanted, WantedFacts};

use super::Session;

pub(crate) async fn run(session: &Session, ls: Ls) -> anyhow::Result<u8> {
    let hosts = super::hosts(ls.patterns.iter());
    let registry = session.registry(&hosts, &ls.access).await?;
    let is_wanted = |repository: &_| ls.patterns.iter().any(|pattern| pattern.covers_repository(repository));
    let scope = match literal_repositories(&ls.patterns) {
        _ if ls.patterns.is_empty() => Scope::Whole,
        Some(names) => Scope::Named(names),
        None => Scope::Matching(&is_wanted),
    };
    let wants_details = !ls.quiet || ls.output.format == Format::Json;
    let covers = |repository: &_, tag: &_| {
        wants_details
            && (ls.patterns.is_empty() || ls.patterns.iter().any(|pattern| pattern.covers(repository, tag)))
    };
    let wanted = Wanted { facts: WantedFacts { of: &covers, labels: &|_| false }, ..Wanted::within(scope) };
    let place = session.place_to_read(&registry, &ls.access, ls.reading.source).await?;
    let snapshot = session.read(&registry, &place, ls.reading.source, &wanted).await?;
    let listing = Listing { snapshot: &snapshot, patterns: &ls.patterns, now: session.settings.now };
    match ls.output.format {
        Format::Json => session.ui.data(&format!("{:#}\n", listing.document())),
        Format::Table if ls.quiet => session.ui.data(&listing.references()),
        Format::Table => session.ui.data(&listing.table(ls.no_trunc)),
    }
    let mut is_complete = true;
    for sentence in snapshot.unread(|_, _| false) {
        session.ui.warn(&sentence);
        is_complete = false;
    }
    Ok(u8::from(!is_complete))
}
