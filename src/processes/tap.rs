//! The stream that docker writes and dkb reads on its way to the user: a terminal where the user has one, since the
//! classic builder shows how a pull goes on only to a terminal, and else a pipe. Where the user's stdout and stderr
//! are one, docker's are too, so that what it writes stays in order.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::report;

pub(crate) struct Tap {
    from: File,
    /// The size of docker's own terminal, where it has one.
    window: Option<Winsize>,
}

impl Tap {
    pub(crate) fn on(command: &mut Command) -> io::Result<Self> {
        let terminal = report::window().and_then(|window| Some((terminal(window).ok()?, window)));
        let (from, to, window) = match terminal {
            Some(((from, to), window)) => (from, to, Some(window)),
            None => io::pipe().map(|(from, to)| (OwnedFd::from(from), OwnedFd::from(to), None))?,
        };
        if report::is_one_stream() {
            command.stderr(to.try_clone()?);
        }
        command.stdout(to);
        Ok(Self { from: from.into(), window })
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer);
        if self.window.is_some()
            && let Some(now) = report::window().filter(|now| Some(*now) != self.window)
        {
            // Docker asks for the size before every line that depends on it.
            let _ = tcsetwinsize(&self.from, now);
            self.window = Some(now);
        }
        read
    }
}

/// Both ends of a terminal from which bytes come as docker wrote them.
fn terminal(window: Winsize) -> io::Result<(OwnedFd, OwnedFd)> {
    let from = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    fcntl_setfd(&from, FdFlags::CLOEXEC)?;
    grantpt(&from)?;
    unlockpt(&from)?;
    let name = ptsname(&from, Vec::new())?;
    let to = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut modes = tcgetattr(&to)?;
    modes.make_raw();
    tcsetattr(&to, OptionalActions::Now, &modes)?;
    tcsetwinsize(&to, window)?;
    Ok((from, to))
}
