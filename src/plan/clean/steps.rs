//! The lines of a plan.

use crate::model::{Action, Container, Guard, Image, ImageId, Kept, KeptReason, Kind, Reason, Reference, Step};

pub(super) struct Going<'a> {
    pub(super) image: &'a Image,
    pub(super) reason: Reason,
    /// Every name that it has when its turn comes; all of them are ours.
    pub(super) names: Vec<Reference>,
    /// The digests under which it was pushed, where they are all that still holds it.
    pub(super) digests: Vec<String>,
    /// Stopped containers that go before it.
    pub(super) containers: Vec<&'a Container>,
}

impl Going<'_> {
    pub(super) fn step(&self, bytes: u64) -> Step {
        let names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        Step {
            action: Action::Remove,
            kind: Kind::Image,
            id: self.image.id.to_string(),
            bytes,
            reason: self.reason,
            guard: match (names.is_empty(), self.digests.is_empty()) {
                (true, true) => Guard::Untagged,
                (true, false) => Guard::Pushed { digests: self.digests.clone() },
                (false, _) => Guard::Named { names: names.clone() },
            },
            names,
            result: None,
        }
    }
}

/// A tag that goes back to the image that it was taken from.
pub(super) struct Return {
    pub(super) from: ImageId,
    pub(super) to: ImageId,
}

impl Return {
    pub(super) fn step(&self, tag: &Reference) -> Step {
        Step {
            action: Action::GiveBack,
            kind: Kind::Image,
            id: self.to.to_string(),
            names: vec![tag.to_string()],
            bytes: 0,
            reason: Reason::TakenTag,
            guard: Guard::NameOf { id: self.from },
            result: None,
        }
    }
}

pub(super) fn keep(image: &Image, reason: KeptReason, holders: Vec<String>) -> Kept {
    Kept {
        kind: Kind::Image,
        id: image.id.to_string(),
        names: image.tags.iter().filter(|tag| !tag.is_private()).map(ToString::to_string).collect(),
        bytes: image.size,
        reason,
        holders,
    }
}

/// How containers go: first all that run are stopped, then all are removed.
pub(crate) fn of_containers<'a>(containers: impl Iterator<Item = &'a Container>, reason: Reason) -> Vec<Step> {
    let mut containers: Vec<&Container> = containers.collect();
    containers.sort_by(|a, b| a.id.cmp(&b.id));
    containers.dedup_by(|a, b| a.id == b.id);
    let step = |action, container: &&Container| Step {
        action,
        kind: Kind::Container,
        id: container.id.clone(),
        names: vec![container.name.clone()],
        bytes: 0,
        reason,
        guard: Guard::Stopped,
        result: None,
    };
    let runs = containers.iter().filter(|container| !container.is_stopped());
    let stops: Vec<Step> = runs.map(|container| step(Action::Stop, container)).collect();
    stops.into_iter().chain(containers.iter().map(|container| step(Action::Remove, container))).collect()
}

/// dkb's own name goes off an image that has others.
pub(super) fn own_name_step(image: &Image) -> Step {
    Step { reason: Reason::OwnName, ..untag_step(image, &image.id.private_tag()) }
}

pub(super) fn untag_step(image: &Image, tag: &Reference) -> Step {
    Step {
        action: Action::Untag,
        kind: Kind::Image,
        id: image.id.to_string(),
        names: vec![tag.to_string()],
        bytes: 0,
        reason: Reason::SessionOver,
        guard: Guard::NameOf { id: image.id },
        result: None,
    }
}
