//! One row of the table of events, in the binary form of Postgres' COPY.

use crate::document::Document;
use crate::gateway::Sender;
use crate::page::Page;
use crate::{amount, moment};

const COLUMNS: i16 = 31;
const COLUMNS_BEFORE_IDS: usize = 5;
const EPOCH_OF_POSTGRES: i64 = 946_684_800 * moment::SECOND;
const JSONB_VERSION: u8 = 1;
const FIRST_ATTEMPT: i32 = 1;

/// The content of a row beside the document's own fields. Absent texts are empty.
pub struct Row<'a> {
    pub document: &'a Document<'a>,
    pub page: &'a Page<'a>,
    pub received_at: i64,
    pub occurred_at: i64,
    pub site_id: i64,
    pub org_id: Option<i64>,
    pub script_id: &'a [u8],
    pub event_id: &'a [u8],
    pub event_type: &'a [u8],
    pub referrer_host: &'a [u8],
    pub currency: &'a [u8],
    pub topic: &'a [u8],
    pub partition: i32,
    pub offset: i64,
    pub sender: Sender,
    pub original: &'a [u8],
}

impl Row<'_> {
    /// Append the row, with its columns in the order of BridgeEvent's fields.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (document, page) = (self.document, self.page);
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        long(out, Some(self.received_at - EPOCH_OF_POSTGRES));
        long(out, Some(self.occurred_at - EPOCH_OF_POSTGRES));
        long(out, document.sent_at.map(|sent| sent - EPOCH_OF_POSTGRES));
        long(out, Some(self.site_id));
        long(out, self.org_id);
        for column in [self.script_id, self.event_id, self.event_type, &document.session_id, &document.visitor_id] {
            text(out, column);
        }
        for column in [&page.url, &page.host, &page.path].into_iter().chain(&page.utm) {
            text(out, column);
        }
        for column in [&document.referrer, self.referrer_host, &document.user_agent] {
            text(out, column);
        }
        match document.value {
            None => null(out),
            Some(millionths) => amount::write(millionths, out),
        }
        text(out, self.currency);
        jsonb(out, &document.properties);
        long(out, Some(document.schema_version));
        text(out, self.topic);
        integer(out, self.partition);
        long(out, Some(self.offset));
        integer(out, FIRST_ATTEMPT);
        text(out, self.sender.name());
        jsonb(out, self.original);
    }
}

/// Return script and event id of an encoded row.
pub fn ids(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = row.get(2..)?;
    for _ in 0..COLUMNS_BEFORE_IDS {
        column(&mut rest)?;
    }
    Some((column(&mut rest)?, column(&mut rest)?))
}

/// Take one column from the rest of a row. One that is NULL has no bytes.
fn column<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (content, after) = after.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0))?;
    *rest = after;
    Some(content)
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

fn long(out: &mut Vec<u8>, value: Option<i64>) {
    match value {
        None => null(out),
        Some(value) => {
            out.extend_from_slice(&8_i32.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn integer(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&4_i32.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

fn text(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        return null(out);
    }
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
}

fn jsonb(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        return null(out);
    }
    out.extend_from_slice(&(1 + value.len() as i32).to_be_bytes());
    out.push(JSONB_VERSION);
    out.extend_from_slice(value);
}
