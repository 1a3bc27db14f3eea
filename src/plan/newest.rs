//! The newest images of every repository, which a number of them is kept by.

use std::collections::{HashMap, HashSet};

use crate::model::{ImageId, Reference};

/// Each image by the names that count. Of two of one age the one with the higher ID.
pub(crate) fn newest_of_each_repository<'a, Age: Ord + Copy>(
    images: impl Iterator<Item = (ImageId, Vec<&'a Reference>, Age)>,
    n: usize,
) -> HashSet<ImageId> {
    let mut repositories: HashMap<String, Vec<(Age, ImageId)>> = HashMap::new();
    for (id, names, age) in images {
        let names = names.into_iter().map(|tag| tag.canonical().repository().to_owned());
        let names: HashSet<String> = names.map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect();
        for name in names {
            repositories.entry(name).or_default().push((age, id));
        }
    }
    let mut newest = HashSet::new();
    for mut versions in repositories.into_values() {
        versions.sort_unstable_by(|a, b| b.cmp(a));
        newest.extend(versions.into_iter().take(n).map(|(_, id)| id));
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::id;
    use crate::model::image_tests::image;

    #[test]
    fn each_repository_has_its_newest_and_an_image_may_be_that_of_several() {
        let images = [
            image(1).tag("app:1").done(),
            image(2).tag("app:2").tag("docker.io/library/tool").done(),
            image(3).tag("tool:2").done(),
            image(4).tag("dkb.invalid/bin:4").done(),
        ];
        let newest = |n| {
            let mut found: Vec<ImageId> = {
                let named = images.iter().zip(1..).map(|(image, age)| (image.id, image.public_tags().collect(), age));
                newest_of_each_repository(named, n).into_iter().collect()
            };
            found.sort_unstable();
            found
        };
        assert_eq!(newest(0), []);
        assert_eq!(newest(1), [id(2), id(3)]);
        assert_eq!(newest(2), [id(1), id(2), id(3)]);
    }
}
