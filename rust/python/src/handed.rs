//! `HandedTables`: many tables of one kind, handed over in one go. There may be thousands, and each handing over costs more
//! than its rows: so they come column by column, and what is the same for all is looked at once.

use crate::arrow_in::Unreadable;
use crate::enter::Enter;
use crate::tapes::{kind_of, unreadable};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use arrow_select::concat::concat;
use backtape_core::check::{Column, RawRows, RowNumbers};
use backtape_core::interval::told_interval;
use backtape_core::key::Kind;
use backtape_core::steps::ascend;
use backtape_engine::threads::in_halves;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3_arrow::PyArrayReader;
use pyo3_arrow::ffi::ArrayReader;
use std::sync::OnceLock;

const STAMP: &str = "timestamp[ns, UTC]";
const NUMBER: &str = "float64";

/// To take over a piece of a column takes as long as so many rows do.
const PIECE_IN_ROWS: usize = 64;

/// Tables of one kind; no row is looked at yet.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct HandedTables {
    pub(crate) kind: Kind,
    tables: Vec<RawRows>,
    /// What their stamps tell, once somebody has asked: then the door need not look at them again.
    stamps: OnceLock<Vec<Option<Stamps>>>,
}

impl HandedTables {
    pub(crate) fn rows(&self, place: usize) -> usize {
        self.tables[place].ts_ns.0.len()
    }

    /// A table for the door.
    pub(crate) fn table(&self, place: usize) -> RawRows {
        let stamps = self.stamps.get().and_then(|stamps| stamps[place]);
        RawRows { ordered_ns: stamps.and_then(|stamps| stamps.ordered_ns), ..self.tables[place].clone() }
    }
}

/// What the stamps of a table tell.
#[derive(Clone, Copy)]
struct Stamps {
    facts: StampFacts,
    ordered_ns: Option<i64>,
}

/// Of a column of stamps: the lowest, the highest, how many there are, the interval of bars that they tell, and whether one
/// falls.
type StampFacts = (i64, i64, usize, i64, bool);

#[pymethods]
impl HandedTables {
    /// `columns`: Arrow streams, one a column, of all tables together: `ts` (timestamp[ns, UTC]) and the numbers (float64) in
    /// the order of the kind's columns. `rows`: how many are of each table, in order.
    #[new]
    fn new(py: Python<'_>, kind: &str, columns: Vec<PyArrayReader>, rows: Vec<usize>) -> PyResult<Self> {
        let kind = kind_of(py, kind)?;
        let expected = std::iter::once(("ts", STAMP)).chain(kind.columns().iter().map(|name| (*name, NUMBER)));
        let columns: Vec<_> = expected.zip(columns.iter().map(Some).chain(std::iter::repeat(None))).collect();
        let read = |some: &[_]| some.iter().map(|&(name, stream)| column(name, stream, &rows)).collect();
        let tables = py.out(|| {
            let columns = in_halves(&columns, |_| rows.len() * PIECE_IN_ROWS, read);
            Ok(tables(&columns.into_iter().collect::<Result<Vec<_>, Unreadable>>()?))
        });
        let tables = tables.map_err(|fault| unreadable(py, fault, "a table"))?;
        Ok(Self { kind, tables, stamps: OnceLock::new() })
    }

    /// Where the rows of each table that lie in a span (ns UTC, half-open) begin, and how many there are; for tables whose
    /// stamps never fall.
    fn within(&self, py: Python<'_>, start_ns: i64, end_ns: i64) -> Vec<(usize, usize)> {
        let range = |table: &RawRows| {
            let until = |ns: i64| table.ts_ns.0.partition_point(|&ts| ts < ns);
            let start = until(start_ns);
            (start, until(end_ns).max(start) - start)
        };
        py.out(|| self.tables.iter().map(range).collect())
    }

    /// What the stamps of each table tell: the lowest, the highest (ns UTC), how many there are, the interval of bars that
    /// they tell (0 ns for other kinds), and whether one falls. `None` for a table without rows, or with nulls among its
    /// stamps.
    fn stamp_facts(&self, py: Python<'_>) -> Vec<Option<StampFacts>> {
        let told = |some: &[RawRows]| some.iter().map(|table| stamps(self.kind, &table.ts_ns)).collect();
        let told = || in_halves(&self.tables, |table| table.ts_ns.0.len(), told);
        let told = py.out(|| self.stamps.get_or_init(told));
        told.iter().map(|stamps| stamps.map(|stamps| stamps.facts)).collect()
    }
}

/// A column's name, and what it must be.
type Expected = (&'static str, &'static str);

/// The pieces of a column that are of each table; a copy only where one lies in more than one piece of the stream.
fn column(
    (name, expected): Expected,
    stream: Option<&PyArrayReader>,
    rows: &[usize],
) -> Result<Vec<ArrayRef>, Unreadable> {
    let other = |found: String| Unreadable::Column { name: name.to_owned(), expected, found };
    let stream = stream.and_then(|stream| stream.to_reader().ok()).ok_or_else(|| other("no such column".to_owned()))?;
    let data_type = stream.field().data_type().clone();
    let fits = match &data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => expected == STAMP,
        other => *other == DataType::Float64 && expected == NUMBER,
    };
    if !fits {
        return Err(other(data_type.to_string()));
    }
    let mut pieces = Pieces { stream, rest: None };
    let piece = |&rows: &usize| match pieces.next_of(rows)?.as_slice() {
        [] => Ok(new_empty_array(&data_type)),
        [one] => Ok(ArrayRef::clone(one)),
        many => Ok(concat(&many.iter().map(|part| &**part).collect::<Vec<_>>())?),
    };
    rows.iter().map(piece).collect()
}

/// Tables from the pieces of their columns.
fn tables(columns: &[Vec<ArrayRef>]) -> Vec<RawRows> {
    let Some((ts_ns, numbers)) = columns.split_first() else {
        return Vec::new();
    };
    let table = |(place, ts_ns): (usize, &ArrayRef)| RawRows {
        ordered_ns: None,
        numbers: RowNumbers::From(0),
        ts_ns: values::<TimestampNanosecondType>(ts_ns),
        values: numbers.iter().map(|column| values::<Float64Type>(&column[place])).collect(),
    };
    ts_ns.iter().enumerate().map(table).collect()
}

fn values<T: ArrowPrimitiveType>(piece: &ArrayRef) -> Column<T::Native> {
    let piece = piece.as_primitive::<T>();
    (piece.values().clone(), piece.nulls().cloned())
}

/// Tells the interval of bars, in ns, from their stamps (int64 ns, any order, of any number of symbols).
///
/// Fewer than half of the steps between stamps are whole minutes: 1s. Else 1m, unless there are 20 such steps or more and
/// all of them are multiples of something longer (5m, 15m, ...): then that. A lone stamp is 1m on a whole minute, else 1s.
/// Other intervals than these cannot be told from stamps; declare them.
#[pyfunction]
pub(crate) fn interval_of_stamps(py: Python<'_>, ts_ns: PyReadonlyArray1<'_, i64>) -> i64 {
    let told = |ts_ns: &[i64]| py.out(|| told_interval(ts_ns).0);
    ts_ns.as_slice().map_or_else(|_| told(&ts_ns.as_array().to_vec()), told)
}

/// A stream that is taken so many rows at a time.
struct Pieces {
    stream: Box<dyn ArrayReader + Send>,
    rest: Option<ArrayRef>,
}

impl Pieces {
    fn next_of(&mut self, rows: usize) -> Result<Vec<ArrayRef>, Unreadable> {
        let (mut parts, mut left) = (Vec::new(), rows);
        while left > 0 {
            let Some(mut part) = self.rest.take().map(Ok).or_else(|| self.stream.next()).transpose()? else {
                let message = format!("a table has {rows} rows, but the stream gives {}", rows - left);
                return Err(ArrowError::InvalidArgumentError(message).into());
            };
            if part.len() > left {
                self.rest = Some(part.slice(left, part.len() - left));
                part = part.slice(0, left);
            }
            left -= part.len();
            if !part.is_empty() {
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

fn stamps(kind: Kind, (ts_ns, nulls): &Column<i64>) -> Option<Stamps> {
    if nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0) {
        return None;
    }
    let (interval_ns, falls, ordered_ns) = if kind == Kind::Bar {
        let (interval_ns, like) = told_interval(ts_ns);
        (interval_ns, like.falls, like.on_grid.then_some(interval_ns))
    } else {
        let ascend = ascend(ts_ns);
        (0, !ascend, ascend.then_some(0))
    };
    let (first, last) = (*ts_ns.first()?, *ts_ns.last()?);
    let bounds = || ts_ns.iter().fold((i64::MAX, i64::MIN), |(low, high), &ts| (low.min(ts), high.max(ts)));
    let (lowest_ns, highest_ns) = if falls { bounds() } else { (first, last) };
    Some(Stamps { facts: (lowest_ns, highest_ns, ts_ns.len(), interval_ns, falls), ordered_ns })
}
