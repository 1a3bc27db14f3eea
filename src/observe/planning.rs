//! A look and its plan, made by turns: what a plan wants to know besides is asked for, and it is made again.

use jiff::Timestamp;

use super::Observation;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::model::{Kind, Plan, Scope};
use crate::plan::cache;
use crate::plan::clean::{CacheWish, CleanLook, CleanPolicy, Here, Layers, plan, wanted};
use crate::plan::session_end::{self, Extras};

impl Observation {
    /// The plan for this policy, and the few questions that it takes besides the look.
    pub(crate) async fn plan(&mut self, here: &Here, policy: &CleanPolicy) -> Result<Plan> {
        match policy.scope {
            _ if policy.cache == CacheWish::Only => {
                let (layers, now) = (Layers::new(), Timestamp::now());
                let plan = Plan::new("clean", &self.info, now, Vec::new(), Vec::new());
                self.weighed(plan, &self.as_look(here, &layers), policy).await
            }
            // What a session runs goes with its end.
            Scope::Session(_) | Scope::Stale { .. } if policy.containers && policy.ends_sessions() => {
                let extras = self.extras().await?;
                self.plan_end(here, policy, &extras).await
            }
            _ => self.plan_by(here, policy, plan).await,
        }
    }

    /// The plan for sessions that end: what they have run goes too.
    pub(crate) async fn plan_end(&mut self, here: &Here, policy: &CleanPolicy, extras: &Extras) -> Result<Plan> {
        self.plan_by(here, policy, |look, policy| session_end::plan(look, extras, policy)).await
    }

    /// Makes the plan of what was seen, and again where more of the host has to be seen for it.
    async fn plan_by(
        &mut self,
        here: &Here,
        policy: &CleanPolicy,
        make: impl Fn(&CleanLook, &CleanPolicy) -> Plan,
    ) -> Result<Plan> {
        loop {
            let layers = self.layers(here, policy).await?;
            let look = self.as_look(here, &layers);
            let plan = make(&look, policy);
            let wanted = wanted(&look, policy, &plan, &self.bases);
            if self.breadth >= wanted {
                return self.weighed(plan, &look, policy).await;
            }
            self.widen(wanted).await?;
        }
    }

    /// The plan with what goes of the cache, its bytes, and the anonymous volumes of containers that go.
    async fn weighed(&self, mut plan: Plan, look: &CleanLook<'_>, policy: &CleanPolicy) -> Result<Plan> {
        if let Some(seen) = &self.seen_cache {
            cache::clean(&mut plan, look, policy, &seen.books, &seen.records);
        }
        if let Some(own) = policy.mounts.as_ref().filter(|_| self.info.can.prune_leaves_cache) {
            let asked = match &self.seen_cache {
                Some(_) => None,
                None => self.engine.cache().await?,
            };
            let records = self.seen_cache.as_ref().map(|seen| &seen.records).or(asked.as_ref());
            cache::add_mounts(&mut plan, look, policy, own, records.map_or(&[][..], Vec::as_slice));
        }
        self.count_bytes(&mut plan).await?;
        self.add_anonymous_volumes(&mut plan, policy).await?;
        if plan.steps.iter().any(|step| step.kind() == Kind::Volume)
            || plan.kept.iter().any(|kept| kept.kind == Kind::Volume)
        {
            self.measure_volumes(&mut plan).await;
        }
        Ok(plan)
    }
}
