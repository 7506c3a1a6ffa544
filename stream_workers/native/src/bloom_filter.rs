//! A Bloom filter over ids: says of one that it was surely never added, or that it may have been.
//!
//! Ids are hashes already, so their own bits say where to look. Filters are chained: when one has taken as many ids as
//! it is made for, another takes the next, and all are asked. So a partition with few posts holds kilobytes, and one with
//! a million ids a generation 2.2 MB a generation.

use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const ID_BYTES: usize = 12;
const FIRST_BITS: usize = 1 << 16;
const GROWTH: usize = 8;
/// From half a megabyte on the next one only doubles what there is: eight times that came to four partitions at once, as
/// 16 MB after three quarters of an hour.
const SMALL_BITS: usize = 1 << 22;
/// Ten bits an id and four looks: one new id in a hundred is taken for one that may be known.
const BITS_AN_ID: usize = 10;
const LOOKS: u64 = 4;

struct Filter {
    bits: Vec<u64>,
    room: usize,
}

impl Filter {
    fn new(bits: usize) -> Self {
        Self { bits: vec![0; bits / 64], room: bits / BITS_AN_ID }
    }

    fn places(&self, id: &[u8]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let mask = self.bits.len() as u64 * 64 - 1;
        let first = u64::from_le_bytes(id[..8].try_into().expect("eight bytes"));
        let step = u64::from(u32::from_le_bytes(id[8..12].try_into().expect("four bytes"))) | 1;
        (0..LOOKS).map(move |look| {
            let place = first.wrapping_add(look.wrapping_mul(step)) & mask;
            ((place / 64) as usize, 1 << (place % 64))
        })
    }

    fn add(&mut self, id: &[u8]) {
        for (word, bit) in self.places(id) {
            self.bits[word] |= bit;
        }
        self.room = self.room.saturating_sub(1);
    }

    fn may_hold(&self, id: &[u8]) -> bool {
        self.places(id).all(|(word, bit)| self.bits[word] & bit != 0)
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
        whole(ids)?;
        py.detach(|| {
            let mut filters = self.filters.lock().expect("nobody panics while adding");
            for id in ids.chunks_exact(ID_BYTES) {
                let last = filters.len() - 1;
                if filters[last].room == 0 {
                    let held: usize = filters.iter().map(|one| one.bits.len() * 64).sum();
                    let as_many: usize = 1 << held.ilog2();
                    let bits = (filters[last].bits.len() * 64 * GROWTH).min(as_many.max(SMALL_BITS));
                    filters.push(Filter::new(bits));
                }
                filters.last_mut().expect("at least one").add(id);
            }
        });
        Ok(())
    }

    fn may_hold<'py>(&self, py: Python<'py>, ids: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        whole(ids)?;
        let told: Vec<u8> = py.detach(|| {
            let filters = self.filters.lock().expect("nobody panics while adding");
            ids.chunks_exact(ID_BYTES).map(|id| u8::from(filters.iter().any(|one| one.may_hold(id)))).collect()
        });
        Ok(PyBytes::new(py, &told))
    }
}

fn whole(ids: &[u8]) -> PyResult<()> {
    if ids.len() % ID_BYTES == 0 {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{} bytes are no whole number of ids of {ID_BYTES}", ids.len())))
}
