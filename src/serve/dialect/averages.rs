//! Averages of numerics, rounded half away from zero: the engine cuts them off.
//!
//! The engine's aggregate computes one digit more than is shown, which decides how the last one is rounded.

use arrow::array::types::Decimal128Type;
use arrow::array::{ArrayRef, AsArray as _, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature,
};
use std::sync::Arc;

/// `avg` of a numeric: one digit less than the engine's, and that one rounded.
pub(super) fn rounded(avg: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Average { of: avg }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    of: Arc<AggregateUDF>,
}

impl Average {
    /// What the engine's aggregate is made with: its own result's type.
    fn inner<'a>(&self, args: AccumulatorArgs<'a>) -> Result<AccumulatorArgs<'a>> {
        let return_field = self.of.return_field(args.expr_fields)?;
        Ok(AccumulatorArgs { return_field, ..args })
    }
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn signature(&self) -> &Signature {
        self.of.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.of.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match self.of.return_type(types)? {
            DataType::Decimal128(precision, scale) => DataType::Decimal128(precision - 1, scale - 1),
            other => other,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let return_field = self.of.return_field(args.input_fields)?;
        self.of.state_fields(StateFieldsArgs { return_field, ..args })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(self.of.accumulator(self.inner(args)?)?)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner(args).is_ok_and(|args| self.of.groups_accumulator_supported(args))
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups(self.of.create_groups_accumulator(self.inner(args)?)?)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(self.of.create_sliding_accumulator(self.inner(args)?)?)))
    }
}

/// A number without its last digit, rounded half away from zero.
fn without_last(number: i128) -> i128 {
    number / 10 + if (number % 10).abs() >= 5 { number.signum() } else { 0 }
}

#[derive(Debug)]
struct One(Box<dyn Accumulator>);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.0.evaluate()? {
            ScalarValue::Decimal128(number, precision, scale) => {
                ScalarValue::Decimal128(number.map(without_last), precision - 1, scale - 1)
            }
            other => other,
        })
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }
}

struct Groups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.0.update_batch(values, groups, filter, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let averages = self.0.evaluate(emit)?;
        Ok(match averages.data_type() {
            DataType::Decimal128(precision, scale) => {
                let rounded =
                    averages.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(without_last);
                Arc::new(rounded.with_precision_and_scale(precision - 1, scale - 1)?)
            }
            _ => averages,
        })
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.0.merge_batch(states, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

#[cfg(test)]
mod tests {
    use super::without_last;

    #[test]
    fn halves_go_away_from_zero() {
        for (number, expected) in [(15, 2), (14, 1), (-15, -2), (-14, -1), (0, 0), (5, 1), (-4, 0)] {
            assert_eq!(without_last(number), expected, "{number}");
        }
    }
}
