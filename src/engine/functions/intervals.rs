//! PostgreSQL's functions that make lengths of time, and `make_time`.

use super::rowwise::RowWise;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::scalar::ScalarValue;

const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;
const NANOSECONDS_A_SECOND: f64 = 1e9;
const DAYS_A_MONTH: i32 = 30;

/// The functions.
pub(super) const FUNCTIONS: [RowWise; 7] = [
    RowWise {
        name: "justify_hours",
        accepts: one_interval,
        returns: interval,
        body: |row| each(row, by_hours),
    },
    RowWise {
        name: "justify_days",
        accepts: one_interval,
        returns: interval,
        body: |row| each(row, by_days),
    },
    RowWise {
        name: "justify_interval",
        accepts: one_interval,
        returns: interval,
        body: |row| each(row, by_both),
    },
    RowWise {
        name: "make_interval",
        accepts: |types| {
            let parts = [vec![DataType::Int64; 6], vec![DataType::Float64]].concat();
            (1..=7).contains(&types.len()).then(|| parts[..types.len()].to_vec())
        },
        returns: interval,
        body: make_interval,
    },
    RowWise {
        name: "make_time",
        accepts: |types| {
            (types.len() == 3).then(|| vec![DataType::Int64, DataType::Int64, DataType::Float64])
        },
        returns: |_| DataType::Time64(TimeUnit::Nanosecond),
        body: make_time,
    },
    RowWise { name: "interval_trunc", accepts: unit_of_one, returns: interval, body: trunc },
    RowWise {
        name: "interval_part",
        accepts: unit_of_one,
        returns: |_| DataType::Float64,
        body: |row| {
            let (unit, of) = unit_and_interval(row)?;
            Ok(ScalarValue::Float64(Some(part(unit, of)?)))
        },
    },
];

/// Units of time as `date_part` and `date_trunc` call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Epoch,
    /// One that only dates have: days of weeks, zones.
    OfDates,
}

impl Unit {
    /// A unit by one of its names; `None` if there is none of the name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Self::Microsecond,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Self::Millisecond,
            "second" | "seconds" | "sec" | "secs" | "s" => Self::Second,
            "minute" | "minutes" | "min" | "mins" | "m" => Self::Minute,
            "hour" | "hours" | "hr" | "hrs" | "h" => Self::Hour,
            "day" | "days" | "d" => Self::Day,
            "week" | "weeks" | "w" => Self::Week,
            "month" | "months" | "mon" | "mons" => Self::Month,
            "quarter" | "qtr" => Self::Quarter,
            "year" | "years" | "yr" | "yrs" | "y" => Self::Year,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "century" | "centuries" | "cent" | "c" => Self::Century,
            "millennium" | "millennia" | "mil" | "mils" => Self::Millennium,
            "epoch" => Self::Epoch,
            "dow" | "isodow" | "doy" | "isoyear" | "julian" | "timezone" | "timezone_hour"
            | "timezone_minute" => Self::OfDates,
            _ => return None,
        })
    }
}

fn unit_of_one(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 2).then(|| vec![DataType::Utf8, interval(types)])
}

/// The unit, with its name for what is said of it.
fn unit_and_interval(row: &[ScalarValue]) -> Result<((Unit, String), IntervalMonthDayNano)> {
    let name = row[0].try_as_str().flatten().unwrap_or_default().to_lowercase();
    match (Unit::named(&name), &row[1]) {
        (Some(unit), ScalarValue::IntervalMonthDayNano(Some(of))) => Ok(((unit, name), *of)),
        _ => exec_err!("unit \"{name}\" not recognized for type interval"),
    }
}

/// An interval without what is smaller than a unit.
fn trunc(row: &[ScalarValue]) -> Result<ScalarValue> {
    let ((unit, name), of) = unit_and_interval(row)?;
    let months = |unit: i32| IntervalMonthDayNano::new(of.months / unit * unit, 0, 0);
    let time = |unit: i64| IntervalMonthDayNano::new(of.months, of.days, of.nanoseconds / unit * unit);
    let truncated = match unit {
        Unit::Microsecond => time(1_000),
        Unit::Millisecond => time(1_000_000),
        Unit::Second => time(1_000_000_000),
        Unit::Minute => time(60_000_000_000),
        Unit::Hour => time(3_600_000_000_000),
        Unit::Day => IntervalMonthDayNano::new(of.months, of.days, 0),
        Unit::Month => months(1),
        Unit::Quarter => months(3),
        Unit::Year => months(12),
        Unit::Decade => months(120),
        Unit::Century => months(1_200),
        Unit::Millennium => months(12_000),
        Unit::Week | Unit::Epoch | Unit::OfDates => {
            return exec_err!("unit \"{name}\" not supported for type interval");
        }
    };
    Ok(ScalarValue::IntervalMonthDayNano(Some(truncated)))
}

/// A part of an interval. Of what is counted, a year has 365 days and a quarter of one.
fn part((unit, name): (Unit, String), of: IntervalMonthDayNano) -> Result<f64> {
    const SECONDS_A_DAY: f64 = 86_400.0;
    let (years, months) = (of.months / 12, of.months % 12);
    let seconds = of.nanoseconds as f64 / NANOSECONDS_A_SECOND;
    let second = (of.nanoseconds % 60_000_000_000) as f64 / NANOSECONDS_A_SECOND;
    Ok(match unit {
        Unit::Microsecond => second * 1e6,
        Unit::Millisecond => second * 1e3,
        Unit::Second => second,
        Unit::Minute => (of.nanoseconds / 60_000_000_000 % 60) as f64,
        Unit::Hour => (of.nanoseconds / 3_600_000_000_000) as f64,
        Unit::Day => f64::from(of.days),
        Unit::Month => f64::from(months),
        Unit::Quarter => f64::from(months / 3 + 1),
        Unit::Year => f64::from(years),
        Unit::Decade => f64::from(years / 10),
        Unit::Century => f64::from(years / 100),
        Unit::Millennium => f64::from(years / 1000),
        Unit::Epoch => {
            let days = f64::from(months * DAYS_A_MONTH) + f64::from(of.days);
            (f64::from(years) * 365.25 + days) * SECONDS_A_DAY + seconds
        }
        Unit::Week | Unit::OfDates => {
            return exec_err!("unit \"{name}\" not supported for type interval");
        }
    })
}

fn interval(_: &[DataType]) -> DataType {
    DataType::Interval(IntervalUnit::MonthDayNano)
}

fn one_interval(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 1).then(|| vec![interval(types)])
}

fn each(
    row: &[ScalarValue],
    justify: fn(IntervalMonthDayNano) -> IntervalMonthDayNano,
) -> Result<ScalarValue> {
    match row[0] {
        ScalarValue::IntervalMonthDayNano(Some(interval)) => {
            Ok(ScalarValue::IntervalMonthDayNano(Some(justify(interval))))
        }
        ref other => exec_err!("{other} is no interval"),
    }
}

/// Whole days of hours are days; then both have one sign.
fn by_hours(of: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (days, nanoseconds) = days_of_hours(of.days, of.nanoseconds);
    let (days, nanoseconds) = same_sign(days, nanoseconds);
    IntervalMonthDayNano::new(of.months, days, nanoseconds)
}

/// Thirty days are a month; then both have one sign.
fn by_days(of: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (mut months, mut days) = (of.months.saturating_add(of.days / DAYS_A_MONTH), of.days % DAYS_A_MONTH);
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + DAYS_A_MONTH);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - DAYS_A_MONTH);
    }
    IntervalMonthDayNano::new(months, days, of.nanoseconds)
}

fn by_both(of: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (days, nanoseconds) = days_of_hours(of.days, of.nanoseconds);
    let (mut months, mut days) = (of.months.saturating_add(days / DAYS_A_MONTH), days % DAYS_A_MONTH);
    if months > 0 && (days < 0 || days == 0 && nanoseconds < 0) {
        (months, days) = (months - 1, days + DAYS_A_MONTH);
    } else if months < 0 && (days > 0 || days == 0 && nanoseconds > 0) {
        (months, days) = (months + 1, days - DAYS_A_MONTH);
    }
    let (days, nanoseconds) = same_sign(days, nanoseconds);
    IntervalMonthDayNano::new(months, days, nanoseconds)
}

fn days_of_hours(days: i32, nanoseconds: i64) -> (i32, i64) {
    // A count of nanoseconds holds a hundred thousand days at most.
    let whole = i32::try_from(nanoseconds / NANOSECONDS_A_DAY).unwrap_or(0);
    (days.saturating_add(whole), nanoseconds % NANOSECONDS_A_DAY)
}

fn same_sign(days: i32, nanoseconds: i64) -> (i32, i64) {
    if days > 0 && nanoseconds < 0 {
        (days - 1, nanoseconds + NANOSECONDS_A_DAY)
    } else if days < 0 && nanoseconds > 0 {
        (days + 1, nanoseconds - NANOSECONDS_A_DAY)
    } else {
        (days, nanoseconds)
    }
}

/// Years, months, weeks, days, hours, minutes, seconds; what is left out is zero.
fn make_interval(row: &[ScalarValue]) -> Result<ScalarValue> {
    let whole = |at: usize| match row.get(at) {
        Some(ScalarValue::Int64(Some(value))) => *value,
        _ => 0,
    };
    let seconds = match row.get(6) {
        Some(ScalarValue::Float64(Some(value))) => *value,
        _ => 0.0,
    };
    let made = || {
        let months = whole(0).checked_mul(12)?.checked_add(whole(1))?;
        let days = whole(2).checked_mul(7)?.checked_add(whole(3))?;
        let minutes = whole(4).checked_mul(60)?.checked_add(whole(5))?;
        let nanoseconds = (seconds * NANOSECONDS_A_SECOND).round() as i64;
        let nanoseconds = minutes.checked_mul(60_000_000_000)?.checked_add(nanoseconds)?;
        Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, i32::try_from(days).ok()?, nanoseconds))
    };
    match made() {
        Some(made) => Ok(ScalarValue::IntervalMonthDayNano(Some(made))),
        None => exec_err!("interval out of range"),
    }
}

fn make_time(row: &[ScalarValue]) -> Result<ScalarValue> {
    let (
        ScalarValue::Int64(Some(hour)),
        ScalarValue::Int64(Some(minute)),
        ScalarValue::Float64(Some(second)),
    ) = (&row[0], &row[1], &row[2])
    else {
        return exec_err!("make_time takes hours, minutes and seconds");
    };
    if !(0..24).contains(hour) || !(0..60).contains(minute) || !(0.0..=60.0).contains(second) {
        return exec_err!("time field value out of range: {hour}:{minute:02}:{second:02}");
    }
    let microseconds = (hour * 60 + minute) * 60_000_000 + (second * 1e6).round() as i64;
    // The engine's own times count nanoseconds.
    Ok(ScalarValue::Time64Nanosecond(Some(microseconds * 1000)))
}
