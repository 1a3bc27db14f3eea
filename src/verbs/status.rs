//! `dkb status`: what is ours, who is at work, and what a clean would free.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::app::App;
use crate::cli;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::{Image, ImageId, Kept, KeptReason, Kind, Life, Name, Pattern, Plan, Scope, SessionKey};
use crate::observe::Observation;
use crate::plan::cache::CacheBytes;
use crate::plan::clean::{Breadth, CacheWish, CleanPolicy, GivenNames, Layers};
use crate::plan::status::sessions;
use crate::report;
use crate::report::progress::{ENGINE, Progress};
use crate::report::status::{About, Fate, ShownSession};
use crate::session::{as_shown, dead};

pub(super) fn status(app: &App, flags: &cli::StatusFlags) -> Result<u8> {
    app.runtime()?.block_on(async {
        let breadth = match (&flags.image, app.settings.format.is_document()) {
            (Some(_), _) => Breadth::Whole,
            (None, true) => Breadth::Stamped,
            (None, false) => Breadth::Ours,
        };
        let _looking = Progress::of_a_look(app.is_watched(), ENGINE);
        let mut seen = Observation::look(app, breadth).await?;
        seen.recall_cache(app).await?;
        report::notice::tell(&seen.notices);
        dead::tell_of_all_dead(app, &seen.lives, seen.info.identity.as_deref());
        match &flags.image {
            Some(image) => named(app, &mut seen, image).await,
            None => all(app, &mut seen, flags.all).await,
        }
    })
}

async fn all(app: &App, seen: &mut Observation, every: bool) -> Result<u8> {
    let project = &app.key.project;
    let scope = if every { Scope::All } else { Scope::Project { project: project.clone() } };
    let plan = seen.plan(&app.here(), &policy(app, scope, false)).await?;
    let cache = seen.cache_bytes();
    let shown = shown(app, seen, &cache, |key| every || key.project == *project)?;
    let whose = if every { report::status::ALL } else { project.as_str() };
    let others = if shown.is_empty() && !every { others(app, seen, &cache)? } else { Vec::new() };
    let for_people = || {
        if shown.is_empty() {
            return report::status::nothing(&plan, whose, &others, style(app));
        }
        report::status::human(&plan, whose, &shown, &cache, Timestamp::now(), app.verbose, style(app))
    };
    report::result(app.settings.format, for_people, || report::status::document(&plan, &shown, &cache));
    Ok(0)
}

/// Other projects that have images here, those with the most first.
fn others(app: &App, seen: &Observation, cache: &CacheBytes) -> Result<Vec<(Name, usize)>> {
    let mut of: BTreeMap<Name, usize> = BTreeMap::new();
    for ShownSession { session, .. } in shown(app, seen, cache, |_| true)? {
        let images = of.entry(session.key.project.clone()).or_default();
        *images = images.saturating_add(session.images.len());
    }
    let mut others: Vec<(Name, usize)> = of.into_iter().filter(|(_, images)| *images > 0).collect();
    others.sort_by_key(|(_, images)| std::cmp::Reverse(*images));
    Ok(others)
}

fn style(app: &App) -> report::Style {
    report::Style::for_stdout(app.settings.color)
}

fn shown(
    app: &App,
    seen: &Observation,
    cache: &CacheBytes,
    wanted: impl Fn(&SessionKey) -> bool,
) -> Result<Vec<ShownSession>> {
    let (here, layers) = (app.here(), Layers::new());
    let summaries = sessions(&seen.as_look(&here, &layers), cache, wanted);
    Ok(as_shown(&app.state()?, seen, summaries))
}

/// Images of a pattern that are told of one by one.
const SHOWN: usize = 10;

/// Why the images of this name, ID or pattern are kept, and whose they are.
async fn named(app: &App, seen: &mut Observation, name: &str) -> Result<u8> {
    let found = find(seen, name).await?;
    let mut told = Vec::new();
    let mut whole: Option<Plan> = None;
    for image in found.iter().take(SHOWN) {
        let (about, plan) = about(app, seen, image).await?;
        told.push(about);
        match &mut whole {
            None => whole = Some(plan),
            Some(whole) => {
                whole.steps.extend(plan.steps);
                whole.kept.extend(plan.kept);
                whole.to_cache.extend(plan.to_cache);
            }
        }
    }
    let more = found.len().saturating_sub(told.len());
    let for_people = || report::status::about(&told, more, seen.cache_bytes().pending, Timestamp::now(), style(app));
    let document = || whole.map(|plan| report::status::document(&plan, &[], &seen.cache_bytes()));
    report::result(app.settings.format, for_people, document);
    Ok(0)
}

/// By the words that `dkb log` takes too: a name in any spelling, a pattern, the first digits of an ID.
async fn find(seen: &Observation, name: &str) -> Result<Vec<Image>> {
    let tried = || format!("looking for the image {name}");
    let is_pattern = name.contains(['*', '?']);
    if name.contains("<none>") {
        return Err(Error::usage(tried(), "that is docker's word for no name")
            .hint("write the image's ID; dkb status -v has a line for each without a name"));
    }
    if !is_pattern {
        let found = seen.engine.image(name).await?.map(|image| image.id);
        if let Some(image) = found.or_else(|| shortened(seen, name)).and_then(|id| seen.snapshot.image(id)) {
            return Ok(vec![image.clone()]);
        }
    }
    let pattern = Pattern::new(name).map_err(|_| Error::usage(tried(), "its name is empty"))?;
    let mut found: Vec<&Image> = seen.snapshot.images.iter().filter(|image| pattern.keeps(image)).collect();
    if found.is_empty() {
        return Err(Error::failed(tried(), format!("{} has no such image", seen.info.endpoint))
            .hint("dkb status --all -v lists every image that is ours; what went away is in dkb log"));
    }
    found.sort_by_key(|image| std::cmp::Reverse((seen.books.built(image.id), image.created, image.id)));
    Ok(found.into_iter().cloned().collect())
}

async fn about<'a>(app: &App, seen: &mut Observation, image: &'a Image) -> Result<(About<'a>, Plan)> {
    let last = seen.books.claims(image.id).max_by_key(|build| build.at);
    let (of, compose) = (last.map(|build| build.of.clone()), last.and_then(|build| build.compose.clone()));
    let mut fates = fates(app, seen, of.as_ref(), image.id).await?;
    let given = GivenNames::new(image.id, seen.books.claims(image.id));
    let plan = &mut fates[0].plan;
    if plan.steps.is_empty() && plan.kept.is_empty() {
        // Neither recorded nor stamped: a plan has no line for it.
        plan.kept.push(Kept {
            kind: Kind::Image,
            id: image.id.to_string(),
            names: image.tags.iter().map(ToString::to_string).collect(),
            bytes: image.size,
            reason: KeptReason::Unrecorded,
            holders: Vec::new(),
        });
    }
    let plan = plan.clone();
    let engine = seen.info.identity.as_deref();
    let (owner, left) = match &of {
        Some(of) => {
            let session = app.state()?.session(of);
            (session.owner(engine), session.is_left(engine))
        }
        None => (None, false),
    };
    let entry = of.as_ref().and_then(|of| seen.books.sessions.get(of)).filter(|entry| entry.is_cleaned());
    let cleaned = entry.and_then(|entry| entry.cleaned);
    let about = About {
        image,
        stamp: image.stamp(),
        gave: image.tags.iter().filter(|tag| given.has(tag)).cloned().collect(),
        built: seen.books.built(image.id),
        life: of.as_ref().map(|of| seen.lives.get(of).copied().unwrap_or(Life::Unowned)),
        cleaned,
        builds: of.as_ref().is_some_and(|of| seen.builds_in(of)),
        own: of.as_ref().is_some_and(|of| of.session == app.identity.copy),
        of,
        compose,
        owner,
        left,
        fates,
    };
    Ok((about, plan))
}

/// What each kind of clean would do with one image. The first is the plain one.
async fn fates(app: &App, seen: &mut Observation, of: Option<&SessionKey>, id: ImageId) -> Result<Vec<Fate>> {
    let mut here = app.here();
    let Some(of) = of else {
        let plan = seen.plan(&here, &policy(app, Scope::All, false)).await?;
        return Ok(vec![fate("dkb clean".to_owned(), plan, id)]);
    };
    // What another working copy built is cleaned by whoever says the project's name.
    let elsewhere = of.project != app.key.project || !seen.as_look(&here, &Layers::new()).reaches(of);
    here.vouched |= elsewhere;
    let mut of_clean = async |command: String, scope: Scope, tags: bool| -> Result<Fate> {
        Ok(fate(command, seen.plan(&here, &policy(app, scope, tags)).await?, id))
    };
    let command = if elsewhere { format!("dkb clean --project {}", of.project) } else { "dkb clean".to_owned() };
    let project = || Scope::Project { project: of.project.clone() };
    let mut fates = vec![of_clean(command.clone(), project(), false).await?];
    // Where somebody else named it too, our name alone goes.
    let is_named = |kept: &Kept| matches!(kept.reason, KeptReason::Tagged | KeptReason::ForeignTag);
    if fates[0].plan.kept.iter().any(is_named) {
        fates.push(of_clean(format!("{command} --tagged"), project(), true).await?);
    }
    // Whoever typed its name on this line has to type it again.
    let session =
        if *of == app.key && !app.settings.is_typed("session") { String::new() } else { format!(" {}", of.session) };
    fates.push(of_clean(format!("{command} --session{session}"), Scope::Session(of.clone()), true).await?);
    Ok(fates)
}

/// As `dkb clean` has it, which takes the cache along where its images go.
fn policy(app: &App, scope: Scope, tags: bool) -> CleanPolicy {
    CleanPolicy { cache: CacheWish::With, ..app.clean_policy(scope, tags) }
}

/// An ID that is cut short, as docker shows it, where exactly one image has it.
fn shortened(seen: &Observation, digits: &str) -> Option<ImageId> {
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    let mut found = seen.snapshot.images.iter().filter(|image| digits.len() >= 4 && image.id.starts_with(digits));
    found.next().filter(|_| found.next().is_none()).map(|image| image.id)
}

fn fate(command: String, mut plan: Plan, id: ImageId) -> Fate {
    let totals = plan.totals();
    plan.steps.retain(|step| step.image() == Some(id));
    let id = id.to_string();
    plan.kept.retain(|kept| kept.id == id);
    Fate { command, plan, totals }
}
