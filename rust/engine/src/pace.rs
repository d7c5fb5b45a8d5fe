//! When events are due. The clock is a deadline, not a thread: at speed 0 all is due at once; at speed s an event is
//! due at `anchor_wall + (available_at - anchor_time) / s`. Whoever waits does so on a condition that every command
//! signals.

use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};
use crate::wall::{MachineWall, Wall};
use std::time::Duration;

/// Whether events may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// They may.
    Running,
    /// Not until resumed.
    Paused,
    /// Never again.
    Stopped,
}

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The event is due, and with it all that are known up to this backtest time.
    Due(i64),
    /// The longest wait passed first.
    NotYet,
    /// The replay was stopped.
    Stopped,
}

#[derive(Debug)]
struct State {
    run: Run,
    speed: f64,
    anchor_wall: Duration,
    /// Backtest time at the anchor; `None` until the first event is waited for.
    anchor_ns: Option<i64>,
}

/// The pace of one replay: shared by the consumer, who waits, and by whoever gives commands.
#[derive(Debug)]
pub struct Pace<W: Wall = MachineWall> {
    wall: W,
    state: Mutex<State>,
    changed: Condvar,
}

impl State {
    /// Backtest time up to which events are due, at a moment of the wall clock.
    fn due_ns(&self, wall: Duration) -> i64 {
        match self.anchor_ns {
            _ if self.speed == 0.0 => i64::MAX,
            None => i64::MIN,
            Some(anchor_ns) if self.run == Run::Paused => anchor_ns,
            Some(anchor_ns) => {
                let passed_ns = wall.saturating_sub(self.anchor_wall).as_nanos() as f64 * self.speed;
                anchor_ns.saturating_add(passed_ns as i64)
            }
        }
    }

    /// Starts to count from here, so that a change of pace moves nothing that was due or not.
    fn anchor(&mut self, wall: Duration) {
        let due_ns = self.due_ns(wall);
        if self.speed > 0.0 && due_ns != i64::MIN {
            self.anchor_ns = Some(due_ns);
        }
        self.anchor_wall = wall;
    }

    fn wall_until(&self, at_ns: i64, wall: Duration) -> Duration {
        let away_ns = at_ns.saturating_sub(self.due_ns(wall)).max(0) as f64 / self.speed;
        Duration::try_from_secs_f64(away_ns / 1e9).unwrap_or(Duration::MAX)
    }
}

impl Pace {
    /// A pace of `speed` times real time; 0 for as fast as events are taken.
    pub fn new(speed: f64) -> Self {
        Self::by(MachineWall::default(), speed)
    }
}

impl<W: Wall> Pace<W> {
    /// A pace by another clock.
    pub fn by(wall: W, speed: f64) -> Self {
        let state = State { run: Run::Running, speed, anchor_wall: wall.now(), anchor_ns: None };
        Self { wall, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn command(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        state.anchor(self.wall.now());
        change(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    /// Whether events may be taken.
    pub fn run(&self) -> Run {
        self.lock().run
    }

    /// Times real time; 0 for as fast as events are taken.
    pub fn speed(&self) -> f64 {
        self.lock().speed
    }

    /// Changes the speed from here on.
    pub fn set_speed(&self, speed: f64) {
        let due = |state: &mut State| {
            if state.speed == 0.0 {
                state.anchor_ns = None;
            }
            state.speed = speed;
        };
        self.command(due);
    }

    /// Holds all events back.
    pub fn pause(&self) {
        self.command(|state| {
            if state.run == Run::Running {
                state.run = Run::Paused;
            }
        });
    }

    /// Goes on with the next event.
    pub fn resume(&self) {
        self.command(|state| {
            if state.run == Run::Paused {
                state.run = Run::Running;
            }
        });
    }

    /// Ends the replay; whoever waits is woken.
    pub fn stop(&self) {
        self.command(|state| state.run = Run::Stopped);
    }

    /// Counts from this backtest time on: the start of a session, or of the time after catch-up.
    pub fn start_at(&self, at_ns: i64) {
        self.command(|state| state.anchor_ns = Some(at_ns));
    }

    /// Backtest time up to which events are due now; `i64::MAX` at speed 0.
    pub fn due_ns(&self) -> i64 {
        self.lock().due_ns(self.wall.now())
    }

    /// Waits until an event known at `at_ns` is due, a command ends the replay, or `at_most` has passed.
    pub fn wait(&self, at_ns: i64, at_most: Duration) -> Waited {
        let until = self.wall.now().saturating_add(at_most);
        let mut state = self.lock();
        loop {
            let wall = self.wall.now();
            let left = until.saturating_sub(wall);
            let away = match state.run {
                Run::Stopped => return Waited::Stopped,
                Run::Paused => left,
                Run::Running => {
                    if state.speed > 0.0 && state.anchor_ns.is_none() {
                        (state.anchor_ns, state.anchor_wall) = (Some(at_ns), wall);
                    }
                    let due_ns = state.due_ns(wall);
                    if at_ns <= due_ns {
                        return Waited::Due(due_ns);
                    }
                    left.min(state.wall_until(at_ns, wall))
                }
            };
            if left.is_zero() {
                return Waited::NotYet;
            }
            // A wait that rounds to nothing would spin.
            state = wait(&self.changed, state, away.max(Duration::from_micros(1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn at_speed_0_all_is_due() {
        assert_eq!(Pace::new(0.0).wait(i64::MAX, NOW), Waited::Due(i64::MAX));
    }

    #[test]
    fn at_a_speed_the_first_event_is_due_and_a_far_one_is_not() {
        let pace = Pace::new(1.0);
        assert!(matches!(pace.wait(SECOND, NOW), Waited::Due(due) if due >= SECOND));
        assert_eq!(pace.wait(3600 * SECOND, NOW), Waited::NotYet);
        pace.set_speed(0.0);
        assert_eq!(pace.wait(3600 * SECOND, NOW), Waited::Due(i64::MAX));
    }

    #[test]
    fn nothing_is_due_while_paused_and_nothing_is_skipped_after() {
        let pace = Pace::new(1.0);
        assert!(matches!(pace.wait(SECOND, NOW), Waited::Due(_)));
        pace.pause();
        let due_ns = pace.due_ns();
        assert_eq!(pace.wait(SECOND, NOW), Waited::NotYet);
        assert_eq!(pace.due_ns(), due_ns);
        pace.resume();
        assert!(matches!(pace.wait(SECOND, NOW), Waited::Due(_)));
    }

    #[test]
    fn a_stop_wakes_whoever_waits_and_is_final() {
        let pace = Pace::new(1.0);
        pace.wait(SECOND, NOW);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pace.wait(3600 * SECOND, Duration::from_secs(3600)));
            pace.stop();
            assert_eq!(waiting.join().expect("the waiting thread ends"), Waited::Stopped);
        });
        pace.resume();
        assert_eq!(pace.run(), Run::Stopped);
    }
}
