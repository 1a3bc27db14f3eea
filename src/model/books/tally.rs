//! Books while they are being read: what makes each record cost no more than its own length, however many there are.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use jiff::Timestamp;

use super::{Books, Build, More, Record, SessionEntry, SessionKey};
use crate::model::{BuildId, ImageId, LedgerId, Name, Reference, Taken};

/// Where a record stands among all.
type Position = usize;

/// Things are found again by their hash, with a seed that nobody outside knows.
type HashKey = u64;

/// So many owners of one tag are remembered before those that can't count any more are let go.
const MOST_OWNERS: usize = 128;

/// So many of them that another ledger's sessions may have built.
const MOST_ABROAD: usize = 8;

type ByKey<T> = HashMap<HashKey, T, BuildHasherDefault<AsItIs>>;

/// A key is a hash already.
#[derive(Default)]
struct AsItIs(HashKey);

impl Hasher for AsItIs {
    fn write_u64(&mut self, key: HashKey) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ HashKey::from(*byte);
        }
    }

    fn finish(&self) -> HashKey {
        self.0
    }
}

/// What ended claims on images.
#[derive(Default)]
struct Endings {
    /// The last record that ended an image.
    gone: HashMap<ImageId, Position>,
    /// The last record by which a session left an image to another, and until when it had built.
    left: HashMap<(usize, ImageId), (Position, Timestamp)>,
}

impl Endings {
    /// Whether the claim has ended that this record of a session made, of a build that ended then.
    fn has(&self, id: ImageId, record: Position, of: usize, at: Timestamp) -> bool {
        let left = |(left, by): &(Position, Timestamp)| *left > record && *by >= at;
        self.gone.get(&id).is_some_and(|gone| *gone > record)
            || !self.left.is_empty() && self.left.get(&(of, id)).is_some_and(left)
    }
}

/// Where those are put to whom a tag is owed from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// Before the image, which stays.
    Before,
    /// In the place of the image, which goes.
    Instead,
}

#[derive(Default)]
pub struct Tally {
    sessions: Vec<SessionEntry>,
    /// Where each session stands among these.
    numbers: HashMap<SessionKey, usize>,
    /// The last record of each session at work.
    at_work: Vec<Position>,
    copied: bool,
    damaged: bool,
    /// The last line that could not be read, and how many builds stand before it.
    lost: Position,
    doubted: usize,
    id: Option<LedgerId>,
    /// Each build at the place of its record; what another one stands for is empty.
    builds: Vec<Option<(Position, Build)>>,
    /// What stands before its build.
    parts: HashMap<BuildId, More>,
    by_name: ByKey<usize>,
    by_work: ByKey<usize>,
    ended: Endings,
    missed: HashMap<ImageId, Position>,
    /// The last record by which each session made an image.
    made: HashMap<(usize, ImageId), Position>,
    /// The sessions that made an image which is not gone since, nor left to another.
    owners: HashMap<ImageId, BTreeSet<usize>>,
    /// From what was not known to be its own each session has taken a tag, in that order, by the tag.
    took: HashMap<usize, ByKey<Vec<(Position, Taken)>>>,
    /// Which sessions have taken which tags from this image.
    takers: HashMap<ImageId, BTreeSet<(usize, HashKey)>>,
    /// From which images of a session others have taken tags.
    lent: HashMap<usize, BTreeSet<ImageId>>,
    place: Position,
    seed: RandomState,
}

impl Tally {
    pub fn count(&mut self, record: Record) {
        self.place = self.place.saturating_add(1);
        match record {
            // Two that came to make it up at once go by the first.
            Record::Ledger { id, whole, .. } => {
                self.id = self.id.take().or(id);
                self.damaged |= whole == Some(false);
                // What was written as a whole stands in no order: a line that is lost may have come last.
                if whole.is_some() && self.lost > 0 {
                    self.doubt();
                }
            }
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
            Record::Gone { ids, .. } => {
                for id in ids {
                    let mut makers: Vec<usize> = self.owners(id).collect();
                    makers.sort_by_key(|maker| &self.sessions[*maker].key);
                    self.hand_on(id, &makers, Owed::Instead);
                    self.ended.gone.extend([(id, self.place)]);
                    self.owners.remove(&id);
                }
            }
            Record::Missed { ids, .. } => self.missed.extend(ids.into_iter().map(|id| (id, self.place))),
            Record::Cleaned { key, at, rest } => {
                if let Some(number) = self.numbers.get(&key).copied() {
                    // What stays of it, for others, is not the session's any more.
                    let mut lent = self.lent.remove(&number).unwrap_or_default();
                    let is_lent = |id: &ImageId| self.takers.get(id).is_some_and(|takers| !takers.is_empty());
                    lent.retain(|id| self.is_own(number, *id) && is_lent(id));
                    for id in &lent {
                        self.hand_on(*id, &[number], Owed::Before);
                    }
                    self.lent.entry(number).or_default().extend(lent);
                    let entry = &mut self.sessions[number];
                    entry.over = Some(at);
                    if !rest {
                        entry.cleaned = Some(at);
                        entry.held.clear();
                        self.owe_nothing(number);
                    }
                }
            }
            Record::Back { key, tag, image, .. } => {
                if let Some(number) = self.numbers.get(&key).copied() {
                    self.give_back(number, &tag, image);
                }
            }
            Record::Left { key, to, at, ids } => {
                if let (Some(of), Some(to)) = (self.numbers.get(&key).copied(), self.numbers.get(&to).copied()) {
                    // Of two that leave it to each other the second finds no claim of the first any more.
                    let ids: Vec<ImageId> = ids.into_iter().filter(|id| of != to && self.is_own(to, *id)).collect();
                    for id in ids {
                        self.ended.left.insert((of, id), (self.place, at));
                        if let Some(owners) = self.owners.get_mut(&id) {
                            owners.remove(&of);
                        }
                    }
                }
            }
        }
    }

    /// A line that can't be read.
    pub fn lost(&mut self) {
        self.place = self.place.saturating_add(1);
        self.damaged = true;
        self.doubt();
    }

    /// Nothing that was noted so far is sure any more.
    const fn doubt(&mut self) {
        (self.lost, self.doubted) = (self.place, self.builds.len());
    }

    /// They were read from a copy of the ledger.
    pub fn copied(&mut self) {
        self.copied = true;
    }

    pub fn books(mut self) -> Books {
        (0..self.sessions.len()).for_each(|number| self.begin_anew_if_doubted(number));
        for (session, tags) in std::mem::take(&mut self.took) {
            let mut took: Vec<Taken> =
                tags.values().flat_map(|took| self.last_owners(session, took)).map(|(_, taken)| taken).collect();
            took.sort_by(|a, b| a.tag.as_str().cmp(b.tag.as_str()));
            self.sessions[session].took = took;
        }
        // Handed on in no order.
        self.sessions.iter_mut().for_each(|entry| entry.held.sort_unstable());
        let mut missed = std::mem::take(&mut self.missed);
        let mut recorded = HashSet::new();
        let mut builds = Vec::with_capacity(self.builds.len());
        for (number, (place, mut build)) in self.builds.into_iter().enumerate().filter_map(|(n, one)| Some((n, one?))) {
            build.doubted |= number < self.doubted;
            // Which session it was counts only where one has left anything.
            let of = if self.ended.left.is_empty() { None } else { self.numbers.get(&build.of).copied() };
            let (of, at) = (of.unwrap_or_default(), build.at);
            let ended = |id: &ImageId| self.ended.has(*id, place, of, at);
            let is_missed = !missed.is_empty();
            if is_missed {
                // What was built again since is not, whoever it was left to.
                for id in build.images() {
                    if missed.get(&id).is_some_and(|missed| *missed < place) {
                        missed.remove(&id);
                    }
                }
            }
            build.result = build.result.filter(|id| !ended(id));
            build.steps.retain(|id| !ended(id));
            if build.is_empty() {
                continue;
            }
            if is_missed {
                recorded.extend(build.images());
            }
            if build.tags.len() > 1 {
                let mut seen = HashSet::with_capacity(build.tags.len());
                build.tags.retain(|tag| seen.insert(self.seed.hash_one(tag)));
            }
            builds.push(build);
        }
        let missed = missed.into_keys().filter(|id| recorded.contains(id)).collect();
        let sessions = self.sessions.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        let Self { id, copied, damaged, .. } = self;
        Books { builds, sessions, id, copied, damaged, missed, ..Books::default() }
    }

    /// The number of a session, which may be new.
    fn number(&mut self, key: &SessionKey, at: Timestamp) -> usize {
        if let Some(known) = self.numbers.get(key) {
            return *known;
        }
        let new = self.sessions.len();
        self.sessions.push(SessionEntry::new(key.clone(), at));
        self.at_work.push(self.place);
        self.numbers.insert(key.clone(), new);
        new
    }

    /// The line that is lost may have said that the session was cleaned as a whole, so what is known of it begins with
    /// the next time that somebody is at work in it; or that it was at work in another copy.
    fn begin_anew_if_doubted(&mut self, session: usize) {
        if std::mem::replace(&mut self.at_work[session], self.place) < self.lost {
            self.sessions[session].first = Timestamp::MAX;
            self.sessions[session].copies.insert(Name::unnamed());
        }
    }

    fn meet(&mut self, new: SessionEntry) {
        let number = self.number(&new.key, new.first);
        self.begin_anew_if_doubted(number);
        let known = &mut self.sessions[number];
        known.be_at_work(new.first, new.last);
        known.ci |= new.ci;
        known.slot = new.slot.or(known.slot.take());
        known.cleaned = new.cleaned.or(known.cleaned);
        known.over = new.over.or(known.over);
        known.copies.extend(new.copies);
        let mut held: HashSet<ImageId> = known.held.iter().copied().collect();
        known.held.extend(new.held.into_iter().filter(|id| held.insert(*id)));
        self.remember(number, new.took);
    }

    fn add(&mut self, mut build: Build) {
        // What is in doubt stays so, whatever says the same later.
        let (doubted, is_doubted) = (self.doubted, build.doubted);
        let as_sure = |at: usize, known: &Build| (known.doubted || at < doubted) == is_doubted;
        // A build that was recorded and then recovered once more counts once.
        let name = self.seed.hash_one(&build.build);
        if let Some(at) = self.by_name.get(&name) {
            self.builds[*at].take_if(|(_, known)| known.build == build.build && as_sure(*at, known));
        }
        let of = self.number(&build.of, build.at);
        self.begin_anew_if_doubted(of);
        let known = &mut self.sessions[of];
        if self.damaged && known.copies.is_empty() {
            // The line that is lost was its introduction.
            known.copies.insert(Name::unnamed());
        }
        if build.doubted {
            known.last = known.last.max(build.at);
        } else {
            known.be_at_work(build.at, build.at);
        }
        // One text for all.
        build.of = known.key.clone();
        self.remember(of, std::mem::take(&mut build.took));
        if build.is_empty() {
            return;
        }
        for id in build.images() {
            self.made.insert((of, id), self.place);
            self.owners.entry(id).or_default().insert(of);
            if self.takers.contains_key(&id) {
                self.lent.entry(of).or_default().insert(id);
            }
        }
        let at = self.builds.len();
        let work = self.seed.hash_one((of, Work::of(&build)));
        let earlier = self.by_work.insert(work, at).and_then(|at| {
            let ended = &self.ended;
            let whole = |place, known: &Build| !known.images().any(|id| ended.has(id, place, of, known.at));
            let same = |known: &Build| known.of == build.of && Work::of(known) == Work::of(&build);
            // The same work with the same outcome says nothing new but its time and its tags.
            self.builds[at].take_if(|(place, known)| same(known) && whole(*place, known) && as_sure(at, known))
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

    fn owners(&self, id: ImageId) -> impl ExactSizeIterator<Item = usize> {
        self.owners.get(&id).map(BTreeSet::iter).unwrap_or_default().copied()
    }

    fn is_own(&self, session: usize, id: ImageId) -> bool {
        self.owners.get(&id).is_some_and(|owners| owners.contains(&session))
    }

    /// Whether a session and no other made an image: what another one made too may be where that one's tag was.
    fn is_its_alone(&self, session: usize, id: ImageId) -> bool {
        self.owners(id).len() == 1 && self.is_own(session, id)
    }

    fn remember(&mut self, session: usize, new: Vec<Taken>) {
        for taken in new {
            // Only what was not the session's own goes back to where it was.
            if self.is_its_alone(session, taken.from) {
                continue;
            }
            let tag = self.seed.hash_one(taken.tag.canonical());
            self.take(session, tag, taken.from);
            self.took.entry(session).or_default().entry(tag).or_default().push((self.place, taken));
            self.shorten(session, tag);
        }
    }

    fn take(&mut self, taker: usize, tag: HashKey, from: ImageId) {
        let takers = self.takers.entry(from).or_default();
        takers.insert((taker, tag));
        // Its owners have heard of the first, and who comes to own it later hears of it then.
        if takers.len() == 1 {
            for lender in self.owners.get(&from).into_iter().flatten() {
                self.lent.entry(*lender).or_default().insert(from);
            }
        }
    }

    /// The image had the tag before whoever stands behind it here.
    fn give_back(&mut self, session: usize, tag: &Reference, image: ImageId) {
        let tag = self.seed.hash_one(tag.canonical());
        let Some(took) = self.took.get_mut(&session).and_then(|tags| tags.get_mut(&tag)) else { return };
        let Some(last) = took.iter().rposition(|(_, taken)| taken.from == image) else { return };
        took.truncate(last);
    }

    fn owe_nothing(&mut self, session: usize) {
        for (tag, took) in self.took.remove(&session).unwrap_or_default() {
            for (_, taken) in took {
                if let Some(takers) = self.takers.get_mut(&taken.from) {
                    takers.remove(&(session, tag));
                }
            }
        }
    }

    /// Lets the early owners of a tag go that can't count any more, where there are many.
    fn shorten(&mut self, session: usize, tag: HashKey) {
        let Some(took) = self.took.get_mut(&session).and_then(|tags| tags.get_mut(&tag)) else { return };
        let Some(early) = took.len().checked_sub(MOST_OWNERS).filter(|more| *more > 0) else { return };
        let late = took.split_off(early.max(MOST_OWNERS / 2));
        let early = std::mem::take(took);
        let mut kept = self.last_owners(session, &early);
        kept.extend(late);
        self.took.entry(session).or_default().insert(tag, kept);
    }

    /// An image of ours goes, or a session is over that made it, and other sessions have taken tags from it: from now on
    /// they owe these to whoever its makers took them from, or where it stays first to the image and then to these.
    fn hand_on(&mut self, image: ImageId, makers: &[usize], put: Owed) {
        let Some(takers) = self.takers.get(&image) else { return };
        let owed = |(taker, tag): (usize, HashKey)| {
            let makers = makers.iter().filter(|maker| **maker != taker);
            let owed = makers.flat_map(|maker| {
                let took = self.took.get(maker).and_then(|tags| tags.get(&tag)).map_or(&[][..], Vec::as_slice);
                let held = &self.sessions[*maker].held;
                let owed = self.last_owners(*maker, took).into_iter().map(|(_, taken)| taken);
                owed.map(|taken| (held.contains(&taken.from), taken))
            });
            let is_others = |taken: &Taken| taken.from != image && !self.is_its_alone(taker, taken.from);
            let owed: Vec<_> = owed.filter(|(_, taken)| is_others(taken)).collect();
            (taker, tag, owed)
        };
        let others = takers.iter().copied().filter(|(taker, _)| makers.iter().any(|maker| maker != taker));
        let all: Vec<_> = others.map(owed).collect();
        for (taker, tag, owed) in all {
            let Some(took) = self.took.get_mut(&taker).and_then(|tags| tags.get_mut(&tag)) else { continue };
            for (place, taken) in std::mem::take(took) {
                if taken.from == image {
                    let owed = owed.iter().map(|(_, before)| Taken { tag: taken.tag.clone(), ..before.clone() });
                    took.extend(owed.map(|taken| (self.place, taken)));
                }
                if taken.from != image || put == Owed::Before {
                    took.push((place, taken));
                }
            }
            self.shorten(taker, tag);
            for (is_held, Taken { from, .. }) in owed {
                self.take(taker, tag, from);
                let held = &mut self.sessions[taker].held;
                if is_held && !held.contains(&from) {
                    held.push(from);
                }
            }
        }
    }

    /// Whom a tag goes back to: its last owner stands last. An earlier one lost it to that one. But what a session of ours
    /// made goes at that one's end, so before it stands who had the tag last that is another session's, and so on to the
    /// last that is nobody's. Of what may be a session's of another ledger nobody knows of which: the last few. Whoever turned out to be the session itself, whose builds at once are not noted in the
    /// order in which they tagged, is none.
    fn last_owners(&self, session: usize, took: &[(Position, Taken)]) -> Vec<(Position, Taken)> {
        let is_foreign = |place: Position, from| match self.owners(from).next() {
            Some(_) => !self.is_its_alone(session, from),
            None => self.made.get(&(session, from)).is_none_or(|made| *made < place),
        };
        let (mut owners, mut makers, mut abroad) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut passed = HashSet::new();
        let mut took = took.iter().rev().filter(|(place, taken)| is_foreign(*place, taken.from)).peekable();
        while let Some((place, taken)) = took.next() {
            let is_nobodys = self.owners(taken.from).next().is_none();
            let counts = if is_nobodys && taken.may_go {
                abroad.len() < MOST_ABROAD && abroad.insert(taken.from)
            } else {
                let is_new = |maker| !makers.contains(&maker);
                is_nobodys || passed.insert(taken.from) && self.owners(taken.from).any(is_new)
            };
            if counts {
                owners.push((*place, taken.clone()));
                if took.peek().is_some() {
                    makers.extend(self.owners(taken.from));
                }
            }
            if is_nobodys && !taken.may_go {
                break;
            }
        }
        owners.reverse();
        owners
    }
}

impl From<Books> for Tally {
    fn from(books: Books) -> Self {
        let Books { copied, damaged, id, .. } = books;
        let mut tally = Self { copied, damaged, id, ..Self::default() };
        for entry in books.sessions.into_values() {
            tally.count(Record::Session(entry));
        }
        for build in books.builds {
            tally.count(Record::Build(build));
        }
        tally.count(Record::Missed { at: Timestamp::UNIX_EPOCH, ids: books.missed.into_iter().collect() });
        tally
    }
}

/// What a build of a session did. A build that failed is known by its tags too, one that went well by what came of it.
#[derive(PartialEq, Eq, Hash)]
struct Work<'a> {
    key: &'a str,
    ok: bool,
    tilt: bool,
    compose: Option<&'a Name>,
    result: Option<ImageId>,
    steps: &'a [ImageId],
    tags: Option<&'a [crate::model::Reference]>,
}

impl<'a> Work<'a> {
    fn of(build: &'a Build) -> Self {
        Self {
            key: &build.key,
            ok: build.ok,
            tilt: build.tilt,
            compose: build.compose.as_ref(),
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
