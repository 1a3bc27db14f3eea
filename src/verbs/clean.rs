//! `dkb clean`: one look, a plan, and then what the plan says.

mod scope;

use std::collections::HashSet;

use futures_util::FutureExt as _;

use crate::app::App;
use crate::apply::Applier;
use crate::cli::CleanFlags;
use crate::config::here::machine;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Life, Plan, Record, Scope, SessionKey, Stays, Step};
use crate::observe::{Observation, unknown};
use crate::plan::cache::give_up;
use crate::plan::clean::{Breadth, CacheWish, CleanPolicy, Here, Layers, sessions};
use crate::plan::narrow::{Narrowed, Wanted, narrow};
use crate::plan::news::news;
use crate::plan::over::{Rest, left_to_others};
use crate::plan::unknown::unknown;
use crate::plan_file::{self, PlanFile};
use crate::processes::signals::asked_to_stop;
use crate::report;
use crate::report::progress::{ENGINE, Progress};
use crate::report::words::Loudness;
use crate::session::{dead, end};

/// Errors that are told one by one; the document has a result for every step.
const TOLD: usize = 5;

pub(crate) fn clean(app: &App, flags: &CleanFlags) -> Result<u8> {
    app.runtime()?.block_on(async {
        let here = app.here();
        let (mut seen, planned) = look_and_plan(app, flags, &here).await?;
        let Planned { policy, plan: made, .. } = &planned;
        if let Some(path) = &flags.act.plan {
            plan_file::write(path, made)?;
            if plan_file::is_the_result(path) {
                report::out(&report::clean::json(made));
                return Ok(0);
            }
        }
        if flags.act.plan.is_some() || flags.act.dry_run {
            show(app, &seen, made, policy, false);
            if !app.settings.format.is_document() && app.loudness() != Loudness::Quiet {
                report::notice::tell_of_plan("clean", flags.act.plan.as_deref());
            }
            return Ok(0);
        }
        let asks = scope::must_ask(policy, &app.key, made).filter(|_| !app.settings.yes);
        if let Some(what) = asks
            && !agreed(app, made, policy, what)?
        {
            return Ok(0);
        }
        take_away(app, &here, &mut seen, planned).await
    })
}

/// The one look, and the plan of it.
async fn look_and_plan(app: &App, flags: &CleanFlags, here: &Here) -> Result<(Observation, Planned)> {
    let mut policies = vec![scope::of_flags(app, flags)?];
    let mut file = None;
    if let Some(path) = &flags.act.apply {
        let read = plan_file::read(path, "clean")?;
        if !flags.names_scope() {
            policies = scope::of_file(app, flags, read.asked.as_ref())?;
        }
        file = Some((path, read));
    }
    let breadth = match (&file, app.tells_all() || flags.act.dry_run || flags.act.plan.is_some()) {
        (Some(_), _) => Breadth::Whole,
        (None, true) => Breadth::Stamped,
        (None, false) => Breadth::Ours,
    };
    let looking = Progress::of_a_look(app.is_watched(), ENGINE);
    let mut seen = Observation::look(app, breadth).await?;
    let at_first = seen.breadth;
    if policies.iter().any(|policy| policy.cache != CacheWish::Leave)
        && let Err(error) = seen.look_at_cache(app).await
    {
        report::warn(error.under("the build cache is left alone"));
    }
    if flags.cache_mounts && !seen.info.can.prune_leaves_cache {
        report::warn("the cache mounts stay: what this engine gives up of its cache costs other builds their steps");
    }
    if flags.cache_mounts && !app.settings.own_cache_mounts {
        report::say(
            "builds here share their cache mounts with everybody's, so these stay; own_cache_mounts = true in dkb.toml \
             gives them their own",
        );
    }
    report::notice::tell(&seen.notices);
    if !policies.iter().any(|policy| matches!(policy.scope, Scope::Stale { .. })) {
        dead::tell_of_the_dead(app, &seen.lives, seen.info.identity.as_deref());
    }
    if let Some((path, file)) = &file {
        file.check(path, &seen.info)?;
    }
    let planned = make(here, &mut seen, policies, file.map(|(_, file)| file)).await?;
    drop(looking);
    if app.verbose && at_first < seen.breadth && seen.breadth == Breadth::Whole {
        let many = seen.snapshot.images.len();
        report::say(format_args!("looked at all {many} images of this engine, on which something of it hangs"));
    }
    seen.unmatched(&planned.policy.keep).await.iter().for_each(|one| report::warn(format_args!("{one}")));
    let named = if planned.plan.steps.is_empty() { scope::named(app, flags, &planned.policy) } else { Vec::new() };
    if !named.is_empty() {
        let known = unknown::known(app, &mut seen).await?;
        // A job that has built nothing yet may be cleaned, so this is no failure.
        named.into_iter().find_map(|(tried, named)| unknown(&tried, named, &known)).into_iter().for_each(report::warn);
    }
    Ok((seen, planned))
}

/// Does what the plan says, notes it, and says so.
async fn take_away(app: &App, here: &Here, seen: &mut Observation, planned: Planned) -> Result<u8> {
    let Planned { policy, plan: mut made, whole } = planned;
    let progress = Progress::of_steps(app.is_watched(), &made.steps);
    let state = app.state()?;
    let of = match &policy.scope {
        Scope::Session(key) => key,
        _ => &app.key,
    };
    let cache = seen.seen_cache.take();
    let seen = &*seen;
    let books = (&state, &seen.ledger, &seen.books);
    let is_opened = |step: &Step| seen.is_opened_since(app, here, &policy, step);
    let applier = Applier::new(&seen.engine, &seen.snapshot, books, app.doer(of)).unless(&is_opened);
    let stop = asked_to_stop().boxed_local().shared();
    let mut report = applier.carry_out(&mut made, stop.clone(), |moment, step| progress.tell(moment, step)).await;
    drop(progress);
    if let Some(mut cache) = cache {
        if whole && !report.interrupted {
            let layers = Layers::new();
            give_up(&mut cache.books, &made, &seen.as_look(here, &layers), &policy);
        }
        if let Err(error) = cache.forget(&made) {
            report::warn(error);
        }
    }
    // Where it can't be said in which sessions somebody has built, none is over.
    let ended = match applier.built_in().await {
        Ok(built) if whole => end_sessions(app, here, seen, &policy, &made, &built)?,
        _ => Vec::new(),
    };
    match applier.note(&made, report.gone.clone(), ended, stop).await {
        Ok(notices) => report::notice::tell(&notices),
        Err(error) => {
            report.interrupted |= error.kind == ErrorKind::Interrupted;
            report::warn(error);
        }
    }
    show(app, seen, &made, &policy, true);
    tell_of_a_living_one(app, seen, &policy)?;
    for error in report.errors.iter().take(TOLD) {
        report::say(error);
    }
    let more = report.errors.len().saturating_sub(TOLD);
    if more > 0 {
        report::say(format_args!("and {more} more such errors"));
    }
    Ok(report.exit_code(&made))
}

/// The plan, and what it was made by.
struct Planned {
    policy: CleanPolicy,
    plan: Plan,
    /// It is all that would go.
    whole: bool,
}

/// Makes the plan that these policies ask for; of several the one that has most of what the file has.
async fn make(
    here: &Here,
    seen: &mut Observation,
    policies: Vec<CleanPolicy>,
    file: Option<PlanFile>,
) -> Result<Planned> {
    let mut best: Option<Planned> = None;
    for policy in policies {
        let mut plan = seen.plan(here, &policy).await?;
        plan.scope = Some(scope::asked(&policy));
        let Narrowed { plan, whole } = match &file {
            Some(file) => {
                let kinds = file.steps.iter().map(Wanted::kind).collect();
                narrow(plan, &file.steps).told_of_gone(seen.missing(&kinds).await?)
            }
            None => Narrowed { plan, whole: true },
        };
        if best.as_ref().is_none_or(|best| plan.steps.len() > best.plan.steps.len()) {
            best = Some(Planned { policy, plan, whole });
        }
    }
    best.ok_or_else(|| Error::usage("making a plan", "nothing was asked for"))
}

fn show(app: &App, seen: &Observation, plan: &Plan, policy: &CleanPolicy, done: bool) {
    let whose = whose(app, policy);
    let all = app.settings.format.is_document() || app.verbose;
    let told = if all { plan.clone() } else { news(plan, &policy.scope, &seen.snapshot.images) };
    report::clean::show(&app.settings, app.loudness(), &told, &whose, done);
}

fn whose(app: &App, policy: &CleanPolicy) -> String {
    let is_typed = app.settings.is_typed("project");
    report::clean::whose(&policy.scope, policy.compose.as_ref(), app.key.project.as_str(), is_typed)
}

/// The session that was to be cleaned is left to those who keep it open.
fn tell_of_a_living_one(app: &App, seen: &Observation, policy: &CleanPolicy) -> Result<()> {
    if let Scope::Session(key) = &policy.scope
        && (*key != app.key || app.here().shared)
        && end::is_kept_open(&app.state()?.session(key), None, seen.info.identity.as_deref())
    {
        end::say_that_it_goes_on(key, true);
    }
    Ok(())
}

/// Sessions that were cleaned whole are over, each by what stays of it, but for those in which somebody has built since.
fn end_sessions(
    app: &App,
    here: &Here,
    seen: &Observation,
    policy: &CleanPolicy,
    plan: &Plan,
    built: &HashSet<SessionKey>,
) -> Result<Vec<Record>> {
    if !policy.tags || !policy.ends_sessions() {
        return Ok(Vec::new());
    }
    let (state, layers) = (app.state()?, Layers::new());
    let engine = seen.info.identity.as_deref();
    let look = seen.as_look(here, &layers);
    let (mut whole, mut ended) = (HashSet::new(), Vec::new());
    let left = Rest::new(plan, &seen.books, &seen.snapshot);
    for key in sessions(&look, policy).filter(|key| !built.contains(*key)) {
        let rest = left.of(key);
        if rest == Stays::Always {
            whole.insert(key);
        }
        // What is too young for this clean is still in use.
        let goes_on = rest == Stays::Now || rest == Stays::AWhile && policy.older_than.is_some();
        if goes_on || look.is_others(key) {
            continue;
        }
        ended.extend(seen.cleaned(key, rest != Stays::Always));
        if rest == Stays::Always
            && !seen.builds_in(key)
            && seen.lives.get(key) == Some(&Life::Dead)
            && state.session(key).life(&machine(), engine) == Life::Dead
            && !seen.was_opened_since(&state, key)
        {
            let _ = state.session(key).disown(engine);
        }
    }
    // What a guard keeps open may want it still, and leaves it at its own end.
    let goes_on = |key: &SessionKey| {
        !whole.contains(key) || seen.builds_in(key) || end::is_kept_open(&state.session(key), None, engine)
    };
    ended.extend(left_to_others(plan, seen.began, goes_on));
    Ok(ended)
}

/// Shows what would go on stderr, since stdout is for the result, and asks.
fn agreed(app: &App, plan: &Plan, policy: &CleanPolicy, what: String) -> Result<bool> {
    if !report::can_ask() {
        return Err(
            Error::usage(what, "there is nobody to ask").hint("say --yes, after a look at what --dry-run shows")
        );
    }
    let style = report::Style::for_stderr(app.settings.color);
    report::err(&report::clean::asked(plan, &whose(app, policy), app.verbose, style));
    Ok(report::asks(&plan.steps))
}
