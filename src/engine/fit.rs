//! Whether a registry's container is fit for a collection: asked before anything is changed, and again before each
//! collector runs.

use anyhow::{Context, Result};

use super::configuration::{Driver, StoreConfiguration};
use super::container::Mount;
use super::find::{looks_like_registry, name_of};
use super::journal::REGISTRY;
use super::window::Manner;
use super::{Engine, RegistryContainer};
use crate::error::Failure;

impl Engine {
    /// Whether a window can be opened at all, to be asked before anything is deleted for a collection.
    pub(crate) async fn refuse_unfit(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
    ) -> Result<()> {
        if let Some(refusal) = registry.refusal() {
            return Err(refusal.into());
        }
        registry.configuration_path()?;
        if let Driver::Filesystem { root } = &store.driver
            && manner != Manner::Live
            && !registry.is_on_a_mount(root)
        {
            return Err(Failure::refused(format!(
                "the store {root} is neither on a volume nor on a bind mount of the container `{}`: \
                     no other container can reach it",
                registry.name
            ))
            .hint("`--gc-mode live` collects inside the running registry; nobody may push meanwhile")
            .into());
        }
        self.refuse_other_writers(registry, store).await?;
        self.refuse_hazards(registry, store).await?;
        self.refuse_unreachable_cache(registry, store).await
    }

    /// A second registry on the same files would write while this one is stopped. The stand-in is shown not to.
    pub(super) async fn refuse_other_writers(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        let Driver::Filesystem { root } = &store.driver else {
            return Ok(());
        };
        let Some(own) = registry.mount_of(root) else {
            return Ok(());
        };
        for other in self.list(false, None).await.context("look for others who write to the store")? {
            let is_ours = other.labels.as_ref().and_then(|labels| labels.get(REGISTRY)) == Some(&registry.id);
            if is_ours || other.id.as_deref() == Some(&registry.id) {
                continue;
            }
            let is_registry = looks_like_registry(&other);
            let name = name_of(&other);
            let mounts = other.mounts.unwrap_or_default().into_iter().map(Mount::from_engine);
            if mounts.into_iter().any(|mount| mount.is_writable && mount.shares_files_with(own, is_registry))
            {
                return Err(Failure::refused(format!(
                    "the container `{name}` can write to the store of `{}` and runs",
                    registry.name
                ))
                .hint(format!(
                    "`docker stop {name}` for the time of the collection, or delete only with `--no-gc`"
                ))
                .into());
            }
        }
        Ok(())
    }
}
