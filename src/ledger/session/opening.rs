//! One time that a session was opened: by whom, on which engine, and how it stands.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ledger::folder::Folder;
use crate::ledger::lock_within_limit;
use crate::model::{Name, Owner, SessionKey};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    #[serde(flatten)]
    pub(super) key: SessionKey,
    #[serde(default)]
    pub(super) owner: Option<Owner>,
    /// When its owner came. One that an earlier dkb wrote does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) came: Option<Timestamp>,
    /// Since when somebody has kept the session open, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) opened: Option<Timestamp>,
    /// That it died has been said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) told: bool,
    /// It is over, and was left as it is for somebody to look at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) left: bool,
    /// It has been ended, but for what somebody still holds: its watcher goes, and a later clean finds it dead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ended: bool,
    /// The engine that it is on, once that is known; what an earlier dkb wrote may be on several. Any, while there is
    /// none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) engines: BTreeSet<String>,
    /// The working copies that it was opened in, its own and those that left it to this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) copies: BTreeSet<Name>,
}

impl Contents {
    pub(super) fn nothing(key: &SessionKey) -> Self {
        Self {
            key: key.clone(),
            owner: None,
            came: None,
            opened: None,
            told: false,
            left: false,
            ended: false,
            engines: BTreeSet::new(),
            copies: BTreeSet::new(),
        }
    }

    /// Whether it was opened on this machine and not left for a look, where nobody holds it any more.
    pub(super) fn died(&self, machine: &str) -> bool {
        !self.left && self.owner.as_ref().is_some_and(|owner| owner.machine == machine)
    }

    pub(super) fn may_be_on(&self, engine: Option<&str>) -> bool {
        self.engines.is_empty() || engine.is_some_and(|engine| self.engines.contains(engine))
    }

    /// What stays of it once it was ended there.
    pub(super) fn ended_on(mut self, engine: Option<&str>) -> Self {
        self.engines.retain(|known| Some(known.as_str()) != engine);
        if self.engines.is_empty() {
            self = Self::nothing(&self.key);
        }
        self
    }
}

/// The lock on a session, held as long as this lives. A child that inherited it holds it where this one is killed.
#[derive(Debug)]
pub struct SessionHold {
    pub file: File,
}

impl Drop for SessionHold {
    fn drop(&mut self) {
        // A docker that has ended may have left something running that inherited the lock, and means nothing by it.
        let _ = self.file.unlock();
    }
}

/// Its file, whose lock a guard and its watcher hold.
#[derive(Clone, Debug)]
pub struct OpeningFile {
    folder: Folder,
    pub(super) name: String,
}

/// Between the session's name and the keeper's.
pub(super) const OF: char = '@';

/// The session whose file this is.
pub(super) fn of(name: &str) -> &str {
    name.split_once(OF).map_or(name, |(session, _)| session)
}

impl OpeningFile {
    pub(super) fn named(folder: &Folder, name: String) -> Self {
        Self { folder: folder.clone(), name }
    }

    pub(super) fn of_keeper(folder: &Folder, session: &str, keeper: &str) -> Self {
        Self::named(folder, format!("{session}{OF}{keeper}"))
    }

    /// Takes the lock that says "alive", unless it has been ended and cleared away meanwhile.
    pub fn hold(&self) -> Result<Option<SessionHold>> {
        let Some(file) = self.folder.open(&self.name)? else { return Ok(None) };
        lock_within_limit(&self.path(), || file.try_lock_shared())?;
        Ok(is_at(&file, &self.path()).then_some(SessionHold { file }))
    }

    /// The engine that it is on, once that is known.
    pub fn engine(&self) -> Option<String> {
        self.contents()?.engines.pop_first()
    }

    /// Since when somebody has kept the session open, one after another.
    pub fn opened(&self) -> Option<Timestamp> {
        self.contents()?.opened
    }

    /// Says that it is alive, for the time when it no longer is: the file's own date is the last sign of life.
    pub fn beat(&self) {
        if let Ok(Some(file)) = self.folder.open(&self.name) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// The last sign of life.
    pub(super) fn last_beat(&self) -> Option<Timestamp> {
        self.folder.open(&self.name).ok()??.metadata().and_then(|file| file.modified()).ok()?.try_into().ok()
    }

    pub(super) fn contents(&self) -> Option<Contents> {
        serde_json::from_slice(&self.folder.read(&self.name).ok()??).ok()
    }

    pub(super) fn write(&self, contents: &Contents) -> Result<()> {
        let text = serde_json::to_string(contents).unwrap_or_default();
        // In place: a rename would leave the lock on a file that nobody finds any more.
        self.folder.write(&self.name, text.as_bytes())
    }

    /// Writes what is no sign of life.
    pub(super) fn write_quietly(&self, contents: &Contents) -> Result<()> {
        let last = self.last_beat();
        self.write(contents)?;
        if let (Some(last), Ok(Some(file))) = (last, self.folder.open(&self.name)) {
            let _ = file.set_modified(last.into());
        }
        Ok(())
    }

    /// Whether somebody holds its lock. What cannot be found out is held. Asked by whoever has the turn to look at locks.
    pub(super) fn is_held(&self) -> bool {
        match self.folder.open(&self.name) {
            Ok(Some(file)) => file.try_lock().is_err(),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    pub(super) fn remove_if_free(&self) {
        if let Ok(Some(file)) = self.folder.open(&self.name)
            && file.try_lock().is_ok()
            && is_at(&file, &self.path())
        {
            let _ = fs::remove_file(self.path());
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let known = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().is_ok_and(|open| fs::symlink_metadata(path).is_ok_and(|there| known(there) == known(open)))
}
