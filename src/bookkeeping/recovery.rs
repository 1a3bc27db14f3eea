//! The books of those whose dkb was killed.

use jiff::Timestamp;

use super::record::{BuildFacts, lost, record, records};
use super::removals::{is_older_than, tell_what_was_cut_off};
use crate::engine::Engine;
use crate::error::Result;
use crate::ledger::{Intent, Ledger, State, Unfinished};
use crate::model::EngineInfo;

/// Finishes the books of builds and removals whose dkb was killed. Only those on this very engine are touched.
pub(crate) async fn recover(engine: &impl Engine, info: &EngineInfo, state: &State, ledger: &Ledger) -> Result<usize> {
    // First, since a build may have made the same image again.
    tell_what_was_cut_off(engine, info, state, ledger).await?;
    let (mut recovered, mut failed) = (0_usize, None);
    for unfinished in state.unfinished() {
        if unfinished.still_runs() {
            continue;
        }
        let done = recover_one(engine, info, ledger, &unfinished).await;
        match done {
            Ok(false) | Err(_) if !is_older_than(7, unfinished.intent.started) => failed = failed.or(done.err()),
            _ => {
                recovered = recovered.saturating_add(1);
                unfinished.finish();
            }
        }
    }
    failed.map_or(Ok(recovered), Err)
}

/// `false` where this engine is not the one that could tell.
async fn recover_one(
    engine: &impl Engine,
    info: &EngineInfo,
    ledger: &Ledger,
    unfinished: &Unfinished,
) -> Result<bool> {
    let intent = &unfinished.intent;
    let began = match &unfinished.engine {
        Some((built_on, began)) if info.identity.as_ref() == Some(built_on) => *began,
        // It was killed before it knew the engine. The very same socket leads to the same one; without one
        // nobody can tell.
        None if intent.socket.is_none() => return Ok(true),
        None if intent.socket == engine.endpoint().socket_mark() => began(info, intent),
        _ => return Ok(false),
    };
    let (books, _) = ledger.read_aside().await?;
    let can = info.can;
    let said = match unfinished.result {
        Some(id) => engine.image(&id.to_string()).await?.map(|image| image.id),
        None => None,
    };
    let result = match said {
        Some(id) => Some(id),
        None => lost(engine, can, intent, (began, &unfinished.before), &books, None).await?,
    };
    let facts = BuildFacts {
        can,
        intent,
        stamp: &intent.stamp,
        began,
        surely_began: None,
        now: info.now,
        before: &unfinished.before,
        all: unfinished.all.as_ref(),
        shown: &unfinished.shown,
        result,
        ok: result.is_some(),
        ran: unfinished.shown.was_running(),
        cut_off: true,
    };
    let build = record(engine, &books, &facts).await?;
    ledger.append_aside(records(&books, intent, &build)).await?;
    Ok(true)
}

/// When the build began, by the engine's clock. Where somebody has set a clock since, it is the later time, with
/// which fewer images count as new.
fn began(info: &EngineInfo, intent: &Intent) -> Timestamp {
    intent.started.checked_add(info.ahead).map_or(info.now, |began| began.max(intent.started))
}
