//! A program named docker that writes down how it was called and does as the test says: for everything
//! about arguments and streams, byte by byte, without an engine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::command::Command;

/// A shell script, since that starts in a millisecond and is at home on every Unix.
const SCRIPT: &str = r#"#!/bin/sh
fake=${0%/bin/docker}
n=0; until mkdir "$fake/calls/$n" 2>/dev/null; do n=$((n + 1)); done
call=$fake/calls/$n
printf '%s\0' "$@" >"$call/args"; [ $# -gt 0 ] || : >"$call/args"
if [ -r /proc/$$/environ ]; then cat /proc/$$/environ; else env -0; fi >"$call/env"
pwd -P >"$call/cwd"
reply=$fake/replies/any
for word in "$@"; do
  case $word in '' | *[!a-z-]* | any) continue ;; esac
  if [ -d "$fake/replies/$word" ]; then reply=$fake/replies/$word; break; fi
done
: >"$call/begun"
if [ -e "$reply/reads" ]; then cat >"$call/stdin"; fi
if [ -e "$reply/script" ]; then . "$reply/script"; fi
if [ -e "$reply/iid" ]; then
  last=; for word in "$@"; do
    case $last in --iidfile) cp "$reply/iid" "$word" ;; esac
    case $word in --iidfile=*) cp "$reply/iid" "${word#--iidfile=}" ;; esac
    last=$word
  done
fi
if [ -e "$reply/stdout" ]; then cat "$reply/stdout"; fi
if [ -e "$reply/stderr" ]; then cat "$reply/stderr" >&2; fi
if [ -e "$reply/held" ]; then until [ -e "$reply/released" ]; do sleep 0.01; done; fi
if [ -e "$reply/signal" ]; then kill -"$(cat "$reply/signal")" $$; fi
if [ -e "$reply/code" ]; then exit "$(cat "$reply/code")"; fi
exit 0
"#;

#[derive(Debug)]
pub struct FakeDocker {
    folder: TempDir,
}

/// One call of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Without the program's own name.
    pub args: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    /// Only where the reply reads it.
    pub stdin: Option<Vec<u8>>,
    pub cwd: PathBuf,
}

impl Call {
    pub fn var(&self, key: &str) -> Option<&OsStr> {
        self.env.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_os_str())
    }

    /// The arguments as text, for a readable comparison.
    pub fn words(&self) -> Vec<String> {
        self.args.iter().map(|a| a.to_string_lossy().into_owned()).collect()
    }
}

impl Default for FakeDocker {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeDocker {
    /// It says nothing and succeeds, unless told otherwise.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for part in ["bin", "calls", "replies/any"] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder in it");
        }
        let fake = Self { folder };
        fs::write(fake.program(), SCRIPT).expect("the fake program");
        fs::set_permissions(fake.program(), fs::Permissions::from_mode(0o755)).expect("its mode");
        fake
    }

    /// The folder to be put first on PATH.
    pub fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    pub fn program(&self) -> PathBuf {
        self.bin().join("docker")
    }

    /// What it does when no other reply fits.
    pub fn reply(&self) -> Reply {
        self.reply_to("any")
    }

    /// What it does where this word, such as `build`, is one of its arguments.
    pub fn reply_to(&self, word: &str) -> Reply {
        let folder = self.folder.path().join("replies").join(word);
        fs::create_dir_all(&folder).expect("a folder for the reply");
        Reply { folder }
    }

    /// All calls, in the order in which they began.
    pub fn calls(&self) -> Vec<Call> {
        let folder = |n: usize| self.folder.path().join("calls").join(n.to_string());
        let begun = (0..usize::MAX).map(folder).take_while(|call| call.join("begun").exists());
        begun.map(|call| read_call(&call)).collect()
    }

    /// The calls with this word among their arguments.
    pub fn calls_of(&self, word: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|c| c.args.iter().any(|a| a == word)).collect()
    }
}

/// What the fake program does. Each part can be said at any time before it is called.
#[derive(Clone, Debug)]
pub struct Reply {
    folder: PathBuf,
}

impl Reply {
    pub fn stdout(self, bytes: impl AsRef<[u8]>) -> Self {
        self.say("stdout", bytes)
    }

    pub fn stderr(self, bytes: impl AsRef<[u8]>) -> Self {
        self.say("stderr", bytes)
    }

    pub fn code(self, code: u8) -> Self {
        self.say("code", code.to_string())
    }

    /// It dies by this signal, such as `KILL`.
    pub fn signal(self, name: &str) -> Self {
        self.say("signal", name)
    }

    /// It writes this into the file that `--iidfile` names.
    pub fn iid(self, id: &str) -> Self {
        self.say("iid", id)
    }

    /// It reads all of stdin first.
    pub fn reads_stdin(self) -> Self {
        self.say("reads", "")
    }

    /// It runs these lines of shell first. `$call` is a folder of this call's own.
    pub fn script(self, lines: &str) -> Self {
        self.say("script", lines)
    }

    /// It does not end before `release`.
    pub fn held(self) -> Self {
        self.say("held", "")
    }

    pub fn release(&self) {
        fs::write(self.folder.join("released"), "").expect("the sign to go on");
    }

    fn say(self, part: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.join(part), bytes).expect("a part of the reply");
        self
    }
}

impl Command {
    /// Puts the fake program first on PATH.
    pub fn with_docker(self, docker: &FakeDocker) -> Self {
        let mut path = docker.bin().into_os_string();
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        self.env("PATH", path)
    }
}

fn read_call(folder: &Path) -> Call {
    let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
    let env = split(&read("env")).into_iter().filter_map(|pair| {
        let at = pair.as_bytes().iter().position(|b| *b == b'=')?;
        let (key, value) = pair.as_bytes().split_at(at);
        Some((OsString::from_vec(key.to_owned()), OsString::from_vec(value[1..].to_owned())))
    });
    let cwd = read("cwd");
    Call {
        args: split(&read("args")),
        env: env.collect(),
        stdin: fs::read(folder.join("stdin")).ok(),
        cwd: PathBuf::from(OsStr::from_bytes(cwd.trim_ascii_end())),
    }
}

fn split(bytes: &[u8]) -> Vec<OsString> {
    let Some(bytes) = bytes.strip_suffix(b"\0") else { return Vec::new() };
    bytes.split(|b| *b == 0).map(|part| OsString::from_vec(part.to_owned())).collect()
}
