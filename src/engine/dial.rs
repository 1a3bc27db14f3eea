//! The Docker CLI as the way to an engine: `docker … system dial-stdio` is a byte stream to whatever its
//! context means, over ssh or TLS, and the credentials stay with it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::program;

/// What the program said on stderr, which is the reason when its stream just ends.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<String>>);

impl LastWords {
    pub(super) fn get(&self) -> Option<String> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(super::fault::clip(&words)).filter(|words| !words.is_empty())
    }

    /// Only the first page is kept.
    fn hear(&self, said: &[u8]) {
        const MOST: usize = 4096;
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() < MOST {
            words.push_str(&String::from_utf8_lossy(said));
        }
    }
}

/// One running `dial-stdio`. It is killed with the connection that it carries.
pub(super) struct Dialled {
    _child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

pub(super) fn dial(docker: &Path, args: &[OsString], words: &LastWords) -> io::Result<Dialled> {
    let mut child = Command::new(docker)
        .args(args)
        .args(["system", "dial-stdio"])
        .env(program::INSIDE, program::inside_mark(docker))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(to), Some(from), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("a pipe is missing"));
    };
    let words = words.clone();
    tokio::spawn(async move {
        let (mut said, mut errors) = ([0; 1024], errors);
        while let Ok(read @ 1..) = errors.read(&mut said).await {
            words.hear(&said[..read]);
        }
    });
    Ok(Dialled { _child: child, to, from })
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
