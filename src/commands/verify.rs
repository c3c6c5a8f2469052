//! `docker registry verify`.

use serde_json::json;

use crate::cli::{Access, Format, Verify};
use crate::engine::{Driver, Extent};
use crate::model::Snapshot;
use crate::reference::literal_repositories;
use crate::registry::Registry;
use crate::report;
use crate::snapshot::{Scope, Wanted};
use crate::verify::{self, Source};

use super::Session;
use super::session::Place;

/// The exit code for a difference between what there should be and what there is.
pub(super) const DIFFERS: u8 = 5;

pub(crate) async fn run(session: &Session, arguments: Verify) -> anyhow::Result<u8> {
    let hosts = super::hosts(arguments.patterns.iter());
    let registry = session.registry(&hosts, &arguments.access).await?;
    let is_wanted =
        |repository: &_| arguments.patterns.iter().any(|pattern| pattern.covers_repository(repository));
    let scope = match literal_repositories(&arguments.patterns) {
        _ if arguments.patterns.is_empty() => Scope::Whole,
        Some(names) => Scope::Named(names),
        None => Scope::Matching(&is_wanted),
    };
    let source = arguments.reading.source;
    let place = session.place_to_read(&registry, &arguments.access, source).await?;
    let wanted = Wanted { extent: Extent::Everything, ..Wanted::within(scope) };
    let mut snapshot = session.read(&registry, &place, source, &wanted).await?;
    let verified = session
        .unless_cancelled(async {
            snapshot.narrow(|repository, tag| {
                arguments.patterns.is_empty()
                    || arguments.patterns.iter().any(|pattern| pattern.covers(repository, tag))
            });
            let site = if arguments.deep {
                Some(store(session, &registry, &arguments.access, &snapshot).await?)
            } else {
                None
            };
            let source = site.as_ref().map(|place| match place {
                Place::Here(site) => Source::Store(site),
                Place::Elsewhere(why) => Source::Download(why.clone()),
            });
            anyhow::Ok(verify::check(&registry, &snapshot, place.site(), source.as_ref(), &session.ui).await)
        })
        .await?;
    let exit_code = if verified.problems.is_empty() { 0 } else { DIFFERS };
    match arguments.output.format {
        Format::Json => {
            let document = json!({
                "version": report::json::VERSION,
                "command": "verify",
                "registry": registry.address(),
                "verification": report::json::verification(&verified),
                "exitCode": exit_code,
            });
            session.ui.data(&format!("{document:#}\n"));
        }
        Format::Table => session.ui.data(&report::verification(&verified)),
    }
    Ok(exit_code)
}

/// Where the contents lie. A container that was named has to be one; any other reason only makes it slower.
async fn store(
    session: &Session,
    registry: &Registry,
    access: &Access,
    snapshot: &Snapshot,
) -> anyhow::Result<Place> {
    let site = match session.place(registry, access).await {
        Ok(Place::Here(site)) => site,
        Err(error) if access.container.is_none() => return Ok(Place::Elsewhere(format!("{error:#}"))),
        elsewhere => return elsewhere,
    };
    if let Driver::Other(driver) = &site.store.driver {
        return Ok(Place::Elsewhere(format!("the registry keeps them in `{driver}`")));
    }
    Ok(match site.check_identity(snapshot).await {
        Ok(()) => Place::Here(site),
        Err(error) => Place::Elsewhere(format!("{error:#}")),
    })
}
