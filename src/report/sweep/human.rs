//! Tables for people.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::table::Table;
use super::super::words::{self, held_by, short_id, words};
use super::super::{Page, Style};
use super::swept_host::{Since, SweptHost};
use crate::error::Error;
use crate::model::{
    DiskUse, KeptReason, Kind, LabelFilter, Outcome, Plan, Reason, Step, human_bytes, human_duration, total as sum,
};
use crate::plan::sweep::{SweepPolicy, Swept};

pub(super) fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Stopped => "stopped",
        Reason::Dangling => "dangling",
        Reason::BuilderGone => "builder gone",
        _ => "unused",
    }
}

/// By the word that help and status have for it.
fn in_row(reason: Reason) -> &'static str {
    if reason == Reason::Dangling { "untagged" } else { why(reason) }
}

/// A thing's name, where one that nobody gave is cut short.
fn shown_name(step: &Step) -> String {
    if step.kind() == Kind::Volume { words::shortened(&name(step)) } else { name(step) }
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
    page.heading(format_args!("{host}{} at {}", plan.engine.called(), plan.engine.endpoint));
    page
}

fn total(plan: &Plan) -> String {
    words::at_most(plan.up_to, plan.totals().bytes)
}

/// Rows of one kind that a terminal shows before it says how many more there are.
const ROWS: usize = 20;
/// What stands behind the name in a row, with what parts it.
const BEHIND: usize = 34;

pub(super) fn plan(
    host: Option<&str>,
    swept: &Swept,
    (policy, disk): (&SweepPolicy, Option<DiskUse>),
    verbose: bool,
    style: Style,
) -> Page {
    let Swept { plan, since } = swept;
    let mut page = heading(host, plan, style);
    for kind in Kind::ALL {
        let mut steps: Vec<&Step> = plan.steps.iter().filter(|step| step.kind() == kind).collect();
        // A plan has what stands on others first; whoever reads it wants to know what is large.
        steps.sort_by_key(|step| (Reverse(step.bytes), by_number(&shown_name(step))));
        // Whoever reads by a program, or wants it all, gets it all.
        let shown = if verbose || page.width().is_none() { steps.len() } else { steps.len().min(ROWS) };
        // A record has no name that tells anybody anything.
        if kind == Kind::BuildCache && shown > 0 && shown < steps.len() {
            let bytes = human_bytes(sum(steps.iter().map(|step| step.bytes)));
            page.line(format_args!("{}   {} records, {bytes} (-v shows them)", words::all_of(kind), steps.len()));
            continue;
        }
        rows(&mut page, kind, &steps[..shown], since, plan.created);
        if shown < steps.len() {
            let bytes = human_bytes(sum(steps[shown..].iter().map(|step| step.bytes)));
            page.dim(format_args!("and {} more, {bytes} (-v shows them)", steps.len().saturating_sub(shown)));
        }
    }
    kept(&mut page, plan, policy, verbose);
    if let Some(disk) = disk {
        page.line(how_full(&disk));
    }
    totals(&mut page, plan, "would remove", |_| true);
    to_cache(&mut page, plan, "move");
    page
}

/// A name by its parts, so that `old2` stands before `old10`: each number, and what stands before it.
fn by_number(name: &str) -> Vec<(String, u64)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (words, behind) = rest.split_at(rest.find(is_digit).unwrap_or(rest.len()));
        let (number, behind) = behind.split_at(behind.find(|c| !is_digit(c)).unwrap_or(behind.len()));
        let number = if number.is_empty() { 0 } else { number.parse().unwrap_or(u64::MAX) };
        parts.push((words.to_owned(), number));
        rest = behind;
    }
    parts
}

fn rows(page: &mut Page, kind: Kind, steps: &[&Step], since: &Since, now: Timestamp) {
    if steps.is_empty() {
        return;
    }
    let names: Vec<String> = steps.iter().map(|step| shown_name(step)).collect();
    let most = page.width().map_or(usize::MAX, |width| width.saturating_sub(BEHIND).max(12));
    let fits = |name: &&String| name.chars().count() <= most;
    let width = names.iter().filter(fits).map(|name| name.chars().count()).fold(12, usize::max);
    page.bold(format_args!("{:<width$}  {:<10}  {:>9}  why", words::all_of(kind), "age", "size"));
    for (step, name) in steps.iter().zip(&names) {
        let age = age(step, since, now).map_or_else(|| "?".to_owned(), human_duration);
        let fitting = Some(name).filter(fits);
        if fitting.is_none() {
            page.line(name);
        }
        let (name, size) = (fitting.map_or("", String::as_str), human_bytes(step.bytes));
        page.line(format_args!("{name:<width$}  {age:<10}  {size:>9}  {}", in_row(step.reason)));
    }
}

/// A line a kind, and one for all of them, right above a question.
fn totals(page: &mut Page, plan: &Plan, verb: &str, of: impl Fn(&&Step) -> bool) {
    let mut table = Table::default();
    let mut kinds = 0_usize;
    for kind in Kind::ALL {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.kind() == kind).filter(&of).collect();
        if steps.is_empty() {
            continue;
        }
        let bytes = sum(steps.iter().map(|step| step.bytes));
        let at_most = words::at_most(plan.up_to && kind == Kind::Image, bytes);
        let bytes = if bytes > 0 { at_most } else { String::new() };
        let what = words::kind(kind, steps.len());
        table.line(if kinds == 0 { verb } else { "" }, steps.len(), what, bytes);
        kinds = kinds.saturating_add(1);
    }
    match kinds {
        0 if plan.steps.is_empty() => page.line(words::NOTHING),
        0 => page.line(format_args!("{verb:<12}  nothing")),
        1 => {}
        _ => table.line("in all", plan.steps.iter().filter(&of).count(), "things", total(plan)),
    }
    table.write(page);
}

/// `disk at 91%, above 85%: 12 GB are to go, down to 80%`.
fn how_full(disk: &DiskUse) -> String {
    let DiskUse { used, all, above, down_to, need } = disk;
    let share = all.and_then(|all| u128::from(*used).saturating_mul(100).checked_div(u128::from(all)));
    let at = match (share, all) {
        (Some(share), Some(all)) => format!("disk at {share}%, {} of {}", human_bytes(*used), human_bytes(*all)),
        _ => format!("the engine's things take {}", human_bytes(*used)),
    };
    match need {
        0 => format!("{at}: not above {above}, so nothing goes"),
        need => format!("{at}: above {above}, so {} are to go, down to {down_to}", human_bytes(*need)),
    }
}

/// With `BuildKit` an image shares its layers with the build cache.
fn to_cache(page: &mut Page, plan: &Plan, verb: &str) {
    let moved = plan.totals().bytes_to_cache;
    if moved > 0 {
        page.line(format_args!("  up to {} of it only {verb} into the build cache", human_bytes(moved)));
    }
}

/// `head`: nobody has seen the plan before.
pub(super) fn done(
    host: Option<&str>,
    told: &SweptHost,
    plan: &Plan,
    policy: &SweepPolicy,
    head: bool,
    style: Style,
) -> Page {
    let mut page = if head { heading(host, plan, style) } else { Page::new(style) };
    if let Some(disk) = &told.disk {
        page.line(how_full(disk));
    }
    // Where something is to go and nothing may, it is asked why.
    if head && plan.steps.is_empty() && told.disk.is_none_or(|disk| disk.need > 0) {
        kept(&mut page, plan, policy, false);
    }
    totals(&mut page, plan, "removed", |step| step.is_done());
    to_cache(&mut page, plan, "moved");
    for step in plan.steps.iter().filter(|step| step.result == Some(Outcome::Kept)) {
        let kept = plan.kept.iter().rfind(|kept| kept.kind == step.kind() && kept.id == step.id());
        let reason = kept.map_or("changed since", |kept| words(kept.reason));
        let holders = kept.map(held_by).unwrap_or_default();
        page.line(format!("kept  {} {}  {holders}", name(step), reason).trim_end());
    }
    if plan.totals().failed > 0 {
        totals(&mut page, plan, "failed", |step| step.has_failed());
    }
    page.dim(format_args!("in {:.1} s", told.seconds));
    page
}

fn kept(page: &mut Page, plan: &Plan, policy: &SweepPolicy, verbose: bool) {
    if verbose {
        for kept in &plan.kept {
            let named = kept.names.first().filter(|_| kept.kind != Kind::BuildCache);
            let name = named.map_or_else(|| short_id(&kept.id).to_owned(), |name| words::shortened(name));
            let line =
                format!("kept     {} {name}: {} {}", words::all_of(kept.kind), words(kept.reason), held_by(kept));
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
            let of = words::kind(Kind::BuildCache, n);
            young(&format!("{n} {of} used within"), policy.cache_until, nothing_goes, "--cache-until")
        }
        KeptReason::TooYoung => young(&format!("{n} younger than"), policy.until, nothing_goes, "--older-than"),
        KeptReason::Filtered => format!("{n} {}", filtered(&policy.filter)),
        KeptReason::Base => format!("{n} under what stays"),
        KeptReason::Tagged if !policy.all_images => format!("{n} tagged (with --all-images these too)"),
        reason => format!("{n} {}", words(reason)),
    });
    let reasons: Vec<String> = reasons.collect();
    if !reasons.is_empty() {
        page.wrapped(format_args!("kept          {}", reasons.join(", ")), 14);
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
                let failed =
                    told.kinds.iter().filter(|kind| told.failed_at_all(**kind)).map(|kind| words::all_of(*kind));
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
    use crate::model::{Deed, DiskMark, Kept};

    fn day() -> SweepPolicy {
        SweepPolicy {
            containers: true,
            images: true,
            volumes: false,
            builder_state: false,
            networks: true,
            cache: true,
            all_images: false,
            until: Duration::from_secs(86_400),
            filter: Vec::new(),
            keep: Vec::new(),
            keep_last: None,
            cache_keep: None,
            cache_until: Duration::from_secs(86_400),
            need: None,
            unused_since: None,
        }
    }

    #[test]
    fn a_terminal_gets_twenty_rows_of_a_kind_and_the_totals_last() {
        let network = |n: usize| Deed::RemoveNetwork { id: format!("n{n}"), name: format!("net-{n}") };
        let mut steps: Vec<Step> = (0..25).map(|n| Step::new(network(n), Reason::Unused, 0)).collect();
        let long = "a-volume-that-somebody-has-given-a-long-name";
        let volume = Deed::RemoveVolume { name: long.to_owned(), created: None };
        steps.push(Step::new(volume, Reason::Unused, 7));
        let plan = Plan::new("sweep", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, steps, Vec::new());
        let swept = Swept { plan, since: Since::new() };
        let shown = |verbose, style| super::plan(None, &swept, (&day(), None), verbose, style).as_str().to_owned();
        let narrow = shown(false, Style::of_width(60));
        let rest =
            format!("volumes       age              size  why\n{long}\n              ?                 7 B  unused\n");
        assert!(narrow.contains(&rest), "{narrow}");
        let end = "\
net-19        ?                 0 B  unused
and 5 more, 0 B (-v shows them)
would remove   1 volume      7 B
              25 networks
in all        26 things      7 B
";
        assert!(narrow.ends_with(end), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        for all in [shown(true, Style::of_width(60)), shown(false, Style::PLAIN)] {
            assert!(all.contains("net-24") && !all.contains("more"), "{all}");
        }
        assert!(shown(false, Style::of_width(200)).contains(&format!("{long}  ?  ")), "a wide one has room");
    }

    #[test]
    fn names_stand_in_the_order_of_their_numbers() {
        let mut names = ["old10", "old2", "old", "10a2", "9z"];
        names.sort_by_key(|name| by_number(name));
        assert_eq!(names, ["9z", "10a2", "old", "old2", "old10"]);
    }

    #[test]
    fn many_records_of_the_build_cache_are_one_line() {
        let record = |n: usize| Deed::RemoveCache {
            id: format!("r{n}"),
            kind: "regular".to_owned(),
            last: crate::model::CacheUse::default(),
        };
        let shown = |n: usize, verbose, style| {
            let steps = (0..n).map(|n| Step::new(record(n), Reason::Unused, 2)).collect();
            let plan =
                Plan::new("sweep", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, steps, Vec::new());
            let swept = Swept { plan, since: Since::new() };
            super::plan(None, &swept, (&day(), None), verbose, style).as_str().to_owned()
        };
        let folded = "build cache   25 records, 50 B (-v shows them)\nwould remove  25 cache records  50 B\n";
        assert!(shown(25, false, Style::of_width(60)).ends_with(folded), "{}", shown(25, false, Style::of_width(60)));
        for all in [
            shown(20, false, Style::of_width(60)),
            shown(25, true, Style::of_width(60)),
            shown(25, false, Style::PLAIN),
        ] {
            assert!(all.contains("r19 regular") && !all.contains("(-v"), "{all}");
        }
    }

    #[test]
    fn the_largest_stands_first_and_a_name_that_nobody_gave_breaks_no_row() {
        let volume = |name: &str, bytes| {
            let deed = Deed::RemoveVolume { name: name.to_owned(), created: None };
            Step::new(deed, Reason::Unused, bytes)
        };
        let steps = vec![volume("b", 1), volume(&"ab".repeat(32), 7), volume("a", 1), volume("c", 9)];
        let plan = Plan::new("sweep", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, steps, Vec::new());
        let swept = Swept { plan, since: Since::new() };
        let page = super::plan(None, &swept, (&day(), None), false, Style::of_width(60));
        let names: Vec<&str> = page.as_str().lines().skip(2).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names[..4], ["c", "abababababab", "a", "b"], "{page:?}");
    }

    #[test]
    fn how_full_the_disk_is_is_said_with_the_mark_that_counts() {
        let disk = |used, need| DiskUse {
            used,
            all: Some(100),
            above: DiskMark::Percent(85),
            down_to: DiskMark::Percent(80),
            need,
        };
        assert_eq!(how_full(&disk(71, 0)), "disk at 71%, 71 B of 100 B: not above 85%, so nothing goes");
        assert_eq!(how_full(&disk(91, 11)), "disk at 91%, 91 B of 100 B: above 85%, so 11 B are to go, down to 80%");
        let (above, down_to) = (DiskMark::Bytes(10_000), DiskMark::Bytes(5000));
        let counted = DiskUse { used: 7, all: None, above, down_to, need: 0 };
        assert_eq!(how_full(&counted), "the engine's things take 7 B: not above 10kB, so nothing goes");
    }

    #[test]
    fn where_something_is_to_go_and_nothing_may_it_is_said_why() {
        let (above, down_to) = (DiskMark::Bytes(5000), DiskMark::Bytes(5000));
        let kept = Kept {
            kind: Kind::Image,
            id: "x".to_owned(),
            names: Vec::new(),
            bytes: 0,
            reason: KeptReason::Tagged,
            holders: Vec::new(),
        };
        let engine = host(Vec::new(), Vec::new()).engine;
        let plan = Plan::new("sweep", &engine, Timestamp::UNIX_EPOCH, Vec::new(), vec![kept]);
        let said = |need, head| {
            let disk = Some(DiskUse { used: 7000, all: None, above, down_to, need });
            let told = SweptHost { disk, ..SweptHost::default() };
            done(None, &told, &plan, &day(), head, Style::PLAIN).as_str().to_owned()
        };
        let why = "\nkept          1 tagged (with --all-images these too)\nnothing to remove\n";
        assert!(said(2000, true).contains(why), "{}", said(2000, true));
        assert!(!said(2000, false).contains("kept") && !said(0, true).contains("kept"));
    }

    #[test]
    fn what_stays_is_told_with_the_age_and_the_label_that_it_stays_by() {
        let kept =
            |kind, reason| Kept { kind, id: "x".to_owned(), names: Vec::new(), bytes: 0, reason, holders: Vec::new() };
        let day = Duration::from_secs(86_400);
        let policy = |filters: &[&str], cache_until| SweepPolicy {
            filter: filters.iter().map(|filter| LabelFilter::parse(filter).expect("a filter")).collect(),
            cache_until,
            ..self::day()
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
            let page = super::plan(None, &Swept { plan, since: Since::new() }, (policy, None), false, Style::PLAIN);
            page.as_str().lines().find(|line| line.starts_with("kept")).unwrap_or_default().to_owned()
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
