//! One build, from its words to docker's start.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::before::{self, Before, Questions};
use super::builder_choice;
use crate::app::{App, env};
use crate::config::StampLevel;
use crate::engine::builder::BuilderKind;
use crate::engine::{Endpoint, Program, program};
use crate::error::{Error, Result};
use crate::ledger::{Intent, Journal, Running, SessionHold, State};
use crate::model::{BuildId, Reference, Stamp};
use crate::plan::argv::{self, BuildWords, Builder, IdFile, Injection, Spelling, build_key};
use crate::processes::child::Stdout;

/// One build, from the words to the books.
pub(crate) struct Job {
    pub(crate) program: Program,
    endpoint: Result<Endpoint>,
    spelling: Spelling,
    pub(crate) words: BuildWords,
    pub(super) builder: Builder,
    pub(crate) stamp: Stamp,
    pub(crate) classic: bool,
    pub(crate) stdout: Stdout,
    pub(crate) state: Result<State>,
    pub(crate) hold: Option<SessionHold>,
    pub(crate) running: Option<Running>,
    pub(crate) intent: Intent,
    /// The user's own ID file, where one was there before.
    old_id_file: Option<Mark>,
    /// The first thing that went wrong; one warning is enough.
    pub(crate) trouble: Option<Error>,
}

impl Job {
    pub(crate) fn new(app: &App, program: Program, spelling: Spelling, words: BuildWords) -> Self {
        let stamp = match app.settings.stamp {
            StampLevel::Full => app.key.clone().into(),
            StampLevel::Project => Stamp { project: Some(app.key.project.clone()), session: None },
            StampLevel::None => Stamp::default(),
        };
        let state = app.state();
        let kind = builder_choice::builder_of(app, &program, &spelling, state.as_ref().ok());
        let classic = kind != BuilderKind::BuildKit;
        let endpoint = app.endpoint(Some(&program));
        let here = std::env::current_dir().unwrap_or_default();
        let now = Timestamp::now();
        let intent = Intent {
            build: BuildId::of(now, std::process::id()),
            of: app.key.clone(),
            started: now,
            tags: words.tags.iter().map(Reference::canonical).collect(),
            key: build_key(&words, &here).to_string(),
            stamp: stamp.clone(),
            classic,
            tilt: gives_what_tilt_expects(&words.tags),
            ci: app.identity.ci.is_some(),
            slot: app.slot(),
            copy: Some(app.identity.copy.clone()),
            socket: endpoint.as_ref().ok().and_then(Endpoint::socket_mark),
        };
        let builder = builder_choice::result_in(app, &spelling, &words);
        let mut job = Self {
            program,
            endpoint,
            spelling,
            words,
            builder,
            stamp,
            classic,
            stdout: Stdout::Untouched,
            state,
            hold: None,
            running: None,
            intent,
            old_id_file: None,
            trouble: None,
        };
        job.old_id_file = job.users_id_file().and_then(Mark::of);
        // A question, a help page, files: nothing comes of it that could be noted.
        if job.makes_an_image() {
            job.open_books();
        }
        job.stdout = job.way_of_stdout(kind);
        job
    }

    fn way_of_stdout(&self, kind: BuilderKind) -> Stdout {
        // The ID that the user asked for with -q is only ours to show if docker surely tells it elsewhere.
        let told = self.own_id_file().is_some() || self.users_id_file().is_some_and(|file| !is_special(file));
        match (kind, self.running.is_some() && self.words.quiet) {
            (BuilderKind::Classic, true) if told => Stdout::Held,
            (BuilderKind::Classic, true) => Stdout::Quiet,
            (BuilderKind::Classic | BuilderKind::Podman, _) => Stdout::Watched,
            (BuilderKind::BuildKit, true) if !told => Stdout::Watched,
            (BuilderKind::BuildKit, _) => Stdout::Untouched,
        }
    }

    /// `None` where there is nothing to note, so nothing to look for.
    pub(crate) async fn look(&self, started: Instant, mut journal: Option<Journal>) -> Result<Option<Before>> {
        if self.running.is_none() {
            return Ok(None);
        }
        let endpoint = self.endpoint.clone()?;
        let lends = self.state.as_ref().ok().filter(|state| state.session(&self.intent.of).owner().is_some());
        let lends = lends.map(|state| (state, &self.intent.of));
        let wanted = Questions { tags: &self.words.tags, may_be_old: (!self.classic).then_some(&self.stamp), lends };
        before::look(endpoint, &wanted, started, journal.as_mut()).await.map(Some)
    }

    pub(crate) fn id_file(&self) -> IdFile<'_> {
        argv::id_file(&self.words, self.builder)
    }

    fn makes_an_image(&self) -> bool {
        match self.id_file() {
            IdFile::Ours | IdFile::Users(_) => true,
            // Of words that were not understood nothing is inferred, but the classic builder's steps are seen.
            IdFile::No(why) => why.leaves_image() || self.classic,
        }
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
    pub(crate) fn own_id_file(&self) -> Option<PathBuf> {
        let trusted = !(self.program.wrapper || self.program.snap || self.program.windows);
        let running = self.running.as_ref().filter(|_| trusted)?;
        (self.id_file() == IdFile::Ours).then(|| running.iidfile())
    }

    /// Sees to it that docker can write that file whenever it is done.
    pub(crate) async fn keep_id_file(&self) -> Infallible {
        const NOW_AND_THEN: Duration = Duration::from_millis(100);
        while let Some(running) = &self.running {
            running.keep_iidfile();
            tokio::time::sleep(NOW_AND_THEN).await;
        }
        std::future::pending().await
    }

    pub(crate) fn users_id_file(&self) -> Option<&Path> {
        match self.id_file() {
            IdFile::Users(file) => Some(Path::new(file)),
            _ => None,
        }
    }

    /// The file that the user asked for, if it is not as it was before the build: a script around docker may leave
    /// an old one there.
    pub(crate) fn written_by_docker(&self) -> Option<&Path> {
        self.users_id_file().filter(|path| Mark::of(path).is_some_and(|now| self.old_id_file.as_ref() != Some(&now)))
    }

    pub(crate) fn command(&self, global: &[OsString]) -> Command {
        let id_file = self.own_id_file();
        let injection =
            Injection { stamp: &self.stamp, id_file: id_file.as_deref(), without_quiet: self.stdout == Stdout::Held };
        let mut command = Command::new(&self.program.path);
        command.args(global).args(argv::inject(&self.spelling, &self.words, &injection));
        program::as_child(&mut command, &self.program.path);
        command
    }
}

/// What changes with every write to a plain file.
#[derive(PartialEq, Eq)]
struct Mark {
    file: (u64, u64),
    changed: (i64, i64),
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let file = path.metadata().ok().filter(Metadata::is_file)?;
        Some(Self { file: (file.dev(), file.ino()), changed: (file.ctime(), file.ctime_nsec()) })
    }
}

/// A custom build of Tilt's may build more than what is expected of it, and that is built as anybody's.
fn gives_what_tilt_expects(tags: &[Reference]) -> bool {
    let expected = env("EXPECTED_REF").and_then(|name| Reference::written(name.to_str()?));
    expected.is_some_and(|expected| tags.iter().any(|tag| tag.names_the_same(&expected)))
}

/// Something else than a file, which can be written once and never read.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| !file.is_file())
}
