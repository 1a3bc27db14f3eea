//! Tags that sessions took from images which were not theirs, and the images that wait for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::claims::Claims;
use super::look::{CleanLook, CleanPolicy, builds_in, covers};
use super::steps::{Going, Return, give_back, keep, own_name_step};
use crate::model::{
    Container, Holder, Image, ImageId, Kept, KeptReason, Life, Pattern, Reason, Reference, SessionEntry, SessionKey,
    Step, Taken,
};

/// The sessions whose tags this clean takes, so that they can go back: those that end, and where none does those that
/// nobody opened, for the end of which nobody waits.
fn giving<'a>(
    look: &'a CleanLook,
    policy: &'a CleanPolicy,
    claims: &'a Claims,
) -> impl Iterator<Item = &'a SessionEntry> {
    let ends = claims.ends();
    look.books.sessions.values().filter(move |SessionEntry { key, .. }| {
        let is_nobodys =
            || covers(look, policy, key) && look.life(key) == Life::Unowned && !builds_in(look.running, key);
        policy.tags && if policy.ends_sessions() { ends.contains(key) } else { is_nobodys() }
    })
}

/// Whether a session that this clean does not end owes somebody one of its tags. Of one that nobody opened nobody waits
/// for the end, unless it was to end now and a build of it runs, or a part of it is to go before its end.
fn is_owing<'a>(
    look: &'a CleanLook,
    policy: &'a CleanPolicy,
    claims: &'a Claims,
) -> impl Fn(&SessionKey) -> bool + use<'a> {
    let ends = claims.ends();
    let is_put_off = |key: &SessionKey| builds_in(look.running, key) && covers(look, policy, key);
    let is_cleaned_in_part =
        move |key: &SessionKey| policy.scope.is_of_sessions() && !policy.ends_sessions() && covers(look, policy, key);
    move |key| !ends.contains(key) && (look.life(key) != Life::Unowned || is_put_off(key) || is_cleaned_in_part(key))
}

/// The names of our images that such a session took and will give back: where one went, nothing could come back by it,
/// and who waits for it would be let go.
pub(super) fn on_loan(look: &CleanLook, policy: &CleanPolicy, claims: &Claims) -> HashSet<(ImageId, Reference)> {
    let is_owing = is_owing(look, policy, claims);
    let there = |id: ImageId| claims.image(id).is_some_and(|image| !image.dropped);
    let mut taken: HashMap<Reference, HashSet<&SessionKey>> = HashMap::new();
    for entry in look.books.sessions.values().filter(|entry| is_owing(&entry.key)) {
        for loan in entry.took.iter().filter(|loan| there(loan.from)) {
            taken.entry(loan.tag.canonical()).or_default().insert(&entry.key);
        }
    }
    let mut on_loan = HashSet::new();
    for image in look.snapshot.images.iter().filter(|_| !taken.is_empty()) {
        for tag in image.public_tags() {
            let Some(by) = taken.get(&tag.canonical()) else { continue };
            if claims.loans().givers(image.id, tag).iter().any(|key| by.contains(key)) {
                on_loan.insert((image.id, tag.clone()));
            }
        }
    }
    on_loan
}

/// Images whose tag a session took that is not over: it will want to give it back. Where it took the tag from another
/// session, that one will then give it back in its turn, and so on.
fn lent<'c>(claims: &'c Claims) -> &'c HashSet<ImageId> {
    claims.lent.get_or_init(|| find_lent(claims.look, claims.policy, claims))
}

fn find_lent(look: &CleanLook, policy: &CleanPolicy, claims: &Claims) -> HashSet<ImageId> {
    let is_owing = is_owing(look, policy, claims);
    let sessions = look.books.sessions.values();
    let owing = sessions.filter(|entry| is_owing(&entry.key));
    let mut open: Vec<(&SessionKey, &Taken)> =
        owing.flat_map(|entry| entry.took.iter().map(|taken| (&entry.key, taken))).collect();
    // What a build that runs now is about to take a tag from.
    let mut lent = look.books.held_by(&look.snapshot.images, &is_owing);
    let mut makers: HashMap<ImageId, HashSet<&SessionKey>> = HashMap::new();
    let mut done = HashSet::new();
    while let Some((by, taken)) = open.pop() {
        let made = |id: ImageId| claims.builds(id).map(|build| &build.of).collect();
        // What it has made too is its own, and stays as that.
        if !makers.entry(taken.from).or_insert_with_key(|id| made(*id)).contains(by) {
            lent.insert(taken.from);
        }
        if done.insert((taken.from, taken.tag.canonical())) {
            open.extend(claims.loans().taken_before(taken.from, &taken.tag));
        }
    }
    lent
}

/// Those that must be there for that. What only sessions made that end now, or are over, need not: who has
/// the tag from it owes that to whom they had it from once it is gone.
pub(super) fn must_stay(look: &CleanLook, claims: &Claims) -> HashSet<ImageId> {
    let ends = claims.ends();
    let are_over = |id: &ImageId| {
        let mut builds = claims.builds(*id).peekable();
        builds.peek().is_some() && builds.all(|build| ends.contains(&build.of) || is_over(look, &build.of))
    };
    lent(claims).iter().copied().filter(|id| !are_over(id)).collect()
}

/// Whether a session was ended and nobody has come to it since: what is left of it stays for others.
fn is_over(look: &CleanLook, key: &SessionKey) -> bool {
    look.life(key) != Life::Alive && look.books.sessions.get(key).is_some_and(SessionEntry::is_over)
}

/// Where a tag goes that was taken from these images, from the last of them last: past those that go with it and those
/// of sessions that died or are over, which would only give it on, to what they had it from. Where that is gone, to the
/// last of the dead.
fn back_to(
    look: &CleanLook,
    policy: &CleanPolicy,
    claims: &Claims,
    (tag, from): (&Reference, &[ImageId]),
) -> Option<ImageId> {
    let is_past = |key: &SessionKey| look.life(key) == Life::Dead || claims.ends().contains(key) || is_over(look, key);
    let (mut open, mut of_the_dead) = (from.to_vec(), None);
    let mut passed = HashSet::new();
    while let Some(to) = open.pop() {
        if !passed.insert(to) {
            continue;
        }
        // What another session gave this name as well is that one's again.
        let goes = claims.in_scope(to).is_some_and(|claim| !claim.is_given_elsewhere(tag));
        let mut builds = claims.builds(to).peekable();
        let image = claims.image(to).filter(|_| !goes);
        let is_meant = image.is_some_and(|image| Pattern::any_keeps(&policy.keep, image));
        let is_left = builds.peek().is_some() && builds.all(|build| is_past(&build.of)) && !is_meant;
        let there = image.is_some_and(|image| !image.dropped);
        if !goes && !is_left {
            if there {
                return Some(to);
            }
            continue;
        }
        of_the_dead = of_the_dead.or(there.then_some(to));
        let before = claims.loans().taken_before(to, tag);
        // The last owner stands last.
        open.extend(before.filter(|(key, _)| covers(look, policy, key) || is_past(key)).map(|(_, before)| before.from));
    }
    of_the_dead
}

/// The tags that such sessions took from images that are still there, and that nobody moved since.
pub(super) fn returns(look: &CleanLook, policy: &CleanPolicy, claims: &Claims) -> BTreeMap<Reference, Return> {
    let mut returns = BTreeMap::new();
    let free = free(claims);
    let mut known = HashMap::new();
    for entry in giving(look, policy, claims) {
        // All from which it took the same tag.
        let mut tags: BTreeMap<Reference, Vec<ImageId>> = BTreeMap::new();
        for taken in &entry.took {
            tags.entry(taken.tag.canonical()).or_default().push(taken.from);
        }
        for (taken, from) in tags {
            let mut bearers = claims.loans().bearers(&taken).iter();
            let own = bearers.find(|(image, _)| claims.loans().gave(&entry.key, image.id, &taken));
            let goes = |image: &Image| policy.ends_sessions() || claims.in_scope(image.id).is_some();
            let Some((now, tag)) = own.filter(|(image, _)| goes(image)) else { continue };
            // Of those that took it from the same each would ask the same.
            let to = known.entry((taken, from));
            let to = to.or_insert_with_key(|(taken, from)| back_to(look, policy, claims, (taken, from)));
            if let Some(to) = to.filter(|to| *to != now.id) {
                let image = claims.image(to).filter(|_| free.contains(&to));
                let hold = image.and_then(|image| hold_of(look, image)).cloned();
                returns.insert((*tag).clone(), Return { from: now.id, to, hold });
            }
        }
    }
    returns
}

/// Whether a session that goes on gave the image this name as well: until that one ends it is still its own.
pub(super) fn is_given_by_others<'a>(
    look: &'a CleanLook,
    policy: &'a CleanPolicy,
    claims: &'a Claims,
) -> impl Fn(ImageId, &Reference) -> bool {
    let giving: HashSet<&SessionKey> = giving(look, policy, claims).map(|entry| &entry.key).collect();
    move |image, tag| claims.loans().givers(image, tag).iter().any(|key| !giving.contains(key))
}

/// The name by which sessions of this ledger hold an image. One of before is that of a moment.
fn hold_of<'a>(look: &CleanLook, image: &'a Image) -> Option<&'a Reference> {
    let private = image.id.private_tag();
    look.books.hold(image).or_else(|| image.tags.iter().find(|tag| **tag == private))
}

/// The images that sessions which end have held, and no other session of this ledger does.
fn free<'c>(claims: &'c Claims) -> &'c HashSet<ImageId> {
    claims.free.get_or_init(|| find_free(claims.look, claims))
}

fn find_free(look: &CleanLook, claims: &Claims) -> HashSet<ImageId> {
    let ends = claims.ends();
    let (mut held, mut others) = (HashSet::new(), lent(claims).clone());
    for entry in look.books.sessions.values() {
        if ends.contains(&entry.key) { &mut held } else { &mut others }.extend(&entry.held);
    }
    others.extend(lent_past_their_end(look, claims));
    others.extend(taken_on(look, claims));
    held.difference(&others).copied().collect()
}

/// Images whose tag a session took that ends, where a session of another ledger has taken it on: it will come back to
/// the image that this one built, and then to these. That image may bear the tag, where this session came to it once more
/// and the tag goes back to the other one now.
fn lent_past_their_end(look: &CleanLook, claims: &Claims) -> HashSet<ImageId> {
    let abroad = |image: &&Image| look.books.foreign_holds(image).next().is_some();
    let abroad: Vec<&Image> = look.snapshot.images.iter().filter(abroad).collect();
    let there = |id: ImageId| claims.image(id).is_some_and(|image| !image.dropped);
    let goes_abroad = |entry: &SessionEntry, tag: &Reference| {
        entry.took.iter().any(|on| on.may_go && on.tag.names_the_same(tag) && there(on.from))
    };
    let mut lent = HashSet::new();
    for entry in claims.ends().iter().filter_map(|key| look.books.sessions.get(key)) {
        let is_on = |taken: &&Taken| {
            let bears = |image: &Image| image.tags.iter().any(|tag| tag.names_the_same(&taken.tag));
            abroad.iter().any(|image| {
                claims.loans().gave(&entry.key, image.id, &taken.tag)
                    && (!bears(image) || goes_abroad(entry, &taken.tag))
            })
        };
        lent.extend(entry.took.iter().filter(is_on).map(|taken| taken.from));
    }
    lent
}

/// Images whose tag a session took that ends, where another session has taken it on and goes on: that one will owe it to
/// them.
fn taken_on(look: &CleanLook, claims: &Claims) -> HashSet<ImageId> {
    let ends = claims.ends();
    let loans = || claims.loans();
    let mut of_ending: HashMap<(ImageId, Reference), Vec<&[&Taken]>> = HashMap::new();
    let mut lent = HashSet::new();
    for other in look.books.sessions.values().filter(|entry| !ends.is_empty() && !ends.contains(&entry.key)) {
        for on in &other.took {
            let took_before = of_ending.entry((on.from, on.tag.canonical())).or_insert_with_key(|(from, tag)| {
                let from_ending = loans().givers(*from, tag).into_iter().filter(|key| ends.contains(key));
                from_ending.map(|key| loans().took(key, tag)).collect()
            });
            let gave = |image: ImageId| claims.image(image).is_some() && loans().gave(&other.key, image, &on.tag);
            for taken in took_before {
                // It has the tag, or gets it back now.
                let has_it = loans().bearers(&on.tag).iter().any(|(image, _)| gave(image.id));
                if has_it || taken.iter().any(|one| gave(one.from)) {
                    lent.extend(taken.iter().map(|one| one.from));
                }
            }
        }
    }
    lent
}

/// Images that sessions which end held by dkb's own name, and for which no tag is on its way back any more: it has
/// come back, or somebody has moved it on since, as its owner may. `waiting` are those whose tag a later clean gives
/// back. What another session holds too is left to that one.
pub(super) fn let_go<'a>(
    look: &'a CleanLook,
    claims: &'a Claims,
    waiting: &'a HashSet<ImageId>,
) -> impl Iterator<Item = (&'a Image, &'a Reference)> {
    let free = free(claims);
    let held = look.snapshot.images.iter().filter_map(|image| Some((image, hold_of(look, image)?)));
    held.filter(move |(image, _)| free.contains(&image.id) && !waiting.contains(&image.id))
}

/// The tags that such sessions took and that nobody has any more: whoever came between took them off, and did not move
/// them on. They go back to those who had them last, where these have no other name.
pub(super) fn nobodys(look: &CleanLook, policy: &CleanPolicy, claims: &Claims) -> BTreeMap<Reference, Step> {
    let mut back = BTreeMap::new();
    for entry in claims.ends().iter().filter_map(|key| look.books.sessions.get(*key)) {
        for taken in entry.took.iter().filter(|taken| claims.loans().bearers(&taken.tag).is_empty()) {
            let same = entry.took.iter().filter(|other| other.tag.names_the_same(&taken.tag));
            let from: Vec<ImageId> = same.map(|taken| taken.from).collect();
            let to = back_to(look, policy, claims, (&taken.tag, &from)).filter(|to| !claims.is_recorded(*to));
            let is_named = |image: &Image| image.public_tags().next().is_some();
            let Some(image) = to.and_then(|to| claims.image(to)).filter(|image| !is_named(image)) else { continue };
            let hold = hold_of(look, image).cloned();
            // Another session may wait for it, also one of another ledger.
            let waits = lent(claims).contains(&image.id) || look.books.foreign_holds(image).next().is_some();
            if !waits && (hold.is_none() || free(claims).contains(&image.id)) {
                back.insert(taken.tag.canonical(), give_back(&taken.tag, None, image.id, hold));
            }
        }
    }
    back
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

pub(super) fn end<'a>(
    look: &CleanLook,
    policy: &CleanPolicy,
    claims: &Claims,
    users: &HashMap<ImageId, Vec<&Container>>,
    (image, hold): (&'a Image, &Reference),
) -> LoanEnd<'a> {
    if image.tags.iter().any(|tag| tag != hold && !tag.is_momentary()) {
        return LoanEnd::Untag(own_name_step(image, hold));
    }
    if claims.is_recorded(image.id) {
        return LoanEnd::Ours;
    }
    match users.get(&image.id) {
        // Another session may hold it too.
        _ if look.books.damaged => LoanEnd::Keep(keep(image, KeptReason::LedgerDamaged, Vec::new())),
        Some(users) => {
            LoanEnd::Keep(keep(image, KeptReason::InUse, users.iter().map(|user| Holder::from(*user)).collect()))
        }
        None if Pattern::any_keeps(&policy.keep, image) => {
            LoanEnd::Keep(keep(image, KeptReason::KeepPattern, Vec::new()))
        }
        None => LoanEnd::Go(Going {
            image,
            reason: Reason::OwnName,
            names: look.books.hold(image).cloned().into_iter().collect(),
            digests: Vec::new(),
            containers: Vec::new(),
        }),
    }
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
