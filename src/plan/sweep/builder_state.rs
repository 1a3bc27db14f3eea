//! What builders of buildx that are gone left in volumes. It is cache and nothing else, so that a builder who comes back
//! builds anew, but `buildx rm --keep-state` leaves just such a volume: it is asked for by name.

use jiff::Timestamp;

use super::rules::{SweepRules, Thing};
use super::sorted::{Removable, Sorted};
use crate::model::{Holder, Kept, KeptReason, Pattern, Reason, Step, Volume, node_of};

pub(super) fn sort(rules: &SweepRules, sorted: &mut Sorted) {
    let policy = rules.policy;
    if !policy.builder_state {
        return;
    }
    let states = rules.look.volumes.iter().filter_map(|volume| Some((node_of(volume)?, volume)));
    let mut states: Vec<(&str, &Volume)> = states.collect();
    states.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    for (node, volume) in states {
        let step = Step::new(volume.state_removal(), Reason::BuilderGone, volume.size.unwrap_or(0));
        match holds(rules, node, volume) {
            None => sorted.going.push(Removable {
                step,
                since: volume.created,
                last_use: volume.created.unwrap_or(Timestamp::MIN),
                after: Vec::new(),
            }),
            // It is a volume as well, and told of there.
            Some(_) if policy.volumes => {}
            Some((reason, holders)) => sorted.kept.push(Kept { holders, ..Kept::instead_of(&step, reason) }),
        }
    }
}

/// Whether it goes as what a builder left, and so not as any volume.
pub(super) fn goes(rules: &SweepRules, volume: &Volume) -> bool {
    rules.policy.builder_state && node_of(volume).is_some_and(|node| holds(rules, node, volume).is_none())
}

/// A builder's container holds its state even if it goes: its user may have stopped it for a while.
fn holds(rules: &SweepRules, node: &str, volume: &Volume) -> Option<(KeptReason, Vec<Holder>)> {
    let containers = rules.look.snapshot.containers.iter().filter(|container| container.holds_state(&volume.name));
    let holders: Vec<Holder> = containers.map(Holder::from).collect();
    if !holders.is_empty() {
        return Some((KeptReason::InUse, holders));
    }
    let asked_for = Pattern::any_keeps_named(&rules.policy.keep, &volume.name, &volume.name);
    let thing = Thing { image: None, labels: &volume.labels, asked_for, since: volume.created };
    let known = || rules.look.builders.have(node).then_some(KeptReason::BuilderKnown);
    Some((rules.retained(&thing).or_else(known)?, Vec::new()))
}
