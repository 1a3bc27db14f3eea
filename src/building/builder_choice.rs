//! Which builder docker is going to use, and where its result will lie, known before docker says a word.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use crate::app::{App, env};
use crate::engine::builder::{self, BuilderFacts, BuilderKind};
use crate::engine::cli_files::{BuildxFiles, CliConfig, config_dir, has_buildx};
use crate::engine::endpoint::variable;
use crate::engine::{Docker, Engine, Limits, Program, ProgramKind, endpoint};
use crate::ledger::State;
use crate::plan::argv::{Builder, Spelling, Tool};

/// A docker program of before 2023 goes by what the engine prefers; it asks for that itself, and gets it as fast.
const QUICK: Limits =
    Limits { connect: Duration::from_millis(500), ask: Duration::from_millis(500), change: Duration::from_secs(1) };

/// `named`: by a flag behind the verb.
pub(super) fn result_in(
    app: &App,
    program: &Program,
    spelling: &Spelling,
    tool: Tool,
    named: Option<&OsStr>,
) -> Builder {
    let dir = config_dir(app.docker.config.as_deref(), &env);
    let flag = named.or(spelling.builder()).map(|name| name.to_string_lossy().into_owned());
    let config = CliConfig::read(dir.as_deref());
    let named = flag.or_else(|| variable(&env, "BUILDX_BUILDER"));
    let follows_current = program.seat || spelling.is_buildx() || config.has_builder_alias();
    if tool == Tool::Podman || named.is_none() && !follows_current {
        return Builder::Engine;
    }
    let (files, context) = known_to_buildx(app, dir.as_deref());
    if builder::is_the_engines_own(named.as_deref(), context.as_deref(), &files) {
        Builder::Engine
    } else {
        Builder::Apart
    }
}

/// The builders that buildx knows, and the context that it goes by.
fn known_to_buildx(app: &App, dir: Option<&Path>) -> (BuildxFiles, Option<String>) {
    let files = BuildxFiles::read(env("BUILDX_CONFIG").map(Into::into), dir);
    (files, endpoint::context_name(&app.docker, &env))
}

/// The builder to which `docker buildx build` goes here, if that is not the engine's own.
pub(crate) fn apart(app: &App) -> Option<String> {
    let dir = config_dir(app.docker.config.as_deref(), &env);
    let named = variable(&env, "BUILDX_BUILDER");
    let (files, context) = known_to_buildx(app, dir.as_deref());
    builder::apart(named.as_deref(), context.as_deref(), &files).map(str::to_owned)
}

/// `is_asked`: much hangs on it, so docker itself is asked before it is taken to have no buildx.
pub(crate) fn builder_of(
    app: &App,
    program: &Program,
    spelling: &Spelling,
    state: Option<&State>,
    is_asked: bool,
) -> BuilderKind {
    let dir = config_dir(app.docker.config.as_deref(), &env);
    let config = CliConfig::read(dir.as_deref());
    let facts = BuilderFacts {
        podman: program.kind == ProgramKind::Podman,
        buildx_verb: program.seat || spelling.is_buildx(),
        docker_buildkit: variable(&env, "DOCKER_BUILDKIT"),
        builder_alias: config.has_builder_alias(),
        buildx_plugin: has_buildx(dir.as_deref(), &config),
        cli_major: None,
        engine_builder: None,
    };
    // Only where nothing else tells is the program asked, and what it said is remembered.
    let told = facts.podman || facts.buildx_verb || facts.builder_alias;
    if told || facts.docker_buildkit.is_some() {
        return builder::builder_kind(&facts);
    }
    let cli_major = cli_version(program, state);
    let engine_builder =
        cli_major.filter(|major| *major < builder::BUILDX_BY_DEFAULT).and_then(|_| preference(app, program));
    let is_new = cli_major.is_none_or(|major| major >= builder::BUILDX_BY_DEFAULT);
    let buildx_plugin =
        facts.buildx_plugin || is_asked && is_new && builder::finds_buildx(&program.path, app.docker.config.as_deref());
    builder::builder_kind(&BuilderFacts { buildx_plugin, cli_major, engine_builder, ..facts })
}

/// The year of the docker program, remembered as long as the program is the same file.
fn cli_version(program: &Program, state: Option<&State>) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(&program.path).ok()?;
    let mark = format!("{} {} {} {}", program.path.display(), file.ino(), file.size(), file.mtime());
    let known = state.and_then(|state| state.note("docker-version"));
    if let Some((known, major)) = known.as_deref().and_then(|text| text.trim_end().rsplit_once(' '))
        && known == mark
    {
        return major.parse().ok();
    }
    let major = builder::cli_major(&program.path)?;
    if let Some(state) = state {
        let _ = state.write_note("docker-version", &format!("{mark} {major}\n"));
    }
    Some(major)
}

fn preference(app: &App, program: &Program) -> Option<String> {
    let endpoint = app.endpoint(Some(program)).ok()?;
    let engine = app.runtime().ok()?.block_on(Docker::connect(endpoint, QUICK)).ok()?;
    engine.hello().builder_version.clone()
}
