//! The rules 3 to 8: what becomes of an image that is ours.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::claims::{Claim, Claims};
use super::containers::Ending;
use super::loans::{lent, returns};
use super::look::{CleanLook, CleanPolicy, Scope};
use super::steps::{Going, Return};
use super::uses::{needed_by_builds, newest, users};
use crate::model::{Container, Holder, Image, ImageId, KeptReason, Pattern, Reason, Reference};

pub(super) enum Verdict<'a> {
    Go(Going<'a>),
    Keep { reason: KeptReason, holders: Vec<Holder>, untag: Vec<Reference> },
}

/// The rules 3 to 8, with what each of them needs worked out once.
pub(super) struct CleanRules<'a> {
    look: &'a CleanLook<'a>,
    policy: &'a CleanPolicy,
    users: HashMap<ImageId, Vec<&'a Container>>,
    ending: Ending<'a>,
    /// The newest that are to stay.
    newest: HashSet<ImageId>,
    /// The newest of every repository.
    latest: HashSet<ImageId>,
    needed_by_builds: HashSet<ImageId>,
    lent: HashSet<ImageId>,
    pub(super) returns: BTreeMap<Reference, Return>,
    /// Images whose tag a later clean will give back.
    pub(super) waiting: HashSet<ImageId>,
}

impl<'a> CleanRules<'a> {
    pub(super) fn new(look: &'a CleanLook<'a>, policy: &'a CleanPolicy, claims: &Claims) -> Self {
        let mut rules = Self {
            look,
            policy,
            users: users(look.snapshot),
            ending: Ending::new(look, policy),
            newest: policy.keep_last.map(|n| newest(look, n)).unwrap_or_default(),
            latest: if policy.tags { newest(look, 1) } else { HashSet::new() },
            needed_by_builds: needed_by_builds(look.books, look.running),
            lent: lent(look, policy, claims),
            returns: BTreeMap::new(),
            waiting: HashSet::new(),
        };
        rules.returns = returns(look, policy, claims);
        // What is in doubt, asked to stay or being built on stays with its name.
        let stays = |id: ImageId| {
            let image = look.snapshot.images.iter().find(|image| image.id == id)?;
            let claim = claims.in_scope(id);
            if claim.is_some_and(|claim| claim.doubted) {
                return Some(KeptReason::LedgerDamaged);
            }
            let retained = claim.and_then(|claim| rules.retained(image, claim));
            if rules.needed_by_builds.contains(&id) { Some(KeptReason::BuildRunning) } else { retained }
        };
        let staying: BTreeMap<Reference, KeptReason> =
            rules.returns.iter().filter_map(|(tag, back)| Some((tag.clone(), stays(back.from)?))).collect();
        for (tag, reason) in staying {
            let for_now = matches!(reason, KeptReason::BuildRunning | KeptReason::TooYoung);
            rules.waiting.extend(rules.returns.remove(&tag).filter(|_| for_now).map(|back| back.to));
        }
        rules
    }

    pub(super) fn verdict(&self, image: &'a Image, claim: &Claim) -> Verdict<'a> {
        let policy = self.policy;
        let (ours, others) = self.sort_tags(image, claim);
        let keep = |reason, holders| Verdict::Keep { reason, holders, untag: Vec::new() };
        let retained = self.retained(image, claim);
        // Our names leave an image that has to stay for somebody else. With its last name it would go too.
        let keep_for_others = |reason, holders| {
            let is_left = !others.is_empty() || image.tags.iter().any(Reference::is_hold);
            let loses = policy.tags && retained.is_none() && is_left;
            let untag = if loses { ours.clone() } else { Vec::new() };
            Verdict::Keep { reason, holders, untag }
        };
        if self.came_from_elsewhere(image, claim) {
            return keep(KeptReason::Pulled, Vec::new());
        }
        if claim.doubted {
            return keep(KeptReason::LedgerDamaged, Vec::new());
        }
        if let Some((reason, holders)) = claim.shared_with.clone() {
            return keep_for_others(reason, holders);
        }
        if self.needed_by_builds.contains(&image.id) {
            return keep(KeptReason::BuildRunning, Vec::new());
        }
        let users = self.users.get(&image.id).map_or(&[][..], Vec::as_slice);
        let (own, others_use): (Vec<&Container>, Vec<&Container>) =
            users.iter().partition(|container| self.ending.takes_with(container, image, claim));
        if !others_use.is_empty() {
            // Our own stay with it, and are named beside whoever keeps it.
            return keep(KeptReason::InUse, others_use.into_iter().chain(own).map(Holder::from).collect());
        }
        if let Some(reason) = retained {
            return keep(reason, Vec::new());
        }
        if !others.is_empty() {
            return keep_for_others(
                KeptReason::ForeignTag,
                others.iter().map(|tag| Holder::Name(tag.to_string())).collect(),
            );
        }
        let lent_on: Vec<Holder> =
            image.foreign_holds(self.look.books.id.as_ref()).map(|hold| Holder::of_name(hold.as_str())).collect();
        if !lent_on.is_empty() {
            return keep_for_others(KeptReason::Lent, lent_on);
        }
        if !policy.tags && !ours.is_empty() {
            return keep(KeptReason::Tagged, Vec::new());
        }
        if self.lent.contains(&image.id) {
            return keep(KeptReason::Lent, Vec::new());
        }
        let reason = match (&policy.scope, ours.is_empty()) {
            (_, true) if claim.adopted => Reason::Stamped,
            (_, true) if claim.intermediate => Reason::Intermediate,
            (_, true) => Reason::Leftover,
            (Scope::Project(_) | Scope::All, false) if !self.latest.contains(&image.id) => Reason::Outdated,
            (_, false) => tag_reason(policy),
        };
        let digests =
            if self.look.snapshot.engine.can.digest_means_travel { image.digests.clone() } else { Vec::new() };
        let names = ours.into_iter().chain(image.own_hold(self.look.books.id.as_ref()).cloned()).collect();
        Verdict::Go(Going { image, reason, names, digests, containers: own })
    }

    /// Whether an image that stays because somebody outside the scope built it too would go with its sessions
    /// otherwise: they have no more use for it. No name may stay on it that they alone gave, since nobody could take
    /// that off any more.
    pub(super) fn is_left(&self, image: &Image, claim: &Claim) -> bool {
        let (ours, others) = self.sort_tags(image, claim);
        let names_go = (self.policy.tags || image.public_tags().next().is_none())
            && others.iter().all(|tag| claim.is_given_elsewhere(tag))
            && (ours.is_empty() || !others.is_empty());
        self.policy.scope.is_of_sessions()
            && claim.shared_with.is_some()
            && names_go
            && !self.came_from_elsewhere(image, claim)
            && !self.needed_by_builds.contains(&image.id)
            && !self.users.contains_key(&image.id)
            && self.retained(image, claim).is_none()
            && image.foreign_holds(self.look.books.id.as_ref()).next().is_none()
            && !self.lent.contains(&image.id)
    }

    /// Whether it may have been deleted and pulled since it was recorded. Under a digest of a repository that our
    /// builds named it was pushed from here, unless the ledger is a copy, which does not know what ended since.
    fn came_from_elsewhere(&self, image: &Image, claim: &Claim) -> bool {
        let pushed = |digest: &String| digest.split_once('@').is_some_and(|(name, _)| claim.named(name));
        let doubtful = self.look.books.copied && image.travelled;
        self.look.snapshot.engine.can.digest_means_travel && (doubtful || !image.digests.iter().all(pushed))
    }

    /// Rule 5: what the user asked to keep.
    fn retained(&self, image: &Image, claim: &Claim) -> Option<KeptReason> {
        let policy = self.policy;
        if Pattern::any_keeps(&policy.keep, image) {
            Some(KeptReason::KeepPattern)
        } else if self.newest.contains(&image.id) {
            Some(KeptReason::KeepLast)
        } else if policy.is_too_young(self.look.now, claim.at) {
            Some(KeptReason::TooYoung)
        } else {
            None
        }
    }

    /// The names that go with a session's or project's images, and those that somebody else relies on.
    /// Private names and names that are about to be given back are neither.
    fn sort_tags(&self, image: &Image, claim: &Claim) -> (Vec<Reference>, Vec<Reference>) {
        image
            .public_tags()
            .filter(|tag| self.returns.get(*tag).is_none_or(|back| back.from != image.id))
            .cloned()
            .partition(|tag| claim.gave(tag))
    }
}

/// Why a tag of ours goes.
pub(crate) fn tag_reason(policy: &CleanPolicy) -> Reason {
    match &policy.scope {
        // A working copy's own session goes on.
        Scope::Session(key) if key.session.is_local() => Reason::OfSession,
        Scope::Session(_) | Scope::Stale(_) => Reason::SessionOver,
        Scope::Project(_) | Scope::All => Reason::Tagged,
    }
}
