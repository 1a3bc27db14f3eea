//! Which sessions are at work: a file a session, whose lock says so.
//!
//! Every running build, guard and watcher holds the lock, shared. The kernel lets go of it when the last of
//! them ends, however it ends, so nothing here ever guesses from a process number.
//!
//! Whoever opened the session and will end it has a small file beside it, locked as long as it lives: a session may
//! have several such keepers, and only the last of them ends it.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
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

/// What a keeper's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBy {
    pub owner: Owner,
    /// A guard ends the session itself; a watcher only stands in for whoever was told to.
    pub guard: bool,
}

/// Keeps a session from being ended by another keeper, as long as this lives.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    /// Held for its lock.
    _file: File,
}

impl KeptBy {
    /// Whoever has not said who it is yet.
    fn somebody(name: &str) -> Self {
        Self { owner: Owner { machine: String::new(), since: Timestamp::now(), command: name.to_owned() }, guard: true }
    }
}

impl Keeper {
    /// By which its own watcher knows it.
    pub fn name(&self) -> String {
        self.path.extension().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
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

    /// Opens the session: it is alive, has an owner, and is not ended before this keeper is gone.
    pub fn open(&self, by: &KeptBy) -> Result<(SessionHold, Keeper)> {
        let hold = self.hold(None)?;
        let _turn = self.turn()?;
        // Between two that do not meet nobody kept it open, and what was made then is nobody's.
        let goes_on = !self.keepers_in_turn(None)?.is_empty();
        let opened = self.contents().and_then(|known| known.opened).filter(|_| goes_on).unwrap_or_else(Timestamp::now);
        let moment = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("{}.{:x}-{moment:x}", self.name, std::process::id());
        let file = self.folder.open_or_create(&name)?;
        let path = self.folder.path().join(&name);
        lock_within_limit(&path, || file.try_lock())?;
        let keeper = Keeper { path, _file: file };
        self.folder.write(&name, &serde_json::to_vec(by).unwrap_or_default())?;
        let owner = Some(by.owner.clone());
        self.write_all(&Contents { opened: Some(opened), owner, ..self.nothing() })?;
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
        let mut keepers = Vec::new();
        for name in self.folder.names().into_iter().filter_map(|name| name.into_string().ok()) {
            let Some((of, keeper)) = name.split_once('.') else { continue };
            if of != self.name || but == Some(keeper) {
                continue;
            }
            let Some(file) = self.folder.open(&name)? else { continue };
            if file.try_lock().is_ok() {
                // It was killed before it could take its file away.
                let _ = fs::remove_file(self.folder.path().join(&name));
                continue;
            }
            let says = self.folder.read(&name)?.and_then(|text| serde_json::from_slice(&text).ok());
            keepers.push(says.unwrap_or_else(|| KeptBy::somebody(keeper)));
        }
        Ok(keepers)
    }

    /// From now on nobody answers for the session, unless somebody has come to keep it open meanwhile. A file that
    /// says nothing and that nobody holds is cleared away.
    pub fn disown(&self) -> Result<()> {
        self.disown_if(<[KeptBy]>::is_empty)
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

    /// Nobody answers for it any more.
    pub fn is_ended(&self) -> bool {
        self.contents().is_none_or(|contents| contents.owner.is_none() || contents.ended)
    }

    /// Whether everything is to be left for a look where those who keep it open are cut off.
    pub fn left_if_cut_off(&self, left: bool) -> Result<()> {
        let _turn = self.turn()?;
        self.contents().map_or(Ok(()), |contents| self.write_all(&Contents { left, ..contents }))
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
        let opened = self.opened();
        self.write_all(&Contents { opened, owner: Some(owner.clone()), left: true, ..self.nothing() })
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
        let Some(contents) = self.contents().filter(|contents| !contents.told) else { return false };
        let last = self.last_beat();
        let told = self.write_all(&Contents { told: true, ..contents }).is_ok();
        // This is no sign of life.
        if let (Some(last), Ok(Some(file))) = (last, self.file()) {
            let _ = file.set_modified(last.into());
        }
        told
    }

    fn write(&self, owner: Option<&Owner>) -> Result<()> {
        self.write_all(&Contents { owner: owner.cloned(), ..self.nothing() })
    }

    fn nothing(&self) -> Contents {
        Contents { key: self.key.clone(), owner: None, opened: None, told: false, left: false, ended: false }
    }

    /// Since when somebody has kept it open, one after another.
    pub fn opened(&self) -> Option<Timestamp> {
        self.contents()?.opened
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

    /// Whether somebody is at work in it. What cannot be found out counts as alive.
    pub fn life(&self, machine: &str) -> Life {
        match self.file() {
            Ok(Some(_)) => {}
            Ok(None) => return Life::Unowned,
            Err(_) => return Life::Alive,
        }
        let Ok(_turn) = self.turn() else { return Life::Alive };
        let Ok(Some(file)) = self.file() else { return Life::Alive };
        match file.try_lock() {
            Ok(()) => match self.contents() {
                Some(Contents { owner: Some(owner), left: false, .. }) if owner.machine == machine => Life::Dead,
                _ => Life::Unowned,
            },
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Life::Alive,
        }
    }
}

fn is_watched_at_most(keepers: &[KeptBy]) -> bool {
    keepers.len() <= 1 && !keepers.iter().any(|by| by.guard)
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
    fn a_session_is_disowned_once_its_last_keeper_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::at(folder.path());
        let session = state.session(&key("p", "s"));
        let kept_by = |command: &str| KeptBy { owner: Owner { command: command.to_owned(), ..owner() }, guard: true };
        let (first, second) = (kept_by("just"), kept_by("make"));
        let (hold, keeper) = session.open(&first).expect("a lock");
        let (other_hold, other_keeper) = session.open(&second).expect("a lock");
        let elsewhere = state.session(&key("q", "s")).open(&first).expect("a lock");
        assert_eq!(session.keepers(None).expect("a look").len(), 2);
        assert_eq!(session.keepers(Some(&keeper.name())).expect("a look"), std::slice::from_ref(&second));
        drop((hold, keeper));
        session.disown().expect("nothing to note");
        assert_eq!((session.owner(), session.life("here")), (Some(second.owner), Life::Alive));
        drop((other_hold, other_keeper));
        assert_eq!((session.keepers(None).expect("a look"), session.life("here")), (vec![], Life::Dead));
        session.disown().expect("a note");
        assert_eq!((session.owner(), session.life("here")), (None, Life::Unowned));
        drop(elsewhere);
    }

    #[test]
    fn a_keeper_that_was_killed_keeps_nothing_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        let (hold, keeper) = session.open(&KeptBy { owner: owner(), guard: true }).expect("a lock");
        let left = fs::read(&keeper.path).expect("its file");
        let path = keeper.path.clone();
        drop((hold, keeper));
        fs::write(&path, left).expect("what a killed one leaves");
        assert_eq!(session.keepers(None).expect("a look"), []);
        assert!(!path.exists());
    }

    #[test]
    fn a_session_that_is_left_for_a_look_is_not_dead_and_has_still_been_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        drop(session.open(&KeptBy { owner: owner(), guard: true }).expect("a lock"));
        session.leave_for_a_look(&owner()).expect("a note");
        assert_eq!((session.life("here"), session.owner()), (Life::Unowned, Some(owner())));
        session.disown().expect("a note");
        assert_eq!(session.owner(), None);
    }

    #[test]
    fn whose_a_session_is_while_it_is_open() {
        let by = |guard: bool| KeptBy { owner: owner(), guard };
        let (guard, watcher) = (by(true), by(false));
        for (keepers, outside, in_a_guard) in [
            (&[][..], false, false),
            (&[&watcher][..], false, false),
            (&[&guard], true, false),
            (&[&guard, &watcher], true, true),
            (&[&guard, &guard], true, true),
            (&[&watcher, &watcher], true, true),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let session = State::at(folder.path()).session(&key("p", "s"));
            let held: Vec<_> = keepers.iter().map(|by| session.open(by).expect("a lock")).collect();
            let is_shared = |inside| session.is_shared(inside).expect("a look");
            assert_eq!((is_shared(false), is_shared(true)), (outside, in_a_guard), "{keepers:?}");
            assert_eq!(session.ends_by_name().expect("a look"), !outside);
            drop(held);
        }
    }

    #[test]
    fn a_session_that_is_ended_but_for_a_rest_is_dead_once_its_watcher_has_seen_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        session.end_but_for_a_rest().expect("nothing to note");
        assert_eq!(session.owner(), None, "nobody had opened it");
        let (hold, keeper) = session.open(&KeptBy { owner: owner(), guard: false }).expect("a lock");
        assert!(!session.is_ended());
        session.end_but_for_a_rest().expect("a note");
        assert!(session.is_ended() && session.opened().is_some());
        drop((hold, keeper));
        assert_eq!(session.life("here"), Life::Dead);
        assert!(!session.tell_once(), "nobody need hear that it was cut off");
        let again = session.open(&KeptBy { owner: owner(), guard: true }).expect("a lock");
        assert!(!session.is_ended());
        session.end_but_for_a_rest().expect("nothing to note");
        assert!(!session.is_ended(), "a guard keeps it open");
        drop(again);
    }

    #[test]
    fn a_session_that_is_to_be_left_if_it_is_cut_off_is_not_dead_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        let opened = session.open(&KeptBy { owner: owner(), guard: true }).expect("a lock");
        session.left_if_cut_off(true).expect("a note");
        assert_eq!(session.life("here"), Life::Alive);
        drop(opened);
        assert_eq!((session.life("here"), session.owner()), (Life::Unowned, Some(owner())));
        session.left_if_cut_off(false).expect("a note");
        assert_eq!(session.life("here"), Life::Dead, "it was being cleaned");
    }

    #[test]
    fn that_a_session_died_is_no_sign_of_life() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        drop(session.hold(Some(&owner())).expect("a lock"));
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(3600);
        File::options().append(true).open(session.path()).and_then(|file| file.set_modified(long_ago)).expect("a date");
        let before = session.last_beat();
        assert!(session.tell_once() && !session.tell_once());
        assert_eq!(session.last_beat(), before);
        session.beat();
        assert!(session.last_beat() > before);
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
