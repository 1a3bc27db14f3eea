//! Where a plan is written. A plain file is replaced whole; what is no file is written to, and stays what it is.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::files;

/// Others may read a plan, if the umask lets them; nobody else is to change it.
const MODE: u32 = 0o644;
/// As many links as Linux follows.
const LINKS: u32 = 40;

pub(super) fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let me = rustix::process::geteuid().as_raw();
    refuse_links_of_others(path, me, &mut { LINKS })?;
    match fs::metadata(path) {
        Ok(there) if there.is_file() => replace(&fs::canonicalize(path)?, &there, me, text),
        Ok(there) if is_stream(&there) => pass(path, text, files::PATIENCE),
        Ok(there) if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(_) => Err(refused("it is neither a file nor a pipe, and stays as it is")),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if fs::symlink_metadata(path).is_ok() => Err(refused("it is a link to nothing")),
        Err(_) => create(path, text),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why)
}

/// In a folder where everybody may write, a link could lead anywhere. After `left` links the kernel gives up too.
fn refuse_links_of_others(path: &Path, me: u32, left: &mut u32) -> io::Result<()> {
    for part in path.ancestors() {
        let Some(link) = fs::symlink_metadata(part).ok().filter(Metadata::is_symlink) else { continue };
        if link.uid() != me && link.uid() != 0 {
            return Err(refused(&format!("{} is somebody else's link", part.display())));
        }
        if *left > 0 {
            *left = left.saturating_sub(1);
            refuse_links_of_others(&folder(part).join(fs::read_link(part)?), me, left)?;
        }
    }
    Ok(())
}

fn is_stream(there: &Metadata) -> bool {
    there.file_type().is_fifo() || there.file_type().is_char_device()
}

/// Whoever reads there may take their time, but somebody must come.
fn pass(path: &Path, text: &[u8], patience: Duration) -> io::Result<()> {
    let began = Instant::now();
    let mut stream = loop {
        match File::options().write(true).custom_flags(flags(OFlags::NOCTTY | OFlags::NONBLOCK)).open(path) {
            Err(error) if error.raw_os_error() != Some(Errno::NXIO.raw_os_error()) => return Err(error),
            Err(_) if began.elapsed() < patience => thread::sleep(Duration::from_millis(10)),
            Err(_) => {
                let late = format!("nobody read it within {} s", patience.as_secs());
                return Err(io::Error::new(ErrorKind::TimedOut, late));
            }
            Ok(stream) => break stream,
        }
    };
    if !is_stream(&stream.metadata()?) {
        return Err(refused("it has just become something else"));
    }
    fcntl_setfl(&stream, fcntl_getfl(&stream)?.difference(OFlags::NONBLOCK))?;
    stream.write_all(text)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What comes to stand there meanwhile is not replaced.
fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    let permissions = Permissions::from_mode(MODE);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder(path))?;
    file.write_all(text)?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// As whole as it was before, or as whole as it is now, and with the owner and the mode that it had.
fn replace(path: &Path, there: &Metadata, me: u32, text: &[u8]) -> io::Result<()> {
    if there.uid() != me && me != 0 {
        return overwrite(path, text);
    }
    match swap(path, there, text) {
        // A file that is mounted, or one in a folder where nothing can be made.
        Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::PermissionDenied) => {
            overwrite(path, text)
        }
        swapped => swapped,
    }
}

fn swap(path: &Path, there: &Metadata, text: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder(path))?;
    file.write_all(text)?;
    // Only root gives files away; the group may be one that we have left.
    let _ = fchown(file.as_file(), Some(there.uid()), Some(there.gid()));
    file.as_file().set_permissions(Permissions::from_mode(there.mode() & 0o777))?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn overwrite(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).custom_flags(flags(OFlags::NOFOLLOW)).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(refused("it has just become something else"));
    }
    file.set_len(0)?;
    file.write_all(text)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    const PLAN: &[u8] = b"{\"new\": true}\n";

    /// What stands in the folder, so that nothing is left there but what was meant.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").mode() & 0o777
    }

    #[test]
    fn a_new_file_is_for_its_user_to_change() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan.json");
        put(&path, PLAN).expect("written");
        assert_eq!(fs::read(&path).expect("a file"), PLAN);
        assert_eq!((mode(&path) & 0o622, names(dir.path())), (0o600, vec!["plan.json".to_owned()]));
        assert!(create(&path, PLAN).is_err(), "somebody was faster");
        assert_eq!(names(dir.path()), ["plan.json"]);
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_link_to_it_stays_a_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, link) = (dir.path().join("plan.json"), dir.path().join("link"));
        fs::write(&path, "something longer than the plan that comes").expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
        symlink("plan.json", &link).expect("a link");
        for way in [&link, &path] {
            put(way, PLAN).expect("written");
            assert_eq!((fs::read(&path).expect("a file"), mode(&path)), (PLAN.to_vec(), 0o640));
        }
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        overwrite(&path, b"{}").expect("written");
        assert_eq!((fs::read(&path).expect("a file"), mode(&path)), (b"{}".to_vec(), 0o640));
        assert_eq!(names(dir.path()), ["link", "plan.json"]);
    }

    #[test]
    fn a_pipe_gets_the_plan_and_stays_a_pipe() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        symlink(&pipe, &link).expect("a link");
        for way in [&pipe, &link] {
            let from = pipe.clone();
            let reader = thread::spawn(move || {
                let mut text = Vec::new();
                File::open(from).and_then(|mut pipe| pipe.read_to_end(&mut text)).map(|_| text)
            });
            put(way, PLAN).expect("written");
            assert!(fs::symlink_metadata(&pipe).expect("the pipe").file_type().is_fifo());
            assert_eq!(reader.join().expect("a reader").expect("a text"), PLAN);
        }
        assert_eq!(names(dir.path()), ["link", "pipe"]);
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for_without_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let error = pass(&pipe, PLAN, Duration::from_millis(50)).expect_err("nobody");
        assert!(error.kind() == ErrorKind::TimedOut && error.to_string().contains("nobody read it"), "{error}");
        // Who has come may read as late as they like, and more than a pipe holds.
        let (long, from) = (vec![b'x'; 200_000], pipe.clone());
        let reader = thread::spawn(move || {
            let mut pipe = File::open(from)?;
            thread::sleep(Duration::from_millis(200));
            let mut text = Vec::new();
            pipe.read_to_end(&mut text).map(|_| text)
        });
        pass(&pipe, &long, Duration::from_secs(10)).expect("written");
        assert_eq!(reader.join().expect("a reader").expect("a text").len(), long.len());
    }

    #[test]
    fn a_device_stays_a_device() {
        let dir = tempfile::tempdir().expect("a folder");
        let link = dir.path().join("null");
        symlink("/dev/null", &link).expect("a link");
        for way in [Path::new("/dev/null"), &link] {
            put(way, PLAN).expect("written");
        }
        assert!(fs::symlink_metadata("/dev/null").expect("a device").file_type().is_char_device());
        assert_eq!(names(dir.path()), ["null"]);
    }

    #[test]
    fn what_can_not_be_written_is_left_as_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        symlink("nowhere", at("dangling")).expect("a link");
        symlink("circle", at("circle")).expect("a link");
        fs::create_dir(at("folder")).expect("a folder");
        let before = names(dir.path());
        for (name, why) in [
            ("socket", "neither a file nor a pipe"),
            ("dangling", "link to nothing"),
            ("circle", "symbolic link"),
            ("folder", "is a directory"),
            ("none/plan.json", "No such file"),
            ("socket/plan.json", "Not a directory"),
        ] {
            let error = put(&at(name), PLAN).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        assert_eq!(names(dir.path()), before);
        assert!(names(&at("folder")).is_empty());
    }

    #[test]
    fn a_link_of_somebody_else_is_not_followed() {
        // Giving a link away takes root; elsewhere there is nobody else's to try.
        let dir = tempfile::tempdir().expect("a folder");
        let (theirs, file) = (dir.path().join("theirs"), dir.path().join("plan.json"));
        fs::write(&file, "mine").expect("a file");
        symlink(&file, &theirs).expect("a link");
        if std::os::unix::fs::lchown(&theirs, Some(12345), None).is_err() {
            return;
        }
        assert!(put(&theirs, PLAN).expect_err("a link").to_string().contains("somebody else's link"));
        assert_eq!(fs::read(&file).expect("a file"), b"mine");

        let folder = dir.path().join("folder");
        symlink(dir.path(), &folder).expect("a link");
        std::os::unix::fs::lchown(&folder, Some(12345), None).expect("a link of theirs");
        assert!(put(&folder.join("new.json"), PLAN).is_err(), "nor on the way");
        let mine = dir.path().join("mine");
        symlink("theirs", &mine).expect("a link");
        assert!(put(&mine, PLAN).is_err(), "nor behind a link of mine");
        fs::remove_file(&mine).expect("a link");
        // Their own file stays theirs, with all that root may do.
        std::os::unix::fs::chown(&file, Some(12345), Some(54321)).expect("a file of theirs");
        put(&file, PLAN).expect("written");
        let now = fs::metadata(&file).expect("a file");
        assert_eq!((now.uid(), now.gid()), (12345, 54321));
        assert_eq!(names(dir.path()), ["folder", "plan.json", "theirs"]);
    }
}
