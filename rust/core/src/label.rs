//! What the stamps of a session's bars say about their label: is `ts` the start of each bar, as it must be by now?
//!
//! Bars stamped at their end and read as if at their start come one interval late; bars stamped at their start, declared
//! as stamped at their end and shifted for it, come one interval early. Inside the hours that is invisible; the edges
//! show it.
//!
//! # The rule
//!
//! With `i` the interval, and a tape that trades in regular hours:
//!
//! | | first stamp | last stamp |
//! |---|---|---|
//! | right | `open` | `close - i`, or `close` with the closing auction |
//! | late by one | `open + i` | `close`, or `close + i` with the closing auction |
//! | early by one | `open - i` | `close - 2i`, or `close - i` with the closing auction |
//!
//! The bar at the open decides, since one at the close may be the auction's. An answer other than
//! [`LabelEvidence::Unclear`] needs all of its conditions:
//!
//! - Late: the first stamp of the session is `open + i`; every span has a bar at its `open + i` and at its `close`, and
//!   none at its `open`; nothing after the last `close + i`.
//! - Early: the first stamp is `open - i` and the last one `close - 2i`; every span has a bar at its `open - i` and at its
//!   `close - 2i`, and none at its `close - i`. (An early tape with the closing auction looks like a right one with a bar
//!   before the open, so it stays unclear.)
//! - Consistent: the first stamp is `open`, and there is a bar at the last `close - i`.
//! - Each of them: at least 90 % of the slots hold a bar when the hours are shifted as the answer says, and the session's
//!   range begins before its open, else the stamps before the open are in another session.
//!
//! Bars before the open (a tape with pre-market hours) make it unclear: a late tape then has a bar at the open as well,
//! that of the last minute before it.
//!
//! One session of one tape can deceive: where trading opens one minute late and the auction prints after the close, a
//! right tape looks late. So whoever acts on it weighs the tapes of a session against each other.

use crate::gaps::slots_in;
use crate::span::{Span, rows_within};

/// Slots that must hold a bar before the edges mean anything, in percent.
const COVERAGE_MIN_PERCENT: u64 = 90;

/// Which way the stamps of a session are shifted against its hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelEvidence {
    /// The stamps are starts.
    Consistent,
    /// The stamps are one interval late: the bars are stamped at their end.
    LateByOne,
    /// The stamps are one interval early: the bars were stamped at their start, but declared as stamped at their end.
    EarlyByOne,
    /// The stamps fit more than one reading.
    Unclear,
}

/// What `ts_ns`, the stamps of one tape's bars in the session's `range`, say about their label. See [the rule](self).
///
/// `spans` are the session's regular hours, ascending and apart, inside `range`; the stamps ascend strictly.
///
/// ```
/// use backtape_core::{label::{LabelEvidence, label_evidence}, span::Span};
///
/// let (day, hours) = (Span::new(0, 1_000)?, [Span::new(300, 700)?]);
/// let stamped_at_end: Vec<i64> = (310..=700).step_by(10).collect();
/// assert_eq!(label_evidence(&stamped_at_end, day, &hours, 10), LabelEvidence::LateByOne);
/// # Ok::<(), backtape_core::error::Error>(())
/// ```
pub fn label_evidence(ts_ns: &[i64], range: Span, spans: &[Span], interval_ns: i64) -> LabelEvidence {
    debug_assert!(ts_ns.is_sorted_by(|a, b| a < b), "bars are strictly ascending when built");
    debug_assert!(ts_ns.iter().all(|&ts| range.contains(ts)), "the rows are those of the session");
    let (Some(&ts_first), Some(&ts_last)) = (ts_ns.first(), ts_ns.last()) else {
        return LabelEvidence::Unclear;
    };
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
        return LabelEvidence::Unclear;
    };
    let after = |ts: i64, intervals: i64| ts.saturating_add(interval_ns.saturating_mul(intervals));
    // Most often the one that is asked for is the last.
    let has = |ts: i64| ts == ts_last || ts_ns.binary_search(&ts).is_ok();
    let (open, close) = (first.start_ns(), last.end_ns());
    if range.start_ns() >= open {
        return LabelEvidence::Unclear;
    }

    let late_edges = |span: &Span| {
        let (open, close) = (span.start_ns(), span.end_ns());
        !has(open) && has(after(open, 1)) && has(close)
    };
    let early_edges = |span: &Span| {
        let (open, close) = (span.start_ns(), span.end_ns());
        has(after(open, -1)) && has(after(close, -2)) && !has(after(close, -1))
    };
    let (evidence, intervals) = if ts_first == open && has(after(close, -1)) {
        (LabelEvidence::Consistent, 0)
    } else if ts_first == after(open, 1) && ts_last <= after(close, 1) && spans.iter().all(late_edges) {
        (LabelEvidence::LateByOne, 1)
    } else if ts_first == after(open, -1) && ts_last == after(close, -2) && spans.iter().all(early_edges) {
        (LabelEvidence::EarlyByOne, -1)
    } else {
        return LabelEvidence::Unclear;
    };
    if is_covered(ts_ns, spans, interval_ns, intervals) { evidence } else { LabelEvidence::Unclear }
}

/// Whether enough slots hold a bar when the hours are shifted by so many intervals.
fn is_covered(ts_ns: &[i64], spans: &[Span], interval_ns: i64, intervals: i64) -> bool {
    let shift_ns = interval_ns.saturating_mul(intervals);
    let rows = |span: &Span| {
        let shifted = Span::new(span.start_ns().saturating_add(shift_ns), span.end_ns().saturating_add(shift_ns));
        shifted.map_or(0, |shifted| rows_within(ts_ns, shifted).len() as u64)
    };
    let present: u64 = spans.iter().map(rows).sum();
    let expected: u64 = spans.iter().map(|&span| slots_in(span, interval_ns)).sum();
    present * 100 >= expected * COVERAGE_MIN_PERCENT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LabelEvidence::{Consistent, EarlyByOne, LateByOne, Unclear};
    use super::*;

    const MINUTE: i64 = 60;
    const OPEN: i64 = 570;
    const CLOSE: i64 = 960;

    fn span(from_minute: i64, to_minute: i64) -> Span {
        Span::new(from_minute * MINUTE, to_minute * MINUTE).expect("the test draws a valid span")
    }

    fn minutes(range: std::ops::Range<i64>) -> Vec<i64> {
        range.map(|minute| minute * MINUTE).collect()
    }

    fn shifted(ts_ns: &[i64], intervals: i64) -> Vec<i64> {
        ts_ns.iter().map(|ts| ts + intervals * MINUTE).collect()
    }

    fn evidence(ts_ns: &[i64], spans: &[Span]) -> LabelEvidence {
        label_evidence(ts_ns, span(0, 1440), spans, MINUTE)
    }

    /// The answers for right stamps, and for the same bars one interval late and one early.
    fn answers(ts_ns: &[i64], spans: &[Span]) -> [LabelEvidence; 3] {
        [0, 1, -1].map(|intervals| evidence(&shifted(ts_ns, intervals), spans))
    }

    #[test]
    fn a_full_day_tells_right_late_and_early_stamps_apart() {
        assert_eq!(answers(&minutes(OPEN..CLOSE), &[span(OPEN, CLOSE)]), [Consistent, LateByOne, EarlyByOne]);
    }

    #[test]
    fn the_closing_auction_minute_does_not_make_right_stamps_late() {
        assert_eq!(answers(&minutes(OPEN..CLOSE + 1), &[span(OPEN, CLOSE)]), [Consistent, LateByOne, Unclear]);
    }

    #[test]
    fn a_morning_and_an_afternoon_must_agree() {
        let hours = [span(570, 720), span(780, 960)];
        let right = [minutes(570..720), minutes(780..960)].concat();
        assert_eq!(answers(&right, &hours), [Consistent, LateByOne, EarlyByOne]);
        let only_morning_late = [minutes(571..721), minutes(780..961)].concat();
        assert_eq!(evidence(&only_morning_late, &hours), Unclear);
        let only_afternoon_early = [minutes(569..720), minutes(779..959)].concat();
        assert_eq!(evidence(&only_afternoon_early, &hours), Unclear);
    }

    #[test]
    fn bars_long_after_the_close_leave_a_shift_unclear() {
        for shifted in [OPEN + 1..CLOSE + 1, OPEN - 1..CLOSE - 1] {
            let with_evening = [minutes(shifted), vec![(CLOSE + 30) * MINUTE]].concat();
            assert_eq!(evidence(&with_evening, &[span(OPEN, CLOSE)]), Unclear);
        }
        let right = [minutes(OPEN..CLOSE), vec![(CLOSE + 30) * MINUTE]].concat();
        assert_eq!(evidence(&right, &[span(OPEN, CLOSE)]), Consistent);
    }

    #[test]
    fn bars_before_the_open_leave_it_unclear() {
        let with_premarket = minutes(OPEN - 60..CLOSE + 60);
        assert_eq!(answers(&with_premarket, &[span(OPEN, CLOSE)]), [Unclear; 3]);
        for by in [-1, 0, 1] {
            let quiet_before_open = [minutes(OPEN - 60..OPEN - 5), minutes(OPEN + by..CLOSE + by)].concat();
            assert_eq!(evidence(&quiet_before_open, &[span(OPEN, CLOSE)]), Unclear, "shifted by {by}");
        }
    }

    #[test]
    fn a_thin_tape_leaves_it_unclear() {
        let hours = [span(OPEN, CLOSE)];
        let thin = |missing: usize| {
            let all = minutes(OPEN..CLOSE);
            let (edge, rest) = all.split_at(10);
            [edge, &rest[missing..]].concat()
        };
        assert_eq!(answers(&thin(39), &hours), [Consistent, LateByOne, EarlyByOne]);
        assert_eq!(answers(&thin(40), &hours), [Unclear; 3]);
    }

    #[test]
    fn a_first_or_last_minute_without_a_trade_is_no_shift() {
        let hours = [span(OPEN, CLOSE)];
        assert_eq!(evidence(&minutes(OPEN + 1..CLOSE), &hours), Unclear);
        assert_eq!(evidence(&minutes(OPEN..CLOSE - 1), &hours), Unclear);
        assert_eq!(evidence(&minutes(OPEN - 1..CLOSE), &hours), Unclear);
    }

    #[test]
    fn a_session_that_touches_the_one_before_leaves_it_unclear() {
        let day = [span(0, 1440)];
        assert_eq!(label_evidence(&minutes(0..1440), day[0], &day, MINUTE), Unclear);
    }

    #[test]
    fn nothing_says_nothing() {
        assert_eq!(evidence(&[], &[span(OPEN, CLOSE)]), Unclear);
        assert_eq!(evidence(&minutes(OPEN..CLOSE), &[]), Unclear);
        let all_time = Span::new(i64::MIN, i64::MAX).expect("a long span");
        assert_eq!(label_evidence(&[i64::MIN, i64::MAX - 1], all_time, &[all_time], i64::MAX), Unclear);
    }

    proptest! {
        #[test]
        fn nearly_complete_sessions_of_any_hours_tell_their_shift(
            (morning, lunch, afternoon) in (60_i64..200, 0_i64..60, 60_i64..200),
            missing in prop::collection::btree_set(3_i64..57, 0..6),
            auction in any::<bool>(),
        ) {
            let noon = OPEN + morning;
            let close = noon + lunch + afternoon;
            let hours = if lunch < 2 { vec![span(OPEN, close)] } else { vec![span(OPEN, noon), span(noon + lunch, close)] };
            let right: Vec<i64> = minutes(OPEN..close + i64::from(auction)).into_iter()
                .filter(|&ts| ts == close * MINUTE || hours.iter().any(|span| span.contains(ts)))
                .filter(|&ts| !missing.contains(&(ts / MINUTE - OPEN)))
                .collect();
            let early = if auction { Unclear } else { EarlyByOne };
            prop_assert_eq!(answers(&right, &hours), [Consistent, LateByOne, early]);
        }

        #[test]
        fn stamps_called_shifted_are_right_once_shifted_back(
            before in prop::collection::vec(any::<bool>(), 3),
            inside in prop::collection::vec(prop::bool::weighted(0.97), 34),
            after in prop::collection::vec(any::<bool>(), 3),
        ) {
            let hours = [span(100, 134)];
            let kept = [before, inside, after].concat();
            let ts_ns: Vec<i64> =
                (97..).zip(kept).filter(|(_, kept)| *kept).map(|(minute, _)| minute * MINUTE).collect();
            match evidence(&ts_ns, &hours) {
                LateByOne => prop_assert_eq!(evidence(&shifted(&ts_ns, -1), &hours), Consistent),
                EarlyByOne => prop_assert_eq!(evidence(&shifted(&ts_ns, 1), &hours), Consistent),
                Consistent => prop_assert_eq!(ts_ns[0], 100 * MINUTE),
                Unclear => {}
            }
        }
    }
}
