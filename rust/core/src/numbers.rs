//! The number columns of rows: as cheap to slice as one column, however many there are.

use arrow_buffer::ScalarBuffer;
use std::ops::{Index, Range};
use std::sync::Arc;

/// Number columns of one length, or the same part of each. There may be thousands of tapes and sessions, and each part that
/// counted its columns by itself would cost more than its rows.
#[derive(Debug, Clone)]
pub struct Numbers {
    columns: Arc<[ScalarBuffer<f64>]>,
    rows: Range<usize>,
}

impl Numbers {
    /// How many columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// A column, if there is one of this number.
    pub fn get(&self, number: usize) -> Option<&[f64]> {
        self.columns.get(number).map(|column| &column[self.rows.clone()])
    }

    /// Column after column.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.columns.iter().map(|column| &column[self.rows.clone()])
    }

    /// Some rows of each column, without a copy.
    ///
    /// # Panics
    /// Where there are no such rows.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let are_there = range.start <= range.end && range.end <= self.rows.len();
        assert!(are_there || self.columns.is_empty(), "there are no such rows");
        let rows = self.rows.start + range.start..self.rows.start + range.end;
        Self { columns: Arc::clone(&self.columns), rows }
    }

    /// A column as a buffer, without a copy.
    pub fn buffer(&self, number: usize) -> ScalarBuffer<f64> {
        self.columns[number].slice(self.rows.start, self.rows.len())
    }

    /// The columns as buffers.
    pub fn into_buffers(self) -> Vec<ScalarBuffer<f64>> {
        let Self { mut columns, rows } = self;
        let part = |column: &ScalarBuffer<f64>| column.slice(rows.start, rows.len());
        match Arc::get_mut(&mut columns) {
            Some(own) if own.iter().all(|column| column.len() == rows.len()) => {
                own.iter_mut().map(std::mem::take).collect()
            }
            _ => columns.iter().map(part).collect(),
        }
    }
}

impl FromIterator<ScalarBuffer<f64>> for Numbers {
    fn from_iter<Columns: IntoIterator<Item = ScalarBuffer<f64>>>(columns: Columns) -> Self {
        let columns: Arc<[ScalarBuffer<f64>]> = columns.into_iter().collect();
        let rows = 0..columns.first().map_or(0, ScalarBuffer::len);
        assert!(columns.iter().all(|column| column.len() == rows.end), "columns are of one length");
        Self { columns, rows }
    }
}

impl From<Vec<ScalarBuffer<f64>>> for Numbers {
    fn from(columns: Vec<ScalarBuffer<f64>>) -> Self {
        columns.into_iter().collect()
    }
}

impl Index<usize> for Numbers {
    type Output = [f64];

    fn index(&self, number: usize) -> &[f64] {
        &self.columns[number][self.rows.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]].into_iter().map(Into::into).collect()
    }

    #[test]
    fn a_part_of_a_part_is_a_view_of_the_same_rows() {
        let all = numbers();
        let part = all.slice(1..4).slice(1..3);
        assert_eq!(part.iter().collect::<Vec<_>>(), [[3.0, 4.0], [7.0, 8.0]]);
        assert_eq!((part.len(), &part[1], part.get(0), part.get(2)), (2, &[7.0, 8.0][..], Some(&[3.0, 4.0][..]), None));
        assert_eq!(part.buffer(1).inner().as_ptr(), all[1][2..].as_ptr().cast());
        assert_eq!(part.into_buffers(), [vec![3.0, 4.0], vec![7.0, 8.0]].map(ScalarBuffer::from));
        let none: Numbers = Vec::new().into();
        assert!(none.is_empty() && none.slice(1..2).into_buffers().is_empty(), "rows may have no number");
    }

    #[test]
    #[should_panic(expected = "there are no such rows")]
    fn a_part_does_not_reach_beyond_its_own_rows() {
        let _ = numbers().slice(0..2).slice(1..3);
    }

    #[test]
    fn columns_that_are_looked_at_by_nobody_else_are_given_away() {
        let all = numbers();
        let place = all[0].as_ptr();
        let own =
            |buffers: Vec<ScalarBuffer<f64>>| buffers.into_iter().next().map(|first| first.into_inner().into_mutable());
        let kept = all.clone();
        assert!(matches!(own(all.into_buffers()), Some(Err(_))), "somebody still looks at them");
        let given = own(kept.into_buffers()).and_then(Result::ok).expect("the only one");
        assert_eq!(given.as_ptr(), place.cast());
    }
}
