//! From root to somebody else, for good: no capability stays, and none comes back.

#[cfg(target_os = "linux")]
use rustix::process::{Gid, Uid};
#[cfg(target_os = "linux")]
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use crate::error::{Error, Result};

/// Goes on as this user, with this main group, in these groups and in no other.
///
/// The kernel gives each thread a user of its own, so this must come before any other thread is made.
#[cfg(target_os = "linux")]
pub(crate) fn become_user(user: u32, main: u32, groups: &[u32]) -> Result<()> {
    let refused = |tried: String| {
        move |error: rustix::io::Errno| {
            let error = Error::failed(tried, std::io::Error::from(error));
            let groups: Vec<String> = groups.iter().map(|group| format!(" --group-add {group}")).collect();
            error.hint(format!(
                "let the container have --cap-add SETUID --cap-add SETGID, or start it with --user {user}{}",
                groups.concat()
            ))
        }
    };
    let user_id = Uid::from_raw(user);
    let group_ids: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    let main = Gid::from_raw(main);
    thread::set_no_new_privs(true).map_err(refused("giving up new privileges".to_owned()))?;
    // Without new privileges nothing of the bounding set can be had any more. So it is emptied where that is allowed.
    for capability in CapabilitySet::all().iter() {
        let _ = thread::remove_capability_from_bounding_set(capability);
    }
    let taking = || format!("taking the groups {groups:?}");
    thread::set_thread_groups(&group_ids).map_err(refused(taking()))?;
    thread::set_thread_res_gid(main, main, main).map_err(refused(taking()))?;
    thread::set_thread_res_uid(user_id, user_id, user_id).map_err(refused(format!("becoming user {user}")))?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    thread::set_capabilities(None, none).map_err(refused("dropping all capabilities".to_owned()))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn become_user(user: u32, _: u32, _: &[u32]) -> Result<()> {
    Err(Error::usage(format!("becoming user {user}"), "this is done on Linux only").hint("start dkb as that user"))
}
