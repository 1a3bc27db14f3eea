//! The few questions that a plan takes besides the one look, each asked only where its answer matters.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::unmatched::{self, AlreadyListed};
use super::{AT_ONCE, Observation};
use crate::engine::Engine;
use crate::error::Result;
use crate::model::{ImageId, Kind, Pattern, Plan, Snapshot};
use crate::plan::clean::{
    Breadth, CleanPolicy, Here, Layers, anonymous, leave_bases, may_be_anonymous, share_with_cache, wants_bases,
    wants_layers,
};
use crate::plan::session_end::Extras;
use crate::plan::unmatched::Unmatched;

impl Observation {
    pub(super) async fn add_anonymous_volumes(&self, plan: &mut Plan, policy: &CleanPolicy) -> Result<()> {
        if may_be_anonymous(&self.snapshot, plan) {
            anonymous(&self.snapshot, &self.engine.volumes().await?, plan, policy);
        }
        Ok(())
    }

    /// The engine walks every volume for this. Where it does not say, nothing is counted.
    pub(super) async fn measure_volumes(&self, plan: &mut Plan) {
        let sizes = self.engine.volume_sizes().await.unwrap_or_default();
        let size = |name: &str| sizes.get(name).copied().unwrap_or(0);
        plan.steps.iter_mut().filter(|step| step.kind() == Kind::Volume).for_each(|step| step.bytes = size(&step.id()));
        plan.kept.iter_mut().filter(|kept| kept.kind == Kind::Volume).for_each(|kept| kept.bytes = size(&kept.id));
    }

    /// Counts what stays: with the bases of what goes, and, apart, on the disk as build cache.
    pub(super) async fn count_bytes(&self, plan: &mut Plan) -> Result<()> {
        let wanted = wants_bases(plan, &self.snapshot);
        if !wanted.is_empty() {
            leave_bases(plan, &self.snapshot, &self.layers_of(wanted).await?);
        }
        let seen = self.seen_cache.as_ref();
        let records = seen.map_or(&self.cache, |seen| &seen.records);
        share_with_cache(plan, &self.books, records, seen.map(|seen| &seen.books));
        Ok(())
    }

    /// What a session can leave besides containers and images.
    pub(crate) async fn extras(&self) -> Result<Extras> {
        let networks = self.engine.networks().await?;
        Ok(Extras { networks, volumes: self.engine.volumes().await? })
    }

    /// The keep patterns that match nothing here.
    pub(crate) async fn unmatched(&self, keep: &[Pattern]) -> Vec<Unmatched> {
        let Snapshot { images, containers, .. } = &self.snapshot;
        let known = AlreadyListed { images, all: self.breadth == Breadth::Whole, containers };
        unmatched::find(&self.engine, keep, known).await
    }

    /// What of these is not there: images and containers by the look, networks and volumes by a list of their own.
    pub(crate) async fn missing(&self, kinds: &HashSet<Kind>) -> Result<impl Fn(Kind, &str) -> bool> {
        let mut there: HashSet<(Kind, String)> = HashSet::new();
        there.extend(self.snapshot.images.iter().map(|image| (Kind::Image, image.id.to_string())));
        there.extend(self.snapshot.containers.iter().map(|one| (Kind::Container, one.id.clone())));
        let asks = kinds.contains(&Kind::Network) || kinds.contains(&Kind::Volume);
        let Extras { networks, volumes } = if asks { self.extras().await? } else { Extras::default() };
        there.extend(networks.into_iter().map(|network| (Kind::Network, network.id)));
        there.extend(volumes.into_iter().map(|volume| (Kind::Volume, volume.name)));
        let asked = |kind| !matches!(kind, Kind::BuildCache | Kind::BuilderState);
        Ok(move |kind, id: &str| asked(kind) && !there.contains(&(kind, id.to_owned())))
    }

    pub(super) async fn layers(&self, here: &Here, policy: &CleanPolicy) -> Result<Layers> {
        let empty = Layers::new();
        self.layers_of(wants_layers(&self.as_look(here, &empty), policy)).await
    }

    async fn layers_of(&self, wanted: Vec<ImageId>) -> Result<Layers> {
        let mut asked = stream::iter(wanted)
            .map(|id| async move { self.engine.image(&id.to_string()).await.map(|image| (id, image)) })
            .buffer_unordered(AT_ONCE);
        let mut layers = Layers::new();
        while let Some(answer) = asked.next().await {
            if let (id, Some(image)) = answer? {
                layers.insert(id, image.layers);
            }
        }
        drop(asked);
        Ok(layers)
    }
}
