//! `Player`: plays loaded sessions one after the other, at its pace.

use crate::batch_form::BatchForm;
use crate::chunk::Chunk;
use crate::enter::Enter;
use crate::errors::plain;
use crate::history::History;
use crate::ledger::Ledger;
use crate::planner::Planner;
use crate::progress::{Due, Progress, SessionFacts, Shared};
use crate::reused::Reused;
use crate::session::LoadedSession;
use crate::symbol_data::SymbolData;
use crate::tape_names::TapeNames;
use backtape_core::account::Quality;
use backtape_core::lifecycle::{Lifecycle, Phase, STEPS};
use backtape_core::loaded::Loaded;
use backtape_engine::pace::{Run, Waited};
use pyo3::prelude::*;
use pyo3_arrow::PySchema;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often a wait looks up to hear Ctrl-C. Progress never needs it.
const LISTEN: Duration = Duration::from_millis(50);

/// Plays loaded sessions one after the other, at its pace. One consumer takes events; any thread may read and command.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct Player {
    shared: Arc<Shared>,
    plan: Mutex<Plan>,
    planner: Planner,
    form: Arc<BatchForm>,
    zone: Py<PyAny>,
}

#[derive(Default)]
struct Plan {
    lifecycle: Lifecycle,
    facts: Option<Arc<SessionFacts>>,
    /// Counts from here on at the next wait.
    start_ns: Option<i64>,
}

impl Player {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window that still has events, or the next one; `None` at the end of the session.
    fn next_progress(&self, rows: usize) -> Option<Arc<Progress>> {
        let mut plan = self.plan();
        let facts = plan.facts.clone()?;
        let current = self.shared.progress().filter(|progress| Arc::ptr_eq(&progress.facts, &facts));
        if let Some(unfinished) = current.filter(|progress| progress.taken() < progress.len()) {
            return Some(unfinished);
        }
        let window = self.planner.window(rows)?;
        if let Some(start_ns) = plan.start_ns.take() {
            self.shared.turnstile.pace.start_at(window.order.at_ns[0].max(start_ns));
        }
        let before = self.shared.progress();
        let progress = Arc::new(Progress::new(window, facts, before.as_deref()));
        self.shared.install(Arc::clone(&progress));
        Some(progress)
    }

    /// Goes to the phase that the consumer's mark stands for.
    fn observe(plan: &mut Plan, progress: Option<&Progress>) -> backtape_core::error::Result<()> {
        let (Some(facts), Some(progress)) = (&plan.facts, progress) else {
            return Ok(());
        };
        if Arc::ptr_eq(&progress.facts, facts) {
            plan.lifecycle.go(Phase::at(&progress.mark(), &progress.window.loaded))?;
        }
        Ok(())
    }

    /// Ends the session at the consumer's mark, if one was begun.
    fn settle(&self) -> backtape_core::error::Result<()> {
        let (mut plan, progress) = (self.plan(), self.shared.progress());
        Self::observe(&mut plan, progress.as_deref())?;
        let Some(facts) = plan.facts.take() else {
            return Ok(());
        };
        let Some(progress) = progress.filter(|progress| Arc::ptr_eq(&progress.facts, &facts)) else {
            return plan.lifecycle.go(Phase::Settled);
        };
        let settled = self.planner.settle(&progress.mark())?;
        plan.lifecycle.go(Phase::Settled)?;
        self.shared.settle(settled);
        Ok(())
    }
}

#[pymethods]
impl Player {
    /// `kinds`: the kinds that batches have columns for. `zone`: the exchange's time zone. `speed`: times real time, 0
    /// for as fast as events are taken.
    #[new]
    fn new(py: Python<'_>, kinds: Vec<String>, zone: Py<PyAny>, speed: f64) -> PyResult<Self> {
        let kinds = kinds.iter().map(|kind| crate::tapes::kind_of(py, kind)).collect::<PyResult<_>>()?;
        let form = Arc::new(BatchForm::new(kinds));
        Ok(Self {
            shared: Arc::new(Shared::new(speed)),
            plan: Mutex::default(),
            planner: Planner::default(),
            form,
            zone,
        })
    }

    /// Says which sessions come next, after all that were begun or foreseen: the first events of each, about `rows` of
    /// them, are planned meanwhile.
    fn foresee(&self, py: Python<'_>, loaded: Vec<Bound<'_, LoadedSession>>, rows: usize) {
        let next: Vec<_> = loaded.iter().map(|session| Arc::clone(&session.get().loaded)).collect();
        py.out(|| {
            for loaded in next {
                self.planner.foresee(loaded, rows);
            }
        });
    }

    /// Takes up a session; the one before is settled. `history`: sessions before it, oldest first.
    fn begin(&self, py: Python<'_>, loaded: &LoadedSession, history: Vec<Bound<'_, LoadedSession>>) -> PyResult<()> {
        let names = match self.shared.progress() {
            Some(before) if same_keys(&before.window.loaded, &loaded.loaded) => before.facts.names.clone(),
            _ => TapeNames::of_session(py, &loaded.loaded, self.zone.bind(py))?,
        };
        let reused = Reused::new(py, &names)?;
        let history = History::new(history.iter().map(|session| Arc::clone(&session.get().loaded)).collect());
        let facts = Arc::new(SessionFacts {
            session: loaded.session.clone_ref(py),
            names,
            reused,
            history,
            keys: OnceLock::new(),
        });
        let day = &loaded.loaded;
        py.enter(|| {
            self.settle()?;
            let now_ns = self.shared.progress().map_or(day.session.open_ns(), |progress| progress.mark().now_ns);
            let mut plan = self.plan();
            if plan.lifecycle.phase() == Phase::Settled {
                plan.lifecycle.go(Phase::Roll)?;
                plan.lifecycle.go(Phase::Load)?;
            }
            self.planner.begin(Arc::clone(day), now_ns)?;
            plan.lifecycle.go(Phase::Open)?;
            plan.facts = Some(facts);
            plan.start_ns = Some(day.catch_up_until_ns);
            Ok(())
        })
    }

    /// Takes up the same session with more rows of fed tapes.
    fn grow(&self, py: Python<'_>, loaded: &LoadedSession) {
        let loaded = Arc::clone(&loaded.loaded);
        py.out(|| self.planner.grow(loaded));
    }

    /// The next events that are due, about `rows` of them, once they are; `None` at the end of the session, and when
    /// stopped. `whole`: wait until all of the chunk is due. `timer_ns`: when the next timer goes off; the chunk ends
    /// before it, and is empty when it is due.
    #[pyo3(signature = (rows, whole, timer_ns=None))]
    fn next_chunk(&self, py: Python<'_>, rows: usize, whole: bool, timer_ns: Option<i64>) -> PyResult<Option<Chunk>> {
        let mut progress = None;
        loop {
            // The interpreter is let go of once for all of it: another thread may take it meanwhile, and keep it for long.
            let due = py.enter(|| {
                if progress.is_none() {
                    self.shared.turnstile.tell();
                    progress = self.next_progress(rows);
                }
                Ok(progress
                    .as_deref()
                    .map_or(Due::Never, |progress| self.shared.wait_for(progress, whole, timer_ns, LISTEN)))
            })?;
            match due {
                Due::Now { is_timer } => {
                    return Ok(progress.map(|progress| Chunk { progress, form: Arc::clone(&self.form), is_timer }));
                }
                Due::NotYet => {}
                Due::Never => return Ok(None),
            }
        }
    }

    /// Waits until a timer is due that comes after all events of the session; `False` when stopped.
    fn wait_for_timer(&self, py: Python<'_>, at_ns: i64) -> PyResult<bool> {
        loop {
            match py.out(|| self.shared.turnstile.pace.wait(at_ns, LISTEN)) {
                Waited::Due(_) => return Ok(true),
                Waited::NotYet => py.check_signals()?,
                Waited::Stopped => return Ok(false),
            }
        }
    }

    /// A timer goes off: the time is `at_ns`.
    fn tick(&self, at_ns: i64) {
        if let Some(progress) = self.shared.progress() {
            progress.tick(at_ns);
        }
    }

    /// A timer was set for `at_ns` while a chunk is being taken: the chunk ends before it.
    fn limit(&self, at_ns: i64) {
        if let Some(progress) = self.shared.progress() {
            progress.limit(at_ns);
        }
    }

    /// How many events of the replay are committed.
    #[getter]
    fn committed(&self) -> u64 {
        self.shared.progress().map_or(0, |progress| progress.committed())
    }

    /// Waits until more than `seen` events are committed, or `seconds` have passed. Returns how many are, and whether
    /// more may come.
    fn wait_for_data(&self, py: Python<'_>, seen: u64, seconds: f64) -> PyResult<(u64, bool)> {
        let until =
            Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(u32::MAX.into()));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (committed, goes_on) = py.out(|| self.shared.turnstile.wait_for_data(seen, left.min(LISTEN)));
            if committed > seen || !goes_on || left.is_zero() {
                return Ok((committed, goes_on));
            }
            py.check_signals()?;
        }
    }

    /// Settles the last session where the consumer stands; nothing follows.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.out(|| self.shared.turnstile.end());
        py.enter(|| {
            self.settle()?;
            let mut plan = self.plan();
            self.planner.end();
            self.form.end();
            plan.lifecycle.go(Phase::Done)
        })
    }

    /// Where the session stands: "load", "open", "catch-up", "active", "closing", "settled", "roll" or "done".
    #[getter]
    fn phase(&self, py: Python<'_>) -> PyResult<&'static str> {
        py.enter(|| {
            let mut plan = self.plan();
            Self::observe(&mut plan, self.shared.progress().as_deref())?;
            Ok(plan.lifecycle.phase().name())
        })
    }

    /// Every step that a session can take: from, to, and what makes it.
    #[staticmethod]
    fn lifecycle() -> Vec<(&'static str, &'static str, &'static str)> {
        STEPS.iter().map(|(from, to, why)| (from.name(), to.name(), *why)).collect()
    }

    /// What is known of a symbol in the current session.
    fn data(&self, symbol: &str) -> SymbolData {
        SymbolData { shared: Arc::clone(&self.shared), symbol: symbol.into() }
    }

    /// Symbols of the current session, in order.
    fn symbols(&self) -> Vec<String> {
        let progress = self.shared.progress();
        progress
            .map_or_else(Vec::new, |progress| progress.window.loaded.symbols.keys().map(ToString::to_string).collect())
    }

    /// Backtest time, ns UTC; `None` before the first session was taken up.
    #[getter]
    fn now_ns(&self) -> Option<i64> {
        self.shared.progress().map(|progress| progress.mark().now_ns)
    }

    /// Backtest time that flows with the wall, never past the next event; for display. At speed 0 the same as `now_ns`.
    #[getter]
    fn clock_ns(&self) -> Option<i64> {
        let progress = self.shared.progress()?;
        let now_ns = progress.mark().now_ns;
        if self.shared.turnstile.pace.speed() == 0.0 {
            return Some(now_ns);
        }
        let next_ns = progress.window.order.at_ns.get(progress.taken()).copied().unwrap_or(now_ns);
        Some(self.shared.turnstile.pace.due_ns().min(next_ns).max(now_ns))
    }

    /// The session of the last window, as it was given.
    #[getter]
    fn session(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.progress().map(|progress| progress.facts.session.clone_ref(py))
    }

    /// Where every row went so far.
    #[getter]
    fn ledger(&self, py: Python<'_>) -> Ledger {
        Ledger(py.out(|| self.shared.account().ledger))
    }

    /// Base bars by symbol so far: (symbol, expected, present, present or filled, gaps).
    fn quality(&self, py: Python<'_>) -> Vec<(String, u64, u64, u64, u64)> {
        let quality = py.out(|| self.shared.account().quality);
        let row = |(symbol, own): (Arc<str>, Quality)| {
            (symbol.to_string(), own.slots.expected, own.slots.present, own.slots.present_or_filled, own.gaps)
        };
        quality.into_iter().map(row).collect()
    }

    /// The first rows that were rejected: (tape, reason).
    fn rejected(&self, py: Python<'_>) -> Vec<(String, String)> {
        let rejected = py.out(|| self.shared.account().rejected);
        rejected.into_iter().map(|(tape, fault)| (tape.to_string(), fault.to_string())).collect()
    }

    /// Sessions begun so far.
    #[getter]
    fn sessions_begun(&self, py: Python<'_>) -> u64 {
        py.out(|| self.shared.account().sessions)
    }

    /// Fingerprint of all events delivered so far, 16 hexadecimal digits.
    #[getter]
    fn digest(&self, py: Python<'_>) -> String {
        py.out(|| self.shared.digest().hex())
    }

    /// Times real time; 0 for as fast as events are taken.
    #[getter]
    fn speed(&self) -> f64 {
        self.shared.turnstile.pace.speed()
    }

    /// Changes the speed from here on.
    fn set_speed(&self, py: Python<'_>, speed: f64) -> PyResult<()> {
        if !(speed >= 0.0 && speed.is_finite()) {
            return Err(plain(py, "ConfigError", &format!("speed is {speed}: it must be 0 or a positive number")));
        }
        py.out(|| self.shared.turnstile.command(|pace| pace.set_speed(speed)));
        Ok(())
    }

    /// Holds all events back.
    fn pause(&self, py: Python<'_>) {
        py.out(|| self.shared.turnstile.command(backtape_engine::pace::Pace::pause));
    }

    /// Goes on with the next event.
    fn resume(&self, py: Python<'_>) {
        py.out(|| self.shared.turnstile.command(backtape_engine::pace::Pace::resume));
    }

    /// Ends the replay: no further event is handed out.
    fn stop(&self, py: Python<'_>) {
        py.out(|| {
            self.shared.turnstile.command(backtape_engine::pace::Pace::stop);
            self.shared.turnstile.end();
        });
    }

    /// "running", "paused" or "stopped".
    #[getter]
    fn state(&self) -> &'static str {
        match self.shared.turnstile.pace.run() {
            Run::Running => "running",
            Run::Paused => "paused",
            Run::Stopped => "stopped",
        }
    }

    /// The schema of batches.
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        PySchema::new(Arc::clone(&self.form.schema)).into_pyarrow(py)
    }
}

/// Whether the tapes of two sessions have the same names.
fn same_keys(before: &Loaded, after: &Loaded) -> bool {
    before.tapes.iter().map(|tape| &tape.key).eq(after.tapes.iter().map(|tape| &tape.key))
}
