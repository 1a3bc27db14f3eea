//! Which image is built on which. The classic builder and Podman name a parent; `BuildKit` does not, and there
//! the layers tell: what begins with all layers of another image, and has more, may be its child.

use std::collections::{HashMap, HashSet};

use super::claims::Claims;
use super::{Decided, Going, Look, Policy, decide, users};
use crate::model::{Build, Image, ImageId, Stamp};
use crate::plan::argv::is_one_file;

/// The layers of those images for which they were asked, lowest first.
pub type Layers = HashMap<ImageId, Vec<String>>;

/// The images whose layers the plan needs. They cost one question each, so the plan is first made without them:
/// they matter for a named image that would go, which something that stays may be built on, and for a stamped
/// image that would come in by a door, which may have inherited its stamp.
pub fn wants_layers(look: &Look, policy: &Policy) -> Vec<ImageId> {
    let claims = Claims::new(look, policy);
    let Decided { going, .. } = decide(look, policy, &claims);
    let mut wanted = HashSet::new();
    let stamps: HashSet<Stamp> = going.values().filter_map(|found| stamp_of(found, &claims)).collect();
    if !stamps.is_empty() {
        wanted
            .extend(look.snapshot.images.iter().filter(|image| stamps.contains(&image.stamp())).map(|image| image.id));
    }
    let named: Vec<&Image> = going.values().filter(|found| !found.names.is_empty()).map(|found| found.image).collect();
    if !named.is_empty() {
        // A child bears the labels of its base, unless dkb built it too and gave it its own.
        let inherited: HashSet<Stamp> =
            named.iter().map(|image| image.stamp()).filter(|stamp| !stamp.is_none()).collect();
        let used = users(look.snapshot);
        let children: Vec<ImageId> = look
            .snapshot
            .images
            .iter()
            .filter(|image| !going.contains_key(&image.id))
            .filter(|image| image.is_tagged() || used.contains_key(&image.id))
            .filter(|image| claims.is_recorded(image.id) || inherited.contains(&image.stamp()))
            .map(|image| image.id)
            .collect();
        if !children.is_empty() {
            wanted.extend(children.into_iter().chain(named.iter().map(|image| image.id)));
        }
    }
    let mut wanted: Vec<ImageId> = wanted.into_iter().collect();
    wanted.sort_unstable();
    wanted
}

/// The stamp by which an image came in that the ledger does not know.
fn stamp_of(found: &Going, claims: &Claims) -> Option<Stamp> {
    (!claims.is_recorded(found.image.id)).then(|| found.image.stamp())
}

/// The images whose stamp others may have inherited, by what those others would begin with.
pub(super) struct StampGivers<'a> {
    look: &'a Look<'a>,
    stamps: HashMap<ImageId, Stamp>,
    layered: HashSet<(Stamp, &'a [String])>,
}

impl<'a> StampGivers<'a> {
    pub(super) fn new(look: &'a Look<'a>) -> Self {
        let stamped = look.snapshot.images.iter().map(|image| (image.id, image.stamp()));
        let stamps: HashMap<ImageId, Stamp> = stamped.filter(|(_, stamp)| !stamp.is_none()).collect();
        let layered = stamps
            .iter()
            .filter_map(|(id, stamp)| Some((stamp.clone(), look.layers.get(id)?.as_slice())))
            .filter(|(_, layers)| !layers.is_empty())
            .collect();
        Self { look, stamps, layered }
    }

    /// Whether the image seems to be built on another with the same stamp.
    pub(super) fn gave_to(&self, image: &Image) -> bool {
        let Some(stamp) = self.stamps.get(&image.id) else { return false };
        if image.parent.is_some_and(|parent| self.stamps.get(&parent) == Some(stamp)) {
            return true;
        }
        let layers = self.look.layers.get(&image.id).map_or(&[][..], Vec::as_slice);
        (1..layers.len()).any(|below| self.layered.contains(&(stamp.clone(), &layers[..below])))
    }
}

/// The images that were to go but on which an image that stays is built, with that image's name. What is kept
/// keeps its own base in turn.
pub(super) fn held<'a>(
    look: &Look<'a>,
    claims: &Claims,
    going: &HashMap<ImageId, Going<'a>>,
) -> Vec<(&'a Image, String)> {
    let mut held: Vec<(&Image, String)> = Vec::new();
    let mut gone: HashMap<ImageId, &Going> = going.iter().map(|(id, found)| (*id, found)).collect();
    // A base that has a name can be built on by that name.
    let mut named: HashMap<&[String], Vec<&Going>> = HashMap::new();
    for found in going.values().filter(|found| !found.names.is_empty()) {
        if let Some(layers) = look.layers.get(&found.image.id).filter(|layers| !layers.is_empty()) {
            named.entry(layers).or_default().push(found);
        }
    }
    let mut staying: Vec<&Image> = look.snapshot.images.iter().filter(|image| !gone.contains_key(&image.id)).collect();
    while let Some(child) = staying.pop() {
        let parent = child.parent.and_then(|id| gone.get(&id).copied());
        let layers = look.layers.get(&child.id).filter(|_| !named.is_empty()).map_or(&[][..], Vec::as_slice);
        let below = (1..layers.len()).filter_map(|below| named.get(&layers[..below])).flatten().copied();
        let bases = below.filter(|base| !are_versions(claims, base.image.id, child.id));
        for base in parent.into_iter().chain(bases).map(|found| found.image) {
            if gone.remove(&base.id).is_some() {
                held.push((base, name_of(child)));
                staying.push(base);
            }
        }
    }
    held
}

/// A later version of the same Dockerfile has the layers of the former too, without being its child. So all that
/// made the one must be builds of the very Dockerfile and repository that made the other; where a Dockerfile came on
/// stdin or was given arguments, one build may be the base of the next, and nobody can tell.
fn are_versions(claims: &Claims, one: ImageId, other: ImageId) -> bool {
    let (ones, others) = (claims.builds(one), claims.builds(other));
    !ones.is_empty() && ones.iter().all(|one| others.iter().any(|other| are_of_one_line(one, other)))
}

fn are_of_one_line(one: &Build, other: &Build) -> bool {
    let share_repository =
        || one.tags.iter().any(|a| other.tags.iter().any(|b| a.canonical().repository() == b.canonical().repository()));
    one.of.project == other.of.project && is_one_file(&one.key, &other.key) && share_repository()
}

fn name_of(image: &Image) -> String {
    image.tags.iter().find(|tag| !tag.is_private()).map_or_else(|| image.id.short(), ToString::to_string)
}
