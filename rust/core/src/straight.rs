//! Tapes on a grid: the place of each row is known before any other row is looked at, so rows go straight from their tape
//! to the columns of events, and their hashes into the digest.
//!
//! Tapes that follow each other stand side by side at each instant. A few of them are written at a time, column after
//! column: so a line of memory is fetched once for all of them, and what is read of a tape is read in one go.

use crate::digest::placed_hash;
use crate::event_hashes::row_hashes;
use crate::grid::Slots;
use crate::loaded::LoadedTape;
use crate::merge::Lane;
use crate::plan::Page;
use std::hint::black_box;

/// So many numbers fill a line of memory.
const TOGETHER: usize = 8;

/// Writes order and numbers of all rows, and returns the sum of the events' placed hashes. `first`: the place of the first
/// event in the replay.
pub(crate) fn by_slots(
    tapes: &[LoadedTape],
    lanes: &[Lane<'_>],
    mut slots: Slots,
    first: u64,
    page: &mut Page<'_>,
    places: &mut Vec<u32>,
) -> u64 {
    slots.fill_times(page.at_ns);
    let mut digest = 0_u64;
    for (group, (tapes, lanes)) in tapes.chunks(TOGETHER).zip(lanes.chunks(TOGETHER)).enumerate() {
        places.clear();
        for (own, lane) in lanes.iter().enumerate() {
            slots.place(group * TOGETHER + own, lane, places);
        }
        let part = Part { tapes, lanes, places };
        part.fetch();
        part.write_order(group * TOGETHER, page);
        for (number, column) in page.values.iter_mut().enumerate() {
            part.write_column(number, column);
        }
        digest = digest.wrapping_add(part.digest(first));
    }
    digest
}

/// A few tapes, and the places of their rows, tape after tape.
struct Part<'a> {
    tapes: &'a [LoadedTape],
    lanes: &'a [Lane<'a>],
    places: &'a [u32],
}

impl Part<'_> {
    /// Each tape with its rows and their places.
    fn each(&self, mut work: impl FnMut(&LoadedTape, &Lane<'_>, &[u32])) {
        let mut left = self.places;
        for (tape, lane) in self.tapes.iter().zip(self.lanes) {
            let (places, after) = left.split_at(lane.rows());
            work(tape, lane, places);
            left = after;
        }
    }

    /// Looks at each line of memory that is read next. Tapes lie far apart; looks that wait for nothing of each other have
    /// their lines fetched at the same time, where the loops below would wait for one after the other.
    fn fetch(&self) {
        let mut seen = 0_u64;
        for (tape, lane) in self.tapes.iter().zip(self.lanes) {
            for column in &tape.rows.values {
                for value in column[lane.from..lane.to].iter().step_by(TOGETHER) {
                    seen ^= value.to_bits();
                }
            }
        }
        black_box(seen);
    }

    fn write_order(&self, first_lane: usize, page: &mut Page<'_>) {
        let mut number = first_lane as u32;
        self.each(|_, lane, places| {
            for (&place, row) in places.iter().zip(lane.from..lane.to) {
                page.lanes[place as usize] = number;
                page.rows[place as usize] = row as u32;
            }
            number = number.wrapping_add(1);
        });
    }

    fn write_column(&self, number: usize, out: &mut [f64]) {
        self.each(|tape, lane, places| match tape.rows.values.get(number) {
            Some(column) => {
                for (&place, &value) in places.iter().zip(&column[lane.from..lane.to]) {
                    out[place as usize] = value;
                }
            }
            None => {
                for &place in places {
                    out[place as usize] = 0.0;
                }
            }
        });
    }

    fn digest(&self, first: u64) -> u64 {
        let mut digest = 0_u64;
        self.each(|tape, lane, places| {
            row_hashes(tape, lane.from..lane.to, |row, hash| {
                digest = digest.wrapping_add(placed_hash(first.wrapping_add(u64::from(places[row])), hash));
            });
        });
        digest
    }
}
