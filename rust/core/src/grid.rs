//! The order of tapes on one grid, such as bars of one interval: rows are counted into the grid's slots, and each slot's
//! rows get the places that follow those of the slots before. Nothing is compared, and of a tape without holes hardly a
//! stamp is looked at.

use crate::divisor::Divisor;
use crate::merge::{Lane, ends};
use crate::runs::{end_of_run, has_many_holes};
use crate::tile::Tile;
use std::ops::Range;

/// Rows that lie sparser than one in so many slots are sorted instead.
const SLOTS_PER_ROW: usize = 2;

/// Slots of equal length that cover a stretch of time, with the next free place of each. Its memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    start_ns: i64,
    step_ns: u64,
    divisor: Divisor,
    next: Vec<u32>,
    /// Rows that follow each other without a hole, lane after lane.
    runs: Vec<Run>,
    /// The runs of each lane.
    of_lanes: Vec<Range<u32>>,
    /// The slots of rows that are listed.
    listed: Vec<u32>,
}

/// Rows of a lane, each so many slots after the one before. Of a lane with many holes all rows are one run, and the slot of
/// each is listed: a walk from hole to hole would branch where no processor can foresee it.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The first row's; where they are listed, its place in the list.
    slot: u32,
    rows: u32,
    stride: u32,
}

/// The stride of rows whose slots are listed.
const LISTED: u32 = 0;

impl Run {
    /// Visits what belongs to the slot of each row.
    fn visit(self, listed: &[u32], slots: &mut [u32], mut visit: impl FnMut(&mut u32)) {
        let (slot, rows) = (self.slot as usize, self.rows as usize);
        match self.stride {
            1 => slots[slot..slot + rows].iter_mut().for_each(visit),
            LISTED => listed[slot..slot + rows].iter().for_each(|&slot| visit(&mut slots[slot as usize])),
            stride => (slot..).step_by(stride as usize).take(rows).for_each(|slot| visit(&mut slots[slot])),
        }
    }
}

impl Slots {
    /// Becomes the slots that the lanes share, each row counted; false where there is no such grid, or where they
    /// lie too sparse. Its step is the shortest one of a lane.
    pub(crate) fn cover(&mut self, lanes: &[Lane<'_>]) -> bool {
        let Some((start_ns, step_ns, slots)) = grid_of(lanes) else {
            return false;
        };
        (self.start_ns, self.step_ns) = (start_ns, step_ns);
        self.divisor = Divisor::new(step_ns);
        self.next.clear();
        self.next.resize(slots, 0);
        self.runs.clear();
        self.of_lanes.clear();
        self.listed.clear();
        if !lanes.iter().all(|lane| self.count(lane)) {
            return false;
        }
        let mut before = 0;
        for count in &mut self.next {
            before += std::mem::replace(count, before);
        }
        true
    }

    /// How many slots.
    pub(crate) const fn len(&self) -> usize {
        self.next.len()
    }

    /// Counts the rows of a lane; false where one lies off the grid.
    fn count(&mut self, lane: &Lane<'_>) -> bool {
        let first_run = self.runs.len();
        let are_scattered = step_of(lane).is_some_and(|step_ns| has_many_holes(lane.stamps(), step_ns));
        let are_on_grid = if are_scattered { self.list(lane) } else { self.find_runs(lane) };
        if !are_on_grid {
            return false;
        }
        for run in &self.runs[first_run..] {
            run.visit(&self.listed, &mut self.next, |count| *count = count.wrapping_add(1));
        }
        self.of_lanes.push(first_run as u32..self.runs.len() as u32);
        true
    }

    fn find_runs(&mut self, lane: &Lane<'_>) -> bool {
        let mut left = lane.stamps();
        while let Some(&first_ns) = left.first() {
            let slot = self.divisor.quotient(self.offset_ns(lane, first_ns));
            if !self.divisor.is_quotient(slot) {
                return false;
            }
            let (rows, stride) = if lane.step_ns.cast_unsigned() == self.step_ns {
                (end_of_run(left, 0, lane.step_ns), 1)
            } else {
                run_of_any(left, self.step_ns)
            };
            self.runs.push(Run { slot: slot as u32, rows: rows as u32, stride });
            left = &left[rows..];
        }
        true
    }

    fn list(&mut self, lane: &Lane<'_>) -> bool {
        let (first, mut highest) = (self.listed.len(), 0);
        let mut listed = std::mem::take(&mut self.listed);
        listed.extend(lane.stamps().iter().map(|&ts_ns| {
            let slot = self.divisor.quotient(self.offset_ns(lane, ts_ns));
            highest = slot.max(highest);
            slot as u32
        }));
        self.listed = listed;
        self.runs.push(Run { slot: first as u32, rows: lane.rows() as u32, stride: LISTED });
        self.divisor.is_quotient(highest)
    }

    /// How long after the first slot a row is known.
    const fn offset_ns(&self, lane: &Lane<'_>, ts_ns: i64) -> u64 {
        ts_ns.wrapping_add(lane.lag_ns).wrapping_sub(self.start_ns).cast_unsigned()
    }

    fn time(&self, slot: usize) -> i64 {
        self.start_ns.wrapping_add_unsigned(slot as u64 * self.step_ns)
    }

    /// Writes when each event is known. Before any lane is taken.
    pub(crate) fn fill_times(&self, at_ns: &mut [i64]) {
        let ends = self.next.iter().skip(1).copied().chain([at_ns.len() as u32]);
        for (slot, (&first, end)) in self.next.iter().zip(ends).enumerate() {
            at_ns[first as usize..end as usize].fill(self.time(slot));
        }
    }

    /// Where the runs of some lanes stand.
    fn runs_of(&self, lanes: &Range<usize>) -> Range<usize> {
        self.of_lanes[lanes.start].start as usize..self.of_lanes[lanes.end - 1].end as usize
    }

    /// Writes when the rows of some lanes are known, lane after lane.
    pub(crate) fn times(&self, lanes: Range<usize>, mut at_ns: &mut [i64]) {
        for run in &self.runs[self.runs_of(&lanes)] {
            let (own, after) = at_ns.split_at_mut(run.rows as usize);
            if run.stride == LISTED {
                let slots = &self.listed[run.slot as usize..];
                own.iter_mut().zip(slots).for_each(|(at_ns, &slot)| *at_ns = self.time(slot as usize));
            } else {
                let mut next_ns = self.time(run.slot as usize);
                let step_ns = self.step_ns.cast_signed().wrapping_mul(run.stride.into());
                for at_ns in own {
                    *at_ns = next_ns;
                    next_ns = next_ns.wrapping_add(step_ns);
                }
            }
            at_ns = after;
        }
    }

    /// Takes the next lanes: which of all places their rows get. The lanes before them have theirs.
    pub(crate) fn take(&mut self, lanes: Range<usize>, tile: &mut Tile) {
        let Tile { next, stretches, sources, .. } = tile;
        let runs = &self.runs[self.runs_of(&lanes)];
        stretches.clear();
        let mut before = 0;
        if lanes.len() == self.of_lanes.len() {
            next.clone_from(&self.next);
            before = runs.iter().fold(0, |rows, run| rows + run.rows);
            stretches.push(0..before);
        } else {
            next.clear();
            next.resize(self.next.len(), 0);
            for run in runs {
                run.visit(&self.listed, next, |count| *count = count.wrapping_add(1));
            }
            for (all, own) in self.next.iter_mut().zip(&mut *next) {
                let rows = std::mem::replace(own, before);
                let end = all.wrapping_add(rows);
                match stretches.last_mut() {
                    Some(last) if last.end == *all => last.end = end,
                    _ if rows > 0 => stretches.push(*all..end),
                    _ => (),
                }
                *all = end;
                before = before.wrapping_add(rows);
            }
        }
        sources.resize(before as usize, 0);
        let mut source = 0;
        for run in runs {
            run.visit(&self.listed, next, |place| {
                sources[*place as usize] = source;
                source = source.wrapping_add(1);
                *place = place.wrapping_add(1);
            });
        }
        tile.find_pieces();
    }
}

/// The step of a lane, or where none is known that from its first row to the second.
fn step_of(lane: &Lane<'_>) -> Option<u64> {
    let first_step = || lane.stamps().get(..2).map(|pair| pair[1].abs_diff(pair[0]));
    let step_ns = if lane.step_ns > 0 { Some(lane.step_ns.unsigned_abs()) } else { first_step() };
    step_ns.filter(|&step_ns| step_ns > 0)
}

/// Where the grid of lanes begins, its step and its slots; `None` where these are too many for so few rows.
fn grid_of(lanes: &[Lane<'_>]) -> Option<(i64, u64, usize)> {
    let step_ns = lanes.iter().filter(|lane| lane.rows() > 1).filter_map(step_of).min()?;
    let (start_ns, end_ns) = ends(lanes)?;
    let rows: usize = lanes.iter().map(Lane::rows).sum();
    let slots = usize::try_from(end_ns.abs_diff(start_ns) / step_ns).ok()?.checked_add(1)?;
    let are_worth_it = slots <= SLOTS_PER_ROW * rows && u32::try_from(slots).is_ok();
    are_worth_it.then_some((start_ns, step_ns, slots))
}

/// How many rows from the first on follow each other by as many steps as the second follows the first, and how many these
/// are. Where that is no whole number of steps, or none, the first row stands alone.
fn run_of_any(stamps_ns: &[i64], step_ns: u64) -> (usize, u32) {
    let after = |pair: &[i64]| pair[1].wrapping_sub(pair[0]).cast_unsigned();
    let Some(first) = stamps_ns.get(..2).map(after).filter(|&first| first > 0 && first.is_multiple_of(step_ns)) else {
        return (1, 1);
    };
    let rows = 1 + stamps_ns.windows(2).take_while(|pair| after(pair) == first).count();
    (rows, (first / step_ns) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lane(stamps_ns: &[i64], lag_ns: i64) -> Lane<'_> {
        Lane { stamps_ns, lag_ns, step_ns: 0, from: 0, to: stamps_ns.len() }
    }

    /// The place of each row, lane after lane, of so many lanes at a time.
    fn places(lanes: &[Lane<'_>], at_a_time: usize) -> Option<Vec<u32>> {
        let (mut slots, mut places, mut tile) = (Slots::default(), Vec::new(), Tile::default());
        if !slots.cover(lanes) {
            return None;
        }
        for from in (0..lanes.len()).step_by(at_a_time) {
            slots.take(from..lanes.len().min(from + at_a_time), &mut tile);
            let mut own = vec![0; tile.sources.len()];
            for (stretch, sources) in tile.stretches() {
                for (place, &source) in stretch.zip(sources) {
                    own[source as usize] = place as u32;
                }
            }
            places.extend(own);
        }
        Some(places)
    }

    #[test]
    fn a_row_off_the_grid_and_a_sparse_grid_are_left_to_others() {
        let (bars, odd, far) = ([10, 20, 30, 40], [15, 30, 45], [0, 1, 1_000]);
        assert_eq!(places(&[lane(&bars, 0), lane(&bars, 10)], 1), Some(vec![0, 1, 3, 5, 2, 4, 6, 7]));
        assert_eq!(places(&[lane(&bars, 0), lane(&odd, 0)], 2), None);
        assert_eq!(places(&[lane(&far, 0), lane(&far, 0)], 2), None);
    }

    proptest! {
        #[test]
        fn tapes_on_a_grid_take_the_places_of_a_stable_sort(
            tapes in prop::collection::vec(prop::collection::vec(0..30_i64, 1..40), 2..12),
            lags in prop::collection::vec(0..3_i64, 12), at_a_time in 1..12_usize
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
            if let Some(found) = places(&lanes, at_a_time) {
                for (row, place) in in_tapes.iter().zip(found) {
                    prop_assert_eq!(*row, rows[place as usize]);
                }
            }
        }

        #[test]
        fn a_run_goes_as_far_as_the_stamps_follow_each_other_by_its_stride(
            slots in prop::collection::vec(0..12_i64, 1..20), unit in 4..6_i64
        ) {
            let mut stamps: Vec<i64> = slots.iter().map(|slot| slot * unit).collect();
            stamps.sort_unstable();
            let (rows, stride) = run_of_any(&stamps, 5);
            let steps: Vec<i64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let told = i64::from(stride) * 5;
            let slow = steps.iter().take_while(|&&step| step == told).count() + 1;
            let is_grid = steps.first().is_some_and(|&step| step > 0 && step % 5 == 0);
            prop_assert_eq!((rows, told), if is_grid { (slow, steps[0]) } else { (1, 5) });
        }
    }
}
