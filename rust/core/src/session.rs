//! One trading day: the time that belongs to it, and the spans of it in which the market is open (C1, C4).

use crate::error::{Error, Result};
use crate::span::{Span, rows_until};
use std::ops::Range;
use std::sync::Arc;

/// A trading day of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    label: Arc<str>,
    spans: Vec<Span>,
    range: Span,
    closing_ns: i64,
    is_half_day: bool,
}

impl Session {
    /// A session from its calendar facts. The grace after the last close never passes the end of the range.
    ///
    /// # Errors
    /// [`Error::SessionWithoutSpans`], [`Error::SpanMisplaced`].
    pub fn new(label: Arc<str>, spans: Vec<Span>, range: Span, grace_ns: i64, is_half_day: bool) -> Result<Self> {
        let Some(last) = spans.last() else {
            return Err(Error::SessionWithoutSpans { label });
        };
        let mut from_ns = range.start_ns();
        for (index, span) in spans.iter().enumerate() {
            if span.start_ns() < from_ns || span.end_ns() > range.end_ns() {
                let (start_ns, end_ns) = (span.start_ns(), span.end_ns());
                let (range_start_ns, range_end_ns) = (range.start_ns(), range.end_ns());
                return Err(Error::SpanMisplaced { label, index, start_ns, end_ns, range_start_ns, range_end_ns });
            }
            from_ns = span.end_ns();
        }
        let closing_ns = last.end_ns().saturating_add(grace_ns.max(0)).min(range.end_ns());
        Ok(Self { label, spans, range, closing_ns, is_half_day })
    }

    /// The label date, as `2013-10-07`.
    pub const fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The spans in which the market is open.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// All time that belongs to the session; ranges of sessions partition time.
    pub const fn range(&self) -> Span {
        self.range
    }

    /// The first open.
    pub fn open_ns(&self) -> i64 {
        self.spans[0].start_ns()
    }

    /// The last close, without grace.
    pub fn close_ns(&self) -> i64 {
        self.spans[self.spans.len() - 1].end_ns()
    }

    /// The instant of session close: the last close plus grace.
    pub const fn closing_ns(&self) -> i64 {
        self.closing_ns
    }

    /// Whether the session is shorter than usual.
    pub const fn is_half_day(&self) -> bool {
        self.is_half_day
    }

    /// The rows within trading hours, span by span: `open <= ts` and `ts < close` for rows known at their stamp, and
    /// `ts + interval <= close` for bars; the last span reaches to close plus grace. Empty ranges are left out.
    pub fn regular_rows(&self, ts_ns: &[i64], interval_ns: i64) -> Vec<Range<usize>> {
        let last = self.spans.len() - 1;
        let ranges = self.spans.iter().enumerate().map(|(index, span)| {
            let close_ns = if index == last { self.closing_ns } else { span.end_ns() };
            let start = rows_until(ts_ns, span.start_ns());
            // A bar is known by `close` where it starts before `close - interval + 1`.
            let until_ns = if interval_ns == 0 { close_ns } else { close_ns.saturating_sub(interval_ns - 1) };
            let end = rows_until(ts_ns, until_ns);
            start..end.max(start)
        });
        ranges.filter(|range| !range.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ns: i64, end_ns: i64) -> Span {
        Span::new(start_ns, end_ns).expect("ascending")
    }

    fn session(grace_ns: i64) -> Session {
        Session::new("2013-10-07".into(), vec![span(100, 200), span(300, 400)], span(0, 1000), grace_ns, false)
            .expect("well placed")
    }

    #[test]
    fn hours_are_half_open_and_grace_follows_the_last_span_only() {
        let ts: Vec<i64> = vec![99, 100, 199, 200, 299, 300, 399, 400, 404, 405];
        assert_eq!(session(0).regular_rows(&ts, 0), [1..3, 5..7]);
        assert_eq!(session(5).regular_rows(&ts, 0), [1..3, 5..9]);
    }

    #[test]
    fn a_bar_must_end_by_the_close() {
        let ts: Vec<i64> = vec![90, 100, 190, 200, 300, 390, 400, 410];
        assert_eq!(session(0).regular_rows(&ts, 10), [1..3, 4..6]);
        assert_eq!(session(10).regular_rows(&ts, 10), [1..3, 4..7]);
        assert_eq!(session(19).regular_rows(&ts, 10), [1..3, 4..7]);
    }

    #[test]
    fn grace_never_passes_the_range() {
        assert_eq!(session(5_000).closing_ns(), 1000);
        assert_eq!(session(-1).closing_ns(), 400);
    }

    #[test]
    fn spans_outside_the_range_or_out_of_order_are_refused() {
        let bad = |spans: Vec<Span>| Session::new("d".into(), spans, span(0, 1000), 0, false).expect_err("bad");
        assert!(matches!(bad(vec![]), Error::SessionWithoutSpans { .. }));
        assert!(matches!(bad(vec![span(300, 400), span(100, 200)]), Error::SpanMisplaced { index: 1, .. }));
        assert!(matches!(bad(vec![span(900, 1001)]), Error::SpanMisplaced { index: 0, .. }));
    }
}
