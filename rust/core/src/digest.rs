//! A fingerprint of what was delivered, in order (C8).
//!
//! `mix(word)` is the product of a word's two halves, plus the word with its halves exchanged (wrapping): processors do it
//! for several words at a time. The hash of an event is the sum of `mix(word ^ key)` over its words, each with a key
//! of its own: stamp and tape, when it is known, its counts, its numbers. The digest is the sum of
//! `mix(hash ^ place * STEP)` over the events, where the place of the first event is 1: an event counts by what it is
//! and by where it stands, and parts of a stream can be summed apart from each other. Prices enter by their bits (-0 as
//! 0, one NaN), whole volumes and sizes as integers, a derived bar's counts as present-or-filled and expected. Marks
//! of origin, revision and catch-up do not enter.

use crate::key::{COLUMNS_MAX, TapeKey};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const KNOWN: u64 = 0xa076_1d64_78bd_642f;
const COUNTS: u64 = 0xe703_7ed1_a0b4_28db;
const NUMBERS: [u64; COLUMNS_MAX] =
    [0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3, 0x1d8e_4e27_c47d_124f, 0xeb44_acca_b455_d165, 0x2f7e_a5c9_3b1d_6e83];

/// The digest of the events so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(u64);

impl Digest {
    /// Adds events by their placed hashes.
    #[must_use]
    pub fn and(self, placed: &[u64]) -> Self {
        Self(placed.iter().fold(self.0, |sum, &hash| sum.wrapping_add(hash)))
    }

    /// The digest as 16 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

fn mix(word: u64) -> u64 {
    let turned = word.rotate_left(32);
    let halves = (word & u64::from(u32::MAX)).wrapping_mul(turned & u64::from(u32::MAX));
    halves.wrapping_add(turned)
}

/// The hash of an event at its place in the stream; `place` counts from 0.
pub fn placed_hash(place: u64, event: u64) -> u64 {
    placed_sum(place, &[event])
}

/// The sum of the hashes of events that follow each other, at their places from `first` on.
pub(crate) fn placed_sum(first: u64, events: &[u64]) -> u64 {
    let (mut sum, mut place) = (0_u64, first.wrapping_add(1).wrapping_mul(STEP));
    for event in events {
        sum = sum.wrapping_add(mix(event ^ place));
        place = place.wrapping_add(STEP);
    }
    sum
}

/// The hash of a tape's key: FNV-1a of its words and the symbol's bytes.
pub fn tape_hash(key: &TapeKey) -> u64 {
    let words = [key.kind as u8].into_iter().chain(key.interval_ns.to_le_bytes());
    bytes_hash(words.chain(key.symbol.bytes()))
}

/// FNV-1a, 64 bits.
pub fn bytes_hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What tape and stamp add to the hash of an event.
pub fn stamp_hash(tape: u64, ts_ns: i64) -> u64 {
    mix(tape ^ ts_ns as u64)
}

/// What the time at which it is known adds.
pub fn known_hash(at_ns: i64) -> u64 {
    mix(at_ns as u64 ^ KNOWN)
}

/// What its counts add.
pub fn counts_hash(counts: u64) -> u64 {
    mix(counts ^ COUNTS)
}

/// What a number adds. `column`: its place in the row.
pub fn number_hash(column: usize, word: u64) -> u64 {
    mix(word ^ NUMBERS[column])
}

/// The word of a price: its bits, with one zero and one NaN.
pub fn price_word(price: f64) -> u64 {
    if price.is_nan() { f64::NAN.to_bits() } else { (price + 0.0).to_bits() }
}

/// The word of a price that is a number for sure: the same as [`price_word`].
pub fn finite_word(price: f64) -> u64 {
    (price + 0.0).to_bits()
}

/// From here on up to twice of it, doubles are the integers.
const INTEGERS: f64 = (1_u64 << 52) as f64;

/// Whether [`small_size_word`] is the word of a size.
pub fn is_small_size(size: f64) -> bool {
    (0.0..INTEGERS).contains(&size)
}

/// The word of a volume or size: the integer if it is whole, else its bits.
pub fn size_word(size: f64) -> u64 {
    let whole = size as i64;
    if whole as f64 == size { whole as u64 } else { price_word(size) }
}

/// The same of a size for which [`is_small_size`] holds: several times as fast as a conversion that saturates.
pub fn small_size_word(size: f64) -> u64 {
    let rounded = size + INTEGERS;
    if rounded - INTEGERS == size { rounded.to_bits() ^ INTEGERS.to_bits() } else { size.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn digest(events: &[u64]) -> String {
        let placed = events.iter().enumerate().map(|(place, &event)| placed_hash(place as u64, event));
        Digest::default().and(&placed.collect::<Vec<_>>()).hex()
    }

    #[test]
    fn order_repetition_and_absence_can_be_seen() {
        let seen =
            [digest(&[1, 2, 3]), digest(&[2, 1, 3]), digest(&[1, 2]), digest(&[1, 2, 3, 3]), digest(&[0]), digest(&[])];
        for (index, one) in seen.iter().enumerate() {
            assert!(!seen[index + 1..].contains(one), "{seen:?}");
        }
    }

    #[test]
    fn parts_of_a_stream_can_be_summed_apart() {
        let placed: Vec<u64> = (0..9).map(|place| placed_hash(place, place % 4)).collect();
        let whole = Digest::default().and(&placed);
        assert_eq!(Digest::default().and(&placed[..5]).and(&placed[5..]), whole);
        let events: Vec<u64> = (0..9).map(|place| place % 4).collect();
        assert_eq!(Digest::default().and(&[placed_sum(0, &events[..5]), placed_sum(5, &events[5..])]), whole);
    }

    #[test]
    fn a_zero_has_no_sign_and_a_nan_no_payload() {
        assert_eq!(price_word(-0.0), price_word(0.0));
        assert_eq!([-0.0, 1.5, -3.0].map(finite_word), [0.0, 1.5, -3.0].map(price_word));
        assert_eq!(price_word(f64::from_bits(0x7ff8_0000_0000_0001)), price_word(f64::NAN));
        assert_ne!(price_word(1.0), price_word(1.000_000_000_000_000_2));
        assert_eq!(size_word(100.0), 100);
        assert_eq!(size_word(-0.0), 0);
        assert_ne!(size_word(0.5), size_word(0.25));
    }

    #[test]
    fn a_whole_size_is_the_integer_whatever_its_magnitude() {
        for whole in [0, 1, 100, (1 << 52) - 1, 1 << 52, (1 << 53) + 2, 1 << 62] {
            assert_eq!(size_word(whole as f64), whole);
        }
        for broken in [0.5, 99.99, (1_u64 << 51) as f64 + 0.5, 1e300, f64::INFINITY] {
            assert_eq!(size_word(broken), broken.to_bits());
        }
        assert_eq!(size_word(-3.0), (-3_i64).cast_unsigned());
        assert_eq!(size_word(f64::NAN), f64::NAN.to_bits());
    }

    #[test]
    fn a_small_size_has_the_same_word() {
        let below = f64::from_bits(INTEGERS.to_bits() - 1);
        for small in [0.0, -0.0, 0.25, 1.0, 99.99, 1e-300, (1_u64 << 51) as f64 + 0.5, below] {
            assert!(is_small_size(small));
            assert_eq!(small_size_word(small), size_word(small), "{small}");
        }
        for other in [-1.0, -1e-300, INTEGERS, f64::INFINITY, f64::NAN] {
            assert!(!is_small_size(other), "{other}");
        }
    }

    #[test]
    fn every_word_of_an_event_counts() {
        let key = |symbol: &str| TapeKey { kind: Kind::Trade, interval_ns: 0, symbol: symbol.into() };
        let tape = tape_hash(&key("IBM"));
        let event = |tape: u64, ts_ns: i64, at_ns: i64, counts: u64, numbers: [u64; 2]| {
            let [first, second] = [0, 1].map(|column| number_hash(column, numbers[column]));
            let key = stamp_hash(tape, ts_ns).wrapping_add(known_hash(at_ns)).wrapping_add(counts_hash(counts));
            key.wrapping_add(first).wrapping_add(second)
        };
        let hashes = [
            event(tape, 1, 2, 3, [0, 0]),
            event(tape_hash(&key("AIG")), 1, 2, 3, [0, 0]),
            event(tape, 2, 2, 3, [0, 0]),
            event(tape, 2, 1, 3, [0, 0]),
            event(tape, 1, 3, 3, [0, 0]),
            event(tape, 1, 2, 4, [0, 0]),
            event(tape, 1, 2, 3, [1, 2]),
            event(tape, 1, 2, 3, [2, 1]),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[index + 1..].contains(hash), "{index}");
        }
    }
}
