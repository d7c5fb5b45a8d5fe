//! Kernels on their own: merge, aggregate, find gaps.

use crate::arrow_out::handed_out;
use crate::arrow_out::{batch as named_batch, stamps, symbols};
use crate::batch_form::BatchForm;
use crate::enter::Enter;
use crate::planner::Planner;
use crate::session::spans_of;
use crate::tapes::{Tapes, kind_of};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::ArrowError;
use backtape_core::batch_kernels::{SymbolGaps, base_tapes, check_intervals};
use backtape_core::batch_kernels::{aggregate as aggregate_one, find_gaps as gaps_of_one};
use backtape_core::check::OnBadRows;
use backtape_core::derive::DerivedBars;
use backtape_core::gaps::Gap;
use backtape_core::key::TapeKey;
use backtape_core::loaded::Loaded;
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

/// Bars of longer intervals as one record batch, interval by interval, and symbol by symbol.
///
/// `spans`: (open, close) pairs, ns UTC, ascending. Raises `IntervalError` for an interval that does not fit.
#[pyfunction]
pub(crate) fn aggregate<'py>(
    py: Python<'py>,
    tapes: &Bound<'py, Tapes>,
    spans: Vec<(i64, i64)>,
    intervals_ns: Vec<i64>,
) -> PyResult<Bound<'py, PyAny>> {
    let (tapes, spans) = (tapes.get(), spans_of(py, &spans)?);
    let batch = py.enter(|| {
        let joined = tapes.lock().joined(OnBadRows::Raise)?;
        let bases = base_tapes(&joined);
        check_intervals(&bases, &intervals_ns)?;
        let bases: Vec<Base<'_>> = bases.into_iter().map(|(symbol, (key, tape))| (symbol, key, tape)).collect();
        let derived = |(_, key, tape): &Base<'_>| aggregate_one(key, tape, &spans, &intervals_ns);
        let made = in_halves(&bases, rows_of, |some| some.iter().map(derived).collect());
        Ok(bars_batch(&bases, &made, &intervals_ns))
    })?;
    handed_out(py, batch.map_err(arrow)?)
}

/// A symbol with its base bars.
type Base<'a> = (Arc<str>, &'a TapeKey, &'a Tape);

fn rows_of((_, _, tape): &Base<'_>) -> usize {
    tape.rows.len()
}

fn joined<'a, T: Copy + 'a>(parts: impl Iterator<Item = &'a Vec<T>>, len: usize) -> Vec<T> {
    let mut whole = Vec::with_capacity(len);
    parts.for_each(|part| whole.extend_from_slice(part));
    whole
}

fn bars_batch(bases: &[Base<'_>], made: &[Vec<DerivedBars>], intervals_ns: &[i64]) -> Result<RecordBatch, ArrowError> {
    let all = || (0..intervals_ns.len()).flat_map(|number| made.iter().map(move |own| &own[number]));
    let len: usize = all().map(DerivedBars::len).sum();
    let names: Vec<Arc<str>> = bases.iter().map(|(symbol, ..)| Arc::clone(symbol)).collect();
    let mut ids = Vec::with_capacity(len);
    let mut intervals = Vec::with_capacity(len);
    for (number, &interval_ns) in intervals_ns.iter().enumerate() {
        for (id, own) in made.iter().enumerate() {
            ids.resize(ids.len() + own[number].len(), id as u32);
        }
        intervals.resize(ids.len(), interval_ns);
    }
    let number = |pick: fn(&DerivedBars) -> &Vec<f64>| -> ArrayRef {
        Arc::new(Float64Array::from(joined(all().map(pick), len)))
    };
    let count =
        |pick: fn(&DerivedBars) -> &Vec<u32>| -> ArrayRef { Arc::new(UInt32Array::from(joined(all().map(pick), len))) };
    named_batch(vec![
        ("ts", stamps(joined(all().map(|own| &own.ts_ns), len).into())),
        ("available_at", stamps(joined(all().map(|own| &own.available_ns), len).into())),
        ("symbol", symbols(ids.into(), None, &names)?),
        ("interval_ns", Arc::new(Int64Array::from(intervals))),
        ("open", number(|own| &own.open)),
        ("high", number(|own| &own.high)),
        ("low", number(|own| &own.low)),
        ("close", number(|own| &own.close)),
        ("volume", number(|own| &own.volume)),
        ("n_present", count(|own| &own.n_present)),
        ("n_expected", count(|own| &own.n_expected)),
        ("n_filled", count(|own| &own.n_filled)),
    ])
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
