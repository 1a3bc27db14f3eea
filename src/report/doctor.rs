//! What `dkb doctor` says: a line a finding, and what to do where one is amiss.

use serde::Serialize;

use super::page::wrapped;
use super::{Page, Style};
use crate::model::SCHEMA;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    Fine,
    /// It works, and there is something that would make it better.
    Better,
    Broken,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    #[serde(rename = "name")]
    pub(crate) what: &'static str,
    #[serde(rename = "state")]
    pub(crate) health: Health,
    pub(crate) found: String,
    /// What to do about it.
    pub(crate) next: Option<String>,
}

impl Finding {
    pub(crate) fn fine(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Fine, found: found.into(), next: None }
    }

    pub(crate) fn better(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { health: Health::Better, next: Some(next.into()), ..Self::fine(what, found) }
    }

    pub(crate) fn broken(what: &'static str, found: impl Into<String>, next: Option<&str>) -> Self {
        Self { health: Health::Broken, next: next.map(str::to_owned), ..Self::fine(what, found) }
    }
}

pub(crate) fn human(findings: &[Finding], style: Style) -> Page {
    let mut page = Page::new(style);
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let indent = width.saturating_add(10);
    let most = page.width().unwrap_or(usize::MAX);
    for Finding { what, health, found, next } in findings {
        let mark = match health {
            Health::Fine => "ok",
            Health::Better => "tip",
            Health::Broken => "broken",
        };
        for (n, text) in wrapped(found, most.saturating_sub(indent), 0).iter().enumerate() {
            let (mark, what) = if n == 0 { (mark, *what) } else { ("", "") };
            page.line(format!("{mark:<6}  {what:<width$}  {text}").trim_end());
        }
        for text in next.iter().flat_map(|next| to_do(next, most.saturating_sub(indent))) {
            page.dim(format_args!("{:indent$}{text}", ""));
        }
    }
    page
}

/// What to do, in lines of so many columns. A command is left whole, since somebody copies it.
fn to_do(next: &str, width: usize) -> Vec<String> {
    let is_command = |text: &str| text.starts_with("dkb ") || text.starts_with("mkdir ");
    if next.chars().count() <= width || is_command(next) {
        return vec![next.to_owned()];
    }
    match next.rsplit_once(": ").filter(|(_, command)| is_command(command)) {
        Some((words, command)) => {
            let mut lines = wrapped(&format!("{words}:"), width, 2);
            lines.push(format!("  {command}"));
            lines
        }
        None => wrapped(next, width, 2),
    }
}

pub(crate) fn document(findings: &[Finding]) -> impl Serialize {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        kind: &'static str,
        findings: &'a [Finding],
    }
    Document { schema: SCHEMA, kind: "doctor", findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_amiss_has_its_next_step_below() {
        let findings = [
            Finding::fine("engine", "docker 28.5.2 at unix:///var/run/docker.sock, by docker's default"),
            Finding::better("plugin", "not installed", "for docker dkb build: dkb plugin install"),
            Finding::broken("state folder", "it is somebody else's", None),
        ];
        let said = "\
ok      engine        docker 28.5.2 at
                      unix:///var/run/docker.sock, by
                      docker's default
tip     plugin        not installed
                      for docker dkb build:
                        dkb plugin install
broken  state folder  it is somebody else's
";
        assert_eq!(human(&findings, Style::of_width(56)).as_str(), said);
        let command = "mkdir -p ~/.zfunc && dkb completions zsh > ~/.zfunc/_dkb";
        assert_eq!(to_do(command, 20), [command]);
        assert_eq!(human(&findings, Style::PLAIN).as_str().lines().count(), 4);
        let json = serde_json::to_value(document(&findings)).expect("JSON");
        assert_eq!(json["findings"][1]["state"], "better");
    }
}
