//! Questions whose answers are read whole, within a limit, into whatever the asker wants of them.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::dial::{LastWords, complaint};
use super::endpoint::{Endpoint, Way};
use super::fault::Fault;
use super::wire::{self, Http};
use crate::error::{Error, Result};

/// Any name will do: no stream that leads to an engine asks for it.
pub(super) const BASE: &str = "http://localhost";

/// Who answers. Nobody outside of this room asks: what it means stands in the table of `capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Docker,
    Podman,
}

impl Flavour {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// What an engine says of itself before it is asked anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub(super) flavour: Flavour,
    pub api_version: String,
    /// `2` where the engine wants `BuildKit`; a docker program before 23 goes by it.
    pub builder_version: Option<String>,
}

impl Hello {
    /// What an image is made of costs less to tell than all that there is of it, and names it too. Podman writes names
    /// in its own way.
    pub fn tells_history_at_once(&self) -> bool {
        self.flavour == Flavour::Docker
    }

    /// The newest version of the API that it speaks.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        let (major, minor) = self.api_version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// A server for ssh turns away whoever knocks ten times at once, and two dkb may be at work.
const CARRIED_AT_ONCE: usize = 4;

pub(super) struct Asker {
    http: Http,
    endpoint: Endpoint,
    words: LastWords,
    /// Where each connection is a program of its own, few requests are under way at a time.
    turns: Option<Semaphore>,
}

impl Asker {
    pub(super) fn new(endpoint: &Endpoint, connect: Duration) -> Self {
        let words = LastWords::of(endpoint);
        let turns = matches!(endpoint.way(), Way::ThroughCli { .. }).then(|| Semaphore::new(CARRIED_AT_ONCE));
        Self { http: wire::client(endpoint, connect, words.clone()), endpoint: endpoint.clone(), words, turns }
    }

    pub(super) async fn hello(&self, limit: Duration) -> Result<Hello, Fault> {
        let (headers, _) = match (self.fetch("/_ping", limit).await, self.endpoint.way()) {
            // A program that carries the stream ends, with a word on stderr, when it can't reach the engine.
            (Err(Fault::Lost(why)), Way::ThroughCli { .. }) => {
                let why = complaint(&self.endpoint, limit).await.unwrap_or(why);
                return Err(Fault::Unreached { why, next: "Does the docker command itself reach this engine?" });
            }
            (answer, _) => answer?,
        };
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let podman = headers.contains_key("libpod-api-version");
        Ok(Hello {
            flavour: if podman { Flavour::Podman } else { Flavour::Docker },
            api_version: header("api-version").to_owned(),
            builder_version: Some(header("builder-version").to_owned()).filter(|version| !version.is_empty()),
        })
    }

    /// Held for as long as a request is under way.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.as_ref()?.acquire().await.ok()
    }

    /// The same connections, for whoever makes requests of its own.
    pub(super) fn http(&self) -> Http {
        self.http.clone()
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<(HeaderMap, T), Fault> {
        let (headers, body) = self.fetch(path, limit).await?;
        let read = serde_json::from_slice(&body).map_err(|error| Fault::Rubbish(error.to_string()))?;
        Ok((headers, read))
    }

    pub(super) async fn fetch(&self, path: &str, limit: Duration) -> Result<(HeaderMap, Vec<u8>), Fault> {
        let _turn = self.turn().await;
        match tokio::time::timeout(limit, self.fetch_all(path)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(self.explain(fault).await),
            Err(_) => Err(Fault::Late(limit)),
        }
    }

    async fn fetch_all(&self, path: &str) -> Result<(HeaderMap, Vec<u8>), Fault> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get(format!("{BASE}{path}")).body(body).map_err(|error| Fault::lost(&error))?;
        let (head, mut body) = self.http.request(request).await.map_err(|error| reached(&error))?.into_parts();
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.map_err(|error| Fault::lost(&error))?.data_ref() {
                read.extend_from_slice(data);
            }
        }
        if head.status == StatusCode::OK {
            return Ok((head.headers, read));
        }
        Err(Fault::answered(head.status.as_u16(), &read).of(path))
    }

    /// Where a program carries the stream, its stderr knows why it ended, a moment later.
    pub(super) async fn explain(&self, fault: Fault) -> Fault {
        let (Fault::Lost(why), Way::ThroughCli { .. }) = (&fault, self.endpoint.way()) else { return fault };
        Fault::Lost(self.words.get().await.unwrap_or_else(|| why.clone()))
    }
}

pub(super) fn reached(error: &hyper_util::client::legacy::Error) -> Fault {
    if error.is_connect() { Fault::unreached(error) } else { Fault::lost(error) }
}

/// The engine's clock, against which its creation times are read; the date of its answer where it says no time.
pub(super) fn clock(system_time: Option<&str>, headers: &HeaderMap) -> Option<Timestamp> {
    let date = || {
        let date = headers.get("date")?.to_str().ok()?;
        jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
    };
    system_time.and_then(|time| time.parse().ok()).or_else(date)
}

/// A name as part of a request's path. No name of an object has empty or dotted parts; an engine that lists one
/// must not send us to another part of its API.
pub(super) fn segment(name: &str, tried: &str) -> Result<String> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::usage(tried, "an engine has nothing of that name"));
    }
    Ok(escaped(name))
}

/// As a URL writes it.
pub(super) fn escaped(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' => {
                path.push(byte.into());
            }
            _ => {
                path.push('%');
                path.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_place_in_the_path() {
        let encoded = |name| segment(name, "t").ok();
        assert_eq!(encoded("host:5000/a/b:c").as_deref(), Some("host:5000/a/b:c"));
        assert_eq!(encoded("app?force=1#x %").as_deref(), Some("app%3Fforce%3D1%23x%20%25"));
        for name in ["", "../containers/x", "a//b", "a/.", "/a"] {
            assert_eq!(encoded(name), None, "{name}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |text: &str| {
            let hello = Hello { flavour: Flavour::Docker, api_version: text.to_owned(), builder_version: None };
            hello.version()
        };
        assert!(version("1.51") > Some((1, 44)) && version("1.100") > version("1.99"));
        assert!(version("1.41") < Some((1, 44)) && version("1.44") == Some((1, 44)));
        assert_eq!((version(""), version("1"), version("1.x")), (None, None, None));
    }

    #[test]
    fn the_engines_clock_is_read_and_the_date_is_the_second_choice() {
        let mut headers = HeaderMap::new();
        assert_eq!(clock(None, &headers), None);
        headers.insert("date", "Sat, 21 Nov 2026 03:56:30 GMT".parse().expect("a header"));
        let date = clock(None, &headers).expect("a date");
        assert_eq!(date.to_string(), "2026-11-21T03:56:30Z");
        assert!(clock(Some("2026-11-21T03:56:30.274752309Z"), &headers).expect("a time") > date);
    }
}
