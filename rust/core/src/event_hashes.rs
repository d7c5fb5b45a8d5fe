//! The hashes of events for the digest, tape by tape: what is the same for all rows of a tape is looked up once, and the
//! rows follow each other without a branch.

use crate::digest::{event_hash, finite_word, pair_hash, price_word, size_word};
use crate::key::Kind;
use crate::loaded::LoadedTape;
use std::ops::Range;

/// Appends the hash of each of a tape's rows.
pub(crate) fn row_hashes(tape: &LoadedTape, rows: Range<usize>, hashes: &mut Vec<u64>) {
    let lag_ns = tape.lag_ns;
    // One base bar of one for a bar that was fed.
    let fed = if tape.key.kind == Kind::Bar { 1 << 32 | 1 } else { 0 };
    match (&tape.available, &tape.counts) {
        (None, None) => of_rows(tape, rows, hashes, |_, ts_ns| (ts_ns.wrapping_add(lag_ns), fed)),
        (_, counts) => of_rows(tape, rows, hashes, |row, _| {
            let counts = counts.as_ref().map_or(fed, |counts| {
                u64::from(counts.present[row] + counts.filled[row]) << 32 | u64::from(counts.expected[row])
            });
            (tape.available_ns(row), counts)
        }),
    }
}

/// `known` tells of a row and its stamp when it is known, and its counts: base bars present or filled, and expected.
fn of_rows(tape: &LoadedTape, rows: Range<usize>, hashes: &mut Vec<u64>, known: impl Fn(usize, i64) -> (i64, u64)) {
    let key = |row: usize, ts_ns: i64| {
        let (at_ns, counts) = known(row, ts_ns);
        event_hash(tape.hash(), ts_ns, at_ns, counts)
    };
    let column = |number: usize| tape.rows.values[number][rows.clone()].iter();
    let keyed = rows.clone().zip(&tape.rows.ts_ns[rows.clone()]).map(|(row, &ts_ns)| key(row, ts_ns));
    match tape.key.kind {
        Kind::Bar => {
            let numbers = keyed.zip(column(0)).zip(column(1)).zip(column(2)).zip(column(3)).zip(column(4));
            hashes.extend(numbers.map(|(((((key, &open), &high), &low), &close), &volume)| {
                key.wrapping_add(pair_hash(0, finite_word(open), finite_word(high)))
                    .wrapping_add(pair_hash(1, finite_word(low), finite_word(close)))
                    .wrapping_add(pair_hash(2, size_word(volume), 0))
            }));
        }
        Kind::Quote => {
            let numbers = keyed.zip(column(0)).zip(column(1)).zip(column(2)).zip(column(3));
            hashes.extend(numbers.map(|((((key, &bid), &ask), &bid_size), &ask_size)| {
                key.wrapping_add(pair_hash(0, price_word(bid), price_word(ask))).wrapping_add(pair_hash(
                    1,
                    size_word(bid_size),
                    size_word(ask_size),
                ))
            }));
        }
        Kind::Trade => {
            let numbers = keyed.zip(column(0)).zip(column(1));
            hashes.extend(
                numbers
                    .map(|((key, &price), &size)| key.wrapping_add(pair_hash(0, finite_word(price), size_word(size)))),
            );
        }
        Kind::SessionClose | Kind::SessionOpen => hashes.extend(keyed),
    }
}
