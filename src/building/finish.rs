//! One build or bake, once docker has ended: what is shown, what is noted, and what goes.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::before::{Before, Names};
use super::job::Job;
use super::result::FailedBuilds;
use super::target::Target;
use super::{cache, tidy};
use crate::app::App;
use crate::bookkeeping::{self, home, recover, running};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::ledger::{Intent, Running, State, TargetResult, read_iid};
use crate::model::{Books, Build, BuildId, EndedBuild, ImageId, Life, Record, Reference, SessionKey};
use crate::observe::lives;
use crate::processes::child::{self, SeenOutput};
use crate::report;
use crate::report::words::{Loudness, count};
use crate::session::dead;

/// How long the books may take after docker has ended; what is left undone then is done by the next dkb.
const LONGEST: Duration = Duration::from_secs(20);

/// How long before that nothing new is taken away, so that what has gone is noted.
const TO_NOTE: Duration = Duration::from_secs(5);

/// The moment from which nothing new is taken away.
fn enough() -> impl Future<Output = ()> {
    tokio::time::sleep(LONGEST.saturating_sub(TO_NOTE))
}

/// dkb's own flags, which somebody may put behind the verb, where docker does not know them.
const OURS: [&str; 5] = ["project", "session", "settings", "keep-tagged", "format"];

/// What came of keeping the books.
struct Noted {
    /// What is on record now.
    done: Vec<Build>,
    /// How many images this build has made useless and taken away.
    went: Result<usize>,
    /// Every session that was known then.
    lives: HashMap<SessionKey, Life>,
}

/// What comes into the books of one build or bake.
struct Notes<'a> {
    before: &'a Before,
    seen: &'a SeenOutput,
    ok: bool,
    /// With what is taken down already.
    books: Books,
    done: Vec<Build>,
    lines: Vec<Record>,
}

impl Notes<'_> {
    /// Takes down one result, or that there is none.
    async fn take(&mut self, intent: &Intent, names: &Names, result: Option<ImageId>) -> Result<()> {
        let Self { before, seen, .. } = self;
        let took_from = names.loan.without_lost(&before.engine, &names.tags).await?;
        let facts = bookkeeping::BuildFacts {
            can: before.info.can,
            intent,
            stamp: &intent.stamp,
            began: before.began,
            surely_began: Some(before.surely_began),
            now: before.now(),
            before: &took_from,
            all: before.all.as_ref(),
            shown: &seen.build.shown,
            result,
            ok: self.ok || result.is_some(),
            ran: seen.build.shown.was_running() && !before.info.can.looks_cost,
            cut_off: false,
        };
        let build = bookkeeping::record(&before.engine, &self.books, &facts).await?;
        let records = bookkeeping::records(&self.books, intent, &build);
        for record in &records {
            self.books.apply(record.clone());
        }
        self.lines.extend(records);
        self.done.push(build);
        Ok(())
    }
}

impl Job {
    /// Shows what was held back.
    pub(super) fn show(&self, ok: bool, seen: &mut SeenOutput) {
        if let Some(held) = seen.held.take() {
            child::release(held, ok.then(|| self.quiet_id(seen)).flatten().as_deref());
        }
    }

    pub(super) async fn end(&mut self, app: &App, ok: bool, seen: &SeenOutput, before: Result<Option<Before>>) {
        if !ok && let Some(flag) = self.misplaced(&OURS) {
            report::say(format_args!("--{flag} is dkb's own flag, and stands before the verb: dkb --{flag} … build …"));
        }
        let ended = Timestamp::now();
        if let Ok(Some(before)) = &before {
            let noted = self.targets.iter_mut().filter(|target| target.running.is_some());
            noted.zip(&before.names).for_each(|(target, names)| target.intent.tags.clone_from(&names.gives));
        }
        let in_cache = before.as_ref().ok().and_then(Option::as_ref).filter(|before| self.leaves_cache(before));
        let in_cache = in_cache.map(|before| before.identity.clone());
        let engine = before.as_ref().ok().and_then(Option::as_ref).map(|before| before.identity.clone());
        let kept = match (before, self.state.clone()) {
            (Ok(Some(before)), Ok(state)) => {
                let books = self.keep_books(app, ok, seen, &before, &state);
                let late = |_| Err(Error::failed("keeping the books", format!("not done in {} s", LONGEST.as_secs())));
                tokio::time::timeout(LONGEST, books).await.unwrap_or_else(late)
            }
            (Err(error), _) => Err(error),
            _ => Ok(Noted { done: Vec::new(), went: Ok(0), lives: HashMap::new() }),
        };
        let lives = match kept {
            Ok(noted) => self.finish_noted(app, noted, (ok, ended), in_cache.as_deref()),
            Err(error) => {
                self.leave_to_the_next_dkb(error, ok || !seen.build.shown.images.is_empty());
                HashMap::new()
            }
        };
        // A session that only builds needs no file once nobody is at work in it.
        if self.hold.take().is_some()
            && let (Ok(state), Some(target)) = (&self.state, self.targets.first())
        {
            state.session(&target.intent.of).clear();
        }
        if let Some(trouble) = self.trouble.as_ref().or(self.unasked.as_ref().filter(|_| ok)) {
            report::warn(trouble.under("this build was not noted"));
        }
        let loudness = if app.verbose { Loudness::Normal } else { Loudness::Quiet };
        let _ =
            tokio::time::timeout(LONGEST, dead::see_to_the_dead(app, &lives, engine.as_deref(), loudness, enough()))
                .await;
    }

    /// The books are kept. Whoever looks at the cache hears of it, and the user of what this build replaced.
    fn finish_noted(
        &mut self,
        app: &App,
        Noted { done, went, lives }: Noted,
        (ok, ended): (bool, Timestamp),
        in_cache: Option<&str>,
    ) -> HashMap<SessionKey, Life> {
        if let Some(identity) = in_cache {
            // Each leaves some, whatever came of it. Of what is not noted nothing is taken.
            let went_well = |target: &Target| {
                let of = done.iter().find(|build| build.build == target.intent.build);
                of.map_or(ok, |build| build.ok)
            };
            let builds: Vec<EndedBuild> =
                self.targets.iter().map(|target| target.ended_build(app, ended, went_well(target))).collect();
            let _ = cache::hand_over(app, identity, &builds);
        }
        match went {
            Ok(went) if went > 0 && app.verbose => {
                report::say(format_args!("removed {} that this build replaced", count(went, "image")));
            }
            Ok(_) => {}
            Err(error) => report::warn(error.under("what this build replaced is left to dkb clean")),
        }
        self.targets.iter_mut().filter_map(|target| target.running.take()).for_each(Running::finish);
        lives
    }

    /// The next dkb may be luckier, if there is anything to find and it can know which engine this was. `built`: docker
    /// may have made something; of a build that it refused there is nothing to note.
    fn leave_to_the_next_dkb(&mut self, error: Error, built: bool) {
        let late = error.kind == ErrorKind::Unreachable;
        for target in &mut self.targets {
            let may_be_found = built && late && target.intent.socket.is_some();
            let hopeless = |running: &Running| !(running.knows_engine() || may_be_found);
            if let Some(running) = target.running.take().filter(hopeless) {
                running.finish();
            }
        }
        if built {
            self.trouble.get_or_insert(error);
        }
    }

    async fn keep_books(
        &self,
        app: &App,
        ok: bool,
        seen: &SeenOutput,
        before: &Before,
        state: &State,
    ) -> Result<Noted> {
        let ledger = state.ledger(&before.identity);
        let stop = enough();
        // What another build left open is its own trouble, and stays open until it can be closed.
        let _ = recover(&before.engine, &before.info, state, &ledger).await;
        let (mut books, _) = ledger.read_aside().await?;
        let own: Vec<BuildId> = self.targets.iter().map(|target| target.intent.build.clone()).collect();
        let beside = || running(state, &own);
        for (target, names) in self.noted().zip(&before.names) {
            names.loan.release(&before.engine, &names.tags, &books, &target.intent.of, beside).await?;
        }
        books.looked_from(&home(&before.engine));
        let made = self.made();
        let mut failed = None;
        if !ok {
            let of = |key: &SessionKey| self.targets.iter().any(|target| target.intent.of == *key);
            let running = beside().iter().filter(|build| of(&build.of)).count();
            let at_most = (!self.is_bake()).then(|| running.saturating_add(self.targets.len()));
            failed = Some(FailedBuilds::new(self.history(app, before).await?, at_most));
        }
        let mut notes = Notes { before, seen, ok, books, done: Vec::new(), lines: Vec::new() };
        for (target, names, made) in self.in_order(before, &made).await? {
            let mut intent = target.intent.clone();
            if let Some(made) = made {
                rename(&mut intent, &made.names);
            }
            let result = match &mut failed {
                None => self.result(target, made, seen, before, &notes.books).await?,
                Some(failed) => failed.result(target, &intent, before, names, &notes.books).await?,
            };
            notes.take(&intent, names, result).await?;
        }
        if let Some(failed) = &mut failed {
            for (target, names) in self.noted().zip(&before.names) {
                while let Some(another) = failed.another(&target.intent, before, &notes.books).await? {
                    let build = target.intent.build.nth(self.targets.len().saturating_add(notes.done.len()));
                    notes.take(&Intent { build, ..target.intent.clone() }, names, Some(another)).await?;
                }
            }
        }
        let Notes { books, done, lines, .. } = notes;
        ledger.append_aside(lines).await?;
        let went = tidy::take_away(before, state, &ledger, &books, &done, &app.settings, stop).await;
        Ok(Noted { done, went, lives: lives(state, &books, before.info.identity.as_deref()) })
    }

    /// The targets as they are to be noted: of those that give one name, the one that has it now comes last.
    async fn in_order<'a>(
        &'a self,
        before: &'a Before,
        made: &'a BTreeMap<String, TargetResult>,
    ) -> Result<Vec<(&'a Target, &'a Names, Option<&'a TargetResult>)>> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (target, names) in self.noted().zip(&before.names) {
            let made = target.name.as_ref().and_then(|name| made.get(name));
            let is_shared = |tag: &&Reference| target.intent.beside.iter().any(|other| other.names_the_same(tag));
            let shared = names.gives.iter().find(is_shared);
            let has_it = match (shared, made) {
                (Some(tag), Some(made)) => {
                    let named = before.engine.image(tag.as_str()).await?;
                    named.is_some_and(|image| made.ids.contains(&image.id))
                }
                _ => false,
            };
            if has_it { &mut last } else { &mut first }.push((target, names, made));
        }
        first.append(&mut last);
        Ok(first)
    }

    /// What the classic builder prints under `-q`.
    fn quiet_id(&self, seen: &SeenOutput) -> Option<String> {
        let file = self.own_file().or_else(|| {
            let path = self.written_by_docker()?.to_path_buf();
            end_with_newline(&path);
            Some(path)
        });
        let id = file.and_then(|file| read_iid(&file)).or(seen.build.id)?;
        Some(if seen.build.podman { id.digits() } else { id.to_string() })
    }
}

/// A definition may name its tags anew each time that it is read: those that docker says it gave count.
fn rename(intent: &mut Intent, given: &[Reference]) {
    let is_told = |tag: &Reference| intent.tags.iter().any(|told| told.names_the_same(tag));
    if !given.iter().all(is_told) {
        intent.tags = given.iter().map(Reference::canonical).collect();
    }
}

/// The file that the user asked for ends with a newline under `-q`, and docker was not told of the `-q`.
fn end_with_newline(path: &Path) {
    use std::io::Write;
    let ends = files::read(path, files::SETTINGS).is_ok_and(|text| text.is_empty() || text.ends_with(b"\n"));
    if !ends && let Ok(mut file) = std::fs::File::options().append(true).open(path) {
        let _ = file.write_all(b"\n");
    }
}
