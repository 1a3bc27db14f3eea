//! What the ledger says, as plain data: builds, the images that are theirs, and the sessions that were known.

mod by_image;
mod line;
mod record;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::{Build, Image, ImageId, LedgerId, Reference, SessionEntry, SessionKey};
use by_image::ByImage;
pub use record::{More, Record};
pub use tally::Tally;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// In the order in which they ended. Builds that did the same are one, with the tags of all.
    pub builds: Vec<Build>,
    pub sessions: BTreeMap<SessionKey, SessionEntry>,
    /// What the ledger's holds on images are called by. A copy of it has none: what was held since is not in it.
    pub id: Option<LedgerId>,
    /// They were read from a copy of the ledger, out of a CI cache or a backup: records may have ended since.
    pub copied: bool,
    /// There were lines that could not be read: what they said of sessions is missing.
    pub damaged: bool,
    /// Recorded images that were not there in a look at what may have been another engine.
    pub missed: BTreeSet<ImageId>,
    /// Of these builds, and made anew where one of them ends.
    by_image: ByImage,
}

impl Books {
    /// Leaves out what was missed before and was not built behind this way to the engine: it may have come back from
    /// anywhere.
    pub fn looked_from(&mut self, home: &str) {
        let missed: HashSet<ImageId> = self.missed.iter().copied().collect();
        self.forget_where(&missed, |build| build.home.as_deref() != Some(home));
    }

    /// Ends the records of these IDs.
    pub fn forget(&mut self, gone: &HashSet<ImageId>) {
        let mut taken = self.sessions.values().flat_map(|entry| &entry.took);
        if taken.any(|taken| gone.contains(&taken.from)) {
            // Who owes what to whom by then, the lines of the ledger tell.
            return self.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: gone.iter().copied().collect() });
        }
        self.forget_where(gone, |_| true);
    }

    fn forget_where(&mut self, gone: &HashSet<ImageId>, of: impl Fn(&Build) -> bool) {
        if gone.is_empty() {
            return;
        }
        self.builds.iter_mut().filter(|build| of(build)).for_each(|build| build.forget(gone));
        self.builds.retain(|build| !build.is_empty());
        self.by_image = ByImage::default();
    }

    pub fn of_session<'a>(&'a self, key: &'a SessionKey) -> impl Iterator<Item = &'a Build> {
        self.builds.iter().filter(move |build| build.of == *key)
    }

    fn by_image(&self) -> &HashMap<ImageId, Vec<usize>> {
        let builds = self.builds.iter().enumerate();
        self.by_image.of(builds.flat_map(|(place, build)| build.images().map(move |id| (place, id))))
    }

    /// Every recorded image.
    pub fn images(&self) -> impl Iterator<Item = ImageId> {
        self.by_image().keys().copied()
    }

    pub fn has(&self, id: ImageId) -> bool {
        self.by_image().contains_key(&id)
    }

    /// Whether a line that could not be read may have said that the image is gone, or who else needs it. A later build
    /// that found it on record says nothing new.
    pub fn is_doubted(&self, id: ImageId) -> bool {
        self.claims(id).any(|build| build.doubted)
    }

    /// The builds that claim an image, in the order in which they ended.
    pub fn claims(&self, id: ImageId) -> impl DoubleEndedIterator<Item = &Build> + Clone {
        let places = self.by_image().get(&id).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.builds[*place])
    }

    /// Where the last of them stands among all builds.
    pub(crate) fn last_place(&self, id: ImageId) -> Option<usize> {
        self.by_image().get(&id)?.last().copied()
    }

    /// When dkb last built an image.
    pub fn built(&self, id: ImageId) -> Option<Timestamp> {
        self.claims(id).map(|build| build.at).max()
    }

    /// The name by which sessions of this ledger hold an image now, if any.
    pub fn hold<'i>(&self, image: &'i Image) -> Option<&'i Reference> {
        let name = image.id.hold(self.id.as_ref()?);
        image.tags.iter().find(|tag| **tag == name)
    }

    /// The names by which sessions hold it that other ledgers know: nothing in this one says when they will end.
    pub fn foreign_holds<'i>(&self, image: &'i Image) -> impl Iterator<Item = &'i Reference> + use<'i> {
        let own = self.hold(image);
        image.tags.iter().filter(move |tag| tag.is_hold() && own != Some(*tag))
    }

    /// Those of the images that are held for sessions of which this is so.
    pub(crate) fn held_by(&self, images: &[Image], is_so: impl Fn(&SessionKey) -> bool) -> HashSet<ImageId> {
        let entries = self.sessions.values().filter(|entry| is_so(&entry.key));
        let held: HashSet<ImageId> = entries.flat_map(|entry| entry.held.iter().copied()).collect();
        let is_held = |image: &&Image| held.contains(&image.id) && self.hold(image).is_some();
        images.iter().filter(is_held).map(|image| image.id).collect()
    }

    /// The shortest list of records that says the same. Sessions are never forgotten.
    pub fn records(&self, engine: &str) -> Vec<Record> {
        let ledger = |id, whole| Record::Ledger { v: VERSION, engine: engine.to_owned(), file: None, id, whole };
        let (header, end) = (ledger(self.id.clone(), None), ledger(None, Some(!self.damaged)));
        let sessions = self.sessions.values().cloned().map(Record::Session);
        let builds = self.builds.iter().cloned().map(Record::Build);
        let missed = (!self.missed.is_empty()).then(|| Record::Missed {
            at: self.builds.last().map_or(Timestamp::UNIX_EPOCH, |build| build.at),
            ids: self.missed.iter().copied().collect(),
        });
        std::iter::once(header).chain(sessions).chain(builds).chain(missed).chain([end]).collect()
    }
}

/// The ledger's version: raised when an older dkb could no longer read it rightly.
pub const VERSION: u32 = 1;
