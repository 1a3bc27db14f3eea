//! A value of a key, and where it comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::ValueKind;
use crate::model::{DiskMark, LabelFilter, Name, Pattern, exact_bytes, exact_duration, parse_bytes, parse_duration};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Count(u64),
    Duration(Duration),
    Size(u64),
    Mark(DiskMark),
    Text(String),
    Path(PathBuf),
    List(Vec<String>),
}

/// Where a value comes from, as a user can find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag, with its dashes.
    Flag(String),
    Variable(String),
    File {
        path: PathBuf,
        line: usize,
        /// It came with a checkout, and not from the user.
        checkout: bool,
    },
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What a path in a setting is relative to: the file that it stands in, or the working directory.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    pub folder: &'a Path,
    pub home: Option<&'a Path>,
}

impl Base<'_> {
    fn path(self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(text),
        }
    }
}

impl Value {
    /// Reads what was typed in a flag or a variable; `None` where the key does not take it.
    pub fn from_text(kind: ValueKind, text: &str, base: Base) -> Option<Self> {
        if kind.is_list() {
            return Self::from_list(kind, text.split(',').map(str::trim).filter(|part| !part.is_empty()));
        }
        match kind {
            ValueKind::Name => Name::typed(text).ok().map(|name| Self::Text(name.to_string())),
            ValueKind::Choice(words) => words.contains(&text).then(|| Self::Text(text.to_owned())),
            ValueKind::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(Self::Bool(true)),
                "false" | "0" => Some(Self::Bool(false)),
                _ => None,
            },
            ValueKind::Count => text.parse().ok().map(Self::Count),
            ValueKind::Duration => parse_duration(text).ok().map(Self::Duration),
            ValueKind::Size => parse_bytes(text).ok().map(Self::Size),
            ValueKind::Mark => DiskMark::parse(text).map(Self::Mark),
            _ if text.is_empty() => None,
            ValueKind::Program if text.contains('/') => Some(Self::Path(base.path(text))),
            ValueKind::Program => Some(Self::Path(PathBuf::from(text))),
            ValueKind::Folder => Some(Self::Path(base.path(text))),
            ValueKind::Text | ValueKind::Contexts | ValueKind::Patterns | ValueKind::Filters => {
                Some(Self::Text(text.to_owned()))
            }
        }
    }

    /// Reads the parts of a list; `None` where the key does not take one of them, or where there is none.
    pub fn from_list<'a>(kind: ValueKind, parts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let fits = |part: &str| match kind {
            ValueKind::Patterns => Pattern::new(part).is_ok(),
            ValueKind::Filters => LabelFilter::parse(part).is_some(),
            _ => !part.trim().is_empty(),
        };
        let parts: Option<Vec<_>> = parts.map(|part| fits(part).then(|| part.trim().to_owned())).collect();
        parts.map(Self::List)
    }

    /// How much it keeps, for keys of which a larger value deletes less.
    pub(super) fn keeps(&self) -> u64 {
        match self {
            Self::Count(number) => *number,
            Self::Duration(duration) => duration.as_secs(),
            _ => 0,
        }
    }

    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Count(number) | Self::Size(number) => (*number).into(),
            Self::List(parts) => parts.clone().into(),
            other => other.to_string().into(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Count(number) => write!(f, "{number}"),
            Self::Duration(duration) => f.write_str(&exact_duration(*duration)),
            Self::Size(bytes) => f.write_str(&exact_bytes(*bytes)),
            Self::Mark(mark) => write!(f, "{mark}"),
            Self::Text(text) => f.write_str(text),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::List(parts) => f.write_str(&parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;

    fn base() -> Base<'static> {
        Base { folder: Path::new("/work"), home: Some(Path::new("/home/me")) }
    }

    #[test]
    fn every_default_is_a_value_that_could_be_typed() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            let value = Value::from_text(key.kind, key.default, base());
            assert_eq!(value.expect(key.name).to_string(), key.default, "{}", key.name);
        }
    }

    #[test]
    fn paths_stand_where_they_were_written() {
        for (kind, text, path) in [
            (ValueKind::Program, "podman", "podman"),
            (ValueKind::Program, "./bin/docker", "/work/./bin/docker"),
            (ValueKind::Program, "/usr/bin/docker", "/usr/bin/docker"),
            (ValueKind::Folder, "state", "/work/state"),
            (ValueKind::Folder, "~/state", "/home/me/state"),
        ] {
            assert_eq!(Value::from_text(kind, text, base()), Some(Value::Path(path.into())), "{text}");
        }
    }

    #[test]
    fn a_list_in_a_variable_is_parted_by_commas() {
        let list = Value::from_text(ValueKind::Patterns, "app:*, db ,", base());
        assert_eq!(list, Some(Value::List(vec!["app:*".to_owned(), "db".to_owned()])));
    }
}
