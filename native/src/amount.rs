//! Amounts: decimals with at most 15 digits before the point and 6 after it.

use crate::{Left, Sure};

const MOST_WHOLE: usize = 15;
const MOST_DECIMALS: usize = 6;
const NEGATIVE: u16 = 0x4000;

/// Return the amount in millionths. The text is that of a JSON number, or one in a text, which may begin with a plus.
pub fn parse(text: &[u8], quoted: bool) -> Sure<i128> {
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') if quoted => (false, &text[1..]),
        _ => (false, text),
    };
    let point = memchr::memchr(b'.', digits);
    let (whole, decimals) = point.map_or((digits, &b"0"[..]), |at| (&digits[..at], &digits[at + 1..]));
    if !(1..=MOST_WHOLE).contains(&whole.len()) || !(1..=MOST_DECIMALS).contains(&decimals.len()) {
        return Err(Left::Amount);
    }
    if !whole.iter().chain(decimals).all(u8::is_ascii_digit) {
        return Err(Left::Amount);
    }
    let padding = std::iter::repeat_n(&b'0', MOST_DECIMALS - decimals.len());
    let millionths = whole.iter().chain(decimals).chain(padding);
    let size = millionths.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    Ok(if negative { -size } else { size })
}

/// Append the amount in the binary form of Postgres' numeric type, with six decimals.
pub fn write(millionths: i128, out: &mut Vec<u8>) {
    // Base 10,000 digits: two of them hold the decimals.
    let mut rest = millionths.unsigned_abs() * 100;
    let mut digits = Vec::with_capacity(8);
    while rest > 0 {
        digits.push((rest % 10_000) as u16);
        rest /= 10_000;
    }
    let weight = digits.len() as i16 - 3;
    let empty = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[empty..];
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as u16).to_be_bytes());
    out.extend_from_slice(&(if digits.is_empty() { 0 } else { weight }).to_be_bytes());
    out.extend_from_slice(&(if millionths < 0 { NEGATIVE } else { 0 }).to_be_bytes());
    out.extend_from_slice(&(MOST_DECIMALS as u16).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}
