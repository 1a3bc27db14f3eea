//! How a container goes: never by force, so one that was started meanwhile makes the engine refuse.

use std::time::Duration;

use super::{Ended, plainly};
use crate::engine::Engine;
use crate::error::Result;
use crate::model::Outcome;

/// How long a removal that the engine began by itself is waited for.
const LOOKS: usize = 50;
const BETWEEN: Duration = Duration::from_millis(100);

/// A container that was started with `--rm` is already going once it has been stopped: then there is only a wait.
pub(super) async fn remove(engine: &Engine, id: &str) -> Result<Ended> {
    let ended = plainly(engine.remove_container(id, true).await?, |()| Outcome::Done);
    if ended.outcome != Outcome::Kept {
        return Ok(ended);
    }
    for _ in 0..LOOKS {
        match engine.containers().await?.iter().find(|container| container.id == id) {
            None => return Ok(Ended::plainly(Outcome::AlreadyGone)),
            Some(container) if container.state.as_str() == "removing" => tokio::time::sleep(BETWEEN).await,
            Some(_) => break,
        }
    }
    Ok(ended)
}
