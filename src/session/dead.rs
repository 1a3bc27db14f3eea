//! Sessions that were cut off: told of once, and taken away where that is wanted.

use std::collections::HashMap;
use std::future::Future;

use futures_util::FutureExt as _;

use super::end::{Manner, carry_out, is_kept_open, plan};
use crate::app::App;
use crate::error::{Error, Result};
use crate::model::{Life, Name, Owner, Scope, SessionKey};
use crate::observe::Observation;
use crate::plan::clean::Breadth;
use crate::plan::news::news;
use crate::plan::over::is_over;
use crate::report;
use crate::report::words::Loudness;

/// Says, once for each, which sessions died with guard and watcher: nobody has cleaned up after them.
pub(crate) fn tell_of_the_dead(app: &App, lives: &HashMap<SessionKey, Life>, engine: Option<&str>) {
    tell(app, lives, engine, false);
}

/// Says it for as long as it is true, for whoever asks how things stand.
pub(crate) fn tell_of_all_dead(app: &App, lives: &HashMap<SessionKey, Life>, engine: Option<&str>) {
    tell(app, lives, engine, true);
}

fn tell(app: &App, lives: &HashMap<SessionKey, Life>, engine: Option<&str>, again: bool) {
    let Ok(state) = app.state() else { return };
    let mut dead: Vec<&SessionKey> =
        lives.iter().filter(|(_, life)| **life == Life::Dead).map(|(key, _)| key).collect();
    dead.sort();
    for key in dead {
        let session = state.session(key);
        let Some(owner) = session.owner(engine) else { continue };
        let is_first = session.tell_once(engine);
        if is_first || again {
            report::warn(&in_words(key, &owner, is_first, &app.key.project));
        }
    }
}

/// One that was told of may have been cleaned but for what somebody used.
fn in_words(key: &SessionKey, owner: &Owner, is_first: bool, here: &Name) -> String {
    let SessionKey { project, session } = key;
    let Owner { command, since, .. } = owner;
    let what = if is_first { "was cut off and not cleaned" } else { "is over, and not all of it is gone" };
    let there = if project == here { String::new() } else { format!("--project {project} ") };
    let since = since.strftime("%Y-%m-%d %H:%M");
    format!("session {session} of {project} ({command}, since {since}) {what}; dkb {there}clean --stale takes it away")
}

/// What a build or a guard does about sessions that were cut off: it takes those of its own project away where
/// the settings say so, by default in CI, and speaks of the others. It never fails over them. `stop` ends it early, and
/// what has gone by then is noted.
pub(crate) async fn see_to_the_dead(
    app: &App,
    lives: &HashMap<SessionKey, Life>,
    engine: Option<&str>,
    loudness: Loudness,
    stop: impl Future<Output = ()>,
) {
    let stop = stop.shared();
    let mut others = lives.clone();
    if app.settings.clean_dead.unwrap_or(app.identity.ci.is_some()) {
        for (key, life) in lives {
            let is_meant = *life == Life::Dead && key.project == app.key.project && *key != app.key;
            if is_meant && matches!(end_dead(app, key, loudness, stop.clone()).await, Ok(true)) {
                others.remove(key);
            }
        }
    }
    tell_of_the_dead(app, &others, engine);
}

/// Whether the session needs no word any more.
async fn end_dead(
    app: &App,
    key: &SessionKey,
    loudness: Loudness,
    stop: impl Future<Output = ()> + Clone,
) -> Result<bool> {
    let session = app.state()?.session(key);
    let look = async {
        let mut seen = Observation::look(app, Breadth::Ours).await?;
        report::notice::tell(&seen.notices);
        // Somebody may have opened it again by its name, or ended it.
        if seen.lives.get(key) != Some(&Life::Dead) {
            return Ok(None);
        }
        let plan = plan(app, &mut seen, key, Manner { keep_tagged: false, opened: true, own: false }).await?;
        Ok::<_, Error>(Some((seen, plan)))
    };
    let looked = tokio::select! {
        looked = look => looked?,
        () = stop.clone() => return Ok(false),
    };
    let Some((seen, mut plan)) = looked else { return Ok(true) };
    let engine = seen.info.identity.as_deref();
    let state = app.state()?;
    let taken_over = || is_kept_open(&session, None, engine) || seen.has_come_to(&state, key);
    let (_, built) = carry_out(app, &seen, key, &mut plan, &taken_over, stop).await?;
    if taken_over() {
        return Ok(true);
    }
    let news = news(&plan, &Scope::Session(key.clone()), &seen.snapshot.images);
    report::guard::show(loudness, &news, key);
    let over = is_over(&plan) && !built;
    if over {
        session.disown(engine)?;
    }
    Ok(over)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::books_tests::key;

    #[test]
    fn the_words_lead_to_the_project_that_the_session_is_of() {
        let owner = Owner { machine: "here".to_owned(), since: Timestamp::UNIX_EPOCH, command: "sh".to_owned() };
        let (of, other) = (key("acme/shop", "run-1"), key("tool", "s"));
        let said = "session run-1 of acme/shop (sh, since 1970-01-01 00:00)";
        for (is_first, here, rest) in [
            (true, &of, "was cut off and not cleaned; dkb clean --stale takes it away"),
            (true, &other, "was cut off and not cleaned; dkb --project acme/shop clean --stale takes it away"),
            (false, &of, "is over, and not all of it is gone; dkb clean --stale takes it away"),
        ] {
            assert_eq!(in_words(&of, &owner, is_first, &here.project), format!("{said} {rest}"));
        }
    }
}
