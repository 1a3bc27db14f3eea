//! A plan in a file: written, read back for the same engine, and held against what is so now.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files;
use crate::model::{Action, EngineInfo, Guard, Kept, KeptReason, Kind, Plan, SCHEMA, Step};

/// Several times what a plan for 100,000 images takes.
const LARGEST: u64 = 512 << 20;

pub(super) fn write(path: &Path, plan: &Plan) -> Result<()> {
    let failed = |error: std::io::Error| Error::failed(format!("writing the plan {}", path.display()), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let text = serde_json::to_string_pretty(plan).unwrap_or_default();
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

/// A plan is for one engine, and says which.
pub(super) fn read(path: &Path, verb: &str, engine: &EngineInfo) -> Result<Plan> {
    let tried = || format!("reading the plan {}", path.display());
    let text = files::read_named(path, LARGEST).map_err(|error| Error::usage(tried(), error))?;
    let mut plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| Error::usage(tried(), error).hint(format!("make one with dkb {verb} --plan FILE")))?;
    if plan.schema != SCHEMA {
        return Err(Error::usage(tried(), format!("its schema is {}, and this dkb knows {SCHEMA}", plan.schema)));
    }
    if plan.kind != verb {
        return Err(Error::usage(tried(), format!("it is for {}, not for {verb}", plan.kind.escape_debug())));
    }
    if Some(&plan.engine.id) != engine.identity.as_ref() {
        return Err(Error::usage(
            tried(),
            format!("it was made for the engine at {}, and this is another one", plan.engine.endpoint),
        )
        .hint(format!("make a new plan here with dkb {verb} --plan FILE")));
    }
    plan.engine = engine.into();
    for step in &mut plan.steps {
        step.result = None;
    }
    Ok(plan)
}

/// A step whose image or container is no longer ours to take, or is used now, falls out and is kept.
pub(super) fn narrow(plan: &mut Plan, widest: &Plan) {
    let removals = widest.steps.iter().filter(|step| step.action == Action::Remove);
    let allowed: HashMap<(Kind, &str), &Guard> =
        removals.map(|step| ((step.kind, step.id.as_str()), &step.guard)).collect();
    let may = |step: &Step| match (allowed.get(&(step.kind, step.id.as_str())), &step.guard) {
        (Some(Guard::UnusedSince { created: now }), Guard::UnusedSince { created }) => now == created,
        (now, _) => now.is_some(),
    };
    let (steps, dropped): (Vec<Step>, Vec<Step>) =
        std::mem::take(&mut plan.steps).into_iter().partition(|step| step.action != Action::Remove || may(step));
    plan.steps = steps;
    let now: HashMap<(Kind, &str), &Kept> =
        widest.kept.iter().map(|kept| ((kept.kind, kept.id.as_str()), kept)).collect();
    plan.kept.extend(dropped.into_iter().map(|step| {
        let now = now.get(&(step.kind, step.id.as_str())).map(|kept| (*kept).clone());
        now.unwrap_or(Kept {
            kind: step.kind,
            id: step.id,
            names: step.names,
            bytes: step.bytes,
            reason: KeptReason::Changed,
            holders: Vec::new(),
        })
    }));
    plan.count();
}
