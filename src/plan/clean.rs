//! What `dkb clean` takes and what it leaves.
//!
//! The rules, in the order in which they are asked; the first that holds decides:
//!
//! 1. An image that the ledger does not know is not ours, whatever its labels say. Two doors are open: the
//!    session this process was named into, where the ledger has never heard of it, and `--trust-stamp`.
//! 2. An image that a build of another project or session claims too stays. So does what another working copy
//!    built, where nobody but the checkout itself says which project this is.
//! 3. What a living session built is left to that session, and what a running build may need is left to it.
//! 4. An image that a container uses, in any state, or that is mounted into one, stays. A session's end first
//!    takes the containers that are proven to be the session's own ([`containers`]).
//! 5. A keep pattern, `--keep-last` and `--older-than` only ever narrow.
//! 6. A tag that none of our builds gave keeps the image; a tag of ours goes only where tags go at all.
//! 7. An image that a kept image is built on stays.
//! 8. An image whose tag a living session took stays, so that the tag can be given back.
//! 9. dkb's own name, which a deletion that was cut off left on an image that somebody else names, goes. So does one
//!    by which a session held an image until its tag could come back, at the session's end, and with it an image that
//!    nothing else holds: its tag was taken from it for good, by its owner or by what is to stay, and the engine
//!    would have dropped it then.

// What an engine says may be any number.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod bases;
mod bytes;
mod claims;
mod containers;
mod loans;
mod rules;
pub(crate) mod steps;
mod uses;
mod volumes;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::order;
use crate::model::{
    Books, Image, ImageId, Kept, KeptReason, Life, Name, Pattern, Plan, Reason, Reference, SessionEntry, SessionKey,
    Snapshot, Step,
};
pub use bases::{Layers, wants_layers};
pub use bytes::{may_share_with_cache, share_with_cache};
pub(crate) use claims::build_gave;
use claims::{Claims, Standing};
pub(crate) use containers::Ending;
pub use containers::at_work;
use containers::settled;
use loans::LoanEnd;
use rules::{Rules, Verdict};
use steps::{Going, Return};
pub(crate) use uses::{needed_by_builds, users};
pub use volumes::{anonymous, may_be_anonymous};

/// Which sessions are to be cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Project(Name),
    Session(SessionKey),
    /// Sessions of this project that are over and were never cleaned.
    Stale(Name),
    All,
}

impl Scope {
    /// Only a whole session has an end.
    pub const fn is_of_sessions(&self) -> bool {
        matches!(self, Self::Session(_) | Self::Stale(_))
    }
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub scope: Scope,
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
}

/// The session that this process is in.
#[derive(Clone, Debug)]
pub struct Here {
    pub key: SessionKey,
    /// It was named by a flag, a variable or the CI job, not derived from the working copy.
    pub named: bool,
    /// The session's name can't be that of another working copy: it is the CI job's, or this working copy's own.
    pub alone: bool,
    pub slot: Option<Name>,
    /// This working copy.
    pub copy: Name,
    /// The project was named by the user or the CI, and not by the checkout: it may be cleaned wherever it was built.
    pub vouched: bool,
}

/// A build that is running now, on any engine.
#[derive(Clone, Debug)]
pub struct RunningBuild {
    pub of: SessionKey,
    pub key: String,
    pub tags: Vec<Reference>,
}

/// All that the plan is made from.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub snapshot: &'a Snapshot,
    pub books: &'a Books,
    pub lives: &'a HashMap<SessionKey, Life>,
    /// The last sign of life of sessions that are dead.
    pub beats: &'a HashMap<SessionKey, Timestamp>,
    /// Since when somebody has kept a session open, where it was opened.
    pub opened: &'a HashMap<SessionKey, Timestamp>,
    /// The sessions whose containers run.
    pub at_work: &'a HashSet<SessionKey>,
    pub running: &'a [RunningBuild],
    pub layers: &'a Layers,
    pub here: &'a Here,
    pub now: Timestamp,
}

impl Look<'_> {
    fn life(&self, key: &SessionKey) -> Life {
        self.lives.get(key).copied().unwrap_or(Life::Unowned)
    }

    /// Alive, and not the session that asks.
    fn is_others(&self, key: &SessionKey) -> bool {
        *key != self.here.key && self.life(key) == Life::Alive
    }

    /// Whether this working copy may clean what a session built. A checkout can call itself any project, so what
    /// other working copies built takes more than its word.
    pub fn reaches(&self, key: &SessionKey) -> bool {
        let here = self.here;
        let known = self.books.sessions.get(key);
        here.vouched
            || *key == here.key && here.alone
            || key.session == here.copy
            || known.is_none_or(|entry| !entry.copies.is_empty() && entry.copies.iter().all(|copy| *copy == here.copy))
    }

    /// Whether a session is over and was never cleaned, as `--stale` means it.
    fn is_stale(&self, entry: &SessionEntry, after: Duration) -> bool {
        let cleaned = entry.cleaned.is_some_and(|at| at >= entry.last);
        if cleaned || entry.key == self.here.key {
            return false;
        }
        match self.life(&entry.key) {
            Life::Alive => false,
            Life::Dead => true,
            Life::Unowned => {
                let same_slot = entry.slot.is_some() && entry.slot == self.here.slot;
                let idle = self.now.duration_since(entry.last);
                let long = SignedDuration::try_from(after).is_ok_and(|after| idle >= after);
                // Two runners may have one name: a session is not over while something of it goes on.
                let is_quiet = idle >= settled() && !self.at_work.contains(&entry.key);
                entry.ci && is_quiet && (same_slot || long)
            }
        }
    }
}

/// The sessions that a scope covers.
pub fn sessions<'a>(look: &'a Look, policy: &'a Policy) -> impl Iterator<Item = &'a SessionKey> {
    look.books.sessions.values().filter(|entry| covers(look, policy, &entry.key)).map(|entry| &entry.key)
}

fn covers(look: &Look, policy: &Policy, key: &SessionKey) -> bool {
    is_meant(look, policy, key) && (policy.scope == Scope::All || look.reaches(key))
}

/// Whether the scope is about this session, in reach or not.
fn is_meant(look: &Look, policy: &Policy, key: &SessionKey) -> bool {
    match &policy.scope {
        Scope::All => true,
        Scope::Project(project) => key.project == *project,
        Scope::Session(session) => key == session,
        Scope::Stale(project) => {
            key.project == *project
                && look.books.sessions.get(key).is_some_and(|entry| look.is_stale(entry, policy.stale_after))
        }
    }
}

/// Makes the plan: everything that was seen and carries our stamp or stands in the ledger is a step or is kept.
pub fn plan(look: &Look, policy: &Policy) -> Plan {
    let claims = Claims::new(look, policy);
    let Decided { mut going, mut kept, untags, returns, mut waiting } = decide(look, policy, &claims);
    for (image, held_by) in bases::held(look, &claims, &going) {
        going.remove(&image.id);
        kept.insert(image.id, steps::keep(image, KeptReason::Base, vec![held_by]));
    }

    for (tag, back) in &returns {
        // It is about to lose this name.
        if let Some(kept) = kept.get_mut(&back.from) {
            kept.names.retain(|name| name != tag.as_str());
        }
    }

    let containers = going.values().flat_map(|found| found.containers.iter().copied());
    let mut steps = steps::of_containers(containers, Reason::HoldsImage);
    steps.extend(returns.iter().map(|(tag, back)| back.step(tag)));
    // An image that loses one name now keeps the other till the next clean: between them it may have no third.
    let untagged: HashSet<String> = untags.iter().map(|step| step.id.clone()).collect();
    let free = |image: &&Image| !going.contains_key(&image.id) && !untagged.contains(&image.id.to_string());
    steps.extend(loans::own_names(look, &claims).filter(free).map(steps::own_name_step));
    waiting.extend(returns.values().map(|back| back.to));
    for image in loans::let_go(look, policy, &claims, &waiting).filter(free).collect::<Vec<_>>() {
        match loans::end(look, &claims, image) {
            LoanEnd::Untag(step) => steps.push(step),
            LoanEnd::Go(found) => {
                kept.remove(&image.id);
                going.insert(image.id, found);
            }
            LoanEnd::Keep(why) => {
                kept.insert(image.id, why);
            }
            LoanEnd::Ours => {}
        }
    }
    steps.extend(untags);
    let depths = order::depths(look.snapshot.images.iter());
    let mut images: Vec<Going> = going.into_values().collect();
    // Children first; among equals the order of IDs, so that the same host gives the same plan.
    images.sort_by_key(|found| (std::cmp::Reverse(depths.get(&found.image.id).copied()), found.image.id));
    let freed = bytes::freed(&look.snapshot.engine, &look.snapshot.images, images.iter().map(|found| found.image));
    steps.extend(images.into_iter().zip(freed.each).map(|(found, bytes)| found.step(bytes)));
    let mut kept: Vec<Kept> = kept.into_values().collect();
    kept.sort_by(|a, b| (a.reason, &a.id).cmp(&(b.reason, &b.id)));
    let mut plan = Plan::new("clean", &look.snapshot.engine, look.now, steps, kept);
    plan.totals.up_to = freed.up_to;
    plan
}

/// What each image comes to, before it is asked what is built on what.
struct Decided<'a> {
    going: HashMap<ImageId, Going<'a>>,
    kept: HashMap<ImageId, Kept>,
    untags: Vec<Step>,
    returns: BTreeMap<Reference, Return>,
    waiting: HashSet<ImageId>,
}

fn decide<'a>(look: &'a Look<'a>, policy: &'a Policy, claims: &Claims) -> Decided<'a> {
    let rules = Rules::new(look, policy, claims);
    let mut going: HashMap<ImageId, Going> = HashMap::new();
    let mut kept: HashMap<ImageId, Kept> = HashMap::new();
    let mut untags = Vec::new();
    for image in &look.snapshot.images {
        match claims.standing(image) {
            Standing::Unseen => {}
            Standing::NotOurs(reason) => {
                kept.insert(image.id, steps::keep(image, reason, Vec::new()));
            }
            Standing::Ours(claim) => match rules.verdict(image, claim) {
                Verdict::Go(found) => {
                    going.insert(image.id, found);
                }
                Verdict::Keep { reason, holders, untag } => {
                    kept.insert(image.id, steps::keep(image, reason, holders));
                    untags.extend(untag.iter().map(|tag| steps::untag_step(image, tag)));
                }
            },
        }
    }
    Decided { going, kept, untags, returns: rules.returns, waiting: rules.waiting }
}

#[cfg(test)]
mod tests;
