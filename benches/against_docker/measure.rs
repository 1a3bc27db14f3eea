//! How long a program takes and how much memory it has, and how both are written.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(super) struct Measured {
    pub(super) time: Duration,
    /// The most memory that the program itself had, in bytes; not that of programs it ran.
    pub(super) memory: u64,
}

/// Runs a program to its end. What it says is not looked at.
pub(super) fn measure(command: &mut Command) -> Measured {
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let pid = child.id();
    // The kernel keeps the high mark, so looking now and then is enough, until there is nothing left to look at.
    let watch = thread::spawn(move || {
        let mut highest = 0;
        while let Some(now) = memory_of(pid, "VmHWM:") {
            highest = now.max(highest);
            thread::sleep(Duration::from_millis(2));
        }
        highest
    });
    let ended = child.wait().expect("the program ends");
    let time = start.elapsed();
    assert!(ended.success(), "{command:?}: {ended}");
    Measured { time, memory: watch.join().expect("the watch ends") }
}

/// A line of what the kernel says of a process, in bytes.
pub(super) fn memory_of(pid: u32, line: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = text.lines().find_map(|text| text.strip_prefix(line))?;
    found.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}

pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

pub(super) fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

pub(super) fn against(one: Duration, other: Duration) -> String {
    format!("{:.2} ({})", ratio(one, other), milliseconds(other))
}

pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

pub(super) fn megabytes(bytes: Vec<u64>) -> String {
    let most = bytes.into_iter().max().unwrap_or_default();
    format!("{}.{} MB", most / 1_000_000, most / 100_000 % 10)
}
