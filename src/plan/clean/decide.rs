//! Each image by itself, before it is asked what is built on what.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::claims::{Claims, Standing};
use super::look::{CleanLook, CleanPolicy};
use super::rules::{CleanRules, Verdict, tag_reason};
use super::steps::{self, Going, Return};
use crate::model::{ImageId, Kept, KeptReason, LeftTo, Reference, Stays, Step};

/// What each image comes to, before it is asked what is built on what.
pub(super) struct Decided<'a> {
    pub(super) going: HashMap<ImageId, Going<'a>>,
    pub(super) kept: HashMap<ImageId, Kept>,
    pub(super) untags: Vec<Step>,
    pub(super) returns: BTreeMap<Reference, Return>,
    pub(super) waiting: HashSet<ImageId>,
    pub(super) left_to_others: Vec<LeftTo>,
}

pub(super) fn decide<'a>(look: &'a CleanLook<'a>, policy: &'a CleanPolicy, claims: &Claims) -> Decided<'a> {
    let rules = CleanRules::new(look, policy, claims);
    let mut going: HashMap<ImageId, Going> = HashMap::new();
    let mut kept: HashMap<ImageId, Kept> = HashMap::new();
    let (mut untags, mut left_to_others) = (Vec::new(), Vec::new());
    for image in &look.snapshot.images {
        match claims.standing(image) {
            Standing::Unseen => {}
            Standing::NotOurs(reason, holders) => {
                kept.insert(image.id, steps::keep(image, reason, holders));
            }
            Standing::Ours(claim) => match rules.verdict(image, claim) {
                Verdict::Go(found) => {
                    going.insert(image.id, found);
                }
                Verdict::Keep { reason, holders, untag } => {
                    kept.insert(image.id, steps::keep(image, reason, holders));
                    if rules.is_left(image, claim) {
                        left_to_others.extend(claim.left_to_others());
                    }
                    untags.extend(untag.iter().map(|tag| steps::untag_step(image, tag, tag_reason(policy))));
                }
            },
        }
    }
    // Its session is not over before the tag has come back, whatever else keeps it.
    for image in look.snapshot.images.iter().filter(|image| rules.waiting.contains(&image.id)) {
        if kept.get(&image.id).is_none_or(|kept| kept.reason.stays() < Stays::Now) {
            kept.insert(image.id, steps::keep(image, KeptReason::Lent, Vec::new()));
        }
    }
    Decided { going, kept, untags, returns: rules.returns, waiting: rules.waiting, left_to_others }
}
