//! Children before parents: the order in which images can go.

use std::collections::HashMap;

use crate::model::{Image, ImageId};

/// How many images each one is built on, as far as the engine names parents. A circle, which no engine makes,
/// ends the count instead of the program.
pub(crate) fn depths<'a>(images: impl Iterator<Item = &'a Image> + Clone) -> HashMap<ImageId, usize> {
    let parents: HashMap<ImageId, Option<ImageId>> = images.clone().map(|image| (image.id, image.parent)).collect();
    let mut depths: HashMap<ImageId, usize> = HashMap::with_capacity(parents.len());
    for image in images {
        let mut path = Vec::new();
        let mut next = Some(image.id);
        let mut base = 0;
        while let Some(id) = next {
            if let Some(&known) = depths.get(&id) {
                base = known.saturating_add(1);
                break;
            }
            if path.len() > parents.len() {
                break;
            }
            path.push(id);
            next = parents.get(&id).copied().flatten();
        }
        for (above, id) in path.into_iter().rev().enumerate() {
            depths.insert(id, above.saturating_add(base));
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image_tests::image;

    #[test]
    fn a_child_is_deeper_than_what_it_is_built_on() {
        let images = [image(3).parent(2).done(), image(1).done(), image(2).parent(1).done(), image(4).parent(9).done()];
        let depths = depths(images.iter());
        let at = |index: usize| depths[&images[index].id];
        assert!(at(0) > at(2) && at(2) > at(1));
        assert_eq!(depths.len(), 5, "an unlisted parent counts too");
    }

    #[test]
    fn a_circle_ends() {
        let images = [image(1).parent(2).done(), image(2).parent(1).done()];
        assert_eq!(depths(images.iter()).len(), 2);
    }
}
