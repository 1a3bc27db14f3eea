//! `dkb sweep`: a look at each host, a plan for each, and then what the plans say, hosts side by side.

mod hosts;
mod run;
mod user;
mod wait;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::app::App;
use crate::cli;
use crate::engine::Docker;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{DiskUse, Kind};
use crate::observe::host::HostObservation;
use crate::observe::pressure;
use crate::plan::narrow::narrow;
use crate::plan::sweep::SweepPolicy;
use crate::plan_file::{self, PlanFile};
use crate::processes::signals::asked_to_stop;
use crate::report;
use crate::report::sweep::{SweptHost, Voice};
use crate::session::dead;
use hosts::{Host, LIMITS};
use run::Ready;

/// What this run is to do with its plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Show,
    Ask,
    Do,
}

pub(super) fn sweep(app: &App, flags: &cli::SweepFlags) -> Result<u8> {
    let cleaner = &app.cleaner;
    cleaner.warnings.iter().for_each(report::warn);
    let log = flags.log.or(cleaner.format);
    if app.settings.format.is_document() && log.is_some() {
        let lines = if flags.log.is_some() { "--log" } else { "LOG_FORMAT" };
        return Err(Error::usage("choosing the output", format!("--format json and {lines} are both set"))
            .hint(format!("--format json is one document, {lines} gives lines: leave one of them out")));
    }
    let terminal = report::can_ask();
    let yes = app.settings.yes || cleaner.is_forced(terminal);
    let mode = match flags.act.dry_run || flags.act.plan.is_some() || cleaner.dry_run {
        true => Mode::Show,
        false if yes => Mode::Do,
        false if terminal => Mode::Ask,
        false => {
            // In the words of whoever set it up.
            let variable = if cleaner.speaks { "PRUNE_FORCE" } else { "DKB_YES" };
            return Err(Error::usage("sweeping this host", "there is nobody to ask")
                .hint(format!("say --yes or set {variable}=true, after a look at what --dry-run shows")));
        }
    };
    let began = Instant::now();
    let mut hosts = hosts::hosts(app, flags, cleaner.socket.as_deref())?;
    let voice = Voice::new(&app.settings, app.loudness(), cleaner, log, hosts.len() > 1, mode == Mode::Show);
    let as_document = flags.act.plan.as_deref().is_some_and(plan_file::is_the_result);
    let voice = if as_document { voice.into_document() } else { voice };
    app.runtime()?.block_on(async {
        let stop = asked_to_stop().boxed_local().shared();
        if let Some(user) = &cleaner.user {
            user::step_down(&mut hosts, user, &voice, began, stop.clone()).await;
        }
        let mut looking = Some(voice.looking(hosts.len()));
        let told = if mode == Mode::Ask {
            let looks = join_all(hosts.iter().map(|host| prepare(app, flags, host, &voice, began))).await;
            drop(looking.take());
            if !agreed(&hosts, &looks, &voice) {
                return Ok(declined(&hosts, looks, &voice));
            }
            let done = hosts
                .iter()
                .zip(looks)
                .map(|(host, ready)| run::carry_out(app, &host.name, ready, &voice, stop.clone()));
            join_all(done).await
        } else {
            let looking = RefCell::new(looking.take());
            let whole = hosts.iter().map(|host| async {
                let ready =
                    wait::unless_stopped(stop.clone(), Box::pin(prepare(app, flags, host, &voice, began))).await;
                if hosts.len() == 1 {
                    drop(looking.take());
                }
                match (mode, ready) {
                    (Mode::Show, ready) => show(&host.name, ready, flags, &voice),
                    (_, ready) => run::carry_out(app, &host.name, ready, &voice, stop.clone()).await,
                }
            });
            join_all(whole).await
        };
        voice.summary(&told);
        Ok(exit_code(&told))
    })
}

async fn prepare(app: &App, flags: &cli::SweepFlags, host: &Host, voice: &Voice, since: Instant) -> Result<Ready> {
    let began = Instant::now();
    wait::for_engine(host, voice, since).await?;
    let engine = Docker::connect(host.endpoint.clone()?, LIMITS).await.map_err(|error| match &host.origin {
        Some(origin) => error.by(origin),
        None => error,
    })?;
    voice.starts(&host.name, engine.name());
    let (seen, swept, disk) = match &flags.act.apply {
        None => {
            let mut seen = HostObservation::look(app, engine, host.sweep.policy.clone()).await?;
            let disk = look_at_the_disk(&mut seen, host).await?;
            let swept = seen.plan().await;
            (seen, swept, disk)
        }
        Some(file) => {
            let mut plan = plan_file::read(file, "sweep")?;
            let mut seen = HostObservation::look(app, engine, widest(app, host, &plan)).await?;
            plan.check(file, &seen.info)?;
            let disk = look_at_the_disk(&mut seen, host).await?;
            for kind in Kind::ALL.into_iter().filter(|kind| !seen.policy.takes(*kind)) {
                let all = plan.steps.len();
                plan.steps.retain(|step| step.kind() != kind);
                if let Some(words) = report::sweep::unasked(kind, all.saturating_sub(plan.steps.len())) {
                    voice.warn(&host.name, &words);
                }
            }
            let mut swept = seen.plan().await;
            swept.plan = narrow(swept.plan, &plan.steps).plan;
            (seen, swept, disk)
        }
    };
    report::notice::tell(&seen.notices);
    dead::tell_of_the_dead(app, &seen.lives, seen.info.identity.as_deref());
    seen.gaps.iter().for_each(|gap| voice.gap(&host.name, gap));
    for unmatched in seen.unmatched().await {
        voice.warn(&host.name, &unmatched.to_string());
    }
    Ok(Ready { seen, swept, looked: began.elapsed(), disk })
}

/// How full it is, where it is swept for that, and how much that needs.
async fn look_at_the_disk(seen: &mut HostObservation, host: &Host) -> Result<Option<DiskUse>> {
    let Some(marks) = host.sweep.disk else { return Ok(None) };
    let disk = pressure::look(seen, marks).await?;
    seen.policy.need = Some(disk.need);
    Ok(Some(disk))
}

/// All that any sweep could take of the kinds that a plan from a file has and that are swept now: whoever wrote it may
/// not be the one who runs it, so what holds data is asked for each time. What is to stay stays: patterns, filters and
/// numbers hold as ever, an age where somebody has set one, and what was used since the plan was made.
fn widest(app: &App, host: &Host, plan: &PlanFile) -> SweepPolicy {
    let asked = host.sweep.policy.clone();
    let takes = |kind| plan.steps.iter().any(|step| step.kind() == kind);
    let usual = &app.settings.sweep.policy;
    let age = |age: Duration, usual: Duration, set: bool| if set || age != usual { age } else { Duration::ZERO };
    let until_is_set = app.settings.is_set("sweep.until");
    SweepPolicy {
        containers: asked.containers && takes(Kind::Container),
        images: asked.images && takes(Kind::Image),
        volumes: asked.volumes && takes(Kind::Volume),
        builder_state: asked.builder_state && takes(Kind::BuilderState),
        networks: asked.networks && takes(Kind::Network),
        cache: asked.cache && takes(Kind::BuildCache),
        until: age(asked.until, usual.until, until_is_set),
        cache_until: age(
            asked.cache_until,
            usual.cache_until,
            until_is_set || app.settings.is_set("sweep.cache_until"),
        ),
        unused_since: plan.created,
        ..asked
    }
}

fn show(host: &str, ready: Result<Ready>, flags: &cli::SweepFlags, voice: &Voice) -> SweptHost {
    let told = ready.and_then(|Ready { seen, swept, looked, disk }| {
        if let Some(file) = &flags.act.plan {
            plan_file::write(file, &swept.plan)?;
        }
        let kinds = run::kinds(&seen);
        voice.plan(host, &swept, &seen.policy, &kinds, disk);
        voice.plan_file(flags.act.plan.as_deref());
        let failed = seen.failed;
        for (kind, error) in &failed {
            voice.failure(host, *kind, error);
        }
        Ok(SweptHost {
            host: host.to_owned(),
            kinds,
            failed,
            seconds: looked.as_secs_f64(),
            ..SweptHost::of(swept.plan)
        })
    });
    told.unwrap_or_else(|error| voice.lost(host, error))
}

fn agreed(hosts: &[Host], looks: &[Result<Ready>], voice: &Voice) -> bool {
    let mut steps = Vec::new();
    for (host, ready) in hosts.iter().zip(looks) {
        if let Ok(ready) = ready {
            voice.asks(&host.name, &ready.swept, &ready.seen.policy, &run::kinds(&ready.seen), ready.disk);
            steps.extend(&ready.swept.plan.steps);
        }
    }
    // With nothing to agree to there is nothing to ask; what failed is told all the same.
    steps.is_empty() || report::asks(steps)
}

/// Nothing was removed, as was wished; what could not be looked at is told all the same.
fn declined(hosts: &[Host], looks: Vec<Result<Ready>>, voice: &Voice) -> u8 {
    let mut failed = false;
    for (host, look) in hosts.iter().zip(looks) {
        match look {
            Ok(ready) => {
                failed |= !ready.seen.failed.is_empty();
                ready.seen.failed.iter().for_each(|(kind, error)| voice.failure(&host.name, *kind, error));
            }
            Err(error) => failed |= voice.lost(&host.name, error).error.is_some(),
        }
    }
    u8::from(failed)
}

/// As the docker-cleaner's: 1 where some of it failed, 2 where all of it did.
fn exit_code(told: &[SweptHost]) -> u8 {
    let codes: Vec<u8> = told.iter().map(host_code).collect();
    let is_stop = |error: &Error| error.kind == ErrorKind::Interrupted;
    if told.iter().any(|told| told.interrupted || told.error.as_ref().is_some_and(is_stop)) {
        ErrorKind::Interrupted.exit_code()
    } else if codes.iter().all(|code| *code == 0) {
        0
    } else if codes.iter().all(|code| *code == 2) {
        2
    } else {
        1
    }
}

fn host_code(told: &SweptHost) -> u8 {
    if told.error.is_some() {
        return 2;
    }
    match (told.kinds_failed(), told.kinds.iter().filter(|kind| !told.failed_whole(**kind)).count()) {
        (0, _) => 0,
        (_, 0) => 2,
        _ => 1,
    }
}
