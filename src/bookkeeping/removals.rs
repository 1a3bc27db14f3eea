//! After a plan was carried out: what is gone leaves the ledger and stands in the history. Everything that takes
//! anything away comes through here.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, State};
use crate::model::{Books, Doer, ImageId, Notice, Plan, Record, Removal};

/// How long somebody who asked to stop is kept waiting for the ledger's lock.
const GRACE: Duration = Duration::from_millis(400);

/// Where it is noted, and in whose name it went.
pub(crate) struct Removals<'a> {
    pub(crate) state: &'a State,
    pub(crate) ledger: &'a Ledger,
    pub(crate) books: &'a Books,
    pub(crate) doer: Doer<'a>,
}

impl Removals<'_> {
    /// Notes what this plan took away: in the history, of which a failure is no more than worth a word, and in the
    /// ledger, where the images end that are gone, by our hand or another's. `more` is noted there with them.
    pub(crate) async fn note(
        &self,
        plan: &Plan,
        gone: Vec<ImageId>,
        more: Vec<Record>,
        stop: impl Future<Output = ()>,
    ) -> Result<Vec<Notice>> {
        let now = Timestamp::now();
        let remembered = self.state.history().append(&Removal::all_of(plan, self.books, self.doer, now));
        let gone = (!gone.is_empty()).then_some(Record::Gone { at: now, ids: gone });
        let stopped = async {
            stop.await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            noted = self.ledger.append_aside(gone.into_iter().chain(more).collect()) => noted?,
            () = stopped => {
                let what = "somebody else held the ledger's lock when it was asked to stop";
                return Err(Error::new(ErrorKind::Interrupted, "noting what is gone", what)
                    .hint("the next dkb finds that it is gone"));
            }
        }
        Ok(remembered.err().map(Notice::Unremembered).into_iter().collect())
    }
}
