//! The columns of a window: which row comes when, and its numbers beside it, so that a later reader of an event finds all
//! of it in a few places. A long window is planned in two halves of its time, which know nothing of each other.

use crate::digest::placed_hash;
use crate::event_hashes::row_hashes;
use crate::loaded::{Loaded, LoadedTape};
use crate::merge::{Lane, Order, Places, merge_into};
use arrow_buffer::ScalarBuffer;

/// Does two pieces of work that know nothing of each other.
pub type Both = fn(&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send));

/// One piece of work after the other.
pub fn one_by_one(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    first();
    second();
}

/// Fewer rows are not worth a second thread: to start one costs as much as to plan a few hundred of them.
const ROWS_TO_SPLIT: usize = 8_192;
/// A part of a window is planned as a whole. All that it touches should fit into a core's own cache.
const ROWS_OF_PART: usize = 16_384;
/// And each tape should have some rows in it, which lie side by side.
const ROWS_OF_TAPE: usize = 32;
/// So many tapes are moved together: then a line of memory is written to its end in one go.
const TAPES_OF_BLOCK: usize = 8;

/// The columns of events in their order.
pub(crate) struct Planned {
    pub(crate) order: Order,
    pub(crate) ts_ns: ScalarBuffer<i64>,
    pub(crate) values: Vec<ScalarBuffer<f64>>,
    pub(crate) hashes: Vec<u64>,
}

/// Where the columns of events are written to.
struct Part<'a> {
    lanes: &'a mut [u32],
    rows: &'a mut [u32],
    at_ns: &'a mut [i64],
    ts_ns: &'a mut [i64],
    values: Vec<&'a mut [f64]>,
    hashes: &'a mut [u64],
}

impl Part<'_> {
    fn split_at(self, event: usize) -> (Self, Self) {
        let (lanes, lanes_after) = self.lanes.split_at_mut(event);
        let (rows, rows_after) = self.rows.split_at_mut(event);
        let (at_ns, at_ns_after) = self.at_ns.split_at_mut(event);
        let (ts_ns, ts_ns_after) = self.ts_ns.split_at_mut(event);
        let (hashes, hashes_after) = self.hashes.split_at_mut(event);
        let (values, values_after) = self.values.into_iter().map(|column| column.split_at_mut(event)).unzip();
        let after = Self {
            lanes: lanes_after,
            rows: rows_after,
            at_ns: at_ns_after,
            ts_ns: ts_ns_after,
            values: values_after,
            hashes: hashes_after,
        };
        (Self { lanes, rows, at_ns, ts_ns, values, hashes }, after)
    }
}

/// The columns of the lanes' rows. `place` is that of the first event in the replay. The lanes are those of all tapes.
pub(crate) fn planned(loaded: &Loaded, lanes: &[Lane<'_>], place: u64, both: Both) -> Planned {
    let rows = lanes.iter().map(Lane::rows).sum();
    let widest = loaded.tapes.iter().map(|tape| tape.rows.values.len()).max().unwrap_or(0);
    let (mut numbers, mut own_rows, mut hashes) = (vec![0; rows], vec![0; rows], vec![0; rows]);
    let (mut at_ns, mut ts_ns) = (vec![0; rows], vec![0; rows]);
    let mut values = vec![vec![0.0; rows]; widest];
    let whole = Part {
        lanes: &mut numbers,
        rows: &mut own_rows,
        at_ns: &mut at_ns,
        ts_ns: &mut ts_ns,
        values: values.iter_mut().map(Vec::as_mut_slice).collect(),
        hashes: &mut hashes,
    };
    let mut parts: Vec<Piece<'_, '_>> = Vec::new();
    let (mut rest, mut place) = (whole, place);
    for lanes in split(lanes, rows) {
        let rows = lanes.iter().map(Lane::rows).sum();
        let (part, after) = rest.split_at(rows);
        parts.push((lanes, place, part));
        (rest, place) = (after, place + rows as u64);
    }
    let plan_all = |parts: Vec<Piece<'_, '_>>| parts.into_iter().for_each(|part| plan(&loaded.tapes, part));
    if parts.len() > 1 {
        let mut late = parts.split_off(parts.len() / 2);
        both(&mut || plan_all(std::mem::take(&mut late)), &mut || plan_all(std::mem::take(&mut parts)));
    } else {
        plan_all(parts);
    }
    let values = values.into_iter().map(ScalarBuffer::from).collect();
    Planned {
        order: Order { lanes: numbers, rows: own_rows, at_ns: at_ns.into() },
        ts_ns: ts_ns.into(),
        values,
        hashes,
    }
}

/// The lanes, cut into stretches of time of equal length.
fn split<'a>(lanes: &[Lane<'a>], rows: usize) -> Vec<Vec<Lane<'a>>> {
    let present = || lanes.iter().filter(|lane| lane.rows() > 0);
    let start_ns = present().map(|lane| lane.at(lane.from)).min();
    let end_ns = present().map(|lane| lane.at(lane.to - 1)).max();
    let (Some(start_ns), Some(end_ns), true) = (start_ns, end_ns, rows >= ROWS_TO_SPLIT) else {
        return vec![lanes.to_vec()];
    };
    let part = ROWS_OF_PART.max(ROWS_OF_TAPE * lanes.len());
    let parts = rows.div_ceil(part).next_multiple_of(2);
    let length_ns = end_ns.abs_diff(start_ns) / parts as u64 + 1;
    let mut left = lanes.to_vec();
    let until = |number: usize| start_ns.saturating_add_unsigned(length_ns.saturating_mul(number as u64));
    let cut = |end_ns: i64| {
        let taken = left.iter_mut().map(|lane| {
            let early = Lane { to: lane.from + first_known_at(lane.stamps(), lane.lag_ns, end_ns), ..*lane };
            lane.from = early.to;
            early
        });
        taken.collect()
    };
    let mut cuts: Vec<Vec<Lane<'_>>> = (1..parts).map(until).map(cut).collect();
    cuts.push(left);
    cuts
}

fn first_known_at(stamps_ns: &[i64], lag_ns: i64, at_ns: i64) -> usize {
    stamps_ns.partition_point(|&ts| ts.wrapping_add(lag_ns) < at_ns)
}

/// Lanes that are planned together, the place of their first event in the replay, and where their columns go.
type Piece<'a, 'b> = (Vec<Lane<'a>>, u64, Part<'b>);

fn plan(tapes: &[LoadedTape], (lanes, place, mut part): Piece<'_, '_>) {
    match merge_into(&lanes, Places::new(part.lanes, part.rows, part.at_ns)) {
        Some(found) => scatter(tapes, &lanes, &found, &mut part),
        None => gather(tapes, &lanes, &mut part),
    }
    for (event, hash) in part.hashes.iter_mut().enumerate() {
        *hash = placed_hash(place + event as u64, *hash);
    }
}

/// Moves columns tape by tape. On a grid each slot is written from its front to its end, so few lines of memory are open
/// at a time.
fn scatter(tapes: &[LoadedTape], lanes: &[Lane<'_>], mut found: &[u32], part: &mut Part<'_>) {
    let lag_ns = common_lag_ns(tapes, lanes);
    if let Some(lag_ns) = lag_ns {
        stamps_from_times(part, lag_ns);
    }
    let mut hashes = Vec::new();
    for (tapes, lanes) in tapes.chunks(TAPES_OF_BLOCK).zip(lanes.chunks(TAPES_OF_BLOCK)) {
        let mut places: [&[u32]; TAPES_OF_BLOCK] = [&[]; TAPES_OF_BLOCK];
        for ((tape, lane), own) in tapes.iter().zip(lanes).zip(&mut places) {
            (*own, found) = found.split_at(lane.rows());
            hashes.clear();
            row_hashes(tape, lane.from..lane.to, &mut hashes);
            put(own, &hashes, part.hashes);
            if tape.available.is_some() || lag_ns != Some(lane.lag_ns) {
                put(own, &tape.rows.ts_ns[lane.from..lane.to], part.ts_ns);
            }
        }
        for (number, out) in part.values.iter_mut().enumerate() {
            for ((tape, lane), own) in tapes.iter().zip(lanes).zip(&places) {
                if let Some(column) = tape.rows.values.get(number) {
                    put(own, &column[lane.from..lane.to], out);
                }
            }
        }
    }
}

fn put<T: Copy>(places: &[u32], values: &[T], out: &mut [T]) {
    for (&place, &value) in places.iter().zip(values) {
        out[place as usize] = value;
    }
}

/// Moves columns event by event: each lane is read from front to end, and there are few lanes.
fn gather(tapes: &[LoadedTape], lanes: &[Lane<'_>], part: &mut Part<'_>) {
    let (mut next, mut hashes) = (Vec::with_capacity(lanes.len()), Vec::with_capacity(part.hashes.len()));
    for (tape, lane) in tapes.iter().zip(lanes) {
        next.push(hashes.len());
        row_hashes(tape, lane.from..lane.to, &mut hashes);
    }
    for (out, &lane) in part.hashes.iter_mut().zip(&*part.lanes) {
        let place = &mut next[lane as usize];
        *out = hashes[*place];
        *place += 1;
    }
    let all_lag_ns = lanes.iter().find(|lane| lane.rows() > 0).map(|lane| lane.lag_ns);
    let is_known_at_once = |(tape, lane): (&LoadedTape, &Lane<'_>)| {
        lane.rows() == 0 || (tape.available.is_none() && Some(lane.lag_ns) == all_lag_ns)
    };
    match all_lag_ns {
        Some(lag_ns) if tapes.iter().zip(lanes).all(is_known_at_once) => stamps_from_times(part, lag_ns),
        _ => {
            let stamps: Vec<&[i64]> = tapes.iter().map(|tape| &*tape.rows.ts_ns).collect();
            get(part.lanes, part.rows, &stamps, part.ts_ns);
        }
    }
    for (number, out) in part.values.iter_mut().enumerate() {
        let column = |tape: &'_ LoadedTape| tape.rows.values.get(number).cloned();
        let held: Vec<Option<ScalarBuffer<f64>>> = tapes.iter().map(column).collect();
        let columns: Vec<&[f64]> = held.iter().map(|column| column.as_deref().unwrap_or(&[])).collect();
        get(part.lanes, part.rows, &columns, out);
    }
}

fn get<T: Copy + Default>(lanes: &[u32], rows: &[u32], columns: &[&[T]], out: &mut [T]) {
    for ((out, &lane), &row) in out.iter_mut().zip(lanes).zip(rows) {
        *out = columns[lane as usize].get(row as usize).copied().unwrap_or_default();
    }
}

/// How long after their stamps the rows of the first lane are known that has any, if that is a fixed time.
fn common_lag_ns(tapes: &[LoadedTape], lanes: &[Lane<'_>]) -> Option<i64> {
    let first = tapes.iter().zip(lanes).find(|(_, lane)| lane.rows() > 0);
    first.filter(|(tape, _)| tape.available.is_none()).map(|(_, lane)| lane.lag_ns)
}

fn stamps_from_times(part: &mut Part<'_>, lag_ns: i64) {
    for (ts_ns, &at_ns) in part.ts_ns.iter_mut().zip(&*part.at_ns) {
        *ts_ns = at_ns.wrapping_sub(lag_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;
    use crate::loaded::Hours;
    use crate::loaded::tests::{MINUTE, loaded, tapes};
    use crate::merge::merge;
    use proptest::prelude::*;

    fn lanes(loaded: &Loaded) -> Vec<Lane<'_>> {
        let lane = |tape: &'_ LoadedTape| tape.rows.len();
        let lanes = loaded.tapes.iter().map(|tape| {
            let (stamps_ns, lag_ns) = tape.stamps();
            Lane { stamps_ns, lag_ns, from: 0, to: lane(tape) }
        });
        lanes.collect()
    }

    /// All of it, of two halves or of one, and by each way to move columns.
    fn check(loaded: &Loaded) -> Result<(), TestCaseError> {
        let lanes = lanes(loaded);
        let (order, all) = (merge(&lanes), planned(loaded, &lanes, 7, one_by_one));
        prop_assert_eq!(&all.order, &order);
        for event in 0..order.len() {
            let (tape, row) = (&loaded.tapes[order.lanes[event] as usize], order.rows[event] as usize);
            prop_assert_eq!(all.ts_ns[event], tape.rows.ts_ns[row]);
            for (number, column) in all.values.iter().enumerate() {
                prop_assert_eq!(column[event], tape.rows.values.get(number).map_or(0.0, |own| own[row]));
            }
            let mut hash = Vec::new();
            row_hashes(tape, row..row + 1, &mut hash);
            prop_assert_eq!(all.hashes[event], placed_hash(7 + event as u64, hash[0]));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn events_stand_beside_the_numbers_of_their_rows(
            a in prop::collection::btree_set(5..25_i64, 0..20), b in prop::collection::btree_set(5..25_i64, 0..20),
            trades in prop::collection::vec(5..25_i64, 0..30)
        ) {
            let (a, b): (Vec<i64>, Vec<i64>) = (a.into_iter().collect(), b.into_iter().collect());
            let mut trades = trades;
            trades.sort_unstable();
            let bars = [(Kind::Bar, "A", &*a), (Kind::Bar, "B", &*b)];
            check(&loaded(&tapes(&bars), Hours::Regular, &[5 * MINUTE]))?;
            check(&loaded(&tapes(&[bars[0], (Kind::Trade, "A", &trades)]), Hours::Regular, &[]))?;
        }
    }

    #[test]
    fn parts_are_the_whole_and_split_no_instant() {
        let stamps: Vec<i64> = (0..ROWS_OF_PART as i64).map(|row| 10 + row / 1_800).collect();
        let day = loaded(&tapes(&[(Kind::Trade, "A", &stamps), (Kind::Quote, "A", &stamps)]), Hours::Regular, &[]);
        let (lanes, rows) = (lanes(&day), 2 * ROWS_OF_PART + 2);
        let parts = split(&lanes, rows);
        assert!(parts.len() > 1 && parts.iter().any(|part| part.iter().any(|lane| lane.rows() > 1_000)));
        for (number, lane) in lanes.iter().enumerate() {
            assert_eq!((parts[0][number].from, parts[parts.len() - 1][number].to), (lane.from, lane.to));
        }
        for pair in parts.windows(2) {
            assert!(pair[0].iter().zip(&pair[1]).all(|(early, late)| early.to == late.from));
            let last = pair[0].iter().filter(|lane| lane.rows() > 0).map(|lane| lane.at(lane.to - 1)).max();
            let first = pair[1].iter().filter(|lane| lane.rows() > 0).map(|lane| lane.at(lane.from)).min();
            assert!(first.is_none() || last < first, "{last:?} {first:?}");
        }
        check(&day).expect("the parts fit together");
    }
}
