//! Rows of several symbols that stand among each other, dealt out by symbol: each column is read once from its first value to
//! its last, and written where its symbol's rows stand together. Other ways would read a value here and a value there.

use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer};
use backtape_core::check::{Column, RawRows, RowNumbers};
use backtape_engine::threads::in_halves;
use std::sync::Arc;

/// The rows of each symbol that has some, in the order of `names`. `ids`: the symbol of each row, as its place among these.
pub(crate) fn dealt(rows: &RawRows, ids: &[u32], names: Vec<Arc<str>>) -> Vec<(Arc<str>, RawRows)> {
    let mut counts = vec![0; names.len()];
    for &id in ids {
        counts[id as usize] += 1;
    }
    let dealt = deal(rows, &places(ids, &counts));
    let mut from = 0;
    let part = |(symbol, len): (Arc<str>, usize)| {
        let part = dealt.part(from, len);
        from += len;
        (symbol, part)
    };
    names.into_iter().zip(counts).filter(|&(_, len)| len > 0).map(part).collect()
}

/// Where each row goes: those of the first symbol come first, in their order.
fn places(ids: &[u32], counts: &[usize]) -> Vec<u32> {
    let ends = counts.iter().scan(0, |end, &count| Some(std::mem::replace(end, *end + count as u32)));
    let mut next: Vec<u32> = ends.collect();
    let place = |&id: &u32| {
        let next = &mut next[id as usize];
        std::mem::replace(next, *next + 1)
    };
    ids.iter().map(place).collect()
}

/// All rows at their places.
fn deal(rows: &RawRows, places: &[u32]) -> RawRows {
    let mut moved = vec![0; places.len()];
    (0..).zip(places).for_each(|(row, &place)| moved[place as usize] = row);
    let columns: Vec<&Buffer> =
        std::iter::once(rows.ts_ns.0.inner()).chain(rows.values.iter().map(|(column, _)| column.inner())).collect();
    let each = |some: &[&Buffer]| some.iter().map(|column| dealt_column(column.typed_data(), places)).collect();
    let mut columns = in_halves(&columns, |_| places.len(), each).into_iter();
    let nulls = |nulls: Option<&NullBuffer>| {
        let own = |nulls: &NullBuffer| moved.iter().map(|&row: &u32| nulls.is_valid(row as usize)).collect();
        nulls.map(own)
    };
    let ts_ns = column(columns.next().unwrap_or_default(), nulls(rows.ts_ns.1.as_ref()));
    let own = rows.values.iter().zip(columns).map(|((_, own), values)| column(values, nulls(own.as_ref())));
    let values = own.collect();
    let numbers = moved.iter().map(|&row| rows.numbers.of(row as usize) as u32).collect();
    RawRows { ordered_ns: None, numbers: RowNumbers::Each(numbers), ts_ns, values }
}

/// The values of a column at their places, whatever they are: 8 bytes each.
fn dealt_column(values: &[u64], places: &[u32]) -> Buffer {
    let mut dealt = vec![0_u64; places.len()];
    for (&value, &place) in values.iter().zip(places) {
        dealt[place as usize] = value;
    }
    Buffer::from_vec(dealt)
}

fn column<T: ArrowNativeType>(column: Buffer, nulls: Option<NullBuffer>) -> Column<T> {
    (column.into(), nulls)
}
