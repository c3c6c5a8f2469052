//! The redis in which a registry remembers its blobs. It outlives the registry's restart, so that what was swept is
//! forgotten there by us: else a push of it "already exists", and cannot be pulled.
//!
//! It is reached the way the registry reaches it: by `nc` in a one-off container of the registry's image on the
//! registry's networks. There the configured address means what it means to the registry, be it a container's alias, a
//! link, an entry in its hosts or another machine, on a local engine and on a remote one. From where this tool runs the
//! same words may lead nowhere, or to another redis.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::timeout;

use super::configuration::StoreConfiguration;
use super::{Engine, RegistryContainer};
use crate::credentials::Secret;
use crate::error::Failure;

mod bridge;
mod left;
mod protocol;
mod server;

use bridge::Bridge;
use protocol::Reply;
pub(crate) use server::Server;

/// Every key that the registry writes, and none of anybody else who shares the database.
const REMEMBERED: [&str; 2] = ["blobs::*", "repository::*::blobs*"];
const KEYS_PER_LOOK: &str = "1000";
/// One attempt: the registry may be waiting for its start.
const AT_MOST: Duration = Duration::from_secs(60);

impl Engine {
    /// Whether the redis can be spoken to, asked before anything is changed.
    pub(super) async fn refuse_unreachable_cache(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        let Some(redis) = &store.redis else { return Ok(()) };
        let answered = self.with_redis(&registry.id, redis, async |_| Ok(())).await;
        answered.map_err(|error| not_collected(&registry.name, &error))
    }

    /// Removes what the registry remembers; the answer is how many keys that were.
    pub(super) async fn forget(&self, registry: &str, redis: &Result<Server, String>) -> Result<u64> {
        self.with_redis(registry, redis, forget_all).await
    }

    /// Tried again from the beginning: what was removed stays removed, and a look at an address may fail once.
    async fn with_redis<T>(
        &self,
        registry: &str,
        redis: &Result<Server, String>,
        work: impl AsyncFn(&mut Bridge) -> Result<T>,
    ) -> Result<T> {
        const PAUSES: [u64; 2] = [1, 3];
        let server = redis.as_ref().map_err(|why| anyhow!("{why}"))?;
        let mut spoken = self.speak(registry, server, &work).await;
        for pause in PAUSES {
            if spoken.is_ok() {
                break;
            }
            self.pace.pause(Duration::from_secs(pause)).await;
            spoken = self.speak(registry, server, &work).await;
        }
        spoken.with_context(|| format!("speak to the redis at {server}"))
    }

    async fn speak<T>(
        &self,
        registry: &str,
        server: &Server,
        work: impl AsyncFn(&mut Bridge) -> Result<T>,
    ) -> Result<T> {
        let mut bridge = Bridge::create(self, registry, server).await?;
        let result = async {
            bridge.open().await?;
            greet(&mut bridge, server).await?;
            work(&mut bridge).await
        };
        let result = timeout(AT_MOST, result).await;
        bridge.remove().await;
        result.map_err(|_| anyhow!("it took longer than {} s", AT_MOST.as_secs()))?
    }
}

async fn greet(bridge: &mut Bridge, server: &Server) -> Result<()> {
    let user = server.username.as_deref().filter(|user| !user.is_empty());
    match (user, server.password.as_ref().map(Secret::expose)) {
        (Some(user), Some(password)) => bridge.ask(&["AUTH", user, password]).await?,
        (None, Some(password)) => bridge.ask(&["AUTH", password]).await?,
        (_, None) => Reply::Done,
    };
    bridge.ask(&["SELECT", &server.database.to_string()]).await?;
    bridge.ask(&["PING"]).await?;
    Ok(())
}

async fn forget_all(bridge: &mut Bridge) -> Result<u64> {
    let mut removed = 0;
    for pattern in REMEMBERED {
        let mut cursor = "0".to_owned();
        loop {
            let look = ["SCAN", &cursor, "MATCH", pattern, "COUNT", KEYS_PER_LOOK];
            let (next, keys) = bridge.ask(&look).await?.page()?;
            if !keys.is_empty() {
                let command: Vec<&[u8]> =
                    std::iter::once(b"DEL".as_slice()).chain(keys.iter().map(Vec::as_slice)).collect();
                removed += bridge.ask(&command).await?.number()?;
            }
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
    }
    Ok(removed)
}

/// Nothing was swept, since it could not have been forgotten.
pub(super) fn not_collected(registry: &str, error: &anyhow::Error) -> anyhow::Error {
    Failure::refused(format!(
        "nothing is collected: the registry `{registry}` remembers its blobs in redis, where they must be forgotten with the collection: {error:#}"
    ))
    .hint("start that redis, or mend the `redis` section of the registry's configuration; `--no-gc` deletes only")
    .into()
}

/// What was swept is remembered: the registry serves, and damages what is pushed.
pub(super) fn still_remembers(
    registry: &str,
    redis: &Result<Server, String>,
    error: &anyhow::Error,
) -> anyhow::Error {
    let failure = Failure::failed(format!(
        "PUSHES CAN BE DAMAGED: `{registry}` still remembers, in redis, blobs that were collected: {error:#}"
    ));
    let words = redis.as_ref().map_or_else(|_| "redis-cli".to_owned(), Server::command_line);
    let [blobs, repositories] = REMEMBERED;
    failure
        .hint(format!(
            "before anything is pushed: for keys in '{blobs}' '{repositories}'; do {words} --scan --pattern \"$keys\" | xargs -r {words} del; done"
        ))
        .into()
}
