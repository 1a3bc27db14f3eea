//! What makes two builds the same work, next to their tags: the Dockerfile and the target.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BuildWords;

/// A hash, so that no path gets into the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildKey(String);

impl fmt::Display for BuildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ends a key that leaves something open: the Dockerfile came on stdin, or an argument may have named its base.
const OPEN: char = '~';

/// Whether two builds may be of one Dockerfile and target: for whatever keeps more when in doubt.
pub fn may_be_one_file(one: &str, other: &str) -> bool {
    one.trim_end_matches(OPEN) == other.trim_end_matches(OPEN)
}

/// Whether two builds are surely of one Dockerfile and target.
pub fn is_one_file(one: &str, other: &str) -> bool {
    one == other && !one.ends_with(OPEN)
}

/// The key of a build that is started in the folder `here`, which is absolute.
///
/// Paths are compared as they are written, but for `.` and doubled slashes: `..` behind a link leads elsewhere.
/// A Dockerfile on stdin counts as one per folder, and its key as open, for two of them may have nothing in common.
pub fn build_key(words: &BuildWords, here: &Path) -> BuildKey {
    let mut hash = Sha256::new();
    let mut add = |part: &OsStr| {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    };
    add(words.target.as_deref().unwrap_or_default());
    let context = words.context.as_deref().unwrap_or(OsStr::new("."));
    if is_remote(context) {
        add(context);
        words.files.iter().for_each(|file| add(file));
    } else if words.files.is_empty() {
        let inside = if context == "-" { here.join("-") } else { here.join(context).join("Dockerfile") };
        add(tidy(&inside).as_os_str());
    } else {
        words.files.iter().for_each(|file| add(tidy(&here.join(file)).as_os_str()));
    }
    let hash = hex::encode(&hash.finalize()[..16]);
    BuildKey(if words.reads_stdin() || words.may_vary { format!("{hash}{OPEN}") } else { hash })
}

fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// As docker tells a URL from a folder.
pub(super) fn is_remote(context: &OsStr) -> bool {
    let schemes: [&[u8]; 6] = [b"http://", b"https://", b"git://", b"ssh://", b"git@", b"github.com/"];
    schemes.iter().any(|scheme| context.as_bytes().starts_with(scheme))
}
