//! When images were first seen, for those whose own date says nothing.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Write};

use jiff::Timestamp;

use super::{Ledger, create_folder};
use crate::error::{Error, Result};
use crate::model::ImageId;

impl Ledger {
    /// The first sight of each of these images, which are all there are; those not seen before are seen now.
    pub fn first_seen(&self, images: &[ImageId], now: Timestamp) -> Result<HashMap<ImageId, Timestamp>> {
        let path = self.path().with_file_name("first-seen.json");
        let failed = |error| {
            Error::failed(format!("noting in {}", path.display()), error)
                .hint("images without a credible date count as seen for the first time, and stay")
        };
        let known: BTreeMap<ImageId, Timestamp> = match std::fs::read(&path) {
            // What can't be read is seen anew, and so stays the longer.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(failed(error)),
        };
        let seen: BTreeMap<ImageId, Timestamp> =
            images.iter().map(|id| (*id, known.get(id).copied().unwrap_or(now).min(now))).collect();
        if seen != known {
            let folder = path.parent().unwrap_or(&path);
            create_folder(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
            file.write_all(&serde_json::to_vec(&seen).unwrap_or_default()).map_err(failed)?;
            file.persist(&path).map_err(|error| failed(error.error))?;
        }
        Ok(seen.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;
    use crate::model::books_tests::id;

    #[test]
    fn the_first_sight_is_remembered_until_the_image_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        let at = |second| Timestamp::from_second(second).expect("a time");
        let seen = |ids: &[u8], second| {
            let ids: Vec<_> = ids.iter().map(|n| id(*n)).collect();
            ledger.first_seen(&ids, at(second)).expect("a note")
        };
        assert_eq!(seen(&[], 1).len(), 0);
        assert_eq!(seen(&[1], 10)[&id(1)], at(10));
        let both = seen(&[1, 2], 20);
        assert_eq!((both[&id(1)], both[&id(2)]), (at(10), at(20)));
        seen(&[2], 30);
        assert_eq!(seen(&[1], 40)[&id(1)], at(40), "one that comes back is a new one");
    }
}
