//! A column of words as numbers of words. Symbols follow each other in the same order again and again, or one has many rows:
//! so nearly always a word is the one that followed its neighbour the last time, and a comparison tells. Only where it is
//! not, it is looked for among all.

use crate::arrow_in::Unreadable;
use crate::enter::Enter;
use crate::symbols::Symbols;
use crate::tapes::unreadable;
use crate::visits::Visit;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayAccessor, ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow_schema::{ArrowError, DataType};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyArrayReader};
use std::collections::HashMap;
use std::sync::Arc;

/// The words of a column of strings (string or large_string, without nulls) as a dictionary array with int32
/// indices: each word once, in the order in which they come. `source`: its name in messages.
#[pyfunction]
pub(crate) fn numbered_words(py: Python<'_>, column: PyArrayReader, source: &str) -> PyResult<Py<PyAny>> {
    let stream = column.into_reader()?;
    let numbered = py.out(|| {
        let pieces = stream.collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
        numbered(&pieces)
    });
    let numbered = numbered.map_err(|fault| unreadable(py, fault, source))?;
    let _visit = Visit::begin(); // pyarrow lets go of the interpreter
    Ok(PyArray::from_array_ref(Arc::new(numbered)).to_pyarrow(py)?.unbind())
}

/// The words that a column of symbols (string, or a dictionary of strings, without nulls) has rows of, each once, sorted.
/// `source`: its name in messages.
#[pyfunction]
pub(crate) fn words_there(py: Python<'_>, column: PyArrayReader, source: &str) -> PyResult<Vec<String>> {
    let stream = column.into_reader()?;
    let words = py.out(|| {
        let (mut symbols, mut there) = (Symbols::default(), Vec::new());
        for piece in stream {
            let ids = symbols.ids(&piece?)?;
            there.resize(symbols.names.len(), false);
            ids.iter().for_each(|&id| there[id as usize] = true);
        }
        let there = symbols.names.iter().zip(there).filter(|&(_, there)| there);
        let mut words: Vec<String> = there.map(|(name, _)| name.to_string()).collect();
        words.sort_unstable();
        Ok(words)
    });
    words.map_err(|fault| unreadable(py, fault, source))
}

fn numbered(pieces: &[ArrayRef]) -> Result<DictionaryArray<Int32Type>, Unreadable> {
    let mut words = Words::default();
    for piece in pieces {
        match piece.data_type() {
            DataType::Utf8 => words.add(piece.as_string::<i32>()),
            DataType::LargeUtf8 => words.add(piece.as_string::<i64>()),
            other => {
                let (name, found) = ("symbol".to_owned(), other.to_string());
                return Err(Unreadable::Column { name, expected: "string", found });
            }
        }
    }
    let known = StringArray::from_iter_values(&words.known);
    Ok(DictionaryArray::try_new(Int32Array::from(words.numbers), Arc::new(known))?)
}

#[derive(Default)]
struct Words<'a> {
    /// In the order in which they came.
    known: Vec<&'a str>,
    number_of: HashMap<&'a str, i32>,
    /// For each word the one that came after it last.
    next: Vec<i32>,
    numbers: Vec<i32>,
}

impl<'a> Words<'a> {
    fn add(&mut self, piece: impl ArrayAccessor<Item = &'a str>) {
        self.numbers.reserve(piece.len());
        for row in 0..piece.len() {
            let word = piece.value(row);
            let last = self.numbers.last().map(|&last| last as usize);
            let foreseen = last.map_or(0, |last| self.next[last]);
            let number = match self.known.get(foreseen as usize) {
                Some(&known) if known == word => foreseen,
                _ => self.look_up(word, last),
            };
            self.numbers.push(number);
        }
    }

    fn look_up(&mut self, word: &'a str, last: Option<usize>) -> i32 {
        let Self { known, number_of, next, .. } = self;
        let number = *number_of.entry(word).or_insert_with(|| {
            known.push(word);
            next.push(0);
            known.len() as i32 - 1
        });
        if let Some(last) = last {
            next[last] = number;
        }
        number
    }
}
