//! A terminal with a person in front of it: what they see, what they type, how wide their window is.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use crate::command::Command;
use crate::wait::eventually;

const LIMIT: Duration = Duration::from_secs(60);

/// A command that runs in a terminal of its own. Killed when dropped.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    _command: Command,
}

struct Seen {
    bytes: Vec<u8>,
    screen: vt100::Parser,
    over: bool,
}

impl Command {
    /// Starts it in a terminal of 100 columns and 30 rows.
    pub fn in_terminal(&self) -> Terminal {
        self.in_terminal_of(100, 30)
    }

    pub fn in_terminal_of(&self, columns: u16, rows: u16) -> Terminal {
        Terminal::start(self, columns, rows)
    }

    /// Starts it in a terminal whose window is closed once this holds, and says how it ended.
    pub fn in_terminal_that_closes(&self, ready: impl FnMut() -> bool) -> ExitStatus {
        let (master, mut child) = spawn(self, 100, 30);
        let ready = eventually(LIMIT, ready);
        drop(master);
        assert!(ready, "it was not ready after {LIMIT:?}");
        let mut status = None;
        eventually(LIMIT, || {
            status = child.try_wait().expect("asking for a child's end");
            status.is_some()
        });
        let _ = child.kill();
        status.expect("it ends once its terminal is gone")
    }
}

impl Terminal {
    fn start(command: &Command, cols: u16, rows: u16) -> Self {
        let (master, child) = spawn(command, cols, rows);
        let keys = master.take_writer().expect("the terminal's keyboard");
        let output = master.try_clone_reader().expect("the terminal's screen");
        let parser = vt100::Parser::new(some(rows), some(cols), 1000);
        let seen = Arc::new(Mutex::new(Seen { bytes: Vec::new(), screen: parser, over: false }));
        let watched = Arc::clone(&seen);
        thread::spawn(move || watch(output, &watched));
        Self { master, keys, child, seen, _command: command.clone() }
    }

    /// Waits until this text is on the screen.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let there = eventually(LIMIT, || self.screen().contains(text) || self.seen().contains(text) || self.over());
        let there = there && (self.screen().contains(text) || self.seen().contains(text));
        assert!(there, "expected in the terminal: {text}\n--- screen\n{}\n---", self.screen());
    }

    /// What the person sees now.
    pub fn screen(&self) -> String {
        self.with(|seen| seen.screen.screen().contents())
    }

    /// Everything that was ever written to the terminal, escape sequences included.
    pub fn seen(&self) -> String {
        self.with(|seen| String::from_utf8_lossy(&seen.bytes).into_owned())
    }

    pub fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
    }

    /// Ctrl-C.
    pub fn interrupt(&mut self) {
        self.type_in("\x03");
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.with(|seen| seen.screen.screen_mut().set_size(some(rows), some(columns)));
        self.master.resize(size(columns, rows)).expect("the terminal takes a new size");
    }

    /// The process in the terminal.
    pub fn id(&self) -> u32 {
        self.child.process_id().expect("a process of this machine")
    }

    /// Waits for the end; the screen can still be looked at.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        let child = &mut self.child;
        let ended = eventually(LIMIT, || {
            status = child.try_wait().expect("asking for a child's end");
            status.is_some()
        });
        assert!(ended, "not done after {LIMIT:?}\n--- screen\n{}\n---", self.screen());
        // What was written last may still be on its way. A process left behind may keep the terminal open.
        eventually(Duration::from_secs(2), || self.over());
        status.expect("it ended")
    }

    fn over(&self) -> bool {
        self.with(|seen| seen.over)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Spawned = (Box<dyn MasterPty + Send>, Box<dyn Child + Send + Sync>);

fn spawn(command: &Command, cols: u16, rows: u16) -> Spawned {
    let pair = native_pty_system().openpty(size(cols, rows)).expect("a terminal");
    let std = command.to_std();
    let mut builder = CommandBuilder::new(std.get_program());
    builder.args(std.get_args());
    builder.env_clear();
    builder.env("TERM", "xterm-256color");
    for (key, value) in std.get_envs() {
        builder.env(key, value.unwrap_or_default());
    }
    builder.cwd(std.get_current_dir().unwrap_or("/".as_ref()));
    let child = pair.slave.spawn_command(builder).expect("the command starts in the terminal");
    (pair.master, child)
}

fn watch(mut output: impl Read, seen: &Mutex<Seen>) {
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        let mut seen = lock();
        seen.bytes.extend_from_slice(&buffer[..read]);
        seen.screen.process(&buffer[..read]);
    }
    lock().over = true;
}

fn some(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).expect("a window has at least one row and one column")
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}
