//! What people and programs see. The only room that writes to stdout and stderr.

// What an engine says may be any number.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod clean;
pub mod guard;
pub mod progress;
pub mod status;
pub mod sweep;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::termios::Winsize;

use crate::config::Color;

/// Whether what is written may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colored: bool,
}

impl Style {
    pub const PLAIN: Self = Self { colored: false };

    /// `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are asked where the settings leave it open.
    pub fn for_stdout(color: Color) -> Self {
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => console::colors_enabled() && io::stdout().is_terminal() || forced(),
        };
        Self { colored }
    }

    pub fn dim(self, text: &str) -> String {
        if self.colored { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        if self.colored { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn forced() -> bool {
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    forced && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

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

/// Asks a question on the terminal; anything but a yes is a no.
pub fn asks(question: &str) -> bool {
    err(question);
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        say("nothing was removed");
    }
    yes
}

/// Passes a part of a stream on as it is; `false` where nobody reads it.
pub fn pass(bytes: &[u8]) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).is_ok()
}

pub fn pass_on_stderr(bytes: &[u8]) -> bool {
    io::stderr().lock().write_all(bytes).is_ok()
}

/// The size of the terminal that stdout is; `None` where it is something else.
pub fn window() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok()
}

/// Whether stdout and stderr go to the same place.
pub fn is_one_stream() -> bool {
    let place = |file: BorrowedFd| rustix::fs::fstat(file).map(|file| (file.st_dev, file.st_ino)).ok();
    let one = place(io::stdout().as_fd());
    one.is_some() && one == place(io::stderr().as_fd())
}

/// Help, the version, or what is wrong with a command line, on the stream and with the code that belong to it.
pub fn clap(message: &clap::Error) -> u8 {
    if message.use_stderr() {
        err(message.to_string());
    } else {
        out(message.to_string());
    }
    u8::try_from(message.exit_code()).unwrap_or(2)
}
