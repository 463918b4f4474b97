//! The 16-byte key of site and event id in the table that detects duplicates.

use blake2b_simd::Params;

const UUID_LENGTH: usize = 36;
const TIME_DIGITS: [usize; 6] = [0, 2, 4, 6, 9, 11];

/// Return the key. For a UUIDv7 it begins with the UUID's 48 bits of time.
pub fn event_key(site_id: i64, event_id: &[u8]) -> [u8; 16] {
    let mut text = Vec::with_capacity(160);
    text.extend_from_slice(site_id.to_string().as_bytes());
    text.push(b':');
    text.extend_from_slice(event_id);
    let mut key = [0; 16];
    if let Some(time) = time_of(event_id) {
        key[..6].copy_from_slice(&time);
        key[6..].copy_from_slice(Params::new().hash_length(10).hash(&text).as_bytes());
    } else {
        key.copy_from_slice(Params::new().hash_length(16).hash(&text).as_bytes());
    }
    key
}

/// Return the bytes of time of an id that looks like a UUIDv7.
fn time_of(event_id: &[u8]) -> Option<[u8; 6]> {
    // The first 15 characters are ASCII where they matter, so that bytes and characters have the same positions there.
    if event_id.len() < UUID_LENGTH || !event_id[..15].is_ascii() || event_id[14] != b'7' {
        return None;
    }
    if crate::document::characters(event_id) != UUID_LENGTH {
        return None;
    }
    let mut time = [0; 6];
    for (byte, place) in time.iter_mut().zip(TIME_DIGITS) {
        let (high, low) = ((event_id[place] as char).to_digit(16)?, (event_id[place + 1] as char).to_digit(16)?);
        *byte = (high * 16 + low) as u8;
    }
    Some(time)
}
