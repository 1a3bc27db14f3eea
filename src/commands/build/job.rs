//! One build, from the words to the books.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::child::{self, Seen, Stdout};
use super::look::{self, Before, Wanted};
use super::{books, lent, recover, route};
use crate::commands::world::{World, env};
use crate::commands::{end, seen};
use crate::config::StampLevel;
use crate::engine::builder::BuilderKind;
use crate::engine::{Program, program};
use crate::error::{Error, Result};
use crate::ledger::{Intent, Journal, Running, SessionHold, State, read_iid};
use crate::model::{Flavour, ImageId, Life, Record, SessionKey, Stamp};
use crate::plan::argv::{self, BuildWords, Builder, IdFile, Injection, Spelling, build_key};
use crate::ui;
use crate::ui::clean::Loudness;

/// How long the books may take after docker has ended; what is left undone then is done by the next dkb.
const LONGEST: Duration = Duration::from_secs(20);

/// dkb's own flags, which somebody may put behind the verb, where docker does not know them.
const OURS: [&str; 5] = ["project", "session", "settings", "keep-tagged", "format"];

/// What came of keeping the books.
#[derive(Default)]
struct Kept {
    /// How many images this build has made useless and taken away.
    went: usize,
    /// Every session that was known then.
    lives: HashMap<SessionKey, Life>,
}

/// One build, from the words to the books.
pub(super) struct Job {
    pub(super) program: Program,
    spelling: Spelling,
    words: BuildWords,
    lies: Builder,
    stamp: Stamp,
    classic: bool,
    pub(super) stdout: Stdout,
    state: Result<State>,
    pub(super) hold: Option<SessionHold>,
    pub(super) running: Option<Running>,
    intent: Intent,
    /// The first thing that went wrong; one warning is enough.
    trouble: Option<Error>,
}

impl Job {
    pub(super) fn new(world: &World, program: Program, spelling: Spelling, words: BuildWords) -> Self {
        let stamp = match world.settings.stamp {
            StampLevel::Full => world.key.clone().into(),
            StampLevel::Project => Stamp { project: Some(world.key.project.clone()), session: None },
            StampLevel::None => Stamp::default(),
        };
        let state = world.state();
        let kind = route::builder_of(world, &program, &spelling, state.as_ref().ok());
        let classic = kind != BuilderKind::BuildKit;
        let here = std::env::current_dir().unwrap_or_default();
        let now = Timestamp::now();
        let intent = Intent {
            build: format!("{:x}-{:x}", now.as_nanosecond(), std::process::id()),
            of: world.key.clone(),
            started: now,
            tags: words.tags.iter().map(crate::model::Reference::canonical).collect(),
            key: build_key(&words, &here).to_string(),
            stamp: stamp.clone(),
            classic,
            tilt: env("EXPECTED_REF").is_some(),
            ci: world.identity.ci.is_some(),
            slot: world.slot(),
        };
        let lies = route::lies(world, &spelling, &words);
        let mut job = Self {
            program,
            spelling,
            words,
            lies,
            stamp,
            classic,
            stdout: Stdout::Untouched,
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
        job.stdout = job.way_of_stdout(kind);
        job
    }

    fn way_of_stdout(&self, kind: BuilderKind) -> Stdout {
        // The ID that the user asked for with -q is only ours to show if docker surely tells it elsewhere.
        let told = self.own_id_file().is_some() || self.users_id_file().is_some_and(|file| !is_special(file));
        match (kind, self.running.is_some() && self.words.quiet) {
            (BuilderKind::Classic, true) if told => Stdout::Held,
            (BuilderKind::Classic | BuilderKind::Podman, _) => Stdout::Watched,
            (BuilderKind::BuildKit, true) if !told => Stdout::Watched,
            (BuilderKind::BuildKit, _) => Stdout::Untouched,
        }
    }

    /// `None` where there is nothing to note, so nothing to look for.
    pub(super) async fn look(
        &self,
        world: &World,
        started: Instant,
        mut journal: Option<Journal>,
    ) -> Result<Option<Before>> {
        if self.running.is_none() {
            return Ok(None);
        }
        let endpoint = world.endpoint(Some(&self.program))?;
        let all = world.settings.stamp != StampLevel::Full && !self.classic;
        let lends = self.state.as_ref().ok().filter(|state| state.session(&self.intent.of).owner().is_some());
        let wanted = Wanted { tags: &self.words.tags, all, lends: lends.map(|state| (state, &self.intent.of)) };
        look::look(endpoint, &wanted, started, journal.as_mut()).await.map(Some)
    }

    fn id_file(&self) -> IdFile<'_> {
        argv::id_file(&self.words, self.lies)
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
    fn own_id_file(&self) -> Option<PathBuf> {
        let trusted = !(self.program.wrapper || self.program.snap || self.program.windows);
        let running = self.running.as_ref().filter(|_| trusted)?;
        (self.id_file() == IdFile::Ours).then(|| running.iidfile())
    }

    fn users_id_file(&self) -> Option<&Path> {
        match self.id_file() {
            IdFile::Users(file) => Some(Path::new(file)),
            _ => None,
        }
    }

    pub(super) fn command(&self, global: &[OsString]) -> Command {
        let id_file = self.own_id_file();
        let injection =
            Injection { stamp: &self.stamp, id_file: id_file.as_deref(), without_quiet: self.stdout == Stdout::Held };
        let mut command = Command::new(&self.program.path);
        command.args(global).args(argv::inject(&self.spelling, &self.words, &injection));
        program::as_child(&mut command, &self.program.path);
        command
    }

    /// Shows what was held back.
    pub(super) fn show(&self, ok: bool, seen: &mut Seen, before: Option<&Before>) {
        if let Some(held) = seen.held.take() {
            child::release(held, ok.then(|| self.quiet_id(seen, before)).flatten().as_deref());
        }
    }

    pub(super) async fn end(&mut self, world: &World, ok: bool, seen: &Seen, before: Result<Option<Before>>) {
        if !ok && let Some(flag) = self.words.misplaced(&OURS) {
            ui::say(format_args!("--{flag} is dkb's own flag, and stands before the verb: dkb --{flag} … build …"));
        }
        let kept = match (before, self.state.clone()) {
            (Ok(Some(before)), Ok(state)) => {
                let books = self.keep_books(world, ok, seen, &before, &state);
                let late = |_| Err(Error::failed("keeping the books", format!("not done in {} s", LONGEST.as_secs())));
                tokio::time::timeout(LONGEST, books).await.unwrap_or_else(late)
            }
            (Err(error), _) => Err(error),
            _ => Ok(Kept::default()),
        };
        let lives = match kept {
            Ok(Kept { went, lives }) => {
                if went > 0 && world.verbose {
                    let images = if went == 1 { "image" } else { "images" };
                    ui::say(format_args!("removed {went} {images} that this build replaced"));
                }
                if let Some(running) = self.running.take() {
                    running.finish();
                }
                lives
            }
            Err(error) => {
                self.trouble.get_or_insert(error);
                // The next dkb may be luckier, if it can know which engine this was.
                if let Some(running) = self.running.take().filter(|running| !running.knows_engine()) {
                    running.finish();
                }
                HashMap::new()
            }
        };
        // A session that only builds needs no file once nobody is at work in it.
        if self.hold.take().is_some()
            && let Ok(state) = &self.state
        {
            state.session(&self.intent.of).clear();
        }
        if let Some(trouble) = &self.trouble {
            ui::warn(format_args!("this build was not noted: {trouble}"));
        }
        let loudness = if world.verbose { Loudness::Normal } else { Loudness::Quiet };
        let _ = tokio::time::timeout(LONGEST, end::see_to_the_dead(world, &lives, loudness)).await;
    }

    async fn keep_books(&self, world: &World, ok: bool, seen: &Seen, before: &Before, state: &State) -> Result<Kept> {
        let ledger = state.ledger(&before.identity);
        lent::release(before, &before.held).await?;
        // What another build left open is its own trouble, and stays open until it can be closed.
        let _ = recover(&before.engine, &before.identity, state, &ledger).await;
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
        books.apply(Record::Build(build.clone()));
        let went = books::take_away(before, state, &ledger, &books, &build, world.settings.keep_superseded).await?;
        Ok(Kept { went, lives: seen::lives(state, &books) })
    }

    /// The image that docker built, by its own word where it gave one, else by the tags.
    async fn result(&self, seen: &Seen, before: &Before) -> Result<Option<ImageId>> {
        let engine = &before.engine;
        let said = match self.id_file() {
            IdFile::Ours => self.own_id_file().and_then(|file| read_iid(&file)).or(seen.id),
            IdFile::Users(file) if Path::new(file).is_file() => read_iid(Path::new(file)),
            IdFile::No(why) if !why.leaves_image() => return Ok(None),
            IdFile::Users(_) | IdFile::No(_) => seen.id,
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
    fn quiet_id(&self, seen: &Seen, before: Option<&Before>) -> Option<String> {
        let file = self.own_id_file().or_else(|| {
            let path = self.users_id_file()?.to_path_buf();
            end_with_newline(&path);
            Some(path)
        });
        let id = file.and_then(|file| read_iid(&file)).or(seen.id)?;
        let podman = before.is_some_and(|before| before.info.flavour == Flavour::Podman);
        Some(if podman { id.digits() } else { id.to_string() })
    }
}

/// Something else than a file, which can be written once and never read.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| !file.is_file())
}

/// The file that the user asked for ends with a newline under `-q`, and docker was not told of the `-q`.
fn end_with_newline(path: &Path) {
    use std::io::Write;
    let ends = std::fs::read(path).is_ok_and(|text| text.is_empty() || text.ends_with(b"\n"));
    if !ends && let Ok(mut file) = std::fs::File::options().append(true).open(path) {
        let _ = file.write_all(b"\n");
    }
}
