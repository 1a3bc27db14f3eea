//! An engine's socket as a file: what stands there, and what this process lacks to open it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::endpoint::{Endpoint, Way};
use crate::error::{Error, Result};
use crate::model::{SocketDoor, SocketRights};

impl Endpoint {
    /// The socket of an engine of this machine.
    pub(crate) fn socket(&self) -> Option<&Path> {
        if let Way::Unix(path) = self.way() { Some(path) } else { None }
    }
}

/// Whose the socket is. What is no socket is an error, with what may have happened.
pub(crate) fn rights(path: &Path) -> Result<SocketRights> {
    let tried = || format!("looking for the engine's socket {}", path.display());
    let mount =
        || format!("mount it into the container: -v {0}:{0}; --wait 1m waits for one that comes later", path.display());
    let file = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::failed(tried(), "it is not there").hint(mount()),
        _ => Error::failed(tried(), error).hint("a folder above it is closed; mount the socket itself"),
    })?;
    if file.is_dir() {
        let made = "it is a folder, as Docker makes one where there was no socket to mount yet";
        return Err(Error::failed(tried(), made).hint("remove the folder on the host, and start its engine first"));
    }
    if !file.file_type().is_socket() {
        return Err(Error::failed(tried(), "what is there is no socket").hint(mount()));
    }
    Ok(SocketRights { owner: file.uid(), group: file.gid(), mode: file.mode() & 0o777 })
}

/// What this process lacks to open the socket that it was refused.
pub(super) fn lacking(endpoint: &Endpoint) -> Option<String> {
    let path = endpoint.socket()?;
    let user = rustix::process::geteuid().as_raw();
    let Ok(rights) = rights(path) else {
        return Some(format!("user {user} may not look into a folder above {}", path.display()));
    };
    let SocketRights { owner, group, mode } = rights;
    let of = format!("it is for user {owner} and group {group} (mode {mode:03o}), and this is user {user}");
    Some(match rights.door(user) {
        SocketDoor::Group(group) => format!(
            "{of} without that group: in a container add --group-add {group}, on a host add the user to the group"
        ),
        SocketDoor::Shut => format!("{of}: only user {owner} may open it, in a container with --user {owner}"),
        // Something else than its mode is in the way.
        SocketDoor::Open => format!("{of}: is it a security module, such as SELinux or AppArmor, that forbids it?"),
    })
}
