//! What `dkb status` says.

mod images;

use jiff::Timestamp;
use serde_json::{Value, json as document};

use super::words::{NOTHING, at_most, count, held_by, plural, words};
use super::{Page, Style};
use crate::model::Owner;
use crate::model::{
    Action, Image, KeptReason, Kind, Life, Name, Plan, Reference, SCHEMA, SessionKey, Stamp, Step, Totals, human_bytes,
    human_duration,
};
use crate::plan::cache::CacheBytes;
use crate::plan::status::SessionSummary;
use images::{Images, age};

/// Whose things are shown.
pub(crate) const ALL: &str = "all projects";

/// A build has ended a moment ago, and the engine has not noted yet what it used.
const PENDING: &str = "build cache of the last build: still being read";

/// A session and who opened it.
#[derive(Debug)]
pub(crate) struct ShownSession {
    pub session: SessionSummary,
    pub owner: Option<Owner>,
    /// A build of it runs.
    pub builds: bool,
}

/// All that is known of one image.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub image: &'a Image,
    pub stamp: Stamp,
    /// The names that our builds gave it.
    pub gave: Vec<Reference>,
    pub built: Option<Timestamp>,
    pub of: Option<SessionKey>,
    /// The project of compose's that it was built for.
    pub compose: Option<Name>,
    /// That is the session that this run is in.
    pub here: bool,
    pub life: Option<Life>,
    /// When the session was cleaned, if nobody was at work in it since.
    pub cleaned: Option<Timestamp>,
    pub owner: Option<Owner>,
    /// A build of its session runs.
    pub builds: bool,
    /// The cache of the last build is not in what they free.
    pub cache_pending: bool,
    pub fates: Vec<Fate>,
}

/// What a kind of clean would do with one image.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// The words to type.
    pub command: String,
    /// The part of its plan that is about the image.
    pub plan: Plan,
    /// Of the whole plan.
    pub totals: Totals,
}

/// The one document, and the sessions beside it. It has the shape of a plan, and is none: it says its own kind, and
/// `--apply` does not take it.
/// `cache_bytes`: what the build cache of the engine takes, everybody's.
pub(crate) fn document(plan: &Plan, shown: &[ShownSession], cache: &CacheBytes) -> Value {
    let sessions: Vec<Value> = shown.iter().map(session_json).collect();
    let mut whole = serde_json::to_value(plan).unwrap_or_default();
    whole["kind"] = "status".into();
    whole["cache_bytes"] = cache.all.into();
    whole["cache_pending"] = cache.pending.into();
    whole["sessions"] = sessions.into();
    whole
}

fn session_json(ShownSession { session, owner, .. }: &ShownSession) -> Value {
    let images: Vec<Value> = session
        .images
        .iter()
        .map(|image| {
            let (id, built) = (image.id.to_string(), image.built.to_string());
            let (size, frees) = (image.size, image.frees);
            let compose = image.compose.as_ref().map(Name::as_str);
            document!({
                "id": id, "names": image.names, "built": built, "compose": compose, "bytes": size, "frees": frees
            })
        })
        .collect();
    document!({
        "project": session.key.project.as_str(),
        "session": session.key.session.as_str(),
        "state": state(session.life),
        "here": session.here,
        "since": owner.as_ref().map(|owner| owner.since.to_string()),
        "command": owner.as_ref().map(|owner| owner.command.as_str()),
        "last": session.last.to_string(),
        "cleaned": session.cleaned.map(|at| at.to_string()),
        "frees": session.frees(),
        "cache_bytes": session.cache,
        "images": images,
    })
}

pub(crate) fn human(
    plan: &Plan,
    whose: &str,
    shown: &[ShownSession],
    cache: &CacheBytes,
    now: Timestamp,
    verbose: bool,
    style: Style,
) -> Page {
    let engine = &plan.engine;
    let mut page = Page::new(style);
    page.heading(format_args!("{whose} · {} at {}", engine.called(), engine.endpoint));
    let table = Images::of(shown.iter().map(|shown| &shown.session), plan, page.width(), verbose);
    if shown.iter().any(|shown| !shown.session.images.is_empty()) {
        table.head(&mut page);
    }
    let mut project = None;
    for ShownSession { session, owner, builds } in shown {
        if whose == ALL && project != Some(&session.key.project) {
            project = Some(&session.key.project);
            page.bold(&session.key.project);
        }
        let whose = WhoseSession::of(&session.key, session.here);
        let is_said = whose == WhoseSession::ThisCopy && session.life == Life::Unowned;
        let here = if session.here && !is_said { ", this one" } else { "" };
        let moments = Moments { last: session.last, now };
        let at_work = at_work(whose, (session.life, *builds), owner.as_ref(), session.cleaned, moments);
        page.wrapped(format_args!("session {}{here}: {at_work}", session.key.session), 2);
        table.session(&mut page, session, now);
    }
    let all = if whose == ALL { " --all" } else { "" };
    page.line(would_free(plan, all));
    if plan.totals().bytes_to_cache > 0 {
        page.line(format_args!("{} more would stay as build cache", human_bytes(plan.totals().bytes_to_cache)));
    }
    // Their end left it to the next run, or it stayed for others.
    if shown.iter().any(|ShownSession { session, .. }| session.cleaned.is_some() && session.cache > 0) {
        page.line(format_args!("dkb clean{all} --cache takes the build cache of sessions that were cleaned, too"));
    }
    rest_of_cache(&mut page, cache);
    page
}

/// Where nothing is to be shown. `others`: the projects that have images on record all the same.
pub(crate) fn nothing(plan: &Plan, whose: &str, others: &[(Name, usize)], pending: bool, style: Style) -> Page {
    let engine = &plan.engine;
    let mut page = Page::new(style);
    page.heading(format_args!("{whose} · {} at {}", engine.called(), engine.endpoint));
    page.line(if whose == ALL {
        "nothing here is ours".to_owned()
    } else {
        format!("nothing here is ours, of {whose}")
    });
    if let Some((first, n)) = others.first() {
        let more = match others.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(", and {}", count(more, "other project")),
        };
        page.wrapped(format_args!("{first} has {}{more}: dkb status --all", count(*n, "image")), 2);
    }
    page.dim("dkb build -t NAME . puts an image on record; docker build does not");
    if pending {
        page.line(PENDING);
    }
    page
}

fn would_free(plan: &Plan, all: &str) -> String {
    let going = |kind: Kind| plan.steps.iter().filter(|step| step.kind() == kind).count();
    let parts = [(going(Kind::Image), "image"), (going(Kind::BuildCache), "cache record")];
    let parts: Vec<String> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what)).collect();
    if parts.is_empty() {
        return format!("dkb clean{all}: {NOTHING}");
    }
    format!("dkb clean{all} would free {} in {}", at_most(plan.up_to, plan.totals().bytes), parts.join(" and "))
}

fn rest_of_cache(page: &mut Page, cache: &CacheBytes) {
    let rest = cache.all.saturating_sub(cache.ours);
    let not_read = if cache.pending { " or is not read yet" } else { "" };
    if cache.pending {
        page.line(PENDING);
    }
    if rest > 0 {
        page.line(format_args!("build cache of this engine that is not ours{not_read}: {}", human_bytes(rest)));
    }
}

/// Every session in a line, the newest first. `every`: of all projects.
pub(crate) fn list(shown: &[ShownSession], every: bool, now: Timestamp, style: Style) -> Page {
    let mut page = Page::new(style);
    if shown.is_empty() {
        page.line("no build, guard or session start of dkb was here yet");
    }
    let name =
        |key: &SessionKey| if every { format!("{}  {}", key.project, key.session) } else { key.session.to_string() };
    let width = shown.iter().map(|shown| name(&shown.session.key).chars().count()).max().unwrap_or(0);
    for ShownSession { session, owner, builds } in shown {
        let whose = WhoseSession::of(&session.key, session.here);
        let moments = Moments { last: session.last, now };
        let at_work = at_work(whose, (session.life, *builds), owner.as_ref(), session.cleaned, moments);
        let images = count(session.images.len(), "image");
        page.wrapped(format_args!("{:<width$}  {at_work}, {images}", name(&session.key)), width.saturating_add(2));
    }
    page
}

pub(crate) fn list_document(shown: &[ShownSession]) -> Value {
    let sessions: Vec<Value> = shown.iter().map(session_json).collect();
    document!({ "schema": SCHEMA, "kind": "sessions", "sessions": sessions })
}

/// `at work for 12 minutes (just)`, `left behind by just, opened 2 hours ago`, `this working copy, last at work …`, `nobody
/// keeps it open, …`, `cleaned 5 minutes ago, …`.
fn at_work(
    of: WhoseSession,
    (life, builds): (Life, bool),
    owner: Option<&Owner>,
    cleaned: Option<Timestamp>,
    moments: Moments,
) -> String {
    let Moments { last, now } = moments;
    match (life, owner) {
        (Life::Alive, Some(owner)) => {
            format!("at work for {} ({})", human_duration(age(owner.since, now)), owner.command)
        }
        (Life::Alive, None) if builds => "at work, a build is running".to_owned(),
        // A watcher sees within a second that its session was ended.
        (Life::Alive, None) => "at work, somebody begins or ends it".to_owned(),
        (Life::Dead, Some(owner)) => format!("left behind by {}, opened {}", owner.command, ago(owner.since, now)),
        (Life::Dead, None) => format!("left behind, last at work {}", ago(last, now)),
        (Life::Unowned, _) => {
            let cleaned = cleaned.map(|at| format!("cleaned {}", ago(at, now)));
            let state = match of {
                WhoseSession::ThisCopy => Some("this working copy"),
                WhoseSession::AnotherCopy => Some("another working copy"),
                WhoseSession::Named => Some("nobody keeps it open").filter(|_| cleaned.is_none()),
            };
            let last = format!("last at work {}", ago(last, now));
            let parts = state.map(str::to_owned).into_iter().chain(cleaned).chain([last]);
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A working copy has its own session, which nobody opens and nobody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhoseSession {
    ThisCopy,
    AnotherCopy,
    /// By a user or a CI job.
    Named,
}

impl WhoseSession {
    fn of(key: &SessionKey, here: bool) -> Self {
        match (key.session.is_local(), here) {
            (true, true) => Self::ThisCopy,
            (true, false) => Self::AnotherCopy,
            (false, _) => Self::Named,
        }
    }
}

#[derive(Clone, Copy)]
struct Moments {
    last: Timestamp,
    now: Timestamp,
}

pub(crate) fn state(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dead => "dead",
        Life::Unowned => "unowned",
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    match age(at, now) {
        age if age.as_secs() == 0 => "just now".to_owned(),
        age => format!("{} ago", human_duration(age)),
    }
}

/// `more`: so many images were meant too.
pub(crate) fn about(all: &[About], more: usize, now: Timestamp, style: Style) -> Page {
    let mut page = Page::new(style);
    for (n, about) in all.iter().enumerate() {
        if n > 0 {
            page.line("");
        }
        about_one(&mut page, about, now);
    }
    if more > 0 {
        page.line("");
        page.line(format_args!("and {}", count(more, "more image")));
    }
    page
}

fn about_one(page: &mut Page, about: &About, now: Timestamp) {
    let names: Vec<&str> = about.image.public_tags().map(Reference::as_str).collect();
    let names = if names.is_empty() { "untagged".to_owned() } else { names.join(", ") };
    page.bold(format_args!("{}  {names}", about.image.id.short()));
    if let (Some(of), Some(built)) = (&about.of, about.built) {
        let life = about.life.unwrap_or(Life::Unowned);
        let whose = WhoseSession::of(of, about.here);
        let at_work =
            at_work(whose, (life, about.builds), about.owner.as_ref(), about.cleaned, Moments { last: built, now });
        let compose = about.compose.as_ref().map(|name| format!(", compose project {name}")).unwrap_or_default();
        let when = ago(built, now);
        let said = format!("ours: built {when} by {}{compose}, session {} ({at_work})", of.project, of.session);
        page.wrapped(said, 2);
    } else {
        let why = match about.fates.first().and_then(|fate| fate.plan.kept.first()).map(|kept| kept.reason) {
            Some(KeptReason::Pulled) => "it was pulled",
            Some(KeptReason::Inherited) => "it was built on an image of ours, and inherited its stamp",
            _ if about.stamp.is_none() => "no build of dkb made it",
            _ => "the ledger does not know it",
        };
        let stamp = match (&about.stamp.project, &about.stamp.session) {
            (None, None) => String::new(),
            (project, session) => {
                let part = |name: &Option<Name>| name.as_ref().map_or("-".to_owned(), ToString::to_string);
                format!(", though stamped {} {}", part(project), part(session))
            }
        };
        page.line(format_args!("not ours: {why}{stamp}"));
    }
    let others: Vec<&str> =
        about.image.public_tags().filter(|tag| !about.gave.contains(tag)).map(Reference::as_str).collect();
    if about.of.is_some() && !others.is_empty() {
        page.line(format_args!("named by others: {}", others.join(", ")));
    }
    for fate in &about.fates {
        page.wrapped(format_args!("{} {}", fate.command, told(fate)), 2);
    }
    if about.of.is_some() && about.cache_pending {
        page.line(PENDING);
    }
}

fn told(Fate { plan, totals, .. }: &Fate) -> String {
    let names = |wanted: Action| -> Vec<&str> {
        let steps = plan.steps.iter().filter(|step| step.action() == wanted && !step.is_of_own_name());
        steps.flat_map(Step::names).collect()
    };
    let kept = plan.kept.first();
    let stays = kept.map(|kept| match (kept.reason, held_by(kept)) {
        (reason, held) if held.is_empty() => words(reason).to_owned(),
        (KeptReason::ForeignTag, held) => {
            format!("{held} {} it", if kept.holders.len() == 1 { "names" } else { "name" })
        }
        (KeptReason::Base, held) => {
            format!("{held} {} on it", if kept.holders.len() == 1 { "stands" } else { "stand" })
        }
        (reason, held) => format!("{}, {held}", words(reason)),
    });
    let taken = names(Action::Untag);
    let back = names(Action::GiveBack);
    if let Some(step) = plan.steps.iter().find(|step| step.removed_image().is_some()) {
        let moved = match plan.totals().bytes_to_cache {
            0 => String::new(),
            moved => format!(", {} more stay as build cache", human_bytes(moved)),
        };
        // What goes with it, too.
        let all = match totals.bytes {
            bytes if bytes == step.bytes => String::new(),
            bytes => format!("; all that it takes is {}", at_most(totals.up_to, bytes)),
        };
        format!("removes it, {}{moved}{all}", human_bytes(step.bytes))
    } else if !taken.is_empty() {
        let why = stays.map(|why| format!(", {why}")).unwrap_or_default();
        format!("takes the {} {}; the image stays{why}", plural(taken.len(), "tag"), taken.join(", "))
    } else if !back.is_empty() {
        format!("gives it the {} {} back", plural(back.len(), "tag"), back.join(", "))
    } else {
        stays.map_or("has nothing to do with it".to_owned(), |why| format!("keeps it: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{id, key};
    use crate::model::image_tests::host;
    use crate::model::{Deed, Holder, ImageGuard, Kept, Kind, Reason};

    #[test]
    fn cache_that_nobody_has_looked_at_yet_is_not_called_others() {
        let said = |pending| {
            let mut page = Page::new(Style::PLAIN);
            rest_of_cache(&mut page, &CacheBytes { all: 7, pending, ..CacheBytes::default() });
            page.as_str().to_owned()
        };
        assert_eq!(said(false), "build cache of this engine that is not ours: 7 B\n");
        let pending = "build cache of the last build: still being read\n\
                       build cache of this engine that is not ours or is not read yet: 7 B\n";
        assert_eq!(said(true), pending);
    }

    #[test]
    fn what_a_clean_would_take_is_counted_by_what_there_is_of_it() {
        let record = |id: &str| Deed::RemoveCache {
            id: id.to_owned(),
            kind: "regular".to_owned(),
            last: crate::model::CacheUse::default(),
        };
        let image = Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged };
        let said = |deeds: Vec<Deed>, up_to| {
            let steps = deeds.into_iter().map(|deed| Step::new(deed, Reason::Leftover, 3)).collect();
            let engine = host(Vec::new(), Vec::new()).engine;
            let plan = Plan { up_to, ..Plan::new("clean", &engine, Timestamp::UNIX_EPOCH, steps, Vec::new()) };
            would_free(&plan, "")
        };
        assert_eq!(said(vec![record("a"), record("b")], false), "dkb clean would free 6 B in 2 cache records");
        let both = said(vec![image, record("a")], true);
        assert_eq!(both, "dkb clean would free up to 6 B in 1 image and 1 cache record");
        assert_eq!(said(Vec::new(), true), "dkb clean: nothing to remove");
    }

    #[test]
    fn where_nothing_is_ours_it_is_said_whose_things_are_here() {
        let plan = Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, vec![], vec![]);
        let name = |text: &str| Name::typed(text).expect("a name");
        let said = |whose: &str, others: &[(Name, usize)]| {
            let page = nothing(&plan, whose, others, false, Style::PLAIN);
            page.as_str().lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let how = "dkb build -t NAME . puts an image on record; docker build does not";
        assert_eq!(said(ALL, &[]), ["nothing here is ours", how]);
        let (shop, tool) = ((name("shop"), 8), (name("tool"), 1));
        let one = ["nothing here is ours, of tmp", "shop has 8 images: dkb status --all", how];
        assert_eq!(said("tmp", std::slice::from_ref(&shop)), one);
        let two = "shop has 8 images, and 1 other project: dkb status --all";
        assert_eq!(said("tmp", &[shop, tool])[1], two);
    }

    #[test]
    fn what_was_a_moment_ago_was_just_now() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("a moment");
        assert_eq!([ago(at(0), at(999)), ago(at(0), at(1000))], ["just now", "1 second ago"]);
    }

    #[test]
    fn who_is_alive_without_an_owner_builds_only_if_a_build_runs() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).expect("a time"));
        let at_work =
            |life, builds| at_work(WhoseSession::Named, (life, builds), None, None, Moments { last: then, now });
        assert_eq!(at_work(Life::Alive, true), "at work, a build is running");
        assert_eq!(at_work(Life::Alive, false), "at work, somebody begins or ends it");
        assert_eq!(at_work(Life::Unowned, false), "nobody keeps it open, last at work 1 minute ago");
    }

    fn fate(plan: Plan) -> Fate {
        Fate { command: "dkb clean".to_owned(), totals: plan.totals(), plan }
    }

    #[test]
    fn what_an_image_frees_is_what_the_clean_frees_that_takes_it() {
        let gone = Step::new(Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged }, Reason::Leftover, 7);
        let mut plan =
            Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, vec![gone], vec![]);
        plan.to_cache.insert(id(1), 3);
        let alone = fate(plan);
        assert_eq!(told(&alone), "removes it, 7 B, 3 B more stay as build cache");
        let all = Fate { totals: Totals { bytes: 50, ..alone.totals }, ..alone };
        assert_eq!(told(&all), "removes it, 7 B, 3 B more stay as build cache; all that it takes is 50 B");
    }

    #[test]
    fn who_is_at_work_is_said_in_words() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        let moments = Moments { last: at(3600), now: at(7200) };
        let owner = Owner { machine: String::new(), since: at(0), command: "just".to_owned() };
        for (session, here, life, owner, cleaned, said) in [
            ("local-0a1b2c3d", true, Life::Unowned, None, None, "this working copy, last at work 1 hour ago"),
            ("local-0a1b2c3d", false, Life::Unowned, None, None, "another working copy, last at work 1 hour ago"),
            ("job-1", true, Life::Unowned, None, None, "nobody keeps it open, last at work 1 hour ago"),
            ("job-1", false, Life::Unowned, None, Some(at(7140)), "cleaned 1 minute ago, last at work 1 hour ago"),
            ("job-1", false, Life::Dead, None, None, "left behind, last at work 1 hour ago"),
            ("job-1", false, Life::Dead, Some(&owner), None, "left behind by just, opened 2 hours ago"),
            ("local-0a1b2c3d", true, Life::Alive, None, None, "at work, a build is running"),
        ] {
            let whose = WhoseSession::of(&key("app", session), here);
            assert_eq!(at_work(whose, (life, true), owner, cleaned, moments), said);
        }
    }

    #[test]
    fn what_becomes_of_one_image_is_what_the_plan_does_with_it() {
        let kept = |reason, holders: &[&str]| Kept {
            kind: Kind::Image,
            id: id(1).to_string(),
            names: Vec::new(),
            bytes: 0,
            reason,
            holders: holders.iter().map(|name| Holder::Name((*name).to_owned())).collect(),
        };
        let tag = |name: &str| Reference::written(name).expect(name);
        let untag = || Step::new(Deed::Untag { image: id(1), name: tag("shop:dev") }, Reason::Tagged, 0);
        let back =
            Step::new(Deed::GiveBack { name: tag("app"), from: id(2), to: id(1), hold: None }, Reason::TakenTag, 0);
        let own = Step::new(Deed::Untag { image: id(1), name: id(1).private_tag() }, Reason::OwnName, 0);
        let gone = Step::new(Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged }, Reason::Leftover, 7);
        let foreign = |names: &[&str]| vec![kept(KeptReason::ForeignTag, names)];
        for (steps, kept, told) in [
            (vec![gone], vec![], "removes it, 7 B"),
            (vec![untag()], foreign(&["mine:1"]), "takes the tag shop:dev; the image stays, mine:1 names it"),
            (vec![untag()], foreign(&["a", "b"]), "takes the tag shop:dev; the image stays, a, b name it"),
            (
                vec![untag()],
                vec![kept(KeptReason::OtherSession, &[])],
                "takes the tag shop:dev; the image stays, other session",
            ),
            (vec![back], vec![], "gives it the tag app:latest back"),
            (vec![own], foreign(&["mine:1"]), "keeps it: mine:1 names it"),
            (vec![], vec![kept(KeptReason::Tagged, &[])], "keeps it: tagged"),
            (vec![], vec![], "has nothing to do with it"),
        ] {
            let plan = Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, steps, kept);
            assert_eq!(super::told(&fate(plan)), told);
        }
    }
}
