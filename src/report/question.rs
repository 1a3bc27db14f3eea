//! The question before something goes that somebody may still want.

use super::words::{count, kind};
use crate::model::{Action, Kind, Step};

/// `Remove 2 tags, 7 images and 12 cache records? [y/N] `
pub(super) fn of(steps: &[&Step]) -> String {
    let with = |action: Action| steps.iter().filter(move |step| step.action() == action);
    let removed = Kind::ALL.into_iter().map(|of| (of, with(Action::Remove).filter(|step| step.kind() == of).count()));
    let removed = removed.filter(|(_, n)| *n > 0).map(|(of, n)| format!("{n} {}", kind(of, n)));
    let tags = Some(with(Action::Untag).count()).filter(|n| *n > 0).map(|n| count(n, "tag"));
    let mut parts: Vec<String> = tags.into_iter().chain(removed).collect();
    let what = match (parts.pop(), parts.is_empty()) {
        (None, _) => "Do all this".to_owned(),
        (Some(one), true) => format!("Remove {one}"),
        (Some(last), false) => format!("Remove {} and {last}", parts.join(", ")),
    };
    format!("{what}? [y/N] ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::id;
    use crate::model::{Deed, ImageGuard, Reason, Reference};

    #[test]
    fn a_question_says_what_goes_and_how_much_of_it() {
        let name = || Reference::written("app:1").expect("a tag");
        let untag = || Deed::Untag { image: id(1), name: name() };
        let image = || Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged };
        let network = || Deed::RemoveNetwork { id: "n".to_owned(), name: "n".to_owned() };
        let back = || Deed::GiveBack { name: name(), from: Some(id(2)), to: id(1), hold: None };
        for (deeds, asked) in [
            (vec![image()], "Remove 1 image? [y/N] "),
            (vec![image(), untag(), untag(), back()], "Remove 2 tags and 1 image? [y/N] "),
            (vec![image(), untag(), network(), image()], "Remove 1 tag, 2 images and 1 network? [y/N] "),
            (vec![back()], "Do all this? [y/N] "),
        ] {
            let steps: Vec<Step> = deeds.into_iter().map(|deed| Step::new(deed, Reason::Tagged, 0)).collect();
            assert_eq!(of(&steps.iter().collect::<Vec<_>>()), asked);
        }
    }
}
