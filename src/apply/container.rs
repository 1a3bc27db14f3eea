//! How a container goes: never by force, so one that was started meanwhile makes the engine refuse.

use std::time::Duration;

use super::ended::{StepEnd, settle};
use crate::engine::Engine;
use crate::error::Result;
use crate::model::{Container, Outcome};

/// How long a removal that the engine began by itself is waited for.
const LOOKS: usize = 50;
const BETWEEN: Duration = Duration::from_millis(100);

/// A container that was started with `--rm` is already going once it has been stopped: then there is only a wait.
pub(super) async fn remove(engine: &impl Engine, id: &str) -> Result<StepEnd> {
    let find = async || -> Result<Option<Container>> {
        Ok(engine.containers().await?.into_iter().find(|container| container.id == id))
    };
    let removed = engine.remove_container(id).await?;
    let ended = settle(removed, async || Ok(find().await?.is_none())).await?;
    if !matches!(ended.outcome, Outcome::Kept | Outcome::Failed) {
        return Ok(ended);
    }
    // Engines differ in how they say that it runs, or goes already, so a refusal is looked into.
    for _ in 0..LOOKS {
        match find().await? {
            None => return Ok(StepEnd::plainly(Outcome::AlreadyGone)),
            Some(container) if container.state.as_str() == "removing" => tokio::time::sleep(BETWEEN).await,
            Some(container) if container.is_stopped() => break,
            Some(_) => return Ok(StepEnd::plainly(Outcome::Kept)),
        }
    }
    Ok(ended)
}
