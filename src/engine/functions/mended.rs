//! Aggregate functions that DataFusion 55 computes otherwise by group than it should.
//!
//! - `min` and `max` of floating-point numbers, where NaN is above all others, as in PostgreSQL: by group NaN takes the place
//!   of what came before it, and the next number that of NaN, so that the answer depends on the order of rows.
//! - `bit_xor(DISTINCT x)`: by group DISTINCT is forgotten, and where that shows between two stages it is an error.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::bit_and_or_xor::bit_xor_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::sync::Arc;

/// The functions.
pub(super) fn functions() -> [AggregateUDF; 3] {
    let mended = [
        (min_udaf(), Fault::NanTakesAnyPlace { is_greatest: false }),
        (max_udaf(), Fault::NanTakesAnyPlace { is_greatest: true }),
        (bit_xor_udaf(), Fault::ForgetsDistinct),
    ];
    mended.map(|(inner, fault)| AggregateUDF::new_from_impl(Mended { inner, fault }))
}

/// DataFusion's function, but for its fault.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Mended {
    inner: Arc<AggregateUDF>,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    NanTakesAnyPlace { is_greatest: bool },
    ForgetsDistinct,
}

impl Mended {
    /// Keeps the extreme of each group; `ends` are the least and the greatest of all numbers.
    fn extreme<T: ArrowPrimitiveType + Send>(
        is_greatest: bool,
        data_type: &DataType,
        compare: impl Fn(&T::Native, &T::Native) -> std::cmp::Ordering + Send + Sync + 'static,
        [least, greatest]: [T::Native; 2],
    ) -> Box<dyn GroupsAccumulator> {
        let wins = if is_greatest { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less };
        let keep = move |kept: &mut T::Native, came: T::Native| {
            if compare(&came, kept) == wins {
                *kept = came;
            }
        };
        let start = if is_greatest { least } else { greatest };
        Box::new(PrimitiveGroupsAccumulator::<T, _>::new(data_type, keep).with_starting_value(start))
    }
}

impl AggregateUDFImpl for Mended {
    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        let forgets = self.fault == Fault::ForgetsDistinct && args.is_distinct;
        !forgets && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        // Of NaNs that which has its sign is below all numbers: there is none in what we read or compute.
        Ok(match (self.fault, args.return_field.data_type()) {
            (Fault::NanTakesAnyPlace { is_greatest }, of @ DataType::Float64) => {
                Self::extreme::<Float64Type>(is_greatest, of, f64::total_cmp, [-f64::NAN, f64::NAN])
            }
            (Fault::NanTakesAnyPlace { is_greatest }, of @ DataType::Float32) => {
                Self::extreme::<Float32Type>(is_greatest, of, f32::total_cmp, [-f32::NAN, f32::NAN])
            }
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

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        // Each is the same from both ends: what is mended must not be given back.
        ReversedUDAF::Identical
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
