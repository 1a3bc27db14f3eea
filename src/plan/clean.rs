//! What `dkb clean` takes and what it leaves.
//!
//! The rules, in the order in which they are asked; the first that holds decides:
//!
//! 1. An image that the ledger does not know is not ours, whatever its labels say. Two doors are open: the
//!    session this process was named into, where the ledger has never heard of it, and `--trust-stamp`.
//! 2. An image that a build of another project or session claims too stays.
//! 3. What a living session built is left to that session, and what a running build may need is left to it.
//! 4. An image that a container uses, in any state, or that is mounted into one, stays. A session's end first
//!    takes the created and exited containers of what it takes.
//! 5. A keep pattern, `--keep-last` and `--older-than` only ever narrow.
//! 6. A tag that none of our builds gave keeps the image; a tag of ours goes only where tags go at all.
//! 7. An image that a kept image is built on stays.
//! 8. An image whose tag a living session took stays, so that the tag can be given back.

mod bases;
mod claims;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::order;
use crate::model::{
    Action, Books, Build, Container, Guard, Image, ImageId, Kept, KeptReason, Kind, Life, Name, Pattern, Plan, Reason,
    Reference, SessionEntry, SessionKey, Snapshot, Step,
};
pub use bases::{Layers, wants_layers};
pub(crate) use claims::build_gave;
use claims::{Claim, Claims, Standing};

/// Which sessions are to be cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Project(Name),
    Session(SessionKey),
    /// Sessions of this project that are over and were never cleaned.
    Stale(Name),
    All,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub scope: Scope,
    /// Tags that our builds gave go too.
    pub tags: bool,
    /// Created and exited containers of what goes are taken first.
    pub containers: bool,
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
    pub slot: Option<Name>,
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
                let age = self.now.duration_since(entry.last).unsigned_abs();
                entry.ci && (same_slot || self.now > entry.last && age >= after)
            }
        }
    }
}

/// The sessions that a scope covers.
pub fn sessions<'a>(look: &'a Look, policy: &'a Policy) -> impl Iterator<Item = &'a SessionKey> {
    look.books.sessions.values().filter(|entry| covers(look, policy, &entry.key)).map(|entry| &entry.key)
}

fn covers(look: &Look, policy: &Policy, key: &SessionKey) -> bool {
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
    let rules = Rules::new(look, policy, &claims);
    let mut going: HashMap<ImageId, Going> = HashMap::new();
    let mut kept: HashMap<ImageId, Kept> = HashMap::new();
    let mut untags = Vec::new();
    for image in &look.snapshot.images {
        match claims.standing(image) {
            Standing::Unseen => {}
            Standing::NotOurs(reason) => {
                kept.insert(image.id, keep(image, reason, Vec::new()));
            }
            Standing::Ours(claim) => match rules.verdict(image, claim) {
                Verdict::Go(found) => {
                    going.insert(image.id, found);
                }
                Verdict::Keep { reason, holders, untag } => {
                    kept.insert(image.id, keep(image, reason, holders));
                    untags.extend(untag.iter().map(|tag| untag_step(image, tag)));
                }
            },
        }
    }
    for (image, held_by) in bases::held(look, &claims, &going) {
        going.remove(&image.id);
        kept.insert(image.id, keep(image, KeptReason::Base, vec![held_by]));
    }

    let mut steps: Vec<Step> =
        going.values().flat_map(|found| &found.containers).map(|container| container_step(container)).collect();
    steps.sort_by(|a, b| a.id.cmp(&b.id));
    steps.dedup_by(|a, b| a.id == b.id);
    steps.extend(rules.returns.iter().map(|(tag, back)| back.step(tag)));
    steps.extend(untags);
    let depths = order::depths(look.snapshot.images.iter());
    let mut images: Vec<Going> = going.into_values().collect();
    // Children first; among equals the order of IDs, so that the same host gives the same plan.
    images.sort_by_key(|found| (std::cmp::Reverse(depths.get(&found.image.id).copied()), found.image.id));
    let sizes: HashMap<ImageId, u64> = look.snapshot.images.iter().map(|image| (image.id, image.size)).collect();
    let alone: HashSet<ImageId> = images.iter().map(|found| found.image.id).collect();
    steps.extend(images.into_iter().map(|found| found.step(&sizes, &alone)));
    let mut kept: Vec<Kept> = kept.into_values().collect();
    kept.sort_by(|a, b| (a.reason, &a.id).cmp(&(b.reason, &b.id)));
    Plan::new("clean", &look.snapshot.engine, look.now, steps, kept)
}

/// Recorded images that the engine no longer has: their records end.
pub fn missing(books: &Books, snapshot: &Snapshot) -> HashSet<ImageId> {
    let there: HashSet<ImageId> = snapshot.images.iter().map(|image| image.id).collect();
    books.images().into_keys().filter(|id| !there.contains(id)).collect()
}

enum Verdict<'a> {
    Go(Going<'a>),
    Keep { reason: KeptReason, holders: Vec<String>, untag: Vec<Reference> },
}

struct Going<'a> {
    image: &'a Image,
    reason: Reason,
    /// Every name that it has when its turn comes; all of them are ours.
    names: Vec<Reference>,
    /// Stopped containers that go before it.
    containers: Vec<&'a Container>,
}

impl Going<'_> {
    fn step(&self, sizes: &HashMap<ImageId, u64>, going: &HashSet<ImageId>) -> Step {
        let names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
        Step {
            action: Action::Remove,
            kind: Kind::Image,
            id: self.image.id.to_string(),
            bytes: own_bytes(self.image, sizes, going),
            reason: self.reason,
            guard: if names.is_empty() { Guard::Untagged } else { Guard::Named { names: names.clone() } },
            names,
            result: None,
        }
    }
}

/// A tag that goes back to the image that it was taken from.
struct Return {
    from: ImageId,
    to: ImageId,
}

impl Return {
    fn step(&self, tag: &Reference) -> Step {
        Step {
            action: Action::GiveBack,
            kind: Kind::Image,
            id: self.to.to_string(),
            names: vec![tag.to_string()],
            bytes: 0,
            reason: Reason::TakenTag,
            guard: Guard::NameOf { id: self.from },
            result: None,
        }
    }
}

/// The rules 3 to 8, with what each of them needs worked out once.
struct Rules<'a> {
    look: &'a Look<'a>,
    policy: &'a Policy,
    users: HashMap<ImageId, Vec<&'a Container>>,
    newest: HashSet<ImageId>,
    needed_by_builds: HashSet<ImageId>,
    lent: HashSet<ImageId>,
    returns: BTreeMap<Reference, Return>,
}

impl<'a> Rules<'a> {
    fn new(look: &'a Look<'a>, policy: &'a Policy, claims: &Claims) -> Self {
        Self {
            look,
            policy,
            users: users(look.snapshot),
            newest: newest(look, policy),
            needed_by_builds: needed_by_builds(look.books, look.running),
            lent: lent(look),
            returns: returns(look, policy, claims),
        }
    }

    fn verdict(&self, image: &'a Image, claim: &Claim) -> Verdict<'a> {
        let policy = self.policy;
        let (ours, others) = self.sort_tags(image, claim);
        let keep = |reason, holders| Verdict::Keep { reason, holders, untag: Vec::new() };
        let retained = self.retained(image, claim);
        // Our names leave an image that has to stay for somebody else.
        let keep_for_others = |reason, holders| {
            let untag = if policy.tags && retained.is_none() { ours.clone() } else { Vec::new() };
            Verdict::Keep { reason, holders, untag }
        };
        if let Some(reason) = claim.shared_with {
            return keep_for_others(reason, Vec::new());
        }
        if self.needed_by_builds.contains(&image.id) {
            return keep(KeptReason::BuildRunning, Vec::new());
        }
        let users = self.users.get(&image.id).map_or(&[][..], Vec::as_slice);
        let (over, at_work): (Vec<&Container>, Vec<&Container>) = users
            .iter()
            .partition(|container| policy.containers && container.state.is_over() && container.image == Some(image.id));
        if !at_work.is_empty() {
            return keep(KeptReason::InUse, at_work.into_iter().map(describe).collect());
        }
        if let Some(reason) = retained {
            return keep(reason, Vec::new());
        }
        if !others.is_empty() {
            return keep_for_others(KeptReason::ForeignTag, others.iter().map(ToString::to_string).collect());
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
            (Scope::Session(_) | Scope::Stale(_), false) => Reason::SessionOver,
            (Scope::Project(_) | Scope::All, false) => Reason::Outdated,
        };
        Verdict::Go(Going { image, reason, names: ours, containers: over })
    }

    /// Rule 5: what the user asked to keep.
    fn retained(&self, image: &Image, claim: &Claim) -> Option<KeptReason> {
        let policy = self.policy;
        if image.tags.iter().any(|tag| policy.keep.iter().any(|pattern| pattern.matches(tag.as_str()))) {
            Some(KeptReason::KeepPattern)
        } else if self.newest.contains(&image.id) {
            Some(KeptReason::KeepLast)
        } else if policy.older_than.is_some_and(|age| is_younger(self.look.now, claim.at, age)) {
            Some(KeptReason::TooYoung)
        } else {
            None
        }
    }

    /// The names that go with a session's or project's images, and those that somebody else relies on.
    /// Private names and names that are about to be given back are neither.
    fn sort_tags(&self, image: &Image, claim: &Claim) -> (Vec<Reference>, Vec<Reference>) {
        image
            .tags
            .iter()
            .filter(|tag| !tag.is_private())
            .filter(|tag| self.returns.get(*tag).is_none_or(|back| back.from != image.id))
            .cloned()
            .partition(|tag| claim.gave(tag))
    }
}

/// Who uses which image. A container holds the image it was made from, and images that are mounted into it.
pub(super) fn users(snapshot: &Snapshot) -> HashMap<ImageId, Vec<&Container>> {
    let mut users: HashMap<ImageId, Vec<&Container>> = HashMap::new();
    let mut named: HashMap<&str, ImageId> = HashMap::new();
    for image in &snapshot.images {
        named.extend(image.tags.iter().map(|tag| (tag.as_str(), image.id)));
    }
    for container in &snapshot.containers {
        users.entry_of(container.image, container);
        for mount in &container.image_mounts {
            let id = ImageId::parse(mount)
                .or_else(|| named.get(mount.as_str()).copied())
                .or_else(|| Reference::written(mount).and_then(|name| named.get(name.as_str()).copied()));
            users.entry_of(id, container);
            if id.is_none() {
                // A shortened ID: every image that it could mean counts as used.
                let digits = mount.strip_prefix("sha256:").unwrap_or(mount);
                for image in snapshot.images.iter().filter(|image| image.id.starts_with(digits)) {
                    users.entry_of(Some(image.id), container);
                }
            }
        }
    }
    users
}

trait Users<'a> {
    fn entry_of(&mut self, image: Option<ImageId>, container: &'a Container);
}

impl<'a> Users<'a> for HashMap<ImageId, Vec<&'a Container>> {
    fn entry_of(&mut self, image: Option<ImageId>, container: &'a Container) {
        if let Some(id) = image {
            self.entry(id).or_default().push(container);
        }
    }
}

/// The newest N images of every repository that our builds named, by when dkb built them.
fn newest(look: &Look, policy: &Policy) -> HashSet<ImageId> {
    let Some(n) = policy.keep_last else { return HashSet::new() };
    let recorded = look.books.images();
    let mut repositories: HashMap<String, Vec<(Timestamp, ImageId)>> = HashMap::new();
    for image in &look.snapshot.images {
        let Some(at) = recorded.get(&image.id).and_then(|builds| builds.iter().map(|build| build.at).max()) else {
            continue;
        };
        let names: HashSet<String> = image
            .tags
            .iter()
            .filter(|tag| !tag.is_private())
            .map(|tag| tag.canonical().repository().to_owned())
            .collect();
        for name in names {
            repositories.entry(name).or_default().push((at, image.id));
        }
    }
    let mut newest = HashSet::new();
    for mut versions in repositories.into_values() {
        versions.sort_unstable_by(|a, b| b.cmp(a));
        newest.extend(versions.into_iter().take(n).map(|(_, id)| id));
    }
    newest
}

/// What a build that runs now may be using: all that builds of the same kind, or with the same tags, produced.
pub(super) fn needed_by_builds(books: &Books, running: &[RunningBuild]) -> HashSet<ImageId> {
    let mut needed = HashSet::new();
    for running in running {
        let same = |build: &&Build| {
            build.of.project == running.of.project
                && (build.key == running.key || build.tags.iter().any(|tag| running.tags.contains(tag)))
        };
        needed.extend(books.builds.iter().filter(same).flat_map(Build::images));
    }
    needed
}

/// Images whose tag a living session took: it will want to give it back.
fn lent(look: &Look) -> HashSet<ImageId> {
    let alive = look.books.sessions.values().filter(|entry| look.life(&entry.key) == Life::Alive);
    alive.flat_map(|entry| &entry.took).map(|taken| taken.from).collect()
}

/// The tags that sessions which end took from images that are still there, and that nobody moved since.
fn returns(look: &Look, policy: &Policy, claims: &Claims) -> BTreeMap<Reference, Return> {
    let ends = matches!(policy.scope, Scope::Session(_) | Scope::Stale(_)) && policy.tags;
    let mut returns = BTreeMap::new();
    for entry in look.books.sessions.values().filter(|_| ends) {
        if !covers(look, policy, &entry.key) || look.is_others(&entry.key) {
            continue;
        }
        for taken in &entry.took {
            let holds = |image: &&Image| image.tags.iter().any(|tag| tag.canonical() == taken.tag.canonical());
            let now = look.snapshot.images.iter().find(holds);
            let Some(now) = now.filter(|image| claims.gave(image.id, &entry.key)) else { continue };
            let there = look.snapshot.image(taken.from).is_some() && !claims.is_in_scope(taken.from);
            let Some(tag) = now.tags.iter().find(|tag| tag.canonical() == taken.tag.canonical()) else { continue };
            if there {
                returns.insert(tag.clone(), Return { from: now.id, to: taken.from });
            }
        }
    }
    returns
}

/// Bytes that no image that stays needs, as far as the list tells: what a parent that stays holds is not ours to
/// count, and what children that go hold is counted with them.
fn own_bytes(image: &Image, sizes: &HashMap<ImageId, u64>, going: &HashSet<ImageId>) -> u64 {
    let over_parent = image.parent.and_then(|parent| sizes.get(&parent)).map(|size| image.size.saturating_sub(*size));
    let unshared = image.shared.map(|shared| image.size.saturating_sub(shared));
    match (over_parent, unshared) {
        (Some(bytes), _) if image.parent.is_some_and(|parent| going.contains(&parent)) => bytes,
        (Some(bytes), Some(unshared)) => bytes.max(unshared),
        (Some(bytes), None) | (None, Some(bytes)) => bytes,
        (None, None) => image.size,
    }
}

fn is_younger(now: Timestamp, at: Timestamp, age: Duration) -> bool {
    at > now || now.duration_since(at).unsigned_abs() < age
}

fn describe(container: &Container) -> String {
    format!("{} ({})", container.name, container.state.as_str())
}

fn keep(image: &Image, reason: KeptReason, holders: Vec<String>) -> Kept {
    Kept {
        kind: Kind::Image,
        id: image.id.to_string(),
        names: image.tags.iter().filter(|tag| !tag.is_private()).map(ToString::to_string).collect(),
        bytes: image.size,
        reason,
        holders,
    }
}

fn container_step(container: &Container) -> Step {
    Step {
        action: Action::Remove,
        kind: Kind::Container,
        id: container.id.clone(),
        names: vec![container.name.clone()],
        bytes: 0,
        reason: Reason::HoldsImage,
        guard: Guard::Stopped,
        result: None,
    }
}

fn untag_step(image: &Image, tag: &Reference) -> Step {
    Step {
        action: Action::Untag,
        kind: Kind::Image,
        id: image.id.to_string(),
        names: vec![tag.to_string()],
        bytes: 0,
        reason: Reason::SessionOver,
        guard: Guard::NameOf { id: image.id },
        result: None,
    }
}

#[cfg(test)]
mod tests;
