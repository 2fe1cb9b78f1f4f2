//! `sum` and `avg` of lengths of time: months, days and what is less than a day are added up each for itself, as PostgreSQL's
//! intervals are. What two timestamps are apart counts as days and the rest of one.

use crate::engine::functions::interval_over;
use crate::serve::Error;
use arrow::array::types::IntervalMonthDayNanoType;
use arrow::array::{ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalUnit,
    TimeUnit,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, TypeSignature,
    Volatility,
};
use std::sync::Arc;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const DURATION: DataType = DataType::Duration(TimeUnit::Microsecond);
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// `sum` or `avg` of what has this type; `None` for all but lengths of time.
pub(super) fn of(name: &str, argument: &DataType) -> Option<Arc<AggregateUDF>> {
    let is_length = matches!(argument, DataType::Duration(_) | DataType::Interval(_));
    let takes = match name {
        "sum" => Takes::Sum,
        "avg" | "mean" => Takes::Average,
        _ => return None,
    };
    let signature = Signature::user_defined(Volatility::Immutable);
    is_length.then(|| Arc::new(AggregateUDF::new_from_impl(Total { takes, signature })))
}

/// The engine's `avg`, which may be asked for intervals, too: plans are made with it, and then have that of [`of`] in its place.
pub(super) fn average() -> AggregateUDF {
    let of = avg_udaf();
    let mut signature = of.signature().clone();
    let interval = TypeSignature::Exact(vec![INTERVAL]);
    signature.type_signature = TypeSignature::OneOf(vec![signature.type_signature, interval]);
    AggregateUDF::new_from_impl(Average { of, signature })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Takes {
    Sum,
    Average,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    takes: Takes,
    signature: Signature,
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        match self.takes {
            Takes::Sum => "sum",
            Takes::Average => "avg",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types
            .iter()
            .map(|of| if matches!(of, DataType::Duration(_)) { DURATION } else { INTERVAL })
            .collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let parts = ["count", "months", "days", "nanoseconds"];
        Ok(parts
            .map(|part| Arc::new(Field::new(format_state_name(args.name, part), DataType::Int64, true)))
            .to_vec())
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Parts { takes: self.takes, count: 0, sum: [0; 3] }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// How many lengths there were, and the months, days and nanoseconds of all of them.
#[derive(Debug)]
struct Parts {
    takes: Takes,
    count: i64,
    sum: [i64; 3],
}

impl Parts {
    /// `sign` is -1 for lengths that leave a window.
    fn add(&mut self, lengths: &ArrayRef, sign: i64) -> Result<()> {
        match lengths.data_type() {
            DataType::Duration(_) => {
                let lengths = cast(lengths, &DURATION)?;
                lengths.as_primitive::<DurationMicrosecondType>().iter().flatten().try_for_each(|length| {
                    let (days, rest) = (length / MICROSECONDS_A_DAY, length % MICROSECONDS_A_DAY);
                    self.add_one([0, days, rest * 1_000], sign)
                })
            }
            _ => {
                let lengths = cast(lengths, &INTERVAL)?;
                lengths.as_primitive::<IntervalMonthDayNanoType>().iter().flatten().try_for_each(|length| {
                    self.add_one([length.months.into(), length.days.into(), length.nanoseconds], sign)
                })
            }
        }
    }

    fn add_one(&mut self, parts: [i64; 3], sign: i64) -> Result<()> {
        self.count += sign;
        self.add_parts(parts.map(|part| sign * part))
    }

    fn add_parts(&mut self, parts: [i64; 3]) -> Result<()> {
        for (sum, part) in self.sum.iter_mut().zip(parts) {
            *sum = sum.checked_add(part).ok_or_else(out_of_range)?;
        }
        Ok(())
    }
}

impl Accumulator for Parts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let [months, days, nanoseconds] = self.sum;
        Ok([self.count, months, days, nanoseconds].map(|part| ScalarValue::Int64(Some(part))).to_vec())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let parts: Vec<_> = states.iter().map(|part| part.as_primitive::<Int64Type>()).collect();
        for row in 0..parts[0].len() {
            self.count += parts[0].value(row);
            self.add_parts([1, 2, 3].map(|part| parts[part].value(row)))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::IntervalMonthDayNano(None));
        }
        let [months, days, nanoseconds] = self.sum;
        let whole = |part: i64| i32::try_from(part).map_err(|_| out_of_range());
        let sum = IntervalMonthDayNano::new(whole(months)?, whole(days)?, nanoseconds);
        Ok(ScalarValue::IntervalMonthDayNano(Some(match self.takes {
            Takes::Sum => sum,
            Takes::Average => interval_over(sum, self.count),
        })))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

fn out_of_range() -> DataFusionError {
    DataFusionError::External(Box::new(Error::new("22008", "interval out of range")))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    of: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn aliases(&self) -> &[String] {
        self.of.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if let [DataType::Interval(_)] = types { Ok(INTERVAL) } else { self.of.return_type(types) }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.of.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.of.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.of.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.of.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.of.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.of.inner().reverse_expr()
    }
}
