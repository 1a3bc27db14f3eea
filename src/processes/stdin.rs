//! dkb's own stdin, which docker is to read too: a definition that comes through a pipe can be read only once.

use std::io::{self, Read, Write};
use std::process::ChildStdin;
use std::thread;

/// No definition is longer.
const MOST: u64 = 16 << 20;

/// What has been read of it.
pub(crate) struct Stdin {
    bytes: Vec<u8>,
    whole: bool,
}

impl Stdin {
    /// Reads to its end, or as much as a definition may have.
    pub(crate) fn read() -> io::Result<Self> {
        let mut bytes = Vec::new();
        io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)?;
        Ok(Self { whole: bytes.len() as u64 <= MOST, bytes })
    }

    /// All of it, where that is known.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.whole.then_some(self.bytes.as_slice())
    }

    /// Hands on what was read, and what is still to come. On a thread of its own, since docker reads when it likes.
    pub(super) fn feed(self, mut pipe: ChildStdin) {
        thread::spawn(move || {
            // Whoever wants no more closes the pipe.
            if pipe.write_all(&self.bytes).is_ok() && !self.whole {
                let _ = io::copy(&mut io::stdin().lock(), &mut pipe);
            }
        });
    }
}
