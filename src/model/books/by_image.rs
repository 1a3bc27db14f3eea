//! Where the builds of each image stand, worked out once and when it is first asked for.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::model::ImageId;

#[derive(Clone, Debug, Default)]
pub(super) struct ByImage(OnceCell<HashMap<ImageId, Vec<usize>>>);

/// It follows from the builds, and says nothing of its own.
impl PartialEq for ByImage {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByImage {}

impl ByImage {
    /// Reads which place made which image only where that was not worked out before.
    pub(super) fn of(&self, made: impl Iterator<Item = (usize, ImageId)>) -> &HashMap<ImageId, Vec<usize>> {
        self.0.get_or_init(|| {
            let mut all: HashMap<ImageId, Vec<usize>> = HashMap::new();
            for (place, id) in made {
                let places = all.entry(id).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            all
        })
    }
}
