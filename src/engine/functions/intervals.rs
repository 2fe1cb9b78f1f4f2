//! PostgreSQL's functions that make lengths of time, and `make_time`.

use super::rowwise::RowWise;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::scalar::ScalarValue;

const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;
const NANOSECONDS_A_SECOND: f64 = 1e9;
const DAYS_A_MONTH: i32 = 30;

/// The functions.
pub(super) const FUNCTIONS: [RowWise; 5] = [
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
];

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
