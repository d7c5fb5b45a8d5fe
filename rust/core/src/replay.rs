//! The replay: plans the next events of a session in bounded windows that never split an instant. Planning may run
//! ahead, on any thread; nothing becomes visible by it. What a consumer takes is committed by its own [`Mark`].

use crate::account::Account;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::loaded::Loaded;
use crate::mark::Mark;
pub use crate::room::Room;
use crate::stretches::Stretches;
use crate::window::{Job, Sketch, Tiles, Window};
use std::collections::VecDeque;
use std::sync::Arc;

/// Plays session after session. Windows are begun in their order, worked out anywhere, and taken up in their order.
#[derive(Debug, Default)]
pub struct Replay {
    playing: Option<Stretches>,
    /// Sessions that come next, as far as they are known, of which windows are begun already.
    ahead: VecDeque<Stretches>,
    settled: Account,
    /// Where a consumer stands that has taken all windows that were taken up.
    end: Option<Mark>,
    digest: Digest,
    room: Room,
}

impl Replay {
    /// Says that a session is the next one after all that are known: its windows may be begun.
    pub fn foresee(&mut self, loaded: Arc<Loaded>) {
        let last = self.ahead.back().or(self.playing.as_ref());
        let place = last.map_or(0, Stretches::end_place);
        self.ahead.push_back(Stretches::new(loaded, place));
    }

    /// Takes up the next session. The one before must have been settled, and all windows of it taken up. Returns whether
    /// the session was foreseen; if not, nothing that was begun ahead is of use.
    ///
    /// # Errors
    /// [`Error::SessionOutOfOrder`] if it does not follow the one before.
    pub fn begin(&mut self, loaded: Arc<Loaded>, now_ns: i64) -> Result<bool> {
        if let Some(before) = &self.playing {
            follows(&loaded, before.loaded())?;
        }
        let foreseen = self.ahead.pop_front().filter(|ahead| Arc::ptr_eq(ahead.loaded(), &loaded));
        let is_foreseen = foreseen.is_some();
        if !is_foreseen {
            self.ahead.clear();
        }
        let place = self.playing.as_ref().map_or(0, Stretches::place);
        self.playing = Some(foreseen.unwrap_or_else(|| Stretches::new(loaded, place)));
        self.end = Some(Mark::start(now_ns));
        Ok(is_foreseen)
    }

    /// Takes up the same session with more rows at the ends of its tapes, known later than all that was planned.
    pub fn grow(&mut self, loaded: Arc<Loaded>) {
        if let Some(playing) = &mut self.playing {
            playing.grow(loaded);
        }
    }

    /// Begins the next window of the session, of about `target` events; `None` at its end.
    pub fn next_job(&mut self, target: usize) -> Option<Job> {
        self.playing.as_mut()?.next_job(target, &mut self.room)
    }

    /// Begins the next window of a session that was foreseen, `sessions` after the one that plays: 0 for the very next.
    pub fn next_job_ahead(&mut self, sessions: usize, target: usize) -> Option<Job> {
        self.ahead.get_mut(sessions)?.next_job(target, &mut self.room)
    }

    /// Takes up a window of the session that plays: the one that follows those taken up before.
    pub fn take_up(&mut self, sketch: Sketch) -> Window {
        let before = self.end.unwrap_or(Mark::start(i64::MIN));
        let window = sketch.window(before, self.digest, &mut self.room);
        self.digest = window.digest(window.order.len());
        self.end = Some(window.mark(window.order.len()));
        window
    }

    /// The order of about `target` next events; `None` at the end of the session.
    pub fn window(&mut self, target: usize) -> Option<Window> {
        let job = self.next_job(target)?;
        Some(self.take_up(job.done(&mut Tiles::default())))
    }

    /// Ends the session where the consumer stands: its ledger is checked and added to the replay's
    /// account.
    ///
    /// # Errors
    /// [`Error::LedgerUnbalanced`]: our own fault.
    pub fn settle(&mut self, mark: &Mark) -> Result<()> {
        self.playing.as_ref().map_or(Ok(()), |playing| self.settled.add(playing.loaded(), mark))
    }

    /// The account of all settled sessions.
    pub const fn settled(&self) -> &Account {
        &self.settled
    }

    /// A replay that plans in memory which another one has used.
    pub fn within(room: Room) -> Self {
        Self { room, ..Self::default() }
    }

    /// Nothing more is to be planned: sessions that were kept for it are let go of. Returns up to so many bytes of memory
    /// that another replay may use.
    pub fn end(&mut self, bytes_max: usize) -> Room {
        self.ahead.clear();
        self.playing = None;
        let mut room = std::mem::take(&mut self.room);
        room.shrink(bytes_max);
        room
    }
}

fn follows(loaded: &Loaded, before: &Loaded) -> Result<()> {
    let (range, range_prev) = (loaded.session.range(), before.session.range());
    if range.start_ns() >= range_prev.end_ns() {
        return Ok(());
    }
    Err(Error::SessionOutOfOrder {
        label: Arc::clone(loaded.session.label()),
        label_prev: Arc::clone(before.session.label()),
        range_start_ns: range.start_ns(),
        range_end_prev_ns: range_prev.end_ns(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;
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
