//! JSON values: their text, what they are, and the bounds that Python sets for those that are only copied.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, Peek};

use crate::limits::Limits;
use crate::{Left, Sure};

/// Objects with more members are left to Python, because names are compared with each other.
const MOST_MEMBERS: usize = 64;

impl From<JiterError> for Left {
    fn from(_: JiterError) -> Self {
        Left::Json
    }
}

pub type Text<'a> = Cow<'a, [u8]>;

/// A member of an object: its name, and the JSON text of its value.
pub type Member<'a> = (Vec<u8>, Text<'a>);

/// A value of the document: its JSON text, and what it is.
#[derive(Clone)]
pub struct Item<'a> {
    pub raw: &'a [u8],
    pub kind: Kind<'a>,
}

#[derive(Clone)]
pub enum Kind<'a> {
    Null,
    Text(Text<'a>),
    Number,
    Object,
    Other,
}

/// The values of one JSON text, which are read one after another.
pub struct Values<'a, 'l> {
    text: &'a [u8],
    json: Jiter<'a>,
    limits: &'l Limits,
    /// The sum of the exponents of all numbers so far.
    exponents: usize,
}

impl<'a, 'l> Values<'a, 'l> {
    pub fn new(text: &'a [u8], limits: &'l Limits) -> Self {
        Self { text, json: Jiter::new(text), limits, exponents: 0 }
    }

    /// Return the first name of the object that the text is; None if it is empty.
    pub fn first_name(&mut self) -> Sure<Option<&str>> {
        Ok(self.json.next_object()?)
    }

    /// Return the next name of the object; None after its last value.
    pub fn next_name(&mut self) -> Sure<Option<&str>> {
        Ok(self.json.next_key()?)
    }

    /// Check that nothing follows.
    pub fn finish(&mut self) -> Sure<()> {
        Ok(self.json.finish()?)
    }

    /// Read one value, nested at most `depth` deep.
    pub fn item(&mut self, depth: usize) -> Sure<Item<'a>> {
        let peek = self.json.peek()?;
        let start = self.json.current_index();
        if peek == Peek::String {
            let length = self.json.known_str()?.len();
            let raw = &self.text[start..self.json.current_index()];
            // An escape is longer than its character.
            let text = if length + 2 == raw.len() {
                Cow::Borrowed(&raw[1..=length])
            } else {
                Cow::Owned(Jiter::new(raw).next_str()?.as_bytes().to_vec())
            };
            return Ok(Item { raw, kind: Kind::Text(text) });
        }
        self.walk(peek, depth)?;
        let kind = match peek {
            Peek::Null => Kind::Null,
            Peek::Object => Kind::Object,
            _ if peek.is_num() => Kind::Number,
            _ => Kind::Other,
        };
        Ok(Item { raw: &self.text[start..self.json.current_index()], kind })
    }

    /// Check a value that is only copied.
    fn walk(&mut self, peek: Peek, depth: usize) -> Sure<()> {
        match peek {
            Peek::String => self.json.known_str().map(drop)?,
            Peek::Null => self.json.known_null()?,
            Peek::True | Peek::False => self.json.known_bool(peek).map(drop)?,
            Peek::Object | Peek::Array if depth == 0 => return Err(Left::Json),
            Peek::Object => {
                let mut more = self.json.known_object()?.is_some();
                while more {
                    let next = self.json.peek()?;
                    self.walk(next, depth - 1)?;
                    more = self.json.next_key()?.is_some();
                }
            }
            Peek::Array => {
                let mut next = self.json.known_array()?;
                while let Some(peek) = next {
                    self.walk(peek, depth - 1)?;
                    next = self.json.array_step()?;
                }
            }
            _ => self.number()?,
        }
        Ok(())
    }

    /// Check a number. One that may not fit a double is left to Python, and so is one whose exponent adds many digits.
    fn number(&mut self) -> Sure<()> {
        let text = self.json.next_number_bytes()?;
        if text.len() >= self.limits.many_digits {
            return Err(Left::Properties);
        }
        if let Some(place) = memchr::memchr2(b'e', b'E', text) {
            let exponent = &text[place + 1..];
            let digits = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
            if digits.len() > 2 {
                return Err(Left::Properties);
            }
            self.exponents += digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            if self.exponents > self.limits.max_exponents {
                return Err(Left::Properties);
            }
        }
        Ok(())
    }
}

/// Return the members of an object.
pub fn members<'a>(object: &'a [u8], limits: &Limits) -> Sure<Vec<(Vec<u8>, Item<'a>)>> {
    let mut values = Values::new(object, limits);
    let mut found: Vec<(Vec<u8>, Item)> = Vec::new();
    let mut name = values.first_name()?.map(|name| name.as_bytes().to_vec());
    while let Some(each) = name {
        if found.len() >= MOST_MEMBERS || found.iter().any(|(other, _)| *other == each) {
            return Err(Left::Properties);
        }
        found.push((each, values.item(limits.max_depth - 2)?));
        name = values.next_name()?.map(|name| name.as_bytes().to_vec());
    }
    Ok(found)
}

/// Return the members of an object, with the values' JSON text only.
pub fn raw_members<'a>(object: &'a [u8], limits: &Limits) -> Sure<Vec<Member<'a>>> {
    let found = members(object, limits)?;
    Ok(found.into_iter().map(|(name, item)| (name, Cow::Borrowed(item.raw))).collect())
}

/// Return the JSON of an object with these members; leaves repeated names, and names with escapes, to Python.
pub fn joined(members: &[Member]) -> Sure<Vec<u8>> {
    if members.len() > MOST_MEMBERS {
        return Err(Left::Properties);
    }
    let mut out = vec![b'{'];
    for (at, (name, raw)) in members.iter().enumerate() {
        let escaped = name.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f));
        if escaped || members[..at].iter().any(|(other, _)| other == name) {
            return Err(Left::Properties);
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
