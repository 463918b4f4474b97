//! The gateway's headers, and the proof by which they are trusted.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use blake2b_simd::{Params, State};
use constant_time_eq::constant_time_eq;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::document::characters;
use crate::limits::Limits;
use crate::{Left, Sure};

const DIGEST: usize = 16;
const DIGEST_TEXT: usize = 22;
const MOST_DIGITS: usize = 19;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Direct,
    Visitor,
    Server,
}

impl Sender {
    pub fn name(self) -> &'static [u8] {
        [&b"direct"[..], b"visitor", b"server"][self as usize]
    }
}

/// The identity that a gateway has proven.
pub struct Vouched<'a> {
    pub site_id: i64,
    pub script_id: &'a [u8],
    pub sender: Sender,
    pub event_id: Option<&'a [u8]>,
}

/// The values of those headers that matter. Of several with one name this is the last one.
#[derive(Default)]
pub struct Said<'py> {
    proof: Option<Bound<'py, PyBytes>>,
    site: Option<Bound<'py, PyBytes>>,
    script: Option<Bound<'py, PyBytes>>,
    sender: Option<Bound<'py, PyBytes>>,
    origin: Option<Bound<'py, PyBytes>>,
    event: Option<Bound<'py, PyBytes>>,
    received_at: Option<Bound<'py, PyBytes>>,
}

/// The keys that verify proofs, by their ids.
pub struct ProofKeys(Vec<(Vec<u8>, State)>);

impl ProofKeys {
    pub fn new(keys: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let state = |key: &[u8]| Params::new().hash_length(DIGEST).key(key).to_state();
        Self(keys.into_iter().map(|(id, key)| (id, state(&key))).collect())
    }

    /// Return the identity in the headers; None if they state none. Headers without a valid proof are left to Python.
    pub fn vouched<'a>(&self, said: &'a Said, value: &[u8], limits: &Limits) -> Sure<Option<Vouched<'a>>> {
        let stated = [&said.proof, &said.site, &said.script, &said.sender, &said.event];
        if stated.iter().all(|header| header.is_none()) {
            return Ok(None);
        }
        let proof = bytes(&said.proof);
        let mut parts = proof.splitn(3, |byte| *byte == b':');
        let (version, id, digest) = (parts.next(), parts.next(), parts.next());
        if version != Some(b"1") {
            return Err(Left::Headers);
        }
        let (_, state) = self.0.iter().find(|(known, _)| Some(&known[..]) == id).ok_or(Left::Headers)?;
        let mut state = state.clone();
        for field in [&said.site, &said.script, &said.sender, &said.origin, &said.event] {
            let text = bytes(field);
            if memchr::memchr(0, text).is_some() {
                return Err(Left::Headers);
            }
            state.update(text);
            state.update(b"\0");
        }
        let mut right = [0; DIGEST_TEXT];
        URL_SAFE_NO_PAD
            .encode_slice(state.update(value).finalize().as_bytes(), &mut right)
            .map_err(|_| Left::Headers)?;
        if !constant_time_eq(&right, digest.ok_or(Left::Headers)?) {
            return Err(Left::Headers);
        }
        identity(said, limits).map(Some)
    }
}

impl<'py> Said<'py> {
    /// Read the headers; leaves those of replays, and those that are no plain bytes, to Python.
    pub fn read(headers: &Bound<'py, PyAny>) -> Sure<Self> {
        let mut said = Self::default();
        if let Ok(pairs) = headers.cast::<PyTuple>() {
            for pair in pairs.iter() {
                said.add(&pair)?;
            }
        } else {
            for pair in headers.cast::<PyList>().map_err(|_| Left::Headers)?.iter() {
                said.add(&pair)?;
            }
        }
        Ok(said)
    }

    fn add(&mut self, pair: &Bound<'py, PyAny>) -> Sure<()> {
        let pair = pair.cast::<PyTuple>().map_err(|_| Left::Headers)?;
        let name = pair.get_item(0).map_err(|_| Left::Headers)?;
        let field = match name.cast::<PyString>().map_err(|_| Left::Headers)?.to_str().map_err(|_| Left::Headers)? {
            "bridge-proof" => &mut self.proof,
            "bridge-site-id" => &mut self.site,
            "bridge-script-id" => &mut self.script,
            "bridge-sender" => &mut self.sender,
            "bridge-origin" => &mut self.origin,
            "bridge-event-id" => &mut self.event,
            "bridge-received-at" => &mut self.received_at,
            "bridge-replay-id" | "bridge-replay-of" => return Err(Left::Headers),
            _ => return Ok(()),
        };
        let value = pair.get_item(1).map_err(|_| Left::Headers)?;
        *field = Some(value.cast_into::<PyBytes>().map_err(|_| Left::Headers)?);
        Ok(())
    }

    /// Return when the gateway received the event, in milliseconds since the epoch.
    ///
    /// If the gateway's time differs from that of the record by more than `most_ms`, return that of the record.
    pub fn received_at(&self, time_ms: i64, most_ms: i64) -> i64 {
        match digits(bytes(&self.received_at)) {
            Some(given) if given.abs_diff(time_ms) <= most_ms.unsigned_abs() => given,
            _ => time_ms,
        }
    }
}

fn bytes<'a>(header: &'a Option<Bound<PyBytes>>) -> &'a [u8] {
    header.as_ref().map_or(b"", |value| value.as_bytes())
}

fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > MOST_DIGITS || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn identity<'a>(said: &'a Said, limits: &Limits) -> Sure<Vouched<'a>> {
    let sender = match bytes(&said.sender) {
        b"visitor" => Sender::Visitor,
        b"server" => Sender::Server,
        _ => return Err(Left::Headers),
    };
    let site_id = digits(bytes(&said.site)).filter(|site| *site > 0).ok_or(Left::Headers)?;
    let (script_id, event_id) = (bytes(&said.script), bytes(&said.event));
    for (text, most) in [(script_id, limits.max_script_id), (event_id, limits.max_event_id)] {
        if characters(text) > most || std::str::from_utf8(text).is_err() {
            return Err(Left::Headers);
        }
    }
    if script_id.is_empty() {
        return Err(Left::Headers);
    }
    Ok(Vouched { site_id, script_id, sender, event_id: Some(event_id).filter(|id| !id.is_empty()) })
}
