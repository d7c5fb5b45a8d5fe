//! Flat bars: synthetic ones that bridge a gap with the close before it, for those who ask for them (C6).

use crate::gaps::gaps;
use crate::key::Kind;
use crate::rows::Rows;
use crate::span::Span;
use std::iter::repeat_n;

/// The flat bars of base bars: in each gap within `spans` at most `slots_max` of them, each with the close of the last
/// bar before the gap as all its prices and with volume 0. Before the first bar there is nothing to go on with.
///
/// ```
/// use backtape_core::{flat::flat_bars, key::Kind, rows::Rows, span::Span};
///
/// let price: Vec<f64> = vec![1.0, 2.0];
/// let values = (0..5).map(|_| price.clone().into()).collect();
/// let bars = Rows::new(Kind::Bar, vec![0, 10].into(), values);
/// let flat = flat_bars(&bars, &[Span::new(0, 60)?], 10, 3);
/// assert_eq!((&*flat.ts_ns, &flat.values[3], &flat.values[4]), (&[20, 30, 40][..], &[2.0; 3][..], &[0.0; 3][..]));
/// # Ok::<(), backtape_core::error::Error>(())
/// ```
pub fn flat_bars(base: &Rows, spans: &[Span], interval_ns: i64, slots_max: u64) -> Rows {
    let (mut ts_ns, mut price) = (Vec::new(), Vec::new());
    let open_ns = spans.first().map_or(i64::MAX, |span| span.start_ns());
    for gap in gaps(&base.ts_ns, spans, interval_ns) {
        let before = base.ts_ns.partition_point(|&ts| ts < gap.span.start_ns()).checked_sub(1);
        // Bars before the open are of no session's trading: they are not carried into it.
        let Some(row) = before.filter(|&row| base.ts_ns[row] >= open_ns) else {
            continue;
        };
        let slots = gap.slots.min(slots_max);
        ts_ns.extend((0..slots as i64).map(|slot| gap.span.start_ns() + slot * interval_ns));
        price.extend(repeat_n(base.values[3][row], slots as usize));
    }
    let volume = vec![0.0; ts_ns.len()];
    let values = [price.clone(), price.clone(), price.clone(), price, volume].into_iter().map(Into::into).collect();
    Rows::new(Kind::Bar, ts_ns.into(), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(ts_ns: &[i64]) -> Rows {
        let close = |ts: &i64| *ts as f64;
        let values = (0..5).map(|_| ts_ns.iter().map(close).collect()).collect();
        Rows::new(Kind::Bar, ts_ns.to_vec().into(), values)
    }

    fn spans(pairs: &[(i64, i64)]) -> Vec<Span> {
        pairs.iter().map(|&(start, end)| Span::new(start, end).expect("the test gives valid spans")).collect()
    }

    #[test]
    fn a_gap_is_bridged_as_far_as_the_limit_goes() {
        let hours = spans(&[(0, 60)]);
        assert_eq!(*flat_bars(&bars(&[0, 40]), &hours, 10, 2).ts_ns, [10, 20, 50]);
        assert_eq!(*flat_bars(&bars(&[0, 40]), &hours, 10, 9).ts_ns, [10, 20, 30, 50]);
        assert_eq!(flat_bars(&bars(&[0, 40]), &hours, 10, 9).values[0], [0.0, 0.0, 0.0, 40.0]);
        assert!(flat_bars(&bars(&[0, 40]), &hours, 10, 0).is_empty());
    }

    #[test]
    fn nothing_is_made_up_before_the_first_bar_or_out_of_hours() {
        assert_eq!(*flat_bars(&bars(&[30]), &spans(&[(0, 60)]), 10, 9).ts_ns, [40, 50]);
        assert!(flat_bars(&bars(&[]), &spans(&[(0, 60)]), 10, 9).is_empty());
        assert!(flat_bars(&bars(&[-10]), &spans(&[(0, 60)]), 10, 9).is_empty());
        let lunch = spans(&[(0, 30), (50, 70)]);
        assert_eq!(*flat_bars(&bars(&[10]), &lunch, 10, 9).ts_ns, [20, 50, 60]);
    }
}
