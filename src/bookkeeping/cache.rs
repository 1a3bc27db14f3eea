//! The books of the build cache: what the builds that ended have made and used, and what has gone since then.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::engine::{Buildx, Engine};
use crate::error::Result;
use crate::ledger::CacheTurn;
use crate::model::{CacheBooks, CacheRecord, Kind, Outcome, Plan};
use crate::plan::cache::look;

/// An engine's build cache and what is known of it. Nobody else looks or takes meanwhile.
pub(crate) struct SeenCache {
    pub(crate) records: Vec<CacheRecord>,
    pub(crate) books: CacheBooks,
    turn: CacheTurn,
}

impl SeenCache {
    /// Looks at the engine, and enters the builds that have ended. `None` where an engine tells too little.
    pub(crate) async fn look(turn: CacheTurn, engine: &impl Engine, buildx: Buildx<'_>) -> Result<Option<Self>> {
        let mut books = turn.books()?;
        let ended = turn.take_ended()?;
        // Before the history, so that no build is missing there whose use is seen here.
        let Some(records) = engine.cache().await? else { return Ok(None) };
        let during =
            |began: Timestamp, until: Timestamp| ended.iter().any(|build| began <= build.ended && until >= build.began);
        let Some(history) = buildx.past_builds(during).await else { return Ok(None) };
        look(&mut books, &ended, &history, &records);
        // Written before anything goes: what is known must not hang on that.
        turn.write(&books)?;
        Ok(Some(Self { records, books, turn }))
    }

    /// What a plan took is in the books no more.
    pub(crate) fn forget(mut self, plan: &Plan) -> Result<()> {
        let went = |result| matches!(result, Some(Outcome::Done | Outcome::AlreadyGone));
        let steps = plan.steps.iter().filter(|step| step.kind() == Kind::BuildCache && went(step.result));
        let gone: HashSet<String> = steps.map(|step| step.id().into_owned()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.books.forget(|id| gone.contains(id));
        self.turn.write(&self.books)
    }
}
