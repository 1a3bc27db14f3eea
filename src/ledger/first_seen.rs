//! When images were first seen, for those whose own date says nothing.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use jiff::Timestamp;

use super::Ledger;
use crate::error::Result;
use crate::model::ImageId;

const FILE: &str = "first-seen.json";

impl Ledger {
    /// The first sight of each of these images, which are all there are; those not seen before are seen now.
    pub fn first_seen(&self, images: &[ImageId], now: Timestamp) -> Result<HashMap<ImageId, Timestamp>> {
        let unnoted = "images without a credible date count as seen for the first time, and stay";
        // What can't be read is seen anew, and so stays the longer.
        let known = self.folder.read(FILE).map_err(|error| error.hint(unnoted))?;
        let known: BTreeMap<ImageId, Timestamp> =
            known.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let seen: BTreeMap<ImageId, Timestamp> =
            images.iter().map(|id| (*id, known.get(id).copied().unwrap_or(now).min(now))).collect();
        if seen != known {
            let text = serde_json::to_vec(&seen).unwrap_or_default();
            self.folder.replace(FILE, |file| file.write_all(&text)).map_err(|error| error.hint(unnoted))?;
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
