//! Which builder a `docker build` is going to use, known before it says its first word.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::cli_files::BuildxFiles;
use super::first_line::first_line;
use super::program;
use crate::plan::argv::parse_bool;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuilderKind {
    Classic,
    BuildKit,
    /// Podman's own, which writes its steps differently.
    Podman,
}

/// All that the decision hangs on.
#[allow(clippy::struct_excessive_bools, reason = "four facts that hang on nothing but themselves")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BuilderFacts {
    pub podman: bool,
    /// The verb is `buildx build`.
    pub buildx_verb: bool,
    /// `DOCKER_BUILDKIT`, as set.
    pub docker_buildkit: Option<String>,
    /// `aliases.builder` in docker's settings, which `docker buildx install` writes.
    pub builder_alias: bool,
    pub buildx_plugin: bool,
    /// The year of the CLI's version; `None` counts as new.
    pub cli_major: Option<u32>,
    /// The engine's `Builder-Version` header.
    pub engine_builder: Option<String>,
}

/// The first release whose `docker build` is buildx where that is installed.
pub(crate) const BUILDX_BY_DEFAULT: u32 = 23;

pub(crate) fn builder_kind(facts: &BuilderFacts) -> BuilderKind {
    let by = |buildkit| if buildkit { BuilderKind::BuildKit } else { BuilderKind::Classic };
    if facts.podman {
        return BuilderKind::Podman;
    }
    if facts.buildx_verb {
        return BuilderKind::BuildKit;
    }
    if let Some(value) = facts.docker_buildkit.as_deref().filter(|value| !value.is_empty()) {
        // What is no boolean makes docker fail at once; then it does not matter.
        return by(parse_bool(value.as_bytes()).unwrap_or(true));
    }
    if facts.builder_alias {
        return BuilderKind::BuildKit;
    }
    if facts.cli_major.is_some_and(|major| major < BUILDX_BY_DEFAULT) {
        return by(facts.engine_builder.as_deref() == Some("2"));
    }
    by(facts.buildx_plugin)
}

/// Whether the builder that buildx chooses belongs to the engine of this context, so that what it builds lies
/// there. `named` is `--builder` or `BUILDX_BUILDER`.
///
/// 1. An instance that somebody made keeps its results to itself, whatever its name.
/// 2. Every context is a builder too, and `default` is that of the context in use; another one's is elsewhere.
/// 3. Where nothing is named, what `docker buildx use` noted counts. For which engine it was noted is not looked
///    at: if it is an instance, the result may be anywhere.
pub(crate) fn is_the_engines_own(named: Option<&str>, context: Option<&str>, files: &BuildxFiles) -> bool {
    context.is_some() && apart(named, context, files).is_none()
}

/// The builder that buildx chooses, where that is not the engine's own.
pub(crate) fn apart<'a>(named: Option<&'a str>, context: Option<&str>, files: &'a BuildxFiles) -> Option<&'a str> {
    let own = |name: &str| !files.instances.contains(name) && (name == "default" || Some(name) == context);
    match named {
        Some(name) => Some(name).filter(|name| !own(name)),
        None => files.used.iter().find(|name| files.instances.contains(*name)).map(String::as_str),
    }
}

/// Asks the program for its version, which costs a start of it; only a `docker build` without
/// `DOCKER_BUILDKIT` hangs on the answer.
pub(crate) fn cli_major(docker: &Path) -> Option<u32> {
    let mut command = Command::new(docker);
    program::as_child(&mut command, docker);
    major_of(&first_line(command.arg("--version")).ok()?)
}

/// Asks the program whether it has buildx, of which it may know elsewhere than dkb does. One that does not answer has.
pub(crate) fn finds_buildx(docker: &Path, config: Option<&Path>) -> bool {
    let mut command = Command::new(docker);
    program::as_child(&mut command, docker);
    command.args(config.map(|config| [OsStr::new("--config"), config.as_os_str()]).into_iter().flatten());
    first_line(command.args(["buildx", "version"])).map_or(true, |said| said.contains("buildx"))
}

fn major_of(version_line: &str) -> Option<u32> {
    version_line.strip_prefix("Docker version ")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_is_known_beforehand() {
        use BuilderKind::{BuildKit, Classic, Podman};
        let modern = BuilderFacts { buildx_plugin: true, cli_major: Some(28), ..BuilderFacts::default() };
        let bare = BuilderFacts { buildx_plugin: false, ..modern.clone() };
        let old = BuilderFacts { cli_major: Some(20), ..modern.clone() };
        let env = |facts: &BuilderFacts, value: &str| BuilderFacts {
            docker_buildkit: Some(value.to_owned()),
            ..facts.clone()
        };
        let two = Some("2".to_owned());
        for (facts, want) in [
            (modern.clone(), BuildKit),
            (BuilderFacts { cli_major: None, ..modern.clone() }, BuildKit),
            (bare.clone(), Classic),
            (BuilderFacts { engine_builder: two.clone(), ..bare.clone() }, Classic),
            (BuilderFacts { buildx_verb: true, ..env(&bare, "0") }, BuildKit),
            (BuilderFacts { podman: true, ..modern.clone() }, Podman),
            (BuilderFacts { builder_alias: true, ..old.clone() }, BuildKit),
            (old.clone(), Classic),
            (BuilderFacts { engine_builder: two, ..old.clone() }, BuildKit),
            (env(&old, "1"), BuildKit),
            (env(&modern, "0"), Classic),
            (env(&modern, "FALSE"), Classic),
            (env(&bare, "true"), BuildKit),
            (env(&bare, ""), Classic),
            (env(&bare, "yes"), BuildKit),
        ] {
            assert_eq!(builder_kind(&facts), want, "{facts:?}");
        }
    }

    #[test]
    fn a_version_line_gives_its_year() {
        assert_eq!(major_of("Docker version 20.10.24+dfsg1, build 297e128"), Some(20));
        assert_eq!(major_of("podman version 5.4.2"), None);
    }

    #[test]
    fn a_result_lies_in_the_engine_only_if_the_builder_is_the_engines_own() {
        let files = |instances: &[&str], used: &[&str]| BuildxFiles {
            instances: instances.iter().map(|&name| name.to_owned()).collect(),
            used: used.iter().map(|&name| name.to_owned()).collect(),
        };
        // named, context, instances, used → the engine's own
        for (named, context, instances, used, want) in [
            (None, "default", &[][..], &[][..], true),
            (None, "default", &["farm"], &[], true),
            (None, "default", &["farm"], &["farm"], false),
            (None, "default", &[], &["farm"], true),
            (None, "far", &[], &[], true),
            (Some("default"), "default", &[], &[], true),
            (Some("default"), "far", &[], &[], true),
            (Some("far"), "far", &["farm"], &["farm"], true),
            (Some("far"), "default", &[], &[], false),
            (Some("farm"), "default", &["farm"], &[], false),
            (Some("default"), "default", &["default"], &[], false),
            (Some("nobody"), "default", &[], &[], false),
        ] {
            let got = is_the_engines_own(named, Some(context), &files(instances, used));
            assert_eq!(got, want, "{named:?} {context} {instances:?} {used:?}");
        }
        let used = files(&["farm"], &["farm"]);
        assert_eq!(apart(None, Some("default"), &used), Some("farm"));
        assert_eq!(apart(Some("else"), Some("default"), &used), Some("else"));
        assert_eq!(apart(Some("default"), Some("default"), &used), None);
        assert!(!is_the_engines_own(None, None, &files(&[], &[])), "the context could not be read");
    }
}
