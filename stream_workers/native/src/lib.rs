//! Decodes posts a batch at a time, as `decode_post`, `BrandMatcher.find_hits` and the two hashes do in Python.
//!
//! Python is the reference. A row that may be read differently there is left to Python: each function that can leave a
//! row returns an `Option`, and `None` means that it did.
#![deny(unsafe_code)]

mod batch;
mod bloom_filter;
mod folding;
mod hashes;
mod html_entities;
mod json;
mod matcher;
mod post;
mod readable_text;
mod swar;
mod timestamp;
mod unknown_authors;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use batch::{Columns, decode_batch};
use folding::Characters;
use hashes::Hashes;
use matcher::{Conditions, Matcher};
use post::Limits;
use unknown_authors::UnknownAuthors;

/// Status, event times, authors, digests, set numbers, sets, source numbers, sources.
type PyColumns<'py> = (
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
struct BatchDecoder {
    characters: Arc<Characters>,
    matcher: Matcher,
    hashes: Hashes,
    unknown: UnknownAuthors,
    limits: Limits,
}

#[pymethods]
impl BatchDecoder {
    #[new]
    fn new(
        py: Python<'_>,
        patterns: Vec<String>,
        kinds: Vec<String>,
        plain: Vec<bool>,
        in_ascii: Vec<Option<bool>>,
        endings: Vec<Vec<String>>,
        endings_of: Vec<usize>,
        author_key: Vec<u8>,
        unknown_authors: Vec<String>,
        trimmed: &str,
        prefix: String,
        limits: Limits,
    ) -> PyResult<Self> {
        if [kinds.len(), plain.len(), in_ascii.len(), endings_of.len()].iter().any(|length| *length != patterns.len()) {
            return Err(PyValueError::new_err("patterns, kinds, plain, in_ascii and endings_of differ in length"));
        }
        if endings_of.iter().any(|list| *list >= endings.len()) {
            return Err(PyValueError::new_err("endings_of has a number that endings does not have"));
        }
        let hashes =
            Hashes::new(&author_key).ok_or_else(|| PyValueError::new_err("author_key must be 1 to 64 bytes long"))?;
        let characters = Characters::of(py)?;
        let longest_chunk = limits.chunk_chars;
        let conditions = Conditions { kinds, plain, in_ascii, endings, endings_of };
        let matcher = py
            .detach(|| Matcher::new(&patterns, conditions, longest_chunk, &characters))
            .map_err(PyValueError::new_err)?;
        let unknown = UnknownAuthors::new(unknown_authors, trimmed, prefix);
        Ok(Self { characters, matcher, hashes, unknown, limits })
    }

    fn decode<'py>(&self, py: Python<'py>, values: &Bound<'py, PyAny>) -> PyResult<PyColumns<'py>> {
        let owned = owned_values(values)?;
        // Borrowed from objects that `owned` keeps alive; bytes never change.
        let records: Vec<Option<&[u8]>> =
            owned.iter().map(|value| value.as_ref().map(PyBytesMethods::as_bytes)).collect();
        // A bug on one record must not end the worker, and each worker that reads it later: Python can decode the batch.
        let decode =
            || decode_batch(&records, &self.characters, &self.matcher, &self.hashes, &self.unknown, &self.limits);
        let columns = py.detach(|| catch_unwind(AssertUnwindSafe(decode))).map_err(|_| {
            PyRuntimeError::new_err("the native batch decoder panicked; standard error has the message")
        })?;
        to_python(py, &columns)
    }
}

fn owned_values<'py>(values: &Bound<'py, PyAny>) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
    let mut owned = Vec::with_capacity(values.len()?);
    for value in values.try_iter()? {
        let value = value?;
        owned.push(if value.is_none() {
            None
        } else {
            let name = value.get_type();
            Some(
                value
                    .cast_into::<PyBytes>()
                    .map_err(|_| PyTypeError::new_err(format!("a value must be bytes or None, not {name}")))?,
            )
        });
    }
    Ok(owned)
}

fn to_python<'py>(py: Python<'py>, columns: &Columns) -> PyResult<PyColumns<'py>> {
    let sets = columns.sets.iter().map(|set| PyTuple::new(py, set)).collect::<PyResult<_>>()?;
    Ok((
        PyBytes::new(py, &columns.status),
        PyBytes::new(py, &columns.event_ms),
        PyBytes::new(py, &columns.authors),
        PyBytes::new(py, &columns.digests),
        PyBytes::new(py, &columns.set_numbers),
        sets,
        PyBytes::new(py, &columns.sources),
        columns.source_names.clone(),
    ))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<BatchDecoder>()?;
    module.add_class::<bloom_filter::IdFilter>()
}
