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

/// A place among so many values needs no check: the loop takes half as long.
const FEW: usize = 1 << 12;

/// One value a tape, spread over a range of events.
pub fn spread<T: ArrowNativeType>(
    order: &Order,
    events: Range<usize>,
    by_tape: &[T],
    room: &mut Room,
) -> ScalarBuffer<T> {
    let lanes = &order.lanes[events];
    let mut few = [T::default(); FEW];
    room.written(lanes.len(), |own| {
        let rows = own.iter_mut().zip(lanes);
        if let Some(known) = few.get_mut(..by_tape.len()) {
            known.copy_from_slice(by_tape);
            rows.for_each(|(own, &lane)| *own = few[lane as usize % FEW]);
        } else {
            rows.for_each(|(own, &lane)| *own = by_tape[lane as usize]);
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
    fn each_event_gets_its_own_row_and_a_tape_without_the_column_the_default() {
        let order =
            Order { lanes: vec![0, 1, 0, 2].into(), rows: vec![0, 0, 1, 5].into(), at_ns: vec![1, 1, 2, 3].into() };
        assert_eq!(gather(&order, 0..4, &[&[1.0, 2.0], &[], &[0.0; 6]]), [1.0, 0.0, 2.0, 0.0]);
        assert_eq!(gather(&order, 2..3, &[&[1.0, 2.0], &[], &[]]), [2.0]);
        for tapes in [3, FEW, FEW + 1] {
            let by_tape: Vec<i64> = (10..).take(tapes).collect();
            assert_eq!(*spread(&order, 1..4, &by_tape, &mut Room::default()), [11, 10, 12], "{tapes} tapes");
        }
    }
}
