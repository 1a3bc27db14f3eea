//! What the ledger says, as plain data: builds, the images that are theirs, and the sessions that were known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ImageId, Name, Reference};

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
    pub build: String,
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
}

impl Build {
    /// Everything it produced, children before parents.
    pub fn images(&self) -> impl Iterator<Item = ImageId> + '_ {
        self.result.into_iter().chain(self.steps.iter().rev().copied())
    }

    fn repeats(&self, known: &Self) -> bool {
        let plain = |build: &Self| Self { build: String::new(), at: Timestamp::UNIX_EPOCH, ..build.clone() };
        self.result == known.result && plain(self) == plain(known)
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
pub struct Candidate {
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
    pub images: Vec<Candidate>,
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
    /// The images that its builds gave dkb's own name, so that they outlive the tag they are about to lose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<ImageId>,
    /// The working copies that it was at work in, each by the name that its own session has.
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
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Record {
    /// The first line. A higher version was written by a newer dkb and is not touched.
    Ledger {
        v: u32,
        engine: String,
        /// The file that it was written to, so that a copy knows itself: what ended since then is not in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<u64>,
    },
    Session(SessionEntry),
    Build(Build),
    /// These IDs were deleted by dkb or found missing; should one come back, it is not ours.
    Gone {
        at: Timestamp,
        ids: Vec<ImageId>,
    },
    Cleaned {
        #[serde(flatten)]
        key: SessionKey,
        at: Timestamp,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// In the order in which they ended.
    pub builds: Vec<Build>,
    pub sessions: BTreeMap<SessionKey, SessionEntry>,
    /// They were read from a copy of the ledger, out of a CI cache or a backup: records may have ended since.
    pub copied: bool,
    met: Met,
}

/// What was ever met, so that most builds need not be compared with all others. It says nothing by itself.
#[derive(Clone, Debug, Default)]
struct Met {
    builds: HashSet<String>,
    images: HashSet<ImageId>,
}

impl Met {
    /// Whether neither the build nor its first image was met before.
    fn is_new(&mut self, build: &Build) -> bool {
        let new = self.builds.insert(build.build.clone());
        build.images().next().is_some_and(|image| self.images.insert(image)) && new
    }
}

impl PartialEq for Met {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Met {}

impl Books {
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Ledger { .. } => {}
            Record::Session(entry) => self.meet(entry),
            Record::Build(build) => self.add(build),
            Record::Gone { ids, .. } => self.forget(&ids.into_iter().collect()),
            Record::Cleaned { key, at } => {
                if let Some(entry) = self.sessions.get_mut(&key) {
                    entry.cleaned = Some(at);
                    entry.took.clear();
                    entry.held.clear();
                }
            }
        }
    }

    fn meet(&mut self, new: SessionEntry) {
        match self.sessions.get_mut(&new.key) {
            None => {
                self.sessions.insert(new.key.clone(), new);
            }
            Some(known) => {
                known.first = known.first.min(new.first);
                known.last = known.last.max(new.last);
                known.ci |= new.ci;
                known.slot = new.slot.or(known.slot.take());
                known.cleaned = new.cleaned.or(known.cleaned);
                known.copies.extend(new.copies);
                for taken in new.took {
                    remember(&mut known.took, taken);
                }
                let held: Vec<ImageId> = new.held.into_iter().filter(|id| !known.held.contains(id)).collect();
                known.held.extend(held);
            }
        }
    }

    fn add(&mut self, mut build: Build) {
        let is_new = self.met.is_new(&build);
        // A build that was recorded and then recovered once more counts once.
        if !is_new {
            self.builds.retain(|known| known.build != build.build);
        }
        let own: HashSet<ImageId> = if build.took.is_empty() {
            HashSet::new()
        } else {
            self.of_session(&build.of).flat_map(Build::images).collect()
        };
        let took = build.took.drain(..).filter(|taken| !own.contains(&taken.from)).collect();
        self.meet(SessionEntry { took, ..SessionEntry::new(build.of.clone(), build.at) });
        // The same work with the same outcome says nothing new but its time.
        if !is_new {
            self.builds.retain(|known| !build.repeats(known));
        }
        if !build.is_empty() {
            self.builds.push(build);
        }
    }

    /// Ends the records of these IDs.
    pub fn forget(&mut self, gone: &HashSet<ImageId>) {
        for build in &mut self.builds {
            build.forget(gone);
        }
        self.builds.retain(|build| !build.is_empty());
    }

    pub fn of_session<'a>(&'a self, key: &'a SessionKey) -> impl Iterator<Item = &'a Build> {
        self.builds.iter().filter(move |build| build.of == *key)
    }

    /// Every recorded image and the builds that claim it, in the order in which they ended.
    pub fn images(&self) -> HashMap<ImageId, Vec<&Build>> {
        let mut images: HashMap<ImageId, Vec<&Build>> = HashMap::new();
        for build in &self.builds {
            for id in build.images() {
                let claims = images.entry(id).or_default();
                if claims.last().is_none_or(|last| last.build != build.build) {
                    claims.push(build);
                }
            }
        }
        images
    }

    /// The shortest list of records that says the same. Sessions are never forgotten.
    pub fn records(&self, engine: &str) -> Vec<Record> {
        let header = Record::Ledger { v: VERSION, engine: engine.to_owned(), file: None };
        let sessions = self.sessions.values().cloned().map(Record::Session);
        let builds = self.builds.iter().cloned().map(Record::Build);
        std::iter::once(header).chain(sessions).chain(builds).collect()
    }
}

/// The ledger's version: raised when an older dkb could no longer read it rightly.
pub const VERSION: u32 = 1;

/// Only the last owner of a tag is remembered: that is whom it goes back to. An earlier one had lost it already.
fn remember(took: &mut Vec<Taken>, taken: Taken) {
    match took.iter_mut().find(|known| known.tag == taken.tag) {
        Some(known) => *known = taken,
        None => took.push(taken),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn id(n: u8) -> ImageId {
        ImageId::parse(&format!("{n:02x}").repeat(32)).expect("an ID")
    }

    pub(crate) fn key(project: &str, session: &str) -> SessionKey {
        SessionKey { project: Name::typed(project).expect("a name"), session: Name::typed(session).expect("a name") }
    }

    pub(crate) fn build(name: &str, of: &SessionKey, result: u8, steps: &[u8]) -> Build {
        Build {
            build: name.to_owned(),
            of: of.clone(),
            at: Timestamp::UNIX_EPOCH,
            tags: vec![Reference::written("app").expect("a name")],
            key: "k".to_owned(),
            ok: result != 0,
            result: (result != 0).then(|| id(result)),
            steps: steps.iter().copied().map(id).collect(),
            took: Vec::new(),
            tilt: false,
        }
    }

    #[test]
    fn a_record_ends_when_its_image_is_gone_and_does_not_come_back() {
        let of = key("p", "s");
        let mut books = Books::default();
        books.apply(Record::Build(build("1", &of, 1, &[2, 3])));
        books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(1), id(3)] });
        assert_eq!(books.images().keys().copied().collect::<Vec<_>>(), [id(2)]);
        books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(2)] });
        assert!(books.builds.is_empty());
        assert!(books.sessions.contains_key(&of), "a session stays known");
    }

    #[test]
    fn a_build_recorded_twice_counts_once() {
        let of = key("p", "s");
        let mut books = Books::default();
        books.apply(Record::Build(build("1", &of, 1, &[2])));
        books.apply(Record::Build(build("1", &of, 1, &[2, 3])));
        assert_eq!(books.builds.len(), 1);
        assert_eq!(books.images()[&id(1)].len(), 1);
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
