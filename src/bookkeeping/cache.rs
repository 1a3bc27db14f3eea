//! The books of the build cache: what the builds that ended have made and used, and what has gone since then.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::engine::{Buildx, Engine};
use crate::error::Result;
use crate::ledger::{CacheNotes, CacheTurn};
use crate::model::{CacheBooks, CacheRecord, Kind, Plan};
use crate::plan::cache::{look, matters, must_wait};

/// An engine's build cache and what is known of it. Nobody else looks or takes meanwhile.
pub(crate) struct SeenCache {
    pub(crate) records: Vec<CacheRecord>,
    pub(crate) books: CacheBooks,
    /// Builds have ended that are not entered yet.
    pub(crate) waits: bool,
    /// `None` for whoever only reads.
    turn: Option<CacheTurn>,
}

/// The engine notes what a build used a moment after it has ended.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// How long somebody waits for his turn.
const PATIENCE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(100);

/// Builds that ended so long ago are entered whoever builds now.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

impl SeenCache {
    /// Looks at the engine, and enters the builds that have ended. `None` where an engine tells too little. While
    /// anybody builds who may have found what ours held, nobody knows yet what he found: they wait.
    pub(crate) async fn look(turn: CacheTurn, engine: &impl Engine, buildx: Buildx<'_>) -> Result<Option<Self>> {
        let mut books = turn.books()?;
        let ended = turn.ended()?;
        // Before the history, so that no build is missing there whose use is seen here.
        let Some(records) = engine.cache().await? else { return turn.forget_ended(&ended).map(|()| None) };
        let mut history = Vec::new();
        if !ended.builds.is_empty() {
            match buildx.past_builds(|_, until| matters(&ended.builds, until)).await {
                Some(past) => history = past,
                None => return turn.forget_ended(&ended).map(|()| None),
            }
        }
        let now = Timestamp::now();
        let is_new = ended.builds.iter().all(|build| now.duration_since(build.ended) < LONGEST);
        let waits = is_new && must_wait(&books, &ended.builds, &history, now);
        if !waits {
            look(&mut books, &ended.builds, &history, &records);
            // Written before anything goes: what is known must not hang on that.
            turn.write(&books)?;
            turn.forget_ended(&ended)?;
        }
        Ok(Some(Self { records, books, waits, turn: Some(turn) }))
    }

    /// The same for whoever can wait for a moment: for who has the turn, and until the engine has noted what the last
    /// builds used. `None` where no build of ours has left any cache, or nobody gets the turn.
    pub(crate) async fn wait(notes: &CacheNotes, engine: &impl Engine, buildx: Buildx<'_>) -> Result<Option<Self>> {
        if !notes.are_there() {
            return Ok(None);
        }
        let began = Instant::now();
        let turn = loop {
            match notes.turn()? {
                Some(turn) => break turn,
                None if began.elapsed() > PATIENCE => return Ok(None),
                None => tokio::time::sleep(MOMENT).await,
            }
        };
        if notes.has_ended() {
            tokio::time::sleep(SOON).await;
        }
        Self::look(turn, engine, buildx).await
    }

    /// What was known at the last look, and these records.
    pub(crate) fn of_before(notes: &CacheNotes, records: Vec<CacheRecord>) -> Option<Self> {
        let books = notes.books().ok().filter(|books| !books.records.is_empty())?;
        Some(Self { records, books, waits: notes.has_ended(), turn: None })
    }

    /// What a plan took is in the books no more.
    pub(crate) fn forget(mut self, plan: &Plan) -> Result<()> {
        let steps = plan.steps.iter().filter(|step| step.kind() == Kind::BuildCache && step.is_done());
        let gone: HashSet<String> = steps.map(|step| step.id().into_owned()).collect();
        self.books.forget(|id| gone.contains(id));
        self.turn.map_or(Ok(()), |turn| turn.write(&self.books))
    }
}
