//! Columns of merged events: for each event of an order, one value of its tape.

use crate::loaded::Loaded;
use crate::merge::Order;
use crate::room::Room;
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use std::ops::Range;

/// One column of a range of events. `columns` holds each tape's values; a tape without this column has an empty
/// slice, and its events get the default.
pub fn gather<T: Copy + Default>(order: &Order, events: Range<usize>, columns: &[&[T]]) -> Vec<T> {
    let (lanes, rows) = (&order.lanes[events.clone()], &order.rows[events]);
    let value = |(&lane, &row): (&u32, &u32)| columns[lane as usize].get(row as usize).copied().unwrap_or_default();
    lanes.iter().zip(rows).map(value).collect()
}

/// A place among so many values needs no check, and without one a loop over many events has fewer instructions.
const FEW: usize = 1 << 12;

/// One value a tape, spread over a range of events.
pub fn spread<T: ArrowNativeType>(
    order: &Order,
    events: Range<usize>,
    by_tape: &[T],
    room: &mut Room,
) -> ScalarBuffer<T> {
    let lanes = &order.lanes[events];
    room.written(lanes.len(), |own| {
        let rows = own.iter_mut().zip(lanes);
        if lanes.len() < FEW || by_tape.len() > FEW {
            rows.for_each(|(own, &lane)| *own = by_tape[lane as usize]);
        } else {
            let mut few = [T::default(); FEW];
            few[..by_tape.len()].copy_from_slice(by_tape);
            rows.for_each(|(own, &lane)| *own = few[lane as usize % FEW]);
        }
    })
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
    fn each_event_gets_the_value_of_its_tape_however_many_there_are() {
        for (tapes, events) in [(3, 9), (3, FEW + 9), (FEW, FEW + 9), (FEW + 1, FEW + 9)] {
            let lanes: Vec<u32> = (0..events as u32).map(|event| event * 7 % tapes as u32).collect();
            let (by_tape, zeros): (Vec<i64>, Vec<u32>) = ((10..).take(tapes).collect(), vec![0; events]);
            let order = Order { rows: zeros.into(), at_ns: vec![0; events].into(), lanes: lanes.clone().into() };
            let expected: Vec<i64> = lanes[2..].iter().map(|&lane| i64::from(lane) + 10).collect();
            let found = spread(&order, 2..events, &by_tape, &mut Room::default());
            assert!(*found == expected, "{tapes} tapes, {events} events");
        }
    }

    #[test]
    fn each_event_gets_its_own_row_and_a_tape_without_the_column_the_default() {
        let order =
            Order { lanes: vec![0, 1, 0, 2].into(), rows: vec![0, 0, 1, 5].into(), at_ns: vec![1, 1, 2, 3].into() };
        assert_eq!(gather(&order, 0..4, &[&[1.0, 2.0], &[], &[0.0; 6]]), [1.0, 0.0, 2.0, 0.0]);
        assert_eq!(gather(&order, 2..3, &[&[1.0, 2.0], &[], &[]]), [2.0]);
        assert_eq!(*spread(&order, 1..4, &[10, 20, 30], &mut Room::default()), [20, 10, 30]);
    }
}
