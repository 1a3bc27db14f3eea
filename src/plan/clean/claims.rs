//! Whose an image is: what the ledger says of it, and the two doors for what it does not know.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::given::GivenNames;
use super::inherited::StampGivers;
use super::loan_index::LoanIndex;
use super::look::{CleanLook, CleanPolicy, builds_in, covers, is_meant};
use crate::model::{Build, GoesOn, Holder, Image, ImageId, KeptReason, LeftTo, Reference, Scope, SessionKey};

/// What the builds in the scope have to say of an image.
pub(super) struct Claim<'a> {
    image: ImageId,
    builds: Vec<&'a Build>,
    elsewhere: Vec<&'a Build>,
    given: GivenNames<'a>,
    given_elsewhere: GivenNames<'a>,
    /// When dkb last built it.
    pub(super) at: Timestamp,
    pub(super) intermediate: bool,
    /// It came in by one of the doors: no build is on record.
    pub(super) adopted: bool,
    /// A line that is lost may say otherwise, and no door is open.
    pub(super) doubted: bool,
    /// Builds outside the scope claim it too.
    pub(super) shared_with: Option<(KeptReason, Vec<Holder>)>,
}

impl Claim<'_> {
    /// Whether a build in the scope, and no other, gave the image this name.
    pub(super) fn gave(&self, tag: &Reference) -> bool {
        self.given.has(tag) && !self.given_elsewhere.has(tag)
    }

    /// Whether a build outside the scope gave the image this name, whoever else did.
    pub(super) fn is_given_elsewhere(&self, tag: &Reference) -> bool {
        self.given_elsewhere.has(tag)
    }

    /// By each session in the scope, to the last of those outside it that built it.
    pub(super) fn left_to_others(&self) -> Vec<LeftTo> {
        let Some(to) = self.elsewhere.last().map(|build| &build.of) else { return Vec::new() };
        let of: BTreeSet<&SessionKey> = self.sessions().collect();
        of.into_iter().map(|of| LeftTo { of: of.clone(), to: to.clone(), image: self.image }).collect()
    }

    /// The sessions in the scope that built it.
    pub(super) fn sessions(&self) -> impl Iterator<Item = &SessionKey> {
        self.builds.iter().map(|build| &build.of)
    }

    /// Whether a build in the scope named it in this repository.
    pub(super) fn named(&self, repository: &str) -> bool {
        let Some(wanted) = Reference::written(repository) else { return false };
        let is_it = |tag: &Reference| tag.canonical().repository() == wanted.canonical().repository();
        let ends_in_it = self.builds.iter().filter(|build| build.result == Some(self.image));
        ends_in_it.flat_map(|build| &build.tags).any(is_it)
    }
}

/// Whether the ledger has never heard of the session of the CI job that this process is in.
fn is_unheard_of(look: &CleanLook) -> bool {
    let key = &look.here.key;
    // One with lines that are lost may have heard of any.
    let unknown = !look.books.damaged && !look.books.sessions.contains_key(key);
    look.here.by_ci && !key.session.is_local() && unknown
}

fn believes_stamps(policy: &CleanPolicy) -> bool {
    policy.trust_stamp && policy.scope != Scope::All
}

/// Whether one of the two doors may be open to anything.
pub(super) fn may_let_in(look: &CleanLook, policy: &CleanPolicy) -> bool {
    is_unheard_of(look) || believes_stamps(policy)
}

pub(super) enum Standing<'c, 'a> {
    /// Neither recorded nor stamped: none of our business, and not worth a line.
    Unseen,
    NotOurs(KeptReason, Vec<Holder>),
    Ours(&'c Claim<'a>),
}

pub(super) struct Claims<'a> {
    pub(super) look: &'a CleanLook<'a>,
    pub(super) policy: &'a CleanPolicy,
    givers: StampGivers<'a>,
    in_scope: HashMap<ImageId, Claim<'a>>,
    images: HashMap<ImageId, &'a Image>,
    /// Most often nobody took anything.
    loans: OnceCell<LoanIndex<'a>>,
    ends: OnceCell<HashSet<&'a SessionKey>>,
    /// What `loans` has found, which many of its questions hang on.
    pub(super) lent: OnceCell<HashSet<ImageId>>,
    pub(super) free: OnceCell<HashSet<ImageId>>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(look: &'a CleanLook<'a>, policy: &'a CleanPolicy) -> Self {
        let images = look.snapshot.images.iter().map(|image| (image.id, image)).collect();
        let (givers, in_scope) = (StampGivers::new(look), HashMap::new());
        let mut claims = Self {
            look,
            policy,
            givers,
            in_scope,
            images,
            loans: OnceCell::new(),
            ends: OnceCell::new(),
            lent: OnceCell::new(),
            free: OnceCell::new(),
        };
        for image in &look.snapshot.images {
            if let Some(claim) = claims.recorded_claim(image).or_else(|| claims.adopted_claim(image)) {
                claims.in_scope.insert(image.id, claim);
            }
        }
        claims
    }

    pub(super) fn standing(&self, image: &Image) -> Standing<'_, 'a> {
        if let Some(claim) = self.in_scope.get(&image.id) {
            return Standing::Ours(claim);
        }
        if let Some(build) = self.builds(image.id).next_back() {
            let (reason, holders) = self.why_not(build);
            return Standing::NotOurs(reason, holders);
        }
        let stamp = image.stamp();
        if stamp.is_none() {
            return Standing::Unseen;
        }
        Standing::NotOurs(self.evidence(image).unwrap_or(KeptReason::Unrecorded), Vec::new())
    }

    pub(super) fn in_scope(&self, id: ImageId) -> Option<&Claim<'a>> {
        self.in_scope.get(&id)
    }

    pub(super) fn is_recorded(&self, id: ImageId) -> bool {
        self.look.books.has(id)
    }

    /// Whether the ledger's word on an image is all that it takes.
    pub(super) fn is_sure(&self, id: ImageId) -> bool {
        self.is_recorded(id) && !self.look.books.is_doubted(id)
    }

    /// The image of this ID, where it was seen.
    pub(super) fn image(&self, id: ImageId) -> Option<&'a Image> {
        self.images.get(&id).copied()
    }

    pub(super) fn loans(&self) -> &LoanIndex<'a> {
        self.loans.get_or_init(|| LoanIndex::new(self.look))
    }

    /// The sessions that this clean ends: one that leaves them their tags, but at their own end, does not. Nor does any
    /// where a build of theirs still runs: docker may have moved the tag, and nobody has noted yet from where.
    pub(super) fn ends(&self) -> &HashSet<&'a SessionKey> {
        self.ends.get_or_init(|| {
            let Self { look, policy, .. } = *self;
            let ends = policy.ends_sessions() && (policy.tags || policy.stops);
            let keys = look.books.sessions.keys().filter(|key| ends && !builds_in(look.running, key));
            keys.filter(|key| self.is_covered(key)).collect()
        })
    }

    /// The builds on record for an image.
    pub(super) fn builds(&self, id: ImageId) -> impl DoubleEndedIterator<Item = &'a Build> + Clone + use<'a> {
        self.look.books.claims(id)
    }

    fn recorded_claim(&self, image: &Image) -> Option<Claim<'a>> {
        let (builds, elsewhere): (Vec<&Build>, Vec<&Build>) = self
            .builds(image.id)
            .partition(|build| self.is_covered(&build.of) && self.policy.is_about(build.compose.as_ref()));
        let at = builds.iter().map(|build| build.at).max()?;
        Some(Claim {
            image: image.id,
            intermediate: builds.iter().all(|build| build.result != Some(image.id)),
            shared_with: elsewhere.last().map(|build| self.shared_with(build)),
            at,
            adopted: false,
            given: GivenNames::new(image.id, builds.iter().copied()),
            given_elsewhere: GivenNames::new(image.id, elsewhere.iter().copied()),
            doubted: !self.is_sure(image.id) && !self.is_let_in(image),
            builds,
            elsewhere,
        })
    }

    fn adopted_claim(&self, image: &Image) -> Option<Claim<'a>> {
        (!self.is_recorded(image.id) && self.is_let_in(image)).then(|| Claim {
            image: image.id,
            builds: Vec::new(),
            elsewhere: Vec::new(),
            given: GivenNames::new(image.id, []),
            given_elsewhere: GivenNames::new(image.id, []),
            at: Timestamp::from_second(image.created).unwrap_or(Timestamp::MAX),
            intermediate: false,
            adopted: true,
            doubted: false,
            shared_with: None,
        })
    }

    /// The two doors. Both ask for the stamp of a session in the scope, and for no evidence against it.
    fn is_let_in(&self, image: &Image) -> bool {
        // No stamp says for which of compose's projects it was built.
        if self.policy.compose.is_some() {
            return false;
        }
        let stamp = image.stamp();
        let (Some(project), Some(session), false) = (stamp.project, stamp.session, image.is_tagged()) else {
            return false;
        };
        let key = SessionKey { project, session };
        let first = key == self.look.here.key && is_unheard_of(self.look) && image.digests.is_empty();
        let second = believes_stamps(self.policy) && self.look.reaches_by_stamp(&key);
        let covered = match &self.policy.scope {
            Scope::Project { project } => key.project == *project,
            Scope::Session(session) => key == *session,
            Scope::Stale { .. } => false,
            Scope::All => first,
        };
        (first || second) && covered && !self.look.is_others(&key) && self.evidence(image).is_none()
    }

    /// What speaks against a stamp: the image was pulled, or it inherited the stamp from another image.
    fn evidence(&self, image: &Image) -> Option<KeptReason> {
        // A digest that stands alone was pushed or pulled under, whatever engine it is.
        if !image.digests.is_empty() {
            return Some(KeptReason::Pulled);
        }
        self.givers.gave_to(image).then_some(KeptReason::Inherited)
    }

    /// Whether the scope reaches what a session built.
    fn is_covered(&self, key: &SessionKey) -> bool {
        covers(self.look, self.policy, key) && !self.look.is_others(key)
    }

    /// Why what a build made is not in the scope, and the session, where it goes on.
    fn why_not(&self, build: &Build) -> (KeptReason, Vec<Holder>) {
        let key = &build.of;
        let reason = if self.policy.scope.project().is_some_and(|project| *project != key.project) {
            KeptReason::OtherProject
        } else if self.policy.scope != Scope::All && is_meant(self.look, self.policy, key) && !self.look.reaches(key) {
            KeptReason::OtherCopy
        } else if self.look.is_others(key) {
            KeptReason::SessionAlive
        } else if self.is_covered(key) {
            KeptReason::OtherCompose
        } else if let Some(goes_on) = self.goes_on(key) {
            let reason = match goes_on {
                GoesOn::Built { .. } | GoesOn::Runs => KeptReason::MayBeAtWork,
                GoesOn::Asks | GoesOn::HasNoEnd | GoesOn::Unsaid => KeptReason::NotOver,
            };
            return (reason, vec![Holder::Session { name: key.session.clone(), goes_on }]);
        } else {
            KeptReason::OtherSession
        };
        (reason, Vec::new())
    }

    /// Why what another session built too stays, and who that is.
    fn shared_with(&self, build: &Build) -> (KeptReason, Vec<Holder>) {
        let (key, (reason, mut holders)) = (&build.of, self.why_not(build));
        if holders.is_empty() {
            let who = match (reason, &build.compose) {
                (KeptReason::OtherProject, _) => &key.project,
                (KeptReason::OtherCompose, Some(compose)) => compose,
                _ => &key.session,
            };
            holders.push(Holder::Maker(who.clone()));
        }
        (reason, holders)
    }

    /// Only what is over is asked for, and this session is not.
    fn goes_on(&self, key: &SessionKey) -> Option<GoesOn> {
        let asked = matches!(self.policy.scope, Scope::Stale { .. });
        let entry = self.look.books.sessions.get(key).filter(|_| asked)?;
        self.look.goes_on(entry, self.policy.stale_after)
    }
}
