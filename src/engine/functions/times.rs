//! PostgreSQL's functions over times: `timezone` (which `AT TIME ZONE` is), `age`, `make_timestamp`.

use super::rowwise::RowWise;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, TimeZone as _};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::scalar::ScalarValue;

/// The functions.
pub(super) const FUNCTIONS: [RowWise; 3] = [
    RowWise {
        name: "timezone",
        accepts: |types| match types {
            [_, DataType::Timestamp(_, Some(_))] => Some(vec![DataType::Utf8, moment(true)]),
            [_, _] => Some(vec![DataType::Utf8, moment(false)]),
            _ => None,
        },
        returns: |types| match types {
            [_, DataType::Timestamp(_, Some(_))] => moment(false),
            _ => moment(true),
        },
        body: |row| in_zone(&row[0], &row[1]),
    },
    RowWise {
        name: "age",
        accepts: |types| (types.len() == 2).then(|| vec![moment(false); 2]),
        returns: |_| DataType::Interval(IntervalUnit::MonthDayNano),
        body: |row| age(microseconds(&row[0])?, microseconds(&row[1])?),
    },
    RowWise {
        name: "make_timestamp",
        accepts: |types| {
            (types.len() == 6).then(|| {
                let mut types = vec![DataType::Int64; 5];
                types.push(DataType::Float64);
                types
            })
        },
        returns: |_| moment(false),
        body: make_timestamp,
    },
];

/// `interval * number`, which has no name in PostgreSQL.
pub(super) const TIMES: RowWise = RowWise {
    name: "interval_times",
    accepts: |types| {
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        (types.len() == 2).then(|| vec![interval, DataType::Float64])
    },
    returns: |_| DataType::Interval(IntervalUnit::MonthDayNano),
    body: |row| match (&row[0], &row[1]) {
        (ScalarValue::IntervalMonthDayNano(Some(interval)), ScalarValue::Float64(Some(factor))) => {
            Ok(ScalarValue::IntervalMonthDayNano(Some(times(*interval, *factor))))
        }
        _ => exec_err!("an interval is multiplied by a number"),
    },
};

/// `interval / number`, of a number of at least one.
#[expect(clippy::cast_precision_loss, reason = "a count of rows is far below 2^53")]
pub fn interval_over(interval: IntervalMonthDayNano, count: i64) -> IntervalMonthDayNano {
    times(interval, 1.0 / count as f64)
}

/// What is left of a month is thirty days a month, what is left of a day twenty-four hours.
fn times(interval: IntervalMonthDayNano, factor: f64) -> IntervalMonthDayNano {
    const DAYS_A_MONTH: f64 = 30.0;
    const NANOSECONDS_A_DAY: f64 = 86_400e9;
    let months = f64::from(interval.months) * factor;
    let days = f64::from(interval.days) * factor + months.fract() * DAYS_A_MONTH;
    let nanoseconds = interval.nanoseconds as f64 * factor + days.fract() * NANOSECONDS_A_DAY;
    IntervalMonthDayNano::new(months.trunc() as i32, days.trunc() as i32, nanoseconds.round() as i64)
}

fn moment(zoned: bool) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into()))
}

fn microseconds(value: &ScalarValue) -> Result<i64> {
    match value {
        ScalarValue::TimestampMicrosecond(Some(value), _) => Ok(*value),
        other => exec_err!("{other} is no timestamp"),
    }
}

fn local(microseconds: i64) -> Result<NaiveDateTime> {
    let moment = DateTime::from_timestamp_micros(microseconds);
    moment.map(|moment| moment.naive_utc()).ok_or_else(|| exec_datafusion_err!("timestamp out of range"))
}

/// A moment as clocks of a zone show it, or the moment at which they show a time.
fn in_zone(zone: &ScalarValue, value: &ScalarValue) -> Result<ScalarValue> {
    let name = zone.try_as_str().flatten().unwrap_or_default();
    let known =
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") { "UTC" } else { name };
    let zone: Tz = known.parse().map_err(|_| exec_datafusion_err!("time zone \"{name}\" not recognized"))?;
    let time = local(microseconds(value)?)?;
    let is_moment = matches!(value, ScalarValue::TimestampMicrosecond(_, Some(_)));
    if is_moment {
        let shown = zone.from_utc_datetime(&time).naive_local();
        return Ok(ScalarValue::TimestampMicrosecond(Some(shown.and_utc().timestamp_micros()), None));
    }
    // A time that clocks skip is taken as if they did not: an hour earlier, an hour later.
    let moment = zone.from_local_datetime(&time).latest().map(|moment| moment.timestamp_micros());
    let skipped = || {
        let before = zone.from_local_datetime(&(time - chrono::TimeDelta::hours(1))).latest();
        before.map(|moment| (moment + chrono::TimeDelta::hours(1)).timestamp_micros())
    };
    Ok(ScalarValue::TimestampMicrosecond(moment.or_else(skipped), Some("UTC".into())))
}

/// Years, months, days and a time between two moments, counted as on a calendar: what days are short of is made up by
/// the days of the earlier moment's month, as in PostgreSQL.
fn age(end: i64, start: i64) -> Result<ScalarValue> {
    const DAY_US: i64 = 86_400_000_000;
    let (sign, early, late) = if end >= start { (1, start, end) } else { (-1, end, start) };
    let clock = |us: i64| us.rem_euclid(DAY_US);
    let mut time = clock(late) - clock(early);
    let (early, late) = (local(early)?, local(late)?);
    let mut days = late.day() as i32 - early.day() as i32;
    let mut months = (late.year() - early.year()) * 12 + late.month0() as i32 - early.month0() as i32;
    if time < 0 {
        time += DAY_US;
        days -= 1;
    }
    while days < 0 {
        days += i32::from(early.date().num_days_in_month());
        months -= 1;
    }
    let interval = IntervalMonthDayNano::new(sign * months, sign * days, i64::from(sign) * time * 1000);
    Ok(ScalarValue::IntervalMonthDayNano(Some(interval)))
}

fn make_timestamp(row: &[ScalarValue]) -> Result<ScalarValue> {
    let part = |index: usize| match &row[index] {
        ScalarValue::Int64(Some(value)) => u32::try_from(*value).ok(),
        _ => None,
    };
    let ScalarValue::Float64(Some(second)) = row[5] else {
        return exec_err!("make_timestamp takes seconds");
    };
    let microsecond = (second.fract() * 1e6).round() as u32;
    let made = || {
        let date = NaiveDate::from_ymd_opt(i32::try_from(part(0)?).ok()?, part(1)?, part(2)?)?;
        date.and_hms_micro_opt(part(3)?, part(4)?, second.trunc() as u32, microsecond)
    };
    match made() {
        Some(made) => Ok(ScalarValue::TimestampMicrosecond(Some(made.and_utc().timestamp_micros()), None)),
        None => exec_err!("date/time field value out of range"),
    }
}
