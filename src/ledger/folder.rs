//! The one door to the files of the state folder: nobody else may have written there, and no link leads out of it.
//!
//! The folder is private (0700, its files 0600), or a group's on purpose: setgid and writable for its group, then
//! what is in it is 2770 and 0660. Whatever else others could have written to is refused, and what an older dkb
//! left open for reading is closed.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// No note of ours comes near to this; the ledger and the history are read line by line.
const LARGEST: u64 = 64 << 20;

/// What dkb puts into the state folder. Where anything else lies beside it, the folder is not dkb's alone.
const OURS: [&str; 5] = ["engines", "builds", "sessions", "history", "docker-version"];

/// The state folder or one below it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    below: PathBuf,
}

/// Who may use the state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Private,
    Group,
}

impl Access {
    fn mode(self, kind: FileKind) -> u32 {
        match (self, kind) {
            (Self::Private, FileKind::File) => 0o600,
            (Self::Private, _) => 0o700,
            (Self::Group, FileKind::File) => 0o660,
            (Self::Group, _) => 0o2770,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Folder,
    File,
    Link,
    Other,
}

/// What the file system says of a thing.
#[derive(Clone, Copy, Debug)]
struct FileFacts {
    kind: FileKind,
    owner: u32,
    group: u32,
    mode: u32,
    names: u64,
}

impl From<&Metadata> for FileFacts {
    fn from(metadata: &Metadata) -> Self {
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => FileKind::Folder,
            kind if kind.is_file() => FileKind::File,
            kind if kind.is_symlink() => FileKind::Link,
            _ => FileKind::Other,
        };
        Self {
            kind,
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            names: metadata.nlink(),
        }
    }
}

/// Why a thing is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Distrust {
    /// For who owns it or may write to it.
    Rights(String),
    /// For what it is.
    Thing(&'static str),
}

/// Whose the state folder is, or why it is refused.
fn judge_root(root: FileFacts, me: u32, groups: &[u32]) -> Result<Access, Distrust> {
    // Whose group that is matters: its owner alone could have given the folder to a group that only they are in.
    let trusted = root.owner == me || root.owner == 0 || groups.contains(&root.group);
    if root.kind == FileKind::Folder && root.mode & 0o2022 == 0o2020 && trusted {
        return Ok(Access::Group);
    }
    judge(root, FileKind::Folder, me, Access::Private).map(|()| Access::Private)
}

/// The groups that this process is in.
fn groups() -> Vec<u32> {
    let more = rustix::process::getgroups().unwrap_or_default();
    more.into_iter().chain([rustix::process::getegid()]).map(rustix::process::Gid::as_raw).collect()
}

const LINK: Distrust = Distrust::Thing("it is a link, and dkb follows none there");

/// Why a thing that should be of this kind is refused.
fn judge(thing: FileFacts, kind: FileKind, me: u32, access: Access) -> Result<(), Distrust> {
    // On most systems a user has a group of the same number, which nobody else is in.
    let private_group = access == Access::Private && thing.group == me;
    if thing.kind == FileKind::Link {
        Err(LINK)
    } else if thing.kind != kind {
        Err(Distrust::Thing(if kind == FileKind::Folder { "it is no folder" } else { "it is no file" }))
    } else if thing.mode & 0o002 != 0 {
        Err(Distrust::Rights("everybody may write to it".to_owned()))
    } else if access == Access::Private && thing.owner != me {
        Err(Distrust::Rights(format!("it belongs to another user, number {}", thing.owner)))
    } else if access == Access::Private && thing.mode & 0o020 != 0 && !private_group {
        Err(Distrust::Rights(format!("group {} may write to it", thing.group)))
    } else if access == Access::Group && kind == FileKind::File && thing.names > 1 {
        Err(Distrust::Thing("it has another name elsewhere"))
    } else {
        Ok(())
    }
}

impl Folder {
    pub(super) fn at(root: PathBuf) -> Self {
        Self { root, below: PathBuf::new() }
    }

    pub(super) fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { root: self.root.clone(), below: self.below.join(name) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.root.join(&self.below)
    }

    /// Looks at each folder on the way here. `None`: it is not there.
    pub(super) fn look(&self) -> Result<Option<Access>> {
        let me = rustix::process::geteuid().as_raw();
        // How the user's own words lead to the state folder is the user's affair, links or not.
        let Some(root) = metadata(&self.root, fs::metadata(&self.root))? else { return Ok(None) };
        let access = judge_root(FileFacts::from(&root), me, &groups()).map_err(|why| self.refused(&self.root, &why))?;
        // What is more than dkb's is not dkb's to close.
        if access == Access::Private && root.mode() & 0o077 != 0 && self.holds_nothing_else() {
            close(&self.root, &root, access, FileKind::Folder);
        }
        let mut path = self.root.clone();
        for part in &self.below {
            path.push(part);
            let Some(folder) = metadata(&path, fs::symlink_metadata(&path))? else { return Ok(None) };
            judge(FileFacts::from(&folder), FileKind::Folder, me, access).map_err(|why| self.refused(&path, &why))?;
            close(&path, &folder, access, FileKind::Folder);
        }
        Ok(Some(access))
    }

    /// Whether what is missing on the way here could be made, which only trying tells.
    pub(super) fn can_be_made(&self) -> Result<()> {
        let Some(first) = self.root.ancestors().take_while(|path| !path.exists()).last() else { return Ok(()) };
        let tried = fs::create_dir(first).and_then(|()| fs::remove_dir(first));
        tried.map_err(|error| Error::failed(format!("making the folder {}", first.display()), error))
    }

    /// Makes what is missing on the way here.
    pub(super) fn make(&self) -> Result<Access> {
        if let Some(access) = self.look()? {
            return Ok(access);
        }
        let failed = |path: &Path, error| {
            Error::failed(format!("making the folder {}", path.display()), error)
                .hint("point DKB_STATE_DIR at a folder that can be written")
        };
        let mut path = self.root.clone();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| failed(&path, error))?;
        for part in &self.below {
            path.push(part);
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&path, error)),
                _ => {}
            }
        }
        // Whatever the umask took away, or somebody else put there meanwhile.
        self.look()?.ok_or_else(|| failed(&path, ErrorKind::NotFound.into()))
    }

    /// A file that is there, for reading.
    pub(super) fn open(&self, name: &str) -> Result<Option<File>> {
        let Some(access) = self.look()? else { return Ok(None) };
        match self.enter(name, File::options().read(true), access) {
            Err(NoEntry::Missing) => Ok(None),
            Err(NoEntry::Failed(error)) => Err(error),
            Ok(file) => Ok(Some(file)),
        }
    }

    /// A file to read and to add to.
    pub(super) fn open_or_create(&self, name: &str) -> Result<File> {
        let access = self.make()?;
        Ok(self.enter(name, File::options().read(true).append(true).create(true), access)?)
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let tried = || format!("reading {}", self.path().join(name).display());
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| Error::failed(tried(), error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::failed(tried(), "it is larger than anything that dkb writes there")
                .hint("move it away: it is damaged"));
        }
        Ok(Some(bytes))
    }

    /// Writes a file in its place, so that a lock on it stays a lock.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let access = self.make()?;
        // Not emptied before it is known whose it is.
        let mut file = self.enter(name, File::options().write(true).create(true).truncate(false), access)?;
        // Not emptied first: where there is no room for more, the next one to write finds what was there.
        let length = bytes.len() as u64;
        file.write_all(bytes).and_then(|()| file.set_len(length)).map_err(|error| self.failed("writing", name, error))
    }

    /// Puts a new file in the place of the old one, once it is wholly on the disk.
    pub(super) fn replace(&self, name: &str, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
        let access = self.make()?;
        let failed = |error| self.failed("replacing", name, error);
        let mut new = tempfile::NamedTempFile::new_in(self.path()).map_err(failed)?;
        new.as_file().set_permissions(Permissions::from_mode(access.mode(FileKind::File))).map_err(failed)?;
        fill(new.as_file_mut()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
        fs::rename(new.into_temp_path(), self.path().join(name)).map_err(failed)
    }

    /// Gives a file of it another name, and takes the one that had it away.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.make()?;
        fs::rename(self.path().join(from), self.path().join(to)).map_err(|error| self.failed("renaming", from, error))
    }

    /// What lies in it, in order; nothing where it is not there, or refused.
    pub(super) fn names(&self) -> Vec<OsString> {
        let entries = self.look().ok().flatten().and_then(|_| fs::read_dir(self.path()).ok());
        let mut names: Vec<OsString> = entries.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    }

    fn enter(&self, name: &str, how: &mut OpenOptions, access: Access) -> Result<File, NoEntry> {
        let path = self.path().join(name);
        // A pipe in its place must not keep dkb waiting.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = how.mode(0o600).custom_flags(flags.bits().cast_signed()).open(&path);
        let file = file.map_err(|error| match (error.kind(), fs::symlink_metadata(&path)) {
            (ErrorKind::NotFound, _) => NoEntry::Missing,
            (_, Ok(link)) if link.is_symlink() => NoEntry::Failed(self.refused(&path, &LINK)),
            _ => NoEntry::Failed(self.failed("opening", name, error)),
        })?;
        let metadata = file.metadata().map_err(|error| NoEntry::Failed(self.failed("opening", name, error)))?;
        let me = rustix::process::geteuid().as_raw();
        judge(FileFacts::from(&metadata), FileKind::File, me, access)
            .map_err(|why| NoEntry::Failed(self.refused(&path, &why)))?;
        let mode = access.mode(FileKind::File);
        if metadata.mode() & 0o7777 != mode && metadata.uid() == me {
            let _ = file.set_permissions(Permissions::from_mode(mode));
        }
        Ok(file)
    }

    fn holds_nothing_else(&self) -> bool {
        let ours = |name: OsString| OURS.iter().any(|ours| name == **ours);
        fs::read_dir(&self.root).is_ok_and(|mut all| all.all(|entry| entry.is_ok_and(|entry| ours(entry.file_name()))))
    }

    fn failed(&self, doing: &str, name: &str, error: std::io::Error) -> Error {
        Error::failed(format!("{doing} {}", self.path().join(name).display()), error)
    }

    fn refused(&self, path: &Path, why: &Distrust) -> Error {
        let tried = format!("opening {}", path.display());
        let root = self.root.display();
        match why {
            Distrust::Rights(why) => Error::failed(tried, why).hint(format!(
                "dkb keeps its notes where nobody else can write: look who did that, then chown -R or chmod -R go-w {root}, \
                 or point DKB_STATE_DIR at a folder of your own; a group shares one that is setgid and writable for it"
            )),
            Distrust::Thing(why) if path == self.root => {
                Error::failed(tried, why).hint("point DKB_STATE_DIR at a folder of your own")
            }
            Distrust::Thing(why) => Error::failed(tried, why)
                .hint("dkb has not put it there: look who did, take it away, or point DKB_STATE_DIR at a folder of your own"),
        }
    }
}

/// Why a file is not open.
enum NoEntry {
    Missing,
    Failed(Error),
}

impl From<NoEntry> for Error {
    fn from(entry: NoEntry) -> Self {
        match entry {
            NoEntry::Missing => Self::failed("opening a file of the state folder", "its folder went away"),
            NoEntry::Failed(error) => error,
        }
    }
}

fn metadata(path: &Path, found: std::io::Result<Metadata>) -> Result<Option<Metadata>> {
    match found {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::failed(format!("opening {}", path.display()), error)),
    }
}

/// A file system that is read-only stays as it is: nobody can write there either.
fn close(path: &Path, thing: &Metadata, access: Access, kind: FileKind) {
    let mode = access.mode(kind);
    if thing.mode() & 0o7777 != mode && thing.uid() == rustix::process::geteuid().as_raw() {
        let _ = fs::set_permissions(path, Permissions::from_mode(mode));
    }
}
