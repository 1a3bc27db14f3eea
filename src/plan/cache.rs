//! Which build cache is ours, and which of it nobody needs any more.
//!
//! What a look makes of the engine's records (`look`):
//!
//! 1. A record is ours if a build of ours made it: it was created while a step of that build ran, the step's name is the
//!    record's, and no other build ran a step then that may have made it.
//! 2. What a build of ours used is what the engine touched when it ended, and all that this was made from.
//! 3. A record of ours that was touched at any other moment, or as a stranger's build ended too, or more often than we
//!    have built, is shared with a stranger from then on, and so is all that it was made from. It is left to him for
//!    good. One that was used once was used by the build that made it.
//!
//! What goes ([`superseded`]):
//!
//! 4. What the last versions of a build need stays, as many as its settings keep beside the newest, and what the tries
//!    that failed since then have made. A version is a set of records, so a build that found all of an earlier version
//!    is that version again.
//! 5. A session that is over needs nothing that a newer session's build of the same kind does not.
//! 6. What is in use stays, and what a record that stays stands on. Mounts of a cache and bases that were pulled are
//!    never entered as ours.

mod look;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(crate) use look::look;

use crate::model::{CacheBooks, CacheRecord, CachedBuild, SessionKey};

/// How long after a build its last touch may come, on a machine that has much to do.
const LATE: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// The records of ours that no build needs any more, children first.
pub(crate) fn superseded<'a>(
    books: &CacheBooks,
    records: &'a [CacheRecord],
    is_over: impl Fn(&SessionKey) -> bool,
) -> Vec<&'a CacheRecord> {
    let needed = needed(books, is_over);
    going(books, records, |id| !needed.contains(id))
}

/// What the newest versions of every build need.
fn needed(books: &CacheBooks, is_over: impl Fn(&SessionKey) -> bool) -> BTreeSet<String> {
    let newest = books.builds.iter().map(|build| ((build.of.project.as_str(), build.key.as_str()), &build.of));
    let newest_of: HashMap<(&str, &str), &SessionKey> = newest.collect();
    let is_past = |build: &&CachedBuild| {
        newest_of[&(build.of.project.as_str(), build.key.as_str())] != &build.of && is_over(&build.of)
    };
    let latest = latest(&books.builds).into_iter().filter(|build| !is_past(build));
    latest.flat_map(|build| &build.needs).cloned().collect()
}

/// The builds that are the last versions of what they built.
fn latest(builds: &[CachedBuild]) -> Vec<&CachedBuild> {
    let mut by_work: BTreeMap<(&SessionKey, &str), Vec<&CachedBuild>> = BTreeMap::new();
    for build in builds {
        by_work.entry((&build.of, &build.key)).or_default().push(build);
    }
    by_work.into_values().flat_map(|builds| versions(&builds)).collect()
}

/// The last versions, and the tries since the last that went well.
fn versions<'a>(builds: &[&'a CachedBuild]) -> Vec<&'a CachedBuild> {
    let keep = builds.last().map_or(0, |newest| newest.keep);
    let (mut versions, mut tries): (Vec<&CachedBuild>, _) = (Vec::new(), Vec::new());
    for build in builds.iter().rev() {
        if build.ok {
            if !versions.iter().any(|version| version.needs == build.needs) {
                versions.push(build);
            }
        } else if versions.is_empty() && tries.len() <= keep {
            tries.push(*build);
        }
        if versions.len() > keep {
            break;
        }
    }
    versions.into_iter().chain(tries).collect()
}

/// Of the records that we may want to go those that can, children first.
fn going<'a>(books: &CacheBooks, records: &'a [CacheRecord], may_go: impl Fn(&str) -> bool) -> Vec<&'a CacheRecord> {
    let is_ours = |record: &&CacheRecord| {
        books.records.get(&record.id).is_some_and(|claim| !claim.shared) && !record.in_use && may_go(&record.id)
    };
    let mut going: HashSet<&str> = records.iter().filter(is_ours).map(|record| record.id.as_str()).collect();
    let mut staying: Vec<&CacheRecord> = records.iter().filter(|record| !going.contains(record.id.as_str())).collect();
    let by_id: HashMap<&str, &CacheRecord> = records.iter().map(|record| (record.id.as_str(), record)).collect();
    while let Some(child) = staying.pop() {
        let parents = child.parents.iter().filter(|id| going.remove(id.as_str()));
        staying.extend(parents.filter_map(|id| by_id.get(id.as_str())));
    }
    let mut order: Vec<&CacheRecord> = records.iter().filter(|record| going.contains(record.id.as_str())).collect();
    // A parent is older than its children.
    order.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    order
}
