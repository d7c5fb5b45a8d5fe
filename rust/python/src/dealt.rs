//! Rows of several symbols that stand among each other, dealt out by symbol: each column is read once from its first value to
//! its last, and written where its symbol's rows stand together. Other ways would read a value here and a value there.

use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer};
use backtape_core::check::{Column, RawRows, RowNumbers};
use backtape_engine::threads::in_halves;
use std::sync::Arc;

/// The rows of each symbol that has some, in the order of `names`. `parts`: rows that follow each other. `ids`: the symbol of
/// each row, as its place among these.
pub(crate) fn dealt(parts: &[RawRows], ids: &[u32], names: Vec<Arc<str>>) -> Vec<(Arc<str>, RawRows)> {
    let mut counts = vec![0; names.len()];
    for &id in ids {
        counts[id as usize] += 1;
    }
    let dealt = deal(parts, &places(ids, &counts));
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

/// The values of a column, 8 bytes each, whatever they are, and which are null.
type Untyped<'a> = (&'a Buffer, Option<&'a NullBuffer>);

fn untyped<T: ArrowNativeType>((values, nulls): &Column<T>) -> Untyped<'_> {
    (values.inner(), nulls.as_ref())
}

/// All rows at their places.
fn deal(parts: &[RawRows], places: &[u32]) -> RawRows {
    let stamps = parts.iter().map(|part| untyped(&part.ts_ns)).collect();
    let number = |number: usize| parts.iter().map(|part| untyped(&part.values[number])).collect();
    let width = parts.first().map_or(0, |part| part.values.len());
    let columns: Vec<Vec<Untyped<'_>>> = std::iter::once(stamps).chain((0..width).map(number)).collect();
    let each = |some: &[Vec<Untyped<'_>>]| some.iter().map(|column| dealt_column(column, places)).collect();
    let mut columns = in_halves(&columns, |_| places.len(), each).into_iter();
    let (ts, nulls) = columns.next().unwrap_or_default();
    let numbers = |part: &RawRows| {
        let numbers = part.numbers.clone();
        (0..part.ts_ns.0.len()).map(move |row| numbers.of(row) as u32)
    };
    RawRows {
        ordered_ns: None,
        numbers: RowNumbers::Each(at_places(parts.iter().map(numbers), places).into()),
        ts_ns: (ts.into(), nulls),
        values: columns.map(|(values, nulls)| (values.into(), nulls)).collect(),
    }
}

fn dealt_column(parts: &[Untyped<'_>], places: &[u32]) -> (Buffer, Option<NullBuffer>) {
    let values = parts.iter().map(|(values, _)| values.typed_data::<u64>().iter().copied());
    let dealt = Buffer::from_vec(at_places(values, places));
    let are_valid = |&(values, nulls): &Untyped<'_>| {
        let nulls = nulls.cloned();
        let rows = 0..values.len() / size_of::<u64>();
        rows.map(move |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)))
    };
    let has_nulls = parts.iter().any(|(_, nulls)| nulls.is_some());
    (dealt, has_nulls.then(|| at_places(parts.iter().map(are_valid), places).into()))
}

/// What stands in parts that follow each other, at its places.
fn at_places<T: Clone + Default, Part: ExactSizeIterator<Item = T>>(
    parts: impl Iterator<Item = Part>,
    places: &[u32],
) -> Vec<T> {
    let (mut dealt, mut rest) = (vec![T::default(); places.len()], places);
    for part in parts {
        let (own, later) = rest.split_at(part.len());
        part.zip(own).for_each(|(value, &place)| dealt[place as usize] = value);
        rest = later;
    }
    dealt
}
