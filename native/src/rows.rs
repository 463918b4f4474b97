//! The rows that were encoded from one batch, and the records that are left to Python.

use std::collections::{BTreeSet, HashMap};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// What a batch's ordinary records have become. Rows have the order of their records.
#[pyclass(module = "ghostlink_native")]
pub struct Rows {
    pub topic: Vec<u8>,
    pub partition: i32,
    pub out: Vec<u8>,
    pub taken: Vec<Taken>,
    /// The indexes of the records that are left to Python.
    #[pyo3(get)]
    pub left: Vec<usize>,
}

/// One encoded row: the index of its record, where its bytes end, and what a commit needs beside them.
pub struct Taken {
    pub index: usize,
    pub end: usize,
    pub key: [u8; 16],
    pub site_id: i64,
    pub script: usize,
    pub minute: i64,
    pub received_at: i64,
    pub sender: u8,
    pub shared: bool,
}

#[pymethods]
impl Rows {
    #[new]
    fn new(topic: String, partition: i32) -> Self {
        Self { topic: topic.into_bytes(), partition, out: Vec::new(), taken: Vec::new(), left: Vec::new() }
    }

    fn __len__(&self) -> usize {
        self.taken.len()
    }

    /// The indexes of the records that have become rows.
    #[getter]
    fn indexes(&self) -> Vec<usize> {
        self.taken.iter().map(|one| one.index).collect()
    }

    /// The keys of the events with their sender classes, of 16 bytes each.
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.taken.iter().map(|one| PyBytes::new(py, &one.key)).collect()
    }

    #[getter]
    fn sites(&self) -> Vec<i64> {
        self.taken.iter().map(|one| one.site_id).collect()
    }

    /// The scripts, as positions in the list that the reader was made with.
    #[getter]
    fn scripts(&self) -> Vec<usize> {
        self.taken.iter().map(|one| one.script).collect()
    }

    #[getter]
    fn minutes(&self) -> Vec<i64> {
        self.taken.iter().map(|one| one.minute).collect()
    }

    /// A byte for each event: 0 for `direct`, 1 for `visitor`, 2 for `server`.
    #[getter]
    fn senders<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.taken.iter().map(|one| one.sender).collect::<Vec<_>>())
    }

    /// A byte for each event: 1 if the senders of its script share their ids.
    #[getter]
    fn shared<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.taken.iter().map(|one| u8::from(one.shared)).collect::<Vec<_>>())
    }

    /// The latest time at which one of the events was received, in microseconds since the epoch.
    #[getter]
    fn latest(&self) -> Option<i64> {
        self.taken.iter().map(|one| one.received_at).max()
    }

    /// Return the encoded rows of all events but those at these places.
    fn body<'py>(&self, py: Python<'py>, without: BTreeSet<usize>) -> Bound<'py, PyBytes> {
        if without.is_empty() {
            return PyBytes::new(py, &self.out);
        }
        let mut kept = Vec::with_capacity(self.out.len());
        for (place, one) in self.taken.iter().enumerate() {
            if !without.contains(&place) {
                kept.extend_from_slice(&self.out[self.start(place)..one.end]);
            }
        }
        PyBytes::new(py, &kept)
    }

    /// Count all events but those at these places by minute and site.
    fn counts<'py>(&self, py: Python<'py>, without: BTreeSet<usize>) -> PyResult<Bound<'py, PyDict>> {
        let mut counts: HashMap<(i64, i64), u64> = HashMap::new();
        for (place, one) in self.taken.iter().enumerate() {
            if !without.contains(&place) {
                *counts.entry((one.minute, one.site_id)).or_default() += 1;
            }
        }
        let found = PyDict::new(py);
        for (key, count) in counts {
            found.set_item(key, count)?;
        }
        Ok(found)
    }
}

impl Rows {
    fn start(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |before| self.taken[before].end)
    }
}
