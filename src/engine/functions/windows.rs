//! What `TUMBLE`, `HOP` and `SESSION` stand on: the time windows that a time is in, in microseconds since 1970 UTC.

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    ColumnarValue, PartitionEvaluator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility, WindowUDFImpl,
};
use std::sync::Arc;

/// `window_floor(time, slide, shift)`: the start of the slide that holds a time, and so much later. NULL of NULL, and of
/// a window that reaches beyond what a timestamp can be.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WindowFloor {
    signature: Signature,
}

impl WindowFloor {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for WindowFloor {
    fn name(&self) -> &str {
        "window_floor"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        plan_err!("window_floor's type follows from its arguments' fields")
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), bound_type(&arguments.arg_fields[0])?, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bound = arguments.return_field.data_type();
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [times, slides, shifts] = arrays.as_slice() else { return exec_err!("three arguments") };
        let times = micros(times, bound)?;
        let (slides, shifts) = (cast(slides, &DataType::Int64)?, cast(shifts, &DataType::Int64)?);
        let (slides, shifts) = (slides.as_primitive::<Int64Type>(), shifts.as_primitive::<Int64Type>());
        let bounds: Int64Array = times
            .iter()
            .zip(slides.iter().zip(shifts))
            .map(|(time, (slide, shift))| floor(time?, slide?)?.checked_add(shift?))
            .collect();
        Ok(ColumnarValue::Array(timestamps(bounds, bound)?))
    }
}

/// The last multiple of `slide` that is not after `time`.
fn floor(time: i64, slide: i64) -> Option<i64> {
    time.checked_div_euclid(slide)?.checked_mul(slide)
}

/// The type of a window's bounds: of a time with a zone, a time with that zone.
fn bound_type(time: &Field) -> Result<DataType> {
    match time.data_type() {
        DataType::Timestamp(_, zone) => Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        DataType::Date32 | DataType::Date64 => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        other => plan_err!(
            "a window is over a column of data type TIMESTAMP, TIMESTAMPTZ or DATE: '{}' is {other}",
            time.name()
        ),
    }
}

fn micros(times: &ArrayRef, bound: &DataType) -> Result<Int64Array> {
    Ok(cast(times, bound)?.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>())
}

fn timestamps(micros: Int64Array, bound: &DataType) -> Result<ArrayRef> {
    let DataType::Timestamp(_, zone) = bound else { return exec_err!("a window's bound is a timestamp") };
    let times: TimestampMicrosecondArray = micros.reinterpret_cast();
    Ok(Arc::new(times.with_timezone_opt(zone.clone())))
}

/// `session_start(time, gap) OVER (... ORDER BY time)` and `session_end`: the bounds of the session that a row is in. It
/// begins with its first row and ends a gap after its last.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionBound {
    is_end: bool,
    signature: Signature,
}

impl SessionBound {
    pub(super) fn new(is_end: bool) -> Self {
        Self { is_end, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl WindowUDFImpl for SessionBound {
    fn name(&self) -> &str {
        if self.is_end { "session_end" } else { "session_start" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let bound = match arguments.get_input_field(0) {
            Some(time) => bound_type(&time)?,
            None => return plan_err!("{} takes a time and a gap", self.name()),
        };
        Ok(Arc::new(Field::new(arguments.name(), bound, true)))
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Sessions { is_end: self.is_end }))
    }
}

#[derive(Debug)]
struct Sessions {
    is_end: bool,
}

impl PartitionEvaluator for Sessions {
    fn evaluate_all(&mut self, values: &[ArrayRef], _rows: usize) -> Result<ArrayRef> {
        let [times, gaps] = values else { return exec_err!("a time and a gap") };
        let bound = bound_type(&Field::new("time", times.data_type().clone(), true))?;
        let gaps = cast(gaps, &DataType::Int64)?;
        let gap = gaps.as_primitive::<Int64Type>().iter().flatten().next().unwrap_or_default();
        let bounds: Int64Array = sessions(&micros(times, &bound)?, gap)
            .into_iter()
            .map(|session| {
                let (first, last) = session?;
                if self.is_end { last.checked_add(gap) } else { Some(first) }
            })
            .collect();
        timestamps(bounds, &bound)
    }
}

/// For each of a partition's times in order, the first and last time of its session.
fn sessions(times: &Int64Array, gap: i64) -> Vec<Option<(i64, i64)>> {
    let mut found = vec![None; times.len()];
    let mut begin = 0;
    while begin < times.len() {
        if times.is_null(begin) {
            begin += 1;
            continue;
        }
        let goes_on = |at: usize| {
            at < times.len()
                && !times.is_null(at)
                && times.value(at).saturating_sub(times.value(at - 1)) <= gap
        };
        let mut end = begin + 1;
        while goes_on(end) {
            end += 1;
        }
        found[begin..end].fill(Some((times.value(begin), times.value(end - 1))));
        begin = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_multiples_from_1970() {
        assert_eq!(floor(0, 10), Some(0));
        assert_eq!(floor(9, 10), Some(0));
        assert_eq!(floor(10, 10), Some(10));
        assert_eq!(floor(-1, 10), Some(-10));
        assert_eq!(floor(i64::MIN, 10), None);
        assert_eq!(floor(5, 0), None);
    }

    #[test]
    fn a_session_goes_on_while_no_gap_is_longer() {
        let times = Int64Array::from(vec![Some(0), Some(10), Some(20), Some(31), None]);
        assert_eq!(sessions(&times, 10), [Some((0, 20)), Some((0, 20)), Some((0, 20)), Some((31, 31)), None]);
        assert_eq!(sessions(&Int64Array::from(Vec::<i64>::new()), 10), []);
    }
}
