//! Waiting for backtape: when an event is due, pause, resume, stop. Knows nothing of Python or of markets.

pub mod pace;
