//! What people and programs see. The only room that writes to stdout and stderr: as a [`Page`], which is clean, or
//! as a stream that is another program's own.

// What an engine says may be any number.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub(crate) mod clean;
pub(crate) mod guard;
pub(crate) mod log;
pub(crate) mod notice;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod status;
mod style;
pub(crate) mod sweep;
pub(crate) mod words;

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

use clap::error::ContextValue;
use rustix::termios::Winsize;

use crate::config::Format;
pub(crate) use page::{Page, Words};
pub(crate) use style::Style;

/// Writes to stdout. Nobody reading any more is no error: there is nobody to tell.
pub(crate) fn out(page: &Page) {
    pass_on_stdout(page.as_bytes());
}

/// Prints a result in the form that was asked for.
pub(crate) fn result(format: Format, for_people: impl FnOnce() -> Page, for_programs: impl FnOnce() -> Page) {
    out(&match format {
        Format::Human => for_people(),
        Format::Json => for_programs(),
    });
}

pub(crate) fn err(page: &Page) {
    pass_on_stderr(page.as_bytes());
}

/// Narration: one line, and a second for an error's next step.
pub(crate) fn say(words: impl Into<Words>) {
    err(&words.into().page("dkb: "));
}

pub(crate) fn warn(words: impl Into<Words>) {
    err(&words.into().page("dkb: warning: "));
}

/// Asks a question on the terminal; anything but a yes is a no.
pub(crate) fn asks(question: &'static str) -> bool {
    pass_on_stderr(question.as_bytes());
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !yes {
        say("nothing was removed");
    }
    yes
}

/// Passes a part of another program's stream on as it is; `false` where nobody reads it.
pub(crate) fn pass_on_stdout(bytes: &[u8]) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).is_ok()
}

pub(crate) fn pass_on_stderr(bytes: &[u8]) -> bool {
    io::stderr().lock().write_all(bytes).is_ok()
}

/// The size of the terminal that stdout is; `None` where it is something else.
pub(crate) fn window() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok()
}

/// Whether this is what stdout goes to.
pub(crate) fn is_stdout(there: &Metadata) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
    stdout.is_ok_and(|stdout| (stdout.dev(), stdout.ino()) == (there.dev(), there.ino()))
}

/// Whether stdout and stderr go to the same place.
pub(crate) fn is_one_stream() -> bool {
    let place = |file: BorrowedFd| rustix::fs::fstat(file).map(|file| (file.st_dev, file.st_ino)).ok();
    let one = place(io::stdout().as_fd());
    one.is_some() && one == place(io::stderr().as_fd())
}

/// Help, the version, or what is wrong with a command line, on the stream and with the code that belong to it.
pub(crate) fn clap(mut message: clap::Error) -> u8 {
    // What was typed may break lines as well as the message does.
    let typed = message.context().filter_map(|(kind, value)| match value {
        ContextValue::String(typed) => Some((kind, ContextValue::String(page::clean(typed).into_owned()))),
        _ => None,
    });
    for (kind, typed) in typed.collect::<Vec<_>>() {
        message.insert(kind, typed);
    }
    let page = Page::of_lines(&message.to_string());
    if message.use_stderr() {
        err(&page);
    } else {
        out(&page);
    }
    u8::try_from(message.exit_code()).unwrap_or(2)
}
