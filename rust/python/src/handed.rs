//! `HandedTables`: many tables of one kind, handed over in one go. There may be thousands, and each handing over costs more
//! than its rows: so they come column by column, and what is the same for all is looked at once.

use crate::arrow_in::Unreadable;
use crate::enter::Enter;
use crate::tapes::{kind_of, unreadable};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use backtape_core::check::{RawRows, RowNumbers};
use backtape_core::key::Kind;
use backtape_core::steps::{ascend, count_steps};
use backtape_engine::threads::{in_halves, side_by_side};
use pyo3::prelude::*;
use pyo3_arrow::PyArrayReader;
use pyo3_arrow::ffi::ArrayReader;

/// Tables of one kind; no row is looked at yet.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct HandedTables {
    pub(crate) kind: Kind,
    pub(crate) tables: Vec<RawRows>,
}

/// The columns of some tables that follow each other, and how many rows are of each table.
type Handed = (Vec<PyArrayReader>, Vec<usize>);

/// Of a column of stamps: the lowest, the highest, how many there are, of bars how many steps between them are one minute,
/// and whether one falls.
type StampFacts = (i64, i64, usize, usize, bool);

/// The values of a column, and which of them are null.
type Values<T> = (ScalarBuffer<T>, Option<NullBuffer>);

#[pymethods]
impl HandedTables {
    /// `early`, `late`: Arrow streams, one a column, of all tables together, `ts` (timestamp[ns, UTC]) and the numbers
    /// (float64) in the order of the kind's columns; and how many rows are of each table, in order. Both are read at the
    /// same time.
    #[new]
    #[pyo3(signature = (kind, early, late=None))]
    fn new(py: Python<'_>, kind: &str, early: Handed, late: Option<Handed>) -> PyResult<Self> {
        let kind = kind_of(py, kind)?;
        let readers = |(columns, rows): Handed| -> PyResult<(Vec<_>, Vec<usize>)> {
            Ok((columns.into_iter().map(PyArrayReader::into_reader).collect::<PyResult<_>>()?, rows))
        };
        let (early, late) = (readers(early)?, late.map(readers).transpose()?);
        let tables = py.out(|| {
            let Some(late) = late else {
                return read(kind, early);
            };
            let (mut early, mut late) = (Some(early), Some(late));
            let (mut first, mut second) = (None, None);
            let read_half = |half: &mut Option<_>| half.take().map(|half| read(kind, half));
            side_by_side(&mut || second = read_half(&mut late), &mut || first = read_half(&mut early));
            let mut all = first.unwrap_or(Ok(Vec::new()))?;
            all.extend(second.unwrap_or(Ok(Vec::new()))?);
            Ok(all)
        });
        Ok(Self { kind, tables: tables.map_err(|fault| unreadable(py, fault, "a table"))? })
    }

    /// What the stamps of each table tell: the lowest, the highest (ns UTC), how many there are, of bars how many steps
    /// between them are one minute, and whether one falls. `None` for a table without rows, or with nulls among its stamps.
    fn stamp_facts(&self, py: Python<'_>) -> Vec<Option<StampFacts>> {
        let facts = |some: &[RawRows]| some.iter().map(|table| facts_of_stamps(self.kind, &table.ts_ns)).collect();
        py.out(|| in_halves(&self.tables, |table| table.ts_ns.0.len(), facts))
    }
}

fn read(
    kind: Kind,
    (columns, rows): (Vec<Box<dyn ArrayReader + Send>>, Vec<usize>),
) -> Result<Vec<RawRows>, Unreadable> {
    let mut columns = columns.into_iter();
    let ts_ns = column::<TimestampNanosecondType>("ts", "timestamp[ns, UTC]", columns.next(), &rows)?;
    let numbers = kind.columns().iter().map(|name| column::<Float64Type>(name, "float64", columns.next(), &rows));
    let mut numbers: Vec<_> = numbers.map(|column| Ok(column?.into_iter())).collect::<Result<_, Unreadable>>()?;
    let table = |ts_ns| RawRows {
        numbers: RowNumbers::From(0),
        ts_ns,
        values: numbers.iter_mut().filter_map(Iterator::next).collect(),
    };
    Ok(ts_ns.into_iter().map(table).collect())
}

/// A column of each table; a copy only where it lies in more than one piece of the stream.
fn column<T: ArrowPrimitiveType>(
    name: &str,
    expected: &'static str,
    stream: Option<Box<dyn ArrayReader + Send>>,
    rows: &[usize],
) -> Result<Vec<Values<T::Native>>, Unreadable> {
    let other = |found: String| Unreadable::Column { name: name.to_owned(), expected, found };
    let stream = stream.ok_or_else(|| other("no such column".to_owned()))?;
    let data_type = stream.field().data_type().clone();
    let fits = match &data_type {
        DataType::Timestamp(unit, zone) => T::DATA_TYPE == DataType::Timestamp(*unit, None) && zone.is_some(),
        other => T::DATA_TYPE == *other,
    };
    if !fits {
        return Err(other(data_type.to_string()));
    }
    let mut pieces = Pieces { stream, rest: None };
    let values = |&rows: &usize| {
        let piece = match pieces.next_of(rows)?.as_slice() {
            [] => new_empty_array(&data_type),
            [one] => ArrayRef::clone(one),
            many => concat(&many.iter().map(|part| &**part).collect::<Vec<_>>())?,
        };
        let piece = piece.as_primitive::<T>();
        Ok((piece.values().clone(), piece.nulls().cloned()))
    };
    rows.iter().map(values).collect()
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

fn facts_of_stamps(kind: Kind, (ts_ns, nulls): &Values<i64>) -> Option<StampFacts> {
    const MINUTE_NS: i64 = 60_000_000_000;
    if nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0) {
        return None;
    }
    let (minutes, falls) = if kind == Kind::Bar { count_steps(ts_ns, MINUTE_NS) } else { (0, !ascend(ts_ns)) };
    let (first, last) = (*ts_ns.first()?, *ts_ns.last()?);
    let bounds = || ts_ns.iter().fold((i64::MAX, i64::MIN), |(low, high), &ts| (low.min(ts), high.max(ts)));
    let (lowest_ns, highest_ns) = if falls { bounds() } else { (first, last) };
    Some((lowest_ns, highest_ns, ts_ns.len(), minutes, falls))
}
