//! The life of a session as one state machine. Whether the run goes on, pauses or stops is another matter.

use crate::error::{Error, Result};
use crate::loaded::Loaded;
use crate::mark::Mark;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Its rows are read, gaps filled, derived bars made; while another session plays, or while the consumer waits.
    #[default]
    Load,
    /// It is taken up: `now` is its open, nothing is delivered yet.
    Open,
    /// What was known before a start within the session is delivered.
    CatchUp,
    /// It plays.
    Active,
    /// Its close is delivered; rows after hours may follow.
    Closing,
    /// Its ledger is checked.
    Settled,
    /// The next session follows: the only jump of `now`.
    Roll,
    /// No session follows.
    Done,
}

impl Phase {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Open => "open",
            Self::CatchUp => "catch-up",
            Self::Active => "active",
            Self::Closing => "closing",
            Self::Settled => "settled",
            Self::Roll => "roll",
            Self::Done => "done",
        }
    }

    /// Where a session stands that is being played: it follows from the last event taken.
    pub fn at(mark: &Mark, loaded: &Loaded) -> Self {
        if !mark.has_begun() {
            Self::Open
        } else if mark.has_closed(loaded) {
            Self::Closing
        } else if mark.now_ns < loaded.catch_up_until_ns {
            Self::CatchUp
        } else {
            Self::Active
        }
    }
}

/// Every step that there is, and what makes it.
pub const STEPS: [(Phase, Phase, &str); 17] = [
    (Phase::Load, Phase::Open, "the session is ready and the one before is settled"),
    (Phase::Load, Phase::Done, "there is no session, or the run was stopped while it waited"),
    (Phase::Open, Phase::CatchUp, "the first event was known before the start"),
    (Phase::Open, Phase::Active, "the first event"),
    (Phase::Open, Phase::Closing, "all of the session was taken as one batch"),
    (Phase::Open, Phase::Settled, "the run ends before the first event"),
    (Phase::CatchUp, Phase::Active, "the first event known at the start or later"),
    (Phase::CatchUp, Phase::Closing, "the rest of the session was taken as one batch"),
    (Phase::CatchUp, Phase::Settled, "the run ends during catch-up"),
    (Phase::Active, Phase::Closing, "the session's close, grace included"),
    (Phase::Active, Phase::Settled, "the run ends before the close"),
    (Phase::Closing, Phase::Settled, "the last event of the session was taken"),
    (Phase::Settled, Phase::Roll, "another session follows"),
    (Phase::Settled, Phase::Done, "it was the last session, or the run was stopped"),
    (Phase::Roll, Phase::Load, "the next session is asked for"),
    (Phase::Roll, Phase::Done, "the run was stopped"),
    (Phase::Done, Phase::Done, "a stop after the end changes nothing"),
];

/// A session's way through the phases.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lifecycle(Phase);

impl Lifecycle {
    /// Where it stands.
    pub const fn phase(&self) -> Phase {
        self.0
    }

    /// Goes to another phase. Staying is no step.
    ///
    /// # Errors
    /// [`Error::PhaseStep`]: our own fault.
    pub fn go(&mut self, to: Phase) -> Result<()> {
        let from = self.0;
        if from != to && !STEPS.iter().any(|&(start, end, _)| start == from && end == to) {
            return Err(Error::PhaseStep { from: from.name(), to: to.name() });
        }
        self.0 = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;
    use crate::loaded::Hours;
    use crate::loaded::tests::{MINUTE, loaded, tapes};

    #[test]
    fn a_session_goes_through_its_phases_by_what_was_taken() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10, 11, 12])]);
        let mut day = loaded(&tapes, Hours::Regular, &[]);
        day.catch_up_until_ns = 12 * MINUTE;
        let close = day.tapes.iter().position(|tape| tape.key.kind == Kind::SessionClose).expect("a close");
        let mut lifecycle = Lifecycle::default();
        for (mark, phase) in [
            (Mark::start(10 * MINUTE), Phase::Open),
            (Mark::after(11 * MINUTE, 0, 0, true), Phase::CatchUp),
            (Mark::after(12 * MINUTE, 0, 1, true), Phase::Active),
            (Mark::after(day.session.closing_ns(), close, 0, true), Phase::Closing),
        ] {
            assert_eq!(Phase::at(&mark, &day), phase);
            assert_eq!(lifecycle.go(phase), Ok(()));
        }
        assert!(matches!(lifecycle.go(Phase::Active), Err(Error::PhaseStep { from: "closing", to: "active" })));
        for phase in [Phase::Settled, Phase::Roll, Phase::Load, Phase::Open] {
            assert_eq!(lifecycle.go(phase), Ok(()));
        }
    }

    #[test]
    fn every_phase_can_be_reached_and_none_but_the_last_is_an_end() {
        let mut reached = vec![Phase::Load];
        for _ in 0..STEPS.len() {
            for (from, to, _) in STEPS {
                if reached.contains(&from) && !reached.contains(&to) {
                    reached.push(to);
                }
            }
        }
        assert_eq!(reached.len(), 8);
        assert!(reached.iter().all(|&phase| STEPS.iter().any(|&(from, _, _)| from == phase)));
    }
}
