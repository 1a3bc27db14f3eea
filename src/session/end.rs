//! The end of a session: all that it left in the engine goes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::app::App;
use crate::apply::{Applier, Carried};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{OpeningFile, SessionFile};
use crate::model::{Books, Deed, Life, Moment, Name, Plan, Record, Scope, SessionEntry, SessionKey, Step};
use crate::observe::Observation;
use crate::plan::clean::{Breadth, CleanPolicy, Layers};
use crate::plan::news::news;
use crate::plan::over::{is_cleaned, is_over, left_to_others};
use crate::plan::session_end::{self, Extras};
use crate::report;
use crate::report::words::Loudness;

/// How long a stop may take before somebody wants to know what is waited for.
const WORDLESS: Duration = Duration::from_secs(3);

/// What became of a session.
pub(crate) struct SessionEnd {
    pub(crate) plan: Plan,
    /// What of it is news to whoever ends this session.
    pub(crate) news: Plan,
    pub(crate) report: Carried,
    /// Somebody had opened it here, and it was ended as that.
    pub(crate) opened: bool,
    /// The session stood in the books.
    pub(crate) known: bool,
    /// Every session that was known when the engine was looked at.
    pub(crate) lives: HashMap<SessionKey, Life>,
    /// The engine that it was ended on.
    pub(crate) engine: Option<String>,
    /// A build of it has come since the look, and what that made is not in the plan.
    pub(crate) built: bool,
    /// Other engines that it built on since it was opened, and where nobody keeps it open.
    pub(crate) elsewhere: Vec<String>,
}

impl SessionEnd {
    /// Nothing is left that waits for anybody.
    pub(crate) fn is_over(&self) -> bool {
        is_over(&self.plan) && !self.built
    }
}

/// How a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) keep_tagged: bool,
    /// Somebody had opened it, so what it runs is stopped, and its containers' data goes with them.
    pub(crate) opened: bool,
    /// Its name was made for whoever asks, so nobody else was at work in it. Otherwise it must be in reach.
    pub(crate) own: bool,
}

/// Cleans one session on this engine and says what became of it; nothing, where somebody has come to keep it open here.
/// Whoever opened it ends it where that was, and nothing is touched on another engine. Who asks for it by its name has
/// no `opening`: what a session that was opened elsewhere has here goes as that of one which nobody opened. `stop` ends
/// it early: before the first step as an error.
pub(crate) async fn end(
    app: &App,
    key: &SessionKey,
    mut manner: Manner,
    opening: Option<&OpeningFile>,
    is_kept_open: impl Fn(Option<&str>) -> bool,
    stop: impl Future<Output = ()>,
) -> Result<Option<SessionEnd>> {
    let mut stop = pin!(stop);
    let session = app.state()?.session(key);
    let look = async {
        let mut seen = Observation::look(app, if app.tells_all() { Breadth::Stamped } else { Breadth::Ours }).await?;
        report::notice::tell(&seen.notices);
        let engine = seen.info.identity.as_deref();
        match opening {
            Some(opening) if opening.engine().is_some_and(|known| Some(known.as_str()) != engine) => {
                return Err(opened_elsewhere(&seen.info.endpoint));
            }
            Some(opening) => engine.map_or(Ok(()), |engine| session.is_on(opening, engine))?,
            // One whose name was made up was opened here, if this ledger has heard of it, whatever became of the note.
            None => {
                manner.opened |= key.session.is_made_up() && seen.books.sessions.contains_key(key);
                manner.opened &= !session.is_elsewhere(engine);
            }
        }
        let plan = plan(app, &mut seen, key, manner).await?;
        Ok::<_, Error>((seen, plan))
    };
    let (mut seen, mut plan) = tokio::select! {
        looked = look => looked?,
        () = stop.as_mut() => {
            let tried = format!("cleaning session {}", key.session);
            return Err(Error::new(ErrorKind::Interrupted, tried, "it was asked to stop before it began"));
        }
    };
    let engine = seen.info.identity.clone();
    let at_look = seen.session_files().to_vec();
    let is_kept_open = || is_kept_open(engine.as_deref()) || session.is_opened_since(&at_look);
    // Whoever has opened it since the look may already use what the plan takes.
    if is_kept_open() {
        return Ok(None);
    }
    let known = seen.books.sessions.contains_key(key);
    if manner.opened && !known {
        // Or it would depend on how fast its watcher was whether anybody knows it later.
        let session = introduction(app, key, &seen.books, session.opened(engine.as_deref()).unwrap_or(seen.began));
        let _ = seen.ledger.append_aside(vec![session.clone()]).await;
        seen.books.apply(session);
    }
    let (report, built) = carry_out(app, &seen, key, &mut plan, &is_kept_open, stop).await?;
    // Somebody has opened it since: what was left is in use again.
    if is_kept_open() {
        return Ok(None);
    }
    let state = app.state()?;
    let mut elsewhere = match session.opened(engine.as_deref()) {
        Some(since) => state.built_elsewhere_aside(key, &seen.ledger, since).await,
        None => Vec::new(),
    };
    elsewhere.retain(|engine| !session.is_kept_on(engine));
    let news = news(&plan, &Scope::Session(key.clone()), &seen.snapshot.images);
    Ok(Some(SessionEnd {
        plan,
        news,
        report,
        opened: manner.opened,
        known,
        lives: seen.lives,
        engine,
        built,
        elsewhere,
    }))
}

/// The same way leads to another engine now: a socket was moved, or a context says another address.
fn opened_elsewhere(endpoint: &str) -> Error {
    Error::new(
        ErrorKind::Elsewhere,
        format!("ending it at {endpoint}"),
        "another engine answers there than the one that it was opened on, so nothing was touched",
    )
    .hint("dkb clean --stale takes it away, on that engine")
}

pub(super) async fn plan(app: &App, seen: &mut Observation, key: &SessionKey, manner: Manner) -> Result<Plan> {
    let scope = Scope::Session(key.clone());
    let Manner { keep_tagged, opened, own, .. } = manner;
    let here = app.here();
    let extras = seen.extras().await?;
    if !own && !seen.as_look(&here, &Layers::new()).reaches(key) {
        note_what_was_made(app, seen, key, &extras).await?;
        let tried = format!("ending session {} of {}", key.session, key.project);
        return Err(Error::new(ErrorKind::OutOfReach, tried, "it was at work in another working copy").hint(format!(
            "end it there, or say the project: dkb --project {} session end {}",
            key.project, key.session
        )));
    }
    let policy =
        CleanPolicy { trust_stamp: false, stops: opened, volumes: opened, ..app.clean_policy(scope, !keep_tagged) };
    seen.plan_end(&here.ending(key), &policy, &extras).await
}

/// Does what the plan says, and notes it. The session counts as cleaned once nothing more could go. Whether a build of it
/// has come since the look, by now gone again or not.
pub(super) async fn carry_out(
    app: &App,
    seen: &Observation,
    key: &SessionKey,
    plan: &mut Plan,
    is_kept_open: &dyn Fn() -> bool,
    stop: impl Future<Output = ()>,
) -> Result<(Carried, bool)> {
    let state = app.state()?;
    let books = (&state, &seen.ledger, &seen.books);
    // Who has come once is not asked about again.
    let has_come = Cell::new(false);
    let taken_over = |_: &Step| {
        has_come.set(has_come.get() || is_kept_open());
        has_come.get()
    };
    let applier = Applier::new(&seen.engine, &seen.snapshot, books, app.doer(key)).unless(&taken_over);
    let stop = stop.shared();
    let runs = RefCell::new(running(plan));
    let stopped = |moment, step: &Step| {
        if let Moment::Ended(_) = moment {
            runs.borrow_mut().remove(&*step.id());
        }
    };
    let report = {
        let mut work = pin!(applier.carry_out(plan, stop.clone(), stopped));
        tokio::select! {
            report = work.as_mut() => report,
            () = tokio::time::sleep(WORDLESS) => {
                say_what_is_waited_for(app, &runs.take());
                work.await
            }
        }
    };
    let mut records = Vec::new();
    // What a build of it has made or taken since the look is none of this plan's.
    let built = applier.built_in().await.map_or(true, |of| of.contains(key));
    let whole = is_cleaned(plan);
    if is_over(plan)
        && !built
        && seen.books.sessions.contains_key(key)
        && let Some(cleaned) = seen.cleaned(key, !whole)
    {
        records.push(cleaned);
        if whole {
            records.extend(left_to_others(plan, seen.began, |_| is_kept_open()));
        }
    }
    report::notice::tell(&applier.note(plan, report.gone.clone(), records, stop).await?);
    Ok((report, built))
}

/// The containers that the plan stops, by ID, with their names.
fn running(plan: &Plan) -> BTreeMap<String, String> {
    let name = |step: &Step| match &step.deed {
        Deed::StopContainer { id, name } => Some((id.clone(), name.clone())),
        _ => None,
    };
    plan.steps.iter().filter_map(name).collect()
}

/// A container's own grace may be long, or without an end.
fn say_what_is_waited_for(app: &App, runs: &BTreeMap<String, String>) {
    let names: Vec<&str> = runs.values().map(String::as_str).collect();
    if !names.is_empty() && app.loudness() != Loudness::Quiet {
        report::say(format_args!("waiting for {} to stop", names.join(", ")));
    }
}

/// Whether somebody keeps the session open on this engine, or on any, but for the keeper of this name. What cannot be
/// found out keeps it open.
pub(crate) fn is_kept_open(session: &SessionFile, but: Option<&str>, engine: Option<&str>) -> bool {
    session.keepers(but, engine).map_or(true, |keepers| !keepers.is_empty())
}

/// The last who keeps a session open ends it. Whoever came while it was to end may be gone again by now.
pub(crate) fn say_that_it_goes_on(key: &SessionKey, is_kept_open: bool) {
    let SessionKey { session, .. } = key;
    if is_kept_open {
        report::say(format_args!("session {session} is still in use; whoever ends it last cleans up"));
    } else {
        report::say(format_args!(
            "somebody opened session {session} while it was to end, so it is left; to end it: dkb session end {session}"
        ));
    }
}

/// What the books are told of a session that was opened then: whoever says so later was not at work in it until now.
/// Where others have been at work in it, this working copy has not, before it has made something.
pub(crate) fn introduction(app: &App, key: &SessionKey, books: &Books, opened: Timestamp) -> Record {
    let is_ours =
        books.sessions.get(key).is_none_or(|known| known.copies.is_empty()) && books.of_session(key).next().is_none();
    at_work_in(app, key, is_ours.then(|| app.identity.copy.clone()), opened)
}

fn at_work_in(app: &App, key: &SessionKey, copy: Option<Name>, at: Timestamp) -> Record {
    Record::Session(SessionEntry {
        ci: app.identity.ci.is_some(),
        slot: app.slot(),
        copies: copy.into_iter().collect(),
        ..SessionEntry::new(key.clone(), at)
    })
}

/// A session that this working copy opened and must leave to others: what it has run there keeps them from ending it
/// without a word. A build notes that itself.
async fn note_what_was_made(app: &App, seen: &Observation, key: &SessionKey, extras: &Extras) -> Result<()> {
    let copy = &app.identity.copy;
    let Some(opening) = seen.opened.get(key).filter(|opening| opening.copies.contains(copy)) else { return Ok(()) };
    let is_known = seen.books.sessions.get(key).is_some_and(|entry| entry.copies.contains(copy));
    if is_known || !session_end::ran_since(&seen.snapshot, extras, key, opening.since) {
        return Ok(());
    }
    seen.ledger.append_aside(vec![at_work_in(app, key, Some(copy.clone()), Timestamp::now())]).await
}

/// The session is over, but for what somebody still uses.
pub(crate) fn say_that_a_rest_waits() {
    report::say("what is kept for now goes with dkb clean --stale, once nothing holds it");
}

/// A session is cleaned on one engine.
pub(crate) fn say_what_is_elsewhere(key: &SessionKey, engines: &[String]) {
    for engine in engines {
        report::say(format_args!(
            "session {} built on another engine too, {engine}; what it made there stays: \
             dkb --context NAME --project {} session end {}",
            key.session, key.project, key.session
        ));
    }
}
