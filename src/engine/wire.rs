//! HTTP to an engine over whatever stream leads there. Connections are kept and used again, several at a time,
//! and an engine that never stops talking is cut off.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::dial::{LastWords, dial};
use super::endpoint::{Endpoint, Way};

/// A list of 100,000 images is about this long; nothing that an engine has to say is longer.
const LONGEST_ANSWER: usize = 64 << 20;
/// Of those that many requests at a time have opened.
const KEPT_CONNECTIONS: usize = 8;

pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
pub(super) type Http = Client<Connector, Body>;

pub(super) fn client(endpoint: &Endpoint, connect: Duration, words: LastWords) -> Http {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(KEPT_CONNECTIONS).http1_max_buf_size(64 << 10);
    builder.build(Connector { way: Arc::new(endpoint.way().clone()), limit: connect, words })
}

#[derive(Clone)]
pub(super) struct Connector {
    way: Arc<Way>,
    limit: Duration,
    words: LastWords,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { way, limit, words } = self.clone();
        Box::pin(async move {
            let connect = async {
                Ok::<Box<dyn AnyStream>, io::Error>(match &*way {
                    Way::Unix(path) => Box::new(UnixStream::connect(path).await?),
                    Way::Tcp(address) => {
                        let stream = TcpStream::connect(address).await?;
                        stream.set_nodelay(true)?;
                        Box::new(stream)
                    }
                    Way::ThroughCli { docker, args } => Box::new(dial(docker, args, &words)?),
                })
            };
            let stream = tokio::time::timeout(limit, connect).await.map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} s", limit.as_secs()))
            })??;
            Ok(TokioIo::new(Wire { stream, left: LONGEST_ANSWER }))
        })
    }
}

pub(super) trait AnyStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> AnyStream for S {}

/// A stream on which every question buys the engine a number of bytes to answer with. The limit stands here,
/// below HTTP, so that it holds for whoever reads the answer.
pub(super) struct Wire {
    stream: Box<dyn AnyStream>,
    left: usize,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        let Some(left) = self.left.checked_sub(read) else {
            return Poll::Ready(Err(io::Error::other("the answer does not end")));
        };
        self.left = left;
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.left = LONGEST_ANSWER;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
