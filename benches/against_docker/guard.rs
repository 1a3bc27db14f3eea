//! What a guard costs: before its command, beside it, after it, and when it is killed.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dkb_lab::{Engine, State, eventually};

use super::measure::{median, memory_of};

const STARTS: usize = 101;
const SESSION: &str = "bench";
const LABEL: (&str, &str) = ("dev.dkb.run", "bench:bench");

pub(super) fn table(engines: &[&str]) {
    let engines: Vec<Engine> = engines.iter().map(|name| Engine::start(name)).collect();
    println!(
        "| engine | a command's start | under `dkb guard` | difference | guard and watcher, resident | peak | processor time a second |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    engines.iter().for_each(beside);
    println!();
    println!(
        "| engine | 50 containers, 50 volumes, 5 networks gone | a killed guard's session gone, image, container, volume and network |"
    );
    println!("|---|--:|--:|");
    for engine in &engines {
        println!("| {} | {} | {} |", engine.name(), seconds(many(engine)), seconds(killed(engine)));
    }
}

/// What the guard and its watcher take while the command does nothing.
fn beside(engine: &Engine) {
    let home = State::new();
    let plain = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    };
    let guarded = |words: &[&str]| guard(engine, &home).args(words.iter().copied()).to_std();
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        raw.push(first_word(plain(&["echo", "here"])));
        ours.push(first_word(guarded(&["echo", "here"])));
    }
    let mut idle =
        guarded(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a guard");
    let of_both = |look: fn(u32) -> f64| look(idle.id()) + watcher_of(idle.id()).map_or(0.0, look);
    assert!(eventually(Duration::from_secs(10), || watcher_of(idle.id()).is_some()), "a watcher");
    std::thread::sleep(Duration::from_secs(1));
    let (before, began) = (of_both(processor_time), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let busy = (of_both(processor_time) - before) / began.elapsed().as_secs_f64();
    let (resident, watcher_peak) =
        (of_both(|pid| memory(pid, "VmRSS:")), watcher_of(idle.id()).map_or(0.0, |pid| memory(pid, "VmHWM:")));
    let guard_peak = peak_to_the_end(&mut idle);
    let (raw, ours) = (median(raw), median(ours));
    println!(
        "| {} | {:.1} ms | {:.1} ms | {:+.1} ms | {resident:.1} MB | {:.1} MB | {busy:.1} ms |",
        engine.name(),
        milliseconds(raw),
        milliseconds(ours),
        milliseconds(ours) - milliseconds(raw),
        guard_peak + watcher_peak,
    );
}

/// How long it is until the command says its first word. What comes after that is not measured.
fn first_word(mut command: Command) -> Duration {
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("a word");
    let time = start.elapsed();
    child.wait().expect("it ends");
    time
}

/// Ends the command, and says the most memory that its guard had until it was done, in MB.
fn peak_to_the_end(guard: &mut Child) -> f64 {
    drop(guard.stdin.take());
    let mut peak: f64 = 0.0;
    while guard.try_wait().expect("a guard").is_none() {
        peak = peak.max(memory(guard.id(), "VmHWM:"));
        std::thread::sleep(Duration::from_millis(1));
    }
    peak
}

/// A session of many things, all at work, that need no time to stop.
fn many(engine: &Engine) -> Duration {
    let home = State::new();
    for n in 0..5 {
        engine.network(&format!("net-{n}"), &[LABEL]);
    }
    for n in 0..50 {
        let volume = format!("data-{n}");
        engine.volume(&volume, &[LABEL]);
        let network = format!("net-{}", n % 5);
        engine.container("lab/base").label(LABEL.0, LABEL.1).network(&network).volume(&volume).running();
    }
    let start = Instant::now();
    guard(engine, &home).arg("true").run().success();
    let time = start.elapsed();
    let (containers, volumes) = (engine.api().containers().len(), engine.api().volumes().len());
    assert!(containers == 0 && volumes == 0, "{containers} containers and {volumes} volumes are left");
    time
}

/// From the guard's death until nothing is left. The median of a few.
fn killed(engine: &Engine) -> Duration {
    let rounds = (0..5).map(|_| {
        let home = State::new();
        let context = dkb_lab::Context::from_base("RUN echo built >/built");
        let dkb = dkb_lab::dkb::dkb_path().display();
        let script = format!(
            "{dkb} build -q -t app:killed {} >/dev/null && touch ready && exec sleep 1000",
            context.path().display()
        );
        let running = guard(engine, &home).args(["sh", "-c", &script]).spawn();
        let ready = home.work().join("ready");
        assert!(eventually(Duration::from_secs(60), || ready.exists()), "the command never got ready");
        engine.network("net", &[LABEL]);
        engine.volume("data", &[LABEL]);
        engine.container("app:killed").network("net").volume("data").running();
        let start = Instant::now();
        running.signal("KILL");
        let is_gone = || {
            let api = engine.api();
            api.containers().is_empty() && api.volumes().is_empty() && !engine.has("app:killed")
        };
        assert!(eventually(Duration::from_secs(60), is_gone), "{}", engine.inventory());
        start.elapsed()
    });
    median(rounds.collect())
}

fn guard(engine: &Engine, home: &State) -> dkb_lab::Command {
    engine.dkb_in(home).project("bench").args(["guard", "--session", SESSION, "--"])
}

fn watcher_of(guard: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).ok()?;
    let is_it = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0watch\0"))
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_it)
}

/// In MB.
fn memory(pid: u32, line: &str) -> f64 {
    let kilobytes = memory_of(pid, line).unwrap_or(0) / 1000;
    f64::from(u32::try_from(kilobytes).unwrap_or(u32::MAX)) / 1e3
}

/// What a process has spent so far, in milliseconds: the clock ticks a hundred times a second.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>()).unwrap_or_default();
    fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10.0
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
