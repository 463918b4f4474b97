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

/// Return the bytes of time of an id that looks like a UUIDv7. Its positions count characters.
fn time_of(event_id: &[u8]) -> Option<[u8; 6]> {
    if event_id.len() < UUID_LENGTH || crate::document::characters(event_id) != UUID_LENGTH {
        return None;
    }
    let mut marks = ['-'; 15];
    if event_id.is_ascii() {
        marks.iter_mut().zip(event_id).for_each(|(mark, byte)| *mark = *byte as char);
    } else {
        let text = std::str::from_utf8(event_id).ok()?;
        marks.iter_mut().zip(text.chars()).for_each(|(mark, found)| *mark = found);
    }
    if marks[14] != '7' {
        return None;
    }
    let mut time = [0; 6];
    for (byte, place) in time.iter_mut().zip(TIME_DIGITS) {
        *byte = (marks[place].to_digit(16)? * 16 + marks[place + 1].to_digit(16)?) as u8;
    }
    Some(time)
}
