//! What dkb reads of an engine's answers. Fields that are missing, null or of a new kind do not spoil a list:
//! Podman leaves out some, Docker adds some with every release.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::model::{
    CacheRecord, Container, ContainerState, DiskUsage, Image, ImageDetail, ImageId, Network, Reference, Volume,
};

type Labels = Option<HashMap<String, String>>;

/// Reads one element of a list straight into the model, so that a long list is never held twice.
pub(super) struct Read<T>(pub(super) T);

macro_rules! read {
    ($raw:ty => $model:ty) => {
        impl<'de> Deserialize<'de> for Read<$model> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$model>::try_from(<$raw>::deserialize(deserializer)?).map(Self).map_err(serde::de::Error::custom)
            }
        }
    };
}
read!(RawImage => Image);
read!(RawDetail => ImageDetail);
read!(RawContainer => Container);
read!(RawVolume => Volume);
read!(RawNetwork => Network);
read!(RawCache => CacheRecord);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    pub(super) server_version: Option<String>,
    pub(super) docker_root_dir: Option<String>,
    pub(super) system_time: Option<String>,
    #[serde(default)]
    driver_status: Option<Vec<Vec<String>>>,
}

impl Info {
    pub(super) fn has_containerd_store(&self) -> bool {
        self.driver_status.iter().flatten().any(|pair| {
            pair.first().is_some_and(|key| key == "driver-type")
                && pair.get(1).is_some_and(|kind| kind.starts_with("io.containerd.snapshotter"))
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImage {
    id: String,
    parent_id: Option<String>,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: Option<i64>,
    size: Option<i64>,
    shared_size: Option<i64>,
    labels: Labels,
}

impl TryFrom<RawImage> for Image {
    type Error = String;
    fn try_from(raw: RawImage) -> Result<Self, String> {
        let tags = references(raw.repo_tags);
        let mut digests = raw.repo_digests.unwrap_or_default();
        digests.retain(|digest| stands_alone(digest, &tags));
        digests.shrink_to_fit();
        Ok(Self {
            id: raw.id.parse()?,
            parent: raw.parent_id.as_deref().and_then(ImageId::parse),
            tags,
            digests,
            created: raw.created.unwrap_or(0),
            size: bytes(raw.size),
            shared: raw.shared_size.and_then(|size| u64::try_from(size).ok()),
            labels: raw.labels.unwrap_or_default(),
        })
    }
}

/// The containerd store and Podman give every tagged image a digest; only one without a tag beside it means that
/// somebody pulled by digest, or that a later pull took the tag.
fn stands_alone(digest: &str, tags: &[Reference]) -> bool {
    let Some((repository, _)) = digest.split_once('@') else { return false };
    repository != "<none>" && !tags.iter().any(|tag| tag.repository() == repository)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawDetail {
    id: String,
    parent: Option<String>,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: Option<String>,
    config: Option<RawConfig>,
    #[serde(rename = "RootFS")]
    root_fs: Option<RawLayers>,
    container: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    labels: Labels,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawLayers {
    layers: Option<Vec<String>>,
}

impl TryFrom<RawDetail> for ImageDetail {
    type Error = String;
    fn try_from(raw: RawDetail) -> Result<Self, String> {
        Ok(Self {
            id: raw.id.parse()?,
            parent: raw.parent.as_deref().and_then(ImageId::parse),
            tags: references(raw.repo_tags),
            digests: raw.repo_digests.unwrap_or_default(),
            created: time(raw.created),
            labels: raw.config.and_then(|config| config.labels).unwrap_or_default(),
            layers: raw.root_fs.and_then(|fs| fs.layers).unwrap_or_default(),
            container: raw.container.filter(|id| !id.is_empty()),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    state: Option<String>,
    created: Option<i64>,
    labels: Labels,
    mounts: Option<Vec<RawMount>>,
    network_settings: Option<RawNetworks>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMount {
    #[serde(rename = "Type")]
    kind: Option<String>,
    name: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNetworks {
    networks: Option<HashMap<String, Option<RawConnection>>>,
}

#[derive(Deserialize)]
struct RawConnection {
    #[serde(rename = "NetworkID")]
    id: Option<String>,
}

impl TryFrom<RawContainer> for Container {
    type Error = String;
    fn try_from(raw: RawContainer) -> Result<Self, String> {
        let (mut image_mounts, mut volumes) = (Vec::new(), Vec::new());
        for mount in raw.mounts.unwrap_or_default() {
            let name = mount.name.filter(|name| !name.is_empty());
            match mount.kind.as_deref() {
                // Where the name is left out, the source is the name.
                Some("image") => image_mounts.extend(name.or(mount.source)),
                Some("volume") => volumes.extend(name),
                _ => {}
            }
        }
        let connected = raw.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        Ok(Self {
            name: raw
                .names
                .and_then(|names| names.into_iter().next())
                .map_or_else(|| raw.id.chars().take(12).collect(), |name| name.trim_start_matches('/').to_owned()),
            id: raw.id,
            image: raw.image_id.as_deref().and_then(ImageId::parse),
            image_name: raw.image.unwrap_or_default(),
            state: state(raw.state.unwrap_or_default()),
            created: raw.created.unwrap_or(0),
            labels: raw.labels.unwrap_or_default(),
            image_mounts,
            volumes,
            networks: connected
                .into_iter()
                .map(|(name, to)| to.and_then(|to| to.id).filter(|id| !id.is_empty()).unwrap_or(name))
                .collect(),
        })
    }
}

fn state(name: String) -> ContainerState {
    match name.as_str() {
        // The second word is Podman's.
        "created" | "configured" => ContainerState::Created,
        "exited" | "stopped" => ContainerState::Exited,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "dead" => ContainerState::Dead,
        _ => ContainerState::Other(name),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volumes {
    pub(super) volumes: Option<Vec<Read<Volume>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawVolume {
    name: String,
    driver: Option<String>,
    created_at: Option<String>,
    labels: Labels,
    usage_data: Option<RawUsage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawUsage {
    size: Option<i64>,
}

impl TryFrom<RawVolume> for Volume {
    type Error = String;
    fn try_from(raw: RawVolume) -> Result<Self, String> {
        Ok(Self {
            name: raw.name,
            driver: raw.driver.unwrap_or_default(),
            created: time(raw.created_at),
            labels: raw.labels.unwrap_or_default(),
            size: raw.usage_data.and_then(|usage| usage.size).and_then(|size| u64::try_from(size).ok()),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNetwork {
    id: String,
    name: Option<String>,
    driver: Option<String>,
    scope: Option<String>,
    created: Option<String>,
    labels: Labels,
}

impl TryFrom<RawNetwork> for Network {
    type Error = String;
    fn try_from(raw: RawNetwork) -> Result<Self, String> {
        Ok(Self {
            id: raw.id,
            name: raw.name.unwrap_or_default(),
            driver: raw.driver.unwrap_or_default(),
            scope: raw.scope.unwrap_or_default(),
            created: time(raw.created),
            labels: raw.labels.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawCache {
    #[serde(rename = "ID")]
    id: String,
    parents: Option<Vec<String>>,
    /// How engines before 23 said it.
    parent: Option<String>,
    #[serde(rename = "Type")]
    kind: Option<String>,
    description: Option<String>,
    in_use: Option<bool>,
    shared: Option<bool>,
    size: Option<i64>,
    created_at: Option<String>,
    last_used_at: Option<String>,
}

impl TryFrom<RawCache> for CacheRecord {
    type Error = String;
    fn try_from(raw: RawCache) -> Result<Self, String> {
        let parent = raw.parent.filter(|id| !id.is_empty());
        Ok(Self {
            id: raw.id,
            parents: raw.parents.unwrap_or_else(|| parent.into_iter().collect()),
            kind: raw.kind.unwrap_or_default(),
            description: raw.description.unwrap_or_default(),
            in_use: raw.in_use.unwrap_or(false),
            shared: raw.shared.unwrap_or(false),
            size: bytes(raw.size),
            created: time(raw.created_at),
            last_used: time(raw.last_used_at),
        })
    }
}

/// `/system/df` in both of its shapes: flat lists, and since API 1.52 one summary a kind.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Usage {
    layers_size: Option<i64>,
    containers: Option<Vec<RawSize>>,
    build_cache: Option<Vec<Read<CacheRecord>>>,
    volumes: Option<Vec<Read<Volume>>>,
    image_usage: Option<RawTotal>,
    container_usage: Option<RawTotal>,
    build_cache_usage: Option<RawItems<CacheRecord>>,
    volume_usage: Option<RawItems<Volume>>,
}

#[derive(Deserialize)]
struct RawSize {
    #[serde(rename = "SizeRw")]
    written: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawTotal {
    total_size: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound = "Read<T>: Deserialize<'de>")]
struct RawItems<T> {
    items: Option<Vec<Read<T>>>,
}

impl Usage {
    pub(super) fn cache(self) -> Vec<CacheRecord> {
        plain(self.build_cache_usage.and_then(|usage| usage.items).or(self.build_cache))
    }

    pub(super) fn volumes(self) -> Vec<Volume> {
        plain(self.volume_usage.and_then(|usage| usage.items).or(self.volumes))
    }

    pub(super) fn totals(self) -> DiskUsage {
        let containers = self.containers.iter().flatten().map(|container| bytes(container.written)).sum();
        DiskUsage {
            layers: self.image_usage.as_ref().map_or(bytes(self.layers_size), |usage| bytes(usage.total_size)),
            containers: self.container_usage.as_ref().map_or(containers, |usage| bytes(usage.total_size)),
            cache: self.cache().iter().filter(|record| !record.shared).map(|record| record.size).sum(),
        }
    }
}

pub(super) fn plain<T>(list: Option<Vec<Read<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(|Read(item)| item).collect()
}

fn references(names: Option<Vec<String>>) -> Vec<Reference> {
    names.iter().flatten().filter_map(|name| Reference::listed(name)).collect()
}

/// Engines write -1 where they did not count.
fn bytes(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
}

/// Engines write the year 1 where there is no time.
fn time(text: Option<String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok()).filter(|time: &Timestamp| time.as_second() > 0)
}
