//! Rows of several symbols, by symbol: without a copy where those of each stand together.

use crate::arrow_in::{Columns, Unreadable, column};
use crate::asked::Asked;
use crate::dealt::dealt;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use arrow_select::take::take_record_batch;
use backtape_core::check::{RawRows, RowNumbers};
use backtape_core::key::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The rows of a stream that are asked for, by symbol. Where each symbol's rows stand together, only those that lie in more
/// than one batch of the stream are copied.
pub(crate) fn read_by_symbol(
    reader: Box<dyn RecordBatchReader + Send>,
    kind: Kind,
    asked: &Asked,
) -> Result<Vec<(Arc<str>, RawRows)>, Unreadable> {
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    let rows = match standing_together(&batches, kind, asked)? {
        Some(rows) => rows,
        None => standing_apart(&batches, kind, asked)?,
    };
    let asked_for = rows.into_iter().map(|(symbol, rows)| (symbol, asked.part(rows)));
    Ok(asked_for.filter(|(_, rows)| !rows.ts_ns.0.is_empty()).collect())
}

/// The rows of each symbol that is asked for; `None` where those of one do not all follow each other.
fn standing_together(
    batches: &[RecordBatch],
    kind: Kind,
    asked: &Asked,
) -> Result<Option<Vec<(Arc<str>, RawRows)>>, Unreadable> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut seen, mut before) = (BTreeSet::new(), 0);
    for (number, batch) in batches.iter().enumerate() {
        let (ids, names) = symbol_ids(column(batch, "symbol", "string")?)?;
        let wanted = asked.which(&names);
        let mut from = 0;
        for ids in ids.chunk_by(|a, b| a == b) {
            let (first, part) = (before + from, (number, from, ids.len()));
            from += ids.len();
            if !wanted[ids[0] as usize] {
                continue;
            }
            let symbol = &names[ids[0] as usize];
            match runs.last_mut().filter(|last| last.symbol == *symbol && last.ends_at(first)) {
                Some(last) => last.parts.push(part),
                None if seen.insert(Arc::clone(symbol)) => {
                    runs.push(Run { symbol: Arc::clone(symbol), first, parts: vec![part] });
                }
                None => return Ok(None),
            }
        }
        before += batch.num_rows();
    }
    let columns = batches.iter().map(|batch| Columns::of(batch, kind)).collect::<Result<Vec<_>, _>>()?;
    let rows = runs.into_iter().map(|run| Ok((Arc::clone(&run.symbol), run.rows(&columns)?)));
    rows.collect::<Result<_, Unreadable>>().map(Some)
}

/// Rows of one symbol that follow each other in a stream: the number of the first one, and of each part its batch, its
/// first row there and how many there are.
struct Run {
    symbol: Arc<str>,
    first: usize,
    parts: Vec<(usize, usize, usize)>,
}

impl Run {
    fn ends_at(&self, row: usize) -> bool {
        row == self.first + self.parts.iter().map(|&(_, _, len)| len).sum::<usize>()
    }

    fn rows(&self, batches: &[Columns]) -> Result<RawRows, ArrowError> {
        let numbers = RowNumbers::From(self.first as u64);
        let parts: Vec<Columns> =
            self.parts.iter().map(|&(number, from, len)| batches[number].slice(from, len)).collect();
        if let [part] = &parts[..] {
            return Ok(part.rows(numbers));
        }
        let whole = |column: fn(&Columns, usize) -> &dyn Array, number: usize| {
            concat(&parts.iter().map(|part| column(part, number)).collect::<Vec<_>>())
        };
        let values = (0..parts[0].values.len()).map(|number| whole(|part, number| &*part.values[number], number));
        let whole = Columns { ts: whole(|part, _| &*part.ts, 0)?, values: values.collect::<Result<_, _>>()? };
        Ok(whole.rows(numbers))
    }
}

/// The same of rows that stand among each other. Those that are not asked for are left out before any is moved.
fn standing_apart(batches: &[RecordBatch], kind: Kind, asked: &Asked) -> Result<Vec<(Arc<str>, RawRows)>, Unreadable> {
    let (mut parts, mut ids, mut names) = (Vec::with_capacity(batches.len()), Vec::new(), Vec::new());
    let (mut number_of, mut before) = (BTreeMap::new(), 0);
    for batch in batches {
        let (rows, own_ids, own_names) = chosen_of(batch, kind, asked, before)?;
        let known = own_names.iter().map(|name| {
            *number_of.entry(Arc::clone(name)).or_insert_with(|| {
                names.push(Arc::clone(name));
                names.len() as u32 - 1
            })
        });
        let known: Vec<u32> = known.collect();
        ids.extend(own_ids.iter().map(|&id| known[id as usize]));
        parts.push(rows);
        before += batch.num_rows();
    }
    Ok(dealt(&parts, &ids, names))
}

/// The rows of a batch that are asked for, and of each the number of its symbol. `before`: how many rows come before it.
fn chosen_of(
    batch: &RecordBatch,
    kind: Kind,
    asked: &Asked,
    before: usize,
) -> Result<(RawRows, ScalarBuffer<u32>, Vec<Arc<str>>), Unreadable> {
    let (ids, names) = symbol_ids(column(batch, "symbol", "string")?)?;
    let rows = Columns::of(batch, kind)?.rows(RowNumbers::From(before as u64));
    let (wanted, range) = (asked.which(&names), asked.range(&rows));
    if wanted.iter().all(|&wanted| wanted) {
        return Ok((rows.part(range.start, range.len()), ids.slice(range.start, range.len()), names));
    }
    let some: Vec<u32> = range.filter(|&row| wanted[ids[row] as usize]).map(|row| row as u32).collect();
    let numbers = some.iter().map(|row| before as u32 + row).collect();
    let ids = some.iter().map(|&row| ids[row as usize]).collect();
    let chosen = take_record_batch(batch, &UInt32Array::from(some))?;
    Ok((Columns::of(&chosen, kind)?.rows(RowNumbers::Each(numbers)), ids, names))
}

/// A symbol column as numbers and names, none of which two numbers stand for; a null symbol is refused.
pub(crate) fn symbol_ids(column: &ArrayRef) -> Result<(ScalarBuffer<u32>, Vec<Arc<str>>), Unreadable> {
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
