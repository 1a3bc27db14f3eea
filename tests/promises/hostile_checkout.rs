//! A folder whose own files say that it is somebody else's project.

use std::path::PathBuf;

use dkb_lab::State;

/// All that can be typed in it without naming a project or a session by hand.
pub(crate) const CLEANS: [&[&str]; 4] =
    [&["clean", "--tagged"], &["clean"], &["clean", "--stale"], &["clean", "--session"]];

/// By its repository's origin, or by its `dkb.toml`.
pub(crate) fn checkout(state: &State, name: &str, project: &str, by_origin: bool) -> PathBuf {
    let folder = state.work().join(name);
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    if by_origin {
        write(".git/HEAD", "ref: refs/heads/main\n");
        write(".git/refs/.keep", "");
        write(".git/objects/.keep", "");
        write(".git/config", &format!("[remote \"origin\"]\n\turl = https://git.example/{project}.git\n"));
    } else {
        write("dkb.toml", &format!("project = \"{project}\"\n"));
    }
    folder
}
