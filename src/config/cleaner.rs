//! The variables of the docker-cleaner container, read by `sweep` only, so that dkb can take its place as it is.
//!
//! They say the same as dkb's own settings and count less than those. A bad value is an error before anything
//! is touched; only of variables that other programs set too, a bad one is a warning.

use std::path::PathBuf;

use super::file::Entry;
use super::keys::find;
use super::places::Environment;
use super::value::{Source, Value};
use crate::error::{Error, Result};
use crate::model::parse_duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Who goes on with what root began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Or a number.
    pub name: String,
    pub variable: &'static str,
}

/// What the variables say beyond settings that dkb has anyway.
#[derive(Debug, Default)]
pub(crate) struct CleanerVariables {
    pub entries: Vec<Entry>,
    /// `PRUNE_FORCE`.
    pub force: Option<bool>,
    pub dry_run: bool,
    pub level: LogLevel,
    /// `None` where `LOG_FORMAT` is not set.
    pub format: Option<LogFormat>,
    pub quiet: bool,
    /// `DOCKER_SOCKET`, the engine's where neither a flag nor one of docker's variables names one.
    pub socket: Option<PathBuf>,
    /// `DKB_USER`, else `CLEANUP_USER`.
    pub user: Option<User>,
    /// One of its `PRUNE_…` or `CLEANUP_…` variables beside `PRUNE_FORCE` is set: dkb stands in for it.
    pub stands_in: bool,
    /// Any of its variables is set: whoever set it reads its lines.
    pub speaks: bool,
    pub warnings: Vec<String>,
}

/// The variables that are one setting each.
const KINDS: [(&str, &str); 5] = [
    ("PRUNE_ALL", "sweep.all_images"),
    ("CLEANUP_CONTAINERS", "sweep.containers"),
    ("CLEANUP_IMAGES", "sweep.images"),
    ("CLEANUP_NETWORKS", "sweep.networks"),
    ("CLEANUP_BUILD_CACHE", "sweep.build_cache"),
];
/// Either of them true takes volumes along.
const VOLUMES: [&str; 2] = ["PRUNE_VOLUMES", "CLEANUP_VOLUMES"];
/// All others.
const OTHERS: [&str; 7] =
    ["PRUNE_FILTER_UNTIL", "PRUNE_FILTER_LABEL", "PRUNE_FORCE", "DRY_RUN", "LOG_LEVEL", "LOG_FORMAT", "QUIET"];

pub(crate) fn read(env: Environment) -> Result<CleanerVariables> {
    let mut said = CleanerVariables::default();
    for (variable, key) in KINDS {
        if let Some(on) = bool(env, variable)? {
            said.set(key, Value::Bool(on), variable);
        }
    }
    let mut volumes: Option<(bool, &str)> = None;
    for variable in VOLUMES {
        if let Some(on) = bool(env, variable)?.filter(|on| *on || volumes.is_none()) {
            volumes = Some((on, variable));
        }
    }
    if let Some((on, variable)) = volumes {
        said.set("sweep.volumes", Value::Bool(on), variable);
    }
    if let Some(text) = text(env, "PRUNE_FILTER_UNTIL")? {
        let takes = "a duration such as 90s, 15m, 24h or 168h";
        let until = parse_duration(&text).map_err(|_| bad("PRUNE_FILTER_UNTIL", takes, &text))?;
        said.set("sweep.until", Value::Duration(until), "PRUNE_FILTER_UNTIL");
    }
    if let Some(text) = text(env, "PRUNE_FILTER_LABEL")? {
        let filters = filters(&text)
            .ok_or_else(|| bad("PRUNE_FILTER_LABEL", "labels parted by commas, each k, k=v or k!=v", &text))?;
        said.set("sweep.filter", filters, "PRUNE_FILTER_LABEL");
    }
    said.force = bool(env, "PRUNE_FORCE")?;
    said.dry_run = bool(env, "DRY_RUN")?.unwrap_or(false);
    said.socket = env("DOCKER_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from);
    for variable in ["DKB_USER", "CLEANUP_USER"] {
        // An empty one is a word too: the image names a user, and somebody wants to stay root.
        if env(variable).is_some() {
            said.user = text(env, variable)?.map(|name| User { name, variable });
            break;
        }
    }
    said.logging(env);
    let mut all = KINDS.iter().map(|(variable, _)| *variable).chain(VOLUMES).chain(OTHERS);
    said.speaks = all.any(|variable| shown(env, variable).is_some());
    Ok(said)
}

impl CleanerVariables {
    fn set(&mut self, key: &str, value: Value, variable: &str) {
        self.stands_in = true;
        let source = Source::Variable(variable.to_owned());
        self.entries.extend(find(key).map(|key| Entry { key, value, source }));
    }

    fn logging(&mut self, env: Environment) {
        if let Some(text) = shown(env, "LOG_LEVEL") {
            match text.to_ascii_uppercase().as_str() {
                "DEBUG" => self.level = LogLevel::Debug,
                "INFO" => self.level = LogLevel::Info,
                "WARN" => self.level = LogLevel::Warn,
                "ERROR" => self.level = LogLevel::Error,
                _ => self.warn("LOG_LEVEL", "DEBUG, INFO, WARN or ERROR", &text, "INFO"),
            }
        }
        if let Some(text) = shown(env, "LOG_FORMAT") {
            self.format = Some(LogFormat::Text);
            match text.to_ascii_lowercase().as_str() {
                "text" => {}
                "json" => self.format = Some(LogFormat::Json),
                _ => self.warn("LOG_FORMAT", "text or json", &text, "text"),
            }
        }
        if let Some(text) = shown(env, "QUIET") {
            match truth(&text) {
                Some(quiet) => self.quiet = quiet,
                None => self.warn("QUIET", "true, false, 1 or 0", &text, "false"),
            }
        }
    }

    fn warn(&mut self, variable: &str, takes: &str, got: &str, instead: &str) {
        self.warnings
            .push(format!("{variable}: takes {takes}, not '{}'; going on as if it were {instead}", got.escape_debug()));
    }

    /// Whether nothing is to be asked: what stands in for the container was never asked anything.
    pub(crate) fn is_forced(&self, terminal: bool) -> bool {
        self.force.unwrap_or(self.stands_in && !terminal)
    }
}

fn bad(variable: &str, takes: &str, got: &str) -> Error {
    Error::usage(variable, format!("takes {takes}, not '{}'", got.escape_debug())).hint("nothing was touched")
}

/// An empty variable is one that is not set.
fn shown(env: Environment, variable: &str) -> Option<String> {
    env(variable).map(|value| value.to_string_lossy().trim().to_owned()).filter(|value| !value.is_empty())
}

fn text(env: Environment, variable: &str) -> Result<Option<String>> {
    match env(variable) {
        Some(value) if value.to_str().is_none() => Err(bad(variable, "UTF-8", &value.to_string_lossy())),
        _ => Ok(shown(env, variable)),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn bool(env: Environment, variable: &str) -> Result<Option<bool>> {
    let Some(text) = text(env, variable)? else { return Ok(None) };
    truth(&text).map(Some).ok_or_else(|| bad(variable, "true, false, 1 or 0", &text))
}

/// `k`, `k=v` and `k!=v` in the words of dkb's own filters.
fn filters(text: &str) -> Option<Value> {
    let parts: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once("!=") {
            Some((key, value)) if !key.contains('=') => format!("label!={key}={value}"),
            _ => format!("label={part}"),
        })
        .collect();
    let value = Value::from_list(super::keys::ValueKind::Filters, parts.iter().map(String::as_str))?;
    (!parts.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read_of(variables: &[(&str, &str)]) -> Result<CleanerVariables> {
        read(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)))
    }

    fn settings(variables: &[(&str, &str)]) -> Vec<String> {
        let said = read_of(variables).expect("good values");
        said.entries.iter().map(|entry| format!("{}={} {}", entry.key.name, entry.value, entry.source)).collect()
    }

    #[test]
    fn each_variable_is_a_setting_of_ours() {
        for (variable, value, setting) in [
            ("PRUNE_ALL", "TRUE", "sweep.all_images=true"),
            ("PRUNE_VOLUMES", "1", "sweep.volumes=true"),
            ("CLEANUP_CONTAINERS", "False", "sweep.containers=false"),
            ("CLEANUP_IMAGES", "0", "sweep.images=false"),
            ("CLEANUP_VOLUMES", "true", "sweep.volumes=true"),
            ("CLEANUP_NETWORKS", "false", "sweep.networks=false"),
            ("CLEANUP_BUILD_CACHE", "false", "sweep.build_cache=false"),
            ("PRUNE_FILTER_UNTIL", "168h", "sweep.until=7d"),
            ("PRUNE_FILTER_LABEL", "keep!=true", "sweep.filter=label!=keep=true"),
            ("PRUNE_FILTER_LABEL", "ci, a=b ,c!=d=e", "sweep.filter=label=ci, label=a=b, label!=c=d=e"),
        ] {
            assert_eq!(settings(&[(variable, value)]), [format!("{setting} {variable}")]);
        }
        assert!(settings(&[("PRUNE_ALL", ""), ("DOCKER_HOST", "unix:///x"), ("DRY_RUN", "true")]).is_empty());
    }

    #[test]
    fn either_of_two_variables_takes_volumes_along() {
        let volumes = |prune, cleanup| settings(&[("PRUNE_VOLUMES", prune), ("CLEANUP_VOLUMES", cleanup)]);
        assert_eq!(volumes("true", "false"), ["sweep.volumes=true PRUNE_VOLUMES"]);
        assert_eq!(volumes("false", "true"), ["sweep.volumes=true CLEANUP_VOLUMES"]);
        assert_eq!(volumes("false", "false"), ["sweep.volumes=false PRUNE_VOLUMES"]);
    }

    #[test]
    fn a_bad_value_names_the_variable_what_it_got_and_what_it_takes() {
        for (variable, value, takes) in [
            ("PRUNE_ALL", "yes", "true, false, 1 or 0"),
            ("PRUNE_FORCE", "on", "true, false, 1 or 0"),
            ("DRY_RUN", "2", "true, false, 1 or 0"),
            ("PRUNE_FILTER_UNTIL", "24", "a duration"),
            ("PRUNE_FILTER_LABEL", "a b", "k=v"),
            ("PRUNE_FILTER_LABEL", ",", "k=v"),
        ] {
            let error = read_of(&[(variable, value)]).expect_err(variable).to_string();
            assert!(error.starts_with(variable) && error.contains(takes), "{error}");
            assert!(error.contains(&format!("'{value}'")), "{error}");
        }
    }

    #[test]
    fn dkbs_own_variable_names_the_user_first_and_an_empty_one_names_none() {
        let user = |variables: &[(&str, &str)]| {
            read_of(variables).expect("good values").user.map(|user| format!("{} {}", user.variable, user.name))
        };
        assert_eq!(user(&[("CLEANUP_USER", "cleanup-user")]).as_deref(), Some("CLEANUP_USER cleanup-user"));
        assert_eq!(user(&[("DKB_USER", "1000"), ("CLEANUP_USER", "a")]).as_deref(), Some("DKB_USER 1000"));
        assert_eq!(user(&[("DKB_USER", ""), ("CLEANUP_USER", "a")]), None);
        assert_eq!(user(&[]), None);
        let socket = |path| read_of(&[("DOCKER_SOCKET", path)]).expect("good values").socket;
        assert_eq!((socket("/s"), socket("")), (Some(PathBuf::from("/s")), None));
    }

    #[test]
    fn what_other_programs_set_too_is_a_warning_at_most() {
        let said = read_of(&[("LOG_LEVEL", "verbose"), ("LOG_FORMAT", "xml"), ("QUIET", "maybe")]).expect("a warning");
        assert_eq!(said.warnings.len(), 3);
        assert_eq!((said.level, said.format, said.quiet), (LogLevel::Info, Some(LogFormat::Text), false));
        let said = read_of(&[("LOG_LEVEL", "debug"), ("LOG_FORMAT", "JSON"), ("QUIET", "1")]).expect("good values");
        assert_eq!((said.level, said.format, said.quiet), (LogLevel::Debug, Some(LogFormat::Json), true));
        assert!(!said.stands_in && said.warnings.is_empty());
    }

    #[test]
    fn who_stands_in_for_the_container_is_not_asked_where_nobody_can_answer() {
        for (variables, terminal, forced) in [
            (&[][..], false, false),
            (&[("PRUNE_ALL", "false")][..], false, true),
            (&[("PRUNE_ALL", "false")][..], true, false),
            (&[("PRUNE_ALL", "false"), ("PRUNE_FORCE", "false")][..], false, false),
            (&[("PRUNE_FORCE", "true")][..], true, true),
            (&[("LOG_LEVEL", "INFO")][..], false, false),
        ] {
            let said = read_of(variables).expect("good values");
            assert_eq!(said.is_forced(terminal), forced, "{variables:?} {terminal}");
        }
    }
}
