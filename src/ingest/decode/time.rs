//! Dates and timestamps: ISO 8601 text and epoch numbers to days and microseconds since 1970.

use super::scalar;

const MICROSECONDS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// The first and last moment that every reader of the tables can show: the years 1 to 9999.
const MICROSECONDS_MIN: i64 = -62_135_596_800_000_000;
const MICROSECONDS_MAX: i64 = 253_402_300_799_999_999;

/// Above this an epoch number counts milliseconds (as seconds it would lie beyond the year 5138).
const EPOCH_SECONDS_MAX: i128 = 100_000_000_000;
/// Above this an epoch number counts microseconds (as milliseconds it would lie beyond the year 5138).
const EPOCH_MILLISECONDS_MAX: i128 = 100_000_000_000_000;

/// `YYYY-MM-DD` as days since 1970.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    match text {
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => {
            let (year, month, day) = (digits(year)?, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?);
            i32::try_from(days(year, month, day)?).ok()
        }
        _ => None,
    }
}

/// A timestamp as microseconds since 1970, UTC.
///
/// `YYYY-MM-DD`, then `T` or a space, `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction` (rounded to microseconds), then `Z`,
/// `UTC`, `+HH`, `+HHMM`, `+HH:MM` or nothing, which means UTC. A bare date is its midnight. An epoch number is read as
/// [`epoch`] does, except that 8 or 14 digits, which may be `YYYYMMDD` or `YYYYMMDDHHMMSS`, are refused.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let Some((day, rest)) = text.split_at_checked(10).filter(|(day, _)| day[4] == b'-') else {
        let ambiguous = matches!(text.len(), 8 | 14) && text.iter().all(u8::is_ascii_digit);
        return if ambiguous { None } else { epoch(text) };
    };
    let day = i64::from(date(day)?);
    let (of_day, offset) = match rest.split_first() {
        None => (0, 0),
        Some((b'T' | b't' | b' ', rest)) => {
            let (of_day, zone) = time_of_day(rest)?;
            (of_day, zone_offset_seconds(zone)?)
        }
        Some(_) => return None,
    };
    let seconds = day * SECONDS_A_DAY - offset;
    in_range(seconds.checked_mul(MICROSECONDS_A_SECOND)?.checked_add(of_day)?)
}

/// A number of seconds, milliseconds or microseconds since 1970, told apart by size: above 10^14 it counts
/// microseconds, above 10^11 milliseconds, else seconds. Fractions are kept to the microsecond.
pub(super) fn epoch(text: &[u8]) -> Option<i64> {
    let millionths = scalar::rounded(text, 6)?;
    let whole = (millionths / 1_000_000).abs();
    let microseconds = if whole > EPOCH_MILLISECONDS_MAX {
        millionths / 1_000_000
    } else if whole > EPOCH_SECONDS_MAX {
        millionths / 1_000
    } else {
        millionths
    };
    in_range(i64::try_from(microseconds).ok()?)
}

/// Microseconds of the day, and what follows them.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, rest) = (digits(text.get(..2)?)?, text.get(2..)?);
    let minute = digits(rest.strip_prefix(b":")?.get(..2)?)?;
    let mut rest = &rest[3..];
    let (mut second, mut fraction) = (0, 0);
    if let Some(after) = rest.strip_prefix(b":") {
        second = digits(after.get(..2)?)?;
        rest = &after[2..];
        if let Some(after) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
            let end = after.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
            fraction = fraction_microseconds(&after[..end])?;
            rest = &after[end..];
        }
    }
    // A leap second is the next minute's first; 24:00:00 is the next day's midnight. Both as PostgreSQL has them.
    let midnight = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    if (hour > 23 && !midnight) || minute > 59 || second > 60 {
        return None;
    }
    Some((((hour * 60 + minute) * 60 + second) * MICROSECONDS_A_SECOND + fraction, rest))
}

fn fraction_microseconds(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    let padded = (0..6).map(|place| digits.get(place).copied().unwrap_or(b'0'));
    let value = padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    let up = digits.get(6).is_some_and(|digit| *digit >= b'5');
    Some(value + i64::from(up))
}

fn zone_offset_seconds(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let (east, digits_of) = match text.split_first() {
        None => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => {
            return (text.eq_ignore_ascii_case(b"Z") || text.eq_ignore_ascii_case(b"UTC")).then_some(0);
        }
    };
    let (hours, minutes) = match digits_of {
        [h1, h2] => (digits(&[*h1, *h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
        _ => return None,
    };
    (hours <= 15 && minutes <= 59).then_some(east * (hours * 60 + minutes) * 60)
}

/// Days since 1970 of a date of the proleptic Gregorian calendar, years 1 to 9999.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year; eras are the calendar's 400 years.
    let (shifted, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn in_range(microseconds: i64) -> Option<i64> {
    (MICROSECONDS_MIN..=MICROSECONDS_MAX).contains(&microseconds).then_some(microseconds)
}
