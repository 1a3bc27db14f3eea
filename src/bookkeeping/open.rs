//! The books of one engine, brought up to date and read.

use std::collections::HashSet;

use super::recovery::recover;
use super::running::over;
use crate::engine::Engine;
use crate::error::Result;
use crate::ledger::{Ledger, State};
use crate::model::{Books, BuildId, EngineInfo, Notice};

pub(crate) struct OpenBooks {
    pub(crate) ledger: Ledger,
    pub(crate) books: Books,
    /// Lines that can't be read.
    pub(crate) damage: Option<Notice>,
    /// Builds that had ended before, and that nobody has finished the books of.
    pub(crate) over: HashSet<BuildId>,
}

/// For whoever is about to delete: that takes an engine which says who it is.
pub(crate) async fn open_books(engine: &impl Engine, info: &EngineInfo, state: &State) -> Result<OpenBooks> {
    let identity =
        info.known().map_err(|error| error.hint("dkb deletes nothing on an engine that it could not know again"))?;
    let ledger = state.ledger(identity);
    let over = over(state);
    recover(engine, info, state, &ledger).await?;
    let (books, lines) = ledger.read_aside().await?;
    let damage = (lines > 0).then(|| Notice::Damaged { lines, ledger: ledger.path() });
    Ok(OpenBooks { ledger, books, damage, over })
}
