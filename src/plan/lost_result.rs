//! The result of a build whose ID docker did not say: it was killed before, or it failed once the image was there.
//!
//! 1. It bears the whole stamp of the build, and it did not inherit it: its parent has another one, and where the
//!    engine names no parent, it is not built on the layers of an older image with this stamp. What the other targets
//!    of the same bake have made tells nothing: they got theirs with it.
//! 2. It was made after the build began, by the engine's clock; or it has got one of the build's names since then, which
//!    meant something else when the build began: what BuildKit takes from its cache is as old as that.
//! 3. It has no name but those that the build was to give it, and was not pulled.
//! 4. It is not on record: what is, was made by another build.
//!
//! So a build `FROM` another image of its session is not found; its result stays as if a stranger had made it. But where
//! BuildKit remembers its builds, it says itself what this one wrote ([`remembered`]), and that it wrote nothing.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::{Image, ImageDetail, ImageId, PastBuild, Reference, Stamp};

pub(crate) struct Lost<'a> {
    pub stamp: &'a Stamp,
    pub tags: &'a [Reference],
    /// The names that other targets of the same bake give.
    pub beside: &'a [Reference],
    pub began: Timestamp,
    /// What the names meant when it began.
    pub before: &'a [(Reference, ImageId)],
    /// Any digest says that the image was pushed or pulled.
    pub digest_means_travel: bool,
}

impl Lost<'_> {
    /// The images that bear the stamp, if it is one that tells a session from all others.
    pub(crate) fn stamped<'i>(&self, images: &'i [Image]) -> Vec<&'i Image> {
        let whole = self.stamp.is_whole();
        images.iter().filter(|image| whole && image.stamp() == *self.stamp).collect()
    }

    /// Of several the one with a name, and of these the newest.
    pub(crate) fn result(
        &self,
        images: &[Image],
        details: &[ImageDetail],
        recorded: impl Fn(ImageId) -> bool,
    ) -> Option<ImageId> {
        let known: HashMap<ImageId, &ImageDetail> = details.iter().map(|image| (image.id, image)).collect();
        let may_be = |image: &&&Image| {
            let given = |tag: &Reference| self.tags.iter().any(|given| given.names_the_same(tag));
            let pulled = !image.digests.is_empty() || image.travelled && self.digest_means_travel;
            let created = known.get(&image.id).and_then(|image| image.created);
            image.public_tags().all(given)
                && !pulled
                && !recorded(image.id)
                && (created.is_some_and(|created| created >= self.began) || self.has_got_a_name(image, &known))
                && !self.inherited(image, images, &known)
        };
        let stamped = self.stamped(images);
        stamped.iter().filter(may_be).max_by_key(|image| (image.is_tagged(), image.created)).map(|image| image.id)
    }

    /// Whether it was named since the build began, by what did not name it then.
    fn has_got_a_name(&self, image: &Image, known: &HashMap<ImageId, &ImageDetail>) -> bool {
        let had = |tag: &Reference| self.before.iter().any(|(name, id)| *id == image.id && name.names_the_same(tag));
        let named = known.get(&image.id).and_then(|image| image.last_tagged);
        image.public_tags().any(|tag| !had(tag)) && named.is_some_and(|named| named >= self.began)
    }

    fn inherited(&self, image: &Image, images: &[Image], known: &HashMap<ImageId, &ImageDetail>) -> bool {
        if let Some(parent) = image.parent {
            return images.iter().find(|other| other.id == parent).is_none_or(|parent| parent.stamp() == *self.stamp);
        }
        let Some(own) = known.get(&image.id) else { return true };
        known.values().any(|other| {
            let older = own.layers.len() > other.layers.len() || other.created <= own.created;
            other.id != own.id && older && own.layers.starts_with(&other.layers) && !self.is_beside(other, images)
        })
    }

    /// Whether another target of the same bake has just made this one, by all its names.
    fn is_beside(&self, other: &ImageDetail, images: &[Image]) -> bool {
        let given = |tag: &Reference| self.beside.iter().any(|given| given.names_the_same(tag));
        let image = images.iter().find(|image| image.id == other.id && image.is_tagged());
        let is_theirs = image.is_some_and(|image| image.public_tags().all(given) && image.digests.is_empty());
        is_theirs && other.created.max(other.last_tagged).is_some_and(|came| came >= self.began)
    }
}

/// The build that BuildKit remembers as this one: it was asked for since then with the whole stamp, which nobody
/// inherits, and gave one of the names, or none where none was to be given. Of several each is one of this session, as of
/// two targets with one name: what is noted already is another one's, and who has the name now comes last.
pub(crate) fn remembered<'h>(
    history: impl Iterator<Item = &'h PastBuild>,
    stamp: &Stamp,
    tags: &[Reference],
    began: Timestamp,
    is_noted: impl Fn(&PastBuild) -> bool,
) -> Option<&'h PastBuild> {
    let gives = |past: &PastBuild| {
        let is_given = |name: &Reference| tags.iter().any(|tag| tag.names_the_same(name));
        if tags.is_empty() { past.named.is_empty() } else { past.named.iter().any(is_given) }
    };
    let is_it = |past: &&PastBuild| {
        let is_ours = stamp.is_whole() && past.stamp == *stamp && past.began >= began;
        is_ours && !past.wrote.is_empty() && gives(past)
    };
    history.filter(is_it).min_by_key(|past| (is_noted(past), past.ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{id, key};
    use crate::model::image_tests::image;

    const BEGAN: i64 = 1000;

    fn detail(n: u8, created: i64, layers: &[&str]) -> ImageDetail {
        ImageDetail {
            id: id(n),
            parent: None,
            tags: Vec::new(),
            digests: Vec::new(),
            created: Timestamp::from_second(created).ok(),
            labels: HashMap::new(),
            layers: layers.iter().map(ToString::to_string).collect(),
            container: None,
            last_tagged: None,
        }
    }

    fn found(images: &[Image], details: &[ImageDetail], recorded: &[u8]) -> Option<ImageId> {
        found_since(&[], images, details, recorded)
    }

    /// Where `app` meant these when the build began.
    fn found_since(before: &[u8], images: &[Image], details: &[ImageDetail], recorded: &[u8]) -> Option<ImageId> {
        let stamp = key("p", "s").into();
        let tags = [Reference::written("app").expect("a name")];
        let began = Timestamp::from_second(BEGAN).expect("a time");
        let beside = [Reference::written("beside").expect("a name")];
        let before: Vec<_> = before.iter().map(|n| (tags[0].clone(), id(*n))).collect();
        let lost =
            Lost { stamp: &stamp, tags: &tags, beside: &beside, began, before: &before, digest_means_travel: true };
        lost.result(images, details, |image| recorded.iter().any(|n| id(*n) == image))
    }

    #[test]
    fn the_result_of_a_build_that_was_killed_is_found_by_its_stamp() {
        let of = key("p", "s");
        for image in [image(1).stamp(&of).done(), image(1).stamp(&of).tag("app").done()] {
            assert_eq!(found(&[image], &[detail(1, BEGAN, &["a"])], &[]), Some(id(1)));
        }
    }

    #[test]
    fn whatever_speaks_against_it_is_enough() {
        let of = key("p", "s");
        let new = [detail(1, BEGAN, &["a"])];
        for (why, image) in [
            ("no stamp", image(1).done()),
            ("another session's", image(1).stamp(&key("p", "t")).done()),
            ("somebody named it", image(1).stamp(&of).tag("app").tag("theirs").done()),
            ("pulled", image(1).stamp(&of).tag("app").digest("app@sha256:1").done()),
        ] {
            assert_eq!(found(&[image], &new, &[]), None, "{why}");
        }
        let image = [image(1).stamp(&of).done()];
        assert_eq!(found(&image, &[detail(1, BEGAN - 1, &["a"])], &[]), None, "older than the build");
        assert_eq!(found(&image, &[], &[]), None, "gone meanwhile");
        assert_eq!(found(&image, &new, &[1]), None, "on record");
    }

    #[test]
    fn of_several_the_one_with_a_name_is_it_and_else_the_newest() {
        let of = key("p", "s");
        let created = |n, created| Image { created, ..image(n).stamp(&of).done() };
        let named = Image { created: 1, ..image(1).stamp(&of).tag("app").done() };
        let details = [detail(1, BEGAN, &["a"]), detail(2, BEGAN, &["b"]), detail(3, BEGAN, &["c"])];
        assert_eq!(found(&[named, created(2, 2), created(3, 3)], &details, &[]), Some(id(1)));
        assert_eq!(found(&[created(3, 3), created(2, 2)], &details, &[]), Some(id(3)));
    }

    #[test]
    fn what_came_out_of_the_cache_is_found_by_the_name_that_it_has_got() {
        let of = key("p", "s");
        let named = |at: i64| {
            let last_tagged = Timestamp::from_second(at).ok();
            [ImageDetail { last_tagged, ..detail(1, BEGAN - 900, &["a"]) }]
        };
        let tagged = || [image(1).stamp(&of).tag("app").done()];
        assert_eq!(found_since(&[], &tagged(), &named(BEGAN), &[]), Some(id(1)));
        assert_eq!(found_since(&[7], &tagged(), &named(BEGAN), &[]), Some(id(1)), "another one had it");
        assert_eq!(found_since(&[1], &tagged(), &named(BEGAN), &[]), None, "it had it itself");
        assert_eq!(found_since(&[], &tagged(), &named(BEGAN - 1), &[]), None, "named before");
        assert_eq!(found_since(&[], &tagged(), &[detail(1, BEGAN - 900, &["a"])], &[]), None, "nobody says when");
        assert_eq!(found_since(&[], &tagged(), &named(BEGAN), &[1]), None, "on record");
        assert_eq!(found_since(&[], &[image(1).stamp(&of).done()], &named(BEGAN), &[]), None, "it has no name");
        let others = [image(1).stamp(&of).tag("app").tag("theirs").done()];
        assert_eq!(found_since(&[], &others, &named(BEGAN), &[]), None, "somebody named it");
    }

    #[test]
    fn what_buildkit_remembers_is_known_by_its_stamp_and_the_names_it_gave() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let name = |text: &str| Reference::written(text).expect("a name");
        let past = |n: u8, names: &[&str]| PastBuild {
            id: n.to_string(),
            began: at(BEGAN),
            ended: Some(at(BEGAN + 1)),
            stamp: key("p", "s").into(),
            steps: None,
            wrote: vec![id(n)],
            named: names.iter().map(|text| name(text)).collect(),
        };
        let found = |history: &[PastBuild], tags: &[&str]| {
            let tags: Vec<_> = tags.iter().map(|text| name(text)).collect();
            let is_noted = |past: &PastBuild| past.id == "9";
            let found = remembered(history.iter(), &key("p", "s").into(), &tags, at(BEGAN), is_noted);
            found.map(|past| past.wrote.clone()).unwrap_or_default()
        };
        let app = || past(1, &["docker.io/library/app:latest"]);
        assert_eq!(found(&[app(), past(2, &["other"])], &["app", "x"]), [id(1)]);
        assert_eq!(found(&[past(9, &["app"])], &["app"]), [id(9)]);
        let later = PastBuild { ended: Some(at(BEGAN + 2)), ..app() };
        assert_eq!(found(&[past(9, &["app"]), later], &["app"]), [id(1)], "the other one is known");
        let later = PastBuild { ended: Some(at(BEGAN + 2)), ..past(2, &["app"]) };
        assert_eq!(found(&[later, app()], &["app"]), [id(1)], "what has the name now is the last target's");
        assert_eq!(found(&[PastBuild { wrote: Vec::new(), ..app() }], &["app"]), []);
        assert_eq!(found(&[past(1, &[])], &["app"]), [], "it gave none");
        assert_eq!(found(&[past(1, &[])], &[]), [id(1)], "it was to give none");
        assert_eq!(found(&[app()], &[]), [], "it gave one");
        assert_eq!(found(&[PastBuild { began: at(BEGAN - 1), ..app() }], &["app"]), [], "an older build");
        assert_eq!(found(&[PastBuild { stamp: key("p", "t").into(), ..app() }], &["app"]), [], "another session's");
        let half = Stamp { session: None, ..key("p", "s").into() };
        let of_half = [PastBuild { stamp: half.clone(), ..app() }];
        assert_eq!(remembered(of_half.iter(), &half, &[name("app")], at(BEGAN), |_| false), None);
    }

    #[test]
    fn half_a_stamp_finds_nothing() {
        let mut stamp: Stamp = key("p", "s").into();
        stamp.session = None;
        let mut half = image(1).stamp(&key("p", "s")).done();
        half.labels.remove(crate::model::SESSION_LABEL);
        let began = Timestamp::UNIX_EPOCH;
        let lost = Lost { stamp: &stamp, tags: &[], beside: &[], began, before: &[], digest_means_travel: false };
        assert_eq!(lost.result(&[half], &[detail(1, BEGAN, &["a"])], |_| false), None);
    }

    #[test]
    fn an_inherited_stamp_is_none_of_the_builds() {
        let of = key("p", "s");
        let (base, child) = (image(1).stamp(&of).tag("base").done(), image(2).stamp(&of).tag("app").done());
        let images = [base, child];
        let older = detail(1, BEGAN - 9, &["a"]);
        assert_eq!(found(&images, &[older.clone(), detail(2, BEGAN, &["a", "b"])], &[]), None);
        assert_eq!(found(&images, &[older.clone(), detail(2, BEGAN, &["a"])], &[]), None, "it has no layer of its own");
        assert_eq!(found(&images, &[older, detail(2, BEGAN, &["b"])], &[]), Some(id(2)), "no child of it");

        // The classic builder says what is built on what.
        let on = |parent| [parent, image(2).parent(1).stamp(&of).tag("app").done()];
        let details = [detail(1, BEGAN, &["a"]), detail(2, BEGAN, &["a"])];
        assert_eq!(found(&on(image(1).stamp(&of).tag("x").done()), &details, &[]), None);
        assert_eq!(found(&on(image(1).done()), &details, &[]), Some(id(2)), "here it got its stamp");
        assert_eq!(found(&on(image(3).done()), &details, &[]), None, "nobody can say from what");
    }

    #[test]
    fn what_another_target_of_the_bake_has_just_made_gave_it_nothing() {
        let of = key("p", "s");
        let own = || image(2).stamp(&of).tag("app").done();
        let details = |created| [detail(1, created, &["a"]), detail(2, BEGAN, &["a", "b"])];
        let images = [image(1).stamp(&of).tag("beside").done(), own()];
        assert_eq!(found(&images, &details(BEGAN), &[]), Some(id(2)));
        assert_eq!(found(&images, &details(BEGAN - 9), &[]), None, "it was there before");
        let images = [image(1).stamp(&of).tag("beside").tag("theirs").done(), own()];
        assert_eq!(found(&images, &details(BEGAN), &[]), None, "somebody named it");
        let images = [image(1).stamp(&of).done(), own()];
        assert_eq!(found(&images, &details(BEGAN), &[]), Some(id(1)), "nothing says who made that one");
    }

    #[test]
    fn what_a_stranger_built_on_it_since_does_not_hide_it() {
        let of = key("p", "s");
        let images = [image(1).stamp(&of).tag("app").done(), image(2).stamp(&of).tag("theirs").done()];
        let details = [detail(1, BEGAN, &["a"]), detail(2, BEGAN + 5, &["a"])];
        assert_eq!(found(&images, &details, &[]), Some(id(1)));
    }
}
