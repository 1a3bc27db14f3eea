//! docker's settings for one call, in which dkb stands before buildx: the user's own but for that, and gone afterwards.
//!
//! docker knows no other way: where it looks for plugins is said in `config.json`, and a plugin that is named there
//! wins over all others. Docker is told of this file by a flag, which goes no further than to its plugin: what a compose
//! file asks of the environment, and what compose starts, is as without dkb. What else lies beside that file is linked, so
//! that credentials, contexts and plugins are the user's own. The file itself is copied and may hold credentials: the copy
//! is for its user alone, in memory where that can be had.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::TempDir;

use super::Env;
use super::cli_files::BUILDX;
use super::extra_dirs;
use crate::error::{Error, Result};
use crate::files;

const PREFIX: &str = "dkb-docker-";
const SETTINGS: &str = "config.json";
const LOCK: &str = "lock";
/// Beside dkb in its place, a link to the buildx behind it.
const BEHIND: &str = "behind-dkb";
const TRIED: &str = "preparing docker's settings";

#[derive(Debug)]
pub(crate) struct PrivateConfig {
    folder: TempDir,
    /// The user's own.
    own: Option<PathBuf>,
    /// Held as long as it is in use.
    _lock: File,
}

impl PrivateConfig {
    /// `own`: the folder of the user's settings, `dkb`: what is to stand before `buildx`.
    pub(crate) fn new(own: Option<PathBuf>, dkb: &Path, buildx: &Path, env: Env<'_>) -> Result<Self> {
        let settings = settings(own.as_deref())?;
        Self::make(own, &settings, [dkb, buildx], &place(env)).map_err(|error| Error::failed(TRIED, error))
    }

    fn make(own: Option<PathBuf>, settings: &str, [dkb, buildx]: [&Path; 2], place: &Path) -> io::Result<Self> {
        forget_the_dead(place);
        let folder =
            tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(place)?;
        let lock = lock(folder.path())?;
        let private = Self { folder, own, _lock: lock };
        let seat = private.folder.path().join("seat");
        fs::create_dir(&seat)?;
        symlink(dkb, seat.join(BUILDX))?;
        symlink(buildx, seat.join(BEHIND))?;
        fs::create_dir(private.path())?;
        let entries = private.own.as_ref().and_then(|own| fs::read_dir(own).ok()).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name() != SETTINGS) {
            symlink(std::path::absolute(entry.path())?, private.path().join(entry.file_name()))?;
        }
        let settings = extra_dirs::with(settings, &seat.to_string_lossy()).map_err(io::Error::other)?;
        let file = private.path().join(SETTINGS);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        file.write_all(settings.as_bytes())?;
        Ok(private)
    }

    /// What docker is to take for the folder of its settings.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// What docker has put beside its settings for the first time lies beside the user's own from now on.
    pub(crate) fn finish(self) {
        let Some(own) = &self.own else { return };
        for entry in fs::read_dir(self.path()).into_iter().flatten().flatten() {
            let is_new = entry.file_type().is_ok_and(|kind| kind.is_file()) && entry.file_name() != SETTINGS;
            let to = own.join(entry.file_name());
            if is_new && !to.exists() && fs::create_dir_all(own).is_ok() {
                // Most of it can be made again.
                let _ = fs::copy(entry.path(), to);
            }
        }
    }
}

/// The buildx behind a dkb that docker found in such a folder by this path.
pub(crate) fn behind(seat: &Path) -> Option<PathBuf> {
    // A bare name would mean the folder that docker builds in.
    let buildx = seat.is_absolute().then(|| fs::read_link(seat.with_file_name(BEHIND)).ok())??;
    (buildx.is_absolute() && buildx.is_file()).then_some(buildx)
}

/// What the user's file says. One that docker could not read either is not replaced by another.
fn settings(own: Option<&Path>) -> Result<String> {
    const MOST: u64 = 64 << 20;
    let Some(file) = own.map(|own| own.join(SETTINGS)).filter(|file| file.exists()) else { return Ok(String::new()) };
    let text = files::read(&file, MOST).map_err(|error| Error::failed(TRIED, error))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    match extra_dirs::with(&text, "/") {
        Ok(_) => Ok(text),
        Err(why) => Err(Error::failed(TRIED, format!("{}: {why}", file.display()))),
    }
}

/// A folder that is gone with the machine's next start, or with the user's next login.
fn place(env: Env<'_>) -> PathBuf {
    let own = env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute() && folder.is_dir());
    let memory = || Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
    own.or_else(memory).unwrap_or_else(std::env::temp_dir)
}

/// It has its name only once it is held, so that nobody takes it for one of the dead.
fn lock(folder: &Path) -> io::Result<File> {
    let new = folder.join("lock-to-be");
    let lock = File::create_new(&new)?;
    lock.try_lock().map_err(io::Error::from)?;
    fs::rename(new, folder.join(LOCK))?;
    Ok(lock)
}

/// Those of a dkb that was killed, of this user's. Where everybody may write, others' folders may have such a name, and
/// anything in them.
fn forget_the_dead(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_one = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_one && is_own_folder(&entry.path()) && is_over(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_own_folder(path: &Path) -> bool {
    let is_own = |folder: fs::Metadata| folder.is_dir() && folder.uid() == rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(is_own)
}

/// Nobody holds its lock, which is a plain file.
fn is_over(folder: &Path) -> bool {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let lock = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(folder.join(LOCK));
    lock.is_ok_and(|lock| lock.metadata().is_ok_and(|lock| lock.is_file()) && lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::engine::cli_files::EXTRA_DIRS;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    fn private(own: &Path, place: &Path) -> PrivateConfig {
        let settings = settings(Some(own)).expect("settings");
        let programs = [Path::new("/opt/dkb"), Path::new("/bin/sh")];
        PrivateConfig::make(Some(own.to_owned()), &settings, programs, place).expect("settings")
    }

    #[test]
    fn it_says_what_the_users_own_says_and_dkb_stands_before_all() {
        let (own, place) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let text = r#"{"auths": {"r": {"auth": "c2VjcmV0"}}, "cliPluginsExtraDirs": ["/x"], "currentContext": "far"}"#;
        write(&own.path().join(SETTINGS), text);
        write(&own.path().join("contexts/meta/a"), "a context");
        let private = private(own.path(), place.path());
        let said: Value =
            serde_json::from_slice(&fs::read(private.path().join(SETTINGS)).expect("a file")).expect("JSON");
        assert_eq!((&said["auths"]["r"]["auth"], &said["currentContext"]), (&"c2VjcmV0".into(), &"far".into()));
        let dirs = said[EXTRA_DIRS].as_array().expect("a list");
        let seat = Path::new(dirs[0].as_str().expect("a path")).join("docker-buildx");
        assert_eq!((behind(&seat), behind(Path::new("docker-buildx"))), (Some("/bin/sh".into()), None));
        assert_eq!((fs::read_link(seat).expect("a link"), &dirs[1]), ("/opt/dkb".into(), &"/x".into()));
        assert_eq!(fs::read_to_string(private.path().join("contexts/meta/a")).expect("a file"), "a context");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(private.folder.path()), mode(&private.path().join(SETTINGS))), (0o700, 0o600));

        // What is new is the user's, what he has is not touched, and nothing else is left.
        write(&private.path().join(".token_seed"), "new");
        private.finish();
        assert_eq!(fs::read_to_string(own.path().join(".token_seed")).expect("a file"), "new");
        assert_eq!(fs::read_to_string(own.path().join(SETTINGS)).expect("a file"), text);
        assert_eq!(fs::read_to_string(own.path().join("contexts/meta/a")).expect("a file"), "a context");
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_a_killed_one_has_left_goes_and_what_is_in_use_stays() {
        let (own, place) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let dead = place.path().join("dkb-docker-dead");
        write(&dead.join("config/config.json"), "{}");
        write(&dead.join(LOCK), "");
        let young = place.path().join("dkb-docker-young");
        write(&young.join("lock-to-be"), "");
        let (first, second) = (private(own.path(), place.path()), private(own.path(), place.path()));
        assert!(!dead.exists() && young.exists() && first.path().exists() && second.path().exists());
    }

    #[test]
    fn what_others_put_there_is_neither_waited_for_nor_taken() {
        let place = tempfile::tempdir().expect("a folder");
        let there = |name: &str| place.path().join(PREFIX.to_owned() + name);
        for name in ["pipe", "link", "theirs"] {
            fs::create_dir(there(name)).expect("a folder");
        }
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mkfifoat(rustix::fs::CWD, there("pipe").join(LOCK), mode).expect("a pipe");
        let elsewhere = tempfile::tempdir().expect("a folder");
        write(&elsewhere.path().join(LOCK), "");
        symlink(elsewhere.path().join(LOCK), there("link").join(LOCK)).expect("a link");
        symlink(elsewhere.path(), there("folder")).expect("a link");
        write(&there("theirs").join(LOCK), "");
        // Only root can make what is somebody else's.
        let is_theirs = std::os::unix::fs::chown(there("theirs"), Some(65534), None).is_ok();
        let (looked, path) = (std::sync::mpsc::channel(), place.path().to_owned());
        std::thread::spawn(move || {
            forget_the_dead(&path);
            looked.0.send(())
        });
        assert_eq!(looked.1.recv_timeout(std::time::Duration::from_secs(10)), Ok(()), "it waits for no writer");
        for name in ["pipe", "link", "folder"] {
            assert!(there(name).exists(), "{name}");
        }
        assert_eq!(there("theirs").exists(), is_theirs);
        assert!(elsewhere.path().join(LOCK).exists());
    }

    #[test]
    fn settings_that_can_not_be_read_are_not_replaced() {
        let own = tempfile::tempdir().expect("a folder");
        assert_eq!(settings(Some(own.path())).expect("none"), "");
        write(&own.path().join(SETTINGS), "{");
        assert!(settings(Some(own.path())).expect_err("damage").to_string().contains(SETTINGS));
    }
}
