//! Whoever starts as root goes on as somebody who may open the engine's socket and no more, and whoever may not open it
//! is told what is missing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use dkb_lab::dkb::dkb_path;
use dkb_lab::promise::{Promises, docker};
use dkb_lab::proxy::Proxy;
use dkb_lab::{Command, Engine, State, eventually, promises};
use tempfile::TempDir;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            docker,
            promises![
                root_goes_on_as_the_named_user_in_the_sockets_group_alone,
                group_0_is_warned_of,
                an_engine_that_comes_late_is_waited_for,
                who_stops_a_look_gets_a_summary,
            ],
        )
        .on_one_engine()
        .without_engine(promises![
            what_keeps_root_from_stepping_down_is_a_line_and_exit_2,
            a_user_is_told_which_group_opens_the_socket,
            who_waits_for_ever_waits_until_he_is_stopped,
        ])
}

const LIMIT: Duration = Duration::from_secs(60);

/// A folder that everybody may enter, with a state folder of user 1000's in it.
struct Seat(TempDir);

impl Seat {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path(), 0o755);
        let seat = Self(folder);
        fs::create_dir(seat.state()).expect("the state folder");
        chown(seat.state(), Some(1000), Some(1000)).expect("root may do that");
        open(&seat.state(), 0o700);
        seat
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// A socket where nobody listens.
    fn socket(&self, group: u32, mode: u32) -> PathBuf {
        let path = self.0.path().join(format!("{group}-{mode:o}.sock"));
        drop(UnixListener::bind(&path).expect("a socket"));
        own(&path, group, mode);
        path
    }

    fn sweep(&self, socket: &Path) -> Command {
        let command = State::new().dkb().no_env("DOCKER_HOST").env("DOCKER_SOCKET", socket).env("LOG_FORMAT", "text");
        command.env("DKB_STATE_DIR", self.state()).args(["sweep", "--until", "0s", "--yes"])
    }
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn own(socket: &Path, group: u32, mode: u32) {
    chown(socket, Some(0), Some(group)).expect("root may do that");
    open(socket, mode);
}

/// An engine's socket that belongs to this group.
fn behind(engine: &Engine, group: u32) -> Proxy {
    let proxy = engine.proxy();
    open(proxy.socket().parent().expect("a folder"), 0o755);
    own(&proxy.socket(), group, 0o660);
    proxy
}

/// Holds every list of images until the test lets go of what is given back.
fn hold(proxy: &Proxy) -> mpsc::Sender<()> {
    let (held, until) = mpsc::channel::<()>();
    let until = Mutex::new(until);
    proxy.on("GET", "/images/json").run(move |_| {
        let _ = until.lock().expect("no panic").recv();
    });
    held
}

fn root_goes_on_as_the_named_user_in_the_sockets_group_alone(engine: &Engine) {
    for variable in ["DKB_USER", "CLEANUP_USER"] {
        let (seat, proxy) = (Seat::new(), behind(engine, 4711));
        let container = engine.container("lab/base").created();
        let held = hold(&proxy);
        let running = seat.sweep(&proxy.socket()).env(variable, "1000").spawn();
        assert!(eventually(LIMIT, || proxy.count("GET", "/images/json") > 0));
        // Not one of its threads has stayed root.
        for task in fs::read_dir(format!("/proc/{}/task", running.id())).expect("it runs") {
            let status = fs::read_to_string(task.expect("a task").path().join("status")).expect("its status");
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
                line.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            assert_eq!(field("Uid:"), "1000 1000 1000 1000");
            assert_eq!(field("Gid:"), "4711 4711 4711 4711");
            assert_eq!(field("Groups:"), "4711");
            assert_eq!(field("NoNewPrivs:"), "1");
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(field(set), "0000000000000000", "{set}");
            }
        }
        drop(held);
        running.wait().success().says("[INFO] [INIT] Going on as user 1000 in group 4711");
        assert!(!engine.api().containers().iter().any(|one| one["Id"] == container.as_str()));
    }
}

fn group_0_is_warned_of(engine: &Engine) {
    let (seat, proxy) = (Seat::new(), behind(engine, 0));
    let told = seat.sweep(&proxy.socket()).env("DKB_USER", "1000").run().success();
    told.says("belongs to group 0").says("Going on as user 1000 in group 0");
}

fn an_engine_that_comes_late_is_waited_for(engine: &Engine) {
    let (seat, proxy) = (Seat::new(), engine.proxy());
    let path = seat.0.path().join("late.sock");
    let nobody = UnixListener::bind(&path).expect("a socket");
    let state = State::new();
    let running = seat.sweep(&path).env("DKB_STATE_DIR", state.state_dir()).args(["--wait", "1m"]).spawn();
    // It asked once, and nobody answered.
    drop(nobody.accept().expect("a connection"));
    drop(nobody);
    fs::remove_file(&path).expect("the socket");
    symlink(proxy.socket(), &path).expect("a link to the engine's");
    running.wait().success().says("Waiting up to 1m").says("[SUMMARY]");
}

fn who_stops_a_look_gets_a_summary(engine: &Engine) {
    let (seat, proxy, state) = (Seat::new(), engine.proxy(), State::new());
    let container = engine.container("lab/base").created();
    let held = hold(&proxy);
    let running = seat.sweep(&proxy.socket()).env("DKB_STATE_DIR", state.state_dir()).spawn();
    assert!(eventually(LIMIT, || proxy.count("GET", "/images/json") > 0));
    running.signal("TERM");
    running.wait().code(130).says("[ERROR] [INIT] Failed: sweeping: asked to stop").says("[SUMMARY]");
    drop(held);
    assert!(engine.api().containers().iter().any(|one| one["Id"] == container.as_str()));
}

fn what_keeps_root_from_stepping_down_is_a_line_and_exit_2() {
    let seat = Seat::new();
    let folder = seat.0.path().join("folder.sock");
    fs::create_dir(&folder).expect("a folder");
    let file = seat.0.path().join("file.sock");
    fs::write(&file, "").expect("a file");
    let usual = seat.socket(4711, 0o660);
    for (socket, user, says) in [
        (seat.0.path().join("none.sock"), "1000", "it is not there"),
        (folder, "1000", "it is a folder, as Docker makes one"),
        (file, "1000", "what is there is no socket"),
        (seat.socket(0, 0o600), "1000", "it is for user 0 alone (group 0, mode 600)"),
        (usual.clone(), "no-such-user", "there is no user 'no-such-user' in /etc/passwd"),
        (usual.clone(), "root", "'root' is root"),
        (usual.clone(), "1000", "connecting to unix://"),
    ] {
        let told = seat.sweep(&socket).env("DKB_USER", user).run().code(2);
        let line = told.out().lines().find(|line| line.contains("[ERROR] [INIT]")).map(str::to_owned);
        assert!(line.is_some_and(|line| line.contains(says)), "{says}: {told}");
    }
    // Root without its powers.
    let sweep = seat.sweep(&usual).env("DKB_USER", "1000").to_std();
    let mut bare = std::process::Command::new("setpriv");
    bare.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(sweep.get_program()).args(sweep.get_args());
    let variables = sweep.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let told = bare.env_clear().envs(variables).output().expect("setpriv");
    let said = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(2), "{said}");
    for part in ["taking the groups [4711]", "--cap-add SETUID --cap-add SETGID", "--user 1000 --group-add 4711"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn a_user_is_told_which_group_opens_the_socket() {
    let seat = Seat::new();
    let dkb = seat.0.path().join("dkb");
    fs::copy(dkb_path(), &dkb).expect("the program");
    for (socket, says) in [
        (seat.socket(4711, 0o660), "user 1000 without that group: in a container add --group-add 4711"),
        (seat.socket(0, 0o600), "only user 0 may open it, in a container with --user 0"),
    ] {
        let as_user = Command::new("/usr/bin/setpriv").args(["--reuid=1000", "--regid=1000", "--clear-groups"]);
        let sweep = as_user.arg(&dkb).args(["sweep", "--yes"]).cwd("/").env("HOME", seat.state());
        let sweep = sweep.env("DKB_STATE_DIR", seat.state()).env("DOCKER_SOCKET", &socket).env("DKB_USER", "1000");
        let sweep = sweep.env("LOG_FORMAT", "text");
        sweep.run().code(2).says("Permission denied").says(says);
    }
}

fn who_waits_for_ever_waits_until_he_is_stopped() {
    let seat = Seat::new();
    // Nobody makes it, and no clock reaches so far.
    let nowhere = seat.0.path().join("never.sock");
    let mut running = seat.sweep(&nowhere).env("DKB_USER", "1000").args(["--wait", "213503982334601d"]).spawn();
    assert!(!eventually(Duration::from_secs(1), || !running.is_running()), "it gave up: {}", running.wait());
    running.signal("TERM");
    running.wait().code(130);
}
