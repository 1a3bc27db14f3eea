//! What one look at an engine's cache and its history of builds says of our builds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{is_beside, late, latest};
use crate::model::{CacheBooks, CacheClaim, CacheRecord, CachedBuild, EndedBuild, PastBuild, PastStep, short_hash};

/// How far the moments that we note may lie from those of the engine, which are of the same clock.
const SLACK: SignedDuration = SignedDuration::from_millis(20);

/// How long a build of ours may take to say that it has ended.
const UNSAID: SignedDuration = SignedDuration::from_secs(20);

/// An engine remembers fifty builds.
const REMEMBERED: usize = 64;

/// Of what was built before so many others nobody needs the cache.
const MOST: usize = 2000;

/// Enters what our builds that ended since the last look have made and used, and what strangers have used.
pub(crate) fn look(books: &mut CacheBooks, ended: &[EndedBuild], history: &[PastBuild], records: &[CacheRecord]) {
    books.rename(&renamed(books, records));
    forget(books, records);
    let known: HashSet<&str> = books.builds.iter().flat_map(|build| &build.past).map(String::as_str).collect();
    let matched: Vec<(&EndedBuild, Vec<&PastBuild>)> = matched(ended, history, &known);
    let new: HashSet<&str> = matched.iter().flat_map(|(_, pasts)| pasts).map(|past| past.id.as_str()).collect();
    let is_ours = |past: &PastBuild| new.contains(past.id.as_str()) || known.contains(past.id.as_str());
    let strangers: Vec<&PastBuild> = history.iter().filter(|past| !is_ours(past)).collect();
    let mut ours: Vec<&PastBuild> = history.iter().filter(|past| new.contains(past.id.as_str())).collect();
    ours.sort_by_key(|past| past.ended);

    mark_shared(books, &ours, &strangers, records);
    let needs: HashMap<&str, BTreeSet<String>> = ours
        .iter()
        .filter_map(|past| Some((past.id.as_str(), enter(books, past, past.ended?, &strangers, records))))
        .collect();
    let mut builds = Vec::new();
    for (build, pasts) in matched {
        let past: BTreeSet<String> = pasts.iter().map(|past| past.id.clone()).collect();
        builds.push(CachedBuild {
            needs: past.iter().filter_map(|id| needs.get(id.as_str())).flatten().cloned().collect(),
            past,
            build: Some(build.build.clone()),
            of: build.of.clone(),
            key: build.key.clone(),
            variant: build.variant.clone(),
            compose: build.compose.clone(),
            at: build.ended,
            ok: build.ok,
            keep: build.keep,
        });
    }
    // What was made since the last look may have been used by somebody else already.
    mark_shared(books, &ours, &strangers, records);
    builds.sort_by_key(|build| build.at);
    books.builds.extend(builds);
    for record in records {
        if let Some(claim) = books.records.get_mut(&record.id) {
            (claim.used, claim.last_used) = (record.used, record.last_used);
        }
    }
}

/// What a step leaves gets another name once a later build exports it: the old record is gone, and there is one that was
/// made while the same step ran, of which the engine says the same.
fn renamed(books: &CacheBooks, records: &[CacheRecord]) -> BTreeMap<String, String> {
    let there: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let unknown: Vec<&CacheRecord> = records.iter().filter(|record| !books.records.contains_key(&record.id)).collect();
    let gone = books.records.iter().filter(|(id, _)| !there.contains(id.as_str()));
    let found = gone.filter_map(|(id, claim)| {
        let is_it = |record: &&&CacheRecord| was_made_in(record, claim.ran) && told(record) == claim.told;
        let mut found = unknown.iter().filter(is_it);
        let only = found.next().filter(|_| found.next().is_none())?;
        Some((id.clone(), only.id.clone()))
    });
    let found: BTreeMap<String, String> = found.collect();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for id in found.values() {
        let times = seen.entry(id).or_default();
        *times = times.saturating_add(1);
    }
    // What may be two of ours is neither.
    found.iter().filter(|(_, id)| seen[id.as_str()] == 1).map(|(old, new)| (old.clone(), new.clone())).collect()
}

/// What is not there any more was taken by somebody else, and nobody can say now whether it was a stranger's too: what
/// it was made from may be his.
fn forget(books: &mut CacheBooks, records: &[CacheRecord]) {
    let there: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let gone: Vec<String> = books.records.keys().filter(|id| !there.contains(id.as_str())).cloned().collect();
    books.share(&gone);
    books.forget(|id| !there.contains(id));
    // The newest are known by their names for as long as the engine may tell of them.
    let is_new = books.builds.len().saturating_sub(REMEMBERED);
    let is_latest = |build: &&CachedBuild| !build.needs.is_empty();
    let needed: BTreeSet<(Timestamp, String)> = latest(&books.builds, |_| false)
        .into_iter()
        .filter(is_latest)
        .map(|build| (build.at, build.key.clone()))
        .collect();
    let mut nth = 0..;
    books.builds.retain(|build| nth.next() >= Some(is_new) || needed.contains(&(build.at, build.key.clone())));
    let too_many = books.builds.len().saturating_sub(MOST);
    books.builds.drain(..too_many);
}

/// Whether a look must wait: somebody builds beside what has ended, or a build has ended that bears our stamp, and whoever
/// ran it has not said so yet.
pub(crate) fn must_wait(books: &CacheBooks, ended: &[EndedBuild], history: &[PastBuild], now: Timestamp) -> bool {
    let known: HashSet<&str> = books.builds.iter().flat_map(|build| &build.past).map(String::as_str).collect();
    history.iter().any(|past| match past.ended {
        None => is_beside(ended, past.began, now),
        Some(at) => {
            now.duration_since(at) < UNSAID
                && ended.iter().any(|build| !build.stamp.is_none() && build.stamp.is_part_of(&past.stamp))
                && !known.contains(past.id.as_str())
                && !ended.iter().any(|build| may_be(build, past))
        }
    })
}

/// By when it ran and by its stamp.
fn may_be(build: &EndedBuild, past: &PastBuild) -> bool {
    let within = past.began >= early(build.began, SLACK) && past.ended.is_some_and(|at| at <= slack(build.ended));
    within && !build.stamp.is_none() && build.stamp.is_part_of(&past.stamp)
}

/// Which builds of the engine's history are ours. Where more may be than have ended, none is.
fn matched<'a>(
    ended: &'a [EndedBuild],
    history: &'a [PastBuild],
    known: &HashSet<&str>,
) -> Vec<(&'a EndedBuild, Vec<&'a PastBuild>)> {
    let may_be = |build: &EndedBuild, past: &PastBuild| !known.contains(past.id.as_str()) && may_be(build, past);
    let found = ended.iter().filter_map(|build| {
        let pasts: Vec<&PastBuild> = history.iter().filter(|past| may_be(build, past)).collect();
        let rivals = ended.iter().filter(|other| pasts.iter().any(|past| may_be(other, past))).count();
        (!pasts.is_empty() && pasts.len() <= rivals).then_some((build, pasts))
    });
    found.collect()
}

/// Records that were touched when no build of ours ended, or when somebody else's did too, or too often.
fn mark_shared(books: &mut CacheBooks, ours: &[&PastBuild], strangers: &[&PastBuild], records: &[CacheRecord]) {
    let ends = |pasts: &[&PastBuild], at: Timestamp| {
        pasts.iter().filter_map(|past| past.ended).any(|ended| ended <= at && at <= late(ended))
    };
    let mut shared = BTreeSet::new();
    for record in records {
        let Some(claim) = books.records.get(&record.id) else { continue };
        // It was made since the last look, and used by nobody but the build that made it.
        let only_made = claim.last_used.is_none() && record.used <= 1;
        let too_often = record.used.saturating_sub(claim.used) > ours.len() as u64;
        let touched = record.last_used.filter(|at| claim.last_used.is_none_or(|last| *at > last));
        let by_another = touched.is_some_and(|at| !ends(ours, at) || ends(strangers, at));
        if claim.shared || too_often || by_another && !only_made {
            shared.insert(record.id.clone());
        }
    }
    shared.extend(held_beside_ours(books, ours, strangers));
    books.share(&shared);
}

/// What a stranger's build has found while one of ours ran. The engine notes a use when the last who holds a record lets
/// go, so his can't be told from ours.
fn held_beside_ours(books: &CacheBooks, ours: &[&PastBuild], strangers: &[&PastBuild]) -> Vec<String> {
    let beside = |past: &&&PastBuild| {
        let meets = |own: &&PastBuild| {
            own.ended.is_none_or(|ended| past.began <= late(ended)) && past.ended.is_none_or(|ended| ended >= own.began)
        };
        ours.iter().any(meets)
    };
    let mut found: HashMap<String, Vec<&PastStep>> = HashMap::new();
    for past in strangers.iter().filter(beside) {
        let Some(steps) = &past.steps else {
            // Nobody can say what it found.
            return books.records.keys().cloned().collect();
        };
        for step in steps {
            found.entry(hashed(&step.name)).or_default().push(step);
        }
    }
    // One that ran by itself left a record of its own; one that ran with ours is shown to have run then.
    let is_his = |claim: &CacheClaim| {
        let ran_with_ours =
            |step: &&PastStep| step.ran.iter().any(|(from, to)| *from <= claim.ran.1 && claim.ran.0 <= *to);
        found.get(&claim.step).is_some_and(|steps| steps.iter().any(|step| step.cached || ran_with_ours(step)))
    };
    books.records.iter().filter(|(_, claim)| is_his(claim)).map(|(id, _)| id.clone()).collect()
}

/// Enters the records that a build of ours has made, and says which of ours it needs.
fn enter(
    books: &mut CacheBooks,
    past: &PastBuild,
    ended: Timestamp,
    strangers: &[&PastBuild],
    records: &[CacheRecord],
) -> BTreeSet<String> {
    let steps = Graph::of(past.steps.as_deref().unwrap_or_default());
    let mut made: BTreeMap<&str, Vec<&CacheRecord>> = BTreeMap::new();
    for record in records.iter().filter(|record| !books.records.contains_key(&record.id)) {
        if let Some(step) = steps.maker(record).filter(|_| !may_be_anothers(record, strangers)) {
            made.entry(&step.digest).or_default().push(record);
        }
    }
    let new: HashSet<&str> = made.values().flatten().map(|record| record.id.as_str()).collect();
    let is_new = |id: &str| new.contains(id);
    let touched: Vec<(&str, &str)> = records
        .iter()
        .filter(|record| record.last_used.is_some_and(|at| at >= ended) && !is_new(&record.id))
        .filter_map(|record| Some((record.id.as_str(), books.records.get(&record.id)?.step.as_str())))
        .collect();
    let known: Vec<(&str, &str)> = books.records.iter().map(|(id, claim)| (id.as_str(), claim.step.as_str())).collect();

    let mut needs = BTreeSet::new();
    let mut claims: Vec<(String, CacheClaim)> = Vec::new();
    for (digest, of_step) in &made {
        let from: BTreeSet<String> = steps
            .before(digest)
            .flat_map(|step| {
                let new = made.get(step.digest.as_str()).into_iter().flatten().map(|record| record.id.clone());
                new.chain(used(step, &touched, &known, &steps))
            })
            .collect();
        for record in of_step {
            let parents = record.parents.iter().filter(|id| is_new(id) || books.records.contains_key(*id)).cloned();
            let from = from.iter().cloned().chain(parents).collect();
            let step = steps.by_digest[digest];
            let ran = step.ran.iter().copied().find(|ran| was_made_in(record, *ran));
            let claim = CacheClaim {
                step: hashed(&step.name),
                told: told(record),
                ran: ran.unwrap_or((ended, ended)),
                from,
                ..CacheClaim::default()
            };
            claims.push((record.id.clone(), claim));
            needs.insert(record.id.clone());
        }
    }
    needs.extend(steps.by_digest.values().flat_map(|step| used(step, &touched, &known, &steps)));
    books.records.extend(claims);
    books.with_origins(&needs)
}

/// The records that were touched for this step, which was cached. Where its name tells none, each may have been, and each
/// of that name: one that another build holds is touched when that lets go.
fn used(step: &PastStep, touched: &[(&str, &str)], known: &[(&str, &str)], steps: &Graph) -> Vec<String> {
    if !step.cached && !step.ran.is_empty() && !is_source(&step.name) {
        return Vec::new();
    }
    let step_hash = hashed(&step.name);
    let same = |(id, hash): &(&str, &str)| (*hash == step_hash).then(|| (*id).to_owned());
    let found: Vec<String> = touched.iter().filter_map(same).collect();
    // The deepest cached step of a branch is the one that the engine had to find.
    if found.is_empty() && step.cached && steps.is_last_cached(step) {
        let all = touched.iter().map(|(id, _)| (*id).to_owned());
        return all.chain(known.iter().filter_map(same)).collect();
    }
    found
}

struct Graph<'a> {
    by_digest: BTreeMap<&'a str, &'a PastStep>,
    children: HashMap<&'a str, Vec<&'a PastStep>>,
}

impl<'a> Graph<'a> {
    fn of(steps: &'a [PastStep]) -> Self {
        let mut children: HashMap<&str, Vec<&PastStep>> = HashMap::new();
        for step in steps {
            for input in &step.inputs {
                children.entry(input).or_default().push(step);
            }
        }
        Self { by_digest: steps.iter().map(|step| (step.digest.as_str(), step)).collect(), children }
    }

    /// The one step that can have made this record.
    fn maker(&self, record: &CacheRecord) -> Option<&'a PastStep> {
        let ran: Vec<&PastStep> = self.by_digest.values().copied().filter(|step| may_have_made(step, record)).collect();
        if let [only] = ran[..] {
            return Some(only);
        }
        // Steps that ran at once are told apart by what they ran, where the record says that to the last word.
        let said = |step: &&&PastStep| command(&step.name).is_some_and(|word| record.description.ends_with(word));
        let mut same = ran.iter().filter(said);
        same.next().filter(|_| same.next().is_none()).copied()
    }

    /// All that a step is made from.
    fn before(&self, digest: &str) -> impl Iterator<Item = &'a PastStep> {
        let mut found: BTreeMap<&str, &PastStep> = BTreeMap::new();
        let mut next: Vec<&PastStep> = self.by_digest.get(digest).copied().into_iter().collect();
        while let Some(step) = next.pop() {
            for input in &step.inputs {
                if let Some(step) = self.by_digest.get(input.as_str())
                    && found.insert(&step.digest, step).is_none()
                {
                    next.push(step);
                }
            }
        }
        found.into_values()
    }

    /// Whether nothing that was cached is made from it.
    fn is_last_cached(&self, step: &PastStep) -> bool {
        self.children.get(step.digest.as_str()).is_none_or(|children| children.iter().all(|child| !child.cached))
    }
}

/// Whether somebody else ran a step then that may have made it, or what he ran is not known.
fn may_be_anothers(record: &CacheRecord, strangers: &[&PastBuild]) -> bool {
    let Some(created) = record.created else { return true };
    let mut overlap =
        strangers.iter().filter(|past| past.began <= created && past.ended.is_none_or(|at| created <= at));
    overlap.any(|past| past.steps.as_deref().is_none_or(|steps| steps.iter().any(|step| may_have_made(step, record))))
}

fn may_have_made(step: &PastStep, record: &CacheRecord) -> bool {
    !step.cached && is_described(&step.name, record) && step.ran.iter().any(|ran| was_made_in(record, *ran))
}

fn was_made_in(record: &CacheRecord, (began, ended): (Timestamp, Timestamp)) -> bool {
    record.created.is_some_and(|created| began <= created && created <= ended)
}

/// Whether a step of this name makes records that are described so.
fn is_described(name: &str, record: &CacheRecord) -> bool {
    match record.kind.as_str() {
        "regular" if record.description.starts_with("mount ") && record.description.contains(" from exec ") => {
            words(name).starts_with("RUN ")
        }
        "regular" => name == record.description && name != words(name),
        "source.local" => match record.description.strip_prefix("local source for ") {
            Some("context") => name == "[internal] load build context" || name == "[internal] load .dockerignore",
            Some("dockerfile") => name.starts_with("[internal] load build definition"),
            _ => false,
        },
        _ => false,
    }
}

/// The folder and the Dockerfile, which are taken over from build to build and never called cached.
fn is_source(name: &str) -> bool {
    name.starts_with("[internal] load ")
}

/// A step's name without its place, which moves when another step comes before it.
fn words(name: &str) -> &str {
    match name.split_once("] ") {
        Some((place, words)) if place.starts_with('[') && place != "[internal" => words,
        _ => name,
    }
}

/// A step by its words.
fn hashed(name: &str) -> String {
    short_hash(&[words(name)])
}

/// What the engine says of a record.
fn told(record: &CacheRecord) -> String {
    short_hash(&[&record.kind, &record.description])
}

/// What a step of this name runs.
fn command(name: &str) -> Option<&str> {
    let words = words(name).strip_prefix("RUN ")?;
    let without_flags = words.split(' ').find(|word| !word.starts_with("--"))?;
    words.get(words.find(without_flags)?..)
}

fn early(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn slack(at: Timestamp) -> Timestamp {
    at.checked_add(SLACK).unwrap_or(Timestamp::MAX)
}
