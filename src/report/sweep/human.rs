//! Tables for people.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::words::{held_by, short_id, words};
use super::super::{Page, Style};
use super::told::{Since, Told};
use crate::error::Error;
use crate::model::{KeptReason, Kind, Outcome, Plan, Reason, Step, human_bytes, human_duration};

pub(super) const ORDER: [Kind; 5] = [Kind::Container, Kind::Image, Kind::Volume, Kind::Network, Kind::BuildCache];

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

pub(super) fn plan(host: Option<&str>, plan: &Plan, since: &Since, verbose: bool, style: Style) -> Page {
    let mut page = heading(host, plan, style);
    for kind in ORDER {
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
    kept(&mut page, plan, verbose);
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
    let counts = ORDER.into_iter().filter_map(|kind| {
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

fn kept(page: &mut Page, plan: &Plan, verbose: bool) {
    if verbose {
        for kept in &plan.kept {
            let named = kept.names.first().filter(|_| kept.kind != Kind::BuildCache);
            let name = named.map_or_else(|| short_id(&kept.id), String::as_str);
            let line = format!("kept     {} {name}: {} {}", plural(kept.kind), words(kept.reason), held_by(kept));
            page.line(line.trim_end());
        }
        return;
    }
    let mut reasons: BTreeMap<KeptReason, usize> = BTreeMap::new();
    for kept in plan.kept.iter().filter(|kept| kept.reason != KeptReason::BuiltIn) {
        let count = reasons.entry(kept.reason).or_default();
        *count = count.saturating_add(1);
    }
    let reasons: Vec<String> = reasons.into_iter().map(|(reason, n)| format!("{n} {}", words(reason))).collect();
    if !reasons.is_empty() {
        page.line(format_args!("kept          {}", reasons.join(", ")));
    }
}

/// One line a host, what failed in words.
pub(super) fn summary(told: &[Told], dry: bool, style: Style) -> Page {
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
