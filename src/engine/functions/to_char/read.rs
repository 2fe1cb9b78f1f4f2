//! `to_date(text, pattern)` and `to_timestamp(text, pattern)`: a time read by one of PostgreSQL's patterns.
//!
//! As there, what stands between the fields only separates: spaces and signs of the pattern and of the text need not
//! be the same.

use super::datetime::{MONTHS, Pattern, Piece};
use crate::engine::functions::rowwise::RowWise;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::scalar::ScalarValue;

/// The functions, under names of their own: the engine's read `strftime`'s patterns.
pub(in crate::engine::functions) const FUNCTIONS: [RowWise; 2] = [
    RowWise {
        name: "date_by_pattern",
        accepts: two_texts,
        returns: |_| DataType::Date32,
        body: |row| {
            let days = (read(row)?.date() - NaiveDate::default()).num_days();
            Ok(ScalarValue::Date32(i32::try_from(days).ok()))
        },
    },
    RowWise {
        name: "timestamp_by_pattern",
        accepts: two_texts,
        returns: |_| DataType::Timestamp(TimeUnit::Microsecond, None),
        body: |row| {
            let microseconds = read(row)?.and_utc().timestamp_micros();
            Ok(ScalarValue::TimestampMicrosecond(Some(microseconds), None))
        },
    },
];

fn two_texts(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 2).then(|| vec![DataType::Utf8; 2])
}

fn read(row: &[ScalarValue]) -> Result<NaiveDateTime> {
    let text = |at: usize| row[at].try_as_str().flatten().unwrap_or_default();
    let mut read = Read { rest: text(0), ..Read::default() };
    for piece in &Pattern::new(text(1)).0 {
        match piece {
            Piece::Text(between) => read.skip(between),
            Piece::Field { keyword, .. } => read.field(keyword)?,
        }
    }
    read.made().ok_or_else(|| exec_datafusion_err!("date/time field value out of range: \"{}\"", text(0)))
}

/// What has been read.
#[derive(Default)]
struct Read<'a> {
    rest: &'a str,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    afternoon: Option<bool>,
    before_christ: bool,
}

impl<'a> Read<'a> {
    /// Signs separate, whatever they are; letters stand for one letter each.
    fn skip(&mut self, between: &str) {
        for letter in between.chars() {
            if letter.is_alphanumeric() {
                let mut letters = self.rest.chars();
                letters.next();
                self.rest = letters.as_str();
            } else {
                self.rest = self.rest.trim_start_matches(is_separator);
            }
        }
    }

    fn field(&mut self, keyword: &'static str) -> Result<()> {
        self.rest = self.rest.trim_start_matches(char::is_whitespace);
        match keyword {
            "YYYY" | "IYYY" => self.year = Some(self.number(keyword, 4)?),
            "Y,YYY" => self.year = Some(self.number(keyword, 1)? * 1000 + self.after_comma(keyword)?),
            "YYY" | "IYY" => self.year = Some(full_year(self.number(keyword, 3)?)),
            "YY" | "IY" => self.year = Some(full_year(self.number(keyword, 2)?)),
            "Y" | "I" => self.year = Some(full_year(self.number(keyword, 1)?)),
            "MM" => self.month = Some(self.number(keyword, 2)?),
            "MONTH" | "Month" | "MON" | "Mon" => self.month = Some(self.month(keyword.len() == 3)?),
            "DDD" => self.day_of_year = Some(self.number(keyword, 3)?),
            "DD" => self.day = Some(self.number(keyword, 2)?),
            // The name of a day tells nothing that the date does not.
            "DAY" | "Day" | "DY" | "Dy" => self.rest = self.rest.trim_start_matches(char::is_alphabetic),
            "HH24" | "HH12" | "HH" => self.hour = self.number(keyword, 2)?,
            "MI" => self.minute = self.number(keyword, 2)?,
            "SS" => self.second = self.number(keyword, 2)?,
            "SSSS" | "SSSSS" => self.second = self.number(keyword, 5)?,
            "MS" => self.microsecond += self.fraction(keyword, 3)?,
            "US" => self.microsecond += self.fraction(keyword, 6)?,
            "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let digits = keyword[2..].parse().unwrap_or(6);
                self.microsecond += self.fraction(keyword, digits)?;
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let half = self.word(keyword.len())?.to_lowercase();
                self.afternoon = Some(half.starts_with('p'));
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let era = self.word(keyword.len())?.to_lowercase();
                self.before_christ = era.starts_with('b');
            }
            other => {
                return Err(exec_datafusion_err!(
                    "formatting field \"{other}\" is only supported in to_char"
                ));
            }
        }
        Ok(())
    }

    /// A number of so many digits at most; a longer year takes all its digits where something separates it.
    fn number(&mut self, keyword: &str, digits_max: usize) -> Result<i64> {
        let length = self.rest.chars().take_while(char::is_ascii_digit).count().min(digits_max);
        let (digits, rest) = self.rest.split_at(length);
        let value = digits.parse().map_err(|_| {
            exec_datafusion_err!(
                "invalid value \"{}\" for \"{keyword}\"",
                self.rest.chars().take(digits_max).collect::<String>()
            )
        })?;
        self.rest = rest;
        Ok(value)
    }

    fn after_comma(&mut self, keyword: &str) -> Result<i64> {
        self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
        self.number(keyword, 3)
    }

    /// Digits behind the point: `5` of `MS` is half a second.
    fn fraction(&mut self, keyword: &str, digits_max: usize) -> Result<i64> {
        let before = self.rest.len();
        let value = self.number(keyword, digits_max)?;
        let digits = u32::try_from(before - self.rest.len()).unwrap_or(6);
        Ok(value * 10_i64.pow(6_u32.saturating_sub(digits)))
    }

    fn month(&mut self, is_short: bool) -> Result<i64> {
        let names = MONTHS.iter().map(|name| if is_short { &name[..3] } else { name });
        let found = (1..).zip(names).find(|(_, name)| {
            self.rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
        });
        let Some((month, name)) = found else {
            let word: String = self.rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            return Err(exec_datafusion_err!(
                "invalid value \"{word}\" for \"{}\"",
                if is_short { "Mon" } else { "Month" }
            ));
        };
        self.rest = &self.rest[name.len()..];
        Ok(month)
    }

    fn word(&mut self, length: usize) -> Result<&'a str> {
        match self.rest.split_at_checked(length) {
            Some((word, rest)) => {
                self.rest = rest;
                Ok(word)
            }
            None => Err(exec_datafusion_err!("invalid value \"{}\" for \"AM\"", self.rest)),
        }
    }

    fn made(&self) -> Option<NaiveDateTime> {
        // Without any part of a date it is the first day of the first year before Christ, as in PostgreSQL.
        let year = i32::try_from(self.year.unwrap_or(0)).ok()?;
        let year = if self.before_christ { 1 - year } else { year };
        let part = |value: i64| u32::try_from(value).ok();
        let date = match self.day_of_year {
            Some(day) if self.month.is_none() => NaiveDate::from_yo_opt(year, part(day)?)?,
            _ => NaiveDate::from_ymd_opt(year, part(self.month.unwrap_or(1))?, part(self.day.unwrap_or(1))?)?,
        };
        let hour = match self.afternoon {
            None => self.hour,
            Some(_) if !(1..=12).contains(&self.hour) => return None,
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
        };
        // SSSSS counts from midnight.
        let (minute, second) = (self.minute + self.second / 60, self.second % 60);
        let (hour, minute) = (hour + minute / 60, minute % 60);
        date.and_hms_micro_opt(part(hour)?, part(minute)?, part(second)?, part(self.microsecond)?)
    }
}

/// The nearest year to 2020 that ends so.
fn full_year(year: i64) -> i64 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

fn is_separator(letter: char) -> bool {
    !letter.is_alphanumeric()
}
