//! What was to go and did not is kept, and the report says for whom. What another dkb was deleting at the same
//! time may be gone by now.

use std::collections::{HashMap, HashSet};

use crate::engine::Engine;
use crate::model::{
    Action, Capabilities, Container, Holder, Image, ImageId, Kept, KeptReason, Outcome, Plan, Reference, Step,
};

/// A question each, on stores where a whole list costs seconds. More than this changing under a clean is not
/// explained one by one.
const ASKED: usize = 100;

/// What is `held` is kept for a build that began meanwhile; what is `stood_on`, for the containers that stand on it.
pub(super) async fn explain(
    engine: &impl Engine,
    plan: &mut Plan,
    held: &HashSet<String>,
    stood_on: &HashMap<String, Vec<String>>,
    can: Capabilities,
) {
    let unfinished: Vec<usize> = (0..plan.steps.len())
        .filter(|&at| {
            let step = &plan.steps[at];
            let stayed = matches!(step.result, Some(Outcome::Kept | Outcome::Failed));
            // What holds an image by dkb's own name is not over before that name is gone.
            let is_back = || step.action() == Action::GiveBack && (can.drops_nameless || held.contains(&*step.id()));
            let holds = || step.is_of_own_name() || is_back();
            let is_told = || plan.kept.iter().any(|kept| kept.id == step.id());
            stayed && (step.action() == Action::Remove || holds() && !is_told())
        })
        .collect();
    if unfinished.is_empty() {
        return;
    }
    let containers = engine.containers().await.unwrap_or_default();
    let mut users: HashMap<ImageId, Vec<&Container>> = HashMap::new();
    for container in &containers {
        if let Some(image) = container.image {
            users.entry(image).or_default().push(container);
        }
    }
    let list = if can.looks_cost { None } else { engine.images(false).await.ok() };
    let images = list.as_deref().unwrap_or_default();
    let mut children: HashMap<ImageId, Vec<&Image>> = HashMap::new();
    for image in images {
        if let Some(parent) = image.parent {
            children.entry(parent).or_default().push(image);
        }
    }
    let listed: HashMap<ImageId, &Image> = images.iter().map(|image| (image.id, image)).collect();
    for (nth, at) in unfinished.into_iter().enumerate() {
        let step = &plan.steps[at];
        let mut kept = Kept::instead_of(step, KeptReason::Changed);
        if let Some(id) = step.image() {
            let asked = match &list {
                Some(_) => Some(listed.get(&id).map(|image| shown(&image.tags))),
                None if nth < ASKED => {
                    let answer = engine.image(&id.to_string()).await;
                    answer.ok().map(|image| image.map(|image| shown(&image.tags)))
                }
                None => None,
            };
            if asked == Some(None) {
                plan.steps[at].result = Some(Outcome::AlreadyGone);
                continue;
            }
            let going = std::mem::replace(&mut kept.names, asked.flatten().unwrap_or_default());
            if let Some(users) = users.get(&id) {
                kept.reason = KeptReason::InUse;
                kept.holders = users.iter().map(|user| Holder::from(*user)).collect();
            } else if let Some(children) = children.get(&id) {
                kept.reason = KeptReason::Base;
                kept.holders = children.iter().map(|child| Holder::Child { id: child.id, name: None }).collect();
            } else {
                // The name that was to go holds it for nobody else.
                kept.holders = kept.names.iter().filter(|name| !going.contains(name)).map(Holder::of_name).collect();
            }
        } else {
            kept.holders = match stood_on.get(&*step.id()) {
                Some(others) => containers.iter().filter(|one| others.contains(&one.id)).map(Holder::from).collect(),
                None => users_of(step, &containers),
            };
            kept.reason = if kept.holders.is_empty() { KeptReason::Changed } else { KeptReason::InUse };
        }
        if step.result == Some(Outcome::Failed) {
            (kept.reason, kept.holders) = (KeptReason::Failed, Vec::new());
        } else if held.contains(&*step.id()) {
            (kept.reason, kept.holders) = (KeptReason::BuildRunning, Vec::new());
        }
        plan.kept.push(kept);
    }
}

/// The containers that came to use something that is no image; a container that runs uses itself.
fn users_of(step: &Step, containers: &[Container]) -> Vec<Holder> {
    containers.iter().filter(|container| container.uses(&step.deed)).map(Holder::from).collect()
}

fn shown(tags: &[Reference]) -> Vec<String> {
    tags.iter().filter(|tag| !tag.is_momentary()).map(ToString::to_string).collect()
}
