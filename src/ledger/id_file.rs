//! Where docker writes the ID of what it built.
//!
//! A build whose ID can't be written fails, however well it went, and builds fill disks: so the file lies in memory
//! where that can be had, in a private folder of this build, and else in the build's own folder. Docker removes the
//! file that it is to write and makes a new one, so it can't be one that dkb holds open.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::room::has_room;
use crate::files;
use crate::model::ImageId;

const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "dkb-";
/// In the folder of a build: where in memory its file lies.
const NOTE: &str = "iid-at";

#[derive(Debug)]
pub(super) struct OwnIdFile {
    folder: PathBuf,
}

impl OwnIdFile {
    /// Makes a place for it, and notes it for whoever finds this build cut off.
    pub(super) fn new(build: &Path) -> Self {
        let Some(folder) = in_memory() else { return Self { folder: build.to_owned() } };
        if fs::write(build.join(NOTE), folder.as_os_str().as_encoded_bytes()).is_err() {
            let _ = fs::remove_dir(folder);
            return Self { folder: build.to_owned() };
        }
        Self { folder }
    }

    /// The place that was noted by another dkb.
    pub(super) fn of(build: &Path) -> Self {
        let noted = files::read_text(&build.join(NOTE), files::SETTINGS).ok().map(PathBuf::from);
        Self { folder: noted.filter(|folder| is_ours(folder)).unwrap_or_else(|| build.to_owned()) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("iid")
    }

    /// Makes the place again where it is gone: a user who logs out may lose all that is theirs in memory.
    pub(super) fn keep(&self) {
        if is_ours(&self.folder) {
            let _ = DirBuilder::new().mode(0o700).create(&self.folder);
        }
    }

    /// Docker has ended: what it wrote lies with the rest from now on, if the disk has room.
    pub(super) fn settle(&self, build: &Path) {
        if is_ours(&self.folder) && (!self.path().exists() || fs::copy(self.path(), build.join("iid")).is_ok()) {
            let _ = fs::remove_file(build.join(NOTE));
            self.remove();
        }
    }

    /// Leaves nothing in memory. What lies in the build's folder goes with that.
    pub(super) fn remove(&self) {
        if is_ours(&self.folder) {
            let _ = fs::remove_file(self.path());
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

fn in_memory() -> Option<PathBuf> {
    let memory = Path::new(MEMORY);
    if !is_in_memory(memory) || has_room(memory).is_err() {
        return None;
    }
    let private = Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(memory);
    Some(folder.ok()?.keep())
}

/// A folder of dkb's own, not one that a note might name beside it.
fn is_ours(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    folder.parent() == Some(Path::new(MEMORY)) && name == Some(true)
}

#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    rustix::fs::statfs(folder).is_ok_and(|disk| disk.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}

/// Reads what `--iidfile` holds.
pub fn read_iid(path: &Path) -> Option<ImageId> {
    ImageId::parse(files::read_text(path, files::SETTINGS).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    #[test]
    fn what_docker_wrote_is_found_by_the_next_dkb_and_nothing_is_left() {
        let build = tempfile::tempdir().expect("a folder");
        let file = OwnIdFile::new(build.path());
        fs::write(file.path(), ID).expect("an ID");
        let found = OwnIdFile::of(build.path());
        assert_eq!(read_iid(&found.path()), ImageId::parse(ID));
        found.remove();
        if is_in_memory(Path::new(MEMORY)) {
            assert!(file.path().starts_with(MEMORY) && !file.folder.exists());
            file.keep();
            let mode = fs::metadata(&file.folder).expect("it is back").permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            file.remove();
        }
    }

    #[test]
    fn once_docker_has_ended_nothing_is_left_in_memory() {
        let build = tempfile::tempdir().expect("a folder");
        let file = OwnIdFile::new(build.path());
        fs::write(file.path(), ID).expect("an ID");
        file.settle(build.path());
        assert!(file.folder == build.path() || !file.folder.exists());
        assert_eq!(read_iid(&OwnIdFile::of(build.path()).path()), ImageId::parse(ID));
    }

    #[test]
    fn a_note_that_names_anything_else_is_not_believed() {
        let (build, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::write(other.path().join("iid"), ID).expect("a file");
        for noted in
            [other.path().to_str().expect("a path"), "/dev/shm/dkb-x/../../../etc", "/dev/shm", "/dev/shm/x", ""]
        {
            fs::write(build.path().join(NOTE), noted).expect("a note");
            let file = OwnIdFile::of(build.path());
            assert_eq!(file.folder, build.path(), "{noted}");
            file.remove();
        }
        assert!(other.path().join("iid").exists());
    }
}
