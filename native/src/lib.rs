//! The native path: it reads ordinary raw events and encodes their rows, with the same result as the Python path.
//!
//! It owns no rule. `streams/pipeline` defines what a normal event is. A record for which this code is not certain of
//! the same result is left to Python, and so is a record whose reading panics.

#![forbid(unsafe_code)]

mod amount;
mod batch;
mod document;
mod gateway;
mod json;
mod key;
mod limits;
mod moment;
mod page;
mod reader;
mod row;
mod rows;

use pyo3::prelude::pymodule;

/// Why a record is left to the Python path: the part of it for which the result would not be certain.
#[derive(Clone, Copy, Debug)]
pub enum Left {
    /// It has no value, or one that is too large.
    Size,
    Json,
    /// A field is absent or repeated, or has another type or length.
    Field,
    Properties,
    Amount,
    Time,
    /// The gateway's headers are not proven, or it is a replay.
    Headers,
    /// The ids of document and headers are absent, or contradict each other.
    Identity,
    Currency,
    /// The script is not registered for the site, or disabled or paused.
    Script,
    /// Python's own rule has raised an exception, or the record has another form than the consumer's.
    Rule,
    /// Reading the record has panicked, which is a defect.
    Panic,
}

impl Left {
    /// Return the name of the reason, in Python's `LeftToPython`.
    pub fn name(self) -> &'static str {
        match self {
            Left::Size => "size",
            Left::Json => "json",
            Left::Field => "field",
            Left::Properties => "properties",
            Left::Amount => "amount",
            Left::Time => "time",
            Left::Headers => "headers",
            Left::Identity => "identity",
            Left::Currency => "currency",
            Left::Script => "script",
            Left::Rule => "rule",
            Left::Panic => "panic",
        }
    }
}

/// A result of which the native path is certain, or the record is left to Python.
pub type Sure<T> = Result<T, Left>;

#[pymodule]
mod ghostlink_native {
    /// The number of the contract with Python, which uses no module with another number.
    #[pymodule_export]
    const CONTRACT: u32 = 3;
    #[pymodule_export]
    use super::batch::{batch, naming, Batch, Record};
    #[pymodule_export]
    use super::reader::Reader;
    #[pymodule_export]
    use super::rows::Rows;
    /// The exception into which a panic turns. If one of Python's rules raises it, reading the record panics.
    #[pymodule_export]
    use pyo3::panic::PanicException;
}
