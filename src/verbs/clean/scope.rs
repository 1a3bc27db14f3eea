//! What a clean covers: as its flags say, or as a plan's file was asked for.

use crate::app::App;
use crate::cli::CleanFlags;
use crate::error::{Error, Result};
use crate::model::{Asked, Kind, MountNamespace, Name, Plan, Scope, SessionKey, Step};
use crate::plan::clean::{CacheWish, CleanPolicy};
use crate::plan::unknown::Subject;
use crate::report;

pub(super) fn of_flags(app: &App, flags: &CleanFlags) -> Result<CleanPolicy> {
    let scope = flags.scope(&app.key)?;
    let tags = flags.tagged || scope.is_of_sessions() && !flags.keep_tagged;
    let containers = scope.is_of_sessions() && !flags.keep_containers;
    let (cache, cache_keep) = (cache(flags, false), flags.cache_keep);
    let compose = compose(flags)?;
    let (volumes, mounts) = (flags.volumes, mounts(app, flags));
    Ok(CleanPolicy { compose, containers, volumes, cache, cache_keep, mounts, ..app.clean_policy(scope, tags) })
}

fn compose(flags: &CleanFlags) -> Result<Option<Name>> {
    let typed = flags.compose.as_deref().map(Name::typed).transpose();
    typed.map_err(|wrong| Error::usage("reading --compose", wrong))
}

fn mounts(app: &App, flags: &CleanFlags) -> Option<MountNamespace> {
    flags.cache_mounts.then(|| app.mounts())
}

const fn cache(flags: &CleanFlags, only: bool) -> CacheWish {
    match (flags.keep_cache, flags.cache || only) {
        (true, _) => CacheWish::Leave,
        (_, true) => CacheWish::Only,
        _ => CacheWish::With,
    }
}

/// By which of these a plan from a file was made. The file says for what it was asked and nothing else: what is
/// kept, and what is believed, the settings say today as ever. Where a file of before does not say it, it is one
/// of all that could have been asked for.
pub(super) fn of_file(app: &App, flags: &CleanFlags, asked: Option<&Asked>) -> Result<Vec<CleanPolicy>> {
    // Whoever names one here too narrows the file by it.
    let compose = compose(flags)?.or_else(|| asked?.compose.clone());
    let policy = |scope: Scope, tagged: bool, containers: bool, only_cache: bool| {
        let policy = app.clean_policy(scope, (tagged || flags.tagged) && !flags.keep_tagged);
        CleanPolicy {
            compose: compose.clone(),
            containers: policy.containers && containers && !flags.keep_containers,
            // Whoever lets data go says so each time.
            volumes: flags.volumes,
            // It was said of this project, and not of one that a file names.
            trust_stamp: policy.trust_stamp && policy.scope.project() == Some(&app.key.project),
            cache: cache(flags, only_cache),
            cache_keep: flags.cache_keep,
            mounts: mounts(app, flags),
            ..policy
        }
    };
    if let Some(Asked { of, tagged, containers, cache, .. }) = asked {
        return Ok(vec![policy(of.clone(), *tagged, *containers, *cache)]);
    }
    let project = || app.key.project.clone();
    let all = [
        Scope::Project { project: project() },
        Scope::Session(app.key.clone()),
        Scope::Stale { project: project() },
        Scope::All,
    ];
    Ok(all.into_iter().map(|scope| policy(scope, true, true, false)).collect())
}

/// What was typed to say whose things are meant, and so may be a slip of the pen.
pub(super) fn named<'a>(app: &App, flags: &CleanFlags, policy: &'a CleanPolicy) -> Vec<(String, Subject<'a>)> {
    if flags.act.apply.is_some() {
        return Vec::new();
    }
    let whose = match &policy.scope {
        Scope::Session(key) if app.settings.is_typed("session") || *key != app.key => {
            Some((format!("cleaning session {}", key.session), Subject::Session(key, "clean --session")))
        }
        Scope::Project { project } | Scope::Stale { project } | Scope::Session(SessionKey { project, .. })
            if app.settings.is_typed("project") =>
        {
            Some((format!("cleaning project {project}"), Subject::Project(project)))
        }
        _ => None,
    };
    let of = policy.scope.project();
    let compose = policy.compose.as_ref();
    let compose = compose.map(|name| (format!("cleaning the compose project {name}"), Subject::Compose(of, name)));
    whose.into_iter().chain(compose).collect()
}

pub(super) fn asked(policy: &CleanPolicy) -> Asked {
    let (of, compose) = (policy.scope.clone(), policy.compose.clone());
    Asked { of, compose, tagged: policy.tags, containers: policy.containers, cache: policy.cache == CacheWish::Only }
}

/// Whose things go, where somebody else may still want them: those of every project or, from a file, of another
/// one, or of this working copy.
pub(super) fn must_ask(policy: &CleanPolicy, here: &SessionKey, plan: &Plan) -> Option<String> {
    let wide = match &policy.scope {
        Scope::All => Some("cleaning the tags of every project".to_owned()),
        Scope::Session(SessionKey { project, .. }) | Scope::Project { project } | Scope::Stale { project }
            if *project != here.project =>
        {
            Some(format!("cleaning the project {project}, which is not this one"))
        }
        Scope::Session(key) if key.session.is_local() && report::can_ask() => {
            Some("cleaning this working copy".to_owned())
        }
        Scope::Project { project } if policy.tags && report::can_ask() => {
            Some(format!("cleaning the tags of {project}"))
        }
        Scope::Session(_) | Scope::Project { .. } | Scope::Stale { .. } => None,
    };
    // Whoever needs the cache builds it anew.
    let is_named = |step: &Step| step.kind() != Kind::BuildCache && !step.names().is_empty();
    wide.filter(|_| (policy.tags || policy.containers) && plan.steps.iter().any(is_named))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::books_tests::{id, key};
    use crate::model::image_tests::host;
    use crate::model::{Deed, ImageGuard, Reason};

    fn policy(scope: Scope, tags: bool, containers: bool) -> CleanPolicy {
        let (keep, stale_after) = (Vec::new(), Duration::ZERO);
        CleanPolicy {
            compose: None,
            scope,
            tags,
            containers,
            stops: false,
            volumes: false,
            keep,
            keep_last: None,
            older_than: None,
            stale_after,
            trust_stamp: false,
            cache: crate::plan::clean::CacheWish::Leave,
            cache_keep: None,
            mounts: None,
        }
    }

    #[test]
    fn a_file_is_asked_for_what_it_was_made_for() {
        let session = key("app", "job-1");
        let project = session.project.clone();
        for scope in
            [Scope::Project { project: project.clone() }, Scope::Session(session), Scope::Stale { project }, Scope::All]
        {
            for (tags, containers) in [(true, true), (true, false), (false, true), (false, false)] {
                let asked = asked(&policy(scope.clone(), tags, containers));
                assert_eq!((asked.of, asked.tagged, asked.containers), (scope.clone(), tags, containers));
            }
        }
    }

    #[test]
    fn what_others_may_want_goes_with_a_word_only() {
        let (here, project) = (key("app", "job-1"), |key: SessionKey| key.project);
        let plan = |names: &[&str]| {
            let guard = ImageGuard::of(names.iter().map(ToString::to_string).collect());
            let steps = vec![Step::new(Deed::RemoveImage { id: id(1), guard }, Reason::Outdated, 0)];
            Plan::new("clean", &host(Vec::new(), Vec::new()).engine, jiff::Timestamp::UNIX_EPOCH, steps, Vec::new())
        };
        let (named, nameless) = (plan(&["app:1"]), plan(&[]));
        let asks = |scope: &Scope, tags, containers, plan: &Plan| {
            must_ask(&policy(scope.clone(), tags, containers), &here, plan).is_some()
        };
        for (scope, wide) in [
            (Scope::All, true),
            (Scope::Project { project: project(key("other", "x")) }, true),
            (Scope::Stale { project: project(key("other", "x")) }, true),
            (Scope::Session(key("other", "job-1")), true),
            (Scope::Project { project: project(here.clone()) }, false),
            (Scope::Stale { project: project(here.clone()) }, false),
            (Scope::Session(here.clone()), false),
            (Scope::Session(key("app", "job-2")), false),
        ] {
            assert_eq!(asks(&scope, true, false, &named), wide, "{scope:?}");
            assert_eq!(asks(&scope, false, true, &named), wide, "{scope:?}: containers have names");
            assert!(!asks(&scope, true, true, &nameless), "{scope:?}: nobody wants what has no name");
            assert!(!asks(&scope, false, false, &named), "{scope:?}");
        }
    }
}
