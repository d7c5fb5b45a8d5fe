//! The order of many sorted tapes (C1): by time, then by the tapes' own order, then by row.
//!
//! Three ways, one answer. Tapes that share a grid (bars) are *counted* into its slots, see `grid.rs`. Where many
//! tapes share their stamps without one, a *sweep* emits every head that equals the minimum while it looks for the next
//! minimum. Where few do (quotes and trades), a *loser tree* of packed keys `(time - start) << bits | lane` finds the next
//! row in log2(lanes) comparisons without a branch.

use crate::grid::{Grid, by_slots};
use crate::tree::merge_by_tree;
use arrow_buffer::ScalarBuffer;

/// One tape's part in a merge: rows `from..to` of sorted stamps, each known `lag_ns` after its stamp.
#[derive(Debug, Clone, Copy)]
pub struct Lane<'a> {
    /// Stamps of the whole tape, ascending.
    pub stamps_ns: &'a [i64],
    /// How long after its stamp a row is known.
    pub lag_ns: i64,
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
}

/// The merged order: for each event its lane, its row in that lane, and when it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Number of the lane in the slice that was merged.
    pub lanes: Vec<u32>,
    /// Row in the lane.
    pub rows: Vec<u32>,
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
    written: usize,
}

impl<'a> Places<'a> {
    pub(crate) const fn new(lanes: &'a mut [u32], rows: &'a mut [u32], at_ns: &'a mut [i64]) -> Self {
        Self { lanes, rows, at_ns, written: 0 }
    }

    /// The places up to one, and from there on.
    pub(crate) fn split_at(self, place: usize) -> (Self, Self) {
        let (lanes, lanes_after) = self.lanes.split_at_mut(place);
        let (rows, rows_after) = self.rows.split_at_mut(place);
        let (at_ns, at_ns_after) = self.at_ns.split_at_mut(place);
        (Self::new(lanes, rows, at_ns), Self::new(lanes_after, rows_after, at_ns_after))
    }

    /// The places that nothing was written to.
    fn rest(self) -> Self {
        let written = self.written;
        self.split_at(written).1
    }

    pub(crate) fn push(&mut self, lane: u32, row: usize, at_ns: i64) {
        let place = self.written;
        self.lanes[place] = lane;
        self.rows[place] = row as u32;
        self.at_ns[place] = at_ns;
        self.written = place + 1;
    }
}

/// A lane that has rows to merge, with its number among all lanes.
#[derive(Clone, Copy)]
pub(crate) struct Active<'a> {
    pub(crate) number: u32,
    pub(crate) lane: Lane<'a>,
}

/// After this many sweeps with too few rows each, the tree takes over.
const SWEEPS_TO_TRY: usize = 64;
/// A sweep pays if it finds a row in at least one of this many lanes.
const LANES_PER_ROW_MAX: usize = 8;

/// The stable order of all rows in the lanes.
pub fn merge(lanes: &[Lane<'_>]) -> Order {
    let rows = lanes.iter().map(Lane::rows).sum();
    let (mut numbers, mut own_rows, mut at_ns) = (vec![0; rows], vec![0; rows], vec![0; rows]);
    merge_into(lanes, Places::new(&mut numbers, &mut own_rows, &mut at_ns));
    Order { lanes: numbers, rows: own_rows, at_ns: at_ns.into() }
}

/// Writes the stable order of all rows in the lanes. Where they share a grid, it returns the place of every row, lane
/// after lane: then columns are best moved lane by lane, else event by event.
pub(crate) fn merge_into(lanes: &[Lane<'_>], mut places: Places<'_>) -> Option<Vec<u32>> {
    let numbered = lanes.iter().enumerate().map(|(number, &lane)| Active { number: number as u32, lane });
    let mut active: Vec<Active<'_>> = numbered.filter(|active| active.lane.rows() > 0).collect();
    match active.as_mut_slice() {
        [] => {}
        [only] => (only.lane.from..only.lane.to).for_each(|row| places.push(only.number, row, only.lane.at(row))),
        many => {
            if let Some(found) = Grid::of(lanes).and_then(|grid| by_slots(lanes, grid, &mut places)) {
                return Some(found);
            }
            sweep(many, &mut places);
            merge_by_tree(many, places.rest());
        }
    }
    None
}

/// Emits heads that equal the minimum, sweep after sweep, and moves each lane's `from` along. Stops early where the
/// lanes share too few stamps.
fn sweep(active: &mut [Active<'_>], places: &mut Places<'_>) {
    let mut heads: Vec<i64> = active.iter().map(|a| a.lane.at(a.lane.from)).collect();
    let mut now_ns = heads.iter().copied().min().unwrap_or(i64::MAX);
    let (mut sweeps, mut rows_at_check) = (0, places.written);
    while now_ns != i64::MAX {
        let mut next_ns = i64::MAX;
        for (head, Active { number, lane }) in heads.iter_mut().zip(active.iter_mut()) {
            while *head == now_ns {
                places.push(*number, lane.from, now_ns);
                lane.from += 1;
                *head = if lane.from < lane.to { lane.at(lane.from) } else { i64::MAX };
            }
            next_ns = next_ns.min(*head);
        }
        now_ns = next_ns;
        sweeps += 1;
        if sweeps == SWEEPS_TO_TRY {
            if (places.written - rows_at_check) * LANES_PER_ROW_MAX < sweeps * heads.len() {
                return;
            }
            (sweeps, rows_at_check) = (0, places.written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lanes<'a>(columns: &'a [Vec<i64>], lags: &[i64]) -> Vec<Lane<'a>> {
        let lag = |index: usize| lags.get(index).copied().unwrap_or(0);
        columns
            .iter()
            .enumerate()
            .map(|(index, column)| Lane { stamps_ns: column, lag_ns: lag(index), from: 0, to: column.len() })
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
            prop_assert_eq!(merge(&lanes(&columns, &lags)), sorted(&columns, &lags));
        }
    }

    #[test]
    fn times_at_both_ends_of_i64_still_merge_in_order() {
        let far = vec![vec![i64::MIN, 0, i64::MAX - 1], vec![i64::MIN, 1, i64::MAX - 1], vec![-5, 5]];
        assert_eq!(merge(&lanes(&far, &[])), sorted(&far, &[]));
    }

    #[test]
    fn a_part_of_a_lane_is_merged_from_its_first_row_to_its_last() {
        let columns = [vec![1, 2, 3, 4], vec![1, 2, 3, 4]];
        let mut parts = lanes(&columns, &[]);
        (parts[0].from, parts[0].to, parts[1].to) = (1, 3, 1);
        let order = merge(&parts);
        assert_eq!((order.lanes, order.rows), (vec![1, 0, 0], vec![0, 1, 2]));
    }
}
