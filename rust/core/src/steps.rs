//! Steps from stamp to stamp, many at a time: most bars follow each other by one interval, and then no stamp needs a closer
//! look.

use crate::divisor::Divisor;

/// So many steps are looked at together.
const BLOCK: usize = 32;

/// Stamps in blocks, each with the first one of the next.
fn blocks(ts_ns: &[i64]) -> impl Iterator<Item = &[i64]> {
    let steps = ts_ns.len().saturating_sub(1);
    (0..steps).step_by(BLOCK).map(move |from| &ts_ns[from..=steps.min(from + BLOCK)])
}

fn pairs(ts_ns: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    ts_ns.iter().copied().zip(ts_ns.iter().copied().skip(1))
}

/// Whether each stamp of a block follows the one before by so much. If one difference wrapped, the last stamp is before
/// the first.
fn all_steps_are(block: &[i64], step_ns: i64) -> bool {
    let odd = pairs(block).fold(0, |odd, (before, ts)| odd | (ts.wrapping_sub(before) ^ step_ns));
    odd == 0 && block.first() < block.last()
}

/// Whether no stamp is earlier than the one before.
pub fn ascend(ts_ns: &[i64]) -> bool {
    // Of stamps from 1970 on no difference wraps.
    let signs = pairs(ts_ns)
        .fold(ts_ns.first().copied().unwrap_or(0), |signs, (before, ts)| signs | ts | ts.wrapping_sub(before));
    signs >= 0 || ts_ns.is_sorted()
}

/// What the steps from stamp to stamp are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// How many are of the length that was asked for.
    pub equal: usize,
    /// Whether one goes back.
    pub falls: bool,
    /// Whether all are multiples of that length, forward or back.
    pub whole: bool,
    /// Whether all stamps are multiples of that length, each later than the one before.
    pub on_grid: bool,
}

/// What the steps from stamp to stamp are like, beside `step_ns`.
pub fn steps(ts_ns: &[i64], step_ns: i64) -> Steps {
    let divisor = Divisor::new(step_ns.cast_unsigned());
    let starts_on_grid = ts_ns.first().is_none_or(|first| first % step_ns == 0);
    let mut told = Steps { equal: 0, falls: false, whole: true, on_grid: starts_on_grid };
    for block in blocks(ts_ns) {
        if all_steps_are(block, step_ns) {
            told.equal += block.len() - 1;
            continue;
        }
        for (before, ts) in pairs(block) {
            told.equal += usize::from(ts.wrapping_sub(before) == step_ns);
            told.falls |= ts < before;
            told.whole &= divisor.divides(ts.abs_diff(before));
            told.on_grid &= before < ts;
        }
    }
    told.on_grid &= told.whole;
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: i64 = 60;

    /// Stamps that mostly follow each other by one step, wherever they begin.
    fn stamps() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![200 => Just(STEP), 2 => Just(3 * STEP), 1 => -STEP..2 * STEP, 1 => Just(i64::MAX - 7)];
        let first = prop_oneof![Just(0), Just(600), Just(-60 * STEP), Just(i64::MAX - 500), Just(7)];
        (first, prop::collection::vec(step, 0..300)).prop_map(|(first, steps)| {
            let follow = steps.into_iter().scan(first, |ts: &mut i64, step| {
                *ts = ts.wrapping_add(step);
                Some(*ts)
            });
            std::iter::once(first).chain(follow).collect()
        })
    }

    proptest! {
        #[test]
        fn many_steps_at_a_time_tell_what_each_does(ts in stamps(), len in 0..301_usize) {
            let ts = &ts[..len.min(ts.len())];
            let slow = |fits: fn(i64, i64) -> bool| ts.windows(2).filter(|pair| fits(pair[0], pair[1])).count();
            let falls = slow(|before, ts| ts < before);
            let all_ascend = slow(|before, ts| before < ts) == ts.len().saturating_sub(1);
            prop_assert_eq!(ascend(ts), falls == 0);
            let equal = slow(|before, ts| ts.wrapping_sub(before) == STEP);
            let on_grid = all_ascend && ts.iter().all(|ts| ts % STEP == 0);
            let odd = slow(|before, ts| (i128::from(ts) - i128::from(before)) % i128::from(STEP) != 0);
            prop_assert_eq!(steps(ts, STEP), Steps { equal, falls: falls > 0, whole: odd == 0, on_grid });
        }
    }
}
