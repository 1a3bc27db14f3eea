//! The end of any process, told by the kernel.

use crate::error::{Error, Result};

/// Takes hold of a process now, and gives a way to wait for its end.
#[cfg(target_os = "linux")]
pub(crate) fn process_end(pid: u32) -> Result<impl FnOnce() + Send> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let wrong = |why: &dyn std::fmt::Display| Error::usage(format!("watching process {pid}"), why);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| wrong(&"it is no process number"))?;
    let handle = pidfd_open(number, PidfdFlags::empty()).map_err(|error| wrong(&error))?;
    Ok(move || while poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).is_err() {})
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn process_end(pid: u32) -> Result<impl FnOnce() + Send> {
    use rustix::process::{Pid, test_kill_process};
    let wrong = |why: &dyn std::fmt::Display| Error::usage(format!("watching process {pid}"), why);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| wrong(&"it is no process number"))?;
    test_kill_process(number).map_err(|error| wrong(&error))?;
    Ok(move || {
        while test_kill_process(number) != Err(rustix::io::Errno::SRCH) {
            thread::sleep(Duration::from_millis(200));
        }
    })
}
