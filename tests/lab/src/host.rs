//! The fluent way to say what is on an engine before a test begins.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use crate::archive::{self, Layer, Packed, Tar};
use crate::context::BASE;
use crate::engine::Engine;

/// A number that no other image of this test process has, so that no two are the same by accident.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An image to be put on an engine: untagged, unlabelled and runnable unless more is said.
#[derive(Clone, Debug)]
pub struct ImageSpec<'e> {
    engine: &'e Engine,
    tags: Vec<String>,
    labels: Map<String, Value>,
    below: Vec<Layer>,
    own_layers: usize,
    /// How many bytes each of its own layers holds, at least.
    weight: usize,
    created: String,
}

/// An image that was put on an engine.
#[derive(Clone, Debug)]
pub struct Placed {
    pub id: String,
    layers: Vec<Layer>,
}

impl std::ops::Deref for Placed {
    type Target = str;

    fn deref(&self) -> &str {
        &self.id
    }
}

impl<'e> ImageSpec<'e> {
    fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            tags: Vec::new(),
            labels: Map::new(),
            below: vec![base_layer(engine.busybox()).clone()],
            own_layers: 1,
            weight: 0,
            created: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.into());
        self
    }

    /// The labels of an image that `dkb build` made.
    pub fn stamp(self, project: &str, session: &str) -> Self {
        self.label("dev.dkb.project", project).label("dev.dkb.session", session)
    }

    /// How many layers of its own it has above those it shares. With none, only its config tells it apart.
    pub fn layers(mut self, count: usize) -> Self {
        self.own_layers = count;
        self
    }

    /// Each of its own layers holds so many bytes.
    pub fn weighing(mut self, bytes: usize) -> Self {
        self.weight = bytes;
        self
    }

    /// All layers of the other image lie below its own, as after `FROM other`.
    pub fn child_of(mut self, other: &Placed) -> Self {
        self.below.clone_from(&other.layers);
        self
    }

    /// Nothing lies below its own layers; such an image can't be run.
    pub fn from_scratch(mut self) -> Self {
        self.below.clear();
        self
    }

    /// RFC 3339, such as `1970-01-01T00:00:00Z`.
    pub fn created(mut self, time: &str) -> Self {
        time.clone_into(&mut self.created);
        self
    }

    /// Puts it on the engine.
    pub fn make(self) -> Placed {
        let engine = self.engine;
        place(engine, &[self]).remove(0)
    }

    fn all_layers(&self) -> Vec<Layer> {
        let own = (0..self.own_layers).map(|_| {
            let n = unique();
            let mut content = n.to_string().into_bytes();
            content.resize(content.len().max(self.weight), b' ');
            Layer::of_file(&format!("lab/{n}"), &content)
        });
        self.below.iter().cloned().chain(own).collect()
    }

    fn config(&self, layers: &[Layer]) -> Vec<u8> {
        let diff_ids: Vec<String> = layers.iter().map(|l| format!("sha256:{}", l.diff_id)).collect();
        let history: Vec<Value> =
            layers.iter().map(|_| json!({ "created": self.created, "created_by": "lab" })).collect();
        let config = json!({
            "architecture": architecture(), "os": "linux", "created": self.created,
            "author": format!("lab {}", unique()),
            "config": { "Labels": self.labels, "Cmd": ["sleep", "100000"], "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": history,
        });
        config.to_string().into_bytes()
    }
}

/// Loads all of them in one call and says which became which.
fn place(engine: &Engine, specs: &[ImageSpec]) -> Vec<Placed> {
    let layers: Vec<Vec<Layer>> = specs.iter().map(ImageSpec::all_layers).collect();
    let packed: Vec<Packed> = specs
        .iter()
        .zip(&layers)
        .map(|(spec, layers)| Packed { layers, config: spec.config(layers), tags: &spec.tags })
        .collect();
    let said = engine.api().load(&archive::archive(&packed));
    let ids = if engine.is_containerd_store() {
        ids_from(engine, specs, &said)
    } else {
        packed.iter().map(Packed::config_id).collect()
    };
    ids.into_iter().zip(layers).map(|(id, layers)| Placed { id, layers }).collect()
}

/// The containerd store names an image by a manifest that it writes itself. It says which: the untagged
/// ones in the order of the archive, the tagged ones by their tag.
fn ids_from(engine: &Engine, specs: &[ImageSpec], said: &[String]) -> Vec<String> {
    let mut untagged = said.iter().filter_map(|line| line.strip_prefix("Loaded image ID: "));
    let id_of = |tag: &str| engine.api().get(&format!("/images/{tag}/json")).json()["Id"].as_str().map(str::to_owned);
    let ids = specs.iter().map(|spec| match spec.tags.first() {
        Some(tag) => id_of(tag),
        None => untagged.next().map(str::to_owned),
    });
    ids.map(|id| id.expect("the engine names every image that it loaded")).collect()
}

impl Engine {
    /// An image to say more about.
    pub fn image(&self) -> ImageSpec<'_> {
        ImageSpec::new(self)
    }

    /// Any number of images in one call. They share their layers unless the closure says otherwise.
    pub fn many(&self, count: usize, say: impl Fn(usize, ImageSpec) -> ImageSpec) -> Vec<Placed> {
        let specs: Vec<ImageSpec> = (0..count).map(|i| say(i, self.image().layers(0))).collect();
        place(self, &specs)
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Busybox with a link for each of its programs.
fn base_layer(busybox: &Path) -> &'static Layer {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    LAYER.get_or_init(|| {
        let list = std::process::Command::new(busybox).arg("--list").output().expect("busybox runs");
        let mut tar = Tar::new();
        for (folder, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777)] {
            tar.folder(folder, mode);
        }
        tar.file("bin/busybox", 0o755, &std::fs::read(busybox).expect("busybox"));
        for name in String::from_utf8_lossy(&list.stdout).lines().filter(|n| *n != "busybox") {
            tar.link(&format!("bin/{name}"), "busybox");
        }
        tar.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
        Layer::new(tar.done())
    })
}

/// The base image alone, the same in every run.
pub(crate) fn base_archive(busybox: &Path) -> Vec<u8> {
    let layer = base_layer(busybox);
    let config = json!({
        "architecture": architecture(), "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": { "Cmd": ["sh"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", layer.diff_id)] },
        "history": [{ "created": "2026-01-01T00:00:00Z", "created_by": "lab" }],
    });
    let image = Packed {
        layers: std::slice::from_ref(layer),
        config: config.to_string().into_bytes(),
        tags: &[BASE.to_owned()],
    };
    archive::archive(&[image])
}
