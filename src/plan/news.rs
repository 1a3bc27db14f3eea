//! What of a plan is news to whoever asked for it.

use std::collections::HashSet;

use crate::model::{Image, Kept, KeptReason, Plan, Scope};

/// The plan without what only bears a stamp, of builds that nobody here has asked for: that it stays is no news.
pub(crate) fn news(plan: &Plan, scope: &Scope, images: &[Image]) -> Plan {
    let others: HashSet<String> =
        images.iter().filter(|image| !scope.may_mean(&image.stamp())).map(|image| image.id.to_string()).collect();
    let by_stamp =
        |kept: &Kept| matches!(kept.reason, KeptReason::Unrecorded | KeptReason::Pulled | KeptReason::Inherited);
    let mut told = plan.clone();
    told.kept.retain(|kept| !by_stamp(kept) || !others.contains(&kept.id));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{id, key};
    use crate::model::image_tests::{host, image};
    use crate::model::{Deed, ImageGuard, Reason, Step};

    #[test]
    fn what_bears_the_stamp_of_others_is_no_news() {
        let stamped = |n: u8, project: &str, session: &str| image(n).stamp(&key(project, session)).done();
        let images = [stamped(1, "app", "job-1"), stamped(2, "app", "job-2"), stamped(3, "other", "job-1")];
        let kept = |n: u8, reason| {
            let step = Step::new(Deed::RemoveImage { id: id(n), guard: ImageGuard::Untagged }, Reason::Outdated, 0);
            Kept::instead_of(&step, reason)
        };
        let mut all: Vec<Kept> = (1..=3).map(|n| kept(n, KeptReason::Unrecorded)).collect();
        all.extend((1..=3).map(|n| kept(n, KeptReason::InUse)));
        let engine = host(Vec::new(), Vec::new()).engine;
        let plan = Plan::new("clean", &engine, jiff::Timestamp::UNIX_EPOCH, Vec::new(), all);
        let session = key("app", "job-1");
        for (scope, stamps) in [
            (Scope::Session(session.clone()), 1),
            (Scope::Project { project: session.project.clone() }, 2),
            (Scope::Stale { project: session.project }, 0),
            (Scope::All, 3),
        ] {
            assert_eq!(news(&plan, &scope, &images).kept.len(), 3 + stamps, "{scope:?}");
        }
    }
}
