//! Who is known on an engine, for whoever named somebody.

use super::Observation;
use crate::app::App;
use crate::error::Result;
use crate::model::{Image, SessionKey};
use crate::plan::clean::Breadth;
use crate::plan::session_end::Extras;
use crate::plan::unknown::Known;

/// By the books, the labels of what is there, and the folder of sessions.
pub(crate) async fn known(app: &App, seen: &mut Observation) -> Result<Known> {
    seen.widen(Breadth::Stamped).await?;
    let Extras { networks, volumes } = seen.extras().await?;
    let mut known = Known::default();
    known.sessions.extend(seen.books.sessions.keys().chain(seen.lives.keys()).cloned());
    known.sessions.extend(app.state()?.sessions().into_keys());
    let composes =
        seen.books.builds.iter().filter_map(|build| Some((build.of.project.clone(), build.compose.clone()?)));
    known.composes.extend(composes);
    for stamp in seen.snapshot.images.iter().map(Image::stamp) {
        known.projects.extend(stamp.project.clone());
        if let (Some(project), Some(session)) = (stamp.project, stamp.session) {
            known.sessions.insert(SessionKey { project, session });
        }
    }
    let containers = seen.snapshot.containers.iter().map(|one| &one.labels);
    let labels = containers.chain(networks.iter().map(|one| &one.labels)).chain(volumes.iter().map(|one| &one.labels));
    known.sessions.extend(labels.filter_map(SessionKey::running));
    Ok(known)
}
