//! A running private engine. It lives as long as this value, or as long as the test process, whichever
//! ends first: the script that runs it watches a pipe that only this process holds.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::{Api, Image};
use crate::command::{Command, Output};
use crate::context::{BASE, Context};
use crate::host;
use crate::wait::eventually;

const STARTING: Duration = Duration::from_secs(60);
const ENDING: Duration = Duration::from_secs(20);

/// What can build images for `docker build` on one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    Classic,
    BuildKit,
}

impl Builder {
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::BuildKit => "buildkit",
        }
    }

    /// The value of `DOCKER_BUILDKIT` that asks for it.
    pub fn env(self) -> &'static str {
        match self {
            Self::Classic => "0",
            Self::BuildKit => "1",
        }
    }
}

/// Cheap to clone, so that a piece of a test can be handed to another thread. It ends with the last clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    version: String,
    api: Api,
    cli: PathBuf,
    busybox: PathBuf,
    pid: u32,
    runner: Mutex<Runner>,
}

/// The script in the foreground, and the pipe that keeps it there.
#[derive(Debug)]
struct Runner {
    script: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// The script that does all the work that needs root.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engine")
}

/// The names of all engines that the lab knows.
pub fn names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let list = std::process::Command::new(script()).arg("list").output().expect("the lab's script");
        String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect()
    })
}

/// Those that this run is to use: `DKB_LAB`, else all.
pub fn picked() -> Vec<String> {
    match std::env::var("DKB_LAB") {
        Ok(list) => list.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect(),
        Err(_) => names().to_vec(),
    }
}

/// Why no engine can run here, in one line; nothing where they can.
pub fn missing() -> Option<String> {
    let said = std::process::Command::new(script()).arg("able").output().expect("the lab's script");
    let why = String::from_utf8_lossy(&said.stderr).trim().trim_start_matches("engine: ").to_owned();
    (!said.status.success()).then_some(why)
}

/// Fetches what these engines need, all at once; those that are here already take no time.
pub(crate) fn install(names: &[&str]) -> Result<(), String> {
    let fetches = names.iter().map(|name| {
        let script = std::process::Command::new(script()).args(["install", name]).stdin(Stdio::null()).spawn();
        (name, script.expect("the lab's script"))
    });
    // All have been started before the first is waited for.
    let fetches: Vec<_> = fetches.collect();
    for (name, mut script) in fetches {
        let succeeded = script.wait().is_ok_and(|status| status.success());
        if !succeeded {
            return Err(format!("{name} could not be fetched: see the lines above"));
        }
    }
    Ok(())
}

/// Fetches make and just, which run the recipes of the docs; the folder for PATH that just is in.
pub fn runners() -> PathBuf {
    let said = std::process::Command::new(script()).arg("runners").stderr(Stdio::inherit()).output();
    let said = said.expect("the lab's script");
    assert!(said.status.success(), "make and just could not be fetched: see the lines above");
    String::from_utf8_lossy(&said.stdout).trim().into()
}

/// Clears away what is left of instances whose holder was killed the hard way.
pub fn sweep() {
    let swept = std::process::Command::new(script()).arg("sweep").status();
    assert!(swept.is_ok_and(|s| s.success()), "the lab's leftovers could not be swept away");
}

pub fn builders_of(name: &str) -> &'static [Builder] {
    if name.starts_with("podman") { &[Builder::Classic] } else { &[Builder::Classic, Builder::BuildKit] }
}

impl Engine {
    /// Starts a new instance, which no other test run can meet, with nothing on it but the base image.
    pub fn start(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let instance = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut script = std::process::Command::new(script())
            .args(["run", name, &instance])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab's script starts");
        let stdin = script.stdin.take();
        let mut stdout = BufReader::new(script.stdout.take().expect("stdout is a pipe"));
        let facts = read_facts(&mut stdout);
        let fact = |key: &str| {
            let found = facts.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("engine {name} did not start: see the lines above")).to_owned()
        };
        let socket = PathBuf::from(fact("host").trim_start_matches("unix://"));
        let mut inner = Inner {
            name: name.to_owned(),
            version: String::new(),
            api: Api::new(socket),
            cli: fact("cli").into(),
            busybox: fact("busybox").into(),
            pid: fact("pid").parse().expect("a process id"),
            runner: Mutex::new(Runner { script, stdin, stdout }),
        };
        inner.wait_until_it_answers();
        inner.api.version()["Version"].as_str().unwrap_or_default().clone_into(&mut inner.version);
        let engine = Self { inner: Arc::new(inner) };
        engine.load_base();
        engine
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// As the engine itself says, not as its name promises.
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    pub fn api(&self) -> &Api {
        &self.inner.api
    }

    pub fn socket(&self) -> &Path {
        self.inner.api.socket()
    }

    /// Its `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The folder that holds its docker program and nothing else, for the front of a PATH.
    pub fn bin(&self) -> PathBuf {
        self.inner.cli.join("bin")
    }

    /// The client configuration that lets that program find its plugins.
    pub fn docker_config(&self) -> &Path {
        &self.inner.cli
    }

    /// A process of this machine that lives in the engine's network.
    pub fn pid(&self) -> u32 {
        self.inner.pid
    }

    /// A folder of this machine that is in the same place inside the engine's namespaces.
    pub fn shared(&self) -> &Path {
        self.socket().parent().expect("a socket lies in a folder")
    }

    /// A program of the engine's own system, or one in the shared folder, run where the engine runs.
    pub fn inside(&self, program: impl Into<OsString>) -> Command {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let inner = std::fs::read_to_string(children).expect("the engine runs");
        let inner = inner.split(' ').next().expect("the first process of its namespace");
        let command = Command::new("/usr/bin/nsenter").args(["--target", inner, "--all", "--wd=/"]);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root").arg(program)
    }

    /// A path of the engine's own, as this machine sees it.
    pub fn seen_from_here(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid()))
    }

    /// What its images, its cache and its books take of the disk.
    pub fn on_disk(&self) -> u64 {
        blocks_of(&self.seen_from_here("/data/engine"))
    }

    pub(crate) fn busybox(&self) -> &Path {
        &self.inner.busybox
    }

    pub fn is_podman(&self) -> bool {
        self.inner.name.starts_with("podman")
    }

    pub fn is_containerd_store(&self) -> bool {
        self.inner.name.ends_with("-containerd")
    }

    /// What `docker build` can build with here.
    pub fn builders(&self) -> &'static [Builder] {
        builders_of(&self.inner.name)
    }

    /// The environment of a program that is to use this engine and nothing else.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let mut path = self.bin().into_os_string();
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), path),
            ("HOME".into(), "/nonexistent".into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("DOCKER_HOST".into(), self.host().into()),
            ("DOCKER_CONFIG".into(), self.docker_config().into()),
        ];
        if self.is_podman() {
            env.push(("DOCKER_BUILDKIT".into(), Builder::Classic.env().into()));
        }
        env
    }

    /// This engine's own docker program, with these arguments.
    pub fn docker<I: IntoIterator<Item: Into<OsString>>>(&self, args: I) -> Command {
        Command::new(self.bin().join("docker")).envs(self.env()).args(args)
    }

    /// `docker build` of this context, as a stranger to dkb would run it.
    pub fn build(&self, builder: Builder, context: &Context, args: &[&str]) -> Output {
        let command = self.docker(["build"]).args(args).arg(context.path());
        command.env("DOCKER_BUILDKIT", builder.env()).run()
    }

    /// All images but the lab's own base.
    pub fn images(&self) -> Vec<Image> {
        let mut images = self.inner.api.images();
        images.retain(|i| !i.tags.iter().any(|t| is_base(t)));
        images
    }

    /// The image of this ID or name, as it is listed now.
    pub fn find(&self, id_or_tag: &str) -> Option<Image> {
        let tagged = |i: &Image| i.tags.iter().any(|t| same_name(t, id_or_tag));
        self.inner.api.images().into_iter().find(|i| i.id == id_or_tag || tagged(i))
    }

    pub fn has(&self, id_or_tag: &str) -> bool {
        self.find(id_or_tag).is_some()
    }

    /// What is on it, for a person who reads about a failed test.
    pub fn inventory(&self) -> String {
        if !self.inner.api.answers() {
            let log = std::fs::read_to_string(self.inner.log()).unwrap_or_default();
            let mut last: Vec<&str> = log.lines().rev().take(40).collect();
            last.reverse();
            return format!("{} does not answer; its log ends:\n{}", self.inner.name, last.join("\n"));
        }
        let images: Vec<String> = self.images().iter().map(|i| format!("  {i:?}")).collect();
        let containers = self.inner.api.containers();
        let containers = containers.iter().map(|c| format!("  {} {} {}", c["Id"], c["Image"], c["State"]));
        let containers: Vec<String> = containers.collect();
        format!("images on {}:\n{}\ncontainers:\n{}", self.inner.name, images.join("\n"), containers.join("\n"))
    }

    /// The engine goes; its data stays.
    pub fn stop(&self) {
        self.tell("stop");
    }

    /// The same without a warning, as in a crash.
    pub fn kill(&self) {
        self.tell("kill");
    }

    pub fn start_again(&self) {
        self.tell("start");
        self.inner.wait_until_it_answers();
    }

    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    fn tell(&self, word: &str) {
        let mut runner = self.inner.runner.lock().expect("no test panics while it holds the runner");
        let stdin = runner.stdin.as_mut().expect("the pipe is open while the engine lives");
        writeln!(stdin, "{word}").expect("the engine's runner listens");
        loop {
            let mut line = String::new();
            let read = runner.stdout.read_line(&mut line).expect("the engine's runner answers");
            assert!(read > 0, "the runner of {} is gone", self.inner.name);
            if line.trim_end() == format!("{word}: done") {
                return;
            }
        }
    }

    pub(crate) fn load_base(&self) {
        self.inner.api.load(&host::base_archive(self.busybox()));
    }

    /// Removes everything but the base image, as if the engine were new.
    pub fn wipe(&self) {
        crate::wipe::wipe(self);
    }
}

impl Inner {
    fn wait_until_it_answers(&self) {
        assert!(
            eventually(STARTING, || self.api.answers()),
            "{} did not answer after {STARTING:?}; its log:\n{}",
            self.name,
            std::fs::read_to_string(self.log()).unwrap_or_default()
        );
    }

    fn log(&self) -> PathBuf {
        self.api.socket().with_file_name("log")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let runner = self.runner.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        runner.stdin.take();
        let start = Instant::now();
        while start.elapsed() < ENDING {
            if runner.script.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = runner.script.kill();
        let _ = runner.script.wait();
    }
}

fn blocks_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| {
        let own = entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        own + if is_folder { blocks_of(&entry.path()) } else { 0 }
    });
    each.sum()
}

/// Reads what the script says about its engine.
fn read_facts(from: &mut BufReader<ChildStdout>) -> Vec<String> {
    let lines = from.lines().map(|line| line.expect("the script writes text"));
    lines.take_while(|line| line != "started").collect()
}

pub(crate) fn is_base(tag: &str) -> bool {
    same_name(tag, BASE)
}

/// Podman and the containerd store write the registry out: `docker.io/lab/base`, `localhost/app`.
fn same_name(tag: &str, name: &str) -> bool {
    let short = |n: &str| {
        let n = n.strip_prefix("docker.io/").or_else(|| n.strip_prefix("localhost/")).unwrap_or(n).to_owned();
        n.strip_prefix("library/").map(str::to_owned).unwrap_or(n)
    };
    let tag = short(tag);
    let name = short(name);
    tag == name || tag == format!("{name}:latest")
}
