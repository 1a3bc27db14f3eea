//! Short names for long words, which can't be read back.

use sha2::{Digest, Sha256};

/// Sixteen hex digits that stand for these words; the words cannot run into each other.
pub fn short_hash(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.len().to_le_bytes());
        hash.update(word.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}
