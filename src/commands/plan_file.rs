//! A plan in a file: written where its user wants it, and read back for the same engine.

mod place;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::model::{Asked, EngineInfo, EngineLabel, Plan, SCHEMA};
use crate::plan::narrow::Wanted;
use crate::ui;

/// More than a plan for a million images. What never ends has an end here.
const LARGEST: u64 = 512 * 1024 * 1024;

/// The plan is to go where the result goes, `/dev/stdout` say: then it is the result, and shown as such.
pub(super) fn is_the_result(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| ui::is_stdout(&there))
}

pub(super) fn write(path: &Path, plan: &Plan) -> Result<()> {
    if is_the_result(path) {
        return Ok(());
    }
    place::put(path, ui::clean::json(plan).as_bytes())
        .map_err(|error| Error::failed(format!("writing the plan {}", path.display()), error))
}

/// What is read of a plan's file: the rest of it has no say.
#[derive(Debug, Deserialize)]
pub(super) struct PlanFile {
    schema: u32,
    kind: String,
    engine: EngineLabel,
    /// A file of before says nothing of it.
    #[serde(rename = "scope")]
    pub(super) asked: Option<Asked>,
    pub(super) steps: Vec<Wanted>,
}

pub(super) fn read(path: &Path, verb: &str) -> Result<PlanFile> {
    let tried = || tried(path);
    let file = File::open(path).map_err(|error| Error::usage(tried(), error))?;
    let mut reader = BufReader::new(file.take(LARGEST));
    let read = serde_json::from_reader(&mut reader);
    if reader.get_ref().limit() == 0 {
        return Err(Error::usage(tried(), format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    let plan: PlanFile =
        read.map_err(|error| Error::usage(tried(), error).hint(format!("make one with dkb {verb} --plan FILE")))?;
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
    pub(super) fn check(&self, path: &Path, engine: &EngineInfo) -> Result<()> {
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
