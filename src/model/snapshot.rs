//! What one engine said, and when: the one look that a plan is made from.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{Capabilities, Deed, ImageId, Reference, Stamp};
use crate::error::{Error, Result};

/// Who answers behind the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// What names this engine for good, whatever path leads to it; `None` where it cannot be had.
    pub identity: Option<String>,
    pub endpoint: String,
    pub version: String,
    /// `docker` or `podman`, for people.
    pub name: &'static str,
    pub can: Capabilities,
    pub root_dir: String,
    /// The engine's own clock, against which its creation times are read.
    pub now: Timestamp,
    /// How far that clock was ahead of ours.
    pub ahead: SignedDuration,
    /// How many images it says it has.
    pub images: usize,
}

impl EngineInfo {
    /// The engine's name for good. Nothing is written or deleted where it has none.
    pub fn known(&self) -> Result<&str> {
        let tried = || format!("asking {} who it is", self.endpoint);
        self.identity.as_deref().ok_or_else(|| Error::failed(tried(), "it does not say"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    /// Set by the classic builder, by commit and by Podman; what cannot be faked by a build's output.
    pub parent: Option<ImageId>,
    pub tags: Vec<Reference>,
    /// A digest without a tag of the same repository: pulled by digest, or left behind by a later pull.
    pub digests: Vec<String>,
    /// The digests that have a tag of their repository beside them.
    pub beside: Vec<String>,
    /// It has some digest, beside a tag or alone: on a graphdriver it was pushed or pulled.
    pub travelled: bool,
    pub created: i64,
    pub size: u64,
    /// Bytes of layers that other images use too, where the engine was asked for it.
    pub shared: Option<u64>,
    pub labels: HashMap<String, String>,
    /// No list has it any more, and it can't be asked; containers that were made from it are all that is left.
    pub dropped: bool,
}

impl Image {
    fn dropped(id: ImageId) -> Self {
        Self {
            id,
            parent: None,
            tags: Vec::new(),
            digests: Vec::new(),
            beside: Vec::new(),
            travelled: false,
            created: 0,
            size: 0,
            shared: None,
            labels: HashMap::new(),
            dropped: true,
        }
    }

    pub fn stamp(&self) -> Stamp {
        Stamp::of(&self.labels)
    }

    /// Whether anybody relies on a name of it: one that somebody gave it, or by which a session holds it.
    pub fn is_tagged(&self) -> bool {
        self.tags.iter().any(|tag| !tag.is_momentary())
    }

    /// The names that anybody but dkb gave it.
    pub fn public_tags(&self) -> impl Iterator<Item = &Reference> + Clone {
        self.tags.iter().filter(|tag| !tag.is_private())
    }
}

/// One image looked at closely, for the few times when the list does not say enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDetail {
    pub id: ImageId,
    pub parent: Option<ImageId>,
    pub tags: Vec<Reference>,
    /// All of them, as the engine says them.
    pub digests: Vec<String>,
    /// Finer than a list's seconds; `None` where the image carries no time.
    pub created: Option<Timestamp>,
    pub labels: HashMap<String, String>,
    /// The digests of its layers, from the base up.
    pub layers: Vec<String>,
    /// The build container that the classic builder committed it from, where the engine still says so.
    pub container: Option<String>,
    /// When it was last given a name, where the engine keeps that.
    pub last_tagged: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// The image it was made from, as the engine resolves it; gone images keep their ID here.
    pub image: Option<ImageId>,
    /// The image as the user named it when the container was made.
    pub image_name: String,
    pub state: ContainerState,
    pub created: i64,
    pub labels: HashMap<String, String>,
    /// Names or IDs of images mounted into it, which the engine does not protect from deletion by ID.
    pub image_mounts: Vec<String>,
    /// Names of volumes mounted into it.
    pub volumes: Vec<String>,
    /// IDs of the networks it is connected to, or their names where it was not started yet.
    pub networks: Vec<String>,
}

impl Container {
    /// When it was made, as far as the engine's word can be a time.
    pub(crate) fn made(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.created).ok()
    }

    /// It does nothing: it was only created, or it has ended.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, ContainerState::Created | ContainerState::Exited | ContainerState::Dead)
    }

    /// Whether it holds what the deed takes, images apart. A network is named where the container was never started.
    pub fn uses(&self, what: &Deed) -> bool {
        match what {
            Deed::StopContainer { id, .. } | Deed::RemoveContainer { id, .. } => self.id == *id,
            Deed::RemoveVolume { name, .. } => self.volumes.contains(name),
            Deed::RemoveBuilderState { name, .. } => self.holds_state(name),
            Deed::RemoveNetwork { id, name } => self.networks.iter().any(|of| of == id || of == name),
            Deed::RemoveImage { .. } | Deed::Untag { .. } | Deed::GiveBack { .. } | Deed::RemoveCache { .. } => false,
        }
    }

    pub fn stop(&self) -> Deed {
        Deed::StopContainer { id: self.id.clone(), name: self.name.clone() }
    }

    pub fn removal(&self) -> Deed {
        Deed::RemoveContainer { id: self.id.clone(), name: self.name.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    Dead,
    /// Not a container to anybody but the builder that works in it, or did until it was killed.
    Working,
    /// Podman's, which holds the pod of this name together and goes with it alone.
    Pod(String),
    /// No container at all, but a list of images for several platforms that somebody makes in Podman: what he pushes by
    /// it must be there.
    List,
    Other(String),
}

impl ContainerState {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Working => "working",
            Self::Pod(_) => "of a pod",
            Self::List => "manifest list",
            Self::Other(name) => name,
        }
    }

    /// Whether it goes by a call of its own, once it is stopped.
    pub fn goes_alone(&self) -> bool {
        !matches!(self, Self::Working | Self::Pod(_) | Self::List)
    }

    /// A container that holds an image but does nothing; any other state counts as at work.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Created | Self::Exited)
    }
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub engine: EngineInfo,
    pub images: Vec<Image>,
    pub containers: Vec<Container>,
}

impl Snapshot {
    pub fn image(&self, id: ImageId) -> Option<&Image> {
        self.images.iter().find(|image| image.id == id)
    }

    /// The containers whose image is in no list, by that image. Containerd's store drops an image with its last name,
    /// whoever uses it.
    pub fn of_dropped(&self) -> HashMap<ImageId, Vec<&Container>> {
        let listed: HashSet<ImageId> = self.images.iter().map(|image| image.id).collect();
        let mut found: HashMap<ImageId, Vec<&Container>> = HashMap::new();
        for container in &self.containers {
            if let Some(id) = container.image.filter(|id| !listed.contains(id)) {
                found.entry(id).or_default().push(container);
            }
        }
        found
    }

    /// Adds images that are known in another way than by the list, so that whose they were still counts for their
    /// containers.
    pub fn add_dropped(&mut self, is_known: impl Fn(ImageId) -> bool) {
        let mut known: Vec<ImageId> = self.of_dropped().into_keys().filter(|id| is_known(*id)).collect();
        known.sort_unstable();
        self.images.extend(known.into_iter().map(Image::dropped));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::engine::capabilities;
    use crate::model::books_tests::id;
    use crate::model::{PROJECT_LABEL, SESSION_LABEL, SessionKey, ledger};

    /// An image on a made-up host, said in one line.
    pub(crate) struct Draft(Image);

    pub(crate) fn image(n: u8) -> Draft {
        Draft(Image {
            id: id(n),
            parent: None,
            tags: Vec::new(),
            digests: Vec::new(),
            beside: Vec::new(),
            travelled: false,
            created: 0,
            size: 100,
            shared: None,
            labels: HashMap::new(),
            dropped: false,
        })
    }

    impl Draft {
        pub(crate) fn parent(mut self, n: u8) -> Self {
            self.0.parent = Some(id(n));
            self
        }
        pub(crate) fn tag(mut self, name: &str) -> Self {
            self.0.tags.push(Reference::written(name).expect(name));
            self
        }
        /// Held by a session of the ledger with this ID.
        pub(crate) fn held(mut self, by: char) -> Self {
            self.0.tags.push(self.0.id.hold(&ledger(by)));
            self
        }
        pub(crate) fn digest(mut self, name: &str) -> Self {
            self.0.digests.push(name.to_owned());
            self.0.travelled = true;
            self
        }
        pub(crate) fn stamp(mut self, key: &SessionKey) -> Self {
            self.0.labels.insert(PROJECT_LABEL.to_owned(), key.project.to_string());
            self.0.labels.insert(SESSION_LABEL.to_owned(), key.session.to_string());
            self
        }
        pub(crate) fn done(self) -> Image {
            self.0
        }
    }

    pub(crate) fn container(name: &str, image: u8, state: ContainerState) -> Container {
        Container {
            id: format!("{name}-id"),
            name: name.to_owned(),
            image: Some(id(image)),
            // By its ID, as in `docker run $(docker build -q .)`.
            image_name: id(image).to_string(),
            state,
            created: 0,
            labels: HashMap::new(),
            image_mounts: Vec::new(),
            volumes: Vec::new(),
            networks: Vec::new(),
        }
    }

    pub(crate) fn host(images: Vec<Image>, containers: Vec<Container>) -> Snapshot {
        Snapshot {
            engine: EngineInfo {
                identity: Some("engine".to_owned()),
                endpoint: "unix:///x".to_owned(),
                version: "28.5.2".to_owned(),
                name: "docker",
                can: capabilities::GRAPHDRIVER,
                root_dir: String::new(),
                now: Timestamp::from_second(1_000_000).expect("a time"),
                ahead: SignedDuration::ZERO,
                images: 0,
            },
            images,
            containers,
        }
    }
}
