//! The calls that dkb makes to an engine, each with a limit. The only file that names bollard.
//!
//! What changes something goes through bollard. Lists and inspections are read past its types, on the same
//! connections: those refuse a whole list for one container state that they do not know (Podman has some),
//! and keep many times the memory of what dkb reads.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::query_parameters::{
    PruneBuildOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptions,
    StopContainerOptions, TagImageOptionsBuilder,
};
use bollard::{BollardRequest, Docker};
use http_body_util::{BodyExt, Empty};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::answer::{self, Read, plain};
use super::dial::LastWords;
use super::endpoint::{Endpoint, Way};
use super::fault::Fault;
use super::identity;
use super::outcome::{Outcome, Removed};
use super::wire::{self, Http};
use crate::error::{Error, Result};
use crate::model::{
    CacheRecord, Container, DiskUsage, EngineInfo, Flavour, Image, ImageDetail, ImageId, Network, Reference, Volume,
};

/// Any name will do: no stream that leads to an engine asks for it.
const BASE: &str = "http://localhost";

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connect: Duration,
    /// For a list or an inspection.
    pub ask: Duration,
    /// For a tag, a stop or a deletion.
    pub change: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), ask: Duration::from_secs(60), change: Duration::from_secs(300) }
    }
}

/// What an engine says of itself before it is asked anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub flavour: Flavour,
    pub api_version: String,
    /// `2` where the engine wants BuildKit; a Docker CLI before 23 goes by it.
    pub builder_version: Option<String>,
}

/// What to delete: an ID, or one name of the image and nothing but that name.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Id(ImageId),
    Name(&'a Reference),
}

/// One engine that has answered.
pub struct Engine {
    docker: Docker,
    http: Http,
    words: LastWords,
    endpoint: Endpoint,
    limits: Limits,
    hello: Hello,
}

impl Engine {
    /// Connects and says hello, both within the limit for connecting.
    pub async fn connect(endpoint: Endpoint, limits: Limits) -> Result<Self> {
        let words = LastWords::default();
        let http = wire::client(&endpoint, limits.connect, words.clone());
        let sender = http.clone();
        let send = move |request: BollardRequest| {
            let answer = sender.request(request.map(BodyExt::boxed_unsync));
            async { answer.await.map_err(Bollard::from) }
        };
        // Every call has its own limit here; bollard's would end in the middle of none of them.
        let version = bollard::API_DEFAULT_VERSION;
        let docker = Docker::connect_with_custom_transport(send, Some(BASE), u64::from(u32::MAX), version)
            .map_err(|error| Error::failed("connecting to the engine", error))?;
        let hello = Hello { flavour: Flavour::Docker, api_version: String::new(), builder_version: None };
        let mut engine = Self { docker, http, words, endpoint, limits, hello };
        engine.hello = engine.ping().await.map_err(|fault| fault.into_error(&engine.tried("connecting")))?;
        Ok(engine)
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    async fn ping(&self) -> Result<Hello, Fault> {
        let (headers, _) = match self.fetch("/_ping", self.limits.connect).await {
            // A program that carries the stream ends with a word on stderr when it can't reach the engine.
            Err(Fault::Lost(why)) if matches!(self.endpoint.way(), Way::ThroughCli { .. }) => {
                return Err(Fault::Unreached { why, next: "Does the docker command itself reach this engine?" });
            }
            answer => answer?,
        };
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let podman = headers.contains_key("libpod-api-version") || header("server").starts_with("Libpod");
        Ok(Hello {
            flavour: if podman { Flavour::Podman } else { Flavour::Docker },
            api_version: header("api-version").to_owned(),
            builder_version: Some(header("builder-version").to_owned()).filter(|version| !version.is_empty()),
        })
    }

    pub async fn info(&self) -> Result<EngineInfo> {
        let (headers, info): (_, answer::Info) = self.ask("asking about itself", "/info").await?;
        let root_dir = info.docker_root_dir.clone().unwrap_or_default();
        Ok(EngineInfo {
            identity: identity::of(self.hello.flavour, info.id.as_deref(), &root_dir, self.endpoint.way()),
            endpoint: self.endpoint.to_string(),
            version: info.server_version.clone().unwrap_or_default(),
            flavour: self.hello.flavour,
            containerd_store: info.has_containerd_store(),
            root_dir,
            now: clock(info.system_time.as_deref(), &headers).unwrap_or_else(Timestamp::now),
        })
    }

    /// Every image, classic intermediates included. Shared sizes cost the engine a walk over all layers.
    pub async fn images(&self, shared_sizes: bool) -> Result<Vec<Image>> {
        let path = if shared_sizes { "/images/json?all=1&shared-size=1" } else { "/images/json?all=1" };
        self.list("listing images", path).await
    }

    /// Every container, in whatever state.
    pub async fn containers(&self) -> Result<Vec<Container>> {
        self.list("listing containers", "/containers/json?all=1").await
    }

    /// One image by name or ID; `None` if there is none.
    pub async fn image(&self, name: &str) -> Result<Option<ImageDetail>> {
        let tried = format!("inspecting {name}");
        let path = format!("/images/{}/json", segment(name, &tried)?);
        match self.get::<Read<ImageDetail>>(&path).await {
            Ok((_, Read(image))) => Ok(Some(image)),
            Err(Fault::Answered { status: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.into_error(&self.tried(&tried))),
        }
    }

    pub async fn volumes(&self) -> Result<Vec<Volume>> {
        let (_, answer): (_, answer::Volumes) = self.ask("listing volumes", "/volumes").await?;
        Ok(plain(answer.volumes))
    }

    /// Volumes with their sizes, for which the engine walks each of them.
    pub async fn volumes_with_sizes(&self) -> Result<Vec<Volume>> {
        let path = "/system/df?type=volume&verbose=1";
        Ok(self.ask::<answer::Usage>("measuring volumes", path).await?.1.volumes())
    }

    pub async fn networks(&self) -> Result<Vec<Network>> {
        self.list("listing networks", "/networks").await
    }

    /// The records of the build cache; Podman keeps none.
    pub async fn cache(&self) -> Result<Vec<CacheRecord>> {
        let path = "/system/df?type=build-cache&verbose=1";
        Ok(self.ask::<answer::Usage>("listing the build cache", path).await?.1.cache())
    }

    /// What images, containers and the build cache take; volumes are left out, since they cost a walk each.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let path = "/system/df?type=image&type=container&type=build-cache&verbose=1";
        Ok(self.ask::<answer::Usage>("measuring the engine's disk use", path).await?.1.totals())
    }

    pub async fn tag(&self, id: ImageId, name: &Reference) -> Result<Outcome> {
        let options = TagImageOptionsBuilder::default().repo(name.repository()).tag(name.tag()).build();
        let (id, tried) = (id.to_string(), format!("tagging {} as {name}", id.short()));
        self.change(&tried, self.docker.tag_image(&id, Some(options))).await
    }

    /// Deletes what is named and never its parents, never by force.
    pub async fn delete_image(&self, target: Target<'_>) -> Result<Outcome<Removed>> {
        let (name, tried) = match target {
            Target::Id(id) => (id.to_string(), format!("deleting {}", id.short())),
            Target::Name(name) => (name.to_string(), format!("deleting {name}")),
        };
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(true).build();
        let name = segment(&name, &tried)?;
        let outcome = self.change(&tried, self.docker.remove_image(&name, Some(options), None)).await?;
        let outcome = match outcome {
            // Podman's answer where Docker says 409: several names, or children.
            Outcome::Refused { status: 500, message } if self.hello.flavour == Flavour::Podman => {
                Outcome::Conflict(message)
            }
            outcome => outcome,
        };
        Ok(outcome.map(|items| {
            let mut removed = Removed::default();
            for item in items {
                removed.untagged.extend(item.untagged);
                removed.deleted.extend(item.deleted.as_deref().and_then(ImageId::parse));
            }
            removed
        }))
    }

    /// Removes a container that does not run, and with `volumes` the anonymous volumes made for it.
    pub async fn remove_container(&self, id: &str, volumes: bool) -> Result<Outcome> {
        let tried = format!("removing container {id}");
        let options = RemoveContainerOptionsBuilder::default().v(volumes).force(false).build();
        let id = segment(id, &tried)?;
        self.change(&tried, self.docker.remove_container(&id, Some(options))).await
    }

    /// Stops a container by its own stop signal, within its own grace. One that does not run is done.
    pub async fn stop_container(&self, id: &str) -> Result<Outcome> {
        let tried = format!("stopping container {id}");
        let id = segment(id, &tried)?;
        self.change(&tried, self.docker.stop_container(&id, None::<StopContainerOptions>)).await
    }

    pub async fn remove_volume(&self, name: &str) -> Result<Outcome> {
        let tried = format!("removing volume {name}");
        let name = segment(name, &tried)?;
        self.change(&tried, self.docker.remove_volume(&name, None::<RemoveVolumeOptions>)).await
    }

    pub async fn remove_network(&self, id: &str) -> Result<Outcome> {
        let tried = format!("removing network {id}");
        let id = segment(id, &tried)?;
        self.change(&tried, self.docker.remove_network(&id)).await
    }

    /// Deletes one record of the build cache and says how many bytes came back. There is no other call for it
    /// than a prune that is told the ID; one that finds nothing answers with an empty list, not with 404.
    pub async fn delete_cache(&self, id: &str) -> Result<Outcome<u64>> {
        let tried = format!("deleting build cache {id}");
        let filters = HashMap::from([("id", vec![id])]);
        let options = PruneBuildOptionsBuilder::default().all(true).filters(&filters).build();
        Ok(match self.change(&tried, self.docker.prune_build(Some(options))).await? {
            Outcome::Done(report) if report.caches_deleted.as_ref().is_none_or(Vec::is_empty) => Outcome::Missing,
            Outcome::Done(report) => Outcome::Done(report.space_reclaimed.and_then(|b| b.try_into().ok()).unwrap_or(0)),
            Outcome::Missing => Outcome::Refused { status: 404, message: "this engine has no such call".to_owned() },
            other => other.map(|_| 0),
        })
    }

    async fn change<T>(&self, tried: &str, call: impl Future<Output = Result<T, Bollard>>) -> Result<Outcome<T>> {
        let fault = match tokio::time::timeout(self.limits.change, call).await {
            Ok(Ok(done)) => return Ok(Outcome::Done(done)),
            Ok(Err(error)) => self.explain(fault(error)).await,
            Err(_) => Fault::Late(self.limits.change),
        };
        let tried = self.tried(tried);
        Outcome::of(fault, &tried)
    }

    async fn list<T>(&self, tried: &str, path: &str) -> Result<Vec<T>>
    where
        Read<T>: DeserializeOwned,
    {
        // An empty list is null in some answers.
        Ok(plain(self.ask::<Option<Vec<Read<T>>>>(tried, path).await?.1))
    }

    async fn ask<T: DeserializeOwned>(&self, tried: &str, path: &str) -> Result<(HeaderMap, T)> {
        self.get(path).await.map_err(|fault| fault.into_error(&self.tried(tried)))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<(HeaderMap, T), Fault> {
        let (headers, body) = self.fetch(path, self.limits.ask).await?;
        let read = serde_json::from_slice(&body).map_err(|error| Fault::Rubbish(error.to_string()))?;
        Ok((headers, read))
    }

    async fn fetch(&self, path: &str, limit: Duration) -> Result<(HeaderMap, Vec<u8>), Fault> {
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
        let message = String::from_utf8_lossy(&read);
        Err(Fault::Answered { status: head.status.as_u16(), message: message.into_owned() })
    }

    /// Where a program carries the stream, its stderr knows why it ended, a moment later.
    async fn explain(&self, fault: Fault) -> Fault {
        let (Fault::Lost(why), Way::ThroughCli { .. }) = (&fault, self.endpoint.way()) else { return fault };
        tokio::time::sleep(Duration::from_millis(50)).await;
        Fault::Lost(self.words.get().unwrap_or_else(|| why.clone()))
    }

    fn tried(&self, what: &str) -> String {
        format!("{what} ({})", self.endpoint)
    }
}

fn reached(error: &hyper_util::client::legacy::Error) -> Fault {
    if error.is_connect() { Fault::unreached(error) } else { Fault::lost(error) }
}

fn fault(error: Bollard) -> Fault {
    match error {
        Bollard::DockerResponseServerError { status_code, message } => Fault::Answered { status: status_code, message },
        Bollard::HyperLegacyError { err } => reached(&err),
        Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. } => Fault::Rubbish(error.to_string()),
        _ => Fault::lost(&error),
    }
}

/// The engine's clock, against which its creation times are read; the date of its answer where it says no time.
fn clock(system_time: Option<&str>, headers: &HeaderMap) -> Option<Timestamp> {
    let date = || {
        let date = headers.get("date")?.to_str().ok()?;
        jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
    };
    system_time.and_then(|time| time.parse().ok()).or_else(date)
}

/// A name as part of a request's path. No name of an object has empty or dotted parts; an engine that lists one
/// must not send us to another part of its API.
fn segment(name: &str, tried: &str) -> Result<String> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::usage(tried, "an engine has nothing of that name"));
    }
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' => {
                path.push(byte.into());
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(path)
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
    fn the_engines_clock_is_read_and_the_date_is_the_second_choice() {
        let mut headers = HeaderMap::new();
        assert_eq!(clock(None, &headers), None);
        headers.insert("date", "Sat, 21 Nov 2026 03:56:30 GMT".parse().expect("a header"));
        let date = clock(None, &headers).expect("a date");
        assert_eq!(date.to_string(), "2026-11-21T03:56:30Z");
        assert!(clock(Some("2026-11-21T03:56:30.274752309Z"), &headers).expect("a time") > date);
    }
}
