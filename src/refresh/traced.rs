//! Where a streaming table's rows come from: the positions of the input's rows, carried beside the query.
//!
//! A plan is given four columns more, which hold the input's name, `_partition`, `_offset` and `_batch` of the row that
//! each of its rows comes from. They pass through what takes rows one by one: projections, filters, aliases, unions, and
//! joins and unnests of which one input row may give several. What makes one row of many (groups, DISTINCT, windows,
//! LIMIT), or a row of two streams, comes from no one row: such a plan is not traced. Pure.

use super::derive::name_of;
use crate::lake::TableName;
use crate::quality::Trace;
use arrow::array::RecordBatch;
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::{
    Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableScan,
    Union, lit,
};
use std::sync::Arc;

/// The columns of a source's table that say where a record was.
pub(super) const POSITION: [&str; 3] = ["_partition", "_offset", "_batch"];

/// The columns beside the query's own: the input's name, then [`POSITION`].
const BESIDE: [&str; 4] = ["__sluice_input", "__sluice_partition", "__sluice_offset", "__sluice_batch"];

/// A plan whose rows say which input row they come from.
#[derive(Debug)]
pub(super) struct Traced {
    /// The plan's own columns, then [`BESIDE`].
    pub(super) plan: LogicalPlan,
    /// One input row may give several rows.
    pub(super) fans_out: bool,
}

/// The plan with the positions of its input's rows beside its columns; `None` when its rows come from no one row.
/// `is_source` tells of the tables whose rows have positions, each its own.
pub(super) fn traced(
    plan: &LogicalPlan,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let Some(Traced { plan: carried, fans_out }) = carry(plan, is_source)? else { return Ok(None) };
    let own = plan.schema().iter().map(|(qualifier, field)| Expr::from((qualifier, field)));
    let columns = own.chain(beside(carried.schema())?).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(carried))?);
    Ok(Some(Traced { plan, fans_out }))
}

/// Parts a traced plan's batch: its own columns, and where its rows come from.
pub(super) fn parted(batch: &RecordBatch) -> Result<(RecordBatch, Option<Trace>), arrow::error::ArrowError> {
    let own = batch.num_columns().saturating_sub(BESIDE.len());
    let rows = batch.project(&(0..own).collect::<Vec<_>>())?;
    let trace = match &batch.columns()[own..] {
        [input, partition, offset, number] => Some(Trace {
            input: Arc::clone(input),
            partition: Arc::clone(partition),
            offset: Arc::clone(offset),
            batch: Arc::clone(number),
        }),
        _ => None,
    };
    Ok((rows, trace))
}

/// As [`traced`], with the columns beside in any place.
fn carry(
    plan: &LogicalPlan,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let one = |input: &LogicalPlan| carry(input, is_source);
    let made = match plan {
        LogicalPlan::TableScan(scan) => return positions(plan, scan, is_source),
        LogicalPlan::Projection(projection) => {
            let Some(Traced { plan, fans_out }) = one(&projection.input)? else { return Ok(None) };
            let columns = projection.expr.iter().cloned().chain(beside(plan.schema())?).collect();
            let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?);
            Traced { plan, fans_out }
        }
        LogicalPlan::Filter(filter) => {
            let Some(Traced { plan, fans_out }) = one(&filter.input)? else { return Ok(None) };
            let plan = Filter::try_new(filter.predicate.clone(), Arc::new(plan))?;
            Traced { plan: LogicalPlan::Filter(plan), fans_out }
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(Traced { plan, fans_out }) = one(&alias.input)? else { return Ok(None) };
            let plan = SubqueryAlias::try_new(Arc::new(plan), alias.alias.clone())?;
            Traced { plan: LogicalPlan::SubqueryAlias(plan), fans_out }
        }
        LogicalPlan::Union(union) => return branches(union, is_source),
        LogicalPlan::Unnest(unnest) => {
            let Some(Traced { plan, .. }) = one(&unnest.input)? else { return Ok(None) };
            let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
            let plan = LogicalPlanBuilder::from(plan).unnest_columns_with_options(columns, options)?;
            Traced { plan: plan.build()?, fans_out: true }
        }
        LogicalPlan::Join(join) => return joined(join, is_source),
        _ => return Ok(None),
    };
    Ok(Some(made))
}

/// A source's scan with its positions under the names that they keep.
fn positions(
    plan: &LogicalPlan,
    scan: &TableScan,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let name = name_of(&scan.table_name);
    let schema = plan.schema();
    if !is_source(&name) || !POSITION.iter().all(|column| schema.has_column_with_unqualified_name(column)) {
        return Ok(None);
    }
    let own = schema.iter().map(|(qualifier, field)| Expr::from((qualifier, field)));
    let position = POSITION.iter().zip(&BESIDE[1..]).map(|(column, beside)| {
        Expr::Column(Column::new(Some(scan.table_name.clone()), *column)).alias(*beside)
    });
    let columns = own.chain([lit(name.to_string()).alias(BESIDE[0])]).chain(position).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan.clone()))?);
    Ok(Some(Traced { plan, fans_out: false }))
}

/// All branches, each with the columns beside in the same places.
fn branches(
    union: &Union,
    is_source: &dyn Fn(&TableName) -> bool,
) -> Result<Option<Traced>, DataFusionError> {
    let (mut inputs, mut fans_out) = (Vec::with_capacity(union.inputs.len()), false);
    for input in &union.inputs {
        let Some(branch) = traced(input, is_source)? else { return Ok(None) };
        fans_out |= branch.fans_out;
        inputs.push(Arc::new(branch.plan));
    }
    Ok(Some(Traced { plan: LogicalPlan::Union(Union::try_new(inputs)?), fans_out }))
}

/// A join of a stream with what is looked up for it.
fn joined(join: &Join, is_source: &dyn Fn(&TableName) -> bool) -> Result<Option<Traced>, DataFusionError> {
    let (left, right) = (carry(&join.left, is_source)?, carry(&join.right, is_source)?);
    let keeps = |side: JoinType, semi: JoinType, anti: JoinType| {
        [JoinType::Inner, side, semi, anti].contains(&join.join_type)
    };
    let (left, right, fans_out) = match (left, right) {
        (Some(left), None) if keeps(JoinType::Left, JoinType::LeftSemi, JoinType::LeftAnti) => {
            (Arc::new(left.plan), Arc::clone(&join.right), left.fans_out)
        }
        (None, Some(right)) if keeps(JoinType::Right, JoinType::RightSemi, JoinType::RightAnti) => {
            (Arc::clone(&join.left), Arc::new(right.plan), right.fans_out)
        }
        _ => return Ok(None),
    };
    let multiplies = matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Right);
    let made = Join::try_new(
        left,
        right,
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(Some(Traced { plan: LogicalPlan::Join(made), fans_out: fans_out || multiplies }))
}

/// The columns beside, wherever a schema has them.
fn beside(schema: &DFSchema) -> Result<Vec<Expr>, DataFusionError> {
    let column = |name: &&str| {
        let (qualifier, field) = schema.qualified_field_with_unqualified_name(name)?;
        Ok(Expr::from((qualifier, field)))
    };
    BESIDE.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::catalog::{CatalogProvider as _, MemTable, MemoryCatalogProvider, MemorySchemaProvider};
    use datafusion::catalog::{SchemaProvider as _, TableProvider};
    use datafusion::prelude::SessionContext;

    /// Two sources, `s.a` and `s.b`, and `s.names`, which is looked up.
    fn session() -> SessionContext {
        let schema = Arc::new(MemorySchemaProvider::new());
        let table = |columns: Vec<(&str, ArrayRef)>| -> Arc<dyn TableProvider> {
            let rows = RecordBatch::try_from_iter(columns).unwrap();
            Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap())
        };
        let numbers = |numbers: [i64; 2]| -> ArrayRef { Arc::new(Int64Array::from(numbers.to_vec())) };
        for (name, first) in [("a", 0), ("b", 10)] {
            let tags = [Some(vec![Some(1), Some(2)]), Some(vec![Some(3)])];
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("id", numbers([first + 1, first + 2])),
                ("tags", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(tags))),
                ("_partition", Arc::new(StringArray::from(vec!["p", "q"]))),
                ("_offset", numbers([first, first + 5])),
                ("_batch", numbers([1, 2])),
            ];
            schema.register_table(name.to_string(), table(columns)).unwrap();
        }
        let names = vec![("id", numbers([1, 1])), ("name", Arc::new(StringArray::from(vec!["x", "y"])) as _)];
        schema.register_table("names".to_string(), table(names)).unwrap();
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema("s", schema).unwrap();
        Engine::new(1 << 30, 1).unwrap().session(catalog)
    }

    /// The rows of a traced query, each with input and offset; `None` when it is not traced.
    async fn rows(query: &str) -> Option<(bool, Vec<String>)> {
        let session = session();
        let plan = session.state().create_logical_plan(query).await.unwrap();
        let is_source = |name: &TableName| ["a", "b"].contains(&name.name.as_str());
        let Traced { plan, fans_out } = traced(&plan, &is_source).unwrap()?;
        let batches = session.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let shown = pretty_format_batches(&batches).unwrap().to_string();
        let cells = |line: &str| {
            line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" ").trim().to_string()
        };
        let mut rows: Vec<String> =
            shown.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect();
        rows.sort();
        Some((fans_out, rows))
    }

    async fn expect(query: &str, fans_out: bool, expected: &[&str]) {
        let (found, rows) = rows(query).await.unwrap_or_else(|| panic!("{query} is not traced"));
        assert_eq!(
            (found, rows.iter().map(String::as_str).collect::<Vec<_>>()),
            (fans_out, expected.to_vec()),
            "{query}"
        );
    }

    #[tokio::test]
    async fn rows_that_come_from_one_row_say_which() {
        expect("SELECT id FROM s.a", false, &["1 s.a p 0 1", "2 s.a q 5 2"]).await;
        expect(
            "SELECT y.n FROM (SELECT id + 1 AS n FROM s.a AS x WHERE x.id > 1) AS y",
            false,
            &["3 s.a q 5 2"],
        )
        .await;
        let union = "SELECT id FROM s.a WHERE id = 1 UNION ALL SELECT id FROM s.b WHERE id = 12";
        expect(union, false, &["1 s.a p 0 1", "12 s.b q 15 2"]).await;
        let known = "SELECT id FROM s.a WHERE id IN (SELECT id FROM s.names)";
        expect(known, false, &["1 s.a p 0 1"]).await;
    }

    #[tokio::test]
    async fn rows_of_which_one_row_makes_several_say_so() {
        let join = "SELECT n.name, a.id FROM s.names AS n RIGHT JOIN s.a AS a ON a.id = n.id";
        expect(join, true, &["2 s.a q 5 2", "x 1 s.a p 0 1", "y 1 s.a p 0 1"]).await;
        let unnest = "SELECT unnest(tags) AS tag FROM s.a";
        expect(unnest, true, &["1 s.a p 0 1", "2 s.a p 0 1", "3 s.a q 5 2"]).await;
    }

    #[tokio::test]
    async fn rows_that_come_from_many_are_not_traced() {
        for query in [
            "SELECT count(*) FROM s.a",
            "SELECT DISTINCT id FROM s.a",
            "SELECT id FROM s.a LIMIT 1",
            "SELECT id, sum(id) OVER () FROM s.a",
            "SELECT a.id FROM s.a AS a JOIN s.b AS b ON a._batch = b._batch",
            "SELECT id FROM s.a UNION ALL SELECT id FROM s.names",
            "SELECT name FROM s.names",
            "SELECT a.id FROM s.a AS a FULL JOIN s.names AS n ON a.id = n.id",
        ] {
            assert!(rows(query).await.is_none(), "{query}");
        }
    }
}
