//! `Chunk`: a stretch of planned events, taken one by one, instant by instant, or whole.

use crate::bar::{Bar, BarValues};
use crate::batch_form::BatchForm;
use crate::boundary::{SessionClose, SessionOpen};
use crate::enter::Enter;
use crate::ledger::Ledger;
use crate::moment::{Moment, Moments};
use crate::progress::Progress;
use crate::quote::{Quote, QuoteValues};
use crate::trade::{Trade, TradeValues};
use backtape_core::counts::FED;
use backtape_core::key::Kind;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::sync::Arc;

/// A stretch of planned events. It ends where its events do, or where the replay must ask again: for what is due, and
/// after a command.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct Chunk {
    pub(crate) progress: Arc<Progress>,
    pub(crate) form: Arc<BatchForm>,
    /// Whether a timer goes off before the next event; then there are none to take.
    #[pyo3(get)]
    pub(crate) is_timer: bool,
}

#[pymethods]
impl Chunk {
    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Takes the next event: what was planned becomes visible with it.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let progress = &*self.progress;
        let place = progress.taken();
        if place >= progress.allowed() {
            return Err(PyStopIteration::new_err(()));
        }
        let event = event(py, progress, place)?;
        progress.commit(place + 1);
        Ok(event)
    }

    /// The chunk's instants, each taken as a whole.
    fn moments(&self, py: Python<'_>) -> Moments {
        Moments::new(py, Arc::clone(&self.progress))
    }

    /// All allowed events as one record batch, taken as a whole; `None` where a command came meanwhile: then nothing is
    /// taken.
    fn batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (progress, form) = (&self.progress, &self.form);
        let events = progress.taken()..progress.allowed();
        let end = events.end;
        if events.is_empty() {
            return Ok(None);
        }
        let batch = py.out(|| crate::batch::to_batch(form, &progress.window, events));
        let batch = form.stream.handed_out(py, batch)?;
        // A stop that came while the batch was made can't return before this: it needs the interpreter, which we hold.
        if progress.allowed() < end {
            return Ok(None);
        }
        progress.commit(end);
        Ok(Some(batch))
    }

    /// The events of the chunk known before an instant (ns UTC), to be taken first.
    fn before(slf: PyRef<'_, Self>, until_ns: i64) -> Before {
        Before { chunk: slf.into(), until_ns }
    }

    /// The instant that the event taken last belongs to, if it was the last of it; else `None`.
    fn ended_moment(&self, py: Python<'_>) -> PyResult<Option<Py<Moment>>> {
        Moments::ended(py, &self.progress)
    }

    /// The class of all events that may be taken now, where they are of one; else `None`.
    #[getter]
    fn only<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyType>> {
        let (progress, order) = (&self.progress, &self.progress.window.order);
        let lanes = order.lanes.get(progress.taken()..progress.allowed())?;
        let (first, last) = (lanes.iter().min()?, lanes.iter().max()?);
        let kind = |lane: u32| progress.window.loaded.tapes[lane as usize].key.kind;
        (kind(*first) == kind(*last)).then(|| class_of(py, kind(*first)))
    }

    /// How many events may be taken now.
    fn __len__(&self) -> usize {
        self.progress.allowed().saturating_sub(self.progress.taken())
    }
}

/// The events of a chunk before an instant.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct Before {
    chunk: Py<Chunk>,
    until_ns: i64,
}

#[pymethods]
impl Before {
    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let chunk = self.chunk.get();
        let next_ns = chunk.progress.window.order.at_ns.get(chunk.progress.taken());
        if next_ns.is_none_or(|&next_ns| next_ns >= self.until_ns) {
            return Err(PyStopIteration::new_err(()));
        }
        chunk.__next__(py)
    }
}

/// The class of the events of a kind.
fn class_of(py: Python<'_>, kind: Kind) -> Bound<'_, PyType> {
    match kind {
        Kind::Bar => py.get_type::<Bar>(),
        Kind::Quote => py.get_type::<Quote>(),
        Kind::Trade => py.get_type::<Trade>(),
        Kind::SessionOpen => py.get_type::<SessionOpen>(),
        Kind::SessionClose => py.get_type::<SessionClose>(),
    }
}

/// The event of a place as a Python object.
pub(crate) fn event(py: Python<'_>, progress: &Progress, place: usize) -> PyResult<Py<PyAny>> {
    let (window, order, facts) = (&progress.window, &progress.window.order, &progress.facts);
    let (tape, row, available_at) = (order.lanes[place], order.rows[place] as usize, order.at_ns[place]);
    let own = &window.loaded.tapes[tape as usize];
    let ts = window.ts_ns[place];
    let flags = progress.flags(place);
    let value = |column: usize| window.values[column][place];
    match own.key.kind {
        Kind::Bar => {
            let [n_present, n_expected, n_filled] =
                window.counts.as_ref().map_or(FED, |counts| counts.columns().map(|column| column[place]));
            let (open, high, low) = (value(0), value(1), value(2));
            let (close, volume) = (value(3), value(4));
            let revision = own.revisions.as_ref().map_or(0, |revisions| revisions[row]);
            let bar = BarValues {
                ts,
                available_at,
                open,
                high,
                low,
                close,
                volume,
                n_present,
                n_expected,
                n_filled,
                revision,
                flags,
            };
            facts.reused.bars.event(py, &facts.names, tape, &bar)
        }
        Kind::Quote => {
            let (bid, ask, bid_size, ask_size) = (value(0), value(1), value(2), value(3));
            let quote = QuoteValues { ts, available_at, bid, ask, bid_size, ask_size, flags };
            facts.reused.quotes.event(py, &facts.names, tape, &quote)
        }
        Kind::Trade => {
            let trade = TradeValues { ts, available_at, price: value(0), size: value(1), flags };
            facts.reused.trades.event(py, &facts.names, tape, &trade)
        }
        Kind::SessionOpen => {
            let session = progress.facts.session.clone_ref(py);
            Ok(Py::new(py, SessionOpen { session, ts, available_at })?.into_any())
        }
        Kind::SessionClose => Ok(Py::new(py, close_event(py, progress, place, ts)?)?.into_any()),
    }
}

fn close_event(py: Python<'_>, progress: &Progress, place: usize, ts: i64) -> PyResult<SessionClose> {
    let (window, session) = (&progress.window, progress.facts.session.clone_ref(py));
    let mark = window.mark(place + 1);
    let ledger = Py::new(py, Ledger(mark.ledger(&window.loaded)))?;
    let quality = mark.quality(&window.loaded).into_iter();
    let quality = quality.map(|(symbol, _, slots)| (symbol.to_string(), slots.quality())).collect();
    Ok(SessionClose { session, ts, available_at: ts, ledger, quality })
}
