//! A process of its own, which outlives whoever started it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Variables by which a CI runner finds processes that a job left behind: those of GitHub Actions, Azure Pipelines
/// and Jenkins. Others go by process group or session, and such a process has its own. It is left behind on purpose.
const HUNTED: [&str; 7] = [
    "RUNNER_TRACKING_ID",
    "VSTS_PROCESS_LOOKUP_ID",
    "BUILD_ID",
    "JENKINS_NODE_COOKIE",
    "JENKINS_SERVER_COOKIE",
    "HUDSON_SERVER_COOKIE",
    "HUDSON_COOKIE",
];

/// Another dkb that is to go on once this one is gone. It calls [`leave`] first of all.
pub(crate) fn another_dkb() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    // Where this one lies there as docker, say.
    command.arg0("dkb");
    for name in HUNTED {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// A session, a folder and file handles of its own: nothing ties this process to who started it.
pub(crate) fn leave() {
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let folder = if Path::new("/proc/self/fd").exists() { "/proc/self/fd" } else { "/dev/fd" };
    let open: Vec<i32> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    for handle in open.into_iter().filter(|handle| *handle > 2) {
        let _ = nix::unistd::close(handle);
    }
}

/// Lets everybody else go first.
pub(crate) fn step_back() {
    let _ = rustix::process::nice(10);
}
