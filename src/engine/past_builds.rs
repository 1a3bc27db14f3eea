//! The builds that an engine's BuildKit remembers, everybody's, as docker's own program tells them: `docker buildx history`.
//! BuildKit itself is asked in a language of its own, which is the program's business.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::program;
use crate::model::{PastBuild, PastStep, Stamp};

const LIMIT: Duration = Duration::from_secs(30);
/// What a build's steps printed is told with them.
const MOST: u64 = 64 * 1024 * 1024;

/// The way to docker's program, and through it to the engine.
#[derive(Clone, Copy, Debug)]
pub struct Buildx<'a> {
    pub docker: &'a Path,
    /// Docker's global flags.
    pub flags: &'a [OsString],
}

impl Buildx<'_> {
    /// The builds that the engine remembers; `None` where it, or the program, is too old to say. Whose they are and what
    /// steps they had is asked of those that `is_of_interest` means by when they began and ended.
    pub async fn past_builds(&self, is_of_interest: impl Fn(Timestamp, Timestamp) -> bool) -> Option<Vec<PastBuild>> {
        let list = self.said(&["ls", "--format", "json"]).await?;
        let mut builds = Vec::new();
        for listed in lines::<Listed>(&list) {
            let id = listed.id.rsplit('/').next().unwrap_or_default().to_owned();
            let mut build = PastBuild {
                id,
                began: listed.created_at,
                ended: listed.completed_at,
                stamp: Stamp::default(),
                steps: None,
            };
            // An ID is digits and letters: anything else would be read as a flag, or as an order, by the program.
            let is_plain = !build.id.is_empty() && build.id.bytes().all(|digit| digit.is_ascii_alphanumeric());
            // One that runs would be listened to until it ends.
            if is_plain
                && build.ended.is_some_and(|ended| is_of_interest(build.began, ended))
                && let Some(inspected) = self.said(&["inspect", &build.id, "--format", "json"]).await
                && let Ok(detail) = serde_json::from_str::<Detail>(&inspected)
            {
                build.stamp = detail.stamp();
                build.steps = self.said(&["logs", "--progress", "rawjson", &build.id]).await.map(|log| steps(&log));
            }
            builds.push(build);
        }
        Some(builds)
    }

    /// What the program says, on whichever of its streams. The engine's own builder is meant, whatever else is in use.
    async fn said(&self, words: &[&str]) -> Option<String> {
        let mut command = Command::new(self.docker);
        program::as_child(command.as_std_mut(), self.docker);
        command.args(self.flags).args(["buildx", "--builder", "default", "history"]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().ok()?;
        let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
        let all = async {
            let (stdout, stderr, status) = tokio::join!(text(stdout), text(stderr), child.wait());
            status.ok().filter(std::process::ExitStatus::success)?;
            Some(stdout? + &stderr?)
        };
        tokio::time::timeout(LIMIT, all).await.ok()?
    }
}

/// `None` for more than anybody has to say.
async fn text(from: impl AsyncRead + Unpin) -> Option<String> {
    let mut bytes = Vec::new();
    from.take(MOST).read_to_end(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok().filter(|text| (text.len() as u64) < MOST)
}

/// The lines that can be read; a warning may stand between them.
fn lines<T: DeserializeOwned>(text: &str) -> impl Iterator<Item = T> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "ref")]
    id: String,
    created_at: Timestamp,
    completed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    #[serde(default)]
    labels: Option<Vec<Pair>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

impl Detail {
    fn stamp(&self) -> Stamp {
        let labels = self.labels.as_deref().unwrap_or_default();
        // A later label is what the image bears.
        Stamp::read(|key| labels.iter().rev().find(|label| label.name == key).map(|label| label.value.as_str()))
    }
}

#[derive(Deserialize)]
struct Progress {
    #[serde(default)]
    vertexes: Vec<Vertex>,
}

#[derive(Deserialize)]
struct Vertex {
    digest: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    inputs: Vec<String>,
    started: Option<Timestamp>,
    completed: Option<Timestamp>,
    #[serde(default)]
    cached: bool,
}

/// The steps of a build. Each is told of as often as something became of it.
fn steps(log: &str) -> Vec<PastStep> {
    let mut steps: BTreeMap<String, PastStep> = BTreeMap::new();
    for vertex in lines::<Progress>(log).flat_map(|progress| progress.vertexes) {
        let step = steps.entry(vertex.digest).or_default();
        if !vertex.inputs.is_empty() {
            step.inputs = vertex.inputs;
        }
        step.name = vertex.name;
        step.cached |= vertex.cached;
        if let (Some(began), Some(ended)) = (vertex.started, vertex.completed) {
            step.ran.push((began, ended));
        }
    }
    for (digest, step) in &mut steps {
        step.digest.clone_from(digest);
    }
    steps.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PROJECT_LABEL, SESSION_LABEL};

    const LOG: &str = concat!(
        "a warning\n",
        r#"{"vertexes":[{"digest":"sha256:b","name":"[2/2] RUN make","inputs":["sha256:a"]},{"digest":"sha256:a","name":"[1/2] COPY a /a"}]}"#,
        "\n",
        r#"{"vertexes":[{"digest":"sha256:a","name":"[1/2] COPY a /a","started":"2026-11-29T14:00:00Z","completed":"2026-11-29T14:00:00Z","cached":true},"#,
        r#"{"digest":"sha256:b","name":"[2/2] RUN make","started":"2026-11-29T14:00:01Z"}],"logs":[{"vertex":"sha256:b","data":"eA=="}]}"#,
        "\n",
        r#"{"vertexes":[{"digest":"sha256:b","name":"[2/2] RUN make","started":"2026-11-29T14:00:01Z","completed":"2026-11-29T14:00:03Z","error":"it broke"}]}"#,
        "\n",
    );

    #[test]
    fn a_step_is_put_together_from_all_that_is_said_of_it() {
        let at = |second| format!("2026-11-29T14:00:0{second}Z").parse::<Timestamp>().expect("a time");
        let copy = PastStep {
            digest: "sha256:a".to_owned(),
            name: "[1/2] COPY a /a".to_owned(),
            ran: vec![(at(0), at(0))],
            cached: true,
            ..PastStep::default()
        };
        let make = PastStep {
            digest: "sha256:b".to_owned(),
            name: "[2/2] RUN make".to_owned(),
            inputs: vec!["sha256:a".to_owned()],
            ran: vec![(at(1), at(3))],
            cached: false,
        };
        assert_eq!(steps(LOG), [copy, make]);
    }

    #[test]
    fn a_stamp_is_read_from_the_labels_that_count() {
        let detail = |text: &str| serde_json::from_str::<Detail>(text).expect("a build").stamp();
        let label = |name: &str, value: &str| format!(r#"{{"Name":"{name}","Value":"{value}"}}"#);
        let text = format!(
            r#"{{"Name":"app","Labels":[{},{},{}]}}"#,
            label(PROJECT_LABEL, "theirs"),
            label(PROJECT_LABEL, "ours"),
            label(SESSION_LABEL, "e2e")
        );
        let stamp = detail(&text);
        assert_eq!(stamp.project.as_ref().map(crate::model::Name::as_str), Some("ours"));
        assert_eq!(stamp.session.as_ref().map(crate::model::Name::as_str), Some("e2e"));
        assert!(detail(r#"{"Name":"app"}"#).is_none());
    }
}
