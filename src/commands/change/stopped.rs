//! The garbage of a registry that does not run: what is kept is read from its files, and it stays stopped. Nothing can be
//! deleted from it meanwhile, since only its own server does that.

use std::collections::BTreeSet;

use crate::cli;
use crate::collect::{self, Doors};
use crate::confirm;
use crate::engine::{Effort, Extent, Found};
use crate::error::Failure;
use crate::model::{Digest, RegistryAddress, Snapshot, StoreView};
use crate::outcome::Collection;
use crate::plan;
use crate::report;
use crate::site::Site;
use crate::snapshot::{self, Scope, Wanted};
use crate::verify::compare_stored;

use super::ready::refuse_busy;
use super::survey::blocked;
use super::{Change, Planned};
use crate::commands::Session;
use crate::commands::choose::{self, Places};

impl Session {
    /// The registry's container, where one was named that does not run, or none was and the only one does not.
    pub(super) async fn stopped(
        &self,
        arguments: &[RegistryAddress],
        access: &cli::Access,
    ) -> anyhow::Result<Option<Site>> {
        let configured = self.configured()?;
        let places = Places { arguments, flag: access.registry.as_ref(), configured: configured.as_ref() };
        let is_said = choose::said(&places)?.is_some();
        if access.container.is_none() && is_said {
            return Ok(None);
        }
        let Ok(engine) = self.engine().await else { return Ok(None) };
        // It may have been left so.
        self.put_right(engine).await?;
        let found = match access.container.as_deref() {
            Some(name) => engine.find_registry(None, Some(name)).await?,
            None => engine.only_stopped_registry().await?,
        };
        match found {
            Found::Container(container) if container.is_stopped() => {
                let store = engine.store_configuration(&container).await?;
                let container = *container;
                Ok(Some(Site { engine: engine.clone(), container, store, published: None }))
            }
            Found::Container(_) | Found::None { .. } => Ok(None),
        }
    }

    /// Why a registry did not answer, where its container was named and does not run.
    pub(super) async fn or_is_stopped(&self, error: anyhow::Error, access: &cli::Access) -> anyhow::Error {
        if access.container.is_none() || self.cancel.is_cancelled() {
            return error;
        }
        match self.stopped(&[], access).await {
            Ok(Some(site)) => {
                let name = &site.container.name;
                Failure::refused(format!(
                    "the registry's container `{name}` is not running: nothing can be deleted from it"
                ))
                .hint(format!("`docker start {name}`, and try again"))
                .hint(format!(
                    "`docker registry gc --container {name}` collects its garbage and leaves it stopped"
                ))
                .into()
            }
            _ => error,
        }
    }
}

impl Change {
    pub(super) async fn collect_stopped(&self, session: &Session, site: &Site) -> anyhow::Result<u8> {
        let Site { engine, container, store, .. } = site;
        session.ui.say(&format!(
            "Registry container: `{}` of image {} ({}), which does not run",
            container.name, container.image_name, container.picked_because
        ));
        refuse_busy(session, site).await?;
        if site.root().is_none() {
            let name = &container.name;
            return Err(Failure::refused(format!(
                "the registry in `{name}` does not keep its store in files: what it holds is not known while it is stopped"
            ))
            .hint(format!("`docker start {name}`, and try again"))
            .into());
        }
        session.unless_cancelled(engine.refuse_unfit(container, store, self.manner())).await?;
        let address = self.address_of(site)?;
        let mut snapshot = read_stopped(session, site, &address).await?;
        let mut plan = plan::make(&snapshot, &self.request, session.settings.now)?;
        let before = snapshot.store.take().unwrap_or_default();
        drop(snapshot);
        plan.count_uploads(&before, self.window.uploads_older_than);
        let planned = Planned::of(&plan, self.output.format);
        if let Some(refusal) = blocked(&planned.blockers) {
            return Err(refusal.into());
        }
        if self.flags.dry_run {
            let manifests = planned.kept.manifests.values().flatten();
            let kept: BTreeSet<&Digest> = planned.kept.all_blobs().into_iter().chain(manifests).collect();
            let garbage = before.blobs.keys().filter(|digest| !kept.contains(digest)).count();
            session.ui.say(&format!("Nothing in the store refers to {garbage} of its blobs."));
            session.ui.say("Dry run: nothing was changed.");
            return Ok(0);
        }
        let then = format!(
            "all garbage, repositories without images and uploads unfinished for {}; \
             the container `{}` is stopped, and stays so",
            self.window.uploads_older_than, container.name
        );
        let warning = report::warning(&plan, &then);
        let approval = confirm::approve(plan, &warning, session.consent(&self.flags), &session.ui);
        if session.unless_cancelled(approval).await?.is_none() {
            session.ui.say("Nothing was removed.");
            return Ok(0);
        }
        let size_before = before.on_disk;
        let planned = Planned { files: Some(before.blobs), ..planned };
        let doors = Doors { refuses_pushes: async || Ok(false), answers: async |_| Ok(()) };
        let task = self.task(session, site, &planned);
        let (mut collection, _) = collect::collect(&task, &session.cancel, &session.ui, doors).await;
        self.mark_collected(session, &planned, &collection);
        let after = view_stopped(session, site).await;
        if let (Collection::Done(collected), Ok(after)) = (&mut collection, &after) {
            (collected.before, collected.after) = (Some(size_before), Some(after.on_disk));
        }
        let verified = Some(after.map(|view| compare_stored(&view, &planned.kept)));
        Ok(self.report(session, planned, None, &collection, verified))
    }

    /// Where it is when it runs; without a fixed port its name stands for it.
    fn address_of(&self, site: &Site) -> anyhow::Result<RegistryAddress> {
        match self.access.registry.clone().or_else(|| site.container.usual_address()) {
            Some(address) => Ok(address),
            None => Ok(site.container.name.parse()?),
        }
    }
}

async fn read_stopped(session: &Session, site: &Site, address: &RegistryAddress) -> anyhow::Result<Snapshot> {
    let store = site.open_store().await?;
    let read = async {
        let view = store.read(None, Extent::Everything, Effort::Whatever).await?;
        session.report_odd(&view);
        let wanted = Wanted::within(Scope::Whole);
        snapshot::from_store((&store, view), None, address, &wanted, &session.ui).await
    };
    let read = session.unless_cancelled(read).await;
    store.close().await?;
    read
}

async fn view_stopped(session: &Session, site: &Site) -> anyhow::Result<StoreView> {
    let store = site.open_store().await?;
    let read = session.unless_cancelled(store.read(None, Extent::Everything, Effort::Whatever)).await;
    store.close().await?;
    read
}
