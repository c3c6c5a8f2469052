//! Whether a registry's container is fit for a collection: asked before anything is changed, and again before each
//! collector runs.

use anyhow::Result;

use super::configuration::{Driver, StoreConfiguration};
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
        if let Some(refusal) = registry.unfitness() {
            return Err(refusal.into());
        }
        if registry.is_stopped() && manner != Manner::Offline {
            return Err(Failure::refused(format!(
                "the registry's container `{}` is not running: nothing can serve or collect in it",
                registry.name
            ))
            .hint("`--gc-mode offline` collects its garbage and leaves it stopped")
            .into());
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
        self.refuse_hazards(registry, store).await?;
        self.refuse_unreachable_cache(registry, store).await
    }
}
