//! Division by a step that stays the same, where nothing may be left over: a multiplication, and no branch.
//!
//! A multiple of an odd number, times the inverse of that number modulo 2^64, is the quotient; every other product is
//! greater than any quotient can be. A power of two beside it is shifted out, and what does not divide lands in the highest
//! bits. (Warren, Hacker's Delight, 10-17: Test for zero remainder after division by a constant.)

/// Divides by a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Divisor {
    inverse: u64,
    twos: u32,
    quotient_max: u64,
}

impl Divisor {
    /// The step is not 0.
    pub(crate) fn new(step: u64) -> Self {
        let twos = step.trailing_zeros();
        let odd = step >> twos;
        // An odd number is its own inverse modulo 8; each turn doubles the bits that are right: 3, 6, 12, 24, 48, 96.
        let better = |inverse: u64, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        Self { inverse: (0..5).fold(odd, better), twos, quotient_max: u64::MAX / step }
    }

    /// The quotient of a multiple of the step; for anything else a number that is none, see [`Self::is_quotient`].
    pub(crate) const fn quotient(self, ns: u64) -> u64 {
        ns.wrapping_mul(self.inverse).rotate_right(self.twos)
    }

    /// Whether [`Self::quotient`] told the quotient of a multiple.
    pub(crate) const fn is_quotient(self, quotient: u64) -> bool {
        quotient <= self.quotient_max
    }

    /// Whether the step divides it.
    pub(crate) const fn divides(self, ns: u64) -> bool {
        self.is_quotient(self.quotient(ns))
    }
}

impl Default for Divisor {
    fn default() -> Self {
        Self::new(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_divisor_tells_what_a_division_does(
            step in prop_oneof![1..200_u64, Just(1_000_000_000), Just(60_000_000_000), Just(1 << 63), 1..u64::MAX],
            times in any::<u64>(), off in prop_oneof![Just(0), 0..4_u64, any::<u64>()]
        ) {
            let ns = (times % (u64::MAX / step)).wrapping_mul(step).wrapping_add(off);
            let (divisor, is_multiple) = (Divisor::new(step), ns.is_multiple_of(step));
            prop_assert_eq!(divisor.divides(ns), is_multiple);
            if is_multiple {
                prop_assert_eq!(divisor.quotient(ns), ns / step);
            }
        }
    }
}
