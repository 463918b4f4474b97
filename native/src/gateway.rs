//! The gateway's headers, and the proof by which they are trusted.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use blake2b_simd::{Params, State};
use constant_time_eq::constant_time_eq;

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
pub struct Said<'a> {
    proof: Option<&'a [u8]>,
    site: Option<&'a [u8]>,
    script: Option<&'a [u8]>,
    sender: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    event: Option<&'a [u8]>,
    received_at: Option<&'a [u8]>,
}

/// The keys that verify proofs, by their ids.
pub struct ProofKeys(Vec<(Vec<u8>, State)>);

impl ProofKeys {
    pub fn new(keys: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let state = |key: &[u8]| Params::new().hash_length(DIGEST).key(key).to_state();
        Self(keys.into_iter().map(|(id, key)| (id, state(&key))).collect())
    }

    /// Return the identity in the headers; None if they state none. Headers without a valid proof are left to Python.
    pub fn vouched<'a>(&self, said: &Said<'a>, value: &[u8], limits: &Limits) -> Sure<Option<Vouched<'a>>> {
        let stated = [&said.proof, &said.site, &said.script, &said.sender, &said.event];
        if stated.iter().all(|header| header.is_none()) {
            return Ok(None);
        }
        let proof = said.proof.unwrap_or_default();
        let mut parts = proof.splitn(3, |byte| *byte == b':');
        let (version, id, digest) = (parts.next(), parts.next(), parts.next());
        if version != Some(b"1") {
            return Err(Left::Headers);
        }
        let (_, state) = self.0.iter().find(|(known, _)| Some(&known[..]) == id).ok_or(Left::Headers)?;
        let mut state = state.clone();
        for field in [said.site, said.script, said.sender, said.origin, said.event] {
            let text = field.unwrap_or_default();
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

impl<'a> Said<'a> {
    /// Read names and values of the headers; leaves those of replays, and those without a value, to Python.
    pub fn read(headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Sure<Self> {
        let mut said = Self::default();
        for (name, value) in headers {
            let field = match name {
                b"bridge-proof" => &mut said.proof,
                b"bridge-site-id" => &mut said.site,
                b"bridge-script-id" => &mut said.script,
                b"bridge-sender" => &mut said.sender,
                b"bridge-origin" => &mut said.origin,
                b"bridge-event-id" => &mut said.event,
                b"bridge-received-at" => &mut said.received_at,
                b"bridge-replay-id" | b"bridge-replay-of" => return Err(Left::Headers),
                _ => continue,
            };
            *field = Some(value.ok_or(Left::Headers)?);
        }
        Ok(said)
    }

    /// Return when the gateway received the event, in milliseconds since the epoch.
    ///
    /// If the gateway's time differs from that of the record by more than `most_ms`, return that of the record.
    pub fn received_at(&self, time_ms: i64, most_ms: i64) -> i64 {
        match digits(self.received_at.unwrap_or_default()) {
            Some(given) if given.abs_diff(time_ms) <= most_ms.unsigned_abs() => given,
            _ => time_ms,
        }
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > MOST_DIGITS || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn identity<'a>(said: &Said<'a>, limits: &Limits) -> Sure<Vouched<'a>> {
    let sender = match said.sender.unwrap_or_default() {
        b"visitor" => Sender::Visitor,
        b"server" => Sender::Server,
        _ => return Err(Left::Headers),
    };
    let site_id = digits(said.site.unwrap_or_default()).filter(|site| *site > 0).ok_or(Left::Headers)?;
    let (script_id, event_id) = (said.script.unwrap_or_default(), said.event.unwrap_or_default());
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
