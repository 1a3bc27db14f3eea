//! How much of a host a plan has to be made from.
//!
//! Whose an image is, and whether it goes, hangs on what is on record and on the image itself. What hangs on others:
//!
//! - the doors for what is not on record (rule 1) ask for the stamp, and whether another image gave it;
//! - what goes by a name may be built on by that name (rule 8): whoever did bears its labels, with other values perhaps;
//! - what has no name may be named as a parent (rule 8), which a list by names says without saying by whom;
//! - a tag that goes back from nowhere may be anybody's.
//!
//! A plan that is made from less than all takes no more for it than one made from all: what it does not see could only
//! keep something, or come in by a door.

use std::collections::{HashMap, HashSet};

use super::claims::may_let_in;
use super::look::{CleanLook, CleanPolicy};
use crate::model::{Deed, Image, ImageId, PROJECT_LABEL, Plan, Step};

/// What a look has seen of the images of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breadth {
    /// Those on record, and what they hang on by name.
    Ours,
    /// Those that bear the stamp, too.
    Stamped,
    Whole,
}

/// What has to be seen for this plan to be that of the whole host.
pub(crate) fn wanted(look: &CleanLook, policy: &CleanPolicy, plan: &Plan, bases: &HashSet<ImageId>) -> Breadth {
    let doors = if may_let_in(look, policy) { Breadth::Stamped } else { Breadth::Ours };
    doors.max(wanted_by(&plan.steps, &look.snapshot.images, bases))
}

/// What has to be seen to know that nothing which stays is built on what these steps take. `bases` are images without a
/// name that others name as their parent.
pub(crate) fn wanted_by(steps: &[Step], images: &[Image], bases: &HashSet<ImageId>) -> Breadth {
    if steps.iter().any(|step| matches!(step.deed, Deed::GiveBack { from: None, .. })) {
        return Breadth::Whole;
    }
    let images: HashMap<ImageId, &Image> = images.iter().map(|image| (image.id, image)).collect();
    // What a session held by dkb's own name goes whatever is built on it.
    let going = steps.iter().filter(|step| !step.is_of_own_name()).filter_map(Step::removed_image);
    let needs = going.map(|id| match images.get(&id) {
        _ if bases.contains(&id) => Breadth::Whole,
        Some(image) if image.tags.is_empty() => Breadth::Ours,
        Some(image) if image.labels.contains_key(PROJECT_LABEL) => Breadth::Stamped,
        _ => Breadth::Whole,
    });
    needs.max().unwrap_or(Breadth::Ours)
}
