//! One build or bake, from its words to docker's start.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::before::{self, Before, Questions};
use super::builder_choice;
use super::target::Target;
use crate::app::App;
use crate::engine::builder::BuilderKind;
use crate::engine::{Endpoint, Program, ProgramKind};
use crate::error::{Error, Result};
use crate::ledger::{Intent, Journal, Running, SessionHold, State};
use crate::model::{BuildId, MountNamespace, Stamp};
use crate::plan::argv::{self, BakeTarget, BakeWords, BuildWords, Builder, IdFile, Injection, Spelling, Tool};
use crate::processes::child::Stdout;

/// What docker is told to do.
enum Call {
    Build(BuildWords),
    Bake(BakeWords),
}

/// One build or one bake, from the words to the books.
pub(crate) struct Job {
    pub(crate) program: Program,
    endpoint: Result<Endpoint>,
    spelling: Spelling,
    call: Call,
    pub(super) builder: Builder,
    pub(super) stamp: Stamp,
    /// What its cache mounts are called by, where they are its own.
    mounts: Option<MountNamespace>,
    pub(super) classic: bool,
    pub(crate) stdout: Stdout,
    pub(super) state: Result<State>,
    pub(super) hold: Option<SessionHold>,
    /// What comes of it, each a build of its own in the books: one, but for a bake.
    pub(super) targets: Vec<Target>,
    /// The user's own file that docker writes IDs to, where one was there before.
    old_id_file: Option<FileVersion>,
    /// Why nobody knows what docker is about to build, which matters if it builds anything.
    pub(super) unasked: Option<Error>,
    /// The first thing that went wrong; one warning is enough.
    pub(super) trouble: Option<Error>,
}

impl Job {
    pub(crate) fn new(app: &App, program: Program, spelling: Spelling, words: BuildWords) -> Self {
        // A builder that turns out to be another one must not have lost its `-q`.
        let state = app.state();
        let kind = builder_choice::builder_of(app, &program, &spelling, state.as_ref().ok(), words.quiet);
        let builder = builder_choice::result_in(app, &program, &spelling, words.tool, words.builder.as_deref());
        let (quiet, call) = (words.quiet, Call::Build(words.clone()));
        let mut job = Self::begin(app, program, spelling, call, builder, kind != BuilderKind::BuildKit);
        let intent = job.intent(app);
        job.targets.push(Target::of_build(words, &intent));
        job.open_books();
        job.stdout = job.way_of_stdout(kind, quiet);
        job
    }

    /// A bake, of which docker has told the targets. Where it has not, it is docker's alone.
    pub(crate) fn of_bake(
        app: &App,
        program: Program,
        spelling: Spelling,
        words: BakeWords,
        targets: Result<Vec<BakeTarget>>,
    ) -> Self {
        let builder = builder_choice::result_in(app, &program, &spelling, Tool::Docker, words.builder.as_deref());
        let mut job = Self::begin(app, program, spelling, Call::Bake(words), builder, false);
        match targets {
            Ok(targets) => job.targets = Target::of_bake(targets, &job.intent(app)),
            Err(error) => job.unasked = Some(error),
        }
        job.open_books();
        job
    }

    fn begin(app: &App, program: Program, spelling: Spelling, call: Call, builder: Builder, classic: bool) -> Self {
        // buildx leads to no engine; the docker that called it does, whatever dkb would call.
        let is_docker = |program: &Program| program.kind == ProgramKind::Docker;
        let docker = if program.seat { app.program().ok().filter(is_docker) } else { Some(program.clone()) };
        let endpoint = app.endpoint(docker.as_ref());
        let mut job = Self {
            program,
            endpoint,
            spelling,
            call,
            builder,
            stamp: app.stamp(),
            // No other builder has such mounts; the classic one would ask what the argument is for.
            mounts: (!classic && app.settings.own_cache_mounts).then(|| app.mounts()),
            classic,
            stdout: Stdout::Untouched,
            state: app.state(),
            hold: None,
            targets: Vec::new(),
            old_id_file: None,
            unasked: None,
            trouble: None,
        };
        job.old_id_file = job.users_file().and_then(FileVersion::of);
        job
    }

    /// What holds for every target.
    fn intent(&self, app: &App) -> Intent {
        let now = Timestamp::now();
        Intent {
            stamp: self.stamp.clone(),
            classic: self.classic,
            ci: app.identity.ci.is_some(),
            slot: app.slot(),
            copy: Some(app.identity.copy.clone()),
            socket: self.endpoint.as_ref().ok().and_then(Endpoint::socket_mark),
            ..Intent::new(BuildId::of(now, std::process::id()), app.key.clone(), now)
        }
    }

    fn way_of_stdout(&self, kind: BuilderKind, quiet: bool) -> Stdout {
        // The ID that the user asked for with -q is only ours to show if docker surely tells it elsewhere.
        let told = self.own_file().is_some() || self.users_file().is_some_and(|file| !is_special(file));
        match (kind, self.is_noted() && quiet) {
            (BuilderKind::Classic, true) if told => Stdout::Held,
            (BuilderKind::Classic, true) => Stdout::Quiet,
            (BuilderKind::Classic | BuilderKind::Podman, _) => Stdout::Watched,
            (BuilderKind::BuildKit, true) if !told => Stdout::Watched,
            (BuilderKind::BuildKit, _) => Stdout::Untouched,
        }
    }

    /// The targets of which anything is noted.
    pub(super) fn noted(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.running.is_some())
    }

    fn is_noted(&self) -> bool {
        self.noted().next().is_some()
    }

    /// `None` where there is nothing to note, so nothing to look for.
    pub(super) async fn look(&self, started: Instant, journals: Vec<Journal>) -> Result<Option<Before>> {
        let Some(of) = self.noted().next().map(|target| &target.intent.of) else { return Ok(None) };
        let endpoint = self.endpoint.clone()?;
        let lends = self.state.as_ref().ok().filter(|state| state.session(of).owner(None).is_some());
        let lends = lends.map(|state| (state, of));
        let tags = self.noted().map(|target| target.words.tags.as_slice()).collect();
        let wanted = Questions { tags, may_be_old: (!self.classic).then_some(&self.stamp), lends };
        before::look(endpoint, &wanted, started, journals).await.map(Some)
    }

    /// Where each target's books are kept while it is built. For those of which nothing comes that could be noted, as of
    /// a question, a help page or files, there is none.
    fn open_books(&mut self) {
        let builder = self.builder;
        let mut wanted: Vec<&mut Target> =
            self.targets.iter_mut().filter(|target| target.makes_an_image(builder)).collect();
        let Some(of) = wanted.first().map(|target| target.intent.of.clone()) else { return };
        let opened = self.state.clone().and_then(|state| {
            let hold = state.session(&of).hold()?;
            for target in &mut wanted {
                target.running = Some(state.begin(&target.intent)?);
            }
            Ok(hold)
        });
        match opened {
            Ok(hold) => self.hold = Some(hold),
            Err(error) => {
                // All of it or nothing.
                wanted.into_iter().filter_map(|target| target.running.take()).for_each(Running::finish);
                self.trouble = Some(error);
            }
        }
    }

    /// What docker holds while it runs, also where it outlives dkb.
    pub(super) fn locks(&self) -> Vec<&File> {
        let running = self.targets.iter().filter_map(|target| target.running.as_ref());
        running.map(|running| &running.lock).chain(self.hold.iter().map(|hold| &hold.file)).collect()
    }

    pub(super) fn journals(&self) -> Vec<Journal> {
        self.targets.iter().filter_map(|target| target.running.as_ref()?.journal()).collect()
    }

    /// Where docker is to write what it made, if it can be told to without a risk for the build.
    pub(super) fn own_file(&self) -> Option<PathBuf> {
        let trusted = !(self.program.wrapper || self.program.snap || self.program.windows);
        let target = self.noted().next().filter(|_| trusted)?;
        let is_ours = match &self.call {
            Call::Build(_) => target.id_file(self.builder) == IdFile::Ours,
            Call::Bake(words) => words.metadata_file.is_none(),
        };
        target.running.as_ref().filter(|_| is_ours).map(Running::iidfile)
    }

    /// Sees to it that docker can write that file whenever it is done.
    pub(super) async fn keep_file(&self) -> Infallible {
        const NOW_AND_THEN: Duration = Duration::from_millis(100);
        while let Some(running) = self.noted().find_map(|target| target.running.as_ref()) {
            running.keep_iidfile();
            tokio::time::sleep(NOW_AND_THEN).await;
        }
        std::future::pending().await
    }

    fn users_file(&self) -> Option<&Path> {
        match &self.call {
            Call::Build(words) => match argv::id_file(words, self.builder) {
                IdFile::Users(file) => Some(Path::new(file)),
                _ => None,
            },
            Call::Bake(words) => words.metadata_file.as_deref().map(Path::new),
        }
    }

    /// The file that the user asked for, if it is not as it was before the build: a script around docker may leave
    /// an old one there.
    pub(super) fn written_by_docker(&self) -> Option<&Path> {
        self.users_file()
            .filter(|path| FileVersion::of(path).is_some_and(|now| self.old_id_file.as_ref() != Some(&now)))
    }

    /// One of these flags stands behind the verb, where docker does not know it.
    pub(super) fn misplaced<'o>(&self, ours: &[&'o str]) -> Option<&'o str> {
        match &self.call {
            Call::Build(words) => words.misplaced(ours),
            Call::Bake(_) => None,
        }
    }

    pub(super) const fn is_bake(&self) -> bool {
        matches!(self.call, Call::Bake(_))
    }

    pub(super) fn command(&self, global: &[OsString]) -> Command {
        let file = self.own_file();
        let mut command = self.program.command();
        command.args(global);
        let without_quiet = self.stdout == Stdout::Held;
        let mounts = self.mounts.as_ref();
        let injection = Injection { stamp: &self.stamp, mounts, id_file: file.as_deref(), without_quiet };
        match &self.call {
            Call::Build(words) => {
                command.args(argv::inject(&self.spelling, words, &injection));
            }
            // Whether a label can be given to what nobody could name is not known either.
            Call::Bake(words) if self.unasked.is_some() => {
                command.args(words.untouched(&self.spelling));
            }
            Call::Bake(words) => {
                command.args(words.inject(&self.spelling, &injection));
                if file.is_some() {
                    // What nobody reads need not be worked out, nor room be found for it.
                    command.env("BUILDX_METADATA_PROVENANCE", "disabled");
                }
            }
        }
        self.program.tell(&mut command);
        command
    }
}

/// What changes with every write to a plain file.
#[derive(PartialEq, Eq)]
struct FileVersion {
    file: (u64, u64),
    changed: (i64, i64),
}

impl FileVersion {
    fn of(path: &Path) -> Option<Self> {
        let file = path.metadata().ok().filter(Metadata::is_file)?;
        Some(Self { file: (file.dev(), file.ino()), changed: (file.ctime(), file.ctime_nsec()) })
    }
}

/// Something else than a file, which can be written once and never read.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| !file.is_file())
}
