//! Where docker writes the ID of what it built.
//!
//! A build whose ID can't be written fails, however well it went, and builds fill disks: so the file lies in memory
//! where that can be had, in a private folder of this build, and else in the build's own folder. Docker removes the
//! file that it is to write as it begins, so it can't be one that dkb holds open; a new one of dkb's then keeps the room
//! until docker writes in its place.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::disk_room::has_room;
use crate::files;
use crate::model::{ImageId, Reference};

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
        let note = build.join(NOTE);
        let folder = in_memory(&note).unwrap_or_else(|| {
            let _ = fs::remove_file(&note);
            build.to_owned()
        });
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

    /// Makes the place again where it is gone: a user who logs out may lose all that is theirs in memory. And keeps room
    /// in it for the ID, in a file that says nothing, since all else there may be taken while docker builds.
    pub(super) fn keep(&self) {
        if is_ours(&self.folder) {
            let _ = DirBuilder::new().mode(0o700).create(&self.folder);
        }
        // What docker has written stays.
        let _ = File::create_new(self.path()).and_then(|mut file| file.write_all(b"\n"));
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

fn in_memory(note: &Path) -> Option<PathBuf> {
    let memory = Path::new(MEMORY);
    if !is_in_memory(memory) || has_room(memory).is_err() {
        return None;
    }
    let made = tempfile::Builder::new().prefix(PREFIX).make_in(memory, |folder| {
        // Noted first: a dkb that is killed here leaves no folder of which nobody knows.
        fs::write(note, folder.as_os_str().as_encoded_bytes())?;
        DirBuilder::new().mode(0o700).create(folder)
    });
    made.ok()?.into_temp_path().keep().ok()
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

/// What `--metadata-file` says of one target of a bake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetResult {
    /// By which of these an engine knows the image depends on its store.
    pub ids: Vec<ImageId>,
    /// The names that it got.
    pub names: Vec<Reference>,
}

/// Reads what `--metadata-file` holds after a bake, by target. What can't be read says nothing.
pub fn read_metadata(path: &Path) -> BTreeMap<String, TargetResult> {
    /// Where a build came from is told in it too.
    const MOST: u64 = 64 << 20;
    let text = files::read(path, MOST).unwrap_or_default();
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&text).unwrap_or_default();
    let made = |of: &serde_json::Value| {
        let said = |key: &str| of.get(key).and_then(serde_json::Value::as_str);
        let ids = ["containerimage.digest", "containerimage.config.digest"];
        let names = said("image.name").unwrap_or_default().split(',');
        TargetResult {
            ids: ids.into_iter().filter_map(|key| ImageId::parse(said(key)?)).collect(),
            names: names.filter_map(Reference::written).collect(),
        }
    };
    all.iter().map(|(target, of)| (target.clone(), made(of))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
    fn room_is_kept_by_a_file_that_says_nothing_and_stands_in_nobodys_way() {
        let build = tempfile::tempdir().expect("a folder");
        let file = OwnIdFile::new(build.path());
        file.keep();
        assert!(fs::metadata(file.path()).expect("a file").len() > 0);
        assert_eq!(read_iid(&file.path()), None);
        fs::write(file.path(), ID).expect("an ID");
        file.keep();
        assert_eq!(read_iid(&file.path()), ImageId::parse(ID));
        file.remove();
    }

    #[test]
    fn a_place_that_was_noted_and_not_made_yet_is_an_empty_one() {
        let build = tempfile::tempdir().expect("a folder");
        fs::write(build.path().join(NOTE), "/dev/shm/dkb-of-nobody").expect("a note");
        let file = OwnIdFile::of(build.path());
        assert_eq!(read_iid(&file.path()), None);
        file.settle(build.path());
        assert!(!build.path().join(NOTE).exists());
    }

    #[test]
    fn what_a_bake_made_is_read_target_by_target() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("metadata");
        let of = |text: &str| {
            fs::write(&file, text).expect("a file");
            read_metadata(&file)
        };
        let text = format!(
            r#"{{"a": {{"containerimage.digest": "{ID}", "image.name": "docker.io/library/a:1,b:2",
                "buildx.build.ref": "default/default/x"}}, "base": {{"buildx.build.ref": "x"}}, "warnings": [1]}}"#
        );
        let made = of(&text);
        assert_eq!(made["a"].ids, [ImageId::parse(ID).expect("an ID")]);
        assert_eq!(made["a"].names.iter().map(Reference::as_str).collect::<Vec<_>>(), ["docker.io/library/a:1", "b:2"]);
        assert_eq!(made["base"], TargetResult::default());
        assert!(of("\n").is_empty() && of("[]").is_empty() && read_metadata(folder.path()).is_empty());
    }

    #[test]
    fn where_nothing_can_be_noted_nothing_is_made() {
        let missing = Path::new("/nonexistent");
        assert_eq!(OwnIdFile::new(missing).folder, missing);
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
