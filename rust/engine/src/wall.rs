//! The wall clock as a trait, so that waiting can be tested at any hour.

use std::time::{Duration, Instant};

/// A clock that runs beside the replay. It says when something happens, never what.
pub trait Wall: Send + Sync + std::fmt::Debug {
    /// Time passed since some fixed moment.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Debug)]
pub struct MachineWall(Instant);

impl Default for MachineWall {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Wall for MachineWall {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that is put forward by hand.
#[cfg(any(test, feature = "model"))]
#[derive(Debug, Default)]
pub struct HandWall(std::sync::atomic::AtomicU64);

#[cfg(any(test, feature = "model"))]
impl HandWall {
    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "model"))]
impl Wall for HandWall {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(any(test, feature = "model"))]
impl<W: Wall> Wall for std::sync::Arc<W> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}
