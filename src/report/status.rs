//! What `dkb status` says.

mod about;
mod at_work;
mod images;

use jiff::Timestamp;
use serde_json::{Value, json as document};

use super::words::{NOTHING, at_most, count};
use super::{Page, Style};
use crate::model::{Kind, Life, Name, Owner, Plan, SCHEMA, SessionKey, human_bytes, total};
use crate::plan::cache::CacheBytes;
use crate::plan::status::SessionSummary;
pub(crate) use about::{About, Fate, about};
use at_work::{Moments, SessionState, WhoseSession, at_work, state};
use images::Images;

/// Whose things are shown.
pub(crate) const ALL: &str = "all projects";

/// A build has ended a moment ago, and the engine has not noted yet what it used.
const PENDING: &str = "build cache of the last build: still being read";

/// A session and who opened it.
#[derive(Debug)]
pub(crate) struct ShownSession {
    pub session: SessionSummary,
    pub owner: Option<Owner>,
    /// It was left for a look.
    pub left: bool,
    /// A build of it runs.
    pub builds: bool,
}

impl ShownSession {
    fn at_work(&self, now: Timestamp) -> String {
        let Self { session, owner, left, builds } = self;
        let (life, cleaned, last) = (session.life, session.cleaned, session.last);
        let standing = SessionState { life, builds: *builds, owner: owner.as_ref(), left: *left, cleaned };
        at_work(WhoseSession::of(&session.key, session.own), standing, Moments { last, now })
    }

    /// It was cleaned, and has no image any more.
    fn is_done(&self) -> bool {
        self.session.cleaned.is_some() && self.session.images.is_empty()
    }
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
    // Each guard of the day leaves one.
    let is_folded = |shown: &ShownSession| shown.is_done() && !verbose;
    for one in shown.iter().filter(|one| !is_folded(one)) {
        let session = &one.session;
        if whose == ALL && project != Some(&session.key.project) {
            project = Some(&session.key.project);
            page.bold(&session.key.project);
        }
        let whose = WhoseSession::of(&session.key, session.own);
        let is_said = whose == WhoseSession::ThisCopy && session.life == Life::Unowned;
        let here = if session.here && !is_said { ", this one" } else { "" };
        page.wrapped(format_args!("session {}{here}: {}", session.key.session, one.at_work(now)), 2);
        table.session(&mut page, session, now);
    }
    let folded: Vec<&ShownSession> = shown.iter().filter(|one| is_folded(one)).collect();
    if !folded.is_empty() {
        let bytes = total(folded.iter().map(|one| one.session.cache));
        // Two of them may have found the same cache.
        let up_to = at_most(folded.len() > 1, bytes);
        page.wrapped(format_args!("{}: build cache, {up_to}", count(folded.len(), "cleaned session")), 2);
    }
    let all = if whose == ALL { " --all" } else { "" };
    page.line(would_free(plan, all));
    if plan.totals().bytes_to_cache > 0 {
        page.line(format_args!("{} more would stay as build cache", human_bytes(plan.totals().bytes_to_cache)));
    }
    // Their end left it to the next run, or it stayed for others.
    if shown.iter().any(|one| one.session.cleaned.is_some() && one.session.cache > 0) {
        page.line(format_args!("dkb clean{all} --cache takes the build cache of sessions that were cleaned, too"));
    }
    rest_of_cache(&mut page, cache);
    page
}

/// Where nothing is to be shown. `others`: the projects that have images on record all the same.
pub(crate) fn nothing(plan: &Plan, whose: &str, others: &[(Name, usize)], style: Style) -> Page {
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

/// Every session in a line, the newest first; of those that left nothing how many there are. `every`: of all projects.
pub(crate) fn list(shown: &[ShownSession], every: bool, verbose: bool, now: Timestamp, style: Style) -> Page {
    let mut page = Page::new(style);
    if shown.is_empty() {
        page.line("no build, guard or session start of dkb was here yet");
    }
    let (done, listed): (Vec<&ShownSession>, Vec<&ShownSession>) =
        shown.iter().partition(|one| one.is_done() && !verbose);
    let keys = || listed.iter().map(|one| &one.session.key);
    let longest = |name: fn(&SessionKey) -> &Name| keys().map(|key| name(key).as_str().chars().count()).max();
    let project = longest(|key| &key.project).unwrap_or(0);
    let width = longest(|key| &key.session).unwrap_or(0);
    for one in &listed {
        let SessionKey { project: of, session } = &one.session.key;
        let of = if every { format!("{:<project$}  ", of.as_str()) } else { String::new() };
        let indent = of.chars().count().saturating_add(width).saturating_add(2);
        let images = count(one.session.images.len(), "image");
        let name = format!("{:<width$}", session.as_str());
        page.wrapped(format_args!("{of}{name}  {}, {images}", one.at_work(now)), indent);
    }
    if !done.is_empty() {
        page.dim(format_args!("{} without an image any more: -v shows them", count(done.len(), "cleaned session")));
    }
    page
}

pub(crate) fn list_document(shown: &[ShownSession]) -> Value {
    let sessions: Vec<Value> = shown.iter().map(session_json).collect();
    document!({ "schema": SCHEMA, "kind": "sessions", "sessions": sessions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::id;
    use crate::model::image_tests::host;
    use crate::model::{Deed, ImageGuard, Reason, Step};

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
            let page = nothing(&plan, whose, others, Style::PLAIN);
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
}
