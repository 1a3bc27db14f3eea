//! Builds that run now, and those that begin or end while a plan is carried out: what they may need stays, although the
//! look did not see them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;

use crate::error::{Error, Result};
use crate::ledger::{Intent, Ledger, LedgerMark, State, Unfinished};
use crate::model::{Books, Build, BuildId, Deed, ImageId, Kind, RunningBuild, SessionKey, Step};
use crate::plan::uses::needed_by_builds;

/// Asked before every step, so it reads no more than names and a length while nobody comes or goes.
pub(crate) struct NeededByBuilds<'a> {
    state: &'a State,
    ledger: &'a Ledger,
    books: &'a Books,
    /// How the ledger stood when these were read.
    ledger_at_first: Option<LedgerMark>,
    /// The builds that ask, if any do: they need nothing of what they take away themselves.
    own: &'a [BuildId],
    /// Whether somebody has come to use what a step is about, which may take seconds to find out where a lock is held.
    taken_over: Option<&'a dyn Fn(&Step) -> bool>,
    now: RefCell<Now>,
    noted: RefCell<NotedSince>,
}

/// For what a step's thing is needed by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    None,
    /// A build that runs may rely on it.
    Build,
    /// Somebody has built it, or has come to use it, since the plan was made.
    Since,
}

/// What was found behind these names.
#[derive(Default)]
struct Now {
    folders: Option<Vec<OsString>>,
    running: Vec<RunningBuild>,
    needed: HashSet<ImageId>,
}

/// What builds have made that ended since the books were read, as of a later mark.
struct NotedSince {
    mark: Option<LedgerMark>,
    /// What they have made, and what they took a tag from, which is to come back some day.
    made: HashSet<ImageId>,
    of: HashSet<SessionKey>,
}

impl<'a> NeededByBuilds<'a> {
    /// `books` are what this ledger said when it was last read.
    pub(crate) fn new(state: &'a State, ledger: &'a Ledger, books: &'a Books) -> Self {
        let noted = NotedSince { mark: ledger.as_read(), made: HashSet::new(), of: HashSet::new() };
        Self {
            state,
            ledger,
            books,
            ledger_at_first: ledger.as_read(),
            own: &[],
            taken_over: None,
            now: RefCell::default(),
            noted: RefCell::new(noted),
        }
    }

    pub(crate) fn but_for(self, own: &'a [BuildId]) -> Self {
        Self { own, ..self }
    }

    pub(crate) fn unless(self, taken_over: &'a dyn Fn(&Step) -> bool) -> Self {
        Self { taken_over: Some(taken_over), ..self }
    }

    /// Whether anybody may rely by now on what this step takes away.
    pub(crate) async fn need(&self, step: &Step) -> Need {
        if self.taken_over.is_some_and(|taken_over| taken_over(step)) {
            return Need::Since;
        }
        if step.kind() != Kind::Image {
            return Need::None;
        }
        // In this order: a build is noted before it ends.
        if self.is_of_running(step) {
            return Need::Build;
        }
        let image = match &step.deed {
            Deed::GiveBack { from: Some(from), .. } => Some(*from),
            _ => step.image(),
        };
        match self.made_since().await {
            Ok(()) if image.is_some_and(|id| self.noted.borrow().made.contains(&id)) => Need::Since,
            Ok(()) => Need::None,
            // What can't be read may say so.
            Err(_) => Need::Since,
        }
    }

    /// Whether this is a name by which a session of our own ledger holds an image.
    pub(crate) fn is_own_hold(&self, name: &str) -> bool {
        self.books.id.as_ref().is_some_and(|id| name.ends_with(&format!("-{id}")))
    }

    fn is_of_running(&self, step: &Step) -> bool {
        let mut now = self.now.borrow_mut();
        let folders = self.state.build_folders();
        if now.folders.as_ref() != Some(&folders) {
            let known = self.state.unfinished().len();
            let running = running(self.state, self.own);
            let needed = needed_by_builds(self.books, &running);
            // A build that has not said yet what it is about to do will have, the next time.
            let folders = (known == folders.len()).then_some(folders);
            *now = Now { folders, running, needed };
        }
        match &step.deed {
            // dkb's own name may hold an image for a build that is about to take its tag.
            Deed::RemoveImage { .. } | Deed::Untag { .. } if step.is_of_own_name() => !now.running.is_empty(),
            Deed::RemoveImage { id, .. } | Deed::Untag { image: id, .. } => now.needed.contains(id),
            // It would take the name again, from an image that nothing holds any more.
            Deed::GiveBack { name, .. } => {
                now.running.iter().flat_map(|build| &build.tags).any(|tag| tag.names_the_same(name))
            }
            _ => false,
        }
    }

    /// Reads the ledger if anything was written since it was read.
    async fn made_since(&self) -> Result<()> {
        let mark = self.ledger.mark()?;
        if self.noted.borrow().mark == Some(mark) {
            return Ok(());
        }
        let (books, _) = self.ledger.read_aside().await?;
        // Lines are only ever added. Where some are gone or can't be read any more, nobody knows what they said.
        let is_cut = match (self.ledger_at_first, mark) {
            (Some(Some((before, file))), Some((now, other))) => file == other && now < before,
            (Some(Some(_)), None) => true,
            _ => false,
        };
        if is_cut || books.damaged && !self.books.damaged || books.copied && !self.books.copied {
            let tried = format!("reading {} again", self.ledger.path().display());
            return Err(Error::failed(tried, "something was taken out of it since it was read"));
        }
        let known: HashSet<&BuildId> = self.books.builds.iter().map(|build| &build.build).chain(self.own).collect();
        let new: Vec<&Build> = books.builds.iter().filter(|build| !known.contains(&build.build)).collect();
        let took = books.sessions.values().flat_map(|entry| {
            let before = self.books.sessions.get(&entry.key).map_or(&[][..], |known| &known.took);
            entry.took.iter().filter(move |taken| !before.contains(taken)).map(|taken| taken.from)
        });
        let made = new.iter().flat_map(|build| build.images()).chain(took).collect();
        let of = new.iter().map(|build| build.of.clone()).collect();
        *self.noted.borrow_mut() = NotedSince { mark: Some(mark), made, of };
        Ok(())
    }

    /// The sessions of which a build runs, or has come since the books were read. What can't be read may name any.
    pub(crate) async fn sessions(&self) -> Result<HashSet<SessionKey>> {
        // In this order: a build is noted before it ends.
        let running = running(self.state, self.own).into_iter().map(|build| build.of);
        self.made_since().await?;
        Ok(running.chain(self.noted.borrow().of.iter().cloned()).collect())
    }
}

/// Builds that run now, but for these.
pub(crate) fn running(state: &State, but: &[BuildId]) -> Vec<RunningBuild> {
    builds(state, |build| build.still_runs() && !but.contains(&build.intent.build))
}

/// Those that run now or have ended since these were over: where the dkb of one was killed, nobody has found out yet what
/// came of it.
pub(crate) fn running_since(state: &State, over: &HashSet<BuildId>) -> Vec<RunningBuild> {
    builds(state, |build| build.still_runs() || !over.contains(&build.intent.build))
}

/// Builds that have ended, and that nobody has finished the books of.
pub(super) fn over(state: &State) -> HashSet<BuildId> {
    state.unfinished().into_iter().filter(|build| !build.still_runs()).map(|build| build.intent.build).collect()
}

fn builds(state: &State, wanted: impl Fn(&Unfinished) -> bool) -> Vec<RunningBuild> {
    let builds = state.unfinished().into_iter().filter(wanted).map(|build| build.intent);
    builds.map(|Intent { of, key, tags, .. }| RunningBuild { of, key, tags }).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::books_tests::{build, id, key};
    use crate::model::{ImageGuard, Reason, Record, Reference, SessionKey, Taken};

    fn tag(name: &str) -> Reference {
        Reference::written(name).expect("a name")
    }

    fn step(deed: Deed, reason: Reason) -> Step {
        Step::new(deed, reason, 0)
    }

    fn remove(image: u8) -> Step {
        step(Deed::RemoveImage { id: id(image), guard: ImageGuard::Untagged }, Reason::OfSession)
    }

    fn needs<const N: usize>(builds: &NeededByBuilds, steps: &[Step; N]) -> [Need; N] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        steps.each_ref().map(|step| runtime.block_on(builds.need(step)))
    }

    #[test]
    fn what_a_build_needs_that_began_since_the_plan_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, books) = (State::at(folder.path()), Books::default());
        let ledger = state.ledger("engine");
        let give_back = |name: &str| {
            step(Deed::GiveBack { name: tag(name), from: Some(id(1)), to: id(2), hold: None }, Reason::OfSession)
        };
        let steps = [
            give_back("app:dev"),
            give_back("app:other"),
            step(Deed::Untag { image: id(2), name: tag("dkb.invalid/held:1") }, Reason::OwnName),
            step(Deed::Untag { image: id(2), name: tag("app:dev") }, Reason::OfSession),
            remove(1),
        ];
        let builds = NeededByBuilds::new(&state, &ledger, &books);
        let needed = || needs(&builds, &steps).map(|need| need == Need::Build);
        assert_eq!(needed(), [false; 5]);
        let intent = Intent {
            tags: vec![tag("docker.io/library/app:dev")],
            key: "k".to_owned(),
            stamp: key("p", "s").into(),
            ..Intent::new(BuildId::parse("1").expect("an ID"), key("p", "s"), Timestamp::UNIX_EPOCH)
        };
        let running = state.begin(&intent).expect("a build");
        assert_eq!(needed(), [true, false, true, false, false]);
        running.finish();
        assert_eq!(needed(), [false; 5]);
        // What it may need keeps its names, too.
        let mut books = Books::default();
        books.apply(Record::Build(Build { key: "k".to_owned(), ..build("0", &key("p", "s"), 2, &[]) }));
        let builds = NeededByBuilds::new(&state, &ledger, &books);
        let running = state.begin(&intent).expect("a build");
        assert_eq!(needs(&builds, &steps).map(|need| need == Need::Build), [true, false, true, true, false]);
        running.finish();
    }

    /// Its docker goes on for a moment, and ends while somebody looks.
    #[test]
    fn a_build_whose_dkb_was_killed_runs_until_somebody_could_have_recovered_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::at(folder.path());
        let begin = |name: &str| {
            let id = BuildId::parse(name).expect("an ID");
            state.begin(&Intent::new(id, key("p", "s"), Timestamp::UNIX_EPOCH)).expect("a build")
        };
        // As if docker had ended: nobody has its lock any more, and its folder is there.
        drop(begin("1"));
        let second = begin("2");
        let at_first = over(&state);
        assert_eq!(at_first.iter().map(BuildId::as_str).collect::<Vec<_>>(), ["1"]);
        drop(second);
        assert_eq!(running(&state, &[]).len(), 0);
        assert_eq!(running_since(&state, &at_first).len(), 1);
        assert_eq!(running_since(&state, &over(&state)).len(), 0);
    }

    #[test]
    fn what_was_built_again_since_the_books_were_read_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::at(folder.path());
        let ledger = state.ledger("engine");
        let note = |name: &str, of: &SessionKey, result, steps: &[u8]| {
            ledger.append(&[Record::Build(build(name, of, result, steps))]).expect("a note");
        };
        let (of, other) = (key("p", "s"), key("p", "other"));
        note("1", &of, 1, &[2]);
        note("2", &of, 3, &[]);
        let (books, _) = ledger.read().expect("books");
        let own = [BuildId::parse("4").expect("an ID")];
        let builds = NeededByBuilds::new(&state, &ledger, &books).but_for(&own);
        let untag = |image| step(Deed::Untag { image: id(image), name: tag("app:dev") }, Reason::OfSession);
        let back = Deed::GiveBack { name: tag("app:dev"), from: Some(id(3)), to: id(4), hold: None };
        let steps = [remove(1), remove(2), remove(3), untag(3), step(back, Reason::TakenTag), remove(4)];
        assert_eq!(needs(&builds, &steps), [Need::None; 6]);
        // By another one, and by the same session, which says nothing new but its time.
        note("3", &other, 1, &[]);
        let since = |stays: [bool; 6]| stays.map(|stays| if stays { Need::Since } else { Need::None });
        assert_eq!(needs(&builds, &steps), since([true, false, false, false, false, false]));
        note("5", &of, 3, &[]);
        assert_eq!(needs(&builds, &steps), since([true, false, true, true, true, false]));
        // What asks is no such build.
        note("4", &of, 4, &[2]);
        assert_eq!(needs(&builds, &steps), since([true, false, true, true, true, false]));
        // What it took a tag from is what that goes back to.
        let took = vec![Taken::new(tag("app:dev"), id(2))];
        ledger.append(&[Record::Build(Build { took, ..build("6", &other, 9, &[]) })]).expect("a note");
        assert_eq!(needs(&builds, &steps), since([true, true, true, true, true, false]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let has_built = |key: &SessionKey| runtime.block_on(builds.sessions()).map_or(true, |of| of.contains(key));
        assert!(has_built(&of) && has_built(&other) && !has_built(&key("p", "third")));
        // Where lines are gone nobody knows what they said.
        let whole = std::fs::read(ledger.path()).expect("a ledger");
        let first = whole.iter().position(|byte| *byte == b'\n').expect("a line");
        std::fs::write(ledger.path(), &whole[..=first]).expect("a shorter one");
        assert_eq!(needs(&builds, &steps), [Need::Since; 6]);
        assert!(has_built(&key("p", "third")));
        std::fs::write(ledger.path(), [&whole[..], b"garbage\n"].concat()).expect("a damaged one");
        assert_eq!(needs(&builds, &steps), [Need::Since; 6]);
        std::fs::remove_file(ledger.path()).expect("it was there");
        assert_eq!(needs(&builds, &steps), [Need::Since; 6]);
        // What can't be read may say more.
        let newer = Record::Ledger { v: 99, engine: "engine".to_owned(), file: None, id: None, whole: None };
        std::fs::write(ledger.path(), serde_json::to_string(&newer).expect("its words")).expect("a newer one");
        assert_eq!(needs(&builds, &steps), [Need::Since; 6]);
    }

    #[test]
    fn what_somebody_has_come_to_use_stays_whatever_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, books) = (State::at(folder.path()), Books::default());
        let ledger = state.ledger("engine");
        let taken_over = |step: &Step| step.kind() == Kind::Volume;
        let builds = NeededByBuilds::new(&state, &ledger, &books).unless(&taken_over);
        let volume = step(Deed::RemoveVolume { name: "v".to_owned(), created: None }, Reason::OfSession);
        assert_eq!(needs(&builds, &[volume, remove(1)]), [Need::Since, Need::None]);
    }
}
