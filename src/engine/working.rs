//! Podman's working containers. A build has one for each step, and one that is killed leaves it behind. Docker's part
//! of the API does not list them, and they hold their image all the same.

use std::collections::HashMap;

use serde::Deserialize;

use super::api::Engine as _;
use super::ask::Flavour;
use super::docker::Docker;
use super::fault::Fault;
use crate::error::Result;
use crate::model::{Container, ContainerState, ImageId};

const PATH: &str = "/v4.0.0/libpod/containers/json?external=true&all=true";

impl Docker {
    pub(super) async fn working_containers(&self) -> Result<Vec<Container>> {
        if self.hello().flavour != Flavour::Podman {
            return Ok(Vec::new());
        }
        match self.asker.get::<Option<Vec<Listed>>>(PATH, self.limits.ask).await {
            Ok((_, list)) => Ok(list.into_iter().flatten().filter_map(Listed::working).collect()),
            // A proxy before it that lets Docker's calls through and no others: a deletion is refused all the same.
            Err(Fault::Answered { .. } | Fault::Rubbish(_)) => Ok(Vec::new()),
            Err(fault) => Err(fault.into_error(&self.tried("listing working containers"))),
        }
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
}

impl Listed {
    /// Only those that Docker's part of the API leaves out.
    fn working(self) -> Option<Container> {
        (self.state.as_deref() == Some("storage")).then(|| Container {
            name: self.names.into_iter().flatten().next().unwrap_or_else(|| self.id.chars().take(12).collect()),
            id: self.id,
            image: self.image_id.as_deref().and_then(ImageId::parse),
            image_name: self.image.unwrap_or_default(),
            state: ContainerState::Working,
            created: 0,
            labels: HashMap::new(),
            image_mounts: Vec::new(),
            volumes: Vec::new(),
            networks: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
