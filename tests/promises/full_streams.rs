//! Where a stream of dkb's takes nothing, or takes its time: a build is docker's as ever, and a result is whole or
//! an error.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use dkb_lab::command::Command;
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, promises};
use rustix::fs::{OFlags, fcntl_setfl};

use crate::building::Maker;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![a_build_goes_on_where_its_words_find_no_room_and_a_result_fails])
        .on_one_engine()
        .without_engine(promises![a_build_waits_for_whoever_reads_it_slowly, a_result_is_whole_or_an_error,])
}

/// The command's exit code and its stderr, with its stdout on a full disk.
fn on_a_full_disk(command: &Command) -> (Option<i32>, String) {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let output = command.to_std().stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).output().expect("a command");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// The command's exit code, and all that comes out of this stream: a pipe that its writer must not wait at, as some
/// programs leave theirs, and that is read late and slowly.
fn read_slowly(stream: Stream, command: &Command) -> (Option<i32>, String) {
    let (mut from, to) = io::pipe().expect("a pipe");
    let to = OwnedFd::from(to);
    fcntl_setfl(&to, OFlags::NONBLOCK | OFlags::WRONLY).expect("a flag");
    let mut command = command.to_std();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match stream {
        Stream::Out => command.stdout(to),
        Stream::Err => command.stderr(to),
    };
    let mut child = command.spawn().expect("a command");
    // Its end of the pipe is the child's alone.
    drop(command);
    thread::sleep(Duration::from_millis(500));
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = from.read(&mut part) {
        said.extend_from_slice(&part[..read]);
        thread::sleep(Duration::from_millis(1));
    }
    (child.wait().expect("an end").code(), String::from_utf8_lossy(&said).into_owned())
}

fn a_build_goes_on_where_its_words_find_no_room_and_a_result_fails(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("COPY seed /seed\nRUN seq 1 200");
    for words in [&["-t", "app"][..], &["-q", "-t", "app"]] {
        context.write("seed", words.concat());
        let raw = engine.docker(["build", "-t", "raw"]).args(&words[..words.len() - 2]).arg(context.path());
        let (raw, _) = on_a_full_disk(&raw.env("DOCKER_BUILDKIT", builder.env()));
        let (ours, said) = on_a_full_disk(&maker.command(&context, words));
        assert_eq!(ours, raw, "{words:?}: {said}");
        assert!(maker.recorded().contains(&maker.id("app")), "{words:?}: {said}");
        assert!(!said.contains("dkb: "), "{words:?}: {said}");
    }
    for words in [&["clean", "--tagged", "--dry-run"][..], &["sweep", "--dry-run"], &["status"]] {
        for format in ["human", "json"] {
            let (ended, said) = on_a_full_disk(&maker.dkb().args(words.iter().copied()).args(["--format", format]));
            assert_eq!(ended, Some(2), "{words:?}: {said}");
            assert_eq!(said.matches("dkb: writing the result").count(), 1, "{words:?}: {said}");
        }
    }
}

fn a_build_waits_for_whoever_reads_it_slowly() {
    let said = "Step 1/1 : FROM base\n".repeat(10_000);
    for (stream, words, code) in
        [(Stream::Out, &["build", "."][..], 0), (Stream::Err, &["build", "-q", "--iidfile", "iid", "."], 1)]
    {
        let (docker, state) = (FakeDocker::new(), State::new());
        docker.reply_to("build").stdout(&said).code(code);
        let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "0").args(words.iter().copied());
        let (ended, heard) = read_slowly(stream, &dkb);
        assert_eq!(ended, Some(i32::from(code)), "{words:?}");
        assert!(heard.contains(&said), "{words:?}: {} of {} bytes", heard.len(), said.len());
    }
}

fn a_result_is_whole_or_an_error() {
    let state = State::new();
    for words in [&["completions", "bash"][..], &["man"], &["config"], &["config", "--format", "json"], &["--help"]] {
        let dkb = state.dkb().args(words.iter().copied());
        assert_eq!(read_slowly(Stream::Out, &dkb), (Some(0), dkb.run().success().out()), "{words:?}");
        let (ended, said) = on_a_full_disk(&dkb);
        assert_eq!(ended, Some(2), "{words:?}: {said}");
        assert!(said.starts_with("dkb: writing the result to stdout: No space left"), "{words:?}: {said}");
        assert_eq!(said.matches("dkb: ").count(), 1, "{words:?}: {said}");
        // Whoever has seen enough is no error.
        let (from, to) = io::pipe().expect("a pipe");
        drop(from);
        let enough = dkb.to_std().stdout(to).stderr(Stdio::piped()).output().expect("a command");
        assert!(enough.status.success() && enough.stderr.is_empty(), "{words:?}: {enough:?}");
    }
}
