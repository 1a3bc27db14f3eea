//! How an engine takes away what is no image, and what holds it.

use super::images::{Refusal, refuse};
use super::world::{Store, World};
use crate::model::{Container, ContainerState};

impl World {
    pub fn remove_container(&mut self, id: &str) -> Result<(), Refusal> {
        match self.containers.get(id) {
            None => refuse(404, format!("No such container: {id}")),
            // A working container is none to this part of the API.
            Some(container) if container.state == ContainerState::Working => refuse(404, "no such container"),
            Some(container) if !container.is_stopped() && self.store == Store::Podman => {
                refuse(500, "running or paused containers cannot be removed without force")
            }
            Some(container) if !container.is_stopped() => refuse(409, "stop the container before removing"),
            Some(_) => {
                self.containers.remove(id);
                Ok(())
            }
        }
    }

    pub fn stop_container(&mut self, id: &str) -> Result<(), Refusal> {
        match self.containers.get_mut(id) {
            None => refuse(404, format!("No such container: {id}")),
            Some(container) if container.state == ContainerState::Working => refuse(404, "no such container"),
            Some(container) => {
                if !container.is_stopped() {
                    container.state = ContainerState::Exited;
                }
                Ok(())
            }
        }
    }

    pub fn start_container(&mut self, id: &str) -> Result<(), Refusal> {
        let connects_to = self.containers.get(id).map(|container| &*container.networks).unwrap_or_default();
        if connects_to.iter().any(|name| self.networks.values().all(|network| network.name != *name)) {
            return refuse(404, "network not found");
        }
        match self.containers.get_mut(id) {
            None => refuse(404, format!("No such container: {id}")),
            Some(container) => {
                container.state = ContainerState::Running;
                Ok(())
            }
        }
    }

    pub fn remove_volume(&mut self, name: &str) -> Result<(), Refusal> {
        if self.containers.values().any(|container| container.volumes.iter().any(|used| used == name)) {
            return refuse(409, "volume is in use");
        }
        self.volumes.remove(name).map_or_else(|| refuse(404, "no such volume"), |_| Ok(()))
    }

    /// Docker looks for containers that run, Podman for all, and only if it is told the name.
    pub fn remove_network(&mut self, by: &str) -> Result<(), Refusal> {
        let found = self.networks.values().find(|network| network.id == by || network.name == by);
        let Some((id, name)) = found.map(|network| (network.id.clone(), network.name.clone())) else {
            return refuse(404, "network not found");
        };
        let is_podman = self.store == Store::Podman;
        let built_in = if is_podman { &["podman"][..] } else { &["bridge", "host", "none"][..] };
        if built_in.contains(&&*name) {
            return refuse(if is_podman { 500 } else { 403 }, "a pre-defined network cannot be removed");
        }
        let connected = |container: &&Container| container.networks.contains(&name);
        let mut users = self.containers.values().filter(connected);
        match self.store {
            Store::Podman if by == name && users.next().is_some() => return refuse(500, "network is being used"),
            Store::Graphdriver | Store::Containerd if users.any(|container| !container.is_stopped()) => {
                return refuse(403, "network has active endpoints");
            }
            _ => {}
        }
        self.networks.remove(&id);
        Ok(())
    }

    /// Takes the records that are not in use and that no other is built on.
    pub(super) fn delete_cache(&mut self, ids: &[String]) -> Result<Vec<String>, Refusal> {
        if self.store == Store::Podman {
            return refuse(404, "Not Found");
        }
        let mut gone = Vec::new();
        while let Some(id) = ids.iter().find(|id| self.is_free_cache(id)) {
            self.cache.remove(id);
            gone.push(id.clone());
        }
        Ok(gone)
    }

    fn is_free_cache(&self, id: &str) -> bool {
        let is_parent = self.cache.values().any(|record| record.parents.iter().any(|parent| parent == id));
        self.cache.get(id).is_some_and(|record| !record.in_use) && !is_parent
    }
}
