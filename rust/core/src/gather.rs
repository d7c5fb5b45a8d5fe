//! Columns of merged events: for each event of an order, one value of its tape.

use crate::loaded::{Counts, Loaded, LoadedTape};
use crate::merge::Order;
use crate::window::Window;
use arrow_buffer::ScalarBuffer;
use std::ops::Range;

/// One column of a range of events. `columns` holds each tape's values; a tape without this column has an empty
/// slice, and its events get the default.
pub fn gather<T: Copy + Default>(order: &Order, events: Range<usize>, columns: &[&[T]]) -> Vec<T> {
    let (lanes, rows) = (&order.lanes[events.clone()], &order.rows[events]);
    let value = |(&lane, &row): (&u32, &u32)| columns[lane as usize].get(row as usize).copied().unwrap_or_default();
    lanes.iter().zip(rows).map(value).collect()
}

/// One value a tape, spread over a range of events.
pub fn spread<T: Copy>(order: &Order, events: Range<usize>, by_tape: &[T]) -> Vec<T> {
    order.lanes[events].iter().map(|&lane| by_tape[lane as usize]).collect()
}

/// Base bars of each of a range of events; `None` where each is a bar that was fed.
pub fn counts(window: &Window, events: Range<usize>) -> Option<Counts> {
    let is_counted = |tape: &LoadedTape| tape.counts.is_some() || tape.rows.filled.is_some();
    let tapes = &window.loaded.tapes;
    let counted: Vec<Option<&LoadedTape>> =
        tapes.iter().map(|tape| Some(tape).filter(|tape| is_counted(tape))).collect();
    if counted.iter().all(Option::is_none) {
        return None;
    }
    let len = events.len();
    let (mut present, mut expected, mut filled) = (vec![1; len], vec![1; len], vec![0; len]);
    let rows = &window.order.rows[events.clone()];
    for (event, (&lane, &row)) in window.order.lanes[events].iter().zip(rows).enumerate() {
        let Some(tape) = counted[lane as usize] else {
            continue;
        };
        let row = row as usize;
        if let Some(counts) = &tape.counts {
            (present[event], expected[event]) = (counts.present[row], counts.expected[row]);
            filled[event] = counts.filled[row];
        } else if tape.rows.is_filled(row) {
            (present[event], filled[event]) = (0, 1);
        }
    }
    Some(Counts { present: present.into(), expected: expected.into(), filled: filled.into() })
}

/// The place of each tape's symbol among the session's symbols; 0 where it has none.
pub fn symbol_ids(loaded: &Loaded) -> Vec<u32> {
    let mut ids = vec![0; loaded.tapes.len()];
    for (id, own) in loaded.symbols.values().enumerate() {
        for &tape in own.bars.values().chain(&own.quotes).chain(&own.trades) {
            ids[tape] = id as u32;
        }
    }
    ids
}

/// A slice of a buffer, or an empty slice.
pub fn slice_or_empty<T: arrow_buffer::ArrowNativeType>(column: Option<&ScalarBuffer<T>>) -> &[T] {
    column.map_or(&[], |column| column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_gets_its_own_row_and_a_tape_without_the_column_the_default() {
        let order =
            Order { lanes: vec![0, 1, 0, 2].into(), rows: vec![0, 0, 1, 5].into(), at_ns: vec![1, 1, 2, 3].into() };
        assert_eq!(gather(&order, 0..4, &[&[1.0, 2.0], &[], &[0.0; 6]]), [1.0, 0.0, 2.0, 0.0]);
        assert_eq!(gather(&order, 2..3, &[&[1.0, 2.0], &[], &[]]), [2.0]);
        assert_eq!(spread(&order, 1..4, &['a', 'b', 'c']), ['b', 'a', 'c']);
    }
}
