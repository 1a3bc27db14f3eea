//! The first line that a program prints, for whoever wants to know what it is.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::files;

/// What it leaves running may hold its stdout open, so nobody waits for the end of that, nor for ever for the program
/// itself.
pub(super) fn first_line(command: &mut Command) -> io::Result<String> {
    first_line_within(command, files::PATIENCE)
}

fn first_line_within(command: &mut Command, patience: Duration) -> io::Result<String> {
    const LONGEST: u64 = 4096;
    let (began, late) = (Instant::now(), || io::Error::from(io::ErrorKind::TimedOut));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (said, heard) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut line = Vec::new();
            let read = BufReader::new(stdout.take(LONGEST)).read_until(b'\n', &mut line);
            said.send(read.map(|_| line))
        });
    }
    let line = heard.recv_timeout(patience).unwrap_or_else(|_| Err(late()));
    while line.is_ok() && began.elapsed() < patience {
        if child.try_wait()?.is_some() {
            return Ok(String::from_utf8_lossy(&line?).trim().to_owned());
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    Err(line.err().unwrap_or_else(late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_asked_for_a_line_and_what_it_leaves_running_is_not_waited_for() {
        let began = Instant::now();
        let said = |script: &str| first_line(Command::new("/bin/sh").args(["-c", script])).expect("a shell");
        assert_eq!(said("echo one; sleep 5 & echo two"), "one");
        assert!(began.elapsed() < Duration::from_secs(4));
        assert_eq!(said("true"), "");
        let asked = |script: &str| {
            let mut shell = Command::new("/bin/sh");
            first_line_within(shell.args(["-c", script]), Duration::from_millis(200))
        };
        for endless in ["exec sleep 60", "echo one; exec sleep 60"] {
            assert_eq!(asked(endless).expect_err(endless).kind(), io::ErrorKind::TimedOut);
        }
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
