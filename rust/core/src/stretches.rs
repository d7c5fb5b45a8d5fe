//! A session cut into stretches of time, so that each window holds about as many events as were asked for.

use crate::loaded::{Loaded, LoadedTape};
use crate::merge::Lane;
use crate::plan::Sheet;
use crate::room::Room;
use crate::span::rows_until_near;
use crate::window::Job;
use std::sync::Arc;

/// The longest time that one window may span, so that times fit beside lane numbers in one word.
const STEP_NS_MAX: u64 = 1 << 45;

/// How far a session's windows are begun.
#[derive(Debug)]
pub(crate) struct Stretches {
    loaded: Arc<Loaded>,
    cursors: Vec<usize>,
    step_ns: u64,
    /// The place of the next event in the replay.
    place: u64,
}

impl Stretches {
    /// `place`: that of the session's first event in the replay.
    pub(crate) fn new(loaded: Arc<Loaded>, place: u64) -> Self {
        let cursors = vec![0; loaded.tapes.len()];
        Self { loaded, cursors, step_ns: 0, place }
    }

    pub(crate) const fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }

    pub(crate) const fn place(&self) -> u64 {
        self.place
    }

    /// The place after the session's last event.
    pub(crate) fn end_place(&self) -> u64 {
        let until_ns = self.loaded.until_ns;
        let left = |(tape, &from): (&LoadedTape, &usize)| tape.known_before(until_ns).saturating_sub(from) as u64;
        self.place + self.loaded.tapes.iter().zip(&self.cursors).map(left).sum::<u64>()
    }

    pub(crate) fn grow(&mut self, loaded: Arc<Loaded>) {
        self.loaded = loaded;
    }

    /// The next window, of about `target` events.
    pub(crate) fn next_job(&mut self, target: usize, room: &mut Room) -> Option<Job> {
        let loaded = Arc::clone(&self.loaded);
        if self.step_ns == 0 {
            self.step_ns = first_step_ns(&loaded, target);
        }
        let lanes = next_lanes(&loaded, &self.cursors, &mut self.step_ns, target.max(1))?;
        let place = self.place;
        self.place += lanes.iter().map(|lane| lane.rows() as u64).sum::<u64>();
        let sheet = Sheet::new(&loaded, &lanes, room);
        let ends: Vec<usize> = lanes.iter().map(|lane| lane.to).collect();
        let starts = std::mem::replace(&mut self.cursors, ends.clone());
        Some(Job { loaded: Arc::clone(&loaded), starts, ends, place, sheet })
    }
}

/// How long a window of about `target` rows is, if they come as evenly as it seems.
fn first_step_ns(loaded: &Loaded, target: usize) -> u64 {
    let rows: usize = loaded.tapes.iter().map(|tape| tape.rows.len()).sum();
    let span_ns = loaded.session.closing_ns().abs_diff(loaded.session.open_ns());
    let step_ns = u128::from(span_ns) * target as u128 / rows.max(1) as u128;
    u64::try_from(step_ns).unwrap_or(u64::MAX).clamp(1, STEP_NS_MAX)
}

/// The first row from `from` on that is known at `end_ns` or later. It is near: the search begins there, and where the
/// tape's step is known at the very row that it is if none is missing.
fn first_known_from(lane: Lane<'_>, end_ns: i64) -> usize {
    let Some(&first_ns) = lane.stamps_ns.get(lane.from) else {
        return lane.from;
    };
    let until_ns = end_ns.saturating_sub(lane.lag_ns);
    let ahead_ns = until_ns.saturating_sub(first_ns).max(0);
    let ahead = ahead_ns.checked_div(lane.step_ns).map_or(0, |steps| steps as usize);
    lane.from + rows_until_near(&lane.stamps_ns[lane.from..], ahead, until_ns)
}

/// Each tape's rows of the next stretch of time, which is chosen so that about `target` rows lie in it. `step_ns` is how
/// long the stretch was last time, and is this time.
fn next_lanes<'a>(loaded: &'a Loaded, cursors: &[usize], step_ns: &mut u64, target: usize) -> Option<Vec<Lane<'a>>> {
    let tapes = || loaded.tapes.iter().zip(cursors);
    let heads = tapes().filter(|&(tape, &from)| from < tape.rows.len()).map(|(tape, &from)| tape.available_ns(from));
    let start_ns = heads.min().filter(|&start_ns| start_ns < loaded.until_ns)?;
    let mut may_grow = true;
    let room: usize = tapes().map(|(tape, &from)| tape.rows.len() - from).sum();
    loop {
        let end_ns = start_ns.saturating_add_unsigned(*step_ns).min(loaded.until_ns);
        let lanes: Vec<Lane<'_>> = tapes()
            .map(|(tape, &from)| {
                let all = tape.lane(from, tape.rows.len());
                Lane { to: first_known_from(all, end_ns), ..all }
            })
            .collect();
        let rows: usize = lanes.iter().map(|lane| lane.to - lane.from).sum();
        let too_many = rows > 2 * target && *step_ns > 1;
        let too_few =
            may_grow && rows < target / 2 && rows < room && end_ns < loaded.until_ns && *step_ns < STEP_NS_MAX;
        if too_many {
            may_grow = false;
            *step_ns = (u128::from(*step_ns) * target as u128 / rows as u128).max(1) as u64;
        } else if too_few {
            *step_ns = (*step_ns * 2).min(STEP_NS_MAX);
        } else {
            return Some(lanes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_search_from_a_row_on_finds_what_a_search_of_all_does(
            stamps in prop::collection::vec(0..50_i64, 0..60), from in 0..60_usize, lag_ns in 0..5_i64, end_ns in 0..60_i64
        ) {
            let mut stamps = stamps;
            stamps.sort_unstable();
            let from = from.min(stamps.len());
            let slow = (from..stamps.len()).find(|&row| stamps[row] + lag_ns >= end_ns).unwrap_or(stamps.len());
            let lane = Lane { stamps_ns: &stamps, lag_ns, step_ns: 0, from, to: stamps.len() };
            prop_assert_eq!(first_known_from(lane, end_ns), slow);
            // A step that is wrong costs time only.
            prop_assert_eq!(first_known_from(Lane { step_ns: 3, ..lane }, end_ns), slow);
        }
    }
}
