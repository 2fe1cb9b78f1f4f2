//! Keys that are steps of a time (days, windows) as a range of that time: files are pruned by ranges, and indexes know
//! only what is stored.
//!
//! ```text
//! date_trunc('day', ts) IN (k, ...)        ts >= min(k) AND ts < max(k) + the longest day
//! window_floor(ts, slide, shift)           ts >= min(k) - shift AND ts < max(k) - shift + slide
//! ```
//!
//! A range may hold more than the keys do, never less: whoever asks compares the keys again.

use super::narrow::looked_up;
use arrow::array::{Array as _, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::cast::as_timestamp_microsecond_array;
use datafusion::common::{Column, DataFusionError, ExprSchema as _, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, TableScan, lit};

const SECOND: i64 = 1_000_000;
/// A day of a time zone may be an hour longer.
const DAY: i64 = 25 * 3600 * SECOND;

/// What holds for the rows of a scan whose value of `key` is in the column `values` of `keys`; `None` where nothing
/// follows for a stored time.
pub(super) fn range(
    key: &Expr,
    scan: &TableScan,
    keys: &[RecordBatch],
    values: usize,
) -> Result<Option<Expr>, DataFusionError> {
    let Some(step) = Step::of(key, scan) else { return Ok(None) };
    let Ok(field) = scan.projected_schema.field_from_column(step.time) else { return Ok(None) };
    let DataType::Timestamp(_, zone) = field.data_type() else { return Ok(None) };
    // It is the same moment, whatever the zone of who asks.
    if zone.as_deref().is_some_and(|zone| zone != "UTC") {
        return Ok(None);
    }
    let (mut least, mut greatest) = (None, None);
    for batch in keys {
        let times = cast(batch.column(values), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let times = as_timestamp_microsecond_array(&times)?;
        // Of no time, or of one so far away that its window has no bounds.
        if times.null_count() > 0 {
            return Ok(None);
        }
        least = least.into_iter().chain(min::<TimestampMicrosecondType>(times)).min();
        greatest = greatest.into_iter().chain(max::<TimestampMicrosecondType>(times)).max();
    }
    let bound = |time: i64| -> Result<Expr, DataFusionError> {
        Ok(lit(ScalarValue::TimestampMicrosecond(Some(time), zone.clone()).cast_to(field.data_type())?))
    };
    let time = Expr::Column(step.time.clone());
    let (Some(least), Some(greatest)) = (least, greatest) else { return Ok(Some(lit(false))) };
    let bounds = (least.checked_add(step.from), greatest.checked_add(step.to));
    let (Some(from), Some(to)) = bounds else { return Ok(None) };
    Ok(Some(time.clone().gt_eq(bound(from)?).and(time.lt(bound(to)?))))
}

/// A key that rises with a stored time: that lies from `from` before `to` microseconds above the key.
struct Step<'a> {
    time: &'a Column,
    from: i64,
    to: i64,
}

impl<'a> Step<'a> {
    fn of(key: &'a Expr, scan: &TableScan) -> Option<Self> {
        let (time, from, to) = match key {
            Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Date32 => {
                (expr.as_ref(), 0, DAY)
            }
            Expr::ScalarFunction(ScalarFunction { func, args }) => match (func.name(), &args[..]) {
                ("date_trunc", [unit, time]) => (time, 0, longest(text(unit)?)?),
                ("window_floor", [time, slide, shift]) => {
                    let (slide, shift) = (whole(slide)?, whole(shift)?);
                    (time, shift.checked_neg()?, slide.checked_sub(shift)?)
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { time: looked_up(time, scan)?, from, to })
    }
}

/// The most that a time lies behind the start of its unit, microseconds.
fn longest(unit: &str) -> Option<i64> {
    Some(match unit.to_lowercase().as_str() {
        "second" => SECOND,
        "minute" => 60 * SECOND,
        "hour" => 3600 * SECOND,
        "day" => DAY,
        "week" => 8 * DAY,
        "month" => 32 * DAY,
        "quarter" => 93 * DAY,
        "year" => 367 * DAY,
        _ => return None,
    })
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str()?,
        _ => None,
    }
}

fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(value) => value,
            _ => None,
        },
        _ => None,
    }
}
