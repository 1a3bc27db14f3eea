//! A test harness that can't be wrapped by `dkb guard`: it opens a session that ends with its own process,
//! however that ends. What it builds with dkb, and what it labels, goes then.

use std::process::Command;

/// What `dkb session …` prints. The watcher that `start` leaves behind outlives us on purpose.
fn session(words: &[&str]) -> String {
    let told = Command::new("dkb").arg("session").args(words).output().expect("dkb runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

fn main() {
    let session_id = session(&["start", "--watch-pid", &std::process::id().to_string()]);
    let build =
        Command::new("dkb").env("DKB_SESSION", &session_id).args(["build", "-q", "-t", "app:test", "."]).status();
    assert!(build.expect("dkb runs").success());
    let label = session(&["label", &session_id]);
    let run = Command::new("docker").args(["run", "-d", "--label", &label, "app:test", "sleep", "1000"]).status();
    assert!(run.expect("docker runs").success());
    // The tests run here. Nothing has to be cleaned up, and no exit handler has to be reached.
}
