//! Where the windows of longer bars begin among base bars. They are anchored at the open of a span, and follow from its runs.

use crate::runs::Run;
use crate::span::Span;
use std::ops::Range;

/// Where a window that holds base bars begins. Those of one span follow each other, and after the last one comes a cut where
/// it ends.
pub(crate) struct Cut {
    pub(crate) start_ns: i64,
    /// Its first base bar.
    pub(crate) row: usize,
}

/// Cuts the runs of one span into windows.
pub(crate) fn cut(runs: &[Run], span: Span, (base_ns, interval_ns): (i64, i64), cuts: &mut Vec<Cut>) {
    cuts.clear();
    let slots = interval_ns.unsigned_abs() / base_ns.unsigned_abs();
    let rows: usize = runs.iter().map(|run| run.rows).sum();
    cuts.reserve(rows / slots as usize + 2 * runs.len() + 1);
    let mut window_next = 0;
    for run in runs {
        let (mut window, end) = (run.slot / slots, run.row + run.rows);
        let mut row = run.row;
        let mut row_next = run.row + ((window + 1) * slots - run.slot) as usize;
        if window < window_next {
            // The run before has begun it.
            (window, row, row_next) = (window + 1, row_next, row_next + slots as usize);
        }
        let mut start_ns = span.start_ns().wrapping_add_unsigned(window.wrapping_mul(interval_ns.unsigned_abs()));
        while row < end {
            cuts.push(Cut { start_ns, row });
            start_ns = start_ns.wrapping_add(interval_ns);
            (window, row, row_next) = (window + 1, row_next, row_next + slots as usize);
        }
        window_next = window;
    }
    if let Some(last) = runs.last() {
        cuts.push(Cut { start_ns: span.end_ns(), row: last.row + last.rows });
    }
}

/// The rows of each window's base bars.
pub(crate) fn windows(cuts: &[Cut]) -> impl ExactSizeIterator<Item = Range<usize>> {
    cuts.windows(2).map(|pair| pair[0].row..pair[1].row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::Runs;

    #[test]
    fn a_window_that_spans_a_hole_is_cut_once_and_one_without_bars_not_at_all() {
        let hours = [Span::new(0, 70).expect("ascending")];
        let runs = Runs::of(&[-10, 0, 20, 50, 60], &hours, 10);
        let mut cuts = Vec::new();
        for (span, own) in runs.by_span(&hours) {
            cut(own, span, (10, 30), &mut cuts);
        }
        let found: Vec<_> = cuts.iter().zip(windows(&cuts)).map(|(cut, rows)| (cut.start_ns, rows)).collect();
        assert_eq!(found, [(0, 1..3), (30, 3..4), (60, 4..5)]);
        cut(&[], hours[0], (10, 30), &mut cuts);
        assert_eq!(windows(&cuts).len(), 0);
    }
}
