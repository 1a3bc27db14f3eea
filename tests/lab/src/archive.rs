//! Image archives for `docker load`, written in memory: any number of images in one call.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One layer: its tar, and the hash that names it. Thousands of images share one.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) tar: Arc<[u8]>,
    pub(crate) diff_id: String,
}

impl Layer {
    pub(crate) fn new(tar: Vec<u8>) -> Self {
        let diff_id = sha256(&tar);
        Self { tar: tar.into(), diff_id }
    }

    /// A layer of one file.
    pub(crate) fn of_file(path: &str, content: &[u8]) -> Self {
        let mut tar = Tar::new();
        tar.file(path, 0o644, content);
        Self::new(tar.done())
    }
}

/// One image: its layers, bottom first, and its config as the engine keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Packed<'a> {
    pub(crate) layers: &'a [Layer],
    pub(crate) config: Vec<u8>,
    pub(crate) tags: &'a [String],
}

impl Packed<'_> {
    /// The image's ID on every store but containerd's, which names images by their manifest.
    pub(crate) fn config_id(&self) -> String {
        format!("sha256:{}", sha256(&self.config))
    }
}

/// The layout of `docker save`, the only one that all engines of the lab load.
pub(crate) fn archive(images: &[Packed]) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut layers = BTreeMap::new();
    let manifest: Vec<Value> = images
        .iter()
        .map(|image| {
            let config = format!("{}.json", sha256(&image.config));
            tar.file(&config, 0o644, &image.config);
            layers.extend(image.layers.iter().map(|l| (&l.diff_id, &l.tar)));
            let paths: Vec<String> = image.layers.iter().map(|l| format!("{}/layer.tar", l.diff_id)).collect();
            json!({ "Config": config, "RepoTags": (!image.tags.is_empty()).then_some(image.tags), "Layers": paths })
        })
        .collect();
    for (diff_id, layer) in layers {
        tar.file(&format!("{diff_id}/layer.tar"), 0o644, layer);
    }
    tar.file("manifest.json", 0o644, Value::from(manifest).to_string().as_bytes());
    tar.done()
}

/// A tar in memory, the same bytes for the same content.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).expect("writing to memory");
    }

    pub(crate) fn folder(&mut self, path: &str, mode: u32) {
        self.0.append_data(&mut header(tar::EntryType::Directory, mode), path, &[][..]).expect("writing to memory");
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.0.append_link(&mut header(tar::EntryType::Symlink, 0o777), path, target).expect("writing to memory");
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.into_inner().expect("writing to memory")
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
