//! What `dkb clean` says: a few lines for people, one document for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Style, out};
use crate::config::{Format, Settings};
use crate::model::{Action, Kept, KeptReason, Kind, Outcome, Plan, Step, human_bytes};
use crate::plan::clean::Scope;

/// Names and IDs that one line shows before it says how many more there are.
const SHOWN: usize = 4;

/// How much is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    Quiet,
    Normal,
    Verbose,
}

pub fn show(settings: &Settings, loudness: Loudness, plan: &Plan, whose: &str, done: bool) {
    if settings.format == Format::Json {
        out(json(plan));
    } else if loudness != Loudness::Quiet {
        out(human(plan, whose, done, loudness == Loudness::Verbose, Style::for_stdout(settings.color)));
    }
}

pub fn json(plan: &Plan) -> String {
    // Plain data with string keys: there is nothing in it that JSON could not say.
    let mut text = serde_json::to_string_pretty(plan).unwrap_or_default();
    text.push('\n');
    text
}

/// Whose things a scope covers, in the words of the first line.
pub fn whose(scope: &Scope, project: &str) -> String {
    match scope {
        Scope::Project(_) => format!("{project} · this project"),
        Scope::Session(key) => format!("{project} · session {}", key.session),
        Scope::Stale(_) => format!("{project} · sessions that are over"),
        Scope::All => "all projects".to_owned(),
    }
}

pub fn human(plan: &Plan, whose: &str, done: bool, verbose: bool, style: Style) -> String {
    let mut text =
        format!("{}\n", style.dim(&format!("{whose} · {} at {}", plan.engine.version, plan.engine.endpoint)));
    let went = |step: &&Step| !done || matches!(step.result, Some(Outcome::Done | Outcome::AlreadyGone));
    let of = |kind: Kind, action: Action| -> Vec<&Step> {
        plan.steps.iter().filter(|step| step.kind == kind && step.action == action).filter(went).collect()
    };
    let containers = of(Kind::Container, Action::Remove);
    if !containers.is_empty() {
        let _ = writeln!(
            text,
            "{}",
            line(done, "removed", "would remove", &count(containers.len(), "container"), "", &names(&containers))
        );
    }
    for (action, did, would) in
        [(Action::GiveBack, "gave back", "would give back"), (Action::Untag, "untagged", "would untag")]
    {
        let steps = of(Kind::Image, action);
        if !steps.is_empty() {
            let _ = writeln!(text, "{}", line(done, did, would, &count(steps.len(), "tag"), "", &names(&steps)));
        }
    }
    let images = of(Kind::Image, Action::Remove);
    let anything = plan.steps.iter().any(|step| went(&step));
    if !images.is_empty() {
        let bytes = format!("{}{}", if plan.totals.up_to { "up to " } else { "" }, human_bytes(plan.totals.bytes));
        let _ = writeln!(
            text,
            "{}",
            line(done, "removed", "would remove", &count(images.len(), "image"), &bytes, &names(&images))
        );
    } else if !anything {
        let _ = writeln!(text, "{}", if done { "removed  nothing" } else { "would remove  nothing" });
    }
    if plan.totals.bytes_to_cache > 0 {
        let _ = writeln!(text, "         {} of it now reclaimable cache", human_bytes(plan.totals.bytes_to_cache));
    }
    text += &kept(plan, verbose);
    if verbose {
        for step in &plan.steps {
            let _ = writeln!(text, "  {}", style.dim(&describe(step)));
        }
    }
    let untried = plan.steps.iter().filter(|step| step.result == Some(Outcome::NotTried)).count();
    if untried > 0 {
        let _ = writeln!(text, "left     {}, not tried", count(untried, "step"));
    }
    text
}

fn line(done: bool, did: &str, would: &str, count: &str, bytes: &str, names: &str) -> String {
    let verb = if done { did } else { would };
    format!("{verb:<8} {count:<13} {bytes:<9} {names}").trim_end().to_owned()
}

fn kept(plan: &Plan, verbose: bool) -> String {
    let mut groups: BTreeMap<KeptReason, Vec<&Kept>> = BTreeMap::new();
    for kept in &plan.kept {
        groups.entry(kept.reason).or_default().push(kept);
    }
    let mut text = String::new();
    for (reason, group) in groups {
        let elsewhere = matches!(reason, KeptReason::OtherProject | KeptReason::OtherSession);
        if elsewhere && !verbose {
            continue;
        }
        if verbose || reason == KeptReason::InUse || reason == KeptReason::Failed {
            for one in group {
                let _ = writeln!(text, "kept     {:>3} {:<12} {}", 1, words(reason), who(one));
            }
        } else {
            let who: Vec<String> = group.iter().map(|one| short(one)).collect();
            let _ = writeln!(text, "kept     {:>3} {:<12} {}", group.len(), words(reason), list(&who));
        }
    }
    text
}

/// The reasons in words.
pub fn words(reason: KeptReason) -> &'static str {
    match reason {
        KeptReason::InUse => "in use",
        KeptReason::Tagged => "tagged",
        KeptReason::ForeignTag => "named by others",
        KeptReason::Unrecorded => "not recorded",
        KeptReason::Pulled => "pulled",
        KeptReason::Inherited => "built on ours",
        KeptReason::Base => "base of",
        KeptReason::OtherSession => "other session",
        KeptReason::OtherProject => "other project",
        KeptReason::SessionAlive => "session at work",
        KeptReason::BuildRunning => "build running",
        KeptReason::TooYoung => "too young",
        KeptReason::KeepPattern => "asked to keep",
        KeptReason::KeepLast => "among the last",
        KeptReason::Lent => "tag lent",
        KeptReason::Filtered => "filtered",
        KeptReason::BuiltIn => "built in",
        KeptReason::Shared => "shared",
        KeptReason::CacheKeep => "cache to keep",
        KeptReason::Enough => "not needed",
        KeptReason::Changed => "changed since",
        KeptReason::Failed => "failed",
    }
}

fn who(kept: &Kept) -> String {
    let name = kept.names.first().cloned().unwrap_or_else(|| short_id(&kept.id).to_owned());
    format!("{name}  {}", kept.holders.join(", ")).trim_end().to_owned()
}

fn short(kept: &Kept) -> String {
    kept.names.first().cloned().unwrap_or_else(|| short_id(&kept.id).to_owned())
}

pub fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

fn names(steps: &[&Step]) -> String {
    let names: Vec<String> = steps.iter().flat_map(|step| step.names.clone()).collect();
    list(&names)
}

fn list(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn describe(step: &Step) -> String {
    let what = match step.action {
        Action::Remove => "remove",
        Action::Untag => "untag",
        Action::GiveBack => "give back to",
        Action::Stop => "stop",
    };
    let reason = serde_json::to_value(step.reason).ok().and_then(|value| value.as_str().map(str::to_owned));
    let result = step.result.and_then(|result| serde_json::to_value(result).ok());
    let result = result.and_then(|value| value.as_str().map(|text| format!(": {text}"))).unwrap_or_default();
    format!("{what} {} {} ({}){result}", short_id(&step.id), step.names.join(" "), reason.unwrap_or_default())
        .replace("  ", " ")
        .replace('_', " ")
}
