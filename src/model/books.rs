//! What the ledger says, as plain data: builds, the images that are theirs, and the sessions that were known.

mod by_image;
mod line;
mod tally;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BuildId, ImageId, LedgerId, Name, Reference};
use by_image::ByImage;
pub use tally::Tally;

/// One session of one project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    pub project: Name,
    pub session: Name,
}

/// Who opened a session and answers for its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub machine: String,
    pub since: Timestamp,
    /// The name of the command, never its arguments.
    pub command: String,
}

/// How a session that is not over was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Since when somebody has kept it open, one after another.
    pub since: Timestamp,
    /// The working copies that opened it.
    pub copies: BTreeSet<Name>,
    /// dkb made up its name, so nobody else has come to the same one.
    pub made: bool,
}

/// Whether a session is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Somebody holds its lock.
    Alive,
    /// It had an owner on this machine, and nobody holds its lock.
    Dead,
    /// It never had an owner, or had one on another machine.
    Unowned,
}

/// A tag that a build moved away from another image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub tag: Reference,
    pub from: ImageId,
}

/// One build and what it produced. Of the build's words only its tags and a hash are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub build: BuildId,
    #[serde(flatten)]
    pub of: SessionKey,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Reference>,
    /// A hash of Dockerfile path and target: the same build, whatever it is tagged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ImageId>,
    /// The classic builder's intermediates, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ImageId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Taken>,
    /// Made under Tilt, which adds a tag of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tilt: bool,
    /// What tells the way to the engine that built it from the way to a copy of that engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// A line that came later could not be read: it may have ended an image of this one, or held it for somebody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubted: bool,
}

impl Build {
    /// Everything it produced, children before parents.
    pub fn images(&self) -> impl Iterator<Item = ImageId> + '_ {
        self.result.into_iter().chain(self.steps.iter().rev().copied())
    }

    fn forget(&mut self, gone: &HashSet<ImageId>) {
        self.result = self.result.filter(|id| !gone.contains(id));
        self.steps.retain(|id| !gone.contains(id));
    }

    fn is_empty(&self) -> bool {
        self.result.is_none() && self.steps.is_empty()
    }
}

/// An image that the classic builder's output named. It is believed only once the engine confirms it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownImage {
    /// The first digits of its ID.
    pub id: String,
    /// The number of the step whose line was the last before it.
    pub step: u32,
    /// Grows from stage to stage, in which Podman counts the steps anew.
    #[serde(default)]
    pub stage: u32,
    /// It stands behind `FROM`: a base, or the last image of an earlier stage, but not what triggers made of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// The first container that was said to run since the line of the image before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<String>,
}

/// What a classic build's output has shown so far, lines that a step printed among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub images: Vec<ShownImage>,
    /// The stage and the step that began last.
    pub stage: u32,
    pub step: u32,
    /// The first container that was said to run since the last image.
    pub ran: Option<String>,
}

impl Shown {
    /// Whether any container ran at all: before that every line is the builder's own.
    pub fn was_running(&self) -> bool {
        self.ran.is_some() || self.images.iter().any(|image| image.ran.is_some())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    #[serde(flatten)]
    pub key: SessionKey,
    /// Since it was last cleaned as a whole, where it was.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Named by a CI job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ci: bool,
    /// The executor that the CI job ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Name>,
    /// When it was last cleaned as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleaned: Option<Timestamp>,
    /// The tags that it took from images that were not its own, with the image that had each of them last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Taken>,
    /// The images that its builds gave the ledger's own name, so that they outlive the tag they are about to lose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<ImageId>,
    /// The working copies that it was at work in, each by the name that its own session has; `unnamed`, where a line is
    /// lost that may have told of one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub copies: BTreeSet<Name>,
}

impl SessionEntry {
    /// A session that was at work at this moment.
    pub fn new(key: SessionKey, at: Timestamp) -> Self {
        Self {
            key,
            first: at,
            last: at,
            ci: false,
            slot: None,
            cleaned: None,
            took: Vec::new(),
            held: Vec::new(),
            copies: BTreeSet::new(),
        }
    }

    /// Somebody was at work in it then. One that was cleaned as a whole begins anew.
    fn be_at_work(&mut self, first: Timestamp, last: Timestamp) {
        let goes_on = self.cleaned.is_none_or(|at| first > at);
        if goes_on && self.is_cleaned() {
            self.first = first;
        } else if goes_on {
            self.first = self.first.min(first);
        }
        self.last = self.last.max(last);
    }

    /// It was cleaned as a whole, and nobody was at work in it since.
    pub fn is_cleaned(&self) -> bool {
        self.cleaned.is_some_and(|at| at >= self.last)
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Record {
    /// The first line. A higher version was written by a newer dkb and is not touched.
    Ledger {
        v: u32,
        engine: String,
        /// The file that it was written to, so that a copy knows itself: what ended since then is not in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<u64>,
        /// What its holds on images are called by, once there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<LedgerId>,
        /// Said once more behind what was written anew as a whole, in which lines stand in no order of time: whether
        /// all lines could be read that it was made from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole: Option<bool>,
    },
    Session(SessionEntry),
    Build(Build),
    /// What did not fit into the line of a build that comes after it.
    More(More),
    /// These IDs were deleted by dkb or found missing; should one come back, it is not ours.
    Gone {
        at: Timestamp,
        ids: Vec<ImageId>,
    },
    /// These IDs were not on an engine that may be a copy of the one that built them: they are ours only where they
    /// were built.
    Missed {
        at: Timestamp,
        ids: Vec<ImageId>,
    },
    Cleaned {
        #[serde(flatten)]
        key: SessionKey,
        at: Timestamp,
    },
    /// A session that was cleaned by then has no more use for these: they stayed only because another one built them
    /// too, whose they are now.
    Left {
        #[serde(flatten)]
        key: SessionKey,
        to: SessionKey,
        at: Timestamp,
        ids: Vec<ImageId>,
    },
}

impl Record {
    /// Two records that say the same, one after the other; `None` where there is nothing to part.
    pub fn halves(self) -> Option<(Self, Self)> {
        fn half<T>(list: &mut Vec<T>) -> Vec<T> {
            list.split_off(list.len().div_ceil(2))
        }
        match self {
            Self::Gone { at, mut ids } if ids.len() > 1 => {
                let rest = half(&mut ids);
                Some((Self::Gone { at, ids }, Self::Gone { at, ids: rest }))
            }
            Self::Missed { at, mut ids } if ids.len() > 1 => {
                let rest = half(&mut ids);
                Some((Self::Missed { at, ids }, Self::Missed { at, ids: rest }))
            }
            Self::Left { key, to, at, mut ids } if ids.len() > 1 => {
                let rest = half(&mut ids);
                let left = |ids| Self::Left { key: key.clone(), to: to.clone(), at, ids };
                Some((left(ids), left(rest)))
            }
            Self::Session(mut entry) if entry.took.len().max(entry.held.len()) > 1 => {
                let (took, held) = (half(&mut entry.took), half(&mut entry.held));
                let rest = SessionEntry { took, held, ..entry.clone() };
                Some((Self::Session(entry), Self::Session(rest)))
            }
            Self::Build(mut build) => {
                let mut more = More::of(build.build.clone());
                // The build itself comes last, and so is whole when it is read.
                let parts = (half(&mut build.tags), half(&mut build.steps), half(&mut build.took));
                more.tags = std::mem::replace(&mut build.tags, parts.0);
                more.steps = std::mem::replace(&mut build.steps, parts.1);
                more.took = std::mem::replace(&mut build.took, parts.2);
                (!more.is_empty()).then_some((Self::More(more), Self::Build(build)))
            }
            Self::More(mut more) => {
                let mut rest = More::of(more.build.clone());
                rest.tags = half(&mut more.tags);
                rest.steps = half(&mut more.steps);
                rest.took = half(&mut more.took);
                (!rest.is_empty()).then_some((Self::More(more), Self::More(rest)))
            }
            _ => None,
        }
    }
}

impl More {
    const fn of(build: BuildId) -> Self {
        Self { build, tags: Vec::new(), steps: Vec::new(), took: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.steps.is_empty() && self.took.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct More {
    pub build: BuildId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ImageId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Taken>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// In the order in which they ended. Builds that did the same are one, with the tags of all.
    pub builds: Vec<Build>,
    pub sessions: BTreeMap<SessionKey, SessionEntry>,
    /// What the ledger's holds on images are called by. A copy of it has none: what was held since is not in it.
    pub id: Option<LedgerId>,
    /// They were read from a copy of the ledger, out of a CI cache or a backup: records may have ended since.
    pub copied: bool,
    /// There were lines that could not be read: what they said of sessions is missing.
    pub damaged: bool,
    /// Recorded images that were not there in a look at what may have been another engine.
    pub missed: BTreeSet<ImageId>,
    /// Of these builds, and made anew where one of them ends.
    by_image: ByImage,
}

impl Books {
    /// Leaves out what was missed before and was not built behind this way to the engine: it may have come back from
    /// anywhere.
    pub fn look_from(&mut self, home: &str) {
        let missed: HashSet<ImageId> = self.missed.iter().copied().collect();
        self.forget_where(&missed, |build| build.home.as_deref() != Some(home));
    }

    /// Ends the records of these IDs.
    pub fn forget(&mut self, gone: &HashSet<ImageId>) {
        self.forget_where(gone, |_| true);
    }

    fn forget_where(&mut self, gone: &HashSet<ImageId>, of: impl Fn(&Build) -> bool) {
        if gone.is_empty() {
            return;
        }
        self.builds.iter_mut().filter(|build| of(build)).for_each(|build| build.forget(gone));
        self.builds.retain(|build| !build.is_empty());
        self.by_image = ByImage::default();
    }

    pub fn of_session<'a>(&'a self, key: &'a SessionKey) -> impl Iterator<Item = &'a Build> {
        self.builds.iter().filter(move |build| build.of == *key)
    }

    fn by_image(&self) -> &HashMap<ImageId, Vec<usize>> {
        let builds = self.builds.iter().enumerate();
        self.by_image.of(builds.flat_map(|(place, build)| build.images().map(move |id| (place, id))))
    }

    /// Every recorded image.
    pub fn images(&self) -> impl Iterator<Item = ImageId> {
        self.by_image().keys().copied()
    }

    pub fn has(&self, id: ImageId) -> bool {
        self.by_image().contains_key(&id)
    }

    /// Whether a line that could not be read may have said that the image is gone, or who else needs it. A later build
    /// that found it on record says nothing new.
    pub fn is_doubted(&self, id: ImageId) -> bool {
        self.claims(id).any(|build| build.doubted)
    }

    /// The builds that claim an image, in the order in which they ended.
    pub fn claims(&self, id: ImageId) -> impl DoubleEndedIterator<Item = &Build> + Clone {
        let places = self.by_image().get(&id).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.builds[*place])
    }

    /// When dkb last built an image.
    pub fn built(&self, id: ImageId) -> Option<Timestamp> {
        self.claims(id).map(|build| build.at).max()
    }

    /// The shortest list of records that says the same. Sessions are never forgotten.
    pub fn records(&self, engine: &str) -> Vec<Record> {
        let ledger = |id, whole| Record::Ledger { v: VERSION, engine: engine.to_owned(), file: None, id, whole };
        let (header, end) = (ledger(self.id.clone(), None), ledger(None, Some(!self.damaged)));
        let sessions = self.sessions.values().cloned().map(Record::Session);
        let builds = self.builds.iter().cloned().map(Record::Build);
        let missed = (!self.missed.is_empty()).then(|| Record::Missed {
            at: self.builds.last().map_or(Timestamp::UNIX_EPOCH, |build| build.at),
            ids: self.missed.iter().copied().collect(),
        });
        std::iter::once(header).chain(sessions).chain(builds).chain(missed).chain([end]).collect()
    }
}

/// The ledger's version: raised when an older dkb could no longer read it rightly.
pub const VERSION: u32 = 1;

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn id(n: u8) -> ImageId {
        ImageId::parse(&format!("{n:02x}").repeat(32)).expect("an ID")
    }

    pub(crate) fn key(project: &str, session: &str) -> SessionKey {
        SessionKey { project: Name::typed(project).expect("a name"), session: Name::typed(session).expect("a name") }
    }

    pub(crate) fn build(name: &str, of: &SessionKey, result: u8, steps: &[u8]) -> Build {
        Build {
            build: BuildId::parse(name).expect("an ID"),
            of: of.clone(),
            at: Timestamp::UNIX_EPOCH,
            tags: vec![Reference::written("app").expect("a name")],
            key: "k".to_owned(),
            ok: result != 0,
            result: (result != 0).then(|| id(result)),
            steps: steps.iter().copied().map(id).collect(),
            took: Vec::new(),
            tilt: false,
            home: None,
            doubted: false,
        }
    }

    /// Behind what was noted so far comes a line that can't be read.
    pub(crate) fn with_a_line_lost(books: Books) -> Books {
        let mut tally = Tally::from(books);
        tally.lost();
        tally.books()
    }

    pub(crate) fn numbered(n: u32) -> ImageId {
        ImageId::parse(&format!("{n:064x}")).expect("an ID")
    }

    fn any_build() -> impl Strategy<Value = Build> {
        let taken = (0..4_u32, 1..9_u8).prop_map(|(tag, from)| Taken { tag: tag_number(tag), from: id(from) });
        let parts =
            (0..6_u8, any_key(), 0..4_u8, vec(1..9_u8, 0..12), vec(0..5_u32, 0..12), vec(taken, 0..12), 0..3_i64);
        parts.prop_map(|(name, of, result, steps, tags, took, at)| Build {
            at: Timestamp::from_second(at).expect("a time"),
            tags: tags.into_iter().map(tag_number).collect(),
            took,
            ..build(&name.to_string(), &of, result, &steps)
        })
    }

    fn any_key() -> impl Strategy<Value = SessionKey> {
        (0..2_u8).prop_map(|n| key("p", &n.to_string()))
    }

    fn tag_number(n: u32) -> Reference {
        Reference::written(&format!("app:{n}")).expect("a name")
    }

    pub(crate) fn any_record() -> impl Strategy<Value = Record> {
        let at = Timestamp::UNIX_EPOCH;
        let ids = || vec((1..9_u8).prop_map(id), 0..12);
        let taken = (0..4_u32, 1..9_u8).prop_map(|(tag, from)| Taken { tag: tag_number(tag), from: id(from) });
        prop_oneof![
            4 => any_build().prop_map(Record::Build),
            1 => ids().prop_map(move |ids| Record::Gone { at, ids }),
            1 => ids().prop_map(move |ids| Record::Missed { at, ids }),
            1 => any_key().prop_map(move |key| Record::Cleaned { key, at }),
            1 => (any_key(), any_key(), ids()).prop_map(|(key, to, ids)| {
                // After all builds of these.
                Record::Left { key, to, at: Timestamp::from_second(9).expect("a time"), ids }
            }),
            1 => (any_key(), vec(taken, 0..12), ids()).prop_map(move |(key, took, held)| {
                Record::Session(SessionEntry { took, held, ..SessionEntry::new(key, at) })
            }),
        ]
    }

    /// What books say, worked out the plain way.
    #[derive(Default, PartialEq, Eq, Debug)]
    struct Plain {
        claims: Vec<(SessionKey, ImageId, BTreeSet<Reference>)>,
        made: BTreeSet<(SessionKey, ImageId)>,
        made_at: BTreeMap<(SessionKey, ImageId), usize>,
        took: Vec<(usize, (SessionKey, Reference), ImageId)>,
        place: usize,
        missed: BTreeSet<ImageId>,
    }

    impl Plain {
        fn count(&mut self, record: Record) {
            self.place += 1;
            match record {
                Record::Build(build) => {
                    for taken in build.took.iter().filter(|taken| !self.made.contains(&(build.of.clone(), taken.from)))
                    {
                        self.took.push((self.place, (build.of.clone(), taken.tag.clone()), taken.from));
                    }
                    let tags: BTreeSet<Reference> = build.tags.iter().cloned().collect();
                    for id in build.images() {
                        self.made.insert((build.of.clone(), id));
                        self.made_at.insert((build.of.clone(), id), self.place);
                        self.missed.remove(&id);
                        self.claims.push((build.of.clone(), id, tags.clone()));
                    }
                }
                Record::Gone { ids, .. } => {
                    self.claims.retain(|(_, id, _)| !ids.contains(id));
                    self.made.retain(|(_, id)| !ids.contains(id));
                }
                Record::Missed { ids, .. } => self.missed.extend(ids),
                Record::Left { key, to, ids, .. } => {
                    for id in ids {
                        if key == to || !self.made.contains(&(to.clone(), id)) {
                            continue;
                        }
                        self.claims.retain(|(of, claimed, _)| (of, claimed) != (&key, &id));
                        self.made.remove(&(key.clone(), id));
                    }
                }
                Record::Session(entry) => {
                    for taken in entry.took {
                        if self.made.contains(&(entry.key.clone(), taken.from)) {
                            continue;
                        }
                        self.took.push((self.place, (entry.key.clone(), taken.tag), taken.from));
                    }
                }
                Record::Cleaned { key, .. } => self.took.retain(|(_, (of, _), _)| *of != key),
                Record::Ledger { .. } | Record::More(_) => {}
            }
        }

        fn took(&self) -> BTreeMap<(SessionKey, Reference), ImageId> {
            let made_since = |place: &usize, of: &SessionKey, id: ImageId| {
                self.made_at.get(&(of.clone(), id)).is_some_and(|made| made >= place)
            };
            let foreign = self.took.iter().filter(|(place, (of, _), from)| !made_since(place, of, *from));
            foreign.map(|(_, whose, from)| (whose.clone(), *from)).collect()
        }

        fn images(&self) -> BTreeMap<(ImageId, SessionKey), BTreeSet<Reference>> {
            let mut images: BTreeMap<_, BTreeSet<Reference>> = BTreeMap::new();
            for (of, id, tags) in &self.claims {
                images.entry((*id, of.clone())).or_default().extend(tags.iter().cloned());
            }
            images
        }
    }

    proptest::proptest! {
        #[test]
        fn many_records_say_what_they_say_one_by_one(records in vec(any_record(), 0..60)) {
            let (mut plain, mut tally) = (Plain::default(), Tally::default());
            for (n, mut record) in records.into_iter().enumerate() {
                if let Record::Build(build) = &mut record {
                    build.build = BuildId::parse(n.to_string()).expect("an ID");
                }
                plain.count(record.clone());
                tally.count(record);
            }
            let books = tally.books();
            // What is written again says the same.
            let mut again = Tally::default();
            books.records("engine").into_iter().for_each(|record| again.count(record));
            for books in [books, again.books()] {
                prop_assert_eq!(claims(&books), plain.images());
                let took = |entry: &SessionEntry| {
                    let key = entry.key.clone();
                    entry.took.clone().into_iter().map(move |taken| ((key.clone(), taken.tag), taken.from))
                };
                prop_assert_eq!(&books.sessions.values().flat_map(took).collect::<BTreeMap<_, _>>(), &plain.took());
                let missed = plain.missed.iter().filter(|id| books.has(**id)).copied().collect();
                prop_assert_eq!(&books.missed, &missed);
            }
        }
    }

    /// Which session claims which image, by which names.
    fn claims(books: &Books) -> BTreeMap<(ImageId, SessionKey), BTreeSet<Reference>> {
        let mut claims: BTreeMap<_, BTreeSet<Reference>> = BTreeMap::new();
        for build in &books.builds {
            for id in build.images() {
                claims.entry((id, build.of.clone())).or_default().extend(build.tags.iter().cloned());
            }
        }
        claims
    }

    /// Builds at once are noted in another order than the one in which they took the tag from each other.
    #[test]
    fn a_tag_goes_back_past_the_sessions_own_builds_whenever_they_are_noted() {
        let of = key("p", "s");
        let tag = Reference::written("app").expect("a name");
        let took = |name: &str, made: u8, from: u8| {
            Record::Build(Build {
                took: vec![Taken { tag: tag.clone(), from: id(from) }],
                ..build(name, &of, made, &[])
            })
        };
        // X is 9; the builds make 1, 2 and 3, in that order.
        let builds = [took("1", 1, 9), took("2", 2, 1), took("3", 3, 2)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut tally = Tally::default();
            for n in order {
                tally.count(builds[n].clone());
            }
            assert_eq!(tally.books().sessions[&of].took, [Taken { tag: tag.clone(), from: id(9) }], "{order:?}");
        }
    }

    #[test]
    fn what_was_missed_elsewhere_is_ours_only_where_it_was_built() {
        let of = key("p", "s");
        let built =
            |name: &str, home: &str, result| Build { home: Some(home.to_owned()), ..build(name, &of, result, &[]) };
        let mut books = Books::default();
        books.apply(Record::Build(built("1", "here", 1)));
        books.apply(Record::Build(built("2", "here", 2)));
        books.apply(Record::Missed { at: Timestamp::UNIX_EPOCH, ids: vec![id(1)] });
        let ours = |home: &str, books: &Books| {
            let mut books = books.clone();
            books.look_from(home);
            [1, 2].map(|n| books.has(id(n)))
        };
        assert_eq!((ours("here", &books), ours("there", &books)), ([true, true], [false, true]));
        books.apply(Record::Build(built("3", "there", 1)));
        assert_eq!(ours("anywhere", &books), [true, true], "it was built again");
    }

    #[test]
    fn a_record_ends_when_its_image_is_gone_and_does_not_come_back() {
        let of = key("p", "s");
        let mut books = Books::default();
        books.apply(Record::Build(build("1", &of, 1, &[2, 3])));
        books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(1), id(3)] });
        assert_eq!(books.images().collect::<Vec<_>>(), [id(2)]);
        books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(2)] });
        assert!(books.builds.is_empty());
        assert!(books.sessions.contains_key(&of), "a session stays known");
    }

    #[test]
    fn what_a_session_left_to_another_is_its_own_again_once_it_builds_it() {
        let (of, other, third) = (key("p", "s"), key("p", "t"), key("q", "s"));
        let at = |second| Timestamp::from_second(second).expect("a time");
        let left = |of: &SessionKey, to: &SessionKey, when| Record::Left {
            key: of.clone(),
            to: to.clone(),
            at: at(when),
            ids: vec![id(2), id(3)],
        };
        let built = |name: &str, of: &SessionKey, when| Build { at: at(when), ..build(name, of, 1, &[2]) };
        let mut books = Books::default();
        books.apply(Record::Build(built("1", &of, 10)));
        books.apply(left(&of, &other, 20));
        books.apply(left(&of, &of, 20));
        let makers = |books: &Books| books.claims(id(2)).map(|build| build.of.clone()).collect::<Vec<_>>();
        assert_eq!(makers(&books), std::slice::from_ref(&of), "there is nobody to leave it to");
        books.apply(Record::Build(built("2", &other, 15)));
        books.apply(left(&of, &other, 20));
        assert_eq!(makers(&books), std::slice::from_ref(&other));
        assert!(books.of_session(&of).flat_map(Build::images).eq([id(1)]), "the rest is its own");
        // Two that were cleaned at once each saw the other's claim.
        books.apply(left(&other, &of, 20));
        assert_eq!(makers(&books), std::slice::from_ref(&other), "the last one keeps it");
        books.apply(Record::Build(built("3", &of, 30)));
        assert_eq!(makers(&books), [other.clone(), of.clone()]);
        books.apply(left(&of, &other, 25));
        assert_eq!(makers(&books), [other.clone(), of.clone()], "a build since the look was not seen");
        books.apply(Record::Gone { at: at(40), ids: vec![id(2)] });
        books.apply(Record::Build(built("4", &third, 50)));
        books.apply(left(&third, &of, 60));
        assert_eq!(makers(&books), [third], "the others' is gone");
    }

    #[test]
    fn what_was_asked_before_is_asked_anew_once_records_end() {
        let of = key("p", "s");
        let mut books = Books::default();
        for n in 1..=3 {
            books.apply(Record::Build(build(&n.to_string(), &of, n, &[4])));
        }
        let makers =
            |books: &Books, n| books.claims(id(n)).map(|build| build.build.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (makers(&books, 3), makers(&books, 4)),
            (vec!["3".to_owned()], ["1", "2", "3"].map(str::to_owned).into())
        );
        books.forget(&[id(1), id(4)].into());
        assert_eq!((makers(&books, 3), makers(&books, 4)), (vec!["3".to_owned()], vec![]));
        assert!(!books.has(id(1)) && books.has(id(2)) && books.images().count() == 2);
        books.missed = [id(2)].into();
        books.look_from("elsewhere");
        assert_eq!((makers(&books, 3), books.has(id(2))), (vec!["3".to_owned()], false));
    }

    #[test]
    fn a_build_recorded_twice_counts_once() {
        let of = key("p", "s");
        let mut books = Books::default();
        books.apply(Record::Build(build("1", &of, 1, &[2])));
        books.apply(Record::Build(build("1", &of, 1, &[2, 3])));
        assert_eq!(books.builds.len(), 1);
        assert_eq!(books.claims(id(1)).count(), 1);
    }

    #[test]
    fn the_last_owner_of_a_tag_is_remembered_and_the_sessions_own_images_are_none() {
        let of = key("p", "s");
        let tag = Reference::written("app").expect("a name");
        let took = |from| vec![Taken { tag: tag.clone(), from: id(from) }];
        let mut books = Books::default();
        books.apply(Record::Build(Build { took: took(9), ..build("1", &of, 1, &[]) }));
        books.apply(Record::Build(Build { took: took(1), ..build("2", &of, 2, &[]) }));
        assert_eq!(books.sessions[&of].took, took(9));
        books.apply(Record::Build(Build { took: took(8), ..build("3", &of, 3, &[]) }));
        assert_eq!(books.sessions[&of].took, took(8));
        let entry = SessionEntry { took: Vec::new(), held: vec![id(9), id(8)], ..books.sessions[&of].clone() };
        books.apply(Record::Session(entry.clone()));
        books.apply(Record::Session(SessionEntry { held: vec![id(8), id(7)], ..entry }));
        assert_eq!((&books.sessions[&of].took, &*books.sessions[&of].held), (&took(8), &[id(9), id(8), id(7)][..]));
        books.apply(Record::Cleaned { key: of.clone(), at: Timestamp::UNIX_EPOCH });
        assert!(books.sessions[&of].took.is_empty() && books.sessions[&of].held.is_empty());
    }

    /// What is in doubt: images, and sessions as to when they began.
    type Doubt = (Vec<u8>, Vec<&'static str>);

    /// A line of a ledger, or one that is lost.
    fn read(lines: &[Option<Record>]) -> Books {
        let mut tally = Tally::default();
        for line in lines {
            match line {
                Some(record) => tally.count(record.clone()),
                None => tally.lost(),
            }
        }
        tally.books()
    }

    fn doubt(books: &Books) -> Doubt {
        let known = ["s", "t"].into_iter();
        let began =
            known.filter(|name| books.sessions.get(&key("p", name)).is_some_and(|it| it.first == Timestamp::MAX));
        ((1..9).filter(|n| books.is_doubted(id(*n))).collect(), began.collect())
    }

    #[test]
    fn a_line_that_is_lost_puts_in_doubt_what_was_noted_before_it() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let made = |name: &str, session: &str, image, second| {
            Some(Record::Build(Build { at: at(second), ..build(name, &key("p", session), image, &[]) }))
        };
        let (one, two) = (made("1", "s", 1, 10), made("2", "t", 2, 20));
        let gone = |n| Some(Record::Gone { at: at(30), ids: vec![id(n)] });
        let whole = |of: &[Option<Record>]| {
            let mut lines: Vec<_> = read(of).records("engine").into_iter().map(Some).collect();
            lines.insert(1, None);
            lines
        };
        let cases: Vec<(&str, Vec<Option<Record>>, Doubt)> = vec![
            ("nothing is lost", vec![one.clone(), two.clone()], (vec![], vec![])),
            ("before", vec![None, one.clone(), two.clone()], (vec![], vec![])),
            ("between", vec![one.clone(), None, two.clone()], (vec![1], vec!["s"])),
            ("behind", vec![one.clone(), two.clone(), None], (vec![1, 2], vec!["s", "t"])),
            ("built again, from what was there", vec![one.clone(), None, made("3", "s", 1, 40)], (vec![1], vec![])),
            ("by another session", vec![one.clone(), None, made("3", "t", 1, 40)], (vec![1], vec!["s"])),
            ("noted twice", vec![one.clone(), None, one.clone()], (vec![1], vec![])),
            ("gone, and built anew", vec![one.clone(), None, gone(1), made("3", "s", 1, 40)], (vec![], vec![])),
            (
                "at work before and since",
                vec![one.clone(), None, made("3", "s", 3, 40), two.clone()],
                (vec![1], vec![]),
            ),
            ("of what was written as a whole", whole(&[one.clone(), two.clone()]), (vec![1, 2], vec!["s", "t"])),
            (
                "and what came then",
                whole(&[one]).into_iter().chain([two, made("3", "s", 3, 40)]).collect(),
                (vec![1], vec![]),
            ),
        ];
        for (what, lines, want) in cases {
            let books = read(&lines);
            assert_eq!(doubt(&books), want, "{what}");
            assert_eq!(books.damaged, lines.contains(&None), "{what}");
            // Written anew, and with what comes later, it is the same.
            let mut again = read(&books.records("engine").into_iter().map(Some).collect::<Vec<_>>());
            assert_eq!((doubt(&again), again.damaged), (want.clone(), books.damaged), "{what}, written anew");
            let later = made("9", "u", 9, 50).expect("a record");
            again.apply(later);
            assert_eq!((doubt(&again), again.damaged), (want, books.damaged), "{what}, and then a build");
        }
    }

    #[test]
    fn what_is_written_again_says_the_same() {
        let of = key("p", "s");
        let mut books = Books::default();
        books.apply(Record::Build(Build {
            took: vec![Taken { tag: Reference::written("app").expect("a name"), from: id(9) }],
            ..build("1", &of, 1, &[2])
        }));
        books.apply(Record::Build(build("2", &of, 4, &[])));
        books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(4)] });
        let mut again = Books::default();
        for record in books.records("engine") {
            let line = serde_json::to_string(&record).expect("a line");
            again.apply(serde_json::from_str(&line).expect("a record"));
        }
        assert_eq!(again, books);
    }
}
