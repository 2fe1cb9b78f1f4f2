//! Intervals as PostgreSQL writes them, in each `IntervalStyle`.

use super::style::Intervals;
use bytes::{BufMut, BytesMut};
use std::fmt::Write as _;

/// The parts of an interval; those of one sum have one sign.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    fraction: i64,
}

impl Parts {
    fn of(months: i32, days: i32, us: i64) -> Self {
        let seconds = us / 1_000_000;
        Self {
            years: i64::from(months / 12),
            months: i64::from(months % 12),
            days: i64::from(days),
            hours: seconds / 3600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            fraction: us % 1_000_000,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.fraction]
    }

    /// `6.7`, without a sign, with at least so many digits before the point.
    fn seconds(&self, digits: usize) -> String {
        let mut text = format!("{:0digits$}", self.seconds.abs());
        if self.fraction != 0 {
            let _ = write!(text, ".{:06}", self.fraction.abs());
            text.truncate(text.trim_end_matches('0').len());
        }
        text
    }
}

/// An interval in a style.
pub(super) fn put_interval(style: Intervals, months: i32, days: i32, us: i64, out: &mut BytesMut) {
    let parts = Parts::of(months, days, us);
    let text = match style {
        Intervals::Postgres => return put_postgres(months, days, us, out),
        Intervals::PostgresVerbose => verbose(&parts),
        Intervals::SqlStandard => sql_standard(&parts),
        Intervals::Iso8601 => iso8601(&parts),
    };
    out.put_slice(text.as_bytes());
}

/// `1 year 2 mons -3 days 04:05:06.7`: each part has its own sign.
fn put_postgres(months: i32, days: i32, us: i64, out: &mut BytesMut) {
    let start = out.len();
    let mut negative_before = false;
    let mut part = |value: i64, name: &str, out: &mut BytesMut| {
        if value != 0 {
            let space = if out.len() > start { " " } else { "" };
            let plus = if negative_before && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            // Writing into memory does not fail.
            let _ = write!(out, "{space}{plus}{value} {name}{plural}");
            negative_before = value < 0;
        }
    };
    part(i64::from(months / 12), "year", out);
    part(i64::from(months % 12), "mon", out);
    part(i64::from(days), "day", out);
    if us != 0 || out.len() == start {
        if out.len() > start {
            out.put_u8(b' ');
        }
        if us < 0 {
            out.put_u8(b'-');
        } else if negative_before {
            out.put_u8(b'+');
        }
        super::time::put_clock(us.unsigned_abs(), out);
    }
}

/// `@ 1 year 2 mons 3 days ago`: the first part says the sign of all.
fn verbose(parts: &Parts) -> String {
    let mut text = String::from("@");
    let units = [
        (parts.years, "year"),
        (parts.months, "mon"),
        (parts.days, "day"),
        (parts.hours, "hour"),
        (parts.minutes, "min"),
    ];
    let (mut is_zero, mut is_before) = (true, false);
    for (value, unit) in units.into_iter().filter(|(value, _)| *value != 0) {
        is_before = if is_zero { value < 0 } else { is_before };
        is_zero = false;
        let value = if is_before { -value } else { value };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(text, " {value} {unit}{plural}");
    }
    if parts.seconds != 0 || parts.fraction != 0 {
        let is_negative = parts.seconds < 0 || parts.fraction < 0;
        is_before = if is_zero { is_negative } else { is_before };
        is_zero = false;
        let sign = if is_negative == is_before { "" } else { "-" };
        let plural = if parts.seconds.abs() == 1 && parts.fraction == 0 { "" } else { "s" };
        let _ = write!(text, " {sign}{} sec{plural}", parts.seconds(1));
    }
    if is_zero {
        text.push_str(" 0");
    }
    if is_before {
        text.push_str(" ago");
    }
    text
}

/// `1-2`, `3 4:05:06`, and what the standard has no form for as `+1-2 +3 +4:05:06`.
fn sql_standard(parts: &Parts) -> String {
    let all = parts.all();
    let (is_negative, is_positive) = (all.iter().any(|part| *part < 0), all.iter().any(|part| *part > 0));
    let has_months = parts.years != 0 || parts.months != 0;
    let has_time = all[2..].iter().any(|part| *part != 0);
    let (years, months) = (parts.years.abs(), parts.months.abs());
    let (days, hours) = (parts.days.abs(), parts.hours.abs());
    let clock = format!("{hours}:{:02}:{}", parts.minutes.abs(), parts.seconds(2));
    if !has_months && !has_time {
        return "0".to_string();
    }
    if is_negative && is_positive || has_months && has_time {
        let sign = |parts: &[i64]| if parts.iter().any(|part| *part < 0) { '-' } else { '+' };
        return format!(
            "{}{years}-{months} {}{days} {}{clock}",
            sign(&all[..2]),
            sign(&all[2..3]),
            sign(&all[3..])
        );
    }
    let sign = if is_negative { "-" } else { "" };
    match (has_months, parts.days) {
        (true, _) => format!("{sign}{years}-{months}"),
        (false, 0) => format!("{sign}{clock}"),
        (false, _) => format!("{sign}{days} {clock}"),
    }
}

/// `P1Y2M3DT4H5M6.7S`
fn iso8601(parts: &Parts) -> String {
    if parts.all().iter().all(|part| *part == 0) {
        return "PT0S".to_string();
    }
    let mut text = String::from("P");
    let put = |value: i64, unit: char, text: &mut String| {
        if value != 0 {
            let _ = write!(text, "{value}{unit}");
        }
    };
    put(parts.years, 'Y', &mut text);
    put(parts.months, 'M', &mut text);
    put(parts.days, 'D', &mut text);
    if parts.all()[3..].iter().any(|part| *part != 0) {
        text.push('T');
        put(parts.hours, 'H', &mut text);
        put(parts.minutes, 'M', &mut text);
        if parts.seconds != 0 || parts.fraction != 0 {
            let sign = if parts.seconds < 0 || parts.fraction < 0 { "-" } else { "" };
            let _ = write!(text, "{sign}{}S", parts.seconds(1));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Intervals, put_interval};
    use bytes::BytesMut;

    fn put(style: Intervals, parts: (i32, i32, i64)) -> String {
        let mut out = BytesMut::new();
        put_interval(style, parts.0, parts.1, parts.2, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn as_postgresql_writes_them() {
        const S: i64 = 1_000_000;
        for (parts, verbose, sql, iso) in [
            ((0, 0, 0), "@ 0", "0", "PT0S"),
            (
                (12, 2, 11_045 * S),
                "@ 1 year 2 days 3 hours 4 mins 5 secs",
                "+1-0 +2 +3:04:05",
                "P1Y2DT3H4M5S",
            ),
            ((14, 0, 0), "@ 1 year 2 mons", "1-2", "P1Y2M"),
            ((-14, 0, 0), "@ 1 year 2 mons ago", "-1-2", "P-1Y-2M"),
            (
                (0, -3, -14_706_700_000),
                "@ 3 days 4 hours 5 mins 6.7 secs ago",
                "-3 4:05:06.7",
                "P-3DT-4H-5M-6.7S",
            ),
            ((0, 1, -S), "@ 1 day -1 sec", "+0-0 +1 -0:00:01", "P1DT-1S"),
            ((0, 0, S), "@ 1 sec", "0:00:01", "PT1S"),
            ((0, 0, -S / 2), "@ 0.5 secs ago", "-0:00:00.5", "PT-0.5S"),
        ] {
            assert_eq!(put(Intervals::PostgresVerbose, parts), verbose);
            assert_eq!(put(Intervals::SqlStandard, parts), sql);
            assert_eq!(put(Intervals::Iso8601, parts), iso);
        }
    }
}
