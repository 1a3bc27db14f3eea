//! The docker-cleaner's lines: an operation a line, what it skipped and why, one summary.

use serde_json::{Map, Value, json};

use super::super::words::{all_of, held_by, kind, short_id, words};
use super::human::{age, name, why};
use super::line::{Line, Log, SUMMARY, fields};
use super::swept_host::{Part, Since, SweptHost, first_of, in_one_line};
use crate::config::cleaner::LogLevel;
use crate::error::Error;
use crate::model::{Kept, KeptReason, Kind, Plan, Step, human_bytes, human_duration, total};

const fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "CONTAINER",
        Kind::Image => "IMAGE",
        Kind::Volume => "VOLUME",
        Kind::BuilderState => "BUILDER_STATE",
        Kind::Network => "NETWORK",
        Kind::BuildCache => "BUILD_CACHE",
    }
}

/// What goes of a kind, in the words of the docker-cleaner.
fn things(kind: Kind, steps: &[Step]) -> &'static str {
    match kind {
        Kind::Container => "stopped containers",
        Kind::Image if steps.iter().any(|step| !step.names().is_empty()) => "unused images",
        Kind::Image => "dangling images",
        Kind::Volume => "unused volumes",
        Kind::BuilderState => "builder states",
        Kind::Network => "unused networks",
        Kind::BuildCache => "build cache records",
    }
}

/// `Skipped volume data: in use by container web (running)`.
fn skipped(kept: &Kept) -> String {
    let id = short_id(&kept.id).to_owned();
    let name = kept.names.first().filter(|_| kept.kind != Kind::BuildCache).unwrap_or(&id);
    let holders = held_by(kept);
    let because = match (kept.kind, kept.reason) {
        (Kind::Container, KeptReason::InUse) => holders,
        (_, KeptReason::InUse) if !holders.is_empty() => format!("in use by container {holders}"),
        (_, KeptReason::Base) => format!("base of {holders}"),
        (_, reason) => words(reason).to_owned(),
    };
    let what = if kept.kind == Kind::BuildCache { all_of(kept.kind) } else { kind(kept.kind, 1) };
    format!("Skipped {what} {name}: {because}")
}

/// `1.2 GB`, with how sure that is and how much of it comes back only when the build cache goes.
fn amount(kind: Kind, bytes: u64, plan: &Plan, verbs: (&str, &str)) -> String {
    let is_image = kind == Kind::Image && bytes > 0;
    let up_to = if is_image && plan.up_to { "up to " } else { "" };
    let moved = if is_image { plan.totals().bytes_to_cache } else { 0 };
    format!("{up_to}{}{}{}", human_bytes(bytes), verbs.0, to_cache(moved, verbs.1))
}

/// How much of it comes back only when the build cache goes.
fn to_cache(moved: u64, verb: &str) -> String {
    if moved == 0 {
        return String::new();
    }
    format!(", of which up to {} only {verb} into the build cache", human_bytes(moved))
}

impl Log {
    pub(super) fn starts(&self, host: &str, engine: &str, dry: bool) {
        // As people write it, and the docker-cleaner did.
        let engine = if engine == "podman" { "Podman" } else { "Docker" };
        let dry_run = if dry { " (dry run: nothing is removed)" } else { "" };
        self.say(Line {
            level: LogLevel::Info,
            operation: "INIT",
            host: None,
            text: format!("Starting {engine} cleanup on {host}{dry_run}"),
            message: format!("Starting {engine} cleanup"),
            fields: fields(if dry {
                json!({ "hostname": host, "dry_run": true })
            } else {
                json!({ "hostname": host })
            }),
        });
    }

    pub(super) fn lost(&self, host: Option<&str>, error: &Error) {
        let text = format!("Failed: {}", in_one_line(error));
        self.plain(LogLevel::Error, "INIT", host, text, json!({}));
    }

    pub(super) fn warn(&self, host: Option<&str>, warning: &str) {
        self.plain(LogLevel::Warn, "INIT", host, warning.to_owned(), json!({}));
    }

    pub(super) fn begins(&self, text: &str) {
        self.plain(LogLevel::Info, "INIT", None, text.to_owned(), json!({}));
    }

    pub(super) fn note(&self, host: Option<&str>, kind: Kind, note: &str) {
        self.plain(LogLevel::Warn, operation(kind), host, note.to_owned(), json!({}));
    }

    pub(super) fn plan(&self, host: Option<&str>, plan: &Plan, since: &Since, kinds: &[Kind]) {
        for &kind in kinds {
            let steps: Vec<Step> = plan.steps.iter().filter(|step| step.kind() == kind).cloned().collect();
            for step in &steps {
                let age = age(step, since, plan.created);
                let old = age.map_or_else(|| "unknown age".to_owned(), human_duration);
                let text =
                    format!("Would remove {}: {}, {old}, {}", name(step), why(step.reason), human_bytes(step.bytes));
                let more = json!({
                    "id": step.id(), "name": name(step), "reason": step.reason, "age_seconds": age.map(|age| age.as_secs()),
                    "space_bytes": step.bytes,
                });
                self.plain(LogLevel::Info, operation(kind), host, text, more);
            }
            for kept in plan.kept.iter().filter(|kept| kept.kind == kind) {
                self.skipped(host, kept);
            }
            let bytes = total(steps.iter().map(|step| step.bytes));
            let (count, things) = (steps.len(), things(kind, &steps));
            self.say(Line {
                level: LogLevel::Info,
                operation: operation(kind),
                host,
                text: format!("Would remove {} ({})", counted(count, things), amount(kind, bytes, plan, ("", "move"))),
                message: format!("Would remove {things}"),
                fields: fields(json!({ "count": count, "space_freed_bytes": bytes })),
            });
        }
    }

    /// What somebody holds is worth a warning where data is at stake; all else is for those who look closely.
    fn skipped(&self, host: Option<&str>, kept: &Kept) {
        let is_data = (kept.kind, kept.reason) == (Kind::Volume, KeptReason::InUse);
        let level = if is_data { LogLevel::Warn } else { LogLevel::Debug };
        self.plain(level, operation(kept.kind), host, skipped(kept), json!({ "id": kept.id }));
    }

    pub(super) fn kind(&self, host: Option<&str>, part: &Part) {
        let (kind, plan) = (part.kind, part.plan);
        let done: Vec<&Step> = plan.steps.iter().filter(|step| step.is_done()).collect();
        for step in &done {
            let text = format!("Removed {}", name(step));
            self.plain(LogLevel::Debug, operation(kind), host, text, json!({ "id": step.id() }));
        }
        part.spared.iter().for_each(|kept| self.skipped(host, kept));
        // One reason for all of them is said once, below.
        let said_below = kind == Kind::BuildCache && !part.errors.is_empty();
        for kept in plan.kept.iter().filter(|kept| !said_below && kept.reason != KeptReason::Failed) {
            self.plain(LogLevel::Warn, operation(kind), host, skipped(kept), json!({ "id": kept.id }));
        }
        let failed = plan.totals().failed;
        let why: Vec<&Error> = part.unlisted.iter().copied().chain(part.errors).collect();
        if failed > 0 || !part.unlisted.is_empty() {
            self.failed(host, kind, &why, failed, plan.steps.len());
        } else {
            for error in first_of(&why) {
                self.note(host, kind, &format!("Skipped: {error}"));
            }
        }
        if !part.unlisted.is_empty() && plan.steps.is_empty() {
            return;
        }
        let bytes = total(done.iter().map(|step| step.bytes));
        let things = things(kind, &plan.steps);
        let freed = amount(kind, bytes, plan, (" freed", "moved"));
        self.say(Line {
            level: LogLevel::Info,
            operation: operation(kind),
            host,
            text: format!("Removed {} ({freed})", counted(done.len(), things)),
            message: format!("Removed {things}"),
            fields: fields(json!({
                "count": done.len(), "space_freed_bytes": bytes,
                "duration_seconds": seconds(part.took.as_secs_f64()),
            })),
        });
    }

    pub(super) fn failed(&self, host: Option<&str>, kind: Kind, why: &[&Error], failed: usize, of: usize) {
        let how_many = if of == 0 { String::new() } else { format!(" {failed} of {of}") };
        let text = format!("Failed{how_many}: {}", first_of(why).join("; "));
        self.plain(LogLevel::Error, operation(kind), host, text, json!({ "failed": failed }));
    }

    pub(super) fn summary(&self, told: &[SweptHost], dry: bool) {
        let mut counts = Map::new();
        let (mut removed, mut failed, mut kept) = (0_usize, 0_usize, 0_usize);
        let plans = || told.iter().filter_map(|told| told.plan.as_ref());
        let bytes = total(plans().map(|plan| plan.totals().bytes));
        let moved = total(plans().map(|plan| plan.totals().bytes_to_cache));
        for plan in plans() {
            for step in &plan.steps {
                let goes = dry || step.is_done();
                let key = format!("{}_removed", operation(step.kind()).to_ascii_lowercase());
                let known = counts.get(&key).and_then(Value::as_u64).unwrap_or(0);
                counts.insert(key, known.saturating_add(u64::from(goes)).into());
                removed = removed.saturating_add(usize::from(goes));
            }
            failed = failed.saturating_add(plan.totals().failed);
            kept = kept.saturating_add(plan.totals().kept);
        }
        let operations = told.iter().map(|told| told.kinds.len()).fold(0, usize::saturating_add);
        let operations_failed = told.iter().map(SweptHost::kinds_failed).fold(0, usize::saturating_add);
        let lost: Vec<&str> = told.iter().filter(|told| told.error.is_some()).map(|told| &*told.host).collect();
        let longest = told.iter().map(|told| told.seconds).fold(0.0, f64::max);
        let is_up_to = told.iter().any(SweptHost::up_to);
        let up_to = if is_up_to { "up to " } else { "" };
        let (what, verb) =
            if dry { ("Total space to be freed", "to remove") } else { ("Total space freed", "removed") };
        let hosts = match lost.len() {
            0 => String::new(),
            n => format!(", {n} of {} hosts failed: {}", told.len(), lost.join(", ")),
        };
        let mut more = fields(json!({
            "count": removed, "space_freed_bytes": bytes, "bytes_to_cache": moved, "up_to": is_up_to,
            "failed": failed, "kept": kept,
            "operations_succeeded": operations.saturating_sub(operations_failed), "operations_failed": operations_failed,
            "hosts": told.len(), "hosts_failed": lost, "duration_seconds": seconds(longest),
        }));
        more.extend(counts);
        let level = if operations_failed > 0 || !lost.is_empty() { LogLevel::Warn } else { LogLevel::Info };
        self.say(Line {
            level,
            operation: SUMMARY,
            host: None,
            text: format!(
                "{what}: {up_to}{}{} ({removed} {verb}, {kept} kept, {failed} failed, {longest:.1} s{hosts})",
                human_bytes(bytes),
                to_cache(moved, if dry { "move" } else { "moved" })
            ),
            message: what.to_owned(),
            fields: more,
        });
    }
}

fn counted(n: usize, things: &str) -> String {
    if n == 1 { format!("1 {}", things.strip_suffix('s').unwrap_or(things)) } else { format!("{n} {things}") }
}

/// To the millisecond: nobody reads more of it.
fn seconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
