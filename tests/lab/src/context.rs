//! Build contexts: folders with a Dockerfile, gone with the value.

use std::path::{Path, PathBuf};

/// The image that every Dockerfile of a test can start from: busybox, nothing else.
pub const BASE: &str = "lab/base:latest";

#[derive(Debug)]
pub struct Context {
    folder: tempfile::TempDir,
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// `FROM lab/base` and the given lines after it.
    pub fn from_base(lines: &str) -> Self {
        Self::new().dockerfile(&format!("FROM {BASE}\n{lines}\n"))
    }

    pub fn dockerfile(self, text: &str) -> Self {
        self.file("Dockerfile", text)
    }

    /// Writes a file, and the folders on the way to it.
    pub fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.write(name, bytes);
        self
    }

    /// The same, for a change between two builds.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("its folder");
        std::fs::write(path, bytes).expect("a file of the build context");
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}
