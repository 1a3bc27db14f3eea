//! Tables for people.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::words::{held_by, short_id, words};
use super::super::{Page, Style};
use super::told::{Since, SweptHost};
use crate::error::Error;
use crate::model::{KeptReason, Kind, LabelFilter, Outcome, Plan, Reason, Step, human_bytes, human_duration};
use crate::plan::sweep::{SweepPolicy, Swept};

pub(super) fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "containers",
        Kind::Image => "images",
        Kind::Volume => "volumes",
        Kind::Network => "networks",
        Kind::BuildCache => "build cache",
    }
}

pub(super) fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Stopped => "stopped",
        Reason::Dangling => "dangling",
        _ => "unused",
    }
}

/// By its name; a thing without one by its ID.
pub(super) fn name(step: &Step) -> String {
    match step.names().as_slice() {
        [] => short_id(&step.id()).to_owned(),
        names if step.kind() == Kind::BuildCache => format!("{} {}", short_id(&step.id()), names.join(" ")),
        names => names.join(" "),
    }
}

pub(super) fn age(step: &Step, since: &Since, now: Timestamp) -> Option<Duration> {
    let since = since.get(&(step.kind(), step.id().into_owned()))?;
    Some(Duration::try_from(now.duration_since(*since)).unwrap_or_default())
}

fn heading(host: Option<&str>, plan: &Plan, style: Style) -> Page {
    let host = host.map(|host| format!("{host} · ")).unwrap_or_default();
    let mut page = Page::new(style);
    page.dim(format_args!("{host}{} at {}", plan.engine.called(), plan.engine.endpoint));
    page
}

fn total(plan: &Plan) -> String {
    let up_to = if plan.up_to { "up to " } else { "" };
    format!("{up_to}{}", human_bytes(plan.totals().bytes))
}

pub(super) fn plan(host: Option<&str>, swept: &Swept, policy: &SweepPolicy, verbose: bool, style: Style) -> Page {
    let Swept { plan, since } = swept;
    let mut page = heading(host, plan, style);
    for kind in Kind::ALL {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.kind() == kind).collect();
        if steps.is_empty() {
            continue;
        }
        let rows: Vec<(String, String, String)> = steps
            .iter()
            .map(|step| {
                let age = age(step, since, plan.created).map_or_else(|| "?".to_owned(), human_duration);
                (name(step), age, human_bytes(step.bytes))
            })
            .collect();
        let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0).clamp(12, 48);
        page.bold(format_args!("{:<width$}  {:<10}  {:>9}  why", plural(kind), "age", "size"));
        for (step, (name, age, size)) in steps.iter().zip(&rows) {
            page.line(format_args!("{name:<width$}  {age:<10}  {size:>9}  {}", why(step.reason)));
        }
    }
    if plan.steps.is_empty() {
        page.line(format_args!("nothing to remove"));
    } else {
        page.line(format_args!("would remove  {}, {}", counts(plan, |_| true), total(plan)));
    }
    to_cache(&mut page, plan, "move");
    kept(&mut page, plan, policy, verbose);
    page
}

/// With `BuildKit` an image shares its layers with the build cache.
fn to_cache(page: &mut Page, plan: &Plan, verb: &str) {
    let moved = plan.totals().bytes_to_cache;
    if moved > 0 {
        page.line(format_args!("  up to {} of it only {verb} into the build cache", human_bytes(moved)));
    }
}

pub(super) fn done(host: Option<&str>, plan: &Plan, seconds: f64, style: Style) -> Page {
    let mut page = heading(host, plan, style);
    let went = |step: &&Step| matches!(step.result, Some(Outcome::Done | Outcome::AlreadyGone));
    let removed = counts(plan, went);
    let removed = if removed.is_empty() { "nothing".to_owned() } else { format!("{removed}, {}", total(plan)) };
    page.line_and_dim(format_args!("removed  {removed}  "), format_args!("({seconds:.1} s)"));
    to_cache(&mut page, plan, "moved");
    for step in plan.steps.iter().filter(|step| step.result == Some(Outcome::Kept)) {
        let kept = plan.kept.iter().rfind(|kept| kept.kind == step.kind() && kept.id == step.id());
        let reason = kept.map_or("changed since", |kept| words(kept.reason));
        let holders = kept.map(held_by).unwrap_or_default();
        page.line(format!("kept     {} {}  {holders}", name(step), reason).trim_end());
    }
    if plan.totals().failed > 0 {
        let failed = |step: &&Step| matches!(step.result, Some(Outcome::Failed | Outcome::Unknown | Outcome::NotTried));
        page.line(format_args!("failed   {}", counts(plan, failed)));
    }
    page
}

/// `5 containers, 12 images`.
fn counts(plan: &Plan, of: impl Fn(&&Step) -> bool) -> String {
    let counts = Kind::ALL.into_iter().filter_map(|kind| {
        let n = plan.steps.iter().filter(|step| step.kind() == kind).filter(&of).count();
        let word = match (kind, n) {
            (Kind::BuildCache, 1) => "cache record",
            (Kind::BuildCache, _) => "cache records",
            (_, 1) => plural(kind).trim_end_matches('s'),
            _ => plural(kind),
        };
        (n > 0).then(|| format!("{n} {word}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

fn kept(page: &mut Page, plan: &Plan, policy: &SweepPolicy, verbose: bool) {
    if verbose {
        for kept in &plan.kept {
            let named = kept.names.first().filter(|_| kept.kind != Kind::BuildCache);
            let name = named.map_or_else(|| short_id(&kept.id), String::as_str);
            let line = format!("kept     {} {name}: {} {}", plural(kept.kind), words(kept.reason), held_by(kept));
            page.line(line.trim_end());
        }
        return;
    }
    // Build cache may have an age of its own.
    let mut reasons: BTreeMap<(KeptReason, bool), usize> = BTreeMap::new();
    for kept in plan.kept.iter().filter(|kept| kept.reason != KeptReason::BuiltIn) {
        let is_young_cache = kept.reason == KeptReason::TooYoung && kept.kind == Kind::BuildCache;
        let count = reasons.entry((kept.reason, is_young_cache && policy.cache_until != policy.until)).or_default();
        *count = count.saturating_add(1);
    }
    let nothing_goes = plan.steps.is_empty();
    let reasons = reasons.into_iter().map(|((reason, is_cache), n)| match reason {
        KeptReason::TooYoung if is_cache => {
            let of = if n == 1 { "cache record" } else { "cache records" };
            young(&format!("{n} {of} used within"), policy.cache_until, nothing_goes, "--cache-until")
        }
        KeptReason::TooYoung => young(&format!("{n} younger than"), policy.until, nothing_goes, "--older-than"),
        KeptReason::Filtered => format!("{n} {}", filtered(&policy.filter)),
        reason => format!("{n} {}", words(reason)),
    });
    let reasons: Vec<String> = reasons.collect();
    if !reasons.is_empty() {
        page.line(format_args!("kept          {}", reasons.join(", ")));
    }
}

/// `72 younger than 24 hours`, and how they would go too: whoever sweeps for the first time wonders.
fn young(what: &str, age: Duration, nothing_goes: bool, flag: &str) -> String {
    let how = if nothing_goes { format!(" (with {flag} 0s these too)") } else { String::new() };
    format!("{what} {}{how}", human_duration(age))
}

/// What the filters kept, as it would be said of one thing.
fn filtered(filters: &[LabelFilter]) -> String {
    let written: Vec<String> = filters.iter().map(ToString::to_string).collect();
    match written.as_slice() {
        [one] => match (one.strip_prefix("label!="), one.strip_prefix("label=")) {
            (Some(label), _) => format!("labelled {label}"),
            (_, Some(label)) => format!("not labelled {label}"),
            _ => words(KeptReason::Filtered).to_owned(),
        },
        all => format!("kept by the filters {}", all.join(" ")),
    }
}

/// One line a host, what failed in words.
pub(super) fn summary(told: &[SweptHost], dry: bool, style: Style) -> Page {
    let width = told.iter().map(|told| told.host.chars().count()).max().unwrap_or(0).max(4);
    let verb = if dry { "would go" } else { "removed" };
    let mut page = Page::new(style);
    page.bold(format_args!("{:<width$}  {verb:>8}  {:>9}  {:>7}", "host", "bytes", "seconds"));
    for told in told {
        let line = match (&told.plan, &told.error) {
            (Some(plan), None) => {
                let n = if dry { plan.totals().steps } else { told.removed() };
                let failed = told.kinds.iter().filter(|kind| told.failed_at_all(**kind)).map(|kind| plural(*kind));
                let failed = failed.collect::<Vec<_>>().join(", ");
                let failed = if failed.is_empty() { failed } else { format!("  failed: {failed}") };
                format!(
                    "{:<width$}  {n:>8}  {:>9}  {:>7.1}{failed}",
                    told.host,
                    human_bytes(told.bytes()),
                    told.seconds
                )
            }
            (_, error) => {
                let why = error.as_ref().map(Error::what).unwrap_or_default();
                format!("{:<width$}  failed: {why}", told.host)
            }
        };
        page.line(line);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image_tests::host;
    use crate::model::{Deed, Kept};

    #[test]
    fn what_stays_is_told_with_the_age_and_the_label_that_it_stays_by() {
        let kept =
            |kind, reason| Kept { kind, id: "x".to_owned(), names: Vec::new(), bytes: 0, reason, holders: Vec::new() };
        let day = Duration::from_secs(86_400);
        let policy = |filters: &[&str], cache_until| SweepPolicy {
            containers: true,
            images: true,
            volumes: false,
            networks: true,
            cache: true,
            all_images: false,
            until: day,
            filter: filters.iter().map(|filter| LabelFilter::parse(filter).expect("a filter")).collect(),
            keep: Vec::new(),
            keep_last: None,
            cache_keep: None,
            cache_until,
            need: None,
        };
        let told = |policy: &SweepPolicy, steps: Vec<Step>| {
            let kept = vec![
                kept(Kind::Image, KeptReason::InUse),
                kept(Kind::Image, KeptReason::TooYoung),
                kept(Kind::BuildCache, KeptReason::TooYoung),
                kept(Kind::Volume, KeptReason::Filtered),
            ];
            let engine = host(Vec::new(), Vec::new()).engine;
            let plan = Plan::new("sweep", &engine, Timestamp::UNIX_EPOCH, steps, kept);
            let page = super::plan(None, &Swept { plan, since: Since::new() }, policy, false, Style::PLAIN);
            page.as_str().lines().last().unwrap_or_default().to_owned()
        };
        let usual = policy(&["label!=keep=true"], day);
        let how =
            "kept          1 in use, 2 younger than 24 hours (with --older-than 0s these too), 1 labelled keep=true";
        assert_eq!(told(&usual, Vec::new()), how);
        let step = Step::new(Deed::RemoveNetwork { id: "n".to_owned(), name: "n".to_owned() }, Reason::Unused, 0);
        let goes = "kept          1 in use, 2 younger than 24 hours, 1 labelled keep=true";
        assert_eq!(told(&usual, vec![step.clone()]), goes);
        let apart =
            "kept          1 in use, 1 younger than 24 hours, 1 cache record used within 7 days, 1 not labelled ci";
        assert_eq!(told(&policy(&["label=ci"], day * 7), vec![step.clone()]), apart);
        let several = told(&policy(&["label=ci", "label!=x=y"], day), vec![step]);
        assert!(several.ends_with(", 1 kept by the filters label=ci label!=x=y"), "{several}");
    }
}
