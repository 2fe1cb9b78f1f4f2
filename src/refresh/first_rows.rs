//! The first rows of an order from those that stand, those that came and those that went.
//!
//! ```text
//! stood, in order   ■ ■ ■ ■ ■ ■ ■ ■ │ rows that are not known, none of them before the last that stands
//! came, went          +   -   + +   │ +
//! first             ■ + ■ ■ ■ + + ■ │   as long as enough are left
//! ```

use super::Error;
use super::apply::Target;
use super::compare::{Bag, row_count};
use super::derive::{self, Best, Sources, ruled};
use super::evaluate::Evaluator;
use super::model::Model;
use super::output::judge_all;
use super::ways::weighed;
use crate::lake::Lake;
use crate::ops::opaque::Opaque;
use crate::quality::Rules;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// What a table of the first rows holds after a change; or why all rows must be looked at.
pub(super) async fn of_best(
    model: &Model,
    best: &Best,
    plan: &LogicalPlan,
    sources: &Sources,
    lake: &Arc<Lake>,
    evaluator: &Evaluator<'_>,
    rules: &mut Rules,
) -> Result<Result<(Target, String), String>, Error> {
    let change = match ruled(derive::change(derive::candidates(plan)?, sources))? {
        Ok(change) => change.map(Opaque::new),
        Err(why) => return Ok(Err(why)),
    };
    let (came, went) = match &change {
        Some(change) => weighed(model, evaluator, change, rules).await?,
        None => (Vec::new(), Vec::new()),
    };
    let stored = provider_as_source(lake.provider(&model.table.snapshot()));
    let stored = Opaque::new(LogicalPlanBuilder::scan("__stored", stored, None)?.build()?);
    let stood = judge_all(model, rules, &evaluator.run(&stored).await?)?;
    let first = first_rows(&model.schema, best, &stood, &came, &went)?;
    let how = format!("first rows of {} that came and {} that went", row_count(&came), row_count(&went));
    Ok(match first {
        Some(rows) => Ok((Target::All(rows), how)),
        None => Err(format!("fewer than {} of the first rows are left", best.least)),
    })
}

/// The first rows, at most as many as may be kept; `None` when too few are left of those that are known.
fn first_rows(
    schema: &Schema,
    best: &Best,
    stood: &[RecordBatch],
    came: &[RecordBatch],
    went: &[RecordBatch],
) -> Result<Option<Vec<RecordBatch>>, ArrowError> {
    // With fewer than are asked for, no others are there.
    let are_all = row_count(stood) < best.least;
    let mut gone = Bag::new(schema, went)?;
    let mut known = Vec::with_capacity(stood.len() + came.len());
    for batch in stood {
        let stays: BooleanArray = gone.held(batch)?.iter().map(|goes| Some(!goes)).collect();
        known.push(filter_record_batch(batch, &stays)?);
    }
    if are_all && !gone.left().is_empty() {
        return Ok(None);
    }
    known.extend(came.iter().cloned());
    let order = Order::new(schema, best)?;
    let last = match are_all {
        true => None,
        false => order.of(stood)?.into_iter().map(|(key, _)| key).max(),
    };
    let mut first = order.of(&known)?;
    first.retain(|(key, _)| last.as_ref().is_none_or(|last| key <= last));
    first.sort();
    first.truncate(best.most);
    if !are_all && first.len() < best.least {
        return Ok(None);
    }
    let places: Vec<(usize, usize)> = first.into_iter().map(|(_, place)| place).collect();
    match places.is_empty() {
        true => Ok(Some(Vec::new())),
        false => Ok(Some(vec![interleave_record_batch(&known.iter().collect::<Vec<_>>(), &places)?])),
    }
}

/// What rows are ordered by, as bytes that compare alike.
struct Order<'a> {
    converter: RowConverter,
    best: &'a Best,
}

impl<'a> Order<'a> {
    fn new(schema: &Schema, best: &'a Best) -> Result<Self, ArrowError> {
        let fields = best.order.iter().map(|(place, options)| {
            SortField::new_with_options(schema.field(*place).data_type().clone(), *options)
        });
        Ok(Self { converter: RowConverter::new(fields.collect())?, best })
    }

    /// Each row's place in the order, and where it stands: batch and row.
    fn of(&self, batches: &[RecordBatch]) -> Result<Vec<(OwnedRow, (usize, usize))>, ArrowError> {
        let mut all = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            let columns: Vec<_> =
                self.best.order.iter().map(|(place, _)| Arc::clone(batch.column(*place))).collect();
            let keys = self.converter.convert_columns(&columns)?;
            all.extend(keys.iter().enumerate().map(|(row, key)| (key.owned(), (number, row))));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::compute::SortOptions;
    use proptest::prelude::*;

    fn batch(values: &[i64]) -> RecordBatch {
        let column = Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([("v", column, true)]).unwrap()
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        let column = |batch: &RecordBatch| {
            let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            column.values().to_vec()
        };
        batches.iter().flat_map(column).collect()
    }

    fn best(least: usize, most: usize) -> Best {
        let options = SortOptions { descending: true, nulls_first: false };
        Best { least, most, order: vec![(0, options)] }
    }

    fn first(best: &Best, stood: &[i64], came: &[i64], went: &[i64]) -> Option<Vec<i64>> {
        let schema = batch(&[]).schema();
        let first = first_rows(&schema, best, &[batch(stood)], &[batch(came)], &[batch(went)]).unwrap();
        first.map(|rows| values(&rows))
    }

    #[test]
    fn rows_behind_the_last_known_are_not_known() {
        let best = best(2, 4);
        assert_eq!(first(&best, &[9, 8, 7, 6], &[5], &[]), Some(vec![9, 8, 7, 6]));
        assert_eq!(first(&best, &[9, 8, 7, 6], &[5], &[9, 8]), Some(vec![7, 6]));
        assert_eq!(first(&best, &[9, 8, 7, 6], &[5], &[9, 8, 7]), None, "is 5 the second?");
        assert_eq!(first(&best, &[9], &[5, 7, 1, 2, 3], &[]), Some(vec![9, 7, 5, 3]), "there was but one");
        assert_eq!(first(&best, &[9], &[], &[9]), Some(vec![]));
        assert_eq!(first(&best, &[9], &[], &[8]), None, "what was not known cannot go");
    }

    proptest! {
        /// Rows come and go; whatever is kept, those asked for are the first of all.
        #[test]
        fn those_asked_for_are_the_first_of_all(
            least in 1usize..4,
            spare in 0usize..4,
            steps in prop::collection::vec(
                (prop::collection::vec(0i64..12, 0..5), prop::collection::vec(0usize..30, 0..5)),
                1..12,
            ),
        ) {
            let best = best(least, 2 * least + spare);
            let (mut all, mut kept) = (Vec::<i64>::new(), Vec::new());
            for (came, gone) in steps {
                let mut went = Vec::new();
                for place in gone {
                    if !all.is_empty() {
                        went.push(all.swap_remove(place % all.len()));
                    }
                }
                all.extend(&came);
                all.sort_unstable_by(|a, b| b.cmp(a));
                kept = first(&best, &kept, &came, &went)
                    .unwrap_or_else(|| all.iter().copied().take(best.most).collect());
                prop_assert!(kept.len() <= best.most);
                prop_assert!(kept.len() >= least.min(all.len()));
                prop_assert_eq!(&kept[..], &all[..kept.len()]);
            }
        }
    }
}
