//! Half-open spans of time, and the rows of a sorted column that lie within them.

use std::ops::Range;

use crate::error::{Error, Result};

/// A half-open span of time `[start_ns, end_ns)` in nanoseconds UTC, never empty.
///
/// Spans order by start, then by end.
///
/// ```
/// use backtape_core::span::Span;
///
/// let morning = Span::new(0, 60)?;
/// assert!(morning.contains(0) && !morning.contains(60));
/// # Ok::<(), backtape_core::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    start_ns: i64,
    end_ns: i64,
}

impl Span {
    /// A span from `start_ns`, which is in it, to `end_ns`, which is not.
    ///
    /// # Errors
    /// [`Error::SpanInverted`] when `end_ns` is not after `start_ns`.
    pub fn new(start_ns: i64, end_ns: i64) -> Result<Self> {
        if start_ns < end_ns { Ok(Self { start_ns, end_ns }) } else { Err(Error::SpanInverted { start_ns, end_ns }) }
    }

    /// First nanosecond of the span.
    pub const fn start_ns(self) -> i64 {
        self.start_ns
    }

    /// First nanosecond after the span.
    pub const fn end_ns(self) -> i64 {
        self.end_ns
    }

    /// Length in nanoseconds: unsigned, because the whole of `i64` does not fit into `i64`.
    pub const fn len_ns(self) -> u64 {
        self.end_ns.abs_diff(self.start_ns)
    }

    /// Whether `ts_ns` lies in the span: the start does, the end does not.
    pub const fn contains(self, ts_ns: i64) -> bool {
        self.start_ns <= ts_ns && ts_ns < self.end_ns
    }
}

/// The rows of `ts_ns` that lie in `span`; `ts_ns` never falls.
///
/// The range is empty, at the place where such rows would stand, when there is none.
pub fn rows_within(ts_ns: &[i64], span: Span) -> Range<usize> {
    let start = rows_until(ts_ns, span.start_ns);
    let end = start + rows_until(&ts_ns[start..], span.end_ns);
    start..end
}

/// How many rows of `ts_ns` are before `until_ns`; `ts_ns` never falls.
///
/// Most often that is all of them or none: the two ends are looked at first.
pub fn rows_until(ts_ns: &[i64], until_ns: i64) -> usize {
    match ts_ns {
        [] => 0,
        [.., last] if *last < until_ns => ts_ns.len(),
        [first, ..] if *first >= until_ns => 0,
        _ => ts_ns.partition_point(|&ts| ts < until_ns),
    }
}

/// The same, where about `near` rows are expected: the search begins there.
pub(crate) fn rows_until_near(ts_ns: &[i64], near: usize, until_ns: i64) -> usize {
    let near = near.min(ts_ns.len());
    let is_before = |row: usize| ts_ns[row] < until_ns;
    let mut step = 1;
    if near < ts_ns.len() && is_before(near) {
        return run_end(ts_ns, near + 1, |_, ts| ts < until_ns);
    }
    while step <= near && !is_before(near - step) {
        step *= 2;
    }
    // The row one step back is before `until_ns`, or there is none; the one half a step back is not.
    let (low, high) = (near.saturating_sub(step), near - step / 2);
    low + ts_ns[low..high].partition_point(|&ts| ts < until_ns)
}

/// The rows from `row_from` on that lie in `span`: what [`rows_within`] gives where no row before `row_from` does.
///
/// It looks at `row_from` first and then ever further ahead, so that a walk over many spans costs the logarithm of
/// each span's rows, not of all rows; the last row tells whether it is the last span with rows.
pub(crate) fn rows_within_from(ts_ns: &[i64], row_from: usize, span: Span) -> Range<usize> {
    let start = run_end(ts_ns, row_from, |_, ts| ts < span.start_ns);
    match ts_ns.last() {
        Some(&last) if last < span.end_ns => start..ts_ns.len(),
        _ => start..run_end(ts_ns, start, |_, ts| ts < span.end_ns),
    }
}

/// The first row from `row_from` on for which `holds(row, ts)` is false, or the number of rows. Once false, it stays
/// false for all later rows.
pub(crate) fn run_end(ts_ns: &[i64], row_from: usize, holds: impl Fn(usize, i64) -> bool) -> usize {
    let mut known = row_from;
    let mut ahead = 1;
    while known + ahead <= ts_ns.len() && holds(known + ahead - 1, ts_ns[known + ahead - 1]) {
        known += ahead;
        ahead *= 2;
    }
    let mut beyond = ts_ns.len().min(known + ahead - 1);
    while known < beyond {
        let middle = known.midpoint(beyond);
        if holds(middle, ts_ns[middle]) {
            known = middle + 1;
        } else {
            beyond = middle;
        }
    }
    known
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Spans one after the other: how far each is from the one before, and how long it is.
    pub(crate) fn spans(parts: Vec<(i64, i64)>) -> Vec<Span> {
        let mut end = 0;
        let next = |(apart, len)| {
            let start = end + apart;
            end = start + len;
            span(start, end)
        };
        parts.into_iter().map(next).collect()
    }

    fn span(start_ns: i64, end_ns: i64) -> Span {
        Span::new(start_ns, end_ns).expect("the test draws a valid span")
    }

    #[test]
    fn an_inverted_or_empty_span_is_refused_with_both_ends() {
        for (start, end) in [(5, 5), (6, 5), (i64::MAX, i64::MIN)] {
            match Span::new(start, end) {
                Err(Error::SpanInverted { start_ns, end_ns }) => {
                    assert_eq!((start_ns, end_ns), (start, end));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_span_holds_its_start_and_not_its_end() {
        let span = span(10, 20);
        let held: Vec<i64> = [9, 10, 19, 20].into_iter().filter(|&ts| span.contains(ts)).collect();
        assert_eq!(held, [10, 19]);
    }

    proptest! {
        #[test]
        fn a_search_finds_the_same_from_wherever_it_begins(
            stamps in prop::collection::vec(0..40_i64, 0..60), near in 0..70_usize, until_ns in -1..42_i64
        ) {
            let mut stamps = stamps;
            stamps.sort_unstable();
            let slow = stamps.iter().filter(|&&ts| ts < until_ns).count();
            prop_assert_eq!(rows_until(&stamps, until_ns), slow);
            prop_assert_eq!(rows_until_near(&stamps, near, until_ns), slow);
        }
    }

    #[test]
    fn the_longest_span_has_a_length() {
        assert_eq!(span(i64::MIN, i64::MAX).len_ns(), u64::MAX);
        assert_eq!(span(-5, -4).len_ns(), 1);
    }

    #[test]
    fn spans_order_by_start_then_by_end() {
        let mut spans = [span(1, 3), span(0, 9), span(1, 2)];
        spans.sort();
        assert_eq!(spans, [span(0, 9), span(1, 2), span(1, 3)]);
    }

    #[test]
    fn no_rows_give_an_empty_range_where_they_would_stand() {
        assert_eq!(rows_within(&[], span(0, 1)), 0..0);
        assert_eq!(rows_within(&[1, 2, 8, 9], span(3, 8)), 2..2);
        assert_eq!(rows_within(&[1, 2], span(3, 8)), 2..2);
    }

    #[test]
    fn equal_stamps_stay_together() {
        assert_eq!(rows_within(&[1, 5, 5, 5, 6], span(5, 6)), 1..4);
        assert_eq!(rows_until(&[1, 5, 5, 5, 6], 5), 1);
        assert_eq!(rows_until(&[1, 5, 5, 5, 6], 6), 4);
    }

    proptest! {
        #[test]
        fn a_search_from_a_row_finds_what_a_search_over_all_rows_finds(
            mut ts_ns in prop::collection::vec(-60_i64..60, 0..80),
            start in -62_i64..62,
            len in 1_i64..90,
            share in 0.0..=1.0,
        ) {
            ts_ns.sort_unstable();
            let span = span(start, start + len);
            let rows = rows_within(&ts_ns, span);
            let row_from = (rows.start as f64 * share) as usize;
            prop_assert_eq!(rows_within_from(&ts_ns, row_from, span), rows);
        }

        #[test]
        fn rows_within_agree_with_a_look_at_every_row(
            mut ts_ns in prop::collection::vec(-20_i64..20, 0..40),
            start in -22_i64..22,
            len in 1_i64..30,
        ) {
            ts_ns.sort_unstable();
            let span = span(start, start + len);
            let rows = rows_within(&ts_ns, span);
            for (row, &ts) in ts_ns.iter().enumerate() {
                prop_assert_eq!(rows.contains(&row), span.contains(ts), "row {} at {}", row, ts);
            }
            prop_assert_eq!(rows_until(&ts_ns, start), ts_ns.iter().filter(|&&ts| ts < start).count());
        }
    }
}
