//! Where the rows of some tapes stand among the events of all, and how values get there.

use crate::merge::Lane;
use std::ops::Range;

/// A place among so many values needs no check. Most tiles of a grid have fewer rows, and most windows.
const ROOMS: [usize; 2] = [1 << 15, 1 << 17];
/// Rows are copied in stretches where these have so many at the mean.
const PIECE_ROWS: usize = 64;

/// Some lanes: where their rows stand among the events of all.
#[derive(Debug, Default)]
pub(crate) struct Tile {
    /// The next free place of each slot among the tile's own events.
    pub(crate) next: Vec<u32>,
    /// Stretches of all events that are the tile's, ascending.
    pub(crate) stretches: Vec<Range<u32>>,
    /// For each of its events in order, which of its rows it is, as these stand lane after lane.
    pub(crate) sources: Vec<u32>,
    /// The same as stretches of rows, where these are few and its events follow each other: mostly those of a tape alone.
    pieces: Vec<Range<usize>>,
}

impl Tile {
    /// All lanes, in an order that is known.
    pub(crate) fn of_order(&mut self, lanes: &[Lane<'_>], order_lanes: &[u32], order_rows: &[u32]) {
        let mut before = 0_u32;
        let first_source = |lane: &Lane<'_>| {
            let first = before.wrapping_sub(lane.from as u32);
            before = before.wrapping_add(lane.rows() as u32);
            first
        };
        let first_sources: Vec<u32> = lanes.iter().map(first_source).collect();
        self.stretches.clear();
        self.stretches.push(0..order_lanes.len() as u32);
        self.sources.clear();
        let own = order_lanes.iter().zip(order_rows);
        self.sources.extend(own.map(|(&lane, &row)| first_sources[lane as usize].wrapping_add(row)));
        self.find_pieces();
    }

    /// Looks whether its rows follow each other in long stretches. To be called when its sources are known.
    pub(crate) fn find_pieces(&mut self) {
        let Self { sources, pieces, stretches, .. } = self;
        pieces.clear();
        let pieces_max = if stretches.len() == 1 { sources.len() / PIECE_ROWS } else { 0 };
        for &source in &*sources {
            let source = source as usize;
            if let Some(last) = pieces.last_mut().filter(|last| last.end == source) {
                last.end += 1;
            } else if pieces.len() < pieces_max {
                pieces.push(source..source + 1);
            } else {
                return pieces.clear();
            }
        }
    }

    /// Whether [`Self::pieces`] tells of all its rows.
    pub(crate) fn is_in_pieces(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// The stretches of rows that it consists of, each with the place of its first event; none where there are many.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let first = self.stretches.first().map_or(0, |stretch| stretch.start as usize);
        self.pieces.iter().scan(first, |next, rows| {
            let place = *next;
            *next += rows.len();
            Some((place, rows.clone()))
        })
    }

    /// Its stretches of all events, each with the places of its rows.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (Range<usize>, &[u32])> {
        let mut left = self.sources.as_slice();
        self.stretches.iter().map(move |stretch| {
            let (own, after) = left.split_at((stretch.end - stretch.start) as usize);
            left = after;
            (stretch.start as usize..stretch.end as usize, own)
        })
    }

    /// Moves values that stand lane after lane to the places of their events.
    pub(crate) fn spread<T: Copy>(&self, values: &[T], events: &mut [T]) {
        for (place, rows) in self.pieces() {
            events[place..][..rows.len()].copy_from_slice(&values[rows]);
        }
        if !self.is_in_pieces() {
            for (stretch, sources) in self.stretches() {
                self.pick(values, sources, &mut events[stretch]);
            }
        }
    }

    /// Writes the values of some sources, one after the other.
    pub(crate) fn pick<T: Copy>(&self, values: &[T], sources: &[u32], picked: &mut [T]) {
        fn each<T>(sources: &[u32], picked: &mut [T], value: impl Fn(u32) -> T) {
            picked.iter_mut().zip(sources).for_each(|(own, &source)| *own = value(source));
        }
        // Without a check the loop has half as many instructions.
        if let Some(values) = self.room::<{ ROOMS[0] }, T>(values) {
            each(sources, picked, |source| values[source as usize % ROOMS[0]]);
        } else if let Some(values) = self.room::<{ ROOMS[1] }, T>(values) {
            each(sources, picked, |source| values[source as usize % ROOMS[1]]);
        } else {
            each(sources, picked, |source| values[source as usize]);
        }
    }

    fn room<'a, const ROOM: usize, T>(&self, values: &'a [T]) -> Option<&'a [T; ROOM]> {
        values.first_chunk().filter(|_| self.sources.len() <= ROOM)
    }
}

/// Makes room for the values of so many rows, whatever they are.
pub(crate) fn make_room<T: Copy + Default>(values: &mut Vec<T>, rows: usize) {
    let is_worth_it = |room: &usize| rows > room / 16 && rows <= *room;
    let room = ROOMS.into_iter().find(is_worth_it).unwrap_or(rows);
    if values.len() < room {
        *values = vec![T::default(); room];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_stretches_of_rows_are_pieces() {
        let pieces = |sources: &[u32], firsts: &[u32]| {
            let stretches = firsts.iter().map(|&first| first..first + (sources.len() / firsts.len()) as u32);
            let mut tile = Tile { sources: sources.to_vec(), stretches: stretches.collect(), ..Tile::default() };
            tile.find_pieces();
            tile.pieces().collect::<Vec<_>>()
        };
        let rows: Vec<u32> = (200..250).chain(0..200).collect();
        assert_eq!(pieces(&rows, &[0]), [(0, 200..250), (50, 0..200)]);
        assert_eq!(pieces(&rows, &[70]), [(70, 200..250), (120, 0..200)]);
        assert_eq!(pieces(&rows, &[0, 150]), []);
        assert_eq!(pieces(&rows[..100], &[0]), []);
        assert_eq!(pieces(&(0..200).rev().collect::<Vec<_>>(), &[0]), []);
        assert_eq!(pieces(&[], &[0]), []);
    }

    #[test]
    fn values_get_to_the_places_of_their_events_however_many_there_are() {
        for rows in [3, 3_000, 70_000, 200_000] {
            // Each second place belongs to others.
            let stretches = (0..rows).map(|row| 2 * row..2 * row + 1).collect();
            let tile = Tile { stretches, sources: (0..rows).rev().collect(), ..Tile::default() };
            let (mut values, mut events) = (Vec::new(), vec![0; 2 * rows as usize]);
            make_room(&mut values, rows as usize);
            values.iter_mut().zip(1..=rows).for_each(|(value, row)| *value = row);
            tile.spread(&values, &mut events);
            let expected: Vec<u32> = (1..=rows).rev().flat_map(|row| [row, 0]).collect();
            assert!(events == expected, "{rows} rows");
        }
    }
}
