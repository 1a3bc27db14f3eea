//! One build, once docker has ended: what is shown, what is noted, and what goes.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::before::Before;
use super::job::Job;
use super::{cache, tidy};
use crate::app::App;
use crate::bookkeeping::{self, home, recover, running};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::ledger::{Running, State, read_iid};
use crate::model::{Books, ImageId, Life, Record, SessionKey, Stamp};
use crate::observe::lives;
use crate::plan::argv::IdFile;
use crate::processes::child::{self, SeenOutput};
use crate::report;
use crate::report::words::Loudness;
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
    /// How many images this build has made useless and taken away.
    went: Result<usize>,
    /// Every session that was known then.
    lives: HashMap<SessionKey, Life>,
}

impl Job {
    /// Shows what was held back.
    pub(crate) fn show(&self, ok: bool, seen: &mut SeenOutput) {
        if let Some(held) = seen.held.take() {
            child::release(held, ok.then(|| self.quiet_id(seen)).flatten().as_deref());
        }
    }

    pub(crate) async fn end(&mut self, app: &App, ok: bool, seen: &SeenOutput, before: Result<Option<Before>>) {
        if !ok && let Some(flag) = self.words.misplaced(&OURS) {
            report::say(format_args!("--{flag} is dkb's own flag, and stands before the verb: dkb --{flag} … build …"));
        }
        let ended = Timestamp::now();
        if let Ok(Some(before)) = &before {
            self.intent.tags.clone_from(&before.gives);
        }
        let in_cache = before.as_ref().ok().and_then(Option::as_ref).filter(|before| self.leaves_cache(before));
        let in_cache = in_cache.map(|before| before.identity.clone());
        let kept = match (before, self.state.clone()) {
            (Ok(Some(before)), Ok(state)) => {
                let books = self.keep_books(app, ok, seen, &before, &state);
                let late = |_| Err(Error::failed("keeping the books", format!("not done in {} s", LONGEST.as_secs())));
                tokio::time::timeout(LONGEST, books).await.unwrap_or_else(late)
            }
            (Err(error), _) => Err(error),
            _ => Ok(Noted { went: Ok(0), lives: HashMap::new() }),
        };
        let lives = match kept {
            Ok(Noted { went, lives }) => {
                if let Some(identity) = in_cache {
                    // Of what is not noted nothing is taken.
                    let _ = cache::hand_over(app, &identity, &self.ended_build(app, ended, ok));
                }
                match went {
                    Ok(went) if went > 0 && app.verbose => {
                        let images = if went == 1 { "image" } else { "images" };
                        report::say(format_args!("removed {went} {images} that this build replaced"));
                    }
                    Ok(_) => {}
                    Err(error) => report::warn(error.under("what this build replaced is left to dkb clean")),
                }
                if let Some(running) = self.running.take() {
                    running.finish();
                }
                lives
            }
            Err(error) => {
                // The next dkb may be luckier, if there is anything to find and it can know which engine this was.
                let built = ok || !seen.shown.images.is_empty();
                let late = error.kind == ErrorKind::Unreachable && self.intent.socket.is_some();
                let hopeless = |running: &Running| !(running.knows_engine() || built && late);
                if let Some(running) = self.running.take().filter(hopeless) {
                    running.finish();
                }
                // Of a build that docker refused there is nothing to note.
                if built {
                    self.trouble.get_or_insert(error);
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
            report::warn(trouble.under("this build was not noted"));
        }
        let loudness = if app.verbose { Loudness::Normal } else { Loudness::Quiet };
        let _ = tokio::time::timeout(LONGEST, dead::see_to_the_dead(app, &lives, loudness, enough())).await;
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
        let beside = || running(state, Some(&self.intent.build));
        before.loan.release(&before.engine, &before.tags, &books, &self.intent.of, beside).await?;
        let took_from = before.loan.without_lost(&before.engine, &before.tags).await?;
        books.looked_from(&home(&before.engine));
        let result = if ok { self.result(seen, before, &books).await? } else { None };
        let facts = bookkeeping::BuildFacts {
            can: before.info.can,
            intent: &self.intent,
            stamp: &self.stamp,
            began: before.began,
            surely_began: Some(before.surely_began),
            now: before.now(),
            before: &took_from,
            all: before.all.as_ref(),
            shown: &seen.shown,
            result,
            ok,
            ran: seen.shown.was_running() && !before.info.can.looks_cost,
            cut_off: false,
        };
        let build = bookkeeping::record(&before.engine, &books, &facts).await?;
        ledger.append_aside(bookkeeping::records(&books, &self.intent, &build)).await?;
        books.apply(Record::Build(build.clone()));
        let went = tidy::take_away(before, state, &ledger, &books, &build, &app.settings, stop).await;
        Ok(Noted { went, lives: lives(state, &books, before.info.identity.as_deref()) })
    }

    /// The image that docker built, by its own word where it gave one, else by the tags.
    async fn result(&self, seen: &SeenOutput, before: &Before, known: &Books) -> Result<Option<ImageId>> {
        let engine = &before.engine;
        if let Some(id) = self.own_id_file().and_then(|file| read_iid(&file))
            && before.has(id).await?
        {
            return Ok(Some(id));
        }
        let said = match self.id_file() {
            // The classic builder of docker 20.10 takes any output without a word, and makes an image all the same.
            IdFile::No(why) if !why.leaves_image() && !self.classic => return Ok(None),
            _ => self.written_by_docker().and_then(read_iid).or(seen.id),
        };
        // Where dkb does not know who wrote it, the image itself must say whose it is.
        if let Some(id) = said
            && let Some(image) = engine.image(&id.to_string()).await?
            && self.stamp.is_part_of(&Stamp::of(&image.labels))
        {
            return Ok(Some(id));
        }
        let Some(tag) = self.words.tags.first() else { return Ok(None) };
        let Some(named) = engine.image(tag.as_str()).await? else { return Ok(None) };
        if self.stamp.is_part_of(&Stamp::of(&named.labels)) {
            let was_named = before.tags.iter().any(|(_, id)| *id == named.id);
            return Ok(Some(named.id).filter(|id| !was_named || known.has(*id)));
        }
        // Another build has moved the tag since.
        bookkeeping::lost(engine, before.info.can, &self.intent, before.began, known, None).await
    }

    /// What the classic builder prints under `-q`.
    fn quiet_id(&self, seen: &SeenOutput) -> Option<String> {
        let file = self.own_id_file().or_else(|| {
            let path = self.written_by_docker()?.to_path_buf();
            end_with_newline(&path);
            Some(path)
        });
        let id = file.and_then(|file| read_iid(&file)).or(seen.id)?;
        Some(if seen.podman { id.digits() } else { id.to_string() })
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
