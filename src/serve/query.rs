//! From a query's text to rows: parameters, plan, stream.
//!
//! Comes in: a parsed query, what the client declared of its parameters, and an engine over one cut. Goes out: the plan
//! with the types of its parameters and the labels of its columns; then, with values, a stream of batches that carries
//! those labels and ends at the statement's deadline. Nothing is collected.

use super::Error;
use super::aside::{aside, has_many_parts};
use super::dialect;
use super::labels::{self, Naming};
use super::parameters::{self, ParameterType, Parameters};
use super::postgres::catalog;
use super::postgres::catalog::types::{ORIGIN_KEY, PG_TYPE_KEY};
use super::session::{Room, Scope};
use crate::engine;
use crate::ops::opaque::Opaque;
use crate::sql::spell_for_engine;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{self, LogicalPlan};
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::sql::sqlparser::ast::{self, Expr, Query, Value};
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

/// Batches of an answer. Dropping it stops the query.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, Error>> + Send>>;

/// A query planned on one cut.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) plan: Opaque<LogicalPlan>,
    /// The plan only has to be laid out.
    pub(super) is_optimized: bool,
    /// Of so many parts that it is laid out aside.
    pub(super) has_many_parts: bool,
    /// The columns as clients see them.
    pub(super) columns: SchemaRef,
    pub(super) parameters: Vec<DataType>,
    /// The types that parameters are cast to, as SQL spells them.
    pub(super) spelt: Vec<Option<String>>,
}

/// Plans a query. Parameters that the client did not declare take the type that their place asks for, else text.
pub(super) async fn plan(
    scope: &Scope,
    query: &Opaque<Query>,
    declared: &[Option<ParameterType>],
) -> Result<Planned, Error> {
    if !has_many_parts(query) {
        return plan_here(scope, query, declared).await;
    }
    let (scope, query, declared) = (scope.clone(), query.clone(), declared.to_vec());
    let planned = aside(async move { plan_here(&scope, &query, &declared).await }.boxed()).await?;
    Ok(Planned { has_many_parts: true, ..planned })
}

async fn plan_here(
    scope: &Scope,
    query: &Opaque<Query>,
    declared: &[Option<ParameterType>],
) -> Result<Planned, Error> {
    match plan_named(scope, query, declared, Naming::AsWritten).await {
        // What differs in its text may be the same to the engine: `mod(a, b)` and `a % b`.
        Err(error) if error.message.contains("require unique expression names") => {
            plan_named(scope, query, declared, Naming::Apart).await
        }
        planned => planned,
    }
}

async fn plan_named(
    scope: &Scope,
    query: &Opaque<Query>,
    declared: &[Option<ParameterType>],
    naming: Naming,
) -> Result<Planned, Error> {
    let mut query = Query::clone(query);
    let labels = labels::label(&mut query, naming);
    spell_for_engine(&mut query);
    let Parameters { numbers: used, placed, casts, lists } = Parameters::of(&mut query)?;
    catalog::rewrite(&scope.state, &mut query, scope.forms.order);
    let lists = lists.into_iter().filter(|n| !declared.get(n - 1).is_some_and(Option::is_some));
    let lists: Vec<usize> = lists.collect();
    let items = (!lists.is_empty()).then(|| parameters::one_item_each(&query));
    let query = Opaque::new(query);
    let count = used.last().copied().unwrap_or(0).max(declared.len());
    let mut types: Vec<Option<ParameterType>> = declared.to_vec();
    types.resize(count, None);
    for (number, asked) in placed {
        types[number - 1].get_or_insert(asked);
    }
    if let Some(items) = items {
        let found = plan_typed(scope, &items, &types).await.map(|(_, found)| found).unwrap_or_default();
        for number in lists {
            let item = found.get(number - 1).cloned().flatten().map_or(DataType::Utf8, |item| item.data_type);
            types[number - 1] = Some(DataType::new_list(item, true).into());
        }
    }

    let first = plan_typed(scope, &query, &types).await;
    let undeclared: Vec<usize> = used.iter().map(|n| n - 1).filter(|i| types[*i].is_none()).collect();
    let (plan, types) = match first {
        Ok((plan, inferred)) if undeclared.iter().all(|i| inferred[*i].is_some()) => (plan, inferred),
        Ok((plan, mut inferred)) => {
            // What no place gives a type is of that beside it, or text; now the plan has to hold with that.
            let beside = dialect::types_beside(&plan)?;
            let mut typed = types.clone();
            for i in undeclared {
                if inferred[i].is_none() {
                    let name = format!("${}", i + 1);
                    let found = beside.iter().find(|(parameter, _)| *parameter == name);
                    typed[i] = Some(found.map_or(DataType::Utf8, |(_, found)| found.clone()).into());
                    inferred[i].clone_from(&typed[i]);
                }
            }
            let (plan, again) = plan_typed(scope, &query, &typed).await?;
            (plan, inferred.into_iter().zip(again).map(|(a, b)| b.or(a)).collect())
        }
        Err(error) => plan_with_text(scope, &query, &types, &undeclared).await.ok_or(error)?,
    };
    let types = types.into_iter().map(|found| found.unwrap_or_else(|| DataType::Utf8.into()));
    let (parameters, names): (Vec<_>, Vec<_>) = types.map(|found| (found.data_type, found.name)).unzip();
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)?;
    let types = dialect::result_types(&plan);
    let origins = dialect::origins(&plan);
    let plan = dialect::identifiers_with_names(LogicalPlan::clone(&plan), &types, &*scope.state)?;
    let columns = types.apply(&labels.apply(&resolved(scope, &plan, &parameters)?));
    let columns = from_relations(scope, &columns, &origins);
    let spelt = (1..).zip(names).map(|(number, name)| casts.get(&number).cloned().or(name)).collect();
    let plan = Opaque::new(plan);
    Ok(Planned { plan, is_optimized: false, has_many_parts: false, columns, parameters, spelt })
}

/// The columns with the numbers of those of relations that they are.
fn from_relations(scope: &Scope, columns: &Schema, origins: &[dialect::Origin]) -> SchemaRef {
    let fields = columns.fields().iter().zip(origins.iter().chain(std::iter::repeat(&None)));
    let fields = fields.map(|(field, origin)| {
        let mut metadata = field.metadata().clone();
        metadata.remove(ORIGIN_KEY);
        if let Some((table, place)) = origin
            && let Some(number) = catalog::number_of(&scope.state, table)
        {
            metadata.insert(ORIGIN_KEY.to_string(), format!("{number}.{place}"));
        }
        field.as_ref().clone().with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns with the types that they have once all of the query's types are reconciled: those of CASE, for one.
fn resolved(scope: &Scope, plan: &LogicalPlan, parameters: &[DataType]) -> Result<Schema, Error> {
    let options = scope.state.config_options();
    match scope.state.analyzer().execute_and_check(plan.clone(), options, |_, _| {}) {
        Ok(analyzed) => Ok(signed(analyzed.schema().as_arrow())),
        // A parameter without a value may have no type yet.
        Err(_) if !parameters.is_empty() => Ok(plan.schema().as_arrow().clone()),
        Err(error) => Err(error.into()),
    }
}

/// Counts that the engine keeps without a sign are `bigint`s.
fn signed(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::UInt64 | DataType::UInt32 => field.as_ref().clone().with_data_type(DataType::Int64),
        _ => field.as_ref().clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

type Typed = (Opaque<LogicalPlan>, Vec<Option<ParameterType>>);

/// More undeclared parameters than these are not tried one by one: each try plans the query anew.
const TRIED_ALONE_MAX: usize = 8;

/// Some functions do not plan on an argument of no type: tries text for one undeclared parameter, then for all.
async fn plan_with_text(
    scope: &Scope,
    query: &Opaque<Query>,
    types: &[Option<ParameterType>],
    undeclared: &[usize],
) -> Option<Typed> {
    let alone = if undeclared.len() > TRIED_ALONE_MAX { &[] } else { undeclared };
    let single = alone.iter().map(|i| vec![*i]);
    let all = (undeclared.len() > 1).then(|| undeclared.to_vec());
    for texts in single.chain(all) {
        let mut types = types.to_vec();
        texts.iter().for_each(|i| types[*i] = Some(DataType::Utf8.into()));
        if let Ok(planned) = plan_typed(scope, query, &types).await {
            return Some(planned);
        }
    }
    None
}

/// Boxed, because the engine's planning futures are large, and so that callers' futures do not hold the tree.
fn planning<'a>(
    scope: &'a Scope,
    mut query: Query,
    types: &[Option<ParameterType>],
) -> BoxFuture<'a, Result<Opaque<LogicalPlan>, Error>> {
    parameters::declare(&mut query, types);
    let statement = ast::Statement::Query(Box::new(query));
    scope.plan(statement)
}

/// Plans with the given types; gives them back with those that the plan infers.
async fn plan_typed(
    scope: &Scope,
    query: &Opaque<Query>,
    types: &[Option<ParameterType>],
) -> Result<Typed, Error> {
    let plan = planning(scope, Query::clone(query), types).await?;
    let mut types = types.to_vec();
    if !types.is_empty() {
        for (name, found) in parameter_types(&plan)? {
            let place = name.trim_start_matches('$').parse::<usize>().ok().and_then(|n| types.get_mut(n - 1));
            if let Some(place @ None) = place {
                *place = Some(found);
            }
        }
    }
    Ok((plan, types))
}

/// What a plan takes its parameters to be, each place for itself: of several for one parameter, the first counts. Those
/// that are only cast have the type that they are cast to, as in PostgreSQL: `$1::bigint`.
fn parameter_types(plan: &LogicalPlan) -> Result<Vec<(String, ParameterType)>, Error> {
    use logical_expr::Expr::{Cast, Placeholder};
    let mut found = Vec::new();
    plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Placeholder(placeholder) => {
                        let of_field = placeholder.field.as_deref().map(ParameterType::of_field);
                        found.extend(of_field.map(|of_field| (placeholder.id.clone(), of_field)));
                    }
                    Cast(cast) => {
                        if let Placeholder(placeholder) = cast.expr.as_ref()
                            && placeholder.field.is_none()
                        {
                            found.push((placeholder.id.clone(), ParameterType::of_field(&cast.field)));
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// Runs a plan. The first batch may take long: the caller's stream polls it.
pub(super) async fn run(
    scope: &Scope,
    planned: Planned,
    values: Vec<ScalarValue>,
) -> Result<(SchemaRef, RowStream), Error> {
    let Planned { plan, is_optimized, has_many_parts, columns, .. } = planned;
    let plan = with_values(plan, values)?;
    let Room { state, task } = scope.room_for(&plan)?;
    let physical = match (is_optimized, has_many_parts) {
        (true, _) => engine::laid_out(state, &plan).await?,
        (false, false) => engine::physical_plan(state, &plan).await?,
        (false, true) => {
            let (state, plan) = (state.clone(), plan.clone());
            aside(async move { Ok(engine::physical_plan(&state, &plan).await?) }.boxed()).await?
        }
    };
    let schema = as_told(&columns, &physical.schema());
    let batches = execute_stream(physical, Arc::clone(task))?;
    Ok((schema.clone(), told(schema, batches)))
}

/// A plan with the values of its parameters.
pub(super) fn with_values(
    plan: Opaque<LogicalPlan>,
    values: Vec<ScalarValue>,
) -> Result<Opaque<LogicalPlan>, Error> {
    Ok(match values.is_empty() {
        true => plan,
        false => {
            Opaque::new(LogicalPlan::clone(&plan).replace_params_with_values(&ParamValues::from(values))?)
        }
    })
}

/// Batches with the columns that the client was told of.
pub(super) fn told(columns: SchemaRef, batches: SendableRecordBatchStream) -> RowStream {
    let rows = batches.map(move |batch| {
        let batch = batch?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let arrays = batch.columns().iter().zip(columns.fields());
        let arrays =
            arrays.map(|(array, field)| strictly(array, field.data_type())).collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new_with_options(columns.clone(), arrays, &options)?)
    });
    rows.boxed()
}

/// Values of another type; what does not fit is an error and not NULL.
fn strictly(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, data_type, &CastOptions { safe: false, ..CastOptions::default() })
}

/// The columns as rows carry them: of the types that the client was told of, as the plan lays them out (text has several
/// layouts, a numeric the scale of its value).
pub(super) fn as_told(told: &Schema, found: &Schema) -> SchemaRef {
    let kind = |field: &Field| catalog::types::data_column_type(field.data_type()).oid;
    let fields =
        told.fields().iter().zip(found.fields()).map(|(told, found)| match kind(told) == kind(found) {
            true => told.as_ref().clone().with_data_type(found.data_type().clone()),
            false => told.as_ref().clone(),
        });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The stream, ended with 57014 when its time is over.
pub(super) fn until(rows: RowStream, deadline: Option<Instant>) -> RowStream {
    let Some(deadline) = deadline else { return rows };
    let deadline = tokio::time::Instant::from_std(deadline);
    futures::stream::unfold(Some(rows), move |rows| async move {
        let mut rows = rows?;
        match tokio::time::timeout_at(deadline, rows.next()).await {
            Ok(Some(batch)) => Some((batch, Some(rows))),
            Ok(None) => None,
            Err(_) => Some((Err(Error::timed_out()), None)),
        }
    })
    .boxed()
}

/// The engine's types for the ones that `PREPARE` declares.
pub(super) async fn declared_types(
    scope: &Scope,
    types: &Opaque<Vec<ast::DataType>>,
) -> Result<Vec<Option<ParameterType>>, Error> {
    let nulls = types.iter().map(|data_type| Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(Expr::value(Value::Null)),
        data_type: data_type.clone(),
        array: false,
        format: None,
    });
    let planned = plan(scope, &select(nulls.collect())?, &[]).await?;
    let fields = planned.plan.schema().fields().iter().zip(planned.columns.fields());
    let types = fields.map(|(laid_out, named)| {
        let name = named.metadata().get(PG_TYPE_KEY).cloned();
        Some(ParameterType { data_type: laid_out.data_type().clone(), name })
    });
    Ok(types.collect())
}

/// The values of constant expressions.
pub(super) async fn evaluate(
    scope: &Scope,
    expressions: &Opaque<Vec<Expr>>,
    types: &[DataType],
) -> Result<Vec<ScalarValue>, Error> {
    let planned = plan(scope, &select(Vec::clone(expressions))?, &[]).await?;
    let (_, mut rows) = run(scope, planned, vec![]).await?;
    let Some(batch) = rows.next().await.transpose()?.filter(|batch| batch.num_rows() == 1) else {
        return Err(Error::new("42601", "parameters must be constants"));
    };
    let values = batch
        .columns()
        .iter()
        .zip(types)
        .map(|(column, data_type)| Ok(ScalarValue::try_from_array(&strictly(column, data_type)?, 0)?));
    values.collect()
}

/// `SELECT expression, ...`.
pub(super) fn select(expressions: Vec<Expr>) -> Result<Opaque<Query>, Error> {
    use super::statement::{Statement, parse};
    let Some(Statement::Query(query)) = parse("SELECT 1")?.pop() else {
        return Err(Error::internal("SELECT 1 is no query"));
    };
    let mut query = Query::clone(&query);
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.projection = expressions.into_iter().map(ast::SelectItem::UnnamedExpr).collect();
    }
    Ok(Opaque::new(query))
}
