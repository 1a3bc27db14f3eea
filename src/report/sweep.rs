//! What `dkb sweep` says: tables for people, the docker-cleaner's lines for logs, one document for programs.

mod human;
mod line;
mod log;
mod swept_host;

use std::cell::Cell;
use std::path::Path;

use serde_json::json;

use super::notice::words_of;
use super::progress::{ENGINE, Progress, is_watched};
use super::words::{Loudness, all_of, count, kind};
use super::{Style, err, ids, is_one_stream, out, say, warn, written};
use crate::config::cleaner::{CleanerVariables, LogFormat};
use crate::config::{Color, Format, Settings};
use crate::error::Error;
use crate::model::{DiskUse, Gap, Kind, Step};
use crate::plan::sweep::{SweepPolicy, Swept};
use line::Log;
use swept_host::TOLD;
pub(crate) use swept_host::{Part, SweptHost};

enum VoiceForm {
    Human {
        style: Style,
        verbose: bool,
    },
    /// What went or would go, and nothing else.
    Ids,
    Log(Log),
    Document(Format),
}

/// How this run speaks.
pub(crate) struct Voice {
    form: VoiceForm,
    color: Color,
    many: bool,
    dry: bool,
    /// The plan was shown already, to whoever was asked.
    asked: Cell<bool>,
}

/// What a plan's file has of a kind that is not swept now.
pub(crate) fn unasked(what: Kind, n: usize) -> Option<String> {
    let how = match what {
        Kind::Volume => "go only with --volumes",
        Kind::BuilderState => "go only with --only builder-state",
        _ => "stay by --only, --skip and the settings that leave them out",
    };
    (n > 0).then(|| format!("the plan has {n} {} that {how}", kind(what, n)))
}

impl Voice {
    /// For people, on a terminal and elsewhere; in lines for whoever asked for them, or set a variable of the
    /// docker-cleaner's.
    pub(crate) fn new(
        settings: &Settings,
        loudness: Loudness,
        cleaner: &CleanerVariables,
        log: Option<LogFormat>,
        many: bool,
        dry: bool,
    ) -> Self {
        let named = settings.is_set("format");
        let form = if settings.format.is_document() {
            VoiceForm::Document(settings.format)
        } else if log.is_some() || !named && cleaner.speaks {
            VoiceForm::Log(Log {
                format: log.unwrap_or(LogFormat::Text),
                level: cleaner.level,
                quiet: cleaner.quiet || loudness == Loudness::Quiet,
            })
        } else if loudness == Loudness::Quiet {
            VoiceForm::Ids
        } else {
            VoiceForm::Human { style: Style::for_stdout(settings.color), verbose: loudness == Loudness::Verbose }
        };
        Self { form, color: settings.color, many, dry, asked: Cell::new(false) }
    }

    /// Nothing on stdout but the one document.
    pub(crate) fn into_document(self) -> Self {
        Self { form: VoiceForm::Document(Format::Json), ..self }
    }

    /// Which host a line is about, where there are several.
    fn of<'a>(&self, host: &'a str) -> Option<&'a str> {
        self.many.then_some(host)
    }

    /// `engine`: as it calls itself.
    pub(crate) fn starts(&self, host: &str, engine: &str) {
        if let VoiceForm::Log(log) = &self.form {
            log.starts(host, engine, self.dry);
        }
    }

    /// What whoever reads the log later may want to know, and whoever watches does not.
    pub(crate) fn note(&self, text: &str) {
        if let VoiceForm::Log(log) = &self.form {
            log.begins(text);
        }
    }

    pub(crate) fn gap(&self, host: &str, gap: &Gap) {
        let (kind, words) = (gap.kind(), words_of(gap));
        match &self.form {
            VoiceForm::Log(log) => log.note(self.of(host), kind, &words.in_one_line()),
            _ => say(words.under(format_args!("{}{}", self.prefix(host), all_of(kind)))),
        }
    }

    /// What may not be as it was meant, and is no failure.
    pub(crate) fn warn(&self, host: &str, warning: &str) {
        match &self.form {
            VoiceForm::Log(log) => log.warn(self.of(host), warning),
            _ => warn(format_args!("{}{warning}", self.prefix(host))),
        }
    }

    pub(crate) fn plan(&self, host: &str, swept: &Swept, policy: &SweepPolicy, kinds: &[Kind], disk: Option<DiskUse>) {
        match &self.form {
            VoiceForm::Human { style, verbose } => {
                out(&human::plan(self.of(host), swept, (policy, disk), *verbose, *style));
            }
            VoiceForm::Ids => out(&ids::of(&swept.plan)),
            VoiceForm::Log(log) => log.plan(self.of(host), &swept.plan, &swept.since, kinds),
            VoiceForm::Document(_) => {}
        }
    }

    pub(crate) fn plan_file(&self, file: Option<&Path>) {
        if let VoiceForm::Human { .. } = self.form {
            super::notice::tell_of_plan("sweep", file);
        }
    }

    /// The same to somebody who is asked, on stderr, since stdout is for what becomes of it.
    pub(crate) fn asks(&self, host: &str, swept: &Swept, policy: &SweepPolicy, kinds: &[Kind], disk: Option<DiskUse>) {
        if let VoiceForm::Log(_) = &self.form {
            return self.plan(host, swept, policy, kinds, disk);
        }
        let verbose = matches!(self.form, VoiceForm::Human { verbose: true, .. });
        self.asked.set(true);
        err(&human::plan(self.of(host), swept, (policy, disk), verbose, Style::for_stderr(self.color)));
    }

    pub(crate) fn failure(&self, host: &str, kind: Kind, error: &Error) {
        match &self.form {
            VoiceForm::Log(log) => log.failed(self.of(host), kind, &[error], 0, 0),
            _ => say(error.under(format_args!("{}{} failed", self.prefix(host), all_of(kind)))),
        }
    }

    /// A host on which nothing could be done.
    pub(crate) fn lost(&self, host: &str, error: Error) -> SweptHost {
        if let VoiceForm::Log(log) = &self.form {
            log.lost(self.of(host), &error);
        }
        // Whoever reads both has read it already.
        if !matches!(self.form, VoiceForm::Log(_)) || !is_one_stream() {
            say(if self.many { error.under(host) } else { error.clone() });
        }
        SweptHost { host: host.to_owned(), error: Some(error), ..SweptHost::default() }
    }

    /// One kind on one host is done.
    pub(crate) fn kind(&self, host: &str, part: &Part) {
        if let VoiceForm::Log(log) = &self.form {
            return log.kind(self.of(host), part);
        }
        let errors: Vec<&Error> = part.unlisted.iter().copied().chain(part.errors).collect();
        for error in errors.iter().take(TOLD) {
            say(error.under(format_args!("{}{}", self.prefix(host), all_of(part.kind))));
        }
        if errors.len() > TOLD {
            let more = errors.len().saturating_sub(TOLD);
            say(format_args!("{}{}: and {more} more such errors", self.prefix(host), all_of(part.kind)));
        }
    }

    /// For somebody who watches one host.
    pub(crate) fn progress(&self, steps: &[Step]) -> Progress {
        Progress::of_steps(self.is_watched() && !self.many, steps)
    }

    /// What is looked at takes as long as the slowest of these.
    pub(crate) fn looking(&self, hosts: usize) -> Progress {
        let at = if hosts == 1 { ENGINE.to_owned() } else { count(hosts, "host") };
        Progress::of_a_look(self.is_watched(), &at)
    }

    fn is_watched(&self) -> bool {
        is_watched(matches!(self.form, VoiceForm::Human { .. }))
    }

    pub(crate) fn host_done(&self, told: &SweptHost, policy: &SweepPolicy) {
        match (&self.form, &told.plan) {
            (VoiceForm::Human { style, .. }, Some(plan)) => {
                let heading = self.many || !self.asked.get();
                out(&human::done(self.of(&told.host), told, plan, policy, heading, *style));
            }
            (VoiceForm::Ids, Some(plan)) => out(&ids::of(plan)),
            _ => {}
        }
    }

    pub(crate) fn summary(&self, told: &[SweptHost]) {
        match &self.form {
            VoiceForm::Human { style, .. } if self.many => out(&human::summary(told, self.dry, *style)),
            VoiceForm::Human { .. } | VoiceForm::Ids => {}
            VoiceForm::Log(log) => log.summary(told, self.dry),
            VoiceForm::Document(format) => document(*format, told, self.many),
        }
    }

    fn prefix(&self, host: &str) -> String {
        if self.many { format!("{host}: ") } else { String::new() }
    }
}

/// The one document; of many hosts, one in each of its parts.
fn document(format: Format, told: &[SweptHost], many: bool) {
    if let ([SweptHost { plan: Some(plan), .. }], false) = (told, many) {
        return out(&written(format, plan));
    }
    let hosts: Vec<_> = told
        .iter()
        .map(|told| match (&told.plan, &told.error) {
            (Some(plan), _) => json!({ "host": told.host, "plan": plan }),
            (None, error) => json!({ "host": told.host, "error": error.as_ref().map(ToString::to_string) }),
        })
        .collect();
    if many {
        out(&written(format, &json!({ "schema": crate::model::SCHEMA, "kind": "sweep", "hosts": hosts })));
    }
}
