//! The targets of a bake as docker prints them, each read as the words of one build: whatever holds for a build holds
//! for a target.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::key::is_remote;
use super::output::Output;
use super::{BuildWords, names};
use crate::model::{Name, Stamp};

/// One of the targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BakeTarget {
    pub name: String,
    pub words: BuildWords,
    /// What its labels say.
    pub stamp: Stamp,
    /// The project of compose's that it is built for.
    pub compose: Option<Name>,
}

#[derive(Deserialize)]
struct Printed {
    #[serde(default)]
    target: BTreeMap<String, PrintedTarget>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct PrintedTarget {
    context: Option<String>,
    dockerfile: Option<String>,
    dockerfile_inline: Option<String>,
    contexts: BTreeMap<String, String>,
    args: BTreeMap<String, Value>,
    labels: HashMap<String, Option<String>>,
    target: Option<String>,
    tags: Vec<String>,
    platforms: Vec<String>,
    output: Vec<Value>,
    call: Option<String>,
    no_cache: bool,
    pull: bool,
}

/// What docker printed. Targets that only others build on are among them: their output is the cache alone.
pub fn targets(printed: &[u8]) -> Result<Vec<BakeTarget>, serde_json::Error> {
    let Printed { target } = serde_json::from_slice(printed)?;
    Ok(target.into_iter().map(|(name, target)| target.read(name)).collect())
}

impl PrintedTarget {
    fn read(self, name: String) -> BakeTarget {
        let stamp = Stamp::read(|label| self.labels.get(label)?.as_deref());
        let compose = self.compose();
        let inline = self.dockerfile_inline.is_some();
        let mut words = BuildWords {
            raw_tags: self.tags.iter().map(OsString::from).collect(),
            files: self.file().into_iter().collect(),
            target: self.target.filter(|target| !target.is_empty()).map(OsString::from),
            // One that stands in the definition is told by no path.
            may_vary: inline || !self.args.is_empty() || !self.contexts.is_empty(),
            outputs: self.output.iter().filter_map(output).collect(),
            asks: self.call.is_some_and(|call| super::asks(call.as_ref())),
            no_cache: self.no_cache,
            pull: self.pull,
            platforms: self.platforms.into_iter().map(OsString::from).collect(),
            context: self.context.map(OsString::from),
            ..BuildWords::default()
        };
        words.tags = names(&words);
        BakeTarget { name, words, stamp, compose }
    }

    /// By the label that compose itself puts on each of its targets, over one of the user's own. What the image will
    /// inherit does not stand here.
    fn compose(&self) -> Option<Name> {
        Name::typed(self.labels.get("com.docker.compose.project")?.as_deref()?).ok()
    }

    /// The Dockerfile from where docker was started. In a definition it is named from its context.
    fn file(&self) -> Option<OsString> {
        let file = self.dockerfile.as_deref().filter(|file| !file.is_empty())?;
        let context = self.context.as_deref().unwrap_or(".");
        Some(if is_remote(context.as_ref()) { file.into() } else { Path::new(context).join(file).into() })
    }
}

/// Older versions print outputs as they are typed, newer ones in parts.
fn output(printed: &Value) -> Option<Output> {
    match printed {
        Value::String(typed) => Output::read(typed.as_ref()),
        Value::Object(parts) => {
            let part = |key: &str| parts.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
            Some(Output {
                kind: part("type").unwrap_or_default().to_owned(),
                dest: part("dest").map(str::to_owned),
                names: part("name").map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::model::books_tests::key;
    use crate::plan::argv::{Builder, IdFile, NoIdFile, Tool, build_key, id_file, read};

    /// As buildx 0.29 prints it.
    const PRINTED: &str = r#"{
        "group": {"default": {"targets": ["app", "files"]}},
        "target": {
            "app": {"context": ".", "contexts": {"foo": "target:base"}, "dockerfile": "Dockerfile",
                    "dockerfile-inline": "FROM foo", "labels": {"dev.dkb.project": "p", "dev.dkb.session": "s"},
                    "tags": ["app:dev", "docker.io/library/app:2"], "args": {"X": null}},
            "base": {"context": "sub", "dockerfile": "Dockerfile", "output": [{"type": "cacheonly"}]},
            "files": {"context": "sub", "dockerfile": "other.Dockerfile", "target": "run",
                      "output": [{"dest": "out", "type": "local"}, {"dest": "x.tar", "type": "tar"}]},
            "pushed": {"context": ".", "tags": ["app:3"], "output": [{"push": "true", "type": "image"}]}
        }
    }"#;

    fn printed(text: &str) -> HashMap<String, BakeTarget> {
        let targets = targets(text.as_bytes()).expect("what docker prints");
        targets.into_iter().map(|target| (target.name.clone(), target)).collect()
    }

    #[test]
    fn a_target_is_read_as_the_words_of_a_build() {
        let targets = printed(PRINTED);
        let app = &targets["app"];
        assert_eq!(
            app.words.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["app:dev", "docker.io/library/app:2"]
        );
        assert_eq!((&app.stamp, &app.compose), (&key("p", "s").into(), &None));
        assert_eq!(targets["base"].stamp, Stamp::default());
        assert_eq!(targets["files"].words.target.as_deref(), Some(OsStr::new("run")));
        for (name, builder, what) in [
            ("app", Builder::Engine, IdFile::Ours),
            ("app", Builder::Apart, IdFile::No(NoIdFile::NotLoaded)),
            ("base", Builder::Engine, IdFile::No(NoIdFile::NotLoaded)),
            ("files", Builder::Engine, IdFile::No(NoIdFile::Files)),
            ("pushed", Builder::Engine, IdFile::Ours),
            ("pushed", Builder::Apart, IdFile::No(NoIdFile::Pushed)),
        ] {
            assert_eq!(id_file(&targets[name].words, builder), what, "{name}");
        }
    }

    #[test]
    fn the_project_of_composes_is_the_one_that_compose_says_in_its_definition() {
        let of = |labels: &str| {
            printed(&format!(r#"{{"target": {{"a": {{"labels": {{{labels}}}}}}}}}"#))["a"].compose.clone()
        };
        let label =
            |name: &str| format!(r#""com.docker.compose.project": {name}, "com.docker.compose.service": "web""#);
        assert_eq!(of(&label(r#""shop_dev-1""#)).as_ref().map(Name::as_str), Some("shop_dev-1"));
        for none in [label("null"), label("\"\""), label("\"-x y\""), String::new()] {
            assert_eq!(of(&none), None, "{none}");
        }
    }

    #[test]
    fn a_target_and_a_build_of_one_dockerfile_are_the_same_work() {
        let here = Path::new("/work");
        let of_target = |target: &str| {
            let text = format!(r#"{{"target": {{"a": {target}}}}}"#);
            build_key(&printed(&text)["a"].words, here).to_string()
        };
        let of_build = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            build_key(&read(Tool::Docker, &words), here).to_string()
        };
        assert_eq!(of_target(r#"{"context": ".", "dockerfile": "Dockerfile"}"#), of_build("."));
        let other = r#"{"context": "sub", "dockerfile": "x/D", "target": "run"}"#;
        assert_eq!(of_target(other), of_build("-f sub/x/D --target run sub"));
        assert_eq!(of_target(r#"{"context": "sub", "dockerfile": "/D"}"#), of_build("-f /D sub"));
        assert!(of_target(r#"{"context": ".", "dockerfile-inline": "FROM x"}"#).ends_with('~'));
    }

    #[test]
    fn outputs_are_read_in_the_way_of_old_versions_too() {
        let targets =
            printed(r#"{"target": {"a": {"output": ["type=local,dest=out"]}, "b": {"output": ["type=docker"]}}}"#);
        assert!(targets["a"].words.outputs[0].is_files() && targets["b"].words.outputs[0].is_load());
        assert!(super::targets(b"nothing").is_err());
    }
}
