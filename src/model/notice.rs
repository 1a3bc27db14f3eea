//! What a look finds that is no failure, for whoever shows it.

use std::path::PathBuf;

use super::Kind;
use crate::error::Error;

#[derive(Debug)]
pub enum Notice {
    /// So many lines of this ledger can't be read.
    Damaged { lines: usize, ledger: PathBuf },
    /// So many recorded images are not on this engine, and nothing says that they were deleted.
    Missed(usize),
    /// The ledger could not be written.
    Unwritten(Error),
    /// The history could not be written.
    Unremembered(Error),
    /// Builds run beside those that ended last, so whose their cache is can't be told yet.
    CacheWaits,
}

/// What a look at a host can't do or find out of one kind, which is no failure of that kind.
#[derive(Debug)]
pub enum Gap {
    /// The engine has no calls for its build cache.
    NoCacheCalls,
    /// When images without a credible date were first seen could not be read or noted.
    Undated(Error),
    /// How large volumes are.
    Unmeasured(Error),
}

impl Gap {
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NoCacheCalls => Kind::BuildCache,
            Self::Undated(_) => Kind::Image,
            Self::Unmeasured(_) => Kind::Volume,
        }
    }
}
