//! One thing that a plan does, with what must still hold when its turn comes. What makes no sense can't be said.

mod written;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ImageId, Reference};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Stop a running container with its own signal and grace.
    Stop,
    /// Take the thing away.
    Remove,
    /// Take one name off an image that stays.
    Untag,
    /// Let a name point again at the image that it was taken from.
    GiveBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Container,
    Image,
    Volume,
    BuilderState,
    Network,
    BuildCache,
}

impl Kind {
    /// In the order in which a sweep takes them and a person reads of them.
    pub const ALL: [Self; 6] =
        [Self::Container, Self::Image, Self::Volume, Self::BuilderState, Self::Network, Self::BuildCache];
}

/// Why something is in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An untagged image that one of our builds produced.
    Leftover,
    /// A step that the classic builder kept for its cache.
    Intermediate,
    /// The newer build took its tag.
    Superseded,
    /// A tagged output of a session that ends.
    SessionOver,
    /// A tagged image of ours, with `--tagged`, and its repository has a newer one.
    Outdated,
    /// A tag or a tagged image of ours, as `--tagged` asks for.
    Tagged,
    /// A stopped container of the session, which holds one of its images.
    HoldsImage,
    /// A container, volume or network that bears the session's run label, or a tagged output of a working copy's own
    /// session, which goes on.
    OfSession,
    /// A tag that the session took from an image that was not its own.
    TakenTag,
    /// dkb's own name, left by a deletion that was cut off or by a session that held the image, or an image that
    /// nothing else holds.
    OwnName,
    /// Stamped with the session that this process is in, with no evidence against it.
    Stamped,
    /// A container that does not run.
    Stopped,
    /// An image without a name.
    Dangling,
    /// No container uses it.
    Unused,
    /// A volume of buildx's, whose builder is in no list of buildx's and has no container.
    BuilderGone,
    /// Build cache, as `--cache` asks for.
    AskedFor,
    /// Build cache of images that go, or that are not there any more.
    ImagesGo,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, as planned.
    Done,
    /// Somebody else was faster; it is gone, which is what was wanted.
    AlreadyGone,
    /// The guard no longer held, or the engine named a user: left alone.
    Kept,
    /// The engine refused, or the connection was lost.
    Failed,
    /// Asked for, but it was over before the engine answered: a later look tells.
    Unknown,
    /// Its turn never came.
    NotTried,
}

/// What there is to tell of a step while a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Begins,
    Ended(Outcome),
}

impl Outcome {
    /// It is as it was to be, by us or by somebody who was faster.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::AlreadyGone)
    }
}

/// What is done, to what, and on which condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    StopContainer {
        id: String,
        name: String,
    },
    /// If it does not run.
    RemoveContainer {
        id: String,
        name: String,
    },
    RemoveImage {
        id: ImageId,
        guard: ImageGuard,
    },
    /// If the name still means this image.
    Untag {
        image: ImageId,
        name: Reference,
    },
    /// If the name still means the image that it goes back from, or nothing where it does from none. The session held
    /// the image that it goes to by `hold`.
    GiveBack {
        name: Reference,
        from: Option<ImageId>,
        to: ImageId,
        hold: Option<Reference>,
    },
    /// If no container refers to it and it is the one that was made then, where that is known: a name alone may mean
    /// another one by now.
    RemoveVolume {
        name: String,
        created: Option<Timestamp>,
    },
    /// The same of the volume of a builder of buildx's, and if no container of that builder is there.
    RemoveBuilderState {
        name: String,
        created: Option<Timestamp>,
    },
    /// If no container refers to it.
    RemoveNetwork {
        id: String,
        name: String,
    },
    /// If nothing uses it, and nothing has used it since it was looked at. A record has no name, but is of a kind.
    RemoveCache {
        id: String,
        kind: String,
        last: CacheUse,
    },
}

/// How often a record of the build cache was used by then, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    pub at: Option<Timestamp>,
    pub builds: u64,
}

/// What must still be true of an image that is to go. Names are as the engine lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageGuard {
    /// No name but our private one.
    Untagged,
    /// No name but our private one and these digests, under which our builds' images were pushed.
    Pushed { digests: Vec<String> },
    /// Exactly these names.
    Named { names: Vec<String> },
}

impl ImageGuard {
    /// For an image that has these names, or none.
    pub fn of(names: Vec<String>) -> Self {
        if names.is_empty() { Self::Untagged } else { Self::Named { names } }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub deed: Deed,
    /// What comes back when this step and those before it are done, as far as the engine's list tells.
    pub bytes: u64,
    pub reason: Reason,
    pub result: Option<Outcome>,
}

impl Step {
    pub const fn new(deed: Deed, reason: Reason, bytes: u64) -> Self {
        Self { deed, bytes, reason, result: None }
    }

    /// It is as it was to be, by us or by somebody who was faster.
    pub const fn is_done(&self) -> bool {
        matches!(self.result, Some(outcome) if outcome.is_done())
    }

    /// It was to be done, nothing spoke against it, and nobody can say that it is.
    pub const fn has_failed(&self) -> bool {
        matches!(self.result, Some(Outcome::Failed | Outcome::Unknown | Outcome::NotTried))
    }

    pub const fn action(&self) -> Action {
        match self.deed {
            Deed::StopContainer { .. } => Action::Stop,
            Deed::Untag { .. } => Action::Untag,
            Deed::GiveBack { .. } => Action::GiveBack,
            Deed::RemoveContainer { .. }
            | Deed::RemoveImage { .. }
            | Deed::RemoveVolume { .. }
            | Deed::RemoveBuilderState { .. }
            | Deed::RemoveNetwork { .. }
            | Deed::RemoveCache { .. } => Action::Remove,
        }
    }

    pub const fn kind(&self) -> Kind {
        match self.deed {
            Deed::StopContainer { .. } | Deed::RemoveContainer { .. } => Kind::Container,
            Deed::RemoveImage { .. } | Deed::Untag { .. } | Deed::GiveBack { .. } => Kind::Image,
            Deed::RemoveVolume { .. } => Kind::Volume,
            Deed::RemoveBuilderState { .. } => Kind::BuilderState,
            Deed::RemoveNetwork { .. } => Kind::Network,
            Deed::RemoveCache { .. } => Kind::BuildCache,
        }
    }

    /// The image that goes, loses a name or gets one back.
    pub const fn image(&self) -> Option<ImageId> {
        match self.deed {
            Deed::RemoveImage { id, .. } | Deed::Untag { image: id, .. } | Deed::GiveBack { to: id, .. } => Some(id),
            _ => None,
        }
    }

    /// The image that goes.
    pub const fn removed_image(&self) -> Option<ImageId> {
        if let Deed::RemoveImage { id, .. } = self.deed { Some(id) } else { None }
    }

    /// What names the thing, as it is told. A volume has nothing but its name.
    pub fn id(&self) -> Cow<'_, str> {
        match &self.deed {
            Deed::RemoveImage { id, .. } | Deed::Untag { image: id, .. } | Deed::GiveBack { to: id, .. } => {
                id.to_string().into()
            }
            Deed::StopContainer { id, .. }
            | Deed::RemoveContainer { id, .. }
            | Deed::RemoveVolume { name: id, .. }
            | Deed::RemoveBuilderState { name: id, .. }
            | Deed::RemoveNetwork { id, .. }
            | Deed::RemoveCache { id, .. } => id.into(),
        }
    }

    /// The names that it goes by, or the one that is taken off or given back; of build cache its kind.
    pub fn names(&self) -> Vec<&str> {
        match &self.deed {
            Deed::RemoveImage { guard: ImageGuard::Named { names }, .. } => names.iter().map(String::as_str).collect(),
            Deed::RemoveImage { .. } => Vec::new(),
            Deed::Untag { name, .. } | Deed::GiveBack { name, .. } => vec![name.as_str()],
            Deed::StopContainer { name, .. }
            | Deed::RemoveContainer { name, .. }
            | Deed::RemoveVolume { name, .. }
            | Deed::RemoveBuilderState { name, .. }
            | Deed::RemoveNetwork { name, .. } => vec![name],
            Deed::RemoveCache { kind, .. } => Some(kind.as_str()).filter(|kind| !kind.is_empty()).into_iter().collect(),
        }
    }

    /// Whether it takes away a name below `dkb.invalid/`, which nobody but dkb gives, alone or with its image.
    pub fn is_of_own_name(&self) -> bool {
        self.reason == Reason::OwnName
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_or_has_failed_or_was_kept_or_its_turn_is_still_to_come() {
        let deed = Deed::RemoveNetwork { id: "n".to_owned(), name: "n".to_owned() };
        let step = Step::new(deed, Reason::Leftover, 0);
        for (result, is_done, has_failed) in [
            (None, false, false),
            (Some(Outcome::Done), true, false),
            (Some(Outcome::AlreadyGone), true, false),
            (Some(Outcome::Kept), false, false),
            (Some(Outcome::Failed), false, true),
            (Some(Outcome::Unknown), false, true),
            (Some(Outcome::NotTried), false, true),
        ] {
            let step = Step { result, ..step.clone() };
            assert_eq!((step.is_done(), step.has_failed()), (is_done, has_failed), "{result:?}");
        }
    }
}
