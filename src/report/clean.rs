//! What `dkb clean` says: a few lines for people, one document for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use super::actions::foldable;
use super::table::Table;
use super::words::{
    self, Loudness, NOTHING, at_most, held_by, holders, in_words, list, plural, short_id, shortened, why, words,
};
use super::{Page, Style, result};
use crate::config::Settings;
use crate::model::{Action, Kept, KeptReason, Kind, Name, Outcome, Plan, Scope, Step, human_bytes, total};

/// Names and IDs that one line shows before it says how many more there are.
const SHOWN: usize = 4;

pub(crate) fn show(settings: &Settings, loudness: Loudness, plan: &Plan, whose: &str, done: bool) {
    let for_people = || {
        if loudness == Loudness::Quiet {
            return super::ids::of(plan);
        }
        let style = Style::for_stdout(settings.color);
        let page = human(plan, whose, done, loudness == Loudness::Verbose, style);
        foldable(&super::env, page, plan.created, Timestamp::now())
    };
    result(settings.format, for_people, || plan);
    if done {
        summarize(plan, whose);
    }
}

/// On the page of the CI's job, where something went or could not.
pub(crate) fn summarize(plan: &Plan, whose: &str) {
    if !plan.steps.is_empty() {
        super::add_to_summary(&summary(plan, whose));
    }
}

fn summary(plan: &Plan, whose: &str) -> Page {
    let mut page = Page::default();
    page.line(format_args!("### dkb: {}", super::actions::text(whose)));
    page.line("");
    let mut table = Table::default();
    steps(&mut table, plan, true, NamesShown::First);
    kept(&mut table, plan, false);
    unfinished(&mut table, plan);
    table.markdown(&mut page);
    page
}

pub(crate) fn json(plan: &Plan) -> Page {
    Page::json(plan)
}

/// Whose things a scope covers, seen from this project, in the words of the first line. `typed`: a flag names the
/// project, which may be another one than that of this checkout.
pub(crate) fn whose(scope: &Scope, compose: Option<&Name>, project: &str, typed: bool) -> String {
    let whose = match scope {
        Scope::Project { project: of } if typed => format!("{of} · named by --project"),
        Scope::Project { project: of } if of.as_str() == project => format!("{of} · this project"),
        Scope::Project { project: of } => format!("{of} · another project"),
        Scope::Session(key) => format!("{} · session {}", key.project, key.session),
        Scope::Stale { project: of } => format!("{of} · sessions that are over"),
        Scope::All => "all projects".to_owned(),
    };
    compose.map_or(whose.clone(), |name| format!("{whose} · compose project {name}"))
}

pub(crate) fn human(plan: &Plan, whose: &str, done: bool, verbose: bool, style: Style) -> Page {
    let mut page = heading(plan, whose, style);
    let mut table = Table::default();
    // Whoever reads what goes by a program gets all the names.
    let shown = if page.width().is_none() { NamesShown::All } else { NamesShown::First };
    if !steps(&mut table, plan, done, shown) {
        page.line(NOTHING);
    }
    kept(&mut table, plan, verbose);
    unfinished(&mut table, plan);
    table.write(&mut page);
    if verbose {
        for step in &plan.steps {
            page.dim(format_args!("  {}", describe(step)));
        }
    }
    page
}

/// What somebody is asked about: all that stays first, so that what goes stands right above the question, each name of
/// it in a line of its own below what it is of where they are many.
pub(crate) fn asked(plan: &Plan, whose: &str, verbose: bool, style: Style) -> Page {
    let mut page = heading(plan, whose, style);
    let mut table = Table::default();
    kept(&mut table, plan, verbose);
    steps(&mut table, plan, false, NamesShown::Below);
    table.write(&mut page);
    page
}

fn heading(plan: &Plan, whose: &str, style: Style) -> Page {
    let engine = &plan.engine;
    let mut page = Page::new(style);
    page.heading(format_args!("{whose} · {} at {}", engine.called(), engine.endpoint));
    page
}

/// How the names of what goes are shown.
#[derive(Clone, Copy)]
enum NamesShown {
    All,
    /// The first, and how many more there are.
    First,
    /// All, and in lines of their own where they are more than a few.
    Below,
}

/// Whether there was anything to do.
fn steps(table: &mut Table, plan: &Plan, done: bool, shown: NamesShown) -> bool {
    let ended = |step: &&Step, wanted: Outcome| !done || step.result == Some(wanted);
    let of = |kind: Kind, action: Action| -> Vec<&Step> {
        plan.steps.iter().filter(|step| step.kind() == kind && step.action() == action).collect()
    };
    for (kind, action, did, would) in [
        (Kind::Container, Action::Stop, "stopped", "would stop"),
        (Kind::Container, Action::Remove, "removed", "would remove"),
        (Kind::Network, Action::Remove, "removed", "would remove"),
        (Kind::Image, Action::GiveBack, "gave back", "would give back"),
        (Kind::Image, Action::Untag, "untagged", "would untag"),
        (Kind::Image, Action::Remove, "removed", "would remove"),
        (Kind::Volume, Action::Remove, "removed", "would remove"),
        (Kind::BuildCache, Action::Remove, "removed", "would remove"),
    ] {
        let steps: Vec<&Step> = of(kind, action).into_iter().filter(|step| ended(step, Outcome::Done)).collect();
        if steps.is_empty() {
            continue;
        }
        // A record has no name but its kind.
        let with_names: &[&Step] = if kind == Kind::BuildCache { &[] } else { &steps };
        let mut names: Vec<String> = with_names.iter().flat_map(|step| step.names()).map(shortened).collect();
        names.sort();
        let (rest, below) = match shown {
            NamesShown::All => (names.join(", "), Vec::new()),
            NamesShown::Below if names.len() > SHOWN => (String::new(), names),
            NamesShown::First | NamesShown::Below => (list(&names, SHOWN), Vec::new()),
        };
        let has_size = action == Action::Remove && matches!(kind, Kind::Image | Kind::Volume | Kind::BuildCache);
        let bytes = total(steps.iter().map(|step| step.bytes));
        let size = if has_size { at_most(plan.up_to && kind == Kind::Image, bytes) } else { String::new() };
        let what = match action {
            Action::GiveBack | Action::Untag => plural(steps.len(), "tag"),
            Action::Remove | Action::Stop => words::kind(kind, steps.len()),
        };
        table.sized(if done { did } else { would }, steps.len(), what, size, rest);
        if (kind, action) == (Kind::Image, Action::Remove) && plan.totals().bytes_to_cache > 0 {
            let stays = if done { "stayed as build cache" } else { "would stay as build cache" };
            table.more(format!("{} more {stays}", at_most(plan.up_to, plan.totals().bytes_to_cache)));
        }
        for name in below {
            table.more(name);
        }
    }
    let gone = plan.steps.iter().filter(|step| step.result == Some(Outcome::AlreadyGone)).count();
    if gone > 0 {
        table.line("gone", gone, "already", "somebody else was quicker".to_owned());
    }
    !plan.steps.is_empty()
}

fn unfinished(table: &mut Table, plan: &Plan) {
    let with = |result: Outcome| plan.steps.iter().filter(|step| step.result == Some(result)).count();
    for (result, verb, what) in [
        (Outcome::Unknown, "unknown", "asked for, and it ended before the engine answered"),
        (Outcome::NotTried, "left", "not tried"),
    ] {
        if with(result) > 0 {
            table.line(verb, with(result), plural(with(result), "step"), what.to_owned());
        }
    }
}

fn kept(table: &mut Table, plan: &Plan, verbose: bool) {
    let mut groups: BTreeMap<KeptReason, Vec<&Kept>> = BTreeMap::new();
    let mut cache: BTreeMap<KeptReason, (usize, u64)> = BTreeMap::new();
    for kept in plan.kept.iter().filter(|kept| kept.kind == Kind::BuildCache) {
        let (records, bytes) = cache.entry(kept.reason).or_default();
        (*records, *bytes) = (records.saturating_add(1), bytes.saturating_add(kept.bytes));
    }
    for kept in plan.kept.iter().filter(|kept| kept.kind != Kind::BuildCache) {
        groups.entry(kept.reason).or_default().push(kept);
    }
    for (reason, group) in groups {
        let (verb, word) = match reason {
            KeptReason::Failed => ("failed", plural(group.len(), "step")),
            KeptReason::AlreadyGone => ("gone", "already"),
            reason => ("kept", words(reason)),
        };
        let held = matches!(reason, KeptReason::InUse | KeptReason::ForeignTag | KeptReason::ImageGone);
        // What only others built is no news. What they built too is ours, and was asked for.
        let shared = reason.is_for_others() && group.iter().any(|one| !one.holders.is_empty());
        let is_ours = |one: &&&Kept| !one.holders.is_empty();
        let group: Vec<&Kept> = match (verbose, reason) {
            (false, _) if shared => group.into_iter().filter(|one| is_ours(&one)).collect(),
            (_, KeptReason::OtherProject) => group.into_iter().filter(|one| is_ours(&one)).collect(),
            _ => group,
        };
        let by_holders = shared || matches!(reason, KeptReason::Base | KeptReason::MayBeAtWork | KeptReason::NotOver);
        if by_holders && !verbose {
            table.line(verb, group.len(), word, list(&holders(&group), SHOWN));
        } else if verbose || held && group.len() <= SHOWN {
            for one in group {
                table.line(verb, 1, word, who(one));
            }
        } else if !reason.is_for_others() {
            let mut who: Vec<String> = group.iter().flat_map(|one| names(one)).collect();
            who.sort();
            table.line(verb, group.len(), word, list(&who, SHOWN));
        }
    }
    for (reason, (records, bytes)) in cache {
        table.line("kept", records, words(reason), format!("build cache, {}", human_bytes(bytes)));
    }
}

/// The thing itself, and who holds it.
fn who(kept: &Kept) -> String {
    // A volume is its name.
    let id = if kept.names.contains(&kept.id) { "" } else { short_id(&kept.id) };
    let held = held_by(kept);
    // Who holds it by a name is told as who holds it.
    let is_holder = |name: &&String| kept.holders.iter().any(|holder| holder.to_string() == **name);
    let names: Vec<String> = names(kept).iter().filter(|name| !is_holder(name) && **name != id).cloned().collect();
    let parts = [id, &names.join(", "), &held];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

/// All its names, since whoever reads one may look for another; its ID where it has none.
fn names(kept: &Kept) -> Vec<String> {
    if kept.names.is_empty() {
        return vec![short_id(&kept.id).to_owned()];
    }
    kept.names.iter().map(|name| shortened(name)).collect()
}

fn describe(step: &Step) -> String {
    let what = match step.action() {
        Action::Remove => "remove",
        Action::Untag => "untag",
        Action::GiveBack => "give back to",
        Action::Stop => "stop",
    };
    let mut line = format!("{what} {}", short_id(&step.id()));
    for name in step.names() {
        let _ = write!(line, " {name}");
    }
    let _ = write!(line, " ({})", why(step.reason));
    if let Some(result) = step.result {
        let _ = write!(line, ": {}", in_words(result));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::id;
    use crate::model::image_tests::host;
    use crate::model::{CacheUse, Deed, Holder, ImageGuard, ImageId, Name, Reason};

    #[test]
    fn a_name_is_shown_as_it_is_and_a_reason_in_words() {
        let id = ImageId::parse(&"0123456789abcdef".repeat(4)).expect("an ID");
        let deed = Deed::RemoveImage { id, guard: ImageGuard::Named { names: vec!["my_app:1_0".to_owned()] } };
        let step = Step { result: Some(Outcome::AlreadyGone), ..Step::new(deed, Reason::SessionOver, 0) };
        assert_eq!(describe(&step), "remove 0123456789ab my_app:1_0 (session over): already gone");
        assert_eq!(
            describe(&Step { reason: Reason::Tagged, result: None, ..step }),
            "remove 0123456789ab my_app:1_0 (--tagged asked for it)"
        );
        let deed = Deed::RemoveCache {
            id: "abcdefghijklmno".to_owned(),
            kind: "regular".to_owned(),
            last: CacheUse::default(),
        };
        assert_eq!(describe(&Step::new(deed, Reason::ImagesGo, 0)), "remove abcdefghijkl regular (its images go)");
    }

    #[test]
    fn what_another_session_built_too_is_told_in_one_line_and_what_it_built_alone_is_not() {
        let kept = |n: u8, reason, holders: &[&str]| Kept {
            kind: Kind::Image,
            id: id(n).to_string(),
            names: Vec::new(),
            bytes: 0,
            reason,
            holders: holders.iter().map(|name| Holder::Maker(Name::typed(name).expect(name))).collect(),
        };
        let (other, project) = (KeptReason::OtherSession, KeptReason::OtherProject);
        let told = |kept: Vec<Kept>| {
            let mut table = Table::default();
            let plan =
                Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, Vec::new(), kept);
            super::kept(&mut table, &plan, false);
            table.lines()
        };
        assert_eq!(told(vec![kept(1, other, &[]), kept(2, project, &[])]), [""; 0]);
        let shared = vec![
            kept(1, other, &["job-2"]),
            kept(2, other, &["job-2"]),
            kept(3, other, &["job-3"]),
            kept(4, other, &[]),
        ];
        assert_eq!(told(shared), ["kept 3 other session job-2, job-3"]);
        assert_eq!(told(vec![kept(1, project, &["tool"])]), ["kept 1 other project tool"]);
    }

    #[test]
    fn a_project_is_this_one_unless_a_flag_names_it() {
        let of = |name: &str| Scope::Project { project: Name::typed(name).expect(name) };
        assert_eq!(whose(&of("app"), None, "app", false), "app · this project");
        assert_eq!(whose(&of("nope"), None, "nope", true), "nope · named by --project");
        assert_eq!(whose(&of("tool"), None, "app", false), "tool · another project");
        let compose = Name::typed("dev").ok();
        assert_eq!(whose(&Scope::All, compose.as_ref(), "app", false), "all projects · compose project dev");
    }

    #[test]
    fn an_amount_is_no_upper_bound_of_nothing() {
        use super::super::words::at_most;
        assert_eq!([at_most(true, 0), at_most(false, 7), at_most(true, 7)], ["0 B", "7 B", "up to 7 B"]);
    }

    #[test]
    fn a_pipe_gets_every_name_that_goes_and_a_terminal_the_first() {
        let names: Vec<String> = (0..9).map(|n| format!("app:{n}")).collect();
        let deed = Deed::RemoveImage { id: id(1), guard: ImageGuard::Named { names } };
        let steps = vec![Step::new(deed, Reason::Tagged, 0)];
        let plan = Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, steps, Vec::new());
        let shown = |style| human(&plan, "app", false, false, style).as_str().to_owned();
        assert!(shown(Style::PLAIN).contains("app:7, app:8\n"), "{}", shown(Style::PLAIN));
        assert!(shown(Style::of_width(80)).contains("app:3 and 5 more\n"), "{}", shown(Style::of_width(80)));
    }

    #[test]
    fn what_goes_stands_right_above_the_question_with_its_names_below() {
        let tags = |n: u8, names: &[&str]| {
            let guard = ImageGuard::Named { names: names.iter().map(|name| (*name).to_owned()).collect() };
            Step::new(Deed::RemoveImage { id: id(n), guard }, Reason::Tagged, 7)
        };
        let kept = Kept {
            kind: Kind::Image,
            id: id(9).to_string(),
            names: vec!["app:9".to_owned()],
            bytes: 0,
            reason: KeptReason::KeepLast,
            holders: Vec::new(),
        };
        let engine = host(Vec::new(), Vec::new()).engine;
        let asked = |steps: Vec<Step>| {
            let plan = Plan::new("clean", &engine, Timestamp::UNIX_EPOCH, steps, vec![kept.clone()]);
            super::asked(&plan, "app", false, Style::of_width(60)).as_str().to_owned()
        };
        let many = "
kept           1 among the last  app:9
would remove   2 images          14 B
                                 app:1
                                 app:2
                                 app:3
                                 app:4
                                 app:5
";
        let shown = asked(vec![tags(1, &["app:2", "app:1"]), tags(2, &["app:4", "app:5", "app:3"])]);
        assert!(shown.ends_with(many), "{shown}");
        let few = "
kept           1 among the last  app:9
would remove   1 image           7 B  app:1, app:2
";
        let shown = asked(vec![tags(1, &["app:2", "app:1"])]);
        assert!(shown.ends_with(few), "{shown}");
    }

    #[test]
    fn who_names_it_is_not_named_twice() {
        let kept = |names: &[&str]| Kept {
            kind: Kind::Image,
            id: id(1).to_string(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            bytes: 0,
            reason: KeptReason::ForeignTag,
            holders: vec![Holder::Name("stranger:1".to_owned())],
        };
        assert_eq!(who(&kept(&["stranger:1"])), "010101010101  stranger:1");
        assert_eq!(who(&kept(&["app:1", "stranger:1"])), "010101010101  app:1  stranger:1");
    }

    #[test]
    fn a_chain_of_bases_is_told_by_its_end() {
        let base = |base: u8, child: u8, name: Option<&str>| Kept {
            kind: Kind::Image,
            id: id(base).to_string(),
            names: Vec::new(),
            bytes: 0,
            reason: KeptReason::Base,
            holders: vec![Holder::Child { id: id(child), name: name.map(str::to_owned) }],
        };
        let (one, two) = (base(1, 2, None), base(2, 3, Some("app:1")));
        assert_eq!(holders(&[&one, &two]), ["app:1"]);
    }
}
