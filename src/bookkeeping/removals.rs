//! What a plan takes away leaves the ledger and stands in the history. Everything that takes anything away comes through
//! here.
//!
//! It is noted as it goes, in notes of its own ([`Removing`]), and put into the books at the end: the ledger's lock is
//! taken once. Where dkb was killed before, whoever opens the books next does that.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Removing, State};
use crate::model::{
    Books, Deed, Doer, EngineInfo, ImageId, Notice, Outcome, Plan, Record, Removal, RemovalsOf, SessionKey, Step, Taken,
};
use crate::plan::ended_records::never_went;

/// How long somebody who asked to stop is kept waiting for the ledger's lock.
const GRACE: Duration = Duration::from_millis(400);

pub(crate) struct Removals<'a> {
    state: &'a State,
    ledger: &'a Ledger,
    books: &'a Books,
    /// In whose name it goes.
    doer: Doer<'a>,
    /// Made with the first note. Where there is no place for them, nobody will know after a kill.
    notes: OnceCell<Result<Removing>>,
}

impl<'a> Removals<'a> {
    pub(crate) fn new(state: &'a State, ledger: &'a Ledger, books: &'a Books, doer: Doer<'a>) -> Self {
        Self { state, ledger, books, doer, notes: OnceCell::new() }
    }

    pub(crate) fn told(&self, plan: &Plan) -> RemovalsOf<'a> {
        RemovalsOf::new(plan, self.books, self.doer)
    }

    /// The engine is about to be asked to delete this image.
    pub(crate) fn going(&self, image: ImageId) {
        let _ = self.notes().as_ref().map(|notes| notes.going(image));
    }

    pub(crate) fn ended(&self, step: &Step, outcome: Outcome, told: &RemovalsOf) {
        let Ok(notes) = self.notes() else { return };
        if let Some(image) = step.removed_image() {
            match outcome {
                Outcome::AlreadyGone => notes.going(image),
                Outcome::Kept | Outcome::Failed => notes.stays(image),
                Outcome::Done | Outcome::Unknown | Outcome::NotTried => {}
            }
        }
        told.of(step, outcome, Timestamp::now()).into_iter().for_each(|removal| notes.went(removal));
    }

    fn notes(&self) -> &Result<Removing> {
        self.notes.get_or_init(|| self.ledger.removing())
    }

    /// Notes what this plan took away: in the history, of which a failure is no more than worth a word, and in the
    /// ledger, where the images end that are gone, by our hand or another's. `more` is noted there with them.
    pub(crate) async fn note(
        self,
        plan: &Plan,
        gone: Vec<ImageId>,
        more: Vec<Record>,
        stop: impl Future<Output = ()>,
    ) -> Result<Vec<Notice>> {
        let now = Timestamp::now();
        let remembered = self.state.history().append(&Removal::all_of(plan, self.books, self.doer, now));
        // Whoever finishes this, should the ledger's lock not come, has no more to remember.
        if let (Ok(()), Some(Ok(notes))) = (&remembered, self.notes.get()) {
            notes.remembered();
        }
        let back = self.back(plan, now);
        let gone = (!gone.is_empty()).then_some(Record::Gone { at: now, ids: gone });
        let stopped = async {
            stop.await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            noted = self.ledger.append_aside(back.into_iter().chain(gone).chain(more).collect()) => noted?,
            () = stopped => {
                let what = "somebody else held the ledger's lock when it was asked to stop";
                return Err(Error::new(ErrorKind::Interrupted, "noting what is gone", what)
                    .hint("the next dkb notes it"));
            }
        }
        let unanswered = plan.steps.iter().filter(|step| step.result == Some(Outcome::Unknown));
        let unanswered = unanswered.filter_map(Step::removed_image);
        if let Some(Ok(notes)) = self.notes.into_inner() {
            notes.finish(unanswered);
        }
        Ok(remembered.err().map(Notice::Unremembered).into_iter().collect())
    }

    /// The tags that sessions have given back, whose images bore them until then.
    fn back(&self, plan: &Plan, at: Timestamp) -> Vec<Record> {
        let mut back = Vec::new();
        for step in plan.steps.iter().filter(|step| step.is_done()) {
            let Deed::GiveBack { name, from: Some(from), to, .. } = &step.deed else { continue };
            let took = |taken: &Taken| taken.from == *to && taken.tag.names_the_same(name);
            let entries = self.books.sessions.values().filter(|entry| entry.took.iter().any(took));
            let gave = |key: &SessionKey| self.books.claims(*from).any(|build| build.of == *key);
            let keys = entries.map(|entry| &entry.key).filter(|key| gave(key));
            back.extend(keys.map(|key| Record::Back { key: key.clone(), at, tag: name.clone(), image: *to }));
        }
        back
    }
}

/// What was cut off so long ago is given up where the engine tells nothing of it.
pub(super) fn is_older_than(days: i64, began: Timestamp) -> bool {
    Timestamp::now().duration_since(began).as_hours() >= days.saturating_mul(24)
}

/// Notes what those took away who were killed before they had said so, or stopped before the engine had. What it was
/// just asked for counts as gone, unless it shows that it never went.
pub(crate) async fn tell_what_was_cut_off(
    engine: &impl Engine,
    info: &EngineInfo,
    state: &State,
    ledger: &Ledger,
) -> Result<()> {
    for mut cut_off in ledger.cut_off() {
        let went: HashSet<&str> = cut_off.removals.iter().map(|removal| removal.id.as_str()).collect();
        let in_flight: Vec<ImageId> =
            cut_off.gone.iter().copied().filter(|id| !went.contains(id.to_string().as_str())).collect();
        for id in in_flight {
            // Whichever clock was behind: an image that came back did so later.
            let began = cut_off.began.and_then(|began| Some(began.min(began.checked_add(info.ahead).ok()?)));
            let image = match engine.image(&id.to_string()).await {
                Ok(image) => image,
                // It may never say anything of it.
                Err(_) if cut_off.began.is_none_or(|began| is_older_than(1, began)) => None,
                // Nobody may go on as if it had.
                Err(error) => return Err(error),
            };
            if image.is_some_and(|image| never_went(&image, began)) {
                cut_off.gone.retain(|gone| *gone != id);
            }
        }
        let gone = (!cut_off.gone.is_empty()).then(|| Record::Gone { at: Timestamp::now(), ids: cut_off.gone.clone() });
        ledger.append_aside(gone.into_iter().collect()).await?;
        // Nothing is decided by it.
        let untold = cut_off.removals.iter().skip(cut_off.remembered).cloned();
        let _ = state.history().append(&Removal::together(untold));
        cut_off.finish();
    }
    Ok(())
}
