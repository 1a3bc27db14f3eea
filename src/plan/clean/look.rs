//! What a clean is asked for, and all that its plan is made from.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::{
    Books, GoesOn, ImageId, Life, MountNamespace, Name, Opening, Pattern, RunningBuild, Scope, SessionEntry,
    SessionKey, Snapshot,
};

/// The layers of those images for which they were asked, lowest first.
pub(crate) type Layers = HashMap<ImageId, Vec<String>>;

/// A container that was created and never started may be one that somebody is starting right now, and a session
/// that was at work so short a while ago may still be.
pub(super) const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// Engines say when a container was made in whole seconds, and the ledger goes by another clock.
pub(crate) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// What becomes of the build cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheWish {
    Leave,
    /// It goes where its images go.
    With,
    /// It goes, and nothing else.
    Only,
}

#[derive(Clone, Debug)]
pub(crate) struct CleanPolicy {
    pub scope: Scope,
    /// Of what the scope covers only what was built for this project of compose's.
    pub compose: Option<Name>,
    /// Tags that our builds gave go too.
    pub tags: bool,
    /// The sessions' own containers of what goes are taken first, those that do not run.
    pub containers: bool,
    /// Those that run are stopped, where somebody opened the session and it is over.
    pub stops: bool,
    /// The anonymous volumes of the containers that go are taken too.
    pub volumes: bool,
    pub keep: Vec<Pattern>,
    pub keep_last: Option<usize>,
    pub older_than: Option<Duration>,
    pub stale_after: Duration,
    pub trust_stamp: bool,
    pub cache: CacheWish,
    /// So much of the cache stays.
    pub cache_keep: Option<u64>,
    /// The cache mounts of these go too.
    pub mounts: Option<MountNamespace>,
}

impl CleanPolicy {
    /// Whether it asks for what was built for this project of compose's, or for none.
    pub(crate) fn is_about(&self, compose: Option<&Name>) -> bool {
        self.compose.is_none() || self.compose.as_ref() == compose
    }

    /// Only a whole session has an end, and what was built for one project of compose's may be a part of it.
    pub(crate) const fn ends_sessions(&self) -> bool {
        self.scope.is_of_sessions() && self.compose.is_none()
    }

    /// Whether it asks for what is older than that.
    pub(crate) fn is_too_young(&self, now: Timestamp, at: Timestamp) -> bool {
        self.older_than.is_some_and(|age| at > now || now.duration_since(at).unsigned_abs() < age)
    }
}

/// The session that this process is in.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    pub key: SessionKey,
    /// It is the very session of the CI job that this process is in, by the CI's own variables: whoever else names a
    /// session may name one that somebody else is in.
    pub by_ci: bool,
    /// The session's name can't be that of another working copy: it is the CI job's, or this working copy's own.
    pub alone: bool,
    pub slot: Option<Name>,
    /// This working copy.
    pub copy: Name,
    /// The project was named by the user or the CI, and not by the checkout: it may be cleaned wherever it was built.
    pub vouched: bool,
    /// Somebody else keeps this session open too, so what it made is not this process's to take.
    pub shared: bool,
}

impl Here {
    /// Whoever ends this session, which speaks for it, alive or not.
    pub(crate) fn ending(self, key: &SessionKey) -> Self {
        Self { alone: self.alone && self.key == *key, key: key.clone(), vouched: true, shared: false, ..self }
    }
}

#[cfg(test)]
impl Here {
    /// Somebody in this session, in a working copy of his own, whose project the user has named.
    pub(crate) fn somebody(key: SessionKey) -> Self {
        let copy = Name::typed("local-00000001").expect("a name");
        Self { key, by_ci: false, alone: false, slot: None, copy, vouched: true, shared: false }
    }
}

/// Whether a build of this session runs now.
pub(crate) fn builds_in(running: &[RunningBuild], session: &SessionKey) -> bool {
    running.iter().any(|build| build.of == *session)
}

/// All that the plan is made from.
#[derive(Clone, Copy)]
pub(crate) struct CleanLook<'a> {
    pub snapshot: &'a Snapshot,
    pub books: &'a Books,
    pub lives: &'a HashMap<SessionKey, Life>,
    /// The last sign of life of sessions that are dead.
    pub beats: &'a HashMap<SessionKey, Timestamp>,
    /// The sessions that somebody has opened and nobody has ended.
    pub opened: &'a HashMap<SessionKey, Opening>,
    /// The sessions whose containers run.
    pub at_work: &'a HashSet<SessionKey>,
    pub running: &'a [RunningBuild],
    pub layers: &'a Layers,
    pub here: &'a Here,
    pub now: Timestamp,
}

#[cfg(test)]
impl<'a> CleanLook<'a> {
    /// At the beginning of time, where nobody is at work and nothing runs.
    pub(crate) fn of(snapshot: &'a Snapshot, books: &'a Books, here: &'a Here) -> Self {
        #[derive(Default)]
        struct Nothing {
            lives: HashMap<SessionKey, Life>,
            beats: HashMap<SessionKey, Timestamp>,
            opened: HashMap<SessionKey, Opening>,
            at_work: HashSet<SessionKey>,
            layers: Layers,
        }
        static NOTHING: std::sync::LazyLock<Nothing> = std::sync::LazyLock::new(Nothing::default);
        let Nothing { lives, beats, opened, at_work, layers } = &*NOTHING;
        let now = Timestamp::UNIX_EPOCH;
        Self { snapshot, books, lives, beats, opened, at_work, running: &[], layers, here, now }
    }
}

impl CleanLook<'_> {
    pub(super) fn life(&self, key: &SessionKey) -> Life {
        self.lives.get(key).copied().unwrap_or(Life::Unowned)
    }

    /// When something was made that the engine dates by its own clock.
    pub(super) fn by_our_clock(&self, created: Timestamp) -> Option<Timestamp> {
        created.checked_sub(self.snapshot.engine.ahead).ok()
    }

    /// Alive, and not only for whoever asks.
    pub(crate) fn is_others(&self, key: &SessionKey) -> bool {
        (*key != self.here.key || self.here.shared) && self.life(key) == Life::Alive
    }

    /// Whether this working copy may clean what a session built. A checkout can call itself any project, so what
    /// other working copies built takes more than its word.
    pub(crate) fn reaches(&self, key: &SessionKey) -> bool {
        let here = self.here;
        let (known, opened) = (self.books.sessions.get(key), self.opened.get(key));
        // A session of before says nothing of where it was at work.
        let says_where = known.is_none_or(|entry| !entry.copies.is_empty());
        let mut copies = known.map(|entry| &entry.copies).into_iter().chain(opened.map(|of| &of.copies)).flatten();
        self.is_own(key)
            || key.session.is_made_up() && opened.is_some_and(|of| of.copies.contains(&here.copy))
            || says_where && copies.all(|copy| *copy == here.copy)
    }

    /// The same of a session that a stamp alone tells of: where no book says in which working copies it was, it must be
    /// this one's, or its project be named by who cleans.
    pub(crate) fn reaches_by_stamp(&self, key: &SessionKey) -> bool {
        let is_known = self.books.sessions.contains_key(key) || self.opened.contains_key(key);
        self.is_own(key) || is_known && self.reaches(key)
    }

    /// Whether who cleans has named its project, or it is this working copy's own.
    fn is_own(&self, key: &SessionKey) -> bool {
        let here = self.here;
        here.vouched || *key == here.key && here.alone || key.session == here.copy
    }

    /// Whether a session is over and was never cleaned, as `--stale` means it.
    pub(super) fn is_stale(&self, entry: &SessionEntry, after: Duration) -> bool {
        !entry.is_cleaned() && self.life(&entry.key) != Life::Alive && self.goes_on(entry, after).is_none()
    }

    /// Why a session that nobody holds open is not over yet, as `--stale` means it.
    pub(super) fn goes_on(&self, entry: &SessionEntry, after: Duration) -> Option<GoesOn> {
        if entry.key == self.here.key {
            return Some(GoesOn::Asks);
        }
        if self.life(&entry.key) == Life::Dead {
            return None;
        }
        if !entry.ci {
            let unsaid = if entry.key.session.is_local() { GoesOn::HasNoEnd } else { GoesOn::Unsaid };
            // One that was ended is over, also where something of it had to stay.
            return Some(unsaid).filter(|unsaid| *unsaid != GoesOn::Unsaid || !entry.is_over());
        }
        // Two runners may have one name: a session is not over while something of it goes on.
        if self.at_work.contains(&entry.key) {
            return Some(GoesOn::Runs);
        }
        let same_slot = entry.slot.is_some() && entry.slot == self.here.slot;
        let said = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
        let over_after = if same_slot { SETTLED } else { said.max(SETTLED) };
        let idle = self.now.duration_since(entry.last);
        let ago = Duration::try_from(idle).unwrap_or_default();
        (idle < over_after).then_some(GoesOn::Built { ago, over_after, overrules: said < over_after })
    }
}

/// The sessions that a scope covers.
pub(crate) fn sessions<'a>(look: &'a CleanLook, policy: &'a CleanPolicy) -> impl Iterator<Item = &'a SessionKey> {
    look.books.sessions.values().filter(|entry| covers(look, policy, &entry.key)).map(|entry| &entry.key)
}

pub(crate) fn covers(look: &CleanLook, policy: &CleanPolicy, key: &SessionKey) -> bool {
    is_meant(look, policy, key) && (policy.scope == Scope::All || look.reaches(key))
}

/// Whether the scope is about this session, in reach or not.
pub(super) fn is_meant(look: &CleanLook, policy: &CleanPolicy, key: &SessionKey) -> bool {
    match &policy.scope {
        Scope::All => true,
        Scope::Project { project } => key.project == *project,
        Scope::Session(session) => key == session,
        Scope::Stale { project } => {
            key.project == *project
                && look.books.sessions.get(key).is_some_and(|entry| look.is_stale(entry, policy.stale_after))
        }
    }
}
