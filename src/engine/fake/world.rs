//! What an engine in memory holds.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::model::{CacheRecord, Container, ImageId, Network, Reference, Volume};

/// How an engine keeps its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// Docker with a storage driver of its own.
    Graphdriver,
    /// Docker with its images in containerd's store.
    Containerd,
    Podman,
}

impl Store {
    pub const ALL: [Self; 3] = [Self::Graphdriver, Self::Containerd, Self::Podman];

    /// Whether a deletion looks first and then waits for the one before it.
    pub(super) fn deletes_by_turns(self) -> bool {
        self != Self::Containerd
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) parent: Option<ImageId>,
    pub(super) created: Timestamp,
    pub(super) size: u64,
    pub(super) labels: HashMap<String, String>,
    pub(super) layers: Vec<String>,
    /// Containerd's store has a name for an image that came without one. It ends when a tag is given, and not when
    /// the image is loaded once more under a name.
    pub(super) nameless: bool,
    pub(super) last_tagged: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct World {
    pub(super) store: Store,
    pub(super) now: Timestamp,
    pub(super) images: BTreeMap<ImageId, Held>,
    /// Tags, and digests by which an image was pushed or pulled.
    pub names: BTreeMap<Reference, ImageId>,
    pub containers: BTreeMap<String, Container>,
    /// What the names meant that a container mounts images by when it was made. It tells the names.
    pub(super) mounted: BTreeMap<String, Vec<ImageId>>,
    pub volumes: BTreeMap<String, Volume>,
    pub networks: BTreeMap<String, Network>,
    pub cache: BTreeMap<String, CacheRecord>,
    /// When images were given a name or came, and when they were deleted.
    pub(super) named: Vec<(Timestamp, Option<Reference>, ImageId)>,
    pub(super) deleted: Vec<(Timestamp, ImageId)>,
}

impl World {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            now: Timestamp::from_second(1_800_000_000).unwrap_or_default(),
            images: BTreeMap::new(),
            names: BTreeMap::new(),
            containers: BTreeMap::new(),
            mounted: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            cache: BTreeMap::new(),
            named: Vec::new(),
            deleted: Vec::new(),
        }
    }

    pub fn store(&self) -> Store {
        self.store
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap_or(Timestamp::MAX);
    }

    /// Nothing happens at the same moment as something else.
    pub(super) fn a_moment_passes(&mut self) {
        self.pass(SignedDuration::from_micros(100));
    }

    /// Whether nothing but time is between the two.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        self.names == other.names
            && self.images == other.images
            && self.containers == other.containers
            && self.volumes == other.volumes
            && self.networks == other.networks
            && self.cache == other.cache
    }

    /// The name of an image that has none, on containerd's store.
    pub fn nameless(id: ImageId) -> String {
        crate::engine::nameless(id)
    }

    /// A name as this engine writes it. Podman leaves nothing out.
    pub fn listed(&self, name: &str) -> Option<Reference> {
        if name.contains('@') {
            return Reference::listed(name);
        }
        let short = Reference::written(name)?;
        if self.store != Store::Podman || short.as_str().split_once('/').is_some_and(|(host, _)| is_host(host)) {
            return Some(short);
        }
        let path = if short.as_str().contains('/') { "docker.io" } else { "docker.io/library" };
        Reference::listed(&format!("{path}/{short}"))
    }

    /// The image of an ID or a name.
    pub fn find_image(&self, name: &str) -> Option<ImageId> {
        if let Some(id) = ImageId::parse(name) {
            return self.images.contains_key(&id).then_some(id);
        }
        if let Some(digits) = name.strip_prefix("moby-dangling@") {
            let id = ImageId::parse(digits)?;
            return self.images.get(&id).is_some_and(|held| held.nameless).then_some(id);
        }
        self.names.get(&self.listed(name)?).copied()
    }

    pub fn has(&self, id: ImageId) -> bool {
        self.images.contains_key(&id)
    }

    pub fn parent_of(&self, id: ImageId) -> Option<ImageId> {
        self.images.get(&id)?.parent
    }

    pub fn layers_of(&self, id: ImageId) -> Vec<String> {
        self.images.get(&id).map(|held| held.layers.clone()).unwrap_or_default()
    }

    pub fn labels_of(&self, id: ImageId) -> HashMap<String, String> {
        self.images.get(&id).map(|held| held.labels.clone()).unwrap_or_default()
    }

    pub fn ids(&self) -> Vec<ImageId> {
        self.images.keys().copied().collect()
    }

    pub fn names_of(&self, id: ImageId) -> impl Iterator<Item = &Reference> {
        self.names.iter().filter(move |(_, of)| **of == id).map(|(name, _)| name)
    }
}

fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}
