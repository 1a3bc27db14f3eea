//! Builds that run now, and those that begin while a plan is carried out: what they may need stays, although the
//! look did not see them.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::OsString;

use crate::ledger::State;
use crate::model::{Books, BuildId, Deed, ImageId, Kind, Step};
use crate::plan::clean::{RunningBuild, needed_by_builds};

/// Asked before every step, so it reads no more than a folder's names while no build comes or goes.
pub(crate) struct NeededByBuilds<'a> {
    state: &'a State,
    books: &'a Books,
    /// The builds that ask, if any do: they need nothing of what they take away themselves.
    own: &'a [BuildId],
    /// Whether somebody has come to use all of it, which may take seconds to find out where a lock is held. Who has come
    /// once is not asked about again.
    taken_over: Option<&'a dyn Fn() -> bool>,
    is_taken_over: Cell<bool>,
    now: RefCell<Now>,
}

/// What was found behind these names.
#[derive(Default)]
struct Now {
    folders: Option<Vec<OsString>>,
    running: Vec<RunningBuild>,
    needed: HashSet<ImageId>,
}

impl<'a> NeededByBuilds<'a> {
    pub(crate) fn new(state: &'a State, books: &'a Books) -> Self {
        Self { state, books, own: &[], taken_over: None, is_taken_over: Cell::new(false), now: RefCell::default() }
    }

    pub(crate) fn but_for(self, own: &'a [BuildId]) -> Self {
        Self { own, ..self }
    }

    pub(crate) fn unless(self, taken_over: &'a dyn Fn() -> bool) -> Self {
        Self { taken_over: Some(taken_over), ..self }
    }

    /// Whether a build that runs now may rely on what this step takes away.
    pub(crate) fn need(&self, step: &Step) -> bool {
        if !self.is_taken_over.get() {
            self.is_taken_over.set(self.taken_over.is_some_and(|taken_over| taken_over()));
        }
        if self.is_taken_over.get() {
            return true;
        }
        if step.kind() != Kind::Image {
            return false;
        }
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
            Deed::RemoveImage { id, .. } => now.needed.contains(id),
            // It would take the name again, from an image that nothing holds any more.
            Deed::GiveBack { name, .. } => {
                now.running.iter().flat_map(|build| &build.tags).any(|tag| tag.names_the_same(name))
            }
            _ => false,
        }
    }
}

/// Builds that run now, but for these.
pub(crate) fn running(state: &State, but: &[BuildId]) -> Vec<RunningBuild> {
    let unfinished = state.unfinished();
    let others = unfinished.into_iter().filter(|other| other.still_runs() && !but.contains(&other.intent.build));
    others.map(|other| RunningBuild { of: other.intent.of, key: other.intent.key, tags: other.intent.tags }).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ledger::Intent;
    use crate::model::books_tests::{id, key};
    use crate::model::{ImageGuard, Reason, Reference};

    #[test]
    fn what_a_build_needs_that_began_since_the_plan_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, books) = (State::at(folder.path()), Books::default());
        let tag = |name: &str| Reference::written(name).expect("a name");
        let step = |deed, reason| Step::new(deed, reason, 0);
        let give_back = |name: &str| {
            step(Deed::GiveBack { name: tag(name), from: id(1), to: id(2), hold: None }, Reason::OfSession)
        };
        let steps = [
            give_back("app:dev"),
            give_back("app:other"),
            step(Deed::Untag { image: id(2), name: tag("dkb.invalid/held:1") }, Reason::OwnName),
            step(Deed::Untag { image: id(2), name: tag("app:dev") }, Reason::OfSession),
            step(Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged }, Reason::OfSession),
        ];
        let builds = NeededByBuilds::new(&state, &books);
        let needed = || steps.iter().map(|step| builds.need(step)).collect::<Vec<_>>();
        assert_eq!(needed(), [false; 5]);
        let intent = Intent {
            build: BuildId::parse("1").expect("an ID"),
            of: key("p", "s"),
            started: Timestamp::UNIX_EPOCH,
            tags: vec![tag("docker.io/library/app:dev")],
            key: "k".to_owned(),
            stamp: key("p", "s").into(),
            classic: false,
            tilt: false,
            ci: false,
            slot: None,
            copy: None,
            socket: None,
            beside: Vec::new(),
            compose: None,
        };
        let running = state.begin(&intent).expect("a build");
        assert_eq!(needed(), [true, false, true, false, false]);
        running.finish();
        assert_eq!(needed(), [false; 5]);
    }
}
