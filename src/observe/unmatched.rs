//! Which keep patterns match nothing on an engine, whatever it holds.

use crate::engine::Engine;
use crate::model::{Container, Image, Pattern};
use crate::plan::unmatched::{Named, Unmatched, unmatched};

/// What is known already.
pub(crate) struct AlreadyListed<'a> {
    pub(crate) images: &'a [Image],
    /// There are no others.
    pub(crate) all: bool,
    pub(crate) containers: &'a [Container],
}

/// The rest is listed only where some pattern has matched nothing so far, and what can't be listed may match.
pub(crate) async fn find(engine: &impl Engine, keep: &[Pattern], known: AlreadyListed<'_>) -> Vec<Unmatched> {
    let AlreadyListed { images, all, containers } = known;
    let containers = || containers.iter().map(|one| Named { name: &one.name, id: &one.id });
    let known: Vec<Named> = containers().collect();
    if unmatched(keep, images, &known).is_empty() {
        return Vec::new();
    }
    let Ok((volumes, networks)) = tokio::try_join!(engine.volumes(), engine.networks()) else { return Vec::new() };
    let volumes = volumes.iter().map(|volume| Named { name: &volume.name, id: &volume.name });
    let networks = networks.iter().map(|network| Named { name: &network.name, id: &network.id });
    let named: Vec<Named> = containers().chain(volumes).chain(networks).collect();
    let left = unmatched(keep, images, &named);
    // Images last, of which a list may cost far more.
    if all || left.is_empty() {
        return left;
    }
    engine.images(false).await.map_or(Vec::new(), |images| unmatched(keep, &images, &named))
}
