//! A stream of docker's, which ends with docker.
//!
//! A script around docker may leave something running that holds its streams open for as long as it likes. Whoever
//! runs docker itself does not wait for that. What docker wrote is read to the last byte; what comes afterwards is
//! somebody else's, and is read as long as it keeps coming, for a little while.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};

/// After docker's end a stream that is silent for so long is over.
const QUIET: Duration = Duration::from_millis(200);
/// And one that goes on is left after this.
const LONGEST: Duration = Duration::from_secs(2);

pub(crate) struct Stream<S> {
    from: S,
    /// Closed on its other side once docker has ended.
    ended: PipeReader,
    after: Option<After>,
}

/// What is left to do once docker has ended.
struct After {
    /// Bytes that were waiting to be read, docker's own among them.
    owed: u64,
    since: Instant,
}

impl<S: Read + AsFd> Stream<S> {
    pub(crate) fn new(from: S, ended: PipeReader) -> Self {
        Self { from, ended, after: None }
    }

    /// Waits for bytes, or for the end; `false` where there is nothing more to be had.
    fn comes(&mut self) -> io::Result<bool> {
        loop {
            let ready = match &self.after {
                None => {
                    let mut both = [PollFd::new(&self.from, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
                    match poll(&mut both, None) {
                        Ok(_) => {}
                        Err(Errno::INTR) => continue,
                        Err(error) => return Err(error.into()),
                    }
                    let has_ended = !both[1].revents().is_empty();
                    if !has_ended {
                        return Ok(true);
                    }
                    let owed = ioctl_fionread(&self.from).unwrap_or(0);
                    self.after = Some(After { owed, since: Instant::now() });
                    continue;
                }
                Some(after) if after.owed > 0 => Ok(1),
                Some(after) if after.since.elapsed() > LONGEST => Ok(0),
                Some(_) => {
                    let quiet = Timespec::try_from(QUIET).ok();
                    poll(&mut [PollFd::new(&self.from, PollFlags::IN)], quiet.as_ref())
                }
            };
            match ready {
                Err(Errno::INTR) => {}
                ready => return Ok(ready? > 0),
            }
        }
    }
}

impl<S: Read + AsFd> Read for Stream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.comes()? {
            return Ok(0);
        }
        let read = self.from.read(buffer)?;
        if let Some(after) = &mut self.after {
            after.owed = after.owed.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    /// What is read of a stream whose other end stays open.
    fn read(stream: &mut impl Read) -> (Vec<u8>, Duration) {
        let (began, mut all) = (Instant::now(), Vec::new());
        stream.read_to_end(&mut all).expect("an end");
        (all, began.elapsed())
    }

    #[test]
    fn what_docker_wrote_is_read_whole_and_who_holds_its_stream_is_not_waited_for() {
        let ((from, mut to), (ended, end)) = (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        let mut stream = Stream::new(from, ended);
        to.write_all(&vec![b'x'; 60_000]).expect("a full pipe");
        drop(end);
        let (all, took) = read(&mut stream);
        assert_eq!(all.len(), 60_000);
        assert!(took < LONGEST, "{took:?}");
        drop(to);
    }

    #[test]
    fn a_stream_goes_on_as_long_as_docker_does_and_ends_with_its_last_writer() {
        let ((from, mut to), (ended, end)) = (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        let mut stream = Stream::new(from, ended);
        let writer = thread::spawn(move || {
            to.write_all(b"one").expect("a reader");
            thread::sleep(QUIET * 2);
            to.write_all(b"two").expect("a reader");
        });
        assert_eq!(read(&mut stream).0, b"onetwo");
        writer.join().expect("a writer");
        drop(end);
    }

    #[test]
    fn somebody_who_never_stops_writing_is_left() {
        let ((from, mut to), (ended, end)) = (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        let mut stream = Stream::new(from, ended);
        thread::spawn(move || while to.write_all(&[b'x'; 100]).is_ok() {});
        drop(end);
        let (all, took) = read(&mut stream);
        assert!(!all.is_empty() && took < LONGEST * 3, "{took:?}");
    }
}
