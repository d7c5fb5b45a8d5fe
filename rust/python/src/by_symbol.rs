//! Rows of several symbols, by symbol: without a copy where those of each stand together.

use crate::arrow_in::{Columns, Unreadable, column};
use crate::asked::Asked;
use crate::dealt::dealt;
use crate::symbols::Symbols;
use arrow_array::{Array, RecordBatch, RecordBatchReader, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::take::take_record_batch;
use backtape_core::check::{RawRows, RowNumbers};
use backtape_core::key::Kind;
use std::sync::Arc;

/// The rows of a stream that are asked for, by symbol. Where each symbol's rows stand together, only those that lie in more
/// than one batch of the stream are copied.
pub(crate) fn read_by_symbol(
    reader: Box<dyn RecordBatchReader + Send>,
    kind: Kind,
    asked: &Asked,
) -> Result<Vec<(Arc<str>, RawRows)>, Unreadable> {
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>()?;
    let columns = batches.iter().map(|batch| Columns::of(batch, kind)).collect::<Result<Vec<_>, _>>()?;
    let mut symbols = Symbols::default();
    let ids = batches.iter().map(|batch| symbols.ids(column(batch, "symbol", "string")?));
    let ids: Vec<ScalarBuffer<u32>> = ids.collect::<Result<_, _>>()?;
    let wanted = asked.which(&symbols.names);
    let rows: Vec<(Arc<str>, RawRows)> = if let Some(runs) = standing_together(&ids, &wanted) {
        let rows = runs.iter().map(|run| Ok((Arc::clone(&symbols.names[run.symbol as usize]), run.rows(&columns)?)));
        rows.collect::<Result<_, ArrowError>>()?
    } else {
        // Rows that are not asked for are left out before any is moved.
        let (mut parts, mut chosen, mut before) = (Vec::with_capacity(batches.len()), Vec::new(), 0);
        for (batch, ids) in batches.iter().zip(&ids) {
            let (rows, ids) = chosen_of(batch, ids, &wanted, kind, asked, before)?;
            chosen.extend_from_slice(&ids);
            parts.push(rows);
            before += batch.num_rows();
        }
        dealt(&parts, &chosen, symbols.names)
    };
    let asked_for = rows.into_iter().map(|(symbol, rows)| (symbol, asked.part(rows)));
    Ok(asked_for.filter(|(_, rows)| !rows.ts_ns.0.is_empty()).collect())
}

/// Where the rows of each symbol that is asked for stand; `None` where those of one do not all follow each other.
fn standing_together(ids: &[ScalarBuffer<u32>], wanted: &[bool]) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut seen, mut before) = (vec![false; wanted.len()], 0);
    for (number, ids) in ids.iter().enumerate() {
        let mut from = 0;
        for ids in ids.chunk_by(|a, b| a == b) {
            let (symbol, first, part) = (ids[0], before + from, (number, from, ids.len()));
            from += ids.len();
            if !wanted[symbol as usize] {
                continue;
            }
            match runs.last_mut().filter(|last| last.symbol == symbol && last.ends_at(first)) {
                Some(last) => last.parts.push(part),
                None if !std::mem::replace(&mut seen[symbol as usize], true) => {
                    runs.push(Run { symbol, first, parts: vec![part] });
                }
                None => return None,
            }
        }
        before += ids.len();
    }
    Some(runs)
}

/// Rows of one symbol that follow each other in a stream: the number of the first one, and of each part its batch, its
/// first row there and how many there are.
struct Run {
    symbol: u32,
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

/// The rows of a batch that are asked for, and of each the number of its symbol. `before`: how many rows come before it.
fn chosen_of(
    batch: &RecordBatch,
    ids: &ScalarBuffer<u32>,
    wanted: &[bool],
    kind: Kind,
    asked: &Asked,
    before: usize,
) -> Result<(RawRows, ScalarBuffer<u32>), Unreadable> {
    let rows = Columns::of(batch, kind)?.rows(RowNumbers::From(before as u64));
    let range = asked.range(&rows);
    if wanted.iter().all(|&wanted| wanted) {
        return Ok((rows.part(range.start, range.len()), ids.slice(range.start, range.len())));
    }
    let some: Vec<u32> = range.filter(|&row| wanted[ids[row] as usize]).map(|row| row as u32).collect();
    let numbers = some.iter().map(|row| before as u32 + row).collect();
    let ids = some.iter().map(|&row| ids[row as usize]).collect();
    let chosen = take_record_batch(batch, &UInt32Array::from(some))?;
    Ok((Columns::of(&chosen, kind)?.rows(RowNumbers::Each(numbers)), ids))
}
