//! The order of tapes on one grid, such as bars of one interval: rows are counted into the grid's slots, and each slot's
//! rows get the places that follow those of the slots before. Nothing is compared.

use crate::merge::{Lane, Places};

/// Slots of equal length that cover a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    start_ns: i64,
    step_ns: u64,
    slots: usize,
}

impl Grid {
    /// The grid that the lanes seem to share: its step is the shortest step from a first row to a second one. `None` where
    /// it would have more slots than there are rows. Whether all rows lie on it shows when they are counted.
    pub(crate) fn of(lanes: &[Lane<'_>]) -> Option<Self> {
        let ends = lanes.iter().filter(|lane| lane.rows() > 0);
        let start_ns = ends.clone().map(|lane| lane.at(lane.from)).min()?;
        let end_ns = ends.clone().map(|lane| lane.at(lane.to - 1)).max()?;
        let first_step = |lane: &Lane<'_>| match lane.stamps() {
            [first, second, ..] => Some(second.abs_diff(*first)).filter(|&step_ns| step_ns > 0),
            _ => None,
        };
        let step_ns = ends.filter_map(first_step).min()?;
        let rows: usize = lanes.iter().map(Lane::rows).sum();
        let slots = usize::try_from(end_ns.abs_diff(start_ns) / step_ns).ok()?.checked_add(1)?;
        (slots <= rows).then_some(Self { start_ns, step_ns, slots })
    }
}

/// Writes the order of all rows, and returns the place of each, lane after lane; `None` where a row lies off the grid.
pub(crate) fn by_slots(lanes: &[Lane<'_>], grid: Grid, places: &mut Places<'_>) -> Option<Vec<u32>> {
    let Grid { start_ns, step_ns, slots } = grid;
    let mut found: Vec<u32> = Vec::with_capacity(places.lanes.len());
    let mut next = vec![0_u32; slots + 1];
    for lane in lanes {
        // A division costs more than all else here, and most rows are one step after the row before.
        let (mut slot, mut expected_ns) = (u64::MAX, u64::MAX);
        for &ts in lane.stamps() {
            let offset_ns = ts.wrapping_add(lane.lag_ns).wrapping_sub(start_ns) as u64;
            if offset_ns == expected_ns {
                slot += 1;
            } else if offset_ns.is_multiple_of(step_ns) {
                slot = offset_ns / step_ns;
            } else {
                return None;
            }
            expected_ns = offset_ns.wrapping_add(step_ns);
            found.push(slot as u32);
            next[slot as usize] += 1;
        }
    }
    let mut before = 0;
    for (slot, count) in next.iter_mut().enumerate().take(slots) {
        let at_ns = start_ns.wrapping_add_unsigned(slot as u64 * step_ns);
        let first = before;
        before += *count;
        places.at_ns[first as usize..before as usize].fill(at_ns);
        *count = first;
    }
    let mut of_lanes = found.as_mut_slice();
    for (number, lane) in lanes.iter().enumerate() {
        let (own, rest) = std::mem::take(&mut of_lanes).split_at_mut(lane.rows());
        for (row, place) in own.iter_mut().enumerate() {
            let free = &mut next[*place as usize];
            *place = *free;
            *free += 1;
            places.lanes[*place as usize] = number as u32;
            places.rows[*place as usize] = (lane.from + row) as u32;
        }
        of_lanes = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::merge;
    use proptest::prelude::*;

    fn lane(stamps_ns: &[i64], lag_ns: i64) -> Lane<'_> {
        Lane { stamps_ns, lag_ns, from: 0, to: stamps_ns.len() }
    }

    fn places(lanes: &[Lane<'_>]) -> Option<Vec<u32>> {
        let rows = lanes.iter().map(Lane::rows).sum();
        let (mut numbers, mut own_rows, mut at_ns) = (vec![0; rows], vec![0; rows], vec![0; rows]);
        by_slots(lanes, Grid::of(lanes)?, &mut Places::new(&mut numbers, &mut own_rows, &mut at_ns))
    }

    #[test]
    fn a_row_off_the_grid_and_a_sparse_grid_are_left_to_others() {
        let (bars, odd, far) = ([10, 20, 30, 40], [15, 30, 45], [0, 1, 1_000]);
        assert_eq!(places(&[lane(&bars, 0), lane(&bars, 10)]), Some(vec![0, 1, 3, 5, 2, 4, 6, 7]));
        assert_eq!(places(&[lane(&bars, 0), lane(&odd, 0)]), None);
        assert_eq!(places(&[lane(&far, 0), lane(&far, 0)]), None);
    }

    proptest! {
        #[test]
        fn tapes_on_a_grid_take_the_places_of_a_stable_sort(
            tapes in prop::collection::vec(prop::collection::vec(0..30_i64, 1..40), 2..12),
            lags in prop::collection::vec(0..3_i64, 12)
        ) {
            let sorted = |mut slots: Vec<i64>| { slots.sort_unstable(); slots };
            let tapes: Vec<Vec<i64>> = tapes.into_iter().map(sorted).collect();
            let lanes: Vec<Lane<'_>> = tapes.iter().zip(&lags).map(|(tape, &lag)| lane(tape, lag)).collect();
            let mut rows: Vec<(i64, usize, usize)> = Vec::new();
            for (number, own) in lanes.iter().enumerate() {
                rows.extend((own.from..own.to).map(|row| (own.at(row), number, row)));
            }
            let in_tapes = rows.clone();
            rows.sort_by_key(|&(at_ns, number, _)| (at_ns, number));
            if let Some(found) = places(&lanes) {
                for (row, place) in in_tapes.iter().zip(found) {
                    prop_assert_eq!(*row, rows[place as usize]);
                }
            }
            let order = merge(&lanes);
            let merged = (0..order.len()).map(|e| (order.at_ns[e], order.lanes[e] as usize, order.rows[e] as usize));
            prop_assert_eq!(merged.collect::<Vec<_>>(), rows);
        }
    }
}
