//! A plan in a file: written where its user wants it, and read back for the same engine.

mod place;

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::files;
use crate::model::{Asked, EngineInfo, EngineLabel, Plan, SCHEMA};
use crate::plan::narrow::Wanted;
use crate::report;

/// A plan for half a million images is smaller. What never ends has an end here.
const LARGEST: u64 = 256 * 1024 * 1024;

/// The plan is to go where the result goes, `/dev/stdout` say: then it is the result, and shown as such.
pub(crate) fn is_the_result(path: &Path) -> bool {
    path == Path::new("-") || std::fs::metadata(path).is_ok_and(|there| report::is_stdout(&there))
}

pub(crate) fn write(path: &Path, plan: &Plan) -> Result<()> {
    if is_the_result(path) {
        return Ok(());
    }
    place::put(path, report::clean::json(plan).as_bytes())
        .map_err(|error| Error::failed(format!("writing the plan {}", path.display()), error))
}

/// What is read of a plan's file: the rest of it has no say.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanFile {
    schema: u32,
    kind: String,
    engine: EngineLabel,
    #[serde(default)]
    pub(crate) created: Option<Timestamp>,
    /// A file of before says nothing of it.
    #[serde(rename = "scope")]
    pub(crate) asked: Option<Asked>,
    pub(crate) steps: Vec<Wanted>,
}

pub(crate) fn read(path: &Path, verb: &str) -> Result<PlanFile> {
    let tried = || tried(path);
    let text = files::read_named(path, LARGEST).map_err(|error| Error::usage(tried(), error))?;
    let plan: PlanFile = serde_json::from_slice(&text)
        .map_err(|error| Error::usage(tried(), error).hint(format!("make one with dkb {verb} --plan FILE")))?;
    if plan.schema != SCHEMA {
        return Err(Error::usage(tried(), format!("its schema is {}, and this dkb knows {SCHEMA}", plan.schema)));
    }
    if plan.kind != verb {
        return Err(Error::usage(tried(), format!("it is for {}, not for {verb}", plan.kind)));
    }
    Ok(plan)
}

impl PlanFile {
    /// A plan is for one engine, and says which.
    pub(crate) fn check(&self, path: &Path, engine: &EngineInfo) -> Result<()> {
        if Some(&self.engine.id) == engine.identity.as_ref() {
            return Ok(());
        }
        let another = format!("it was made for the engine at {}, and this is another one", self.engine.endpoint);
        Err(Error::usage(tried(path), another).hint(format!("make a new plan here with dkb {} --plan FILE", self.kind)))
    }
}

fn tried(path: &Path) -> String {
    format!("reading the plan {}", path.display())
}

#[cfg(test)]
mod tests;
