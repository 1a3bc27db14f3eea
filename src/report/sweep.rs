//! What `dkb sweep` says: tables for people, the docker-cleaner's lines for logs, one document for programs.

mod human;
mod line;
mod log;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use serde_json::json;

use super::clean::Loudness;
use super::progress::Bar;
use super::{Page, Style, out, say, warn};
use crate::config::seed::{LogFormat, Seed};
use crate::config::{Format, Settings, value::Source};
use crate::error::Error;
use crate::model::{Kept, Kind, Outcome, Plan};
use crate::plan::sweep::Swept;
use line::Log;

/// What became of one host.
#[derive(Debug, Default)]
pub struct Told {
    pub host: String,
    pub plan: Option<Plan>,
    /// The kinds that were asked for.
    pub kinds: Vec<Kind>,
    /// Those that could not be listed.
    pub failed: Vec<(Kind, Error)>,
    pub errors: Vec<(Kind, Error)>,
    /// Why nothing was done there.
    pub error: Option<Error>,
    pub seconds: f64,
    pub interrupted: bool,
}

impl Told {
    pub fn of(plan: Plan) -> Self {
        Self { plan: Some(plan), ..Self::default() }
    }

    fn ended(&self, kind: Kind, wanted: &[Outcome]) -> usize {
        let steps = self.plan.iter().flat_map(|plan| &plan.steps).filter(|step| step.kind == kind);
        steps.filter(|step| step.result.is_some_and(|result| wanted.contains(&result))).count()
    }

    fn failed_at_all(&self, kind: Kind) -> bool {
        self.failed.iter().any(|(of, _)| *of == kind)
            || self.ended(kind, &[Outcome::Failed, Outcome::Unknown, Outcome::NotTried]) > 0
    }

    /// Nothing of this kind was done, though some was to be.
    pub fn failed_whole(&self, kind: Kind) -> bool {
        self.failed_at_all(kind) && self.ended(kind, &[Outcome::Done, Outcome::AlreadyGone]) == 0
    }

    pub fn kinds_failed(&self) -> usize {
        self.kinds.iter().filter(|kind| self.failed_at_all(**kind)).count()
    }

    fn removed(&self) -> usize {
        self.plan.as_ref().map_or(0, |plan| plan.totals.done)
    }

    fn bytes(&self) -> u64 {
        self.plan.as_ref().map_or(0, |plan| plan.totals.bytes)
    }

    fn up_to(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.totals.up_to)
    }
}

/// What became of one kind on one host.
pub struct Part<'a> {
    pub kind: Kind,
    /// The steps of this kind alone, and what of them stayed after all.
    pub plan: &'a Plan,
    /// What was to stay from the beginning.
    pub spared: &'a [&'a Kept],
    /// Why it could not be listed.
    pub unlisted: &'a [&'a Error],
    pub errors: &'a [Error],
    pub took: Duration,
}

/// Errors of one kind that are told one by one.
const TOLD: usize = 5;

/// The first of them in one line each, and how many more there are.
fn first_of(errors: &[&Error]) -> Vec<String> {
    let mut lines: Vec<String> = errors.iter().take(TOLD).map(|error| in_one_line(error)).collect();
    if errors.len() > TOLD {
        lines.push(format!("and {} more such errors", errors.len().saturating_sub(TOLD)));
    }
    lines
}

fn in_one_line(error: &Error) -> String {
    [&error.what(), error.next().unwrap_or_default()].join(" ").trim_end().to_owned()
}

enum Tongue {
    Human { style: Style, verbose: bool, quiet: bool },
    Log(Log),
    Json,
}

/// How this run speaks.
pub struct Voice {
    tongue: Tongue,
    many: bool,
    dry: bool,
}

impl Voice {
    /// On a terminal for people, elsewhere in lines; whoever names a format gets it.
    pub fn new(settings: &Settings, loudness: Loudness, seed: &Seed, many: bool, dry: bool) -> Self {
        let named = settings.source("format").is_some_and(|source| *source != Source::Default);
        let tongue = if settings.format == Format::Json {
            Tongue::Json
        } else if seed.format.is_some() || !named && !io::stdout().is_terminal() {
            Tongue::Log(Log {
                format: seed.format.unwrap_or(LogFormat::Text),
                level: seed.level,
                quiet: seed.quiet || loudness == Loudness::Quiet,
            })
        } else {
            Tongue::Human {
                style: Style::for_stdout(settings.color),
                verbose: loudness == Loudness::Verbose,
                quiet: seed.quiet || loudness == Loudness::Quiet,
            }
        };
        Self { tongue, many, dry }
    }

    /// Nothing on stdout but the one document.
    pub fn as_document(self) -> Self {
        Self { tongue: Tongue::Json, ..self }
    }

    /// Which host a line is about, where there are several.
    fn of<'a>(&self, host: &'a str) -> Option<&'a str> {
        self.many.then_some(host)
    }

    pub fn starts(&self, host: &str) {
        if let Tongue::Log(log) = &self.tongue {
            log.starts(host, self.dry);
        }
    }

    /// Something that was left out, and is no failure.
    pub fn note(&self, host: &str, kind: Kind, note: &str) {
        match &self.tongue {
            Tongue::Log(log) => log.note(self.of(host), kind, note),
            _ => say(format_args!("{}{}: {note}", self.prefix(host), human::plural(kind))),
        }
    }

    /// What may not be as it was meant, and is no failure.
    pub fn warn(&self, host: &str, warning: &str) {
        match &self.tongue {
            Tongue::Log(log) => log.warn(self.of(host), warning),
            _ => warn(format_args!("{}{warning}", self.prefix(host))),
        }
    }

    pub fn plan(&self, host: &str, swept: &Swept, kinds: &[Kind]) {
        match &self.tongue {
            Tongue::Human { style, verbose, .. } => {
                out(&human::plan(self.of(host), &swept.plan, &swept.since, *verbose, *style));
            }
            Tongue::Log(log) => log.plan(self.of(host), &swept.plan, &swept.since, kinds),
            Tongue::Json => {}
        }
    }

    pub fn failure(&self, host: &str, kind: Kind, error: &Error) {
        match &self.tongue {
            Tongue::Log(log) => log.failed(self.of(host), kind, &[error], 0, 0),
            _ => say(error.under(format_args!("{}{} failed", self.prefix(host), human::plural(kind)))),
        }
    }

    /// A host on which nothing could be done.
    pub fn lost(&self, host: &str, error: Error) -> Told {
        if let Tongue::Log(log) = &self.tongue {
            log.lost(self.of(host), &error);
        }
        say(if self.many { error.under(host) } else { error.clone() });
        Told { host: host.to_owned(), error: Some(error), ..Told::default() }
    }

    /// One kind on one host is done.
    pub fn kind(&self, host: &str, part: &Part) {
        if let Tongue::Log(log) = &self.tongue {
            return log.kind(self.of(host), part);
        }
        let errors: Vec<&Error> = part.unlisted.iter().copied().chain(part.errors).collect();
        for error in first_of(&errors) {
            say(format_args!("{}{}: {error}", self.prefix(host), human::plural(part.kind)));
        }
    }

    /// For somebody who watches one host.
    pub fn bar(&self, length: usize) -> Bar {
        let watched = matches!(self.tongue, Tongue::Human { quiet: false, .. }) && io::stderr().is_terminal();
        Bar::new(watched && !self.many, length)
    }

    pub fn host_done(&self, told: &Told) {
        if let (Tongue::Human { style, quiet: false, .. }, Some(plan)) = (&self.tongue, &told.plan) {
            out(&human::done(self.of(&told.host), plan, told.seconds, *style));
        }
    }

    pub fn summary(&self, told: &[Told]) {
        match &self.tongue {
            Tongue::Human { style, quiet: false, .. } if self.many => out(&human::summary(told, self.dry, *style)),
            Tongue::Human { .. } => {}
            Tongue::Log(log) => log.summary(told, self.dry),
            Tongue::Json => out(&document(told, self.many)),
        }
    }

    fn prefix(&self, host: &str) -> String {
        if self.many { format!("{host}: ") } else { String::new() }
    }
}

/// The one document; of many hosts, one in each of its parts.
fn document(told: &[Told], many: bool) -> Page {
    if let ([Told { plan: Some(plan), .. }], false) = (told, many) {
        return super::clean::json(plan);
    }
    let hosts: Vec<_> = told
        .iter()
        .map(|told| match (&told.plan, &told.error) {
            (Some(plan), _) => json!({ "host": told.host, "plan": plan }),
            (None, error) => json!({ "host": told.host, "error": error.as_ref().map(ToString::to_string) }),
        })
        .collect();
    if !many {
        return Page::default();
    }
    Page::json(&json!({ "schema": crate::model::SCHEMA, "kind": "sweep", "hosts": hosts }))
}

/// Since when things have been idle, by what names them.
type Since = HashMap<crate::plan::sweep::Key, jiff::Timestamp>;
