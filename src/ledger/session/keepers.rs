//! Who keeps a session open: a small file each, beside the session's own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ledger::folder::Folder;
use crate::ledger::lock_within_limit;
use crate::model::{Name, Owner};

/// What a keeper's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBy {
    pub owner: Owner,
    /// A guard ends the session itself; a watcher only stands in for whoever was told to.
    pub guard: bool,
    /// The working copy that it was started in.
    #[serde(default)]
    pub copy: Option<Name>,
}

/// Keeps a session from being ended by another keeper, as long as this lives.
#[derive(Debug)]
pub struct Keeper {
    pub(super) path: PathBuf,
    /// Held for its lock.
    _file: File,
}

impl KeptBy {
    /// Whoever has not said who it is yet.
    fn somebody(name: &str) -> Self {
        let owner = Owner { machine: String::new(), since: Timestamp::now(), command: name.to_owned() };
        Self { owner, guard: true, copy: None }
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

/// `by` begins to keep the session of this name open.
pub(super) fn begin(folder: &Folder, session: &str, by: &KeptBy) -> Result<Keeper> {
    let moment = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name = format!("{session}.{:x}-{moment:x}", std::process::id());
    let file = folder.open_or_create(&name)?;
    let path = folder.path().join(&name);
    lock_within_limit(&path, || file.try_lock())?;
    let keeper = Keeper { path, _file: file };
    folder.write(&name, &serde_json::to_vec(by).unwrap_or_default())?;
    Ok(keeper)
}

/// Who keeps it open, by name, but for the keeper of that one. Asked by whoever has the turn to look at locks.
pub(super) fn living(folder: &Folder, session: &str, but: Option<&str>) -> Result<Vec<(String, KeptBy)>> {
    let mut keepers = Vec::new();
    for name in folder.names().into_iter().filter_map(|name| name.into_string().ok()) {
        let Some((of, keeper)) = name.split_once('.') else { continue };
        if of != session || but == Some(keeper) {
            continue;
        }
        let Some(file) = folder.open(&name)? else { continue };
        if file.try_lock().is_ok() {
            // It was killed before it could take its file away.
            let _ = fs::remove_file(folder.path().join(&name));
            continue;
        }
        let says = folder.read(&name)?.and_then(|text| serde_json::from_slice(&text).ok());
        keepers.push((keeper.to_owned(), says.unwrap_or_else(|| KeptBy::somebody(keeper))));
    }
    Ok(keepers)
}

/// Nobody but a watcher, who stands in for whoever was told to end it.
pub(super) fn is_watched_at_most(keepers: &[KeptBy]) -> bool {
    keepers.len() <= 1 && !keepers.iter().any(|by| by.guard)
}
