//! PostgreSQL's ordered-set aggregates that DataFusion has not: `mode()` and `percentile_disc(fraction)`, each
//! `WITHIN GROUP (ORDER BY value)`. Both give one of the values of the group; NULLs do not count, and of none it is NULL.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, new_empty_array};
use arrow::compute::{SortOptions, concat, filter, is_not_null, partition, sort};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
};
use std::sync::Arc;

/// The functions.
pub(super) fn functions() -> [AggregateUDF; 2] {
    [Takes::MostFrequent, Takes::AtFraction].map(|takes| {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::new_from_impl(OrderedSet { takes, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderedSet {
    takes: Takes,
    signature: Signature,
}

/// Which of the values it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Takes {
    /// `mode()`: of several that are as frequent, the first in order.
    MostFrequent,
    /// `percentile_disc(fraction)`: the first at which this share of all values is reached.
    AtFraction,
}

impl AggregateUDFImpl for OrderedSet {
    fn name(&self) -> &str {
        match self.takes {
            Takes::MostFrequent => "mode",
            Takes::AtFraction => "percentile_disc",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The value comes first: it is what the group is ordered by.
    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match (self.takes, arguments) {
            (Takes::MostFrequent, [value]) => Ok(vec![value.clone()]),
            (Takes::AtFraction, [value, _]) => Ok(vec![value.clone(), DataType::Float64]),
            _ => exec_err!("WITHIN GROUP is required for ordered-set aggregate {}", self.name()),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let values = Field::new_list_field(args.input_fields[0].data_type().clone(), true);
        let name = format_state_name(args.name, self.name());
        Ok(vec![Arc::new(Field::new(name, DataType::List(Arc::new(values)), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let choice = match self.takes {
            Takes::MostFrequent => Choice::MostFrequent,
            Takes::AtFraction => Choice::AtFraction(fraction(&args)?),
        };
        let options = args.order_bys.first().map(|order| order.options).unwrap_or_default();
        let data_type = args.expr_fields[0].data_type().clone();
        Ok(Box::new(Values { data_type, options, choice, kept: Vec::new() }))
    }

    /// It sorts what it has kept.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

/// The constant of the call; `None` where it is NULL.
fn fraction(args: &AccumulatorArgs<'_>) -> Result<Option<f64>> {
    let no_row = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let value = args.exprs[1].evaluate(&no_row);
    let Ok(ColumnarValue::Scalar(ScalarValue::Float64(fraction))) = value else {
        return exec_err!("percentile_disc takes a constant between 0 and 1");
    };
    match fraction {
        Some(of) if !(0.0..=1.0).contains(&of) => exec_err!("percentile value {of} is not between 0 and 1"),
        _ => Ok(fraction),
    }
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    MostFrequent,
    AtFraction(Option<f64>),
}

/// All values of a group that are not NULL, as they came.
#[derive(Debug)]
struct Values {
    data_type: DataType,
    options: SortOptions,
    choice: Choice,
    kept: Vec<ArrayRef>,
}

impl Values {
    fn keep(&mut self, values: &ArrayRef) -> Result<()> {
        let known = if values.null_count() == 0 {
            Arc::clone(values)
        } else {
            filter(values, &is_not_null(values)?)?
        };
        if !known.is_empty() {
            self.kept.push(known);
        }
        Ok(())
    }

    fn all(&self) -> Result<ArrayRef> {
        if self.kept.is_empty() {
            return Ok(new_empty_array(&self.data_type));
        }
        let arrays: Vec<_> = self.kept.iter().map(AsRef::as_ref).collect();
        Ok(concat(&arrays)?)
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.keep(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.keep(&values))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![SingleRowListArrayBuilder::new(self.all()?).build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sorted = sort(&self.all()?, Some(self.options))?;
        let place = match self.choice {
            Choice::MostFrequent => {
                let runs = partition(&[Arc::clone(&sorted)])?.ranges();
                // Of equals `max_by_key` takes the last.
                runs.into_iter().rev().max_by_key(|run| run.len()).map(|run| run.start)
            }
            Choice::AtFraction(fraction) => fraction.and_then(|of| place_of(of, sorted.len())),
        };
        match place {
            Some(place) => ScalarValue::try_from_array(&sorted, place),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.kept.iter().map(|values| values.get_array_memory_size()).sum::<usize>()
    }
}

/// The first of `count` places at which a share of all of them is reached (SQL:2003, inverse distribution functions).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a group has fewer than 2^53 values, and a share of them is no more than they are"
)]
fn place_of(fraction: f64, count: usize) -> Option<usize> {
    let reached = (fraction * count as f64).ceil() as usize;
    (count > 0).then(|| reached.max(1) - 1)
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn a_share_is_reached_at_a_value() {
        let places = [0.0, 0.25, 0.26, 0.5, 1.0].map(|fraction| place_of(fraction, 4));
        assert_eq!(places, [Some(0), Some(0), Some(1), Some(1), Some(3)]);
        assert_eq!(place_of(0.5, 0), None);
    }
}
