//! The extension module `backtape._core`: converts in, enters the core with the interpreter released, converts out.

#![expect(clippy::doc_markdown, reason = "these comments are Python docstrings")]
#![expect(clippy::needless_pass_by_value, reason = "arguments from Python come as values")]
#![expect(clippy::type_complexity, reason = "tuples that only Python takes apart")]

mod arrow_in;
mod arrow_out;
mod asked;
mod bar;
mod batch;
mod batch_form;
mod batch_stream;
mod boundary;
mod by_symbol;
mod cells;
mod chunk;
mod columns;
mod dealt;
mod enter;
mod errors;
mod fed_input;
mod feeds;
mod fills;
mod flags;
mod freed_memory;
mod handed;
mod history;
mod instants;
mod interval;
mod kernels;
mod ledger;
mod moment;
mod numpy_view;
mod planner;
mod player;
mod progress;
mod quote;
mod reused;
mod session;
mod symbol_data;
mod symbols;
mod tape_names;
mod tapes;
mod trade;
mod visits;
mod words;
mod zone;

use pyo3::prelude::*;

/// The core of backtape.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::bar::Bar;
    #[pymodule_export]
    use crate::boundary::{SessionClose, SessionOpen};
    #[pymodule_export]
    use crate::chunk::{Before, Chunk};
    #[pymodule_export]
    use crate::columns::Columns;
    #[pymodule_export]
    use crate::fed_input::FedInput;
    #[pymodule_export]
    use crate::feeds::Feeds;
    #[pymodule_export]
    use crate::handed::{HandedTables, interval_of_stamps};
    #[pymodule_export]
    use crate::instants::datetime_in;
    #[pymodule_export]
    use crate::interval::{checked_name, parse};
    #[pymodule_export]
    use crate::kernels::{Merge, aggregate, find_gaps};
    #[pymodule_export]
    use crate::ledger::{Ledger, LedgerRow};
    #[pymodule_export]
    use crate::moment::{Moment, MomentBars, Moments};
    #[pymodule_export]
    use crate::player::Player;
    #[pymodule_export]
    use crate::quote::Quote;
    #[pymodule_export]
    use crate::session::{LoadedSession, load_sessions};
    #[pymodule_export]
    use crate::symbol_data::{Changes, Gap, SymbolData};
    #[pymodule_export]
    use crate::tapes::Tapes;
    #[pymodule_export]
    use crate::trade::Trade;
    #[pymodule_export]
    use crate::visits::{end_visits, forget_visits};
    #[pymodule_export]
    use crate::words::{numbered_words, words_there};
}
