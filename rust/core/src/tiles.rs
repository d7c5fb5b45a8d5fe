//! Rows become events, some tapes at a time: a tile. Where tapes share a grid, a tile's rows are few enough to stay near while
//! they are ordered, hashed and moved; where they do not, all tapes are one tile.

use crate::counts::FED;
use crate::digest::placed_sum;
use crate::event_hashes::{add_number, key_hashes};
use crate::grid::Slots;
use crate::key::Kind;
use crate::loaded::LoadedTape;
use crate::merge::{Lane, Places};
use crate::plan::Page;
use crate::tile::{Tile, make_room};
use std::ops::Range;

/// Memory for tiles, used again for the next one. What lies in it stands tape after tape.
#[derive(Debug, Default)]
pub struct Tiles {
    slots: Slots,
    tile: Tile,
    at_ns: Vec<i64>,
    ts_ns: Vec<i64>,
    words: Vec<u32>,
    numbers: Vec<f64>,
    hashes: Vec<u64>,
}

/// Hashes are placed so many at a time.
const SOME: usize = 512;
/// About so many rows make a tile of a grid.
pub(crate) const TILE_ROWS: usize = 16_384;

/// Where a tile would have fewer rows in a slot, all lanes are one: it would write to many places, a few rows each.
const ROWS_OF_SLOT: usize = 8;

/// Which lanes make each tile: those that follow each other, as far as their rows are few enough.
fn tiles<'a>(lanes: &'a [Lane<'_>], slots: usize) -> impl Iterator<Item = Range<usize>> + 'a {
    let rows_max = if slots * ROWS_OF_SLOT <= TILE_ROWS { TILE_ROWS } else { usize::MAX };
    let mut next = 0;
    std::iter::from_fn(move || {
        let first = next;
        let mut rows = lanes.get(first)?.rows();
        next += 1;
        while let Some(lane) = lanes.get(next).filter(|lane| rows + lane.rows() <= rows_max) {
            rows += lane.rows();
            next += 1;
        }
        Some(first..next)
    })
}

impl Tiles {
    /// Whether the lanes share a grid. It is to be asked before they are written as such.
    pub(crate) fn are_on_grid(&mut self, lanes: &[Lane<'_>]) -> bool {
        self.slots.cover(lanes)
    }

    /// Writes the order of all rows of lanes on a grid.
    pub(crate) fn order(&mut self, lanes: &[Lane<'_>], out: Places<'_>) {
        let Places { lanes: out_lanes, rows: out_rows, at_ns } = out;
        self.slots.fill_times(at_ns);
        for own in tiles(lanes, self.slots.len()) {
            self.slots.take(own.clone(), &mut self.tile);
            self.order_tile(own.start, &lanes[own], out_lanes, out_rows);
        }
    }

    /// Writes the columns of tapes on a grid, and returns the events' part in the digest. `place` is that of the first
    /// event in the replay.
    pub(crate) fn write_grid(
        &mut self,
        tapes: &[LoadedTape],
        lanes: &[Lane<'_>],
        page: &mut Page<'_>,
        place: u64,
    ) -> u64 {
        self.slots.fill_times(page.at_ns);
        let mut digest = 0_u64;
        for own in tiles(lanes, self.slots.len()) {
            self.slots.take(own.clone(), &mut self.tile);
            self.at_ns.resize(self.tile.sources.len(), 0);
            self.slots.times(own.clone(), &mut self.at_ns);
            let (tapes, lanes) = (&tapes[own.clone()], &lanes[own.clone()]);
            self.order_tile(own.start, lanes, page.lanes, page.rows);
            digest = digest.wrapping_add(self.write_tile(tapes, lanes, page, place));
        }
        digest
    }

    /// The same of tapes whose order is written.
    pub(crate) fn write_ordered(
        &mut self,
        tapes: &[LoadedTape],
        lanes: &[Lane<'_>],
        page: &mut Page<'_>,
        place: u64,
    ) -> u64 {
        self.at_ns.clear();
        for lane in lanes {
            self.at_ns.extend(lane.stamps().iter().map(|ts_ns| ts_ns.wrapping_add(lane.lag_ns)));
        }
        self.tile.of_order(lanes, page.lanes, page.rows);
        self.write_tile(tapes, lanes, page, place)
    }

    fn order_tile(&mut self, first: usize, lanes: &[Lane<'_>], out_lanes: &mut [u32], out_rows: &mut [u32]) {
        let Self { tile, words, .. } = self;
        make_room(words, lanes.iter().map(Lane::rows).sum());
        for (own, number) in pieces_mut(lanes, words).zip(first as u32..) {
            own.fill(number);
        }
        tile.spread(words, out_lanes);
        for (own, lane) in pieces_mut(lanes, words).zip(lanes) {
            for (own, row) in own.iter_mut().zip(lane.from as u32..) {
                *own = row;
            }
        }
        tile.spread(words, out_rows);
    }

    /// Writes stamps and numbers of rows that are ordered, and hashes them.
    fn write_tile(&mut self, tapes: &[LoadedTape], lanes: &[Lane<'_>], page: &mut Page<'_>, place: u64) -> u64 {
        let rows = self.at_ns.len();
        make_room(&mut self.ts_ns, rows);
        make_room(&mut self.numbers, rows);
        make_room(&mut self.hashes, rows);
        self.write_counts(tapes, lanes, page);
        self.stage_stamps(tapes, lanes);
        if let Some(ts_ns) = &mut page.ts_ns {
            self.tile.spread(&self.ts_ns, ts_ns);
        }
        let kinds = rows_by_kind(tapes, lanes);
        for (number, out) in page.values.iter_mut().enumerate() {
            self.stage(number, tapes, lanes, &kinds);
            self.tile.spread(&self.numbers, out);
        }
        self.digest(place)
    }

    fn write_counts(&mut self, tapes: &[LoadedTape], lanes: &[Lane<'_>], page: &mut Page<'_>) {
        let Some(counts) = &mut page.counts else {
            return;
        };
        let is_counted = tapes.iter().any(LoadedTape::is_counted);
        make_room(&mut self.words, self.at_ns.len());
        for (place, out) in counts.iter_mut().enumerate() {
            if is_counted {
                for ((tape, lane), own) in tapes.iter().zip(lanes).zip(pieces_mut(lanes, &mut self.words)) {
                    tape.write_counts(place, lane.from..lane.to, own);
                }
                self.tile.spread(&self.words, out);
            } else {
                self.tile.stretches().for_each(|(stretch, _)| out[stretch].fill(FED[place]));
            }
        }
    }

    /// Copies the stamp of each row and begins its hash.
    fn stage_stamps(&mut self, tapes: &[LoadedTape], lanes: &[Lane<'_>]) {
        let known = pieces(lanes, &self.at_ns);
        let written = pieces_mut(lanes, &mut self.ts_ns).zip(pieces_mut(lanes, &mut self.hashes));
        for (((tape, lane), at_ns), (ts_ns, hashes)) in tapes.iter().zip(lanes).zip(known).zip(written) {
            if tape.available.is_some() {
                ts_ns.copy_from_slice(&tape.rows.ts_ns[lane.from..lane.to]);
            } else {
                ts_ns.iter_mut().zip(at_ns).for_each(|(own, at_ns)| *own = at_ns.wrapping_sub(tape.lag_ns));
            }
            key_hashes(tape, lane.from, ts_ns, at_ns, hashes);
        }
    }

    /// Copies one number of each row and adds it to the hash.
    fn stage(&mut self, number: usize, tapes: &[LoadedTape], lanes: &[Lane<'_>], kinds: &[(Kind, Range<usize>)]) {
        // Copies wait for memory side by side. Work on what was copied would have to wait for it.
        for ((tape, lane), own) in tapes.iter().zip(lanes).zip(pieces_mut(lanes, &mut self.numbers)) {
            match tape.rows.values.get(number) {
                Some(values) => own.copy_from_slice(&values[lane.from..lane.to]),
                None => own.fill(0.0),
            }
        }
        for (kind, rows) in kinds {
            if number < kind.columns().len() {
                add_number(*kind, number, &self.numbers[rows.clone()], &mut self.hashes[rows.clone()]);
            }
        }
    }

    fn digest(&self, first: u64) -> u64 {
        if self.tile.is_in_pieces() {
            let placed =
                |(place, rows): (usize, Range<usize>)| placed_sum(first.wrapping_add(place as u64), &self.hashes[rows]);
            return self.tile.pieces().map(placed).fold(0, u64::wrapping_add);
        }
        let (mut digest, mut some) = (0_u64, [0; SOME]);
        for (stretch, sources) in self.tile.stretches() {
            let places = (first.wrapping_add(stretch.start as u64)..).step_by(SOME);
            for (place, sources) in places.zip(sources.chunks(SOME)) {
                let own = &mut some[..sources.len()];
                self.tile.pick(&self.hashes, sources, own);
                digest = digest.wrapping_add(placed_sum(place, own));
            }
        }
        digest
    }
}

/// Where the rows of each kind lie, as they stand lane after lane: those of many tapes are hashed as one.
fn rows_by_kind(tapes: &[LoadedTape], lanes: &[Lane<'_>]) -> Vec<(Kind, Range<usize>)> {
    let mut kinds: Vec<(Kind, Range<usize>)> = Vec::new();
    for (tape, lane) in tapes.iter().zip(lanes) {
        let first = kinds.last().map_or(0, |(_, rows)| rows.end);
        match kinds.last_mut() {
            Some((kind, rows)) if *kind == tape.key.kind => rows.end += lane.rows(),
            _ => kinds.push((tape.key.kind, first..first + lane.rows())),
        }
    }
    kinds
}

/// What belongs to each lane, of values that stand lane after lane.
fn pieces<'a, T>(lanes: &'a [Lane<'a>], mut values: &'a [T]) -> impl Iterator<Item = &'a [T]> {
    lanes.iter().map(move |lane| {
        let (own, after) = values.split_at(lane.rows());
        values = after;
        own
    })
}

/// The same, to be written.
fn pieces_mut<'a, T>(lanes: &'a [Lane<'a>], mut values: &'a mut [T]) -> impl Iterator<Item = &'a mut [T]> {
    lanes.iter().map(move |lane| {
        let (own, after) = std::mem::take(&mut values).split_at_mut(lane.rows());
        values = after;
        own
    })
}
