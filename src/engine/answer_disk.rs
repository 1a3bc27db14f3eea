//! What dkb reads of an engine's answers on volumes, networks, the build cache and disk use.

use serde::{Deserialize, Deserializer};

use super::answer::{Labels, Read, bytes, plain, read, time};
use crate::model::{CacheRecord, DiskUsage, Network, Volume, total};

read!(RawVolume => Volume);
read!(RawNetwork => Network);
read!(RawCache => CacheRecord);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "volumes")]
pub(super) struct Volumes {
    pub(super) volumes: Option<Vec<Read<Volume>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "a volume")]
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
#[serde(rename_all = "PascalCase", expecting = "a network")]
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
#[serde(rename_all = "PascalCase", expecting = "a cache record")]
struct RawCache {
    #[serde(rename = "ID")]
    id: String,
    /// Docker really writes a space in front.
    #[serde(alias = " Parents")]
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
    usage_count: Option<i64>,
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
            used: bytes(raw.usage_count),
        })
    }
}

/// `/system/df` in both of its shapes: flat lists, and since API 1.52 one summary a kind.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "disk use")]
pub(super) struct Usage {
    layers_size: Option<i64>,
    containers: Option<Vec<RawSize>>,
    build_cache: Option<Vec<Read<CacheRecord>>>,
    volumes: Option<Vec<Read<Volume>>>,
    #[serde(rename = "ImageUsage")]
    new_images: Option<RawTotal>,
    #[serde(rename = "ContainerUsage")]
    new_containers: Option<RawTotal>,
    #[serde(rename = "BuildCacheUsage")]
    new_cache: Option<RawItems<CacheRecord>>,
    #[serde(rename = "VolumeUsage")]
    new_volumes: Option<RawItems<Volume>>,
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
        plain(self.new_cache.and_then(|usage| usage.items).or(self.build_cache))
    }

    pub(super) fn volumes(self) -> Vec<Volume> {
        plain(self.new_volumes.and_then(|usage| usage.items).or(self.volumes))
    }

    pub(super) fn totals(self) -> DiskUsage {
        let containers = total(self.containers.iter().flatten().map(|container| bytes(container.written)));
        DiskUsage {
            layers: self.new_images.as_ref().map_or(bytes(self.layers_size), |usage| bytes(usage.total_size)),
            containers: self.new_containers.as_ref().map_or(containers, |usage| bytes(usage.total_size)),
            cache: total(self.cache().iter().filter(|record| !record.shared).map(|record| record.size)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_use_is_read_in_its_old_and_in_its_new_shape() {
        let record = r#"{"ID":"a","Size":7,"Shared":false},{"ID":"b","Size":100,"Shared":true}"#;
        let old = format!(
            r#"{{"LayersSize":5,"Images":null,"Containers":[{{"SizeRw":3}},{{}}],"Volumes":null,"BuildCache":[{record}]}}"#
        );
        let new = format!(
            r#"{{"ImageUsage":{{"TotalSize":5}},"ContainerUsage":{{"TotalSize":3}},"BuildCacheUsage":{{"Items":[{record}]}}}}"#
        );
        for json in [old, new] {
            let totals = serde_json::from_str::<Usage>(&json).expect("an answer").totals();
            assert_eq!(totals, DiskUsage { layers: 5, containers: 3, cache: 7 });
        }
    }

    #[test]
    fn a_record_of_the_cache_has_one_parent_on_old_engines_and_many_on_new_ones() {
        let read = |json| serde_json::from_str::<Read<CacheRecord>>(json).expect("a record").0.parents;
        assert_eq!(read(r#"{"ID":"a","Parent":"p"}"#), ["p"]);
        assert_eq!(read(r#"{"ID":"a"," Parents":["p","q"]}"#), ["p", "q"]);
        assert_eq!(read(r#"{"ID":"a","Parents":["p","q"]}"#), ["p", "q"]);
        assert!(read(r#"{"ID":"a","Parent":""}"#).is_empty());
    }
}
