//! What a clean takes of the cache, and why the rest of it stays.
//!
//! 1. Without tags what the newest version of every build does not need, and what tries that failed have made.
//! 2. With tags what only builds need whose images go with it, or are not there any more.
//! 3. With `--cache` all of it, and no image.
//! 4. Whatever is asked for, what stays stays: what a build outside the scope needs, or one that runs; what a keep
//!    pattern or `--keep-last` means; what was used too short a while ago; and so much as `--cache-keep` says, the last
//!    used first.
//! 5. With `--cache-mounts` also the mounts that bear this working copy's own namespace.
//! 6. What stays for another's sake alone these builds need no more ([`give_up`]): it goes with the last that asks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::{going, latest, versions};
use crate::model::{
    Build, CacheBooks, CacheRecord, CachedBuild, ImageId, Kept, KeptReason, Kind, MountNamespace, Plan, Reason,
    SessionKey, Step, total,
};
use crate::plan::clean::{CacheWish, CleanLook, CleanPolicy, covers};

/// Adds to the plan of a clean what goes of the cache.
pub(crate) fn clean(
    plan: &mut Plan,
    look: &CleanLook,
    policy: &CleanPolicy,
    books: &CacheBooks,
    records: &[CacheRecord],
) {
    if policy.cache == CacheWish::Leave {
        return;
    }
    let (own, others): (Vec<&CachedBuild>, Vec<&CachedBuild>) =
        books.builds.iter().partition(|build| is_own(look, policy, build));
    let mut stays = needed_elsewhere(look, policy, &own, &others);
    for build in staying(plan, look, policy, &own) {
        stays.extend(build.needs.iter().map(|id| (id.as_str(), KeptReason::NextBuild)));
    }
    let in_scope = in_scope(policy, books, &own);
    let of_scope: Vec<&CacheRecord> = records.iter().filter(|record| in_scope.contains(record.id.as_str())).collect();
    for record in &of_scope {
        if policy.is_too_young(look.now, touched(record).unwrap_or(Timestamp::MAX)) {
            // Also where others need it: it is not given up.
            stays.insert(&record.id, KeptReason::TooYoung);
        }
    }
    let may_go = |stays: &BTreeMap<&str, KeptReason>, id: &str| in_scope.contains(id) && !stays.contains_key(id);
    if let Some(limit) = policy.cache_keep {
        let free = going(books, records, |id| may_go(&stays, id));
        for record in last_used(&of_scope, &free, limit) {
            stays.entry(&record.id).or_insert(KeptReason::CacheKeep);
        }
    }
    let going = going(books, records, |id| may_go(&stays, id));
    let gone: HashSet<&str> = going.iter().map(|record| record.id.as_str()).collect();
    let reason = match policy.cache {
        CacheWish::Only => Reason::AskedFor,
        _ if policy.tags => Reason::ImagesGo,
        _ => Reason::Superseded,
    };
    plan.steps.extend(going.iter().map(|record| record.removal(reason, look.snapshot.engine.can)));
    plan.kept.extend(of_scope.into_iter().filter(|record| !gone.contains(record.id.as_str())).map(|record| {
        let is_shared = books.records.get(&record.id).is_some_and(|claim| claim.shared);
        let reason = match stays.get(record.id.as_str()) {
            _ if is_shared => KeptReason::UsedByOthers,
            Some(reason) => *reason,
            None if record.in_use => KeptReason::InUse,
            None => KeptReason::Base,
        };
        record.kept(reason, Vec::new())
    }));
}

/// Adds the cache mounts that only these builds have.
pub(crate) fn add_mounts(
    plan: &mut Plan,
    look: &CleanLook,
    policy: &CleanPolicy,
    own: &MountNamespace,
    records: &[CacheRecord],
) {
    let builds = look.running.iter().any(|build| build.of.project == look.here.key.project);
    for record in records.iter().filter(|record| own.has(record)) {
        let stays = match touched(record) {
            _ if record.in_use => Some(KeptReason::InUse),
            _ if builds => Some(KeptReason::BuildRunning),
            at if policy.is_too_young(look.now, at.unwrap_or(Timestamp::MAX)) => Some(KeptReason::TooYoung),
            _ => None,
        };
        match stays {
            Some(reason) => plan.kept.push(record.kept(reason, Vec::new())),
            None => plan.steps.push(record.removal(Reason::AskedFor, look.snapshot.engine.can)),
        }
    }
}

/// Notes that builds in the scope have no more use for what this plan would have taken, had others not needed it too:
/// of two that ask for the same to go each would keep it from the other for good.
pub(crate) fn give_up(books: &mut CacheBooks, plan: &Plan, look: &CleanLook, policy: &CleanPolicy) {
    // How much of it would have stayed nobody can tell.
    if policy.cache_keep.is_some() {
        return;
    }
    let for_others = |kept: &&Kept| kept.kind == Kind::BuildCache && kept.reason.is_for_others();
    let left: HashSet<&str> = plan.kept.iter().filter(for_others).map(|kept| kept.id.as_str()).collect();
    for build in books.builds.iter_mut().filter(|build| is_own(look, policy, build)) {
        build.needs.retain(|id| !left.contains(id.as_str()));
    }
}

/// Whether the clean is about this build.
fn is_own(look: &CleanLook, policy: &CleanPolicy, build: &CachedBuild) -> bool {
    is_covered(look, policy, build) && policy.is_about(build.compose.as_ref())
}

fn is_covered(look: &CleanLook, policy: &CleanPolicy, build: &CachedBuild) -> bool {
    covers(look, policy, &build.of) && !look.is_others(&build.of)
}

/// What the newest versions of builds need that the clean is not about.
fn needed_elsewhere<'a>(
    look: &CleanLook,
    policy: &CleanPolicy,
    own: &[&CachedBuild],
    others: &[&'a CachedBuild],
) -> BTreeMap<&'a str, KeptReason> {
    let projects: HashSet<&str> = own.iter().map(|build| build.of.project.as_str()).collect();
    let mut needed = BTreeMap::new();
    for build in latest(others.iter().copied(), |_| false) {
        let is_of_ours = projects.contains(build.of.project.as_str());
        let reason = match is_of_ours {
            true if is_covered(look, policy, build) => KeptReason::OtherCompose,
            true => KeptReason::OtherSession,
            false => KeptReason::OtherProject,
        };
        needed.extend(build.needs.iter().map(|id| (id.as_str(), reason)));
    }
    needed
}

/// The builds in the scope that are to find their steps again.
fn staying<'a>(plan: &Plan, look: &CleanLook, policy: &CleanPolicy, own: &[&'a CachedBuild]) -> Vec<&'a CachedBuild> {
    let going: HashSet<ImageId> = plan.steps.iter().filter_map(Step::removed_image).collect();
    let listed: HashSet<ImageId> = look.snapshot.images.iter().map(|image| image.id).collect();
    let has_image = |build: &&Build| build.result.is_some_and(|id| listed.contains(&id) && !going.contains(&id));
    let is_meant = |build: &&Build| build.tags.iter().any(|tag| policy.keep.iter().any(|keep| keep.matches_image(tag)));
    let runs = |build: &CachedBuild| look.running.iter().any(|other| other.of == build.of && other.key == build.key);
    let mut by_work: BTreeMap<_, Vec<&CachedBuild>> = BTreeMap::new();
    for build in own {
        by_work.entry((&build.of, build.key.as_str(), build.variant.as_str())).or_default().push(build);
    }
    let all_noted = all_noted(look, own);
    let mut staying = Vec::new();
    for builds in by_work.into_values() {
        let newest = match (policy.cache, policy.keep_last) {
            (_, Some(last)) => last,
            (CacheWish::With, None) if !policy.tags => 1,
            _ => 0,
        };
        if newest > 0 {
            staying.extend(versions(&builds, newest, false));
        }
        staying.extend(builds.into_iter().filter(|build| {
            let mut noted = noted(&all_noted, build).iter();
            runs(build)
                || noted.clone().any(is_meant)
                || policy.cache == CacheWish::With && policy.tags && noted.any(has_image)
        }));
    }
    staying
}

/// What the ledger knows of these builds, by whose and of what they are.
type NotedBuilds<'a> = HashMap<(&'a SessionKey, &'a str), Vec<&'a Build>>;

fn all_noted<'a>(look: &CleanLook<'a>, own: &[&'a CachedBuild]) -> NotedBuilds<'a> {
    let mut noted: NotedBuilds = own.iter().map(|build| ((&build.of, &*build.key), Vec::new())).collect();
    for build in look.books.builds.iter().filter(|_| !own.is_empty()) {
        if let Some(builds) = noted.get_mut(&(&build.of, &*build.key)) {
            builds.push(build);
        }
    }
    noted
}

/// What the ledger knows of this build; where it does not know this very one, of the same build at another time.
fn noted<'n>(noted: &'n NotedBuilds<'n>, build: &'n CachedBuild) -> &'n [&'n Build] {
    let all = noted.get(&(&build.of, &*build.key)).map_or(&[][..], Vec::as_slice);
    let only = all.iter().position(|noted| Some(&noted.build) == build.build.as_ref());
    only.map_or(all, |only| &all[only..=only])
}

/// The records that builds in the scope need, and without tags those that no build needs any more, which were made for
/// nobody knows which of compose's projects.
fn in_scope<'a>(policy: &CleanPolicy, books: &'a CacheBooks, own: &[&'a CachedBuild]) -> BTreeSet<&'a str> {
    let mut all: BTreeSet<&str> = own.iter().flat_map(|build| &build.needs).map(String::as_str).collect();
    if policy.cache == CacheWish::With && !policy.tags && policy.compose.is_none() {
        let needed: HashSet<&str> = books.builds.iter().flat_map(|build| &build.needs).map(String::as_str).collect();
        all.extend(books.records.keys().map(String::as_str).filter(|id| !needed.contains(id)));
    }
    all
}

/// Of those that could go the last used, so that with those that stay anyway so many bytes are left.
fn last_used<'a>(all: &[&'a CacheRecord], free: &[&'a CacheRecord], limit: u64) -> Vec<&'a CacheRecord> {
    let going: HashSet<&str> = free.iter().map(|record| record.id.as_str()).collect();
    let stay = all.iter().filter(|record| !going.contains(record.id.as_str()));
    let mut bytes = total(stay.map(|record| record.size));
    let mut free = free.to_vec();
    free.sort_by_key(|record| Reverse(touched(record)));
    free.into_iter()
        .take_while(|record| {
            bytes = bytes.saturating_add(record.size);
            bytes <= limit
        })
        .collect()
}

fn touched(record: &CacheRecord) -> Option<Timestamp> {
    record.last_used.max(record.created)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunningBuild;
    use crate::model::Scope;
    use crate::model::books_tests::{build, key};
    use crate::model::image_tests::host;
    use crate::model::{Books, CacheClaim, Record, SessionKey};
    use crate::plan::cache::tests::cached;
    use crate::plan::clean::Here;

    /// What a clean of this session takes of the cache; then it gives up the rest, where it does.
    fn cleaned(books: &mut CacheBooks, of: &SessionKey, policy: &CleanPolicy) -> Vec<String> {
        let record = |id: &String| CacheRecord { id: id.clone(), size: 1, ..CacheRecord::default() };
        let records: Vec<CacheRecord> = books.records.keys().map(record).collect();
        let mut ledger = Books::default();
        for (n, cached) in books.builds.iter().enumerate() {
            ledger.apply(Record::Build(build(&n.to_string(), &cached.of, 1, &[])));
        }
        let (snapshot, here) = (host(Vec::new(), Vec::new()), Here::somebody(of.clone()));
        let look = CleanLook::of(&snapshot, &ledger, &here);
        let policy = CleanPolicy { scope: Scope::Session(of.clone()), ..policy.clone() };
        let mut plan = Plan::new("clean", &snapshot.engine, look.now, Vec::new(), Vec::new());
        clean(&mut plan, &look, &policy, books, &records);
        give_up(books, &plan, &look, &policy);
        let mut gone: Vec<String> = plan.steps.iter().map(|step| step.id().into_owned()).collect();
        gone.sort();
        books.forget(|id| gone.iter().any(|other| other == id));
        gone
    }

    #[test]
    fn what_two_of_composes_projects_use_goes_with_the_last_that_asks() {
        let of = key("p", "s");
        let compose = |name: &str| crate::model::Name::typed(name).ok();
        let made = |name: &str, needs: &[&str]| CachedBuild {
            compose: compose(name),
            key: name.to_owned(),
            ..cached(&of, needs)
        };
        let mut books = CacheBooks {
            builds: vec![made("dev", &["both", "own"]), made("test", &["both", "theirs"]), made("", &["plain"])],
            records: ["both", "own", "theirs", "plain", "nobodys"]
                .map(|id| (id.to_owned(), CacheClaim::default()))
                .into(),
        };
        let leftovers = CleanPolicy { cache: CacheWish::With, ..crate::plan::clean::tests::leftovers() };
        let asked = |name: &str, policy: &CleanPolicy| CleanPolicy { compose: compose(name), ..policy.clone() };
        assert_eq!(cleaned(&mut books, &of, &asked("dev", &leftovers)), [""; 0], "what nobody needs was made for any");
        let whole = CleanPolicy { tags: true, ..leftovers.clone() };
        assert_eq!(cleaned(&mut books, &of, &asked("none", &whole)), [""; 0]);
        assert_eq!(cleaned(&mut books, &of, &asked("dev", &whole)), ["own"]);
        assert_eq!(cleaned(&mut books, &of, &asked("test", &whole)), ["both", "theirs"]);
        assert_eq!(cleaned(&mut books, &of, &leftovers), ["nobodys"]);
    }

    #[test]
    fn mounts_of_our_own_go_where_they_are_asked_for_and_nobody_is_at_work_with_them() {
        let of = key("p", "s");
        let name = |text| crate::model::Name::typed(text).expect("a name");
        let own = MountNamespace::of(&name("p"), &name("local-00000001"));
        let mount = |id: &str, namespace: &str, in_use: bool| CacheRecord {
            id: id.to_owned(),
            kind: "exec.cachemount".to_owned(),
            description: format!("cached mount /c from exec make with id \"{namespace}//c\""),
            in_use,
            created: Some(Timestamp::UNIX_EPOCH),
            ..CacheRecord::default()
        };
        let records = [
            mount("own", &own.to_string(), false),
            mount("used", &own.to_string(), true),
            mount("another's", "shop", false),
            mount("everybody's", "", false),
        ];
        let (snapshot, books, here) = (host(Vec::new(), Vec::new()), Books::default(), Here::somebody(of.clone()));
        let planned = |older_than, running: &[RunningBuild]| {
            let look = CleanLook { running, ..CleanLook::of(&snapshot, &books, &here) };
            let policy = CleanPolicy { older_than, ..crate::plan::clean::tests::leftovers() };
            let mut plan = Plan::new("clean", &snapshot.engine, look.now, Vec::new(), Vec::new());
            add_mounts(&mut plan, &look, &policy, &own, &records);
            let goes: Vec<String> = plan.steps.iter().map(|step| step.id().into_owned()).collect();
            (goes, plan.kept.into_iter().map(|kept| kept.reason).collect::<Vec<_>>())
        };
        assert_eq!(planned(None, &[]), (vec!["own".to_owned()], vec![KeptReason::InUse]));
        let an_hour = Some(std::time::Duration::from_secs(3600));
        assert_eq!(planned(an_hour, &[]), (Vec::new(), vec![KeptReason::TooYoung, KeptReason::InUse]));
        let builds = |of| [RunningBuild { of, key: String::new(), tags: Vec::new() }];
        let stays = vec![KeptReason::BuildRunning, KeptReason::InUse];
        assert_eq!(planned(None, &builds(key("p", "t"))), (Vec::new(), stays));
        assert_eq!(planned(None, &builds(key("q", "s"))).0, ["own"]);
    }

    #[test]
    fn what_two_projects_use_goes_with_the_last_that_asks() {
        let (one, other) = (key("p", "s"), key("q", "t"));
        let whole = CleanPolicy { tags: true, cache: CacheWish::With, ..crate::plan::clean::tests::leftovers() };
        let books = || CacheBooks {
            builds: vec![cached(&one, &["both", "own"]), cached(&other, &["both", "theirs"])],
            records: ["both", "own", "theirs"].map(|id| (id.to_owned(), CacheClaim::default())).into(),
        };
        let mut both = books();
        assert_eq!(cleaned(&mut both, &one, &whole), ["own"]);
        assert_eq!(cleaned(&mut both, &other, &whole), ["both", "theirs"]);
        // Whoever leaves the cache, or asks for some of it to stay, wants it still.
        let leave = CleanPolicy { cache: CacheWish::Leave, ..whole.clone() };
        let young = CleanPolicy { older_than: Some(std::time::Duration::from_secs(9)), ..whole.clone() };
        let some = CleanPolicy { cache_keep: Some(2), ..whole.clone() };
        for keeps in [leave, young, some] {
            let mut both = books();
            assert!(cleaned(&mut both, &one, &keeps).iter().all(|id| id != "both"));
            assert_eq!(cleaned(&mut both, &other, &whole), ["theirs"], "{keeps:?}");
        }
        // What it builds again it needs again.
        let mut both = books();
        cleaned(&mut both, &one, &whole);
        both.builds.push(cached(&one, &["both"]));
        assert_eq!(cleaned(&mut both, &other, &whole), ["theirs"]);
    }
}
