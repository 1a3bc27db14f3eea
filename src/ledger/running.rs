//! A build that is running, or that was cut off: what it meant to do, and what it has been seen to do so far.
//!
//! Its folder is locked as long as dkb or the docker that it started lives. A folder whose lock is free is a
//! build that was killed; the next dkb finishes its books.

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk_room::has_room;
use super::folder::Folder;
use super::id_file::{OwnIdFile, read_iid};
use super::{State, lock_within_limit};
use crate::error::Result;
use crate::model::{BuildId, ImageId, Name, Reference, SessionKey, Shown, ShownLine, Stamp};

const LOCK: &str = "lock";
const INTENT: &str = "intent.json";
const JOURNAL: &str = "journal";

/// What a build is about to do, noted before docker starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub build: BuildId,
    #[serde(flatten)]
    pub of: SessionKey,
    pub started: Timestamp,
    pub tags: Vec<Reference>,
    pub key: String,
    #[serde(default)]
    pub stamp: Stamp,
    pub classic: bool,
    pub tilt: bool,
    pub ci: bool,
    pub slot: Option<Name>,
    /// The working copy that it runs in.
    #[serde(default)]
    pub copy: Option<Name>,
    /// The socket behind which docker will find its engine, for the moments in which nobody knows yet who that is.
    #[serde(default)]
    pub socket: Option<String>,
    /// The names that the other targets of this bake give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Reference>,
    /// The project of compose's that it is built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<Name>,
}

impl Intent {
    /// One that says nothing yet but whose build it is.
    pub fn new(build: BuildId, of: SessionKey, started: Timestamp) -> Self {
        Self {
            build,
            of,
            started,
            tags: Vec::new(),
            key: String::new(),
            stamp: Stamp::default(),
            classic: false,
            tilt: false,
            ci: false,
            slot: None,
            copy: None,
            socket: None,
            beside: Vec::new(),
            compose: None,
        }
    }
}

/// One line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BuildNote {
    /// The identity of the engine that docker talks to, and its clock when the build began.
    Engine { identity: String, began: Timestamp },
    /// The image that a tag named before.
    Before { tag: Reference, id: ImageId },
    /// Every image that was there before.
    All(Vec<ImageId>),
    #[serde(untagged)]
    Shown(ShownLine),
}

/// The folder of a build that this dkb runs.
#[derive(Debug)]
pub struct Running {
    folder: Folder,
    id_file: OnceCell<OwnIdFile>,
    pub lock: File,
}

/// What is seen of a build while it runs, for whoever finishes its books if this dkb cannot.
#[derive(Debug)]
pub struct Journal(File);

/// What is known of a build that another dkb began.
#[derive(Debug)]
pub struct Unfinished {
    pub intent: Intent,
    pub engine: Option<(String, Timestamp)>,
    pub before: Vec<(Reference, ImageId)>,
    /// Every image that was there before, where that was asked.
    pub all: Option<HashSet<ImageId>>,
    pub shown: Shown,
    /// The ID that docker itself wrote when the build was done.
    pub result: Option<ImageId>,
    folder: Folder,
    /// Held while the books of a dead build are finished, so that only one dkb does it; `None`: it still runs.
    lock: Option<File>,
}

impl State {
    pub fn begin(&self, intent: &Intent) -> Result<Running> {
        let folder = self.folder.join("builds").join(intent.build.as_str());
        folder.make()?;
        if let Err(error) = has_room(&folder.path()) {
            let _ = fs::remove_dir(folder.path());
            return Err(error);
        }
        let lock = folder.open_or_create(LOCK)?;
        lock_within_limit(&folder.path().join(LOCK), || lock.try_lock())?;
        let text = serde_json::to_vec(intent).unwrap_or_default();
        folder.write(INTENT, &text).inspect_err(|_| {
            let _ = fs::remove_dir_all(folder.path());
        })?;
        Ok(Running { id_file: OnceCell::new(), folder, lock })
    }

    /// The names of the folders of all builds.
    pub fn build_folders(&self) -> Vec<OsString> {
        self.folder.join("builds").names()
    }

    /// Whether a build of this session runs now.
    pub fn builds_in(&self, key: &SessionKey) -> bool {
        self.unfinished().iter().any(|build| build.still_runs() && build.intent.of == *key)
    }

    /// Every build that has a folder: those that run, and those that were cut off.
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let builds = self.folder.join("builds");
        builds.names().into_iter().filter_map(|name| Unfinished::read(builds.join(name))).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.id_file.get().inspect(|file| file.settle(&self.folder.path()));
        // The same as for a session: whatever docker left running is no build.
        let _ = self.lock.unlock();
    }
}

impl Running {
    /// Where docker is to write the ID of the result.
    pub fn iidfile(&self) -> PathBuf {
        self.id_file.get_or_init(|| OwnIdFile::new(&self.folder.path())).path()
    }

    /// Called now and then while docker builds: its place, and room in it, must be there when docker is done.
    pub fn keep_iidfile(&self) {
        self.id_file.get().inspect(|file| file.keep());
    }

    pub fn journal(&self) -> Option<Journal> {
        self.folder.open_or_create(JOURNAL).ok().map(Journal)
    }

    /// Whether it was noted which engine this was.
    pub fn knows_engine(&self) -> bool {
        notes(&self.folder).iter().any(|note| matches!(note, BuildNote::Engine { .. }))
    }

    /// The books of this build are in the ledger.
    pub fn finish(self) {
        self.id_file.get().inspect(|file| file.remove());
        let _ = fs::remove_dir_all(self.folder.path());
    }
}

impl Journal {
    pub fn note_engine(&mut self, identity: &str, began: Timestamp) {
        self.note(&BuildNote::Engine { identity: identity.to_owned(), began });
    }

    pub fn note_before(&mut self, tag: &Reference, id: ImageId) {
        self.note(&BuildNote::Before { tag: tag.clone(), id });
    }

    pub fn note_all(&mut self, images: impl IntoIterator<Item = ImageId>) {
        self.note(&BuildNote::All(images.into_iter().collect()));
    }

    pub fn note_shown(&mut self, line: ShownLine) {
        self.note(&BuildNote::Shown(line));
    }

    fn note(&mut self, note: &BuildNote) {
        let mut line = serde_json::to_vec(note).unwrap_or_default();
        line.push(b'\n');
        // A journal that cannot be written costs the recovery after a crash, never the build.
        let _ = self.0.write_all(&line);
    }
}

impl Unfinished {
    fn read(folder: Folder) -> Option<Self> {
        let lock = folder.open(LOCK).ok()??;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => return None,
        };
        let intent: Option<Intent> =
            folder.read(INTENT).ok().flatten().and_then(|text| serde_json::from_slice(&text).ok());
        let Some(intent) = intent else {
            // Killed before it had written what it meant to do: docker was not started yet.
            if lock.is_some() && is_old(&folder.path()) {
                OwnIdFile::of(&folder.path()).remove();
                let _ = fs::remove_dir_all(folder.path());
            }
            return None;
        };
        let mut unfinished = Self {
            intent,
            engine: None,
            before: Vec::new(),
            all: None,
            shown: Shown::default(),
            result: read_iid(&OwnIdFile::of(&folder.path()).path()),
            folder,
            lock,
        };
        for note in notes(&unfinished.folder) {
            match note {
                BuildNote::Engine { identity, began } => unfinished.engine = Some((identity, began)),
                BuildNote::Before { tag, id } => unfinished.before.push((tag, id)),
                BuildNote::All(all) => unfinished.all = Some(all.into_iter().collect()),
                BuildNote::Shown(line) => unfinished.shown.add(line),
            }
        }
        Some(unfinished)
    }

    pub fn still_runs(&self) -> bool {
        self.lock.is_none()
    }

    /// Its books are done, or nothing can be learnt any more.
    pub fn finish(self) {
        if self.lock.is_some() {
            OwnIdFile::of(&self.folder.path()).remove();
            let _ = fs::remove_dir_all(self.folder.path());
        }
    }
}

/// The lines of a journal that can be read: the last one may be torn.
fn notes(folder: &Folder) -> Vec<BuildNote> {
    let journal = folder.read(JOURNAL).ok().flatten().unwrap_or_default();
    journal.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// A folder without an intent may be one that is being made right now.
fn is_old(folder: &Path) -> bool {
    let modified = fs::metadata(folder).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() > 60))
}
