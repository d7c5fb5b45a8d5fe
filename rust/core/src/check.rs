//! The door for rows (C9): every row is checked once, on the way in. Clean rows are passed on without a copy.

use crate::clean::{Signs, clean};
use crate::error::{Error, Place, Result};
use crate::key::{Kind, TapeKey};
use crate::rows::Rows;
use crate::twice::same_bar;
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use std::ops::Range;
use std::sync::Arc;

/// What to do with a bad row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadRows {
    /// Stop at the first one with an error.
    Raise,
    /// Leave it out and count it with its reason.
    Quarantine,
}

/// How rows are numbered in the source that they came from, for messages.
#[derive(Debug, Clone)]
pub enum RowNumbers {
    /// One after the other from this one on.
    From(u64),
    /// One number for each row.
    Each(ScalarBuffer<u32>),
}

impl RowNumbers {
    /// The number of a row.
    pub fn of(&self, row: usize) -> u64 {
        match self {
            Self::From(first) => first + row as u64,
            Self::Each(numbers) => numbers[row].into(),
        }
    }

    fn part(&self, from: usize, len: usize) -> Self {
        match self {
            Self::From(first) => Self::From(first + from as u64),
            Self::Each(numbers) => Self::Each(numbers.slice(from, len)),
        }
    }
}

/// The values of a column, and which of them are null.
pub type Column<T> = (ScalarBuffer<T>, Option<NullBuffer>);

/// Rows as they come, before any check. Columns as in [`Kind::columns`].
#[derive(Debug, Clone)]
pub struct RawRows {
    /// The rows' numbers in their source.
    pub numbers: RowNumbers,
    /// Stamps, and which of them are null.
    pub ts_ns: Column<i64>,
    /// The interval of bars whose stamps these are for sure: multiples of it, each later than the one before. 0 where they are
    /// known not to fall, as those of other rows may not. `None` where nothing is known.
    pub ordered_ns: Option<i64>,
    /// Number columns, and which of their values are null.
    pub values: Vec<Column<f64>>,
}

impl RawRows {
    /// Some rows that follow each other, without a copy.
    #[must_use]
    pub fn part(&self, from: usize, len: usize) -> Self {
        fn part<T: ArrowNativeType>(column: &Column<T>, from: usize, len: usize) -> Column<T> {
            (column.0.slice(from, len), column.1.as_ref().map(|nulls| nulls.slice(from, len)))
        }
        let values = self.values.iter().map(|column| part(column, from, len)).collect();
        let numbers = self.numbers.part(from, len);
        Self { numbers, ts_ns: part(&self.ts_ns, from, len), ordered_ns: self.ordered_ns, values }
    }
}

/// A row that was left out.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// Its own stamp, or where it has none that of a neighbour; `i64::MIN` where no row has one. Of a stale row the time
    /// up to which its stream had promised that nothing more would come.
    pub at_ns: i64,
    /// Why.
    pub why: Why,
}

/// Why a row was left out.
#[derive(Debug, Clone)]
pub enum Why {
    /// A second identical bar under one stamp.
    Duplicate,
    /// It was fed after its stream had gone past it.
    Stale,
    /// It is bad.
    Bad(Error),
}

/// Rows that passed, and those that did not.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Good rows, ascending by stamp.
    pub rows: Rows,
    /// Bad rows in the order in which they came.
    pub dropped: Vec<Dropped>,
    /// How many rows of their source lie before them, for messages.
    pub before: u64,
}

impl Checked {
    /// Rows that are known to be good.
    pub const fn good(rows: Rows) -> Self {
        Self { rows, dropped: Vec::new(), before: 0 }
    }
}

/// Checks the rows of one source for one tape.
///
/// # Errors
/// With [`OnBadRows::Raise`] the first fault: a null or falling stamp, a number that is not finite, high below low,
/// a negative volume or size, a bar stamp off the grid, two different bars under one stamp.
pub fn check(key: &TapeKey, source_name: &Arc<str>, raw: RawRows, on_bad: OnBadRows) -> Result<Checked> {
    let raw = if key.kind == Kind::Quote { absent_sides(raw) } else { raw };
    let before = if let RowNumbers::From(before) = raw.numbers { before } else { 0 };
    if let Some(signs) = clean(key, &raw) {
        let rows = Rows { signed: signs == Signs::Any, ..into_rows(key.kind, raw) };
        return Ok(Checked { before, ..Checked::good(rows) });
    }
    let mut door = Door { key, source_name, raw: &raw, last: None, keep: Vec::new(), dropped: Vec::new() };
    for row in 0..raw.ts_ns.0.len() {
        match (door.fault(row), on_bad) {
            (Verdict::Good, _) => door.keep(row),
            (Verdict::Bad(fault), OnBadRows::Raise) => return Err(fault),
            (Verdict::Bad(fault), OnBadRows::Quarantine) => door.drop(row, Why::Bad(fault)),
            (Verdict::Twice, _) => door.drop(row, Why::Duplicate),
        }
    }
    let Door { keep, dropped, .. } = door;
    Ok(Checked { rows: into_rows(key.kind, raw).select(&keep), dropped, before })
}

fn into_rows(kind: Kind, raw: RawRows) -> Rows {
    Rows::new(kind, raw.ts_ns.0, raw.values.into_iter().map(|(column, _)| column).collect())
}

/// An absent side of a quote is NaN with size 0, however the source says it: null, or NaN.
fn absent_sides(raw: RawRows) -> RawRows {
    let prices = Kind::Quote.prices();
    let values = raw
        .values
        .iter()
        .cloned()
        .enumerate()
        .map(|(c, (column, nulls))| {
            let absent = if c < prices { f64::NAN } else { 0.0 };
            let has_nulls = nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0);
            if has_nulls {
                let nulls = nulls.as_ref();
                let filled = column.iter().enumerate().map(|(row, &value)| match nulls {
                    Some(nulls) if nulls.is_null(row) => absent,
                    _ => value,
                });
                (filled.collect(), None)
            } else if c >= prices && column.iter().any(|value| value.is_nan()) {
                (column.iter().map(|&value| if value.is_nan() { 0.0 } else { value }).collect(), None)
            } else {
                (column, None)
            }
        })
        .collect();
    RawRows { values, ..raw }
}

enum Verdict {
    Good,
    Twice,
    Bad(Error),
}

struct Door<'a> {
    key: &'a TapeKey,
    source_name: &'a Arc<str>,
    raw: &'a RawRows,
    last: Option<usize>,
    keep: Vec<Range<usize>>,
    dropped: Vec<Dropped>,
}

impl Door<'_> {
    fn place(&self, row: usize) -> Place {
        Place { tape: self.key.clone(), source_name: Arc::clone(self.source_name), row: self.raw.numbers.of(row) }
    }

    fn is_null(&self, row: usize) -> bool {
        self.raw.ts_ns.1.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn fault(&self, row: usize) -> Verdict {
        if self.is_null(row) {
            return Verdict::Bad(Error::NullTime { place: self.place(row) });
        }
        let ts_ns = self.raw.ts_ns.0[row];
        if let Some(fault) = self.bad_number(row, ts_ns).or_else(|| self.bad_bar(row, ts_ns)) {
            return Verdict::Bad(fault);
        }
        let Some(last) = self.last else {
            return Verdict::Good;
        };
        let ts_prev_ns = self.raw.ts_ns.0[last];
        if ts_ns < ts_prev_ns {
            return Verdict::Bad(Error::Unsorted { place: self.place(row), ts_ns, ts_prev_ns });
        }
        if self.key.kind != Kind::Bar || ts_ns > ts_prev_ns {
            return Verdict::Good;
        }
        let first = (self.source_name, self.raw.numbers.of(last));
        let values = |row: usize| self.raw.values.iter().map(move |(column, _)| column[row]);
        same_bar(|| self.place(row), ts_ns, values(row), first, values(last)).map_or(Verdict::Twice, Verdict::Bad)
    }

    fn bad_number(&self, row: usize, ts_ns: i64) -> Option<Error> {
        let kind = self.key.kind;
        for (c, (column, nulls)) in self.raw.values.iter().enumerate() {
            let (value, name) = (column[row], kind.columns()[c]);
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let may_be_nan = kind == Kind::Quote && c < kind.prices();
            if null || value.is_infinite() || (value.is_nan() && !may_be_nan) {
                let value = if null { "null".to_owned() } else { value.to_string() };
                return Some(Error::NotFinite { place: self.place(row), ts_ns, column: name, value });
            }
            if c >= kind.prices() && value < 0.0 {
                return Some(Error::Negative { place: self.place(row), ts_ns, column: name, value });
            }
        }
        None
    }

    fn bad_bar(&self, row: usize, ts_ns: i64) -> Option<Error> {
        if self.key.kind != Kind::Bar {
            return None;
        }
        let (high, low) = (self.raw.values[1].0[row], self.raw.values[2].0[row]);
        if high < low {
            return Some(Error::HighBelowLow { place: self.place(row), ts_ns, high, low });
        }
        let interval_ns = self.key.interval_ns;
        let over_ns = ts_ns.rem_euclid(interval_ns);
        let grid_ns = ts_ns.saturating_sub(over_ns);
        (over_ns != 0).then(|| Error::OffGrid { place: self.place(row), ts_ns, interval_ns, grid_ns })
    }

    fn keep(&mut self, row: usize) {
        self.last = Some(row);
        match self.keep.last_mut() {
            Some(range) if range.end == row => range.end += 1,
            _ => self.keep.push(row..row + 1),
        }
    }

    fn drop(&mut self, row: usize, why: Why) {
        let ts = &self.raw.ts_ns.0;
        let neighbour = || self.last.or_else(|| (row + 1..ts.len()).find(|&later| !self.is_null(later)));
        let at = if self.is_null(row) { neighbour() } else { Some(row) };
        self.dropped.push(Dropped { at_ns: at.map_or(i64::MIN, |row| ts[row]), why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::is_clean_row;

    const MINUTE: i64 = 60_000_000_000;

    fn key(kind: Kind) -> TapeKey {
        TapeKey { kind, interval_ns: if kind == Kind::Bar { MINUTE } else { 0 }, symbol: "IBM".into() }
    }

    fn bars(ts_ns: &[i64], edit: impl Fn(&mut [Vec<f64>])) -> RawRows {
        let mut columns = [2.0, 3.0, 1.0, 2.5, 10.0].map(|value| vec![value; ts_ns.len()]);
        edit(&mut columns);
        RawRows {
            ordered_ns: None,
            numbers: RowNumbers::From(0),
            ts_ns: (ts_ns.to_vec().into(), None),
            values: columns.into_iter().map(|column| (column.into(), None)).collect(),
        }
    }

    fn first_fault(raw: RawRows) -> Error {
        check(&key(Kind::Bar), &"file".into(), raw, OnBadRows::Raise).expect_err("a bad row")
    }

    #[test]
    fn clean_rows_are_not_copied() {
        let raw = bars(&[0, MINUTE], |_| ());
        let start = raw.ts_ns.0.inner().as_ptr();
        let checked = check(&key(Kind::Bar), &"file".into(), raw, OnBadRows::Raise).expect("clean");
        assert_eq!(checked.rows.ts_ns.inner().as_ptr(), start);
        assert!(checked.dropped.is_empty());
    }

    #[test]
    fn each_fault_names_tape_source_row_and_both_values() {
        let fault = first_fault(bars(&[MINUTE, 0], |_| ())).to_string();
        assert_eq!(
            fault,
            "tape IBM bar 1m of file, row 1: ts 0 ns follows 60000000000 ns; sort the rows by ts, or use on_bad_rows=\"quarantine\""
        );
        let fault = first_fault(bars(&[0, MINUTE], |c| c[1][1] = 0.5)).to_string();
        assert!(fault.contains("row 1: high 0.5 is below low 1 at"), "{fault}");
        let fault = first_fault(bars(&[0, MINUTE], |c| c[3][1] = f64::NAN)).to_string();
        assert!(fault.contains("row 1: close is NaN at"), "{fault}");
        let fault = first_fault(bars(&[0], |c| c[4][0] = -1.0)).to_string();
        assert!(fault.contains("row 0: volume is -1 at"), "{fault}");
        let fault = first_fault(bars(&[MINUTE + 1], |_| ())).to_string();
        assert!(fault.contains("the nearest stamp before is 60000000000 ns"), "{fault}");
        let fault = first_fault(bars(&[0, 0], |c| c[0][1] = 2.25)).to_string();
        assert!(fault.contains("differ in open: 2.25 here, 2 in file row 0"), "{fault}");
    }

    #[test]
    fn an_order_that_is_known_spares_the_look_and_that_of_other_rows_does_not() {
        let passes = |ordered_ns| {
            let falling = RawRows { ordered_ns, ..bars(&[MINUTE, 0], |_| ()) };
            check(&key(Kind::Bar), &"file".into(), falling, OnBadRows::Raise).is_ok()
        };
        let known = [None, Some(0), Some(5 * MINUTE), Some(MINUTE)];
        assert_eq!(known.map(passes), [false, false, false, true]);
    }

    #[test]
    fn an_identical_bar_is_a_duplicate_and_an_identical_trade_is_not() {
        let checked = check(&key(Kind::Bar), &"f".into(), bars(&[0, 0, MINUTE], |_| ()), OnBadRows::Raise);
        let checked = checked.expect("duplicates are no fault");
        assert_eq!((checked.rows.len(), checked.dropped.len()), (2, 1));
        assert!(matches!(checked.dropped[0].why, Why::Duplicate));

        let trades = RawRows {
            ordered_ns: None,
            numbers: RowNumbers::From(0),
            ts_ns: (vec![5, 5].into(), None),
            values: vec![(vec![1.0, 1.0].into(), None), (vec![2.0, 2.0].into(), None)],
        };
        let checked = check(&key(Kind::Trade), &"f".into(), trades, OnBadRows::Raise).expect("clean");
        assert_eq!((checked.rows.len(), checked.dropped.len()), (2, 0));
    }

    #[test]
    fn a_row_alone_is_clean_where_a_batch_of_it_passes_unchanged() {
        let numbers = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1.0, 2.0];
        for (kind, ts_ns) in [(Kind::Trade, 5), (Kind::Quote, 5), (Kind::Bar, MINUTE), (Kind::Bar, 5)] {
            let columns = kind.columns().len();
            for drawn in 0..numbers.len().pow(columns as u32) {
                let values: Vec<f64> =
                    (0..columns).map(|c| numbers[drawn / numbers.len().pow(c as u32) % numbers.len()]).collect();
                let raw = RawRows {
                    ordered_ns: None,
                    numbers: RowNumbers::From(0),
                    ts_ns: (vec![ts_ns].into(), None),
                    values: values.iter().map(|&value| (vec![value].into(), None)).collect(),
                };
                let unchanged = check(&key(kind), &"f".into(), raw, OnBadRows::Raise).is_ok_and(|checked| {
                    let bits = |value: f64| if value.is_nan() { 0 } else { value.to_bits() + 1 };
                    checked.rows.values.iter().zip(&values).all(|(column, &value)| bits(column[0]) == bits(value))
                });
                assert_eq!(is_clean_row(&key(kind), ts_ns, &values), unchanged, "{kind:?} {ts_ns} {values:?}");
            }
        }
    }

    #[test]
    fn quarantine_keeps_the_good_rows_and_each_bad_one_once() {
        let mut raw = bars(&[0, MINUTE, 2 * MINUTE, MINUTE, 3 * MINUTE], |c| c[0][1] = f64::INFINITY);
        raw.ts_ns.1 = Some(NullBuffer::from(vec![true, true, false, true, true]));
        let checked = check(&key(Kind::Bar), &"f".into(), raw, OnBadRows::Quarantine).expect("quarantined");
        assert_eq!(checked.rows.ts_ns.to_vec(), [0, MINUTE, 3 * MINUTE]);
        assert_eq!(checked.dropped.len(), 2);
        assert_eq!(checked.dropped[1].at_ns, 0, "a row without a stamp stands beside the row before it");
    }

    #[test]
    fn an_absent_side_is_nan_with_size_zero() {
        let nulls = || Some(NullBuffer::from(vec![true, false]));
        let raw = RawRows {
            ordered_ns: None,
            numbers: RowNumbers::From(0),
            ts_ns: (vec![1, 2].into(), None),
            values: vec![
                (vec![9.0, 9.0].into(), nulls()),
                (vec![9.5, f64::NAN].into(), None),
                (vec![1.0, 7.0].into(), nulls()),
                (vec![1.0, f64::NAN].into(), None),
            ],
        };
        let rows = check(&key(Kind::Quote), &"f".into(), raw, OnBadRows::Raise).expect("legal").rows;
        assert!(rows.values[0][1].is_nan() && rows.values[1][1].is_nan());
        assert_eq!([rows.values[2][1], rows.values[3][1]], [0.0, 0.0]);
    }
}
