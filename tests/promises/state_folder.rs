//! Whose the state folder may be: a user's alone, or a group's on purpose. What others could have written is not read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use dkb_lab::command::{Command, Output};
use dkb_lab::dkb::dkb_path;
use dkb_lab::{Context, Engine, Promises, State, promises};
use tempfile::TempDir;

use crate::building::warns_once;
use crate::clean_host::{Books, PROJECT, SESSION, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            what_others_may_have_written_stops_all_but_a_build,
            a_group_shares_what_was_set_up_for_it_and_nobody_else_gets_at_it,
        ])
        .on_one_engine()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn what_others_may_have_written_stops_all_but_a_build(engine: &Engine) {
    let context = Context::from_base("RUN echo built >/built");
    let somebodys: fn(&Path) = |folder| chown(folder, Some(1234), None).expect("root may do that");
    let anybodys: fn(&Path) = |folder| mode(folder, 0o777);
    for (spoil, why) in
        [(somebodys, "it belongs to another user, number 1234"), (anybodys, "everybody may write to it")]
    {
        let books = Books::of(engine);
        let image = engine.image().make();
        books.built(&key(PROJECT, SESSION), &image, &[]);
        spoil(&books.state.state_dir());
        let dkb = || books.dkb(engine);
        let built = dkb().args(["build", "-q", "-t", "app:1"]).arg(context.path()).run().success().warns(why);
        warns_once(&built);
        for words in [&["clean"][..], &["clean", "--all", "--yes"], &["status"]] {
            dkb().args(words.iter().copied()).run().code(2).warns(why);
        }
        assert!(engine.has(&image) && engine.has("app:1"), "{}", engine.inventory());
        engine.wipe();
    }
}

/// Everybody gets at dkb, at the engine's socket and at the folder above the state's: its rights alone decide.
struct Machine {
    place: TempDir,
    state: State,
}

impl Machine {
    const GROUP: u32 = 4711;

    fn new() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        mode(place.path(), 0o755);
        fs::copy(dkb_path(), place.path().join("dkb")).expect("a copy that others may run");
        let shared = place.path().join("shared");
        fs::create_dir(&shared).expect("the shared folder");
        chown(&shared, Some(0), Some(Self::GROUP)).expect("root may do that");
        mode(&shared, 0o2770);
        Self { place, state: State::new() }
    }

    fn shared(&self) -> PathBuf {
        self.place.path().join("shared")
    }

    fn run(&self, user: u32, group: u32, words: &[&str], socket: &Path) -> Output {
        let setpriv = ["--clear-groups".to_owned(), format!("--reuid={user}"), format!("--regid={group}")];
        let mut command = Command::new("/usr/bin/setpriv").args(setpriv).args(words.iter().copied());
        for (key, value) in self.state.dkb().to_std().get_envs() {
            command = command.env(key, value.unwrap_or_default());
        }
        let socket = format!("unix://{}", socket.display());
        let command = command.env("DKB_STATE_DIR", self.shared()).env("DOCKER_HOST", socket).env("HOME", "/");
        command.no_env("DOCKER_CONFIG").cwd(self.place.path()).project(PROJECT).run()
    }
}

fn a_group_shares_what_was_set_up_for_it_and_nobody_else_gets_at_it(engine: &Engine) {
    let (machine, proxy) = (Machine::new(), engine.proxy());
    mode(proxy.socket().parent().expect("a folder"), 0o755);
    mode(&proxy.socket(), 0o666);
    let dkb = machine.place.path().join("dkb").display().to_string();
    let run = |user, group, words: &[&str]| machine.run(user, group, &[&[&*dkb], words].concat(), &proxy.socket());
    run(1001, Machine::GROUP, &["--session", SESSION, "session", "start"]).success();
    run(1002, Machine::GROUP, &["session", "list"]).success().says(SESSION);
    let mut lock = PathBuf::new();
    for entry in walk(&machine.shared()) {
        let facts = entry.metadata().expect("it is there");
        let expected = if facts.is_dir() { 0o2770 } else { 0o660 };
        assert_eq!((facts.gid(), facts.mode() & 0o7777), (Machine::GROUP, expected), "{}", entry.display());
        if entry.ends_with("lock") {
            lock = entry;
        }
    }
    // A third one can neither read what stands there nor hold its lock.
    run(1003, 1003, &["session", "list"]).code(2);
    let hold = machine.run(1003, 1003, &["flock", "--nonblock", &lock.display().to_string(), "true"], &proxy.socket());
    hold.fails().warns("Permission denied");
    run(1002, Machine::GROUP, &["session", "end", SESSION]).success();
    run(1001, Machine::GROUP, &["session", "list"]).success().never_says(SESSION);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { [vec![path.clone()], walk(&path)].concat() } else { vec![path] })
        .collect()
}
