//! Whoever takes anything away: a plan is carried out, beside the builds that run meanwhile, and what went is noted.

use std::collections::HashSet;
use std::future::Future;

use super::{Carried, apply, image};
use crate::bookkeeping::{NeededByBuilds, Removals};
use crate::engine::Engine;
use crate::error::Result;
use crate::ledger::{Ledger, State};
use crate::model::{Books, BuildId, Doer, Holder, ImageId, Moment, Notice, Plan, Record, SessionKey, Snapshot, Step};
use crate::plan::order;

pub(crate) struct Applier<'a, E> {
    engine: &'a E,
    /// What the plan was made of.
    snapshot: &'a Snapshot,
    builds: NeededByBuilds<'a>,
    removals: Removals<'a>,
}

impl<'a, E: Engine> Applier<'a, E> {
    pub(crate) fn new(
        engine: &'a E,
        snapshot: &'a Snapshot,
        (state, ledger, books): (&'a State, &'a Ledger, &'a Books),
        doer: Doer<'a>,
    ) -> Self {
        let builds = NeededByBuilds::new(state, ledger, books);
        Self { engine, snapshot, builds, removals: Removals::new(state, ledger, books, doer) }
    }

    /// That of builds, which need nothing of what they take away themselves.
    pub(crate) fn of_builds(self, builds: &'a [BuildId]) -> Self {
        Self { builds: self.builds.but_for(builds), ..self }
    }

    /// What somebody has come to use since the look stays.
    pub(crate) fn unless(self, taken_over: &'a dyn Fn(&Step) -> bool) -> Self {
        Self { builds: self.builds.unless(taken_over), ..self }
    }

    pub(crate) async fn carry_out(
        &self,
        plan: &mut Plan,
        stop: impl Future<Output = ()>,
        mut progress: impl FnMut(Moment, &Step),
    ) -> Carried {
        let Snapshot { engine, images, .. } = self.snapshot;
        let told = self.removals.told(plan);
        let going = |id| self.removals.going(id);
        let tell = |moment, step: &Step| {
            if let Moment::Ended(outcome) = moment {
                self.removals.ended(step, outcome, &told);
            }
            progress(moment, step);
        };
        let deleter = image::ImageDeleter::of(self.engine, engine.can, &going);
        let depths = order::depths(images.iter());
        let carried = apply(&deleter, plan, &depths, async |step| self.builds.need(step).await, stop, tell).await;
        for holder in plan.kept.iter_mut().flat_map(|kept| &mut kept.holders) {
            match holder {
                Holder::Hold(name) if self.builds.is_own_hold(name) => *holder = Holder::OwnHold(std::mem::take(name)),
                _ => {}
            }
        }
        carried
    }

    /// The sessions in which somebody builds, or has built since the plan was made.
    pub(crate) async fn built_in(&self) -> Result<HashSet<SessionKey>> {
        self.builds.sessions().await
    }

    /// Notes what went, and `more` with it.
    pub(crate) async fn note(
        self,
        plan: &Plan,
        gone: Vec<ImageId>,
        more: Vec<Record>,
        stop: impl Future<Output = ()>,
    ) -> Result<Vec<Notice>> {
        self.removals.note(plan, gone, more, stop).await
    }
}
