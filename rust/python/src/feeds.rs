//! `Feeds`: streams that are fed while a replay runs.

use crate::arrow_in::rows_alone;
use crate::enter::Enter;
use crate::errors::{feed_fault, plain, to_python};
use crate::fed_input::{FedInput, LISTEN, put};
use crate::tapes::{Tapes, kind_of, on_bad_of, unreadable};
use backtape_core::check::{OnBadRows, RawRows, RowNumbers, check};
use backtape_core::growing::Growing;
use backtape_core::key::{Kind, TapeKey};
use backtape_core::tapes::Tapes as Collected;
use backtape_engine::feeds::{Fault, Fed, Feeds as Queues, Frontier, Limits, Standing, StreamStats};
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One line of `Feeds.stats`: kind, interval_ns, symbol, rows and bytes waiting, first and last of them known at, promised
/// up to (ns UTC), rows accepted and stale, and whether the stream is "open", "ended" or "abandoned".
type Stats = (&'static str, i64, String, usize, usize, Option<i64>, Option<i64>, Option<i64>, u64, u64, &'static str);

/// Streams that are fed while a replay runs: bounded queues, promises, and the rows of the current session.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct Feeds {
    queues: Arc<Queues>,
    on_bad: OnBadRows,
    /// The rows of the current session that were taken out of the queues.
    session: Mutex<BTreeMap<TapeKey, Growing>>,
}

impl Feeds {
    fn session(&self) -> MutexGuard<'_, BTreeMap<TapeKey, Growing>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, py: Python<'_>, number: usize) -> PyResult<TapeKey> {
        let unknown = || plain(py, "StateError", &format!("there is no fed stream number {number}"));
        self.queues.key(number).ok_or_else(unknown)
    }

    fn do_simply(
        &self,
        py: Python<'_>,
        number: usize,
        work: impl FnOnce(&Queues) -> Result<(), Fault> + Send,
    ) -> PyResult<()> {
        self.key(py, number)?;
        py.out(|| work(&self.queues)).map_err(|fault| feed_fault(py, &fault))
    }
}

#[pymethods]
impl Feeds {
    /// `queue_rows`, `queue_bytes`: how much of one stream may wait. `silence_s`: how long a stream may be silent while
    /// the merge waits for it, in seconds; `None` for ever.
    #[new]
    fn new(
        py: Python<'_>,
        queue_rows: usize,
        queue_bytes: usize,
        silence_s: Option<f64>,
        on_bad_rows: &str,
    ) -> PyResult<Self> {
        let on_bad = on_bad_of(py, on_bad_rows)?;
        let silence = silence_s.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let limits = Limits { rows: queue_rows.max(1), bytes: queue_bytes, silence };
        Ok(Self { queues: Arc::new(Queues::new(limits, on_bad)), on_bad, session: Mutex::default() })
    }

    /// Opens a stream; its number is how all else refers to it.
    fn register(&self, py: Python<'_>, kind: &str, interval_ns: i64, symbol: &str) -> PyResult<usize> {
        let key = TapeKey { kind: kind_of(py, kind)?, interval_ns, symbol: symbol.into() };
        Ok(self.queues.register(key))
    }

    /// The door of a stream for single rows.
    fn input(&self, py: Python<'_>, number: usize) -> PyResult<FedInput> {
        Ok(FedInput::new(py, &self.queues, number, self.key(py, number)?))
    }

    /// Feeds a record batch in the canonical schema of the stream's kind, waiting for room. Returns the rows accepted
    /// and the stale ones.
    fn feed(&self, py: Python<'_>, number: usize, rows: PyRecordBatch) -> PyResult<(u64, u64)> {
        let key = self.key(py, number)?;
        let batch = rows.into_inner();
        let raw = rows_alone(&batch, key.kind).map_err(|error| unreadable(py, error, "feed"))?;
        let checked = py.out(|| check(&key, &Arc::from("feed"), raw, self.on_bad));
        let rows = checked.map_err(|error| to_python(py, &error))?;
        put(py, |at_most| self.queues.feed(number, &rows, at_most))
    }

    /// Feeds one row: its stamp (ns UTC) and its numbers in the order of the canonical columns. Returns the rows accepted
    /// and the stale ones.
    fn feed_row(&self, py: Python<'_>, number: usize, ts_ns: i64, values: Vec<f64>) -> PyResult<(u64, u64)> {
        let key = self.key(py, number)?;
        let wanted = key.kind.columns();
        if values.len() != wanted.len() {
            let message =
                format!("tape {key}: a row has {}, {} numbers; {} came", wanted.join(", "), wanted.len(), values.len());
            return Err(plain(py, "SchemaError", &message));
        }
        let values = values.into_iter().map(|value| (vec![value].into(), None)).collect();
        let raw = RawRows { ordered_ns: None, numbers: RowNumbers::From(0), ts_ns: (vec![ts_ns].into(), None), values };
        let checked = check(&key, &Arc::from("feed"), raw, self.on_bad).map_err(|error| to_python(py, &error))?;
        put(py, |at_most| self.queues.feed(number, &checked, at_most))
    }

    /// Promises that no row of a stream known before this (ns UTC) will come.
    fn advance(&self, py: Python<'_>, number: usize, until_ns: i64) -> PyResult<()> {
        self.do_simply(py, number, |queues| queues.advance(number, until_ns))
    }

    /// Ends a stream. `rows`: how many were fed, checked against what came.
    #[pyo3(signature = (number, rows=None))]
    fn end(&self, py: Python<'_>, number: usize, rows: Option<u64>) -> PyResult<()> {
        self.do_simply(py, number, |queues| queues.end(number, rows))
    }

    /// Notes that the feeder of a stream is gone, unless it ended the stream.
    fn abandon(&self, py: Python<'_>, number: usize) {
        py.out(|| self.queues.abandon(number));
    }

    /// Waits until no row known before some time beyond `beyond_ns` can come, and returns that time (ns UTC; the highest
    /// int64 once all streams have ended), or `None` when stopped. `look` is called now and then while it waits.
    fn wait_beyond(&self, py: Python<'_>, beyond_ns: i64, look: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        loop {
            match py.out(|| self.queues.wait_beyond(beyond_ns, LISTEN)) {
                Ok(Frontier::At(at_ns)) => return Ok(Some(at_ns)),
                Ok(Frontier::Stopped) => return Ok(None),
                Ok(Frontier::NotYet) => {
                    py.check_signals()?;
                    look.call0()?;
                }
                Err(fault) => return Err(feed_fault(py, &fault)),
            }
        }
    }

    /// Forgets the rows of the session before.
    fn begin_session(&self, py: Python<'_>) {
        py.out(|| self.session().clear());
    }

    /// Takes all rows known before `at_ns`, and stamped before `end_ns` (ns UTC), out of the queues, and returns `base` with
    /// all fed rows of the session.
    fn tapes(&self, py: Python<'_>, base: &Tapes, at_ns: i64, end_ns: i64) -> Tapes {
        py.out(|| {
            let mut tapes = Collected::clone(&base.lock());
            let mut session = self.session();
            for (key, pending) in self.queues.take_before(at_ns, end_ns) {
                let grown = session.entry(key.clone()).or_insert_with(|| Growing::new(key.kind)).grown(pending);
                tapes.insert(&key, &Arc::from("feed"), grown);
            }
            drop(session);
            Tapes::of(tapes)
        })
    }

    /// How each stream stands.
    fn stats(&self, py: Python<'_>) -> Vec<Stats> {
        let line = |stats: StreamStats| {
            let standing = match stats.standing {
                Standing::Open => "open",
                Standing::Ended => "ended",
                Standing::Abandoned => "abandoned",
            };
            let (first_ns, last_ns) = stats.known_ns.unzip();
            let promised_ns = Some(stats.promised_ns).filter(|&promised_ns| promised_ns != i64::MIN);
            let (kind, symbol) = (Kind::name(stats.key.kind), stats.key.symbol.to_string());
            let (rows, bytes, Fed { accepted, stale }) = (stats.rows_waiting, stats.bytes_waiting, stats.fed);
            (
                kind,
                stats.key.interval_ns,
                symbol,
                rows,
                bytes,
                first_ns,
                last_ns,
                promised_ns,
                accepted,
                stale,
                standing,
            )
        };
        py.out(|| self.queues.stats()).into_iter().map(line).collect()
    }

    /// Ends all waiting, for good.
    fn stop(&self, py: Python<'_>) {
        py.out(|| self.queues.stop());
    }
}
