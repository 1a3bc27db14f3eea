//! One settings file: TOML into entries, each with its line; what it may not say is an error that names the line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{By, KEYS, Key, ValueKind, find};
use super::value::{Base, Source, Value};
use crate::error::{Error, Result};
use crate::model::slip;

/// A key that was set somewhere.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: &'static Key,
    pub value: Value,
    pub source: Source,
}

/// One `[hosts.NAME]`: where it is, and what it sets otherwise than `[sweep]`.
#[derive(Clone, Debug)]
pub struct HostEntries {
    pub name: String,
    pub context: Option<String>,
    pub host: Option<String>,
    pub source: Source,
    pub sweep: Vec<Entry>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub entries: Vec<Entry>,
    pub hosts: Vec<HostEntries>,
}

/// Whose file it is decides what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose<'a> {
    User,
    /// A checkout's `dkb.toml`, and where the user's own file would be, for the hint; empty where nowhere.
    Checkout {
        own: &'a Path,
    },
}

pub(crate) fn read(text: &str, path: &Path, whose: Whose, home: Option<&Path>) -> Result<File> {
    let reader = FileReader { text, path, whose, home };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.error(at, error.message().replace('\n', ", ")).hint("the file must be TOML: key = value, one a line")
    })?;
    let mut file = File::default();
    for (name, at, value) in in_order(table.get_ref()) {
        match (name, value.get_ref()) {
            ("sweep" | "hosts", _) if whose != Whose::User => return Err(reader.not_from_here(name, at)),
            ("sweep", DeValue::Table(table)) => file.entries.extend(reader.table("sweep.", table)?),
            ("hosts", DeValue::Table(table)) => {
                for (name, at, value) in in_order(table) {
                    file.hosts.push(reader.host(name, at, value)?);
                }
            }
            ("sweep" | "hosts", _) => {
                return Err(reader
                    .error(at, format!("'{name}' is a table"))
                    .hint(format!("write [{name}] and its keys below")));
            }
            _ => file.entries.push(reader.entry("", name, at, value)?),
        }
    }
    Ok(file)
}

/// The keys in the order of the file, so that the first error named is the first one there.
fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(&'a str, usize, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value)).collect();
    entries.sort_by_key(|(_, at, _)| *at);
    entries
}

struct FileReader<'a> {
    text: &'a str,
    path: &'a Path,
    whose: Whose<'a>,
    home: Option<&'a Path>,
}

impl FileReader<'_> {
    fn source(&self, at: usize) -> Source {
        let line = self.text.get(..at).unwrap_or_default().matches('\n').count().saturating_add(1);
        Source::File { path: self.path.to_owned(), line, checkout: self.whose != Whose::User }
    }

    fn error(&self, at: usize, what: impl std::fmt::Display) -> Error {
        Error::usage(self.source(at).to_string(), what)
    }

    fn not_from_here(&self, name: &str, at: usize) -> Error {
        let key = find(name);
        let error = self.error(
            at,
            format!(
                "'{name}' is not taken from {}",
                match self.whose {
                    Whose::User => "a file",
                    Whose::Checkout { .. } => "a checkout's file, which may only name, keep and narrow",
                }
            ),
        );
        let mut places = Vec::new();
        if let (Whose::Checkout { own }, true) = (self.whose, key.is_none_or(|key| key.by == By::User)) {
            let own = if own.as_os_str().is_empty() {
                "the file that --settings names".into()
            } else {
                own.display().to_string()
            };
            places.push(format!("in {own}"));
        }
        if let Some(key) = key {
            if key.by != By::Flag {
                places.push(format!("by {}", key.variable()));
            }
            places.extend(key.flag().map(|flag| format!("by {flag}")));
        }
        error.hint(format!("set it {}", places.join(" or ")))
    }

    fn unknown(&self, prefix: &str, name: &str, at: usize, more: &[&str]) -> Error {
        let takes = |key: &&Key| match self.whose {
            Whose::User => matches!(key.by, By::Anyone | By::Narrowing | By::User),
            Whose::Checkout { .. } => matches!(key.by, By::Anyone | By::Narrowing),
        };
        let here = KEYS.iter().filter(takes).filter_map(|key| key.name.strip_prefix(prefix));
        let here: Vec<_> = more.iter().copied().chain(here.filter(|name| !name.contains('.'))).collect();
        let meant = closest(name, &here).map_or_else(String::new, |meant| format!("did you mean '{meant}'? "));
        let place = if prefix.is_empty() { "" } else { " in this table" };
        self.error(at, format!("unknown key '{}'{place}", name.escape_debug()))
            .hint(format!("{meant}accepted here: {}", here.join(", ")))
    }

    fn table(&self, prefix: &str, table: &DeTable) -> Result<Vec<Entry>> {
        in_order(table).into_iter().map(|(name, at, value)| self.entry(prefix, name, at, value)).collect()
    }

    fn entry(&self, prefix: &str, name: &str, at: usize, value: &Spanned<DeValue>) -> Result<Entry> {
        let key = find(&format!("{prefix}{name}")).filter(|_| !name.contains('.'));
        let key = key.ok_or_else(|| self.unknown(prefix, name, at, &[]))?;
        let allowed = match key.by {
            By::Anyone | By::Narrowing => true,
            By::User => self.whose == Whose::User,
            By::Run | By::Flag => false,
        };
        if !allowed {
            return Err(self.not_from_here(name, at));
        }
        Ok(Entry { key, value: self.value(key.kind, name, key.doc, value)?, source: self.source(at) })
    }

    fn value(&self, kind: ValueKind, name: &str, doc: &str, value: &Spanned<DeValue>) -> Result<Value> {
        let base = Base { folder: self.path.parent().unwrap_or(Path::new("/")), home: self.home };
        let read = match (kind, value.get_ref()) {
            (ValueKind::Bool, DeValue::Boolean(value)) => Some(Value::Bool(*value)),
            (ValueKind::Count | ValueKind::Size, DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| match kind {
                    ValueKind::Count => Value::Count(number),
                    _ => Value::Size(number),
                })
            }
            (ValueKind::Bool | ValueKind::Count, _) => None,
            (_, DeValue::Array(parts)) if kind.is_list() => {
                let texts: Option<Vec<_>> = parts.iter().map(|part| part.get_ref().as_str()).collect();
                texts.and_then(|texts| Value::from_list(kind, texts.into_iter()))
            }
            (_, DeValue::String(text)) if kind.is_list() => Value::from_list(kind, std::iter::once(text.as_ref())),
            (_, DeValue::String(text)) => Value::from_text(kind, text, base),
            _ => None,
        };
        read.ok_or_else(|| {
            let span = value.span();
            let got = self.text.get(span.clone()).unwrap_or_default();
            let got = got.lines().next().unwrap_or_default();
            self.error(span.start, format!("'{name}' takes {}, not {got}", kind.takes())).hint(format!("{name}: {doc}"))
        })
    }

    fn host(&self, name: &str, at: usize, value: &Spanned<DeValue>) -> Result<HostEntries> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self
                .error(at, format!("'hosts.{name}' is a table"))
                .hint(format!("write [hosts.{name}] and its keys below")));
        };
        let mut host = HostEntries {
            name: name.to_owned(),
            context: None,
            host: None,
            source: self.source(at),
            sweep: Vec::new(),
        };
        for (name, at, value) in in_order(table) {
            let text = |doc| self.value(ValueKind::Text, name, doc, value).map(|value| Some(value.to_string()));
            match name {
                "context" => host.context = text("the docker context that leads there")?,
                "host" => host.host = text("the engine's address, such as ssh://me@nas")?,
                _ if find(&format!("sweep.{name}")).is_some() => {
                    host.sweep.push(self.entry("sweep.", name, at, value)?);
                }
                _ => return Err(self.unknown("sweep.", name, at, &["context", "host"])),
            }
        }
        if host.context.is_some() == host.host.is_some() {
            return Err(self
                .error(at, format!("'hosts.{name}' needs either 'context' or 'host'"))
                .hint("context = \"nas\", or host = \"ssh://me@nas\""));
        }
        Ok(host)
    }
}

/// The word that somebody may have meant: at most a third of it typed otherwise.
fn closest<'a>(typed: &str, words: &[&'a str]) -> Option<&'a str> {
    let typed = typed.replace('-', "_").to_lowercase();
    words.iter().filter_map(|word| Some((slip(&typed, word)?, *word))).min().map(|(_, word)| word)
}

#[cfg(test)]
mod tests;
