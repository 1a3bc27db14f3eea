//! An engine that only docker knows the way to. Docker's own program carries the bytes, over its own ssh; the only
//! stand-in is for the machine at the other end, which like sshd turns away who knocks too often at once.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use dkb_lab::{Command, Context, Engine, FakeDocker, Promises, State, promise, promises};

use crate::building::{own_lines, says_nothing_of_its_own};
use crate::clean_host::{Books, PROJECT, SESSION, images, key, set};

pub(crate) fn promises() -> Promises {
    let promises = Promises::of(module_path!()).on(
        promise::docker,
        promises![
            an_engine_behind_ssh_is_built_on_and_cleaned_as_any_other,
            a_build_over_a_slow_line_is_noted,
            an_engine_that_ssh_does_not_reach_is_said_in_sshs_words,
        ],
    );
    promises.on_one_engine().without_engine(promises![what_docker_says_of_an_address_shows_no_password])
}

/// An `ssh` for PATH. So long as it takes to say who they are, sshd lets ten in at a time.
struct Ssh {
    folder: tempfile::TempDir,
    path: String,
}

impl Ssh {
    fn to(engine: &Engine) -> Self {
        Self::within(engine, "0.2")
    }

    /// `seconds` is what it takes to say who they are.
    fn within(engine: &Engine, seconds: &str) -> Self {
        let docker = engine.env().into_iter().find(|(name, _)| name == "PATH").expect("a PATH").1;
        let docker = docker.into_string().expect("a PATH of text");
        let text = r#"
mine=$(mktemp "$here/knocking/XXXXXX")
if [ "$(ls "$here/knocking" | wc -l)" -gt 10 ]; then
    touch "$here/refused"
    rm "$mine"
    echo "Connection closed by remote host" >&2
    exit 255
fi
sleep "$seconds"
rm "$mine"
exec docker system dial-stdio
"#;
        Self::of(&format!("export DOCKER_HOST={} PATH={docker} seconds={seconds}{text}", engine.host()), &docker)
    }

    fn of(text: &str, path: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path().display().to_string();
        std::fs::create_dir(folder.path().join("knocking")).expect("a folder");
        let ssh = folder.path().join("ssh");
        std::fs::write(&ssh, format!("#!/bin/sh\nhere={here}\n{text}")).expect("a script");
        std::fs::set_permissions(&ssh, PermissionsExt::from_mode(0o755)).expect("a program");
        Self { folder, path: format!("{here}:{path}") }
    }

    fn lead(&self, command: Command) -> Command {
        command.env("PATH", &self.path).env("DOCKER_HOST", "ssh://me@far.example")
    }

    fn refused(&self) -> bool {
        self.folder.path().join("refused").exists()
    }
}

fn an_engine_behind_ssh_is_built_on_and_cleaned_as_any_other(engine: &Engine) {
    let (books, ssh) = (Books::of(engine), Ssh::to(engine));
    let dkb = || ssh.lead(books.dkb(engine));
    let theirs = [engine.image().make(), engine.image().tag("theirs:1").make()];
    let theirs = set(theirs.iter().map(|image| &**image));

    let context = Context::from_base("COPY seed /seed");
    for version in 0..3 {
        context.write("seed", version.to_string());
        let build = dkb().args(["build", "-q", "-t", "app"]).arg(context.path());
        says_nothing_of_its_own(&build.run().success());
    }
    let app = engine.find("app").expect("the result").id;
    let mut now = theirs.clone();
    now.insert(app.clone());
    if !engine.builders()[0].env().eq("0") {
        assert_eq!(images(engine), now, "what the builds replaced is gone");
    }

    // Many at once, as many as there are.
    let many = engine.many(100, |_, image| image.stamp(PROJECT, SESSION));
    books.built_many(&key(PROJECT, SESSION), many.iter().map(|image| image.id.as_str()));
    dkb().args(["status", "app"]).run().success().says(PROJECT).says(SESSION);
    let clean = dkb().args(["clean", "--session", "--yes"]).run().success().says("ssh://me@far.example");
    assert_eq!(images(engine), theirs);
    assert!(!ssh.refused(), "dkb knocked more often at once than sshd lets in: {clean}");
}

fn a_build_over_a_slow_line_is_noted(engine: &Engine) {
    let (books, ssh) = (Books::of(engine), Ssh::within(engine, "2.5"));
    let context = Context::from_base("ENV A=1");
    let build = ssh.lead(books.dkb(engine)).args(["build", "-q", "-t", "app"]).arg(context.path());
    says_nothing_of_its_own(&build.run().success());
    ssh.lead(books.dkb(engine)).args(["clean", "--tagged", "--yes"]).run().success();
    assert!(!engine.has("app"), "what was noted goes");
}

fn an_engine_that_ssh_does_not_reach_is_said_in_sshs_words(engine: &Engine) {
    let books = Books::of(engine);
    let path = Ssh::to(engine).path;
    let ssh = Ssh::of("echo 'me@far.example: Permission denied (publickey).' >&2\nexit 255\n", &path);
    for verb in ["clean", "status"] {
        ssh.lead(books.dkb(engine)).arg(verb).run().code(2).warns("Permission denied (publickey)");
    }
    // The build fails as docker says it, and dkb adds nothing but why it noted nothing.
    let context = Context::from_base("ENV A=1");
    let build = ssh.lead(books.dkb(engine)).args(["build", "-t", "app"]).arg(context.path()).run().fails();
    assert!(own_lines(&build).len() <= 1, "{build}");
    assert_eq!(images(engine), BTreeSet::new());
}

/// In the way that docker itself says it.
fn what_docker_says_of_an_address_shows_no_password() {
    let docker = FakeDocker::new();
    docker.reply_to("dial-stdio").script("echo \"invalid bind address format: $DOCKER_HOST\" >&2; exit 1");
    for host in ["http://joe:s3cret@far/", "joe:s3cret@far", "http://joe:s3c/s3cret@far/", " bad://joe:s3cret@far"] {
        let state = State::new();
        let file = state.home().join(".config/dkb/config.toml");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, format!("[hosts.far]\nhost = {host:?}\n")).expect("a file");
        let dkb = state.dkb().with_docker(&docker).env("DOCKER_HOST", host);
        for words in [
            &["status"][..],
            &["clean"],
            &["sweep", "--dry-run"],
            &["build", "."],
            &["config"],
            &["session", "end", "x"],
        ] {
            dkb.clone().args(words.iter().copied()).run().never_says("s3c").never_warns("s3c");
        }
        dkb.clone().arg("status").run().code(2).warns("invalid bind address format: ").warns("joe@far");
    }
}
