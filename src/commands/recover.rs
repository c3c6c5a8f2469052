//! `docker registry recover`.

use crate::cli::Recover;

use super::Session;

pub(crate) async fn run(session: &Session, arguments: Recover) -> anyhow::Result<u8> {
    let engine = session.engine().await?;
    let registry = match &arguments.container {
        Some(name) => Some(session.unless_cancelled(engine.container_id(name)).await?),
        None => None,
    };
    let recovered = engine.recover(registry.as_deref(), &session.cancel).await?;
    for sentence in &recovered.done {
        session.ui.data(&format!("{sentence}\n"));
    }
    if let Some((_, busy)) = recovered.at_work.into_iter().next() {
        return Err(busy.refusal.into());
    }
    if recovered.done.is_empty() {
        session.ui.data("There is nothing to recover.\n");
    }
    Ok(0)
}
