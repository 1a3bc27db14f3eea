//! Which names builds gave an image.
//!
//! A build names what it ends in. Whoever ends in one of its steps, by the cache, and names that, does so for himself.

use std::collections::HashSet;

use crate::model::{Build, ImageId, Reference};

/// A name as a build gives it.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum GivenName {
    Written(Reference),
    /// Tilt tags what it was handed once more, in the same repository: `tilt-` and the beginning of the image's ID, behind
    /// what its own reference has before `tilt-build-` where all of a registry is one repository. Others may begin theirs
    /// so.
    OfTilt {
        repository: String,
        before: String,
    },
}

impl GivenName {
    /// Those that this build gave the image.
    pub(super) fn by(build: &Build, image: ImageId) -> impl Iterator<Item = Self> {
        let tags = if build.result == Some(image) { &build.tags[..] } else { &[] };
        tags.iter().map(Reference::canonical).flat_map(|tag| {
            let of_tilt = build.tilt.then(|| {
                let before = tag.tag().split_once("tilt-build-").map_or("", |(before, _)| before);
                Self::OfTilt { repository: tag.repository().to_owned(), before: before.to_owned() }
            });
            std::iter::once(Self::Written(tag)).chain(of_tilt)
        })
    }

    /// What the image would have been given, where it was given this name.
    pub(super) fn of(image: ImageId, tag: &Reference) -> impl Iterator<Item = Self> {
        let tag = tag.canonical();
        let of_tilt = tag.tag().rsplit_once("tilt-");
        let of_tilt = of_tilt.filter(|(_, digits)| digits.len() >= 12 && image.starts_with(digits));
        let of_tilt = of_tilt
            .map(|(before, _)| Self::OfTilt { repository: tag.repository().to_owned(), before: before.to_owned() });
        std::iter::once(Self::Written(tag)).chain(of_tilt)
    }
}

/// The names that some builds gave an image.
pub(crate) struct GivenNames {
    image: ImageId,
    names: HashSet<GivenName>,
}

impl GivenNames {
    pub(crate) fn new<'b>(image: ImageId, builds: impl IntoIterator<Item = &'b Build>) -> Self {
        Self { image, names: builds.into_iter().flat_map(|build| GivenName::by(build, image)).collect() }
    }

    pub(crate) fn has(&self, tag: &Reference) -> bool {
        GivenName::of(self.image, tag).any(|name| self.names.contains(&name))
    }
}
