//! The native path: it reads ordinary raw events and encodes their rows, with the same result as the Python path.
//!
//! It owns no rule. `streams/pipeline` defines what a normal event is. A record for which this code is not certain of
//! the same result is left to Python, and so is a record whose reading panics.

#![forbid(unsafe_code)]

mod amount;
mod document;
mod gateway;
mod key;
mod moment;
mod page;
mod reader;
mod row;
mod rows;

use pyo3::prelude::pymodule;

/// The record is left to the Python path.
#[derive(Debug)]
pub struct Left;

/// A result of which the native path is certain, or the record is left to Python.
pub type Sure<T> = Result<T, Left>;

#[pymodule]
mod ghostlink_native {
    /// The number of the contract with Python, which uses no module with another number.
    #[pymodule_export]
    const CONTRACT: u32 = 1;
    #[pymodule_export]
    use super::reader::Reader;
    #[pymodule_export]
    use super::rows::Rows;
}
