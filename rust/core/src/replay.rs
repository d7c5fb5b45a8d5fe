//! The replay: plans the next events of a session in bounded windows that never split an instant. Planning may run
//! ahead; nothing becomes visible by it. What a consumer takes is committed by its own [`Mark`].

use crate::account::Account;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::key::Kind;
use crate::loaded::Loaded;
use crate::mark::Mark;
use crate::merge::{Lane, Order};
use crate::plan::{Both, Planned, one_by_one, planned};
use arrow_buffer::ScalarBuffer;
use std::sync::Arc;

/// The order of the next events of a session: whole instants only.
#[derive(Debug)]
pub struct Window {
    /// The session that the events belong to.
    pub loaded: Arc<Loaded>,
    /// Tape and row of each event, and when it is known.
    pub order: Order,
    /// The events' own stamps.
    pub ts_ns: ScalarBuffer<i64>,
    /// The events' numbers: column c holds number c of an event, whatever its kind, and 0 where it has none.
    pub values: Vec<ScalarBuffer<f64>>,
    /// Where a consumer stands that has taken none of the window's events.
    pub before: Mark,
    digest_before: Digest,
    hashes: Vec<u64>,
}

impl Window {
    /// Where a consumer stands that has taken so many of the window's events.
    pub fn mark(&self, taken: usize) -> Mark {
        let Some(last) = taken.checked_sub(1) else {
            return self.before;
        };
        let (now_ns, tape) = (self.order.at_ns[last], self.order.lanes[last] as usize);
        let bar_follows = self.order.at_ns.get(taken) == Some(&now_ns) && self.kind(taken) == Kind::Bar;
        Mark::after(now_ns, tape, self.order.rows[last] as usize, !bar_follows)
    }

    /// What the event of a place is.
    pub fn kind(&self, event: usize) -> Kind {
        self.loaded.tapes[self.order.lanes[event] as usize].key.kind
    }

    /// The digest of all events up to here.
    pub fn digest(&self, taken: usize) -> Digest {
        self.digest_before.and(&self.hashes[..taken])
    }

    /// The end of the instant that the event of a place belongs to: the place after its last event.
    pub fn instant_end(&self, event: usize) -> usize {
        let at_ns = &self.order.at_ns;
        event + at_ns[event..].iter().take_while(|&&at| at == at_ns[event]).count()
    }
}

/// Plans session after session.
#[derive(Debug)]
pub struct Replay {
    playing: Option<Playing>,
    settled: Account,
    digest: Digest,
    /// How many events are planned.
    place: u64,
    both: Both,
}

#[derive(Debug)]
struct Playing {
    loaded: Arc<Loaded>,
    cursors: Vec<usize>,
    planned: Mark,
    step_ns: u64,
}

/// The longest time that one window may span, so that times fit beside lane numbers in one word.
const STEP_NS_MAX: u64 = 1 << 45;

impl Default for Replay {
    fn default() -> Self {
        Self::new(one_by_one)
    }
}

impl Replay {
    /// A replay that has not begun. `both` is how two halves of a window are planned; the stream does not depend on it.
    pub fn new(both: Both) -> Self {
        Self { playing: None, settled: Account::default(), digest: Digest::default(), place: 0, both }
    }

    /// Takes up the next session. The one before must have been settled.
    ///
    /// # Errors
    /// [`Error::SessionOutOfOrder`] if it does not follow the one before.
    pub fn begin(&mut self, loaded: Arc<Loaded>, now_ns: i64) -> Result<()> {
        if let Some(Playing { loaded: before, .. }) = &self.playing {
            let (range, range_prev) = (loaded.session.range(), before.session.range());
            if range.start_ns() < range_prev.end_ns() {
                return Err(Error::SessionOutOfOrder {
                    label: Arc::clone(loaded.session.label()),
                    label_prev: Arc::clone(before.session.label()),
                    range_start_ns: range.start_ns(),
                    range_end_prev_ns: range_prev.end_ns(),
                });
            }
        }
        let cursors = vec![0; loaded.tapes.len()];
        self.playing = Some(Playing { loaded, cursors, planned: Mark::start(now_ns), step_ns: 1 << 36 });
        Ok(())
    }

    /// Takes up the same session with more rows at the ends of its tapes, known later than all that was planned.
    pub fn grow(&mut self, loaded: Arc<Loaded>) {
        if let Some(playing) = &mut self.playing {
            playing.loaded = loaded;
        }
    }

    /// The order of about `target` next events; `None` at the end of the session.
    pub fn window(&mut self, target: usize) -> Option<Window> {
        let playing = self.playing.as_mut()?;
        let loaded = Arc::clone(&playing.loaded);
        let lanes = next_lanes(&loaded, &playing.cursors, &mut playing.step_ns, target.max(1))?;
        let Planned { order, ts_ns, values, hashes } = planned(&loaded, &lanes, self.place, self.both);
        playing.cursors = lanes.iter().map(|lane| lane.to).collect();
        let (before, digest_before) = (playing.planned, self.digest);
        let window = Window { loaded, order, ts_ns, values, before, digest_before, hashes };
        self.digest = window.digest(window.order.len());
        self.place += window.order.len() as u64;
        playing.planned = window.mark(window.order.len());
        Some(window)
    }

    /// Ends the session where the consumer stands: its ledger is checked and added to the replay's
    /// account.
    ///
    /// # Errors
    /// [`Error::LedgerUnbalanced`]: our own fault.
    pub fn settle(&mut self, mark: &Mark) -> Result<()> {
        if let Some(playing) = &self.playing {
            let ledger = mark.ledger(&playing.loaded);
            ledger.check(playing.loaded.session.label())?;
            self.settled.add(&playing.loaded, mark, &ledger);
        }
        Ok(())
    }

    /// The account of all settled sessions.
    pub const fn settled(&self) -> &Account {
        &self.settled
    }
}

/// The first row from `from` on that is known at `end_ns` or later. It is near: the search begins there.
fn first_known_from(stamps_ns: &[i64], lag_ns: i64, from: usize, end_ns: i64) -> usize {
    let is_before = |row: usize| stamps_ns.get(row).is_some_and(|ts| ts + lag_ns < end_ns);
    let mut step = 1;
    while is_before(from + step - 1) {
        step *= 2;
    }
    let (low, high) = (from + step / 2, (from + step - 1).min(stamps_ns.len()));
    low + stamps_ns[low..high].partition_point(|&ts| ts + lag_ns < end_ns)
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
                let (stamps_ns, lag_ns) = tape.stamps();
                let to = first_known_from(stamps_ns, lag_ns, from, end_ns);
                Lane { stamps_ns, lag_ns, from, to }
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
    use crate::loaded::Hours;
    use crate::loaded::tests::{MINUTE, loaded, tapes};
    use crate::tapes::Tapes;
    use proptest::prelude::*;

    type Played = (Vec<(u32, u32, i64)>, String, Vec<usize>);

    /// Events, digest and the size of each window.
    fn play(tapes: &Tapes, target: usize) -> Played {
        let loaded = Arc::new(loaded(tapes, Hours::Regular, &[5 * MINUTE]));
        let mut replay = Replay::default();
        replay.begin(loaded, 0).expect("the first session");
        let (mut events, mut sizes, mut mark, mut digest) = (Vec::new(), Vec::new(), Mark::start(0), Digest::default());
        while let Some(window) = replay.window(target) {
            let order = &window.order;
            for (event, &at_ns) in order.at_ns.iter().enumerate() {
                events.push((order.lanes[event], order.rows[event], at_ns));
            }
            sizes.push(order.len());
            mark = window.mark(order.len());
            digest = window.digest(order.len());
        }
        replay.settle(&mark).expect("the ledger balances");
        (events, digest.hex(), sizes)
    }

    fn minutes() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::btree_set(5..25_i64, 0..20).prop_map(|minutes| minutes.into_iter().collect())
    }

    proptest! {
        #[test]
        fn windows_of_any_size_give_the_same_events_and_digest(
            a in minutes(), b in minutes(), trades in prop::collection::vec(5..25_i64, 0..30), target in 1..40_usize
        ) {
            let mut trades = trades;
            trades.sort_unstable();
            let tapes = tapes(&[(Kind::Bar, "A", &a), (Kind::Bar, "B", &b), (Kind::Trade, "A", &trades)]);
            let (events, digest, _) = play(&tapes, usize::MAX / 4);
            let (again, same, sizes) = play(&tapes, target);
            prop_assert_eq!(&events, &again);
            prop_assert_eq!(digest, same);
            prop_assert!(events.is_sorted_by_key(|&(lane, row, at_ns)| (at_ns, lane, row)));
            let mut end = 0;
            for size in sizes {
                end += size;
                prop_assert!(end == again.len() || again[end - 1].2 < again[end].2, "an instant was split");
            }
        }
    }

    proptest! {
        #[test]
        fn the_search_from_a_row_on_finds_what_a_search_of_all_does(
            stamps in prop::collection::vec(0..50_i64, 0..60), from in 0..60_usize, lag_ns in 0..5_i64, end_ns in 0..60_i64
        ) {
            let mut stamps = stamps;
            stamps.sort_unstable();
            let from = from.min(stamps.len());
            let slow = (from..stamps.len()).find(|&row| stamps[row] + lag_ns >= end_ns).unwrap_or(stamps.len());
            prop_assert_eq!(first_known_from(&stamps, lag_ns, from, end_ns), slow);
        }
    }

    #[test]
    fn nothing_at_the_end_or_after_it_is_planned() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10, 11, 12])]);
        let mut day = loaded(&tapes, Hours::Regular, &[]);
        day.until_ns = 12 * MINUTE;
        let mut replay = Replay::default();
        replay.begin(Arc::new(day), 0).expect("the first session");
        let window = replay.window(100).expect("the open and one bar");
        assert_eq!(window.order.at_ns, [10 * MINUTE, 11 * MINUTE]);
        assert!(replay.window(100).is_none());
    }

    #[test]
    fn a_minute_is_due_at_the_last_bar_of_its_instant() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10]), (Kind::Bar, "B", &[10]), (Kind::Trade, "A", &[11])]);
        let day = Arc::new(loaded(&tapes, Hours::Regular, &[]));
        let mut replay = Replay::default();
        replay.begin(Arc::clone(&day), 0).expect("the first session");
        let window = replay.window(100).expect("the open and what follows");
        let due = |taken: usize| window.mark(taken).slots(&day, &day.symbols["A"]).expected;
        assert_eq!([1, 2, 3, 4].map(due), [0, 0, 1, 1], "open, two bars, a trade of the same instant");
    }

    #[test]
    fn a_session_can_not_follow_a_later_one() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10])]);
        let day = Arc::new(loaded(&tapes, Hours::Regular, &[]));
        let mut replay = Replay::default();
        replay.begin(Arc::clone(&day), 0).expect("the first session");
        assert!(matches!(replay.begin(day, 0), Err(Error::SessionOutOfOrder { .. })));
    }
}
