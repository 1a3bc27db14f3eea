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
use bollard::{BollardRequest, Docker as Client};
use http_body_util::BodyExt;
use hyper::header::HeaderMap;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::answer::{self, Read, plain};
use super::answer_disk;
use super::api::{Engine, Limits, ToDelete, nameless};
use super::ask::{Asker, BASE, Flavour, Hello, clock, escaped, reached, segment};
use super::capabilities;
use super::endpoint::Endpoint;
use super::fault::Fault;
use super::identity;
use super::outcome::{Answer, Removed};
use super::socket;
use crate::error::{Error, Result};
use crate::model::{
    CacheRecord, Container, DiskUsage, Ended, EngineInfo, Image, ImageDetail, ImageId, Network, Reference, Volume,
};

/// Engines fail a whole list now and then because one thing on it goes away at that moment.
const TRIES: usize = 3;
/// How long a measurement by somebody else is given before dkb asks for its own again.
const MEASURING: Duration = Duration::from_millis(200);

/// One engine that has answered.
pub struct Docker {
    client: Client,
    pub(super) asker: Asker,
    endpoint: Endpoint,
    pub(super) limits: Limits,
    hello: Hello,
}

impl Docker {
    /// Connects and says hello, both within the limit for connecting.
    pub async fn connect(endpoint: Endpoint, limits: Limits) -> Result<Self> {
        let tried = format!("connecting to {endpoint}");
        let limits = limits.on(endpoint.way());
        let asker = Asker::new(&endpoint, limits.connect);
        let hello = asker.hello(limits.connect).await.map_err(|fault| {
            let lacking = if fault.is_denied() { socket::lacking(&endpoint) } else { None };
            let is_missing = endpoint.socket().is_some_and(|path| !path.exists());
            let fault = if is_missing { fault.for_want_of_a_socket() } else { fault };
            let error = fault.into_error(&tried);
            match lacking {
                Some(next) => error.hint(next),
                None => error,
            }
        })?;
        let http = asker.http();
        let send = move |request: BollardRequest| {
            let answer = http.request(request.map(BodyExt::boxed_unsync));
            async { answer.await.map_err(Bollard::from) }
        };
        // Every call has its limit here, from its first byte to its last; bollard's ends with the answer's head.
        let unlimited = u64::from(u32::MAX);
        let client = Client::connect_with_custom_transport(send, Some(BASE), unlimited, bollard::API_DEFAULT_VERSION)
            .map_err(|error| Error::failed(&tried, error))?;
        Ok(Self { client, asker, endpoint, limits, hello })
    }

    /// `docker` or `podman`, for people.
    pub fn name(&self) -> &'static str {
        self.hello.flavour.name()
    }
}

impl Engine for Docker {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn hello(&self) -> &Hello {
        &self.hello
    }

    async fn info(&self) -> Result<EngineInfo> {
        let (headers, info): (_, answer::Info) = self.ask("asking about itself", "/info").await?;
        let root_dir = info.docker_root_dir.clone().unwrap_or_default();
        let here = Timestamp::now();
        let now = clock(info.system_time.as_deref(), &headers).unwrap_or(here);
        Ok(EngineInfo {
            identity: identity::of(self.hello.flavour, info.id.as_deref(), &root_dir, self.endpoint.way()),
            endpoint: self.endpoint.to_string(),
            version: info.server_version.clone().unwrap_or_default(),
            name: self.hello.flavour.name(),
            can: capabilities::of(self.hello.flavour, info.has_containerd_store(), self.hello.version()),
            root_dir,
            now,
            ahead: now.duration_since(here),
            images: info.images.and_then(|many| many.try_into().ok()).unwrap_or(0),
        })
    }

    async fn images(&self, shared_sizes: bool) -> Result<Vec<Image>> {
        let path = if shared_sizes { "/images/json?all=1&shared-size=1" } else { "/images/json?all=1" };
        self.list("listing images", path).await
    }

    async fn images_named(&self, names: &[String], intermediates: bool) -> Result<Vec<Image>> {
        let all = u8::from(intermediates);
        let filters = escaped(&serde_json::json!({ "reference": names }).to_string());
        self.list("listing images by name", &format!("/images/json?all={all}&shared-size=1&filters={filters}")).await
    }

    async fn images_labelled(&self, label: &str) -> Result<Vec<Image>> {
        let filters = escaped(&serde_json::json!({ "label": [label] }).to_string());
        self.list("listing images by label", &format!("/images/json?all=1&filters={filters}")).await
    }

    async fn names(&self, id: ImageId) -> Result<Option<Vec<Reference>>> {
        self.names_of(id).await
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        let mut all: Vec<Container> = self.list("listing containers", "/containers/json?all=1").await?;
        self.add_podmans_own(&mut all).await?;
        Ok(all)
    }

    async fn volumes(&self) -> Result<Vec<Volume>> {
        let (_, answer): (_, answer_disk::Volumes) = self.ask("listing volumes", "/volumes").await?;
        Ok(plain(answer.volumes))
    }

    async fn volume_sizes(&self) -> Result<HashMap<String, u64>> {
        let path = "/system/df?type=volume&verbose=1";
        let volumes =
            self.usage(path).await.map_err(|fault| fault.into_error(&self.tried("measuring volumes")))?.volumes();
        Ok(volumes.into_iter().filter_map(|volume| Some((volume.name, volume.size?))).collect())
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        self.list("listing networks", "/networks").await
    }

    async fn cache(&self) -> Result<Option<Vec<CacheRecord>>> {
        if self.hello.flavour == Flavour::Podman {
            return Ok(None);
        }
        let path = "/system/df?type=build-cache&verbose=1";
        match self.usage(path).await {
            Ok(usage) => Ok(Some(usage.cache())),
            Err(Fault::Answered { status, .. }) if is_no_such_call(status) => Ok(None),
            Err(fault) => Err(fault.into_error(&self.tried("listing the build cache"))),
        }
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        let path = "/system/df?type=image&type=container&type=build-cache&verbose=1";
        let tried = "measuring the engine's disk use";
        Ok(self.usage(path).await.map_err(|fault| fault.into_error(&self.tried(tried)))?.totals())
    }

    async fn tag(&self, id: ImageId, name: &Reference) -> Result<Answer> {
        let options = TagImageOptionsBuilder::default().repo(name.repository()).tag(name.tag()).build();
        let (id, tried) = (id.to_string(), format!("tagging {} as {name}", id.short()));
        self.change(&tried, self.client.tag_image(&id, Some(options))).await
    }

    async fn delete_image(&self, target: ToDelete<'_>) -> Result<Answer<Removed>> {
        let (name, tried) = match target {
            ToDelete::Id(id) => (id.to_string(), format!("deleting {}", id.short())),
            ToDelete::Name(name) => (name.to_string(), format!("deleting {name}")),
            ToDelete::Nameless(id) => (nameless(id), format!("deleting {}", id.short())),
        };
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(true).build();
        let name = segment(&name, &tried)?;
        let outcome = self.change(&tried, self.client.remove_image(&name, Some(options), None)).await?;
        let outcome = match outcome {
            // Podman's answer where Docker says 409: several names, or children.
            Answer::Refused { status: 500, message } if self.hello.flavour == Flavour::Podman => {
                Answer::Conflict(message)
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

    async fn remove_container(&self, id: &str) -> Result<Answer> {
        let tried = format!("removing container {id}");
        let options = RemoveContainerOptionsBuilder::default().v(false).force(false).build();
        let id = segment(id, &tried)?;
        self.change(&tried, self.client.remove_container(&id, Some(options))).await
    }

    async fn stop_container(&self, id: &str) -> Result<Answer> {
        let tried = format!("stopping container {id}");
        let id = segment(id, &tried)?;
        let stop = || self.change(&tried, self.client.stop_container(&id, None::<StopContainerOptions>));
        match stop().await? {
            // Podman stops nothing that is paused, and refuses to wake up what is not.
            Answer::Refused { .. }
                if matches!(self.change(&tried, self.client.unpause_container(&id)).await?, Answer::Done(())) =>
            {
                stop().await
            }
            answer => Ok(answer),
        }
    }

    async fn remove_volume(&self, name: &str) -> Result<Answer> {
        let tried = format!("removing volume {name}");
        let name = segment(name, &tried)?;
        self.change(&tried, self.client.remove_volume(&name, None::<RemoveVolumeOptions>)).await
    }

    async fn remove_network(&self, id: &str) -> Result<Answer> {
        let tried = format!("removing network {id}");
        let id = segment(id, &tried)?;
        self.change(&tried, self.client.remove_network(&id)).await
    }

    async fn delete_cache(&self, ids: &[String]) -> Result<Answer<Vec<String>>> {
        let tried = "deleting build cache";
        // The engine takes the filter for a regular expression.
        let is_plain = |id: &&String| !id.is_empty() && id.bytes().all(|digit| digit.is_ascii_alphanumeric());
        let plain: Vec<&str> = ids.iter().filter(is_plain).map(String::as_str).collect();
        if plain.is_empty() {
            return Ok(Answer::Done(Vec::new()));
        }
        let filters = HashMap::from([("id", vec![format!("^({})$", plain.join("|"))])]);
        let options = PruneBuildOptionsBuilder::default().all(true).filters(&filters).build();
        Ok(match self.change(tried, self.client.prune_build(Some(options))).await? {
            Answer::Missing => Answer::Refused { status: 404, message: "this engine has no such call".to_owned() },
            answer => answer.map(|report| report.caches_deleted.unwrap_or_default()),
        })
    }

    async fn image(&self, name: &str) -> Result<Option<ImageDetail>> {
        self.inspect(name).await
    }

    async fn step(&self, name: &str) -> Result<Option<ImageDetail>> {
        self.inspect_step(name).await
    }

    async fn first_in_history(&self, name: &str) -> Result<Option<ImageId>> {
        self.history(name).await
    }

    async fn told_of(&self, id: ImageId, since: Timestamp, until: Timestamp) -> bool {
        self.events_of(id, since, until).await
    }

    async fn tagged(&self, since: Timestamp, until: Timestamp) -> Vec<(Reference, ImageId)> {
        self.tags(since, until).await
    }

    async fn deleted(&self, since: Timestamp, until: Timestamp) -> HashMap<ImageId, Timestamp> {
        self.deletions(since, until).await
    }

    async fn ended(&self, id: &str) -> Result<Option<Ended>> {
        self.inspect_end(id).await
    }

    async fn image_as_written(&self, container: &str) -> Result<Option<String>> {
        self.inspect_image_of(container).await
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>> {
        self.inspect_volume(name).await
    }
}

impl Docker {
    /// Somebody else may be measuring right now, and then an old engine refuses; that passes.
    async fn usage(&self, path: &str) -> Result<answer_disk::Usage, Fault> {
        let mut left = TRIES;
        loop {
            left = left.saturating_sub(1);
            match self.asker.get(path, self.limits.ask).await {
                Ok((_, usage)) => return Ok(usage),
                Err(Fault::Answered { status, .. }) if left > 0 && !is_no_such_call(status) => {}
                Err(Fault::Rubbish(_)) if left > 0 => {}
                Err(fault) => return Err(fault),
            }
            tokio::time::sleep(MEASURING).await;
        }
    }

    async fn change<T>(&self, tried: &str, call: impl Future<Output = Result<T, Bollard>>) -> Result<Answer<T>> {
        let _turn = self.asker.turn().await;
        let fault = match tokio::time::timeout(self.limits.change, call).await {
            Ok(Ok(done)) => return Ok(Answer::Done(done)),
            Ok(Err(error)) => self.asker.explain(fault(error)).await,
            Err(_) => Fault::Late(self.limits.change),
        };
        let tried = self.tried(tried);
        Answer::of(fault, &tried)
    }

    async fn list<T>(&self, tried: &str, path: &str) -> Result<Vec<T>>
    where
        Read<T>: DeserializeOwned,
    {
        let mut left = TRIES;
        loop {
            left = left.saturating_sub(1);
            match self.asker.get::<Option<Vec<Read<T>>>>(path, self.limits.ask).await {
                // An empty list is null in some answers.
                Ok((_, list)) => return Ok(plain(list)),
                Err(Fault::Answered { status: 404 | 500, .. }) if left > 0 => {}
                Err(fault) => return Err(fault.into_error(&self.tried(tried))),
            }
        }
    }

    async fn ask<T: DeserializeOwned>(&self, tried: &str, path: &str) -> Result<(HeaderMap, T)> {
        self.asker.get(path, self.limits.ask).await.map_err(|fault| fault.into_error(&self.tried(tried)))
    }

    pub(super) fn tried(&self, what: &str) -> String {
        format!("{what} ({})", self.endpoint)
    }
}

/// How engines and proxies say that they don't know a call, or don't let it through.
pub fn is_no_such_call(status: u16) -> bool {
    matches!(status, 403 | 404 | 405 | 501)
}

fn fault(error: Bollard) -> Fault {
    match error {
        Bollard::DockerResponseServerError { status_code, message } => Fault::Answered { status: status_code, message },
        Bollard::HyperLegacyError { err } => reached(&err),
        Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. } => Fault::Rubbish(error.to_string()),
        _ => Fault::lost(&error),
    }
}
