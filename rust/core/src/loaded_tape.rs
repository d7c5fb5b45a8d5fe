//! One tape of a session that is ready to play.

use crate::counts::Counts;
use crate::digest::{bytes_hash, tape_hash};
use crate::gaps::Gap;
use crate::key::{Kind, TapeKey};
use crate::ledger::Tally;
use crate::merge::Lane;
use crate::metrics::Running;
use crate::rows::Rows;
use crate::runs::Runs;
use arrow_buffer::ScalarBuffer;
use std::ops::Range;
use std::sync::OnceLock;

/// What a tape is among those of its key. At one instant tapes of one key follow each other in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Rows that came in, and those filled in before the session was played.
    Fed,
    /// Bars made from base bars.
    Derived,
    /// Base bars that were filled in while the session was played.
    Filled,
    /// Derived bars made again since base bars were filled in.
    Revised,
    /// Synthetic bars that bridge a gap.
    Flat,
}

/// A tape of a session, deliverable rows only.
#[derive(Debug)]
pub struct LoadedTape {
    /// Its key.
    pub key: TapeKey,
    /// What it is among the tapes of its key.
    pub part: Part,
    /// The rows, ascending by stamp; those that came late in the order in which they are known.
    pub rows: Rows,
    /// When each row is known, where that is not a fixed time after its stamp.
    pub available: Option<ScalarBuffer<i64>>,
    /// Where `available` is absent: how long after its stamp a row is known.
    pub lag_ns: i64,
    /// Derived bars, and all tapes beside another one.
    pub counts: Option<Counts>,
    /// Where bars may come again: 0 for the first delivery of a bar, n for its nth revision.
    pub revisions: Option<ScalarBuffer<u32>>,
    /// Rows within trading hours and grace.
    pub regular: Vec<Range<usize>>,
    /// Bars that were fed: all gaps in them.
    pub gaps: Vec<Gap>,
    /// Bars that were fed, where longer ones are made from them: which of those within trading hours follow each other.
    pub(crate) runs: Runs,
    /// Rows counted when the session was loaded; those delivered and unread are counted by the replay.
    pub tally: Tally,
    hash: u64,
    running: OnceLock<Running>,
}

impl LoadedTape {
    pub(crate) fn new(key: TapeKey, rows: Rows, lag_ns: i64, regular: Vec<Range<usize>>, tally: Tally) -> Self {
        Self {
            hash: tape_hash(&key),
            key,
            part: Part::Fed,
            rows,
            available: None,
            lag_ns,
            counts: None,
            revisions: None,
            regular,
            gaps: Vec::new(),
            runs: Runs::default(),
            tally,
            running: OnceLock::new(),
        }
    }

    /// The same tape as another part of its key.
    pub(crate) fn of_part(mut self, part: Part) -> Self {
        self.part = part;
        if part > Part::Derived { self.rehashed(bytes_hash([part as u8].into_iter())) } else { self }
    }

    /// The same tape, told from others of its key in the digest.
    pub(crate) const fn rehashed(mut self, hash: u64) -> Self {
        self.hash ^= hash;
        self
    }

    /// The hash of its key, for the digest.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// When a row is known.
    pub fn available_ns(&self, row: usize) -> i64 {
        self.available.as_ref().map_or_else(|| self.rows.ts_ns[row] + self.lag_ns, |available| available[row])
    }

    /// The stamps that order the tape, and what to add to them.
    pub fn stamps(&self) -> (&[i64], i64) {
        self.available.as_ref().map_or((&self.rows.ts_ns, self.lag_ns), |available| (available, 0))
    }

    /// Some of its rows, to be merged.
    pub(crate) fn lane(&self, from: usize, to: usize) -> Lane<'_> {
        let (stamps_ns, lag_ns) = self.stamps();
        // No bar begins before the one before it is over: the door has looked, and derived bars are made so.
        let step_ns = if self.available.is_none() { self.key.interval_ns } else { 0 };
        Lane { stamps_ns, lag_ns, step_ns, from, to }
    }

    /// How many rows are known at `ts_ns` or before.
    pub fn known_at(&self, ts_ns: i64) -> usize {
        let (stamps, lag_ns) = self.stamps();
        match stamps.last() {
            Some(&last) if last + lag_ns <= ts_ns => stamps.len(),
            _ => stamps.partition_point(|&stamp| stamp + lag_ns <= ts_ns),
        }
    }

    /// How many rows are known before `ts_ns`.
    pub fn known_before(&self, ts_ns: i64) -> usize {
        let (stamps, lag_ns) = self.stamps();
        match stamps.last() {
            Some(&last) if last + lag_ns < ts_ns => stamps.len(),
            _ => stamps.partition_point(|&stamp| stamp + lag_ns < ts_ns),
        }
    }

    /// Whether a row lies within trading hours and grace.
    pub fn is_regular(&self, row: usize) -> bool {
        self.regular.iter().any(|range| range.contains(&row))
    }

    /// Volume, high and low over the first rows, from running sums made on first use.
    pub fn running(&self) -> &Running {
        let [high, low, volume] = self.metric_columns();
        self.running.get_or_init(|| Running::new(high, low, volume))
    }

    /// The columns that high, low and volume are taken from.
    pub fn metric_columns(&self) -> [&[f64]; 3] {
        let places = if self.key.kind == Kind::Bar { [1, 2, 4] } else { [0, 0, 1] };
        places.map(|place| &self.rows.values[place])
    }
}
