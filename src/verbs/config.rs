//! `dkb config`: every setting that is in effect, and where it comes from.

use serde_json::{Value as Json, json};

use crate::app::App;
use crate::cli::{Config, ConfigFlags};
use crate::config::merge::Effective;
use crate::config::value::{Source, Value};
use crate::config::{HostAddress, Settings};
use crate::engine::endpoint::without_password;
use crate::error::{Error, Result};
use crate::model::slip;
use crate::plan::identity::{Identity, Origin};
use crate::report::{self, Page};

pub(super) fn config(app: &App, flags: &ConfigFlags) -> Result<u8> {
    let mut rows = rows(&app.settings, &app.identity);
    let format = app.settings.format;
    match &flags.verb {
        None => report::result(format, || human(&rows), || document(&rows)),
        Some(Config::Get { key }) => {
            let known = rows.iter().map(|row| row.key.clone()).collect();
            rows.retain(|row| row.key == *key);
            let row = rows.first().ok_or_else(|| no_such_key(key, known))?;
            report::result(format, || values(row), || document(&rows)["settings"][0].clone());
        }
    }
    Ok(0)
}

fn no_such_key(key: &str, known: Vec<String>) -> Error {
    let nearest = known.into_iter().filter_map(|name| Some((slip(key, &name)?, name))).min();
    let next = nearest.map_or("dkb config shows them all".to_owned(), |(_, name)| format!("did you mean {name}?"));
    Error::usage(format!("reading the setting {}", key.escape_debug()), "there is no such one").hint(next)
}

/// For a script: a value a line, none where nothing is set.
fn values(row: &SettingRow) -> Page {
    let mut page = Page::default();
    match &row.value {
        Json::Null => {}
        Json::Array(values) => {
            for value in values {
                page.line(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        _ => page.line(&row.text),
    }
    page
}

/// One key and what holds for it.
struct SettingRow {
    key: String,
    /// `null` where nothing is set.
    value: Json,
    text: String,
    from: Vec<From>,
    passed_over: Option<(Value, Source)>,
}

enum From {
    Source(Source),
    Origin(Origin),
}

impl From {
    fn text(&self) -> String {
        match self {
            Self::Source(source) => source.to_string(),
            Self::Origin(origin) => origin.to_string(),
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Source(Source::Flag(name)) => json!({"kind": "flag", "name": name}),
            Self::Source(Source::Variable(name)) => json!({"kind": "variable", "name": name}),
            Self::Source(Source::File { path, line, .. }) => json!({"kind": "file", "path": path, "line": line}),
            Self::Source(Source::Default) => json!({"kind": "default"}),
            Self::Origin(origin) => json!({"kind": "derived", "from": origin.to_string()}),
        }
    }
}

fn rows(settings: &Settings, identity: &Identity) -> Vec<SettingRow> {
    let derived = |key: &str, name: &dyn ToString, from: &Origin| SettingRow {
        key: key.to_owned(),
        value: name.to_string().into(),
        text: name.to_string(),
        from: vec![From::Origin(from.clone())],
        passed_over: None,
    };
    let mut rows = Vec::new();
    for one in &settings.effective {
        rows.push(match one.key.name {
            "project" if one.value.is_none() => derived("project", &identity.project, &identity.project_from),
            "session" if one.value.is_none() => derived("session", &identity.session, &identity.session_from),
            // What is on by itself in a CI job depends on where we are.
            "clean_dead" if one.value.is_none() => {
                let ci = identity.ci.as_ref();
                let from = ci.map_or(From::Source(Source::Default), |job| From::Origin(Origin::CiJob(job.vendor)));
                let on = ci.is_some();
                SettingRow {
                    key: "clean_dead".into(),
                    value: on.into(),
                    text: on.to_string(),
                    from: vec![from],
                    passed_over: None,
                }
            }
            name => row(name.to_owned(), one),
        });
    }
    if let Some(slot) = identity.ci.as_ref().and_then(|job| job.slot.as_ref().map(|slot| (slot, job.vendor))) {
        rows.insert(2.min(rows.len()), derived("slot", slot.0, &Origin::CiJob(slot.1)));
    }
    for host in &settings.hosts {
        let (key, at) = match &host.at {
            HostAddress::Context(name) => ("context", name.clone()),
            HostAddress::Host(url) => ("host", without_password(url)),
        };
        rows.push(SettingRow {
            key: format!("hosts.{}.{key}", host.name),
            value: at.as_str().into(),
            text: at,
            from: vec![From::Source(host.source.clone())],
            passed_over: None,
        });
        for one in &host.overrides {
            let key = one.key.name.trim_start_matches("sweep.");
            rows.push(row(format!("hosts.{}.{key}", host.name), one));
        }
    }
    rows
}

fn row(key: String, one: &Effective) -> SettingRow {
    SettingRow {
        key,
        value: one.value.as_ref().map_or(Json::Null, Value::to_json),
        text: one.value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        from: one.sources.iter().cloned().map(From::Source).collect(),
        passed_over: one.passed_over.clone(),
    }
}

fn human(rows: &[SettingRow]) -> Page {
    let width = |text: fn(&SettingRow) -> &str, most| {
        rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0).min(most)
    };
    let (keys, values) = (width(|row| &row.key, 40), width(|row| &row.text, 36));
    let mut page = Page::default();
    for row in rows {
        let from = row.from.iter().map(From::text).collect::<Vec<_>>().join(", ");
        page.line(format_args!("{:keys$}  {:values$}  {from}", row.key, row.text));
        if let Some((value, source)) = &row.passed_over {
            page.line(format_args!("{:keys$}  ({source} asks for {value}, which keeps less: not taken)", ""));
        }
    }
    page
}

fn document(rows: &[SettingRow]) -> Json {
    let settings: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut one = json!({"key": row.key, "value": row.value, "from": row.from.iter().map(From::json).collect::<Vec<_>>()});
            if let Some((value, source)) = &row.passed_over {
                one["passed_over"] = json!({"value": value.to_json(), "from": From::Source(source.clone()).json()});
            }
            one
        })
        .collect();
    json!({"schema": 1, "kind": "config", "settings": settings})
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::{Whose, read};
    use crate::config::merge::Layered;
    use crate::config::value::Base;
    use crate::model::Name;
    use crate::plan::identity::CiJob;

    fn settings(own: &str, checkout: &str) -> Settings {
        let base = Base { folder: Path::new("/work"), home: None };
        let own_path = Path::new("/home/me/config.toml");
        let own = read(own, own_path, Whose::User, None).expect("our file");
        let checkout =
            read(checkout, Path::new("/work/dkb.toml"), Whose::Checkout { own: own_path }, None).expect("theirs");
        let layers = Layered { own: own.entries, checkout: checkout.entries, ..Layered::default() };
        Settings::new(&layers, &own.hosts, Some("/home/me/.local/state/dkb".into()), base).expect("settings")
    }

    fn identity(ci: bool) -> Identity {
        let name = |text| Name::typed(text).expect(text);
        Identity {
            project: name("acme/shop"),
            project_from: Origin::Remote,
            session: name("local-12345678"),
            session_from: Origin::WorkingCopy,
            copy: name("local-12345678"),
            ci: ci.then(|| CiJob { vendor: "GitLab", session: name("gl-1"), slot: Some(name("gl-2-3")) }),
        }
    }

    #[test]
    fn every_key_is_shown_with_where_it_comes_from() {
        let settings = settings(
            "keep = [\"db\"]\nkeep_last = 3\n[hosts.nas]\ncontext = \"nas\"\nuntil = \"7d\"",
            "keep = [\"app:*\"]\nkeep_last = 1",
        );
        let page = human(&rows(&settings, &identity(false)));
        let shown = page.as_str();
        let expected = "\
project                acme/shop                  the git remote origin
session                local-12345678             this working copy on this machine
stamp                  full                       default
keep_superseded        0                          default
own_cache_mounts       false                      default
keep                   app:*, db                  /work/dkb.toml:1, /home/me/config.toml:1
keep_last              3                          /home/me/config.toml:2
                       (/work/dkb.toml:2 asks for 1, which keeps less: not taken)
older_than             -                          default
stale_after            6h                         default
docker                 docker                     default
state_dir              /home/me/.local/state/dkb  default
";
        assert!(shown.starts_with(expected), "{shown}");
        assert!(shown.contains("\nclean_dead             false                      default\n"), "{shown}");
        assert!(
            shown.contains("\nhosts.nas.context      nas                        /home/me/config.toml:3\n"),
            "{shown}"
        );
        assert!(
            shown.ends_with("\nhosts.nas.until        7d                         /home/me/config.toml:5\n"),
            "{shown}"
        );
    }

    #[test]
    fn in_a_ci_job_the_slot_and_what_follows_from_the_job_are_shown() {
        let page = human(&rows(&settings("", ""), &identity(true)));
        let shown = page.as_str();
        assert!(shown.contains("slot                   gl-2-3                     the GitLab job\n"), "{shown}");
        assert!(shown.contains("clean_dead             true                       the GitLab job\n"), "{shown}");
    }

    #[test]
    fn one_setting_is_a_value_a_line() {
        let settings = settings("keep = [\"db\"]\nkeep_last = 3", "keep = [\"app:*\"]");
        let rows = rows(&settings, &identity(false));
        let said = |key: &str| values(rows.iter().find(|row| row.key == key).expect(key)).as_str().to_owned();
        assert_eq!(said("keep"), "app:*\ndb\n");
        assert_eq!(said("keep_last"), "3\n");
        assert_eq!(said("older_than"), "");
        let error = no_such_key("keep_lats", rows.iter().map(|row| row.key.clone()).collect());
        assert_eq!(error.to_string(), "reading the setting keep_lats: there is no such one\n  did you mean keep_last?");
    }

    #[test]
    fn programs_read_the_same() {
        let shown = document(&rows(&settings("keep_last = 3", "keep_last = 1"), &identity(false)));
        assert_eq!((&shown["schema"], &shown["kind"]), (&json!(1), &json!("config")));
        let settings = shown["settings"].as_array().expect("a list");
        let one = |key: &str| settings.iter().find(|one| one["key"] == key).expect(key);
        let remote = json!({"key": "project", "value": "acme/shop", "from": [{"kind": "derived", "from": "the git remote origin"}]});
        assert_eq!(one("project"), &remote);
        let kept = json!({
            "key": "keep_last", "value": 3, "from": [{"kind": "file", "path": "/home/me/config.toml", "line": 1}],
            "passed_over": {"value": 1, "from": {"kind": "file", "path": "/work/dkb.toml", "line": 1}},
        });
        assert_eq!(one("keep_last"), &kept);
        assert_eq!(one("older_than")["value"], Json::Null);
    }
}
