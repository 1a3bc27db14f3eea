//! The ledger's file: append-only lines under a lock, read whole, written anew when most of it is past.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{create_folder, lock_within_limit, open_or_create};
use crate::error::{Error, Result};
use crate::model::{Books, Record, VERSION};

/// Below this a rewrite is not worth its risk; above it, one is looked at each time so much has been added.
const COMPACT_EVERY: u64 = 256 * 1024;

/// No record of ours is longer; a longer line is damage.
const LONGEST_LINE: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Ledger {
    folder: PathBuf,
    engine: String,
}

impl Ledger {
    pub(super) fn new(folder: PathBuf, engine: &str) -> Self {
        Self { folder, engine: engine.to_owned() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("ledger.jsonl")
    }

    /// What the ledger says. A ledger that is not there says nothing; damaged lines are skipped and counted.
    pub fn read(&self) -> Result<(Books, usize)> {
        match File::open(self.lock_path()) {
            Ok(lock) => lock_within_limit(&self.lock_path(), || lock.try_lock_shared())
                .and_then(|()| self.read_locked())
                .map(|read| (read.books, read.damaged)),
            // No lock file: nobody has written here yet, or the folder came from a copy without it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.read_locked().map(|read| (read.books, read.damaged))
            }
            Err(error) => Err(Error::failed(format!("opening {}", self.lock_path().display()), error)),
        }
    }

    /// Adds records, all in one write, so that they are seen together or not at all.
    pub fn append(&self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        create_folder(&self.folder)?;
        let lock = open_or_create(&self.lock_path())?;
        lock_within_limit(&self.lock_path(), || lock.try_lock())?;
        let failed = |error| {
            Error::failed(format!("writing {}", self.path().display()), error)
                .hint("dkb forgets what it cannot note, and then leaves it alone")
        };
        let mut file = open_or_create(&self.path())?;
        let before = file.metadata().map_err(failed)?.len();
        let mut text = String::new();
        if before == 0 {
            text += &line(&self.header(&file));
        } else {
            self.refuse_newer()?;
            if !ends_with_newline(&mut file).map_err(failed)? {
                // Somebody was killed in the middle of a line. It stays unreadable, ours does not.
                text.push('\n');
            }
        }
        for record in records {
            text += &line(record);
        }
        file.write_all(text.as_bytes()).map_err(failed)?;
        let after = before + text.len() as u64;
        if after / COMPACT_EVERY > before / COMPACT_EVERY {
            self.compact_locked()?;
        }
        Ok(())
    }

    fn header(&self, file: &File) -> Record {
        Record::Ledger { v: VERSION, engine: self.engine.clone(), file: number(file) }
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// A newer dkb may mean things by its records that this one cannot know, so it neither reads nor writes.
    fn refuse_newer(&self) -> Result<()> {
        let Ok(file) = File::open(self.path()) else { return Ok(()) };
        let mut first = String::new();
        let read = BufReader::new(file).take(LONGEST_LINE as u64).read_line(&mut first);
        match (read, serde_json::from_str(&first)) {
            (Ok(_), Ok(Record::Ledger { v, .. })) if v > VERSION => Err(self.newer()),
            _ => Ok(()),
        }
    }

    fn newer(&self) -> Error {
        Error::failed(
            format!("reading {}", self.path().display()),
            "it was written by a newer dkb; this one leaves it alone, and deletes nothing",
        )
        .hint("update dkb, or point DKB_STATE_DIR at another folder")
    }

    fn read_locked(&self) -> Result<Contents> {
        let failed = |error| Error::failed(format!("reading {}", self.path().display()), error);
        let mut contents = Contents::default();
        let file = match File::open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(contents),
            Err(error) => return Err(failed(error)),
        };
        let own = number(&file);
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        loop {
            text.clear();
            if (&mut reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut text).map_err(failed)? == 0 {
                return Ok(contents);
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            contents.lines += 1;
            match serde_json::from_slice(&text) {
                Ok(Record::Ledger { v, .. }) if v > VERSION => return Err(self.newer()),
                Ok(Record::Ledger { engine, .. }) if engine != self.engine => {
                    return Err(Error::failed(
                        format!("reading {}", self.path().display()),
                        "it is the ledger of another engine",
                    )
                    .hint("somebody copied it here: remove it, or put back the right one"));
                }
                Ok(Record::Ledger { file, .. }) => contents.books.copied |= file.is_some() && file != own,
                Ok(record) => contents.books.apply(record),
                Err(_) => contents.damaged += 1,
            }
        }
    }

    /// Writes the ledger anew if most of its lines are past. The lock must be held.
    fn compact_locked(&self) -> Result<()> {
        let Contents { books, lines, .. } = self.read_locked()?;
        let mut records = books.records(&self.engine);
        if records.len() * 2 > lines {
            return Ok(());
        }
        let failed = |error| Error::failed(format!("compacting {}", self.path().display()), error);
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        // A copy stays one: what it does not know of it never will.
        let number = if books.copied { Some(0) } else { number(file.as_file()) };
        if let Some(Record::Ledger { file, .. }) = records.first_mut() {
            *file = number;
        }
        for record in &records {
            file.write_all(line(record).as_bytes()).map_err(failed)?;
        }
        // The old ledger is replaced only by one that is wholly on the disk.
        file.as_file().sync_all().map_err(failed)?;
        fs::rename(file.into_temp_path(), self.path()).map_err(failed)
    }
}

#[derive(Default)]
struct Contents {
    books: Books,
    lines: usize,
    damaged: usize,
}

/// The number that the file system gives a file. A device's number would change with every start of the machine.
fn number(file: &File) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().ok().map(|metadata| metadata.ino())
}

fn line(record: &Record) -> String {
    // Records are plain data with string keys: there is nothing in them that JSON could not say.
    let mut text = serde_json::to_string(record).unwrap_or_default();
    text.push('\n');
    text
}

fn ends_with_newline(file: &mut File) -> std::io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;
    use crate::model::books_tests::{build, id, key};

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        (folder, ledger)
    }

    #[test]
    fn what_was_never_written_says_nothing() {
        let (_folder, ledger) = ledger();
        assert_eq!(ledger.read(), Ok((Books::default(), 0)));
    }

    #[test]
    fn a_torn_last_line_costs_that_line_only() {
        let (_folder, ledger) = ledger();
        let of = key("p", "s");
        ledger.append(&[Record::Build(build("1", &of, 1, &[]))]).expect("a note");
        let whole = fs::read(ledger.path()).expect("the file");
        ledger.append(&[Record::Build(build("2", &of, 2, &[]))]).expect("a note");
        let all = fs::read(ledger.path()).expect("the file");
        for cut in whole.len()..all.len() {
            fs::write(ledger.path(), &all[..cut]).expect("a torn file");
            ledger.append(&[Record::Build(build("3", &of, 3, &[]))]).expect("a note");
            let (books, _) = ledger.read().expect("the ledger");
            let images = books.images();
            assert!(images.contains_key(&id(1)) && images.contains_key(&id(3)), "cut at {cut}");
        }
    }

    #[test]
    fn damage_is_counted_and_never_adds_a_record() {
        let (_folder, ledger) = ledger();
        ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
        let mut bytes = fs::read(ledger.path()).expect("the file");
        bytes.extend_from_slice(b"{\"t\":\"build\"}\n\xff\xfe\n{\"t\":\"unheard-of\"}\n\n");
        fs::write(ledger.path(), bytes).expect("a damaged file");
        let (books, damaged) = ledger.read().expect("the ledger");
        assert_eq!((books.builds.len(), damaged), (1, 3));
    }

    #[test]
    fn a_newer_ledger_is_neither_read_nor_written() {
        let (_folder, ledger) = ledger();
        fs::create_dir_all(ledger.path().parent().expect("a folder")).expect("a folder");
        let newer = "{\"t\":\"ledger\",\"v\":2,\"engine\":\"engine\",\"more\":1}\n";
        fs::write(ledger.path(), newer).expect("a file");
        assert!(ledger.read().is_err());
        assert!(ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).is_err());
        assert_eq!(fs::read_to_string(ledger.path()).expect("the file"), newer);
    }

    #[test]
    fn the_ledger_of_another_engine_is_refused() {
        let (folder, ledger) = ledger();
        let other = State::at(folder.path()).ledger("other");
        other.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
        fs::create_dir_all(ledger.path().parent().expect("a folder")).expect("a folder");
        fs::copy(other.path(), ledger.path()).expect("a copy");
        assert!(ledger.read().is_err());
    }

    #[test]
    fn a_copy_knows_that_it_is_one() {
        let (folder, ledger) = ledger();
        ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
        assert!(!ledger.read().expect("the ledger").0.copied);
        let saved = folder.path().join("saved");
        fs::copy(ledger.path(), &saved).expect("a copy");
        fs::rename(&saved, ledger.path()).expect("the copy in its place");
        ledger.append(&[Record::Build(build("2", &key("p", "s"), 2, &[]))]).expect("a note");
        let (books, _) = ledger.read().expect("the ledger");
        assert!(books.copied && books.images().len() == 2);
    }

    #[test]
    fn compaction_keeps_what_is_and_which_sessions_were() {
        let (_folder, ledger) = ledger();
        let (past, now) = (key("p", "past"), key("p", "now"));
        ledger.append(&[Record::Build(build("0", &past, 9, &[]))]).expect("a note");
        ledger.append(&[Record::Gone { at: jiff::Timestamp::UNIX_EPOCH, ids: vec![id(9)] }]).expect("a note");
        let mut longest = 0;
        for n in 0..4000 {
            ledger.append(&[Record::Build(build("again", &now, 1, &[2]))]).expect("a note");
            let length = fs::metadata(ledger.path()).expect("the file").len();
            assert!(length < 2 * COMPACT_EVERY, "after {n}: {length}");
            longest = longest.max(length);
        }
        assert!(longest > fs::metadata(ledger.path()).expect("the file").len(), "it never got shorter");
        let (books, damaged) = ledger.read().expect("the ledger");
        assert_eq!(damaged, 0);
        assert_eq!(books.images().len(), 2);
        assert!(books.sessions.contains_key(&past) && books.sessions.contains_key(&now));
    }

    #[test]
    fn many_writers_lose_nothing() {
        let (_folder, ledger) = ledger();
        let of = key("p", "s");
        std::thread::scope(|scope| {
            for n in 0..50 {
                let (ledger, of) = (&ledger, &of);
                scope.spawn(move || {
                    ledger.append(&[Record::Build(build(&n.to_string(), of, n + 1, &[]))]).expect("a note");
                });
            }
        });
        let (books, damaged) = ledger.read().expect("the ledger");
        assert_eq!((books.builds.len(), damaged), (50, 0));
    }
}
