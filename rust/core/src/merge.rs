//! The order of many sorted tapes (C1): by time, then by the tapes' own order, then by row.
//!
//! Two ways, one answer. Tapes that share a grid (bars) are *counted* into its slots, see `grid.rs`: nothing is compared.
//! Rows of others (quotes, trades) are dealt into short *buckets* of time, and each bucket is sorted, see `buckets.rs`.

use crate::buckets::by_buckets;
use crate::room::Room;
use crate::tiles::Tiles;
use arrow_buffer::ScalarBuffer;

/// One tape's part in a merge: rows `from..to` of sorted stamps, each known `lag_ns` after its stamp.
#[derive(Debug, Clone, Copy)]
pub struct Lane<'a> {
    /// Stamps of the whole tape, ascending.
    pub stamps_ns: &'a [i64],
    /// How long after its stamp a row is known.
    pub lag_ns: i64,
    /// Each stamp is so much later than the one before, or more; 0 where no such step is known.
    pub step_ns: i64,
    /// The first row to merge.
    pub from: usize,
    /// The first row not to merge.
    pub to: usize,
}

impl<'a> Lane<'a> {
    /// How many rows are to be merged.
    pub const fn rows(&self) -> usize {
        self.to - self.from
    }

    /// Their stamps.
    pub fn stamps(&self) -> &'a [i64] {
        &self.stamps_ns[self.from..self.to]
    }

    pub(crate) fn at(&self, row: usize) -> i64 {
        self.stamps_ns[row] + self.lag_ns
    }

    /// How many of the rows are known before a time.
    pub(crate) fn known_before(&self, at_ns: i64) -> usize {
        self.stamps().partition_point(|&ts| ts.wrapping_add(self.lag_ns) < at_ns)
    }
}

/// When the first row of some lanes is known, and the last one; `None` where there is none.
pub(crate) fn ends(lanes: &[Lane<'_>]) -> Option<(i64, i64)> {
    let present = || lanes.iter().filter(|lane| lane.rows() > 0);
    let start_ns = present().map(|lane| lane.at(lane.from)).min()?;
    let end_ns = present().map(|lane| lane.at(lane.to - 1)).max()?;
    Some((start_ns, end_ns))
}

/// The merged order: for each event its lane, its row in that lane, and when it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Number of the lane in the slice that was merged.
    pub lanes: ScalarBuffer<u32>,
    /// Row in the lane.
    pub rows: ScalarBuffer<u32>,
    /// When the event is known, ascending.
    pub at_ns: ScalarBuffer<i64>,
}

impl Order {
    /// How many events.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

/// Where an order is written to: one place for each row of the lanes that are merged.
pub(crate) struct Places<'a> {
    pub(crate) lanes: &'a mut [u32],
    pub(crate) rows: &'a mut [u32],
    pub(crate) at_ns: &'a mut [i64],
}

/// The stable order of all rows in the lanes, in memory of earlier orders that nobody looks at any more.
pub fn merge(lanes: &[Lane<'_>], room: &mut Room) -> Order {
    let rows = lanes.iter().map(Lane::rows).sum();
    let (mut numbers, mut own_rows) = (room.column::<u32>(rows), room.column::<u32>(rows));
    let mut at_ns = room.column::<i64>(rows);
    let places = Places { lanes: numbers.values(), rows: own_rows.values(), at_ns: at_ns.values() };
    put_in_order(lanes, places, &mut Tiles::default());
    let mut memory = Vec::with_capacity(3);
    let order =
        Order { lanes: numbers.done(&mut memory), rows: own_rows.done(&mut memory), at_ns: at_ns.done(&mut memory) };
    room.keep(memory);
    order
}

fn put_in_order(lanes: &[Lane<'_>], places: Places<'_>, tiles: &mut Tiles) {
    if tiles.are_on_grid(lanes) {
        tiles.order(lanes, places);
    } else {
        by_buckets(lanes, places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::TILE_ROWS;
    use proptest::prelude::*;

    fn lanes<'a>(columns: &'a [Vec<i64>], lags: &[i64]) -> Vec<Lane<'a>> {
        let lag = |index: usize| lags.get(index).copied().unwrap_or(0);
        columns
            .iter()
            .enumerate()
            .map(|(index, column)| Lane {
                stamps_ns: column,
                lag_ns: lag(index),
                step_ns: 0,
                from: 0,
                to: column.len(),
            })
            .collect()
    }

    /// The oracle: every row with its key, sorted by a stable sort.
    fn sorted(columns: &[Vec<i64>], lags: &[i64]) -> Order {
        let rows = columns.iter().enumerate().flat_map(|(lane, column)| {
            let lag_ns = lags.get(lane).copied().unwrap_or(0);
            column.iter().enumerate().map(move |(row, ts)| (ts + lag_ns, lane as u32, row as u32))
        });
        let mut rows: Vec<(i64, u32, u32)> = rows.collect();
        rows.sort_by_key(|&(at_ns, lane, _)| (at_ns, lane));
        Order {
            lanes: rows.iter().map(|row| row.1).collect(),
            rows: rows.iter().map(|row| row.2).collect(),
            at_ns: rows.iter().map(|row| row.0).collect(),
        }
    }

    fn columns(step: i64) -> impl Strategy<Value = Vec<Vec<i64>>> {
        let column = prop::collection::vec(0..200_i64, 0..120).prop_map(move |mut column| {
            column.sort_unstable();
            column.iter().map(|ts| ts * step).collect()
        });
        prop::collection::vec(column, 0..40)
    }

    proptest! {
        #[test]
        fn merge_equals_a_stable_sort(columns in columns(1), lags in prop::collection::vec(0..5_i64, 0..40)) {
            prop_assert_eq!(merge(&lanes(&columns, &lags), &mut Room::default()), sorted(&columns, &lags));
        }

        #[test]
        fn bars_with_holes_merge_like_a_stable_sort(
            columns in prop::collection::vec(prop::collection::btree_set(0..60_i64, 0..60), 0..20), lag in 0..3_i64
        ) {
            let columns: Vec<Vec<i64>> =
                columns.iter().map(|minutes| minutes.iter().map(|minute| minute * 10).collect()).collect();
            let lags = vec![lag; columns.len()];
            let known: Vec<Lane<'_>> =
                lanes(&columns, &lags).into_iter().map(|lane| Lane { step_ns: 10, ..lane }).collect();
            prop_assert_eq!(merge(&known, &mut Room::default()), sorted(&columns, &lags));
        }
    }

    #[test]
    fn more_tapes_than_a_tile_has_merge_like_a_stable_sort() {
        let minutes = |tape: i64| (0..40).filter(move |minute| (minute * 7 + tape) % 11 > 0).map(|minute| minute * 60);
        let columns: Vec<Vec<i64>> = (0..1_000).map(|tape| minutes(tape).collect()).collect();
        assert_eq!(merge(&lanes(&columns, &[]), &mut Room::default()), sorted(&columns, &[]));
    }

    #[test]
    fn long_stretches_of_one_tape_merge_like_a_stable_sort() {
        let minutes = |from: i64, to: i64| (from..to).map(|minute| minute * 60).collect::<Vec<_>>();
        for rows in [400, TILE_ROWS as i64] {
            let (bars, late) = (minutes(1, rows), minutes(rows, 2 * rows));
            let given = [
                [bars.clone(), vec![60 * rows], vec![0]],
                [late.clone(), bars.clone(), vec![]],
                [bars.clone(), bars, late],
            ];
            for columns in given {
                let (order, expected) = (merge(&lanes(&columns, &[]), &mut Room::default()), sorted(&columns, &[]));
                assert!(order == expected, "{rows} rows");
            }
        }
    }

    #[test]
    fn times_at_both_ends_of_i64_still_merge_in_order() {
        let far = vec![vec![i64::MIN, 0, i64::MAX - 1], vec![i64::MIN, 1, i64::MAX - 1], vec![-5, 5]];
        assert_eq!(merge(&lanes(&far, &[]), &mut Room::default()), sorted(&far, &[]));
    }

    #[test]
    fn a_part_of_a_lane_is_merged_from_its_first_row_to_its_last() {
        let columns = [vec![1, 2, 3, 4], vec![1, 2, 3, 4]];
        let mut parts = lanes(&columns, &[]);
        (parts[0].from, parts[0].to, parts[1].to) = (1, 3, 1);
        let order = merge(&parts, &mut Room::default());
        assert_eq!((&*order.lanes, &*order.rows), (&[1, 0, 0][..], &[0, 1, 2][..]));
    }
}
