//! A plan in a file: written where its user wants it, and read back for the same engine.

mod place;

use std::path::Path;

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
mod tests {
    use super::*;

    fn read_text(text: impl AsRef<[u8]>) -> Result<PlanFile> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("plan.json");
        std::fs::write(&path, text).expect("a file");
        read(&path, "clean")
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let engine = r#""engine": { "id": "a", "endpoint": "b", "version": "c" }, "steps": []"#;
        let plan = format!(r#"{{ "schema": 1, "kind": "clean", {engine} }}"#);
        assert!(read_text(&plan).is_ok(), "nothing else is read of it");
        let deep = |before: &str| format!(r#"{{ "schema": 1, {before}{}"#, "[".repeat(100_000));
        for (text, why) in [
            ("", "EOF"),
            ("{}", "missing field"),
            ("[]", "expected"),
            ("null", "invalid type"),
            (&plan[1..], "expected"),
            (&format!("{plan}{plan}"), "trailing"),
            (&plan.replace(r#""schema": 1"#, r#""schema": 2"#), "its schema is 2"),
            (&plan.replace(r#""schema": 1"#, r#""schema": -1"#), "invalid value"),
            (&plan.replace(r#""clean""#, r#""sweep""#), "it is for sweep"),
            (&plan.replace("[]", r#"[{"action":"burn","type":"image","id":"","names":[]}]"#), "unknown variant"),
            (&plan.replace("[]", r#"[{"action":"stop","type":"image","id":7,"names":[]}]"#), "invalid type"),
            (&plan.replace("[]", r#"[], "scope": "everything""#), "invalid type"),
            (&plan.replace("[]", r#"[], "scope": { "of": "all" }"#), "missing field"),
            (&deep(r#""kept": "#), "EOF"),
            (&deep(r#""steps": [{ "guard": { "still": "#), "EOF"),
            (&deep(r#""scope": { "of": "#), "recursion limit"),
        ] {
            let error = read_text(text).expect_err("no plan").to_string();
            assert!(error.contains(why), "{text:.200}: {error}");
        }
        assert!(read_text(b"\xff\xfe").is_err());
        for path in ["/dev/zero", "/dev/null", "/", "/none"] {
            assert!(read(Path::new(path), "clean").is_err(), "{path}");
        }
    }
}
