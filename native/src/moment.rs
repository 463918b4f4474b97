//! Times, in microseconds since the epoch.

use crate::{Left, Sure};

pub const SECOND: i64 = 1_000_000;
/// Python converts milliseconds by a double, which is exact to the microsecond until the year 2106.
pub const EXACT_MS: i64 = (1 << 32) * 1000;
const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const FIRST_YEAR: i64 = 1970;
const LAST_YEAR: i64 = 9998;

/// Return the time of RFC 3339 text in its usual form, with at most six decimals and an offset.
pub fn parse(text: &[u8]) -> Sure<i64> {
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if text.len() < 20 || marks.iter().any(|(place, mark)| text[*place] != *mark) {
        return Err(Left::Time);
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let (month, day) = (two(text, 5)?, two(text, 8)?);
    let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
    if !(FIRST_YEAR + 1..LAST_YEAR).contains(&year) || !(1..=12).contains(&month) {
        return Err(Left::Time);
    }
    if day < 1 || day > days_of(year, month) || hour > 23 || minute > 59 || second > 59 {
        return Err(Left::Time);
    }
    let mut rest = &text[19..];
    let mut micros = 0;
    if rest[0] == b'.' {
        let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=6).contains(&digits) {
            return Err(Left::Time);
        }
        for place in 0..6 {
            micros = micros * 10 + if place < digits { i64::from(rest[1 + place] - b'0') } else { 0 };
        }
        rest = &rest[1 + digits..];
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(rest)?;
    Ok(seconds * SECOND + micros)
}

/// Return the time of milliseconds since the epoch, written as a JSON integer.
pub fn from_ms(text: &[u8]) -> Sure<i64> {
    let ms = integer(text).filter(|ms| *ms < EXACT_MS).ok_or(Left::Time)?;
    Ok(ms * 1000)
}

/// Return a natural number of at most 18 digits, written as a JSON integer.
pub fn integer(text: &[u8]) -> Option<i64> {
    let leads = text.len() > 1 && text[0] == b'0';
    if text.is_empty() || text.len() > 18 || leads || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Append the time as RFC 3339 text that ends with Z, with microseconds if they are not zero.
pub fn write(micros: i64, out: &mut Vec<u8>) {
    let (seconds, rest) = (micros.div_euclid(SECOND), micros.rem_euclid(SECOND));
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let clock = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if rest != 0 {
        text += &format!(".{rest:06}");
    }
    out.extend_from_slice(text.as_bytes());
    out.push(b'Z');
}

fn offset(text: &[u8]) -> Sure<i64> {
    if text == b"Z" {
        return Ok(0);
    }
    if text.len() != 6 || text[3] != b':' {
        return Err(Left::Time);
    }
    let (hours, minutes) = (two(text, 1)?, two(text, 4)?);
    if hours > 15 || minutes > 59 {
        return Err(Left::Time);
    }
    match text[0] {
        b'+' => Ok((hours * 60 + minutes) * 60),
        b'-' if hours + minutes > 0 => Ok(-(hours * 60 + minutes) * 60),
        _ => Err(Left::Time),
    }
}

fn two(text: &[u8], place: usize) -> Sure<i64> {
    let (first, second) = (text[place].wrapping_sub(b'0'), text[place + 1].wrapping_sub(b'0'));
    if first > 9 || second > 9 {
        return Err(Left::Time);
    }
    Ok(i64::from(first) * 10 + i64::from(second))
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    DAYS[month as usize - 1] + i64::from(month == 2 && leap)
}

/// Return the number of days since the epoch, in the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Return year, month and day of a number of days since the epoch.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}
