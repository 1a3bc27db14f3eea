//! One thing looked at closely.

use serde::de::DeserializeOwned;

use super::answer::Read;
use super::ask::segment;
use super::docker::Engine;
use super::fault::Fault;
use crate::error::Result;
use crate::model::{Ended, Flavour, ImageDetail, ImageId, Volume};

/// The last version of Docker's API that tells from which container an image was committed.
const TELLS_CONTAINERS: (u32, u32) = (1, 44);

impl Engine {
    /// One image by name or ID; `None` if there is none.
    pub async fn image(&self, name: &str) -> Result<Option<ImageDetail>> {
        let tried = format!("inspecting {name}");
        self.look_up(&tried, &path(name, &tried)?).await
    }

    /// The same with the container it was committed from, where the engine still says so.
    pub async fn step(&self, name: &str) -> Result<Option<ImageDetail>> {
        let (tried, hello) = (format!("inspecting {name}"), self.hello());
        if hello.flavour == Flavour::Docker && hello.version() > Some(TELLS_CONTAINERS) {
            let (major, minor) = TELLS_CONTAINERS;
            match self.find(&format!("/v{major}.{minor}{}", path(name, &tried)?)).await {
                // The engine may no longer know a version so old.
                Err(Fault::Answered { .. }) => {}
                answer => return answer.map_err(|fault| fault.into_error(&self.tried(&tried))),
            }
        }
        self.image(name).await
    }

    /// When a container ended and what it wrote; `None` if it is gone. Measuring costs the engine a walk.
    pub async fn ended(&self, id: &str) -> Result<Option<Ended>> {
        let tried = format!("inspecting container {id}");
        self.look_up(&tried, &format!("/containers/{}/json?size=1", segment(id, &tried)?)).await
    }

    pub async fn volume(&self, name: &str) -> Result<Option<Volume>> {
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
            Err(fault) => Err(fault),
        }
    }
}

fn path(name: &str, tried: &str) -> Result<String> {
    // Podman takes 64 digits without their algorithm for a bad name once the image is gone.
    let name = ImageId::parse(name).map_or_else(|| name.to_owned(), |id| id.to_string());
    Ok(format!("/images/{}/json", segment(&name, tried)?))
}
