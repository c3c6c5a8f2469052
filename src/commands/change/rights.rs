//! The plan, and whether this registry lets this account carry it out.

use crate::error::Failure;
use crate::model::{Flaw, Repository, Snapshot};
use crate::plan::{self, Plan, Request};
use crate::registry::{DeleteSupport, Registry};

use super::Change;
use crate::commands::Session;
use crate::commands::session::Place;

impl Change {
    /// The rights are asked for with the deletion of a digest that no registry has. A dry run only says what a run
    /// would meet.
    pub(super) async fn plan(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
        snapshot: &mut Snapshot,
    ) -> anyhow::Result<Plan> {
        let now = session.settings.now;
        snapshot.flaw = self.flaw(place).await;
        let plan = plan::make(snapshot, &self.request, now)?;
        // An explanation needs no rights.
        let Some(repository) = plan.first_changed().filter(|_| self.explain.is_empty()).cloned() else {
            return Ok(plan);
        };
        let support =
            session.unless_cancelled(async { Ok(registry.delete_support(&repository).await?) }).await?;
        let refusal = refusal_to_delete(registry, place, &repository, &support);
        match refusal.or_else(|| refusal_for_hidden_tags(snapshot.flaw)) {
            // How one tag leaves a manifest that stays depends on the server.
            None if plan.has_lone_tags() => {
                let asked =
                    session.unless_cancelled(async { Ok(registry.deletes_tags_by_name(&repository).await?) });
                snapshot.deletes_tags_by_name = asked.await?;
                Ok(plan::make(snapshot, &self.request, now)?)
            }
            None => Ok(plan),
            Some(refusal) if self.flags.dry_run => {
                session.would_refuse(&refusal);
                Ok(plan)
            }
            Some(refusal) => Err(refusal.into()),
        }
    }
}

impl Change {
    /// Known only of a registry on this engine whose store is not made of files.
    async fn flaw(&self, place: &Place) -> Option<Flaw> {
        match (place, &self.request) {
            (Place::Here(site), Request::Prune(_) | Request::Remove(_)) => site.flaw().await,
            _ => None,
        }
    }
}

fn refusal_for_hidden_tags(flaw: Option<Flaw>) -> Option<Failure> {
    let Some(Flaw::HidesTags(version)) = flaw else { return None };
    Some(
        Failure::refused(format!(
            "the registry is a Distribution {version} that keeps its store elsewhere than in files: it hides tags that begin              with the name of another tag, and a deletion would take them along"
        ))
        .hint("run the registry with another version than 3.1.0 or 3.1.1, and try again"),
    )
}

fn refusal_to_delete(
    registry: &Registry,
    place: &Place,
    repository: &Repository,
    support: &DeleteSupport,
) -> Option<Failure> {
    let address = registry.address();
    match support {
        DeleteSupport::Enabled => None,
        DeleteSupport::ReadOnly => Some(
            Failure::refused(format!(
                "the registry at {address} is in read-only mode: it accepts no deletions"
            ))
            .hint("switch `storage.maintenance.readonly` off and restart it"),
        ),
        DeleteSupport::DisabledOrProxy => {
            if let Place::Here(site) = place
                && let Some(upstream) = &site.store.proxies
            {
                return Some(Failure::refused(format!(
                    "the registry at {address} is a pull-through proxy of {upstream}: it accepts no deletions"
                )));
            }
            Some(
                Failure::refused(format!("the registry at {address} has deletion switched off (or is a pull-through proxy)"))
                    .hint("start it with the environment variable REGISTRY_STORAGE_DELETE_ENABLED=true, or set `storage: {delete: {enabled: true}}` in its configuration, and try again"),
            )
        }
        DeleteSupport::Denied(why) => Some(
            Failure::refused(format!("this account may not delete in `{repository}` at {address}: {why}"))
                .hint(format!("log in with an account that may: docker login {address}")),
        ),
    }
}
