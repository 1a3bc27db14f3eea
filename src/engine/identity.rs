//! What names an engine for good, since the same socket may lead to another one tomorrow.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};

use super::ask::Flavour;
use super::endpoint::Way;
use crate::files;

/// Docker's own ID stays the same; Podman's is new on every call, there this machine and the folder of its
/// images name it. This machine is known to be the engine's only behind a local socket.
pub(super) fn of(flavour: Flavour, id: Option<&str>, root_dir: &str, way: &Way) -> Option<String> {
    match (flavour, way) {
        (Flavour::Docker, _) => id.filter(|id| !id.is_empty()).map(str::to_owned),
        (Flavour::Podman, Way::Unix(_)) => podman(files::machine_id().as_deref(), root_dir),
        (Flavour::Podman, _) => None,
    }
}

/// A machine without an ID of its own, as most containers are, is known by its host's name. That name may be another
/// machine's too, so the folder counts as the one that lies here: with a new container or a new mount it is another,
/// and what was noted before is nobody's.
fn podman(machine_id: Option<&str>, root_dir: &str) -> Option<String> {
    if root_dir.is_empty() {
        return None;
    }
    // Neither is for showing, so only a hash is.
    let hash = if let Some(id) = machine_id {
        Sha256::digest(format!("dkb podman {id} {root_dir}"))
    } else {
        let here = fs::symlink_metadata(root_dir).ok().filter(fs::Metadata::is_dir)?;
        Sha256::digest(format!("dkb podman at {} {}:{} {root_dir}", files::host_name(), here.dev(), here.ino()))
    };
    Some(format!("podman-{}", hex::encode(&hash[..16])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_id_is_its_own_and_an_empty_one_is_none() {
        let way = Way::Tcp(String::new());
        assert_eq!(of(Flavour::Docker, Some("A:B"), "/x", &way), Some("A:B".to_owned()));
        assert_eq!(of(Flavour::Docker, Some(""), "/x", &way), None);
        assert_eq!(of(Flavour::Docker, None, "/x", &way), None);
    }

    #[test]
    fn podman_is_named_by_machine_and_folder_and_only_behind_a_local_socket() {
        let machine = Some("0123456789abcdef0123456789abcdef");
        let name = podman(machine, "/var/lib/containers").expect("a name");
        assert!(name.starts_with("podman-") && !name.contains("0123456789"));
        assert_ne!(Some(name), podman(machine, "/home/me/containers"));
        assert_eq!(podman(machine, ""), None);
        assert_eq!(of(Flavour::Podman, Some("new every time"), "/x", &Way::Tcp(String::new())), None);
    }

    #[test]
    fn without_a_machine_id_podman_is_named_by_the_folder_that_lies_here_and_by_no_other() {
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let named = |folder: &std::path::Path| podman(None, &folder.to_string_lossy());
        let name = named(one.path()).expect("a name");
        assert_eq!(named(one.path()), Some(name.clone()), "each time the same");
        assert_ne!(named(other.path()), Some(name));
        let gone = one.path().join("nothing");
        assert_eq!(named(&gone), None, "the engine is elsewhere");
        fs::write(&gone, "").expect("a file");
        assert_eq!(named(&gone), None);
    }
}
