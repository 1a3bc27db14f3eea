//! Which of two engines with one ID this is.

use crate::engine::Engine;
use crate::model::short_hash;

/// What tells the way to this engine from the way to a copy of it, or to the same one after a new start.
pub(crate) fn home(engine: &impl Engine) -> String {
    let endpoint = engine.endpoint();
    short_hash(&[&endpoint.socket_mark().unwrap_or_else(|| endpoint.to_string())])
}
