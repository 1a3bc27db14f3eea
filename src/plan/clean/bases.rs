//! Which image is built on which. The classic builder and Podman name a parent; `BuildKit` does not, and there
//! the layers tell: what begins with all layers of another image, and has more, may be its child.

use std::collections::HashMap;

use super::claims::Claims;
use super::{Going, Look, Policy, Scope};
use crate::model::{Image, ImageId};

/// The layers of those images for which they were asked, lowest first.
pub type Layers = HashMap<ImageId, Vec<String>>;

/// The images whose layers the plan needs: one question each, so they are few. Only what bears a stamp or is on
/// record can be a child that matters, since a child inherits the labels of its base.
pub fn wants_layers(look: &Look, policy: &Policy) -> Vec<ImageId> {
    let recorded = look.books.images();
    let seen = |image: &&Image| recorded.contains_key(&image.id) || !image.stamp().is_none();
    let stranger = |image: &Image| !recorded.contains_key(&image.id) && !image.stamp().is_none();
    let doors = look.here.named || policy.trust_stamp;
    let tags_go = policy.tags && look.snapshot.images.iter().any(|image| image.is_tagged() && seen(&image));
    let strangers = doors && policy.scope != Scope::All && look.snapshot.images.iter().any(stranger);
    if !tags_go && !strangers {
        return Vec::new();
    }
    let wanted = |image: &&Image| seen(image) && (strangers || image.is_tagged());
    look.snapshot.images.iter().filter(wanted).map(|image| image.id).collect()
}

/// Another image with the same stamp, on which this one seems to be built: it would have inherited the stamp.
pub(super) fn stamp_giver<'a>(look: &Look<'a>, image: &Image) -> Option<&'a Image> {
    let stamp = image.stamp();
    look.snapshot.images.iter().find(|base| base.id != image.id && base.stamp() == stamp && is_base(look, base, image))
}

fn is_base(look: &Look, base: &Image, child: &Image) -> bool {
    if child.parent == Some(base.id) {
        return true;
    }
    match (look.layers.get(&base.id), look.layers.get(&child.id)) {
        (Some(base), Some(child)) => !base.is_empty() && child.len() > base.len() && child.starts_with(base),
        _ => false,
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
    let named: Vec<&Going> = going.values().filter(|found| !found.names.is_empty()).collect();
    let mut staying: Vec<&Image> = look.snapshot.images.iter().filter(|image| !gone.contains_key(&image.id)).collect();
    while let Some(child) = staying.pop() {
        let parent = child.parent.and_then(|id| gone.get(&id).copied());
        let bases = named.iter().copied().filter(|base| is_named_base(look, claims, base, child));
        for base in parent.into_iter().chain(bases).map(|found| found.image) {
            if gone.remove(&base.id).is_some() {
                held.push((base, name_of(child)));
                staying.push(base);
            }
        }
    }
    held
}

/// A base that has a name can be built on by that name. A later version of the same Dockerfile has its layers
/// too, without being a child: it comes from the same kind of build.
fn is_named_base(look: &Look, claims: &Claims, base: &Going, child: &Image) -> bool {
    if base.names.is_empty() || !is_base(look, base.image, child) {
        return false;
    }
    let siblings = claims.builds(base.image.id).iter().any(|one| {
        claims.builds(child.id).iter().any(|other| one.of.project == other.of.project && one.key == other.key)
    });
    !siblings
}

fn name_of(image: &Image) -> String {
    image.tags.iter().find(|tag| !tag.is_private()).map_or_else(|| image.id.short(), ToString::to_string)
}
