//! Which image has its stamp from the image that it is built on.

use std::collections::{HashMap, HashSet};

use super::look::CleanLook;
use crate::model::{Image, ImageId, Stamp};

/// The images whose stamp others may have inherited, by what those others would begin with.
pub(super) struct StampGivers<'a> {
    look: &'a CleanLook<'a>,
    stamps: HashMap<ImageId, Stamp>,
    layered: HashSet<(Stamp, &'a [String])>,
}

impl<'a> StampGivers<'a> {
    pub(super) fn new(look: &'a CleanLook<'a>) -> Self {
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
