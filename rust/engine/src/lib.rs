//! Waiting for backtape: when an event is due, pause, resume, stop; streams that are fed while a replay runs;
//! readers that wait for events. Knows nothing of Python.

pub mod ahead;
mod fault;
pub mod feeds;
pub mod pace;
mod queues;
mod stream;
mod sync;
pub mod threads;
pub mod turnstile;
pub mod wall;
