//! What is being taken away from an engine, noted as it goes: a dkb that is killed meanwhile has told nobody yet, and an
//! image that comes back later is not ours. Whoever opens the books next tells it instead.
//!
//! An image is noted before the engine is asked to delete it, and again if it stays. One that was asked for in the
//! moment of the kill, or was not answered for when dkb was asked to stop, counts as gone, unless the look shows that it
//! never went.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::Ledger;
use super::folder::Folder;
use super::lock_within_limit;
use crate::error::Result;
use crate::model::{BuildId, ImageId, Removal};

const FOLDER: &str = "removing";

/// Whoever has made the file takes its lock at once.
const A_MOMENT: u64 = 60;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RemovalNote {
    /// The engine is about to be asked to delete it, or it was found missing.
    Going(ImageId),
    /// It was asked, and the image is there still.
    Stays(ImageId),
    /// For the history.
    Went(Box<Removal>),
    /// What went so far stands in the history.
    Remembered,
}

/// The notes of this dkb, locked as long as it lives.
#[derive(Debug)]
pub struct Removing {
    path: PathBuf,
    file: File,
    /// The images that the engine was asked for, but for those that stay.
    going: RefCell<BTreeSet<ImageId>>,
}

impl Removing {
    pub fn going(&self, image: ImageId) {
        self.going.borrow_mut().insert(image);
        self.note(&RemovalNote::Going(image));
    }

    pub fn stays(&self, image: ImageId) {
        self.going.borrow_mut().remove(&image);
        self.note(&RemovalNote::Stays(image));
    }

    pub fn went(&self, removal: Removal) {
        self.note(&RemovalNote::Went(Box::new(removal)));
    }

    pub fn remembered(&self) {
        self.note(&RemovalNote::Remembered);
    }

    /// It is all in the books, but for what the engine was asked for and did not answer: that is left to whoever looks
    /// next, as after a kill.
    pub fn finish(self, unanswered: impl IntoIterator<Item = ImageId>) {
        let left: Vec<ImageId> = unanswered.into_iter().filter(|image| self.going.borrow().contains(image)).collect();
        if left.is_empty() {
            let _ = fs::remove_file(self.path);
        } else if self.file.set_len(0).is_ok() {
            for image in left {
                self.note(&RemovalNote::Going(image));
            }
        }
    }

    fn note(&self, note: &RemovalNote) {
        let mut line = serde_json::to_vec(note).unwrap_or_default();
        line.push(b'\n');
        // A note that can't be written is missed only after a kill.
        let _ = (&self.file).write_all(&line);
    }
}

/// The notes of a dkb that was killed.
#[derive(Debug)]
pub struct CutOff {
    /// The images that it took away, as far as anybody knows.
    pub gone: Vec<ImageId>,
    pub removals: Vec<Removal>,
    /// So many of them, the first, stand in the history.
    pub remembered: usize,
    /// Before any of it.
    pub began: Option<Timestamp>,
    path: PathBuf,
    /// Held while they are told, so that only one dkb does it.
    _lock: File,
}

impl CutOff {
    fn read(folder: &Folder, name: &str) -> Option<Self> {
        let mut file = folder.open(name).ok()??;
        file.try_lock().ok()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        let path = folder.path().join(name);
        if text.is_empty()
            && !file.metadata().ok()?.modified().ok()?.elapsed().is_ok_and(|age| age.as_secs() > A_MOMENT)
        {
            return None;
        }
        let (mut gone, mut removals, mut remembered) = (Vec::new(), Vec::new(), 0);
        // The last line may be torn.
        for note in text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()) {
            match note {
                RemovalNote::Going(image) => gone.push(image),
                RemovalNote::Stays(image) => gone.retain(|one| *one != image),
                RemovalNote::Went(removal) => removals.push(*removal),
                RemovalNote::Remembered => remembered = removals.len(),
            }
        }
        let mut known = BTreeSet::new();
        gone.retain(|image| known.insert(*image));
        let began = BuildId::parse(name).and_then(|name| name.began());
        Some(Self { gone, removals, remembered, began, path, _lock: file })
    }

    /// It is all in the books.
    pub fn finish(self) {
        let _ = fs::remove_file(self.path);
    }
}

impl Ledger {
    /// For somebody who is about to take things away.
    pub fn removing(&self) -> Result<Removing> {
        let folder = self.folder.join(FOLDER);
        let name = BuildId::of(Timestamp::now(), std::process::id());
        let file = folder.open_or_create(name.as_str())?;
        let path = folder.path().join(name.as_str());
        lock_within_limit(&path, || file.try_lock())?;
        Ok(Removing { path, file, going: RefCell::default() })
    }

    /// What those left who were killed.
    pub fn cut_off(&self) -> Vec<CutOff> {
        let folder = self.folder.join(FOLDER);
        let names = folder.names().into_iter().filter_map(|name| name.into_string().ok());
        names.filter_map(|name| CutOff::read(&folder, &name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;
    use crate::model::books_tests::id;
    use crate::model::history_tests::removal;

    #[test]
    fn what_was_going_when_it_was_cut_off_is_gone_unless_it_was_seen_to_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        assert!(ledger.cut_off().is_empty());
        let removing = ledger.removing().expect("notes");
        removing.going(id(1));
        removing.went(removal(1, &["app:1"]));
        removing.going(id(2));
        removing.stays(id(2));
        removing.going(id(3));
        let other = State::at(folder.path()).ledger("another engine").removing().expect("notes");
        other.going(id(9));
        assert!(ledger.cut_off().is_empty(), "it is at it still");
        let path = removing.path.clone();
        drop(removing);
        let text = fs::read(&path).expect("the notes");
        for torn in [&b""[..], b"{\"going\":\"sha", b"\xff\n"] {
            fs::write(&path, [&text, torn].concat()).expect("notes");
            let [left] = &ledger.cut_off()[..] else { panic!("one was cut off") };
            assert_eq!(left.gone, [id(1), id(3)]);
            assert_eq!(left.removals, [removal(1, &["app:1"])]);
            assert!(ledger.cut_off().is_empty(), "somebody tells it already");
        }
        ledger.cut_off().into_iter().for_each(CutOff::finish);
        assert!(ledger.cut_off().is_empty() && !path.exists());
    }

    #[test]
    fn what_the_engine_did_not_answer_for_is_left_to_whoever_looks_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        let before = Timestamp::now();
        let notes = || {
            let notes = ledger.removing().expect("notes");
            for n in 1..=3 {
                notes.going(id(n));
            }
            notes.stays(id(2));
            notes.went(removal(1, &["app:1"]));
            notes
        };
        notes().finish([]);
        assert!(ledger.cut_off().is_empty());
        // The second stays, and the fourth was never asked for.
        notes().finish([2, 3, 4].map(id));
        let [left] = &ledger.cut_off()[..] else { panic!("one was not answered for") };
        assert_eq!((&*left.gone, left.removals.len()), (&[id(3)][..], 0), "the rest is told");
        assert!(left.began.is_some_and(|began| began >= before && began <= Timestamp::now()));
    }

    #[test]
    fn what_stands_in_the_history_is_not_told_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        let notes = ledger.removing().expect("notes");
        notes.went(removal(1, &["app:1"]));
        notes.remembered();
        notes.went(removal(2, &["app:2"]));
        drop(notes);
        let [left] = &ledger.cut_off()[..] else { panic!("one was cut off") };
        assert_eq!((left.removals.len(), left.remembered), (2, 1), "they say what surely went all the same");
    }

    #[test]
    fn notes_that_were_just_begun_are_left_to_whoever_began_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        let begun = ledger.removing().expect("notes");
        let path = begun.path.clone();
        drop(begun);
        assert!(ledger.cut_off().is_empty() && path.exists());
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(A_MOMENT + 5);
        File::options().write(true).open(&path).and_then(|file| file.set_modified(old)).expect("an old file");
        assert_eq!(ledger.cut_off().len(), 1);
    }
}
