//! Which rows of a source are asked for. The others are as those of a file that is not read: nobody looks at them.

use backtape_core::check::RawRows;
use backtape_core::steps::ascend;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Some symbols, and a time.
pub(crate) struct Asked {
    symbols: Option<BTreeSet<String>>,
    within_ns: Option<(i64, i64)>,
}

impl Asked {
    /// `symbols`: `None` for all. `within_ns`: rows with start <= ts < end, ns UTC; `None` for all.
    pub(crate) fn new(symbols: Option<Vec<String>>, within_ns: Option<(i64, i64)>) -> Self {
        Self { symbols: symbols.map(|symbols| symbols.into_iter().collect()), within_ns }
    }

    /// Which of some symbols are asked for.
    pub(crate) fn which(&self, names: &[Arc<str>]) -> Vec<bool> {
        let wanted = |name: &Arc<str>| self.symbols.as_ref().is_none_or(|symbols| symbols.contains(&**name));
        names.iter().map(wanted).collect()
    }

    /// Where the rows of its time are, if stamps never fall; else all rows, and their check says what is wrong with them.
    pub(crate) fn range(&self, rows: &RawRows) -> Range<usize> {
        let (ts_ns, nulls) = &rows.ts_ns;
        let has_nulls = nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0);
        match self.within_ns {
            Some((start_ns, end_ns)) if rows.ordered_ns.is_some() || (!has_nulls && ascend(ts_ns)) => {
                let start = ts_ns.partition_point(|&ts| ts < start_ns);
                start..start + ts_ns[start..].partition_point(|&ts| ts < end_ns)
            }
            _ => 0..ts_ns.len(),
        }
    }

    /// The rows of its time, as `range` tells them; without a copy.
    pub(crate) fn part(&self, rows: RawRows) -> RawRows {
        let range = self.range(&rows);
        if range.len() == rows.ts_ns.0.len() { rows } else { rows.part(range.start, range.len()) }
    }
}
