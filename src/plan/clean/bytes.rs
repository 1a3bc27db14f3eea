//! How many bytes come back, as far as one list of images tells.
//!
//! An engine says of each image how large it is and how much of that it shares with any other. What it shares with
//! nobody comes back for sure. What images that go share with each other comes back too, unless something that
//! stays has it as well, and the list does not say which. Images whose shared part is of the very same size, to
//! the byte, are taken to share the same layers: one that stays keeps them, and where none stays they are counted
//! once, and the sum is called an upper bound. Of that what a kept image holds whose layers are the lowest of theirs is
//! taken off again ([`leave_bases`]): for this the layers of a few images are asked for. To know better, each layer of
//! each image would have to be.
//!
//! Only graphdrivers say truly what is shared: the containerd store leaves out the compressed layers, Podman says
//! that there is nothing. There an image that names no parent counts whole but for what is known to be shared, and the
//! sum is an upper bound.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::look::Layers;
use crate::model::{Books, CacheRecord, EngineInfo, Image, ImageId, Kind, Plan, Snapshot, Step, total};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    /// In the order in which the images go: what comes back with each, after those before it.
    pub(super) each: Vec<u64>,
    pub(super) up_to: bool,
}

pub(super) fn freed<'a>(
    engine: &EngineInfo,
    all: &'a [Image],
    going: impl Iterator<Item = &'a Image> + Clone,
    layers: &Layers,
) -> Freed {
    let goes: HashSet<ImageId> = going.clone().map(|image| image.id).collect();
    let bases_of_going: HashSet<ImageId> = going.clone().filter_map(|image| image.parent).collect();
    let sizes: HashMap<ImageId, u64> =
        all.iter().filter(|image| bases_of_going.contains(&image.id)).map(|image| (image.id, image.size)).collect();
    let stays: HashSet<u64> =
        all.iter().filter(|image| !goes.contains(&image.id)).filter_map(|image| image.shared).collect();
    let mut up_to = false;
    let mut shared: HashMap<u64, usize> = HashMap::new();
    let mut each: Vec<u64> = Vec::with_capacity(goes.len());
    for image in going.clone() {
        let over_parent =
            image.parent.and_then(|parent| sizes.get(&parent)).map(|below| image.size.saturating_sub(*below));
        let unshared = image.shared.map(|shared| image.size.saturating_sub(shared));
        let own = match (over_parent, unshared) {
            // Its children go before it, and what it is built on is counted on its own or stays.
            (Some(over), _) if bases_of_going.contains(&image.id) || goes_with_parent(image, &goes) => over,
            (Some(over), Some(unshared)) => over.min(unshared),
            (Some(over), None) => over,
            (None, Some(unshared)) => {
                up_to |= !engine.can.shared_sizes_add_up && unshared > 0;
                if let Some(part) = image.shared.filter(|part| *part > 0 && !stays.contains(part)) {
                    shared.insert(part, each.len());
                }
                unshared
            }
            (None, None) => {
                up_to = true;
                image.size
            }
        };
        each.push(own);
    }
    let order: Vec<ImageId> = going.map(|image| image.id).collect();
    for (part, last) in shared {
        up_to = true;
        let staying = all.iter().filter(|image| !goes.contains(&image.id));
        let bases = staying.filter(|image| is_below(layers, image.id, order[last]));
        let held = bases.map(|base| base.size).max().unwrap_or(0);
        each[last] = each[last].saturating_add(part.saturating_sub(held));
    }
    Freed { each, up_to }
}

/// Whether all layers of the one, as far as both are known, are the lowest of the other.
fn is_below(layers: &Layers, base: ImageId, image: ImageId) -> bool {
    let (Some(base), Some(image)) = (layers.get(&base), layers.get(&image)) else { return false };
    !base.is_empty() && image.starts_with(base)
}

/// The images whose layers tell what of the upper bound stays with a base: of those that go one for each part that
/// they share, and what has nothing that no other image has.
pub(crate) fn wants_bases(plan: &Plan, snapshot: &Snapshot) -> Vec<ImageId> {
    if !plan.up_to || !snapshot.engine.can.shared_sizes_add_up {
        return Vec::new();
    }
    let going = removed(plan, snapshot).into_iter().filter(|image| image.parent.is_none());
    let parts: HashMap<u64, ImageId> =
        going.filter_map(|image| Some((image.shared.filter(|part| *part > 0)?, image.id))).collect();
    let largest = parts.keys().max().copied().unwrap_or(0);
    let is_base = |image: &&Image| image.size <= largest && image.shared == Some(image.size);
    let bases = snapshot.images.iter().filter(is_base).map(|image| image.id);
    parts.values().copied().chain(bases).collect()
}

/// Counts again, now that it is known what stays with a base.
pub(crate) fn leave_bases(plan: &mut Plan, snapshot: &Snapshot, layers: &Layers) {
    let going = removed(plan, snapshot);
    let freed = freed(&snapshot.engine, &snapshot.images, going.iter().copied(), layers);
    let bytes: HashMap<ImageId, u64> = going.iter().map(|image| image.id).zip(freed.each).collect();
    for step in &mut plan.steps {
        if let Some(bytes) = step.removed_image().and_then(|id| bytes.get(&id)) {
            step.bytes = *bytes;
        }
    }
}

/// The images that go, in that order.
fn removed<'a>(plan: &Plan, snapshot: &'a Snapshot) -> Vec<&'a Image> {
    let listed: HashMap<ImageId, &Image> = snapshot.images.iter().map(|image| (image.id, image)).collect();
    plan.steps.iter().filter_map(|step| listed.get(&step.removed_image()?).copied()).collect()
}

fn goes_with_parent(image: &Image, goes: &HashSet<ImageId>) -> bool {
    image.parent.is_some_and(|parent| goes.contains(&parent))
}

/// Of what `BuildKit` built, the cache holds the layers too: they leave the images and stay on the disk until the
/// cache goes. Those bytes are counted apart. The classic builder's images are their own cache.
pub(crate) fn share_with_cache(plan: &mut Plan, books: &Books, cache: &[CacheRecord]) {
    let goes: HashSet<Cow<str>> =
        plan.steps.iter().filter(|step| step.kind() == Kind::BuildCache).map(Step::id).collect();
    let stays = cache.iter().filter(|record| record.shared && !goes.contains(record.id.as_str()));
    let mut held = total(stays.map(|record| record.size));
    let by_buildkit: HashSet<ImageId> = built_by_buildkit(books).collect();
    for step in &mut plan.steps {
        let Some(id) = step.removed_image().filter(|id| by_buildkit.contains(id)) else { continue };
        let stays = step.bytes.min(held);
        if stays > 0 {
            held = held.saturating_sub(stays);
            step.bytes = step.bytes.saturating_sub(stays);
            plan.to_cache.insert(id, stays);
        }
    }
}

/// Whether anything that was built may share its bytes with the build cache.
pub(crate) fn may_share_with_cache(books: &Books) -> bool {
    built_by_buildkit(books).next().is_some()
}

fn built_by_buildkit(books: &Books) -> impl Iterator<Item = ImageId> + '_ {
    books.builds.iter().filter(|build| build.steps.is_empty()).filter_map(|build| build.result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::capabilities::CONTAINERD;
    use crate::model::books_tests::id;
    use crate::model::image_tests::{host, image};
    use crate::model::{Deed, Reason};
    use jiff::Timestamp;

    fn freed<'a>(all: &'a [Image], going: impl Iterator<Item = &'a Image> + Clone) -> Freed {
        super::freed(&host(Vec::new(), Vec::new()).engine, all, going, &Layers::new())
    }

    fn sized(n: u8, size: u64, shared: u64) -> Image {
        Image { size, shared: Some(shared), ..image(n).done() }
    }

    #[test]
    fn what_is_shared_with_something_that_stays_is_not_counted() {
        let all = [sized(1, 100, 90), sized(2, 95, 90), sized(3, 90, 90)];
        assert_eq!(freed(&all, all[..2].iter()), Freed { each: vec![10, 5], up_to: false });
    }

    #[test]
    fn what_only_images_that_go_share_is_counted_once_and_called_an_upper_bound() {
        let all = [sized(1, 100, 90), sized(2, 95, 90), sized(3, 50, 0)];
        assert_eq!(freed(&all, all[..2].iter()), Freed { each: vec![10, 95], up_to: true });
    }

    #[test]
    fn what_a_base_that_stays_holds_is_not_in_the_bound() {
        let images = vec![sized(1, 100, 90), sized(2, 95, 90), sized(3, 70, 70), sized(4, 60, 60), sized(5, 91, 0)];
        let snapshot = host(images, Vec::new());
        let guard = || crate::model::ImageGuard::Untagged;
        let steps = snapshot.images[..2]
            .iter()
            .map(|image| Step::new(Deed::RemoveImage { id: image.id, guard: guard() }, Reason::Leftover, image.size));
        let mut plan = Plan::new("clean", &snapshot.engine, Timestamp::UNIX_EPOCH, steps.collect(), Vec::new());
        assert_eq!(wants_bases(&plan, &snapshot), [], "it is no bound");
        plan.up_to = true;
        let wanted: HashSet<ImageId> = wants_bases(&plan, &snapshot).into_iter().collect();
        assert_eq!(wanted, [2, 3, 4].map(id).into());
        let told = |n: u8, layers: &[&str]| (id(n), layers.iter().map(ToString::to_string).collect());
        let layers = Layers::from([told(2, &["a", "b", "c"]), told(3, &["a", "x"]), told(4, &["a"])]);
        leave_bases(&mut plan, &snapshot, &layers);
        let each: Vec<u64> = plan.steps.iter().map(|step| step.bytes).collect();
        assert_eq!((each, plan.up_to), (vec![10, 5 + 90 - 60], true));
    }

    #[test]
    fn a_chain_of_steps_is_counted_step_by_step_from_what_stays_below() {
        let chain =
            |n, parent, size| Image { parent: Some(crate::model::books_tests::id(parent)), ..sized(n, size, 80) };
        let all = [chain(3, 2, 110), chain(2, 1, 100), sized(1, 80, 80)];
        assert_eq!(freed(&all, all[..2].iter()), Freed { each: vec![10, 20], up_to: false });
    }

    #[test]
    fn where_an_engine_leaves_out_what_is_shared_it_is_an_upper_bound() {
        let all = [sized(1, 100, 0)];
        let engine = EngineInfo { can: CONTAINERD, ..host(Vec::new(), Vec::new()).engine };
        assert_eq!(super::freed(&engine, &all, all.iter(), &Layers::new()), Freed { each: vec![100], up_to: true });
    }

    #[test]
    fn an_engine_that_does_not_say_what_is_shared_gives_an_upper_bound() {
        let all = [Image { shared: None, ..sized(1, 100, 0) }];
        assert_eq!(freed(&all, all.iter()), Freed { each: vec![100], up_to: true });
    }
}
