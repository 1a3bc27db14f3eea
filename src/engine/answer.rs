//! What dkb reads of an engine's answers on itself, its images and its containers. Fields that are missing, null or of a new kind do not spoil a list:
//! Podman leaves out some, Docker adds some with every release.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::ask::Flavour;
use crate::model::{Container, ContainerState, Ended, Image, ImageDetail, ImageId, Reference};

pub(super) type Labels = Option<HashMap<String, String>>;

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
pub(super) use read;

read!(RawImage => Image);
read!(RawDetail => ImageDetail);
read!(RawContainer => Container);
read!(RawEnded => Ended);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "facts about an engine")]
pub(super) struct Info {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    pub(super) server_version: Option<String>,
    pub(super) docker_root_dir: Option<String>,
    pub(super) system_time: Option<String>,
    pub(super) images: Option<i64>,
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
#[serde(rename_all = "PascalCase", expecting = "an image")]
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
        let tags = references(raw.repo_tags.as_deref());
        let digests = raw.repo_digests.unwrap_or_default().into_iter().filter(|digest| !digest.starts_with("<none>"));
        let (digests, beside): (Vec<String>, Vec<String>) = digests.partition(|digest| stands_alone(digest, &tags));
        Ok(Self {
            id: raw.id.parse()?,
            parent: raw.parent_id.as_deref().and_then(ImageId::parse),
            tags,
            travelled: !(digests.is_empty() && beside.is_empty()),
            digests,
            beside,
            created: raw.created.unwrap_or(0),
            size: bytes(raw.size),
            shared: raw.shared_size.and_then(|size| u64::try_from(size).ok()),
            labels: raw.labels.unwrap_or_default(),
            dropped: false,
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
#[serde(rename_all = "PascalCase", expecting = "an image")]
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
    metadata: Option<RawMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMetadata {
    last_tag_time: Option<String>,
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
            tags: references(raw.repo_tags.as_deref()),
            digests: raw.repo_digests.unwrap_or_default(),
            created: time(raw.created),
            labels: raw.config.and_then(|config| config.labels).unwrap_or_default(),
            layers: raw.root_fs.and_then(|fs| fs.layers).unwrap_or_default(),
            container: raw.container.filter(|id| !id.is_empty()),
            last_tagged: raw.metadata.and_then(|metadata| time(metadata.last_tag_time)),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "a container")]
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
                Some("image") => image_mounts.extend(name.or(mount.source).filter(|name| !name.is_empty())),
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

/// How a container was made.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Made {
    pub(super) config: Option<MadeOf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MadeOf {
    pub(super) image: Option<String>,
}

/// A container looked at closely.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "a container")]
struct RawEnded {
    created: Option<String>,
    state: Option<RawState>,
    size_rw: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState {
    finished_at: Option<String>,
}

impl TryFrom<RawEnded> for Ended {
    type Error = String;
    fn try_from(raw: RawEnded) -> Result<Self, String> {
        let end = raw.state.and_then(|state| time(state.finished_at));
        Ok(Self { at: end.max(time(raw.created)), written: bytes(raw.size_rw) })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an event")]
struct RawEvent {
    #[serde(default)]
    action: String,
    actor: RawActor,
    #[serde(rename = "timeNano")]
    nanos: Option<i64>,
}

#[derive(Deserialize)]
struct RawActor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: RawAttributes,
}

/// An image's labels stand beside its name, and whoever made it chose them.
#[derive(Default, Deserialize)]
struct RawAttributes {
    name: Option<String>,
}

/// What happened to an image.
pub(super) struct ImageEvent {
    /// The engine's own word.
    action: String,
    pub(super) id: ImageId,
    pub(super) at: Option<Timestamp>,
    /// The name that it is about.
    pub(super) name: Option<Reference>,
}

/// A step in an image's history.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HistoryStep {
    pub(super) id: String,
    pub(super) tags: Option<Vec<String>>,
}

/// The events of images, up to the first that is none.
pub(super) fn events(stream: &[u8]) -> impl Iterator<Item = ImageEvent> {
    let events = serde_json::Deserializer::from_slice(stream).into_iter::<RawEvent>();
    events.map_while(Result::ok).filter_map(|RawEvent { action, actor, nanos }| {
        Some(ImageEvent {
            action,
            id: ImageId::parse(&actor.id)?,
            at: nanos.and_then(|nanos| Timestamp::from_nanosecond(nanos.into()).ok()),
            name: actor.attributes.name.and_then(|name| Reference::listed(&name)),
        })
    })
}

/// The images that were deleted, and when each was last. Docker's word is true. Podman says the same of one that it refused
/// to delete, and of one that lost a name: only where it was brought in again later had it gone, and that is all that a
/// list does not show.
pub(super) fn deletions(
    events: &[ImageEvent],
    flavour: Flavour,
    since: Timestamp,
    until: Timestamp,
) -> HashMap<ImageId, Timestamp> {
    let mut deleted = HashMap::new();
    let mut went = |id: ImageId, at: Timestamp| {
        let last = deleted.entry(id).or_insert(at);
        *last = at.max(*last);
    };
    let is_said_to_go = |event: &ImageEvent| ["delete", "remove"].contains(&&*event.action);
    let tries = |id: ImageId| events.iter().filter(move |event| event.id == id && is_said_to_go(event));
    for event in events {
        let at = event.at.unwrap_or(until);
        let is_true = match flavour {
            Flavour::Docker => is_said_to_go(event),
            Flavour::Podman => !is_said_to_go(event) && tries(event.id).any(|tried| tried.at.unwrap_or(since) <= at),
        };
        if is_true {
            went(event.id, at);
        }
    }
    deleted
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

pub(super) fn plain<T>(list: Option<Vec<Read<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(|Read(item)| item).collect()
}

pub(super) fn references(names: Option<&[String]>) -> Vec<Reference> {
    names.unwrap_or_default().iter().filter_map(|name| Reference::listed(name)).collect()
}

/// Engines write -1 where they did not count.
pub(super) fn bytes(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
}

/// Engines write the year 1 where there is no time.
pub(super) fn time(text: Option<String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok()).filter(|time: &Timestamp| time.as_second() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(json: &str) -> Image {
        serde_json::from_str::<Read<Image>>(json).unwrap_or_else(|error| panic!("{json}: {error}")).0
    }

    #[test]
    fn every_engines_way_to_say_that_there_is_no_name_is_understood() {
        let id = format!("sha256:{}", "ab".repeat(32));
        for names in [
            r#""RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"],"ParentId":"""#,
            r#""RepoTags":[],"RepoDigests":[],"Labels":null"#,
            r#""RepoTags":null,"Dangling":true,"New":{"a":[1]}"#,
        ] {
            let image = image(&format!(r#"{{"Id":"{id}","Created":5,"SharedSize":-1,"Size":-1,{names}}}"#));
            assert!(image.tags.is_empty() && image.digests.is_empty() && image.parent.is_none());
            assert_eq!((image.size, image.shared, image.created), (0, None, 5));
        }
    }

    #[test]
    fn a_digest_beside_a_tag_of_its_repository_says_nothing_and_one_alone_does() {
        let id = "ab".repeat(32);
        let json = format!(
            r#"{{"Id":"{id}","RepoTags":["r:5000/app:1"],"RepoDigests":["r:5000/app@sha256:1","kind@sha256:2"]}}"#
        );
        assert_eq!(image(&json).digests, ["kind@sha256:2"]);
        assert_eq!(image(&json).beside, ["r:5000/app@sha256:1"]);
    }

    #[test]
    fn a_container_tells_its_images_volumes_and_networks() {
        let json = r#"{"Id":"27d912eedee80425","Names":["/c3"],"Image":"base","ImageID":"sha256:00","State":"stopping",
            "Mounts":[{"Type":"volume","Name":"v"},{"Type":"image","Name":"base:two","Source":"/x"},{"Type":"bind"}],
            "NetworkSettings":{"Networks":{"bridge":{"NetworkID":""},"net":{"NetworkID":"n1"},"odd":null}}}"#;
        let mut container = serde_json::from_str::<Read<Container>>(json).expect("a container").0;
        container.networks.sort();
        assert_eq!(container.name, "c3");
        assert_eq!((container.image_mounts, container.volumes), (vec!["base:two".to_owned()], vec!["v".to_owned()]));
        assert_eq!(container.networks, ["bridge", "n1", "odd"]);
        assert_eq!(container.image, None);
        // A state that nobody here has heard of counts as at work.
        assert!(!container.state.is_over());
    }

    #[test]
    fn events_are_read_up_to_the_first_that_is_none() {
        let told = |stream: &str| events(stream.as_bytes()).map(|event| event.id).collect::<Vec<_>>();
        let id = |digit: &str| ImageId::parse(&digit.repeat(64)).expect("an ID");
        let (one, two) = (id("1"), id("2"));
        let event = |id: &str| format!("{{\"Type\":\"image\",\"Actor\":{{\"ID\":\"{id}\",\"Attributes\":{{}}}}}}\n");
        let (first, second) = (event(&one.to_string()), event(&two.to_string()));
        assert_eq!(told(&format!("{first}{second}")), [one, two]);
        assert_eq!(told(&format!("{}{first}", event("app:latest"))), [one]);
        assert_eq!(told(&format!("{first}<html>{second}")), [one]);
        assert_eq!(told(""), []);
        let timed = first.replace("\"Type\"", "\"timeNano\":1795567652187134554,\"Type\"");
        let at = events(timed.as_bytes()).next().expect("an event").at.expect("a time");
        assert_eq!(at.as_nanosecond(), 1_795_567_652_187_134_554);
        let named = first.replace("{}", "{\"name\":\"app:1\",\"x\":\"2\"}");
        let name = events(named.as_bytes()).next().expect("an event").name;
        assert_eq!(name, Reference::written("app:1"));
    }

    #[test]
    fn what_went_is_told_from_what_only_lost_a_name() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let id = ImageId::parse(&"1".repeat(64)).expect("an ID");
        let told = |flavour: Flavour, events: &[(&str, i64)]| {
            let event = |(action, second): &(&str, i64)| ImageEvent {
                action: (*action).to_owned(),
                id,
                at: Some(at(*second)),
                name: None,
            };
            let events: Vec<ImageEvent> = events.iter().map(event).collect();
            deletions(&events, flavour, at(0), at(99)).get(&id).copied()
        };
        let docker = [("delete", 5), ("delete", 7), ("pull", 9)];
        assert_eq!(told(Flavour::Docker, &docker), Some(at(7)));
        let told = |events| told(Flavour::Podman, events);
        assert_eq!(told(&[("delete", 4), ("remove", 5)]), None, "it says so of a name, and of a refusal");
        assert_eq!(told(&[("remove", 5), ("loadfromarchive", 8)]), Some(at(8)), "it was brought in again");
        assert_eq!(told(&[("loadfromarchive", 8), ("remove", 5)]), Some(at(8)), "in whatever order");
        assert_eq!(told(&[("pull", 3), ("remove", 5)]), None, "it was brought in before");
        assert_eq!(told(&[("pull", 5)]), None);
    }

    #[test]
    fn nesting_without_end_is_an_error_and_nothing_worse() {
        let deep = format!(r#"[{{"Id":"x","New":{}"#, "[".repeat(1 << 20));
        assert!(serde_json::from_str::<Vec<Read<Image>>>(&deep).is_err());
    }
}
