//! What is known of the build cache of one engine, and the builds of ours that nobody has looked at yet.
//!
//! A build adds its line and goes; whoever has the turn reads them, looks at the engine, and writes the books anew.
//! What is damaged says nothing: of what is not in the books nothing is taken.

use std::fs::File;

use super::folder::Folder;
use super::{State, lock_within_limit};
use crate::error::{Error, Result};
use crate::model::short_hash;
use crate::model::{CacheBooks, EndedBuild};

const BOOKS: &str = "cache.json";
const ENDED: &str = "cache-ended.jsonl";
const LOCK: &str = "cache-lock";
const TURN: &str = "cache-turn";

/// So many builds at most wait for a look; nobody has come for years if there are more.
const MOST: u64 = 1024 * 1024;

#[derive(Clone, Debug)]
pub struct CacheNotes {
    folder: Folder,
}

/// Nobody else looks or writes meanwhile.
#[derive(Debug)]
pub struct CacheTurn {
    notes: CacheNotes,
    _lock: File,
}

/// Builds that nobody has looked at yet.
#[derive(Debug)]
pub struct EndedBuilds {
    pub builds: Vec<EndedBuild>,
    /// Of the file that tells of them.
    bytes: usize,
}

impl State {
    /// Those of the engine with this identity.
    pub fn cache(&self, identity: &str) -> CacheNotes {
        CacheNotes { folder: self.folder.join("engines").join(short_hash(&[identity])) }
    }
}

impl CacheNotes {
    /// A build that has ended.
    pub fn add(&self, build: &EndedBuild) -> Result<()> {
        let _lock = self.lock()?;
        let mut file = self.folder.open_or_create(ENDED)?;
        let failed = |error| Error::failed(format!("writing {}", self.folder.path().join(ENDED).display()), error);
        if file.metadata().map_err(failed)?.len() > MOST {
            return Ok(());
        }
        let mut line = serde_json::to_string(build).unwrap_or_default();
        line.push('\n');
        std::io::Write::write_all(&mut file, line.as_bytes()).map_err(failed)
    }

    /// `None` where somebody else has the turn: he sees what was added before he ends.
    pub fn turn(&self) -> Result<Option<CacheTurn>> {
        let lock = self.folder.open_or_create(TURN)?;
        Ok(lock.try_lock().is_ok().then_some(CacheTurn { notes: self.clone(), _lock: lock }))
    }

    /// Whether a build has left any.
    pub fn are_there(&self) -> bool {
        self.has_ended() || self.folder.path().join(BOOKS).exists()
    }

    /// What whoever had the last turn has written, which is there as a whole at any moment.
    pub fn books(&self) -> Result<CacheBooks> {
        let text = self.folder.read(BOOKS)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    pub fn has_ended(&self) -> bool {
        self.folder.read(ENDED).is_ok_and(|text| text.is_some_and(|text| !text.is_empty()))
    }

    fn lock(&self) -> Result<File> {
        let lock = self.folder.open_or_create(LOCK)?;
        lock_within_limit(&self.folder.path().join(LOCK), || lock.try_lock())?;
        Ok(lock)
    }
}

impl CacheTurn {
    pub fn books(&self) -> Result<CacheBooks> {
        self.notes.books()
    }

    /// The builds that have ended since the last look.
    pub fn ended(&self) -> Result<EndedBuilds> {
        let _lock = self.notes.lock()?;
        let text = self.notes.folder.read(ENDED)?.unwrap_or_default();
        let builds = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        Ok(EndedBuilds { builds, bytes: text.len() })
    }

    /// These need not be looked at again; those that have ended since are still to be.
    pub fn forget_ended(&self, ended: &EndedBuilds) -> Result<()> {
        let _lock = self.notes.lock()?;
        let text = self.notes.folder.read(ENDED)?.unwrap_or_default();
        self.notes.folder.write(ENDED, text.get(ended.bytes..).unwrap_or_default())
    }

    pub fn write(&self, books: &CacheBooks) -> Result<()> {
        let text = serde_json::to_vec(books).map_err(|error| Error::failed("writing the books of the cache", error))?;
        self.notes.folder.replace(BOOKS, |file| std::io::Write::write_all(file, &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::key;
    use crate::model::{BuildId, CachedBuild, Stamp};

    fn build(name: &str) -> EndedBuild {
        EndedBuild {
            build: BuildId::parse(name).expect("an ID"),
            of: key("p", "s"),
            key: "k".to_owned(),
            variant: String::new(),
            compose: None,
            stamp: Stamp::from(key("p", "s")),
            began: jiff::Timestamp::UNIX_EPOCH,
            ended: jiff::Timestamp::UNIX_EPOCH,
            ok: true,
            keep: 0,
        }
    }

    #[test]
    fn what_ended_is_taken_once_and_the_books_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let notes = State::at(folder.path()).cache("engine");
        assert!(!notes.has_ended());
        notes.add(&build("1")).expect("a note");
        let turn = notes.turn().expect("a folder").expect("a turn");
        assert!(notes.turn().expect("a folder").is_none(), "one at a time");
        notes.add(&build("2")).expect("a note");
        let ended = turn.ended().expect("notes");
        assert_eq!(ended.builds, [build("1"), build("2")]);
        notes.add(&build("3")).expect("a note");
        turn.forget_ended(&ended).expect("notes");
        assert_eq!(turn.ended().expect("notes").builds, [build("3")], "it ended since");
        assert_eq!(turn.books().expect("books"), CacheBooks::default());
        let mut books = CacheBooks::default();
        let (past, needs) = (["x".to_owned()].into(), ["r".to_owned()].into());
        let of = key("p", "s");
        let at = jiff::Timestamp::UNIX_EPOCH;
        books.builds.push(CachedBuild {
            past,
            build: None,
            of,
            key: "k".into(),
            variant: "v".into(),
            compose: None,
            at,
            ok: true,
            keep: 2,
            needs,
        });
        turn.write(&books).expect("books");
        assert_eq!(turn.books().expect("books"), books);
        drop(turn);
        std::fs::write(notes.folder.path().join(BOOKS), b"{half").expect("damage");
        std::fs::write(notes.folder.path().join(ENDED), b"{half\n").expect("damage");
        let turn = notes.turn().expect("a folder").expect("a turn");
        assert_eq!(
            (turn.books().expect("books"), turn.ended().expect("notes").builds),
            (CacheBooks::default(), vec![])
        );
    }
}
