//! Containers: those that do not run, and that nobody asked to keep.

use jiff::Timestamp;

use super::rules::{SweepRules, Thing};
use super::sorted::{Removable, Sorted};
use crate::model::{Container, Holder, Kept, KeptReason, Reason, Step};

pub(super) fn sort(rules: &SweepRules, sorted: &mut Sorted) {
    if !rules.policy.containers {
        return;
    }
    let mut containers: Vec<&Container> = rules.look.snapshot.containers.iter().collect();
    containers.sort_by(|a, b| a.id.cmp(&b.id));
    for container in containers {
        let since = rules.end(container);
        let asked_for = rules.asks_for(|pattern| pattern.keeps_named(&container.name, &container.id));
        let thing = Thing { image: container.image, labels: &container.labels, asked_for, since };
        let bytes = rules.look.ended.get(&container.id).map_or(0, |ended| ended.written);
        let keep = if container.is_stopped() {
            rules.retained(&thing).map(|reason| (reason, Vec::new()))
        } else {
            Some((KeptReason::InUse, vec![Holder::Itself(container.state.clone())]))
        };
        let step = Step::new(container.removal(), Reason::Stopped, bytes);
        match keep {
            Some((reason, holders)) => sorted.kept.push(Kept { holders, ..Kept::instead_of(&step, reason) }),
            None => sorted.going.push(Removable {
                step,
                since,
                last_use: since.unwrap_or(Timestamp::MIN),
                after: Vec::new(),
            }),
        }
    }
}
