//! URLs that the URL standard leaves as they are. Python parses every other one.

use std::borrow::Cow;

use crate::json::Text;

const MOST_HOST: usize = 253;
const MOST_LABEL: usize = 63;
const UTM: [&[u8]; 5] = [b"utm_source=", b"utm_medium=", b"utm_campaign=", b"utm_term=", b"utm_content="];

/// A page's URL without fragment, its host and path, and its campaign parameters. Absent texts are empty.
#[derive(Default)]
pub struct Page<'a> {
    pub url: Text<'a>,
    pub host: Text<'a>,
    pub path: Text<'a>,
    pub utm: [Text<'a>; 5],
}

/// Return the parts of an absolute URL that parsing does not change; None if it may change.
pub fn plain(url: &[u8]) -> Option<Page<'_>> {
    let (start, end) = host(url)?;
    if url.get(end) != Some(&b'/') {
        return None;
    }
    let path_end = path(url, end)?;
    let mut page =
        Page { host: Cow::Borrowed(&url[start..end]), path: Cow::Borrowed(&url[end..path_end]), ..Page::default() };
    let mut href_end = path_end;
    if url.get(path_end) == Some(&b'?') {
        let query = &url[path_end + 1..];
        let length = query.iter().take_while(|byte| is_of_query(**byte)).count();
        href_end = path_end + 1 + length;
        campaign(&query[..length], &mut page.utm)?;
    }
    if href_end < url.len() && url[href_end] != b'#' {
        return None;
    }
    page.url = Cow::Borrowed(&url[..href_end]);
    Some(page)
}

/// Return the host of an absolute URL; None if parsing may change it.
pub fn plain_host(url: &[u8]) -> Option<&[u8]> {
    let (start, end) = host(url)?;
    match url.get(end) {
        None | Some(b'/' | b'?' | b'#') => Some(&url[start..end]),
        _ => None,
    }
}

/// Return where the host of an http(s) URL begins and ends, if it is a plain name in lower case.
fn host(url: &[u8]) -> Option<(usize, usize)> {
    let start = match url {
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', ..] => 8,
        [b'h', b't', b't', b'p', b':', b'/', b'/', ..] => 7,
        _ => return None,
    };
    let plain = |byte: &&u8| matches!(**byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let length = url[start..].iter().take_while(plain).count();
    let name = &url[start..start + length];
    if length > MOST_HOST {
        return None;
    }
    let mut last = name;
    for label in name.split(|byte| *byte == b'.') {
        if label.is_empty() || label.len() > MOST_LABEL || label.starts_with(b"xn--") {
            return None;
        }
        last = label;
    }
    // A name whose last label begins with a digit may be an IPv4 address.
    if last.first()?.is_ascii_digit() {
        return None;
    }
    Some((start, start + length))
}

/// Return where the path ends that begins at `start`; None if it may have a segment of dots.
fn path(url: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while at < url.len() {
        match url[at] {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b':'
            | b'@'
            | b'/' => {}
            b'.' if url[at - 1] == b'/' => return None,
            b'.' => {}
            b'%' if matches!(url.get(at + 1..at + 3), Some([b'2', b'e' | b'E'])) => return None,
            b'%' => {}
            _ => break,
        }
        at += 1;
    }
    Some(at)
}

fn is_of_query(byte: u8) -> bool {
    (0x21..0x7f).contains(&byte) && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\'')
}

/// Find the first value of each campaign parameter; None if a value is not UTF-8.
fn campaign<'a>(query: &'a [u8], utm: &mut [Text<'a>; 5]) -> Option<()> {
    if memchr::memmem::find(query, b"utm_").is_none() {
        return Some(());
    }
    for parameter in query.split(|byte| *byte == b'&') {
        for (name, found) in UTM.iter().zip(utm.iter_mut()) {
            if let Some(value) = parameter.strip_prefix(*name) {
                if found.is_empty() && !value.is_empty() {
                    *found = unquoted(value)?;
                }
            }
        }
    }
    Some(())
}

/// Decode a percent-encoded value. An invalid escape stays as it is.
fn unquoted(value: &[u8]) -> Option<Text<'_>> {
    if !value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(value));
    }
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let digit = |place: usize| value.get(place).and_then(|byte| (*byte as char).to_digit(16));
        match (value[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', _, _) => out.push(b' '),
            (byte, _, _) => out.push(byte),
        }
        at += 1;
    }
    if out.contains(&0) || std::str::from_utf8(&out).is_err() {
        return None;
    }
    Some(Cow::Owned(out))
}
