//! Which sessions are at work: a file a session, whose lock says so.
//!
//! Every running build, guard and watcher holds the lock, shared. The kernel lets go of it when the last of
//! them ends, however it ends, so nothing here ever guesses from a process number.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::{State, lock_within_limit, short_hash};
use crate::error::Result;
use crate::model::{Life, Owner, SessionKey};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contents {
    #[serde(flatten)]
    key: SessionKey,
    #[serde(default)]
    owner: Option<Owner>,
    /// That it died has been said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told: bool,
}

#[derive(Clone, Debug)]
pub struct SessionFile {
    key: SessionKey,
    folder: Folder,
    name: String,
}

/// The lock on a session, held as long as this, or a child that inherited it, lives.
#[derive(Debug)]
pub struct SessionHold {
    pub file: File,
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

    /// The lives of these sessions, of which there may be very many that have no file.
    pub fn lives<'a>(
        &self,
        sessions: impl IntoIterator<Item = &'a SessionKey>,
        machine: &str,
    ) -> HashMap<SessionKey, Life> {
        let folder = self.folder.join("sessions");
        let refused = folder.look().is_err();
        let files: HashSet<OsString> = folder.names().into_iter().collect();
        let life = |key: &SessionKey| {
            let unowned = files.is_empty() && !refused;
            let file =
                (!unowned).then(|| self.session(key)).filter(|file| refused || files.contains(OsStr::new(&file.name)));
            file.map_or(Life::Unowned, |file| file.life(machine))
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
        if owner.is_some() || file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            self.write(owner)?;
        }
        Ok(SessionHold { file })
    }

    /// The owner has done its part: from now on nobody answers for the session. A file that says nothing and that
    /// nobody holds is cleared away.
    pub fn disown(&self) -> Result<()> {
        if self.open()?.is_none() {
            return Ok(());
        }
        self.write(None)?;
        self.clear();
        Ok(())
    }

    /// The same for this owner's part only: somebody may have opened the session again by its name.
    pub fn disown_of(&self, owner: &Owner) -> Result<()> {
        if self.owner().as_ref() == Some(owner) { self.disown() } else { Ok(()) }
    }

    /// Clears the file away where it says nothing: no owner, and nobody holds it.
    pub fn clear(&self) {
        if self.owner().is_none()
            && let Ok(Some(file)) = self.open()
            && file.try_lock().is_ok()
            && is_at(&file, &self.path())
        {
            let _ = fs::remove_file(self.path());
        }
    }

    /// Whether nobody has said yet that this session died; from now on somebody has.
    pub fn tell_once(&self) -> bool {
        let contents = self.contents();
        contents.is_some_and(|contents| !contents.told && self.write_all(&Contents { told: true, ..contents }).is_ok())
    }

    fn write(&self, owner: Option<&Owner>) -> Result<()> {
        self.write_all(&Contents { key: self.key.clone(), owner: owner.cloned(), told: false })
    }

    fn write_all(&self, contents: &Contents) -> Result<()> {
        let text = serde_json::to_string(contents).unwrap_or_default();
        // In place: a rename would leave the lock on a file that nobody finds any more.
        self.folder.write(&self.name, text.as_bytes())
    }

    pub fn owner(&self) -> Option<Owner> {
        self.contents()?.owner
    }

    fn contents(&self) -> Option<Contents> {
        serde_json::from_slice(&self.folder.read(&self.name).ok()??).ok()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn open(&self) -> Result<Option<File>> {
        self.folder.open(&self.name)
    }

    /// Whether somebody is at work in it. What cannot be found out counts as alive.
    pub fn life(&self, machine: &str) -> Life {
        match self.open() {
            Ok(Some(_)) => {}
            Ok(None) => return Life::Unowned,
            Err(_) => return Life::Alive,
        }
        // One probe at a time, or two of them would take each other's lock for a living session.
        let Ok(probe) = self.folder.open_or_create(PROBE) else { return Life::Alive };
        if lock_within_limit(&self.folder.path().join(PROBE), || probe.try_lock()).is_err() {
            return Life::Alive;
        }
        let Ok(Some(file)) = self.open() else { return Life::Alive };
        match file.try_lock() {
            Ok(()) => match self.owner() {
                Some(owner) if owner.machine == machine => Life::Dead,
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::books_tests::key;

    fn owner() -> Owner {
        Owner { machine: "here".to_owned(), since: Timestamp::UNIX_EPOCH, command: "just".to_owned() }
    }

    #[test]
    fn a_session_lives_as_long_as_somebody_holds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        assert_eq!(session.life("here"), Life::Unowned);
        let first = session.hold(Some(&owner())).expect("a lock");
        let second = session.hold(None).expect("a lock");
        assert_eq!(session.life("here"), Life::Alive);
        drop(first);
        assert_eq!(session.life("here"), Life::Alive);
        drop(second);
        assert_eq!(session.life("here"), Life::Dead);
        assert_eq!(session.life("elsewhere"), Life::Unowned, "another machine's lock says nothing here");
        session.disown().expect("a note");
        assert_eq!(session.life("here"), Life::Unowned);
    }

    #[test]
    fn a_build_in_a_session_keeps_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::at(folder.path());
        let session = state.session(&key("p", "s"));
        drop(session.hold(Some(&owner())).expect("a lock"));
        drop(session.hold(None).expect("a lock"));
        assert_eq!(session.owner(), Some(owner()));
        assert_eq!(state.sessions(), [(key("p", "s"), Some(owner()))]);
    }

    #[test]
    fn a_session_that_was_opened_again_keeps_its_new_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        let (first, second) = (owner(), Owner { command: "make".to_owned(), ..owner() });
        drop(session.hold(Some(&first)).expect("a lock"));
        let _hold = session.hold(Some(&second)).expect("a lock");
        session.disown_of(&first).expect("nothing to note");
        assert_eq!(session.owner(), Some(second.clone()));
        session.disown_of(&second).expect("a note");
        assert_eq!(session.owner(), None);
    }

    #[test]
    fn probes_do_not_take_each_other_for_life() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        drop(session.hold(Some(&owner())).expect("a lock"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        assert_eq!(session.life("here"), Life::Dead);
                    }
                });
            }
        });
    }
}
