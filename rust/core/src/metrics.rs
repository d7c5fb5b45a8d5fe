//! Volume, high and low of a session so far, at any row, without a walk over all rows before it.

/// Rows per block: one sum is kept for each, and at most this many rows are looked at for an answer.
const BLOCK_ROWS: usize = 64;

/// Volume, high and low of the first rows of a tape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// The volumes added from the first row to the last, one by one, starting from 0.0. Sums of doubles depend on their
    /// order; this one is fixed, so the same rows always give the same bits.
    pub volume: f64,
    /// The highest high.
    pub high: f64,
    /// The lowest low.
    pub low: f64,
}

impl Metrics {
    /// Of no rows: what every row changes.
    const NONE: Self = Self { volume: 0.0, high: f64::NEG_INFINITY, low: f64::INFINITY };

    /// These rows and others.
    #[must_use]
    pub const fn with(self, other: &Self) -> Self {
        Self { volume: self.volume + other.volume, high: self.high.max(other.high), low: self.low.min(other.low) }
    }

    /// These rows and those after them.
    fn and(self, high: &[f64], low: &[f64], volume: &[f64]) -> Self {
        Self {
            volume: volume.iter().fold(self.volume, |sum, &volume| sum + volume),
            high: high.iter().fold(self.high, |most, &high| if high > most { high } else { most }),
            low: low.iter().fold(self.low, |least, &low| if low < least { low } else { least }),
        }
    }
}

/// Running volume, high and low of a tape, kept once per block of rows.
///
/// The columns stay where they are: the same ones are passed to [`Running::new`] and to [`Running::at`]. Bars pass their
/// high, low and volume; trades pass the price as both high and low, and the size as volume. One pass builds it, so a
/// caller does that when the first figure is asked for.
///
/// ```
/// use backtape_core::metrics::Running;
///
/// let (price, size) = ([10.0, 12.0, 11.0], [100.0, 50.0, 10.0]);
/// let running = Running::new(&price, &price, &size);
/// let metrics = running.at(&price, &price, &size, 2).expect("two rows are some");
/// assert_eq!((metrics.volume, metrics.high, metrics.low), (150.0, 12.0, 10.0));
/// assert_eq!(running.at(&price, &price, &size, 0), None);
/// ```
#[derive(Clone, Debug)]
pub struct Running {
    /// Of all rows before the end of each whole block.
    blocks: Vec<Metrics>,
}

impl Running {
    /// The running figures of columns of one length, in which every number is finite.
    pub fn new(high: &[f64], low: &[f64], volume: &[f64]) -> Self {
        debug_assert!(high.len() == volume.len() && low.len() == volume.len(), "columns are of one length when built");
        let whole =
            high.chunks_exact(BLOCK_ROWS).zip(low.chunks_exact(BLOCK_ROWS)).zip(volume.chunks_exact(BLOCK_ROWS));
        let blocks = whole.scan(Metrics::NONE, |so_far, ((high, low), volume)| {
            *so_far = so_far.and(high, low, volume);
            Some(*so_far)
        });
        Self { blocks: blocks.collect() }
    }

    /// The figures of the first `rows` rows; `None` when that is no row. The columns are those that it was built from,
    /// or those grown at their end.
    pub fn at(&self, high: &[f64], low: &[f64], volume: &[f64], rows: usize) -> Option<Metrics> {
        if rows == 0 {
            return None;
        }
        let blocks = (rows / BLOCK_ROWS).min(self.blocks.len());
        let so_far = blocks.checked_sub(1).map_or(Metrics::NONE, |last| self.blocks[last]);
        let rest = blocks * BLOCK_ROWS..rows;
        Some(so_far.and(&high[rest.clone()], &low[rest.clone()], &volume[rest]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_rows_have_no_figures() {
        let running = Running::new(&[], &[], &[]);
        assert_eq!(running.at(&[], &[], &[], 0), None);
    }

    #[test]
    fn negative_prices_have_a_high_and_a_low() {
        let price = [-37.6, -40.3, -13.1];
        let metrics = Running::new(&price, &price, &[1.0; 3]).at(&price, &price, &[1.0; 3], 3);
        assert_eq!(metrics, Some(Metrics { volume: 3.0, high: -13.1, low: -40.3 }));
    }

    #[test]
    fn rows_after_the_asked_ones_change_nothing() {
        let (mut high, low, mut volume) = (vec![2.0; 200], vec![1.0; 200], vec![1.0; 200]);
        (high[130], volume[130]) = (99.0, 1e9);
        let running = Running::new(&high, &low, &volume);
        let at = |rows| running.at(&high, &low, &volume, rows);
        assert_eq!(at(130), Some(Metrics { volume: 130.0, high: 2.0, low: 1.0 }));
        assert_eq!(at(131), Some(Metrics { volume: 1e9 + 130.0, high: 99.0, low: 1.0 }));
    }

    #[test]
    fn columns_that_grew_at_their_end_are_answered_for() {
        let (price, size) = (vec![5.0; 3 * BLOCK_ROWS], vec![2.0; 3 * BLOCK_ROWS]);
        let early = Running::new(&price[..=BLOCK_ROWS], &price[..=BLOCK_ROWS], &size[..=BLOCK_ROWS]);
        let whole = Running::new(&price, &price, &size);
        let rows = 3 * BLOCK_ROWS;
        assert_eq!(early.at(&price, &price, &size, rows), whole.at(&price, &price, &size, rows));
    }

    proptest! {
        #[test]
        fn figures_agree_with_a_plain_walk_to_the_last_bit(
            rows in prop::collection::vec((-1e6..1e6, 0.0..50.0, 0.0..1e7), 0..400),
            share in 0.0..=1.0,
        ) {
            let low: Vec<f64> = rows.iter().map(|row| row.0).collect();
            let high: Vec<f64> = rows.iter().map(|row| row.0 + row.1).collect();
            let volume: Vec<f64> = rows.iter().map(|row| row.2).collect();
            let running = Running::new(&high, &low, &volume);
            for count in [(rows.len() as f64 * share) as usize, rows.len(), rows.len() / BLOCK_ROWS * BLOCK_ROWS] {
                let mut sum = 0.0;
                for size in &volume[..count] {
                    sum += size;
                }
                let at = running.at(&high, &low, &volume, count);
                prop_assert_eq!(at.map(|metrics| metrics.volume.to_bits()), (count > 0).then(|| f64::to_bits(sum)));
                prop_assert_eq!(at.map(|metrics| metrics.high), high[..count].iter().copied().reduce(f64::max));
                prop_assert_eq!(at.map(|metrics| metrics.low), low[..count].iter().copied().reduce(f64::min));
            }
        }
    }
}
