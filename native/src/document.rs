//! The JSON document of a raw event, in the fields of the contract's version 1.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, Peek};
use memchr::memmem;

use crate::{amount, moment, Left, Sure};

const MAX_BYTES: usize = 64 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_ID: usize = 128;
const MAX_EVENT_TYPE: usize = 64;
const MOST_DIGITS: usize = 100;
/// Python sums the exponents of more numbers than this.
const MOST_EXPONENTS: usize = 1000;
const MOST_MEMBERS: usize = 64;
/// Postgres sorts the names of larger objects slowly, so Python sorts them.
const MOST_NAMES: usize = 128;
const EXTRA: &[u8] = b"_extra";
const EMPTY: &[u8] = b"{}";

impl From<JiterError> for Left {
    fn from(_: JiterError) -> Self {
        Left
    }
}

pub type Text<'a> = Cow<'a, [u8]>;

/// A raw event's fields. Absent texts are empty.
pub struct Document<'a> {
    pub event_id: Option<Text<'a>>,
    pub site_id: Option<i64>,
    pub script_id: Option<Text<'a>>,
    pub event_type: Text<'a>,
    pub occurred_at: i64,
    pub sent_at: Option<i64>,
    pub session_id: Text<'a>,
    pub visitor_id: Text<'a>,
    pub url: Text<'a>,
    pub referrer: Text<'a>,
    pub user_agent: Text<'a>,
    pub value: Option<i128>,
    pub currency: Text<'a>,
    pub properties: Text<'a>,
    pub schema_version: i64,
}

/// A value of the document: its JSON text, and what it is.
#[derive(Clone)]
struct Item<'a> {
    raw: &'a [u8],
    kind: Kind<'a>,
}

#[derive(Clone)]
enum Kind<'a> {
    Null,
    Text(Text<'a>),
    Number,
    Object,
    Other,
}

type Member<'a> = (Vec<u8>, Text<'a>);

const NAMES: [&str; 17] = [
    "event_id", "site_id", "script_id", "event_type", "occurred_at", "sent_at", "session_id", "visitor_id", "url",
    "referrer", "user_agent", "value", "currency", "properties", "schema_version", "amount", "page",
];
const AMOUNT: usize = 15;
const PAGE: usize = 16;
const URL: usize = 8;
const REFERRER: usize = 9;
const VALUE: usize = 11;

type Fields<'a> = [Option<Item<'a>>; 17];

/// Return the number of characters of UTF-8 text.
pub fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

/// Return the fields of a raw event's JSON; leaves every document that may break the contract to Python.
pub fn read(value: &[u8]) -> Sure<Document<'_>> {
    if value.len() > MAX_BYTES || memmem::find(value, b"\\u0000").is_some() {
        return Err(Left);
    }
    let mut fields: Fields = [const { None }; 17];
    let mut unknown: Vec<Member> = Vec::new();
    let mut json = Jiter::new(value);
    let mut exponents = 0;
    if json.peek()? != Peek::Object {
        return Err(Left);
    }
    let mut place = json.known_object()?.map(place_of);
    while let Some(found) = place {
        let item = item(&mut json, value, MAX_DEPTH - 1, &mut exponents)?;
        match found {
            Ok(at) => {
                if fields[at].is_some() {
                    return Err(Left);
                }
                if at == AMOUNT || at == PAGE {
                    // In version 1 it is unknown. In version 2 a part of the page may be.
                    unknown.push((NAMES[at].as_bytes().to_vec(), Cow::Borrowed(item.raw)));
                }
                fields[at] = Some(item);
            }
            Err(name) => unknown.push((name, Cow::Borrowed(item.raw))),
        }
        place = json.next_key()?.map(place_of);
    }
    json.finish()?;
    let version = match &fields[14] {
        None => 1,
        Some(item) => moment::integer(number(item)?)?,
    };
    let rewritten = match version {
        1 => {
            if let Some(Item { raw, kind: Kind::Object }) = &fields[PAGE] {
                let inner = members(raw)?.into_iter().map(|(name, item)| (name, Cow::Borrowed(item.raw)));
                put_page(&mut unknown, joined(&inner.collect::<Vec<_>>())?);
            }
            !unknown.is_empty()
        }
        2 => {
            upcast(&mut fields, &mut unknown)?;
            true
        }
        _ => return Err(Left),
    };
    let properties = match fields[13].take() {
        None => Cow::Borrowed(EMPTY),
        Some(item) => object(&item)?,
    };
    let properties = if rewritten { with_extra(&properties, unknown)? } else { properties };
    if properties.len() > 5 * MOST_NAMES && memchr::memchr_iter(b':', &properties).count() > MOST_NAMES {
        return Err(Left);
    }
    build(fields, properties, version)
}

fn build<'a>(mut fields: Fields<'a>, properties: Text<'a>, schema_version: i64) -> Sure<Document<'a>> {
    let mut take = |at: usize| fields[at].take();
    let occurred_at = instant(take(4))?.ok_or(Left)?;
    Ok(Document {
        event_id: bounded(take(0), MAX_ID)?,
        site_id: natural(take(1))?,
        script_id: bounded(take(2), MAX_ID)?,
        event_type: bounded(take(3), MAX_EVENT_TYPE)?.ok_or(Left)?,
        occurred_at,
        sent_at: instant(take(5))?,
        session_id: text(take(6))?,
        visitor_id: text(take(7))?,
        url: text(take(URL))?,
        referrer: text(take(REFERRER))?,
        user_agent: text(take(10))?,
        value: money(take(VALUE))?,
        currency: text(take(12))?,
        properties,
        schema_version,
    })
}

/// Convert version 2: `amount` becomes `value`, and `url` and `referrer` are in `page`.
fn upcast<'a>(fields: &mut Fields<'a>, unknown: &mut Vec<Member<'a>>) -> Sure<()> {
    let mut others = Vec::new();
    for at in [VALUE, URL, REFERRER] {
        if let Some(item) = fields[at].take() {
            others.push((NAMES[at].as_bytes().to_vec(), Cow::Borrowed(item.raw)));
        }
    }
    fields[VALUE] = fields[AMOUNT].take();
    let mut rest = Vec::new();
    if let Some(page) = fields[PAGE].take() {
        if object(&page)?.as_ref() != EMPTY {
            for (name, item) in members(page.raw)? {
                match &name[..] {
                    b"url" => fields[URL] = Some(item),
                    b"referrer" => fields[REFERRER] = Some(item),
                    _ => rest.push((name, Cow::Borrowed(item.raw))),
                }
            }
        }
    }
    unknown.retain(|(name, _)| name != b"amount" && (name != b"page" || !rest.is_empty()));
    if !rest.is_empty() {
        put_page(unknown, joined(&rest)?);
    }
    others.append(unknown);
    *unknown = others;
    Ok(())
}

/// Replace the JSON of the unknown field `page`.
fn put_page(unknown: &mut [Member], text: Vec<u8>) {
    for (name, raw) in unknown {
        if name == b"page" {
            *raw = Cow::Owned(text);
            return;
        }
    }
}

/// Return the properties with the unknown fields in `_extra`.
fn with_extra<'a>(properties: &[u8], unknown: Vec<Member>) -> Sure<Text<'a>> {
    let mut all: Vec<Member> =
        members(properties)?.into_iter().map(|(name, item)| (name, Cow::Borrowed(item.raw))).collect();
    if !unknown.is_empty() {
        if all.iter().any(|(name, _)| name == EXTRA) {
            return Err(Left);
        }
        all.push((EXTRA.to_vec(), Cow::Owned(joined(&unknown)?)));
    }
    Ok(Cow::Owned(joined(&all)?))
}

/// Return the JSON of an object with these members; leaves repeated names, and names with escapes, to Python.
fn joined(members: &[Member]) -> Sure<Vec<u8>> {
    if members.len() > MOST_MEMBERS {
        return Err(Left);
    }
    let mut out = vec![b'{'];
    for (at, (name, raw)) in members.iter().enumerate() {
        let escaped = name.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f));
        if escaped || members[..at].iter().any(|(other, _)| other == name) {
            return Err(Left);
        }
        if at > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(raw);
    }
    out.push(b'}');
    Ok(out)
}

fn members(raw: &[u8]) -> Sure<Vec<(Vec<u8>, Item<'_>)>> {
    let mut json = Jiter::new(raw);
    let mut found: Vec<(Vec<u8>, Item)> = Vec::new();
    let mut name = json.next_object()?.map(|name| name.as_bytes().to_vec());
    while let Some(each) = name {
        if found.len() >= MOST_MEMBERS || found.iter().any(|(other, _)| *other == each) {
            return Err(Left);
        }
        let item = item(&mut json, raw, MAX_DEPTH - 2, &mut 0)?;
        found.push((each, item));
        name = json.next_key()?.map(|name| name.as_bytes().to_vec());
    }
    Ok(found)
}

fn place_of(name: &str) -> Result<usize, Vec<u8>> {
    NAMES.iter().position(|known| *known == name).ok_or_else(|| name.as_bytes().to_vec())
}

/// Read one value, nested at most `depth` deep.
fn item<'a>(json: &mut Jiter<'a>, value: &'a [u8], depth: usize, exponents: &mut usize) -> Sure<Item<'a>> {
    let peek = json.peek()?;
    let start = json.current_index();
    if peek == Peek::String {
        let length = json.known_str()?.len();
        let end = json.current_index();
        let raw = &value[start..end];
        // An escape is longer than its character.
        let text = if length + 2 == raw.len() {
            Cow::Borrowed(&raw[1..=length])
        } else {
            Cow::Owned(Jiter::new(raw).next_str()?.as_bytes().to_vec())
        };
        return Ok(Item { raw, kind: Kind::Text(text) });
    }
    walk(json, peek, depth, exponents)?;
    let kind = match peek {
        Peek::Null => Kind::Null,
        Peek::Object => Kind::Object,
        _ if peek.is_num() => Kind::Number,
        _ => Kind::Other,
    };
    Ok(Item { raw: &value[start..json.current_index()], kind })
}

/// Check a value that is only copied. Numbers that may not fit a double are left to Python.
fn walk(json: &mut Jiter, peek: Peek, depth: usize, exponents: &mut usize) -> Sure<()> {
    match peek {
        Peek::String => json.known_str().map(drop)?,
        Peek::Null => json.known_null()?,
        Peek::True | Peek::False => json.known_bool(peek).map(drop)?,
        Peek::Object | Peek::Array if depth == 0 => return Err(Left),
        Peek::Object => {
            let mut more = json.known_object()?.is_some();
            while more {
                let next = json.peek()?;
                walk(json, next, depth - 1, exponents)?;
                more = json.next_key()?.is_some();
            }
        }
        Peek::Array => {
            let mut next = json.known_array()?;
            while let Some(peek) = next {
                walk(json, peek, depth - 1, exponents)?;
                next = json.array_step()?;
            }
        }
        _ => {
            let text = json.next_number_bytes()?;
            if let Some(place) = memchr::memchr2(b'e', b'E', text) {
                let exponent = &text[place + 1..];
                let signed = exponent.starts_with(b"-") || exponent.starts_with(b"+");
                *exponents += 1;
                if exponent.len() - usize::from(signed) > 2 || *exponents > MOST_EXPONENTS {
                    return Err(Left);
                }
            }
            if text.len() > MOST_DIGITS {
                return Err(Left);
            }
        }
    }
    Ok(())
}

fn number<'a>(item: &Item<'a>) -> Sure<&'a [u8]> {
    match item.kind {
        Kind::Number => Ok(item.raw),
        _ => Err(Left),
    }
}

/// Return the JSON of an object; an empty one for null and an empty array.
fn object<'a>(item: &Item<'a>) -> Sure<Text<'a>> {
    match item.kind {
        Kind::Object => Ok(Cow::Borrowed(item.raw)),
        Kind::Null => Ok(Cow::Borrowed(EMPTY)),
        _ if item.raw == b"[]" => Ok(Cow::Borrowed(EMPTY)),
        _ => Err(Left),
    }
}

fn optional(item: Option<Item>) -> Sure<Option<Text>> {
    match item.map(|found| found.kind) {
        None | Some(Kind::Null) => Ok(None),
        Some(Kind::Text(text)) => Ok(Some(text)),
        _ => Err(Left),
    }
}

fn text(item: Option<Item>) -> Sure<Text> {
    Ok(optional(item)?.unwrap_or(Cow::Borrowed(b"")))
}

fn bounded(item: Option<Item>, most: usize) -> Sure<Option<Text>> {
    match optional(item)? {
        Some(text) if text.is_empty() || (text.len() > most && characters(&text) > most) => Err(Left),
        found => Ok(found),
    }
}

fn natural(item: Option<Item>) -> Sure<Option<i64>> {
    match item {
        None => Ok(None),
        Some(Item { kind: Kind::Null, .. }) => Ok(None),
        Some(item) => match moment::integer(number(&item)?)? {
            0 => Err(Left),
            found => Ok(Some(found)),
        },
    }
}

fn instant(item: Option<Item>) -> Sure<Option<i64>> {
    match item {
        None => Ok(None),
        Some(Item { kind: Kind::Null, .. }) => Ok(None),
        Some(Item { kind: Kind::Text(text), .. }) => moment::parse(&text).map(Some),
        Some(item) => moment::from_ms(number(&item)?).map(Some),
    }
}

fn money(item: Option<Item>) -> Sure<Option<i128>> {
    match item {
        None => Ok(None),
        Some(Item { kind: Kind::Null, .. }) => Ok(None),
        // An escaped text is longer than the amount in it.
        Some(Item { kind: Kind::Text(text), raw }) if text.len() + 2 == raw.len() => {
            if text.is_empty() {
                Ok(None)
            } else {
                amount::parse(&text, true).map(Some)
            }
        }
        Some(item) => amount::parse(number(&item)?, false).map(Some),
    }
}
