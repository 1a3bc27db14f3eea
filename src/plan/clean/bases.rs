//! Which image is built on which. The classic builder and Podman name a parent; `BuildKit` does not, and there
//! the layers tell: what begins with all layers of another image, and has more, may be its child.

use std::collections::HashMap;

use super::claims::Claims;
use super::look::CleanLook;
use super::steps::Going;
use crate::model::{Build, Holder, Image, ImageId};
use crate::plan::argv::is_one_file;

/// The images that were to go but on which an image that stays is built, with that image. What is kept
/// keeps its own base in turn.
pub(super) fn held<'a>(
    look: &CleanLook<'a>,
    claims: &Claims,
    going: &HashMap<ImageId, Going<'a>>,
) -> Vec<(&'a Image, Holder)> {
    let mut held: Vec<(&Image, Holder)> = Vec::new();
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
                held.push((base, called(child)));
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
    let (mut ones, others) = (claims.builds(one), claims.builds(other));
    claims.is_recorded(one) && ones.all(|one| others.clone().any(|other| are_of_one_line(one, other)))
}

fn are_of_one_line(one: &Build, other: &Build) -> bool {
    let share_repository =
        || one.tags.iter().any(|a| other.tags.iter().any(|b| a.canonical().repository() == b.canonical().repository()));
    one.of.project == other.of.project && is_one_file(&one.key, &other.key) && share_repository()
}

fn called(child: &Image) -> Holder {
    let name = child.public_tags().next().map(ToString::to_string);
    Holder::Child { id: child.id, name }
}
