//! Who gave which name, who took it, and who bears it: asked for every loan, and so worked out once.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::given::GivenName;
use super::look::CleanLook;
use crate::model::{Image, ImageId, Reference, SessionKey, Taken};

/// Of the names that sessions took.
pub(super) struct LoanIndex<'a> {
    givers: HashMap<ImageId, HashMap<GivenName<'a>, BTreeSet<&'a SessionKey>>>,
    took: HashMap<(&'a SessionKey, Reference), Vec<&'a Taken>>,
    bearers: HashMap<Reference, Vec<(&'a Image, &'a Reference)>>,
}

impl<'a> LoanIndex<'a> {
    pub(super) fn new(look: &'a CleanLook<'a>) -> Self {
        let CleanLook { books, snapshot, .. } = *look;
        let mut took: HashMap<_, Vec<&Taken>> = HashMap::new();
        let (mut names, mut images) = (HashSet::new(), HashSet::new());
        for entry in books.sessions.values() {
            for taken in &entry.took {
                names.insert(taken.tag.canonical_name());
                images.insert(taken.from);
                took.entry((&entry.key, taken.tag.canonical())).or_default().push(taken);
            }
        }
        let mut bearers: HashMap<Reference, Vec<(&Image, &Reference)>> = HashMap::new();
        for image in &snapshot.images {
            images.insert(image.id);
            for tag in &image.tags {
                if names.contains(&tag.canonical_name()) {
                    bearers.entry(tag.canonical()).or_default().push((image, tag));
                }
            }
        }
        let is_taken = |name: &GivenName| !matches!(name, GivenName::Written(name) if !names.contains(name));
        let mut givers: HashMap<ImageId, HashMap<GivenName, BTreeSet<&SessionKey>>> = HashMap::new();
        for image in images {
            for build in books.claims(image) {
                for name in GivenName::by(build, image).filter(is_taken) {
                    givers.entry(image).or_default().entry(name).or_default().insert(&build.of);
                }
            }
        }
        Self { givers, took, bearers }
    }

    fn given<'s>(&'s self, image: ImageId, tag: &'s Reference) -> impl Iterator<Item = &'s BTreeSet<&'a SessionKey>> {
        let names = self.givers.get(&image).into_iter();
        names.flat_map(move |names| GivenName::of(image, tag).filter_map(|name| names.get(&name)))
    }

    /// Whether a build of this session gave the image this name.
    pub(super) fn gave(&self, session: &SessionKey, image: ImageId, tag: &Reference) -> bool {
        self.given(image, tag).any(|by| by.contains(session))
    }

    /// The sessions whose builds gave the image this name, in the order of their names.
    pub(super) fn givers(&self, image: ImageId, tag: &Reference) -> BTreeSet<&'a SessionKey> {
        self.given(image, tag).flatten().copied().collect()
    }

    /// What this session took under this name; the last owner stands last.
    pub(super) fn took(&self, session: &'a SessionKey, tag: &Reference) -> &[&'a Taken] {
        self.took.get(&(session, tag.canonical())).map_or(&[], Vec::as_slice)
    }

    /// By which sessions, and from which images, the tag had been taken that this image bore.
    pub(super) fn taken_before(
        &self,
        image: ImageId,
        tag: &Reference,
    ) -> impl Iterator<Item = (&'a SessionKey, &'a Taken)> {
        let givers = self.givers(image, tag).into_iter();
        givers.flat_map(move |key| self.took(key, tag).iter().map(move |taken| (key, *taken)))
    }

    /// The images that bear this name now, each as it bears it.
    pub(super) fn bearers(&self, tag: &Reference) -> &[(&'a Image, &'a Reference)] {
        self.bearers.get(&tag.canonical()).map_or(&[], Vec::as_slice)
    }
}
