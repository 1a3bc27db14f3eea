//! What every verb starts from: settings, who we are, and the way to the engine and the ledger.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::cli::{BuildFlags, Cli, DockersVerb, Verb};
use crate::config::cleaner::{self, CleanerVariables};
use crate::config::value::Source;
use crate::config::{self, Places, Settings, StampLevel, Typed, here};
use crate::engine::origin::origin;
use crate::engine::{self, Docker, Endpoint, Limits, Program};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::State;
use crate::model::{Doer, GuardMark, MountNamespace, Name, Scope, SessionKey, Stamp};
use crate::plan::clean::{CacheWish, CleanPolicy, Here};
use crate::plan::identity::{Identity, NamedBy, Origin, is_vouched};
use crate::report::progress::is_watched;
use crate::report::words::Loudness;
use crate::runtime::LateRuntime;

pub(crate) struct App {
    pub(crate) settings: Settings,
    /// As they were typed.
    pub(crate) docker: engine::DockerFlags,
    /// The same, once it is settled which engine they mean.
    settled: OnceCell<engine::DockerFlags>,
    pub(crate) key: SessionKey,
    pub(crate) identity: Identity,
    /// The user's own settings file, where a flag named one.
    pub(crate) settings_file: Option<PathBuf>,
    /// What the docker-cleaner's variables ask of a sweep beyond settings.
    pub(crate) cleaner: CleanerVariables,
    /// The verb that runs.
    pub(crate) verb: &'static str,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// The buildx in whose place dkb was called.
    pub(crate) seat: Option<Program>,
    runtime: LateRuntime,
}

/// The environment of this process.
pub(crate) fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The mark of the guard that this process runs in, as far as one can be read.
pub(crate) fn guard_mark() -> Option<GuardMark> {
    GuardMark::parse(env(GuardMark::VARIABLE)?.to_str()?)
}

/// Whether the guard that this process runs in, if it runs in one, could vouch for the project that it handed on.
fn vouched_by_guard() -> Option<bool> {
    let is_inside = env(GuardMark::VARIABLE).is_some_and(|mark| !mark.is_empty());
    is_inside.then(|| guard_mark().is_some_and(|mark| mark.vouched))
}

impl App {
    pub(crate) fn new(cli: &Cli, typed: &[Typed]) -> Result<Self> {
        let places = Places::new(std::env::current_dir().unwrap_or_default(), &env);
        let mut cleaner = match &cli.verb {
            Verb::Sweep(_) => cleaner::read(&env)?,
            _ => CleanerVariables::default(),
        };
        let borrowed = std::mem::take(&mut cleaner.entries);
        let settings = config::load(&places, &env, cli.common.settings.as_deref(), typed, borrowed)?;
        Ok(Self { cleaner, ..Self::by(settings, &places, cli) })
    }

    /// Where settings can't be read: for what deletes nothing. Fails where what was typed is wrong.
    pub(crate) fn by_what_can_be_read(cli: &Cli, typed: &[Typed]) -> Result<Self> {
        let places = Places::new(std::env::current_dir().unwrap_or_default(), &env);
        let settings = config::load_what_can_be_read(&places, &env, typed)?;
        Ok(Self::by(settings, &places, cli))
    }

    fn by(settings: Settings, places: &Places, cli: &Cli) -> Self {
        let identity = here::identity(&settings, places, &env);
        Self {
            key: SessionKey { project: identity.project.clone(), session: identity.session.clone() },
            docker: cli.docker_flags(),
            settled: OnceCell::new(),
            settings_file: cli.common.settings.clone(),
            verb: cli.verb.name(),
            quiet: cli.common.quiet,
            verbose: cli.common.verbose,
            settings,
            identity,
            cleaner: CleanerVariables::default(),
            seat: None,
            runtime: LateRuntime::default(),
        }
    }

    pub(crate) fn runtime(&self) -> Result<&Runtime> {
        self.runtime.get()
    }

    /// The user's own settings file, for what is to read it again, wherever that runs.
    pub(crate) fn settings_to_hand_on(&self) -> Result<Option<PathBuf>> {
        let named = self.settings_file.clone().or_else(|| env("DKB_SETTINGS").map(PathBuf::from));
        let Some(named) = named.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
        let file = std::path::absolute(&named).unwrap_or(named);
        // What stands below these is each process's own, and what came through a pipe is drained.
        let is_ours_alone = ["/dev/fd", "/dev/stdin", "/proc"].iter().any(|place| file.starts_with(place));
        if file.is_file() && !is_ours_alone || file == Path::new("/dev/null") {
            return Ok(Some(file));
        }
        let tried = format!("handing on the settings in {}", file.display());
        Err(Error::usage(tried, "they can be read only once").hint("put them into a file"))
    }

    /// From now on it is one engine, whatever context docker's settings come to name: what began there must end there.
    /// Fails where the flags and the environment name no engine at all: whoever begins then could not end.
    pub(crate) fn settle_on_an_engine(&self) -> Result<()> {
        let program = self.program().ok();
        self.settled.get_or_init(|| self.docker.settled(&env, program.as_ref()));
        match self.endpoint(program.as_ref()) {
            Err(error) if error.kind == ErrorKind::Usage => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn here(&self) -> Here {
        Here {
            key: self.key.clone(),
            by_ci: self.identity.session_is_the_jobs(),
            alone: !matches!(self.identity.session_from, Origin::Given(_)),
            slot: self.slot(),
            copy: self.identity.copy.clone(),
            shared: self.is_shared(),
            vouched: is_vouched(&self.identity.project_from, self.project_named_by()),
        }
    }

    fn project_named_by(&self) -> NamedBy {
        match self.settings.source("project") {
            Some(Source::File { checkout: true, .. }) => NamedBy::Checkout,
            Some(Source::Variable(_)) => NamedBy::Variable { vouched: vouched_by_guard() },
            _ => NamedBy::User,
        }
    }

    /// Whether somebody else keeps our session open. What cannot be found out is somebody else's.
    fn is_shared(&self) -> bool {
        let inside = guard_mark().is_some_and(|mark| mark.session == self.key.session);
        self.state().is_ok_and(|state| state.session(&self.key).is_shared(inside).unwrap_or(true))
    }

    pub(crate) fn slot(&self) -> Option<Name> {
        self.identity.ci.as_ref().and_then(|job| job.slot.clone())
    }

    /// What the settings put on every image.
    pub(crate) fn stamp(&self) -> Stamp {
        match self.settings.stamp {
            StampLevel::Full => self.key.clone().into(),
            StampLevel::Project => Stamp { project: Some(self.key.project.clone()), session: None },
            StampLevel::None => Stamp::default(),
        }
    }

    /// Whether somebody watches what this does, at a terminal.
    pub(crate) fn is_watched(&self) -> bool {
        is_watched(!self.quiet && !self.settings.format.is_document())
    }

    pub(crate) fn loudness(&self) -> Loudness {
        match (self.quiet, self.verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        }
    }

    /// Whether whoever reads what a plan keeps is told each thing.
    pub(crate) fn tells_all(&self) -> bool {
        self.verbose || self.settings.format.is_document()
    }

    /// In whose name this run takes things of a session away.
    pub(crate) const fn doer<'a>(&self, of: &'a SessionKey) -> Doer<'a> {
        Doer { verb: self.verb, of }
    }

    /// What the settings say for this scope. The end of a session takes its own containers along, and stops them where
    /// the session died.
    pub(crate) fn clean_policy(&self, scope: Scope, tags: bool) -> CleanPolicy {
        let settings = &self.settings;
        CleanPolicy {
            compose: None,
            tags,
            containers: scope.is_of_sessions(),
            stops: matches!(scope, Scope::Stale { .. }),
            volumes: false,
            keep: settings.keep.clone(),
            keep_last: settings.keep_last,
            older_than: settings.older_than,
            stale_after: settings.stale_after,
            trust_stamp: settings.trust_stamp && scope != Scope::All,
            cache: CacheWish::Leave,
            cache_keep: None,
            mounts: None,
            scope,
        }
    }

    /// What the cache mounts of this project's builds in this working copy are called by, where they are its own.
    pub(crate) fn mounts(&self) -> MountNamespace {
        MountNamespace::of(&self.key.project, &self.identity.copy)
    }

    pub(crate) fn program(&self) -> Result<Program> {
        Program::find(Some(self.settings.docker.as_os_str()), &env)
    }

    /// What builds: docker, or the buildx that docker meant to call.
    pub(crate) fn builder(&self) -> Result<Program> {
        self.seat.clone().map_or_else(|| self.program(), Ok)
    }

    pub(crate) fn state(&self) -> Result<State> {
        self.settings.state_dir.as_ref().map(State::at).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "looking for the state folder", "there is no home folder to keep it in")
                .hint("point DKB_STATE_DIR at a folder that can be written")
        })
    }

    /// docker's global flags, by which another program finds this engine too.
    pub(crate) fn flags(&self) -> &engine::DockerFlags {
        self.settled.get().unwrap_or(&self.docker)
    }

    pub(crate) fn endpoint(&self, program: Option<&Program>) -> Result<Endpoint> {
        Endpoint::resolve(self.flags(), &env, program)
    }

    /// Connects to the engine that docker would work on. A docker program is not needed for that.
    pub(crate) async fn engine(&self, limits: Limits) -> Result<Docker> {
        let program = self.program().ok();
        let reached = Docker::connect(self.endpoint(program.as_ref())?, limits).await;
        reached.map_err(|error| error.by(self.origin(program.as_ref())))
    }

    /// Where the engine's address came from.
    pub(crate) fn origin(&self, program: Option<&Program>) -> String {
        origin(&self.docker, &env, program.map(|program| program.kind))
    }
}

/// A call of a verb that is docker's own, by whatever name dkb was called.
pub(crate) struct DockersCall {
    pub(crate) app: App,
    pub(crate) verb: DockersVerb,
    pub(crate) flags: BuildFlags,
}

/// The patience of a build: docker is what the user waits for, not dkb. It connects while docker does.
pub(crate) const BUILD_LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), ask: Duration::from_secs(2), change: Duration::from_secs(60) };
