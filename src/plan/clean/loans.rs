//! Tags that sessions took from images which were not theirs, and the images that wait for them.

use std::collections::{BTreeMap, HashSet};

use super::claims::Claims;
use super::look::{CleanLook, CleanPolicy, Scope, covers};
use super::steps::{Going, Return, keep, own_name_step};
use super::uses::users;
use crate::model::{
    Holder, Image, ImageId, Kept, KeptReason, Life, Pattern, Reason, Reference, SessionEntry, SessionKey, Step,
};

/// The sessions that this clean ends.
fn ending<'a>(look: &'a CleanLook, policy: &'a CleanPolicy) -> impl Iterator<Item = &'a SessionEntry> {
    let ends = matches!(policy.scope, Scope::Session(_) | Scope::Stale(_));
    let entries = look.books.sessions.values().filter(move |_| ends);
    entries.filter(|entry| covers(look, policy, &entry.key) && !look.is_others(&entry.key))
}

/// Images whose tag a living session took: it will want to give it back.
pub(super) fn lent(look: &CleanLook) -> HashSet<ImageId> {
    let alive = look.books.sessions.values().filter(|entry| look.life(&entry.key) == Life::Alive);
    alive.flat_map(|entry| &entry.took).map(|taken| taken.from).collect()
}

/// The tags that sessions which end took from images that are still there, and that nobody moved since.
pub(super) fn returns(look: &CleanLook, policy: &CleanPolicy, claims: &Claims) -> BTreeMap<Reference, Return> {
    let mut returns = BTreeMap::new();
    for entry in ending(look, policy).filter(|_| policy.tags) {
        for taken in &entry.took {
            let holds = |image: &&Image| image.tags.iter().any(|tag| tag.canonical() == taken.tag.canonical());
            let mut own = look.snapshot.images.iter().filter(|image| claims.gave(image.id, &entry.key));
            let Some(now) = own.find(holds) else { continue };
            let there = look.snapshot.image(taken.from).is_some_and(|image| !image.dropped)
                && claims.in_scope(taken.from).is_none();
            let Some(tag) = now.tags.iter().find(|tag| tag.canonical() == taken.tag.canonical()) else { continue };
            if there {
                returns.insert(tag.clone(), Return { from: now.id, to: taken.from });
            }
        }
    }
    returns
}

/// Images that sessions which end held by dkb's own name, and for which no tag is on its way back any more: it has
/// come back, or somebody has moved it on since, as its owner may. `waiting` are those whose tag a later clean gives
/// back. What another session holds too is left to that one.
pub(super) fn let_go<'a>(
    look: &'a CleanLook,
    policy: &'a CleanPolicy,
    claims: &'a Claims,
    waiting: &'a HashSet<ImageId>,
) -> impl Iterator<Item = &'a Image> {
    let ends: HashSet<&SessionKey> = ending(look, policy).map(|entry| &entry.key).collect();
    let (mut held, mut others): (HashSet<ImageId>, HashSet<ImageId>) = Default::default();
    for entry in look.books.sessions.values() {
        if !ends.contains(&entry.key) {
            others.extend(&entry.held);
            let alive = look.life(&entry.key) == Life::Alive;
            others.extend(entry.took.iter().filter(|_| alive).map(|taken| &taken.from));
            continue;
        }
        held.extend(&entry.held);
        let on_loan = entry.took.iter().filter(|taken| is_lent_on(look, claims, &taken.tag, &entry.key));
        others.extend(on_loan.map(|taken| &taken.from));
    }
    look.snapshot.images.iter().filter(move |image| {
        let is_held = held.contains(&image.id) && image.tags.contains(&image.id.private_tag());
        is_held && !others.contains(&image.id) && !waiting.contains(&image.id)
    })
}

/// What becomes of an image that is let go.
pub(super) enum LoanEnd<'a> {
    /// It has names of its own, and loses dkb's.
    Untag(Step),
    /// Nothing else holds it.
    Go(Going<'a>),
    Keep(Kept),
    /// One of ours goes by the rules for its own session.
    Ours,
}

pub(super) fn end<'a>(look: &CleanLook, policy: &CleanPolicy, claims: &Claims, image: &'a Image) -> LoanEnd<'a> {
    if image.is_tagged() {
        return LoanEnd::Untag(own_name_step(image));
    }
    if claims.is_recorded(image.id) {
        return LoanEnd::Ours;
    }
    match users(look.snapshot).get(&image.id) {
        Some(users) => {
            LoanEnd::Keep(keep(image, KeptReason::InUse, users.iter().map(|user| Holder::from(*user)).collect()))
        }
        None if Pattern::any_keeps(&policy.keep, image) => {
            LoanEnd::Keep(keep(image, KeptReason::KeepPattern, Vec::new()))
        }
        None => LoanEnd::Go(Going {
            image,
            reason: Reason::OwnName,
            names: Vec::new(),
            digests: Vec::new(),
            containers: Vec::new(),
        }),
    }
}

/// Whether a living session took the tag from an image of this session, and will give it back to that one first.
fn is_lent_on(look: &CleanLook, claims: &Claims, tag: &Reference, session: &SessionKey) -> bool {
    let alive = look.books.sessions.values().filter(|entry| look.life(&entry.key) == Life::Alive);
    let mut took = alive.flat_map(|entry| &entry.took);
    took.any(|taken| taken.tag.canonical() == tag.canonical() && claims.gave(taken.from, session))
}

/// Images of ours that may stay by a name that somebody gave them, and bear dkb's own beside it: a deletion was cut off
/// in the middle. That name may also hold an image whose tag a session took, or is about to take in a build.
pub(super) fn own_names<'a>(look: &'a CleanLook, claims: &'a Claims) -> impl Iterator<Item = &'a Image> {
    let lenders = look.books.sessions.values().flat_map(|entry| entry.took.iter().map(|taken| taken.from));
    let held = look.books.sessions.values().flat_map(|entry| entry.held.iter().copied());
    let taken: HashSet<ImageId> = lenders.chain(held).collect();
    look.snapshot.images.iter().filter(move |image| {
        let bears_both = image.is_tagged() && image.tags.contains(&image.id.private_tag());
        let ours = claims.in_scope(image.id).is_some();
        bears_both && ours && look.running.is_empty() && !taken.contains(&image.id)
    })
}
