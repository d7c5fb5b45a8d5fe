//! `FedInput`: the door of one fed stream for single rows.

use crate::bar::Bar;
use crate::enter::Enter;
use crate::errors::feed_fault;
use crate::quote::Quote;
use crate::trade::Trade;
use backtape_core::clean::is_clean_row;
use backtape_core::key::{COLUMNS_MAX, Kind, TapeKey};
use backtape_engine::feeds::{Fault, Fed, Feeds as Queues};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use std::sync::Arc;
use std::time::Duration;

/// How often a wait looks up to hear Ctrl-C. Progress never needs it.
pub(crate) const LISTEN: Duration = Duration::from_millis(50);

/// The door of one fed stream for single rows that need no second look.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct FedInput {
    queues: Arc<Queues>,
    number: usize,
    key: TapeKey,
    ts: Py<PyString>,
    /// The names of the numbers of a row.
    columns: Vec<Py<PyString>>,
    /// A forked process has no threads that would take what it feeds.
    process: u32,
}

impl FedInput {
    pub(crate) fn new(py: Python<'_>, queues: &Arc<Queues>, number: usize, key: TapeKey) -> Self {
        let name = |name: &str| PyString::intern(py, name).unbind();
        let columns = key.kind.columns().iter().map(|column| name(column)).collect();
        Self { queues: Arc::clone(queues), number, key, ts: name("ts"), columns, process: std::process::id() }
    }

    /// Reads a row's numbers; returns its stamp, or `None` where this is no plain row of the stream.
    fn read(&self, row: &Bound<'_, PyAny>, numbers: &mut [f64]) -> Option<i64> {
        if let Ok(row) = row.cast_exact::<PyDict>() {
            return self.values(row.py(), numbers, |name| row.get_item(name).ok().flatten());
        }
        self.holds(row).then(|| self.values(row.py(), numbers, |name| row.getattr(name).ok())).flatten()
    }

    /// Whether an object is an event of the stream's kind and symbol.
    fn holds(&self, row: &Bound<'_, PyAny>) -> bool {
        let symbol = match self.key.kind {
            Kind::Bar => row.cast::<Bar>().map(|bar| bar.get().symbol(row.py())),
            Kind::Quote => row.cast::<Quote>().map(|quote| quote.get().symbol(row.py())),
            Kind::Trade => row.cast::<Trade>().map(|trade| trade.get().symbol(row.py())),
            Kind::SessionClose | Kind::SessionOpen => return false,
        };
        symbol.is_ok_and(|symbol| symbol.bind(row.py()).to_str().is_ok_and(|symbol| *symbol == *self.key.symbol))
    }

    fn values<'py>(
        &self,
        py: Python<'py>,
        numbers: &mut [f64],
        find: impl Fn(&Bound<'py, PyString>) -> Option<Bound<'py, PyAny>>,
    ) -> Option<i64> {
        for (number, name) in numbers.iter_mut().zip(&self.columns) {
            *number = find(name.bind(py))?.extract().ok()?;
        }
        find(self.ts.bind(py))?.cast_exact::<PyInt>().ok()?.extract().ok()
    }
}

#[pymethods]
impl FedInput {
    /// Feeds one row, a dict of its numbers or an event of this stream, waiting for room. Returns the rows accepted and the
    /// stale ones; `None` for anything else and for rows that are not clean, with which nothing is done.
    fn feed_row(&self, py: Python<'_>, row: &Bound<'_, PyAny>) -> PyResult<Option<(u64, u64)>> {
        let mut numbers = [0.0; COLUMNS_MAX];
        let numbers = &mut numbers[..self.columns.len()];
        if self.process != std::process::id() {
            return Ok(None);
        }
        match self.read(row, numbers) {
            Some(ts_ns) if is_clean_row(&self.key, ts_ns, numbers) => {
                let numbers = &*numbers;
                put(py, |at_most| self.queues.feed_row(self.number, ts_ns, numbers, at_most)).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Feeds until there is room. At first without letting go of the interpreter: nobody who holds the queues' lock wants it,
/// and a feeder of single rows would hand it over at each of them.
pub(crate) fn put(
    py: Python<'_>,
    feed: impl Fn(Duration) -> Result<Option<Fed>, Fault> + Sync + Send,
) -> PyResult<(u64, u64)> {
    let mut outcome = feed(Duration::ZERO);
    loop {
        match outcome {
            Ok(Some(Fed { accepted, stale })) => return Ok((accepted, stale)),
            Ok(None) => py.check_signals()?,
            Err(fault) => return Err(feed_fault(py, &fault)),
        }
        outcome = py.out(|| feed(LISTEN));
    }
}
