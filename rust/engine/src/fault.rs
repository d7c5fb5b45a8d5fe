//! What can be wrong with a fed stream.

use backtape_core::error::Error;

/// What a feeder or the merge is told in place of an answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The rows are bad.
    #[error(transparent)]
    Rows(#[from] Error),
    /// The run was stopped.
    #[error("the replay was stopped")]
    Stopped,
    /// A row or promise for a stream that is over.
    #[error("stream {stream} was ended: nothing can follow; register it again for another replay")]
    Ended {
        /// The stream.
        stream: String,
    },
    /// A full stream, while another one says nothing.
    #[error(
        "stream {stream} holds {bytes} bytes in {rows} rows, of {bytes_max} bytes allowed, while the merge waits for {waiting_for}: feed that one, advance it or end it, or raise the limit"
    )]
    Stalled {
        /// The full stream.
        stream: String,
        /// The one that says nothing.
        waiting_for: String,
        /// Rows held.
        rows: usize,
        /// Bytes held.
        bytes: usize,
        /// Bytes that may be held.
        bytes_max: usize,
    },
    /// A stream without a feeder.
    #[error(
        "stream {stream} was left by its feeder after {rows} rows without an end: call end() when a stream is over"
    )]
    Abandoned {
        /// The stream.
        stream: String,
        /// Rows that came.
        rows: u64,
    },
    /// An end that does not fit what came.
    #[error("stream {stream} was ended with {rows_expected} rows, but {rows} came")]
    Miscounted {
        /// The stream.
        stream: String,
        /// Rows that came.
        rows: u64,
        /// Rows that its feeder says it fed.
        rows_expected: u64,
    },
    /// A stream that was silent for too long.
    #[error("the merge waited {seconds} s for {streams}: no row, no promise, no end; call advance() on quiet streams")]
    Silent {
        /// The streams.
        streams: String,
        /// The limit in seconds.
        seconds: f64,
    },
    /// Promises can't be taken back.
    #[error(
        "stream {stream} can't advance to {until_ns} ns: it promised already that nothing comes before {promised_ns} ns"
    )]
    Backwards {
        /// The stream.
        stream: String,
        /// The new promise.
        until_ns: i64,
        /// The old one.
        promised_ns: i64,
    },
}
