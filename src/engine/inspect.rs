//! One thing looked at closely.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::answer::{self, ImageEvent, Read};
use super::api::Engine as _;
use super::ask::{Flavour, escaped, segment};
use super::docker::Docker;
use super::fault::Fault;
use crate::error::Result;
use crate::model::{Ended, ImageDetail, ImageId, Reference, Volume};

/// The last version of Docker's API that tells from which container an image was committed.
const TELLS_CONTAINERS: (u32, u32) = (1, 44);

impl Docker {
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ImageDetail>> {
        let tried = format!("inspecting {name}");
        self.look_up(&tried, &path(name, &tried)?).await
    }

    pub(super) async fn inspect_step(&self, name: &str) -> Result<Option<ImageDetail>> {
        let (tried, hello) = (format!("inspecting {name}"), self.hello());
        if hello.flavour == Flavour::Docker && hello.version() > Some(TELLS_CONTAINERS) {
            let (major, minor) = TELLS_CONTAINERS;
            match self.find(&format!("/v{major}.{minor}{}", path(name, &tried)?)).await {
                // The engine may no longer know a version so old.
                Err(Fault::Answered { .. }) => {}
                answer => return answer.map_err(|fault| fault.into_error(&self.tried(&tried))),
            }
        }
        self.inspect(name).await
    }

    /// By the first step of its history, which costs containerd's store a quarter of an inspection. Where the image has
    /// no history, or none for this platform, that says nothing, not even by a 404.
    pub(super) async fn names_of(&self, id: ImageId) -> Result<Option<Vec<Reference>>> {
        let tried = format!("asking for the names of {}", id.short());
        match self.asker.get::<Vec<answer::HistoryStep>>(&format!("/images/{id}/history"), self.limits.ask).await {
            Ok((_, steps)) => {
                if let Some(step) = steps.into_iter().next().filter(|step| ImageId::parse(&step.id) == Some(id)) {
                    return Ok(Some(answer::references(step.tags.as_deref())));
                }
            }
            Err(Fault::Answered { .. } | Fault::Rubbish(_)) => {}
            Err(fault) => return Err(fault.into_error(&self.tried(&tried))),
        }
        Ok(self.inspect(&id.to_string()).await?.map(|image| image.tags))
    }

    pub(super) async fn history(&self, name: &str) -> Result<Option<ImageId>> {
        let tried = format!("asking for the history of {name}");
        let path = format!("/images/{}/history", segment(name, &tried)?);
        match self.asker.get::<Vec<answer::HistoryStep>>(&path, self.limits.ask).await {
            Ok((_, steps)) => Ok(steps.first().and_then(|step| ImageId::parse(&step.id))),
            Err(Fault::Answered { .. } | Fault::Rubbish(_)) => Ok(None),
            Err(fault) => Err(fault.into_error(&self.tried(&tried))),
        }
    }

    pub(super) async fn events_of(&self, id: ImageId, since: Timestamp, until: Timestamp) -> bool {
        let filters = format!(r#"{{"event":["create","tag"],"image":["{id}"]}}"#);
        self.events(&filters, since, until).await.iter().any(|event| event.id == id)
    }

    pub(super) async fn tags(&self, since: Timestamp, until: Timestamp) -> Vec<(Reference, ImageId)> {
        let events = self.events(r#"{"type":["image"],"event":["tag"]}"#, since, until).await;
        events.into_iter().filter_map(|event| Some((event.name?, event.id))).collect()
    }

    pub(super) async fn deletions(&self, since: Timestamp, until: Timestamp) -> HashMap<ImageId, Timestamp> {
        // Podman's words for what brings an image in are asked for with its own for what goes.
        let filters = match self.hello().flavour {
            Flavour::Docker => r#"{"type":["image"],"event":["delete"]}"#,
            Flavour::Podman => r#"{"type":["image"],"event":["delete","remove","pull","load","loadfromarchive"]}"#,
        };
        answer::deletions(&self.events(filters, since, until).await, self.hello().flavour, since, until)
    }

    /// What the engine tells of images between two moments of its clock, which may be less than what was.
    async fn events(&self, filters: &str, since: Timestamp, until: Timestamp) -> Vec<ImageEvent> {
        let moment = |time: Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
        let path = format!("/events?since={}&until={}&filters={}", moment(since), moment(until), escaped(filters));
        match self.asker.fetch(&path, self.limits.ask).await {
            Ok((_, stream)) => answer::events(&stream).collect(),
            Err(_) => Vec::new(),
        }
    }

    pub(super) async fn inspect_end(&self, id: &str) -> Result<Option<Ended>> {
        let tried = format!("inspecting container {id}");
        self.look_up(&tried, &format!("/containers/{}/json?size=1", segment(id, &tried)?)).await
    }

    pub(super) async fn inspect_image_of(&self, container: &str) -> Result<Option<String>> {
        let tried = format!("inspecting container {container}");
        let path = format!("/containers/{}/json", segment(container, &tried)?);
        match self.asker.get::<answer::Made>(&path, self.limits.ask).await {
            Ok((_, made)) => Ok(made.config.and_then(|config| config.image)),
            Err(Fault::Answered { status: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.into_error(&self.tried(&tried))),
        }
    }

    pub(super) async fn inspect_volume(&self, name: &str) -> Result<Option<Volume>> {
        let tried = format!("inspecting volume {name}");
        self.look_up(&tried, &format!("/volumes/{}", segment(name, &tried)?)).await
    }

    async fn look_up<T>(&self, tried: &str, path: &str) -> Result<Option<T>>
    where
        Read<T>: DeserializeOwned,
    {
        self.find(path).await.map_err(|fault| fault.into_error(&self.tried(tried)))
    }

    async fn find<T>(&self, path: &str) -> Result<Option<T>, Fault>
    where
        Read<T>: DeserializeOwned,
    {
        match self.asker.get::<Read<T>>(path, self.limits.ask).await {
            Ok((_, Read(found))) => Ok(Some(found)),
            Err(Fault::Answered { status: 404, .. }) => Ok(None),
            Err(Fault::Answered { status: 500, message }) if says_gone(&message) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// Podman looks at an image more than once, and where it has gone between two of them it says so with another number: it
/// knows none of that ID, or takes its digits for a name.
fn says_gone(message: &str) -> bool {
    message.contains("image not known") || message.contains("cannot specify 64-byte hexadecimal strings")
}

fn path(name: &str, tried: &str) -> Result<String> {
    // Podman takes 64 digits without their algorithm for a bad name once the image is gone.
    let name = ImageId::parse(name).map_or_else(|| name.to_owned(), |id| id.to_string());
    Ok(format!("/images/{}/json", segment(&name, tried)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_while_podman_looked_is_gone() {
        for gone in [
            "locating image with ID \"1f2e\": image not known",
            "normalizing image: normalizing name for compat API: invalid repository name (183f), cannot specify 64-byte \
             hexadecimal strings",
        ] {
            assert!(says_gone(gone), "{gone}");
        }
        for there in ["", "layer not known", "database is locked", "no space left on device"] {
            assert!(!says_gone(there), "{there}");
        }
    }
}
