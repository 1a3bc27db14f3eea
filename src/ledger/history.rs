//! What dkb took away, in two files of a fixed size: once the first is full it takes the place of the second.
//!
//! Nobody waits here for anybody. A record is added by one write at the file's end, so those of several dkb stand one
//! after the other; only who turns the files over holds a lock, and who finds it held adds to the file as it is.
//! Nothing is synced: what a machine that loses its power forgets is worth no build's time.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::folder::Folder;
use crate::error::{Error, Result};
use crate::files::ends_with_newline;
use crate::model::Removal;

/// Some ten thousand removals.
const FULL: u64 = 4 * 1024 * 1024;
/// What is written at a time.
const PART: usize = 256 * 1024;
/// A file grows beyond its size while somebody else is at turning it over, who may have been stopped there.
const LARGEST: u64 = 2 * FULL;
/// Longer than a write takes.
const A_WRITE: Duration = Duration::from_millis(20);

const FILE: &str = "removals.jsonl";
const FORMER: &str = "removals.1.jsonl";
const LOCK: &str = "lock";

#[derive(Clone, Debug)]
pub struct History {
    folder: Folder,
    full: u64,
}

impl History {
    pub(super) fn new(folder: Folder) -> Self {
        Self { folder, full: FULL }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    pub fn append(&self, removals: &[Removal]) -> Result<()> {
        let mut part = String::new();
        for removal in removals {
            part += &removal.line();
            if part.len() >= PART {
                self.write(&std::mem::take(&mut part))?;
            }
        }
        if part.is_empty() { Ok(()) } else { self.write(&part) }
    }

    fn write(&self, lines: &str) -> Result<()> {
        let mut file = self.folder.open_or_create(FILE)?;
        if !self.has_room(&file, lines)? {
            self.turn_over(lines)?;
            file = self.folder.open_or_create(FILE)?;
        }
        let length = self.length(&file)?;
        if length > LARGEST {
            return Err(self
                .failed("it is full, and somebody holds the lock to turn it over")
                .hint("look for a stopped dkb, and end it"));
        }
        let torn = length > 0 && !ends_with_newline(&mut file).map_err(|error| self.failed(error))?;
        // Somebody was killed in the middle of a line, or had no room for it. It stays unreadable, ours does not.
        let lines = if torn { format!("\n{lines}") } else { lines.to_owned() };
        // One write and no second: by then somebody else may have added to the file.
        match write_once(&mut file, lines.as_bytes()) {
            Ok(written) if written == lines.len() => Ok(()),
            Ok(_) => Err(self.failed("there was no room for all of it")),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn has_room(&self, file: &File, lines: &str) -> Result<bool> {
        let length = self.length(file)?;
        Ok(length == 0 || length.saturating_add(lines.len() as u64) <= self.full)
    }

    fn length(&self, file: &File) -> Result<u64> {
        Ok(file.metadata().map_err(|error| self.failed(error))?.len())
    }

    /// Lets the file that is full become the former one, unless somebody is at that, or was quicker.
    fn turn_over(&self, lines: &str) -> Result<()> {
        let lock = self.folder.open_or_create(LOCK)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(self.failed(error)),
        }
        let now = self.folder.open_or_create(FILE)?;
        if self.has_room(&now, lines)? { Ok(()) } else { self.folder.rename(FILE, FORMER) }
    }

    /// All that is remembered, the oldest first, and how many lines say nothing to this dkb.
    pub fn read(&self) -> Result<(Vec<Removal>, usize)> {
        let (now, mut former) = (self.folder.open(FILE)?, self.folder.open(FORMER)?);
        if let (Some(now), Some(same)) = (&now, &former)
            && is_one(now, same)
        {
            // It was turned over between the two, and is read as what it was.
            former = None;
        }
        let (mut removals, mut unread) = (Vec::new(), 0_usize);
        for file in [former, now].into_iter().flatten() {
            let mut text = self.text(&file)?;
            // What has no end yet may just be being written. Else it was torn off; whoever comes next begins a line of
            // its own.
            if text.last().is_some_and(|last| *last != b'\n') {
                std::thread::sleep(A_WRITE);
                text = self.text(&file)?;
            }
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match Removal::read(line) {
                    Some(removal) => removals.push(removal),
                    None => unread = unread.saturating_add(1),
                }
            }
        }
        // Who writes last may have looked at the clock first.
        removals.sort_by_key(|removal| removal.at);
        Ok((removals, unread))
    }

    /// The end of it, where somebody has made it longer than dkb ever does.
    fn text(&self, mut file: &File) -> Result<Vec<u8>> {
        const MOST: u64 = LARGEST + PART as u64;
        let too_much = self.length(file)?.saturating_sub(MOST);
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(too_much)).and_then(|_| file.take(MOST).read_to_end(&mut bytes));
        read.map_err(|error| Error::failed(format!("reading {}", self.path().display()), error))?;
        Ok(bytes)
    }

    fn failed(&self, happened: impl std::fmt::Display) -> Error {
        Error::failed(format!("writing {}", self.path().display()), happened)
    }
}

fn write_once(file: &mut File, bytes: &[u8]) -> std::io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

fn is_one(one: &File, other: &File) -> bool {
    let place = |file: &File| file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    place(one).is_some() && place(one) == place(other)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ledger::State;
    use crate::model::history_tests::removal;

    fn history() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().expect("a folder");
        let history = State::at(folder.path()).history();
        (folder, history)
    }

    fn numbered(n: usize) -> Removal {
        removal(1, &[&format!("app:{n}")])
    }

    fn names(history: &History) -> Vec<String> {
        history.read().expect("the history").0.into_iter().flat_map(|removal| removal.names).collect()
    }

    #[test]
    fn what_was_never_written_says_nothing() {
        let (folder, history) = history();
        assert_eq!(history.read(), Ok((Vec::new(), 0)));
        history.append(&[]).expect("nothing");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let (_folder, history) = history();
        let history = History { full: 4096, ..history };
        for n in 0..200 {
            history.append(&[numbered(n)]).expect("a note");
            let sizes =
                [FILE, FORMER].map(|name| fs::metadata(history.folder.path().join(name)).map_or(0, |f| f.len()));
            assert!(sizes.into_iter().all(|size| size <= 4096), "{sizes:?}");
        }
        let names = names(&history);
        assert!(names.len() > 8 && names.len() < 40, "{}", names.len());
        let newest: Vec<String> = (200 - names.len()..200).map(|n| format!("app:{n}")).collect();
        assert_eq!(names, newest, "none is lost between the two files");
        assert_eq!(history.read().expect("the history").1, 0);
    }

    #[test]
    fn a_clean_of_more_than_fits_leaves_the_newest() {
        let (_folder, history) = history();
        let all: Vec<Removal> = (0..40_000).map(numbered).collect();
        history.append(&all).expect("a note");
        let (kept, unread) = history.read().expect("the history");
        assert!(kept.len() > 10_000 && kept.len() < 40_000 && unread == 0, "{}", kept.len());
        assert_eq!(kept.last(), all.last());
        let size = |name: &str| fs::metadata(history.folder.path().join(name)).expect("a file").len();
        assert!(size(FILE) <= FULL && size(FORMER) <= FULL);
    }

    #[test]
    fn lines_of_many_at_once_are_whole_and_all_there() {
        let (_folder, history) = history();
        let batch: Vec<Removal> = (0..5).map(numbered).collect();
        let all_there = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    all_there.wait();
                    (0..240).for_each(|_| history.append(&batch).expect("a note"));
                });
            }
        });
        let (kept, unread) = history.read().expect("the history");
        assert_eq!((kept.len(), unread), (9600, 0));
    }

    #[test]
    fn turning_over_by_many_at_once_loses_nothing_but_the_oldest() {
        let (_folder, history) = history();
        let history = History { full: 64 * 1024, ..history };
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let history = history.clone();
                scope
                    .spawn(move || (0..100).for_each(|n| history.append(&[numbered(writer * 1000 + n)]).expect("one")));
            }
        });
        let (kept, unread) = history.read().expect("the history");
        let full = 64 * 1024 / numbered(7099).line().len();
        assert!(unread == 0 && kept.len() >= full, "{} of {full}, {unread} unread", kept.len());
    }

    #[test]
    fn who_comes_late_does_not_turn_over_what_somebody_has_just_begun() {
        let (_folder, history) = history();
        let history = History { full: 1024, ..history };
        history.append(&[numbered(1)]).expect("a note");
        history.folder.rename(FILE, FORMER).expect("somebody was quicker");
        history.append(&[numbered(2)]).expect("a note");
        history.turn_over(&numbered(3).line()).expect("nothing to do");
        assert_eq!(names(&history), ["app:1", "app:2"]);
        history.turn_over(&"x".repeat(1024)).expect("turned over");
        assert_eq!(names(&history), ["app:2"]);
    }

    #[test]
    fn nobody_waits_for_who_turns_over() {
        let (_folder, history) = history();
        let history = History { full: 1024, ..history };
        history.append(&[numbered(0)]).expect("a note");
        let lock = history.folder.open_or_create(LOCK).expect("the lock");
        lock.lock().expect("the lock");
        let began = std::time::Instant::now();
        for n in 1..20 {
            history.append(&[numbered(n)]).expect("a note");
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(names(&history).len(), 20);
        let file = File::options().write(true).open(history.path()).expect("the file");
        file.set_len(LARGEST + 1).expect("a large file");
        let error = history.append(&[numbered(20)]).expect_err("it is full");
        assert!(error.what().contains("full"), "{error}");
        drop(lock);
        history.append(&[numbered(21)]).expect("a note");
        assert!(names(&history).contains(&"app:21".to_owned()));
    }

    #[test]
    fn damage_costs_its_own_line_only() {
        let (_folder, history) = history();
        history.append(&[numbered(1)]).expect("a note");
        let whole = fs::read(history.path()).expect("the file");
        for cut in 1..whole.len() {
            fs::write(history.path(), &whole[..cut]).expect("a torn file");
            // What was torn off may have been the end of the line alone.
            let whole = usize::from(cut == whole.len() - 1);
            let read = || history.read().map(|(kept, unread)| (kept.len(), unread));
            assert_eq!(read(), Ok((whole, 1 - whole)), "cut at {cut}");
            history.append(&[numbered(2)]).expect("a note");
            assert_eq!(read(), Ok((1 + whole, 1 - whole)), "cut at {cut}");
        }
        let newer = numbered(3).line().replacen("\"v\":1", "\"v\":2", 1);
        fs::write(history.path(), [newer.as_bytes(), b"\xff\xfe\0\n\n{}\n"].concat()).expect("damage");
        history.append(&[numbered(4)]).expect("a note");
        assert_eq!((names(&history), history.read().expect("the history").1), (vec!["app:4".to_owned()], 3));
        let left = fs::read_to_string(history.path());
        assert!(left.is_err(), "the damage is left as it is");
        assert!(fs::read(history.path()).expect("the file").starts_with(newer.as_bytes()));
    }

    #[test]
    fn no_link_is_followed_and_no_pipe_waited_for() {
        let (folder, history) = history();
        history.append(&[numbered(1)]).expect("a note");
        fs::remove_file(history.path()).expect("gone");
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "theirs").expect("a file");
        std::os::unix::fs::symlink(&theirs, history.path()).expect("a link");
        assert!(history.append(&[numbered(2)]).is_err() && history.read().is_err());
        assert_eq!(fs::read_to_string(&theirs).expect("the file"), "theirs");
        fs::remove_file(history.path()).expect("gone");
        rustix::fs::mkfifoat(rustix::fs::CWD, history.path(), rustix::fs::Mode::from_raw_mode(0o600)).expect("a pipe");
        assert!(history.append(&[numbered(2)]).is_err() && history.read().is_err());
    }
}
