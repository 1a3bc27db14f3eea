//! Containers of Podman's that are not like others. A build has a working container for each step, and one that is
//! killed leaves it behind: Docker's part of the API does not list them, and they hold their image all the same. A pod
//! has one that holds it together, which Docker's part lists as any other and which no call of its own takes. And a
//! manifest list holds images of which nothing else tells.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::Engine as _;
use super::ask::Flavour;
use super::docker::Docker;
use super::fault::Fault;
use crate::error::Result;
use crate::model::{Container, ContainerState, ImageId};

const PATH: &str = "/v4.0.0/libpod/containers/json?external=true&all=true";
const IMAGES: &str = "/v4.0.0/libpod/images/json?all=true";

impl Docker {
    /// Adds to what Docker's part of the API lists what only Podman's own says.
    pub(super) async fn add_podmans_own(&self, containers: &mut Vec<Container>) -> Result<()> {
        if self.hello().flavour != Flavour::Podman {
            return Ok(());
        }
        let listed: Vec<Listed> = self.podmans(PATH, "listing working containers").await?.unwrap_or_default();
        add(listed.into_iter(), containers);
        let images: Vec<ListedImage> = self.podmans(IMAGES, "listing manifest lists").await?.unwrap_or_default();
        for list in images.iter().filter(|image| image.is_manifest_list) {
            let path = format!("/v4.0.0/libpod/manifests/{}/json", list.id);
            if let Some(members) = self.podmans(&path, "reading a manifest list").await? {
                containers.extend(list.holds(&members, &images));
            }
        }
        Ok(())
    }

    /// `None` behind a proxy that lets Docker's calls through and no others, where a deletion is refused all the same,
    /// and of what is gone meanwhile.
    async fn podmans<T: DeserializeOwned>(&self, path: &str, tried: &str) -> Result<Option<T>> {
        match self.asker.get::<Option<T>>(path, self.limits.ask).await {
            Ok((_, said)) => Ok(said),
            Err(Fault::Answered { .. } | Fault::Rubbish(_)) => Ok(None),
            Err(fault) => Err(fault.into_error(&self.tried(tried))),
        }
    }
}

/// An image as Podman's own part of the API lists it, a manifest list among them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an image")]
struct ListedImage {
    id: String,
    names: Option<Vec<String>>,
    digest: Option<String>,
    #[serde(default)]
    is_manifest_list: bool,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    manifests: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    digest: String,
}

impl ListedImage {
    /// What this list holds of what is here, each as by a container.
    fn holds(&self, Members { manifests }: &Members, images: &[Self]) -> Vec<Container> {
        let is_member = |image: &&Self| manifests.iter().any(|member| image.digest.as_ref() == Some(&member.digest));
        let name = self.names.iter().flatten().next().unwrap_or(&self.id);
        let held = images.iter().filter(is_member).filter_map(|image| ImageId::parse(&image.id));
        held.map(|image| holder(self.id.clone(), name.clone(), ContainerState::List, Some(image))).collect()
    }
}

/// What is no container to Docker's part of the API, and holds an image all the same.
fn holder(id: String, name: String, state: ContainerState, image: Option<ImageId>) -> Container {
    Container {
        id,
        name,
        image,
        image_name: String::new(),
        state,
        created: 0,
        labels: HashMap::new(),
        image_mounts: Vec::new(),
        volumes: Vec::new(),
        networks: Vec::new(),
    }
}

/// Any container as Podman's own part of the API lists it, the builders' and other programs' among them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "a container")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    state: Option<String>,
    #[serde(default)]
    is_infra: bool,
    pod: Option<String>,
    pod_name: Option<String>,
}

fn add(listed: impl Iterator<Item = Listed>, containers: &mut Vec<Container>) {
    for one in listed {
        if !one.is_infra {
            containers.extend(one.working());
        } else if let Some(known) = containers.iter_mut().find(|known| known.id == one.id) {
            let pod = [one.pod_name, one.pod].into_iter().flatten().find(|pod| !pod.is_empty());
            known.state = ContainerState::Pod(pod.unwrap_or_else(|| "?".to_owned()));
        }
    }
}

impl Listed {
    /// Only those that Docker's part of the API leaves out.
    fn working(self) -> Option<Container> {
        (self.state.as_deref() == Some("storage")).then(|| {
            let short = || self.id.chars().take(12).collect();
            let name = self.names.into_iter().flatten().next().unwrap_or_else(short);
            let image = self.image_id.as_deref().and_then(ImageId::parse);
            Container {
                image_name: self.image.unwrap_or_default(),
                ..holder(self.id, name, ContainerState::Working, image)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_that_holds_a_pod_together_goes_with_the_pod() {
        let list = r#"[{"Id":"aa","Names":["aa-infra"],"State":"running","IsInfra":true,"Pod":"p1","PodName":"web"},
            {"Id":"bb","Names":["app"],"State":"running","IsInfra":false,"Pod":"p1","PodName":"web"}]"#;
        let listed: Vec<Listed> = serde_json::from_str(list).expect("a list");
        let container = |id: &str| crate::model::image_tests::container(id, 1, ContainerState::Running);
        let mut containers = ["aa", "bb"].map(container).to_vec();
        containers.iter_mut().zip(["aa", "bb"]).for_each(|(container, id)| container.id = id.to_owned());
        add(listed.into_iter(), &mut containers);
        let states: Vec<_> = containers.into_iter().map(|container| container.state).collect();
        assert_eq!(states, [ContainerState::Pod("web".to_owned()), ContainerState::Running]);
        assert!(!states[0].goes_alone() && !states[0].is_over());
    }

    #[test]
    fn a_manifest_list_holds_its_members_that_are_here() {
        let [list, member, other] = ["a", "b", "c"].map(|digit| digit.repeat(64));
        let images = format!(
            r#"[{{"Id":"{list}","Names":["localhost/shop:1"],"Digest":"sha256:1","IsManifestList":true}},
                {{"Id":"{member}","Names":null,"Digest":"sha256:2","IsManifestList":false}},
                {{"Id":"{other}","Digest":"sha256:3"}}, {{"Id":"{other}"}}]"#
        );
        let images: Vec<ListedImage> = serde_json::from_str(&images).expect("a list");
        let members = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:2","size":423},{"digest":"sha256:9"}]}"#;
        let members: Members = serde_json::from_str(members).expect("a list");
        let held = images[0].holds(&members, &images);
        let said: Vec<_> = held.iter().map(|one| (one.image, crate::model::Holder::from(one).to_string())).collect();
        let words = "localhost/shop:1 (a manifest list; to take that: podman manifest rm localhost/shop:1)";
        assert_eq!(said, [(ImageId::parse(&member), words.to_owned())]);
        assert!(!held[0].state.goes_alone() && !held[0].state.is_over());
    }

    #[test]
    fn only_what_lies_in_the_storage_alone_is_a_working_container() {
        let image = "4".repeat(64);
        let list = format!(
            r#"[{{"Id":"63c24e128f5d483f","Names":["464-working-container"],"Image":"x-tmp:latest","ImageID":"{image}",
                 "State":"storage","Command":["buildah"],"Created":"2026-11-25T01:15:21Z","Labels":null}},
                {{"Id":"aa","Names":["web"],"ImageID":"{image}","State":"running"}},
                {{"Id":"0123456789abcdef","Names":null,"ImageID":"","State":"storage"}},
                {{"Id":"bb","State":null}}]"#
        );
        let listed: Vec<Listed> = serde_json::from_str(&list).expect("a list");
        let working: Vec<Container> = listed.into_iter().filter_map(Listed::working).collect();
        let said = |container: &Container| (container.name.clone(), container.image.is_some());
        assert_eq!(
            working.iter().map(said).collect::<Vec<_>>(),
            [("464-working-container".to_owned(), true), ("0123456789ab".to_owned(), false)]
        );
        assert!(
            crate::model::Holder::from(&working[0]).to_string().contains("podman rm --force 464-working-container")
        );
    }
}
