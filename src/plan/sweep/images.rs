//! Images: those that nobody uses and, unless all are asked for, that have no name.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::super::newest::newest_of_each_repository;
use super::super::order;
use super::super::uses::users;
use super::rules::{SweepRules, Thing};
use super::sorted::{self, Removable, Sorted, ThingKey};
use crate::model::{
    Container, Deed, Holder, Image, ImageGuard, ImageId, Kept, KeptReason, Kind, Pattern, Reason, Step,
};

pub(super) fn sort(rules: &SweepRules, sorted: &mut Sorted) {
    if !rules.policy.images {
        return;
    }
    let snapshot = rules.look.snapshot;
    let users = users(snapshot);
    let leaving = sorted::containers(&sorted.going);
    let newest = newest(rules);
    let mut going: HashMap<ImageId, &Image> = HashMap::new();
    for image in &snapshot.images {
        let staying: Vec<&&Container> =
            users.get(&image.id).into_iter().flatten().filter(|user| !leaving.contains(&*user.id)).collect();
        let keep = if staying.is_empty() {
            verdict(rules, image, &newest).map(|reason| (reason, lenders(rules, image, reason)))
        } else {
            Some((KeptReason::InUse, staying.into_iter().map(|user| Holder::from(*user)).collect()))
        };
        match keep {
            Some((reason, holders)) => sorted.kept.push(kept(image, reason, holders)),
            None => {
                going.insert(image.id, image);
            }
        }
    }
    hold_bases(&snapshot.images, &mut going, sorted);

    let depths = order::depths(snapshot.images.iter());
    let mut order: Vec<&Image> = going.values().copied().collect();
    order.sort_by_key(|image| (Reverse(depths.get(&image.id).copied()), image.id));
    let mut last_uses: HashMap<ImageId, Timestamp> = HashMap::new();
    let mut children: HashMap<ImageId, Vec<ThingKey>> = HashMap::new();
    for image in order {
        let containers = users.get(&image.id).map_or(&[][..], Vec::as_slice);
        let ends = containers.iter().filter_map(|user| rules.end(user));
        let noted = [rules.since(image), rules.look.tagged.get(&image.id).copied()];
        let of_children = last_uses.get(&image.id).copied();
        let last_use = ends.chain(noted.into_iter().flatten()).chain(of_children).max().unwrap_or(Timestamp::MIN);
        if let Some(parent) = image.parent {
            // Children come first here, so that a parent never seems idler than what is built on it.
            last_uses.entry(parent).and_modify(|known| *known = last_use.max(*known)).or_insert(last_use);
            children.entry(parent).or_default().push((Kind::Image, image.id.to_string()));
        }
        let mut after = children.remove(&image.id).unwrap_or_default();
        after.extend(containers.iter().map(|user| (Kind::Container, user.id.clone())));
        sorted.going.push(Removable { step: step(image), since: rules.since(image), last_use, after });
    }
}

fn verdict(rules: &SweepRules, image: &Image, newest: &HashSet<ImageId>) -> Option<KeptReason> {
    let asked_for = Pattern::any_keeps(&rules.policy.keep, image);
    let thing = Thing { image: Some(image.id), labels: &image.labels, asked_for, since: rules.since(image) };
    let tagged = || {
        let named = image.public_tags().next().is_some() || !image.digests.is_empty();
        let lent = || rules.relied_on(image).next().map(|_| KeptReason::Lent);
        let kept = || if named { Some(KeptReason::Tagged) } else { lent() };
        if rules.policy.all_images { None } else { kept() }
    };
    let last = || newest.contains(&image.id).then_some(KeptReason::KeepLast);
    rules.retained(&thing).or_else(tagged).or_else(last)
}

/// Who wants to give a tag back to an image that has no other name, and is not of this ledger.
fn lenders(rules: &SweepRules, image: &Image, reason: KeptReason) -> Vec<Holder> {
    let holds = rules.look.books.foreign_holds(image).filter(|_| reason == KeptReason::Lent);
    holds.map(|hold| Holder::of_name(hold.as_str())).collect()
}

/// Every name by which somebody may ask for it or holds it: tags, and digests that stand without one.
fn names(image: &Image) -> Vec<String> {
    let tags = image.tags.iter().filter(|tag| !tag.is_momentary()).map(ToString::to_string);
    tags.chain(image.digests.iter().cloned()).collect()
}

/// The newest of every repository, by their date; of two of one date the one with the higher ID.
fn newest(rules: &SweepRules) -> HashSet<ImageId> {
    let Some(n) = rules.policy.keep_last.filter(|_| rules.policy.all_images) else { return HashSet::new() };
    let images = rules.look.snapshot.images.iter();
    newest_of_each_repository(images.map(|image| (image.id, image.public_tags().collect(), rules.since(image))), n)
}

/// Rule 8: all that lies below an image that stays.
fn hold_bases(images: &[Image], going: &mut HashMap<ImageId, &Image>, sorted: &mut Sorted) {
    let mut staying: Vec<&Image> = images.iter().filter(|image| !going.contains_key(&image.id)).collect();
    while let Some(child) = staying.pop() {
        if let Some(base) = child.parent.and_then(|id| going.remove(&id)) {
            let child = Holder::Child { id: child.id, name: names(child).into_iter().next() };
            sorted.kept.push(kept(base, KeptReason::Base, vec![child]));
            staying.push(base);
        }
    }
}

fn kept(image: &Image, reason: KeptReason, holders: Vec<Holder>) -> Kept {
    Kept { holders, ..Kept::instead_of(&step(image), reason) }
}

fn step(image: &Image) -> Step {
    let names = names(image);
    let reason = if names.is_empty() { Reason::Dangling } else { Reason::Unused };
    Step::new(Deed::RemoveImage { id: image.id, guard: ImageGuard::of(names) }, reason, image.size)
}
