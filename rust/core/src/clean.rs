//! Whether all rows of a piece are good: one branch-free pass per column. Which row is at fault is looked for only when there
//! is one, see `check.rs`.

use crate::check::RawRows;
use crate::key::{COLUMNS_MAX, Kind, TapeKey};
use arrow_buffer::NullBuffer;
use std::slice;

fn no_nulls(nulls: Option<&NullBuffer>) -> bool {
    nulls.is_none_or(|nulls| nulls.null_count() == 0)
}

/// Whether there is a price below zero.
#[derive(Debug, PartialEq)]
pub(crate) enum Signs {
    /// There is none.
    Plus,
    /// There is one.
    Any,
}

/// What the prices of good rows are like; `None` where a row is at fault.
pub(crate) fn clean(key: &TapeKey, raw: &RawRows) -> Option<Signs> {
    let (ts, ts_nulls) = &raw.ts_ns;
    let no_null = no_nulls(ts_nulls.as_ref()) && raw.values.iter().all(|(_, nulls)| no_nulls(nulls.as_ref()));
    let columns: Vec<&[f64]> = raw.values.iter().map(|(column, _)| &**column).collect();
    (no_null && is_ordered(key, ts)).then(|| clean_values(key, &columns))?
}

fn is_ordered(key: &TapeKey, ts_ns: &[i64]) -> bool {
    match key.kind {
        Kind::Bar => ascends_on_grid(ts_ns, key.interval_ns),
        _ => ts_ns.windows(2).fold(true, |ok, pair| ok & (pair[0] <= pair[1])),
    }
}

/// Whether one row would pass [`check`](crate::check::check) as it is. `values`: its numbers in the order of [`Kind::columns`].
pub fn is_clean_row(key: &TapeKey, ts_ns: i64, values: &[f64]) -> bool {
    let mut columns: [&[f64]; COLUMNS_MAX] = [&[]; COLUMNS_MAX];
    for (column, value) in columns.iter_mut().zip(values) {
        *column = slice::from_ref(value);
    }
    is_ordered(key, slice::from_ref(&ts_ns)) && clean_values(key, &columns[..values.len()]).is_some()
}

fn clean_values(key: &TapeKey, columns: &[&[f64]]) -> Option<Signs> {
    let (prices, sizes) = columns.split_at(key.kind.prices().min(columns.len()));
    let may_be_absent = key.kind == Kind::Quote;
    let are_sizes = sizes.iter().all(|column| seen(column, f64::is_finite) == Some(Signs::Plus));
    let is_high = match (key.kind, prices) {
        (Kind::Bar, [_, high, low, ..]) => high.iter().zip(*low).fold(true, |ok, (high, low)| ok & (high >= low)),
        _ => true,
    };
    if !are_sizes || !is_high {
        return None;
    }
    let mut signs = Signs::Plus;
    for column in prices {
        let own = if may_be_absent { seen(column, |value| !value.is_infinite()) } else { seen(column, f64::is_finite) };
        if own? == Signs::Any {
            signs = Signs::Any;
        }
    }
    Some(signs)
}

/// The signs of a column of which each value `is_number`; NaN has none.
fn seen(column: &[f64], is_number: impl Fn(f64) -> bool) -> Option<Signs> {
    let (mut are_numbers, mut is_one_below) = (true, false);
    for &value in column {
        are_numbers &= is_number(value);
        is_one_below |= value < 0.0;
    }
    are_numbers.then_some(if is_one_below { Signs::Any } else { Signs::Plus })
}

/// A division costs more than all other checks of a row together, and most steps are one interval.
fn ascends_on_grid(ts: &[i64], interval_ns: i64) -> bool {
    let fits = |before: i64, ts: i64| {
        let step_ns = ts.wrapping_sub(before);
        before < ts && (step_ns == interval_ns || step_ns.cast_unsigned().is_multiple_of(interval_ns.cast_unsigned()))
    };
    ts.first().is_none_or(|first| first % interval_ns == 0)
        && ts.iter().zip(ts.iter().skip(1)).all(|(&before, &ts)| fits(before, ts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(kind: Kind, columns: &[&[f64]]) -> Option<Signs> {
        clean_values(&TapeKey { kind, interval_ns: 0, symbol: "IBM".into() }, columns)
    }

    #[test]
    fn a_price_below_zero_is_seen_and_no_fault() {
        let (plus, minus, nan) = ([0.0, 2.0], [1.0, -1.0], [f64::NAN, 1.0]);
        assert_eq!(signs(Kind::Trade, &[&plus, &plus]), Some(Signs::Plus));
        assert_eq!(signs(Kind::Trade, &[&minus, &plus]), Some(Signs::Any));
        assert_eq!(signs(Kind::Trade, &[&plus, &minus]), None);
        assert_eq!(signs(Kind::Trade, &[&nan, &plus]), None);
        assert_eq!(signs(Kind::Quote, &[&nan, &plus, &plus, &plus]), Some(Signs::Plus));
        assert_eq!(signs(Kind::Quote, &[&nan, &minus, &plus, &plus]), Some(Signs::Any));
        assert_eq!(signs(Kind::Quote, &[&[f64::INFINITY], &[1.0], &[1.0], &[1.0]]), None);
        assert_eq!(signs(Kind::Bar, &[&plus, &minus, &plus, &plus, &plus]), None);
        assert_eq!(signs(Kind::Bar, &[&plus, &plus, &[-1.0, -1.0], &plus, &plus]), Some(Signs::Any));
    }
}
