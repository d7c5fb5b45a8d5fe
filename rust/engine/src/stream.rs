//! One fed stream: the rows that wait, and what its feeder has promised.

use backtape_core::check::{Dropped, OnBadRows, Why};
use backtape_core::error::Result;
use backtape_core::key::{Kind, TapeKey};
use backtape_core::pending::Pending;
use backtape_core::rows::Rows;
use backtape_core::twice::check_follows;
use std::sync::Arc;
use std::time::Duration;

/// How a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Rows may come.
    Open,
    /// Its feeder said that it was over.
    Ended,
    /// Its feeder went away and said nothing.
    Abandoned,
}

/// Rows of a batch that were taken up, and rows that came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fed {
    /// Rows taken up.
    pub accepted: u64,
    /// Rows that the stream had gone past.
    pub stale: u64,
}

/// What a stream holds and has seen, for whoever asks.
#[derive(Debug, Clone)]
pub struct StreamStats {
    /// The tape that it feeds.
    pub key: TapeKey,
    /// Rows that wait.
    pub rows_waiting: usize,
    /// Their memory.
    pub bytes_waiting: usize,
    /// When the first and the last of them are known, ns UTC.
    pub known_ns: Option<(i64, i64)>,
    /// No row known before this will come.
    pub promised_ns: i64,
    /// Rows taken up and left out so far.
    pub fed: Fed,
    /// How it stands.
    pub standing: Standing,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) key: TapeKey,
    pub(crate) source: Arc<str>,
    pub(crate) pending: Pending,
    /// No row known before this will come: what was taken up, and what was said.
    pub(crate) promised_ns: i64,
    pub(crate) standing: Standing,
    pub(crate) fed: Fed,
    /// Rows that its feeder fed, whatever became of them.
    pub(crate) came: u64,
    /// When the stream last gave a row or a promise.
    pub(crate) heard: Duration,
    /// The last row of a stream of bars, which another one may follow under the same stamp.
    last: Option<(i64, Vec<f64>)>,
}

impl Stream {
    pub(crate) fn new(key: TapeKey, heard: Duration) -> Self {
        let pending = Pending::new(key.kind, key.interval_ns);
        let (fed, source) = (Fed::default(), "feed".into());
        Self { key, source, pending, promised_ns: i64::MIN, standing: Standing::Open, fed, came: 0, heard, last: None }
    }

    /// Whether the merge must wait for it before it goes past a time.
    pub(crate) fn holds(&self, at_ns: i64) -> bool {
        self.standing != Standing::Ended && self.promised_ns <= at_ns
    }

    /// Takes up checked rows. Those that the stream has gone past are stale: they are counted, and that is all.
    pub(crate) fn push(&mut self, rows: &Rows, dropped: Vec<Dropped>, on_bad: OnBadRows) -> Result<Fed> {
        let (promised_ns, lag_ns) = (self.promised_ns, self.key.interval_ns);
        let stale = rows.ts_ns.partition_point(|&ts| ts.saturating_add(lag_ns) < promised_ns);
        let (mut from, came) = (stale, (rows.len() + dropped.len()) as u64);
        let mut left_out = dropped;
        left_out.extend((0..stale).map(|_| Dropped { at_ns: promised_ns.saturating_sub(lag_ns), why: Why::Stale }));
        let first = self.last.as_ref().filter(|_| from < rows.len());
        let twice = first.map(|last| check_follows(&self.key, &self.source, last, rows, from, on_bad)).transpose()?;
        if let Some(dropped) = twice.flatten() {
            left_out.push(dropped);
            from += 1;
        }
        self.pending.push_rows(rows, from);
        self.pending.push_dropped(left_out);
        let fed = Fed { accepted: (rows.len() - from) as u64, stale: stale as u64 };
        if fed.accepted > 0 {
            self.last = self.pending.last_row().filter(|_| self.key.kind == Kind::Bar);
            self.promised_ns = self.pending.last_known_ns().unwrap_or(promised_ns);
        }
        self.came += came;
        self.fed.accepted += fed.accepted;
        self.fed.stale += fed.stale;
        Ok(fed)
    }

    /// Takes up one checked row: what `push` does with a batch of one, without making a batch where that can be avoided.
    pub(crate) fn push_row(&mut self, ts_ns: i64, values: &[f64], on_bad: OnBadRows) -> Result<Fed> {
        let known_ns = ts_ns.saturating_add(self.key.interval_ns);
        let is_twice =
            || self.key.kind == Kind::Bar && self.last.as_ref().is_some_and(|(last_ns, _)| *last_ns == ts_ns);
        if known_ns < self.promised_ns || is_twice() {
            return self.push(&Rows::one(self.key.kind, ts_ns, values), Vec::new(), on_bad);
        }
        self.pending.push_row(ts_ns, values);
        if self.key.kind == Kind::Bar {
            let (last_ns, last) = self.last.get_or_insert_default();
            *last_ns = ts_ns;
            last.clear();
            last.extend_from_slice(values);
        }
        self.promised_ns = known_ns;
        self.came += 1;
        self.fed.accepted += 1;
        Ok(Fed { accepted: 1, stale: 0 })
    }

    pub(crate) fn stats(&self) -> StreamStats {
        StreamStats {
            key: self.key.clone(),
            rows_waiting: self.pending.len(),
            bytes_waiting: self.pending.bytes(),
            known_ns: self.pending.first_known_ns().zip(self.pending.last_known_ns()),
            promised_ns: self.promised_ns,
            fed: self.fed,
            standing: self.standing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtape_core::check::Checked;

    #[test]
    fn a_row_alone_is_taken_up_as_a_batch_of_one_is() {
        for (kind, interval_ns) in [(Kind::Bar, 60), (Kind::Trade, 0)] {
            for on_bad in [OnBadRows::Raise, OnBadRows::Quarantine] {
                let key = TapeKey { kind, interval_ns, symbol: "A".into() };
                let [mut batches, mut rows] = [(); 2].map(|()| Stream::new(key.clone(), Duration::ZERO));
                for (minute, price) in [(1, 1.0), (2, 2.0), (2, 2.0), (1, 1.0), (2, 3.0), (4, 1.0), (3, 1.0), (5, 1.0)]
                {
                    let (ts_ns, values) = (minute * 60, [price; 5]);
                    let values = &values[..kind.columns().len()];
                    let one = Checked::good(Rows::one(kind, ts_ns, values));
                    let fed = batches.push(&one.rows, one.dropped, on_bad);
                    assert_eq!(rows.push_row(ts_ns, values, on_bad), fed, "{key}, minute {minute} at {price}");
                }
                assert!(batches.fed.accepted >= 4 && batches.fed.stale >= 2, "{:?}", batches.fed);
                assert_eq!(format!("{rows:?}"), format!("{batches:?}"));
            }
        }
    }
}
