//! Which keep patterns match nothing on an engine, whatever it holds.

use crate::engine::Engine;
use crate::model::{Container, Image, Pattern};
use crate::plan::unmatched::{Named, Unmatched, unmatched};

/// `images` where they were listed already. The rest is listed only where some pattern has matched nothing so far,
/// and what can't be listed may match.
pub(crate) async fn find(
    engine: &impl Engine,
    keep: &[Pattern],
    images: Option<&[Image]>,
    containers: &[Container],
) -> Vec<Unmatched> {
    let containers = || containers.iter().map(|one| Named { name: &one.name, id: &one.id });
    let known: Vec<Named> = containers().collect();
    if unmatched(keep, images.unwrap_or_default(), &known).is_empty() {
        return Vec::new();
    }
    let listed = async { if images.is_some() { Ok(Vec::new()) } else { engine.images(false).await } };
    let Ok((listed, volumes, networks)) = tokio::try_join!(listed, engine.volumes(), engine.networks()) else {
        return Vec::new();
    };
    let volumes = volumes.iter().map(|volume| Named { name: &volume.name, id: &volume.name });
    let networks = networks.iter().map(|network| Named { name: &network.name, id: &network.id });
    let named: Vec<Named> = containers().chain(volumes).chain(networks).collect();
    unmatched(keep, images.unwrap_or(&listed), &named)
}
