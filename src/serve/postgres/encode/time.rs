//! Days and microseconds as PostgreSQL writes them, over its whole range and beyond what calendars of libraries hold.

use super::style::{Dates, Style};
use arrow::datatypes::TimeUnit;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::OffsetName;
use std::fmt::Write as _;

pub(super) const DAY_US: i64 = 86_400_000_000;
/// 2000-01-01, PostgreSQL's day zero, in days since 1970.
pub(in crate::serve::postgres) const EPOCH_DAYS: i64 = 10_957;

/// Microseconds of a count of units; towards the past, so that order is kept. `None` when it does not fit.
pub(super) fn microseconds(value: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    }
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

/// `2024-02-29`; the era follows, after a time if there is one.
fn put_day(days: i64, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    let [m, n] = two(month);
    let [d, e] = two(day);
    match u32::try_from(year) {
        Ok(year) if year < 10_000 => {
            let ([a, b], [c, y]) = (two(year / 100), two(year % 100));
            out.put_slice(&[a, b, c, y, b'-', m, n, b'-', d, e]);
        }
        _ => {
            put_digits(year.unsigned_abs(), 4, out);
            out.put_slice(&[b'-', m, n, b'-', d, e]);
        }
    }
    before_christ
}

/// Two digits of a number below a hundred.
fn two(number: u32) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// A number with at least so many digits.
fn put_digits(value: u64, width: usize, out: &mut BytesMut) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value);
    out.put_bytes(b'0', width.saturating_sub(digits.len()));
    out.put_slice(digits.as_bytes());
}

/// A date.
pub(super) fn put_date(days: i64, style: Style, out: &mut BytesMut) {
    let before_christ = match style.forms.dates {
        Dates::Iso => put_day(days, out),
        other => put_other_day(days, other, style.forms.day_first(), out),
    };
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// `02/29/2024`, `29.02.2024`, `02-29-2024`.
fn put_other_day(days: i64, dates: Dates, day_first: bool, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    let separator = match dates {
        Dates::German => b'.',
        Dates::Postgres => b'-',
        Dates::Iso | Dates::Sql => b'/',
    };
    let (first, second) = if day_first || dates == Dates::German { (day, month) } else { (month, day) };
    let ([a, b], [c, d]) = (two(first), two(second));
    out.put_slice(&[a, b, separator, c, d, separator]);
    put_year(year, out)
}

/// The year; true if it is one before Christ.
fn put_year(year: i64, out: &mut BytesMut) -> bool {
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    put_digits(year.unsigned_abs(), 4, out);
    before_christ
}

/// `12:34:56.789`, without trailing zeros.
pub(super) fn put_time(us: i64, out: &mut BytesMut) {
    put_clock(us.unsigned_abs(), out);
}

pub(super) fn put_clock(us: u64, out: &mut BytesMut) {
    let (seconds, fraction) = (us / 1_000_000, (us % 1_000_000) as u32);
    // Those of an interval are more than two.
    put_digits(seconds / 3600, 2, out);
    let ([m, n], [s, t]) = (two((seconds / 60 % 60) as u32), two((seconds % 60) as u32));
    let ([a, b], [c, d], [e, f]) = (two(fraction / 10_000), two(fraction / 100 % 100), two(fraction % 100));
    let text = [b':', m, n, b':', s, t, b'.', a, b, c, d, e, f];
    let without_zeros = text.iter().rposition(|digit| *digit != b'0').unwrap_or(0);
    // Nothing behind the point, or no point.
    out.put_slice(if fraction == 0 { &text[..6] } else { &text[..=without_zeros] });
}

/// A timestamp without time zone.
pub(super) fn put_timestamp(us: i64, style: Style, out: &mut BytesMut) {
    if put_moment(us, style, out) {
        out.put_slice(b" BC");
    }
}

fn put_moment(us: i64, style: Style, out: &mut BytesMut) -> bool {
    let (days, clock) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    if style.forms.dates == Dates::Postgres {
        return put_in_words(days, clock, style.forms.day_first(), out);
    }
    let before_christ = match style.forms.dates {
        Dates::Iso => put_day(days, out),
        other => put_other_day(days, other, style.forms.day_first(), out),
    };
    out.put_u8(b' ');
    put_time(clock, out);
    before_christ
}

/// `Thu Feb 29 12:34:56.789 2024`
fn put_in_words(days: i64, clock: i64, day_first: bool, out: &mut BytesMut) -> bool {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = civil(days);
    // 1970 began on a Thursday.
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let month = MONTHS[(month - 1) as usize];
    // Writing into memory does not fail.
    let _ = match day_first {
        true => write!(out, "{weekday} {day:02} {month} "),
        false => write!(out, "{weekday} {month} {day:02} "),
    };
    put_time(clock, out);
    out.put_u8(b' ');
    put_year(year, out)
}

/// A timestamp with time zone, as clocks show it in the session's zone: with its offset in ISO's form, with the zone's
/// letters in all others.
pub(super) fn put_timestamptz(us: i64, style: Style, out: &mut BytesMut) {
    let moment = DateTime::from_timestamp_micros(us).map(|moment| moment.naive_utc());
    let offset = |moment| style.zone.offset_from_utc_datetime(&moment).fix().local_minus_utc();
    let offset = moment.map_or(0, offset);
    let before_christ = put_moment(us.saturating_add(i64::from(offset) * 1_000_000), style, out);
    if style.forms.dates == Dates::Iso {
        put_offset(offset, out);
    } else {
        out.put_u8(b' ');
        let zoned = style.letters.zip(moment).map(|(zone, moment)| zone.offset_from_utc_datetime(&moment));
        match zoned.as_ref().and_then(OffsetName::abbreviation) {
            Some(letters) => out.put_slice(letters.as_bytes()),
            None => put_offset(offset, out),
        }
    }
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// `+01`, `-03:30`
fn put_offset(offset: i32, out: &mut BytesMut) {
    out.put_u8(if offset < 0 { b'-' } else { b'+' });
    let seconds = u64::from(offset.unsigned_abs());
    put_digits(seconds / 3600, 2, out);
    if !seconds.is_multiple_of(3600) {
        out.put_u8(b':');
        put_digits(seconds / 60 % 60, 2, out);
    }
    if !seconds.is_multiple_of(60) {
        out.put_u8(b':');
        put_digits(seconds % 60, 2, out);
    }
}
