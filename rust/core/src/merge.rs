//! The order of many sorted tapes (C1): by time, then by the tapes' own order, then by row.
//!
//! Two ways, one answer. Where many tapes share their stamps (bars on a grid), a *sweep* emits every head that equals
//! the minimum while it looks for the next minimum. Where few do (quotes and trades), a *loser tree* of packed keys
//! `(time - start) << bits | lane` finds the next row in log2(lanes) comparisons without a branch.

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

impl Lane<'_> {
    fn at(&self, row: usize) -> i64 {
        self.stamps_ns[row] + self.lag_ns
    }
}

/// The merged order: for each event its lane, its row in that lane, and when it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Number of the lane in the slice that was merged.
    pub lanes: Vec<u32>,
    /// Row in the lane.
    pub rows: Vec<u32>,
    /// When the event is known, ascending.
    pub at_ns: Vec<i64>,
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

    fn push(&mut self, lane: u32, row: usize, at_ns: i64) {
        self.lanes.push(lane);
        self.rows.push(row as u32);
        self.at_ns.push(at_ns);
    }

    fn reserve(&mut self, rows: usize) {
        self.lanes.reserve(rows);
        self.rows.reserve(rows);
        self.at_ns.reserve(rows);
    }
}

/// A lane that has rows to merge, with its number among all lanes.
#[derive(Clone, Copy)]
struct Active<'a> {
    number: u32,
    lane: Lane<'a>,
}

/// After this many sweeps with too few rows each, the tree takes over.
const SWEEPS_TO_TRY: usize = 64;
/// A sweep pays if it finds a row in at least one of this many lanes.
const LANES_PER_ROW_MAX: usize = 8;

/// The stable order of all rows in the lanes.
pub fn merge(lanes: &[Lane<'_>]) -> Order {
    let mut order = Order::default();
    order.reserve(lanes.iter().map(|lane| lane.to - lane.from).sum());
    let numbered = lanes.iter().enumerate().map(|(number, &lane)| Active { number: number as u32, lane });
    let mut active: Vec<Active<'_>> = numbered.filter(|active| active.lane.from < active.lane.to).collect();
    match active.as_mut_slice() {
        [] => {}
        [only] => (only.lane.from..only.lane.to).for_each(|row| order.push(only.number, row, only.lane.at(row))),
        many => {
            sweep(many, &mut order);
            tree(many, &mut order);
        }
    }
    order
}

/// Emits heads that equal the minimum, sweep after sweep, and moves each lane's `from` along. Stops early where the
/// lanes share too few stamps.
fn sweep(active: &mut [Active<'_>], order: &mut Order) {
    let mut heads: Vec<i64> = active.iter().map(|a| a.lane.at(a.lane.from)).collect();
    let mut now_ns = heads.iter().copied().min().unwrap_or(i64::MAX);
    let (mut sweeps, mut rows_at_check) = (0, order.len());
    while now_ns != i64::MAX {
        let mut next_ns = i64::MAX;
        for (head, Active { number, lane }) in heads.iter_mut().zip(active.iter_mut()) {
            while *head == now_ns {
                order.push(*number, lane.from, now_ns);
                lane.from += 1;
                *head = if lane.from < lane.to { lane.at(lane.from) } else { i64::MAX };
            }
            next_ns = next_ns.min(*head);
        }
        now_ns = next_ns;
        sweeps += 1;
        if sweeps == SWEEPS_TO_TRY {
            if (order.len() - rows_at_check) * LANES_PER_ROW_MAX < sweeps * heads.len() {
                return;
            }
            (sweeps, rows_at_check) = (0, order.len());
        }
    }
}

/// A tournament over the lanes' heads. Each inner node keeps the loser of its match, so that a new head replays the
/// matches on one path only.
fn tree(active: &mut [Active<'_>], order: &mut Order) {
    let left = active.iter().filter(|a| a.lane.from < a.lane.to);
    let Some(start_ns) = left.clone().map(|a| a.lane.at(a.lane.from)).min() else {
        return;
    };
    let end_ns = left.map(|a| a.lane.at(a.lane.to - 1)).max().unwrap_or(start_ns);
    let leaves = active.len().next_power_of_two();
    let bits = leaves.trailing_zeros();
    if end_ns.abs_diff(start_ns).leading_zeros() <= bits {
        return by_halves(active, order, start_ns, end_ns);
    }
    let key = |lane: &Lane<'_>, slot: usize| {
        if lane.from < lane.to { (lane.at(lane.from).abs_diff(start_ns) << bits) | slot as u64 } else { u64::MAX }
    };
    let mut winners = vec![u64::MAX; 2 * leaves];
    for (slot, a) in active.iter().enumerate() {
        winners[leaves + slot] = key(&a.lane, slot);
    }
    let mut losers = vec![u64::MAX; leaves];
    for node in (1..leaves).rev() {
        let (a, b) = (winners[2 * node], winners[2 * node + 1]);
        (winners[node], losers[node]) = (a.min(b), a.max(b));
    }
    let mut best = winners[1];
    let mask = leaves as u64 - 1;
    while best != u64::MAX {
        let slot = (best & mask) as usize;
        let Active { number, lane } = &mut active[slot];
        order.push(*number, lane.from, lane.at(lane.from));
        lane.from += 1;
        best = key(lane, slot);
        let mut node = (leaves + slot) >> 1;
        while node >= 1 {
            let loser = losers[node];
            (losers[node], best) = (loser.max(best), loser.min(best));
            node >>= 1;
        }
    }
}

/// Where times lie too far apart for one packed key, the earlier half of the time goes first.
fn by_halves(active: &mut [Active<'_>], order: &mut Order, start_ns: i64, end_ns: i64) {
    let middle_ns = start_ns.midpoint(end_ns);
    let ends: Vec<usize> = active.iter().map(|a| a.lane.to).collect();
    for a in active.iter_mut() {
        let (from, lag_ns) = (a.lane.from, a.lane.lag_ns);
        a.lane.to = from + a.lane.stamps_ns[from..a.lane.to].partition_point(|&ts| ts + lag_ns <= middle_ns);
    }
    tree(active, order);
    for (a, end) in active.iter_mut().zip(ends) {
        a.lane.to = end;
    }
    tree(active, order);
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

        #[test]
        fn the_tree_alone_equals_a_stable_sort(columns in columns(7)) {
            let numbered = lanes(&columns, &[]).into_iter().enumerate();
            let mut active: Vec<Active<'_>> = numbered
                .filter(|(_, lane)| lane.to > 0)
                .map(|(number, lane)| Active { number: number as u32, lane })
                .collect();
            let mut order = Order::default();
            if active.len() > 1 {
                tree(&mut active, &mut order);
                prop_assert_eq!(order, sorted(&columns, &[]));
            }
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
