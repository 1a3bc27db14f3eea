//! Rule 10: the least valuable first, until enough has come back, and no further.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::disk::Disk;
use super::sorted::{Sorted, ThingKey};
use crate::model::{KeptReason, Kind};

pub(super) fn narrow(sorted: &mut Sorted, need: u64, mut disk: Disk) {
    let going = std::mem::take(&mut sorted.going);
    let index: HashMap<ThingKey, usize> =
        going.iter().enumerate().map(|(at, candidate)| (candidate.key(), at)).collect();
    let mut order: Vec<usize> = (0..going.len()).filter(|&at| going[at].step.kind() != Kind::Network).collect();
    order.sort_by(|&a, &b| {
        let key = |at: usize| (going[at].last_use, Reverse(going[at].step.bytes), going[at].step.kind());
        key(a).cmp(&key(b)).then_with(|| going[a].step.id().cmp(&going[b].step.id()))
    });
    let mut taken: HashSet<usize> = HashSet::new();
    let mut freed = 0;
    for at in order {
        if freed >= need {
            break;
        }
        // What must go before it was used no later, so it would have had its turn next.
        let mut waiting = vec![at];
        while let Some(at) = waiting.pop() {
            if !taken.insert(at) {
                continue;
            }
            waiting.extend(going[at].after.iter().filter_map(|key| index.get(key).copied()));
            let step = &going[at].step;
            freed = freed.saturating_add(step.removed_image().map_or(step.bytes, |image| disk.take(image)));
        }
    }
    for (at, candidate) in going.into_iter().enumerate() {
        if taken.contains(&at) {
            sorted.going.push(candidate);
        } else {
            sorted.kept.push(candidate.into_kept(KeptReason::Enough));
        }
    }
}
