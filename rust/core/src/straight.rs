//! Tapes on a grid: the place of each row is known before any other row is looked at, so numbers can go straight from
//! their tape to the columns of events. One column is written after the other: so that column stays near.

use crate::grid::Slots;
use crate::loaded::LoadedTape;
use crate::merge::Lane;
use crate::plan::Page;
use std::hint::black_box;

/// So many numbers fill a line of memory.
const LINE: usize = 8;
/// Tapes are written so many at a time, and so many rows of each: rows of one time stand side by side, so that a line of
/// memory is full before the next one is begun.
const TILE_TAPES: usize = 8;
const TILE_ROWS: usize = 64;

/// Writes the order of all rows. `places`: becomes the place of each row, tape after tape.
pub(crate) fn order_by_slots(lanes: &[Lane<'_>], mut slots: Slots, page: &mut Page<'_>, places: &mut Vec<u32>) {
    slots.fill_times(page.at_ns);
    places.clear();
    for (number, lane) in lanes.iter().enumerate() {
        slots.place(number, lane, places);
    }
    page.lanes.fill(0);
    page.rows.fill(0);
    by_tiles(lanes, places, |tape, from, places| {
        let first_row = lanes[tape].from + from;
        for (&place, row) in places.iter().zip(first_row..) {
            page.lanes[place as usize] = tape as u32;
            page.rows[place as usize] = row as u32;
        }
    });
}

/// Writes the numbers of all rows to their places.
pub(crate) fn numbers_to_places(tapes: &[LoadedTape], lanes: &[Lane<'_>], page: &mut Page<'_>, places: &[u32]) {
    for (number, out) in page.values.iter_mut().enumerate() {
        out.fill(0.0);
        let own = |tape: usize| Some(&tapes[tape].rows.values.get(number)?[lanes[tape].from..lanes[tape].to]);
        by_tiles(lanes, places, |tape, from, places| {
            let Some(column) = own(tape) else {
                return;
            };
            if from == 0 {
                fetch(column);
            }
            for (&place, &value) in places.iter().zip(&column[from..]) {
                out[place as usize] = value;
            }
        });
    }
}

/// Goes through the rows of all tapes, some rows of some tapes at a time. `write`: is given the tape, how many of its rows
/// come before, and the places of the rows.
fn by_tiles(lanes: &[Lane<'_>], places: &[u32], mut write: impl FnMut(usize, usize, &[u32])) {
    let (mut left, mut first_tape) = (places, 0);
    for lanes in lanes.chunks(TILE_TAPES) {
        let mut own: [&[u32]; TILE_TAPES] = [&[]; TILE_TAPES];
        for (own, lane) in own.iter_mut().zip(lanes) {
            (*own, left) = left.split_at(lane.rows());
        }
        let longest = own.iter().map(|own| own.len()).max().unwrap_or(0);
        for from in (0..longest).step_by(TILE_ROWS) {
            for (tape, own) in own.iter().enumerate().filter(|(_, own)| own.len() > from) {
                write(first_tape + tape, from, &own[from..own.len().min(from + TILE_ROWS)]);
            }
        }
        first_tape += lanes.len();
    }
}

/// Looks at each line of memory that is read next. Tapes lie far apart: looks that wait for nothing of each other have
/// their lines fetched at the same time.
fn fetch(column: &[f64]) {
    for value in column.iter().step_by(LINE) {
        black_box(*value);
    }
}
