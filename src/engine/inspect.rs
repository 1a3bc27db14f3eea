//! One image looked at closely.

use super::answer::Read;
use super::ask::segment;
use super::docker::Engine;
use super::fault::Fault;
use crate::error::Result;
use crate::model::{Flavour, ImageDetail, ImageId};

/// The last version of Docker's API that tells from which container an image was committed.
const TELLS_CONTAINERS: (u32, u32) = (1, 44);

impl Engine {
    /// One image by name or ID; `None` if there is none.
    pub async fn image(&self, name: &str) -> Result<Option<ImageDetail>> {
        let tried = format!("inspecting {name}");
        self.image_at(&path(name, &tried)?).await.map_err(|fault| fault.into_error(&self.tried(&tried)))
    }

    /// The same with the container it was committed from, where the engine still says so.
    pub async fn step(&self, name: &str) -> Result<Option<ImageDetail>> {
        let (tried, hello) = (format!("inspecting {name}"), self.hello());
        if hello.flavour == Flavour::Docker && version(&hello.api_version) > Some(TELLS_CONTAINERS) {
            let (major, minor) = TELLS_CONTAINERS;
            match self.image_at(&format!("/v{major}.{minor}{}", path(name, &tried)?)).await {
                // The engine may no longer know a version so old.
                Err(Fault::Answered { .. }) => {}
                answer => return answer.map_err(|fault| fault.into_error(&self.tried(&tried))),
            }
        }
        self.image(name).await
    }

    async fn image_at(&self, path: &str) -> Result<Option<ImageDetail>, Fault> {
        match self.asker.get::<Read<ImageDetail>>(path, self.limits.ask).await {
            Ok((_, Read(image))) => Ok(Some(image)),
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

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("1.51") > Some(TELLS_CONTAINERS) && version("1.100") > version("1.99"));
        assert!(version("1.41") < Some(TELLS_CONTAINERS) && version("1.44") == Some(TELLS_CONTAINERS));
        assert_eq!((version(""), version("1"), version("1.x")), (None, None, None));
    }
}
