//! Books while they are being read: what makes each record cost no more than its own length, however many there are.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};

use super::{Books, Build, More, Record, SessionEntry, SessionKey, Taken};
use crate::model::{BuildId, ImageId};

/// Where a record stands among all.
type Place = usize;

/// Things are found again by their hash, with a seed that nobody outside knows.
type Key = u64;

#[derive(Default)]
pub struct Tally {
    sessions: BTreeMap<SessionKey, SessionEntry>,
    copied: bool,
    /// Each build at the place of its record; what another one stands for is empty.
    builds: Vec<Option<(Place, Build)>>,
    /// What stands before its build.
    parts: HashMap<BuildId, More>,
    by_name: HashMap<Key, usize>,
    by_work: HashMap<Key, usize>,
    /// The last record that ended an image.
    gone: HashMap<ImageId, Place>,
    missed: HashMap<ImageId, Place>,
    /// The last record by which a session made an image.
    made: HashMap<Key, Place>,
    /// The tags that each session has taken, by their places among these.
    took: HashMap<Key, usize>,
    place: Place,
    seed: RandomState,
}

impl Tally {
    pub fn count(&mut self, record: Record) {
        self.place += 1;
        match record {
            Record::Ledger { .. } => {}
            Record::Session(entry) => self.meet(entry),
            Record::Build(mut build) => {
                if let Some(parts) = self.parts.remove(&build.build) {
                    build.tags = [parts.tags, build.tags].concat();
                    build.steps = [parts.steps, build.steps].concat();
                    build.took = [parts.took, build.took].concat();
                }
                self.add(build);
            }
            Record::More(more) => match self.parts.entry(more.build.clone()) {
                Entry::Vacant(first) => {
                    first.insert(more);
                }
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.tags.extend(more.tags);
                    known.steps.extend(more.steps);
                    known.took.extend(more.took);
                }
            },
            Record::Gone { ids, .. } => self.gone.extend(ids.into_iter().map(|id| (id, self.place))),
            Record::Missed { ids, .. } => self.missed.extend(ids.into_iter().map(|id| (id, self.place))),
            Record::Cleaned { key, at } => {
                if let Some(entry) = self.sessions.get_mut(&key) {
                    entry.cleaned = Some(at);
                    entry.held.clear();
                    for taken in entry.took.drain(..) {
                        self.took.remove(&self.seed.hash_one((&key, &taken.tag)));
                    }
                }
            }
        }
    }

    /// They were read from a copy of the ledger.
    pub fn copied(&mut self) {
        self.copied = true;
    }

    pub fn books(mut self) -> Books {
        let (gone, mut missed) = (&self.gone, std::mem::take(&mut self.missed));
        let mut recorded = HashSet::new();
        let mut builds = Vec::with_capacity(self.builds.len());
        for (place, mut build) in self.builds.into_iter().flatten() {
            let ended = |id: &ImageId| gone.get(id).is_some_and(|gone| *gone > place);
            build.result = build.result.filter(|id| !ended(id));
            build.steps.retain(|id| !ended(id));
            if build.is_empty() {
                continue;
            }
            if !missed.is_empty() {
                for id in build.images() {
                    recorded.insert(id);
                    // It was built again since.
                    if missed.get(&id).is_some_and(|missed| *missed < place) {
                        missed.remove(&id);
                    }
                }
            }
            if build.tags.len() > 1 {
                let mut seen = HashSet::with_capacity(build.tags.len());
                build.tags.retain(|tag| seen.insert(self.seed.hash_one(tag)));
            }
            builds.push(build);
        }
        let missed = missed.into_keys().filter(|id| recorded.contains(id)).collect();
        Books { builds, sessions: self.sessions, copied: self.copied, missed }
    }

    fn meet(&mut self, new: SessionEntry) {
        let key = new.key.clone();
        let known = self.sessions.entry(key).or_insert_with(|| SessionEntry::new(new.key.clone(), new.first));
        known.first = known.first.min(new.first);
        known.last = known.last.max(new.last);
        known.ci |= new.ci;
        known.slot = new.slot.or(known.slot.take());
        known.cleaned = new.cleaned.or(known.cleaned);
        known.copies.extend(new.copies);
        let mut held: HashSet<ImageId> = known.held.iter().copied().collect();
        known.held.extend(new.held.into_iter().filter(|id| held.insert(*id)));
        remember(&mut self.took, &self.seed, known, new.took);
    }

    fn add(&mut self, mut build: Build) {
        // A build that was recorded and then recovered once more counts once.
        let name = self.seed.hash_one(&build.build);
        if let Some(at) = self.by_name.get(&name) {
            self.builds[*at].take_if(|(_, known)| known.build == build.build);
        }
        let took = self.taken_from_others(&build.of, &mut build.took);
        if !self.sessions.contains_key(&build.of) {
            self.sessions.insert(build.of.clone(), SessionEntry::new(build.of.clone(), build.at));
        }
        let Some(known) = self.sessions.get_mut(&build.of) else { return };
        known.first = known.first.min(build.at);
        known.last = known.last.max(build.at);
        remember(&mut self.took, &self.seed, known, took);
        if build.is_empty() {
            return;
        }
        for id in build.images() {
            self.made.insert(self.seed.hash_one((&build.of, id)), self.place);
        }
        let at = self.builds.len();
        let work = self.seed.hash_one(Work::of(&build));
        let earlier = self.by_work.insert(work, at).and_then(|at| {
            let gone = &self.gone;
            let whole = |place, known: &Build| known.images().all(|id| gone.get(&id).is_none_or(|gone| *gone < place));
            // The same work with the same outcome says nothing new but its time and its tags.
            self.builds[at].take_if(|(place, known)| Work::of(known) == Work::of(&build) && whole(*place, known))
        });
        if let Some((_, mut earlier)) = earlier
            && !earlier.tags.is_empty()
        {
            if !earlier.tags.ends_with(&build.tags) {
                earlier.tags.append(&mut build.tags);
            }
            build.tags = earlier.tags;
        }
        self.by_name.insert(name, at);
        self.builds.push(Some((self.place, build)));
    }

    /// Only what was not the session's own goes back to where it was.
    fn taken_from_others(&self, of: &SessionKey, took: &mut Vec<Taken>) -> Vec<Taken> {
        let own = |id: ImageId| {
            let made = self.made.get(&self.seed.hash_one((of, id)));
            made.is_some_and(|made| self.gone.get(&id).is_none_or(|gone| gone < made))
        };
        took.drain(..).filter(|taken| !own(taken.from)).collect()
    }
}

/// Only the last owner of a tag is remembered: that is whom it goes back to. An earlier one lost it to that one.
fn remember(all: &mut HashMap<Key, usize>, seed: &RandomState, entry: &mut SessionEntry, new: Vec<Taken>) {
    for taken in new {
        match all.entry(seed.hash_one((&entry.key, &taken.tag))) {
            Entry::Occupied(known) => entry.took[*known.get()] = taken,
            Entry::Vacant(free) => {
                free.insert(entry.took.len());
                entry.took.push(taken);
            }
        }
    }
}

impl From<Books> for Tally {
    fn from(books: Books) -> Self {
        let mut tally = Self { copied: books.copied, ..Self::default() };
        for entry in books.sessions.into_values() {
            tally.count(Record::Session(entry));
        }
        for build in books.builds {
            tally.count(Record::Build(build));
        }
        tally.count(Record::Missed { at: jiff::Timestamp::UNIX_EPOCH, ids: books.missed.into_iter().collect() });
        tally
    }
}

/// What a build did. A build that failed is known by its tags too, one that went well by what came of it.
#[derive(PartialEq, Eq, Hash)]
struct Work<'a> {
    of: &'a SessionKey,
    key: &'a str,
    ok: bool,
    tilt: bool,
    result: Option<ImageId>,
    steps: &'a [ImageId],
    tags: Option<&'a [crate::model::Reference]>,
}

impl<'a> Work<'a> {
    fn of(build: &'a Build) -> Self {
        Self {
            of: &build.of,
            key: &build.key,
            ok: build.ok,
            tilt: build.tilt,
            result: build.result,
            steps: &build.steps,
            tags: build.result.is_none().then_some(&build.tags),
        }
    }
}

impl Books {
    /// For one record; many are read by a [`Tally`].
    pub fn apply(&mut self, record: Record) {
        let mut tally = Tally::from(std::mem::take(self));
        tally.count(record);
        *self = tally.books();
    }
}
