//! Containers, volumes, networks and tags: the rest of what can be on an engine.

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::wait::eventually;
use std::time::Duration;

/// Long enough for an engine under load.
const LIMIT: Duration = Duration::from_secs(30);

/// A container to be made.
#[derive(Clone, Debug)]
pub struct ContainerSpec<'e> {
    engine: &'e Engine,
    name: Option<String>,
    body: Value,
}

impl<'e> ContainerSpec<'e> {
    fn new(engine: &'e Engine, image: &str) -> Self {
        // Without a network a container starts in half the time; no test needs one.
        let body = json!({ "Image": image, "Cmd": ["sleep", "100000"], "Labels": {}, "StopSignal": "SIGKILL",
            "HostConfig": { "NetworkMode": "none", "Mounts": [] } });
        Self { engine, name: None, body }
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.body["Labels"][key] = value.into();
        self
    }

    pub fn command(mut self, words: &[&str]) -> Self {
        self.body["Cmd"] = json!(words);
        self
    }

    /// Connects it to this network, when it is started.
    pub fn network(mut self, name: &str) -> Self {
        self.body["HostConfig"]["NetworkMode"] = name.into();
        self
    }

    /// Mounts a volume; an anonymous one where the name is empty.
    pub fn volume(self, name: &str) -> Self {
        self.mount(json!({ "Type": "volume", "Source": name, "Target": "/volume" }))
    }

    /// Mounts an image (`--mount type=image`, API 1.48 and later).
    pub fn mounting_image(self, image: &str) -> Self {
        self.mount(json!({ "Type": "image", "Source": image, "Target": "/image" }))
    }

    fn mount(mut self, mount: Value) -> Self {
        let mounts = self.body["HostConfig"]["Mounts"].as_array_mut().expect("a list from the start");
        mounts.push(mount);
        self
    }

    /// Created and never started. The ID.
    pub fn created(self) -> String {
        let name = self.name.map(|n| format!("?name={n}")).unwrap_or_default();
        let answer = self.engine.api().post(&format!("/containers/create{name}"), &self.body);
        assert!(answer.status == 201, "a container was not created: {} {}", answer.status, answer.text());
        answer.json()["Id"].as_str().expect("an ID").to_owned()
    }

    /// Running for as long as the test. The ID.
    pub fn running(self) -> String {
        let engine = self.engine;
        let id = self.created();
        let answer = engine.api().post(&format!("/containers/{id}/start"), &Value::Null);
        assert!(answer.status == 204, "a container was not started: {} {}", answer.status, answer.text());
        id
    }

    /// Run to its end. The ID.
    pub fn stopped(self) -> String {
        let engine = self.engine;
        let id = self.command(&["true"]).running();
        let state = || engine.api().get(&format!("/containers/{id}/json")).json()["State"]["Status"].clone();
        assert!(eventually(LIMIT, || state() == "exited"), "container {id} does not end: {}", state());
        id
    }
}

impl Engine {
    /// A container of this image (ID or name) to say more about.
    pub fn container(&self, image: &str) -> ContainerSpec<'_> {
        ContainerSpec::new(self, image)
    }

    pub fn tag(&self, image: &str, tag: &str) {
        let (repo, tag) = tag.rsplit_once(':').expect("a name with a tag");
        let answer = self.api().post(&format!("/images/{image}/tag?repo={repo}&tag={tag}"), &Value::Null);
        assert!(answer.status == 201, "{image} was not tagged: {} {}", answer.status, answer.text());
    }

    /// Takes one of several tags away; with the last one the image would go.
    pub fn untag(&self, tag: &str) {
        let answer = self.api().delete(&format!("/images/{tag}?noprune=1"));
        assert!(answer.status == 200, "{tag} was not removed: {} {}", answer.status, answer.text());
    }

    /// A named volume with these labels.
    pub fn volume(&self, name: &str, labels: &[(&str, &str)]) {
        let answer = self.api().post("/volumes/create", &json!({ "Name": name, "Labels": map(labels) }));
        assert!(answer.status == 201, "volume {name} was not created: {} {}", answer.status, answer.text());
    }

    /// A network with these labels. The ID.
    pub fn network(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let answer = self.api().post("/networks/create", &json!({ "Name": name, "Labels": map(labels) }));
        assert!(answer.status == 201, "network {name} was not created: {} {}", answer.status, answer.text());
        answer.json()["Id"].as_str().expect("an ID").to_owned()
    }

    /// Whether `--mount type=image` is known here.
    pub fn mounts_images(&self) -> bool {
        let version = self.api().version();
        let api = version["ApiVersion"].as_str().and_then(|v| v.strip_prefix("1.")?.parse().ok());
        !self.is_podman() && api.is_some_and(|minor: u32| minor >= 48)
    }
}

fn map(labels: &[(&str, &str)]) -> Value {
    labels.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect()
}
