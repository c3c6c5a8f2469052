//! A container beside a registry that does not run: of its image, with its volumes, which it cannot write to. It waits
//! for the commands that read the store.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Tools;
use crate::engine::ask::{ContainerSummary, SummaryState};
use crate::engine::find::label_of;
use crate::engine::journal::{OWNER, Role, owned};
use crate::engine::owner::{Life, Owner};
use crate::engine::{Engine, RegistryContainer};

/// So long it may live when its run was killed.
const WAITS: [&str; 2] = ["sleep", "600"];

impl Engine {
    pub(super) async fn open_beside(&self, registry: &RegistryContainer) -> Result<Tools> {
        let short = registry.id.get(..12).unwrap_or(&registry.id);
        let name = format!("registry-prune-{short}-reader-{}", std::process::id());
        if !self.create_one_off(&name, &body(registry)).await? {
            bail!("the container `{name}` is in the way: `docker rm -f {name}` removes it");
        }
        match self.start_container(&name).await {
            Ok(()) => Ok(Tools::Beside(name)),
            Err(error) => {
                self.remove_one_off(&name).await?;
                // There is nothing to wait by, so there is nothing to read by.
                if crate::engine::status(&error).is_some() { Ok(Tools::None) } else { Err(error.into()) }
            }
        }
    }

    /// The engine ends a reader by itself, and does not remove it. One that cannot be removed does no harm.
    pub(in crate::engine) async fn remove_if_abandoned(&self, reader: &ContainerSummary) {
        if let Some(id) = reader.id.as_deref().filter(|_| is_abandoned(reader)) {
            let _ = self.remove_one_off(id).await;
        }
    }
}

fn is_abandoned(reader: &ContainerSummary) -> bool {
    match label_of(reader, OWNER).map_or(Life::Unknown, Owner::life) {
        Life::Alive => false,
        Life::Dead => true,
        // Another machine's: it may be about to start it.
        Life::Unknown => matches!(reader.state, Some(SummaryState::Exited | SummaryState::Other)),
    }
}

fn body(registry: &RegistryContainer) -> Value {
    let host = &registry.setting.host;
    let [program, time] = WAITS;
    json!({
        "Image": registry.image,
        "Entrypoint": [program],
        "Cmd": [time],
        "User": registry.user,
        "Healthcheck": { "Test": ["NONE"] },
        "Labels": owned(Role::Reader, &registry.id),
        "HostConfig": {
            "VolumesFrom": [format!("{}:ro", registry.id)],
            "NetworkMode": "none",
            "AutoRemove": false,
            "SecurityOpt": host["SecurityOpt"],
            "UsernsMode": host["UsernsMode"],
            "GroupAdd": host["GroupAdd"],
        },
    })
}
