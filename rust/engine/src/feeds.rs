//! Streams that are fed while a replay runs. Feeders put rows and promises in, the merge takes out what no later row can
//! precede: it moves to the lowest promise of all open streams, and waits there.
//!
//! Queues are bounded in rows. While the merge waits for another stream, that bound is soft up to a bound in bytes, since
//! one feeder may well feed several streams in turn; beyond it the feeder is told which stream it is that says nothing.

pub use crate::fault::Fault;
pub use crate::queues::Limits;
use crate::queues::{Queues, Room};
use crate::stream::Stream;
pub use crate::stream::{Fed, Standing, StreamStats};
use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};
use crate::wall::{MachineWall, Wall};
use backtape_core::check::{Checked, OnBadRows};
use backtape_core::key::TapeKey;
use backtape_core::pending::Pending;
use std::time::Duration;

/// What a wait for the frontier came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Frontier {
    /// No row known before this can come any more; `i64::MAX` once all streams have ended.
    At(i64),
    /// The longest wait passed first.
    NotYet,
    /// The replay was stopped.
    Stopped,
}

/// All fed streams of one replay.
#[derive(Debug)]
pub struct Feeds<W: Wall = MachineWall> {
    wall: W,
    limits: Limits,
    on_bad: OnBadRows,
    state: Mutex<Queues>,
    /// Signalled when a stream gives a row, a promise or an end: the merge may go on.
    moved: Condvar,
    /// Signalled when rows were taken, and when the merge begins to wait: feeders may go on.
    room: Condvar,
}

impl Feeds {
    /// No streams yet.
    pub fn new(limits: Limits, on_bad: OnBadRows) -> Self {
        Self::by(MachineWall::default(), limits, on_bad)
    }
}

impl<W: Wall> Feeds<W> {
    /// No streams yet, by another clock.
    pub fn by(wall: W, limits: Limits, on_bad: OnBadRows) -> Self {
        let (moved, room) = (Condvar::new(), Condvar::new());
        Self { wall, limits, on_bad, state: Mutex::default(), moved, room }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        lock(&self.state)
    }

    /// Opens a stream for a tape. Its number is how all else refers to it.
    pub fn register(&self, key: TapeKey) -> usize {
        let mut state = self.lock();
        state.streams.push(Stream::new(key, self.wall.now()));
        state.streams.len() - 1
    }

    /// Puts checked rows of a stream in. `None` where there was no room within `at_most`; then nothing was taken up.
    ///
    /// # Errors
    /// [`Fault::Stopped`], [`Fault::Ended`], [`Fault::Stalled`], or two different bars under one stamp.
    pub fn feed(&self, number: usize, rows: &Checked, at_most: Duration) -> Result<Option<Fed>, Fault> {
        let push = |stream: &mut Stream| Ok(stream.push(&rows.rows, rows.dropped.clone(), self.on_bad)?);
        self.put(number, rows.rows.bytes(), at_most, push)
    }

    /// Puts one checked row of a stream in; see [`Feeds::feed`].
    ///
    /// # Errors
    /// As [`Feeds::feed`].
    pub fn feed_row(&self, number: usize, ts_ns: i64, values: &[f64], at_most: Duration) -> Result<Option<Fed>, Fault> {
        let push = |stream: &mut Stream| Ok(stream.push_row(ts_ns, values, self.on_bad)?);
        self.put(number, 8 * (1 + values.len()), at_most, push)
    }

    fn put(
        &self,
        number: usize,
        bytes: usize,
        at_most: Duration,
        push: impl FnOnce(&mut Stream) -> Result<Fed, Fault>,
    ) -> Result<Option<Fed>, Fault> {
        let now = self.wall.now();
        let until = now.saturating_add(at_most);
        let mut state = self.lock();
        while state.room(&self.limits, number, bytes)? == Room::None {
            let left = until.saturating_sub(self.wall.now());
            if left.is_zero() {
                return Ok(None);
            }
            state = wait(&self.room, state, left);
        }
        let (fed, merge_goes_on) = state.push(number, now, push)?;
        drop(state);
        if merge_goes_on {
            self.moved.notify_all();
        }
        Ok(Some(fed))
    }

    /// Promises that no row of a stream known before `until_ns` will come.
    ///
    /// # Errors
    /// [`Fault::Backwards`], [`Fault::Ended`], [`Fault::Stopped`].
    pub fn advance(&self, number: usize, until_ns: i64) -> Result<(), Fault> {
        self.change(number, |stream| {
            let promised_ns = stream.promised_ns;
            if until_ns < promised_ns {
                return Err(Fault::Backwards { stream: stream.key.to_string(), until_ns, promised_ns });
            }
            stream.promised_ns = until_ns;
            Ok(())
        })
    }

    /// Ends a stream. `rows`: how many its feeder fed, whatever became of them.
    ///
    /// # Errors
    /// [`Fault::Miscounted`], [`Fault::Ended`], [`Fault::Stopped`].
    pub fn end(&self, number: usize, rows: Option<u64>) -> Result<(), Fault> {
        self.change(number, |stream| {
            let came = stream.came;
            stream.standing = Standing::Ended;
            match rows.filter(|&rows| rows != came) {
                Some(rows_expected) => {
                    stream.standing = Standing::Abandoned;
                    Err(Fault::Miscounted { stream: stream.key.to_string(), rows: came, rows_expected })
                }
                None => Ok(()),
            }
        })
    }

    /// Notes that the feeder of a stream is gone, unless it ended the stream.
    pub fn abandon(&self, number: usize) {
        // A feeder that is gone can't be told what is wrong; the merge is.
        drop(self.change(number, |stream| {
            stream.standing = Standing::Abandoned;
            Ok(())
        }));
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Stream) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut state = self.lock();
        state.check_open(number)?;
        let stream = &mut state.streams[number];
        stream.heard = self.wall.now();
        let changed = change(stream);
        drop(state);
        self.moved.notify_all();
        self.room.notify_all();
        changed
    }

    /// Waits until all rows known before some time beyond `beyond_ns` are there.
    ///
    /// # Errors
    /// [`Fault::Abandoned`] and [`Fault::Silent`] where nothing can come of the wait.
    pub fn wait_beyond(&self, beyond_ns: i64, at_most: Duration) -> Result<Frontier, Fault> {
        let until = self.wall.now().saturating_add(at_most);
        let mut state = self.lock();
        state.begun = true;
        loop {
            if state.stopped {
                return Ok(Frontier::Stopped);
            }
            let frontier_ns = state.frontier_ns();
            if frontier_ns > beyond_ns {
                (state.waits_beyond_ns, state.waits_since) = (None, None);
                return Ok(Frontier::At(frontier_ns));
            }
            let now = self.wall.now();
            let since = *state.waits_since.get_or_insert(now);
            state.waits_beyond_ns = Some(beyond_ns);
            state.check_holders(self.limits.silence, beyond_ns, since, now)?;
            let left = until.saturating_sub(now);
            if left.is_zero() {
                return Ok(Frontier::NotYet);
            }
            self.room.notify_all();
            state = wait(&self.moved, state, left);
        }
    }

    /// Takes all rows known before a time, and stamped before `end_ns`, out of the queues: by tape.
    pub fn take_before(&self, at_ns: i64, end_ns: i64) -> Vec<(TapeKey, Pending)> {
        let mut state = self.lock();
        let taken =
            state.streams.iter_mut().map(|stream| (stream.key.clone(), stream.pending.take_before(at_ns, end_ns)));
        let taken = taken.collect();
        drop(state);
        self.room.notify_all();
        taken
    }

    /// The tape of a stream; `None` where there is no such stream.
    pub fn key(&self, number: usize) -> Option<TapeKey> {
        self.lock().streams.get(number).map(|stream| stream.key.clone())
    }

    /// How each stream stands.
    pub fn stats(&self) -> Vec<StreamStats> {
        self.lock().streams.iter().map(Stream::stats).collect()
    }

    /// Ends all waiting, for good.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
        self.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wall::HandWall;
    use backtape_core::key::Kind;
    use backtape_core::rows::Rows;
    use std::sync::Arc;

    const NOW: Duration = Duration::ZERO;

    fn key(symbol: &str) -> TapeKey {
        TapeKey { kind: Kind::Trade, interval_ns: 0, symbol: symbol.into() }
    }

    fn trades(ts_ns: &[i64]) -> Checked {
        let values = (0..2).map(|_| vec![1.0; ts_ns.len()].into()).collect();
        let rows = Rows::new(Kind::Trade, ts_ns.to_vec().into(), values);
        Checked::good(rows)
    }

    fn feeds(rows: usize, bytes: usize, symbols: &[&str]) -> (Feeds<Arc<HandWall>>, Arc<HandWall>) {
        let wall = Arc::new(HandWall::default());
        let limits = Limits { rows, bytes, silence: Some(Duration::from_secs(60)) };
        let feeds = Feeds::by(Arc::clone(&wall), limits, OnBadRows::Raise);
        for symbol in symbols {
            feeds.register(key(symbol));
        }
        (feeds, wall)
    }

    fn at(feeds: &Feeds<Arc<HandWall>>, beyond_ns: i64) -> Option<i64> {
        match feeds.wait_beyond(beyond_ns, NOW).expect("no fault") {
            Frontier::At(at_ns) => Some(at_ns),
            Frontier::NotYet | Frontier::Stopped => None,
        }
    }

    #[test]
    fn the_merge_moves_to_the_lowest_promise_of_all_open_streams() {
        let (feeds, _) = feeds(10, 1_000, &["A", "B"]);
        feeds.feed(0, &trades(&[1, 5]), NOW).expect("room");
        assert_eq!(at(&feeds, i64::MIN), None);
        feeds.advance(1, 3).expect("a promise");
        assert_eq!(at(&feeds, i64::MIN), Some(3));
        assert_eq!(feeds.take_before(3, 9)[0].1.len(), 1);
        assert_eq!(at(&feeds, 3), None);
        feeds.end(1, Some(0)).expect("no rows came");
        assert_eq!(at(&feeds, 3), Some(5));
        feeds.end(0, None).expect("an end");
        assert_eq!(at(&feeds, 5), Some(i64::MAX));
    }

    #[test]
    fn rows_that_come_too_late_are_stale_and_rows_at_the_promise_are_not() {
        let (feeds, _) = feeds(10, 1_000, &["A"]);
        feeds.advance(0, 5).expect("a promise");
        assert_eq!(feeds.feed(0, &trades(&[3, 4, 5, 6]), NOW), Ok(Some(Fed { accepted: 2, stale: 2 })));
        assert_eq!(feeds.feed(0, &trades(&[5, 6]), NOW), Ok(Some(Fed { accepted: 1, stale: 1 })));
        let fault = feeds.end(0, Some(5)).expect_err("six rows came");
        assert_eq!(fault, Fault::Miscounted { stream: "A trade".into(), rows: 6, rows_expected: 5 });
        assert!(matches!(feeds.wait_beyond(7, NOW), Err(Fault::Abandoned { rows: 6, .. })));
    }

    #[test]
    fn a_full_queue_makes_the_feeder_wait_unless_the_merge_waits_for_another_stream() {
        let (feeds, _) = feeds(2, 24 * 5, &["A", "B"]);
        feeds.advance(1, 1).expect("a promise");
        assert_eq!(at(&feeds, 0), None, "A says nothing yet");
        feeds.feed(0, &trades(&[1, 2]), NOW).expect("room");
        assert_eq!(at(&feeds, 0), Some(1));
        assert_eq!(feeds.feed(0, &trades(&[3]), NOW), Ok(None), "the merge is busy: wait");
        assert_eq!(at(&feeds, 1), None, "B holds");
        assert_eq!(feeds.feed(0, &trades(&[3, 4, 5]), NOW).map(|fed| fed.is_some()), Ok(true));
        let fault = feeds.feed(0, &trades(&[6]), NOW).expect_err("full in bytes");
        assert!(fault.to_string().contains("A trade holds 120 bytes in 5 rows, of 120 bytes"), "{fault}");
        assert!(fault.to_string().contains("waits for B trade"), "{fault}");
        feeds.advance(1, 9).expect("a promise");
        assert_eq!(at(&feeds, 1), Some(5));
        feeds.take_before(5, 9);
        assert_eq!(feeds.feed(0, &trades(&[6]), NOW).map(|fed| fed.is_some()), Ok(true));
    }

    #[test]
    fn silence_is_counted_only_while_the_merge_waits() {
        let (feeds, wall) = feeds(10, 1_000, &["A", "B"]);
        wall.pass(Duration::from_secs(3600));
        feeds.advance(0, 5).expect("a promise");
        assert_eq!(at(&feeds, 0), None);
        wall.pass(Duration::from_secs(59));
        assert_eq!(at(&feeds, 0), None);
        wall.pass(Duration::from_secs(1));
        let fault = feeds.wait_beyond(0, NOW).expect_err("B was silent for a minute");
        assert_eq!(fault, Fault::Silent { streams: "B trade".into(), seconds: 60.0 });
    }

    #[test]
    fn a_feeder_that_goes_away_is_no_end() {
        let (feeds, _) = feeds(10, 1_000, &["A"]);
        feeds.feed(0, &trades(&[1]), NOW).expect("room");
        feeds.abandon(0);
        assert_eq!(at(&feeds, 0), Some(1), "what came is still delivered");
        assert!(matches!(feeds.wait_beyond(1, NOW), Err(Fault::Abandoned { rows: 1, .. })));
        assert!(matches!(feeds.feed(0, &trades(&[2]), NOW), Err(Fault::Ended { .. })));
    }

    #[test]
    fn a_stop_ends_all_waiting() {
        let (feeds, _) = feeds(1, 1_000, &["A"]);
        feeds.stop();
        assert_eq!(feeds.wait_beyond(0, NOW), Ok(Frontier::Stopped));
        assert_eq!(feeds.feed(0, &trades(&[1]), NOW), Err(Fault::Stopped));
    }

    #[test]
    fn a_promise_is_not_taken_back() {
        let (feeds, _) = feeds(10, 1_000, &["A"]);
        feeds.advance(0, 5).expect("a promise");
        assert!(matches!(feeds.advance(0, 4), Err(Fault::Backwards { until_ns: 4, promised_ns: 5, .. })));
    }
}
