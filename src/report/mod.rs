//! What people and programs see. The only room that writes to stdout and stderr: as a [`Page`], which is clean, or
//! as a stream that is another program's own.

mod actions;
pub(crate) mod clean;
pub(crate) mod doctor;
pub(crate) mod guard;
mod ids;
pub(crate) mod log;
pub(crate) mod notice;
pub(crate) mod page;
pub(crate) mod progress;
mod question;
pub(crate) mod status;
mod style;
pub(crate) mod sweep;
mod table;
pub(crate) mod words;

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ContextValue;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::Winsize;
use serde::Serialize;

use crate::config::Format;
use crate::error::Error;
use crate::model::Step;
pub(crate) use page::{Page, Words};
pub(crate) use style::Style;

/// A result that did not get to stdout.
static IS_CUT: AtomicBool = AtomicBool::new(false);

/// Whether any of what was to be read on stdout is missing there.
pub(crate) fn is_cut() -> bool {
    IS_CUT.load(Ordering::Relaxed)
}

/// Writes a result to stdout. Nobody reading any more is no error: there is nobody to tell.
pub(crate) fn out(page: &Page) {
    out_as_it_is(page.as_bytes());
}

/// The same for a text that is all our own.
pub(crate) fn out_as_it_is(text: &[u8]) {
    let Err(error) = progress::aside(|| write(io::stdout().lock(), text)) else { return };
    if error.kind() != ErrorKind::BrokenPipe && !IS_CUT.swap(true, Ordering::Relaxed) {
        let next = "make room where it goes; dkb log tells what was taken away";
        say(Error::failed("writing the result to stdout", error).hint(next));
    }
}

/// Prints a result in the form that was asked for: as a page, or as a document that programs read.
pub(crate) fn result<D: Serialize>(format: Format, page: impl FnOnce() -> Page, document: impl FnOnce() -> D) {
    out(&if format.is_document() { written(format, &document()) } else { page() });
}

/// A document, as programs were told to get it.
pub(crate) fn written(format: Format, document: &impl Serialize) -> Page {
    match format {
        Format::Json | Format::Human => Page::json(document),
    }
}

pub(crate) fn err(page: &Page) {
    pass_on_stderr(page.as_bytes());
}

/// Narration: one line, and a second for an error's next step.
pub(crate) fn say(words: impl Into<Words>) {
    err(&words.into().page("dkb: "));
}

pub(crate) fn warn(words: impl Into<Words>) {
    annotated(actions::Level::Warning, &words.into(), "dkb: warning: ");
}

/// Why dkb ends as it does.
pub(crate) fn fail(words: impl Into<Words>) {
    annotated(actions::Level::Error, &words.into(), "dkb: ");
}

fn annotated(level: actions::Level, words: &Words, before: &str) {
    err(&if actions::is_here(&env) { actions::annotation(level, &words.in_one_line()) } else { words.page(before) });
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Adds to the page of the CI's job, where it has one. It is news and no result: where it can't be written, nothing is
/// missing.
fn add_to_summary(page: &Page) {
    let Some(path) = actions::summary_file(&env) else { return };
    if let Ok(file) = File::options().append(true).open(path) {
        let _ = write(file, page.as_bytes());
    }
}

/// Whether somebody is there to read a question and to answer it.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal whether all these steps are to be done; anything but a yes is a no.
pub(crate) fn asks<'a>(steps: impl IntoIterator<Item = &'a Step>) -> bool {
    pass_on_stderr(question::of(&steps.into_iter().collect::<Vec<_>>()).as_bytes());
    let mut answer = String::new();
    // Whoever ends the input in place of an answer has not ended the line.
    if !matches!(io::stdin().read_line(&mut answer), Ok(length) if length > 0) {
        pass_on_stderr(b"\n");
    }
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !yes {
        say("nothing was removed");
    }
    yes
}

/// Passes a part of another program's stream on as it is; `false` where nobody reads it. What finds no room is lost, as
/// it is to docker, whose build goes on.
pub(crate) fn pass_on_stdout(bytes: &[u8]) -> bool {
    is_read(&progress::aside(|| write(io::stdout().lock(), bytes)))
}

pub(crate) fn pass_on_stderr(bytes: &[u8]) -> bool {
    is_read(&progress::aside(|| write(io::stderr().lock(), bytes)))
}

fn is_read(written: &io::Result<()>) -> bool {
    written.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// Writes all of it. Some programs leave their streams so that nobody waits at them; whoever reads there is waited for
/// all the same.
fn write(stream: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&stream, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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
