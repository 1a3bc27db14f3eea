//! The end of a session: all that it left in the engine goes.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;

use jiff::Timestamp;

use super::apply::{self, Report};
use super::builds::Builds;
use super::clean::policy_for;
use super::seen::Seen;
use super::world::World;
use crate::error::{Error, Kind, Result};
use crate::ledger::SessionFile;
use crate::model::{KeptReason, Life, Plan, Record, SessionKey};
use crate::plan::clean::{Layers, Policy, Scope};
use crate::plan::{order, session_end};
use crate::ui;
use crate::ui::clean::Loudness;

/// What became of a session.
pub(super) struct Ended {
    pub(super) plan: Plan,
    pub(super) report: Report,
    /// The session stood in the books.
    pub(super) known: bool,
    /// Every session that was known when the engine was looked at.
    pub(super) lives: HashMap<SessionKey, Life>,
}

/// How a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) keep_tagged: bool,
    /// Somebody had opened it, so what it runs is stopped, and its containers' data goes with them.
    pub(super) opened: bool,
    /// In whatever working copies it was at work: whoever asks is in the session. Otherwise it must be in reach.
    pub(super) anywhere: bool,
}

/// Cleans one session and says what became of it; nothing, where somebody has come to keep it open. `stop` ends it
/// early: before the first step as an error.
pub(super) async fn end(
    world: &World,
    key: &SessionKey,
    manner: Manner,
    is_kept_open: impl Fn() -> bool,
    stop: impl Future<Output = ()>,
) -> Result<Option<Ended>> {
    let mut stop = pin!(stop);
    let look = async {
        let seen = Seen::look(world).await?;
        let plan = plan(world, &seen, key, manner).await?;
        Ok::<_, Error>((seen, plan))
    };
    let (seen, mut plan) = tokio::select! {
        looked = look => looked?,
        () = stop.as_mut() => {
            let tried = format!("cleaning session {}", key.session);
            return Err(Error::new(Kind::Interrupted, tried, "it was asked to stop before it began"));
        }
    };
    // Whoever has opened it since the look may already use what the plan takes.
    if is_kept_open() {
        return Ok(None);
    }
    let report = carry_out(world, &seen, key, &mut plan, &is_kept_open, stop).await?;
    // Somebody has opened it since: what was left is in use again.
    if is_kept_open() {
        return Ok(None);
    }
    let known = seen.books.sessions.contains_key(key);
    Ok(Some(Ended { plan, report, known, lives: seen.lives }))
}

async fn plan(world: &World, seen: &Seen, key: &SessionKey, manner: Manner) -> Result<Plan> {
    let scope = Scope::Session(key.clone());
    let Manner { keep_tagged, opened, anywhere } = manner;
    let mut here = world.here();
    if !anywhere && !seen.as_look(&here, &Layers::new()).reaches(key) {
        let tried = format!("ending session {} of {}", key.session, key.project);
        return Err(Error::usage(tried, "it was at work in another working copy").hint(format!(
            "end it there, or say the project: dkb --project {} session end {}",
            key.project, key.session
        )));
    }
    let policy =
        Policy { trust_stamp: false, stops: opened, volumes: opened, ..policy_for(world, scope, !keep_tagged) };
    let extras = seen.extras().await?;
    // Whoever ends a session speaks for it, alive or not.
    here.key = key.clone();
    here.vouched = true;
    let layers = seen.layers(&here, &policy).await?;
    let mut plan = session_end::plan(&seen.as_look(&here, &layers), &extras, &policy);
    seen.share_with_cache(&mut plan);
    seen.add_anonymous_volumes(&mut plan, &policy).await?;
    Ok(plan)
}

/// Does what the plan says, and notes it. The session counts as cleaned once nothing more could go.
async fn carry_out(
    world: &World,
    seen: &Seen,
    key: &SessionKey,
    plan: &mut Plan,
    is_kept_open: &dyn Fn() -> bool,
    stop: impl Future<Output = ()>,
) -> Result<Report> {
    let depths = order::depths(seen.snapshot.images.iter());
    let state = world.state()?;
    let builds = Builds::new(&state, &seen.books, "").unless(is_kept_open);
    let report = apply::apply(&seen.engine, plan, &depths, seen.info.containerd_store, &builds, stop, |_| {}).await;
    let mut records = Vec::new();
    if !report.gone.is_empty() {
        records.push(Record::Gone { at: Timestamp::now(), ids: report.gone.clone() });
    }
    // What stays for its age may have a tag to give back.
    let young = plan.kept.iter().any(|kept| kept.reason == KeptReason::TooYoung);
    if is_over(plan) && !young && seen.books.sessions.contains_key(key) {
        records.push(Record::Cleaned { key: key.clone(), at: seen.began });
    }
    seen.ledger.append(&records)?;
    Ok(report)
}

/// Whether somebody keeps the session open, but for the keeper of this name. What cannot be found out keeps it open.
pub(super) fn is_kept_open(session: &SessionFile, but: Option<&str>) -> bool {
    session.keepers(but).map_or(true, |keepers| !keepers.is_empty())
}

/// The last who keeps a session open ends it.
pub(super) fn say_that_it_goes_on(key: &SessionKey) {
    ui::say(format_args!("session {} is still in use; whoever ends it last cleans up", key.session));
}

/// Nothing of the session waits for a later clean.
pub(super) fn is_over(plan: &Plan) -> bool {
    plan.totals.failed == 0 && !plan.kept.iter().any(|kept| waits(kept.reason))
}

/// Kept for now only.
pub(super) fn waits(reason: KeptReason) -> bool {
    use KeptReason::{BuildRunning, Changed, Failed, InUse, Lent};
    matches!(reason, InUse | BuildRunning | Changed | Failed | Lent)
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
/// the settings say so, by default in CI, and speaks of the others. It never fails over them.
pub(super) async fn see_to_the_dead(world: &World, lives: &HashMap<SessionKey, Life>, loudness: Loudness) {
    let mut others = lives.clone();
    if world.settings.clean_dead.unwrap_or(world.identity.ci.is_some()) {
        for (key, life) in lives {
            let is_meant = *life == Life::Dead && key.project == world.key.project && *key != world.key;
            if is_meant && matches!(end_dead(world, key, loudness).await, Ok(true)) {
                others.remove(key);
            }
        }
    }
    tell_of_the_dead(world, &others);
}

/// Whether the session needs no word any more.
async fn end_dead(world: &World, key: &SessionKey, loudness: Loudness) -> Result<bool> {
    let session = world.state()?.session(key);
    let seen = Seen::look(world).await?;
    // Somebody may have opened it again by its name, or ended it.
    if seen.lives.get(key) != Some(&Life::Dead) {
        return Ok(true);
    }
    if !seen.as_look(&world.here(), &Layers::new()).reaches(key) {
        return Ok(false);
    }
    let mut plan = plan(world, &seen, key, Manner { keep_tagged: false, opened: true, anywhere: true }).await?;
    let taken_over = || is_kept_open(&session, None);
    carry_out(world, &seen, key, &mut plan, &taken_over, std::future::pending()).await?;
    if taken_over() {
        return Ok(true);
    }
    ui::guard::show(loudness, &plan, key);
    let over = is_over(&plan);
    if over {
        session.disown()?;
    }
    Ok(over)
}
