//! Kernels on their own: merge, aggregate, find gaps.

use crate::arrow_out::handed_out;
use crate::arrow_out::{batch as named_batch, stamps, symbols};
use crate::batch_form::BatchForm;
use crate::enter::Enter;
use crate::planner::Planner;
use crate::session::spans_of;
use crate::tapes::{Tapes, kind_of};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::ArrowError;
use backtape_core::batch_kernels::{SymbolGaps, base_tapes, check_intervals};
use backtape_core::batch_kernels::{aggregate as aggregate_all, find_gaps as gaps_of_one};
use backtape_core::check::OnBadRows;
use backtape_core::derive::{DerivedBars, OfTapes};
use backtape_core::gaps::Gap;
use backtape_core::key::TapeKey;
use backtape_core::loaded::Loaded;
use backtape_core::span::Span;
use backtape_core::tapes::Tape;
use backtape_engine::threads::in_halves;
use numpy::PyArray1;
use pyo3::exceptions::{PyStopIteration, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use std::sync::Arc;

/// All rows of some tapes in the order of C1, batch by batch.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct Merge {
    planner: Planner,
    form: BatchForm,
    rows: usize,
}

#[pymethods]
impl Merge {
    /// `rows`: about how many rows a batch has; instants are not split.
    #[new]
    fn new(py: Python<'_>, tapes: &Bound<'_, Tapes>, kinds: Vec<String>, rows: usize) -> PyResult<Self> {
        let kinds = kinds.iter().map(|kind| kind_of(py, kind)).collect::<PyResult<_>>()?;
        let form = BatchForm::new(kinds);
        let tapes = tapes.get();
        let planner = py.enter(|| {
            let planner = Planner::default();
            let tapes = Arc::clone(&tapes.lock());
            planner.begin(Arc::new(Loaded::unbounded(&tapes, OnBadRows::Raise)?), i64::MIN)?;
            Ok(planner)
        })?;
        Ok(Self { planner, form, rows })
    }

    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let batch = py.enter(|| {
            let window = self.planner.window(self.rows);
            Ok(window.map(|window| crate::batch::to_batch(&self.form, &window, 0..window.order.len())))
        })?;
        match batch {
            Some(batch) => handed_out(py, batch),
            None => Err(PyStopIteration::new_err(())),
        }
    }

    /// The schema of the batches.
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        PySchema::new(Arc::clone(&self.form.schema)).into_pyarrow(py)
    }
}

fn arrow(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Bars of longer intervals as record batches, interval by interval, and symbol by symbol.
///
/// `spans`: (open, close) pairs, ns UTC, ascending. Raises `IntervalError` for an interval that does not fit.
#[pyfunction]
pub(crate) fn aggregate<'py>(
    py: Python<'py>,
    tapes: &Bound<'py, Tapes>,
    spans: Vec<(i64, i64)>,
    intervals_ns: Vec<i64>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let (tapes, spans) = (tapes.get(), spans_of(py, &spans)?);
    let batches = py.enter(|| {
        let joined = tapes.lock().joined(OnBadRows::Raise)?;
        let bases = base_tapes(&joined);
        check_intervals(&bases, &intervals_ns)?;
        let names: Vec<Arc<str>> = bases.keys().cloned().collect();
        let numbered: Vec<(u32, &TapeKey, &Tape)> = (0..).zip(bases.values()).map(|(id, &(k, t))| (id, k, t)).collect();
        let made = in_halves(&numbered, |own| own.2.rows.len(), |some| vec![Made::of(some, &spans, &intervals_ns)]);
        Ok(bars_batches(made, &names, &intervals_ns))
    })?;
    batches.map_err(arrow)?.into_iter().map(|batch| handed_out(py, batch)).collect()
}

/// The longer bars of symbols that follow each other.
struct Made {
    /// The first symbol's number.
    first: u32,
    by_interval: std::vec::IntoIter<OfTapes>,
}

impl Made {
    fn of(some: &[(u32, &TapeKey, &Tape)], spans: &[Span], intervals_ns: &[i64]) -> Self {
        let bases: Vec<_> = some.iter().map(|&(_, key, tape)| (key, tape)).collect();
        let by_interval = aggregate_all(&bases, spans, intervals_ns).into_iter();
        Self { first: some.first().map_or(0, |own| own.0), by_interval }
    }
}

/// A batch for each interval and each of these, so that nothing is copied; an empty one where there is no interval.
fn bars_batches(mut made: Vec<Made>, names: &[Arc<str>], intervals_ns: &[i64]) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut batches = Vec::with_capacity(intervals_ns.len() * made.len());
    for &interval_ns in intervals_ns {
        for part in &mut made {
            let Some((bars, places)) = part.by_interval.next() else {
                continue;
            };
            let ids = places.iter().zip(part.first..).flat_map(|(own, id)| std::iter::repeat_n(id, own.len()));
            batches.push(bars_batch(ids.collect(), bars, interval_ns, names)?);
        }
    }
    if batches.is_empty() {
        batches.push(bars_batch(Vec::new().into(), DerivedBars::default(), 0, names)?);
    }
    Ok(batches)
}

fn bars_batch(
    ids: ScalarBuffer<u32>,
    bars: DerivedBars,
    interval_ns: i64,
    names: &[Arc<str>],
) -> Result<RecordBatch, ArrowError> {
    let number = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    let count = |values: Vec<u32>| -> ArrayRef { Arc::new(UInt32Array::from(values)) };
    let constant = vec![interval_ns; bars.len()];
    named_batch(vec![
        ("ts", stamps(bars.ts_ns.into())),
        ("available_at", stamps(bars.available_ns.into())),
        ("symbol", symbols(ids, None, names)?),
        ("interval_ns", Arc::new(Int64Array::from(constant))),
        ("open", number(bars.open)),
        ("high", number(bars.high)),
        ("low", number(bars.low)),
        ("close", number(bars.close)),
        ("volume", number(bars.volume)),
        ("n_present", count(bars.n_present)),
        ("n_expected", count(bars.n_expected)),
        ("n_filled", count(bars.n_filled)),
    ])
}

/// A symbol with its base bars.
type Base<'a> = (Arc<str>, &'a TapeKey, &'a Tape);

fn rows_of((_, _, tape): &Base<'_>) -> usize {
    tape.rows.len()
}

/// Gaps of all symbols' base bars as one record batch: symbol, start, end, n_missing; and by symbol the bars expected
/// and present: (symbol, interval_ns, expected, present).
///
/// `spans`: (open, close) pairs, ns UTC, ascending.
#[pyfunction]
pub(crate) fn find_gaps<'py>(
    py: Python<'py>,
    tapes: &Bound<'py, Tapes>,
    spans: Vec<(i64, i64)>,
) -> PyResult<(Bound<'py, PyAny>, Vec<(String, i64, u64, u64)>)> {
    let (tapes, spans) = (tapes.get(), spans_of(py, &spans)?);
    let found = py.enter(|| {
        let joined = tapes.lock().joined(OnBadRows::Raise)?;
        let bases: Vec<Base<'_>> =
            base_tapes(&joined).into_iter().map(|(symbol, (key, tape))| (symbol, key, tape)).collect();
        let own = |(_, key, tape): &Base<'_>| gaps_of_one(key, tape, &spans);
        Ok(in_halves(&bases, rows_of, |some| some.iter().map(own).collect()))
    })?;
    let batch = py.out(|| gaps_batch(&found)).map_err(arrow)?;
    let counts = found.iter().map(|own| (own.symbol.to_string(), own.interval_ns, own.expected, own.present));
    Ok((handed_out(py, batch)?, counts.collect()))
}

fn gaps_batch(found: &[SymbolGaps]) -> Result<RecordBatch, ArrowError> {
    let names: Vec<Arc<str>> = found.iter().map(|own| Arc::clone(&own.symbol)).collect();
    let ids = found.iter().enumerate().flat_map(|(id, own)| std::iter::repeat_n(id as u32, own.gaps.len()));
    let gaps = || found.iter().flat_map(|own| &own.gaps);
    let missing: ArrayRef = Arc::new(gaps().map(|gap| gap.slots).collect::<UInt64Array>());
    named_batch(vec![
        ("symbol", symbols(ids.collect(), None, &names)?),
        ("start", stamps(gaps().map(|gap| gap.span.start_ns()).collect())),
        ("end", stamps(gaps().map(|gap| gap.span.end_ns()).collect())),
        ("n_missing", missing),
    ])
}

/// The quality of a loaded session as rows, one a symbol that has bars: (symbol, interval_ns, expected, present,
/// filled, rows_in, out_of_hours, duplicate, rejected, first stamp, last stamp).
pub(crate) type QualityRow = (String, i64, u64, u64, u64, u64, u64, u64, u64, Option<i64>, Option<i64>);

/// See [`QualityRow`].
pub(crate) fn quality_rows(loaded: &Loaded) -> Vec<QualityRow> {
    let mark = backtape_core::mark::Mark::after(i64::MAX, loaded.tapes.len(), 0, true);
    let with_base = loaded.symbols.iter().filter_map(|(symbol, own)| Some((symbol, own, &loaded.tapes[own.base?])));
    let rows = with_base.map(|(symbol, own, tape)| {
        let (slots, tally, ts) = (mark.slots(loaded, own), &tape.tally, &tape.rows.ts_ns);
        (
            symbol.to_string(),
            tape.key.interval_ns,
            slots.expected,
            slots.present,
            slots.present_or_filled - slots.present,
            tally.rows_in,
            tally.out_of_hours,
            tally.duplicate,
            tally.rejected,
            ts.first().copied(),
            ts.last().copied(),
        )
    });
    rows.collect()
}

/// Gaps as columns: the place of each one's symbol among the names, start, end, bars missing.
pub(crate) type GapColumns<'py> = (Vec<String>, [Bound<'py, PyArray1<i64>>; 4]);

/// Gaps of a loaded session.
pub(crate) fn gap_columns<'py>(py: Python<'py>, loaded: &Loaded) -> GapColumns<'py> {
    let names = loaded.symbols.keys().map(ToString::to_string).collect();
    let bases =
        || loaded.symbols.values().enumerate().filter_map(|(place, own)| Some((place, &loaded.tapes[own.base?])));
    let gaps = || bases().flat_map(|(place, base)| base.gaps.iter().map(move |gap| (place, gap)));
    let column = |value: fn((usize, &Gap)) -> i64| PyArray1::from_iter(py, gaps().map(value));
    let columns = [
        column(|(place, _)| place as i64),
        column(|(_, gap)| gap.span.start_ns()),
        column(|(_, gap)| gap.span.end_ns()),
        column(|(_, gap)| gap.slots as i64),
    ];
    (names, columns)
}
