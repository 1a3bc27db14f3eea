//! Sessions: how one is named and kept open, who watches over it, and how it ends.

pub(crate) mod dead;
pub(crate) mod end;
pub(crate) mod opened;
pub(crate) mod told;
pub(crate) mod watcher;

use jiff::Timestamp;

use crate::app::{App, guard_mark};
use crate::config::here::machine;
use crate::engine::{Engine, Limits};
use crate::error::{Error, Result};
use crate::ledger::{OpeningFile, SessionFile, State};
use crate::model::short_hash;
use crate::model::{Life, Name, SessionKey};
use crate::observe::Observation;
use crate::plan::identity::Origin;
use crate::plan::status::SessionSummary;
use crate::report::status::ShownSession;

/// The session that was named, or a fresh one with a name that nobody else has and that says nothing of who or where.
pub(crate) fn key_of(app: &App) -> Result<SessionKey> {
    if matches!(app.identity.session_from, Origin::Given(_)) {
        return Ok(app.key.clone());
    }
    let moment = Timestamp::now().as_nanosecond().to_string();
    let hash = short_hash(&[&machine(), &std::process::id().to_string(), &moment]);
    let session = Name::made_up(&hash[..12]).ok_or_else(|| Error::usage("naming the session", "no digits"))?;
    Ok(SessionKey { project: app.key.project.clone(), session })
}

/// Whether the session's name was made for this run, so that nobody else can be in it.
pub(crate) fn is_made(app: &App, key: &SessionKey) -> bool {
    *key != app.key
}

/// What names the engine for good, where it answers.
pub(crate) async fn engine_of(app: &App) -> Option<String> {
    app.engine(Limits::default()).await.ok()?.info().await.ok()?.identity
}

/// Where others than the keeper of this name keep the session open it matters on which engine this opening is.
pub(crate) fn settle(app: &App, session: &SessionFile, opening: &OpeningFile, own: Option<&str>) {
    if opening.engine().is_none()
        && end::is_kept_open(session, own, None)
        && let Ok(runtime) = app.runtime()
        && let Some(engine) = runtime.block_on(engine_of(app))
    {
        let _ = session.is_on(opening, &engine);
    }
}

/// The guard that this process runs in, if it names a session that is alive.
pub(crate) fn outer(state: &State, app: &App) -> Option<SessionKey> {
    let key = SessionKey { project: app.key.project.clone(), session: guard_mark()?.session };
    (state.session(&key).life(&machine(), None) == Life::Alive).then_some(key)
}

/// These sessions as they are shown: with who opened each, and whether a build of it runs.
pub(crate) fn as_shown(state: &State, seen: &Observation, sessions: Vec<SessionSummary>) -> Vec<ShownSession> {
    let shown = |session: SessionSummary| ShownSession {
        owner: state.session(&session.key).owner(seen.info.identity.as_deref()),
        left: state.session(&session.key).is_left(seen.info.identity.as_deref()),
        builds: seen.builds_in(&session.key),
        session,
    };
    sessions.into_iter().map(shown).collect()
}
