//! An engine in memory, for tests: the rules of the three stores, and a place to stand between any two requests.
//!
//! [`World`] is what the engine holds and how it answers; `images`, `things` and `stranger` are its rules. [`Fake`]
//! asks it as dkb asks an engine. A request is as undivided as on a real one: where deletions go by turns, containers
//! and names are looked for first and not again when the turn comes. The promise `fake_engine` holds it to the real
//! engines.

mod images;
mod listing;
mod stranger;
mod things;
mod world;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::api::{Engine, ToDelete};
use super::ask::{Flavour, Hello};
use super::capabilities;
use super::endpoint::Endpoint;
use super::fault::Fault;
use super::outcome::{Answer, Removed};
use crate::error::Result;
use crate::model::{
    CacheRecord, Container, DiskUsage, Ended, EngineInfo, Image, ImageDetail, ImageId, Network, Reference, Volume,
};
pub use images::Refusal;
pub use stranger::{Loaded, container_of};
pub use world::{Store, World};

/// So many moments a deletion keeps its turn after it was decided, in which others may knock.
const CLEARING: usize = 3;

/// One request, as it reaches the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Something is asked, and of what.
    Look(&'static str, String),
    Tag(ImageId, Reference),
    Delete(String),
    /// Any other change, and of what.
    Change(&'static str, String),
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection.
    Refused,
    /// No answer, and nothing was done.
    LostBefore,
    /// It was done, and no answer came.
    LostAfter,
    /// An error, and nothing was done.
    Answer(u16),
    /// It was done, and the answer makes no sense.
    Garbage,
}

/// Called when a request reaches the engine, before it is looked at.
type Between = Box<dyn FnMut(&Request, &mut World) -> Option<Trouble>>;

pub struct Fake {
    world: RefCell<World>,
    endpoint: Endpoint,
    hello: Hello,
    between: RefCell<Option<Between>>,
    asked: RefCell<Vec<Request>>,
    /// A deletion has its turn.
    taken: Cell<bool>,
    waited: Cell<usize>,
}

impl Fake {
    pub fn new(store: Store) -> Self {
        Self::with(World::new(store))
    }

    pub fn with(world: World) -> Self {
        let (flavour, api) = match world.store {
            Store::Podman => (Flavour::Podman, "1.41"),
            Store::Graphdriver | Store::Containerd => (Flavour::Docker, "1.51"),
        };
        Self {
            world: RefCell::new(world),
            endpoint: Endpoint::unix("/nowhere/fake.sock"),
            hello: Hello { flavour, api_version: api.to_owned(), builder_version: None },
            between: RefCell::default(),
            asked: RefCell::default(),
            taken: Cell::default(),
            waited: Cell::default(),
        }
    }

    /// What it holds, to look at and to change as anybody may.
    pub fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// From now on this is called at each request.
    pub fn between(&self, meddle: impl FnMut(&Request, &mut World) -> Option<Trouble> + 'static) {
        *self.between.borrow_mut() = Some(Box::new(meddle));
    }

    pub fn undisturbed(&self) {
        *self.between.borrow_mut() = None;
    }

    /// All requests so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.borrow().clone()
    }

    /// How many deletions had to wait for their turn inside the engine, where what comes meanwhile is lost.
    pub fn waited(&self) -> usize {
        self.waited.get()
    }

    fn reach(&self, request: Request) -> Option<Trouble> {
        let trouble = match self.between.borrow_mut().as_mut() {
            Some(meddle) => meddle(&request, &mut self.world.borrow_mut()),
            None => None,
        };
        self.asked.borrow_mut().push(request);
        self.world.borrow_mut().a_moment_passes();
        trouble
    }

    /// A request and its answer, each on its way for a moment in which other requests may come and go.
    async fn ask<T>(&self, request: Request, act: impl FnOnce(&mut World) -> Result<T, Refusal>) -> Result<T, Fault> {
        a_moment().await;
        let answer = match self.reach(request) {
            None => act(&mut self.world.borrow_mut()).map_err(refused),
            Some(trouble) => {
                if matches!(trouble, Trouble::LostAfter | Trouble::Garbage) {
                    let _ = act(&mut self.world.borrow_mut());
                }
                Err(fault(trouble))
            }
        };
        a_moment().await;
        answer
    }

    async fn look<T>(&self, what: &'static str, of: &str, answer: impl FnOnce(&World) -> T) -> Result<T> {
        let asked = self.ask(Request::Look(what, of.to_owned()), |world| Ok(answer(world))).await;
        asked.map_err(|fault| fault.into_error(&format!("{what} {of}")))
    }

    async fn change<T>(
        &self,
        what: &'static str,
        of: &str,
        act: impl FnOnce(&mut World) -> Result<T, Refusal>,
    ) -> Result<Answer<T>> {
        sort(self.ask(Request::Change(what, of.to_owned()), act).await, what)
    }

    /// Looks for containers and names, waits for its turn, and deletes without looking again.
    async fn delete(&self, name: String) -> Result<Removed, Fault> {
        a_moment().await;
        let trouble = self.reach(Request::Delete(name.clone()));
        if let Some(trouble) = trouble.filter(|trouble| !matches!(trouble, Trouble::LostAfter | Trouble::Garbage)) {
            a_moment().await;
            return Err(fault(trouble));
        }
        let checked = self.world.borrow_mut().check_deletion(&name).map_err(refused);
        let removed = match checked {
            Ok(deletion) if deletion.takes_image() && self.world.borrow().store.deletes_by_turns() => {
                if self.taken.get() {
                    self.waited.set(self.waited.get().saturating_add(1));
                }
                while self.taken.get() {
                    a_moment().await;
                }
                let _turn = Turn::take(&self.taken);
                let removed = self.world.borrow_mut().delete(deletion).map_err(refused);
                for _ in 0..CLEARING {
                    a_moment().await;
                }
                removed
            }
            Ok(deletion) => self.world.borrow_mut().delete(deletion).map_err(refused),
            Err(refusal) => Err(refusal),
        };
        a_moment().await;
        trouble.map_or(removed, |trouble| Err(fault(trouble)))
    }
}

struct Turn<'f>(&'f Cell<bool>);

impl<'f> Turn<'f> {
    fn take(taken: &'f Cell<bool>) -> Self {
        taken.set(true);
        Self(taken)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Lets whoever else is under way go one step.
async fn a_moment() {
    let mut passed = false;
    poll_fn(|context| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn refused(Refusal { status, message }: Refusal) -> Fault {
    Fault::Answered { status, message }
}

fn fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Refused => Fault::Unreached { why: "connection refused".to_owned(), next: "" },
        Trouble::LostBefore => Fault::Late(Duration::from_secs(300)),
        Trouble::LostAfter => Fault::Lost("connection reset".to_owned()),
        Trouble::Answer(status) => Fault::Answered { status, message: "out of order".to_owned() },
        Trouble::Garbage => Fault::Rubbish("<html>".to_owned()),
    }
}

fn sort<T>(answer: Result<T, Fault>, tried: &str) -> Result<Answer<T>> {
    answer.map_or_else(|fault| Answer::of(fault, tried), |done| Ok(Answer::Done(done)))
}

impl Engine for Fake {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn hello(&self) -> &Hello {
        &self.hello
    }

    async fn info(&self) -> Result<EngineInfo> {
        let is_containerd = self.world.borrow().store == Store::Containerd;
        let (now, images) = self.look("asking about", "itself", |world| (world.now, world.images.len())).await?;
        Ok(EngineInfo {
            identity: Some("fake".to_owned()),
            endpoint: self.endpoint.to_string(),
            version: "28.5.2".to_owned(),
            name: self.hello.flavour.name(),
            can: capabilities::of(self.hello.flavour, is_containerd, self.hello.version()),
            root_dir: String::new(),
            now,
            ahead: SignedDuration::ZERO,
            images,
        })
    }

    async fn images(&self, shared_sizes: bool) -> Result<Vec<Image>> {
        self.look("listing", "images", |world| world.list_images(shared_sizes)).await
    }

    async fn images_named(&self, names: &[String], intermediates: bool) -> Result<Vec<Image>> {
        self.look("listing images by", &names.join(" "), |world| world.list_named(names, intermediates)).await
    }

    async fn images_labelled(&self, label: &str) -> Result<Vec<Image>> {
        let labelled = |world: &World| {
            let mut images = world.list_images(false);
            images.retain(|image| image.labels.contains_key(label));
            images
        };
        self.look("listing images by", label, labelled).await
    }

    async fn names(&self, id: ImageId) -> Result<Option<Vec<Reference>>> {
        let names = |world: &World| world.has(id).then(|| world.names_of(id).cloned().collect());
        self.look("asking for the names of", &id.short(), names).await
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        self.look("listing", "containers", World::list_containers).await
    }

    async fn volumes(&self) -> Result<Vec<Volume>> {
        let unmeasured = |world: &World| world.volumes.values().map(|v| Volume { size: None, ..v.clone() }).collect();
        self.look("listing", "volumes", unmeasured).await
    }

    async fn volume_sizes(&self) -> Result<HashMap<String, u64>> {
        let sizes = |world: &World| world.volumes.values().filter_map(|v| Some((v.name.clone(), v.size?))).collect();
        self.look("measuring", "volumes", sizes).await
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        self.look("listing", "networks", |world| world.networks.values().cloned().collect()).await
    }

    async fn cache(&self) -> Result<Option<Vec<CacheRecord>>> {
        self.look("listing", "the build cache", World::list_cache).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.look("measuring", "disk use", World::disk_usage).await
    }

    async fn tag(&self, id: ImageId, name: &Reference) -> Result<Answer> {
        sort(self.ask(Request::Tag(id, name.clone()), |world| world.tag(id, name.as_str())).await, "tagging")
    }

    async fn delete_image(&self, target: ToDelete<'_>) -> Result<Answer<Removed>> {
        let name = match target {
            ToDelete::Id(id) => id.to_string(),
            ToDelete::Name(name) => name.to_string(),
            ToDelete::Nameless(id) => World::nameless(id),
        };
        Ok(match sort(self.delete(name).await, "deleting")? {
            // As the real client reads it.
            Answer::Refused { status: 500, message } if self.hello.flavour == Flavour::Podman => {
                Answer::Conflict(message)
            }
            outcome => outcome,
        })
    }

    async fn remove_container(&self, id: &str) -> Result<Answer> {
        self.change("removing container", id, |world| world.remove_container(id)).await
    }

    async fn stop_container(&self, id: &str) -> Result<Answer> {
        self.change("stopping container", id, |world| world.stop_container(id)).await
    }

    async fn remove_volume(&self, name: &str) -> Result<Answer> {
        self.change("removing volume", name, |world| world.remove_volume(name)).await
    }

    async fn remove_network(&self, id: &str) -> Result<Answer> {
        self.change("removing network", id, |world| world.remove_network(id)).await
    }

    async fn delete_cache(&self, ids: &[String]) -> Result<Answer<Vec<String>>> {
        let called = ids.join(" ");
        Ok(match self.change("deleting build cache", &called, |world| world.delete_cache(ids)).await? {
            Answer::Missing => Answer::Refused { status: 404, message: "this engine has no such call".to_owned() },
            other => other,
        })
    }

    async fn image(&self, name: &str) -> Result<Option<ImageDetail>> {
        self.look("inspecting", name, |world| world.detail(name)).await
    }

    async fn step(&self, name: &str) -> Result<Option<ImageDetail>> {
        self.image(name).await
    }

    async fn first_in_history(&self, name: &str) -> Result<Option<ImageId>> {
        self.look("asking for the history of", name, |world| world.find_image(name)).await
    }

    async fn told_of(&self, id: ImageId, since: Timestamp, until: Timestamp) -> bool {
        let told =
            |world: &World| world.named.iter().any(|(at, _, named)| *named == id && (since..=until).contains(at));
        self.look("asking for events of", &id.short(), told).await.unwrap_or_default()
    }

    async fn tagged(&self, since: Timestamp, until: Timestamp) -> Vec<(Reference, ImageId)> {
        let tagged = |world: &World| {
            let within = world.named.iter().filter(|(at, ..)| (since..=until).contains(at));
            within.filter_map(|(_, name, id)| Some((name.clone()?, *id))).collect()
        };
        self.look("asking for events of", "names", tagged).await.unwrap_or_default()
    }

    async fn deleted(&self, since: Timestamp, until: Timestamp) -> HashMap<ImageId, Timestamp> {
        let deleted = |world: &World| {
            let is_back = |id: &ImageId| world.images.contains_key(id);
            let tells = |id: &ImageId| world.store != Store::Podman || is_back(id);
            let within = world.deleted.iter().filter(|(at, id)| (since..=until).contains(at) && tells(id));
            within.map(|(at, id)| (*id, *at)).collect()
        };
        self.look("asking for events of", "deletions", deleted).await.unwrap_or_default()
    }

    async fn ended(&self, id: &str) -> Result<Option<Ended>> {
        self.look("inspecting container", id, |world| world.end_of(id)).await
    }

    async fn image_as_written(&self, container: &str) -> Result<Option<String>> {
        let written = |world: &World| world.containers.get(container).map(|one| one.image_name.clone());
        self.look("inspecting container", container, written).await
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>> {
        self.look("inspecting volume", name, |world| world.volumes.get(name).cloned()).await
    }
}
