//! The hashes of a window's events for the digest, made from its gathered columns.

use crate::digest::{event_hash, pair_hash, price_word, size_word};
use crate::key::Kind;
use crate::loaded::{Loaded, LoadedTape};
use crate::merge::Order;

/// What is the same for all events of a tape.
struct OfTape<'a> {
    hash: u64,
    kind: Kind,
    /// Only for derived bars.
    derived: Option<&'a LoadedTape>,
}

/// The hash of each event. `ts_ns` and `values` are the window's columns in the order of its events.
pub fn event_hashes(loaded: &Loaded, order: &Order, ts_ns: &[i64], values: &[&[f64]]) -> Vec<u64> {
    let of_tape = |tape| OfTape { hash: LoadedTape::hash(tape), kind: tape.key.kind, derived: derived(tape) };
    let tapes: Vec<OfTape<'_>> = loaded.tapes.iter().map(of_tape).collect();
    let hash = |event: usize| {
        let (tape, value) = (&tapes[order.lanes[event] as usize], |column: usize| values[column][event]);
        let counts = counts_word(tape, order.rows[event] as usize);
        let hash = event_hash(tape.hash, ts_ns[event], order.at_ns[event], counts);
        match tape.kind {
            Kind::Bar => hash
                .wrapping_add(pair_hash(0, price_word(value(0)), price_word(value(1))))
                .wrapping_add(pair_hash(1, price_word(value(2)), price_word(value(3))))
                .wrapping_add(pair_hash(2, size_word(value(4)), 0)),
            Kind::Quote => hash
                .wrapping_add(pair_hash(0, price_word(value(0)), price_word(value(1))))
                .wrapping_add(pair_hash(1, size_word(value(2)), size_word(value(3)))),
            Kind::Trade => hash.wrapping_add(pair_hash(0, price_word(value(0)), size_word(value(1)))),
            Kind::SessionClose | Kind::SessionOpen => hash,
        }
    };
    (0..order.len()).map(hash).collect()
}

fn derived(tape: &LoadedTape) -> Option<&LoadedTape> {
    Some(tape).filter(|tape| tape.counts.is_some())
}

/// Base bars present or filled, and expected: one of one for a bar that was fed.
fn counts_word(tape: &OfTape<'_>, row: usize) -> u64 {
    let counts = tape.derived.and_then(|derived| derived.counts.as_ref());
    match counts {
        Some(counts) => u64::from(counts.present[row] + counts.filled[row]) << 32 | u64::from(counts.expected[row]),
        None if tape.kind == Kind::Bar => 1 << 32 | 1,
        None => 0,
    }
}
