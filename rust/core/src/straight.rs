//! Tapes on a grid: the place of each row is known before any other row is looked at, so numbers can go straight from
//! their tape to the columns of events. One column is written after the other: so that column stays near.

use crate::grid::Slots;
use crate::loaded::LoadedTape;
use crate::merge::Lane;
use crate::plan::Page;
use std::hint::black_box;

/// So many numbers fill a line of memory.
const LINE: usize = 8;

/// Writes the order of all rows. `places`: becomes the place of each row, tape after tape.
pub(crate) fn order_by_slots(lanes: &[Lane<'_>], mut slots: Slots, page: &mut Page<'_>, places: &mut Vec<u32>) {
    slots.fill_times(page.at_ns);
    places.clear();
    for (number, lane) in lanes.iter().enumerate() {
        let before = places.len();
        slots.place(number, lane, places);
        for (&place, row) in places[before..].iter().zip(lane.from..lane.to) {
            page.lanes[place as usize] = number as u32;
            page.rows[place as usize] = row as u32;
        }
    }
}

/// Writes the numbers of all rows to their places.
pub(crate) fn numbers_to_places(tapes: &[LoadedTape], lanes: &[Lane<'_>], page: &mut Page<'_>, places: &[u32]) {
    for (number, out) in page.values.iter_mut().enumerate() {
        write_column(tapes, lanes, number, places, out);
    }
}

fn write_column(tapes: &[LoadedTape], lanes: &[Lane<'_>], number: usize, places: &[u32], out: &mut [f64]) {
    let own = |tape: usize| {
        let (rows, lane) = (&tapes.get(tape)?.rows, &lanes[tape]);
        Some(&rows.values.get(number)?[lane.from..lane.to])
    };
    let mut left = places;
    for (tape, lane) in lanes.iter().enumerate() {
        fetch(own(tape + 1).unwrap_or_default());
        let (places, after) = left.split_at(lane.rows());
        match own(tape) {
            Some(column) => {
                for (&place, &value) in places.iter().zip(column) {
                    out[place as usize] = value;
                }
            }
            None => {
                for &place in places {
                    out[place as usize] = 0.0;
                }
            }
        }
        left = after;
    }
}

/// Looks at each line of memory that is read next. Tapes lie far apart: looks that wait for nothing of each other have
/// their lines fetched at the same time, and while others are written.
fn fetch(column: &[f64]) {
    for value in column.iter().step_by(LINE) {
        black_box(*value);
    }
}
