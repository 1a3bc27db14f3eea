//! What `dkb status IMAGE` says: whose an image is, and what each kind of clean would do with it.

use jiff::Timestamp;

use super::PENDING;
use super::at_work::{Moments, SessionState, WhoseSession, ago, at_work};
use crate::model::{
    Action, Image, KeptReason, Life, Name, Owner, Plan, Reference, SessionKey, Stamp, Step, Totals, human_bytes,
};
use crate::report::words::{at_most, count, held_by, plural, words};
use crate::report::{Page, Style};

/// All that is known of one image.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub image: &'a Image,
    pub stamp: Stamp,
    /// The names that our builds gave it.
    pub gave: Vec<Reference>,
    pub built: Option<Timestamp>,
    pub of: Option<SessionKey>,
    /// The project of compose's that it was built for.
    pub compose: Option<Name>,
    /// That session is this working copy's own, under this project's name or another one.
    pub own: bool,
    pub life: Option<Life>,
    /// When the session was cleaned, if nobody was at work in it since.
    pub cleaned: Option<Timestamp>,
    pub owner: Option<Owner>,
    /// Its session was left for a look.
    pub left: bool,
    /// A build of its session runs.
    pub builds: bool,
    pub fates: Vec<Fate>,
}

/// What a kind of clean would do with one image.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// The words to type.
    pub command: String,
    /// The part of its plan that is about the image.
    pub plan: Plan,
    /// Of the whole plan.
    pub totals: Totals,
}

/// `more`: so many images were meant too. `cache_pending`: the cache of the last build is not in what they free.
pub(crate) fn about(all: &[About], more: usize, cache_pending: bool, now: Timestamp, style: Style) -> Page {
    let mut page = Page::new(style);
    for (n, about) in all.iter().enumerate() {
        if n > 0 {
            page.line("");
        }
        about_one(&mut page, about, now);
    }
    if more > 0 {
        page.line("");
        page.line(format_args!("and {}", count(more, "more image")));
    }
    if cache_pending && all.iter().any(|about| about.of.is_some()) {
        page.line(PENDING);
    }
    page
}

fn about_one(page: &mut Page, about: &About, now: Timestamp) {
    let names: Vec<&str> = about.image.public_tags().map(Reference::as_str).collect();
    let names = if names.is_empty() { "untagged".to_owned() } else { names.join(", ") };
    page.bold(format_args!("{}  {names}", about.image.id.short()));
    if let (Some(of), Some(built)) = (&about.of, about.built) {
        let About { builds, left, cleaned, .. } = *about;
        let life = about.life.unwrap_or(Life::Unowned);
        let standing = SessionState { life, builds, owner: about.owner.as_ref(), left, cleaned };
        let at_work = at_work(WhoseSession::of(of, about.own), standing, Moments { last: built, now });
        let compose = about.compose.as_ref().map(|name| format!(", compose project {name}")).unwrap_or_default();
        let when = ago(built, now);
        let said = format!("ours: built {when} by {}{compose}, session {} ({at_work})", of.project, of.session);
        page.wrapped(said, 2);
    } else {
        let why = match about.fates.first().and_then(|fate| fate.plan.kept.first()).map(|kept| kept.reason) {
            Some(KeptReason::Pulled) => "it was pulled",
            Some(KeptReason::Inherited) => "it was built on an image of ours, and inherited its stamp",
            _ if about.stamp.is_none() => "no build of dkb made it",
            _ => "the ledger does not know it",
        };
        let stamp = match (&about.stamp.project, &about.stamp.session) {
            (None, None) => String::new(),
            (project, session) => {
                let part = |name: &Option<Name>| name.as_ref().map_or("-".to_owned(), ToString::to_string);
                format!(", though stamped {} {}", part(project), part(session))
            }
        };
        page.line(format_args!("not ours: {why}{stamp}"));
    }
    let others: Vec<&str> =
        about.image.public_tags().filter(|tag| !about.gave.contains(tag)).map(Reference::as_str).collect();
    if about.of.is_some() && !others.is_empty() {
        page.line(format_args!("named by others: {}", others.join(", ")));
    }
    for fate in &about.fates {
        page.wrapped(format_args!("{} {}", fate.command, told(fate)), 2);
    }
}

fn told(Fate { plan, totals, .. }: &Fate) -> String {
    let names = |wanted: Action| -> Vec<&str> {
        let steps = plan.steps.iter().filter(|step| step.action() == wanted && !step.is_of_own_name());
        steps.flat_map(Step::names).collect()
    };
    let kept = plan.kept.first();
    let stays = kept.map(|kept| match (kept.reason, held_by(kept)) {
        (reason, held) if held.is_empty() => words(reason).to_owned(),
        (KeptReason::ForeignTag, held) => {
            format!("{held} {} it", if kept.holders.len() == 1 { "names" } else { "name" })
        }
        (KeptReason::Base, held) => {
            format!("{held} {} on it", if kept.holders.len() == 1 { "stands" } else { "stand" })
        }
        (reason, held) => format!("{}, {held}", words(reason)),
    });
    let taken = names(Action::Untag);
    let back = names(Action::GiveBack);
    if let Some(step) = plan.steps.iter().find(|step| step.removed_image().is_some()) {
        let moved = match plan.totals().bytes_to_cache {
            0 => String::new(),
            moved => format!(", {} more stay as build cache", human_bytes(moved)),
        };
        // What goes with it, too.
        let all = match totals.bytes {
            bytes if bytes == step.bytes => String::new(),
            bytes => format!("; the whole clean: {}", at_most(totals.up_to, bytes)),
        };
        format!("removes it, {}{moved}{all}", human_bytes(step.bytes))
    } else if !taken.is_empty() {
        let why = stays.map(|why| format!(", {why}")).unwrap_or_default();
        format!("takes the {} {}; the image stays{why}", plural(taken.len(), "tag"), taken.join(", "))
    } else if !back.is_empty() {
        format!("gives it the {} {} back", plural(back.len(), "tag"), back.join(", "))
    } else {
        stays.map_or("has nothing to do with it".to_owned(), |why| format!("keeps it: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::id;
    use crate::model::image_tests::host;
    use crate::model::{Deed, Holder, ImageGuard, Kept, Kind, Reason};

    fn fate(plan: Plan) -> Fate {
        Fate { command: "dkb clean".to_owned(), totals: plan.totals(), plan }
    }

    #[test]
    fn what_an_image_frees_is_what_the_clean_frees_that_takes_it() {
        let gone = Step::new(Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged }, Reason::Leftover, 7);
        let mut plan =
            Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, vec![gone], vec![]);
        plan.to_cache.insert(id(1), 3);
        let alone = fate(plan);
        assert_eq!(told(&alone), "removes it, 7 B, 3 B more stay as build cache");
        let all = Fate { totals: Totals { bytes: 50, ..alone.totals }, ..alone };
        assert_eq!(told(&all), "removes it, 7 B, 3 B more stay as build cache; the whole clean: 50 B");
    }

    #[test]
    fn what_becomes_of_one_image_is_what_the_plan_does_with_it() {
        let kept = |reason, holders: &[&str]| Kept {
            kind: Kind::Image,
            id: id(1).to_string(),
            names: Vec::new(),
            bytes: 0,
            reason,
            holders: holders.iter().map(|name| Holder::Name((*name).to_owned())).collect(),
        };
        let tag = |name: &str| Reference::written(name).expect(name);
        let untag = || Step::new(Deed::Untag { image: id(1), name: tag("shop:dev") }, Reason::Tagged, 0);
        let back = Step::new(
            Deed::GiveBack { name: tag("app"), from: Some(id(2)), to: id(1), hold: None },
            Reason::TakenTag,
            0,
        );
        let own = Step::new(Deed::Untag { image: id(1), name: id(1).private_tag() }, Reason::OwnName, 0);
        let gone = Step::new(Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged }, Reason::Leftover, 7);
        let foreign = |names: &[&str]| vec![kept(KeptReason::ForeignTag, names)];
        for (steps, kept, told) in [
            (vec![gone], vec![], "removes it, 7 B"),
            (vec![untag()], foreign(&["mine:1"]), "takes the tag shop:dev; the image stays, mine:1 names it"),
            (vec![untag()], foreign(&["a", "b"]), "takes the tag shop:dev; the image stays, a, b name it"),
            (
                vec![untag()],
                vec![kept(KeptReason::OtherSession, &[])],
                "takes the tag shop:dev; the image stays, other session",
            ),
            (vec![back], vec![], "gives it the tag app:latest back"),
            (vec![own], foreign(&["mine:1"]), "keeps it: mine:1 names it"),
            (vec![], vec![kept(KeptReason::Tagged, &[])], "keeps it: tagged"),
            (vec![], vec![], "has nothing to do with it"),
        ] {
            let plan = Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, steps, kept);
            assert_eq!(super::told(&fate(plan)), told);
        }
    }
}
