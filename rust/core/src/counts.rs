//! How many base bars stand behind each bar.

use crate::loaded_tape::LoadedTape;
use arrow_buffer::ScalarBuffer;
use std::ops::Range;

/// How many base bars a bar was made from, one entry a bar.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Base bars that were there.
    pub present: ScalarBuffer<u32>,
    /// Base bars that there should be.
    pub expected: ScalarBuffer<u32>,
    /// Base bars that were filled in.
    pub filled: ScalarBuffer<u32>,
}

impl Counts {
    /// Those of some bars, without a copy.
    #[must_use]
    pub fn slice(&self, from: usize, len: usize) -> Self {
        let [present, expected, filled] = self.columns().map(|column| column.slice(from, len));
        Self { present, expected, filled }
    }

    /// Present, expected and filled.
    pub const fn columns(&self) -> [&ScalarBuffer<u32>; 3] {
        [&self.present, &self.expected, &self.filled]
    }
}

/// Present, expected and filled of a bar that came in as it is.
pub const FED: [u32; 3] = [1, 1, 0];

/// The same of a base bar, which may have been filled in.
pub const fn of_base_bar(is_filled: bool) -> [u32; 3] {
    if is_filled { [0, 1, 1] } else { FED }
}

impl LoadedTape {
    /// Whether any of its rows may have other counts than a bar that came in as it is.
    pub(crate) const fn is_counted(&self) -> bool {
        self.counts.is_some() || self.rows.filled.is_some()
    }

    /// Present, expected and filled of a row.
    pub(crate) fn counts_of(&self, row: usize) -> [u32; 3] {
        let fed = || of_base_bar(self.rows.is_filled(row));
        self.counts.as_ref().map_or_else(fed, |counts| counts.columns().map(|column| column[row]))
    }

    /// Writes the counts of some rows: present, expected or filled, by its place among these.
    pub(crate) fn write_counts(&self, place: usize, rows: Range<usize>, out: &mut [u32]) {
        match (&self.counts, &self.rows.filled) {
            (Some(counts), _) => out.copy_from_slice(&counts.columns()[place][rows]),
            (None, Some(filled)) => {
                out.iter_mut().zip(&filled[rows]).for_each(|(own, &mark)| *own = of_base_bar(mark != 0)[place]);
            }
            (None, None) => out.fill(FED[place]),
        }
    }
}
