//! A Bloom filter over ids: an id was certainly never added, or may have been added.
//!
//! Ids are hashes, so their own bits choose the positions. Filters are chained: when one is full, the next id goes into a
//! larger one, and a lookup asks all. A partition with few posts needs kilobytes, one with a million ids per generation
//! 2.2 MB per generation.

use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const ID_BYTES: usize = 12;
const FIRST_BITS: usize = 1 << 16;
const GROWTH: usize = 8;
/// From half a megabyte on, a new filter only doubles the total: growing eightfold cost four partitions 16 MB at the same
/// time, 45 minutes after the start.
const SMALL_BITS: usize = 1 << 22;
/// With ten bits per id and four probes, one new id in a hundred is a false positive.
const BITS_PER_ID: usize = 10;
const PROBES: u64 = 4;

struct Filter {
    bits: Vec<u64>,
    capacity_left: usize,
}

impl Filter {
    fn new(bits: usize) -> Self {
        Self { bits: vec![0; bits / 64], capacity_left: bits / BITS_PER_ID }
    }

    fn positions(&self, id: &[u8]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let mask = self.bits.len() as u64 * 64 - 1;
        let first = u64::from_le_bytes(id[..8].try_into().expect("eight bytes"));
        let step = u64::from(u32::from_le_bytes(id[8..12].try_into().expect("four bytes"))) | 1;
        (0..PROBES).map(move |probe| {
            let position = first.wrapping_add(probe.wrapping_mul(step)) & mask;
            ((position / 64) as usize, 1 << (position % 64))
        })
    }

    fn add(&mut self, id: &[u8]) {
        for (word, bit) in self.positions(id) {
            self.bits[word] |= bit;
        }
        self.capacity_left = self.capacity_left.saturating_sub(1);
    }

    fn may_contain(&self, id: &[u8]) -> bool {
        self.positions(id).all(|(word, bit)| self.bits[word] & bit != 0)
    }
}

#[pyclass(frozen, module = "stream_workers._native")]
pub struct IdFilter {
    filters: Mutex<Vec<Filter>>,
}

#[pymethods]
impl IdFilter {
    #[new]
    fn new() -> Self {
        Self { filters: Mutex::new(vec![Filter::new(FIRST_BITS)]) }
    }

    fn add(&self, py: Python<'_>, ids: &[u8]) -> PyResult<()> {
        check_length(ids)?;
        py.detach(|| {
            let mut filters = self.filters.lock().expect("no panic while the lock is held");
            for id in ids.chunks_exact(ID_BYTES) {
                let last = filters.len() - 1;
                if filters[last].capacity_left == 0 {
                    let total: usize = filters.iter().map(|filter| filter.bits.len() * 64).sum();
                    let doubled: usize = 1 << total.ilog2();
                    let bits = (filters[last].bits.len() * 64 * GROWTH).min(doubled.max(SMALL_BITS));
                    filters.push(Filter::new(bits));
                }
                filters.last_mut().expect("at least one").add(id);
            }
        });
        Ok(())
    }

    fn may_contain<'py>(&self, py: Python<'py>, ids: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        check_length(ids)?;
        let found: Vec<u8> = py.detach(|| {
            let filters = self.filters.lock().expect("no panic while the lock is held");
            ids.chunks_exact(ID_BYTES).map(|id| u8::from(filters.iter().any(|filter| filter.may_contain(id)))).collect()
        });
        Ok(PyBytes::new(py, &found))
    }
}

fn check_length(ids: &[u8]) -> PyResult<()> {
    if ids.len() % ID_BYTES == 0 {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{} bytes is not a multiple of the id length, {ID_BYTES}", ids.len())))
}
