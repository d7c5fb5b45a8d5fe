//! The columns of a window: which row comes when, and its numbers beside it, so that a later reader of an event finds all
//! of it in a few places. One pass over the rows of its tapes: order, numbers, and their part of the digest.

use crate::buckets::by_buckets;
use crate::digest::placed_hash;
use crate::event_hashes::{Events, row_hashes};
use crate::grid::Slots;
use crate::key::Kind;
use crate::loaded::{Loaded, LoadedTape};
use crate::merge::{Lane, Order, Places};
use crate::room::{Column, Room};
use crate::straight::{numbers_to_places, order_by_slots};
use arrow_buffer::{Buffer, ScalarBuffer};

/// With so many rows a tape, their places are near enough to each other to be written to one by one.
const NEAR_ROWS: usize = 128;

/// The columns of events in their order.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) order: Order,
    pub(crate) ts_ns: ScalarBuffer<i64>,
    pub(crate) values: Vec<ScalarBuffer<f64>>,
    /// The sum of the events' placed hashes.
    pub(crate) digest: u64,
    /// The memory that all of it lies in.
    pub(crate) memory: Vec<Buffer>,
}

/// Memory that the columns of a window are written to.
#[derive(Debug)]
pub(crate) struct Sheet {
    lanes: Column,
    rows: Column,
    at_ns: Column,
    /// None where all rows are known at their stamps.
    ts_ns: Option<Column>,
    values: Vec<Column>,
}

impl Sheet {
    pub(crate) fn new(loaded: &Loaded, lanes: &[Lane<'_>], room: &mut Room) -> Self {
        let rows = lanes.iter().map(Lane::rows).sum();
        let known_at_once =
            |(tape, lane): (&LoadedTape, &Lane<'_>)| lane.rows() == 0 || (tape.available.is_none() && tape.lag_ns == 0);
        let stamps_are_times = loaded.tapes.iter().zip(lanes).all(known_at_once);
        let widest = loaded.tapes.iter().map(|tape| tape.rows.values.len()).max().unwrap_or(0);
        Self {
            lanes: room.column::<u32>(rows),
            rows: room.column::<u32>(rows),
            at_ns: room.column::<i64>(rows),
            ts_ns: (!stamps_are_times).then(|| room.column::<i64>(rows)),
            values: (0..widest).map(|_| room.column::<f64>(rows)).collect(),
        }
    }

    fn page(&mut self) -> Page<'_> {
        Page {
            lanes: self.lanes.values(),
            rows: self.rows.values(),
            at_ns: self.at_ns.values(),
            ts_ns: self.ts_ns.as_mut().map(Column::values),
            values: self.values.iter_mut().map(Column::values).collect(),
        }
    }

    fn done(self, digest: u64) -> Planned {
        let mut memory = Vec::with_capacity(4 + self.values.len());
        let at_ns: ScalarBuffer<i64> = self.at_ns.done(&mut memory);
        let ts_ns = self.ts_ns.map_or_else(|| at_ns.clone(), |column| column.done(&mut memory));
        let order = Order { lanes: self.lanes.done(&mut memory), rows: self.rows.done(&mut memory), at_ns };
        let values = self.values.into_iter().map(|column| column.done(&mut memory)).collect();
        Planned { order, ts_ns, values, digest, memory }
    }
}

/// Memory for work on a window, used again for the next one.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Places of the rows of a few tapes.
    places: Vec<u32>,
    /// Each event's place among the rows as they stand tape after tape, and one column of these.
    sources: Vec<u32>,
    stage: Vec<f64>,
    /// The hash of each row, tape after tape.
    hashes: Vec<u64>,
}

/// Where the columns of events are written to.
pub(crate) struct Page<'a> {
    pub(crate) lanes: &'a mut [u32],
    pub(crate) rows: &'a mut [u32],
    pub(crate) at_ns: &'a mut [i64],
    ts_ns: Option<&'a mut [i64]>,
    pub(crate) values: Vec<&'a mut [f64]>,
}

/// The columns of the lanes' rows. `place` is that of the first event in the replay. The lanes are those of all tapes.
pub(crate) fn planned(
    loaded: &Loaded,
    lanes: &[Lane<'_>],
    place: u64,
    mut sheet: Sheet,
    scratch: &mut Scratch,
) -> Planned {
    let mut page = sheet.page();
    let tapes = &loaded.tapes;
    let slots = Slots::of(lanes);
    let has_places = slots.is_some();
    let is_near = has_places && page.lanes.len() >= NEAR_ROWS * lanes.len();
    match slots {
        Some(slots) => order_by_slots(lanes, slots, &mut page, &mut scratch.places),
        None => by_buckets(lanes, Places { lanes: page.lanes, rows: page.rows, at_ns: page.at_ns }),
    }
    if is_near {
        numbers_to_places(tapes, lanes, &mut page, &scratch.places);
    } else {
        numbers(tapes, lanes, &mut page, scratch);
    }
    stamps(tapes, &mut page);
    let digest = match plain_kind(tapes, lanes) {
        Some(kind) => digest_of_kind(kind, tapes, lanes, place, &page),
        None if has_places => digest_at_places(tapes, lanes, place, &scratch.places),
        None => digest_by_tapes(tapes, lanes, place, &page, &mut scratch.hashes),
    };
    sheet.done(digest)
}

/// The part of events in the digest, where all rows are of one kind.
fn digest_of_kind(kind: Kind, tapes: &[LoadedTape], lanes: &[Lane<'_>], place: u64, page: &Page<'_>) -> u64 {
    let hashes: Vec<u64> = tapes.iter().map(LoadedTape::hash).collect();
    let mut digest = 0_u64;
    let mut from = 0;
    for boundary in boundaries(tapes, lanes, page).into_iter().chain([page.lanes.len()]) {
        let events = Events {
            lanes: &page.lanes[from..boundary],
            at_ns: &page.at_ns[from..boundary],
            ts_ns: page.ts_ns.as_ref().map_or(&page.at_ns[from..boundary], |ts_ns| &ts_ns[from..boundary]),
            values: page.values.iter().map(|column| &column[from..boundary]).collect(),
        };
        digest = digest.wrapping_add(events.digest(kind, &hashes, place + from as u64));
        if let Some(&lane) = page.lanes.get(boundary) {
            let row = page.rows[boundary] as usize;
            let place = place + boundary as u64;
            row_hashes(&tapes[lane as usize], row..row + 1, |_, hash| {
                digest = digest.wrapping_add(placed_hash(place, hash));
            });
        }
        from = boundary + 1;
    }
    digest
}

/// The same of any rows, tape by tape, where the places of their events are known.
fn digest_at_places(tapes: &[LoadedTape], lanes: &[Lane<'_>], first: u64, places: &[u32]) -> u64 {
    let (mut digest, mut left) = (0_u64, places);
    for (tape, lane) in tapes.iter().zip(lanes) {
        let (places, after) = left.split_at(lane.rows());
        row_hashes(tape, lane.from..lane.to, |row, hash| {
            digest = digest.wrapping_add(placed_hash(first.wrapping_add(u64::from(places[row])), hash));
        });
        left = after;
    }
    digest
}

/// The same, where they are not.
fn digest_by_tapes(
    tapes: &[LoadedTape],
    lanes: &[Lane<'_>],
    place: u64,
    page: &Page<'_>,
    hashes: &mut Vec<u64>,
) -> u64 {
    let mut next = Vec::with_capacity(lanes.len());
    hashes.clear();
    for (tape, lane) in tapes.iter().zip(lanes) {
        next.push(hashes.len() as u32);
        row_hashes(tape, lane.from..lane.to, |_, hash| hashes.push(hash));
    }
    let mut digest = 0_u64;
    for (&lane, place) in page.lanes.iter().zip(place..) {
        let own = &mut next[lane as usize];
        digest = digest.wrapping_add(placed_hash(place, hashes[*own as usize]));
        *own = own.wrapping_add(1);
    }
    digest
}

/// The kind of all rows, if it is one, each known a fixed time after its stamp and made from nothing else.
fn plain_kind(tapes: &[LoadedTape], lanes: &[Lane<'_>]) -> Option<Kind> {
    let mut present = tapes.iter().zip(lanes).filter(|(_, lane)| lane.rows() > 0).map(|(tape, _)| tape);
    let is_row = |tape: &&LoadedTape| Kind::ROWS.contains(&tape.key.kind);
    let kind = present.clone().find(is_row)?.key.kind;
    let is_plain = |tape: &LoadedTape| tape.key.kind == kind && tape.available.is_none() && tape.counts.is_none();
    present.all(|tape| is_plain(tape) || !is_row(&tape)).then_some(kind)
}

/// The places of the session's open and close.
fn boundaries(tapes: &[LoadedTape], lanes: &[Lane<'_>], page: &Page<'_>) -> Vec<usize> {
    let numbered = tapes.iter().zip(lanes).enumerate();
    let own = numbered.filter(|(_, (tape, lane))| lane.rows() > 0 && !Kind::ROWS.contains(&tape.key.kind));
    let place = |(number, (_, lane)): (usize, (&LoadedTape, &Lane<'_>))| {
        let at_ns = lane.at(lane.from);
        let from = page.at_ns.partition_point(|&at| at < at_ns);
        let to = from + page.at_ns[from..].partition_point(|&at| at == at_ns);
        from + page.lanes[from..to].partition_point(|&lane| (lane as usize) < number)
    };
    let mut places: Vec<usize> = own.map(place).collect();
    places.sort_unstable();
    places
}

/// Writes the events' own stamps, where they differ from when they are known.
fn stamps(tapes: &[LoadedTape], page: &mut Page<'_>) {
    let Some(ts_ns) = &mut page.ts_ns else {
        return;
    };
    let own: Vec<Stamps<'_>> = tapes.iter().map(Stamps::of).collect();
    for (((out, &at_ns), &lane), &row) in ts_ns.iter_mut().zip(&*page.at_ns).zip(&*page.lanes).zip(&*page.rows) {
        *out = match own[lane as usize] {
            Stamps::Before(lag_ns) => at_ns.wrapping_sub(lag_ns),
            Stamps::Own(stamps_ns) => stamps_ns[row as usize],
        };
    }
}

/// Where the stamps of a tape's events are found.
enum Stamps<'a> {
    /// So long before they are known.
    Before(i64),
    /// Row by row.
    Own(&'a [i64]),
}

impl<'a> Stamps<'a> {
    fn of(tape: &'a LoadedTape) -> Self {
        if tape.available.is_some() { Self::Own(&tape.rows.ts_ns) } else { Self::Before(tape.lag_ns) }
    }
}

/// Moves column after column, in two steps: tape after tape into one stretch of memory, and from there event by event. Tapes
/// lie in thousands of pages of memory; so each page is visited once, and never while the next event waits for it.
fn numbers(tapes: &[LoadedTape], lanes: &[Lane<'_>], page: &mut Page<'_>, scratch: &mut Scratch) {
    let Scratch { sources, stage, .. } = scratch;
    sources.resize(page.lanes.len(), 0);
    stage.resize(page.lanes.len(), 0.0);
    let mut before = 0;
    let first_source = |lane: &Lane<'_>| {
        let first = (before as u32).wrapping_sub(lane.from as u32);
        before += lane.rows();
        first
    };
    let first_sources: Vec<u32> = lanes.iter().map(first_source).collect();
    for ((source, &lane), &row) in sources.iter_mut().zip(&*page.lanes).zip(&*page.rows) {
        *source = first_sources[lane as usize].wrapping_add(row);
    }
    for (number, out) in page.values.iter_mut().enumerate() {
        let mut rest = stage.as_mut_slice();
        for (tape, lane) in tapes.iter().zip(lanes) {
            let (own, after) = rest.split_at_mut(lane.rows());
            match tape.rows.values.get(number) {
                Some(column) => own.copy_from_slice(&column[lane.from..lane.to]),
                None => own.fill(0.0),
            }
            rest = after;
        }
        for (out, &source) in out.iter_mut().zip(sources.iter()) {
            *out = stage[source as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaded::Hours;
    use crate::loaded::tests::{MINUTE, loaded, tapes};
    use crate::merge::merge;
    use proptest::prelude::*;

    fn lanes(loaded: &Loaded) -> Vec<Lane<'_>> {
        loaded.tapes.iter().map(|tape| tape.lane(0, tape.rows.len())).collect()
    }

    fn check(loaded: &Loaded) -> Result<(), TestCaseError> {
        let (lanes, mut room) = (lanes(loaded), Room::default());
        // What was in the memory before must not be seen.
        let rows = lanes.iter().map(Lane::rows).sum();
        let mut used: Vec<Column> = (0..9).map(|_| room.column::<i64>(rows)).collect();
        for column in &mut used {
            column.values::<i64>().fill(77);
        }
        let mut memory = Vec::new();
        for column in used {
            drop(column.done::<i64>(&mut memory));
        }
        room.keep(memory);
        let mut scratch = Scratch { places: vec![7; 7], sources: vec![7; 7], stage: vec![7.0; 7], hashes: vec![7; 7] };
        let (order, all) =
            (merge(&lanes), planned(loaded, &lanes, 7, Sheet::new(loaded, &lanes, &mut room), &mut scratch));
        prop_assert_eq!(&all.order, &order);
        if let Some(slots) = Slots::of(&lanes) {
            let (mut sheet, mut places) = (Sheet::new(loaded, &lanes, &mut room), vec![7; 7]);
            let mut page = sheet.page();
            order_by_slots(&lanes, slots, &mut page, &mut places);
            numbers_to_places(&loaded.tapes, &lanes, &mut page, &places);
            prop_assert!(page.values.iter().zip(&all.values).all(|(straight, column)| **straight == **column));
        }
        let mut digest = 0_u64;
        for event in 0..order.len() {
            let (tape, row) = (&loaded.tapes[order.lanes[event] as usize], order.rows[event] as usize);
            prop_assert_eq!(all.ts_ns[event], tape.rows.ts_ns[row]);
            for (number, column) in all.values.iter().enumerate() {
                prop_assert_eq!(column[event], tape.rows.values.get(number).map_or(0.0, |own| own[row]));
            }
            row_hashes(tape, row..row + 1, |_, hash| {
                digest = digest.wrapping_add(placed_hash(7 + event as u64, hash));
            });
        }
        prop_assert_eq!(all.digest, digest);
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
            check(&loaded(&tapes(&[(Kind::Quote, "A", &a), (Kind::Trade, "A", &trades)]), Hours::Regular, &[]))?;
        }
    }
}
