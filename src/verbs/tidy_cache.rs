//! What a build leaves to a process of its own: which build cache is ours, and what of it nobody needs any more.
//!
//! Nobody waits for it, so nobody is told anything. What it could not look at stays in the cache, and is nobody's.

use std::time::Duration;

use crate::app::App;
use crate::bookkeeping::SOON;
use crate::building::take_superseded_cache;
use crate::engine::{Buildx, Engine, Limits};
use crate::error::Result;
use crate::model::Doer;
use crate::processes::apart;

/// How long it waits for whoever builds beside what has ended, and how often. After that the next build looks.
const PAUSE: Duration = Duration::from_secs(4);
const ROUNDS: usize = 20;

pub(super) fn tidy_cache(app: &App) -> Result<u8> {
    apart::leave();
    apart::step_back();
    let state = app.state()?;
    let program = app.program()?;
    app.runtime()?.block_on(async {
        let engine = app.engine(Limits::default()).await?;
        let info = engine.info().await?;
        let notes = state.cache(info.known()?);
        for _ in 0..ROUNDS {
            if !notes.has_ended() {
                break;
            }
            // Whoever has the turn looks once more before he goes.
            let Some(turn) = notes.turn()? else { break };
            tokio::time::sleep(SOON).await;
            // The folder may have been somebody's for a moment only, and is not to be made anew.
            if !notes.has_ended() {
                break;
            }
            let buildx = Buildx { docker: &program.path, flags: &app.docker.words };
            if take_superseded_cache(Doer { verb: "build", of: &app.key }, &state, turn, &engine, &info, buildx).await?
            {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(0)
    })
}
