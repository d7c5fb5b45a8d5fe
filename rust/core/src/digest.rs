//! A fingerprint of what was delivered, in order (C8).
//!
//! Every event has a 64-bit hash of its key and payload: the sum (wrapping) of folded products of pairs of words,
//! where `fold(a, b)` is the upper half of the 128-bit product `a * b` xor its lower half. The digest is the sum
//! (wrapping) of `fold(hash ^ place * STEP, PLACED)` over the events, where the place of the first event is 1: an event
//! counts by what it is and by where it stands, and parts of a stream can be summed apart from each other. Prices enter by their bits (-0 as 0, one NaN), whole
//! volumes and sizes as integers, a derived bar's counts as present-or-filled and expected. Marks of origin, revision
//! and catch-up do not enter.

use crate::key::TapeKey;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const PLACED: u64 = 0xd6e8_feb8_6659_fd93;
const WORDS: [u64; 8] = [
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
    0x8ebc_6af0_9c88_c6e3,
    0x5899_65cc_7537_4cc3,
    0x1d8e_4e27_c47d_124f,
    0xeb44_acca_b455_d165,
    0x2f7e_a5c9_3b1d_6e83,
    0xc2b2_ae3d_27d4_eb4f,
];

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

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// The hash of an event at its place in the stream; `place` counts from 0.
pub fn placed_hash(place: u64, event: u64) -> u64 {
    fold(event ^ place.wrapping_add(1).wrapping_mul(STEP), PLACED)
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

/// The hash of an event without its numbers: its tape, its stamp, when it is known, and its counts.
pub fn event_hash(tape: u64, ts_ns: i64, at_ns: i64, counts: u64) -> u64 {
    stamp_hash(tape, ts_ns).wrapping_add(known_hash(at_ns, counts))
}

/// The part of [`event_hash`] that tape and stamp have.
pub fn stamp_hash(tape: u64, ts_ns: i64) -> u64 {
    fold(tape ^ WORDS[0], ts_ns as u64 ^ WORDS[1])
}

/// The other part of [`event_hash`].
pub fn known_hash(at_ns: i64, counts: u64) -> u64 {
    fold(at_ns as u64 ^ WORDS[2], counts ^ WORDS[3])
}

/// The hash of a pair of number words; `pair` is their place in the row.
pub fn pair_hash(pair: usize, first: u64, second: u64) -> u64 {
    let place = (2 * pair + 4) % WORDS.len();
    fold(first ^ WORDS[place] ^ pair as u64, second ^ WORDS[place + 1])
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

/// The word of a volume or size: the integer if it is whole, else its bits.
pub fn size_word(size: f64) -> u64 {
    if (0.0..INTEGERS).contains(&size) {
        let rounded = size + INTEGERS; // several times as fast as a conversion that saturates
        if rounded - INTEGERS == size {
            return rounded.to_bits() ^ INTEGERS.to_bits();
        }
    }
    let whole = size as i64;
    if whole as f64 == size { whole as u64 } else { price_word(size) }
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
    fn every_word_of_an_event_counts() {
        let key = |symbol: &str| TapeKey { kind: Kind::Trade, interval_ns: 0, symbol: symbol.into() };
        let tape = tape_hash(&key("IBM"));
        let hashes = [
            event_hash(tape, 1, 2, 3),
            event_hash(tape_hash(&key("AIG")), 1, 2, 3),
            event_hash(tape, 2, 2, 3),
            event_hash(tape, 1, 3, 3),
            event_hash(tape, 1, 2, 4),
            event_hash(tape, 1, 2, 3).wrapping_add(pair_hash(0, 1, 2)),
            event_hash(tape, 1, 2, 3).wrapping_add(pair_hash(0, 2, 1)),
            event_hash(tape, 1, 2, 3).wrapping_add(pair_hash(2, 1, 2)),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[index + 1..].contains(hash), "{index}");
        }
    }
}
