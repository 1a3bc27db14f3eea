//! A test harness that can't be wrapped by `dkb guard`: it opens a session that ends with its own process,
//! however that ends. What it builds with dkb, and what it labels, goes then.

use std::process::Command;

/// Opens the session and prints nothing; the watcher that it starts outlives us on purpose.
fn session() -> String {
    let me = std::process::id().to_string();
    let start = Command::new("dkb").args(["session", "start", "--watch-pid", &me]).output().expect("dkb runs");
    assert!(start.status.success(), "{}", String::from_utf8_lossy(&start.stderr));
    String::from_utf8_lossy(&start.stdout).trim().to_owned()
}

fn main() {
    let session = session();
    let build = Command::new("dkb").env("DKB_SESSION", &session).args(["build", "-q", "-t", "app:test", "."]).status();
    assert!(build.expect("dkb runs").success());
    let label = format!("dev.dkb.run={session}");
    let run = Command::new("docker").args(["run", "-d", "--label", &label, "app:test", "sleep", "1000"]).status();
    assert!(run.expect("docker runs").success());
    // The tests run here. Nothing has to be cleaned up, and no exit handler has to be reached.
}
