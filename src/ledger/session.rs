//! Which sessions are at work: a file a session, whose lock says so.
//!
//! Every running build, guard and watcher holds the lock, shared. The kernel lets go of it when the last of
//! them ends, however it ends, so nothing here ever guesses from a process number.
//!
//! Whoever opened the session and will end it has a small file beside it, locked as long as it lives: a session may
//! have several such keepers, and only the last of them ends it.

mod keepers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use keepers::is_watched_at_most;
pub use keepers::{Keeper, KeptBy};

use super::folder::Folder;
use super::{State, lock_within_limit};
use crate::error::Result;
use crate::model::short_hash;
use crate::model::{Life, Name, Opening, Owner, SessionKey};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contents {
    #[serde(flatten)]
    key: SessionKey,
    #[serde(default)]
    owner: Option<Owner>,
    /// Since when somebody has kept it open, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<Timestamp>,
    /// That it died has been said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told: bool,
    /// It is over, and was left as it is for somebody to look at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    /// It has been ended, but for what somebody still holds: its watcher goes, and a later clean finds it dead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
    /// The engines that it was opened on, as far as they were heard of since.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    engines: BTreeSet<String>,
    /// The working copies that have opened it since nobody answered for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    copies: BTreeSet<Name>,
    /// dkb made up its name, so nobody else has come to the same one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    made: bool,
    /// What it was before, for whoever opened it and may not end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Box<Found>>,
}

impl Contents {
    /// Whether it was opened on this machine and not left for a look, where nobody holds it any more.
    fn died(&self, machine: &str) -> bool {
        !self.left && self.owner.as_ref().is_some_and(|owner| owner.machine == machine)
    }

    fn may_be_on(&self, engine: Option<&str>) -> bool {
        self.engines.is_empty() || engine.is_some_and(|engine| self.engines.contains(engine))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    was: Contents,
    last_beat: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct SessionFile {
    key: SessionKey,
    folder: Folder,
    name: String,
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

/// A lock that only those take who ask who is alive.
const PROBE: &str = "probe";

impl State {
    pub fn session(&self, key: &SessionKey) -> SessionFile {
        let name = short_hash(&[key.project.as_str(), key.session.as_str()]);
        SessionFile { folder: self.folder.join("sessions"), name, key: key.clone() }
    }

    /// Every session that has a file, with its owner.
    pub fn sessions(&self) -> Vec<(SessionKey, Option<Owner>)> {
        let folder = self.folder.join("sessions");
        let names = folder.names().into_iter().filter_map(|name| name.into_string().ok());
        names
            .filter_map(|name| folder.read(&name).ok().flatten())
            .filter_map(|text| serde_json::from_slice::<Contents>(&text).ok())
            .map(|contents| (contents.key, contents.owner))
            .collect()
    }

    /// The sessions that somebody has opened and nobody has ended.
    pub fn openings(&self) -> HashMap<SessionKey, Opening> {
        let sessions = self.sessions().into_iter().filter(|(_, owner)| owner.is_some());
        sessions.filter_map(|(key, _)| Some((key.clone(), self.session(&key).opening()?))).collect()
    }

    /// The lives of these sessions, of which there may be very many that have no file.
    pub fn lives<'a>(
        &self,
        sessions: impl IntoIterator<Item = &'a SessionKey>,
        machine: &str,
        engine: Option<&str>,
    ) -> HashMap<SessionKey, Life> {
        let folder = self.folder.join("sessions");
        let refused = folder.look().is_err();
        let files: HashSet<OsString> = folder.names().into_iter().collect();
        let life = |key: &SessionKey| {
            let unowned = files.is_empty() && !refused;
            let file =
                (!unowned).then(|| self.session(key)).filter(|file| refused || files.contains(OsStr::new(&file.name)));
            file.map_or(Life::Unowned, |file| file.life(machine, engine))
        };
        sessions.into_iter().map(|key| (key.clone(), life(key))).collect()
    }
}

impl SessionFile {
    /// Takes the lock that says "alive". An owner, where one is given, is noted for the time after.
    pub fn hold(&self, owner: Option<&Owner>) -> Result<SessionHold> {
        let file = loop {
            let file = self.folder.open_or_create(&self.name)?;
            lock_within_limit(&self.path(), || file.try_lock_shared())?;
            // Somebody may have cleared the file away between the two: a lock on it would say nothing.
            if is_at(&file, &self.path()) {
                break file;
            }
        };
        {
            let _turn = self.turn()?;
            if owner.is_some() || file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                self.write(owner)?;
            }
        }
        Ok(SessionHold { file })
    }

    /// Opens the session: it is alive, has an owner, and is not ended before this keeper is gone.
    pub fn open(&self, by: &KeptBy) -> Result<(SessionHold, Keeper)> {
        let hold = self.hold(None)?;
        let _turn = self.turn()?;
        // Between two that do not meet nobody kept it open, and what was made then is nobody's.
        let goes_on = !self.keepers_in_turn(None)?.is_empty();
        let known = self.contents().filter(|known| known.owner.is_some());
        let opened = known.as_ref().and_then(|known| known.opened).filter(|_| goes_on).unwrap_or_else(Timestamp::now);
        let mut copies = known.as_ref().map(|known| known.copies.clone()).unwrap_or_default();
        let engines = known.as_ref().filter(|_| goes_on).map(|known| known.engines.clone()).unwrap_or_default();
        copies.extend(by.copy.clone());
        let found = known.map(|mut was| {
            // Of several who have it open at once, each gives it back as the first found it.
            was.found.take().filter(|_| goes_on).unwrap_or_else(|| Box::new(Found { was, last_beat: self.last_beat() }))
        });
        let keeper = keepers::begin(&self.folder, &self.name, by)?;
        let owner = Some(by.owner.clone());
        self.write_all(&Contents {
            opened: Some(opened),
            owner,
            engines,
            copies,
            made: by.made,
            found,
            ..self.nothing()
        })?;
        Ok((hold, keeper))
    }

    /// Who keeps the session open now, but for the keeper of this name. What cannot be found out keeps it open.
    pub fn keepers(&self, but: Option<&str>) -> Result<Vec<KeptBy>> {
        if self.file()?.is_none() {
            return Ok(Vec::new());
        }
        let _turn = self.turn()?;
        self.keepers_in_turn(but)
    }

    fn keepers_in_turn(&self, but: Option<&str>) -> Result<Vec<KeptBy>> {
        keepers::living(&self.folder, &self.name, but)
    }

    /// From now on nobody answers for the session, unless somebody has come to keep it open meanwhile. A file that
    /// says nothing and that nobody holds is cleared away.
    pub fn disown(&self) -> Result<()> {
        self.disown_if(<[KeptBy]>::is_empty)
    }

    /// Whoever opened it last had no right to end it, or did nothing in it: it is again what it was before.
    pub fn put_back(&self) -> Result<()> {
        if self.file()?.is_none() {
            return Ok(());
        }
        {
            let _turn = self.turn()?;
            if !self.keepers_in_turn(None)?.is_empty() {
                return Ok(());
            }
            match self.contents().and_then(|contents| contents.found) {
                Some(found) => {
                    self.write_all(&found.was)?;
                    self.set_last_beat(found.last_beat);
                }
                None => self.write(None)?,
            }
        }
        self.clear();
        Ok(())
    }

    fn disown_if(&self, over: impl FnOnce(&[KeptBy]) -> bool) -> Result<()> {
        if self.file()?.is_none() {
            return Ok(());
        }
        {
            let _turn = self.turn()?;
            if !over(&self.keepers_in_turn(None)?) {
                return Ok(());
            }
            self.write(None)?;
        }
        self.clear();
        Ok(())
    }

    /// Whether somebody may end the session by its name: a watcher keeps it open for just that, and nobody else does.
    pub fn ends_by_name(&self) -> Result<bool> {
        Ok(is_watched_at_most(&self.keepers(None)?))
    }

    /// Whether somebody else keeps the session open than whoever is in it, by its name or in its one guard.
    pub fn is_shared(&self, in_its_guard: bool) -> Result<bool> {
        let keepers = self.keepers(None)?;
        Ok(!(is_watched_at_most(&keepers) || in_its_guard && keepers.len() == 1))
    }

    /// It has been ended by its name; its watcher sees that nobody answers for it any more, and goes.
    pub fn end_by_name(&self) -> Result<()> {
        self.disown_if(is_watched_at_most)
    }

    /// It has been ended by its name, but for what somebody still holds. Nobody need hear that it was cut off.
    pub fn end_but_for_a_rest(&self) -> Result<()> {
        let _turn = self.turn()?;
        let Some(contents) = self.contents().filter(|contents| contents.owner.is_some()) else { return Ok(()) };
        if !is_watched_at_most(&self.keepers_in_turn(None)?) {
            return Ok(());
        }
        self.write_all(&Contents { told: true, left: false, ended: true, ..contents })
    }

    /// Nobody answers for it any more. What cannot be found out now may be found out later.
    pub fn is_ended(&self) -> bool {
        // Somebody may be writing it just now.
        let Ok(_turn) = self.turn() else { return false };
        self.contents().is_none_or(|contents| contents.owner.is_none() || contents.ended)
    }

    /// Whether everything is to be left for a look where those who keep it open are cut off.
    pub fn left_if_cut_off(&self, left: bool) -> Result<()> {
        let _turn = self.turn()?;
        let changed = self.contents().filter(|contents| contents.left != left);
        changed.map_or(Ok(()), |contents| self.write_all(&Contents { left, ..contents }))
    }

    /// What a watcher does in place of its guard.
    pub fn stay_for_a_look(&self) -> Result<()> {
        self.owner().map_or(Ok(()), |owner| self.leave_for_a_look(&owner))
    }

    /// The session is over, and everything is left as it is until somebody ends it by its name.
    pub fn leave_for_a_look(&self, owner: &Owner) -> Result<()> {
        let _turn = self.turn()?;
        if !self.keepers_in_turn(None)?.is_empty() {
            return Ok(());
        }
        let known = self.contents().unwrap_or_else(|| self.nothing());
        let owner = Some(owner.clone());
        self.write_all(&Contents { owner, told: false, left: true, ended: false, found: None, ..known })
    }

    /// Whoever opened it works on this engine.
    pub fn is_on(&self, engine: &str) -> Result<()> {
        let _turn = self.turn()?;
        match self.contents().filter(|contents| contents.owner.is_some() && !contents.engines.contains(engine)) {
            Some(mut contents) => {
                contents.engines.insert(engine.to_owned());
                self.write_all(&contents)
            }
            None => Ok(()),
        }
    }

    /// Somebody opened it, and on another engine than this one.
    pub fn is_elsewhere(&self, engine: Option<&str>) -> bool {
        self.contents().is_some_and(|contents| contents.owner.is_some() && !contents.may_be_on(engine))
    }

    /// Says that it is alive, for the time when it no longer is: the file's own date is the last sign of life.
    pub fn beat(&self) {
        if let Ok(Some(file)) = self.file() {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// The last sign of life.
    pub fn last_beat(&self) -> Option<Timestamp> {
        self.file().ok()??.metadata().and_then(|file| file.modified()).ok()?.try_into().ok()
    }

    /// One at a time looks at locks by taking them, or two of them would take each other's for a living session.
    fn turn(&self) -> Result<File> {
        let probe = self.folder.open_or_create(PROBE)?;
        lock_within_limit(&self.folder.path().join(PROBE), || probe.try_lock())?;
        Ok(probe)
    }

    /// Clears the file away where it says nothing: no owner, and nobody holds it.
    pub fn clear(&self) {
        let Ok(_turn) = self.turn() else { return };
        if self.owner().is_none()
            && let Ok(Some(file)) = self.file()
            && file.try_lock().is_ok()
            && is_at(&file, &self.path())
        {
            let _ = fs::remove_file(self.path());
        }
    }

    /// Whether nobody has said yet that this session died; from now on somebody has.
    pub fn tell_once(&self) -> bool {
        let Ok(_turn) = self.turn() else { return false };
        let Some(contents) = self.contents().filter(|contents| !contents.told) else { return false };
        let last = self.last_beat();
        let told = self.write_all(&Contents { told: true, ..contents }).is_ok();
        // This is no sign of life.
        self.set_last_beat(last);
        told
    }

    fn set_last_beat(&self, last: Option<Timestamp>) {
        if let (Some(last), Ok(Some(file))) = (last, self.file()) {
            let _ = file.set_modified(last.into());
        }
    }

    fn write(&self, owner: Option<&Owner>) -> Result<()> {
        self.write_all(&Contents { owner: owner.cloned(), ..self.nothing() })
    }

    fn nothing(&self) -> Contents {
        Contents {
            key: self.key.clone(),
            owner: None,
            opened: None,
            told: false,
            left: false,
            ended: false,
            engines: BTreeSet::new(),
            copies: BTreeSet::new(),
            made: false,
            found: None,
        }
    }

    /// Since when somebody has kept it open, one after another.
    pub fn opened(&self) -> Option<Timestamp> {
        self.contents()?.opened
    }

    fn opening(&self) -> Option<Opening> {
        let Contents { opened, copies, made, .. } = self.contents()?;
        Some(Opening { since: opened?, copies, made })
    }

    fn write_all(&self, contents: &Contents) -> Result<()> {
        let text = serde_json::to_string(contents).unwrap_or_default();
        // In place: a rename would leave the lock on a file that nobody finds any more.
        self.folder.write(&self.name, text.as_bytes())
    }

    /// Who opened it, as long as it is not over.
    pub fn owner(&self) -> Option<Owner> {
        self.contents()?.owner
    }

    fn contents(&self) -> Option<Contents> {
        serde_json::from_slice(&self.folder.read(&self.name).ok()??).ok()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn file(&self) -> Result<Option<File>> {
        self.folder.open(&self.name)
    }

    /// Whether somebody is at work in it. What cannot be found out counts as alive. On this engine it is dead only if
    /// it was not opened on another one.
    pub fn life(&self, machine: &str, engine: Option<&str>) -> Life {
        match self.file() {
            Ok(Some(_)) => {}
            Ok(None) => return Life::Unowned,
            Err(_) => return Life::Alive,
        }
        let Ok(_turn) = self.turn() else { return Life::Alive };
        let Ok(Some(file)) = self.file() else { return Life::Alive };
        match file.try_lock() {
            Ok(()) => match self.contents() {
                Some(contents) if contents.died(machine) && contents.may_be_on(engine) => Life::Dead,
                _ => Life::Unowned,
            },
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Life::Alive,
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let known = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().is_ok_and(|open| fs::symlink_metadata(path).is_ok_and(|there| known(there) == known(open)))
}
