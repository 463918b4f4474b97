//! The reader: from raw consumer records to encoded rows.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::batch::Record;
use crate::document::{self, Document};
use crate::gateway::{ProofKeys, Said, Sender, Vouched};
use crate::json::Text;
use crate::limits::Limits;
use crate::page::{self, Page};
use crate::row::Row;
use crate::rows::{Rows, Taken};
use crate::{key, moment, Left};

const MOST_TYPES: usize = 4096;
const LONGEST_TYPE: usize = 256;
const MINUTE_MS: i64 = 60_000;
const PRODUCER_TIME: i64 = 0;

/// Why a record has not become a row: it is left to Python, or Python's own code was interrupted.
enum Stop {
    Left(Left),
    Raised(PyErr),
}

impl From<Left> for Stop {
    fn from(why: Left) -> Self {
        Stop::Left(why)
    }
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Python::attach(|py| {
            if error.is_instance_of::<PyException>(py) {
                Stop::Left(Left::Rule)
            } else {
                Stop::Raised(error)
            }
        })
    }
}

/// A script whose events may become rows: its site, its organisation, and whether its senders share their ids.
type Script = (i64, Option<i64>, bool);

/// A header of a record of the Kafka client.
type Header = (PyBackedStr, Option<PyBackedBytes>);

/// An event type's canonical name, and the JSON of the name that was sent if it differs.
type Named = (Vec<u8>, Option<Vec<u8>>);

/// Reads records of the raw topic by one version of the registry.
#[pyclass(module = "ghostlink_native")]
pub struct Reader {
    scripts: HashMap<Vec<u8>, Script>,
    /// Python's look-up of a script; None if it is not registered, disabled or paused.
    find_script: Py<PyAny>,
    currencies: HashSet<Vec<u8>>,
    keys: ProofKeys,
    limits: Limits,
    /// Python's rule for event types; returns the canonical name, and the JSON of the given name if it differs.
    name_type: Py<PyAny>,
    /// Python's rule for the parts of a page's URL.
    split_url: Py<PyAny>,
    /// Python's rule for the host of a referrer.
    find_host: Py<PyAny>,
    types: HashMap<Vec<u8>, Named>,
}

#[pymethods]
impl Reader {
    #[new]
    fn new(
        find_script: Py<PyAny>,
        currencies: Vec<String>,
        keys: Vec<(Vec<u8>, Vec<u8>)>,
        limits: Limits,
        rules: (Py<PyAny>, Py<PyAny>, Py<PyAny>),
    ) -> Self {
        let (name_type, split_url, find_host) = rules;
        Self {
            scripts: HashMap::new(),
            find_script,
            currencies: currencies.into_iter().map(String::into_bytes).collect(),
            keys: ProofKeys::new(keys),
            limits,
            name_type,
            split_url,
            find_host,
            types: HashMap::new(),
        }
    }

    /// Read records from `start` on until their values exceed `budget` bytes, or until the time is over.
    ///
    /// `records` is a list or a tuple of records of one partition, whose name and number the rows get.
    /// Each record becomes a row, or is left to Python.
    fn read(
        &mut self,
        source: (String, i32),
        records: &Bound<'_, PyAny>,
        start: usize,
        now_ms: i64,
        budget: usize,
        seconds: f64,
    ) -> PyResult<Rows> {
        let (count, began) = (records.len()?, Instant::now());
        let mut rows = Rows { out: Vec::new(), taken: Vec::new(), left: Vec::new(), end: start };
        let mut size = 0;
        while rows.end < count && size <= budget {
            let record = records.get_item(rows.end)?;
            let mark = rows.out.len();
            size += length(&record);
            let read = catch_unwind(AssertUnwindSafe(|| self.one(&mut rows, &source, &record, now_ms)));
            match read.unwrap_or(Err(Stop::Left(Left::Panic))) {
                Ok(()) => {}
                Err(Stop::Raised(error)) => return Err(error),
                Err(Stop::Left(why)) => {
                    rows.out.truncate(mark);
                    rows.left.push((rows.end, why));
                }
            }
            rows.end += 1;
            if began.elapsed().as_secs_f64() >= seconds {
                break;
            }
        }
        // The rows are kept until the commit.
        rows.out.shrink_to_fit();
        Ok(rows)
    }
}

impl Reader {
    /// Append the row of one record.
    fn one(&mut self, rows: &mut Rows, source: &(String, i32), record: &Bound<PyAny>, now_ms: i64) -> Result<(), Stop> {
        let py = record.py();
        if let Ok(record) = record.cast::<Record>() {
            let record = record.get();
            let value = record.content(py).ok_or(Left::Size)?;
            let stamp = (record.timestamp(), record.timestamp_type(), record.offset());
            return self.row(py, rows, source, value, stamp, record.pairs(py), now_ms);
        }
        let value = record.getattr(intern!(py, "value"))?;
        let value = value.cast::<PyBytes>().map_err(|_| Left::Size)?.as_bytes();
        let headers = record.getattr(intern!(py, "headers"))?.extract::<Vec<Header>>().map_err(|_| Left::Headers)?;
        let number = |name| record.getattr(name)?.extract::<i64>();
        let stamp =
            (number(intern!(py, "timestamp"))?, number(intern!(py, "timestamp_type"))?, number(intern!(py, "offset"))?);
        let pairs = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()));
        self.row(py, rows, source, value, stamp, pairs, now_ms)
    }

    /// Append the row of a record with this value and these headers; `stamp` has its time, whose time it is, and its offset.
    #[allow(clippy::too_many_arguments)] // They are what a record has.
    fn row<'a>(
        &mut self,
        py: Python,
        rows: &mut Rows,
        (topic, partition): &(String, i32),
        value: &[u8],
        (time_ms, whose, offset): (i64, i64, i64),
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        now_ms: i64,
    ) -> Result<(), Stop> {
        if value.len() > self.limits.max_bytes {
            return Err(Left::Size.into());
        }
        self.check_time(time_ms, whose, now_ms)?;
        let said = Said::read(headers)?;
        let vouched = self.keys.vouched(&said, value, &self.limits)?;
        let document = document::read(value, &self.limits)?;
        let trust = self.limits.gateway_trust_ms;
        let received_ms = if vouched.is_some() { said.received_at(time_ms, trust) } else { time_ms };
        if !(0..moment::EXACT_MS).contains(&received_ms) || time_ms < 0 {
            return Err(Left::Time.into());
        }
        let received_at = received_ms * 1000;
        let (occurred_at, stated) = self.times(&document, received_at)?;
        let (site_id, script_id, event_id) = filled(&document, vouched.as_ref())?;
        let sender = vouched.as_ref().map_or(Sender::Direct, |found| found.sender);
        let event_type = self.named(py, &document.event_type)?;
        let original = original(event_type.1.as_deref(), stated);
        let currency = document.currency.to_ascii_uppercase();
        if !currency.is_empty() && !self.currencies.contains(&currency) {
            return Err(Left::Currency.into());
        }
        let (site_of_script, org_id, shared) = self.script(py, script_id)?;
        if site_of_script != site_id {
            return Err(Left::Script.into());
        }
        // These may call Python's rules, which can take most of the time. An event that is left would pay for them twice.
        let page = self.page(py, &document.url)?;
        let referrer_host = self.host(py, &document.referrer)?;
        let mut key = key::event_key(site_id, event_id);
        key[15] ^= sender as u8;
        Row {
            document: &document,
            page: &page,
            received_at,
            occurred_at,
            site_id,
            org_id,
            script_id,
            event_id,
            event_type: &event_type.0,
            referrer_host: &referrer_host,
            currency: &currency,
            topic: topic.as_bytes(),
            partition: *partition,
            offset,
            sender,
            original: &original,
        }
        .write(&mut rows.out);
        rows.taken.push(Taken {
            index: rows.end,
            end: rows.out.len(),
            key,
            site_id,
            minute: time_ms / MINUTE_MS,
            received_ms,
            offset,
            sender: sender as u8,
            shared,
        });
        Ok(())
    }

    /// Leave a producer's time that is far from now to Python.
    fn check_time(&self, time_ms: i64, whose: i64, now_ms: i64) -> Result<(), Left> {
        let near = now_ms - self.limits.clamp_past_ms..=now_ms + self.limits.clamp_future_ms;
        if whose == PRODUCER_TIME && !near.contains(&time_ms) {
            return Err(Left::Time);
        }
        Ok(())
    }

    /// Return when the event occurred, and the producer's time if it was corrected.
    fn times(&self, document: &Document, received_at: i64) -> Result<(i64, Option<i64>), Stop> {
        let (limits, occurred) = (&self.limits, document.occurred_at);
        if received_at - occurred > limits.max_age {
            return Err(Left::Time.into());
        }
        if let Some(sent) = document.sent_at {
            let skew = (received_at - sent).abs();
            if limits.transit < skew && skew <= limits.max_skew {
                return Ok((received_at - (sent - occurred).max(0), Some(occurred)));
            }
        }
        if occurred - received_at > limits.max_ahead {
            return Err(Left::Time.into());
        }
        Ok((occurred, None))
    }

    fn script(&mut self, py: Python, id: &[u8]) -> Result<Script, Stop> {
        if let Some(found) = self.scripts.get(id) {
            return Ok(*found);
        }
        // Only registered scripts are remembered, so that a sender can't fill the memory with others.
        let found: Option<Script> = self.find_script.call1(py, (text(py, id)?,))?.extract(py)?;
        let script = found.ok_or(Left::Script)?;
        self.scripts.insert(id.to_vec(), script);
        Ok(script)
    }

    fn named(&mut self, py: Python, given: &[u8]) -> Result<Named, Stop> {
        if let Some(found) = self.types.get(given) {
            return Ok(found.clone());
        }
        let named: Named = self.name_type.call1(py, (text(py, given)?,))?.extract(py)?;
        if given.len() <= LONGEST_TYPE {
            if self.types.len() >= MOST_TYPES {
                self.types.clear();
            }
            self.types.insert(given.to_vec(), named.clone());
        }
        Ok(named)
    }

    fn page<'a>(&self, py: Python, url: &'a [u8]) -> Result<Page<'a>, Stop> {
        if url.is_empty() {
            return Ok(Page::default());
        }
        if let Some(page) = page::plain(url) {
            return Ok(page);
        }
        let parts = self.split_url.call1(py, (text(py, url)?,))?;
        let (url, host, path, utm): (String, Option<String>, Option<String>, Bound<PyTuple>) = parts.extract(py)?;
        let mut page = Page { url: owned(Some(url)), host: owned(host), path: owned(path), ..Page::default() };
        for (column, value) in page.utm.iter_mut().zip(utm.iter()) {
            *column = owned(value.extract()?);
        }
        Ok(page)
    }

    fn host<'a>(&self, py: Python, referrer: &'a [u8]) -> Result<Text<'a>, Stop> {
        if referrer.is_empty() {
            return Ok(Cow::Borrowed(b""));
        }
        if let Some(host) = page::plain_host(referrer) {
            return Ok(Cow::Borrowed(host));
        }
        Ok(owned(self.find_host.call1(py, (text(py, referrer)?,))?.extract(py)?))
    }
}

/// Return the size of the record's value, which limits the time that reading takes.
fn length(record: &Bound<PyAny>) -> usize {
    const LEAST: usize = 64;
    let py = record.py();
    if let Ok(record) = record.cast::<Record>() {
        return LEAST + record.get().content(py).map_or(0, <[u8]>::len);
    }
    let value = record.getattr(intern!(py, "value"));
    LEAST + value.and_then(|value| value.len()).unwrap_or(0)
}

fn owned<'a>(value: Option<String>) -> Text<'a> {
    Cow::Owned(value.unwrap_or_default().into_bytes())
}

fn text<'py>(py: Python<'py>, given: &[u8]) -> Result<Bound<'py, PyString>, Left> {
    Ok(PyString::new(py, std::str::from_utf8(given).map_err(|_| Left::Field)?))
}

/// Return site, script and event id, with absent ones from the proven identity; leaves a contradiction to Python.
fn filled<'a>(document: &'a Document, vouched: Option<&'a Vouched>) -> Result<(i64, &'a [u8], &'a [u8]), Left> {
    let site = agreed(document.site_id, vouched.map(|found| found.site_id))?;
    let script = agreed(document.script_id.as_deref(), vouched.map(|found| found.script_id))?;
    let event = agreed(document.event_id.as_deref(), vouched.and_then(|found| found.event_id))?;
    Ok((site, script, event))
}

fn agreed<T: PartialEq>(own: Option<T>, proven: Option<T>) -> Result<T, Left> {
    match (own, proven) {
        (Some(own), Some(proven)) if own != proven => Err(Left::Identity),
        (own, proven) => own.or(proven).ok_or(Left::Identity),
    }
}

/// Return the JSON of what was sent, of the fields that were changed; empty if none was.
fn original(event_type: Option<&[u8]>, occurred_at: Option<i64>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(sent) = event_type {
        out.extend_from_slice(b"{\"event_type\":");
        out.extend_from_slice(sent);
    }
    if let Some(stated) = occurred_at {
        out.extend_from_slice(if out.is_empty() { &b"{"[..] } else { b"," });
        out.extend_from_slice(b"\"occurred_at\":\"");
        moment::write(stated, &mut out);
        out.push(b'"');
    }
    if !out.is_empty() {
        out.push(b'}');
    }
    out
}
