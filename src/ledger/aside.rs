//! The ledger for whoever waits for other things too. Its lock may be held for seconds, and a time-out or Ctrl-C must
//! come through meanwhile: so it is read and written on a thread aside, which nobody has to wait for.

use jiff::Timestamp;

use super::{Ledger, State};
use crate::error::{Error, Result};
use crate::model::{Books, LedgerId, Record, SessionKey};

impl Ledger {
    pub async fn read_aside(&self) -> Result<(Books, usize)> {
        let ledger = self.clone();
        aside(move || ledger.read()).await
    }

    pub async fn id_aside(&self) -> Result<LedgerId> {
        let ledger = self.clone();
        aside(move || ledger.id()).await
    }

    pub async fn append_aside(&self, records: Vec<Record>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let ledger = self.clone();
        aside(move || ledger.append(&records)).await
    }
}

impl State {
    /// As [`State::built_elsewhere`], which reads as many ledgers as there are engines.
    pub async fn built_elsewhere_aside(&self, key: &SessionKey, here: &Ledger, since: Timestamp) -> Vec<String> {
        let (state, key, here) = (self.clone(), key.clone(), here.clone());
        aside(move || Ok(state.built_elsewhere(&key, &here, since))).await.unwrap_or_default()
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::failed("opening the ledger", error)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::books_tests::id;

    /// Far more than a time-out takes to come through, and far less than anybody waits for the lock.
    const AT_ONCE: Duration = Duration::from_secs(2);

    #[test]
    fn a_time_out_comes_through_while_somebody_holds_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = State::at(folder.path()).ledger("engine");
        let gone = || vec![Record::Gone { at: jiff::Timestamp::UNIX_EPOCH, ids: vec![id(1)] }];
        ledger.append(&gone()).expect("a note");
        let lock = std::fs::File::open(ledger.path().with_file_name("lock")).expect("the lock's file");
        lock.lock().expect("the lock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let began = Instant::now();
        runtime.block_on(async {
            let soon = Duration::from_millis(50);
            assert!(tokio::time::timeout(soon, ledger.read_aside()).await.is_err());
            assert!(tokio::time::timeout(soon, ledger.append_aside(gone())).await.is_err());
        });
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        lock.unlock().expect("the lock");
        runtime.block_on(async {
            ledger.append_aside(gone()).await.expect("a note");
            assert_eq!(ledger.read_aside().await, Ok((Books::default(), 0)));
        });
    }
}
