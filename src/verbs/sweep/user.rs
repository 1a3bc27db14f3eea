//! Root finds the engine's socket, and goes on as somebody who may open it and nothing else.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use super::hosts::Host;
use super::wait::STEP;
use crate::config::cleaner::User;
use crate::engine::socket;
use crate::error::{Error, Result};
use crate::model::{SocketDoor, SocketRights};
use crate::processes::user::become_user;
use crate::report::sweep::Voice;

const PASSWD: &str = "/etc/passwd";

/// Who is to go on, and the group that is his own.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    user: u32,
    group: u32,
}

/// Goes on as the user who was asked for, in the groups of the sockets that are to be swept and in no other. Where that
/// can't be, no host is swept as root instead. Whoever is not root goes on as who he is.
pub(super) async fn step_down(
    hosts: &mut [Host],
    user: &User,
    voice: &Voice,
    began: Instant,
    stop: impl Future<Output = ()> + Clone,
) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    if let Err(error) = to(hosts, user, voice, began, stop).await {
        for host in hosts {
            host.endpoint = Err(error.clone());
        }
    }
}

async fn to(
    hosts: &mut [Host],
    user: &User,
    voice: &Voice,
    began: Instant,
    stop: impl Future<Output = ()> + Clone,
) -> Result<()> {
    let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
    let account = account(user, &passwd)?;
    let mut groups: Vec<u32> = Vec::new();
    for host in hosts {
        let Some(path) = host.endpoint.as_ref().ok().and_then(|endpoint| endpoint.socket()) else { continue };
        let path = path.to_owned();
        let rights = tokio::select! {
            rights = there(&path, &account, began, host.sweep.wait) => rights,
            // Who ends the waiting is heard again where the hosts are looked at.
            () = stop.clone() => socket::rights(&path),
        };
        match rights.and_then(|rights| group(&path, rights, account.user)) {
            Ok(Some(group)) => {
                if group == 0 {
                    voice.warn(
                        &host.name,
                        &format!("{} belongs to group 0, root's own: taking it all the same", path.display()),
                    );
                }
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
            Ok(None) => {}
            Err(error) => host.endpoint = Err(error),
        }
    }
    let main = groups.first().copied().unwrap_or(account.group);
    become_user(account.user, main, &groups)?;
    let shown: Vec<String> =
        if groups.is_empty() { vec![main.to_string()] } else { groups.iter().map(u32::to_string).collect() };
    voice.note(&format!("Going on as user {} in group {}", account.user, shown.join(", ")));
    Ok(())
}

/// An engine makes its socket first, and gives it to its group a moment later.
async fn there(path: &Path, account: &Account, began: Instant, wait: Duration) -> Result<SocketRights> {
    loop {
        let rights = socket::rights(path);
        let usable = rights.as_ref().is_ok_and(|rights| rights.door(account.user) != SocketDoor::Shut);
        if usable || began.elapsed() >= wait {
            return rights;
        }
        tokio::time::sleep(STEP).await;
    }
}

/// The group that opens this socket to the user, if it takes one.
fn group(path: &Path, rights: SocketRights, user: u32) -> Result<Option<u32>> {
    match rights.door(user) {
        SocketDoor::Open => Ok(None),
        SocketDoor::Group(group) => Ok(Some(group)),
        SocketDoor::Shut => {
            let SocketRights { owner, group, mode } = rights;
            let tried = format!("opening {} as user {user}", path.display());
            let why = format!("it is for user {owner} alone (group {group}, mode {mode:03o})");
            Err(Error::failed(tried, why).hint("set DKB_USER to nothing to go on as root, or give the socket a group"))
        }
    }
}

fn account(user: &User, passwd: &str) -> Result<Account> {
    let User { name, variable } = user;
    let lines = || passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    let found = match number(name) {
        Some(user) => {
            let own = lines().find(|line| line.get(2).and_then(|id| number(id)) == Some(user));
            let group = own.and_then(|line| number(line.get(3)?)).unwrap_or(user);
            Some(Account { user, group })
        }
        None => lines()
            .find(|line| line.first() == Some(&name.as_str()))
            .and_then(|line| Some(Account { user: number(line.get(2)?)?, group: number(line.get(3)?)? })),
    };
    match found {
        Some(Account { user: 0, .. }) => Err(Error::usage(*variable, format!("'{}' is root", name.escape_debug()))
            .hint("name somebody else, or set it to nothing to go on as root")),
        Some(account) => Ok(account),
        None => Err(Error::usage(*variable, format!("there is no user '{}' in {PASSWD}", name.escape_debug()))
            .hint("name a user by his number, as in DKB_USER=1000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\ncleanup-user:x:1000:1001::/state:/bin/false\n";

    fn of(name: &str) -> Result<(u32, u32)> {
        let user = User { name: name.to_owned(), variable: "DKB_USER" };
        account(&user, LINES).map(|account| (account.user, account.group))
    }

    #[test]
    fn a_user_is_known_by_number_or_by_name() {
        assert_eq!(of("1000").expect("a user"), (1000, 1001));
        assert_eq!(of("cleanup-user").expect("a user"), (1000, 1001));
        assert_eq!(of("4711").expect("a number needs no line"), (4711, 4711));
    }

    #[test]
    fn root_and_whoever_is_not_there_is_an_error() {
        for (name, says) in [("0", "is root"), ("root", "is root"), ("nobody", "no user"), ("broken", "no user")] {
            let error = of(name).expect_err(name).to_string();
            assert!(error.starts_with("DKB_USER: ") && error.contains(says), "{error}");
        }
        // What the kernel takes for "leave it as it is".
        of("4294967295").expect_err("no user");
    }

    #[test]
    fn a_socket_that_is_its_owners_alone_is_told() {
        let path = Path::new("/run/x.sock");
        let rights = |mode| SocketRights { owner: 0, group: 999, mode };
        assert_eq!(group(path, rights(0o660), 1000).expect("a group"), Some(999));
        assert_eq!(group(path, rights(0o666), 1000).expect("open to all"), None);
        let error = group(path, rights(0o600), 1000).expect_err("shut").to_string();
        assert!(error.contains("/run/x.sock") && error.contains("user 0 alone (group 999, mode 600)"), "{error}");
    }
}
