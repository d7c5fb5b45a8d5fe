//! The interval of bars, told by their stamps.

use crate::divisor::Divisor;
use crate::steps::{Steps, steps};
use std::collections::BTreeSet;

const SECOND_NS: i64 = 1_000_000_000;
const MINUTE_NS: i64 = 60 * SECOND_NS;
const DAY_NS: u64 = 24 * 60 * MINUTE_NS.unsigned_abs();
/// Fewer steps of whole minutes do not show that bars are longer than one.
const STEPS_TELLING: usize = 20;

/// The interval of bars, in nanoseconds, from the stamps of any number of symbols in any order, and what the stamps are
/// like beside it.
///
/// Fewer than half of the steps from stamp to stamp are whole minutes: a second. Else a minute, unless there are 20 such
/// steps or more and all of them are multiples of something longer, up to a day: then that. A lone stamp on a whole minute
/// is that of a minute, another one that of a second.
pub fn told_interval(ts_ns: &[i64]) -> (i64, Steps) {
    let beside_minutes = steps(ts_ns, MINUTE_NS);
    let interval_ns = match beside_minutes {
        // A step of one minute tells it all: nothing longer can divide it. Most tables are full of them.
        Steps { equal: 1.., whole: true, .. } => MINUTE_NS,
        Steps { whole: true, .. } => of_whole_minutes(ts_ns),
        Steps { equal, falls: false, .. } if equal > 0 && ts_ns.len() - 1 <= 2 * equal => MINUTE_NS,
        Steps { falls: false, .. } => of_ascending(ts_ns),
        _ => of_ascending(&ascending(ts_ns)),
    };
    (interval_ns, if interval_ns == MINUTE_NS { beside_minutes } else { steps(ts_ns, interval_ns) })
}

/// The interval from stamps that lie whole minutes apart. What divides the steps between neighbours in one order divides
/// them in every order, so they need not be sorted.
fn of_whole_minutes(ts_ns: &[i64]) -> i64 {
    let mut different = BTreeSet::new();
    let tells = ts_ns.iter().any(|&ts| different.insert(ts) && different.len() > STEPS_TELLING);
    match different.first() {
        Some(ts) if different.len() == 1 && ts % MINUTE_NS != 0 => SECOND_NS,
        _ if tells => at_most_a_day(ts_ns.windows(2).fold(0, with_step)),
        _ => MINUTE_NS,
    }
}

/// All stamps in ascending order; of equal ones perhaps only one. Whole seconds, as those of 1s bars, are ticked off.
fn ascending(ts_ns: &[i64]) -> Vec<i64> {
    let (first, last) = ts_ns.iter().fold((i64::MAX, i64::MIN), |(low, high), &ts| (low.min(ts), high.max(ts)));
    let words = last.abs_diff(first) / SECOND_NS.unsigned_abs() / 64;
    if words > ts_ns.len() as u64 || !steps(ts_ns, SECOND_NS).whole {
        let mut ascending = ts_ns.to_vec();
        ascending.sort_unstable();
        return ascending;
    }
    let divisor = Divisor::new(SECOND_NS.unsigned_abs());
    let mut there = vec![0_u64; words as usize + 1];
    for ts in ts_ns {
        let second = divisor.quotient(ts.abs_diff(first));
        there[second as usize / 64] |= 1 << (second % 64);
    }
    let of_word =
        |(word, &bits): (i64, &u64)| (0..64).filter(move |bit| bits >> bit & 1 > 0).map(move |bit| word * 64 + bit);
    (0..).zip(&there).flat_map(of_word).map(|second| first + second * SECOND_NS).collect()
}

fn of_ascending(ts_ns: &[i64]) -> i64 {
    let divisor = Divisor::new(MINUTE_NS.unsigned_abs());
    let (mut others, mut minutes, mut common_ns) = (0_usize, 0_usize, 0_u64);
    for pair in ts_ns.windows(2) {
        if !divisor.divides(pair[1].abs_diff(pair[0])) {
            others += 1;
        } else if pair[0] < pair[1] {
            minutes += 1;
            common_ns = with_step(common_ns, pair);
        }
    }
    match minutes {
        _ if minutes < others => SECOND_NS,
        STEPS_TELLING.. => at_most_a_day(common_ns),
        _ => MINUTE_NS,
    }
}

fn at_most_a_day(interval_ns: u64) -> i64 {
    if interval_ns > DAY_NS { MINUTE_NS } else { interval_ns.cast_signed() }
}

/// What divides steps of whole minutes, one more among them.
fn with_step(common_ns: u64, pair: &[i64]) -> u64 {
    if common_ns == MINUTE_NS.unsigned_abs() { common_ns } else { common_divisor(pair[1].abs_diff(pair[0]), common_ns) }
}

/// The greatest number that divides both; the one if the other is 0.
const fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(stamps: impl IntoIterator<Item = i64>) -> i64 {
        told_interval(&stamps.into_iter().collect::<Vec<_>>()).0
    }

    #[test]
    fn steps_tell_the_interval() {
        assert_eq!(told([]), MINUTE_NS);
        assert_eq!(told([MINUTE_NS]), MINUTE_NS);
        assert_eq!(told([SECOND_NS]), SECOND_NS);
        assert_eq!(told((0..390).map(|minute| minute * MINUTE_NS)), MINUTE_NS);
        assert_eq!(told((0..3_600).step_by(11).map(|second| second * SECOND_NS)), SECOND_NS);
        assert_eq!(told((0..21).map(|bar| bar * 5 * MINUTE_NS)), 5 * MINUTE_NS);
        assert_eq!(told((0..20).map(|bar| bar * 5 * MINUTE_NS)), MINUTE_NS);
        assert_eq!(told((0..30).map(|day| day * 2 * DAY_NS.cast_signed())), MINUTE_NS);
        assert_eq!(told([0, 30 * SECOND_NS, 150 * SECOND_NS]), MINUTE_NS, "as many whole minutes as others");
    }

    proptest! {
        #[test]
        fn ticked_off_or_sorted_stamps_ascend(
            seconds in prop::collection::vec(-9_000..9_000_i64, 1..400), odd in prop_oneof![4 => Just(0), 1 => Just(1)]
        ) {
            let mut stamps: Vec<i64> = seconds.iter().map(|second| second * SECOND_NS + 5).collect();
            stamps[0] += odd;
            let mut slow = stamps.clone();
            slow.sort_unstable();
            slow.dedup();
            let mut told = ascending(&stamps);
            told.dedup();
            prop_assert_eq!(told, slow);
        }

        #[test]
        fn stamps_tell_the_same_in_any_order(
            steps in prop_oneof![
                3 => prop::collection::vec(prop_oneof![0..4_i64, Just(60), Just(120), Just(300), 0..1_000_i64], 0..60),
                1 => (0..1_000_i64, 18..24_usize).prop_map(|(step, steps)| vec![step; steps]),
            ],
            unit_ns in prop_oneof![Just(SECOND_NS), Just(MINUTE_NS), Just(7 * MINUTE_NS)],
            first in prop_oneof![Just(0), Just(17 * SECOND_NS)], turned in any::<prop::sample::Index>()
        ) {
            let stamps: Vec<i64> =
                steps.iter().scan(first, |ts, step| { *ts += step * unit_ns; Some(*ts) }).collect();
            let steps: Vec<i64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).filter(|&step| step > 0).collect();
            let minutes: Vec<i64> = steps.iter().copied().filter(|step| step % MINUTE_NS == 0).collect();
            let divides_all = |unit: &i64| minutes.iter().all(|step| step % (unit * MINUTE_NS) == 0);
            let slow = match (stamps.first(), steps.len()) {
                (Some(ts), 0) if ts % MINUTE_NS != 0 => SECOND_NS,
                (_, all) if 2 * minutes.len() < all => SECOND_NS,
                _ if minutes.len() < STEPS_TELLING => MINUTE_NS,
                _ => (1..=7_000).rev().find(divides_all).filter(|&unit| unit <= 1_440).unwrap_or(1) * MINUTE_NS,
            };
            let (interval_ns, like) = told_interval(&stamps);
            prop_assert_eq!(interval_ns, slow);
            prop_assert_eq!(like, crate::steps::steps(&stamps, slow));
            let mut other = stamps;
            let turned = turned.index(other.len() + 1);
            other.rotate_left(turned);
            other[..turned].reverse();
            prop_assert_eq!(told_interval(&other).0, slow);
        }
    }
}
