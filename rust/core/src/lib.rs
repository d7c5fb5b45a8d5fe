//! Order, hours, derived bars, gaps and replay of market data. Pure: no threads, no wall clock, no I/O.

pub mod account;
pub mod batch_kernels;
pub mod check;
pub mod derive;
mod derived_tapes;
pub mod digest;
pub mod error;
pub mod event_hashes;
pub mod gaps;
pub mod gather;
pub mod key;
pub mod label;
pub mod ledger;
pub mod lifecycle;
pub mod loaded;
pub mod mark;
pub mod merge;
pub mod metrics;
pub mod pending;
pub mod replay;
pub mod rows;
pub mod session;
pub mod span;
pub mod tapes;
pub mod twice;
