//! The end of a session: all that it left in the engine goes.

use std::collections::HashMap;
use std::future::Future;

use jiff::Timestamp;

use super::apply::{self, Report};
use super::clean::policy_for;
use super::seen::Seen;
use super::world::World;
use crate::error::Result;
use crate::model::{KeptReason, Life, Plan, Record, SessionKey};
use crate::plan::clean::{Policy, Scope};
use crate::plan::{order, session_end};
use crate::ui;

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

/// The same, for whoever has looked already.
pub(super) async fn end_seen(
    world: &World,
    seen: &Seen,
    key: &SessionKey,
    keep_tagged: bool,
    stop: impl Future<Output = ()>,
) -> Result<(Plan, Report)> {
    let scope = Scope::Session(key.clone());
    let policy = Policy { trust_stamp: false, ..policy_for(world, scope, !keep_tagged) };
    let extras = session_end::Extras { networks: seen.engine.networks().await?, volumes: seen.engine.volumes().await? };
    let mut here = world.here();
    // Whoever ends a session speaks for it, alive or not.
    here.key = key.clone();
    let layers = seen.layers(&here, &policy).await?;
    let mut plan = session_end::plan(&seen.as_look(&here, &layers), &extras, &policy);
    seen.share_with_cache(&mut plan).await;
    let depths = order::depths(seen.snapshot.images.iter());
    let report = apply::apply(&seen.engine, &mut plan, &depths, seen.info.containerd_store, stop, |_| {}).await;
    let now = Timestamp::now();
    let mut records = Vec::new();
    if !report.gone.is_empty() {
        records.push(Record::Gone { at: now, ids: report.gone.clone() });
    }
    if is_over(&plan) && seen.books.sessions.contains_key(key) {
        records.push(Record::Cleaned { key: key.clone(), at: seen.began });
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

/// Says, once for each, which sessions died with guard and watcher: nobody has cleaned up after them.
pub(super) fn tell_of_the_dead(world: &World, lives: &HashMap<SessionKey, Life>) {
    let Ok(state) = world.state() else { return };
    let mut dead: Vec<&SessionKey> =
        lives.iter().filter(|(_, life)| **life == Life::Dead).map(|(key, _)| key).collect();
    dead.sort();
    for key in dead {
        let session = state.session(key);
        if let Some(owner) = session.owner().filter(|_| session.tell_once()) {
            ui::warn(format_args!(
                "session {} of {} ({}, since {}) was cut off and not cleaned; dkb clean --stale takes it away",
                key.session,
                key.project,
                owner.command,
                owner.since.strftime("%Y-%m-%d %H:%M")
            ));
        }
    }
}

/// What a build or a guard does about sessions that were cut off: it takes those of its own project away where
/// the settings say so, by default in CI, and speaks of the others.
pub(super) async fn see_to_the_dead(world: &World, lives: &HashMap<SessionKey, Life>) -> Result<()> {
    let mut others = lives.clone();
    if world.settings.clean_dead.unwrap_or(world.identity.ci.is_some()) {
        for (key, life) in lives {
            if *life == Life::Dead && key.project == world.key.project && *key != world.key {
                others.remove(key);
                let (plan, _) = end(world, key, false, std::future::pending()).await?;
                if is_over(&plan) {
                    world.state()?.session(key).disown()?;
                }
            }
        }
    }
    tell_of_the_dead(world, &others);
    Ok(())
}
