//! The rows that were encoded from some records of a batch, and the records that are left to Python.

use std::borrow::Cow;
use std::collections::hash_map::{Entry, HashMap};

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::{row, Left};

/// What some records of a batch have become. Rows have the order of their records.
#[pyclass(module = "ghostlink_native", frozen)]
pub struct Rows {
    pub out: Vec<u8>,
    pub taken: Vec<Taken>,
    pub left: Vec<(usize, Left)>,
    /// The index after the last record that was read.
    #[pyo3(get)]
    pub end: usize,
}

/// One encoded row: the index of its record, where its bytes end, and what a commit needs beside them.
pub struct Taken {
    pub index: usize,
    pub end: usize,
    pub key: [u8; 16],
    pub site_id: i64,
    pub minute: i64,
    pub received_ms: i64,
    pub offset: i64,
    pub sender: u8,
    pub shared: bool,
}

#[pymethods]
impl Rows {
    fn __len__(&self) -> usize {
        self.taken.len()
    }

    /// The indexes of the records that are left to Python, with the reason for each.
    #[getter]
    fn left(&self) -> Vec<(usize, &'static str)> {
        self.left.iter().map(|(index, why)| (*index, why.name())).collect()
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

    /// When the events were received, in milliseconds since the epoch.
    #[getter]
    fn received(&self) -> Vec<i64> {
        self.taken.iter().map(|one| one.received_ms).collect()
    }

    #[getter]
    fn offsets(&self) -> Vec<i64> {
        self.taken.iter().map(|one| one.offset).collect()
    }

    /// Return script and event id of the row at this place.
    fn ids(&self, place: usize) -> PyResult<(Cow<'_, str>, Cow<'_, str>)> {
        let (script, event) = self.row(place).and_then(row::ids).ok_or_else(no_such_row)?;
        Ok((String::from_utf8_lossy(script), String::from_utf8_lossy(event)))
    }

    /// Return the encoded rows of these places.
    fn slice<'py>(&self, py: Python<'py>, start: usize, end: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.between(start, end).ok_or_else(no_such_row)?))
    }

    /// Return the gate windows that count the events. Events of one minute and site share one object.
    fn windows<'py>(&self, py: Python<'py>, topic: &str, partition: i32) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let topic = PyString::new(py, topic);
        let mut known: HashMap<(i64, i64), Bound<'py, PyTuple>> = HashMap::new();
        let mut found = Vec::with_capacity(self.taken.len());
        for one in &self.taken {
            let window = match known.entry((one.minute, one.site_id)) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => {
                    let window = (one.minute, one.site_id, &topic, partition, false).into_pyobject(py)?;
                    entry.insert(window).clone()
                }
            };
            found.push(window);
        }
        Ok(found)
    }
}

impl Rows {
    fn row(&self, place: usize) -> Option<&[u8]> {
        self.between(place, place.checked_add(1)?)
    }

    fn between(&self, start: usize, end: usize) -> Option<&[u8]> {
        self.out.get(self.start(start)?..self.start(end)?)
    }

    /// Return where the row at this place begins.
    fn start(&self, place: usize) -> Option<usize> {
        match place.checked_sub(1) {
            None => Some(0),
            Some(before) => self.taken.get(before).map(|one| one.end),
        }
    }
}

fn no_such_row() -> PyErr {
    PyIndexError::new_err("no such row")
}
