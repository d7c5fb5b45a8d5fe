//! Derived bars: longer bars made from base bars, by time and never by count.
//!
//! Windows are anchored at the open of each span and cut at its close. Where they begin follows from the runs of the base
//! bars; then each window is looked at once.

use std::ops::Range;

use crate::cuts::{Cut, cut, windows};
use crate::gaps::{debug_assert_on_grid, slots_in};
use crate::runs::Runs;
use crate::span::Span;

/// The columns of bars, all of one length; stamps strictly ascending, on the grid of their interval.
#[derive(Clone, Copy, Debug)]
pub struct BarSlices<'a> {
    /// Start of each bar, ns UTC.
    pub ts_ns: &'a [i64],
    /// First price.
    pub open: &'a [f64],
    /// Highest price.
    pub high: &'a [f64],
    /// Lowest price.
    pub low: &'a [f64],
    /// Last price.
    pub close: &'a [f64],
    /// Volume.
    pub volume: &'a [f64],
}

/// Derived bars as columns, all of one length, in time order: those of one tape, or of several one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DerivedBars {
    /// Start of each window, ns UTC.
    pub ts_ns: Vec<i64>,
    /// When each bar can be known: the end of its window, ns UTC. Strictly ascending. (Where the hours are off the base
    /// bars' grid the last base bar of a window ends after it; then that is when.)
    pub available_ns: Vec<i64>,
    /// Open of the first base bar.
    pub open: Vec<f64>,
    /// Highest high.
    pub high: Vec<f64>,
    /// Lowest low.
    pub low: Vec<f64>,
    /// Close of the last base bar.
    pub close: Vec<f64>,
    /// Volumes added from the first base bar to the last, starting from 0.0.
    pub volume: Vec<f64>,
    /// Base bars in the window that were not filled in.
    pub n_present: Vec<u32>,
    /// Base bars that a whole window holds; the last window of a span may be shorter than the others.
    pub n_expected: Vec<u32>,
    /// Base bars in the window that were filled in from another source.
    pub n_filled: Vec<u32>,
}

impl DerivedBars {
    /// None, with room for so many.
    pub fn with_room(bars: usize) -> Self {
        let [ts_ns, available_ns] = [(); 2].map(|()| Vec::with_capacity(bars));
        let [open, high, low, close, volume] = [(); 5].map(|()| Vec::with_capacity(bars));
        let [n_present, n_expected, n_filled] = [(); 3].map(|()| Vec::with_capacity(bars));
        Self { ts_ns, available_ns, open, high, low, close, volume, n_present, n_expected, n_filled }
    }

    /// How many bars.
    pub fn len(&self) -> usize {
        self.ts_ns.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ts_ns.is_empty()
    }

    /// Adds the bars that [`derive()`] makes of base bars whose runs are known. Returns where they stand.
    pub(crate) fn add(
        &mut self,
        base: BarSlices<'_>,
        filled: Option<&[u8]>,
        (runs, spans): (&Runs, &[Span]),
        (base_ns, interval_ns): (i64, i64),
    ) -> Range<usize> {
        debug_assert_on_grid(base.ts_ns, spans, base_ns);
        debug_assert!(interval_ns > base_ns && interval_ns % base_ns == 0, "the caller checks it");
        let first = self.len();
        let mut cuts = Vec::new();
        for (span, own) in runs.by_span(spans) {
            cut(own, span, (base_ns, interval_ns), &mut cuts);
            self.add_bars(&cuts, base);
            self.add_times(&cuts, base.ts_ns, span, (base_ns, interval_ns));
            self.add_counts(&cuts, filled);
        }
        first..self.len()
    }

    /// All numbers of a window in one go: so each window is looked at once.
    fn add_bars(&mut self, cuts: &[Cut], base: BarSlices<'_>) {
        let bars = cuts.len().saturating_sub(1);
        let [open, high, low, close, volume] =
            [&mut self.open, &mut self.high, &mut self.low, &mut self.close, &mut self.volume]
                .map(|column| grown(column, bars));
        let rows = base.ts_ns.len();
        let [own_open, own_high, own_low, own_close, own_volume] =
            [base.open, base.high, base.low, base.close, base.volume].map(|column| &column[..rows]);
        for (bar, rows) in windows(cuts).enumerate() {
            (open[bar], close[bar]) = (own_open[rows.start], own_close[rows.end - 1]);
            let own = [&own_high[rows.clone()], &own_low[rows.clone()], &own_volume[rows]];
            [high[bar], low[bar], volume[bar]] = high_low_volume(own);
        }
    }

    fn add_times(&mut self, cuts: &[Cut], ts_ns: &[i64], span: Span, (base_ns, interval_ns): (i64, i64)) {
        let own = &cuts[..cuts.len().saturating_sub(1)];
        let (first, bars) = (self.ts_ns.len(), self.ts_ns.len() + own.len());
        self.ts_ns.extend(own.iter().map(|cut| cut.start_ns));
        self.available_ns.extend(own.iter().map(|cut| cut.start_ns.wrapping_add(interval_ns)));
        self.n_expected.resize(bars, (interval_ns / base_ns) as u32);
        // Only the last window of a span can be cut.
        if let Some(last) = own.last() {
            let left_ns = span.end_ns().abs_diff(last.start_ns);
            if left_ns < interval_ns.unsigned_abs() {
                self.available_ns[bars - 1] = span.end_ns();
                self.n_expected[bars - 1] = left_ns.div_ceil(base_ns.unsigned_abs()) as u32;
            }
            let on_grid = |ts_ns: i64| ts_ns.abs_diff(span.start_ns()).is_multiple_of(base_ns.unsigned_abs());
            if !on_grid(ts_ns[last.row]) || !on_grid(span.end_ns()) {
                for (available_ns, rows) in self.available_ns[first..].iter_mut().zip(windows(cuts)) {
                    *available_ns = (*available_ns).max(ts_ns[rows.end - 1].saturating_add(base_ns));
                }
            }
        }
    }

    fn add_counts(&mut self, cuts: &[Cut], filled: Option<&[u8]>) {
        match filled {
            None => self.n_filled.resize(self.ts_ns.len(), 0),
            Some(filled) => self.n_filled.extend(windows(cuts).map(|rows| count_filled(&filled[rows]))),
        }
        let first = self.n_present.len();
        let present = |(rows, &filled): (Range<usize>, &u32)| rows.len() as u32 - filled;
        self.n_present.extend(windows(cuts).zip(&self.n_filled[first..]).map(present));
    }
}

/// Makes room for so many more values, and returns it.
fn grown(column: &mut Vec<f64>, by: usize) -> &mut [f64] {
    let first = column.len();
    column.resize(first + by, 0.0);
    &mut column[first..]
}

/// Bars of `interval_ns` from base bars of `base_interval_ns` that start inside `spans` (ascending and apart).
///
/// `filled` is not 0 where a base bar was filled in from another source; flat synthetic bars must not be among the base
/// bars at all. A window without base bars gives no bar. The interval is a multiple of the base interval and longer: the
/// caller has checked that.
///
/// ```
/// use backtape_core::{derive::{BarSlices, derive}, span::Span};
///
/// let (ts_ns, price, volume) = ([0, 10, 40], [1.0, 3.0, 2.0], [5.0, 5.0, 5.0]);
/// let base = BarSlices { ts_ns: &ts_ns, open: &price, high: &price, low: &price, close: &price, volume: &volume };
/// let bars = derive(base, None, &[Span::new(0, 60)?], 10, 30);
/// assert_eq!((bars.ts_ns, bars.close, bars.n_present), (vec![0, 30], vec![3.0, 2.0], vec![2, 1]));
/// # Ok::<(), backtape_core::error::Error>(())
/// ```
pub fn derive(
    base: BarSlices<'_>,
    filled: Option<&[u8]>,
    spans: &[Span],
    base_interval_ns: i64,
    interval_ns: i64,
) -> DerivedBars {
    let runs = Runs::of(base.ts_ns, spans, base_interval_ns);
    let mut bars = DerivedBars::with_room(windows_in(spans, interval_ns).min(base.ts_ns.len()));
    bars.add(base, filled, (&runs, spans), (base_interval_ns, interval_ns));
    bars
}

/// Bars of one interval of several tapes, and where those of each tape stand.
pub type OfTapes = (DerivedBars, Vec<Range<usize>>);

/// For each interval room for the bars of so many tapes, which have so many rows together.
pub(crate) fn with_room_for(tapes: usize, rows: usize, spans: &[Span], intervals_ns: &[i64]) -> Vec<OfTapes> {
    let room = |&interval_ns: &i64| {
        let bars = windows_in(spans, interval_ns).saturating_mul(tapes).min(rows);
        (DerivedBars::with_room(bars), Vec::with_capacity(tapes))
    };
    intervals_ns.iter().map(room).collect()
}

/// How many windows of an interval there are.
fn windows_in(spans: &[Span], interval_ns: i64) -> usize {
    let windows = spans.iter().fold(0_u64, |all, &span| all.saturating_add(slots_in(span, interval_ns)));
    usize::try_from(windows).unwrap_or(usize::MAX)
}

/// The highest high, the lowest low, and the volumes added up from left to right: another order gives other bits.
fn high_low_volume([mut high, mut low, mut volume]: [&[f64]; 3]) -> [f64; 3] {
    let (mut most, mut least, mut sum) = (f64::NEG_INFINITY, f64::INFINITY, 0.0);
    let mut add = |high: f64, low: f64, volume: f64| {
        most = if high > most { high } else { most };
        least = if low < least { low } else { least };
        sum += volume;
    };
    // Nearly all windows are multiples of five bars, and mostly five.
    while let (Some((highs, high_rest)), Some((lows, low_rest)), Some((volumes, volume_rest))) =
        (high.split_first_chunk::<5>(), low.split_first_chunk::<5>(), volume.split_first_chunk::<5>())
    {
        (0..5).for_each(|row| add(highs[row], lows[row], volumes[row]));
        (high, low, volume) = (high_rest, low_rest, volume_rest);
    }
    high.iter().zip(low).zip(volume).for_each(|((&high, &low), &volume)| add(high, low, volume));
    [most, least, sum]
}

fn count_filled(filled: &[u8]) -> u32 {
    filled.iter().map(|&mark| u32::from(mark != 0)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::span::tests::spans;

    const MINUTE: i64 = 60;

    /// Base bars that own their columns; prices and volumes follow from the row number.
    struct Bars {
        ts_ns: Vec<i64>,
        prices: [Vec<f64>; 4],
        volume: Vec<f64>,
    }

    impl Bars {
        fn at(ts_ns: Vec<i64>) -> Self {
            let wave = |row: usize, by: usize| ((row * by) % 23) as f64 - 11.5;
            let column = |by: usize, shift: f64| (0..ts_ns.len()).map(|row| wave(row, by) + shift).collect();
            let prices = [column(7, 0.0), column(5, 30.0), column(11, -30.0), column(3, 0.0)];
            Self { prices, volume: (0..ts_ns.len()).map(|row| 0.1 * (row % 17) as f64).collect(), ts_ns }
        }

        fn slices(&self) -> BarSlices<'_> {
            let [open, high, low, close] = &self.prices;
            BarSlices { ts_ns: &self.ts_ns, open, high, low, close, volume: &self.volume }
        }

        fn derive(&self, spans: &[Span], interval_ns: i64) -> DerivedBars {
            derive(self.slices(), None, spans, MINUTE, interval_ns)
        }
    }

    fn span(start_ns: i64, end_ns: i64) -> Span {
        Span::new(start_ns, end_ns).expect("the test draws a valid span")
    }

    fn minutes(range: Range<i64>) -> Vec<i64> {
        range.map(|minute| minute * MINUTE).collect()
    }

    #[test]
    fn a_full_session_gives_78_complete_bars() {
        let bars = Bars::at(minutes(0..390)).derive(&[span(0, 390 * MINUTE)], 5 * MINUTE);
        assert_eq!((bars.len(), bars.is_empty()), (78, false));
        assert_eq!((bars.n_present, bars.n_expected), (vec![5; 78], vec![5; 78]));
        assert_eq!((bars.ts_ns[77], bars.available_ns[77]), (385 * MINUTE, 390 * MINUTE));
    }

    #[test]
    fn seven_minute_bars_end_at_the_close_and_start_again_at_the_next_open() {
        let (day, next) = (390 * MINUTE, 2000 * MINUTE);
        let base = Bars::at([minutes(-30..420), minutes(2000..2390)].concat());
        let bars = base.derive(&[span(0, day), span(next, next + day)], 7 * MINUTE);
        assert_eq!(bars.len(), 2 * 56);
        assert_eq!((bars.ts_ns[55], bars.available_ns[55], bars.n_expected[55]), (385 * MINUTE, day, 5));
        assert_eq!((bars.ts_ns[56], bars.available_ns[56], bars.n_expected[56]), (next, next + 7 * MINUTE, 7));
    }

    #[test]
    fn two_bars_around_a_weekend_give_two_bars() {
        let monday = 3960 * MINUTE;
        let base = Bars::at(vec![389 * MINUTE, monday]);
        let bars = base.derive(&[span(0, 390 * MINUTE), span(monday, monday + 390 * MINUTE)], 5 * MINUTE);
        assert_eq!((bars.ts_ns, bars.n_present), (vec![385 * MINUTE, monday], vec![1, 1]));
    }

    #[test]
    fn a_missing_minute_shifts_nothing_and_an_empty_window_gives_no_bar() {
        let base = Bars::at([minutes(1..5), minutes(12..14)].concat());
        let bars = base.derive(&[span(0, 15 * MINUTE)], 5 * MINUTE);
        assert_eq!((bars.ts_ns, bars.n_present), (vec![0, 10 * MINUTE], vec![4, 2]));
        assert_eq!(bars.available_ns, [5 * MINUTE, 15 * MINUTE]);
    }

    #[test]
    fn a_window_does_not_reach_over_lunch() {
        let bars = Bars::at(minutes(0..20)).derive(&[span(0, 8 * MINUTE), span(13 * MINUTE, 20 * MINUTE)], 5 * MINUTE);
        assert_eq!(bars.ts_ns, [0, 5, 13, 18].map(|minute| minute * MINUTE));
        assert_eq!(bars.available_ns, [5, 8, 18, 20].map(|minute| minute * MINUTE));
        assert_eq!((bars.n_present, bars.n_expected), (vec![5, 3, 5, 2], vec![5, 3, 5, 2]));
    }

    #[test]
    fn filled_bars_are_in_the_prices_and_counted_apart() {
        let base = Bars::at(minutes(0..10));
        let filled = [0, 1, 1, 0, 0, 1, 1, 1, 1, 1];
        let marked = derive(base.slices(), Some(&filled), &[span(0, 10 * MINUTE)], MINUTE, 5 * MINUTE);
        assert_eq!((&marked.n_present, &marked.n_filled), (&vec![3, 0], &vec![2, 5]));
        assert_eq!(marked.volume, base.derive(&[span(0, 10 * MINUTE)], 5 * MINUTE).volume);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(Bars::at(vec![]).derive(&[span(0, MINUTE)], 5 * MINUTE).is_empty());
        assert!(Bars::at(minutes(0..9)).derive(&[], 5 * MINUTE).is_empty());
    }

    #[test]
    fn a_bar_is_not_known_before_the_base_bars_in_it() {
        let bars = Bars::at(minutes(0..10)).derive(&[span(30, 9 * MINUTE + 30)], 5 * MINUTE);
        assert_eq!(bars.ts_ns, [30, 5 * MINUTE + 30]);
        assert_eq!(bars.available_ns, [6 * MINUTE, 10 * MINUTE]);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let base = Bars::at(vec![i64::MIN, i64::MAX - 15]);
        let bars = base.derive(&[span(i64::MIN, i64::MAX)], 5 * MINUTE);
        assert_eq!((bars.len(), bars.available_ns[1]), (2, i64::MAX));
    }

    /// Every window of every span, and for each all base bars looked at.
    fn slow(base: &Bars, filled: &[u8], spans: &[Span], base_ns: i64, interval_ns: i64) -> DerivedBars {
        let mut bars = DerivedBars::default();
        let [open, high, low, close] = &base.prices;
        for span in spans {
            let mut start = span.start_ns();
            while start < span.end_ns() {
                let end = (start + interval_ns).min(span.end_ns());
                let rows: Vec<usize> =
                    (0..base.ts_ns.len()).filter(|&row| start <= base.ts_ns[row] && base.ts_ns[row] < end).collect();
                if let (Some(&first), Some(&last)) = (rows.first(), rows.last()) {
                    let known = rows.iter().map(|&row| base.ts_ns[row] + base_ns).max();
                    let mut volume = 0.0;
                    for &row in &rows {
                        volume += base.volume[row];
                    }
                    bars.ts_ns.push(start);
                    bars.available_ns.push(known.map_or(end, |known| known.max(end)));
                    bars.open.push(open[first]);
                    bars.high.push(rows.iter().map(|&row| high[row]).fold(f64::NAN, f64::max));
                    bars.low.push(rows.iter().map(|&row| low[row]).fold(f64::NAN, f64::min));
                    bars.close.push(close[last]);
                    bars.volume.push(volume);
                    bars.n_filled.push(rows.iter().filter(|&&row| filled[row] != 0).count() as u32);
                    bars.n_present.push(rows.iter().filter(|&&row| filled[row] == 0).count() as u32);
                    bars.n_expected.push((start..end).step_by(base_ns as usize).count() as u32);
                }
                start = end;
            }
        }
        bars
    }

    proptest! {
        #[test]
        fn derived_bars_agree_with_a_look_at_every_base_bar(
            kept in prop::collection::vec((prop::bool::weighted(0.85), 0_u8..2), 0..120),
            parts in prop::collection::vec((0_i64..30, 1_i64..300), 0..4),
            (base_ns, times) in (prop::sample::select(vec![1_i64, 5, 6]), 2_i64..9),
            offset in 0_i64..6,
        ) {
            let kept: Vec<(i64, u8)> = (-5..).zip(&kept).filter(|(_, (kept, _))| *kept)
                .map(|(slot, &(_, filled))| (slot * base_ns + offset % base_ns, filled)).collect();
            let (ts_ns, filled): (Vec<i64>, Vec<u8>) = kept.into_iter().unzip();
            let spans = spans(parts);
            let (base, interval_ns) = (Bars::at(ts_ns), base_ns * times);
            let fast = derive(base.slices(), Some(&filled), &spans, base_ns, interval_ns);
            prop_assert!(fast.available_ns.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(fast, slow(&base, &filled, &spans, base_ns, interval_ns));
        }
    }
}
