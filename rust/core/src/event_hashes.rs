//! The hashes of a tape's events for the digest: made where its rows lie side by side.

use crate::digest::{event_hash, pair_hash, price_word, size_word};
use crate::key::Kind;
use crate::loaded::LoadedTape;
use std::ops::Range;

/// The hashes of some of its events, for the digest, one column pair after the other.
pub fn event_hashes(tape: &LoadedTape, rows: Range<usize>, hashes: &mut [u64]) {
    let ts_ns = &tape.rows.ts_ns[rows.clone()];
    let fed = if tape.key.kind == Kind::Bar { 1 << 32 | 1 } else { 0 };
    for (place, (hash, &ts_ns)) in hashes.iter_mut().zip(ts_ns).enumerate() {
        let row = rows.start + place;
        let counts = tape.counts.as_ref().map_or(fed, |counts| {
            u64::from(counts.present[row] + counts.filled[row]) << 32 | u64::from(counts.expected[row])
        });
        let at_ns = tape.available.as_ref().map_or(ts_ns + tape.lag_ns, |available| available[row]);
        *hash = event_hash(tape.hash, ts_ns, at_ns, counts);
    }
    let column = |place: usize| &tape.rows.values[place][rows.clone()];
    match tape.key.kind {
        Kind::Bar => {
            add_pairs(hashes, 0, column(0), price_word, column(1), price_word);
            add_pairs(hashes, 1, column(2), price_word, column(3), price_word);
            add_pairs(hashes, 2, column(4), size_word, column(4), |_| 0);
        }
        Kind::Quote => {
            add_pairs(hashes, 0, column(0), price_word, column(1), price_word);
            add_pairs(hashes, 1, column(2), size_word, column(3), size_word);
        }
        Kind::Trade => add_pairs(hashes, 0, column(0), price_word, column(1), size_word),
        Kind::SessionClose | Kind::SessionOpen => {}
    }
}

/// Adds the hashes of a pair of columns.
fn add_pairs(
    hashes: &mut [u64],
    pair: usize,
    first: &[f64],
    first_word: impl Fn(f64) -> u64,
    second: &[f64],
    second_word: impl Fn(f64) -> u64,
) {
    for ((hash, &first), &second) in hashes.iter_mut().zip(first).zip(second) {
        *hash = hash.wrapping_add(pair_hash(pair, first_word(first), second_word(second)));
    }
}
