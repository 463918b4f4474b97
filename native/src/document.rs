//! The JSON document of a raw event, in the fields of the contract's version 1.

use std::borrow::Cow;

use memchr::memmem;

use crate::json::{joined, members, raw_members, Item, Kind, Member, Text, Values};
use crate::limits::Limits;
use crate::{amount, moment, Left, Sure};

const EXTRA: &[u8] = b"_extra";
const EMPTY: &[u8] = b"{}";
const SHORTEST_MEMBER: usize = 5;

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

const NAMES: [&str; 17] = [
    "event_id",
    "site_id",
    "script_id",
    "event_type",
    "occurred_at",
    "sent_at",
    "session_id",
    "visitor_id",
    "url",
    "referrer",
    "user_agent",
    "value",
    "currency",
    "properties",
    "schema_version",
    "amount",
    "page",
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
pub fn read<'a>(value: &'a [u8], limits: &Limits) -> Sure<Document<'a>> {
    if memmem::find(value, b"\\u0000").is_some() {
        return Err(Left::Json);
    }
    let mut fields: Fields = [const { None }; 17];
    let mut unknown: Vec<Member> = Vec::new();
    let mut values = Values::new(value, limits);
    let mut place = values.first_name()?.map(place_of);
    while let Some(found) = place {
        let item = values.item(limits.max_depth - 1)?;
        match found {
            Ok(at) => {
                if fields[at].is_some() {
                    return Err(Left::Field);
                }
                if at == AMOUNT || at == PAGE {
                    // In version 1 it is unknown. In version 2 a part of the page may be.
                    unknown.push((NAMES[at].as_bytes().to_vec(), Cow::Borrowed(item.raw)));
                }
                fields[at] = Some(item);
            }
            Err(name) => unknown.push((name, Cow::Borrowed(item.raw))),
        }
        place = values.next_name()?.map(place_of);
    }
    values.finish()?;
    let version = match &fields[14] {
        None => 1,
        Some(item) => moment::integer(number(item)?).ok_or(Left::Field)?,
    };
    let rewritten = match version {
        1 => {
            if let Some(Item { raw, kind: Kind::Object }) = &fields[PAGE] {
                put_page(&mut unknown, joined(&raw_members(raw, limits)?)?);
            }
            !unknown.is_empty()
        }
        2 => {
            upcast(&mut fields, &mut unknown, limits)?;
            true
        }
        _ => return Err(Left::Field),
    };
    let properties = match fields[13].take() {
        None => Cow::Borrowed(EMPTY),
        Some(item) => object(&item)?,
    };
    let properties = if rewritten { with_extra(&properties, unknown, limits)? } else { properties };
    let few = limits.few_names;
    if properties.len() > SHORTEST_MEMBER * few && memchr::memchr_iter(b':', &properties).count() > few {
        return Err(Left::Properties);
    }
    build(fields, properties, version, limits)
}

fn build<'a>(mut fields: Fields<'a>, properties: Text<'a>, schema_version: i64, limits: &Limits) -> Sure<Document<'a>> {
    let mut take = |at: usize| fields[at].take();
    let occurred_at = instant(take(4))?.ok_or(Left::Field)?;
    Ok(Document {
        event_id: bounded(take(0), limits.max_event_id)?,
        site_id: natural(take(1))?,
        script_id: bounded(take(2), limits.max_script_id)?,
        event_type: bounded(take(3), limits.max_event_type)?.ok_or(Left::Field)?,
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
fn upcast<'a>(fields: &mut Fields<'a>, unknown: &mut Vec<Member<'a>>, limits: &Limits) -> Sure<()> {
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
            for (name, item) in members(page.raw, limits)? {
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
fn with_extra<'a>(properties: &[u8], unknown: Vec<Member>, limits: &Limits) -> Sure<Text<'a>> {
    let mut all = raw_members(properties, limits)?;
    if !unknown.is_empty() {
        if all.iter().any(|(name, _)| name == EXTRA) {
            return Err(Left::Properties);
        }
        all.push((EXTRA.to_vec(), Cow::Owned(joined(&unknown)?)));
    }
    Ok(Cow::Owned(joined(&all)?))
}

fn place_of(name: &str) -> Result<usize, Vec<u8>> {
    NAMES.iter().position(|known| *known == name).ok_or_else(|| name.as_bytes().to_vec())
}

fn number<'a>(item: &Item<'a>) -> Sure<&'a [u8]> {
    match item.kind {
        Kind::Number => Ok(item.raw),
        _ => Err(Left::Field),
    }
}

/// Return the JSON of an object; an empty one for null and an empty array.
fn object<'a>(item: &Item<'a>) -> Sure<Text<'a>> {
    match item.kind {
        Kind::Object => Ok(Cow::Borrowed(item.raw)),
        Kind::Null => Ok(Cow::Borrowed(EMPTY)),
        _ if item.raw == b"[]" => Ok(Cow::Borrowed(EMPTY)),
        _ => Err(Left::Field),
    }
}

fn optional(item: Option<Item>) -> Sure<Option<Text>> {
    match item.map(|found| found.kind) {
        None | Some(Kind::Null) => Ok(None),
        Some(Kind::Text(text)) => Ok(Some(text)),
        _ => Err(Left::Field),
    }
}

fn text(item: Option<Item>) -> Sure<Text> {
    Ok(optional(item)?.unwrap_or(Cow::Borrowed(b"")))
}

fn bounded(item: Option<Item>, most: usize) -> Sure<Option<Text>> {
    match optional(item)? {
        Some(text) if text.is_empty() || (text.len() > most && characters(&text) > most) => Err(Left::Field),
        found => Ok(found),
    }
}

fn natural(item: Option<Item>) -> Sure<Option<i64>> {
    match item {
        None => Ok(None),
        Some(Item { kind: Kind::Null, .. }) => Ok(None),
        Some(item) => match moment::integer(number(&item)?) {
            None | Some(0) => Err(Left::Field),
            found => Ok(found),
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
