//! Engines that are down, slow, cut off or talking nonsense, played by a socket and by a script.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, Way};
use super::{Answer, Docker, Engine, Limits, ToDelete};
use crate::error::ErrorKind;
use crate::model::ImageId;

const SHORT: Limits =
    Limits { connect: Duration::from_millis(500), ask: Duration::from_millis(300), change: Duration::from_millis(300) };

/// Answers every hello, and then whatever else is asked with these bytes; `more` says whether they go on forever.
fn serve(socket: &Path, answer: &'static [u8], more: &'static [u8], hang_up: bool) {
    let listener = UnixListener::bind(socket).expect("a socket");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || talk(stream, answer, more, hang_up));
        }
    });
}

fn talk(mut stream: UnixStream, answer: &[u8], more: &[u8], hang_up: bool) -> Option<()> {
    let mut asked = [0; 4096];
    loop {
        let read = stream.read(&mut asked).ok().filter(|&read| read > 0)?;
        if asked[..read].starts_with(b"GET /_ping ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Length: 2\r\n\r\nOK").ok()?;
            continue;
        }
        stream.write_all(answer).ok()?;
        while !more.is_empty() {
            stream.write_all(more).ok()?;
        }
        if hang_up {
            return None;
        }
    }
}

/// What a list and a deletion come to.
async fn ask(answer: &'static [u8], more: &'static [u8], hang_up: bool) -> (ErrorKind, Answer<super::Removed>) {
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("s");
    serve(&socket, answer, more, hang_up);
    let engine = Docker::connect(Endpoint::unix(&socket), SHORT).await.expect("a hello");
    let error = engine.images(false).await.expect_err("no list");
    let id = ImageId::parse(&"0".repeat(64)).expect("an ID");
    (error.kind, engine.delete_image(ToDelete::Id(id)).await.expect("it was asked"))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// A name, what is answered, what follows without end, whether the engine then hangs up, and what kind of error that is.
type Case = (&'static str, &'static [u8], &'static [u8], bool, ErrorKind);

#[test]
fn whatever_an_engine_does_the_call_ends_and_a_deletion_without_a_clear_answer_is_unknown() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases: [Case; 7] = [
        ("silent", b"", b"", false, ErrorKind::Unreachable),
        ("hangs up", b"", b"", true, ErrorKind::Unreachable),
        ("cut in the head", b"HTTP/1.1 200 O", b"", true, ErrorKind::Unreachable),
        ("cut in the body", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{", b"", true, ErrorKind::Unreachable),
        ("endless", chunked, b"8\r\n        \r\n", false, ErrorKind::Unreachable),
        ("another language", b"SSH-2.0-OpenSSH\r\n\r\n", b"", false, ErrorKind::Failed),
        ("nonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", b"", false, ErrorKind::Failed),
    ];
    for (name, answer, more, hang_up, kind) in cases {
        let began = Instant::now();
        let (got, deletion) = run(ask(answer, more, hang_up));
        assert_eq!(got, kind, "{name}");
        assert!(matches!(deletion, Answer::Unknown(_)), "{name}: {deletion:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
    }
}

#[test]
fn an_answered_error_is_told_from_a_broken_connection() {
    let (kind, deletion) =
        run(ask(b"HTTP/1.1 409 Conflict\r\nContent-Length: 20\r\n\r\n{\"message\":\"in use\"}", b"", false));
    assert_eq!((kind, deletion), (ErrorKind::Failed, Answer::Conflict("in use".to_owned())));
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_to_do() {
    let endpoint = Endpoint::unix("/nonexistent/docker.sock");
    let error = run(Docker::connect(endpoint, SHORT)).err().expect("an error");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains("unix:///nonexistent/docker.sock") && text.contains("DOCKER_HOST"), "{text}");
}

/// A docker program that is this script, whatever else its words are.
fn through(script: &str) -> Endpoint {
    let args = ["-c", script, "docker", "--context", "far"].map(Into::into).to_vec();
    Endpoint::new(Way::ThroughCli { docker: "/bin/sh".into(), args })
}

#[test]
fn a_docker_program_carries_the_stream_with_the_users_flags() {
    let script = r#"[ "$*" = "--context far system dial-stdio" ] && [ -n "$DKB_INSIDE" ] && read -r _ &&
        printf 'HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 2\r\n\r\nOK' && cat >/dev/null"#;
    let engine = run(Docker::connect(through(script), SHORT)).expect("a hello");
    assert_eq!(engine.hello().api_version, "1.44");
}

#[test]
fn a_docker_program_that_fails_says_why() {
    let script = "sleep 0.1; echo 'no route to host' >&2; exit 1";
    let error = run(Docker::connect(through(script), SHORT)).err().expect("an error");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("no route to host"), "{error}");
}
