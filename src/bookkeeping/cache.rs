//! The books of the build cache: what the builds that ended have made and used, and what goes since then.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::engine::{Answer, Buildx, CacheGone, Engine};
use crate::error::Result;
use crate::ledger::{CacheTurn, State};
use crate::model::{CacheBooks, CacheRecord, Doer, EndedBuild, EngineInfo, Removal, SessionKey};
use crate::plan::cache::{look, superseded};

/// Enters the builds that ended, and takes away what they superseded.
pub(crate) async fn tidy(
    doer: Doer<'_>,
    state: &State,
    turn: &CacheTurn<'_>,
    engine: &impl Engine,
    info: &EngineInfo,
    buildx: Buildx<'_>,
) -> Result<()> {
    let mut books = turn.books()?;
    let ended = turn.take_ended()?;
    let Some(records) = enter(&mut books, &ended, engine, buildx).await? else { return Ok(()) };
    // Written first: what is known must not hang on what goes.
    turn.write(&books)?;
    let (ledger, _) = state.ledger(info.known()?).read_aside().await?;
    let is_over = |of: &SessionKey| {
        ledger.sessions.get(of).is_some_and(|entry| entry.cleaned.is_some_and(|cleaned| cleaned >= entry.last))
    };
    let going = superseded(&books, &records, is_over);
    if going.is_empty() {
        return Ok(());
    }
    if let Answer::Done(gone) = engine.delete_cache(&going).await? {
        remember(doer, state, info, &books, &gone);
        let ids: HashSet<&str> = gone.ids.iter().map(String::as_str).collect();
        books.forget(|id| ids.contains(id));
        turn.write(&books)?;
    }
    Ok(())
}

/// Enters what a look tells of these builds; the records that are there. `None` where an engine tells too little.
async fn enter(
    books: &mut CacheBooks,
    ended: &[EndedBuild],
    engine: &impl Engine,
    buildx: Buildx<'_>,
) -> Result<Option<Vec<CacheRecord>>> {
    // Before the history, so that no build is missing there whose use is seen here.
    let Some(records) = engine.cache().await? else { return Ok(None) };
    let during =
        |began: Timestamp, until: Timestamp| ended.iter().any(|build| began <= build.ended && until >= build.began);
    let Some(history) = buildx.past_builds(during).await else { return Ok(None) };
    look(books, ended, &history, &records);
    Ok(Some(records))
}

/// One line for all of it: there are many records, and nobody knows one from another.
fn remember(doer: Doer<'_>, state: &State, info: &EngineInfo, books: &CacheBooks, gone: &CacheGone) {
    let mut seen = HashSet::new();
    let steps = gone.ids.iter().filter_map(|id| Some(books.records.get(id)?.step.clone()));
    let steps: Vec<String> = steps.filter(|step| seen.insert(step.clone())).collect();
    if let Some(first) = gone.ids.first() {
        let removal = Removal::of_cache(first, steps, gone.bytes, info, doer, Timestamp::now());
        // Its failure is nobody's trouble here.
        let _ = state.history().append(&[removal]);
    }
}
