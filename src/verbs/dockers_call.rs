//! A call of a verb that is docker's own, by whatever name dkb was called.

use crate::app::App;
use crate::cli::{BuildFlags, DockersVerb};

pub(super) struct DockersCall {
    pub(super) app: App,
    pub(super) verb: DockersVerb,
    pub(super) flags: BuildFlags,
}
