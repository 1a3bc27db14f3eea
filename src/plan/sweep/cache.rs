//! Build cache: records that nothing uses, children first.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::look::SweepLook;
use super::rules::SweepRules;
use super::sorted::{Removable, Sorted, ThingKey};
use crate::model::{CacheRecord, Deed, Holder, ImageId, KeptReason, Kind, Plan, Reason, Step, total};

pub(super) fn sort(rules: &SweepRules, sorted: &mut Sorted) {
    if !rules.policy.cache {
        return;
    }
    let records = rules.look.cache;
    let mut going: HashMap<&str, &CacheRecord> = HashMap::new();
    for record in records {
        match verdict(rules, record) {
            Some(reason) => sorted.kept.push(record.kept(reason, Vec::new())),
            None => {
                going.insert(&record.id, record);
            }
        }
    }
    hold_parents(records, &mut going, sorted);
    let mut order = in_order(records, &going);
    if let Some(limit) = rules.policy.cache_keep {
        keep_the_last(records, limit, &mut order, sorted);
    }
    let mut children: HashMap<&str, Vec<ThingKey>> = HashMap::new();
    for Ranked { record, last_use, .. } in order {
        for parent in &record.parents {
            children.entry(parent).or_default().push((Kind::BuildCache, record.id.clone()));
        }
        sorted.going.push(Removable {
            step: record.removal(Reason::Unused, rules.look.snapshot.engine.can),
            since: since(record),
            last_use,
            after: children.remove(record.id.as_str()).unwrap_or_default(),
        });
    }
}

fn verdict(rules: &SweepRules, record: &CacheRecord) -> Option<KeptReason> {
    let policy = rules.policy;
    let none = HashMap::new();
    if record.in_use {
        Some(KeptReason::InUse)
    } else if !policy.filter.iter().all(|filter| filter.lets_through(&none)) {
        Some(KeptReason::Filtered)
    } else if let Some(lately) = rules.used_lately(since(record), policy.cache_until) {
        Some(lately)
    } else if record.shared && !policy.all_images {
        Some(KeptReason::Shared)
    } else {
        None
    }
}

fn since(record: &CacheRecord) -> Option<Timestamp> {
    record.last_used.max(record.created)
}

/// Rule 8: a record that stays keeps what it was made from.
fn hold_parents(records: &[CacheRecord], going: &mut HashMap<&str, &CacheRecord>, sorted: &mut Sorted) {
    let mut staying: Vec<&CacheRecord> =
        records.iter().filter(|record| !going.contains_key(record.id.as_str())).collect();
    while let Some(child) = staying.pop() {
        for parent in &child.parents {
            if let Some(base) = going.remove(parent.as_str()) {
                sorted.kept.push(base.kept(KeptReason::Base, vec![Holder::Record(child.id.clone())]));
                staying.push(base);
            }
        }
    }
}

/// A record that goes, and when it or what was made from it was last used.
struct Ranked<'a> {
    record: &'a CacheRecord,
    last_use: Timestamp,
    depth: usize,
}

/// Unused longest first, and no record before what was made from it.
fn in_order<'a>(records: &'a [CacheRecord], going: &HashMap<&str, &'a CacheRecord>) -> Vec<Ranked<'a>> {
    let by_id: HashMap<&str, &CacheRecord> = records.iter().map(|record| (record.id.as_str(), record)).collect();
    let depths = depths(&by_id);
    let depth_of = |record: &CacheRecord| depths.get(record.id.as_str()).copied().unwrap_or(0);
    let mut deepest_first: Vec<&CacheRecord> = going.values().copied().collect();
    deepest_first.sort_by(|a, b| (Reverse(depth_of(a)), &a.id).cmp(&(Reverse(depth_of(b)), &b.id)));
    let mut last_uses: HashMap<&str, Timestamp> = HashMap::new();
    let mut order = Vec::with_capacity(deepest_first.len());
    for record in deepest_first {
        let of_children = last_uses.get(record.id.as_str()).copied();
        let last_use = since(record).max(of_children).unwrap_or(Timestamp::MIN);
        for parent in &record.parents {
            last_uses.entry(parent).and_modify(|known| *known = last_use.max(*known)).or_insert(last_use);
        }
        order.push(Ranked { record, last_use, depth: depth_of(record) });
    }
    order.sort_by(|a, b| {
        let key = |ranked: &Ranked<'a>| (ranked.last_use, Reverse(ranked.depth), Reverse(ranked.record.size));
        key(a).cmp(&key(b)).then_with(|| a.record.id.cmp(&b.record.id))
    });
    order
}

/// How many records lie below each one, at most. What hangs on a circle, which no engine makes, is not told apart.
fn depths<'a>(by_id: &HashMap<&'a str, &'a CacheRecord>) -> HashMap<&'a str, usize> {
    let mut depths: HashMap<&str, usize> = by_id.keys().map(|id| (*id, 0)).collect();
    let mut open: HashMap<&str, usize> = HashMap::new();
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    for (&id, record) in by_id {
        let parents: Vec<&str> = record
            .parents
            .iter()
            .filter_map(|parent| by_id.get_key_value(parent.as_str()))
            .map(|(id, _)| *id)
            .collect();
        open.insert(id, parents.len());
        for parent in parents {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut ready: Vec<&str> = open.iter().filter(|(_, open)| **open == 0).map(|(id, _)| *id).collect();
    while let Some(id) = ready.pop() {
        let above = depths.get(id).map_or(0, |depth| depth.saturating_add(1));
        for child in children.remove(id).unwrap_or_default() {
            depths.entry(child).and_modify(|depth| *depth = above.max(*depth));
            let left = open.get(child).map_or(0, |left| left.saturating_sub(1));
            open.insert(child, left);
            if left == 0 {
                ready.push(child);
            }
        }
    }
    depths
}

/// Rule 9. Only bytes that are the cache's alone count.
fn keep_the_last(records: &[CacheRecord], limit: u64, order: &mut Vec<Ranked>, sorted: &mut Sorted) {
    let own = |record: &CacheRecord| if record.shared { 0 } else { record.size };
    let mut left = total(records.iter().map(own));
    let enough = order.iter().position(|ranked| {
        let reached = left <= limit;
        left = left.saturating_sub(if reached { 0 } else { own(ranked.record) });
        reached
    });
    let stays = order.split_off(enough.unwrap_or(order.len()));
    sorted.kept.extend(stays.into_iter().map(|ranked| ranked.record.kept(KeptReason::CacheKeep, Vec::new())));
}

/// Of the bytes that images lose, those that are the cache's too and stay on the disk, at most. Which image
/// shares with which record no engine tells, so all that is shared counts for the first images.
pub(super) fn bytes_that_stay(look: &SweepLook, plan: &Plan) -> HashMap<ImageId, u64> {
    let going: HashSet<&str> = plan.steps.iter().filter_map(record_of).collect();
    let stays = |record: &&CacheRecord| record.shared && !going.contains(record.id.as_str());
    let mut shared = total(look.cache.iter().filter(stays).map(|record| record.size));
    let mut held = HashMap::new();
    for (id, step) in plan.steps.iter().filter_map(|step| Some((step.removed_image()?, step))) {
        let bytes = step.bytes.min(shared);
        shared = shared.saturating_sub(bytes);
        if bytes > 0 {
            held.insert(id, bytes);
        }
    }
    held
}

fn record_of(step: &Step) -> Option<&str> {
    if let Deed::RemoveCache { id, .. } = &step.deed { Some(id) } else { None }
}
