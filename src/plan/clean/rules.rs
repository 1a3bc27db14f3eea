//! The rules 2 to 7 and 9: what becomes of an image that is ours.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::newest::newest_of_each_repository;
use super::super::uses::{needed_by_builds, users};
use super::claims::{Claim, Claims};
use super::containers::Ending;
use super::given::GivenNames;
use super::loans::{is_given_by_others, must_stay, on_loan, returns};
use super::look::{CleanLook, CleanPolicy};
use super::steps::{Going, Return};
use crate::model::{Container, Holder, Image, ImageId, KeptReason, Pattern, Reason, Reference, Scope};

pub(super) enum Verdict<'a> {
    Go(Going<'a>),
    Keep { reason: KeptReason, holders: Vec<Holder>, untag: Vec<Reference> },
}

/// Why an image of ours stays.
struct Stay {
    reason: KeptReason,
    holders: Vec<Holder>,
    names: OurNames,
}

/// What becomes of the names that we gave to an image that stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OurNames {
    /// They stay with it, on loan or not.
    Stay,
    /// They leave it: it stays for somebody else.
    Go,
    /// Only those that are on loan leave it.
    Return,
}

impl Stay {
    fn new(reason: KeptReason) -> Self {
        Self { reason, holders: Vec::new(), names: OurNames::Return }
    }

    fn with_its_names(self) -> Self {
        Self { names: OurNames::Stay, ..self }
    }
}

/// These rules for what is ours, with what each of them needs worked out once.
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
    /// The names that a session which goes on will give back.
    on_loan: HashSet<(ImageId, Reference)>,
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
            lent: must_stay(look, claims),
            on_loan: on_loan(look, policy, claims),
            returns: BTreeMap::new(),
            waiting: HashSet::new(),
        };
        // Another session gave it that name too, and whoever of them ends last gives it back.
        let is_given = is_given_by_others(look, policy, claims);
        let (for_later, now) =
            returns(look, policy, claims).into_iter().partition(|(tag, back)| is_given(back.from, tag));
        rules.returns = now;
        rules.waiting.extend(BTreeMap::into_values(for_later).map(|back| back.to));
        // What is in doubt, asked to stay or being built on stays with its name.
        let stays = |id: ImageId| {
            let image = claims.image(id)?;
            let build = || rules.build_runs(image).map(|stay| stay.reason);
            let Some(claim) = claims.in_scope(id) else { return build() };
            // While no session ends, a name leaves only what stays for somebody else alone.
            let first = rules.stays(image, claim).next().filter(|stay| stay.names != OurNames::Go);
            let first = first.filter(|_| !policy.ends_sessions());
            let with_its_names = || rules.stays(image, claim).find(|stay| stay.names == OurNames::Stay);
            first.or_else(with_its_names).map(|stay| stay.reason)
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
        if let Some(Stay { reason, holders, names }) = self.stays(image, claim).next() {
            // With its last name it would go too.
            let is_left = !others.is_empty() || image.tags.iter().any(Reference::is_hold);
            // What is told first may let them go where what comes later does not.
            let all_let_go = || self.stays(image, claim).all(|stay| stay.names != OurNames::Stay);
            let loses = names == OurNames::Go && policy.tags && is_left && all_let_go();
            return Verdict::Keep { reason, holders, untag: if loses { ours } else { Vec::new() } };
        }
        let reason = match (&policy.scope, ours.is_empty()) {
            (_, true) if claim.adopted => Reason::Stamped,
            (_, true) if claim.intermediate => Reason::Intermediate,
            (_, true) => Reason::Leftover,
            (Scope::Project { .. } | Scope::All, false) if !self.latest.contains(&image.id) => Reason::Outdated,
            (_, false) => tag_reason(policy),
        };
        let digests =
            if self.look.snapshot.engine.can.digest_means_travel { image.digests.clone() } else { Vec::new() };
        let names = ours.into_iter().chain(self.look.books.hold(image).cloned()).collect();
        Verdict::Go(Going { image, reason, names, digests, containers: self.users(image).to_vec() })
    }

    /// Whether an image that stays because somebody outside the scope built it too would go with its sessions
    /// otherwise: they have no more use for it. No name may stay on it that they alone gave, since nobody could take
    /// that off any more.
    pub(super) fn is_left(&self, image: &'a Image, claim: &Claim) -> bool {
        let (ours, others) = self.sort_tags(image, claim);
        let names_go = (self.policy.tags || image.public_tags().next().is_none())
            && others.iter().all(|tag| claim.is_given_elsewhere(tag))
            && (ours.is_empty() || !others.is_empty());
        let sharers = claim.shared_with.as_ref().map(|(reason, _)| *reason);
        // What another one has on loan is that one's to give back.
        let is_lent = self.lent.contains(&image.id);
        let of_sharing = |stay: Stay| {
            Some(stay.reason) == sharers
                || stay.reason == KeptReason::ForeignTag
                || stay.reason == KeptReason::Lent && !is_lent
        };
        self.policy.ends_sessions()
            && sharers.is_some()
            && names_go
            && self.users(image).is_empty()
            && self.stays(image, claim).all(of_sharing)
    }

    /// All that keeps the image, in the order in which it is asked: the first is told. A new reason to keep one goes
    /// here.
    fn stays(&self, image: &'a Image, claim: &Claim) -> impl Iterator<Item = Stay> {
        let (ours, others) = self.sort_tags(image, claim);
        let others: Vec<Holder> = others.iter().map(|tag| Holder::Name(tag.to_string())).collect();
        let lent_on: Vec<Holder> =
            self.look.books.foreign_holds(image).map(|hold| Holder::of_name(hold.as_str())).collect();
        let stay = |holds: bool, reason| holds.then(|| Stay::new(reason));
        let for_others = |holders: Vec<Holder>, reason| {
            (!holders.is_empty()).then_some(Stay { reason, holders, names: OurNames::Go })
        };
        let sharers = claim.shared_with.clone();
        [
            stay(self.came_from_elsewhere(image, claim), KeptReason::Pulled),
            stay(claim.doubted, KeptReason::LedgerDamaged).map(Stay::with_its_names),
            sharers.map(|(reason, holders)| Stay { reason, holders, names: OurNames::Go }),
            self.build_runs(image),
            self.used(image, claim),
            self.retained(image, claim).map(|reason| Stay::new(reason).with_its_names()),
            for_others(others, KeptReason::ForeignTag),
            for_others(lent_on, KeptReason::Lent),
            stay(!self.policy.tags && !ours.is_empty(), KeptReason::Tagged),
            stay(self.lent.contains(&image.id), KeptReason::Lent),
            stay(image.tags.iter().any(|tag| self.is_on_loan(image, tag)), KeptReason::Lent),
        ]
        .into_iter()
        .flatten()
    }

    /// Rule 4: a build that runs may need it.
    fn build_runs(&self, image: &Image) -> Option<Stay> {
        let runs = self.needed_by_builds.contains(&image.id);
        runs.then(|| Stay::new(KeptReason::BuildRunning).with_its_names())
    }

    /// Rule 5: somebody else's container uses it. Our own stay with it then, and are named beside whoever keeps it.
    fn used(&self, image: &'a Image, claim: &Claim) -> Option<Stay> {
        let (own, others): (Vec<&Container>, Vec<&Container>) =
            self.users(image).iter().partition(|container| self.ending.takes_with(container, image, claim));
        let keeps = !others.is_empty();
        let holders = others.into_iter().chain(own).map(Holder::from).collect();
        keeps.then_some(Stay { holders, ..Stay::new(KeptReason::InUse) })
    }

    fn users(&self, image: &Image) -> &[&'a Container] {
        self.users.get(&image.id).map_or(&[], Vec::as_slice)
    }

    /// Rule 2: whether it may have been deleted and pulled since it was recorded. Under a digest of a repository that our
    /// builds named it was pushed from here, unless the ledger is a copy, which does not know what ended since.
    fn came_from_elsewhere(&self, image: &Image, claim: &Claim) -> bool {
        let pushed = |digest: &String| digest.split_once('@').is_some_and(|(name, _)| claim.named(name));
        let doubtful = self.look.books.copied && image.travelled;
        self.look.snapshot.engine.can.digest_means_travel && (doubtful || !image.digests.iter().all(pushed))
    }

    /// Rule 6: what the user asked to keep.
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

    fn is_on_loan(&self, image: &Image, tag: &Reference) -> bool {
        self.on_loan.contains(&(image.id, tag.clone()))
    }

    /// The names that go with a session's or project's images, and those that somebody else relies on.
    /// Private names and names that are or will be given back are neither.
    fn sort_tags(&self, image: &Image, claim: &Claim) -> (Vec<Reference>, Vec<Reference>) {
        image
            .public_tags()
            .filter(|tag| self.returns.get(*tag).is_none_or(|back| back.from != image.id))
            .filter(|tag| !self.is_on_loan(image, tag))
            .cloned()
            .partition(|tag| claim.gave(tag))
    }
}

/// Why a tag of ours goes.
pub(crate) fn tag_reason(policy: &CleanPolicy) -> Reason {
    match &policy.scope {
        // A working copy's own session goes on.
        Scope::Session(key) if key.session.is_local() => Reason::OfSession,
        Scope::Session(_) | Scope::Stale { .. } => Reason::SessionOver,
        Scope::Project { .. } | Scope::All => Reason::Tagged,
    }
}

/// The newest N images of every repository that our builds named, by when dkb built them. What others called a step of
/// theirs is no version of it.
fn newest(look: &CleanLook, n: usize) -> HashSet<ImageId> {
    let ours = look.snapshot.images.iter().filter_map(|image| {
        let built = look.books.built(image.id)?;
        let given = GivenNames::new(image.id, look.books.claims(image.id));
        Some((image.id, image.public_tags().filter(|tag| given.has(tag)).collect(), built))
    });
    newest_of_each_repository(ours, n)
}
