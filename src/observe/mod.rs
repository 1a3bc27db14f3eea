//! What there is: one look at an engine and the books, before anything is decided. This one is what the clean-up of
//! our own things starts from; [`host`] is that of a whole host.

mod disk;
mod ended_records;
pub(crate) mod host;
mod opened_since;
pub(crate) mod ours;
mod planning;
pub(crate) mod pressure;
mod questions;
pub(crate) mod unknown;
pub(crate) mod unmatched;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;

use ended_records::{ahead, end_records};
use ours::Seen;

use crate::app::App;
use crate::bookkeeping::{self, OpenBooks, SeenCache, open_books};
use crate::config::here::machine;
use crate::engine::{Buildx, Docker, Engine, Limits};
use crate::error::Result;
use crate::ledger::{CacheNotes, Ledger, State};
use crate::model::{
    Books, Build, CacheBooks, CacheRecord, Container, EngineInfo, ImageId, Life, Notice, Opening, Record, RunningBuild,
    SessionKey, Snapshot,
};
use crate::plan::cache::CacheBytes;
use crate::plan::clean::{Breadth, CleanLook, Here, Layers, at_work, builds_in, may_share_with_cache};

/// Images that are asked for their layers at the same time.
const AT_ONCE: usize = 8;

/// An engine, what it said, and what the ledger says of it.
pub(crate) struct Observation {
    pub(crate) engine: Docker,
    pub(crate) info: EngineInfo,
    pub(crate) ledger: Ledger,
    pub(crate) books: Books,
    pub(crate) snapshot: Snapshot,
    /// How much of the host is in it.
    pub(crate) breadth: Breadth,
    /// Images without a name on which others are built, where not all are in it.
    bases: HashSet<ImageId>,
    cache: Vec<CacheRecord>,
    /// What of the cache is ours, where somebody has asked for it.
    pub(crate) seen_cache: Option<SeenCache>,
    /// Builds have ended whose cache nobody has looked at yet.
    cache_pending: bool,
    /// The sessions' files by name, before their lives were looked at.
    session_files: Vec<OsString>,
    /// And those of the builds that ran.
    build_folders: Vec<OsString>,
    pub(crate) lives: HashMap<SessionKey, Life>,
    /// The last sign of life of those that are dead.
    beats: HashMap<SessionKey, Timestamp>,
    /// Those that somebody has opened and nobody has ended.
    pub(crate) opened: HashMap<SessionKey, Opening>,
    /// The sessions whose containers run.
    at_work: HashSet<SessionKey>,
    pub(crate) running: Vec<RunningBuild>,
    /// Before anything was asked: what ended later is not in it.
    pub(crate) began: Timestamp,
    pub(crate) notices: Vec<Notice>,
}

impl Observation {
    /// The one look: images and containers are listed once each. Where lists cost by what they answer it is one at what
    /// is ours, or at as much as is wanted at least.
    pub(crate) async fn look(app: &App, at_least: Breadth) -> Result<Self> {
        let began = Timestamp::now();
        let state = app.state()?;
        state.check()?;
        let engine = app.engine(Limits::default()).await?;
        let info = engine.info().await?;
        let ahead = ahead(&engine, &info);
        // Read before the engine is asked, so that what a build notes meanwhile cannot seem to be missing.
        let OpenBooks { ledger, mut books, damage, over } = open_books(&engine, &info, &state).await?;
        let mut notices: Vec<Notice> = damage.into_iter().collect();
        let (Seen { breadth, images, bases, mut containers }, cache) =
            tokio::try_join!(ours::see(&engine, &info, &books, at_least), cache_of(&engine, &books))?;
        ask_for_names(&engine, &books, &mut containers).await?;
        let mut snapshot = Snapshot { engine: info.clone(), images, containers };
        notices.extend(end_records(&engine, &ledger, &mut books, &snapshot, ahead).await);
        snapshot.add_dropped(|id| books.has(id));
        let (session_files, build_folders) = (state.session_files(), state.build_folders());
        let lives = lives(&state, &books, info.identity.as_deref());
        let dead = lives.iter().filter(|(_, life)| **life == Life::Dead).map(|(key, _)| key);
        let beats = dead
            .filter_map(|key| Some((key.clone(), state.session(key).last_beat(info.identity.as_deref())?)))
            .collect();
        let opened = state.openings(info.identity.as_deref());
        let at_work = at_work(&snapshot, &books);
        let running = bookkeeping::running_since(&state, &over);
        let mut seen = Self {
            engine,
            info,
            ledger,
            books,
            snapshot,
            breadth,
            bases,
            cache,
            seen_cache: None,
            cache_pending: false,
            session_files,
            build_folders,
            lives,
            beats,
            opened,
            at_work,
            running,
            began,
            notices,
        };
        seen.widen(at_least).await?;
        Ok(seen)
    }

    /// Sees at least so much of the host's images.
    pub(crate) async fn widen(&mut self, wanted: Breadth) -> Result<()> {
        if self.breadth >= wanted {
            return Ok(());
        }
        ours::widen(&self.engine, &mut self.snapshot, wanted).await?;
        self.breadth = wanted;
        Ok(())
    }

    /// Looks at what of the cache is ours, for whoever wants to take it.
    pub(crate) async fn look_at_cache(&mut self, app: &App) -> Result<()> {
        if let Some(notes) = self.cache_notes(app)? {
            let program = app.program()?;
            let buildx = Buildx { docker: &program.path, flags: &app.flags().words };
            self.seen_cache = SeenCache::wait(&notes, &self.engine, buildx).await?;
            if self.seen_cache.as_ref().is_some_and(|seen| seen.waits) {
                self.notices.push(Notice::CacheWaits);
            }
        }
        Ok(())
    }

    /// The same for whoever only wants to know, and does not wait.
    pub(crate) async fn recall_cache(&mut self, app: &App) -> Result<()> {
        if let Some(notes) = self.cache_notes(app)?.filter(CacheNotes::are_there) {
            if self.cache.is_empty() {
                // There may be some yet of images that are gone.
                self.cache = self.engine.cache().await.ok().flatten().unwrap_or_default();
            }
            self.cache_pending = notes.has_ended();
            self.seen_cache = SeenCache::of_before(&notes, self.cache.clone());
        }
        Ok(())
    }

    /// Where some of it can go without harm to the rest.
    fn cache_notes(&self, app: &App) -> Result<Option<CacheNotes>> {
        let known = self.info.identity.as_deref().filter(|_| self.info.can.prune_leaves_cache);
        known.map(|identity| Ok(app.state()?.cache(identity))).transpose()
    }

    pub(crate) fn cache_bytes(&self) -> CacheBytes {
        let nothing = CacheBooks::default();
        let books = self.seen_cache.as_ref().map_or(&nothing, |seen| &seen.books);
        CacheBytes { pending: self.cache_pending, ..CacheBytes::new(books, &self.cache) }
    }

    /// Whether a build of this session ran at the time of the look.
    pub(crate) fn builds_in(&self, session: &SessionKey) -> bool {
        builds_in(&self.running, session)
    }

    /// What the books are told of a session that is over, as of the look: what was built since was not seen. Of a build
    /// that ran then nobody knows yet what it made and took. `rest`: a later clean would take what is left of it.
    pub(crate) fn cleaned(&self, session: &SessionKey, rest: bool) -> Option<Record> {
        (!self.builds_in(session)).then(|| Record::Cleaned { key: session.clone(), at: self.began, rest })
    }

    pub(crate) fn as_look<'a>(&'a self, here: &'a Here, layers: &'a Layers) -> CleanLook<'a> {
        CleanLook {
            snapshot: &self.snapshot,
            books: &self.books,
            lives: &self.lives,
            beats: &self.beats,
            opened: &self.opened,
            at_work: &self.at_work,
            running: &self.running,
            layers,
            here,
            now: Timestamp::now(),
        }
    }
}

/// The build cache, where there is anything that may share its bytes. An engine that does not say keeps none.
async fn cache_of(engine: &impl Engine, books: &Books) -> Result<Vec<CacheRecord>> {
    Ok(if may_share_with_cache(books) { engine.cache().await.ok().flatten().unwrap_or_default() } else { Vec::new() })
}

/// A list names a container's image by its ID once its name has moved on. By which name it was made tells whose it is.
async fn ask_for_names(engine: &impl Engine, books: &Books, containers: &mut [Container]) -> Result<()> {
    let is_unclear = |container: &&mut Container| {
        let digits = container.image_name.strip_prefix("sha256:").unwrap_or(&container.image_name);
        container.image.is_some_and(|id| id.starts_with(digits))
    };
    let mut unclear: Vec<&mut Container> = containers.iter_mut().filter(is_unclear).collect();
    if unclear.is_empty() {
        return Ok(());
    }
    let recorded: HashSet<ImageId> = books.builds.iter().flat_map(Build::images).collect();
    unclear.retain(|container| container.image.is_some_and(|id| recorded.contains(&id)));
    let mut asked = stream::iter(unclear)
        .map(|container| async move { (engine.image_as_written(&container.id).await, container) })
        .buffer_unordered(AT_ONCE);
    while let Some((written, container)) = asked.next().await {
        if let Some(written) = written? {
            container.image_name = written;
        }
    }
    Ok(())
}

/// The sessions of the books, and others that somebody is at work in.
pub(crate) fn lives(state: &State, books: &Books, engine: Option<&str>) -> HashMap<SessionKey, Life> {
    let mut lives = state.lives(books.sessions.keys(), &machine(), engine);
    // Who is at work may not have come into the books. The dead may have died on another engine.
    let mut others: Vec<SessionKey> = state.sessions().into_keys().collect();
    others.retain(|key| !lives.contains_key(key));
    lives.extend(state.lives(&others, &machine(), engine).into_iter().filter(|(_, life)| *life == Life::Alive));
    lives
}
