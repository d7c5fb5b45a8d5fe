//! What can be wrong with what comes in. One enum; every variant carries its facts.

use crate::key::TapeKey;
use std::sync::Arc;

/// A result of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// Where a row stands: its tape, the file or table it came from, and its number there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tape that the row belongs to.
    pub tape: TapeKey,
    /// The file, query or table that the row came from.
    pub source_name: Arc<str>,
    /// The row's number in that source, from 0, or among that symbol's rows where a source holds many symbols.
    pub row: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tape {} of {}, row {}", self.tape, self.source_name, self.row)
    }
}

/// Every fault that the core can find.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A span must end after it starts.
    #[error("a span must end after it starts: it starts at {start_ns} ns and ends at {end_ns} ns")]
    SpanInverted {
        /// First nanosecond of the span.
        start_ns: i64,
        /// First nanosecond after the span.
        end_ns: i64,
    },
    /// Spans of a session must ascend and lie inside its range.
    #[error(
        "session {label}: span {index} [{start_ns}, {end_ns}) ns must follow the one before and lie inside the session's range [{range_start_ns}, {range_end_ns}) ns"
    )]
    SpanMisplaced {
        /// Label of the session.
        label: Arc<str>,
        /// Number of the span in the session, from 0.
        index: usize,
        /// First nanosecond of the span.
        start_ns: i64,
        /// First nanosecond after the span.
        end_ns: i64,
        /// First nanosecond of the session's range.
        range_start_ns: i64,
        /// First nanosecond after the session's range.
        range_end_ns: i64,
    },
    /// A session must have at least one span.
    #[error("session {label} has no span of trading hours")]
    SessionWithoutSpans {
        /// Label of the session.
        label: Arc<str>,
    },
    /// Sessions must be played in ascending order.
    #[error(
        "session {label} starts at {range_start_ns} ns, before session {label_prev} ends at {range_end_prev_ns} ns"
    )]
    SessionOutOfOrder {
        /// Label of the later call.
        label: Arc<str>,
        /// Label of the session before.
        label_prev: Arc<str>,
        /// First nanosecond of the range of the session.
        range_start_ns: i64,
        /// First nanosecond after the range of the session before.
        range_end_prev_ns: i64,
    },
    /// A derived interval must be a larger multiple of the base interval.
    #[error(
        "bars of {interval} can't be derived from base bars of {base}: the interval must be a multiple of the base, and longer"
    )]
    IntervalNotMultiple {
        /// The interval asked for.
        interval: String,
        /// The interval of the base bars.
        base: String,
    },
    /// A row without a stamp.
    #[error("{place}: ts is null; give every row a timestamp, or use on_bad_rows=\"quarantine\"")]
    NullTime {
        /// Where the row stands.
        place: Place,
    },
    /// A row earlier than the row before it.
    #[error("{place}: ts {ts_ns} ns follows {ts_prev_ns} ns; sort the rows by ts, or use on_bad_rows=\"quarantine\"")]
    Unsorted {
        /// Where the row stands.
        place: Place,
        /// The row's stamp.
        ts_ns: i64,
        /// The stamp of the row before it.
        ts_prev_ns: i64,
    },
    /// A price or size that is null, NaN or infinite.
    #[error("{place}: {column} is {value} at ts {ts_ns} ns; it must be a finite number")]
    NotFinite {
        /// Where the row stands.
        place: Place,
        /// The row's stamp.
        ts_ns: i64,
        /// The column of the value.
        column: &'static str,
        /// The value, or "null".
        value: String,
    },
    /// A bar whose high is below its low.
    #[error("{place}: high {high} is below low {low} at ts {ts_ns} ns")]
    HighBelowLow {
        /// Where the row stands.
        place: Place,
        /// The row's stamp.
        ts_ns: i64,
        /// The bar's high.
        high: f64,
        /// The bar's low.
        low: f64,
    },
    /// A negative volume or size.
    #[error("{place}: {column} is {value} at ts {ts_ns} ns; it must be 0 or more")]
    Negative {
        /// Where the row stands.
        place: Place,
        /// The row's stamp.
        ts_ns: i64,
        /// The column of the value.
        column: &'static str,
        /// The value.
        value: f64,
    },
    /// A bar stamp that is no multiple of its interval.
    #[error("{place}: ts {ts_ns} ns is not on the grid of {interval_ns} ns; the nearest stamp before is {grid_ns} ns")]
    OffGrid {
        /// Where the row stands.
        place: Place,
        /// The row's stamp.
        ts_ns: i64,
        /// The interval of the tape.
        interval_ns: i64,
        /// The grid stamp at or before the row's.
        grid_ns: i64,
    },
    /// Two different bars under one stamp.
    #[error(
        "{place}: two bars at ts {ts_ns} ns differ in {column}: {value} here, {value_first} in {source_first} row {row_first}"
    )]
    Conflict {
        /// Where the later row stands.
        place: Place,
        /// The stamp that both bars carry.
        ts_ns: i64,
        /// The first column in which they differ.
        column: &'static str,
        /// The later row's value.
        value: f64,
        /// The first row's value.
        value_first: f64,
        /// Where the first row came from.
        source_first: Arc<str>,
        /// Number of the first row in its source.
        row_first: u64,
    },
    /// Two sources hold the same tape.
    #[error(
        "tape {tape} comes twice: from {source_first} and from {source_name}; give each (kind, interval, symbol) once"
    )]
    TapeTwice {
        /// The tape.
        tape: TapeKey,
        /// The source that came first.
        source_first: Arc<str>,
        /// The source that came second.
        source_name: Arc<str>,
    },
    /// A bar tape that is neither 1s nor 1m.
    #[error(
        "tape {tape}: bars of {interval} can't be a base; feed 1s or 1m bars and ask for {interval} as a derived interval"
    )]
    BaseInterval {
        /// The tape.
        tape: TapeKey,
        /// Its interval.
        interval: String,
    },
    /// Our own broken promise: a session went a way that there is not.
    #[error("a session can't go from {from} to {to}; this is a fault of backtape, please report it")]
    PhaseStep {
        /// Where it stood.
        from: &'static str,
        /// Where it went.
        to: &'static str,
    },
    /// Our own broken promise: the ledger of a session does not balance.
    #[error(
        "session {label}, tape {tape}: {rows_in} rows in, but {accounted} accounted for; this is a fault of backtape, please report it"
    )]
    LedgerUnbalanced {
        /// Label of the session.
        label: Arc<str>,
        /// The tape.
        tape: TapeKey,
        /// Rows that came in.
        rows_in: u64,
        /// Rows delivered, out of hours, stale, duplicate, rejected and unread.
        accounted: u64,
    },
}
