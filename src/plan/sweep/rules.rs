//! The rules that hold for several kinds, with what each needs worked out once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::uses::needed_by_builds;
use super::look::{SweepLook, SweepPolicy};
use crate::model::{Build, Container, Image, ImageId, KeptReason, Life, Reference, SessionKey, Stamp};

/// 2000-01-01: what is dated before was given a made-up date, to make its build repeatable.
const CREDIBLE: i64 = 946_684_800;

pub(super) struct SweepRules<'a> {
    pub(super) look: &'a SweepLook<'a>,
    pub(super) policy: &'a SweepPolicy,
    alive: Vec<&'a SessionKey>,
    of_living: HashSet<ImageId>,
    needed_by_builds: HashSet<ImageId>,
    /// What any session holds that this ledger knows of, alive or not.
    held: HashSet<ImageId>,
}

impl<'a> SweepRules<'a> {
    pub(super) fn new(look: &'a SweepLook<'a>, policy: &'a SweepPolicy) -> Self {
        let is_alive = |key: &SessionKey| look.lives.get(key) == Some(&Life::Alive);
        let living = look.books.builds.iter().filter(|build| is_alive(&build.of));
        let mut of_living: HashSet<ImageId> = living.flat_map(Build::images).collect();
        // What a living session took a tag from: it will want to give it back.
        let entries = look.books.sessions.values().filter(|entry| is_alive(&entry.key));
        of_living.extend(entries.flat_map(|entry| &entry.took).map(|taken| taken.from));
        // Or is about to take one from.
        of_living.extend(look.books.held_by(&look.snapshot.images, is_alive));
        Self {
            look,
            policy,
            alive: look.lives.iter().filter(|(_, life)| **life == Life::Alive).map(|(key, _)| key).collect(),
            of_living,
            held: look.books.sessions.values().flat_map(|entry| entry.held.iter().copied()).collect(),
            needed_by_builds: needed_by_builds(look.books, look.running),
        }
    }

    /// The rules 3 to 6, for anything that has labels, names and an age.
    pub(super) fn retained(&self, thing: &Thing) -> Option<KeptReason> {
        let policy = self.policy;
        if thing.image.is_some_and(|id| self.of_living.contains(&id)) || self.is_of_living_session(thing.labels) {
            Some(KeptReason::SessionAlive)
        } else if thing.image.is_some_and(|id| self.needed_by_builds.contains(&id)) {
            Some(KeptReason::BuildRunning)
        } else if thing.image.is_some_and(|id| self.may_be_of_the_living(id)) {
            Some(KeptReason::LedgerDamaged)
        } else if !policy.filter.iter().all(|filter| filter.lets_through(thing.labels)) {
            Some(KeptReason::Filtered)
        } else if thing.asked_for {
            Some(KeptReason::KeepPattern)
        } else {
            self.used_lately(thing.since, policy.until)
        }
    }

    /// A line that is lost may have said that a session which lives, or a build that runs, needs it.
    fn may_be_of_the_living(&self, id: ImageId) -> bool {
        let any = !self.alive.is_empty() || !self.look.running.is_empty();
        any && self.look.books.is_doubted(id)
    }

    /// By the label on what a session's tests made, or by the stamp, which its containers inherit.
    fn is_of_living_session(&self, labels: &HashMap<String, String>) -> bool {
        if self.alive.is_empty() {
            return false;
        }
        let run = SessionKey::running(labels);
        let stamp = Stamp::of(labels);
        self.alive.iter().any(|key| {
            let stamped = stamp.session.as_ref() == Some(&key.session)
                && stamp.project.as_ref().is_none_or(|project| *project == key.project);
            stamped || run.as_ref() == Some(key)
        })
    }

    /// The names that somebody relies on: tags, and by which sessions hold it. Our own hold without a session that
    /// wants it is left from one that has ended, if every line of the ledger could be read.
    pub(super) fn relied_on<'i>(&self, image: &'i Image) -> impl Iterator<Item = &'i Reference> + use<'i> {
        let is_left = !self.look.books.damaged && !self.held.contains(&image.id);
        let left = self.look.books.hold(image).filter(|_| is_left);
        image.tags.iter().filter(move |tag| !tag.is_momentary() && Some(*tag) != left)
    }

    /// Rule 6, by since when it has been idle.
    pub(super) fn used_lately(&self, since: Option<Timestamp>, until: Duration) -> Option<KeptReason> {
        let until = SignedDuration::try_from(until).unwrap_or(SignedDuration::MAX);
        if !until.is_zero() && since.is_none_or(|since| self.look.now.duration_since(since) < until) {
            Some(KeptReason::TooYoung)
        } else if self.policy.unused_since.is_some_and(|planned| since.is_some_and(|since| since > planned)) {
            Some(KeptReason::Changed)
        } else {
            None
        }
    }

    /// Since when an image has been there, as far as anybody can tell.
    pub(super) fn since(&self, image: &Image) -> Option<Timestamp> {
        let dated = if image.created < CREDIBLE {
            self.look.first_seen.get(&image.id).copied()
        } else {
            Timestamp::from_second(image.created).ok()
        };
        dated.max(self.look.books.built(image.id))
    }

    /// When a container that does not run ended; one that never ran was made then.
    pub(super) fn end(&self, container: &Container) -> Option<Timestamp> {
        self.look.ended.get(&container.id).and_then(|ended| ended.at)
    }
}

/// What the rules that hold for several kinds look at.
pub(super) struct Thing<'a> {
    /// The image itself, or the one that a container was made from.
    pub(super) image: Option<ImageId>,
    pub(super) labels: &'a HashMap<String, String>,
    /// A keep pattern matches it.
    pub(super) asked_for: bool,
    pub(super) since: Option<Timestamp>,
}

/// Whether an image's date says nothing, so that its first sight counts.
pub(crate) fn needs_first_sight(image: &Image) -> bool {
    image.created < CREDIBLE
}
