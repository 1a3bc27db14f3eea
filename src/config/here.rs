//! Who runs this, and where: the facts that names are derived from, gathered.

use super::Settings;
use super::git;
use super::places::{Environment, Places};
use crate::files;
use crate::model::short_hash;
use crate::plan::identity::{Facts, Identity};

/// Which project and session this run is in.
pub fn identity(settings: &Settings, places: &Places, env: Environment) -> Identity {
    let checkout = git::checkout(&places.folder);
    let given = |key: &str, name: &Option<_>| {
        name.clone().map(|name| (name, settings.source(key).map(ToString::to_string).unwrap_or_default()))
    };
    Identity::of(&Facts {
        project: given("project", &settings.project),
        session: given("session", &settings.session),
        env: &|name| env(name).map(|value| value.to_string_lossy().into_owned()),
        folder: &places.folder,
        home: places.home.as_deref(),
        checkout: checkout.as_ref(),
        machine: &machine_id(),
        user: &rustix::process::getuid().as_raw().to_string(),
    })
}

/// What names this machine in the notes about sessions. It never leaves the state folder.
pub fn machine() -> String {
    short_hash(&[&machine_id()])
}

/// What tells this machine from others. A host's name changes with the network that it is in, on a laptop, and a
/// session should not; so it stands in only where the machine has no ID of its own, as in most containers.
fn machine_id() -> String {
    files::machine_id().unwrap_or_else(files::host_name)
}
