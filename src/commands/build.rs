//! `dkb build`: docker's build, with the stamp on it, a note of what it made, and nothing left behind.
//!
//! Docker is what the user waits for. Whatever goes wrong on dkb's side is one warning, and the build runs as
//! docker runs it.

mod books;
pub(super) mod child;
mod lent;
mod look;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::world::{World, env, runtime};
use super::{end, seen};
use crate::config::StampLevel;
use crate::engine::builder::{self, BuilderFacts, BuilderKind};
use crate::engine::cli_files::{CliConfig, config_dir, has_buildx};
use crate::engine::{Program, ProgramKind, program};
use crate::error::{Error, Kind, Result};
use crate::ledger::{Intent, Journal, Running, SessionHold, State, read_iid};
use crate::model::{Flavour, ImageId, Stamp};
use crate::plan::argv::{self, BuildWords, Builder, IdFile, Injection, Spelling, Tool, build_key};
use crate::ui;
pub use books::{recover, running};
use child::{Seen, Stdout};
use look::{Before, Wanted};

/// How long dkb may keep the user waiting after docker has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// dkb's own flags, which somebody may put behind the verb, where docker does not know them.
const OURS: [&str; 5] = ["project", "session", "settings", "keep-tagged", "format"];

/// Runs docker and says how it ended. `words` begin with the verb, `global` stood before it.
pub fn build(world: &World, global: &[OsString], words: &[OsString]) -> Result<u8> {
    let program = world.program()?;
    let tool = match program.kind {
        ProgramKind::Docker => Tool::Docker,
        ProgramKind::Podman => Tool::Podman,
    };
    let Some((spelling, rest)) = Spelling::read(words) else {
        return Err(Error::usage("reading the command line", "this is no way to spell docker build"));
    };
    let words = argv::read(tool, rest);
    let mut job = Job::new(world, program, spelling, words);
    let started = Instant::now();
    let command = job.command(global);
    let locks: Vec<_> =
        job.running.iter().map(|running| &running.lock).chain(job.hold.iter().map(|hold| &hold.file)).collect();
    let journal = || job.running.as_ref().and_then(Running::journal);
    let mut child = child::start(command, job.stdout, &locks, journal()).map_err(|error| {
        Error::new(Kind::NotFound, format!("starting {}", job.program.path.display()), error)
            .hint("Is it a program that this machine can run?")
    })?;
    let journal = journal();
    runtime()?.block_on(async {
        let (status, before) = beside(&mut child, job.look(world, started, journal)).await;
        let status = status.map_err(|error| Error::failed("waiting for docker", error))?;
        job.end(world, status.success(), child.seen(), before).await;
        Ok(exit_code(status))
    })
}

/// Looks at the engine while docker builds. Once docker has ended, the look has little time left.
async fn beside<T>(
    child: &mut child::Running,
    look: impl Future<Output = Result<T>>,
) -> (io::Result<ExitStatus>, Result<T>) {
    let mut look = std::pin::pin!(look);
    let mut ended = std::pin::pin!(child.ended());
    tokio::select! {
        seen = &mut look => (ended.await, seen),
        status = &mut ended => {
            let late = || Err(Error::new(Kind::Unreachable, "asking the engine", "it did not answer in time"));
            (status, tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| late()))
        }
    }
}

/// One build, from the words to the books.
struct Job {
    program: Program,
    spelling: Spelling,
    words: BuildWords,
    stamp: Stamp,
    classic: bool,
    stdout: Stdout,
    state: Result<State>,
    hold: Option<SessionHold>,
    running: Option<Running>,
    intent: Intent,
    /// The first thing that went wrong; one warning is enough.
    trouble: Option<Error>,
}

impl Job {
    fn new(world: &World, program: Program, spelling: Spelling, words: BuildWords) -> Self {
        let stamp = match world.settings.stamp {
            StampLevel::Full => world.key.clone().into(),
            StampLevel::Project => Stamp { project: Some(world.key.project.clone()), session: None },
            StampLevel::None => Stamp::default(),
        };
        let state = world.state();
        let kind = builder_of(world, &program, &spelling, state.as_ref().ok());
        let classic = kind != BuilderKind::BuildKit;
        let stdout = match (classic, words.quiet && kind == BuilderKind::Classic) {
            (true, true) if words.understood() => Stdout::Held,
            (true, _) => Stdout::Watched,
            (false, _) => Stdout::Untouched,
        };
        let here = std::env::current_dir().unwrap_or_default();
        let now = Timestamp::now();
        let intent = Intent {
            build: format!("{:x}-{:x}", now.as_nanosecond(), std::process::id()),
            of: world.key.clone(),
            started: now,
            tags: words.tags.iter().map(crate::model::Reference::canonical).collect(),
            key: build_key(&words, &here).to_string(),
            stamped: !stamp.is_none(),
            classic,
            tilt: env("EXPECTED_REF").is_some(),
            ci: world.identity.ci.is_some(),
            slot: world.slot(),
        };
        let mut job = Self {
            program,
            spelling,
            words,
            stamp,
            classic,
            stdout,
            state,
            hold: None,
            running: None,
            intent,
            trouble: None,
        };
        // A question, a help page, files: nothing comes of it that could be noted.
        if job.makes_an_image() {
            job.open_books();
        }
        job
    }

    /// Nothing to note, nothing to look for.
    async fn look(&self, world: &World, started: Instant, mut journal: Option<Journal>) -> Result<Option<Before>> {
        if self.running.is_none() {
            return Ok(None);
        }
        let endpoint = world.endpoint(Some(&self.program))?;
        let all = world.settings.stamp != StampLevel::Full && !self.classic;
        let lends = self.state.as_ref().ok().filter(|state| state.session(&self.intent.of).owner().is_some());
        let wanted = Wanted { tags: &self.words.tags, all, lends: lends.map(|state| (state, &self.intent.of)) };
        look::look(endpoint, &wanted, started, journal.as_mut()).await.map(Some)
    }

    fn makes_an_image(&self) -> bool {
        match argv::id_file(&self.words, self.lies()) {
            IdFile::Ours | IdFile::Users(_) => true,
            // Of words that were not understood nothing is inferred, but the classic builder's steps are seen.
            IdFile::No(why) => why.leaves_image() || self.classic,
        }
    }

    fn lies(&self) -> Builder {
        Builder::told_by(&self.spelling, &self.words)
    }

    fn open_books(&mut self) {
        let opened = self.state.clone().and_then(|state| {
            let hold = state.session(&self.intent.of).hold(None)?;
            Ok((hold, state.begin(&self.intent)?))
        });
        match opened {
            Ok((hold, running)) => (self.hold, self.running) = (Some(hold), Some(running)),
            Err(error) => self.trouble = Some(error),
        }
    }

    /// Where docker is to write the result's ID, if it can be told to without a risk for the build.
    fn own_id_file(&self) -> Option<PathBuf> {
        let trusted = !(self.program.wrapper || self.program.snap || self.program.windows);
        let running = self.running.as_ref().filter(|_| trusted)?;
        (argv::id_file(&self.words, self.lies()) == IdFile::Ours).then(|| running.iidfile())
    }

    fn command(&self, global: &[OsString]) -> Command {
        let id_file = self.own_id_file();
        let injection =
            Injection { stamp: &self.stamp, id_file: id_file.as_deref(), without_quiet: self.stdout == Stdout::Held };
        let mut command = Command::new(&self.program.path);
        command.args(global).args(argv::inject(&self.spelling, &self.words, &injection));
        command.env(program::INSIDE, program::inside_mark(&self.program.path));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DOCKER_CLI_PLUGIN_") {
                command.env_remove(name);
            }
        }
        command
    }

    async fn end(&mut self, world: &World, ok: bool, mut seen: Seen, before: Result<Option<Before>>) {
        if let Some(held) = seen.held.take() {
            child::release(held, ok.then(|| self.quiet_id(&seen, before.as_ref().ok())).flatten().as_deref());
        }
        let before = before.unwrap_or_else(|error| {
            self.trouble.get_or_insert(error);
            None
        });
        if let (Some(before), Ok(state)) = (&before, self.state.clone()) {
            match self.keep_books(world, ok, &seen, before, &state).await {
                Ok(0) => {}
                Ok(went) if world.verbose => ui::say(format_args!(
                    "removed {went} image{} that this build replaced",
                    if went == 1 { "" } else { "s" }
                )),
                Ok(_) => {}
                Err(error) => {
                    self.trouble.get_or_insert(error);
                }
            }
        }
        // A session that only builds needs no file once nobody is at work in it.
        if self.hold.take().is_some()
            && let Ok(state) = &self.state
        {
            state.session(&self.intent.of).clear();
        }
        // Without a look at the engine the folder stays: the next dkb finishes these books.
        if let Some(running) = self.running.take().filter(|_| before.is_some()) {
            running.finish();
        }
        if let Some(trouble) = &self.trouble {
            ui::warn(format_args!("this build was not noted: {trouble}"));
        }
        if !ok && let Some(flag) = self.words.misplaced(&OURS) {
            ui::say(format_args!("--{flag} is dkb's own flag, and stands before the verb: dkb --{flag} … build …"));
        }
    }

    async fn keep_books(&self, world: &World, ok: bool, seen: &Seen, before: &Before, state: &State) -> Result<usize> {
        let ledger = state.ledger(&before.identity);
        lent::release(before, &before.held).await?;
        recover(&before.engine, &before.identity, state, &ledger).await?;
        let (mut books, _) = ledger.read()?;
        let result = if ok { self.result(seen, before).await? } else { None };
        let facts = books::Facts {
            intent: &self.intent,
            stamp: &self.stamp,
            began: before.began,
            before: &before.tags,
            all: before.all.as_ref(),
            shown: &seen.shown,
            result,
            ok,
            ran: seen.shown.was_running() && !before.info.containerd_store,
        };
        let build = books::record(&before.engine, &books, &facts).await?;
        ledger.append(&books::records(&books, &self.intent, &build))?;
        books.apply(crate::model::Record::Build(build.clone()));
        let went = books::take_away(before, state, &ledger, &books, &build, world.settings.keep_superseded).await?;
        end::see_to_the_dead(world, &seen::lives(state, &books)).await?;
        Ok(went)
    }

    /// The image that docker built, by its own word where it gave one, else by the tags.
    async fn result(&self, seen: &Seen, before: &Before) -> Result<Option<ImageId>> {
        let engine = &before.engine;
        let said = match argv::id_file(&self.words, self.lies()) {
            IdFile::Ours => self.own_id_file().and_then(|file| read_iid(&file)).or(seen.id),
            IdFile::Users(file) if Path::new(file).is_file() => read_iid(Path::new(file)),
            IdFile::Users(_) => seen.id,
            IdFile::No(why) if !why.leaves_image() => return Ok(None),
            IdFile::No(_) => seen.id,
        };
        if let Some(id) = said {
            // A tag that named it before names it still, and no question is needed.
            if before.tags.iter().any(|(_, known)| *known == id) || engine.image(&id.to_string()).await?.is_some() {
                return Ok(Some(id));
            }
        }
        match self.words.tags.first() {
            Some(tag) => Ok(engine.image(tag.as_str()).await?.map(|image| image.id)),
            None => Ok(None),
        }
    }

    /// What the classic builder prints under `-q`.
    fn quiet_id(&self, seen: &Seen, before: Option<&Option<Before>>) -> Option<String> {
        let file = match argv::id_file(&self.words, self.lies()) {
            IdFile::Users(file) => {
                let path = PathBuf::from(file);
                end_with_newline(&path);
                Some(path)
            }
            _ => self.own_id_file(),
        };
        let id = file.and_then(|file| read_iid(&file)).or(seen.id)?;
        let podman = before.and_then(Option::as_ref).is_some_and(|before| before.info.flavour == Flavour::Podman);
        Some(if podman { id.digits() } else { id.to_string() })
    }
}

/// The file that the user asked for ends with a newline under `-q`, and docker was not told of the `-q`.
fn end_with_newline(path: &Path) {
    use std::io::Write;
    let ends = std::fs::read(path).is_ok_and(|text| text.is_empty() || text.ends_with(b"\n"));
    if !ends && let Ok(mut file) = std::fs::File::options().append(true).open(path) {
        let _ = file.write_all(b"\n");
    }
}

fn builder_of(world: &World, program: &Program, spelling: &Spelling, state: Option<&State>) -> BuilderKind {
    let dir = config_dir(world.docker.config.as_deref(), &env);
    let config = CliConfig::read(dir.as_deref());
    let facts = BuilderFacts {
        podman: program.kind == ProgramKind::Podman,
        buildx_verb: spelling.is_buildx(),
        docker_buildkit: env("DOCKER_BUILDKIT").map(|value| value.to_string_lossy().into_owned()),
        builder_alias: config.has_builder_alias(),
        buildx_plugin: has_buildx(dir.as_deref(), &config),
        cli_major: None,
        engine_builder: None,
    };
    // Only where nothing else tells is the program asked, and what it said is remembered.
    let told = facts.podman || facts.buildx_verb || facts.builder_alias;
    if told || facts.docker_buildkit.as_deref().is_some_and(|value| !value.is_empty()) {
        return builder::builder_kind(&facts);
    }
    let cli_major = cli_version(program, state);
    builder::builder_kind(&BuilderFacts { cli_major, ..facts })
}

/// The year of the docker program, remembered as long as the program is the same file.
fn cli_version(program: &Program, state: Option<&State>) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(&program.path).ok()?;
    let mark = format!("{} {} {} {}", program.path.display(), file.ino(), file.size(), file.mtime());
    let cache = state.map(|state| state.root().join("docker-version"));
    let known = cache.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    if let Some((known, major)) = known.as_deref().and_then(|text| text.trim_end().rsplit_once(' '))
        && known == mark
    {
        return major.parse().ok();
    }
    let major = builder::cli_major(&program.path)?;
    if let Some(path) = cache {
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = std::fs::write(path, format!("{mark} {major}\n"));
    }
    Some(major)
}

/// As a shell says it: the code, or 128 and the number of the signal.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
