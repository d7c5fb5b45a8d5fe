//! The interval of bars, told by their stamps.

use crate::divisor::Divisor;
use crate::steps::{Steps, steps};

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
    // A step of one minute tells it all: nothing longer can divide it. Most tables are full of them.
    let mostly_minutes = beside_minutes.equal > 0 && ts_ns.len() - 1 <= 2 * beside_minutes.equal;
    let interval_ns = if mostly_minutes && !beside_minutes.falls {
        MINUTE_NS
    } else if beside_minutes.falls {
        let mut ascending = ts_ns.to_vec();
        ascending.sort_unstable();
        interval_of(&ascending)
    } else {
        interval_of(ts_ns)
    };
    (interval_ns, if interval_ns == MINUTE_NS { beside_minutes } else { steps(ts_ns, interval_ns) })
}

fn interval_of(ascending_ns: &[i64]) -> i64 {
    let (divisor, minute_ns) = (Divisor::new(MINUTE_NS.unsigned_abs()), MINUTE_NS.unsigned_abs());
    let (mut others, mut minutes, mut common_ns) = (0_usize, 0_usize, 0_u64);
    for pair in ascending_ns.windows(2) {
        let step_ns = pair[1].abs_diff(pair[0]);
        if !divisor.divides(step_ns) {
            others += 1;
        } else if step_ns > 0 {
            minutes += 1;
            if common_ns != minute_ns {
                common_ns = common_divisor(step_ns, common_ns);
            }
        }
    }
    if others + minutes == 0 {
        return if ascending_ns.first().is_none_or(|ts_ns| ts_ns % MINUTE_NS == 0) { MINUTE_NS } else { SECOND_NS };
    }
    if minutes < others {
        return SECOND_NS;
    }
    if minutes < STEPS_TELLING || common_ns > DAY_NS { MINUTE_NS } else { common_ns.cast_signed() }
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
        fn stamps_tell_the_same_in_any_order(
            steps in prop::collection::vec(prop_oneof![0..4_i64, Just(60), Just(120), Just(300), 0..1_000_i64], 0..60),
            turned in any::<prop::sample::Index>()
        ) {
            let stamps: Vec<i64> =
                steps.iter().scan(0, |ts, step| { *ts += step * SECOND_NS; Some(*ts) }).collect();
            let steps: Vec<i64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).filter(|&step| step > 0).collect();
            let minutes: Vec<i64> = steps.iter().copied().filter(|step| step % MINUTE_NS == 0).collect();
            let divides_all = |unit: &i64| minutes.iter().all(|step| step % (unit * MINUTE_NS) == 0);
            let slow = match (stamps.first(), steps.len()) {
                (Some(ts), 0) if ts % MINUTE_NS != 0 => SECOND_NS,
                (_, all) if 2 * minutes.len() < all => SECOND_NS,
                _ if minutes.len() < STEPS_TELLING => MINUTE_NS,
                _ => (1..=1_440).rev().find(divides_all).unwrap_or(1) * MINUTE_NS,
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
