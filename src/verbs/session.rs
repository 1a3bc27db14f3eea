//! `dkb session list|start|label|end`: a session for a test harness that can't be wrapped by a guard.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::app::App;
use crate::cli::Session;
use crate::error::{Error, Result};
use crate::ledger::SessionFile;
use crate::model::{Name, RUN_LABEL, SessionKey, parse_duration};
use crate::observe::Observation;
use crate::plan::cache::CacheBytes;
use crate::plan::clean::{Breadth, Layers};
use crate::plan::status::every_session;
use crate::plan::unknown::{Known, Subject, unknown};
use crate::processes::process_end;
use crate::processes::signals::asked_to_stop;
use crate::report;
use crate::report::progress::{ENGINE, Progress};
use crate::session::end::{self, Manner, SessionEnd, say_that_it_goes_on};
use crate::session::watcher::{self, Leaves, Until};
use crate::session::{as_shown, dead, engine_of, key_of};

/// Longer than a watcher needs to see that its session was ended, or to know its engine; a stopped one is not waited for.
const WATCHER_SEES: Duration = Duration::from_secs(3);

pub(super) fn session(app: &App, verb: &Session) -> Result<u8> {
    match verb {
        Session::List { all } => list(app, *all),
        Session::Start { watch_pid, ttl } => start(app, *watch_pid, ttl),
        Session::Label { id } => label(app, id.as_deref()),
        Session::End { id, keep_tagged } => finish(app, id, *keep_tagged),
    }
}

fn list(app: &App, every: bool) -> Result<u8> {
    let looking = Progress::of_a_look(app.is_watched(), ENGINE);
    let seen = app.runtime()?.block_on(Observation::look(app, Breadth::Ours))?;
    drop(looking);
    report::notice::tell(&seen.notices);
    let (here, layers) = (app.here(), Layers::new());
    let wanted = |key: &SessionKey| every || key.project == app.key.project;
    let found = every_session(&seen.as_look(&here, &layers), &CacheBytes::default(), wanted);
    let shown = as_shown(&app.state()?, &seen, found);
    let style = report::Style::for_stdout(app.settings.color);
    let for_people = || report::status::list(&shown, every, app.verbose, Timestamp::now(), style);
    report::result(app.settings.format, for_people, || report::status::list_document(&shown));
    Ok(0)
}

fn start(app: &App, pid: Option<u32>, ttl: &str) -> Result<u8> {
    app.settle_on_an_engine()?;
    let key = key_of(app)?;
    let until = match pid {
        Some(pid) => {
            // The watcher takes hold of the process itself; here it is asked for so that the user is told why not.
            drop(process_end(pid)?);
            Until::Process(pid)
        }
        None => Until::Elapsed(parse_duration(ttl).map_err(|wrong| Error::usage("reading --ttl", wrong))?),
    };
    watcher::start(app, &key, &until, Leaves::default(), "session start")?.ready()?;
    report::out(&report::Page::of(&key.session));
    Ok(0)
}

/// The label without which nobody can tell whose a container, a volume or a network is.
fn label(app: &App, id: Option<&str>) -> Result<u8> {
    let key = id.map_or_else(|| Ok(app.key.clone()), |id| named(app, id))?;
    report::out(&report::Page::of(format_args!("{RUN_LABEL}={}", key.run_label())));
    Ok(0)
}

fn named(app: &App, id: &str) -> Result<SessionKey> {
    let session = Name::typed(id).map_err(|wrong| Error::usage("reading the session's ID", wrong))?;
    Ok(SessionKey { project: app.key.project.clone(), session })
}

fn finish(app: &App, id: &str, keep_tagged: bool) -> Result<u8> {
    let key = named(app, id)?;
    let session = app.state()?.session(&key);
    let is_kept_open = |engine: Option<&str>| !session.ends_by_name(engine).unwrap_or(false);
    if is_kept_open(None) {
        // That may be on another engine.
        let engine = app.runtime()?.block_on(engine_of(app));
        if engine.is_some() && session.is_elsewhere(engine.as_deref()) {
            say_that_it_ends_elsewhere(&key);
            return Ok(0);
        }
        let began = Instant::now();
        while is_kept_open(engine.as_deref()) {
            // A watcher that has just begun is about to note its engine.
            if session.end_once_of_many(engine.as_deref())? || began.elapsed() > WATCHER_SEES {
                say_that_it_goes_on(&key, true);
                return Ok(0);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    let opened = session.owner(None).is_some();
    let manner = Manner { keep_tagged, opened, own: false };
    let Some(ended) = app.runtime()?.block_on(end::end(app, &key, manner, None, is_kept_open, asked_to_stop()))? else {
        say_that_it_goes_on(&key, is_kept_open(None));
        return Ok(0);
    };
    let over = ended.is_over();
    let SessionEnd { plan, news, report, opened: opened_here, mut lives, known, engine, elsewhere, .. } = ended;
    let engine = engine.as_deref();
    let goes_on = opened && !opened_here;
    lives.remove(&key);
    dead::tell_of_the_dead(app, &lives, engine);
    if !known && !opened && plan.steps.is_empty() {
        let known = Known { sessions: lives.into_keys().collect(), ..Known::default() };
        let tried = format!("ending session {}", key.session);
        unknown(&tried, Subject::Session(&key, "session end"), &known).map_or(Ok(()), Err)?;
    }
    if goes_on {
        say_that_it_ends_elsewhere(&key);
    } else if over {
        session.end_by_name(engine)?;
    } else if opened && !report.interrupted {
        session.end_but_for_a_rest(engine)?;
        wait_for_the_watcher(&session, engine);
    }
    let whose = format!("{} · session {}", key.project, key.session);
    let told = if app.settings.format.is_document() || app.verbose { &plan } else { &news };
    report::clean::show(&app.settings, app.loudness(), told, &whose, true);
    for error in &report.errors {
        report::say(error);
    }
    if !over && opened_here && !report.interrupted {
        end::say_that_a_rest_waits();
    }
    end::say_what_is_elsewhere(&key, &elsewhere);
    Ok(report.exit_code(&plan))
}

fn say_that_it_ends_elsewhere(key: &SessionKey) {
    report::say(format_args!(
        "session {} goes on: it was opened on another engine, and ends there; if that engine is gone, so is what there \
         was to end",
        key.session
    ));
}

/// It looks every second whether somebody has ended its session, which is alive until then.
fn wait_for_the_watcher(session: &SessionFile, engine: Option<&str>) {
    let began = Instant::now();
    while end::is_kept_open(session, None, engine) && began.elapsed() < WATCHER_SEES {
        thread::sleep(Duration::from_millis(20));
    }
}
