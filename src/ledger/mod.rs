//! dkb's own notes on disk: what its builds produced, which builds run now, and which sessions are at work.
//!
//! ```text
//! STATE/engines/<hash of the engine's identity>/ledger.jsonl   what was built there, one record a line
//! STATE/engines/<the same>/cache.json                          which build cache is ours
//! STATE/engines/<the same>/cache-ended.jsonl                   builds whose cache nobody has looked at yet
//! STATE/engines/<the same>/first-seen.json                     since when images without a date were seen there
//! STATE/engines/<the same>/removing/                           what is being taken away there now
//! STATE/builds/<build>/                                        a build that runs, or was cut off
//! STATE/sessions/<hash of project and session>                 whose lock says that the session is alive
//! STATE/sessions/<the same>.<keeper>                           who keeps it open
//! STATE/history/removals.jsonl                                 what dkb took away; nothing is decided by it
//! ```
//!
//! Files named `lock`, `cache-lock`, `cache-turn` and `probe` are there for their locks alone; `docker-version` is what
//! the builder is chosen by where docker had to be asked.
//!
//! All of it goes through `folder`, which is careful about who else can write there.
//!
//! Whoever only reads never fails over what is not there yet; whoever writes gets an error to warn about.

mod aside;
mod cache;
mod disk_room;
mod file;
mod first_seen;
mod folder;
mod history;
mod id_file;
mod removing;
mod running;
mod session;

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use cache::{CacheNotes, CacheTurn, EndedBuilds};
pub use file::{Ledger, LedgerMark};
use folder::Folder;
pub use history::History;
pub use id_file::{TargetResult, read_iid, read_metadata};
pub use removing::{CutOff, Removing};
pub use running::{Intent, Journal, Running, Unfinished};
pub use session::{Keeper, KeptBy, OpeningFile, SessionFile, SessionHold};

use crate::error::{Error, Result};
use crate::model::SessionKey;
use crate::model::short_hash;

/// Locks are held for milliseconds; who waits longer than this waits for a stopped process.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// The state folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: Folder,
}

impl State {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { folder: Folder::at(root.into()) }
    }

    /// Whether the folder and those in it may be relied on. What is refused would read as if nothing were in it.
    pub fn check(&self) -> Result<()> {
        ["engines", "builds", "sessions"].iter().try_for_each(|name| self.folder.join(name).look().map(drop))?;
        self.folder.can_be_made()
    }

    /// The ledger of the engine with this identity.
    pub fn ledger(&self, identity: &str) -> Ledger {
        Ledger::new(self.folder.join("engines").join(short_hash(&[identity])), identity)
    }

    pub fn history(&self) -> History {
        History::new(self.folder.join("history"))
    }

    /// The ledgers of all engines, of those that were written to since then.
    pub(crate) fn ledgers_since(&self, since: Timestamp) -> Vec<Ledger> {
        let folder = self.folder.join("engines");
        folder.names().into_iter().filter_map(|name| Ledger::found(folder.join(name), since)).collect()
    }

    /// The engines, but for the one of this ledger, for which the books know a build of this session since then.
    fn built_elsewhere(&self, key: &SessionKey, here: &Ledger, since: Timestamp) -> Vec<String> {
        let built = |ledger: &Ledger| {
            ledger.read().is_ok_and(|(books, _)| books.of_session(key).any(|build| build.at >= since))
        };
        let others =
            self.ledgers_since(since).into_iter().filter(|ledger| ledger.path() != here.path() && built(ledger));
        others.map(|ledger| ledger.engine().to_owned()).collect()
    }

    /// A small note of its own, beside everything else.
    pub fn note(&self, name: &str) -> Option<String> {
        String::from_utf8(self.folder.read(name).ok()??).ok()
    }

    pub fn write_note(&self, name: &str, text: &str) -> Result<()> {
        self.folder.write(name, text.as_bytes())
    }
}

fn lock_within_limit(path: &Path, mut attempt: impl FnMut() -> Result<(), TryLockError>) -> Result<()> {
    let began = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_LIMIT => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(TryLockError::WouldBlock) => {
                let tried = format!("locking {}", path.display());
                return Err(Error::failed(tried, format!("somebody else held it for {} s", LOCK_LIMIT.as_secs()))
                    .hint("look for a stopped dkb, and end it"));
            }
            Err(TryLockError::Error(error)) => {
                return Err(Error::failed(format!("locking {}", path.display()), error));
            }
        }
    }
}
