//! `Columns`: rows of one kind as named columns.

use crate::arrow_out::to_batch;
use crate::interval::interval_name;
use crate::numpy_view::{copied, read_only};
use crate::visits::Visit;
use arrow_buffer::ScalarBuffer;
use backtape_core::beside::Known;
use backtape_core::counts::of_base_bar;
use backtape_core::key::Kind;
use backtape_core::loaded::{Counts, LoadedTape};
use backtape_core::rows::Rows;
use numpy::PyArray1;
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3_arrow::PyTable;
use std::ops::Range;
use std::sync::Arc;

/// The symbol of each row.
#[derive(Clone)]
pub(crate) enum Symbols {
    /// All rows are of one symbol.
    One(Arc<str>),
    /// A number for each row, and the names by number.
    Each(ScalarBuffer<u32>, Arc<[Arc<str>]>),
}

impl Symbols {
    fn slice(&self, from: usize, len: usize) -> Self {
        match self {
            Self::One(symbol) => Self::One(Arc::clone(symbol)),
            Self::Each(ids, names) => Self::Each(ids.slice(from, len), Arc::clone(names)),
        }
    }
}

/// Rows of one kind as named columns, oldest first.
///
/// Each column is a read-only numpy array: `ts` and `available_at` int64 nanoseconds UTC, numbers float64, counts
/// uint32. A column that the kind does not have is an `AttributeError`.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Columns {
    pub(crate) rows: Rows,
    pub(crate) interval_ns: i64,
    pub(crate) lag_ns: i64,
    pub(crate) available: Option<ScalarBuffer<i64>>,
    pub(crate) counts: Option<Counts>,
    pub(crate) symbols: Symbols,
}

impl Columns {
    /// Some rows of a session's tape, without a copy.
    pub(crate) fn of_tape(tape: &LoadedTape, range: Range<usize>) -> Self {
        let (from, len) = (range.start, range.len());
        Self {
            rows: tape.rows.slice(range),
            interval_ns: tape.key.interval_ns,
            lag_ns: tape.lag_ns,
            available: tape.available.as_ref().map(|available| available.slice(from, len)),
            counts: tape.counts.as_ref().map(|counts| counts.slice(from, len)),
            symbols: Symbols::One(Arc::clone(&tape.key.symbol)),
        }
    }

    /// A tape's bars with those of the tapes beside it.
    pub(crate) fn of_known(tape: &LoadedTape, known: Known) -> Self {
        Self {
            rows: known.rows,
            interval_ns: tape.key.interval_ns,
            lag_ns: tape.lag_ns,
            available: Some(known.available),
            counts: Some(known.counts),
            symbols: Symbols::One(Arc::clone(&tape.key.symbol)),
        }
    }

    /// Bars of several sessions behind each other, of one tape.
    pub(crate) fn concat(tape: &LoadedTape, mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let rows: Vec<Rows> = parts.iter().map(|part| part.rows.clone()).collect();
        let counted = |name| parts.iter().flat_map(|part| part.counted(name).to_vec()).collect();
        Self {
            rows: Rows::concat(Kind::Bar, &rows),
            interval_ns: tape.key.interval_ns,
            lag_ns: tape.lag_ns,
            available: Some(parts.iter().flat_map(|part| part.available_ns().to_vec()).collect()),
            counts: Some(Counts {
                present: counted("n_present"),
                expected: counted("n_expected"),
                filled: counted("n_filled"),
            }),
            symbols: Symbols::One(Arc::clone(&tape.key.symbol)),
        }
    }

    /// Some of the rows, without a copy.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let (from, len) = (range.start, range.len());
        Self {
            rows: self.rows.slice(range),
            interval_ns: self.interval_ns,
            lag_ns: self.lag_ns,
            available: self.available.as_ref().map(|available| available.slice(from, len)),
            counts: self.counts.as_ref().map(|counts| counts.slice(from, len)),
            symbols: self.symbols.slice(from, len),
        }
    }

    /// No rows.
    pub(crate) fn empty(kind: Kind, interval_ns: i64, symbol: &str) -> Self {
        let symbols = Symbols::One(symbol.into());
        Self { rows: Rows::empty(kind), interval_ns, lag_ns: interval_ns, available: None, counts: None, symbols }
    }

    /// When each row is known.
    pub(crate) fn available_ns(&self) -> ScalarBuffer<i64> {
        match &self.available {
            Some(available) => available.clone(),
            None if self.lag_ns == 0 => self.rows.ts_ns.clone(),
            None => self.rows.ts_ns.iter().map(|ts| ts + self.lag_ns).collect(),
        }
    }

    fn number<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let place = self.rows.kind.columns().iter().position(|column| *column == name);
        match place {
            Some(place) => read_only(py, &self.rows.values.buffer(place)),
            None => Err(self.missing(name)),
        }
    }

    fn count<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if self.rows.kind != Kind::Bar {
            return Err(self.missing(name));
        }
        match &self.counts {
            Some(_) => read_only(py, &self.counted(name)),
            None => Ok(copied(py, &self.counted(name))),
        }
    }

    /// What bars were made from: n_present, n_expected or n_filled of each.
    pub(crate) fn counted(&self, name: &str) -> ScalarBuffer<u32> {
        let place = match name {
            "n_present" => 0,
            "n_filled" => 2,
            _ => 1,
        };
        match &self.counts {
            Some(counts) => counts.columns()[place].clone(),
            None => (0..self.rows.len()).map(|row| of_base_bar(self.rows.is_filled(row))[place]).collect(),
        }
    }

    fn missing(&self, name: &str) -> PyErr {
        let (kind, columns) = (self.rows.kind.name(), self.rows.kind.columns().join(", "));
        PyAttributeError::new_err(format!(
            "{kind} columns have no column {name}; they have ts, available_at, symbol, {columns}"
        ))
    }

    fn to_table(&self) -> PyResult<PyTable> {
        let batch = to_batch(self).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let schema = batch.schema();
        PyTable::try_new(vec![batch], schema)
    }
}

#[pymethods]
impl Columns {
    fn __len__(&self) -> usize {
        self.rows.len()
    }

    /// The rows with start_ns <= ts < end_ns (ns UTC), without a copy.
    fn between(&self, start_ns: i64, end_ns: i64) -> Self {
        let ts = &self.rows.ts_ns;
        let from = ts.partition_point(|&ts| ts < start_ns);
        let to = ts.partition_point(|&ts| ts < end_ns).max(from);
        self.part(from..to)
    }

    /// What the rows are: "bar", "quote" or "trade".
    #[getter]
    fn kind(&self) -> &'static str {
        self.rows.kind.name()
    }

    /// The bars' interval as a word; "" for other kinds.
    #[getter]
    fn interval(&self) -> String {
        if self.interval_ns == 0 { String::new() } else { interval_name(self.interval_ns) }
    }

    /// Own stamps, int64 ns UTC; a bar's is the start of its interval.
    #[getter]
    fn ts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        read_only(py, &self.rows.ts_ns)
    }

    /// When each row is known, int64 ns UTC.
    #[getter]
    fn available_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        read_only(py, &self.available_ns())
    }

    /// Symbol of each row, as a numpy array of str.
    #[getter]
    fn symbol<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let names: Vec<Py<PyAny>> = match &self.symbols {
            Symbols::One(symbol) => {
                let name = PyString::intern(py, symbol).into_any();
                (0..self.rows.len()).map(|_| name.clone().unbind()).collect()
            }
            Symbols::Each(ids, symbols) => {
                let id_name = |&id: &u32| PyString::intern(py, &symbols[id as usize]).into_any().unbind();
                ids.iter().map(id_name).collect()
            }
        };
        let array = PyArray1::from_vec(py, names);
        let frozen = PyDict::new(py);
        frozen.set_item("write", false)?;
        array.call_method("setflags", (), Some(&frozen))?;
        Ok(array.into_any())
    }

    /// First price of each bar.
    #[getter]
    fn open<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "open")
    }

    /// Highest price of each bar.
    #[getter]
    fn high<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "high")
    }

    /// Lowest price of each bar.
    #[getter]
    fn low<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "low")
    }

    /// Last price of each bar.
    #[getter]
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "close")
    }

    /// Volume of each bar.
    #[getter]
    fn volume<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "volume")
    }

    /// Best bid of each quote; NaN where absent.
    #[getter]
    fn bid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "bid")
    }

    /// Best ask of each quote; NaN where absent.
    #[getter]
    fn ask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "ask")
    }

    /// Size at the bid of each quote.
    #[getter]
    fn bid_size<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "bid_size")
    }

    /// Size at the ask of each quote.
    #[getter]
    fn ask_size<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "ask_size")
    }

    /// Price of each trade.
    #[getter]
    fn price<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "price")
    }

    /// Size of each trade.
    #[getter]
    fn size<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.number(py, "size")
    }

    /// Base bars that each bar was made from, uint32.
    #[getter]
    fn n_present<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.count(py, "n_present")
    }

    /// Base bars that there should be for each bar, uint32.
    #[getter]
    fn n_expected<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.count(py, "n_expected")
    }

    /// Base bars filled in from another source for each bar, uint32.
    #[getter]
    fn n_filled<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.count(py, "n_filled")
    }

    /// The rows as a `pyarrow.Table`: ts, available_at, symbol and the kind's columns.
    fn to_arrow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let table = self.to_table()?;
        let _visit = Visit::begin(); // pyarrow lets go of the interpreter
        table.into_pyarrow(py)
    }

    /// The rows as a `pandas.DataFrame`. pandas must be installed.
    fn to_pandas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.to_arrow(py)?.call_method0("to_pandas")
    }

    /// The rows as a `polars.DataFrame`. polars must be installed.
    fn to_polars<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("polars")?.getattr("from_arrow")?.call1((self.to_arrow(py)?,))
    }

    #[pyo3(signature = (requested_schema: "object | None" = None) -> "object")]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.to_arrow(py)?.call_method1("__arrow_c_stream__", (requested_schema,))
    }

    fn __repr__(&self) -> String {
        let symbol = match &self.symbols {
            Symbols::One(symbol) => symbol.to_string(),
            Symbols::Each(..) => "many symbols".to_owned(),
        };
        let interval = self.interval();
        let what = [self.rows.kind.name(), &interval, &symbol].map(str::trim).join(" ");
        format!(
            "Columns({}, {} rows: {})",
            what.replace("  ", " "),
            self.rows.len(),
            self.rows.kind.columns().join(", ")
        )
    }
}
