//! Which names builds gave an image.
//!
//! A build names what it ends in. Whoever ends in one of its steps, by the cache, and names that, does so for himself.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;

use crate::model::{Build, CanonicalName, ImageId, Reference};

/// A name as a build gives it. A build in a long loop of an unchanged image gives very many.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum GivenName<'t> {
    Written(CanonicalName<'t>),
    /// Tilt tags what it was handed once more, in the same repository: `tilt-` and the beginning of the image's ID, behind
    /// what its own reference has before `tilt-build-` where all of a registry is one repository. Others may begin theirs
    /// so.
    OfTilt {
        repository: &'t str,
        before: &'t str,
    },
}

impl<'t> GivenName<'t> {
    /// Those that this build gave the image.
    pub(super) fn by(build: &'t Build, image: ImageId) -> impl Iterator<Item = Self> {
        let tags = if build.result == Some(image) { &build.tags[..] } else { &[] };
        tags.iter().map(Reference::canonical_name).flat_map(|name| {
            let of_tilt = build.tilt.then(|| {
                let before = name.tag.split_once("tilt-build-").map_or("", |(before, _)| before);
                Self::OfTilt { repository: name.repository, before }
            });
            std::iter::once(Self::Written(name)).chain(of_tilt)
        })
    }

    /// What the image would have been given, where it was given this name.
    pub(super) fn of(image: ImageId, tag: &'t Reference) -> impl Iterator<Item = Self> {
        let name = tag.canonical_name();
        let of_tilt = name.tag.rsplit_once("tilt-");
        let of_tilt = of_tilt.filter(|(_, digits)| digits.len() >= 12 && image.starts_with(digits));
        let of_tilt = of_tilt.map(|(before, _)| Self::OfTilt { repository: name.repository, before });
        std::iter::once(Self::Written(name)).chain(of_tilt)
    }
}

/// So many questions are answered by looking at all names in turn.
const FEW: usize = 16;

/// The names that some builds gave an image. Most often one or two are asked for, and an image that is built anew and
/// anew under another tag was given very many.
pub(crate) struct GivenNames<'b> {
    image: ImageId,
    builds: Vec<&'b Build>,
    asked: Cell<usize>,
    names: OnceCell<HashSet<GivenName<'b>>>,
}

impl<'b> GivenNames<'b> {
    pub(crate) fn new(image: ImageId, builds: impl IntoIterator<Item = &'b Build>) -> Self {
        let builds = builds.into_iter().collect();
        Self { image, builds, asked: Cell::default(), names: OnceCell::new() }
    }

    pub(crate) fn has(&self, tag: &Reference) -> bool {
        let mut wanted = GivenName::of(self.image, tag);
        let all = || self.builds.iter().flat_map(|build| GivenName::by(build, self.image));
        if self.asked.replace(self.asked.get().saturating_add(1)) < FEW {
            return wanted.any(|wanted| all().any(|name| name == wanted));
        }
        let names = self.names.get_or_init(|| all().collect());
        wanted.any(|name| names.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{build, id, key};

    fn name(text: &str) -> Reference {
        Reference::listed(text).expect("a name")
    }

    #[test]
    fn the_answer_is_the_same_however_often_it_is_asked_for() {
        let of = key("p", "s");
        let given = |n, tags: &[&str], tilt| Build {
            tags: tags.iter().map(|tag| Reference::written(tag).expect("a name")).collect(),
            tilt,
            ..build("b", &of, n, &[7])
        };
        let builds = [
            given(1, &["app", "docker.io/library/other:1"], false),
            given(1, &["shop:tilt-build-1"], true),
            given(1, &["all:web-tilt-build-1"], true),
            given(2, &["foreign"], false),
        ];
        let [of_result, of_step] = [1, 7].map(|n| GivenNames::new(id(n), &builds));
        let digits = id(1).to_string()[7..23].to_owned();
        for asked in 0..FEW * 2 {
            for (tag, is_given) in [
                ("app:latest", true),
                ("docker.io/library/app:latest", true),
                ("other:1", true),
                ("foreign:latest", false),
                ("localhost/app:latest", false),
                (&format!("shop:tilt-{digits}"), true),
                (&format!("app:tilt-{digits}"), false),
                (&format!("all:web-tilt-{digits}"), true),
                (&format!("all:tilt-{digits}"), false),
                ("shop:tilt-0123456789abcdef", false),
            ] {
                assert_eq!(of_result.has(&name(tag)), is_given, "{tag}, asked {asked}");
                assert!(!of_step.has(&name(tag)), "{tag}, asked {asked}");
            }
        }
    }
}
