//! A program to run in an environment that holds only what the test says, and what came of it.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No command of a test takes this long; one that does has hung.
const LIMIT: Duration = Duration::from_secs(120);

/// How long after a command's end its streams may stay open; whoever pipes from it waits for that.
const CLOSING: Duration = Duration::from_secs(10);

/// A command under construction. It can be run any number of times.
#[derive(Clone, Debug)]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    stdin: Vec<u8>,
    limit: Duration,
    /// Folders that the command needs and that go with it.
    keeps: Vec<Arc<TempDir>>,
}

impl Command {
    /// Starts from an empty environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdin: Vec::new(),
            limit: LIMIT,
            keeps: Vec::new(),
        }
    }

    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let key = key.into();
        self.env.retain(|(k, _)| *k != key);
        self.env.push((key, value.into()));
        self
    }

    pub fn envs<K: Into<OsString>, V: Into<OsString>>(self, env: impl IntoIterator<Item = (K, V)>) -> Self {
        env.into_iter().fold(self, |command, (k, v)| command.env(k, v))
    }

    pub fn no_env(mut self, key: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(k, _)| k != key.as_ref());
        self
    }

    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// After this long the command is killed and the test fails.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Keeps a temporary folder as long as this command.
    pub(crate) fn keep(mut self, folder: Arc<TempDir>) -> Self {
        self.keeps.push(folder);
        self
    }

    /// The same as the standard library's command, for what this one has no words for.
    pub fn to_std(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }

    /// Starts it and lets the test go on; for signals and for things that happen in between.
    pub fn spawn(&self) -> Running {
        let child = self
            .to_std()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start: {e}", self.program.display()));
        Running::new(child, self)
    }

    /// Runs it to its end.
    pub fn run(&self) -> Output {
        self.spawn().wait()
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.program.as_os_str()).chain(self.args.iter().map(OsString::as_os_str));
        words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }
}

/// A command that has been started. Killed when dropped, so that a failed test leaves nothing running.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    limit: Duration,
    streams: Option<[Drain; 2]>,
}

/// What comes out of one stream until it closes.
type Drain = mpsc::Receiver<Vec<u8>>;

impl Running {
    fn new(mut child: Child, command: &Command) -> Self {
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let bytes = command.stdin.clone();
        // On a thread, since a child that does not read would block the test. It may also close its end early.
        thread::spawn(move || stdin.write_all(&bytes));
        let streams = [drain(child.stdout.take()), drain(child.stderr.take())];
        Self { child, line: command.line(), limit: command.limit, streams: Some(streams) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let status = process::Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name} of `{}` failed", self.line);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("asking for a child's end").is_none()
    }

    pub fn wait(mut self) -> Output {
        let status = self.wait_for_end();
        let line = self.line.clone();
        let close = |stream: Drain| {
            let all = stream.recv_timeout(CLOSING);
            all.unwrap_or_else(|_| panic!("`{line}` ended, but something it left running holds its streams open"))
        };
        let [stdout, stderr] = self.streams.take().expect("waited for once").map(close);
        let output = Output { line: std::mem::take(&mut self.line), status, stdout, stderr };
        output.status.expect_or(&output, self.limit);
        output
    }

    fn wait_for_end(&mut self) -> Ended {
        let start = Instant::now();
        while start.elapsed() < self.limit {
            if let Some(status) = self.child.try_wait().expect("asking for a child's end") {
                return Ended(Some(status));
            }
            thread::sleep(Duration::from_millis(if start.elapsed().as_millis() < 50 { 1 } else { 5 }));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Ended(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.streams.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn drain(from: Option<impl std::io::Read + Send + 'static>) -> Drain {
    let (done, all) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        done.send(bytes)
    });
    all
}

/// How a command ended; nothing where its time ran out.
#[derive(Clone, Copy, Debug)]
struct Ended(Option<ExitStatus>);

impl Ended {
    fn expect_or(self, output: &Output, limit: Duration) {
        assert!(self.0.is_some(), "not done after {limit:?}\n{output}");
    }
}

/// What a command said and how it ended. The checks print all of it where they fail.
#[derive(Clone, Debug)]
pub struct Output {
    line: String,
    status: Ended,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    /// The exit code, where it exited by itself.
    pub fn exit_code(&self) -> Option<i32> {
        self.status.0.and_then(|s| s.code())
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.0.and_then(|s| s.signal())
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Stdout as one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("stdout is no JSON: {e}\n{self}"))
    }

    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert!(self.exit_code() == Some(code), "expected exit code {code}\n{self}");
        self
    }

    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(self.exit_code() != Some(0), "expected a failure\n{self}");
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.out().contains(text), "expected on stdout: {text}\n{self}");
        self
    }

    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(!self.out().contains(text), "not expected on stdout: {text}\n{self}");
        self
    }

    #[track_caller]
    pub fn warns(self, text: &str) -> Self {
        assert!(self.err().contains(text), "expected on stderr: {text}\n{self}");
        self
    }

    #[track_caller]
    pub fn never_warns(self, text: &str) -> Self {
        assert!(!self.err().contains(text), "not expected on stderr: {text}\n{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.status.0.map_or_else(|| "killed: out of time".to_owned(), |s| s.to_string());
        write!(f, "$ {}\n[{end}]\n--- stdout\n{}\n--- stderr\n{}\n---", self.line, self.out(), self.err())
    }
}
