//! Which sessions are at work, and where: a file for the builds of a session, and one for each time that it was opened,
//! whose locks say so.
//!
//! A running build holds the lock of the session's own file, shared; a guard and its watcher that of their opening. The
//! kernel lets go of it when the last of them ends, however it ends, so nothing here ever guesses from a process number.
//!
//! An opening notes the engine that it is for as soon as that is known, so what was cut off on one engine stays so there,
//! whatever is opened and ended on another. Until then it counts for any engine.
//!
//! Whoever opened the session and will end it has a small file beside it, locked as long as it lives: a session may
//! have several such keepers on an engine, and only the last of them ends it there.

mod keepers;
mod opening;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;

use jiff::Timestamp;

use keepers::is_watched_at_most;
pub use keepers::{Keeper, KeptBy};
use opening::{Contents, is_at};
pub use opening::{OpeningFile, SessionHold};

use super::folder::Folder;
use super::{State, lock_within_limit};
use crate::error::Result;
use crate::model::short_hash;
use crate::model::{Life, Opening, Owner, SessionKey};

#[derive(Clone, Debug)]
pub struct SessionFile {
    key: SessionKey,
    folder: Folder,
    name: String,
}

/// A lock that only those take who ask who is alive.
const PROBE: &str = "probe";

impl State {
    pub fn session(&self, key: &SessionKey) -> SessionFile {
        let name = short_hash(&[key.project.as_str(), key.session.as_str()]);
        SessionFile { folder: self.folder.join("sessions"), name, key: key.clone() }
    }

    /// Every session that has a file, and whether somebody has opened it and nobody has ended it.
    pub fn sessions(&self) -> BTreeMap<SessionKey, bool> {
        let folder = self.folder.join("sessions");
        let names = folder.names().into_iter().filter_map(|name| name.into_string().ok());
        let mut sessions = BTreeMap::new();
        for contents in names.filter_map(|name| OpeningFile::named(&folder, name).contents()) {
            *sessions.entry(contents.key).or_default() |= contents.owner.is_some();
        }
        sessions
    }

    /// How the sessions stand that somebody has opened and nobody has ended: on this engine, or else on another.
    pub fn openings(&self, engine: Option<&str>) -> HashMap<SessionKey, Opening> {
        let open = self.sessions().into_iter().filter(|(_, is_open)| *is_open);
        open.filter_map(|(key, _)| Some((key.clone(), self.session(&key).as_opened(engine)?))).collect()
    }

    /// The names of all files here: whoever opens a session adds one.
    pub fn session_files(&self) -> Vec<OsString> {
        self.folder.join("sessions").names()
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
        let names = folder.names().into_iter().filter_map(|name| name.into_string().ok());
        let files: HashSet<String> = names.map(|name| opening::of(&name).to_owned()).collect();
        let life = |key: &SessionKey| {
            let unowned = files.is_empty() && !refused;
            let file = (!unowned).then(|| self.session(key)).filter(|file| refused || files.contains(&file.name));
            file.map_or(Life::Unowned, |file| file.life(machine, engine))
        };
        sessions.into_iter().map(|key| (key.clone(), life(key))).collect()
    }
}

impl SessionFile {
    /// Takes the lock that says "alive", on whatever engine: a build knows only later which one it is.
    pub fn hold(&self) -> Result<SessionHold> {
        let own = self.own();
        let file = loop {
            let file = self.folder.open_or_create(&self.name)?;
            lock_within_limit(&own.path(), || file.try_lock_shared())?;
            // Somebody may have cleared the file away between the two: a lock on it would say nothing.
            if is_at(&file, &own.path()) {
                break file;
            }
        };
        {
            let _turn = self.turn()?;
            if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                own.write(&Contents::nothing(&self.key))?;
            }
        }
        Ok(SessionHold { file })
    }

    /// Opens the session: it is alive, has an owner, and is not ended before this keeper is gone.
    pub fn open(&self, by: &KeptBy) -> Result<(SessionHold, Keeper)> {
        let _turn = self.turn()?;
        let now = Timestamp::now();
        // Between two that do not meet nobody kept it open, and what was made then is nobody's.
        let living = keepers::living(&self.folder, &self.name, None)?;
        let opened = living.iter().filter_map(|(name, _)| self.opening(name).opened()).min().unwrap_or(now);
        let keeper = keepers::begin(&self.folder, &self.name, by)?;
        let opening = self.opening(&keeper.name());
        let file = self.folder.open_or_create(&opening.name)?;
        lock_within_limit(&opening.path(), || file.try_lock_shared())?;
        opening.write(&Contents {
            owner: Some(by.owner.clone()),
            came: Some(now),
            opened: Some(opened),
            copies: by.copy.iter().cloned().collect(),
            ..Contents::nothing(&self.key)
        })?;
        Ok((SessionHold { file }, keeper))
    }

    /// Whether somebody has opened it since these were the names of all files here, by now gone again or not: who leaves
    /// it for a look leaves a file.
    pub fn is_opened_since(&self, files: &[OsString]) -> bool {
        let known: HashSet<&OsString> = files.iter().collect();
        let new = self.folder.names().into_iter().filter(|name| !known.contains(name));
        let mut names = new.filter_map(|name| name.into_string().ok());
        names.any(|name| name.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with([opening::OF, '.'])))
    }

    /// What its keeper of this name opened.
    pub fn opening(&self, keeper: &str) -> OpeningFile {
        OpeningFile::of_keeper(&self.folder, &self.name, keeper)
    }

    /// Who keeps the session open now on this engine, or on any, but for the keeper of this name. What cannot be found
    /// out keeps it open.
    pub fn keepers(&self, but: Option<&str>, engine: Option<&str>) -> Result<Vec<KeptBy>> {
        if self.names()?.is_empty() {
            return Ok(Vec::new());
        }
        let _turn = self.turn()?;
        self.keepers_in_turn(but, engine)
    }

    fn keepers_in_turn(&self, but: Option<&str>, engine: Option<&str>) -> Result<Vec<KeptBy>> {
        Ok(self.living_in_turn(but, engine)?.into_iter().map(|(_, by)| by).collect())
    }

    /// The same with their names.
    fn living_in_turn(&self, but: Option<&str>, engine: Option<&str>) -> Result<Vec<(String, KeptBy)>> {
        // One whose session was ended goes as soon as it sees that.
        let is_meant = |name: &str| {
            self.opening(name)
                .contents()
                .is_none_or(|contents| contents.owner.is_some() && (engine.is_none() || contents.may_be_on(engine)))
        };
        let living = keepers::living(&self.folder, &self.name, but)?;
        Ok(living.into_iter().filter(|(name, _)| is_meant(name)).collect())
    }

    /// Whether somebody is known to keep it open on just this engine.
    pub fn is_kept_on(&self, engine: &str) -> bool {
        let Ok(_turn) = self.turn() else { return false };
        let living = keepers::living(&self.folder, &self.name, None).unwrap_or_default();
        living.iter().any(|(name, _)| self.opening(name).engine().as_deref() == Some(engine))
    }

    /// From now on nobody answers for the session on this engine, unless somebody has come to keep it open meanwhile.
    /// Files that say nothing and that nobody holds are cleared away.
    pub fn disown(&self, engine: Option<&str>) -> Result<()> {
        self.disown_if(engine, <[KeptBy]>::is_empty)
    }

    fn disown_if(&self, engine: Option<&str>, over: impl FnOnce(&[KeptBy]) -> bool) -> Result<()> {
        if self.names()?.is_empty() {
            return Ok(());
        }
        {
            let _turn = self.turn()?;
            if !over(&self.keepers_in_turn(None, engine)?) {
                return Ok(());
            }
            for (file, contents) in self.here(engine) {
                file.write_quietly(&contents.ended_on(engine))?;
            }
        }
        self.clear();
        Ok(())
    }

    /// Whether somebody may end the session on this engine by its name: a watcher keeps it open for just that, and
    /// nobody else does.
    pub fn ends_by_name(&self, engine: Option<&str>) -> Result<bool> {
        Ok(is_watched_at_most(&self.keepers(None, engine)?))
    }

    /// Whether somebody else keeps the session open than whoever is in it, by its name or in its one guard.
    pub fn is_shared(&self, in_its_guard: bool) -> Result<bool> {
        let keepers = self.keepers(None, None)?;
        Ok(!(is_watched_at_most(&keepers) || in_its_guard && keepers.len() == 1))
    }

    /// Somebody has ended it by its name who was not the last to start it, or while a guard runs in it: of those that only
    /// watch over it the one goes who came first. `false` where it is not known yet which of them are on this engine.
    pub fn end_once_of_many(&self, engine: Option<&str>) -> Result<bool> {
        let _turn = self.turn()?;
        let keepers = self.living_in_turn(None, engine)?;
        let watchers = keepers.iter().filter(|(_, by)| !by.guard && keepers.len() > 1);
        let openings = watchers.map(|(name, _)| self.opening(name));
        let came = openings.filter_map(|opening| Some((opening.contents()?.came, opening)));
        let first = came.min_by_key(|(came, _)| *came);
        let Some((_, opening)) = first else { return Ok(true) };
        self.leave_in_turn(&opening)?;
        Ok(opening.contents().is_none_or(|contents| contents.owner.is_none()))
    }

    /// It has been ended by its name; its watcher sees that nobody answers for it any more, and goes.
    pub fn end_by_name(&self, engine: Option<&str>) -> Result<()> {
        self.disown_if(engine, is_watched_at_most)
    }

    /// It has been ended by its name, but for what somebody still holds. Nobody need hear that it was cut off.
    pub fn end_but_for_a_rest(&self, engine: Option<&str>) -> Result<()> {
        let _turn = self.turn()?;
        if !is_watched_at_most(&self.keepers_in_turn(None, engine)?) {
            return Ok(());
        }
        for (file, contents) in self.here(engine) {
            file.write(&Contents { told: true, left: false, ended: true, ..contents })?;
        }
        Ok(())
    }

    /// The session is over here, and everything is left as it is until somebody ends it by its name.
    pub fn leave_for_a_look(&self, opening: &OpeningFile) -> Result<()> {
        let _turn = self.turn()?;
        let Some(contents) = opening.contents() else { return Ok(()) };
        let engine = opening.engine();
        if !self.keepers_in_turn(None, engine.as_deref())?.is_empty() {
            return Ok(());
        }
        let came = Some(Timestamp::now());
        opening.write(&Contents { came, told: false, left: true, ended: false, ..contents })
    }

    /// Others keep it open, and end it for whoever came with this opening too. Where no other one is known to be where
    /// this one is, it stays on record, and is dead should they turn out to be on another engine.
    pub fn leave_to_others(&self, opening: &OpeningFile) -> Result<()> {
        let _turn = self.turn()?;
        self.leave_in_turn(opening)
    }

    fn leave_in_turn(&self, opening: &OpeningFile) -> Result<()> {
        let Some(own) = opening.contents() else { return Ok(()) };
        let mut others = self.files();
        others.retain(|(file, contents)| {
            file.name != opening.name && contents.owner.is_some() && contents.engines == own.engines
        });
        if others.is_empty() {
            return Ok(());
        }
        for (file, mut contents) in others {
            contents.copies.extend(own.copies.iter().cloned());
            file.write_quietly(&contents)?;
        }
        opening.write(&Contents { owner: None, ..own })
    }

    /// Whoever opened it had no right to end it, or did nothing in it: all is again as it was before.
    pub fn withdraw(&self, opening: &OpeningFile) -> Result<()> {
        let _turn = self.turn()?;
        opening.contents().map_or(Ok(()), |contents| opening.write(&Contents { owner: None, ..contents }))
    }

    /// Whether everything is to be left for a look where those who have this opening are cut off.
    pub fn left_if_cut_off(&self, opening: &OpeningFile, left: bool) -> Result<()> {
        let _turn = self.turn()?;
        let changed = opening.contents().filter(|contents| contents.left != left);
        changed.map_or(Ok(()), |contents| opening.write(&Contents { left, ..contents }))
    }

    /// Whoever came with this opening works on this engine. What was noted first stands.
    pub fn is_on(&self, opening: &OpeningFile, engine: &str) -> Result<()> {
        let _turn = self.turn()?;
        match opening.contents().filter(|contents| contents.owner.is_some() && contents.engines.is_empty()) {
            Some(mut contents) => {
                contents.engines.insert(engine.to_owned());
                opening.write(&contents)
            }
            None => Ok(()),
        }
    }

    /// Nobody answers for this opening any more. What cannot be found out now may be found out later.
    pub fn is_ended(&self, opening: &OpeningFile) -> bool {
        // Somebody may be writing it just now.
        let Ok(_turn) = self.turn() else { return false };
        opening.contents().is_none_or(|contents| contents.owner.is_none() || contents.ended)
    }

    /// Somebody opened it, and nobody on this engine.
    pub fn is_elsewhere(&self, engine: Option<&str>) -> bool {
        let files = self.files();
        let mut open = files.iter().filter(|(_, contents)| contents.owner.is_some()).peekable();
        open.peek().is_some() && !open.any(|(_, contents)| contents.may_be_on(engine))
    }

    /// The last sign of life on this engine: the file's own date.
    pub fn last_beat(&self, engine: Option<&str>) -> Option<Timestamp> {
        self.newest(engine)?.0.last_beat()
    }

    /// One at a time looks at locks by taking them, or two of them would take each other's for a living session.
    fn turn(&self) -> Result<File> {
        let probe = self.folder.open_or_create(PROBE)?;
        lock_within_limit(&self.folder.path().join(PROBE), || probe.try_lock())?;
        Ok(probe)
    }

    /// Clears files away that say nothing: no owner, and nobody holds them.
    pub fn clear(&self) {
        let Ok(_turn) = self.turn() else { return };
        for (file, contents) in self.files() {
            if contents.owner.is_none() {
                file.remove_if_free();
            }
        }
    }

    /// Whether nobody has said yet that this session died here; from now on somebody has.
    pub fn tell_once(&self, engine: Option<&str>) -> bool {
        let Ok(_turn) = self.turn() else { return false };
        let Some((file, contents)) = self.newest(engine).filter(|(_, contents)| !contents.told) else { return false };
        // This is no sign of life.
        file.write_quietly(&Contents { told: true, ..contents }).is_ok()
    }

    /// Since when somebody has kept it open, one after another: on this engine, or else on another.
    pub fn opened(&self, engine: Option<&str>) -> Option<Timestamp> {
        self.newest_anywhere(engine)?.1.opened
    }

    /// Who opened it, as long as it is not over: on this engine, or else on another.
    pub fn owner(&self, engine: Option<&str>) -> Option<Owner> {
        self.newest_anywhere(engine)?.1.owner
    }

    /// Whether it was left for a look: by whoever came last to this engine, or else to another.
    pub fn is_left(&self, engine: Option<&str>) -> bool {
        self.newest_anywhere(engine).is_some_and(|(_, contents)| contents.left)
    }

    fn as_opened(&self, engine: Option<&str>) -> Option<Opening> {
        let files = self.files();
        let open = files.iter().filter(|(_, contents)| contents.owner.is_some());
        // Who else is at work in it is asked on whatever engine.
        let copies = open.flat_map(|(_, contents)| contents.copies.iter().cloned()).collect();
        let contents = self.newest_anywhere(engine)?.1;
        Some(Opening { since: contents.opened?, copies })
    }

    fn own(&self) -> OpeningFile {
        OpeningFile::named(&self.folder, self.name.clone())
    }

    /// Its files: its own, which an earlier dkb wrote its openings to, and one for each opening.
    fn names(&self) -> Result<Vec<OpeningFile>> {
        self.folder.look()?;
        let names = self.folder.names().into_iter().filter_map(|name| name.into_string().ok());
        let ours = names.filter(|name| opening::of(name) == self.name);
        Ok(ours.map(|name| OpeningFile::named(&self.folder, name)).collect())
    }

    /// Those of them that can be read.
    fn files(&self) -> Vec<(OpeningFile, Contents)> {
        let files = self.names().unwrap_or_default().into_iter();
        files.filter_map(|file| file.contents().map(|contents| (file, contents))).collect()
    }

    /// What somebody opened and nobody has ended, if it may be on this engine.
    fn here(&self, engine: Option<&str>) -> Vec<(OpeningFile, Contents)> {
        let mut files = self.files();
        files.retain(|(_, contents)| contents.owner.is_some() && contents.may_be_on(engine));
        files
    }

    /// The one who came last says how it stands on this engine; what was before is so again once it has withdrawn.
    fn newest(&self, engine: Option<&str>) -> Option<(OpeningFile, Contents)> {
        newest(self.here(engine))
    }

    fn newest_anywhere(&self, engine: Option<&str>) -> Option<(OpeningFile, Contents)> {
        self.newest(engine).or_else(|| newest(self.files()))
    }

    /// Whether somebody is at work in it. What cannot be found out counts as alive. On this engine it is dead if it was
    /// opened here and died, whoever has opened it on another one.
    pub fn life(&self, machine: &str, engine: Option<&str>) -> Life {
        match self.names() {
            Ok(names) if names.is_empty() => return Life::Unowned,
            Ok(_) => {}
            Err(_) => return Life::Alive,
        }
        let Ok(_turn) = self.turn() else { return Life::Alive };
        let Ok(files) = self.names() else { return Life::Alive };
        let (here, elsewhere): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| {
            file.name == self.name || file.contents().is_none_or(|contents| contents.may_be_on(engine))
        });
        let is_dead = || self.newest(engine).is_some_and(|(_, contents)| contents.died(machine));
        if here.iter().any(OpeningFile::is_held) {
            Life::Alive
        } else if engine.is_some() && is_dead() {
            Life::Dead
        } else if elsewhere.iter().any(OpeningFile::is_held) {
            Life::Alive
        } else if is_dead() {
            Life::Dead
        } else {
            Life::Unowned
        }
    }
}

fn newest(files: Vec<(OpeningFile, Contents)>) -> Option<(OpeningFile, Contents)> {
    files.into_iter().filter(|(_, contents)| contents.owner.is_some()).max_by_key(|(_, contents)| contents.came)
}
