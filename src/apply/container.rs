//! How a container goes: never by force, so one that was started meanwhile makes the engine refuse.

use std::time::Duration;

use super::step_end::{StepEnd, settle};
use crate::engine::{Answer, Engine};
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
    let others = match &removed {
        Answer::Refused { message, .. } => others_on_it(message, id),
        _ => Vec::new(),
    };
    if !others.is_empty() {
        return Ok(StepEnd { for_others: others, ..StepEnd::plainly(Outcome::Kept) });
    }
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

/// Podman removes no container that another one stands on, as by `--network container:NAME`. No list says which those are,
/// its refusal does.
fn others_on_it(refusal: &str, id: &str) -> Vec<String> {
    if !refusal.contains("dependent containers") {
        return Vec::new();
    }
    let words = refusal.split(|c: char| !c.is_ascii_hexdigit());
    words.filter(|word| word.len() == id.len() && *word != id).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_the_sake_of_others_names_them() {
        let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(64));
        let refusal = format!(
            "cannot remove container {one} as it has dependent containers: container has dependent containers which \
             must be removed before it: {two}, {three}: container already exists"
        );
        assert_eq!(others_on_it(&refusal, &one), [two, three]);
        assert!(others_on_it(&format!("container {one} is busy"), &one).is_empty());
    }
}
