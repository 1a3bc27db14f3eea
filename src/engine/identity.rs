//! What names an engine for good, since the same socket may lead to another one tomorrow.

use sha2::{Digest, Sha256};

use super::ask::Flavour;
use super::endpoint::Way;
use crate::files;

/// Docker's own ID stays the same; Podman's is new on every call, there this machine and the folder of its
/// images name it. This machine is known to be the engine's only behind a local socket.
pub(super) fn of(flavour: Flavour, id: Option<&str>, root_dir: &str, way: &Way) -> Option<String> {
    match (flavour, way) {
        (Flavour::Docker, _) => id.filter(|id| !id.is_empty()).map(str::to_owned),
        (Flavour::Podman, Way::Unix(_)) => podman(&files::machine_id()?, root_dir),
        (Flavour::Podman, _) => None,
    }
}

fn podman(machine_id: &str, root_dir: &str) -> Option<String> {
    if machine_id.len() != 32 || root_dir.is_empty() {
        return None;
    }
    // Machine IDs are not for showing, so only a hash of it is.
    let hash = Sha256::digest(format!("dkb podman {machine_id} {root_dir}"));
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
        let machine = "0123456789abcdef0123456789abcdef";
        let name = podman(machine, "/var/lib/containers").expect("a name");
        assert!(name.starts_with("podman-") && !name.contains(machine));
        assert_ne!(Some(name), podman(machine, "/home/me/containers"));
        assert_eq!(podman("uninitialized", "/x"), None);
        assert_eq!(podman(machine, ""), None);
        assert_eq!(of(Flavour::Podman, Some("new every time"), "/x", &Way::Tcp(String::new())), None);
    }
}
