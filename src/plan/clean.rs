//! What `dkb clean` takes and what it leaves.
//!
//! The rules, by number. The first that holds decides; they are asked in the order 1, 3, 4 (`claims` says whose an image
//! is), 2, 3, 4, 5, 6, 7, 9 (`rules`), 8 (`bases`), 10:
//!
//! 1. An image that the ledger does not know is not ours, whatever its labels say. Two doors are open: the
//!    session of the CI job that this process is in, where the ledger has never heard of it, and `--trust-stamp`.
//! 2. An image that may have been pulled since it was recorded is not the one that was built. What the ledger is not
//!    sure of, as a line is lost that came after the image's record, stays with its names; only by `--trust-stamp` it
//!    goes as if the ledger were.
//! 3. An image that a build of another project or session claims too stays. So does what another working copy
//!    built, where nobody but the checkout itself says which project this is. A session that was cleaned whole has no
//!    more claim on what stayed for another one alone ([`LeftTo`](crate::model::LeftTo)), and so does not keep it from
//!    that one.
//! 4. What a living session built is left to that session, and what a running build may need is left to it.
//! 5. An image that a container uses, in any state, or that is mounted into one, stays. A session's end first
//!    takes the containers that are proven to be the session's own ([`containers`]).
//! 6. A keep pattern, `--keep-last` and `--older-than` only ever narrow. What a pattern means never goes, ours or not.
//! 7. A tag that none of our builds gave keeps the image, and so does a name by which another ledger holds it; a tag of
//!    ours goes only where tags go at all, and alone if the image stays for somebody else who named it.
//! 8. An image that a kept image is built on stays.
//! 9. An image whose tag a session took that is not over stays, so that the tag can be given back, and so does our
//!    image that bears it, with that name.
//! 10. dkb's own name, which a deletion that was cut off left on an image that somebody else names, goes. So does one
//!     by which a session held an image until its tag could come back, at the session's end, and with it an image that
//!     nothing else holds: its tag was taken from it for good, by its owner or by what is to stay, and the engine
//!     would have dropped it then.

mod bases;
mod breadth;
mod bytes;
mod claims;
mod containers;
mod decide;
mod given;
mod inherited;
mod layers;
mod loan_index;
mod loans;
mod look;
mod made;
mod opened_since;
mod rules;
pub(crate) mod steps;
mod volumes;

use std::collections::HashSet;

use super::order;
use super::uses::users;
use crate::model::{Image, ImageId, Kept, KeptReason, Plan, Reason, Step};
pub(crate) use breadth::{Breadth, wanted, wanted_by};
pub(crate) use bytes::{leave_bases, may_share_with_cache, share_with_cache, wants_bases};
use claims::Claims;
pub(crate) use containers::Ending;
pub(crate) use containers::at_work;
use decide::{Decided, decide};
pub(crate) use given::GivenNames;
pub(crate) use layers::wants_layers;
use loans::LoanEnd;
pub(crate) use look::{CLOCKS_DIFFER, CacheWish, CleanLook, CleanPolicy, Here, Layers, builds_in, covers, sessions};
pub(crate) use made::stays_by_age;
pub(crate) use opened_since::{may_be_opened, takes_from};
use steps::Going;
pub(crate) use volumes::{anonymous, may_be_anonymous};

/// Makes the plan: everything that was seen and carries our stamp or stands in the ledger is a step or is kept.
pub(crate) fn plan(look: &CleanLook, policy: &CleanPolicy) -> Plan {
    let claims = Claims::new(look, policy);
    let Decided { mut going, mut kept, untags, returns, mut waiting, left_to_others } = decide(look, policy, &claims);
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
    let untagged: HashSet<ImageId> = untags.iter().filter_map(Step::image).collect();
    let free = |image: &&Image| !going.contains_key(&image.id) && !untagged.contains(&image.id);
    steps.extend(loans::own_names(look, &claims).filter(free).map(steps::moment_step));
    waiting.extend(returns.values().map(|back| back.to));
    let nobodys = loans::nobodys(look, policy, &claims);
    waiting.extend(nobodys.values().filter_map(Step::image));
    steps.extend(nobodys.into_values());
    let ended = loans::let_go(look, &claims, &waiting).filter(|(image, _)| free(image));
    let users = users(look.snapshot);
    for (image, hold) in ended.collect::<Vec<_>>() {
        match loans::end(look, policy, &claims, &users, (image, hold)) {
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
    let freed = bytes::freed(
        &look.snapshot.engine,
        &look.snapshot.images,
        images.iter().map(|found| found.image),
        &Layers::new(),
    );
    // What the engine has dropped itself goes by its containers alone.
    let listed = images.into_iter().zip(freed.each).filter(|(found, _)| !found.image.dropped);
    steps.extend(listed.map(|(found, bytes)| found.step(bytes)));
    let mut kept: Vec<Kept> = kept.into_values().collect();
    kept.sort_by(|a, b| (a.reason, &a.id).cmp(&(b.reason, &b.id)));
    let mut plan = Plan::new("clean", &look.snapshot.engine, look.now, steps, kept);
    plan.up_to = freed.up_to;
    plan.left_to_others = left_to_others;
    plan
}

#[cfg(test)]
pub(super) mod tests;
