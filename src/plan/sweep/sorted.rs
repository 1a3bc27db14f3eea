//! Everything that was seen, sorted into what may go and what stays.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::model::{Deed, Kept, KeptReason, Kind, Step};

/// What names one thing on a host.
pub(crate) type ThingKey = (Kind, String);

/// Something that no rule keeps for its own sake.
pub(super) struct Removable {
    pub(super) step: Step,
    pub(super) since: Option<Timestamp>,
    pub(super) last_use: Timestamp,
    /// What goes too, and must go before it.
    pub(super) after: Vec<ThingKey>,
}

impl Removable {
    pub(super) fn key(&self) -> ThingKey {
        (self.step.kind(), self.step.id().into_owned())
    }

    pub(super) fn into_kept(self, reason: KeptReason) -> Kept {
        Kept::instead_of(&self.step, reason)
    }
}

/// The containers among them.
pub(super) fn containers(going: &[Removable]) -> HashSet<&str> {
    let deeds = going.iter().map(|candidate| &candidate.step.deed);
    deeds.filter_map(|deed| if let Deed::RemoveContainer { id, .. } = deed { Some(&**id) } else { None }).collect()
}

/// Everything that was seen, sorted: the candidates in the order in which they would go.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) going: Vec<Removable>,
    pub(super) kept: Vec<Kept>,
}
