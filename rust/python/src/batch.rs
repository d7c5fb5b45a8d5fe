//! Merged events as one record batch: the schema of `batches()` and `to_arrow()`.

use crate::arrow_out::{stamp_type, stamps, symbols};
use crate::flags::Flags;
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow_array::{UInt8Array, UInt32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use backtape_core::gather::spread;
use backtape_core::key::Kind;
use backtape_core::loaded::{Counts, LoadedTape};
use backtape_core::replay::Window;
use std::ops::Range;
use std::sync::Arc;

/// Words of the `kind` column, by the number of their kind.
const KIND_WORDS: [&str; 5] = ["bar", "session_close", "session_open", "quote", "trade"];

fn dictionary(key: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8))
}

/// The schema of batches with these kinds.
pub(crate) fn schema(kinds: &[Kind]) -> Schema {
    let mut fields = vec![
        Field::new("available_at", stamp_type(), false),
        Field::new("ts", stamp_type(), false),
        Field::new("kind", dictionary(DataType::Int8), false),
        Field::new("symbol", dictionary(DataType::UInt32), true),
    ];
    if kinds.contains(&Kind::Bar) {
        fields.push(Field::new("interval_ns", DataType::Int64, true));
    }
    for kind in kinds {
        fields.extend(kind.columns().iter().map(|name| Field::new(*name, DataType::Float64, true)));
    }
    if kinds.contains(&Kind::Bar) {
        let counts = ["n_present", "n_expected", "n_filled"];
        fields.extend(counts.map(|name| Field::new(name, DataType::UInt32, true)));
    }
    fields.push(Field::new("flags", DataType::UInt8, false));
    Schema::new(fields)
}

/// Some events of a window as one record batch.
pub(crate) fn to_batch(window: &Window, events: Range<usize>, kinds: &[Kind]) -> RecordBatch {
    let built = try_batch(window, events, kinds);
    built.unwrap_or_else(|error| unreachable!("the columns are built to the schema: {error}"))
}

fn try_batch(window: &Window, events: Range<usize>, kinds: &[Kind]) -> Result<RecordBatch, ArrowError> {
    let (order, tapes) = (&window.order, &window.loaded.tapes);
    let mut columns: Vec<ArrayRef> = vec![
        stamps(order.at_ns[events.clone()].to_vec().into()),
        stamps(window.ts_ns.slice(events.start, events.len())),
        kind_column(window, events.clone())?,
        symbol_column(window, events.clone())?,
    ];
    if kinds.contains(&Kind::Bar) {
        let intervals: Vec<i64> = tapes.iter().map(|tape| tape.key.interval_ns).collect();
        let intervals = spread(order, events.clone(), &intervals);
        columns.push(Arc::new(Int64Array::new(intervals.into(), nulls(window, events.clone(), Kind::Bar))));
    }
    for &kind in kinds {
        let nulls = nulls(window, events.clone(), kind);
        // The window's columns serve every kind: what is not of the kind is null.
        for place in 0..kind.columns().len() {
            let values = window.values.get(place).map(|column| column.slice(events.start, events.len()));
            let values = values.unwrap_or_else(|| vec![0.0; events.len()].into());
            columns.push(Arc::new(Float64Array::new(values, nulls.clone())));
        }
    }
    if kinds.contains(&Kind::Bar) {
        columns.extend(count_columns(window, &events));
    }
    columns.push(Arc::new(UInt8Array::from(flag_bits(window, events))));
    RecordBatch::try_new(Arc::new(schema(kinds)), columns)
}

/// Which events are not of a kind; `None` where all are.
fn nulls(window: &Window, events: Range<usize>, kind: Kind) -> Option<NullBuffer> {
    let of_kind: Vec<bool> = window.loaded.tapes.iter().map(|tape| tape.key.kind == kind).collect();
    let lanes = &window.order.lanes[events];
    let valid = BooleanBuffer::collect_bool(lanes.len(), |event| of_kind[lanes[event] as usize]);
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}

fn kind_column(window: &Window, events: Range<usize>) -> Result<ArrayRef, ArrowError> {
    let kinds: Vec<i8> = window.loaded.tapes.iter().map(|tape| tape.key.kind as i8).collect();
    let keys = Int8Array::from(spread(&window.order, events, &kinds));
    let words = StringArray::from_iter_values(KIND_WORDS);
    Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(keys, Arc::new(words))?))
}

fn symbol_column(window: &Window, events: Range<usize>) -> Result<ArrayRef, ArrowError> {
    let names: Vec<Arc<str>> = window.loaded.symbols.keys().cloned().collect();
    let id = |tape: &LoadedTape| names.binary_search(&tape.key.symbol).unwrap_or(0) as u32;
    let ids: Vec<u32> = window.loaded.tapes.iter().map(id).collect();
    let has_symbol: Vec<bool> = window.loaded.tapes.iter().map(|tape| Kind::ROWS.contains(&tape.key.kind)).collect();
    let lanes = &window.order.lanes[events.clone()];
    let valid = BooleanBuffer::collect_bool(lanes.len(), |event| has_symbol[lanes[event] as usize]);
    let nulls = Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
    symbols(spread(&window.order, events, &ids).into(), nulls, &names)
}

fn count_columns(window: &Window, events: &Range<usize>) -> [ArrayRef; 3] {
    let (order, tapes) = (&window.order, &window.loaded.tapes);
    let nulls = nulls(window, events.clone(), Kind::Bar);
    let plain = tapes.iter().all(|tape| tape.counts.is_none() && tape.rows.filled.is_none());
    let column = |fed: u32, filled: u32, pick: fn(&Counts) -> &[u32]| -> ArrayRef {
        if plain {
            return Arc::new(UInt32Array::new(vec![fed; events.len()].into(), nulls.clone()));
        }
        let lanes = order.lanes[events.clone()].iter().zip(&order.rows[events.clone()]);
        let value = |(&lane, &row): (&u32, &u32)| {
            let (tape, row) = (&tapes[lane as usize], row as usize);
            match &tape.counts {
                Some(counts) => pick(counts)[row],
                None if tape.rows.is_filled(row) => filled,
                None => fed,
            }
        };
        Arc::new(UInt32Array::new(lanes.map(value).collect(), nulls.clone()))
    };
    [
        column(1, 0, |counts| &counts.present),
        column(1, 1, |counts| &counts.expected),
        column(0, 1, |counts| &counts.filled),
    ]
}

fn flag_bits(window: &Window, events: Range<usize>) -> Vec<u8> {
    let (order, loaded) = (&window.order, &window.loaded);
    let by_tape = Flags::by_tape(loaded, order.at_ns[events.start..events.end].first().copied());
    if let Some(by_tape) = by_tape {
        return spread(order, events, &by_tape);
    }
    let flags = |event: usize| {
        let (tape, row) = (order.lanes[event] as usize, order.rows[event] as usize);
        Flags::of(loaded, tape, row, order.at_ns[event]).bits()
    };
    events.map(flags).collect()
}
