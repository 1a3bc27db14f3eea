//! dkb's main job, shown: the same day's builds by `docker build` and by `dkb build`, and what is left of them.
//!
//! `cargo demo` shows it on one private engine, or on the engine at hand where the lab can't run.
//! `cargo demo --table` does it on every engine of the lab, and prints the table of what is left in docs/cleaning.md.
//! `cargo demo --bytes` builds an image of 20 MB thirty times on each, and prints the README's table of bytes.

mod bytes;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use dkb_lab::dkb::has_seen_the_cache;
use dkb_lab::{Builder, Engine, engine, eventually};
use tempfile::TempDir;

const ENGINE: &str = "docker-28.5";

/// Longer than it takes to tidy up after a build.
const TIDYING: Duration = Duration::from_secs(60);

/// A working day: builds of three versions, and between them two that break.
const DAY: [Build; 5] = [Build::Works(1), Build::Breaks(2), Build::Works(2), Build::Breaks(3), Build::Works(3)];

const DOCKERFILE: &str = "\
FROM base AS libraries
COPY libraries .
RUN head -c 5000000 /dev/urandom >library

FROM base AS compiled
COPY --from=libraries library .
COPY source .
RUN cat source library >app
RUN grep -q works source

FROM base
COPY --from=compiled app .
CMD [\"true\"]
";

/// The same without a single program, for an engine that has no image with one.
const DOCKERFILE_WITHOUT_PROGRAMS: &str = "\
FROM base AS libraries
COPY libraries library

FROM base AS compiled
COPY --from=libraries library .
COPY source .
COPY works .

FROM base
COPY --from=compiled source app
CMD [\"true\"]
";

#[derive(Clone, Copy)]
enum Build {
    Works(u32),
    Breaks(u32),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demo(),
        ["--table"] => table(),
        ["--bytes"] => bytes::table(),
        _ => Err(anyhow!("cargo demo takes --table, --bytes, or nothing")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("demo: {wrong:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    let Some(why) = engine::missing() else {
        let (dkb, engine) = both(build_dkb, || Engine::start(ENGINE))?;
        let place = Place::private(&engine, dkb?)?;
        println!("The engine: a private Docker {}, which ends with this demo. Yours is not touched.", engine.version());
        let builders: Vec<_> = engine.builders().iter().rev().map(|builder| Some(*builder)).collect();
        return show(&place, &builders);
    };
    let dkb = build_dkb()?;
    let place = Place::at_hand(dkb)?;
    let version = place.docker(["version", "--format", "{{.Server.Version}}"]).map_err(|wrong| {
        anyhow!("{why}\n  and no other engine answers: {wrong:#}\n  start Docker, or run this on Debian as root")
    })?;
    println!("No private engine here: {why}.");
    println!("So this goes to the engine that your docker uses, {}: a few images of some bytes,", version.trim());
    println!("named dkb-demo-…, all removed at the end. Some bytes of build cache stay, as after any build.");
    show(&place, &[None, Some(Builder::Classic)])
}

/// What was made is removed also where the show breaks off.
fn show(place: &Place, builders: &[Option<Builder>]) -> Result<()> {
    let shown = place.make_bases().and_then(|()| tell(place, builders));
    let tidied = place.tidy();
    shown.and(tidied)?;
    println!("\nAll that this demo made is gone.");
    Ok(())
}

/// `None` for a builder: the one that docker takes by itself.
fn tell(place: &Place, builders: &[Option<Builder>]) -> Result<()> {
    println!("The app: three stages. The day: version 1, a build that breaks, version 2, another, version 3.\n");
    let mut rows = Vec::new();
    for builder in builders {
        let name = builder.map_or("docker's own choice of builder", described);
        eprintln!("  building it all with docker and with dkb: {name} …");
        rows.push((name, place.day(*builder)?));
    }
    println!("\n{:<34}{:>14}{:>14}", "left behind after the day", "docker build", "dkb build");
    for (name, left) in &rows {
        println!("{name}");
        for (what, count) in COUNTS {
            println!("  {what:<32}{:>14}{:>14}", count(&left.raw), count(&left.dkb));
        }
        if let Some((raw, dkb)) = left.on_disk {
            println!("  {:<32}{:>14}{:>14}", "on the disk, with the image", megabytes(raw), megabytes(dkb));
        }
    }
    let raw = place.count(Side::Raw)?;
    place.say_and_run(&["status"])?;
    println!("\nWhat dkb left with the classic builder is the newest version's own cache. It goes when you say so:");
    place.say_and_run(&["clean"])?;
    println!("\nWhat docker build made is all still there: no dkb built it, so no dkb takes it.");
    if place.count(Side::Raw)? != raw {
        bail!("dkb took what is not its own: please report this");
    }
    place.say_and_run(&["clean", "--tagged"])?;
    let left = place.count(Side::Dkb)?;
    if left != Left::default() {
        bail!("dkb's own builds left something behind: {left:?}");
    }
    Ok(())
}

/// What is left on every engine, as the README has it.
fn table() -> Result<()> {
    if let Some(why) = engine::missing() {
        bail!(why);
    }
    let dkb = build_dkb()?;
    println!("| engine | builder | `docker build` leaves | `dkb build` leaves | after `dkb clean` |");
    println!("|---|---|---|---|---|");
    let picked = std::env::var("DKB_LAB").ok();
    let is_picked = |name: &&String| picked.as_ref().is_none_or(|list| list.split(',').any(|one| one == *name));
    for name in engine::names().iter().filter(is_picked) {
        for builder in engine::builders_of(name) {
            let engine = Engine::start(name);
            let place = Place::private(&engine, dkb.clone())?;
            place.make_bases()?;
            let day = place.day(Some(*builder))?;
            place.dkb(["clean", "--quiet"])?;
            let cleaned = place.count(Side::Dkb)?;
            let builder = if engine.is_podman() { "its own" } else { described(*builder) };
            let [raw, dkb, cleaned] = [day.raw, day.dkb, cleaned].map(Left::in_words);
            println!("| {} | {builder} | {raw} | {dkb} | {cleaned} |", kind_of(&engine));
        }
    }
    Ok(())
}

fn kind_of(engine: &Engine) -> String {
    let kind = if engine.is_podman() { "Podman" } else { "Docker" };
    let version = engine.version().split('+').next().unwrap_or_default();
    let store = if engine.is_containerd_store() { ", containerd store" } else { "" };
    format!("{kind} {version}{store}")
}

/// As docker writes it.
fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    if tenths < 1000 { format!("{}.{} MB", tenths / 10, tenths % 10) } else { format!("{} MB", tenths / 10) }
}

fn described(builder: Builder) -> &'static str {
    match builder {
        Builder::Classic => "classic builder",
        Builder::BuildKit => "BuildKit",
    }
}

/// Runs both at once; one that panics has said why.
fn both<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> Result<(A, B)> {
    thread::scope(|scope| {
        let b = scope.spawn(b);
        let a = a();
        b.join().map(|b| (a, b)).map_err(|_| anyhow!("that went wrong: see the lines above"))
    })
}

/// Builds dkb, whose binary then lies beside this one. With an example, what it depends on is built as `cargo test`
/// builds it, and not once more.
fn build_dkb() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built =
        Command::new(cargo).args(["build", "--package", "dkb", "--bins", "--examples"]).current_dir(root).status();
    ensure!(built.is_ok_and(|status| status.success()), "dkb does not build: see the lines above");
    Ok(std::env::current_exe()?.with_file_name("dkb"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Raw,
    Dkb,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "docker",
            Self::Dkb => "dkb",
        }
    }
}

/// What is left of one side's builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    /// As `docker images` shows them.
    none: usize,
    /// Untagged, and not shown since something is built on them.
    hidden: usize,
    tagged: usize,
    containers: usize,
}

impl Left {
    fn since(self, before: Self) -> Self {
        Self {
            none: self.none.saturating_sub(before.none),
            hidden: self.hidden.saturating_sub(before.hidden),
            tagged: self.tagged.saturating_sub(before.tagged),
            containers: self.containers.saturating_sub(before.containers),
        }
    }

    fn in_words(self) -> String {
        let count = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
        let words = [
            count(self.none, "`<none>`"),
            count(self.hidden, "hidden"),
            count(self.containers, if self.containers == 1 { "container" } else { "containers" }),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }
}

type Count = fn(&Left) -> usize;
const COUNTS: [(&str, Count); 3] = [
    ("<none> images", |left| left.none),
    ("build steps that docker hides", |left| left.hidden),
    ("stopped build containers", |left| left.containers),
];

struct Day {
    raw: Left,
    dkb: Left,
    /// What each side left there, where the engine is the demo's own.
    on_disk: Option<(u64, u64)>,
}

/// An engine, and the folder where the demo works.
struct Place {
    dkb: PathBuf,
    docker: PathBuf,
    /// Where it is empty, the demo's own environment holds.
    env: Vec<(OsString, OsString)>,
    folder: TempDir,
    /// Where it is the demo's own.
    engine: Option<Engine>,
    /// A label of the base images and so of all that is built on them: nobody else's image has it.
    token: String,
    base_dockerfile: &'static str,
    dockerfile: &'static str,
}

impl Place {
    fn private(engine: &Engine, dkb: PathBuf) -> Result<Self> {
        let place = Self::new(dkb, engine.bin().join("docker"), "FROM lab/base\n", DOCKERFILE)?;
        Ok(Self { env: engine.env(), engine: Some(engine.clone()), ..place })
    }

    fn at_hand(dkb: PathBuf) -> Result<Self> {
        Self::new(dkb, "docker".into(), "FROM scratch\nCOPY base /base\n", DOCKERFILE_WITHOUT_PROGRAMS)
    }

    fn new(dkb: PathBuf, docker: PathBuf, base_dockerfile: &'static str, dockerfile: &'static str) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder to work in")?;
        let token = folder.path().file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.').to_owned();
        write(&folder.path().join("settings.toml"), "")?;
        Ok(Self { dkb, docker, env: Vec::new(), folder, engine: None, token, base_dockerfile, dockerfile })
    }

    fn label(&self, side: Side) -> String {
        format!("dev.dkb.demo={}-{}", self.token, side.name())
    }

    /// Short, to be read.
    fn repository() -> String {
        format!("dkb-demo-{}", std::process::id())
    }

    fn base(side: Side) -> String {
        format!("{}/base-for-{}", Self::repository(), side.name())
    }

    fn make_bases(&self) -> Result<()> {
        let context = self.folder.path().join("base");
        write(&context.join("Dockerfile"), self.base_dockerfile)?;
        write(&context.join("base"), &self.token)?;
        for side in [Side::Raw, Side::Dkb] {
            let (base, label) = (Self::base(side), self.label(side));
            self.docker(["build", "-q", "-t", &base, "--label", &label, &context.to_string_lossy()])?;
        }
        Ok(())
    }

    /// Both sides build the day through. What another builder's day left does not count.
    fn day(&self, builder: Option<Builder>) -> Result<Day> {
        let [raw_before, dkb_before] = [self.count(Side::Raw)?, self.count(Side::Dkb)?];
        let on_disk = if let Some(engine) = &self.engine {
            // One after the other: whose the bytes are is told by when they came.
            let before = engine.on_disk();
            self.build_day(Side::Raw, builder)?;
            let between = engine.on_disk();
            self.build_day(Side::Dkb, builder)?;
            eventually(TIDYING, || self.is_settled());
            Some((between.saturating_sub(before), engine.on_disk().saturating_sub(between)))
        } else {
            let (raw, dkb) = both(|| self.build_day(Side::Raw, builder), || self.build_day(Side::Dkb, builder))?;
            raw.and(dkb)?;
            None
        };
        let [raw, dkb] = [self.count(Side::Raw)?.since(raw_before), self.count(Side::Dkb)?.since(dkb_before)];
        Ok(Day { raw, dkb, on_disk })
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Whether all is done that dkb does after a build.
    fn is_settled(&self) -> bool {
        has_seen_the_cache(&self.state_dir())
    }

    fn build_day(&self, side: Side, builder: Option<Builder>) -> Result<()> {
        let name = builder.map_or("default", Builder::name);
        let context = self.folder.path().join(format!("{}-{name}", side.name()));
        let tag = format!("{}/by-{}:{name}", Self::repository(), side.name());
        write(
            &context.join("Dockerfile"),
            &self.dockerfile.replace("FROM base", &format!("FROM {}", Self::base(side))),
        )?;
        write(&context.join("libraries"), &format!("{tag}\n"))?;
        for build in DAY {
            let (version, word) = match build {
                Build::Works(version) => (version, "works"),
                Build::Breaks(version) => (version, "breaks"),
            };
            write(&context.join("source"), &format!("{tag} version {version} {word}\n"))?;
            let works = context.join("works");
            if word == "works" {
                write(&works, "")?;
            } else if works.exists() {
                std::fs::remove_file(&works)?;
            }
            let built = self.build(side, builder, &context, &tag);
            if built.is_ok() != (word == "works") {
                built?;
                bail!("{}'s build of version {version} did not break", side.name());
            }
        }
        Ok(())
    }

    fn build(&self, side: Side, builder: Option<Builder>, context: &Path, tag: &str) -> Result<String> {
        let program = if side == Side::Raw { &self.docker } else { &self.dkb };
        let mut command = self.command(program);
        command.args(["build", "-t", tag]).arg(context);
        if let Some(builder) = builder {
            command.env("DOCKER_BUILDKIT", builder.env());
        }
        output(&mut command)
    }

    /// A program on this engine. dkb keeps its books in the demo's folder.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if !self.env.is_empty() {
            command.env_clear().envs(self.env.iter().map(|(k, v)| (k, v)));
        }
        // Whatever the demo itself is run in: a session of its own, no settings, no Tilt.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DKB_")) {
            command.env_remove(name);
        }
        command.env_remove("EXPECTED_REF").env("DKB_SETTINGS", self.folder.path().join("settings.toml"));
        command.env("DKB_PROJECT", "demo").env("DKB_SESSION", "demo");
        command.env("DKB_STATE_DIR", self.state_dir());
        command.current_dir(self.folder.path());
        command
    }

    fn docker<const N: usize>(&self, args: [&str; N]) -> Result<String> {
        output(self.command(&self.docker).args(args))
    }

    fn dkb<const N: usize>(&self, args: [&str; N]) -> Result<String> {
        output(self.command(&self.dkb).args(args))
    }

    fn say_and_run(&self, args: &[&str]) -> Result<()> {
        println!("\n$ dkb {}", args.join(" "));
        let status = self.command(&self.dkb).args(args).status()?;
        ensure!(status.success(), "dkb {}: {status}", args.join(" "));
        Ok(())
    }

    fn images(&self, side: Side, more: &[&str]) -> Result<Vec<String>> {
        let label = format!("label={}", self.label(side));
        let mut command = self.command(&self.docker);
        command.args(["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}", "--filter", &label]);
        let lines = output(command.args(more))?;
        let base = Self::base(side);
        Ok(lines.lines().filter(|line| !line.contains(&base)).map(str::to_owned).collect())
    }

    fn count(&self, side: Side) -> Result<Left> {
        let untagged = |lines: &[String]| lines.iter().filter(|line| line.contains(" <none>")).count();
        let (all, shown) = (self.images(side, &["--all"])?, self.images(side, &["--filter", "dangling=true"])?);
        let label = format!("label={}", self.label(side));
        let containers = self.docker(["ps", "--all", "--quiet", "--filter", &label])?;
        let none = untagged(&shown);
        Ok(Left {
            none,
            hidden: untagged(&all) - none,
            tagged: all.len() - untagged(&all),
            containers: containers.lines().count(),
        })
    }

    /// Takes away what is left: by the label that only this demo's images have, and never by force.
    fn tidy(&self) -> Result<()> {
        for side in [Side::Raw, Side::Dkb] {
            self.tidy_side(side)?;
        }
        Ok(())
    }

    fn tidy_side(&self, side: Side) -> Result<()> {
        let label = format!("label={}", self.label(side));
        for container in self.docker(["ps", "--all", "--quiet", "--filter", &label])?.lines() {
            self.docker(["rm", container])?;
        }
        // Parents go after their children: so many rounds as it takes.
        let mut before = usize::MAX;
        loop {
            let left = self.images(side, &["--all"])?;
            if left.is_empty() || left.len() == before {
                break;
            }
            before = left.len();
            for line in left {
                let (id, name) = line.split_once(' ').unwrap_or((&line, "<none>"));
                let _ = self.docker(["image", "rm", if name.contains("<none>") { id } else { name }]);
            }
        }
        let base = Self::base(side);
        if !self.docker(["images", "--quiet", &base])?.is_empty() {
            self.docker(["image", "rm", &base])?;
        }
        Ok(())
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.with_context(|| path.display().to_string())
}
