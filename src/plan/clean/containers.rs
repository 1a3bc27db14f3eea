//! Whose a container is, where sessions end.
//!
//! 1. It bears the run label of a session that ends. A container inherits the labels of its image, so a label
//!    that its image bears too says nothing, and neither does one on a container whose image is not there to ask:
//!    such a container is kept, told, and waited for, unless the second rule takes it.
//! 2. Without it, all of this must hold:
//!    - its image is on record for sessions that end and for nobody else, and goes now;
//!    - it was made from the image by its ID or by a name that a build of these sessions gave it, not by a name
//!      that somebody else gave;
//!    - it was made while one of these sessions was alive;
//!    - it bears no run label at all, or that of the session which built its image, where the engine has dropped the
//!      image since: then it goes as it would without the label;
//!    - one that never ran is older than [`SETTLED`]: until then somebody may be about to start it.
//! 3. A container that a keep pattern means by its name or its ID stays, with a label or without, and so does one that
//!    is too young; one with the label also where it is older than the session ([`stays_by_age`]).
//! 4. What runs is stopped only at the end of a session that somebody opened, and that is over.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::claims::Claim;
use super::look::{CLOCKS_DIFFER, CleanLook, CleanPolicy, SETTLED, covers};
use super::made::stays_by_age;
use crate::model::{
    Books, Container, ContainerState, Holder, Image, ImageId, KeptReason, Life, Name, Pattern, RUN_LABEL, Reference,
    Scope, SessionKey, Snapshot,
};

/// A watcher gives a sign of life at least that often.
const BETWEEN_BEATS: SignedDuration = SignedDuration::from_secs(5);

/// The containers of the sessions that end.
pub(crate) struct Ending<'a> {
    look: &'a CleanLook<'a>,
    policy: &'a CleanPolicy,
    images: HashMap<ImageId, &'a Image>,
    /// When jobs began in each executor, the first one first.
    begun_in: HashMap<&'a Name, Vec<Timestamp>>,
}

impl<'a> Ending<'a> {
    pub(crate) fn new(look: &'a CleanLook<'a>, policy: &'a CleanPolicy) -> Self {
        let mut begun_in: HashMap<&Name, Vec<Timestamp>> = HashMap::new();
        for entry in look.books.sessions.values() {
            if let Some(slot) = &entry.slot {
                begun_in.entry(slot).or_default().push(entry.first);
            }
        }
        for begun in begun_in.values_mut() {
            begun.sort_unstable();
        }
        Self { look, policy, images: look.snapshot.images.iter().map(|image| (image.id, image)).collect(), begun_in }
    }

    /// The session whose run label a container bears itself.
    pub(crate) fn runs_in(&self, container: &Container) -> Option<SessionKey> {
        let label = container.labels.get(RUN_LABEL)?;
        let image = self.image_to_ask(container)?;
        if image.labels.get(RUN_LABEL) == Some(label) { None } else { SessionKey::of_run_label(label) }
    }

    /// Whether it may go by its own label.
    pub(crate) fn takes_labelled(&self, container: &Container) -> bool {
        self.runs_in(container)
            .is_some_and(|key| self.takes_of(&key, container) && self.stays_by_age(&key, container).is_none())
    }

    /// Why one stays that bears the run label of a session that ends, and for whom.
    pub(crate) fn keeps_labelled(&self, container: &Container) -> Option<(KeptReason, Vec<Holder>)> {
        if self.is_in_doubt(container) {
            return Some((KeptReason::ImageGone, vec![Holder::Itself(container.state.clone())]));
        }
        if self.is_at_work(container) {
            return Some((KeptReason::InUse, vec![Holder::from(container)]));
        }
        // It would go, had it been made at another time.
        let key = self.runs_in(container).filter(|key| self.takes_of(key, container))?;
        Some((self.stays_by_age(&key, container)?, Vec::new()))
    }

    fn stays_by_age(&self, key: &SessionKey, container: &Container) -> Option<KeptReason> {
        stays_by_age(self.look, self.policy, key, container.made())
    }

    /// Whether it bears the label itself and stays for what it does.
    fn is_at_work(&self, container: &Container) -> bool {
        let is_its_own = |key: &SessionKey| match container.state {
            // Its image is Podman's own.
            ContainerState::Pod(_) => SessionKey::running(&container.labels).as_ref() == Some(key),
            _ => self.runs_in(container).as_ref() == Some(key),
        };
        SessionKey::running(&container.labels).is_some_and(|key| {
            is_its_own(&key)
                && self.ends(&key)
                && !self.is_kept(container)
                && !self.may_be_in_this_state(container, &key)
                && self.stays_by_age(&key, container).is_none()
        })
    }

    /// Whether it would go by its label, could its image be asked whether that bears the label too.
    fn is_in_doubt(&self, container: &Container) -> bool {
        let label = container.labels.get(RUN_LABEL).filter(|_| self.image_to_ask(container).is_none());
        label.and_then(|label| SessionKey::of_run_label(label)).is_some_and(|key| self.takes_of(&key, container))
    }

    fn image_to_ask(&self, container: &Container) -> Option<&'a Image> {
        self.images.get(&container.image?).copied().filter(|image| !image.dropped)
    }

    fn takes_of(&self, key: &SessionKey, container: &Container) -> bool {
        self.ends(key) && !self.is_kept(container) && self.may_be_in_this_state(container, key)
    }

    /// Whether it may go with its image, which is about to.
    pub(super) fn takes_with(&self, container: &Container, image: &Image, claim: &Claim) -> bool {
        if !self.policy.containers || container.image != Some(image.id) {
            return false;
        }
        if self.takes_labelled(container) {
            return true;
        }
        let by_its_name = is_id(&container.image_name, image.id)
            || Reference::written(&container.image_name).is_some_and(|name| claim.gave(&name));
        by_its_name
            && container.labels.get(RUN_LABEL).is_none_or(|label| image.dropped && is_of_alone(label, claim))
            && !self.is_kept(container)
            && self.is_settled(container)
            && !self.is_too_young(container)
            && claim.sessions().any(|key| self.was_alive(key, container) && self.may_be_in_this_state(container, key))
    }

    fn ends(&self, key: &SessionKey) -> bool {
        match &self.policy.scope {
            // One that never built anything is not in the books.
            Scope::Session(session) => key == session && self.look.reaches(key),
            _ => covers(self.look, self.policy, key),
        }
    }

    /// Whether a session is over that somebody had opened, so that what it still runs is to be stopped.
    pub(crate) fn stops(&self, key: &SessionKey) -> bool {
        self.policy.stops && (*key == self.look.here.key || self.look.life(key) == Life::Dead)
    }

    fn may_be_in_this_state(&self, container: &Container, key: &SessionKey) -> bool {
        // A builder's own is neither stopped nor removed over the API, nor is a pod's.
        container.state.is_over() || container.state.goes_alone() && self.stops(key)
    }

    fn is_kept(&self, container: &Container) -> bool {
        Pattern::any_keeps_named(&self.policy.keep, &container.name, &container.id)
    }

    fn is_settled(&self, container: &Container) -> bool {
        container.state != ContainerState::Created
            || container.made().is_some_and(|at| self.look.snapshot.engine.now.duration_since(at) >= SETTLED)
    }

    fn is_too_young(&self, container: &Container) -> bool {
        let at = container.made().and_then(|at| self.look.by_our_clock(at)).unwrap_or(Timestamp::MAX);
        self.policy.is_too_young(self.look.now, at)
    }

    fn was_alive(&self, key: &SessionKey, container: &Container) -> bool {
        let Some(entry) = self.look.books.sessions.get(key) else { return false };
        let Some(at) = container.made().and_then(|made| self.look.by_our_clock(made)) else { return false };
        let since = |moment: Timestamp| at.duration_since(moment);
        let first = self.look.opened.get(key).map_or(entry.first, |opening| opening.since.max(entry.first));
        since(first) >= -CLOCKS_DIFFER && self.ended(key).is_none_or(|end| since(end) <= CLOCKS_DIFFER)
    }

    /// The last moment at which the session was surely alive; `None` where it still is.
    fn ended(&self, key: &SessionKey) -> Option<Timestamp> {
        let entry = self.look.books.sessions.get(key)?;
        if *key == self.look.here.key {
            return None;
        }
        match (self.look.life(key), &self.policy.scope) {
            (Life::Alive, _) => None,
            (Life::Dead, _) => {
                let beat = self.look.beats.get(key).copied().unwrap_or(entry.last);
                Some(beat.max(entry.last).saturating_add(BETWEEN_BEATS).unwrap_or(Timestamp::MAX))
            }
            // Whoever types its name speaks for it, but for the one that another working copy has without a name.
            (Life::Unowned, Scope::Session(session)) if session == key && !key.session.is_local() => None,
            (Life::Unowned, _) if entry.is_over() => entry.cleaned.max(entry.over),
            (Life::Unowned, _) if key.session.is_local() => Some(entry.last),
            (Life::Unowned, _) => {
                let idle = SignedDuration::try_from(self.policy.stale_after).unwrap_or(SignedDuration::MAX);
                let gave_up = entry.last.saturating_add(idle).unwrap_or(Timestamp::MAX);
                Some(self.next_in_slot(key).map_or(gave_up, |next| next.min(gave_up)))
            }
        }
    }

    /// When the next job began in the executor that this session's job ran in.
    fn next_in_slot(&self, key: &SessionKey) -> Option<Timestamp> {
        let entry = self.look.books.sessions.get(key)?;
        let begun = self.begun_in.get(entry.slot.as_ref()?)?;
        begun.get(begun.partition_point(|first| *first <= entry.last)).copied()
    }
}

/// The sessions that are at work by what they run: containers with their label, and of their images.
pub(crate) fn at_work(snapshot: &Snapshot, books: &Books) -> HashSet<SessionKey> {
    let running: Vec<&Container> = snapshot.containers.iter().filter(|container| !container.is_stopped()).collect();
    if running.is_empty() {
        return HashSet::new();
    }
    let used: HashSet<ImageId> = running.iter().filter_map(|container| container.image).collect();
    let by_image = books.builds.iter().filter(|build| build.images().any(|id| used.contains(&id)));
    let by_label = running.iter().filter_map(|container| SessionKey::running(&container.labels));
    by_image.map(|build| build.of.clone()).chain(by_label).collect()
}

/// Whether a run label is that of the one session which built an image.
fn is_of_alone(label: &str, claim: &Claim) -> bool {
    SessionKey::of_run_label(label).is_some_and(|key| claim.sessions().all(|of| *of == key))
}

/// Whether what somebody wrote is the image's ID, or the beginning of it.
fn is_id(written: &str, id: ImageId) -> bool {
    let digits = written.strip_prefix("sha256:").unwrap_or(written);
    digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.starts_with(digits)
}

#[cfg(test)]
mod tests;
