//! Why something that bears a session's run label stays, by when it was made.
//!
//! 1. Two people may use one name for a session, each with a ledger of his own. So what is older than all that this
//!    ledger knows of the session stays, unless nobody else can have come to the name: a CI job's or a working copy's
//!    own, or one that dkb made up and that this ledger has heard of. A session that was cleaned as a whole begins anew
//!    when somebody is at work in it again.
//! 2. `older_than` narrows.
//!
//! Where the engine does not say when it was made, it is as old, or as young, as it takes to stay.

use jiff::Timestamp;

use super::look::{CLOCKS_DIFFER, CleanLook, CleanPolicy};
use crate::model::{KeptReason, SessionKey};

/// `created` is by the engine's clock.
pub(crate) fn stays_by_age(
    look: &CleanLook,
    policy: &CleanPolicy,
    key: &SessionKey,
    created: Option<Timestamp>,
) -> Option<KeptReason> {
    let made = created.and_then(|at| look.by_our_clock(at));
    let is_since = |known: Timestamp| made.is_some_and(|at| at.duration_since(known) >= -CLOCKS_DIFFER);
    if !has_its_name_alone(look, key) && !known_since(look, key).is_some_and(is_since) {
        return Some(KeptReason::BeforeSession);
    }
    let is_old_enough = made.is_some_and(|at| !policy.is_too_young(look.now, at));
    (policy.older_than.is_some() && !is_old_enough).then_some(KeptReason::TooYoung)
}

fn has_its_name_alone(look: &CleanLook, key: &SessionKey) -> bool {
    let is_known = || look.books.sessions.contains_key(key) || look.opened.contains_key(key);
    *key == look.here.key && look.here.alone || key.session.is_made_up() && is_known()
}

/// Since when this ledger knows of the session as it is now.
fn known_since(look: &CleanLook, key: &SessionKey) -> Option<Timestamp> {
    let at_work = look.books.sessions.get(key).filter(|entry| !entry.is_cleaned()).map(|entry| entry.first);
    let opened = look.opened.get(key).map(|opening| opening.since);
    at_work.into_iter().chain(opened).min()
}

#[cfg(test)]
mod tests;
