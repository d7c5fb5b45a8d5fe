//! Arrow to rows by symbol, without a copy where each symbol's rows stand together.

use crate::dealt::dealt;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampNanosecondType, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::concat::{concat, concat_batches};
use backtape_core::check::{RawRows, RowNumbers};
use backtape_core::key::Kind;
use std::collections::{BTreeMap, BTreeSet};
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

/// The values of a column, and which of them are null.
pub(crate) type Values<T> = (ScalarBuffer<T>, Option<NullBuffer>);

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

/// The rows of a stream by symbol. Where each symbol's rows stand together, only those that lie in more than one batch of
/// the stream are copied.
pub(crate) fn read_by_symbol(
    reader: Box<dyn RecordBatchReader + Send>,
    kind: Kind,
) -> Result<Vec<(Arc<str>, RawRows)>, Unreadable> {
    let schema: SchemaRef = reader.schema();
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    if batches.len() < 2 {
        return by_symbol(&joined(&schema, &batches)?, kind);
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut columns = Vec::with_capacity(batches.len());
    for (number, batch) in batches.iter().enumerate() {
        columns.push(Columns::of(batch, kind)?);
        let (ids, names) = symbol_ids(column(batch, "symbol", "string")?)?;
        let mut from = 0;
        for ids in ids.chunk_by(|a, b| a == b) {
            let symbol = &names[ids[0] as usize];
            match runs.last_mut().filter(|last| last.symbol == *symbol) {
                Some(last) => last.parts.push((number, from, ids.len())),
                None if seen.insert(Arc::clone(symbol)) => {
                    runs.push(Run { symbol: Arc::clone(symbol), parts: vec![(number, from, ids.len())] });
                }
                None => return by_symbol(&joined(&schema, &batches)?, kind),
            }
            from += ids.len();
        }
    }
    let raw: Vec<RawRows> = columns.iter().map(|columns| columns.rows(RowNumbers::From(0))).collect();
    let mut before = 0;
    let rows = runs.into_iter().map(|run| {
        let numbers = RowNumbers::From(before);
        before += run.parts.iter().map(|&(_, _, len)| len as u64).sum::<u64>();
        Ok((Arc::clone(&run.symbol), run.rows(&columns, &raw, numbers)?))
    });
    rows.collect()
}

/// Rows of one symbol that follow each other in a stream: batch, first row and number of rows of each part.
struct Run {
    symbol: Arc<str>,
    parts: Vec<(usize, usize, usize)>,
}

impl Run {
    /// Its rows; `raw`: those of each batch.
    fn rows(&self, batches: &[Columns], raw: &[RawRows], numbers: RowNumbers) -> Result<RawRows, ArrowError> {
        if let [(number, from, len)] = self.parts[..] {
            return Ok(part_of(&raw[number], from, len, numbers));
        }
        let parts: Vec<Columns> =
            self.parts.iter().map(|&(number, from, len)| batches[number].slice(from, len)).collect();
        let whole = |column: fn(&Columns, usize) -> &dyn Array, number: usize| {
            concat(&parts.iter().map(|part| column(part, number)).collect::<Vec<_>>())
        };
        let values = (0..parts[0].values.len()).map(|number| whole(|part, number| &*part.values[number], number));
        let whole = Columns { ts: whole(|part, _| &*part.ts, 0)?, values: values.collect::<Result<_, _>>()? };
        Ok(whole.rows(numbers))
    }
}

/// Some rows of a batch, without a copy.
pub(crate) fn part_of(raw: &RawRows, from: usize, len: usize, numbers: RowNumbers) -> RawRows {
    fn part<T: ArrowNativeType>((values, nulls): &Values<T>, from: usize, len: usize) -> Values<T> {
        (values.slice(from, len), nulls.as_ref().map(|nulls| nulls.slice(from, len)))
    }
    let values = raw.values.iter().map(|column| part(column, from, len)).collect();
    RawRows { ordered_ns: None, numbers, ts_ns: part(&raw.ts_ns, from, len), values }
}

/// The rows of a batch that are all of one symbol.
pub(crate) fn rows_alone(batch: &RecordBatch, kind: Kind) -> Result<RawRows, Unreadable> {
    Ok(Columns::of(batch, kind)?.rows(RowNumbers::From(0)))
}

/// The rows of a batch by symbol.
fn by_symbol(batch: &RecordBatch, kind: Kind) -> Result<Vec<(Arc<str>, RawRows)>, Unreadable> {
    let columns = Columns::of(batch, kind)?;
    let (ids, names) = symbol_ids(column(batch, "symbol", "string")?)?;
    let mut seen = vec![false; names.len()];
    let runs = || ids.chunk_by(|a, b| a == b);
    if runs().all(|run| !std::mem::replace(&mut seen[run[0] as usize], true)) {
        let (raw, mut from) = (columns.rows(RowNumbers::From(0)), 0);
        let slices = runs().map(|run| {
            let slice = part_of(&raw, from, run.len(), RowNumbers::From(from as u64));
            from += run.len();
            (Arc::clone(&names[run[0] as usize]), slice)
        });
        return Ok(slices.collect());
    }
    Ok(dealt(&columns.rows(RowNumbers::From(0)), &ids, names))
}

struct Columns {
    ts: ArrayRef,
    values: Vec<ArrayRef>,
}

fn column<'a>(batch: &'a RecordBatch, name: &str, expected: &'static str) -> Result<&'a ArrayRef, Unreadable> {
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
    fn of(batch: &RecordBatch, kind: Kind) -> Result<Self, Unreadable> {
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

    fn slice(&self, from: usize, len: usize) -> Self {
        Self {
            ts: self.ts.slice(from, len),
            values: self.values.iter().map(|column| column.slice(from, len)).collect(),
        }
    }

    fn rows(&self, numbers: RowNumbers) -> RawRows {
        let ts = self.ts.as_primitive::<TimestampNanosecondType>();
        let number = |column: &ArrayRef| -> Values<f64> {
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

/// A symbol column as numbers and names, none of which two numbers stand for; a null symbol is refused.
fn symbol_ids(column: &ArrayRef) -> Result<(ScalarBuffer<u32>, Vec<Arc<str>>), Unreadable> {
    let refuse =
        |found: String| Unreadable::Column { name: "symbol".to_owned(), expected: "string without nulls", found };
    if column.null_count() > 0 {
        return Err(refuse(format!("{} nulls", column.null_count())));
    }
    let (ids, words) = match column.as_dictionary_opt::<Int32Type>() {
        // Most columns of symbols are such ones. No number is below zero, so their bits are those of u32.
        Some(own) if *own.values().data_type() == DataType::Utf8 => {
            (own.keys().values().inner().clone().into(), Arc::clone(own.values()))
        }
        _ => {
            let keyed = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
            let dictionary = cast(column, &keyed).map_err(|_| refuse(column.data_type().to_string()))?;
            let dictionary = dictionary.as_dictionary::<UInt32Type>();
            (dictionary.keys().values().clone(), Arc::clone(dictionary.values()))
        }
    };
    let words = words.as_string::<i32>();
    let names: Vec<Arc<str>> = (0..words.len()).map(|place| Arc::from(words.value(place))).collect();
    if names.is_sorted_by(|name, next| name < next) {
        return Ok((ids, names)); // none stands twice
    }
    let mut first: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
    let canonical: Vec<u32> =
        names.iter().enumerate().map(|(place, name)| *first.entry(name).or_insert(place as u32)).collect();
    Ok((ids.iter().map(|&id| canonical[id as usize]).collect(), names))
}
