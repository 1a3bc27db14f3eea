//! What `dkb sweep` takes from a whole host and what it leaves.
//!
//! Containers are decided on first, then what they use, as if the containers in the plan were gone already:
//! one look is enough to know what each step frees for the next. The rules, in the order in which they are
//! asked; the first that holds decides:
//!
//! 1. What is at work stays: a container that was not only created, has not exited and is not dead, build cache
//!    in use. What the engine made for itself stays.
//! 2. What a container that stays uses, whatever its state, stays: images, mounted ones too, volumes, networks.
//!    What a builder of buildx's left stays, as that, while any container of the builder is there, even one that goes.
//! 3. What belongs to a dkb session that lives, or what a build that is running may need, stays. While there are such,
//!    so does what a line of the ledger may have said that of, if it is lost.
//! 4. Every filter on labels must let it through. Build cache bears no labels.
//! 5. A keep pattern keeps containers, images, volumes and networks by any of their names.
//! 6. What is younger than `until` stays. A container's age runs from its end; an image's from the newest of its
//!    date and our note of its build, and one dated before 2000 from when it was first seen. Build cache goes by
//!    its last use and `cache_until`. What does not say how old it is is young.
//!    What was used after the plan from a file was made stays, however old it is to be.
//! 7. Without `all_images` an image with a name stays, and build cache whose bytes are an image's too. With it,
//!    `keep_last` keeps the newest of every repository. What a builder left stays if a list of buildx's names the builder.
//!    With `volumes` it goes as a volume all the same.
//! 8. What something that stays is built on stays: an image's parent, a record's parents.
//! 9. `cache_keep` bytes of build cache stay, those used last.
//! 10. Where only so many bytes are needed, what was unused longest goes first, then what is largest, and
//!     nothing once they are reached. Networks, which take no space, stay then.

mod builder_state;
mod cache;
mod containers;
mod disk;
mod images;
mod look;
mod pressure;
mod rules;
mod sorted;
mod spare;

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::Plan;
use disk::Disk;
pub(crate) use look::{SweepLook, SweepPolicy};
use rules::SweepRules;
pub(crate) use rules::needs_first_sight;
use sorted::Sorted;
pub(crate) use sorted::ThingKey;

/// A plan, and since when the things in it have been idle, for showing.
#[derive(Clone, Debug)]
pub(crate) struct Swept {
    pub plan: Plan,
    pub since: HashMap<ThingKey, Timestamp>,
}

pub(crate) fn plan(look: &SweepLook, policy: &SweepPolicy) -> Swept {
    let rules = SweepRules::new(look, policy);
    let mut sorted = Sorted::default();
    containers::sort(&rules, &mut sorted);
    images::sort(&rules, &mut sorted);
    spare::sort_volumes(&rules, &mut sorted);
    builder_state::sort(&rules, &mut sorted);
    spare::sort_networks(&rules, &mut sorted);
    cache::sort(&rules, &mut sorted);
    if let Some(need) = policy.need {
        pressure::narrow(&mut sorted, need, Disk::new(look));
    }
    let mut disk = Disk::new(look);
    let mut since = HashMap::new();
    let mut steps = Vec::with_capacity(sorted.going.len());
    for mut candidate in sorted.going {
        since.extend(candidate.since.map(|at| (candidate.key(), at)));
        if let Some(image) = candidate.step.removed_image() {
            candidate.step.bytes = disk.take(image);
        }
        steps.push(candidate.step);
    }
    sorted.kept.sort_by(|a, b| (a.kind, a.reason, &a.id).cmp(&(b.kind, b.reason, &b.id)));
    let mut plan = Plan::new("sweep", &look.snapshot.engine, look.now, steps, sorted.kept);
    plan.to_cache = cache::bytes_that_stay(look, &plan);
    plan.up_to = disk.is_imprecise() || !plan.to_cache.is_empty();
    Swept { plan, since }
}

#[cfg(test)]
mod tests;
