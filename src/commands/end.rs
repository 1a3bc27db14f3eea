//! The end of a session: all that it left in the engine goes.

use std::future::Future;

use jiff::Timestamp;

use super::apply::{self, Report};
use super::clean::Seen;
use super::world::World;
use crate::error::Result;
use crate::model::{KeptReason, Life, Plan, Record, SessionKey};
use crate::plan::clean::{Policy, Scope};
use crate::plan::{order, session_end};

/// Cleans one session and says what became of it. It counts as cleaned once nothing more could go.
pub(super) async fn end(
    world: &World,
    key: &SessionKey,
    keep_tagged: bool,
    stop: impl Future<Output = ()>,
) -> Result<(Plan, Report)> {
    let seen = Seen::look(world).await?;
    end_seen(world, &seen, key, keep_tagged, stop).await
}

async fn end_seen(
    world: &World,
    seen: &Seen,
    key: &SessionKey,
    keep_tagged: bool,
    stop: impl Future<Output = ()>,
) -> Result<(Plan, Report)> {
    let settings = &world.settings;
    let policy = Policy {
        scope: Scope::Session(key.clone()),
        tags: !keep_tagged,
        containers: true,
        keep: settings.keep.clone(),
        keep_last: settings.keep_last,
        older_than: settings.older_than,
        stale_after: settings.stale_after,
        trust_stamp: false,
    };
    let extras = session_end::Extras { networks: seen.engine.networks().await?, volumes: seen.engine.volumes().await? };
    let layers = seen.layers(world, &policy).await?;
    let mut here = world.here();
    // Whoever ends a session speaks for it, alive or not.
    here.key = key.clone();
    let mut plan = session_end::plan(&seen.as_look(&here, &layers), &extras, &policy);
    let depths = order::depths(seen.snapshot.images.iter());
    let report = apply::apply(&seen.engine, &mut plan, &depths, seen.info.containerd_store, stop, |_| {}).await;
    let now = Timestamp::now();
    let mut records = Vec::new();
    if !report.gone.is_empty() {
        records.push(Record::Gone { at: now, ids: report.gone.clone() });
    }
    if is_over(&plan) && seen.books.sessions.contains_key(key) {
        records.push(Record::Cleaned { key: key.clone(), at: now });
    }
    seen.ledger.append(&records)?;
    Ok((plan, report))
}

/// Nothing of the session waits for a later clean.
pub(super) fn is_over(plan: &Plan) -> bool {
    let waits = |reason| {
        matches!(reason, KeptReason::InUse | KeptReason::BuildRunning | KeptReason::Changed | KeptReason::Failed)
    };
    plan.totals.failed == 0 && !plan.kept.iter().any(|kept| waits(kept.reason))
}

/// Sessions of this project on this engine whose guard died, watcher and all, and that nobody has cleaned since.
pub(super) fn dead(world: &World, seen: &Seen) -> Vec<SessionKey> {
    let uncleaned = |key: &SessionKey| {
        seen.books.sessions.get(key).is_some_and(|entry| entry.cleaned.is_none_or(|cleaned| cleaned < entry.last))
    };
    let dead = seen.lives.iter().filter(|(_, life)| **life == Life::Dead);
    let mut dead: Vec<SessionKey> = dead
        .map(|(key, _)| key.clone())
        .filter(|key| key.project == world.key.project && *key != world.key && uncleaned(key))
        .collect();
    dead.sort();
    dead
}

/// Cleans the sessions that died, one after the other. A session that can't be cleaned now waits for the next time.
pub(super) async fn end_dead(world: &World, seen: &Seen) -> Result<Vec<Plan>> {
    let mut plans = Vec::new();
    for key in dead(world, seen) {
        let (plan, _) = end_seen(world, seen, &key, false, std::future::pending()).await?;
        if is_over(&plan) {
            world.state()?.session(&key).disown()?;
        }
        plans.push(plan);
    }
    Ok(plans)
}
