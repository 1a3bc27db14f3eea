//! BuildKit's own door: questions to it in gRPC, over the stream that docker's program opens to it, whatever its context
//! takes. The program's own questions are not asked: see `past_builds`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::process::{Child, Command};

use super::program;

const LIMIT: Duration = Duration::from_secs(30);
/// What a build's steps printed is told with them.
const MOST: usize = 64 << 20;

/// A stream to the engine's own BuildKit. The program that carries it ends with this.
pub(super) struct BuildKit {
    sender: SendRequest<Full<Bytes>>,
    _program: Child,
}

impl BuildKit {
    /// `None` where docker, or its buildx, knows no way. The engine's own builder is meant, whatever else is in use.
    pub(super) async fn dial(docker: &Path, flags: &[OsString]) -> Option<Self> {
        let mut command = Command::new(docker);
        program::as_child(command.as_std_mut(), docker);
        command.args(flags).args(["buildx", "--builder", "default", "dial-stdio"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut program = command.spawn().ok()?;
        let stream = tokio::io::join(program.stdout.take()?, program.stdin.take()?);
        let opened = tokio::time::timeout(LIMIT, handshake(TokioExecutor::new(), TokioIo::new(stream)));
        let (sender, connection) = opened.await.ok()?.ok()?;
        tokio::spawn(connection);
        Some(Self { sender, _program: program })
    }

    /// The messages that it answers; `None` where it says that it can't, or does not end.
    pub(super) async fn ask(&mut self, what: &str, question: &[u8]) -> Option<Vec<Bytes>> {
        let request = Request::post(format!("http://buildkit/moby.buildkit.v1.Control/{what}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::from(framed(question)?))
            .ok()?;
        let all = async {
            let answer = self.sender.send_request(request).await.ok()?;
            let body = Limited::new(answer.into_body(), MOST).collect().await.ok()?;
            // Without this last word it may have been cut off.
            let is_whole = body.trailers()?.get("grpc-status")?.as_bytes() == b"0";
            is_whole.then(|| messages(body.to_bytes()))?
        };
        tokio::time::timeout(LIMIT, all).await.ok()?
    }
}

/// A message as it is sent: not compressed, and so long.
fn framed(message: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(message.len()).ok()?;
    Some([&[0], &length.to_be_bytes()[..], message].concat())
}

fn messages(mut body: Bytes) -> Option<Vec<Bytes>> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let (head, _) = body.split_first_chunk::<5>()?;
        let [0, length @ ..] = *head else { return None };
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let rest = body.split_off(head.len());
        let ends = rest.len() >= length;
        body = rest;
        messages.push(ends.then(|| body.split_to(length))?);
    }
    Some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_so_many_messages_and_no_half_one() {
        let body =
            [framed(b"one").expect("short"), framed(b"").expect("short"), framed(b"two").expect("short")].concat();
        let read = messages(Bytes::from(body.clone())).expect("messages");
        assert_eq!(read, ["one", "", "two"]);
        assert_eq!(messages(Bytes::from(body[..body.len() - 1].to_vec())), None);
        assert_eq!(messages(Bytes::from_static(b"\0\0\0")), None);
        assert_eq!(messages(Bytes::from_static(b"\x01\0\0\0\0")), None, "it would be compressed");
        assert_eq!(messages(Bytes::new()), Some(Vec::new()));
    }
}
