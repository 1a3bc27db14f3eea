//! Reading files that others wrote: whatever lies at a path, dkb neither waits for it nor drowns in it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

/// More than any file of settings has.
pub(crate) const SETTINGS: u64 = 1 << 20;
/// How long a pipe that the user named may keep silent, or go on, or have nobody at its other end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Whether root would make this in a folder of somebody else, who could not change it there: with his `HOME`, by
/// `sudo -E`.
pub(crate) fn is_anothers_for_root(path: &Path) -> bool {
    let folder = path.ancestors().find_map(|folder| folder.metadata().ok());
    rustix::process::geteuid().is_root() && folder.is_some_and(|folder| folder.uid() != 0)
}

/// Reads a plain file of no more than so many bytes. A pipe, a device or a folder in its place is an error.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    whole(file, most)
}

pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    text(read(path, most)?)
}

/// The same for a path that the user named, who may well mean a pipe, as in `--settings <(…)`, or `/dev/null`.
pub(crate) fn read_named(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if path.metadata()?.is_file() {
        return read(path, most);
    }
    let path = path.to_owned();
    let (done, answer) = mpsc::channel();
    // On a thread of its own, which is left behind where nobody ever writes.
    thread::spawn(move || done.send(File::open(path).and_then(|file| whole(file, most))));
    let late = format!("it did not end within {} s", PATIENCE.as_secs());
    answer.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, late)))
}

pub(crate) fn read_named_text(path: &Path, most: u64) -> io::Result<String> {
    text(read_named(path, most)?)
}

/// Opens a file for reading, whatever it is, without waiting for anybody at its other end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Of a file that is not empty.
pub(crate) fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

fn whole(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= most) {
        return Ok(bytes);
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", most >> 20)))
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The ID that a machine has of its own, if it has one.
pub(crate) fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| {
        let text = read_text(Path::new(path), SETTINGS).ok()?;
        let id = text.trim();
        (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
    })
}

/// The machine's name in its network.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rustix::fs::Mode;

    use super::*;

    fn pipe(folder: &Path) -> PathBuf {
        let path = folder.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o600)).expect("a pipe");
        path
    }

    #[test]
    fn a_plain_file_is_read_also_through_a_link_and_no_further_than_its_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "12345").expect("a file");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert_eq!(read_text(&link, 5).expect("a text"), "12345");
        assert_eq!(read(&path, 4).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_named(&path, 4).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [&pipe(folder.path()), Path::new("/dev/zero"), folder.path()] {
            assert_eq!(read(path, 5).expect_err("no file").kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        let missing = read(&folder.path().join("missing"), 5).expect_err("nothing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_somebody_named_is_read_to_its_end_and_within_its_limit() {
        assert_eq!(read_named_text(Path::new("/dev/null"), 5).expect("nothing"), "");
        assert_eq!(read_named(Path::new("/dev/zero"), 5).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        let folder = tempfile::tempdir().expect("a folder");
        let path = pipe(folder.path());
        for (text, most) in [("12345", 5), ("123456", 5)] {
            let writer = path.clone();
            let writer = thread::spawn(move || fs::write(writer, text));
            let read = read_named_text(&path, most);
            assert_eq!(read.ok(), (text.len() == 5).then(|| text.to_owned()));
            writer.join().expect("a writer").expect("written");
        }
    }
}
