//! Sorted columns of one kind: cheap to clone and to slice, never changed.

use crate::key::Kind;
use crate::numbers::Numbers;
use arrow_buffer::ScalarBuffer;
use std::ops::Range;

/// Rows of one tape as columns. A value that exists has been checked.
#[derive(Debug, Clone)]
pub struct Rows {
    /// What the rows are.
    pub kind: Kind,
    /// The rows' own stamps, ascending.
    pub ts_ns: ScalarBuffer<i64>,
    /// The number columns, in the order of [`Kind::columns`].
    pub values: Numbers,
    /// 1 where a row was filled in from another source; `None` when no row was.
    pub filled: Option<ScalarBuffer<u8>>,
    /// Whether a price may be below zero. Most often the door has seen that none is, and nobody needs to look again.
    pub signed: bool,
}

impl Rows {
    /// No rows of a kind.
    pub fn empty(kind: Kind) -> Self {
        let values = kind.columns().iter().map(|_| ScalarBuffer::from(Vec::new())).collect();
        Self { kind, ts_ns: ScalarBuffer::from(Vec::new()), values, filled: None, signed: false }
    }

    /// Rows that were not looked through yet.
    pub fn new(kind: Kind, ts_ns: ScalarBuffer<i64>, values: Numbers) -> Self {
        Self { kind, ts_ns, values, filled: None, signed: true }
    }

    /// One row of a kind. `values`: its numbers in the order of [`Kind::columns`].
    pub fn one(kind: Kind, ts_ns: i64, values: &[f64]) -> Self {
        let values = values.iter().map(|&value| vec![value].into()).collect();
        Self::new(kind, vec![ts_ns].into(), values)
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.ts_ns.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ts_ns.is_empty()
    }

    /// Some of the rows, without a copy.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let (from, len) = (range.start, range.len());
        Self {
            kind: self.kind,
            ts_ns: self.ts_ns.slice(from, len),
            values: self.values.slice(range),
            filled: self.filled.as_ref().map(|filled| filled.slice(from, len)),
            signed: self.signed,
        }
    }

    /// The rows of several ranges, one after the other; a copy only where there is more than one range.
    #[must_use]
    pub fn select(&self, ranges: &[Range<usize>]) -> Self {
        match ranges {
            [] => self.slice(0..0),
            [one] => self.slice(one.clone()),
            many => Self {
                kind: self.kind,
                ts_ns: gather_ranges(&self.ts_ns, many),
                values: self.values.iter().map(|column| gather_ranges(column, many)).collect(),
                filled: self.filled.as_ref().map(|filled| gather_ranges(filled, many)),
                signed: self.signed,
            },
        }
    }

    /// Rows of one kind behind each other; the caller has ordered the parts.
    #[must_use]
    pub fn concat(kind: Kind, parts: &[Self]) -> Self {
        match parts {
            [] => Self::empty(kind),
            [one] => one.clone(),
            many => Self {
                kind,
                ts_ns: many.iter().flat_map(|rows| rows.ts_ns.iter().copied()).collect(),
                values: (0..kind.columns().len())
                    .map(|c| many.iter().flat_map(|rows| rows.values[c].iter().copied()).collect())
                    .collect(),
                filled: many.iter().any(|rows| rows.filled.is_some()).then(|| {
                    many.iter().flat_map(|rows| (0..rows.len()).map(|row| u8::from(rows.is_filled(row)))).collect()
                }),
                signed: many.iter().any(|rows| rows.signed),
            },
        }
    }

    /// The rows in another order, or some of them.
    #[must_use]
    pub fn take(&self, order: &[usize]) -> Self {
        Self {
            kind: self.kind,
            ts_ns: order.iter().map(|&row| self.ts_ns[row]).collect(),
            values: self.values.iter().map(|column| order.iter().map(|&row| column[row]).collect()).collect(),
            filled: self.filled.as_ref().map(|filled| order.iter().map(|&row| filled[row]).collect()),
            signed: self.signed,
        }
    }

    /// Whether a row was filled in from another source.
    pub fn is_filled(&self, row: usize) -> bool {
        self.filled.as_ref().is_some_and(|filled| filled[row] != 0)
    }

    /// How many of the first rows were filled in.
    pub fn filled_before(&self, rows: usize) -> u64 {
        self.filled.as_ref().map_or(0, |filled| filled[..rows].iter().map(|&one| u64::from(one != 0)).sum())
    }

    /// The same rows, marked as filled in.
    #[must_use]
    pub fn marked_filled(mut self) -> Self {
        self.filled = Some(vec![1_u8; self.len()].into());
        self
    }

    /// The memory of the rows' columns.
    pub fn bytes(&self) -> usize {
        self.len() * (8 + 8 * self.values.len()) + self.filled.as_ref().map_or(0, ScalarBuffer::len)
    }
}

fn gather_ranges<T: arrow_buffer::ArrowNativeType>(column: &[T], ranges: &[Range<usize>]) -> ScalarBuffer<T> {
    ranges.iter().flat_map(|range| column[range.clone()].iter().copied()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bars whose prices all equal their row number.
    pub(crate) fn bars(ts_ns: &[i64]) -> Rows {
        let column: Vec<f64> = (0..ts_ns.len()).map(|row| row as f64).collect();
        Rows::new(Kind::Bar, ts_ns.to_vec().into(), (0..5).map(|_| column.clone().into()).collect())
    }

    #[test]
    fn one_range_is_a_view_and_many_are_a_copy_of_the_same_rows() {
        let rows = bars(&[1, 2, 3, 4, 5]);
        let view = rows.select(std::slice::from_ref(&(1..4)));
        assert_eq!(view.ts_ns.inner().as_ptr(), rows.ts_ns.inner().as_ptr().wrapping_add(8));
        assert_eq!(rows.select(&[0..1, 3..5]).ts_ns.to_vec(), [1, 4, 5]);
        assert_eq!(rows.select(&[0..1, 3..5]).values[3].to_vec(), [0.0, 3.0, 4.0]);
        assert!(rows.select(&[]).is_empty());
    }

    #[test]
    fn a_mark_survives_joining_with_unmarked_rows() {
        let joined = Rows::concat(Kind::Bar, &[bars(&[1]), bars(&[2]).marked_filled()]);
        assert_eq!([joined.is_filled(0), joined.is_filled(1)], [false, true]);
    }
}
