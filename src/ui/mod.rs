//! What people and programs see. The only room that writes to stdout and stderr.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to stdout. Nobody reading any more is no error: there is nobody to tell.
pub fn out(text: impl AsRef<[u8]>) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_ref()).and_then(|()| stdout.flush());
}

pub fn err(text: impl AsRef<[u8]>) {
    let _ = io::stderr().lock().write_all(text.as_ref());
}

/// One line of narration.
pub fn say(text: impl Display) {
    err(format!("dkb: {text}\n"));
}

pub fn warn(text: impl Display) {
    err(format!("dkb: warning: {text}\n"));
}

/// Passes a part of a stream on as it is; `false` where nobody reads it.
pub fn pass(bytes: &[u8]) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).is_ok()
}
