//! What anybody can do to an engine besides what dkb asks of it.

use std::collections::HashMap;

use jiff::Timestamp;

use super::images::{Refusal, refuse};
use super::world::{Held, Store, World};
use crate::model::{CacheRecord, Container, ContainerState, ImageId, Network, Volume};

/// An image as it stands in an archive, or as a build makes it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub id: ImageId,
    pub names: Vec<String>,
    pub parent: Option<ImageId>,
    pub labels: HashMap<String, String>,
    pub layers: Vec<String>,
    pub size: u64,
    pub created: Timestamp,
}

impl Loaded {
    pub fn new(id: ImageId) -> Self {
        Self {
            id,
            names: Vec::new(),
            parent: None,
            labels: HashMap::new(),
            layers: vec![id.short()],
            size: 100,
            created: Timestamp::UNIX_EPOCH,
        }
    }
}

impl World {
    /// What is there already gets the names beside its own.
    pub fn load(&mut self, image: Loaded) {
        let Loaded { id, names, parent, labels, layers, size, created } = image;
        let nameless = names.is_empty() && self.store == Store::Containerd;
        let held = Held { parent, created, size, labels, layers, nameless: false, last_tagged: None };
        self.images.entry(id).or_insert(held).nameless |= nameless;
        for name in names {
            if let Some(name) = self.listed(&name) {
                self.give(id, name.clone());
                self.named.push((self.now, Some(name), id));
            }
        }
        self.named.push((self.now, None, id));
    }

    /// A build whose result takes this name. The image that had it before is gone at once on containerd's store, unless
    /// it is used or has another name.
    pub fn build(&mut self, image: Loaded) {
        let before: Vec<ImageId> = image.names.iter().filter_map(|name| self.find_image(name)).collect();
        let id = image.id;
        self.load(image);
        if self.store == Store::Containerd {
            for lost in before.into_iter().filter(|lost| *lost != id) {
                if self.names_of(lost).next().is_none() && !self.is_used(lost) {
                    self.images.remove(&lost);
                    self.deleted.push((self.now, lost));
                }
            }
        }
    }

    /// Deletes an image as `docker rmi` does without force, its parents left alone.
    pub fn remove_image(&mut self, name: &str) -> Result<(), Refusal> {
        let deletion = self.check_deletion(name)?;
        self.delete(deletion).map(|_| ())
    }

    /// A container of an image, by its ID or name. What it was made from need not be said.
    pub fn create_container(&mut self, container: Container) -> Result<(), Refusal> {
        let Some(image) = self.find_image(&container.image_name) else { return refuse(404, "No such image") };
        if self.containers.contains_key(&container.id) {
            return refuse(409, "the name is in use");
        }
        if let Some(unknown) =
            container.networks.iter().find(|of| self.networks.values().all(|known| known.name != **of))
        {
            return refuse(404, format!("network {unknown} not found"));
        }
        for name in
            container.volumes.iter().filter(|name| !self.volumes.contains_key(*name)).cloned().collect::<Vec<_>>()
        {
            self.put_volume(Volume {
                name,
                driver: "local".to_owned(),
                created: Some(self.now),
                labels: HashMap::new(),
                size: Some(0),
            });
        }
        let mounted: Option<Vec<ImageId>> = container.image_mounts.iter().map(|name| self.find_image(name)).collect();
        let Some(mounted) = mounted else { return refuse(404, "No such image") };
        self.mounted.insert(container.id.clone(), mounted);
        self.containers.insert(container.id.clone(), Container { image: Some(image), ..container });
        Ok(())
    }

    /// `docker commit`: an image on top of a container's.
    pub fn commit(&mut self, container: &str, id: ImageId, name: Option<&str>) -> Result<(), Refusal> {
        let Some(image) = self.containers.get(container).and_then(|container| container.image) else {
            return refuse(404, "No such container");
        };
        let base = self.images.get(&image).cloned();
        let layers = base.iter().flat_map(|base| base.layers.iter().cloned()).chain([id.short()]).collect();
        self.load(Loaded {
            names: name.map(str::to_owned).into_iter().collect(),
            parent: Some(image),
            labels: base.map(|base| base.labels).unwrap_or_default(),
            layers,
            created: self.now,
            ..Loaded::new(id)
        });
        Ok(())
    }

    pub fn put_volume(&mut self, volume: Volume) {
        self.volumes.insert(volume.name.clone(), volume);
    }

    pub fn put_network(&mut self, network: Network) {
        self.networks.insert(network.id.clone(), network);
    }

    pub fn put_cache(&mut self, record: CacheRecord) {
        self.cache.insert(record.id.clone(), record);
    }

    /// What a builder does to a record that it works with.
    pub fn use_cache(&mut self, id: &str, in_use: bool) {
        if let Some(record) = self.cache.get_mut(id) {
            record.in_use = in_use;
        }
    }

    /// A digest by which an image was pushed or pulled, on a graphdriver.
    pub fn put_digest(&mut self, id: ImageId, digest: &str) {
        if let Some(name) = self.listed(digest).filter(|_| self.store == Store::Graphdriver) {
            self.names.insert(name, id);
        }
    }
}

/// A container that is to be made, by the ID that it will have.
pub fn container_of(id: &str, image: &str, state: ContainerState, created: i64) -> Container {
    Container {
        id: id.to_owned(),
        name: id.to_owned(),
        image: None,
        image_name: image.to_owned(),
        state,
        created,
        labels: HashMap::new(),
        image_mounts: Vec::new(),
        volumes: Vec::new(),
        networks: Vec::new(),
    }
}
