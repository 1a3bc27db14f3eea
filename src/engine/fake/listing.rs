//! How an engine tells what it holds.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::world::{Held, Store, World};
use crate::engine::nameless as nameless_name;
use crate::model::{CacheRecord, Container, DiskUsage, Ended, Image, ImageDetail, ImageId, Reference, total};

impl World {
    pub(super) fn list_images(&self, shared_sizes: bool) -> Vec<Image> {
        let image = |(id, held): (&ImageId, &Held)| {
            let (digests, tags) = self.names_told(*id);
            let alone = |digest: &String| {
                let repository = digest.split_once('@').map(|(repository, _)| repository);
                !tags.iter().any(|tag| Some(tag.repository()) == repository)
            };
            let (digests, beside): (Vec<String>, Vec<String>) = digests.into_iter().partition(alone);
            Image {
                id: *id,
                parent: self.parent_told(held),
                travelled: !(digests.is_empty() && beside.is_empty()),
                digests,
                beside,
                tags,
                created: held.created.as_second(),
                size: held.size,
                shared: shared_sizes.then(|| self.shared_of(*id, held)),
                labels: held.labels.clone(),
                dropped: false,
            }
        };
        self.images.iter().map(image).collect()
    }

    /// By these names and no others. What has none is left out where others name it as their parent.
    pub(super) fn list_named(&self, names: &[String], intermediates: bool) -> Vec<Image> {
        let is_wanted = |name: &str| names.iter().any(|wanted| wanted == name);
        let mut images = self.list_images(true);
        images.retain_mut(|image| {
            let nameless = self.images.get(&image.id).is_some_and(|held| held.nameless);
            let shown = nameless && (intermediates || !self.is_base(image.id)) && is_wanted(&nameless_name(image.id));
            image.tags.retain(|tag| is_wanted(tag.as_str()));
            image
                .beside
                .retain(|digest| image.tags.iter().any(|tag| digest.starts_with(&format!("{}@", tag.repository()))));
            image.travelled = !image.beside.is_empty();
            shown || !image.tags.is_empty()
        });
        images
    }

    pub(super) fn detail(&self, name: &str) -> Option<ImageDetail> {
        let id = self.find_image(name)?;
        let held = self.images.get(&id)?;
        let (digests, tags) = self.names_told(id);
        Some(ImageDetail {
            id,
            parent: self.parent_told(held),
            tags,
            digests,
            created: Some(held.created),
            labels: held.labels.clone(),
            layers: held.layers.clone(),
            container: None,
            last_tagged: held.last_tagged,
        })
    }

    /// Podman works out what an image is built on from what it still has.
    fn parent_told(&self, held: &Held) -> Option<ImageId> {
        held.parent.filter(|parent| self.store != Store::Podman || self.images.contains_key(parent))
    }

    /// Digests and tags. On containerd's store and Podman each repository that names an image has a digest.
    fn names_told(&self, id: ImageId) -> (Vec<String>, Vec<Reference>) {
        let (digests, tags): (Vec<Reference>, Vec<Reference>) =
            self.names_of(id).cloned().partition(|name| name.as_str().contains('@'));
        let mut digests: BTreeSet<String> = digests.iter().map(ToString::to_string).collect();
        if self.store != Store::Graphdriver {
            digests.extend(tags.iter().map(|tag| format!("{}@{id}", tag.repository())));
        }
        (digests.into_iter().collect(), tags)
    }

    fn shared_of(&self, id: ImageId, held: &Held) -> u64 {
        let with = |layer: &String| self.images.iter().any(|(other, of)| *other != id && of.layers.contains(layer));
        if self.store != Store::Podman && held.layers.iter().any(with) { held.size } else { 0 }
    }

    /// A container tells the name that it was made by for as long as that means its image.
    pub(super) fn list_containers(&self) -> Vec<Container> {
        let listed = |container: &Container| {
            let mut container = container.clone();
            if self.store != Store::Podman
                && let Some(image) = container.image
                && self.find_image(&container.image_name) != Some(image)
            {
                container.image_name = image.to_string();
            }
            if !container.is_stopped() || self.store == Store::Podman {
                for network in &mut container.networks {
                    if let Some(known) = self.networks.values().find(|known| known.name == *network) {
                        network.clone_from(&known.id);
                    }
                }
            }
            container
        };
        self.containers.values().map(listed).collect()
    }

    pub(super) fn list_cache(&self) -> Option<Vec<CacheRecord>> {
        (self.store != Store::Podman).then(|| self.cache.values().cloned().collect())
    }

    pub(super) fn disk_usage(&self) -> DiskUsage {
        DiskUsage {
            layers: total(self.images.values().map(|held| held.size)),
            containers: 0,
            cache: total(self.cache.values().filter(|record| !record.shared).map(|record| record.size)),
        }
    }

    pub(super) fn end_of(&self, id: &str) -> Option<Ended> {
        let container = self.containers.get(id)?;
        Some(Ended { at: Timestamp::from_second(container.created).ok(), written: 0 })
    }
}
