//! Gaps and quality: which slots of the trading hours should hold a bar, and which of them do.
//!
//! A slot is one bar interval. Slots are anchored at the open of each span; where a span is no multiple of the interval
//! its last slot is cut at the close, and counts. A slot is due once the bar that belongs into it can be known, one whole
//! interval after the slot's start: also a cut one, since its bar comes no earlier.
//!
//! All functions here expect `ts_ns` strictly ascending with stamps on one grid of `interval_ns` (so a slot holds one bar
//! at most), and spans ascending and apart. Rows outside the spans count for nothing.

use crate::runs::Runs;
use crate::span::{Span, rows_until};

/// A maximal run of slots without a bar, inside one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// From the start of the first missing slot to the end of the last one.
    pub span: Span,
    /// How many slots are missing, at least one.
    pub slots: u64,
}

/// The gaps of bars stamped `ts_ns` in `spans`, in time order. A gap never reaches from one span into the next.
///
/// ```
/// use backtape_core::{gaps::gaps, span::Span};
///
/// let hours = [Span::new(0, 60)?];
/// let found = gaps(&[0, 10, 40, 50], &hours, 10);
/// assert_eq!((found[0].span, found[0].slots), (Span::new(20, 40)?, 2));
/// # Ok::<(), backtape_core::error::Error>(())
/// ```
pub fn gaps(ts_ns: &[i64], spans: &[Span], interval_ns: i64) -> Vec<Gap> {
    gaps_between(&Runs::of(ts_ns, spans, interval_ns), spans, interval_ns)
}

/// The same of bars whose runs are known.
pub(crate) fn gaps_between(runs: &Runs, spans: &[Span], interval_ns: i64) -> Vec<Gap> {
    let mut found = Vec::with_capacity(runs.len() + spans.len());
    for (span, own) in runs.by_span(spans) {
        let mut slot_next = 0;
        for run in own {
            found.extend(gap(span, slot_next, run.slot, interval_ns));
            slot_next = run.slot + run.rows as u64;
        }
        found.extend(gap(span, slot_next, slots_in(span, interval_ns), interval_ns));
    }
    found
}

/// The gap from one slot of a span up to another; `None` when there is nothing between them.
fn gap(span: Span, slot_start: u64, slot_end: u64, interval_ns: i64) -> Option<Gap> {
    if slot_start >= slot_end {
        return None;
    }
    let start_ns = span.start_ns().saturating_add_unsigned(slot_start * interval_ns.unsigned_abs());
    let end_ns = span.start_ns().saturating_add_unsigned(slot_end.saturating_mul(interval_ns.unsigned_abs()));
    let span = Span::new(start_ns, end_ns.min(span.end_ns())).ok()?;
    Some(Gap { span, slots: slot_end - slot_start })
}

/// How many slots a span has; a last one that is cut at the close counts.
pub(crate) fn slots_in(span: Span, interval_ns: i64) -> u64 {
    span.len_ns().div_ceil(interval_ns.unsigned_abs())
}

/// How many slots that start at `start_ns` and follow each other are due at `until_ns`.
fn slots_due(start_ns: i64, interval_ns: i64, until_ns: i64) -> u64 {
    if until_ns <= start_ns { 0 } else { until_ns.abs_diff(start_ns) / interval_ns.unsigned_abs() }
}

/// How many slots of `spans` are due at `until_ns`: those whose whole interval has passed.
pub fn slots_expected(spans: &[Span], interval_ns: i64, until_ns: i64) -> u64 {
    let due = |&span: &Span| slots_due(span.start_ns(), interval_ns, until_ns).min(slots_in(span, interval_ns));
    spans.iter().map(due).sum()
}

/// How many slots of `spans` hold a bar that can be known at `until_ns`: `ts + interval <= until`. Never more than
/// [`slots_expected`].
pub fn slots_present(ts_ns: &[i64], spans: &[Span], interval_ns: i64, until_ns: i64) -> u64 {
    debug_assert_on_grid(&[], spans, interval_ns);
    let Some(ts_last_ns) = until_ns.checked_sub(interval_ns) else {
        return 0;
    };
    let known = &ts_ns[..rows_until(ts_ns, ts_last_ns.saturating_add(1))];
    let present = |span: &Span| rows_until(known, span.end_ns()) - rows_until(known, span.start_ns());
    spans.iter().map(|span| present(span) as u64).sum()
}

/// The gaps as they are known at `until_ns`: cut after the last slot that is due. `gaps` are of one tape, in time order.
pub fn gaps_until(gaps: &[Gap], interval_ns: i64, until_ns: i64) -> Vec<Gap> {
    let due = |whole: &Gap| {
        // Hardly a gap is cut, and a multiplication tells which ones are not.
        let passed_ns = until_ns.abs_diff(whole.span.start_ns());
        if whole.slots.checked_mul(interval_ns.unsigned_abs()).is_some_and(|length_ns| length_ns <= passed_ns) {
            return Some(*whole);
        }
        let slots = slots_due(whole.span.start_ns(), interval_ns, until_ns).min(whole.slots);
        gap(whole.span, 0, slots, interval_ns)
    };
    let mut known = Vec::with_capacity(gaps.len());
    known.extend(gaps.iter().take_while(|gap| gap.span.start_ns() < until_ns).filter_map(due));
    known
}

/// Slots present of slots expected, in percent; 100.0 before the first is due.
///
/// The product is exact and the quotient rounded once, so that whole percents come out whole.
pub fn quality_percent(present: u64, expected: u64) -> f64 {
    if expected == 0 { 100.0 } else { (present * 100) as f64 / expected as f64 }
}

/// What every kernel over a grid trusts: checked when columns are built and sessions are made.
pub(crate) fn debug_assert_on_grid(ts_ns: &[i64], spans: &[Span], interval_ns: i64) {
    debug_assert!(interval_ns > 0, "an interval is longer than nothing");
    debug_assert!(ts_ns.is_sorted_by(|a, b| a < b), "bars are strictly ascending when built");
    debug_assert!(
        ts_ns.windows(2).all(|pair| pair[1].abs_diff(pair[0]).is_multiple_of(interval_ns.unsigned_abs())),
        "bars are on the grid of their interval when built"
    );
    debug_assert!(
        spans.windows(2).all(|pair| pair[0].end_ns() <= pair[1].start_ns()),
        "spans of a session ascend and do not overlap"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::span::tests::spans;

    const STEP: i64 = 10;

    fn span(start_ns: i64, end_ns: i64) -> Span {
        Span::new(start_ns, end_ns).expect("the test draws a valid span")
    }

    fn found(ts_ns: &[i64], spans: &[Span]) -> Vec<(i64, i64, u64)> {
        gaps(ts_ns, spans, STEP).iter().map(|gap| (gap.span.start_ns(), gap.span.end_ns(), gap.slots)).collect()
    }

    #[test]
    fn a_full_session_has_no_gap() {
        let ts_ns: Vec<i64> = (0..390).map(|slot| slot * STEP).collect();
        assert_eq!(found(&ts_ns, &[span(0, 3900)]), []);
        assert_eq!(found(&ts_ns[1..389], &[span(0, 3900)]), [(0, 10, 1), (3890, 3900, 1)]);
    }

    #[test]
    fn a_session_without_bars_is_one_gap_per_span() {
        assert_eq!(found(&[], &[span(0, 30), span(50, 70)]), [(0, 30, 3), (50, 70, 2)]);
        assert_eq!(found(&[30, 40, 70], &[span(0, 30), span(50, 70)]), [(0, 30, 3), (50, 70, 2)]);
    }

    #[test]
    fn a_gap_does_not_cross_touching_spans() {
        assert_eq!(found(&[0, 50], &[span(0, 30), span(30, 60)]), [(10, 30, 2), (30, 50, 2)]);
    }

    #[test]
    fn bars_before_the_open_and_from_the_close_on_fill_nothing() {
        assert_eq!(found(&[-10, 10, 30], &[span(0, 30)]), [(0, 10, 1), (20, 30, 1)]);
    }

    #[test]
    fn a_cut_last_slot_is_expected_and_due_one_whole_interval_after_its_start() {
        let hours = [span(0, 25)];
        assert_eq!(found(&[0, 10], &hours), [(20, 25, 1)]);
        assert_eq!([24, 25, 29, 30].map(|until| slots_expected(&hours, STEP, until)), [2, 2, 2, 3]);
        assert_eq!([29, 30].map(|until| gaps_until(&gaps(&[0, 10], &hours, STEP), STEP, until).len()), [0, 1]);
    }

    #[test]
    fn a_minute_is_due_at_its_end_and_not_a_nanosecond_earlier() {
        let hours = [span(0, 30)];
        assert_eq!([-1, 0, 9, 10, 30, 99].map(|until| slots_expected(&hours, STEP, until)), [0, 0, 0, 1, 3, 3]);
        let present = |until| slots_present(&[0, 20, 30], &hours, STEP, until);
        assert_eq!([i64::MIN, 9, 10, 20, 29, 30, i64::MAX].map(present), [0, 0, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn a_running_gap_is_cut_at_the_last_due_slot() {
        let whole = gaps(&[0, 50], &[span(0, 60)], STEP);
        let seen = |until| gaps_until(&whole, STEP, until).first().map(|gap| (gap.span.end_ns(), gap.slots));
        assert_eq!([19, 20, 39, 999].map(seen), [None, Some((20, 1)), Some((30, 2)), Some((50, 4))]);
    }

    #[test]
    fn quality_is_whole_before_the_first_minute_and_exact_after() {
        assert_eq!(
            format!("{} {} {}", quality_percent(0, 0), quality_percent(7, 100), quality_percent(0, 9)),
            "100 7 0"
        );
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let hours = [span(i64::MIN, i64::MAX)];
        let interval_ns = i64::MAX;
        assert_eq!(slots_expected(&hours, interval_ns, i64::MAX), 2);
        let whole = gaps(&[], &hours, interval_ns);
        assert_eq!((whole.len(), whole[0].slots, whole[0].span), (1, 3, hours[0]));
        assert_eq!(gaps_until(&whole, interval_ns, i64::MAX)[0].slots, 2);
    }

    /// Spans a few slots long, touching or apart, some cut; bars on the grid of the first open or beside it.
    fn sessions() -> impl Strategy<Value = (Vec<i64>, Vec<Span>)> {
        let spans = prop::collection::vec((0_i64..30, 1_i64..160), 0..4).prop_map(spans);
        let bars = (prop::collection::vec(prop::bool::weighted(0.8), 0..60), 0..STEP).prop_map(|(kept, offset)| {
            (-3..).zip(kept).filter(|(_, kept)| *kept).map(|(slot, _)| slot * STEP + offset).collect()
        });
        (bars, spans)
    }

    /// Every slot of every span: its span, its start, and whether some bar lies in it.
    fn slots(ts_ns: &[i64], spans: &[Span]) -> Vec<(usize, i64, Option<i64>)> {
        let mut slots = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            let mut start = span.start_ns();
            while start < span.end_ns() {
                let end = (start + STEP).min(span.end_ns());
                slots.push((index, start, ts_ns.iter().copied().find(|&ts| start <= ts && ts < end)));
                start += STEP;
            }
        }
        slots
    }

    proptest! {
        #[test]
        fn gaps_agree_with_a_look_at_every_slot((ts_ns, spans) in sessions(), until in -10_i64..700) {
            let mut slow: Vec<(usize, i64, i64, u64)> = Vec::new();
            let mut due: Vec<(usize, i64, i64, u64)> = Vec::new();
            for (index, start, bar) in slots(&ts_ns, &spans) {
                let end = (start + STEP).min(spans[index].end_ns());
                for gaps in [Some(&mut slow), (start + STEP <= until).then_some(&mut due)].into_iter().flatten() {
                    match gaps.last_mut() {
                        _ if bar.is_some() => {}
                        Some(last) if last.0 == index && last.2 == start => (last.2, last.3) = (end, last.3 + 1),
                        _ => gaps.push((index, start, end, 1)),
                    }
                }
            }
            let plain = |slow: &[(usize, i64, i64, u64)]| -> Vec<Gap> {
                slow.iter().map(|&(_, start, end, slots)| Gap { span: span(start, end), slots }).collect()
            };
            let fast = gaps(&ts_ns, &spans, STEP);
            prop_assert_eq!(&fast, &plain(&slow));
            prop_assert_eq!(gaps_until(&fast, STEP, until), plain(&due));
        }

        #[test]
        fn counts_agree_with_a_look_at_every_slot((ts_ns, spans) in sessions(), until in -10_i64..700) {
            let slots = slots(&ts_ns, &spans);
            let due = slots.iter().filter(|(_, start, _)| start + STEP <= until).count() as u64;
            let known = slots.iter().filter(|(_, _, bar)| bar.is_some_and(|ts| ts + STEP <= until)).count() as u64;
            prop_assert_eq!(slots_expected(&spans, STEP, until), due);
            prop_assert_eq!(slots_present(&ts_ns, &spans, STEP, until), known);
            prop_assert!(known <= due);
        }

        #[test]
        fn present_and_missing_make_up_what_is_expected((ts_ns, spans) in sessions()) {
            let missing: u64 = gaps(&ts_ns, &spans, STEP).iter().map(|gap| gap.slots).sum();
            let present = slots_present(&ts_ns, &spans, STEP, i64::MAX);
            prop_assert_eq!(present + missing, slots_expected(&spans, STEP, i64::MAX));
        }
    }
}
