//! Everything that was seen, sorted into what may go and what stays.

use jiff::Timestamp;

use crate::model::{ImageId, Kept, KeptReason, Kind, Step};

/// What names one thing on a host.
pub type Key = (Kind, String);

/// Something that no rule keeps for its own sake.
pub(super) struct Candidate {
    pub(super) step: Step,
    pub(super) since: Option<Timestamp>,
    pub(super) last_use: Timestamp,
    /// What goes too, and must go before it.
    pub(super) after: Vec<Key>,
}

impl Candidate {
    pub(super) fn key(&self) -> Key {
        (self.step.kind, self.step.id.clone())
    }

    pub(super) fn into_kept(self, reason: KeptReason) -> Kept {
        let Step { kind, id, names, bytes, .. } = self.step;
        Kept { kind, id, names, bytes, reason, holders: Vec::new() }
    }
}

/// Everything that was seen, sorted: the candidates in the order in which they would go.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) going: Vec<Candidate>,
    pub(super) kept: Vec<Kept>,
}

pub(super) fn image_of(step: &Step) -> Option<ImageId> {
    (step.kind == Kind::Image).then(|| ImageId::parse(&step.id)).flatten()
}
