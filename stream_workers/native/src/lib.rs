//! Reads posts a batch at a time, as `decode`, `BrandMatcher.standing` and the two hashes do in Python.
//!
//! Python is the reference. What is not certain to be read exactly as there is left to it, row by row: every function
//! that may leave a row returns an `Option`, and `None` says so.
#![deny(unsafe_code)]

mod swar;
mod html_entities;
mod hashes;
mod bloom_filter;
mod json;
mod folding;
mod timestamp;
mod post;
mod batch;
mod unknown_authors;
mod matcher;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use hashes::Hashes;
use folding::Letters;
use batch::{Rows, read_rows};
use unknown_authors::UnknownAuthors;
use matcher::Words;

/// Status, moments, authors, digests, set numbers, sets, source numbers, sources.
type Columns<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Vec<Bound<'py, PyTuple>>,
    Bound<'py, PyBytes>,
    Vec<String>,
);

#[pyclass(frozen, module = "stream_workers._native")]
struct RowReader {
    letters: Arc<Letters>,
    words: Words,
    hashes: Hashes,
    unknown: UnknownAuthors,
}

#[pymethods]
impl RowReader {
    #[new]
    fn new(
        py: Python<'_>,
        patterns: Vec<String>,
        kinds: Vec<String>,
        plain: Vec<bool>,
        author_key: Vec<u8>,
        unknown_authors: Vec<String>,
        trimmed: &str,
        prefix: String,
    ) -> PyResult<Self> {
        if kinds.len() != patterns.len() || plain.len() != patterns.len() {
            return Err(PyValueError::new_err("patterns, kinds and plain differ in length"));
        }
        let hashes = Hashes::new(&author_key)
            .ok_or_else(|| PyValueError::new_err("author_key is not between 1 and 64 bytes long"))?;
        let letters = Letters::of(py)?;
        let words = py.detach(|| Words::new(&patterns, &kinds, plain, &letters)).map_err(PyValueError::new_err)?;
        Ok(Self { letters, words, hashes, unknown: UnknownAuthors::new(unknown_authors, trimmed, prefix) })
    }

    fn read<'py>(&self, py: Python<'py>, values: &Bound<'py, PyAny>) -> PyResult<Columns<'py>> {
        let held = held(values)?;
        // Borrowed from objects that `held` keeps alive; bytes never change.
        let records: Vec<Option<&[u8]>> = held.iter().map(|value| value.as_ref().map(PyBytesMethods::as_bytes)).collect();
        // A bug on one record must not end the worker, and the next one that reads it: Python can read the batch.
        let read = || read_rows(&records, &self.letters, &self.words, &self.hashes, &self.unknown);
        let rows = py
            .detach(|| catch_unwind(AssertUnwindSafe(read)))
            .map_err(|_| PyRuntimeError::new_err("the native reader broke; its words are on standard error"))?;
        columns(py, &rows)
    }
}

fn held<'py>(values: &Bound<'py, PyAny>) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
    let mut held = Vec::with_capacity(values.len()?);
    for value in values.try_iter()? {
        let value = value?;
        held.push(if value.is_none() {
            None
        } else {
            let name = value.get_type();
            Some(
                value
                    .cast_into::<PyBytes>()
                    .map_err(|_| PyTypeError::new_err(format!("a value is neither bytes nor None but {name}")))?,
            )
        });
    }
    Ok(held)
}

fn columns<'py>(py: Python<'py>, rows: &Rows) -> PyResult<Columns<'py>> {
    let sets = rows.sets.iter().map(|set| PyTuple::new(py, set)).collect::<PyResult<_>>()?;
    Ok((
        PyBytes::new(py, &rows.status),
        PyBytes::new(py, &rows.event_ms),
        PyBytes::new(py, &rows.authors),
        PyBytes::new(py, &rows.digests),
        PyBytes::new(py, &rows.words),
        sets,
        PyBytes::new(py, &rows.sources),
        rows.names.clone(),
    ))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RowReader>()?;
    module.add_class::<bloom_filter::IdFilter>()
}
