//! The Docker CLI as the way to an engine: `docker … system dial-stdio` is a byte stream to whatever its
//! context means, over ssh or TLS, and the credentials stay with it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Way};
use super::{fault, program};

/// How long a program may take to say why its stream ended.
const GRACE: Duration = Duration::from_millis(500);

/// What the program said on stderr, which is the reason when its stream just ends.
#[derive(Clone)]
pub(super) struct LastWords {
    said: Arc<Mutex<String>>,
    /// Of whom it speaks.
    of: Endpoint,
}

impl LastWords {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self { said: Arc::default(), of: endpoint.clone() }
    }

    /// Waits a moment for a word, where it is known that something went wrong.
    pub(super) async fn get(&self) -> Option<String> {
        const STEP: Duration = Duration::from_millis(10);
        const STEPS: u128 = GRACE.as_millis() / STEP.as_millis();
        for _ in 0..STEPS {
            let words = fault::clip(&self.of.tell(&self.said.lock().unwrap_or_else(PoisonError::into_inner)));
            if !words.is_empty() {
                return Some(words);
            }
            tokio::time::sleep(STEP).await;
        }
        None
    }

    /// Only the first page is kept.
    fn hear(&self, said: &[u8]) {
        const MOST: usize = 4096;
        let mut words = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() < MOST {
            words.push_str(&String::from_utf8_lossy(said));
        }
    }
}

/// One running `dial-stdio`. It ends, or is ended, with the connection that it carries.
pub(super) struct Dialled {
    to: ChildStdin,
    from: ChildStdout,
    _held: oneshot::Sender<()>,
}

pub(super) fn dial(docker: &Path, args: &[OsString], words: &LastWords) -> io::Result<Dialled> {
    let mut command = Command::new(docker);
    program::as_child(command.as_std_mut(), docker);
    let mut child = command
        .args(args)
        .args(["system", "dial-stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(to), Some(from), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("a pipe is missing"));
    };
    let (held, dropped) = oneshot::channel();
    tokio::spawn(keep(child, errors, words.clone(), dropped));
    Ok(Dialled { to, from, _held: held })
}

/// What the program says when nothing is sent through it. One that was sent something may say no more than that it
/// could not pass that on.
pub(super) async fn complaint(endpoint: &Endpoint, limit: Duration) -> Option<String> {
    let Way::ThroughCli { docker, args } = endpoint.way() else { return None };
    let words = LastWords::of(endpoint);
    let mut line = dial(docker, args, &words).ok()?;
    // No engine speaks first, so what comes is the end.
    let _ = tokio::time::timeout(limit, line.from.read(&mut [0])).await.ok()?;
    words.get().await
}

/// Listens to the program and reaps it. A program whose stream ended still has to say why, so it is not killed
/// at once; closed pipes end it by themselves.
async fn keep(mut child: Child, mut errors: ChildStderr, words: LastWords, dropped: oneshot::Receiver<()>) {
    let ends = async {
        let mut said = [0; 1024];
        while let Ok(read @ 1..) = errors.read(&mut said).await {
            words.hear(&said[..read]);
        }
        let _ = child.wait().await;
    };
    let too_long = async {
        let _ = dropped.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = ends => {}
        () = too_long => {}
    }
    let _ = child.kill().await;
}

impl AsyncRead for Dialled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.from).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.to).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(cx)
    }
}
