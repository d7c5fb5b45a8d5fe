//! Arrow to rows of one tape, without a copy.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use backtape_core::check::{Column, RawRows, RowNumbers};
use backtape_core::key::Kind;
use std::sync::Arc;

/// What can be wrong with a stream before its rows are looked at.
pub(crate) enum Unreadable {
    /// The stream itself failed.
    Arrow(ArrowError),
    /// A column is not there, or of another type.
    Column { name: String, expected: &'static str, found: String },
}

impl From<ArrowError> for Unreadable {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

/// All of a stream as one batch.
pub(crate) fn read_all(reader: Box<dyn RecordBatchReader + Send>) -> Result<RecordBatch, Unreadable> {
    let schema: SchemaRef = reader.schema();
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    joined(&schema, &batches)
}

fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch, Unreadable> {
    match batches {
        [one] => Ok(one.clone()),
        many => Ok(concat_batches(schema, many)?),
    }
}

/// The rows of a batch that are all of one symbol.
pub(crate) fn rows_alone(batch: &RecordBatch, kind: Kind) -> Result<RawRows, Unreadable> {
    Ok(Columns::of(batch, kind)?.rows(RowNumbers::From(0)))
}

/// The columns of a batch, all but the symbols.
pub(crate) struct Columns {
    pub(crate) ts: ArrayRef,
    pub(crate) values: Vec<ArrayRef>,
}

pub(crate) fn column<'a>(
    batch: &'a RecordBatch,
    name: &str,
    expected: &'static str,
) -> Result<&'a ArrayRef, Unreadable> {
    let fields = batch.schema();
    batch.column_by_name(name).ok_or_else(|| Unreadable::Column {
        name: name.to_owned(),
        expected,
        found: format!(
            "columns {}",
            fields.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
        ),
    })
}

impl Columns {
    pub(crate) fn of(batch: &RecordBatch, kind: Kind) -> Result<Self, Unreadable> {
        let typed = |name: &str, data_type: DataType, expected: &'static str| {
            let found = column(batch, name, expected)?;
            let fits = match (&data_type, found.data_type()) {
                (DataType::Timestamp(unit, _), DataType::Timestamp(other, zone)) => unit == other && zone.is_some(),
                (data_type, other) => *data_type == *other,
            };
            if fits {
                return Ok(Arc::clone(found));
            }
            Err(Unreadable::Column { name: name.to_owned(), expected, found: found.data_type().to_string() })
        };
        let ts = typed("ts", crate::arrow_out::stamp_type(), "timestamp[ns, UTC]")?;
        let values = kind.columns().iter().map(|name| typed(name, DataType::Float64, "float64"));
        Ok(Self { ts, values: values.collect::<Result<_, _>>()? })
    }

    pub(crate) fn slice(&self, from: usize, len: usize) -> Self {
        Self {
            ts: self.ts.slice(from, len),
            values: self.values.iter().map(|column| column.slice(from, len)).collect(),
        }
    }

    pub(crate) fn rows(&self, numbers: RowNumbers) -> RawRows {
        let ts = self.ts.as_primitive::<TimestampNanosecondType>();
        let number = |column: &ArrayRef| -> Column<f64> {
            let column = column.as_primitive::<Float64Type>();
            (column.values().clone(), column.nulls().cloned())
        };
        RawRows {
            ordered_ns: None,
            numbers,
            ts_ns: (ts.values().clone(), ts.nulls().cloned()),
            values: self.values.iter().map(number).collect(),
        }
    }
}
