//! A tournament over the heads of many tapes: the next row in log2(tapes) comparisons without a branch.

use crate::merge::{Active, Places};
use std::slice;

/// So many rows are merged by two trees in turn, one for the earlier half of the time and one for the later: each step of
/// a tree waits for the one before it, and meanwhile the processor does the other tree's.
const ROWS_FOR_TWO: usize = 1_024;

/// Writes the order of all rows that are left in the lanes.
pub(crate) fn merge_by_tree(active: &[Active<'_>], places: Places<'_>) {
    let left = || active.iter().filter(|active| active.lane.rows() > 0);
    let start_ns = left().map(|active| active.lane.at(active.lane.from)).min();
    let end_ns = left().map(|active| active.lane.at(active.lane.to - 1)).max();
    let (Some(start_ns), Some(end_ns)) = (start_ns, end_ns) else {
        return;
    };
    let bits = active.len().next_power_of_two().trailing_zeros();
    let fits = end_ns.abs_diff(start_ns).leading_zeros() > bits;
    if fits && places.lanes.len() < ROWS_FOR_TWO {
        let mut tree = Tree::new(active, places, start_ns);
        while tree.step() {}
        return;
    }
    let (early, late) = halves(active, start_ns.midpoint(end_ns));
    let (first, second) = places.split_at(early.iter().map(|active| active.lane.rows()).sum());
    if !fits {
        // Times lie too far apart for one packed key.
        merge_by_tree(&early, first);
        merge_by_tree(&late, second);
        return;
    }
    let (mut first, mut second) = (Tree::new(&early, first, start_ns), Tree::new(&late, second, start_ns));
    while first.step() & second.step() {}
    while first.step() {}
    while second.step() {}
}

/// The rows known at `middle_ns` or before, and those known later.
fn halves<'a>(active: &[Active<'a>], middle_ns: i64) -> (Vec<Active<'a>>, Vec<Active<'a>>) {
    let cut = |active: &Active<'a>| {
        let (mut early, mut late, lag_ns) = (*active, *active, active.lane.lag_ns);
        let known = active.lane.stamps().partition_point(|&ts| ts.wrapping_add(lag_ns) <= middle_ns);
        early.lane.to = active.lane.from + known;
        late.lane.from = early.lane.to;
        (early, late)
    };
    active.iter().map(cut).unzip()
}

/// Each inner node keeps the loser of its match, so that a new head replays the matches on one path only. Keys are
/// `(time - start) << bits | slot`.
struct Tree<'a> {
    runs: Vec<Run<'a>>,
    losers: Vec<u64>,
    best: u64,
    bits: u32,
    start_ns: i64,
    places: Places<'a>,
}

/// What is left of a lane.
struct Run<'a> {
    stamps_ns: slice::Iter<'a, i64>,
    lag_ns: i64,
    row: usize,
    number: u32,
}

impl Run<'_> {
    fn next_key(&mut self, slot: usize, bits: u32, start_ns: i64) -> u64 {
        let offset_ns = |&ts: &i64| ts.wrapping_add(self.lag_ns).wrapping_sub(start_ns).cast_unsigned();
        self.stamps_ns.next().map_or(u64::MAX, |ts| (offset_ns(ts) << bits) | slot as u64)
    }
}

impl<'a> Tree<'a> {
    fn new(active: &[Active<'a>], places: Places<'a>, start_ns: i64) -> Self {
        let leaves = active.len().next_power_of_two();
        let bits = leaves.trailing_zeros();
        let run = |&Active { number, lane }: &Active<'a>| Run {
            stamps_ns: lane.stamps().iter(),
            lag_ns: lane.lag_ns,
            row: lane.from,
            number,
        };
        let mut runs: Vec<Run<'a>> = active.iter().map(run).collect();
        let mut winners = vec![u64::MAX; 2 * leaves];
        for (slot, run) in runs.iter_mut().enumerate() {
            winners[leaves + slot] = run.next_key(slot, bits, start_ns);
        }
        let mut losers = vec![u64::MAX; leaves];
        for node in (1..leaves).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            (winners[node], losers[node]) = (a.min(b), a.max(b));
        }
        Self { runs, losers, best: winners[1], bits, start_ns, places }
    }

    /// Writes the next row; false where there is none.
    fn step(&mut self) -> bool {
        if self.best == u64::MAX {
            return false;
        }
        let leaves = self.losers.len();
        let slot = self.best as usize & (leaves - 1);
        let run = &mut self.runs[slot];
        let at_ns = self.start_ns.wrapping_add_unsigned(self.best >> self.bits);
        self.places.push(run.number, run.row, at_ns);
        run.row += 1;
        let mut best = run.next_key(slot, self.bits, self.start_ns);
        let mut node = (leaves + slot) >> 1;
        while node >= 1 {
            let loser = self.losers[node];
            (self.losers[node], best) = (loser.max(best), loser.min(best));
            node >>= 1;
        }
        self.best = best;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::Lane;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_tree_and_two_in_turn_equal_a_stable_sort(
            columns in prop::collection::vec(prop::collection::vec(0..1_500_i64, 0..120), 2..40), far in any::<bool>()
        ) {
            let step = if far { i64::MAX / 1_500 } else { 7 };
            let sorted = |mut column: Vec<i64>| { column.sort_unstable(); column };
            let columns: Vec<Vec<i64>> =
                columns.into_iter().map(|column| sorted(column).iter().map(|ts| ts * step).collect()).collect();
            let lane = |column: &'_ Vec<i64>| column.len();
            let active: Vec<Active<'_>> = columns
                .iter()
                .enumerate()
                .map(|(number, column)| Active {
                    number: number as u32,
                    lane: Lane { stamps_ns: column, lag_ns: 0, from: 0, to: lane(column) },
                })
                .collect();
            let mut expected: Vec<(i64, u32, u32)> = Vec::new();
            for (number, column) in columns.iter().enumerate() {
                expected.extend(column.iter().enumerate().map(|(row, &ts)| (ts, number as u32, row as u32)));
            }
            expected.sort_unstable();
            let rows = expected.len();
            let (mut numbers, mut own_rows, mut at_ns) = (vec![0; rows], vec![0; rows], vec![0; rows]);
            merge_by_tree(&active, Places::new(&mut numbers, &mut own_rows, &mut at_ns));
            let found = at_ns.into_iter().zip(numbers).zip(own_rows).map(|((at_ns, number), row)| (at_ns, number, row));
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}
