//! One line of a log, text or JSON, and whether it is said at all.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::{Page, out};
use crate::config::cleaner::{LogFormat, LogLevel};

/// The operation of the line that counts everything.
pub(super) const SUMMARY: &str = "SUMMARY";

pub(super) struct Log {
    pub(super) format: LogFormat,
    pub(super) level: LogLevel,
    /// Nothing but the summary and what is worth a warning.
    pub(super) quiet: bool,
}

/// A line, in both formats: the text has in words what JSON has in fields.
pub(super) struct Line<'a> {
    pub(super) level: LogLevel,
    pub(super) operation: &'a str,
    pub(super) host: Option<&'a str>,
    pub(super) text: String,
    pub(super) message: String,
    pub(super) fields: Map<String, Value>,
}

impl Log {
    pub(super) fn say(&self, line: Line) {
        let is_much = line.level < LogLevel::Warn && line.operation != SUMMARY;
        if line.level < self.level || self.quiet && is_much {
            return;
        }
        let level = match line.level {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Warn => "WARN",
            LogLevel::Error => "ERROR",
        };
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        out(&match self.format {
            LogFormat::Text => {
                let host = line.host.map(|host| format!("{host}: ")).unwrap_or_default();
                Page::of(format_args!("[{now}] [{level}] [{}] {host}{}", line.operation, line.text))
            }
            LogFormat::Json => {
                // In the order of the docker-cleaner's own lines, for whoever reads them by eye.
                let head = [("timestamp", now.to_string()), ("level", level.to_owned())];
                let head =
                    head.into_iter().chain([("operation", line.operation.to_owned()), ("message", line.message)]);
                let host = line.host.map(|host| ("hostname", host.to_owned()));
                let head = head.chain(host).map(|(key, text)| (key.to_owned(), Value::from(text)));
                let fields = head.chain(line.fields).map(|(key, value)| format!("{}:{value}", Value::from(key)));
                Page::of_json(&format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
            }
        });
    }

    /// A line that says the same in both formats.
    pub(super) fn plain(&self, level: LogLevel, operation: &str, host: Option<&str>, text: String, more: Value) {
        self.say(Line { level, operation, host, message: text.clone(), text, fields: fields(more) });
    }
}

pub(super) fn fields(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}
