//! A symbol's bars of one interval as they are known: those of its tape with what came late and what was made up.

use crate::key::Kind;
use crate::loaded::{Counts, Loaded, LoadedTape, Part, SymbolTapes};
use crate::mark::Mark;
use crate::rows::Rows;
use arrow_buffer::ScalarBuffer;
use std::collections::BTreeMap;

/// Bars of one interval, one a stamp: the last version that is known of each.
#[derive(Debug)]
pub struct Known {
    /// The bars, ascending by stamp.
    pub rows: Rows,
    /// When each was known.
    pub available: ScalarBuffer<i64>,
    /// What each was made from.
    pub counts: Counts,
}

/// The bars of an interval with those of the tapes beside it; `None` where nothing of these is visible, so that the
/// tape itself tells all.
pub fn known_bars(loaded: &Loaded, mark: &Mark, symbol: &SymbolTapes, interval_ns: i64) -> Option<Known> {
    let (&own, beside) = (symbol.bars.get(&interval_ns)?, symbol.beside.get(&interval_ns)?);
    if beside.iter().all(|&tape| mark.visible(loaded, tape) == 0) {
        return None;
    }
    // A flat bar gives way to any other, and a bar to its revision.
    let (flat, late): (Vec<usize>, Vec<usize>) =
        beside.iter().partition(|&&tape| loaded.tapes[tape].part == Part::Flat);
    let mut last: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
    for tape in flat.into_iter().chain([own]).chain(late) {
        let rows = 0..mark.visible(loaded, tape);
        last.extend(rows.map(|row| (loaded.tapes[tape].rows.ts_ns[row], (tape, row))));
    }
    let places: Vec<(&LoadedTape, usize)> = last.values().map(|&(tape, row)| (&loaded.tapes[tape], row)).collect();
    let count = |place: usize| places.iter().map(|(tape, row)| tape.counts_of(*row)[place]).collect();
    let column = |number: usize| places.iter().map(|(tape, row)| tape.rows.values[number][*row]).collect();
    Some(Known {
        rows: Rows::new(
            Kind::Bar,
            last.keys().copied().collect(),
            (0..Kind::Bar.columns().len()).map(column).collect(),
        ),
        available: places.iter().map(|(tape, row)| tape.available_ns(*row)).collect(),
        counts: Counts { present: count(0), expected: count(1), filled: count(2) },
    })
}
