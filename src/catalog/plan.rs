//! Plans every model of a project without touching data.
//!
//! Comes in: a [`Project`]. Goes out: for each model the columns it will have, or every error that planning finds, placed
//! in its file. A model whose input failed is left out: one mistake is one error.

use super::audits::audit_errors;
use super::cut::Cut;
use super::derivation::Derivation;
use super::keys::incomparable_keys;
use super::lineage::Lineage;
use super::plan_error::{Place, errors_of};
use super::project::{Model, Project};
use super::tags::leaks;
use super::watermarks::{Unmarked, followers, unmarked};
use crate::engine::{self, DATABASE, Engine};
use crate::lake::{TableName, storable};
use crate::sql::{
    AuditDefinition, AutoCdc, ColumnDefinition, Continuation, Error, Expectation, MaterializedViewDefinition,
    continuation, defining_query, hint_did_you_mean, quarantine_schema, schema_of, table_schema, type_name,
    watermark_schema,
};
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult};
use datafusion::config::Dialect;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of a model once it is planned.
#[derive(Clone, Debug)]
pub struct PlannedModel {
    /// Its columns as they are stored: the query's output, by position, is cast to them. A column is not nullable only
    /// when it is declared NOT NULL; the query's output may still hold NULL there, which the writer must check.
    pub schema: SchemaRef,
    /// Its query's text as the engine reads it, without `STREAM`; of a change feed, what it stands for.
    pub query: String,
    /// How a change feed is gone on from, where its rows show how far they have come.
    pub continuation: Option<Continuation>,
    /// What its columns, in their order, and its rows come of.
    pub lineage: Arc<Lineage>,
    /// By which its columns, in their order, and its rows are known to be computed as they were.
    pub derivation: Arc<Derivation>,
}

/// The columns of tables that others write, as far as they are known.
pub type ForeignColumns = BTreeMap<TableName, SchemaRef>;

/// What came of planning each model.
#[derive(Debug, Default)]
pub struct Plans {
    /// Models that stand.
    pub planned: BTreeMap<TableName, PlannedModel>,
    /// Models with errors, inputs first.
    pub errors: Vec<(TableName, Vec<Error>)>,
    /// Models without errors of their own that read one with errors, or a table of others that is not known: what they
    /// read.
    pub unread: BTreeMap<TableName, TableName>,
}

/// Plans all models in dependency order over empty tables. All errors are reported together, in that order.
pub async fn plan(
    project: &Project,
    foreign: &ForeignColumns,
    engine: &Engine,
) -> Result<BTreeMap<TableName, PlannedModel>, Vec<Error>> {
    let plans = plan_each(project, foreign, engine).await;
    if plans.errors.is_empty() {
        Ok(plans.planned)
    } else {
        Err(plans.errors.into_iter().flat_map(|(_, errors)| errors).collect())
    }
}

/// Plans all models in dependency order over empty tables.
pub async fn plan_each(project: &Project, foreign: &ForeignColumns, engine: &Engine) -> Plans {
    let planner = Planner::new(engine);
    for (name, schema) in foreign {
        planner.register(name, Arc::clone(schema));
    }
    for source in project.sources.values() {
        planner.register(&source.name, table_schema(source));
        planner.register(&source.name.quarantine(), quarantine_schema());
        planner.register(&source.name.watermark(), watermark_schema());
    }
    for (table, _) in followers(project) {
        planner.register(&table.watermark(), watermark_schema());
    }
    let mut plans = Plans::default();
    let mut failed: BTreeSet<&TableName> =
        project.foreign.keys().filter(|name| !foreign.contains_key(*name)).collect();
    for model in &project.models {
        let name = model.name();
        let reads_failed = |input: &&TableName| failed.contains(*input) || is_beside(&failed, input);
        let beside = model.beside().filter(|view| failed.contains(view));
        if let Some(input) = beside.or_else(|| model.query().inputs.iter().find(reads_failed)) {
            plans.unread.insert(name.clone(), input.clone());
            failed.insert(name);
            continue;
        }
        // Boxed: a planning future is large.
        match Box::pin(planner.model(model, project)).await {
            Ok(plan) => {
                planner.register(name, Arc::clone(&plan.schema));
                if !matches!(model, Model::View(_)) {
                    planner.register(&name.quarantine(), quarantine_schema());
                }
                plans.planned.insert(name.clone(), plan);
            }
            Err(found) => {
                failed.insert(name);
                plans.errors.push((name.clone(), found));
            }
        }
    }
    for model in &project.models {
        let found = incomparable_keys(model, project, &plans.planned);
        if !found.is_empty() {
            plans.planned.remove(model.name());
            plans.errors.push((model.name().clone(), found));
        }
    }
    for (name, found) in leaks(project, &plans.planned) {
        plans.planned.remove(&name);
        plans.errors.push((name, found));
    }
    // Last, since an audit may read what comes after its model.
    for model in &project.models {
        let audits = project.audits.get(model.name()).filter(|_| plans.planned.contains_key(model.name()));
        for audit in audits.into_iter().flatten() {
            let inputs = audit.inputs.iter();
            let unknown = inputs.filter(|input| failed.contains(input) || is_beside(&failed, input)).count();
            if unknown > 0 {
                continue;
            }
            let found = Box::pin(planner.audit(audit)).await;
            if let Err(found) = found {
                plans.planned.remove(model.name());
                plans.errors.push((model.name().clone(), found));
            }
        }
    }
    for model in &project.models {
        let Some(plan) = plans.planned.get(model.name()) else { continue };
        let schema = Arc::clone(&plan.schema);
        for test in project.unit_tests.get(model.name()).into_iter().flatten() {
            let found = Box::pin(planner.unit_test(test, model, &schema)).await;
            if !found.is_empty() {
                plans.errors.push((model.name().clone(), found));
            }
        }
    }
    plans.errors.extend(Box::pin(planner.access(project)).await);
    plans
}

/// True when a table stands beside one of these.
fn is_beside(tables: &BTreeSet<&TableName>, name: &TableName) -> bool {
    tables.iter().any(|table| table.quarantine() == *name)
}

/// The columns of one more view, over the relations of a cut.
pub async fn plan_beside(
    definition: Arc<MaterializedViewDefinition>,
    cut: &Cut,
    engine: &Engine,
) -> Result<SchemaRef, Vec<Error>> {
    let planner = Planner::new(engine);
    for (name, table) in &cut.tables {
        planner.register(name, Arc::clone(&table.relation.schema));
    }
    let planned = Box::pin(planner.model(&Model::MaterializedView(definition), &Project::default())).await;
    planned.map(|planned| planned.schema)
}

mod access;
mod alerts;
mod unit_tests;

pub use alerts::{SystemColumns, alert_errors};
pub use unit_tests::plan_unit_test;

/// What a query gives.
struct Output {
    schema: SchemaRef,
    plan: LogicalPlan,
}

struct Planner {
    catalog: Arc<MemoryCatalogProvider>,
    state: SessionState,
}

impl Planner {
    fn new(engine: &Engine) -> Self {
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let session = engine.session(Arc::clone(&catalog) as Arc<dyn CatalogProvider>);
        debug_assert!(session.catalog(DATABASE).is_some());
        let mut state = session.state();
        state.config_mut().options_mut().sql_parser.collect_spans = true;
        Self { catalog, state }
    }

    fn register(&self, name: &TableName, schema: SchemaRef) {
        let tables = self.catalog.schema(&name.schema).unwrap_or_else(|| {
            let tables: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            // An in-memory catalog takes every schema.
            let _ = self.catalog.register_schema(&name.schema, Arc::clone(&tables));
            tables
        });
        let _ = tables.register_table(name.name.clone(), Arc::new(EmptyTable::new(schema)));
    }

    /// The model's columns and query.
    async fn model(&self, model: &Model, project: &Project) -> Result<PlannedModel, Vec<Error>> {
        let place = Place::of(model);
        let windowed = match &model.query().watermark_of {
            Some(table) => self.columns_of(table).await.map_err(|error| errors_of(&error, &place))?,
            None => None,
        };
        if let Some(Unmarked { message, hint }) = unmarked(model, windowed.as_deref(), project) {
            let clause = ["EMIT", "LATE"].into_iter().find_map(|word| place.of_word(word));
            let origin = clause.unwrap_or_else(|| place.statement());
            return Err(vec![Error::new("42P16", origin, message).with_hint(hint)]);
        }
        let (query, output, continuation) = match model.auto_cdc() {
            Some(flow) => self.change_feed(flow, model.name(), &place).await?,
            None => {
                let query = &model.query().ast;
                let statement = SqlStatement::Query(Box::new(Query::clone(query)));
                let statement = Statement::Statement(Box::new(statement));
                let output = self.query(statement).await.map_err(|error| errors_of(&error, &place))?;
                (query.to_string(), output, None)
            }
        };
        let Output { schema: output, plan } = output;
        named_columns(&output, &place)?;
        let output = storable(&output).map_err(|error| {
            let origin = place.of_word(&error.column).unwrap_or_else(|| place.query());
            vec![Error::new("42804", origin, error.to_string()).with_hint(error.hint)]
        })?;
        let (columns, names, expectations, partitions) = match model {
            Model::StreamingTable(d) => {
                (&d.columns, &d.column_names, d.expectations.as_slice(), d.partitioned_by.as_slice())
            }
            Model::MaterializedView(d) => {
                (&d.columns, &d.column_names, d.expectations.as_slice(), d.partitioned_by.as_slice())
            }
            Model::View(d) => (&None, &d.column_names, [].as_slice(), [].as_slice()),
        };
        let schema = declared(&output, columns.as_deref(), names.as_deref(), &place)?;

        let mut errors = vec![];
        for expectation in expectations {
            errors.extend(self.expectation(expectation, &schema, &place).err().into_iter().flatten());
        }
        errors.extend(partition_errors(&schema, partitions, &place));
        let key = model.primary_key().iter();
        errors.extend(key.filter_map(|column| missing(&schema, column, "PRIMARY KEY's", &place)));
        for key in model.foreign_keys() {
            let missing = |column: &String| missing(&schema, column, "FOREIGN KEY's", &place);
            let found = key.columns.iter().filter_map(missing);
            errors.extend(found.map(|error| Error { origin: key.origin.clone(), ..error }));
        }
        let commented = project.column_comments.keys().filter(|(table, _)| table == model.name());
        errors.extend(commented.filter_map(|(_, column)| missing(&schema, column, "comment's", &place)));
        // In columns of other names or types than the changes have, what stands is no change.
        let is_like_changes = |stored: &Field, change: &Field| {
            stored.name() == change.name() && stored.data_type() == change.data_type()
        };
        let mut columns = schema.fields().iter().zip(output.fields());
        let continuation =
            continuation.filter(|_| columns.all(|(stored, change)| is_like_changes(stored, change)));
        if errors.is_empty() {
            let (lineage, derivation) = (Arc::new(Lineage::of(&plan)), Arc::new(Derivation::of(&plan)));
            Ok(PlannedModel { schema, query, continuation, lineage, derivation })
        } else {
            Err(errors)
        }
    }

    /// The columns of a table, if it is known.
    async fn columns_of(&self, table: &TableName) -> PlanResult<Option<SchemaRef>> {
        let Some(tables) = self.catalog.schema(&table.schema) else { return Ok(None) };
        Ok(tables.table(&table.name).await?.map(|table| table.schema()))
    }

    /// The query that a change feed stands for, its columns, and how it is gone on from.
    async fn change_feed(
        &self,
        flow: &AutoCdc,
        table: &TableName,
        place: &Place<'_>,
    ) -> Result<(String, Output, Option<Continuation>), Vec<Error>> {
        let place = place.with_default(flow.origin.clone());
        let unplanned = |error| errors_of(&error, &place);
        let input = self.columns_of(&flow.input).await.map_err(unplanned)?;
        let input = input.unwrap_or_else(|| Arc::new(Schema::empty()));
        if let Some(delete) = &flow.delete_when {
            let place = place.with_default(delete.origin.clone());
            let found = self.condition(&delete.text, &input);
            found.map_err(|error| prefixed(errors_of(&error, &place), "APPLY AS DELETE WHEN"))?;
        }
        let query = defining_query(flow, &input)?;
        let statement = self.state.sql_to_statement(&query, &Dialect::PostgreSQL).map_err(unplanned)?;
        let output = self.query(statement).await.map_err(unplanned)?;
        Ok((query, output, continuation(flow, &input, table)))
    }

    /// The columns that a query gives. It is planned down to operators, since some mistakes show only there.
    async fn query(&self, statement: Statement) -> PlanResult<Output> {
        let plan = engine::plan(&self.state, statement).await?;
        refuse_volatile(&plan)?;
        let computed = engine::computed(plan.clone(), &self.state)?;
        let physical = self.state.create_physical_plan(&computed).await?;
        // Names are the logical plan's: operators below may have shortened theirs.
        let logical = plan.schema().fields().iter();
        let fields = logical.zip(physical.schema().fields().iter().cloned().collect::<Vec<_>>());
        let fields = fields.map(|(named, typed)| Field::new(named.name(), typed.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Output { schema, plan })
    }

    /// An audit's query is one that could be asked.
    async fn audit(&self, audit: &AuditDefinition) -> Result<(), Vec<Error>> {
        let query = Box::new(Query::clone(&audit.query));
        let statement = Statement::Statement(Box::new(SqlStatement::Query(query)));
        self.query(statement).await.map(|_| ()).map_err(|error| audit_errors(&error, audit))
    }

    /// An expectation is a condition over one row of the model.
    fn expectation(
        &self,
        expectation: &Expectation,
        schema: &Schema,
        place: &Place<'_>,
    ) -> Result<(), Vec<Error>> {
        let place = place.with_default(expectation.origin.clone());
        self.condition(&expectation.predicate, schema).map_err(|error| {
            prefixed(errors_of(&error, &place), &format!("expectation \"{}\"", expectation.name))
        })
    }

    /// A condition over one row of these columns.
    fn condition(&self, text: &str, schema: &Schema) -> PlanResult<()> {
        let schema = Arc::new(DFSchema::try_from(schema.clone())?);
        let predicate = engine::expression(&self.state, text, &schema)?;
        let row = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
        let plan = LogicalPlanBuilder::from(row).filter(predicate)?.build()?;
        refuse_volatile(&plan)?;
        refuse_aggregates(&plan)?;
        self.state.optimize(&plan).map(|_| ())
    }
}

/// Errors that say what they are about.
fn prefixed(mut errors: Vec<Error>, what: &str) -> Vec<Error> {
    for error in &mut errors {
        error.message = format!("{what}: {}", error.message);
    }
    errors
}

/// Refuses functions that give another value each time: a model must be the same however often it is computed. The
/// wave's one time (`now()`, `current_date`) is not such a function.
fn refuse_volatile(plan: &LogicalPlan) -> PlanResult<()> {
    each_expression(plan, &mut |expr| match expr {
        Expr::ScalarFunction(call) if expr.is_volatile_node() => Err(DataFusionError::NotImplemented(
            format!("volatile function {}() gives another value each time a model is computed", call.name()),
        )),
        _ => Ok(()),
    })
}

fn refuse_aggregates(plan: &LogicalPlan) -> PlanResult<()> {
    each_expression(plan, &mut |expr| match expr {
        Expr::AggregateFunction(_) | Expr::WindowFunction(_) => Err(DataFusionError::NotImplemented(
            "an aggregate cannot be a condition that looks at one row".to_string(),
        )),
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) => {
            Err(DataFusionError::NotImplemented(
                "a subquery cannot be a condition that looks at one row".to_string(),
            ))
        }
        _ => Ok(()),
    })
}

fn each_expression(plan: &LogicalPlan, check: &mut dyn FnMut(&Expr) -> PlanResult<()>) -> PlanResult<()> {
    use datafusion::common::tree_node::TreeNode as _;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| expr.apply(|expr| check(expr).map(|()| TreeNodeRecursion::Continue)))
    })
    .map(|_| ())
}

/// Every output column has a name that a table's column can have, and no two have the same.
fn named_columns(schema: &Schema, place: &Place<'_>) -> Result<(), Vec<Error>> {
    // What Delta refuses, and what DataFusion's own names of fields and elements hold.
    let forbidden = |c: char| c.is_control() || " ,;{}()=[]\"".contains(c);
    let mut errors = vec![];
    for (at, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        let before = &schema.fields()[..at];
        if name.contains(forbidden) || name.is_empty() {
            errors.push(
                Error::new(
                    "42602",
                    place.query(),
                    format!("output column {} has no name but \"{name}\"", at + 1),
                )
                .with_hint("Give it one: expression AS name."),
            );
        } else if before.iter().any(|other| other.name().eq_ignore_ascii_case(name)) {
            errors.push(
                Error::new("42701", place.query(), format!("the query gives two columns \"{name}\""))
                    .with_hint("Name one of them anew: expression AS name."),
            );
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The query's columns as the column list declares them.
fn declared(
    output: &Schema,
    columns: Option<&[ColumnDefinition]>,
    names: Option<&[String]>,
    place: &Place<'_>,
) -> Result<SchemaRef, Vec<Error>> {
    if let Some(names) = names {
        check_names(output, &names.iter().map(String::as_str).collect::<Vec<_>>(), place)?;
    }
    let Some(columns) = columns else { return Ok(Arc::new(output.clone())) };
    check_names(output, &columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), place)?;
    let mut errors = vec![];
    for (column, field) in columns.iter().zip(output.fields()) {
        if !can_cast_types(field.data_type(), &column.data_type) {
            let message = format!(
                "column \"{}\" is declared {} and the query gives {}",
                column.name,
                type_name(&column.data_type),
                type_name(field.data_type())
            );
            let origin = place.of_word(&column.name).unwrap_or_else(|| place.statement());
            errors.push(
                Error::new("42804", origin, message)
                    .with_hint("Convert it in the query, or declare the type that the query gives."),
            );
        }
    }
    if errors.is_empty() { Ok(schema_of(columns)) } else { Err(errors) }
}

fn check_names(output: &Schema, names: &[&str], place: &Place<'_>) -> Result<(), Vec<Error>> {
    let given: Vec<&str> = output.fields().iter().map(|f| f.name().as_str()).collect();
    if given.len() != names.len() {
        let message =
            format!("the column list has {} columns and the query gives {}", names.len(), given.len());
        let not_given: Vec<&str> = names.iter().filter(|n| !given.contains(n)).copied().collect();
        let not_declared: Vec<&str> = given.iter().filter(|n| !names.contains(n)).copied().collect();
        let mut hints = vec![];
        if !not_given.is_empty() {
            hints.push(format!("The query does not give {}.", not_given.join(", ")));
        }
        if !not_declared.is_empty() {
            hints.push(format!("The list does not declare {}.", not_declared.join(", ")));
        }
        let hint = (!hints.is_empty()).then(|| hints.join(" "));
        return Err(vec![Error::new("42611", place.statement(), message).with_hint_if(hint)]);
    }
    let mut errors = vec![];
    for (at, (declared, given)) in names.iter().zip(&given).enumerate() {
        if declared != given {
            let message =
                format!("column {} is declared \"{declared}\" and the query gives \"{given}\"", at + 1);
            let origin = place.of_word(given).unwrap_or_else(|| place.statement());
            errors.push(Error::new("42611", origin, message).with_hint(format!(
                "Name it in the query, as in {given} AS {declared}, or put the list into the query's order."
            )));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn missing(schema: &Schema, column: &str, whose: &str, place: &Place<'_>) -> Option<Error> {
    if schema.field_with_name(column).is_ok() {
        return None;
    }
    let names = schema.fields().iter().map(|f| f.name().as_str());
    let message = format!("the {whose} column \"{column}\" does not exist");
    Some(Error::new("42703", place.statement(), message).with_hint_if(hint_did_you_mean(column, names)))
}

/// Partition values stand in folder names: they must exist, have a short text, and leave something to store.
fn partition_errors(schema: &Schema, partitions: &[String], place: &Place<'_>) -> Vec<Error> {
    let mut errors = vec![];
    for column in partitions {
        match schema.field_with_name(column) {
            Err(_) => errors.extend(missing(schema, column, "PARTITIONED BY's", place)),
            Ok(field) if field.data_type().is_nested() || matches!(field.data_type(), DataType::Binary) => {
                let message =
                    format!("\"{column}\" of type {} cannot partition a table", type_name(field.data_type()));
                errors.push(
                    Error::new("42804", place.statement(), message)
                        .with_hint("Partition by a date or a text."),
                );
            }
            Ok(_) => {}
        }
    }
    if errors.is_empty() && !partitions.is_empty() && partitions.len() == schema.fields().len() {
        errors.push(Error::new(
            "42P16",
            place.statement(),
            "a table cannot consist of partition columns alone",
        ));
    }
    errors
}

#[cfg(test)]
mod tests;
