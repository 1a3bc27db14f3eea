//! After a build: what it made useless goes.

use std::collections::HashSet;
use std::future::Future;

use jiff::Timestamp;

use super::before::Before;
use crate::apply::Applier;
use crate::bookkeeping::running;
use crate::config::Settings;
use crate::engine::Engine;
use crate::error::Result;
use crate::ledger::{Ledger, State};
use crate::model::{Books, Build, BuildId, Doer, ImageId, Plan, Record, Snapshot};
use crate::observe::ours::{self, Ours};
use crate::plan::clean::{Breadth, wanted_by};
use crate::plan::superseded::{self, Candidates};
use crate::report;

/// So many images are asked for one by one before all are listed.
const FEW: usize = 2;

/// Takes away what the build, or the targets of a bake, made useless, and says how many images went.
pub(super) async fn take_away(
    before: &Before,
    state: &State,
    ledger: &Ledger,
    books: &Books,
    done: &[Build],
    settings: &Settings,
    stop: impl Future<Output = ()>,
) -> Result<usize> {
    let candidates = superseded::candidates_of_all(books, done, settings.keep_superseded);
    let Some(first) = done.first().filter(|_| !candidates.is_empty()) else { return Ok(0) };
    let engine = &before.engine;
    let info = &before.info;
    let ours = ours::images_of(engine, info, candidates.all()).await;
    let there = match &ours {
        Some(ours) => !ours.images.is_empty(),
        None => any_is_there(engine, &candidates).await?,
    };
    let containers = engine.containers().await?;
    // What the store drops while a container of it is there still tells whose that container is.
    let used: HashSet<ImageId> = containers.iter().filter_map(|container| container.image).collect();
    if !there {
        let ids: Vec<_> = candidates.all().filter(|id| !used.contains(id)).collect();
        if !ids.is_empty() {
            ledger.append_aside(vec![Record::Gone { at: Timestamp::now(), ids }]).await?;
        }
        return Ok(0);
    }
    let own: Vec<BuildId> = done.iter().map(|build| build.build.clone()).collect();
    let running = running(state, &own);
    let mut snapshot = Snapshot { engine: info.clone(), images: Vec::new(), containers };
    let planned = |snapshot: &Snapshot| superseded::steps(snapshot, books, &running, &settings.keep, &candidates);
    let (breadth, images, bases) = match ours {
        Some(Ours { images, bases }) => (Breadth::Ours, images, bases),
        None => (Breadth::Whole, engine.images(false).await?, HashSet::new()),
    };
    snapshot.images = images;
    let mut steps = planned(&snapshot);
    let wanted = wanted_by(&steps, &snapshot.images, &bases);
    if breadth < wanted {
        ours::widen(engine, &mut snapshot, wanted).await?;
        steps = planned(&snapshot);
    }
    let mut plan = Plan::new("build", info, Timestamp::now(), steps, Vec::new());
    let doer = Doer { verb: "build", of: &first.of };
    let applier = Applier::new(engine, &snapshot, (state, ledger, books), doer).of_builds(&own);
    let report = applier.carry_out(&mut plan, stop, |_, _| {}).await;
    let there: HashSet<ImageId> = snapshot.images.iter().map(|image| image.id).collect();
    let mut gone = report.gone;
    gone.extend(candidates.all().filter(|id| !there.contains(id) && !used.contains(id)));
    report::notice::tell(&applier.note(&plan, gone, Vec::new(), std::future::pending()).await?);
    Ok(plan.totals().done)
}

/// Most often it is one image, which the containerd store has dropped by itself: a list would cost far more.
async fn any_is_there(engine: &impl Engine, candidates: &Candidates) -> Result<bool> {
    let mut there = candidates.all().count() > FEW;
    let mut all = candidates.all();
    while !there && let Some(id) = all.next() {
        there = engine.image(&id.to_string()).await?.is_some();
    }
    Ok(there)
}
