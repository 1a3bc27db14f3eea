//! What an image is used for, besides by its names.

use std::collections::{HashMap, HashSet};

use super::argv::may_be_one_file;
use crate::model::{Books, Build, Container, Image, ImageId, Pattern, Reference, RunningBuild, Snapshot};

/// Who uses which image. A container holds the image it was made from, and images that are mounted into it.
pub(crate) fn users(snapshot: &Snapshot) -> HashMap<ImageId, Vec<&Container>> {
    let mut users: HashMap<ImageId, Vec<&Container>> = HashMap::new();
    // Whatever a mount's name may mean counts as used.
    let mut named: HashMap<Reference, Vec<ImageId>> = HashMap::new();
    let mounts = snapshot.containers.iter().any(|container| !container.image_mounts.is_empty());
    for image in snapshot.images.iter().filter(|_| mounts) {
        image.tags.iter().for_each(|tag| named.entry(tag.short()).or_default().push(image.id));
    }
    for container in &snapshot.containers {
        users.entry_of(container.image, container);
        for mount in &container.image_mounts {
            let by_name = || Reference::listed(mount).and_then(|name| named.get(&name.short()).cloned());
            let known = ImageId::parse(mount).map(|id| vec![id]).or_else(by_name);
            // A shortened ID, or a digest: every image that it could mean counts as used.
            let digits = mount.strip_prefix("sha256:").unwrap_or(mount);
            let pattern = Pattern::new(mount).ok();
            let may_be = |image: &&Image| {
                image.id.starts_with(digits) || pattern.as_ref().is_some_and(|pattern| pattern.keeps(image))
            };
            let any = || snapshot.images.iter().filter(may_be).map(|image| image.id).collect();
            for id in known.unwrap_or_else(any) {
                users.entry_of(Some(id), container);
            }
        }
    }
    users
}

trait Users<'a> {
    fn entry_of(&mut self, image: Option<ImageId>, container: &'a Container);
}

impl<'a> Users<'a> for HashMap<ImageId, Vec<&'a Container>> {
    fn entry_of(&mut self, image: Option<ImageId>, container: &'a Container) {
        if let Some(id) = image {
            self.entry(id).or_default().push(container);
        }
    }
}

/// What a build that runs now may be using: all that builds of the same kind, or with the same tags, produced.
pub(crate) fn needed_by_builds(books: &Books, running: &[RunningBuild]) -> HashSet<ImageId> {
    let mut needed = HashSet::new();
    for running in running {
        let given: HashSet<Reference> = running.tags.iter().map(Reference::short).collect();
        let same = |build: &&Build| {
            build.of.project == running.of.project
                && (may_be_one_file(&build.key, &running.key)
                    || build.tags.iter().any(|tag| given.contains(&tag.short())))
        };
        needed.extend(books.builds.iter().filter(same).flat_map(Build::images));
    }
    needed
}
