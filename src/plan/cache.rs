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

mod clean;
mod look;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(crate) use clean::{add_mounts, clean, give_up};
use jiff::{SignedDuration, Timestamp};
pub(crate) use look::{look, must_wait};

use crate::model::{CacheBooks, CacheRecord, CachedBuild, EndedBuild, SessionKey, total};

/// How long after a build its last touch may come, on a machine that has much to do.
const LATE: SignedDuration = SignedDuration::from_secs(2);

/// So many variants of one Dockerfile are built by turns.
const VARIANTS: usize = 16;

/// So many that were built once may come again.
const NEW_VARIANTS: usize = 3;

/// What the build cache takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheBytes {
    pub of: BTreeMap<SessionKey, u64>,
    /// How much of a session's is another session's too.
    pub shared: BTreeMap<SessionKey, u64>,
    /// That of all sessions, in which what two of them use is counted once.
    pub ours: u64,
    pub all: u64,
    /// What the last builds made and used of it has not been looked at yet.
    pub pending: bool,
}

impl CacheBytes {
    pub(crate) fn new(books: &CacheBooks, records: &[CacheRecord]) -> Self {
        let sizes: HashMap<&str, u64> = records.iter().map(|record| (record.id.as_str(), record.size)).collect();
        let mut needs: BTreeMap<&SessionKey, BTreeSet<&str>> = BTreeMap::new();
        for build in &books.builds {
            needs.entry(&build.of).or_default().extend(build.needs.iter().map(String::as_str));
        }
        let mut users: HashMap<&str, usize> = HashMap::new();
        for id in needs.values().flatten() {
            let users = users.entry(id).or_default();
            *users = users.saturating_add(1);
        }
        let bytes = |ids: &mut dyn Iterator<Item = &&str>| total(ids.filter_map(|id| sizes.get(*id).copied()));
        let shared = |ids: &BTreeSet<&str>| bytes(&mut ids.iter().filter(|id| users[**id] > 1));
        Self {
            of: needs.iter().map(|(of, ids)| ((*of).clone(), bytes(&mut ids.iter()))).collect(),
            shared: needs.iter().map(|(of, ids)| ((*of).clone(), shared(ids))).collect(),
            ours: bytes(&mut users.keys()),
            all: total(sizes.values().copied()),
            pending: false,
        }
    }
}

/// Whether what a build from then till then had for steps matters to a look at these builds.
fn is_beside(ended: &[EndedBuild], began: Timestamp, until: Timestamp) -> bool {
    ended.iter().any(|build| began <= late(build.ended) && until >= build.began)
}

/// Whether a build that ended then may be told of to a look at these builds: all that ended since the first of them began.
pub(crate) fn matters(ended: &[EndedBuild], until: Timestamp) -> bool {
    ended.iter().any(|build| until >= build.began)
}

/// How long what ended then may still be noted.
fn late(at: Timestamp) -> Timestamp {
    at.checked_add(LATE).unwrap_or(Timestamp::MAX)
}

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
    let latest = latest(&books.builds, is_over);
    latest.into_iter().flat_map(|build| &build.needs).cloned().collect()
}

/// The builds that are the last versions of what they built.
fn latest<'a>(
    builds: impl IntoIterator<Item = &'a CachedBuild> + Clone,
    is_over: impl Fn(&SessionKey) -> bool,
) -> Vec<&'a CachedBuild> {
    let same = |build: &'a CachedBuild| (build.of.project.as_str(), build.key.as_str(), build.variant.as_str());
    let newest: HashMap<_, &SessionKey> = builds.clone().into_iter().map(|build| (same(build), &build.of)).collect();
    let mut by_file: BTreeMap<_, BTreeMap<&str, Vec<&CachedBuild>>> = BTreeMap::new();
    for build in builds {
        // Sessions that are over are one.
        let of = Some(&build.of).filter(|of| !is_over(of));
        if of.is_some() || newest[&same(build)] == &build.of {
            let variants = by_file.entry((build.of.project.as_str(), of, build.key.as_str())).or_default();
            variants.entry(&build.variant).or_default().push(build);
        }
    }
    let kept = |builds: &[&CachedBuild]| builds.last().map_or(1, |newest| newest.keep.saturating_add(1));
    let standing = by_file.into_values().flat_map(standing);
    standing.flat_map(|builds| versions(&builds, kept(&builds), true)).collect()
}

/// Of one Dockerfile's variants those that are still built: the newest, and those that were built more than once. A tag
/// that is new with each build names none.
fn standing<'a>(variants: BTreeMap<&str, Vec<&'a CachedBuild>>) -> Vec<Vec<&'a CachedBuild>> {
    let mut variants: Vec<Vec<&CachedBuild>> = variants.into_values().collect();
    variants.sort_by_key(|builds| std::cmp::Reverse(builds.last().map(|build| build.at)));
    variants.truncate(VARIANTS);
    let mut nth = 0..;
    variants.retain(|builds| nth.next() < Some(NEW_VARIANTS) || builds.len() > 1);
    variants
}

/// The last so many versions, and as many of the tries since the last that went well.
fn versions<'a>(builds: &[&'a CachedBuild], most: usize, with_tries: bool) -> Vec<&'a CachedBuild> {
    let (mut versions, mut tries): (Vec<&CachedBuild>, _) = (Vec::new(), Vec::new());
    for build in builds.iter().rev() {
        if build.ok {
            if !versions.iter().any(|version| version.needs == build.needs) {
                versions.push(build);
            }
        } else if with_tries && versions.is_empty() && tries.len() < most {
            tries.push(*build);
        }
        if versions.len() >= most {
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
