//! The hashes of rows for the digest, number after number: so nothing branches, and each step is done for several rows at a
//! time.

use crate::counts::FED;
use crate::digest::{
    counts_hash, finite_word, is_small_size, known_hash, number_hash, price_word, size_word, small_size_word,
    stamp_hash,
};
use crate::key::Kind;
use crate::loaded::LoadedTape;

/// The hash of one row.
pub(crate) fn row_hash(tape: &LoadedTape, row: usize) -> u64 {
    let mut hash = [0];
    key_hashes(tape, row, &tape.rows.ts_ns[row..=row], &[tape.available_ns(row)], &mut hash);
    for (number, column) in tape.rows.values.iter().enumerate() {
        add_number(tape.key.kind, number, &column[row..=row], &mut hash);
    }
    hash[0]
}

/// Writes the hashes of a tape's rows without their numbers. `first`: the first of the rows; their stamps and when they are
/// known are given.
pub(crate) fn key_hashes(tape: &LoadedTape, first: usize, ts_ns: &[i64], at_ns: &[i64], hashes: &mut [u64]) {
    let key = |ts_ns: i64, at_ns: i64| stamp_hash(tape.hash(), ts_ns).wrapping_add(known_hash(at_ns));
    let rows = hashes.iter_mut().zip(ts_ns.iter().zip(at_ns));
    if let Some(counts) = &tape.counts {
        let [present, expected, filled] = counts.columns().map(|column| &column[first..first + ts_ns.len()]);
        let counts = present.iter().zip(expected).zip(filled).map(|((&p, &e), &f)| counts_word([p, e, f]));
        for ((hash, (&ts_ns, &at_ns)), counts) in rows.zip(counts) {
            *hash = key(ts_ns, at_ns).wrapping_add(counts_hash(counts));
        }
    } else {
        let fed = counts_hash(if tape.key.kind == Kind::Bar { counts_word(FED) } else { 0 });
        for (hash, (&ts_ns, &at_ns)) in rows {
            *hash = key(ts_ns, at_ns).wrapping_add(fed);
        }
    }
}

/// Where a bar came from does not matter: those present and those filled in are one number.
fn counts_word([present, expected, filled]: [u32; 3]) -> u64 {
    (u64::from(present) + u64::from(filled)) << 32 | u64::from(expected)
}

/// Adds one number of each row to the hashes.
pub(crate) fn add_number(kind: Kind, number: usize, column: &[f64], hashes: &mut [u64]) {
    if number >= kind.prices() {
        if column.iter().fold(true, |all, &size| all & is_small_size(size)) {
            add_column(number, column, hashes, small_size_word);
        } else {
            add_column(number, column, hashes, size_word);
        }
    } else if kind == Kind::Quote {
        add_column(number, column, hashes, price_word); // a side may be absent
    } else {
        add_column(number, column, hashes, finite_word);
    }
}

fn add_column(number: usize, column: &[f64], hashes: &mut [u64], word: impl Fn(f64) -> u64) {
    for (hash, &value) in hashes.iter_mut().zip(column) {
        *hash = hash.wrapping_add(number_hash(number, word(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_hash_whatever_stands_beside_it() {
        let sizes = [100.0, (1_u64 << 60) as f64, 0.5];
        let mut hashes = [0; 3];
        add_number(Kind::Trade, 1, &sizes, &mut hashes);
        assert_eq!(hashes, sizes.map(|size| number_hash(1, size_word(size))));
        let mut alone = [0];
        add_number(Kind::Trade, 1, &sizes[..1], &mut alone);
        assert_eq!(alone, hashes[..1]);
    }
}
