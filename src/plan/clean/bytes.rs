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

use std::collections::{HashMap, HashSet};

use super::look::Layers;
use crate::model::{Books, BuildId, CacheBooks, CacheRecord, EngineInfo, Image, ImageId, Kind, Plan, Snapshot, total};

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
    // The largest that stays with these very layers, which may be the lowest of what goes.
    let mut bases: HashMap<&[String], u64> = HashMap::new();
    for image in all.iter().filter(|image| !goes.contains(&image.id)) {
        if let Some(layers) = layers.get(&image.id) {
            let largest = bases.entry(layers).or_default();
            *largest = image.size.max(*largest);
        }
    }
    for (part, last) in shared {
        up_to = true;
        let layers = layers.get(&order[last]).map_or(&[][..], Vec::as_slice);
        let below = (1..=layers.len()).filter_map(|below| bases.get(&layers[..below]));
        let held = below.max().copied().unwrap_or(0);
        each[last] = each[last].saturating_add(part.saturating_sub(held));
    }
    Freed { each, up_to }
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
///
/// Which record holds which layer no engine tells. Where the books of the cache know the image's build, it is one that
/// this build needs; what else the image has may be in anybody's, and then the sum is an upper bound. Where they do not,
/// it may be any that is no larger.
pub(crate) fn share_with_cache(plan: &mut Plan, books: &Books, cache: &[CacheRecord], known: Option<&CacheBooks>) {
    let goes: HashSet<String> =
        plan.steps.iter().filter(|step| step.kind() == Kind::BuildCache).map(|step| step.id().into_owned()).collect();
    let shared: Vec<&CacheRecord> = cache.iter().filter(|record| record.shared).collect();
    let mut staying: Vec<(&CacheRecord, u64)> =
        shared.iter().filter(|record| !goes.contains(&record.id)).map(|record| (*record, record.size)).collect();
    let by_buildkit: HashSet<ImageId> = built_by_buildkit(books).collect();
    for step in &mut plan.steps {
        let Some(id) = step.removed_image().filter(|id| by_buildkit.contains(id)) else { continue };
        let needs = known.and_then(|known| needs(books, known, id));
        let is_needed = |record: &CacheRecord| needs.as_ref().is_none_or(|needs| needs.contains(record.id.as_str()));
        let bytes = step.bytes;
        let mut left = bytes;
        for (record, rest) in &mut staying {
            if record.size <= bytes && is_needed(record) {
                let held = left.min(*rest);
                (left, *rest) = (left.saturating_sub(held), rest.saturating_sub(held));
            }
        }
        if needs.is_some() {
            let told = total(shared.iter().filter(|record| is_needed(record)).map(|record| record.size));
            let may_hold = |record: &CacheRecord| record.size <= bytes && !is_needed(record);
            plan.up_to |= told < bytes && left > 0 && staying.iter().any(|(record, _)| may_hold(record));
        }
        if left < bytes {
            step.bytes = left;
            plan.to_cache.insert(id, bytes.saturating_sub(left));
        }
    }
}

/// The records of ours that the builds of this image need; `None` where the books of the cache know none of these builds.
fn needs<'a>(books: &Books, known: &'a CacheBooks, image: ImageId) -> Option<HashSet<&'a str>> {
    let made: HashSet<&BuildId> =
        books.claims(image).filter(|build| build.result == Some(image)).map(|build| &build.build).collect();
    let cached = known.builds.iter().filter(|cached| cached.build.as_ref().is_some_and(|build| made.contains(build)));
    let needs: HashSet<&str> = cached.flat_map(|cached| &cached.needs).map(String::as_str).collect();
    (!needs.is_empty()).then_some(needs)
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
    use crate::model::books_tests::{build, id, key};
    use crate::model::image_tests::{host, image};
    use crate::model::{CachedBuild, Deed, Reason, Record, Step};
    use crate::plan::cache::tests::cached;
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

    #[test]
    fn what_stays_as_cache_is_what_the_builds_of_the_image_need_of_it() {
        let of = key("p", "s");
        let mut books = Books::default();
        books.apply(Record::Build(build("a", &of, 1, &[])));
        let shared = |id: &str, size| CacheRecord { id: id.to_owned(), size, shared: true, ..CacheRecord::default() };
        let records = [shared("own", 60), shared("base", 40), shared("theirs", 60), shared("large", 500)];
        let counted = |goes: &[&str], needs: Option<&[&str]>| {
            let guard = crate::model::ImageGuard::Untagged;
            let mut steps = vec![Step::new(Deed::RemoveImage { id: id(1), guard }, Reason::Leftover, 100)];
            let can = host(Vec::new(), Vec::new()).engine.can;
            let going = records.iter().filter(|record| goes.contains(&record.id.as_str()));
            steps.extend(going.map(|record| record.removal(Reason::ImagesGo, can)));
            let engine = host(Vec::new(), Vec::new()).engine;
            let mut plan = Plan::new("clean", &engine, Timestamp::UNIX_EPOCH, steps, Vec::new());
            let cached = needs.map(|needs| CachedBuild { build: BuildId::parse("a"), ..cached(&of, needs) });
            let known = cached.map(|cached| CacheBooks { builds: vec![cached], ..CacheBooks::default() });
            share_with_cache(&mut plan, &books, &records, known.as_ref());
            (plan.steps[0].bytes, plan.totals().bytes_to_cache, plan.up_to)
        };
        let own: &[&str] = &["own", "base"];
        assert_eq!(counted(own, Some(own)), (100, 0, false), "another's cache of that size holds nothing of it");
        assert_eq!(counted(&["own"], Some(own)), (60, 40, false));
        assert_eq!(counted(&[], Some(own)), (0, 100, false));
        assert_eq!(counted(&["own"], Some(&["own"])), (100, 0, true), "the rest may be in anybody's");
        assert_eq!(counted(&[], None), (0, 100, false), "nothing is known of its build");
        assert_eq!(counted(&["own", "base", "theirs"], None), (100, 0, false), "what is larger is no layer of it");
    }
}
