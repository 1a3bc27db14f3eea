//! The docker-cleaner's lines, text or JSON: level and time, an operation a line, one summary.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::clean::words;
use super::super::out;
use super::human::{age, name, why};
use super::{Since, Told};
use crate::config::seed::{LogFormat, LogLevel};
use crate::error::Error;
use crate::model::{KeptReason, Kind, Outcome, Plan, Step, human_bytes};

pub(super) struct Log {
    pub(super) format: LogFormat,
    pub(super) level: LogLevel,
    pub(super) quiet: bool,
}

/// A line, in both formats: the text has in words what JSON has in fields.
struct Line<'a> {
    level: LogLevel,
    operation: &'a str,
    host: Option<&'a str>,
    text: String,
    message: String,
    fields: Map<String, Value>,
}

const fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "CONTAINER",
        Kind::Image => "IMAGE",
        Kind::Volume => "VOLUME",
        Kind::Network => "NETWORK",
        Kind::BuildCache => "BUILD_CACHE",
    }
}

/// What goes of a kind, in the words of the docker-cleaner.
fn things(kind: Kind, steps: &[Step]) -> &'static str {
    match kind {
        Kind::Container => "stopped containers",
        Kind::Image if steps.iter().any(|step| !step.names.is_empty()) => "unused images",
        Kind::Image => "dangling images",
        Kind::Volume => "unused volumes",
        Kind::Network => "unused networks",
        Kind::BuildCache => "build cache records",
    }
}

fn singular(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "container",
        Kind::Image => "image",
        Kind::Volume => "volume",
        Kind::Network => "network",
        Kind::BuildCache => "build cache",
    }
}

fn fields(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

impl Log {
    fn say(&self, line: Line) {
        let always = line.operation == "SUMMARY";
        if line.level < self.level && !always || self.quiet && line.level < LogLevel::Warn && !always {
            return;
        }
        let level = match line.level {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Warn => "WARN",
            LogLevel::Error => "ERROR",
        };
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        out(match self.format {
            LogFormat::Text => {
                let host = line.host.map(|host| format!("{host}: ")).unwrap_or_default();
                format!("[{now}] [{level}] [{}] {host}{}\n", line.operation, line.text.replace('\n', " "))
            }
            LogFormat::Json => {
                // In the order of the docker-cleaner's own lines, for whoever reads them by eye.
                let head = [("timestamp", now.to_string()), ("level", level.to_owned())];
                let head =
                    head.into_iter().chain([("operation", line.operation.to_owned()), ("message", line.message)]);
                let host = line.host.map(|host| ("hostname", host.to_owned()));
                let head = head.chain(host).map(|(key, text)| (key.to_owned(), Value::from(text)));
                let fields = head.chain(line.fields).map(|(key, value)| format!("{}:{value}", Value::from(key)));
                format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","))
            }
        });
    }

    pub(super) fn starts(&self, host: &str, dry: bool) {
        let dry_run = if dry { " (dry run: nothing is removed)" } else { "" };
        self.say(Line {
            level: LogLevel::Info,
            operation: "INIT",
            host: None,
            text: format!("Starting Docker cleanup on {host}{dry_run}"),
            message: "Starting Docker cleanup".to_owned(),
            fields: fields(if dry {
                json!({ "hostname": host, "dry_run": true })
            } else {
                json!({ "hostname": host })
            }),
        });
    }

    pub(super) fn lost(&self, host: Option<&str>, error: &Error) {
        let text = format!("Failed: {error}").replace("\n  ", " ");
        self.plain(LogLevel::Error, "INIT", host, text, json!({}));
    }

    pub(super) fn note(&self, host: Option<&str>, kind: Kind, note: &str) {
        self.plain(LogLevel::Warn, operation(kind), host, note.to_owned(), json!({}));
    }

    fn plain(&self, level: LogLevel, operation: &str, host: Option<&str>, text: String, more: Value) {
        self.say(Line { level, operation, host, message: text.clone(), text, fields: fields(more) });
    }

    pub(super) fn plan(&self, host: Option<&str>, plan: &Plan, since: &Since, kinds: &[Kind]) {
        for &kind in kinds {
            let steps: Vec<Step> = plan.steps.iter().filter(|step| step.kind == kind).cloned().collect();
            let bytes: u64 = steps.iter().map(|step| step.bytes).sum();
            for step in &steps {
                let age = age(step, since, plan.created).unwrap_or_else(|| "unknown age".to_owned());
                let text =
                    format!("Would remove {}: {}, {age}, {}", name(step), why(step.reason), human_bytes(step.bytes));
                let more = json!({ "id": step.id, "name": name(step), "space_bytes": step.bytes });
                self.plain(LogLevel::Info, operation(kind), host, text, more);
            }
            self.kept(host, plan, kind);
            let up_to = if plan.totals.up_to && kind == Kind::Image && bytes > 0 { "up to " } else { "" };
            let count = steps.len();
            let things = things(kind, &steps);
            self.say(Line {
                level: LogLevel::Info,
                operation: operation(kind),
                host,
                text: format!("Would remove {} ({up_to}{})", counted(count, things), human_bytes(bytes)),
                message: format!("Would remove {things}"),
                fields: fields(json!({ "count": count, "space_freed_bytes": bytes })),
            });
        }
    }

    /// What somebody holds is worth a warning where data is at stake; all else is for those who look closely.
    fn kept(&self, host: Option<&str>, plan: &Plan, kind: Kind) {
        for kept in plan.kept.iter().filter(|kept| kept.kind == kind) {
            let name = kept.names.first().unwrap_or(&kept.id);
            let level = match (kind, kept.reason) {
                (Kind::Volume, KeptReason::InUse) | (_, KeptReason::Changed) => LogLevel::Warn,
                _ => LogLevel::Debug,
            };
            let by = if kept.holders.is_empty() { String::new() } else { format!(" by {}", kept.holders.join(", ")) };
            let by = if kept.reason == KeptReason::InUse && kind != Kind::Container {
                by.replacen(" by ", " by container ", 1)
            } else {
                by
            };
            let text = format!("Skipped {} {name}: {}{by}", singular(kind), words(kept.reason));
            self.plain(level, operation(kind), host, text, json!({ "id": kept.id }));
        }
    }

    #[allow(clippy::too_many_arguments)] // each is a fact of the one line
    pub(super) fn kind(
        &self,
        host: Option<&str>,
        kind: Kind,
        part: &Plan,
        unlisted: &[&Error],
        errors: &[Error],
        up_to: bool,
        took: Duration,
    ) {
        let ended = |wanted: &[Outcome]| -> Vec<&Step> {
            part.steps.iter().filter(|step| step.result.is_some_and(|result| wanted.contains(&result))).collect()
        };
        let done = ended(&[Outcome::Done, Outcome::AlreadyGone]);
        let bytes: u64 = done.iter().map(|step| step.bytes).sum();
        let up_to = if up_to && bytes > 0 { "up to " } else { "" };
        for step in &done {
            self.plain(
                LogLevel::Debug,
                operation(kind),
                host,
                format!("Removed {}", name(step)),
                json!({ "id": step.id }),
            );
        }
        // One reason for all of them is said once, below.
        let said_below = kind == Kind::BuildCache && !errors.is_empty();
        for kept in part.kept.iter().filter(|_| !said_below) {
            let name = kept.names.first().unwrap_or(&kept.id);
            if kept.reason != KeptReason::Failed {
                let by = if kept.holders.is_empty() {
                    String::new()
                } else {
                    format!(" by container {}", kept.holders.join(", "))
                };
                let text = format!("Skipped {} {name}: {}{by}", singular(kind), words(kept.reason));
                self.plain(LogLevel::Warn, operation(kind), host, text, json!({ "id": kept.id }));
            }
        }
        let failed = ended(&[Outcome::Failed, Outcome::Unknown, Outcome::NotTried]).len();
        let why: Vec<&Error> = unlisted.iter().copied().chain(errors).collect();
        if failed > 0 || !unlisted.is_empty() {
            self.failed(host, kind, &why, failed, part.steps.len());
        } else {
            for error in why {
                self.note(host, kind, &format!("Skipped: {error}"));
            }
        }
        if !unlisted.is_empty() && part.steps.is_empty() {
            return;
        }
        let things = things(kind, &part.steps);
        self.say(Line {
            level: LogLevel::Info,
            operation: operation(kind),
            host,
            text: format!("Removed {} ({up_to}{} freed)", counted(done.len(), things), human_bytes(bytes)),
            message: format!("Removed {things}"),
            fields: fields(json!({
                "count": done.len(), "space_freed_bytes": bytes, "duration_seconds": seconds(took.as_secs_f64()),
            })),
        });
    }

    pub(super) fn failed(&self, host: Option<&str>, kind: Kind, why: &[&Error], failed: usize, of: usize) {
        let how_many = if of == 0 { String::new() } else { format!(" {failed} of {of}") };
        let why: Vec<String> = why.iter().map(|error| error.to_string().replace("\n  ", " ")).collect();
        let text = format!("Failed{how_many}: {}", why.join("; "));
        self.plain(LogLevel::Error, operation(kind), host, text, json!({ "failed": failed }));
    }

    pub(super) fn summary(&self, told: &[Told], dry: bool) {
        let mut counts = Map::new();
        let (mut bytes, mut removed, mut failed, mut kept) = (0, 0, 0, 0);
        for plan in told.iter().filter_map(|told| told.plan.as_ref()) {
            for step in &plan.steps {
                let goes = dry || matches!(step.result, Some(Outcome::Done | Outcome::AlreadyGone));
                let key = format!("{}_removed", operation(step.kind).to_ascii_lowercase());
                let known = counts.get(&key).and_then(Value::as_u64).unwrap_or(0);
                counts.insert(key, (known + u64::from(goes)).into());
                removed += usize::from(goes);
            }
            failed += plan.totals.failed;
            kept += plan.totals.kept;
            bytes += plan.totals.bytes;
        }
        let operations: usize = told.iter().map(|told| told.kinds.len()).sum();
        let operations_failed: usize = told.iter().map(Told::kinds_failed).sum();
        let lost = told.iter().filter(|told| told.error.is_some()).count();
        let longest = told.iter().map(|told| told.seconds).fold(0.0, f64::max);
        let up_to = if told.iter().any(Told::up_to) { "up to " } else { "" };
        let (what, verb) =
            if dry { ("Total space to be freed", "to remove") } else { ("Total space freed", "removed") };
        let hosts = if lost > 0 { format!(", {lost} of {} hosts failed", told.len()) } else { String::new() };
        let mut more = fields(json!({
            "count": removed, "space_freed_bytes": bytes, "failed": failed, "kept": kept,
            "operations_succeeded": operations - operations_failed, "operations_failed": operations_failed,
            "duration_seconds": seconds(longest),
        }));
        more.extend(counts);
        let level = if operations_failed > 0 || lost > 0 { LogLevel::Warn } else { LogLevel::Info };
        self.say(Line {
            level,
            operation: "SUMMARY",
            host: None,
            text: format!(
                "{what}: {up_to}{} ({removed} {verb}, {kept} kept, {failed} failed, {longest:.1} s{hosts})",
                human_bytes(bytes)
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
