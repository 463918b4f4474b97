//! The records of a batch in the second version of Kafka's format, read without an object for each part of a record.
//!
//! The format is described at https://kafka.apache.org/documentation/#recordbatch. A batch for which this code is not
//! certain that the Kafka client reads the same records is left to the client.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

const HEAD: usize = 61;
const LOG_APPEND_TIME: i16 = 0b1000;
/// The client's limits on headers are only checked for records with more of them.
const MOST_HEADERS: i64 = 16;
const MOST_RECORDS: i32 = 150_000;
const NULL: u32 = u32::MAX;

/// A part of the batch's bytes; `NULL` as its length means that there is none.
#[derive(Clone, Copy)]
struct Part {
    begin: u32,
    length: u32,
}

#[derive(Clone, Copy)]
struct Span {
    offset: i64,
    timestamp: i64,
    key: Part,
    value: Part,
    headers: Part,
}

/// The records of one batch, as places in its inflated bytes.
#[pyclass(module = "ghostlink_native", frozen)]
pub struct Batch {
    bytes: Py<PyBytes>,
    timestamp_type: i64,
    spans: Vec<Span>,
    /// The offset of the last record.
    #[pyo3(get)]
    offset: i64,
}

/// What the records of a batch share.
struct Shared {
    bytes: Py<PyBytes>,
    topic: Py<PyString>,
    partition: i32,
    timestamp_type: i64,
}

/// A record of a batch. Its key, value and headers become Python objects when they are asked for.
#[pyclass(module = "ghostlink_native", frozen)]
pub struct Record {
    shared: Arc<Shared>,
    span: Span,
}

#[pymethods]
impl Batch {
    fn __len__(&self) -> usize {
        self.spans.len()
    }

    /// The records from the offset `begin` on, in a list.
    fn records<'py>(&self, topic: Bound<'py, PyString>, partition: i32, begin: i64) -> PyResult<Bound<'py, PyList>> {
        let py = topic.py();
        let shared = Arc::new(Shared {
            bytes: self.bytes.clone_ref(py),
            topic: topic.unbind(),
            partition,
            timestamp_type: self.timestamp_type,
        });
        let first = self.spans.partition_point(|span| span.offset < begin);
        let made = self.spans[first..].iter().map(|span| Record { shared: shared.clone(), span: *span });
        PyList::new(py, made.map(|record| Py::new(py, record)).collect::<PyResult<Vec<_>>>()?)
    }
}

/// Return the records of a batch from its head of 61 bytes and its inflated records; None leaves it to the client.
#[pyfunction]
pub fn batch(head: &[u8], bytes: &Bound<'_, PyBytes>) -> Option<Batch> {
    let read = catch_unwind(AssertUnwindSafe(|| spans(head, bytes.as_bytes())));
    let (timestamp_type, spans) = read.ok().flatten()?;
    let offset = spans.last()?.offset;
    Some(Batch { bytes: bytes.clone().unbind(), timestamp_type, spans, offset })
}

/// Return those records of a list or a tuple that may have a header of this name: all that are not of this module too.
#[pyfunction]
pub fn naming<'py>(records: &Bound<'py, PyAny>, name: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut found = Vec::new();
    for record in records.try_iter()? {
        let record = record?;
        let may = record
            .cast::<Record>()
            .map_or(true, |one| one.get().pairs(record.py()).any(|(own, _)| own == name.as_bytes()));
        if may {
            found.push(record);
        }
    }
    Ok(found)
}

#[pymethods]
impl Record {
    #[getter]
    fn topic(&self, py: Python) -> Py<PyString> {
        self.shared.topic.clone_ref(py)
    }

    #[getter]
    fn partition(&self) -> i32 {
        self.shared.partition
    }

    #[getter]
    pub fn offset(&self) -> i64 {
        self.span.offset
    }

    /// The record's time in milliseconds since the epoch.
    #[getter]
    pub fn timestamp(&self) -> i64 {
        self.span.timestamp
    }

    /// Whose clock has set the time: 0 is the producer's, 1 the broker's.
    #[getter]
    pub fn timestamp_type(&self) -> i64 {
        self.shared.timestamp_type
    }

    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.part(py, self.span.key).map(|key| PyBytes::new(py, key))
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.content(py).map(|value| PyBytes::new(py, value))
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut pairs = Vec::new();
        for (name, value) in self.pairs(py) {
            let name = PyString::from_bytes(py, name)?;
            pairs.push((name, value.map(|value| PyBytes::new(py, value))));
        }
        PyTuple::new(py, pairs)
    }
}

impl Record {
    /// Return the record's value, without a copy.
    pub fn content<'a>(&'a self, py: Python<'a>) -> Option<&'a [u8]> {
        self.part(py, self.span.value)
    }

    /// Iterate over names and values of the headers, without a copy.
    pub fn pairs<'a>(&'a self, py: Python<'a>) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let mut cursor = Cursor { bytes: self.part(py, self.span.headers).unwrap_or_default(), place: 0 };
        std::iter::from_fn(move || {
            let name = cursor.counted()??;
            Some((name, cursor.counted()?))
        })
    }

    fn part<'a>(&'a self, py: Python<'a>, part: Part) -> Option<&'a [u8]> {
        let begin = part.begin as usize;
        (part.length != NULL).then(|| &self.shared.bytes.as_bytes(py)[begin..begin + part.length as usize])
    }
}

/// Return whose clock has set the times of a batch, and where the parts of its records are; None in case of doubt.
fn spans(head: &[u8], bytes: &[u8]) -> Option<(i64, Vec<Span>)> {
    if head.len() != HEAD || head[16] != 2 || bytes.len() >= NULL as usize {
        return None;
    }
    let base = i64::from_be_bytes(head[0..8].try_into().ok()?);
    let attributes = i16::from_be_bytes(head[21..23].try_into().ok()?);
    let last_delta = i32::from_be_bytes(head[23..27].try_into().ok()?);
    let first_ms = i64::from_be_bytes(head[27..35].try_into().ok()?);
    let last_ms = i64::from_be_bytes(head[35..43].try_into().ok()?);
    let count = i32::from_be_bytes(head[57..61].try_into().ok()?);
    let end = base.checked_add(i64::from(last_delta))?;
    if base < 0 || !(1..=MOST_RECORDS).contains(&count) {
        return None;
    }
    let appended = attributes & LOG_APPEND_TIME != 0;
    let mut cursor = Cursor { bytes, place: 0 };
    let mut spans = Vec::with_capacity((count as usize).min(bytes.len() / 7 + 1));
    let mut least = base;
    for _ in 0..count {
        let length = cursor.number()?;
        let ends = cursor.place.checked_add(usize::try_from(length).ok()?)?;
        cursor.byte().filter(|attributes| *attributes < 0x80)?;
        let stated = first_ms.checked_add(cursor.number()?)?;
        let offset = base.checked_add(cursor.number()?)?;
        let (key, value) = (cursor.part()?, cursor.part()?);
        let headers = cursor.headers()?;
        // Offsets rise, as the position of the next record requires.
        if cursor.place != ends || offset < least || offset > end {
            return None;
        }
        least = offset.checked_add(1)?;
        let timestamp = if appended { last_ms } else { stated };
        spans.push(Span { offset, timestamp, key, value, headers });
    }
    (cursor.place == bytes.len()).then_some((i64::from(appended), spans))
}

/// A place in the bytes of records, at which numbers and parts are read; None where they don't have the usual form.
struct Cursor<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.place)?;
        self.place += 1;
        Some(byte)
    }

    /// Read a number of variable length with its sign in the last bit.
    fn number(&mut self) -> Option<i64> {
        let mut raw = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        None
    }

    /// Read a length and the bytes after it.
    fn part(&mut self) -> Option<Part> {
        let length = self.number()?;
        let begin = u32::try_from(self.place).ok()?;
        if length == -1 {
            return Some(Part { begin, length: NULL });
        }
        let length = usize::try_from(length).ok()?;
        self.place = self.place.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        Some(Part { begin, length: u32::try_from(length).ok()? })
    }

    /// Read a length and the bytes after it; the inner None is a null.
    fn counted(&mut self) -> Option<Option<&'a [u8]>> {
        let part = self.part()?;
        let begin = part.begin as usize;
        Some((part.length != NULL).then(|| &self.bytes[begin..begin + part.length as usize]))
    }

    /// Read few headers with valid names; return where they are, without their number.
    fn headers(&mut self) -> Option<Part> {
        let count = self.number()?;
        if !(0..=MOST_HEADERS).contains(&count) {
            return None;
        }
        let begin = self.place;
        for _ in 0..count {
            let name = self.counted()??;
            std::str::from_utf8(name).ok()?;
            self.counted()?;
        }
        Some(Part { begin: u32::try_from(begin).ok()?, length: u32::try_from(self.place - begin).ok()? })
    }
}
