//! Whether all rows of a piece are good: one branch-free pass per column. Which row is at fault is looked for only when there
//! is one, see `check.rs`.

use crate::check::RawRows;
use crate::key::{COLUMNS_MAX, Kind, TapeKey};
use crate::steps::{ascend, steps};
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
    let is_plain = |number: usize| are_plain(raw.values[number].0.inner().typed_data());
    let is_ordered = || raw.ordered_ns == Some(key.interval_ns) || is_ordered(key, ts);
    (no_null && is_ordered()).then(|| clean_values(key, &columns, is_plain))?
}

fn is_ordered(key: &TapeKey, ts_ns: &[i64]) -> bool {
    if key.kind == Kind::Bar { steps(ts_ns, key.interval_ns).on_grid } else { ascend(ts_ns) }
}

/// Whether one row would pass [`check`](crate::check::check) as it is. `values`: its numbers in the order of [`Kind::columns`].
pub fn is_clean_row(key: &TapeKey, ts_ns: i64, values: &[f64]) -> bool {
    let mut columns: [&[f64]; COLUMNS_MAX] = [&[]; COLUMNS_MAX];
    for (column, value) in columns.iter_mut().zip(values) {
        *column = slice::from_ref(value);
    }
    is_ordered(key, slice::from_ref(&ts_ns)) && clean_values(key, &columns[..values.len()], |_| false).is_some()
}

/// Column after column, as they most often lie in memory: what comes next is there sooner then. `is_plain`: whether a column is
/// known to hold numbers only, and none below zero.
fn clean_values(key: &TapeKey, columns: &[&[f64]], is_plain: impl Fn(usize) -> bool) -> Option<Signs> {
    const HIGH: usize = 1;
    const LOW: usize = 2;
    let mut signs = Signs::Plus;
    for (number, column) in columns.iter().enumerate() {
        let is_price = number < key.kind.prices();
        if !is_plain(number) {
            let may_be_absent = key.kind == Kind::Quote && is_price;
            let own =
                if may_be_absent { seen(column, |value| !value.is_infinite()) } else { seen(column, f64::is_finite) };
            if own? == Signs::Any {
                is_price.then_some(())?;
                signs = Signs::Any;
            }
        }
        if key.kind == Kind::Bar && number == LOW {
            columns[HIGH].iter().zip(*column).fold(true, |ok, (high, low)| ok & (high >= low)).then_some(())?;
        }
    }
    Some(signs)
}

/// Whether numbers are finite and not below zero, told by the highest 16 bits of each: sign, exponent and a little more. All
/// four `words` of a number are looked at, since that needs no step to take them apart; -0 is left to a closer look.
fn are_plain(words: &[i16]) -> bool {
    const LANES: usize = 32;
    const HIGHEST: usize = if cfg!(target_endian = "little") { 3 } else { 0 };
    const INFINITE: i16 = 0x7ff0;
    let (mut lowest, mut highest) = ([0; LANES], [0; LANES]);
    let (whole, rest) = words.as_chunks::<LANES>();
    let mut look = |words: &[i16]| {
        for (lane, &word) in words.iter().enumerate() {
            lowest[lane] = word.min(lowest[lane]);
            highest[lane] = word.max(highest[lane]);
        }
    };
    for words in whole {
        look(words);
    }
    look(rest);
    (HIGHEST..LANES).step_by(4).all(|lane| lowest[lane] == 0 && highest[lane] < INFINITE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_buffer::ScalarBuffer;

    fn signs(kind: Kind, columns: &[&[f64]]) -> Option<Signs> {
        clean_values(&TapeKey { kind, interval_ns: 0, symbol: "IBM".into() }, columns, |_| false)
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

    #[test]
    fn plain_numbers_are_told_by_their_highest_bits_wherever_they_stand() {
        let told = |numbers: &[f64]| are_plain(ScalarBuffer::from(numbers.to_vec()).inner().typed_data());
        let numbers = [
            0.0,
            1.0,
            5e-324,
            0.1,
            123.456_789,
            f64::MAX,
            f64::MIN_POSITIVE,
            -0.0,
            -1.0,
            -5e-324,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            -f64::NAN,
            f64::MIN,
        ];
        assert!(told(&[]));
        for number in numbers {
            for (len, place) in [(1, 0), (7, 3), (8, 0), (8, 7), (29, 8), (29, 28)] {
                let mut column = vec![123.456_789; len];
                column[place] = number;
                let plain = number.is_finite() && number.is_sign_positive();
                assert_eq!(told(&column), plain, "{number} at {place} of {len}");
                assert_eq!(seen(&column, f64::is_finite) == Some(Signs::Plus), plain || number == 0.0);
            }
        }
    }
}
