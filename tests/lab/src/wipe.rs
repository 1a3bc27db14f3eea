//! Making an engine as good as new between two tests.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::api::Api;
use crate::engine::{Engine, is_base};
use crate::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(10);

/// With the containers of Podman's builder, which Docker's part of its API leaves out.
const WORKING: &str = "/v4.0.0/libpod/containers/json?external=true&all=true";

impl Engine {
    /// A build of Podman's that was killed leaves a container that it worked in, and that holds its image until somebody
    /// takes it away by force: dkb says so, and does not.
    pub fn end_what_works(&self) {
        if !self.is_podman() || self.api().get(WORKING).json().as_array().is_none_or(Vec::is_empty) {
            return;
        }
        let podman = || self.inside("podman").args(["--root", "/data/engine", "--runroot", "/run/podman"]);
        let works = podman().args(["ps", "--all", "--external", "--quiet"]).run().success().out();
        for container in works.split_whitespace() {
            podman().args(["rm", "--force", container]).run();
        }
    }
}

/// The order matters: what holds goes before what it holds.
pub(crate) fn wipe(engine: &Engine) {
    let api = engine.api();
    engine.end_what_works();
    for container in api.containers() {
        expect_gone(api, &format!("/containers/{}?force=1&v=1", text(&container, "Id")));
    }
    for volume in api.volumes() {
        expect_gone(api, &format!("/volumes/{}?force=1", text(&volume, "Name")));
    }
    for network in api.networks() {
        let name = text(&network, "Name");
        if !["bridge", "host", "none", "podman"].contains(&name) {
            expect_gone(api, &format!("/networks/{name}"));
        }
    }
    remove_images(engine);
    if !engine.is_podman() {
        remove_cache(engine);
    }
    restore_base(engine);
}

/// What a build has just let go of may be in use for a moment more, and is passed over then. A bake that is interrupted
/// at the wrong moment leaves records that are in use until the engine starts again: one of two on Docker 26.1, by
/// docker alone.
fn remove_cache(engine: &Engine) {
    let api = engine.api();
    let goes = || {
        eventually(PATIENCE, || {
            api.build_cache().is_empty() || {
                api.post("/build/prune?all=1", &Value::Null);
                false
            }
        })
    };
    if !goes() {
        engine.restart();
        assert!(goes(), "this cache does not go: {:#?}", api.build_cache());
    }
}

/// The base is kept, with its one name.
fn restore_base(engine: &Engine) {
    let images = engine.api().images();
    let Some(base) = images.iter().find(|i| i.tags.iter().any(|t| is_base(t))) else {
        return engine.load_base();
    };
    for tag in base.tags.iter().filter(|t| !is_base(t)) {
        engine.untag(tag);
    }
}

/// Children bar the way to their parents, so what did not go in one round is tried again in the next.
fn remove_images(engine: &Engine) {
    let api = engine.api();
    let mut stuck = HashSet::new();
    loop {
        let images = engine.images();
        if images.is_empty() {
            return;
        }
        let ids: HashSet<String> = images.iter().map(|i| i.id.clone()).collect();
        assert!(ids != stuck, "these images do not go: {images:#?}");
        for image in &images {
            api.delete(&format!("/images/{}?force=1", image.id));
        }
        stuck = ids;
    }
}

fn expect_gone(api: &Api, path: &str) {
    let answer = api.delete(path);
    assert!(matches!(answer.status, 200..=204 | 404), "DELETE {path}: {} {}", answer.status, answer.text());
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
