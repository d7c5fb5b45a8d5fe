//! The order of tapes that share no grid, such as quotes and trades: rows are dealt into short buckets of time, tape after
//! tape. Nearly all buckets hold a row or two, so hardly a row is far from its place: the rest is done for all buckets at once,
//! with few branches that the processor cannot foresee.

use crate::merge::{Lane, Places, ends};

/// So many rows share a bucket, at the mean: fewer make more buckets than stay in a core's cache, more take longer to sort.
const ROWS_OF_BUCKET: usize = 1;
/// A bucket of more keys is sorted by itself: insertion would take too long.
const INSERTION_MAX: usize = 24;

/// Writes the stable order of all rows in the lanes.
pub(crate) fn by_buckets(lanes: &[Lane<'_>], places: Places<'_>) {
    let Some((start_ns, end_ns)) = ends(lanes) else {
        return;
    };
    let span_ns = end_ns.abs_diff(start_ns);
    let bits = lanes.len().next_power_of_two().trailing_zeros();
    if span_ns.leading_zeros() < bits {
        return in_halves(lanes, start_ns.midpoint(end_ns), places);
    }
    let rows = places.lanes.len();
    let fine = (u64::BITS - span_ns.leading_zeros()).saturating_sub((rows / ROWS_OF_BUCKET).max(1).ilog2());
    let shift = fine.min(u64::BITS - 1 - bits);
    let (mut keys, ends) = dealt(lanes, (start_ns, span_ns), (bits, shift), rows);
    sort_full_buckets(&mut keys, &ends);
    swap_neighbours(&mut keys);
    insertion_sort(&mut keys);
    write(&keys, lanes, (start_ns, bits), places);
}

/// Times lie too far apart for one key: the earlier rows, then the later ones.
fn in_halves(lanes: &[Lane<'_>], middle_ns: i64, Places { lanes: numbers, rows: own_rows, at_ns }: Places<'_>) {
    let early: Vec<Lane<'_>> =
        lanes.iter().map(|lane| Lane { to: lane.from + lane.known_before(middle_ns + 1), ..*lane }).collect();
    let late: Vec<Lane<'_>> = lanes.iter().zip(&early).map(|(lane, early)| Lane { from: early.to, ..*lane }).collect();
    let rows = early.iter().map(Lane::rows).sum();
    let (numbers, numbers_after) = numbers.split_at_mut(rows);
    let (own_rows, rows_after) = own_rows.split_at_mut(rows);
    let (at_ns, at_ns_after) = at_ns.split_at_mut(rows);
    by_buckets(&early, Places { lanes: numbers, rows: own_rows, at_ns });
    by_buckets(&late, Places { lanes: numbers_after, rows: rows_after, at_ns: at_ns_after });
}

/// The keys `(time - start) << bits | lane` of all rows, bucket by bucket, and where each bucket ends. Within a bucket keys
/// stand tape by tape. Equal keys are rows of one tape: which is which follows from the tape's own order.
fn dealt(
    lanes: &[Lane<'_>],
    (start_ns, span_ns): (i64, u64),
    (bits, shift): (u32, u32),
    rows: usize,
) -> (Vec<u64>, Vec<u32>) {
    let offset_ns = |lane: &Lane<'_>, ts: i64| ts.wrapping_add(lane.lag_ns).wrapping_sub(start_ns).cast_unsigned();
    let mut next = vec![0_u32; (span_ns >> shift) as usize + 1];
    for lane in lanes {
        for &ts in lane.stamps() {
            let count = &mut next[(offset_ns(lane, ts) >> shift) as usize];
            *count = count.wrapping_add(1);
        }
    }
    let mut before = 0;
    for count in &mut next {
        before += std::mem::replace(count, before);
    }
    let mut keys = vec![0; rows];
    for (number, lane) in lanes.iter().enumerate() {
        for &ts in lane.stamps() {
            let offset_ns = offset_ns(lane, ts);
            let place = &mut next[(offset_ns >> shift) as usize];
            keys[*place as usize] = (offset_ns << bits) | number as u64;
            *place = place.wrapping_add(1);
        }
    }
    (keys, next)
}

fn sort_full_buckets(keys: &mut [u64], ends: &[u32]) {
    let mut from = 0;
    for &end in ends {
        let to = end as usize;
        if to - from > INSERTION_MAX {
            keys[from..to].sort_unstable();
        }
        from = to;
    }
}

/// Puts each key and the one after it in order, from left to right and without a branch: then it is rare that one is still
/// out of its place.
fn swap_neighbours(keys: &mut [u64]) {
    let Some((mut before, rest)) = keys.split_first_mut() else {
        return;
    };
    let mut highest = *before;
    for key in rest {
        *before = highest.min(*key);
        highest = highest.max(*key);
        before = key;
    }
    *before = highest;
}

fn insertion_sort(keys: &mut [u64]) {
    for end in 1..keys.len() {
        let key = keys[end];
        if keys[end - 1] <= key {
            continue; // a store would make the next comparison wait for it
        }
        let mut place = end;
        while place > 0 && keys[place - 1] > key {
            keys[place] = keys[place - 1];
            place -= 1;
        }
        keys[place] = key;
    }
}

/// Rows of one tape follow each other, so each key takes the next row of its own.
fn write(keys: &[u64], lanes: &[Lane<'_>], (start_ns, bits): (i64, u32), places: Places<'_>) {
    let mut rows: Vec<u32> = lanes.iter().map(|lane| lane.from as u32).collect();
    let mask = (1 << bits) - 1;
    let events = places.lanes.iter_mut().zip(places.rows).zip(places.at_ns);
    for (&key, ((lane, row), at_ns)) in keys.iter().zip(events) {
        *lane = (key & mask) as u32;
        *at_ns = start_ns.wrapping_add_unsigned(key >> bits);
        let next = &mut rows[*lane as usize];
        *row = *next;
        *next = next.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(columns: &[Vec<i64>]) -> Result<(), TestCaseError> {
        let mut expected: Vec<(i64, u32, u32)> = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            expected.extend(column.iter().enumerate().map(|(row, &ts)| (ts, number as u32, row as u32)));
        }
        expected.sort_unstable();
        let lane = |column: &'_ Vec<i64>| column.len();
        let lanes: Vec<Lane<'_>> = columns
            .iter()
            .map(|column| Lane { stamps_ns: column, lag_ns: 0, step_ns: 0, from: 0, to: lane(column) })
            .collect();
        let rows = expected.len();
        let (mut numbers, mut own_rows, mut at_ns) = (vec![9; rows], vec![9; rows], vec![9; rows]);
        by_buckets(&lanes, Places { lanes: &mut numbers, rows: &mut own_rows, at_ns: &mut at_ns });
        let found = at_ns.into_iter().zip(numbers).zip(own_rows).map(|((at_ns, number), row)| (at_ns, number, row));
        prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        Ok(())
    }

    proptest! {
        #[test]
        fn buckets_equal_a_stable_sort(
            columns in prop::collection::vec(prop::collection::vec(0..1_500_i64, 0..120), 1..40), far in any::<bool>()
        ) {
            let step = if far { i64::MAX / 1_500 } else { 7 };
            let sorted = |mut column: Vec<i64>| { column.sort_unstable(); column };
            let columns: Vec<Vec<i64>> =
                columns.into_iter().map(|column| sorted(column).iter().map(|ts| ts * step).collect()).collect();
            check(&columns)?;
        }

        #[test]
        fn bursts_equal_a_stable_sort(
            columns in prop::collection::vec(prop::collection::vec(0..40_i64, 20..200), 1..20), late in 0..i64::MAX / 2
        ) {
            let burst = |mut column: Vec<i64>| { column.sort_unstable(); column.push(late + 40); column };
            check(&columns.into_iter().map(burst).collect::<Vec<_>>())?;
        }
    }
}
