//! Of which images the layers are asked for.

use std::collections::HashSet;

use super::super::uses::users;
use super::claims::Claims;
use super::decide::{Decided, decide};
use super::look::{CleanLook, CleanPolicy};
use super::steps::Going;
use crate::model::{Image, ImageId, Stamp};

/// The images whose layers the plan needs. They cost one question each, so the plan is first made without them:
/// they matter for a named image that would go, which something that stays may be built on, and for a stamped
/// image that would come in by a door, which may have inherited its stamp.
pub(crate) fn wants_layers(look: &CleanLook, policy: &CleanPolicy) -> Vec<ImageId> {
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

/// The stamp by which an image came in that the ledger does not know, or no longer for sure.
fn stamp_of(found: &Going, claims: &Claims) -> Option<Stamp> {
    (!claims.is_sure(found.image.id)).then(|| found.image.stamp())
}
