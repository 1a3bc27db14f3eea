//! The ledger's file: append-only lines under a lock, read whole, written anew when most of it is past.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::folder::Folder;
use super::lock_within_limit;
use crate::error::{Error, Result};
use crate::files::ends_with_newline;
use crate::model::{Books, LedgerId, Record, Tally, VERSION};

/// Below this a rewrite is not worth its risk; above it, one is looked at each time the ledger has doubled.
const COMPACT_FROM: u64 = 256 * 1024;

/// No line of ours is longer. Longer ones of an older dkb are read all the same, for they end records.
const LONGEST_LINE: usize = 1024 * 1024;

/// What is larger than this was not written by dkb.
const LARGEST: u64 = 1024 * 1024 * 1024;

const READ_AT_ONCE: usize = 64 * 1024;

const FILE: &str = "ledger.jsonl";
const LOCK: &str = "lock";

#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) folder: Folder,
    engine: String,
    /// How it stood when it was last read by this one or a copy of it.
    read: Arc<Mutex<Option<LedgerMark>>>,
}

/// The ledger's length, and the number of its file: lines are only ever added, so one of the same mark says the same.
/// `None` while there is none.
pub type LedgerMark = Option<(u64, Option<u64>)>;

impl Ledger {
    pub(super) fn new(folder: Folder, engine: &str) -> Self {
        Self { folder, engine: engine.to_owned(), read: Arc::default() }
    }

    /// The ledger in this folder, by its own word, if anything was written to it since then.
    pub(super) fn found(folder: Folder, since: Timestamp) -> Option<Self> {
        let file = folder.open(FILE).ok()??;
        let changed = Timestamp::try_from(file.metadata().and_then(|file| file.modified()).ok()?).ok()?;
        let mut first = String::new();
        BufReader::new(file).take(LONGEST_LINE as u64).read_line(&mut first).ok()?;
        match serde_json::from_str(&first).ok()? {
            Record::Ledger { engine, .. } if changed >= since => Some(Self::new(folder, &engine)),
            _ => None,
        }
    }

    /// The engine's identity.
    pub(super) fn engine(&self) -> &str {
        &self.engine
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// What the ledger says. A ledger that is not there says nothing; damaged lines are counted, and put what
    /// stands before them in doubt.
    pub fn read(&self) -> Result<(Books, usize)> {
        let contents = self.read_quietly()?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(contents.mark);
        Ok((contents.books, contents.damaged))
    }

    /// How it stood when it was last read.
    pub fn as_read(&self) -> Option<LedgerMark> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands now.
    pub fn mark(&self) -> Result<LedgerMark> {
        Ok(self.text()?.map(|text| text.mark()))
    }

    fn read_quietly(&self) -> Result<Understood> {
        let text = match self.folder.open(LOCK)? {
            Some(lock) => {
                lock_within_limit(&self.lock_path(), || lock.try_lock_shared())?;
                self.text()?
            }
            // No lock file: nobody has written here yet, or the folder came from a copy without it.
            None => self.text()?,
        };
        let contents = self.understand(text)?;
        if contents.is_mostly_past() {
            // Whoever reads it next is spared that. One that can't be written stays as it is.
            let _ = self.compact(&contents);
        }
        Ok(contents)
    }

    /// Adds records, all in one write, so that they are seen together or not at all.
    pub fn append(&self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let lines = lines(records, LONGEST_LINE)
            .map_err(|why| Error::failed(format!("writing {}", self.path().display()), why))?;
        self.add(|_| lines)
    }

    /// What its holds on images are called by. It is made up when it is asked for first, and a copy makes up its own.
    pub fn id(&self) -> Result<LedgerId> {
        let known = || self.read_quietly().map(|contents| contents.books.id);
        if let Some(id) = known()? {
            return Ok(id);
        }
        self.add(|file| line(&self.header(file, new_id())))?;
        known()?
            .ok_or_else(|| Error::failed(format!("reading {}", self.path().display()), "what was added is not there"))
    }

    fn add(&self, lines: impl FnOnce(&File) -> String) -> Result<()> {
        let lock = self.folder.open_or_create(LOCK)?;
        lock_within_limit(&self.lock_path(), || lock.try_lock())?;
        let failed = |error| {
            Error::failed(format!("writing {}", self.path().display()), error)
                .hint("dkb forgets what it cannot note, and then leaves it alone")
        };
        let mut file = self.folder.open_or_create(FILE)?;
        let before = without_half_a_line(&mut file).map_err(failed)?;
        let mut text = String::new();
        if before == 0 {
            text += &line(&self.header(&file, None));
        } else {
            self.refuse_newer(&file)?;
            if !ends_with_newline(&mut file).map_err(failed)? {
                // What was written there stays as it is, and ours is a line of its own.
                text.push('\n');
            }
        }
        text += &lines(&file);
        if let Err(error) = file.write_all(text.as_bytes()) {
            // Half of it must not be seen.
            let _ = file.set_len(before);
            return Err(failed(error));
        }
        let level = |length: u64| (length / COMPACT_FROM).checked_ilog2();
        if level(before.saturating_add(text.len() as u64)) > level(before) {
            // The records are noted, whatever comes of this.
            let _ = self.compact_locked();
        }
        Ok(())
    }

    fn header(&self, file: &File, id: Option<LedgerId>) -> Record {
        Record::Ledger { v: VERSION, engine: self.engine.clone(), file: number(file), id, whole: None }
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.path().join(LOCK)
    }

    /// A newer dkb may mean things by its records that this one cannot know, so it neither reads nor writes.
    fn refuse_newer(&self, mut file: &File) -> Result<()> {
        let mut first = String::new();
        let read = file.rewind().and_then(|()| BufReader::new(file).take(LONGEST_LINE as u64).read_line(&mut first));
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

    /// The file as it is now. Lines are only ever added, and a new file takes its place as a whole, so that it can be
    /// read to this length while nobody waits for the lock.
    fn text(&self) -> Result<Option<LedgerText>> {
        let tried = || format!("reading {}", self.path().display());
        let Some(file) = self.folder.open(FILE)? else { return Ok(None) };
        let length = file.metadata().map_err(|error| Error::failed(tried(), error))?.len();
        if length > LARGEST {
            return Err(Error::failed(tried(), "it is larger than any ledger").hint("move it away: it is damaged"));
        }
        Ok(Some(LedgerText { file, length }))
    }

    fn understand(&self, text: Option<LedgerText>) -> Result<Understood> {
        let Some(text) = text else { return Ok(Understood::default()) };
        let tried = || format!("reading {}", self.path().display());
        let mark = text.mark();
        let (length, number) = mark;
        let mut tally = Tally::default();
        let (mut lines, mut parts, mut damaged) = (0_usize, 0_usize, 0_usize);
        let mut reader = BufReader::with_capacity(READ_AT_ONCE, text.file.take(length));
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(|error| Error::failed(tried(), error))? > 0 {
            let text = line.trim_ascii();
            if !text.is_empty() {
                lines = lines.saturating_add(1);
                match record(text) {
                    Ok(Record::Ledger { v, .. }) if v > VERSION => return Err(self.newer()),
                    Ok(Record::Ledger { engine, .. }) if engine != self.engine => {
                        return Err(Error::failed(tried(), "it is the ledger of another engine")
                            .hint("somebody copied it here: remove it, or put back the right one"));
                    }
                    Ok(Record::Ledger { file, .. }) if file.is_some() && file != number => tally.copied(),
                    Ok(record) => {
                        // One that is too long for a line has others before it, however often it is written.
                        parts = parts.saturating_add(usize::from(matches!(record, Record::More(_))));
                        tally.count(record);
                    }
                    // Whoever writes the next one takes it away.
                    Err(Unread::Torn) if !line.ends_with(b"\n") => {}
                    Err(Unread::Torn | Unread::Lost) => {
                        damaged = damaged.saturating_add(1);
                        tally.lost();
                        if lines == 1 {
                            // Nothing else says which file it was written to.
                            tally.copied();
                        }
                    }
                }
            }
            line.clear();
        }
        Ok(Understood { books: tally.books(), mark: Some(mark), lines: lines.saturating_sub(parts), damaged })
    }

    fn compact(&self, contents: &Understood) -> Result<()> {
        let lock = self.folder.open_or_create(LOCK)?;
        // Who has it is about to change what this would be made from.
        lock.try_lock().map_err(|error| Error::failed("locking the ledger", error))?;
        if self.mark()? == contents.mark { self.write_anew(contents) } else { Ok(()) }
    }

    /// Writes the ledger anew if most of its lines are past. The lock must be held.
    fn compact_locked(&self) -> Result<()> {
        let contents = self.understand(self.text()?)?;
        if contents.is_mostly_past() { self.write_anew(&contents) } else { Ok(()) }
    }

    fn write_anew(&self, contents: &Understood) -> Result<()> {
        let mut records = contents.books.records(&self.engine);
        self.folder.replace(FILE, |file| {
            let header = self.header(file, contents.books.id.clone());
            // A copy stays one: what it does not know of it never will.
            let copied =
                Record::Ledger { v: VERSION, engine: self.engine.clone(), file: Some(0), id: None, whole: None };
            records.splice(..1, contents.books.copied.then_some(copied).into_iter().chain([header]));
            file.write_all(lines(&records, LONGEST_LINE).map_err(std::io::Error::other)?.as_bytes())
        })
    }
}

/// Why a line can't be read.
enum Unread {
    /// At the end of the file: whoever was writing it was killed. He had acted upon it no more than if he had been
    /// killed before: what was built or taken away has notes of its own until it stands here.
    Torn,
    /// It was written, and is damaged, or a newer dkb's.
    Lost,
}

fn record(line: &[u8]) -> Result<Record, Unread> {
    let line = std::str::from_utf8(line).map_err(|_| Unread::Lost)?;
    serde_json::from_str(line)
        .map_err(|error| if error.is_eof() && !line.ends_with('}') { Unread::Torn } else { Unread::Lost })
}

struct LedgerText {
    file: File,
    length: u64,
}

impl LedgerText {
    fn mark(&self) -> (u64, Option<u64>) {
        (self.length, number(&self.file))
    }
}

#[derive(Default)]
struct Understood {
    books: Books,
    mark: LedgerMark,
    lines: usize,
    damaged: usize,
}

impl Understood {
    fn is_mostly_past(&self) -> bool {
        let needed = self.books.sessions.len().saturating_add(self.books.builds.len()).saturating_add(1);
        self.mark.is_some_and(|(length, _)| length >= COMPACT_FROM) && needed.saturating_mul(2) <= self.lines
    }
}

/// The number that the file system gives a file. A device's number would change with every start of the machine.
fn number(file: &File) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().ok().map(|metadata| metadata.ino())
}

/// Of sixteen digits that nobody else comes to.
fn new_id() -> Option<LedgerId> {
    // Each has keys of its own, from the system's random numbers.
    LedgerId::parse(format!("{:016x}", RandomState::new().hash_one((std::process::id(), Timestamp::now()))))
}

fn line(record: &Record) -> String {
    // Records are plain data with string keys: there is nothing in them that JSON could not say.
    let mut text = serde_json::to_string(record).unwrap_or_default();
    text.push('\n');
    text
}

/// The lines of these records. One that is too long for a line becomes several.
fn lines(records: &[Record], longest: usize) -> Result<String, &'static str> {
    let mut text = String::new();
    let mut left: Vec<Cow<Record>> = records.iter().rev().map(Cow::Borrowed).collect();
    while let Some(record) = left.pop() {
        let line = line(&record);
        if line.len() <= longest {
            text += &line;
        } else {
            let (first, second) = record.into_owned().halves().ok_or("a name in it is longer than any name is")?;
            left.extend([Cow::Owned(second), Cow::Owned(first)]);
        }
    }
    Ok(text)
}

/// Takes away half a line at the end, in the middle of which somebody was killed: once another one stands behind it, it
/// would be one that was damaged. The length that is left.
fn without_half_a_line(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    if length == 0 || ends_with_newline(file)? {
        return Ok(length);
    }
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LINE as u64)))?;
    (&*file).take(LONGEST_LINE as u64).read_to_end(&mut last)?;
    let line = last.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if !matches!(record(line), Err(Unread::Torn)) {
        return Ok(length);
    }
    let whole = length.saturating_sub(line.len() as u64);
    file.set_len(whole)?;
    Ok(whole)
}
