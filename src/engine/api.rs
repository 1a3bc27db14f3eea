//! What dkb asks of any engine: the one seam between its decisions and whatever holds images.
//!
//! [`Docker`](super::Docker) asks a real engine, Docker or Podman, and [`Fake`](super::fake::Fake) is one in memory.
//! What is generic over this reaches an engine in no other way, so a test can stand between any two of its requests.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::ask::Hello;
use super::endpoint::{Endpoint, Way};
use super::outcome::{Answer, Removed};
use crate::error::Result;
use crate::model::{
    CacheRecord, Container, DiskUsage, Ended, EngineInfo, Image, ImageDetail, ImageId, Network, Reference, Volume,
};

/// The name that containerd's store gives to an image without one.
pub(crate) fn nameless(id: ImageId) -> String {
    format!("moby-dangling@{id}")
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connect: Duration,
    /// For a list or an inspection.
    pub ask: Duration,
    /// For a tag, a stop or a deletion.
    pub change: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), ask: Duration::from_secs(60), change: Duration::from_secs(300) }
    }
}

impl Limits {
    /// A program that carries the bytes may log in somewhere first, and docker's own logs in twice.
    pub(super) fn on(self, way: &Way) -> Self {
        let Way::ThroughCli { .. } = way else { return self };
        let connect = self.connect.saturating_mul(4);
        Self { connect, ask: self.ask.max(connect), ..self }
    }
}

/// What to delete: an ID, or one name of the image and nothing but that name.
#[derive(Clone, Copy, Debug)]
pub enum ToDelete<'a> {
    Id(ImageId),
    Name(&'a Reference),
    /// The name that containerd's store gives to an image without one, and takes back when somebody names it.
    Nameless(ImageId),
}

/// Of what changes something, an `Err` says that the engine could not even be asked.
#[allow(async_fn_in_trait)] // one thread does all of it, and nobody outside implements this
pub trait Engine {
    fn endpoint(&self) -> &Endpoint;

    fn hello(&self) -> &Hello;

    async fn info(&self) -> Result<EngineInfo>;

    /// Every image, classic intermediates included. Shared sizes cost the engine a walk over all layers.
    async fn images(&self, shared_sizes: bool) -> Result<Vec<Image>>;

    /// The images that bear one of these names, each as if it had no others: where somebody gave it more, these are not
    /// told. Shared sizes are what they share with each other. An image without a name is asked for by the store's own
    /// name for it, and is left out if others name it as their parent, unless `intermediates` are wanted too. Only
    /// where lists cost by what they answer.
    async fn images_named(&self, names: &[String], intermediates: bool) -> Result<Vec<Image>>;

    /// The images that bear a label, whatever its value, each with all its names.
    async fn images_labelled(&self, label: &str) -> Result<Vec<Image>>;

    /// All names that an image has now; `None` if it is not there.
    async fn names(&self, id: ImageId) -> Result<Option<Vec<Reference>>>;

    /// Every container, in whatever state, and those that a builder works in.
    async fn containers(&self) -> Result<Vec<Container>>;

    async fn volumes(&self) -> Result<Vec<Volume>>;

    /// The sizes of volumes by name, for which the engine walks each of them. Podman leaves the labels out of
    /// this answer, so nothing is decided by it.
    async fn volume_sizes(&self) -> Result<HashMap<String, u64>>;

    async fn networks(&self) -> Result<Vec<Network>>;

    /// The records of the build cache; `None` where the engine, or a proxy before it, has no such call.
    async fn cache(&self) -> Result<Option<Vec<CacheRecord>>>;

    /// What images, containers and the build cache take; volumes are left out, since they cost a walk each.
    async fn disk_usage(&self) -> Result<DiskUsage>;

    async fn tag(&self, id: ImageId, name: &Reference) -> Result<Answer>;

    /// Deletes what is named and never its parents, never by force.
    async fn delete_image(&self, target: ToDelete<'_>) -> Result<Answer<Removed>>;

    /// Removes a container that does not run. Its anonymous volumes stay: they may hold data, and are steps of their own.
    async fn remove_container(&self, id: &str) -> Result<Answer>;

    /// Stops a container by its own stop signal, within its own grace. One that does not run is done.
    async fn stop_container(&self, id: &str) -> Result<Answer>;

    async fn remove_volume(&self, name: &str) -> Result<Answer>;

    async fn remove_network(&self, id: &str) -> Result<Answer>;

    /// Deletes these records of the build cache, all in one call, and says which went. There is no other call for it
    /// than a prune that is told the IDs. Of what it leaves it does not say whether that is in use, has children or is
    /// gone.
    async fn delete_cache(&self, ids: &[String]) -> Result<Answer<Vec<String>>>;

    /// One image by name or ID; `None` if there is none.
    async fn image(&self, name: &str) -> Result<Option<ImageDetail>>;

    /// The same with the container it was committed from, where the engine still says so.
    async fn step(&self, name: &str) -> Result<Option<ImageDetail>>;

    /// The image that bears the name, by the first step of its history, which costs containerd's store half of an
    /// inspection. Where the image has none, or not all of it is here, this says nothing.
    async fn first_in_history(&self, name: &str) -> Result<Option<ImageId>>;

    /// Whether the engine told of the image between two moments of its own clock. It remembers only its latest
    /// events, and somebody between may not let them through, so a no says nothing. On containerd's store a yes
    /// costs a small part of an inspection.
    async fn told_of(&self, id: ImageId, since: Timestamp, until: Timestamp) -> bool;

    /// The names that images were given between two moments of the engine's own clock, in that order, as far as it
    /// remembers: Docker tells builds' names too, Podman not even all that somebody gave by hand.
    async fn tagged(&self, since: Timestamp, until: Timestamp) -> Vec<(Reference, ImageId)>;

    /// The images that were deleted between two moments of the engine's own clock, and when each was last. Podman tells
    /// only of those that were brought in again, and when that was.
    /// The engine remembers only its latest events, Podman now and then tells less than it remembers, and somebody
    /// between may not let them through: an image that is missing here says nothing.
    async fn deleted(&self, since: Timestamp, until: Timestamp) -> HashMap<ImageId, Timestamp>;

    /// When a container ended and what it wrote; `None` if it is gone. Measuring costs the engine a walk.
    async fn ended(&self, id: &str) -> Result<Option<Ended>>;

    /// The image of a container in the words of whoever made it; a list has its ID instead once the name has moved.
    async fn image_as_written(&self, container: &str) -> Result<Option<String>>;

    async fn volume(&self, name: &str) -> Result<Option<Volume>>;
}
