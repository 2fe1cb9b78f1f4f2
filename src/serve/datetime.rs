//! Dates and times as PostgreSQL reads them, written as the engine reads them: `Jan 5 2026 10:00 PM`, `05/01/2026`,
//! `20260105T101500Z`.
//!
//! Comes in: a text, and the order of day and month that the session's `DateStyle` says. Goes out: the same in ISO's form.
//! What is no date, or one that the engine cannot hold (`infinity`, years before Christ), stays what it is, and the engine
//! says what it does not like about it.

use super::Error;
use super::settings::Settings;
use std::fmt::Write as _;

/// How a session reads dates and times.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Its zone, for moments that name none.
    pub(super) zone: String,
    /// Which of a date's numbers is which.
    pub(super) order: Order,
}

impl Reading {
    /// As a session's settings say.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { zone: settings.time_zone(), order: Order::of(&settings.get("DateStyle")?) })
    }
}

/// Which of a date's numbers is which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Order {
    /// Month, day, year.
    #[default]
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

impl Order {
    /// As `DateStyle` has it: `ISO, MDY`.
    pub(super) fn of(style: &str) -> Self {
        match style.rsplit(' ').next() {
            Some("DMY") => Order::Dmy,
            Some("YMD") => Order::Ymd,
            _ => Order::Mdy,
        }
    }
}

/// What a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Date,
    Timestamp,
    /// With a zone, which without one is the session's.
    Moment,
}

/// The text in ISO's form; `None` if it is no date or time.
pub(super) fn iso(text: &str, kind: Kind, order: Order) -> Option<String> {
    let mut read = Read::default();
    for word in words(text) {
        read.word(&word, order)?;
    }
    read.written(kind, order)
}

/// Words between blanks and commas; `T` parts a date from its time, a zone may stand right behind a time.
fn words(text: &str) -> Vec<String> {
    let mut all = vec![];
    for word in text.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
        let parts = match word.split_once(['T', 't']) {
            Some((date, time)) if ends_and_begins_with_digits(date, time) => {
                vec![date.to_string(), with_colons(time)]
            }
            _ => vec![word.to_string()],
        };
        for part in parts {
            // A sign or a letter behind a time begins a zone.
            let is_time = part.contains(':') && part.starts_with(|c: char| c.is_ascii_digit());
            let zone = is_time.then(|| part.find(|c: char| matches!(c, '+' | '-') || c.is_alphabetic()));
            match zone.flatten() {
                Some(at) => all.extend([part[..at].to_string(), part[at..].to_string()]),
                None => all.push(part),
            }
        }
    }
    all
}

/// `101500Z` is `10:15:00Z`.
fn with_colons(time: &str) -> String {
    let end = time.find(|c: char| !c.is_ascii_digit()).unwrap_or(time.len());
    let (digits, rest) = time.split_at(end);
    match digits.len() {
        6 => format!("{}:{}:{}{rest}", &digits[..2], &digits[2..4], &digits[4..]),
        4 => format!("{}:{}{rest}", &digits[..2], &digits[2..]),
        _ => time.to_string(),
    }
}

fn ends_and_begins_with_digits(date: &str, time: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    date.ends_with(is_digit) && time.starts_with(is_digit) && date.len() >= 8
}

#[derive(Default)]
struct Read {
    /// Numbers of a date in the order in which they stand.
    numbers: Vec<String>,
    month: Option<u32>,
    clock: Option<String>,
    afternoon: Option<bool>,
    zone: Option<String>,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Zones by their letters, as far as PostgreSQL's own list has them for Europe and America.
const ZONES: [(&str, &str); 14] = [
    ("z", "+00"),
    ("zulu", "+00"),
    ("utc", "+00"),
    ("gmt", "+00"),
    ("cet", "+01"),
    ("cest", "+02"),
    ("est", "-05"),
    ("edt", "-04"),
    ("cst", "-06"),
    ("cdt", "-05"),
    ("mst", "-07"),
    ("mdt", "-06"),
    ("pst", "-08"),
    ("pdt", "-07"),
];

impl Read {
    fn word(&mut self, word: &str, order: Order) -> Option<()> {
        let lower = word.to_lowercase();
        let is_signed = word.starts_with(['+', '-']);
        if word.contains(':') && !is_signed {
            return self.clock.replace(clock(word)?).is_none().then_some(());
        }
        if is_signed && self.clock.is_some() {
            return self.zone.replace(offset(word)?).is_none().then_some(());
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return self.date(&lower, order);
        }
        if let Some(month) = named(&MONTHS, &lower) {
            return self.month.replace(month).is_none().then_some(());
        }
        match lower.as_str() {
            "am" | "pm" => self.afternoon.replace(lower == "pm").is_none().then_some(()),
            "ad" => Some(()),
            _ if named(&DAYS, &lower).is_some() => Some(()),
            _ => {
                let zone = ZONES.iter().find(|(name, _)| *name == lower).map(|(_, zone)| (*zone).to_string());
                let zone = zone.or_else(|| word.contains('/').then(|| format!(" {word}")))?;
                self.zone.replace(zone).is_none().then_some(())
            }
        }
    }

    /// `2026-01-05`, `5.1.2026`, `20260105`, `5-Jan-2026`, or one number of a date with its month in letters.
    fn date(&mut self, word: &str, order: Order) -> Option<()> {
        let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
        if let [digits] = parts.as_slice() {
            // Written in one: years have two digits or four.
            let is_whole = digits.bytes().all(|digit| digit.is_ascii_digit());
            let split = match digits.len() {
                8 if is_whole => Some(4),
                6 if is_whole && self.numbers.is_empty() && self.month.is_none() => Some(2),
                _ => None,
            };
            if let Some(year) = split {
                let (month, day) = (&digits[year..year + 2], &digits[year + 2..]);
                let in_order = match order {
                    _ if !self.numbers.is_empty() => return None,
                    Order::Ymd => [&digits[..year], month, day],
                    Order::Mdy => [month, day, &digits[..year]],
                    Order::Dmy => [day, month, &digits[..year]],
                };
                self.numbers = in_order.map(str::to_string).to_vec();
                return Some(());
            }
            // `5th` is no number to PostgreSQL either.
            return is_whole.then(|| self.numbers.push((*digits).to_string()));
        }
        for part in parts {
            match named(&MONTHS, part) {
                Some(month) if self.month.is_none() => self.month = Some(month),
                _ if !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()) => {
                    self.numbers.push(part.to_string());
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn written(self, kind: Kind, order: Order) -> Option<String> {
        let numbers: Vec<&str> = self.numbers.iter().map(String::as_str).collect();
        let is_year = |number: &str| number.len() > 2;
        let (year, month, day) = match (self.month, numbers.as_slice()) {
            // A month in letters: what is no day is the year.
            (Some(month), [a, b]) if is_year(a) || order == Order::Ymd && !is_year(b) => {
                (*a, month.to_string(), *b)
            }
            (Some(month), [a, b]) => (*b, month.to_string(), *a),
            (None, [a, b, c]) if is_year(a) => (*a, (*b).to_string(), *c),
            (None, [a, b, c]) => match order {
                Order::Mdy => (*c, (*a).to_string(), *b),
                Order::Dmy => (*c, (*b).to_string(), *a),
                Order::Ymd => (*a, (*b).to_string(), *c),
            },
            _ => return None,
        };
        let year = match (year.len(), year.parse::<u32>().ok()?) {
            (..=2, year) if year < 70 => year + 2000,
            (..=2, year) => year + 1900,
            (_, year) => year,
        };
        let (month, day) = (month.parse::<u32>().ok()?, day.parse::<u32>().ok()?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let mut written = format!("{year:04}-{month:02}-{day:02}");
        if kind == Kind::Date {
            return Some(written);
        }
        let clock = self.clock.unwrap_or_else(|| "00:00:00".to_string());
        let (hour, rest) = clock.split_once(':')?;
        let hour = match (self.afternoon, hour.parse::<u32>().ok()?) {
            (Some(_), 0 | 13..) => return None,
            (Some(true), hour) => hour % 12 + 12,
            (Some(false), hour) => hour % 12,
            (None, hour) => hour,
        };
        // Writing into memory does not fail.
        let _ = write!(written, " {hour:02}:{rest}");
        if kind == Kind::Moment {
            written.push_str(&self.zone.unwrap_or_default());
        }
        Some(written)
    }
}

/// The number, from 1, of a name or of its first letters, three at least.
fn named(names: &[&str], word: &str) -> Option<u32> {
    let at = names.iter().position(|name| word.len() >= 3 && name.starts_with(word))?;
    u32::try_from(at + 1).ok()
}

/// `10:15` is `10:15:00`; at most six digits count behind the point.
fn clock(word: &str) -> Option<String> {
    let parts: Vec<&str> = word.split(':').collect();
    let is_number = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|d| d.is_ascii_digit());
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, *second),
        _ => return None,
    };
    let (whole, fraction) = second.split_once('.').unwrap_or((second, ""));
    let fits = is_number(hour) && is_number(minute) && is_number(&whole);
    if !fits || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{hour:0>2}:{minute:0>2}:{whole:0>2}{point}{fraction}"))
}

/// `+2`, `-0530` and `+05:30` with two digits for each.
fn offset(word: &str) -> Option<String> {
    let (sign, rest) = word.split_at(1);
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if rest.len() > 2 => rest.split_at(rest.len() - 2),
        None => (rest, "0"),
    };
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (hours < 16 && minutes < 60).then(|| format!("{sign}{hours:02}:{minutes:02}"))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Order, iso};

    #[test]
    fn what_postgresql_reads() {
        use Kind::{Date, Moment, Timestamp};
        use Order::{Dmy, Mdy, Ymd};
        for (text, kind, order, expected) in [
            ("2026-01-05", Date, Dmy, "2026-01-05"),
            ("2026-1-5", Date, Mdy, "2026-01-05"),
            ("1/5/2026", Date, Mdy, "2026-01-05"),
            ("1/5/2026", Date, Dmy, "2026-05-01"),
            ("26-01-05", Date, Ymd, "2026-01-05"),
            ("5.1.99", Date, Dmy, "1999-01-05"),
            ("20260105", Date, Mdy, "2026-01-05"),
            ("Jan 5 2026", Date, Mdy, "2026-01-05"),
            ("5 january 2026", Date, Mdy, "2026-01-05"),
            ("January 5, 2026", Date, Mdy, "2026-01-05"),
            ("5-Jan-2026", Date, Mdy, "2026-01-05"),
            ("2026-Jan-05", Date, Mdy, "2026-01-05"),
            ("Mon Jan 05 2026", Date, Mdy, "2026-01-05"),
            ("2026-01-05 23:59", Date, Mdy, "2026-01-05"),
            ("2026-01-05", Timestamp, Mdy, "2026-01-05 00:00:00"),
            ("2026-01-05 10:15", Timestamp, Mdy, "2026-01-05 10:15:00"),
            ("2026-01-05T10:15:01.5", Timestamp, Mdy, "2026-01-05 10:15:01.5"),
            ("2026-01-05 10:15:01+02", Timestamp, Mdy, "2026-01-05 10:15:01"),
            ("2026-01-05 10:00 PM", Timestamp, Mdy, "2026-01-05 22:00:00"),
            ("2026-01-05 12:30 am", Timestamp, Mdy, "2026-01-05 00:30:00"),
            ("2026-01-05T10:15:00Z", Moment, Mdy, "2026-01-05 10:15:00+00"),
            ("20260105T101500Z", Moment, Mdy, "2026-01-05 10:15:00+00"),
            ("2026-01-05 10:15-5", Moment, Mdy, "2026-01-05 10:15:00-05:00"),
            ("2026-01-05 10:15 +0530", Moment, Mdy, "2026-01-05 10:15:00+05:30"),
            ("2026-01-05 10:15 Europe/Berlin", Moment, Mdy, "2026-01-05 10:15:00 Europe/Berlin"),
            ("Mon Jan 05 10:15:00 2026 PST", Moment, Mdy, "2026-01-05 10:15:00-08"),
            ("05.01.2026 10:15:00 CET", Moment, Dmy, "2026-01-05 10:15:00+01"),
        ] {
            assert_eq!(iso(text, kind, order).as_deref(), Some(expected), "{text} {order:?}");
        }
        for text in
            ["", "abc", "infinity", "2026", "2026-01", "1/5", "2026-13-05", "10:15", "13:00 PM 1/1/2026"]
        {
            assert_eq!(iso(text, Kind::Timestamp, Order::Mdy), None, "{text}");
        }
    }
}
