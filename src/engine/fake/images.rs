//! How the stores take names and images away, and what holds them.

use super::world::{Store, World};
use crate::engine::outcome::Removed;
use crate::model::{ImageId, Reference};

/// An error that the engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

pub(super) fn refuse<T>(status: u16, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, message: message.into() })
}

/// What a deletion takes, once the engine has looked.
pub(super) struct Deletion {
    names: Vec<Reference>,
    /// The name that containerd's store gave.
    nameless: bool,
    of: ImageId,
    image: bool,
    /// The engine says that it deletes the image, and keeps it without a name.
    feigned: bool,
}

impl Deletion {
    pub(super) fn takes_image(&self) -> bool {
        self.image
    }
}

impl World {
    /// Gives an image a name, and takes it from the one that had it.
    pub fn tag(&mut self, id: ImageId, name: &str) -> Result<(), Refusal> {
        if !self.images.contains_key(&id) {
            return refuse(404, format!("No such image: {id}"));
        }
        let Some(name) = self.listed(name) else { return refuse(400, "invalid reference format") };
        let is_new = self.names.get(&name) != Some(&id);
        self.give(id, name.clone());
        let now = self.now;
        if let Some(held) = self.images.get_mut(&id) {
            held.nameless &= !is_new;
            held.last_tagged = Some(now);
        }
        self.named.push((now, Some(name), id));
        Ok(())
    }

    /// Lets a name mean this image. Who had it stays, without a name if need be.
    pub(super) fn give(&mut self, id: ImageId, name: Reference) {
        let before = self.names.insert(name, id).filter(|before| *before != id);
        if let Some(before) = before
            && self.names_of(before).next().is_none()
            && let Some(held) = self.images.get_mut(&before)
        {
            held.nameless = self.store == Store::Containerd;
        }
    }

    /// What a deletion by this ID or name would take, or why the engine refuses it.
    pub(super) fn check_deletion(&self, name: &str) -> Result<Deletion, Refusal> {
        let Some(id) = self.find_image(name) else { return refuse(404, format!("No such image: {name}")) };
        let by_id = ImageId::parse(name).is_some();
        match self.store {
            Store::Graphdriver => self.check_graphdriver(id, (!by_id).then_some(name)),
            Store::Containerd => self.check_containerd(id, (!by_id).then_some(name)),
            Store::Podman => self.check_podman(id, (!by_id).then_some(name)),
        }
    }

    fn check_graphdriver(&self, id: ImageId, name: Option<&str>) -> Result<Deletion, Refusal> {
        let names: Vec<Reference> = self.names_of(id).cloned().collect();
        let whole = |names| Deletion { names, nameless: false, of: id, image: true, feigned: false };
        let Some(name) = name.and_then(|name| self.listed(name)) else {
            if names.len() > 1 && !is_single(&names) {
                return refuse(409, "image is referenced in multiple repositories");
            }
            if self.is_base(id) {
                return refuse(409, "image has dependent child images");
            }
            if self.is_used(id) {
                return refuse(409, "image is being used by a container");
            }
            return Ok(whole(names));
        };
        if is_single(&names) && (self.is_used(id) || self.is_mounted(id)) {
            return refuse(409, "container is using its referenced image");
        }
        // With the last tag of a repository its digests go too.
        let is_tag = !name.as_str().contains('@');
        let of_repository = |other: &&Reference| repository(other) == repository(&name);
        let last_tag =
            is_tag && !names.iter().filter(of_repository).any(|other| *other != name && !other.as_str().contains('@'));
        let (taken, left): (Vec<Reference>, Vec<Reference>) =
            names.into_iter().partition(|other| *other == name || last_tag && repository(other) == repository(&name));
        let image = left.is_empty() && !self.is_base(id) && !self.is_used(id);
        Ok(Deletion { names: taken, nameless: false, of: id, image, feigned: false })
    }

    fn check_containerd(&self, id: ImageId, name: Option<&str>) -> Result<Deletion, Refusal> {
        let names: Vec<Reference> = self.names_of(id).cloned().collect();
        let nameless = self.images.get(&id).is_some_and(|held| held.nameless);
        let taken: Vec<Reference> = match name {
            None if names.len() > 1 => return refuse(409, "image is referenced in multiple repositories"),
            None => names.clone(),
            Some(name) if name.starts_with("moby-dangling@") => Vec::new(),
            Some(name) => self.listed(name).into_iter().collect(),
        };
        let image = taken.len() == names.len();
        if image && (self.is_used(id) || name.is_some() && self.is_mounted(id)) {
            return refuse(409, "container is using its referenced image");
        }
        // By its last name, not by its ID or the name that it gave.
        let feigned = image && !taken.is_empty() && name.is_some() && self.is_base(id);
        Ok(Deletion { names: taken, nameless, of: id, image, feigned })
    }

    fn check_podman(&self, id: ImageId, name: Option<&str>) -> Result<Deletion, Refusal> {
        let names: Vec<Reference> = self.names_of(id).cloned().collect();
        let Some(name) = name.filter(|_| names.len() > 1).and_then(|name| self.listed(name)) else {
            if names.len() > 1 {
                return refuse(500, "unable to delete image by ID with more than one tag");
            }
            if self.is_used(id) {
                return refuse(409, "image is in use by a container");
            }
            return Ok(Deletion { names, nameless: false, of: id, image: true, feigned: false });
        };
        Ok(Deletion { names: vec![name], nameless: false, of: id, image: false, feigned: false })
    }

    /// Takes what was to be taken. With an image go the names that it was given since.
    pub(super) fn delete(&mut self, deletion: Deletion) -> Result<Removed, Refusal> {
        let Deletion { mut names, nameless, of, image, feigned } = deletion;
        let mut removed = Removed::default();
        let Some(held) = self.images.get_mut(&of) else { return refuse(404, format!("No such image: {of}")) };
        if feigned {
            held.nameless = true;
            removed.deleted.push(of);
        } else if image {
            names = self.names_of(of).cloned().collect();
            // Podman does not tell that an image is gone which others are built on.
            if self.store != Store::Podman || !self.is_base(of) {
                removed.deleted.push(of);
            }
            self.images.remove(&of);
            self.deleted.push((self.now, of));
        } else if nameless {
            held.nameless = false;
            removed.untagged.push(Self::nameless(of));
        }
        for name in names {
            if self.names.get(&name) == Some(&of) {
                self.names.remove(&name);
                removed.untagged.push(name.to_string());
            }
        }
        Ok(removed)
    }

    /// Whether a container was made from it.
    pub(super) fn is_used(&self, id: ImageId) -> bool {
        self.containers.values().any(|container| container.image == Some(id))
    }

    /// Whether it is mounted into a container, which engines look at for deletions by name alone, if at all.
    fn is_mounted(&self, id: ImageId) -> bool {
        self.containers.keys().any(|container| self.mounted.get(container).is_some_and(|of| of.contains(&id)))
    }

    pub(super) fn is_base(&self, id: ImageId) -> bool {
        self.images.values().any(|held| held.parent == Some(id))
    }
}

fn repository(name: &Reference) -> &str {
    name.as_str().split_once('@').map_or_else(|| name.repository(), |(repository, _)| repository)
}

/// One tag at most, and all within one repository.
fn is_single(names: &[Reference]) -> bool {
    let (digests, tags): (Vec<&Reference>, Vec<&Reference>) =
        names.iter().partition(|name| name.as_str().contains('@'));
    let one = tags.first().or(digests.first()).map(|name| repository(name));
    tags.len() < 2 && digests.iter().all(|digest| Some(repository(digest)) == one)
}
