//! What an image is used for, besides by its names.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{Look, Policy, RunningBuild};
use crate::model::{Books, Build, Container, ImageId, Reference, Snapshot};
use crate::plan::argv::may_be_one_file;

/// Who uses which image. A container holds the image it was made from, and images that are mounted into it.
pub(crate) fn users(snapshot: &Snapshot) -> HashMap<ImageId, Vec<&Container>> {
    let mut users: HashMap<ImageId, Vec<&Container>> = HashMap::new();
    let mut named: HashMap<&str, ImageId> = HashMap::new();
    for image in &snapshot.images {
        named.extend(image.tags.iter().map(|tag| (tag.as_str(), image.id)));
    }
    for container in &snapshot.containers {
        users.entry_of(container.image, container);
        for mount in &container.image_mounts {
            let id = ImageId::parse(mount)
                .or_else(|| named.get(mount.as_str()).copied())
                .or_else(|| Reference::written(mount).and_then(|name| named.get(name.as_str()).copied()));
            users.entry_of(id, container);
            if id.is_none() {
                // A shortened ID: every image that it could mean counts as used.
                let digits = mount.strip_prefix("sha256:").unwrap_or(mount);
                for image in snapshot.images.iter().filter(|image| image.id.starts_with(digits)) {
                    users.entry_of(Some(image.id), container);
                }
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

/// The newest N images of every repository that our builds named, by when dkb built them.
pub(super) fn newest(look: &Look, policy: &Policy) -> HashSet<ImageId> {
    let Some(n) = policy.keep_last else { return HashSet::new() };
    let recorded = look.books.images();
    let mut repositories: HashMap<String, Vec<(Timestamp, ImageId)>> = HashMap::new();
    for image in &look.snapshot.images {
        let Some(at) = recorded.get(&image.id).and_then(|builds| builds.iter().map(|build| build.at).max()) else {
            continue;
        };
        let names: HashSet<String> = image
            .tags
            .iter()
            .filter(|tag| !tag.is_private())
            .map(|tag| tag.canonical().repository().to_owned())
            .collect();
        for name in names {
            repositories.entry(name).or_default().push((at, image.id));
        }
    }
    let mut newest = HashSet::new();
    for mut versions in repositories.into_values() {
        versions.sort_unstable_by(|a, b| b.cmp(a));
        newest.extend(versions.into_iter().take(n).map(|(_, id)| id));
    }
    newest
}

/// What a build that runs now may be using: all that builds of the same kind, or with the same tags, produced.
pub(crate) fn needed_by_builds(books: &Books, running: &[RunningBuild]) -> HashSet<ImageId> {
    let mut needed = HashSet::new();
    for running in running {
        let same = |build: &&Build| {
            build.of.project == running.of.project
                && (may_be_one_file(&build.key, &running.key)
                    || build.tags.iter().any(|tag| running.tags.contains(tag)))
        };
        needed.extend(books.builds.iter().filter(same).flat_map(Build::images));
    }
    needed
}
