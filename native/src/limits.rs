//! The limits that Python defines and passes, so that each exists once.

use pyo3::prelude::*;

/// The limits of documents and of times. Those of records are in milliseconds, other times in microseconds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Limits {
    pub max_bytes: usize,
    pub max_depth: usize,
    pub max_event_id: usize,
    pub max_script_id: usize,
    pub max_event_type: usize,
    /// A number with fewer digits and a short exponent fits a double.
    pub many_digits: usize,
    /// The largest sum of the exponents in one event.
    pub max_exponents: usize,
    /// The most names that an object may have in any order. Python sorts the names of larger ones.
    pub few_names: usize,
    pub max_age: i64,
    pub max_ahead: i64,
    pub max_skew: i64,
    pub transit: i64,
    pub clamp_past_ms: i64,
    pub clamp_future_ms: i64,
    pub gateway_trust_ms: i64,
}
