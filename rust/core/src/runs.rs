//! Runs: bars that follow each other without a hole inside one span. What is missing (gaps) and which bars belong together
//! (derived bars) both follow from them, so stamps are looked at once.

use crate::divisor::Divisor;
use crate::gaps::debug_assert_on_grid;
use crate::span::{Span, rows_within_from};

/// Bars that follow each other by one interval, inside one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Which span.
    span: usize,
    /// The slot of the first bar, counted from the span's open.
    pub(crate) slot: u64,
    /// The first bar's row.
    pub(crate) row: usize,
    /// How many bars.
    pub(crate) rows: usize,
}

/// The runs of a tape within the spans of a session, in time order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs(Vec<Run>);

impl Runs {
    /// Runs of bars stamped `ts_ns`, on one grid of `interval_ns`.
    pub(crate) fn of(ts_ns: &[i64], spans: &[Span], interval_ns: i64) -> Self {
        let mut found = Self::default();
        found.find(ts_ns, spans, interval_ns);
        found
    }

    /// The same in memory that was used before.
    pub(crate) fn find(&mut self, ts_ns: &[i64], spans: &[Span], interval_ns: i64) {
        debug_assert_on_grid(ts_ns, spans, interval_ns);
        self.0.clear();
        let mut row_next = 0;
        for (number, &span) in spans.iter().enumerate() {
            let rows = rows_within_from(ts_ns, row_next, span);
            row_next = rows.end;
            let own = &ts_ns[..rows.end];
            if has_many_holes(&own[rows.start..], interval_ns.unsigned_abs()) {
                self.find_scattered(own, rows.start, (number, span), interval_ns);
                continue;
            }
            let mut row = rows.start;
            while let Some(&first_ns) = own.get(row) {
                let slot = slot_of(first_ns, span, interval_ns);
                let end = end_of_run(own, row, interval_ns);
                self.0.push(Run { span: number, slot, row, rows: end - row });
                row = end;
            }
        }
    }

    /// Adds the runs of bars with many holes from a row on: first where they begin, then what they are. So nothing
    /// branches where no processor can foresee it.
    fn find_scattered(&mut self, ts_ns: &[i64], first: usize, (number, span): (usize, Span), interval_ns: i64) {
        let own = &ts_ns[first..];
        let (mut starts, mut count) = (vec![first; own.len() + 1], 1);
        for (row, pair) in (first + 1..).zip(own.windows(2)) {
            starts[count] = row;
            count += usize::from(pair[1].wrapping_sub(pair[0]) != interval_ns);
        }
        starts[count] = ts_ns.len();
        let (slot, divisor) = (slot_of(ts_ns[first], span, interval_ns), Divisor::new(interval_ns.unsigned_abs()));
        self.0.extend(starts[..=count].windows(2).map(|pair| {
            let slot = slot + divisor.quotient(ts_ns[pair[0]].abs_diff(ts_ns[first]));
            Run { span: number, slot, row: pair[0], rows: pair[1] - pair[0] }
        }));
    }

    /// How many runs.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bars they have together.
    pub(crate) fn rows(&self) -> usize {
        self.0.iter().map(|run| run.rows).sum()
    }

    /// Each span with its runs.
    pub(crate) fn by_span<'a>(&'a self, spans: &'a [Span]) -> impl Iterator<Item = (Span, &'a [Run])> {
        let mut left = self.0.as_slice();
        spans.iter().enumerate().map(move |(number, &span)| {
            let own = left.iter().take_while(|run| run.span == number).count();
            let (own, after) = left.split_at(own);
            left = after;
            (span, own)
        })
    }
}

/// The slot of a span that a bar begins in.
const fn slot_of(ts_ns: i64, span: Span, interval_ns: i64) -> u64 {
    ts_ns.abs_diff(span.start_ns()) / interval_ns.unsigned_abs()
}

/// Bars have many holes where one in so many is missing, or more.
const ROWS_OF_HOLE: u64 = 8;

/// Whether so many bars are missing that a walk from hole to hole would take longer than one from bar to bar.
pub(crate) fn has_many_holes(ts_ns: &[i64], interval_ns: u64) -> bool {
    let [first, .., last] = ts_ns else {
        return false;
    };
    let (steps, rows) = (last.abs_diff(*first) / interval_ns, ts_ns.len() as u64);
    steps >= rows + rows / ROWS_OF_HOLE
}

/// Holes are looked for in so many bars at a time.
const BLOCK: usize = 16;

/// The end of the run that begins at a row. A session without holes is told by its two ends. Stamps ascend by the interval or
/// more, so none of these differences wraps, and once a row is late all later ones are.
pub(crate) fn end_of_run(ts_ns: &[i64], row: usize, interval_ns: i64) -> usize {
    let first_ns = ts_ns[row];
    let in_run = |at: usize| ts_ns[at].wrapping_sub(first_ns) == ((at - row) as i64).wrapping_mul(interval_ns);
    if in_run(ts_ns.len() - 1) {
        return ts_ns.len();
    }
    let mut end = row + 1;
    while end + BLOCK <= ts_ns.len() && in_run(end + BLOCK - 1) {
        end += BLOCK;
    }
    end + (end..ts_ns.len()).take_while(|&at| in_run(at)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::tests::spans;
    use proptest::prelude::*;

    const STEP: i64 = 10;

    fn span(start_ns: i64, end_ns: i64) -> Span {
        Span::new(start_ns, end_ns).expect("the test draws a valid span")
    }

    #[test]
    fn a_run_ends_at_a_hole_and_at_the_close() {
        let hours = [span(0, 50), span(50, 80), span(90, 95)];
        let runs = Runs::of(&[-10, 0, 10, 30, 40, 50, 60], &hours, STEP);
        let by_span =
            runs.by_span(&hours).map(|(_, own)| own.iter().map(|run| (run.slot, run.row, run.rows)).collect());
        assert_eq!(by_span.collect::<Vec<Vec<_>>>(), [vec![(0, 1, 2), (3, 3, 2)], vec![(0, 5, 2)], vec![]]);
    }

    proptest! {
        #[test]
        fn a_run_ends_where_a_step_is_longer(
            steps in prop::collection::vec(prop_oneof![9 => Just(STEP), 1 => STEP..3 * STEP], 0..100), from in 0..101_usize
        ) {
            let follow = steps.iter().scan(7, |ts: &mut i64, step| { *ts += step; Some(*ts) });
            let ts_ns: Vec<i64> = std::iter::once(7).chain(follow).collect();
            let row = from.min(steps.len());
            let slow = row + 1 + steps[row..].iter().take_while(|&&step| step == STEP).count();
            prop_assert_eq!(end_of_run(&ts_ns, row, STEP), slow);
        }

        #[test]
        fn runs_agree_with_a_look_at_every_bar(
            kept in prop::sample::select(vec![0.95, 0.4])
                .prop_flat_map(|share| prop::collection::vec(prop::bool::weighted(share), 0..120)),
            parts in prop::collection::vec((0_i64..30, 1_i64..700), 0..4),
            offset in 0..STEP,
        ) {
            let ts_ns: Vec<i64> =
                (-3..).zip(kept).filter(|(_, kept)| *kept).map(|(slot, _)| slot * STEP + offset).collect();
            let spans = spans(parts);
            let mut slow: Vec<Run> = Vec::new();
            for (number, span) in spans.iter().enumerate() {
                for (row, &ts) in ts_ns.iter().enumerate().filter(|(_, ts)| span.contains(**ts)) {
                    let slot = (ts - span.start_ns()) as u64 / STEP as u64;
                    match slow.last_mut() {
                        Some(last) if last.span == number && last.slot + last.rows as u64 == slot => last.rows += 1,
                        _ => slow.push(Run { span: number, slot, row, rows: 1 }),
                    }
                }
            }
            prop_assert_eq!(Runs::of(&ts_ns, &spans, STEP), Runs(slow));
        }
    }
}
