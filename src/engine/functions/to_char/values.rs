//! Columns of values, one at a time in the form that patterns ask for.

use super::datetime::{self, Calendar, Parts};
use super::number;
use arrow::array::timezone::Tz;
use arrow::array::types::{
    Decimal128Type, Float64Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike as _, NaiveDateTime, Offset as _, TimeZone as _, Timelike as _};
use datafusion::common::{Result, exec_datafusion_err};

const MICROSECONDS: i64 = 1_000_000;

pub(super) fn is_known(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int64
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Interval(_)
            | DataType::Duration(_)
    )
}

/// A pattern of the kind that the values have.
pub(super) enum Pattern {
    Time(datetime::Pattern),
    Number(number::Pattern),
}

/// A column.
pub(super) struct Values {
    array: ArrayRef,
    zone: Option<Tz>,
}

impl Values {
    /// A column; moments with a time zone are shown in `zone`, or in their own.
    pub(super) fn new(array: &ArrayRef, zone: Option<&str>) -> Result<Self> {
        let zone = match array.data_type() {
            DataType::Timestamp(_, Some(own)) => {
                let name = zone.unwrap_or(own);
                Some(name.parse().map_err(|_| exec_datafusion_err!("time zone \"{name}\" not recognized"))?)
            }
            _ => None,
        };
        let target = match array.data_type() {
            DataType::Timestamp(_, own) => DataType::Timestamp(TimeUnit::Microsecond, own.clone()),
            DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
            DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
            other => other.clone(),
        };
        Ok(Self { array: cast(array, &target)?, zone })
    }

    pub(super) fn pattern(&self, text: &str) -> Result<Pattern> {
        Ok(match self.array.data_type() {
            DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) => {
                Pattern::Number(number::Pattern::new(text)?)
            }
            _ => Pattern::Time(datetime::Pattern::new(text)),
        })
    }

    pub(super) fn format(&self, row: usize, pattern: &Pattern) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        match pattern {
            Pattern::Time(pattern) => pattern.format(&self.parts(row)?),
            Pattern::Number(pattern) if pattern.is_scientific() => {
                let (number, is_negative) = self.scientific(row, pattern.decimals());
                let number = number.as_ref().map(|(digits, exponent)| (digits.as_str(), *exponent));
                Some(pattern.format_scientific(number, is_negative))
            }
            Pattern::Number(pattern) => {
                let (digits, is_negative) = self.digits(row, pattern.rounded_to());
                Some(pattern.format(&digits, is_negative))
            }
        }
    }

    /// A number's digits, rounded half away from zero, and whether it is below zero.
    fn digits(&self, row: usize, decimals: usize) -> (String, bool) {
        match self.array.data_type() {
            DataType::Int64 => {
                let value = self.array.as_primitive::<Int64Type>().value(row);
                (value.unsigned_abs().to_string(), value < 0)
            }
            DataType::Decimal128(_, scale) => {
                let value = self.array.as_primitive::<Decimal128Type>().value(row);
                let scale = usize::try_from(*scale).unwrap_or(0);
                (rounded(value.unsigned_abs(), scale, decimals), value < 0)
            }
            _ => {
                let value = self.array.as_primitive::<Float64Type>().value(row);
                // Fifteen digits of a float are its own; what follows is noise.
                let shown = format!("{:.14e}", value.abs()).parse::<f64>().unwrap_or(value.abs());
                (format!("{shown:.decimals$}"), value < 0.0)
            }
        }
    }

    /// A number's first digit and so many behind it, rounded, and the power of ten that they are of; nothing of what is
    /// no finite number. And whether it is below zero.
    fn scientific(&self, row: usize, decimals: usize) -> (Option<(String, i32)>, bool) {
        let exact = |value: i128, scale: i8| {
            let digits = value.unsigned_abs().to_string();
            (Some(first_digits(&digits, i32::from(scale), decimals)), value < 0)
        };
        match self.array.data_type() {
            DataType::Int64 => exact(i128::from(self.array.as_primitive::<Int64Type>().value(row)), 0),
            DataType::Decimal128(_, scale) => {
                exact(self.array.as_primitive::<Decimal128Type>().value(row), *scale)
            }
            _ => {
                let value = self.array.as_primitive::<Float64Type>().value(row);
                let text = format!("{:.decimals$e}", value.abs());
                let number = text.split_once('e').filter(|_| value.is_finite());
                let number = number.map(|(digits, exponent)| {
                    (digits.replace('.', ""), exponent.parse().unwrap_or_default())
                });
                (number, value < 0.0)
            }
        }
    }

    fn parts(&self, row: usize) -> Option<Parts> {
        match self.array.data_type() {
            DataType::Interval(_) => {
                let value = self.array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                Some(of_day(
                    value.nanoseconds / 1000,
                    Parts {
                        year: value.months / 12,
                        month: value.months % 12,
                        day: value.days,
                        ..Parts::default()
                    },
                ))
            }
            DataType::Time64(_) => {
                let value = self.array.as_primitive::<Time64MicrosecondType>().value(row);
                Some(of_day(value, Parts::default()))
            }
            _ => {
                let value = self.array.as_primitive::<TimestampMicrosecondType>().value(row);
                let moment = DateTime::from_timestamp_micros(value)?.naive_utc();
                match self.zone {
                    None => Some(of_moment(moment)),
                    Some(zone) => {
                        let local = zone.from_utc_datetime(&moment);
                        let seconds = local.offset().fix().local_minus_utc();
                        let mut parts = of_moment(local.naive_local());
                        let name = local.format("%Z").to_string();
                        let name = if name == "+00:00" { "UTC".to_string() } else { name };
                        parts.zone = Some((seconds, name));
                        Some(parts)
                    }
                }
            }
        }
    }
}

/// The time of day, or of a length of time, of so many microseconds.
fn of_day(microseconds: i64, parts: Parts) -> Parts {
    let seconds = microseconds / MICROSECONDS;
    Parts {
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        microsecond: microseconds % MICROSECONDS,
        ..parts
    }
}

fn of_moment(moment: NaiveDateTime) -> Parts {
    /// The julian day before the first of our era.
    const BEFORE_OUR_ERA: i32 = 1_721_425;
    let number = |value: u32| i32::try_from(value).unwrap_or(0);
    let week = moment.iso_week();
    Parts {
        year: moment.year(),
        month: number(moment.month()),
        day: number(moment.day()),
        hour: i64::from(moment.hour()),
        minute: i64::from(moment.minute()),
        second: i64::from(moment.second()),
        microsecond: i64::from(moment.nanosecond() / 1000),
        calendar: Some(Calendar {
            weekday: number(moment.weekday().number_from_monday()),
            day_of_year: number(moment.ordinal()),
            iso_year: week.year(),
            iso_week: number(week.week()),
            julian_day: moment.num_days_from_ce() + BEFORE_OUR_ERA,
        }),
        zone: None,
    }
}

/// The first digit of a number of such a scale and so many behind it, rounded half away from zero, and the power of ten
/// that they are of.
fn first_digits(digits: &str, scale: i32, decimals: usize) -> (String, i32) {
    let wanted = decimals + 1;
    if digits == "0" {
        return ("0".repeat(wanted), 0);
    }
    let exponent = i32::try_from(digits.len()).unwrap_or(0) - 1 - scale;
    let Some(rest) = digits.as_bytes().get(wanted) else { return (format!("{digits:0<wanted$}"), exponent) };
    let kept: u128 = digits[..wanted].parse().unwrap_or_default();
    let rounded = (kept + u128::from(*rest >= b'5')).to_string();
    // 9.99 became 10.0
    let carried = i32::from(rounded.len() > wanted);
    (rounded[..wanted].to_string(), exponent + carried)
}

/// The digits of `value` / 10^`scale` with so many decimals.
fn rounded(value: u128, scale: usize, decimals: usize) -> String {
    let dropped = u32::try_from(scale.saturating_sub(decimals)).unwrap_or(0);
    let unit = 10_u128.checked_pow(dropped).unwrap_or(u128::MAX);
    let (kept, rest) = (value / unit, value % unit);
    let kept = if rest >= unit - unit / 2 && dropped > 0 { kept + 1 } else { kept };
    let shown = scale.min(decimals);
    let digits = format!("{kept:0width$}", width = shown + 1);
    let (whole, behind) = digits.split_at(digits.len() - shown);
    format!("{whole}.{behind:0<decimals$}")
}
