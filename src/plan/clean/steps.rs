//! The lines of a plan.

use crate::model::{
    Container, Deed, Holder, Image, ImageGuard, ImageId, Kept, KeptReason, Kind, Reason, Reference, Step,
};

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
        let guard = if self.names.is_empty() && !self.digests.is_empty() {
            ImageGuard::Pushed { digests: self.digests.clone() }
        } else {
            ImageGuard::of(self.names.iter().map(ToString::to_string).collect())
        };
        Step::new(Deed::RemoveImage { id: self.image.id, guard }, self.reason, bytes)
    }
}

/// A tag that goes back to the image that it was taken from.
pub(super) struct Return {
    pub(super) from: ImageId,
    pub(super) to: ImageId,
    /// By which name the sessions that end held that image, and nobody else does.
    pub(super) hold: Option<Reference>,
}

impl Return {
    pub(super) fn step(&self, tag: &Reference) -> Step {
        give_back(tag, Some(self.from), self.to, self.hold.clone())
    }
}

pub(super) fn give_back(tag: &Reference, from: Option<ImageId>, to: ImageId, hold: Option<Reference>) -> Step {
    Step::new(Deed::GiveBack { name: tag.clone(), from, to, hold }, Reason::TakenTag, 0)
}

pub(super) fn keep(image: &Image, reason: KeptReason, holders: Vec<Holder>) -> Kept {
    Kept {
        kind: Kind::Image,
        id: image.id.to_string(),
        names: image.public_tags().map(ToString::to_string).collect(),
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
    let runs = containers.iter().filter(|container| !container.is_stopped());
    let stops = runs.map(|container| container.stop());
    stops.chain(containers.iter().map(|container| container.removal())).map(|deed| Step::new(deed, reason, 0)).collect()
}

/// dkb's own name of a moment goes off an image that has others.
pub(super) fn moment_step(image: &Image) -> Step {
    own_name_step(image, &image.id.private_tag())
}

/// One of dkb's own names goes off an image that has others.
pub(super) fn own_name_step(image: &Image, name: &Reference) -> Step {
    Step::new(Deed::Untag { image: image.id, name: name.clone() }, Reason::OwnName, 0)
}

pub(super) fn untag_step(image: &Image, tag: &Reference, reason: Reason) -> Step {
    Step::new(Deed::Untag { image: image.id, name: tag.clone() }, reason, 0)
}
