//! How far two words are apart, for whoever may have meant the other.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

/// How far apart two words are, where the one may be a slip of the pen for the other: at most a third of it is
/// typed otherwise.
pub fn slip(typed: &str, meant: &str) -> Option<usize> {
    let apart = distance(typed, meant);
    (apart <= meant.len().div_ceil(3)).then_some(apart)
}

/// How many letters to change, add or drop (Levenshtein), a row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().collect();
    let mut row: Vec<_> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
