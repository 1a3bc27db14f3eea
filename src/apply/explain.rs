//! What was to go and did not is kept, and the report says for whom. What another dkb was deleting at the same
//! time may be gone by now.

use std::collections::{HashMap, HashSet};

use crate::engine::Engine;
use crate::model::{
    Action, Capabilities, Container, Image, ImageId, Kept, KeptReason, Kind, Outcome, Plan, Reference, Step,
};

/// A question each, on stores where a whole list costs seconds. More than this changing under a clean is not
/// explained one by one.
const ASKED: usize = 100;

/// What is `held` is kept for a build that began meanwhile.
pub(super) async fn explain(engine: &impl Engine, plan: &mut Plan, held: &HashSet<String>, can: Capabilities) {
    let unfinished: Vec<usize> = (0..plan.steps.len())
        .filter(|&at| {
            let step = &plan.steps[at];
            // What holds an image by dkb's own name is not over before that name is gone.
            let holds = step.is_of_own_name() || step.action == Action::GiveBack && can.drops_nameless;
            let stayed = matches!(step.result, Some(Outcome::Kept | Outcome::Failed));
            stayed && (step.action == Action::Remove || holds && plan.kept.iter().all(|kept| kept.id != step.id))
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
        let id = ImageId::parse(&step.id).filter(|_| step.kind == Kind::Image);
        let mut names = Vec::new();
        let (mut reason, mut holders) = (KeptReason::Changed, Vec::new());
        if let Some(id) = id {
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
            names = asked.flatten().unwrap_or_default();
            if let Some(users) = users.get(&id) {
                reason = KeptReason::InUse;
                holders = users.iter().map(|user| user.describe()).collect();
            } else if let Some(children) = children.get(&id) {
                reason = KeptReason::Base;
                holders = children.iter().map(|child| child.id.short()).collect();
            } else {
                holders.clone_from(&names);
            }
        } else {
            names.clone_from(&step.names);
            holders = users_of(step, &containers);
            reason = if holders.is_empty() { reason } else { KeptReason::InUse };
        }
        if step.result == Some(Outcome::Failed) {
            (reason, holders) = (KeptReason::Failed, Vec::new());
        } else if held.contains(&step.id) {
            (reason, holders) = (KeptReason::BuildRunning, Vec::new());
        }
        let kept = Kept { kind: step.kind, id: step.id.clone(), names, bytes: step.bytes, reason, holders };
        plan.kept.push(kept);
    }
}

/// The containers that came to use something that is no image; a container that runs uses itself.
fn users_of(step: &Step, containers: &[Container]) -> Vec<String> {
    let uses = |container: &&Container| match step.kind {
        Kind::Container => container.id == step.id,
        Kind::Volume => container.volumes.contains(&step.id),
        Kind::Network => container.networks.iter().any(|of| *of == step.id || step.names.contains(of)),
        Kind::Image | Kind::BuildCache => false,
    };
    containers.iter().filter(uses).map(Container::describe).collect()
}

fn shown(tags: &[Reference]) -> Vec<String> {
    tags.iter().filter(|tag| !tag.is_private()).map(ToString::to_string).collect()
}
