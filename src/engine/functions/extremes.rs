//! `min` and `max` of floating-point numbers, where NaN is above all others, as in PostgreSQL.
//!
//! DataFusion 55 has it so too, but by group: there NaN takes the place of what came before it, and the next number that of
//! NaN, so that the answer depends on the order of rows.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::sync::Arc;

/// `min` and `max`.
pub(super) fn extremes() -> [AggregateUDF; 2] {
    [(min_udaf(), false), (max_udaf(), true)]
        .map(|(inner, is_greatest)| AggregateUDF::new_from_impl(Extreme { inner, is_greatest }))
}

/// DataFusion's function, but for floating-point numbers by group.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    inner: Arc<AggregateUDF>,
    is_greatest: bool,
}

impl Extreme {
    /// Keeps the extreme of each group; `ends` are the least and the greatest of all numbers.
    fn of<T: ArrowPrimitiveType + Send>(
        &self,
        data_type: &DataType,
        compare: impl Fn(&T::Native, &T::Native) -> std::cmp::Ordering + Send + Sync + 'static,
        [least, greatest]: [T::Native; 2],
    ) -> Box<dyn GroupsAccumulator> {
        let wins = if self.is_greatest { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
        let keep = move |kept: &mut T::Native, came: T::Native| {
            if compare(&came, kept) == wins {
                *kept = came;
            }
        };
        let start = if self.is_greatest { least } else { greatest };
        Box::new(PrimitiveGroupsAccumulator::<T, _>::new(data_type, keep).with_starting_value(start))
    }
}

impl AggregateUDFImpl for Extreme {
    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        // Of NaNs that which has its sign is below all numbers: there is none in what we read or compute.
        Ok(match args.return_field.data_type() {
            of @ DataType::Float64 => self.of::<Float64Type>(of, f64::total_cmp, [-f64::NAN, f64::NAN]),
            of @ DataType::Float32 => self.of::<Float32Type>(of, f32::total_cmp, [-f32::NAN, f32::NAN]),
            _ => return self.inner.create_groups_accumulator(args),
        })
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn is_descending(&self) -> Option<bool> {
        Some(self.is_greatest)
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }

    fn set_monotonicity(&self, _: &DataType) -> SetMonotonicity {
        if self.is_greatest { SetMonotonicity::Increasing } else { SetMonotonicity::Decreasing }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
