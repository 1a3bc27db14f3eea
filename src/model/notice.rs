//! What a look finds that is no failure, for whoever shows it.

use std::path::PathBuf;

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
