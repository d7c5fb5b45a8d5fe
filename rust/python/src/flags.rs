//! Marks of an event that are no part of its payload.

use backtape_core::key::Kind;
use backtape_core::loaded::{Hours, Loaded, LoadedTape, Part};

/// Marks as bits, the same as in the `flags` column of batches.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const DERIVED: u8 = 1;
    pub(crate) const FILLED: u8 = 2;
    pub(crate) const CATCH_UP: u8 = 4;
    pub(crate) const IRREGULAR: u8 = 8;
    pub(crate) const REVISED: u8 = 16;
    pub(crate) const FLAT: u8 = 32;

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    pub(crate) const fn origin(self) -> &'static str {
        if self.has(Self::DERIVED) {
            "derived"
        } else if self.has(Self::FILLED) {
            "fill"
        } else if self.has(Self::FLAT) {
            "flat"
        } else {
            "primary"
        }
    }

    /// The marks by tape, where all events of a tape from `first_ns` on have the same.
    pub(crate) fn by_tape(loaded: &Loaded, first_ns: Option<i64>) -> Option<Vec<u8>> {
        let by_row = |tape: &LoadedTape| tape.rows.filled.is_some() || tape.part == Part::Revised;
        let catch_up = first_ns.is_some_and(|first_ns| first_ns < loaded.catch_up_until_ns);
        if catch_up || loaded.hours == Hours::All || loaded.tapes.iter().any(by_row) {
            return None;
        }
        Some(loaded.tapes.iter().map(|tape| Self::of_part(tape.part)).collect())
    }

    const fn of_part(part: Part) -> u8 {
        match part {
            Part::Fed => 0,
            Part::Derived | Part::Revised => Self::DERIVED,
            Part::Filled => Self::FILLED,
            Part::Flat => Self::FLAT,
        }
    }

    /// The marks of an event of a session.
    pub(crate) fn of(loaded: &Loaded, tape: usize, row: usize, at_ns: i64) -> Self {
        let own = &loaded.tapes[tape];
        let mut bits = Self::of_part(own.part);
        if own.revisions.as_ref().is_some_and(|revisions| revisions[row] > 0) {
            bits |= Self::REVISED;
        }
        if own.rows.is_filled(row) {
            bits |= Self::FILLED;
        }
        if at_ns < loaded.catch_up_until_ns {
            bits |= Self::CATCH_UP;
        }
        if loaded.hours == Hours::All && Kind::ROWS.contains(&own.key.kind) && !own.is_regular(row) {
            bits |= Self::IRREGULAR;
        }
        Self(bits)
    }
}
