//! DataFusion: sessions over a cut, memory and spill, functions.
//!
//! Comes in: a [`Cut`] (or any set of tables) and settings. Goes out: a `SessionContext` that resolves names against
//! exactly that cut. One runtime serves the whole process, so that memory limits and file caches are shared.

mod alone;
mod coerced;
mod constants;
mod contented;
mod copies;
mod correlated;
mod distincts;
mod filters;
#[cfg(test)]
mod fixture;
mod floats;
mod forgetting;
pub mod functions;
mod joined_columns;
mod kept;
mod microseconds;
mod namesakes;
mod not_in;
mod orders;
mod pauses;
mod planner;
mod sane;
mod spans;
mod split;
mod tables;
mod unnested;
mod untyped;
mod whole;
mod zeros;

pub use alone::{ALONE_ROWS, alone, is_small};
pub use coerced::is_comparison;
pub use constants::with_constants;
pub use correlated::Unnesting;
pub use filters::PushDown;
pub use kept::{KeptPlans, is_lasting};
pub use split::{is_row_by_row, parts};
pub use tables::{CutCatalog, FixedSchema};
pub use untyped::{make_alike, read};
pub use whole::with_whole_partitions;

use crate::catalog::cut::Cut;
use crate::ops::opaque::Opaque;
use arrow::array::RecordBatch;
use chrono::{DateTime, SubsecRound as _, Utc};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProviderList};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::execution::context::SessionState;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The database every reader connects to, and the catalog every name is resolved in.
pub const DATABASE: &str = "sluice";

/// How many memory consumers an out-of-memory message names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// The process's query engine.
#[derive(Clone, Debug)]
pub struct Engine {
    /// What every session starts from: settings, functions, rules, the shared runtime; no tables.
    template: Opaque<SessionState>,
}

impl Engine {
    /// An engine whose queries together hold at most `memory_bytes_max` before they spill or fail with 53200.
    pub fn new(memory_bytes_max: usize, target_partitions: usize) -> Result<Self> {
        let pool = TrackConsumersPool::new(FairSpillPool::new(memory_bytes_max), CONSUMERS_NAMED);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc()?;
        let state = SessionStateBuilder::new_with_default_features()
            .with_config(config(target_partitions))
            .with_runtime_env(runtime)
            .with_optimizer_rules(filters::rules())
            .with_physical_optimizer_rules(physical_rules())
            .with_query_planner(Arc::new(planner::Planner))
            .build();
        let context = SessionContext::new_with_state(state);
        functions::register(&context);
        for function in untyped::functions() {
            context.register_udf(function);
        }
        Ok(Self { template: Opaque::new(context.state()) })
    }

    /// A session whose names resolve in `catalog`.
    pub fn session(&self, catalog: Arc<dyn CatalogProvider>) -> SessionContext {
        let mut state = SessionState::clone(&self.template);
        // The clone shares the template's list: a session needs one of its own.
        state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
        let context = SessionContext::new_with_state(state);
        context.register_catalog(DATABASE, catalog);
        context
    }

    /// The planner's state over one cut, with `now()` fixed: a refresh has one time, whenever its parts run.
    pub fn state_at(&self, cut: &Arc<Cut>, now: DateTime<Utc>) -> Opaque<SessionState> {
        let mut state = self.context_over(cut).state();
        state.mark_start_execution();
        // What is recorded of it, and compared with later, has microseconds.
        state.execution_props_mut().query_execution_start_time = Some(now.trunc_subsecs(6));
        Opaque::new(state)
    }

    /// Plans a query over one cut.
    pub fn plan_over(&self, cut: &Arc<Cut>, sql: &str) -> BoxFuture<'static, Result<Opaque<LogicalPlan>>> {
        let (context, sql) = (self.context_over(cut), sql.to_string());
        async move { plan_sql(&context.state(), &sql).await.map(Opaque::new) }.boxed()
    }

    /// Runs a query over one cut and collects its rows: for small results only.
    pub fn collect_over(&self, cut: &Arc<Cut>, sql: &str) -> BoxFuture<'static, Result<Vec<RecordBatch>>> {
        let (context, sql) = (self.context_over(cut), sql.to_string());
        async move {
            let plan = plan_sql(&context.state(), &sql).await?;
            context.execute_logical_plan(plan).await?.collect().await
        }
        .boxed()
    }

    fn context_over(&self, cut: &Arc<Cut>) -> SessionContext {
        self.session(Arc::new(CutCatalog::new(Arc::clone(cut), self.clone())))
    }
}

/// DataFusion's rules in their order, with ours among them. But for the one that hands filters down to scans, which have
/// got theirs with the logical plan: by bare names, as in [`planner`], `WHERE a.x IS NULL` above `b LEFT JOIN a` would
/// pass over files of `b` that have an `x`, too.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::default().rules;
    rules.retain(|rule| rule.name() != "FilterPushdown");
    let sorted = rules.iter().position(|rule| rule.name() == "EnsureRequirements");
    if let Some(rule) = sorted.and_then(|place| rules.get_mut(place)) {
        let mend = Arc::clone(rule);
        *rule = Arc::new(contented::Contented(Arc::clone(&mend)));
        for rule in rules.iter_mut().filter(|rule| rule.name() == "SanityCheckPlan") {
            *rule = Arc::new(sane::Sane { check: Arc::clone(rule), mend: Arc::clone(&mend) });
        }
    }
    rules.insert(sorted.unwrap_or(0), Arc::new(forgetting::Forgetting));
    rules.push(Arc::new(pauses::Pauses));
    rules
}

/// The settings that every session starts from.
fn config(target_partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(DATABASE, "public");
    let options = config.options_mut();
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    // As in PostgreSQL, 1.5 is a numeric, not a float.
    options.sql_parser.parse_float_as_decimal = true;
    // Plans may know a column as NOT NULL that their operators only know as nullable (coalesce over a CASE): harmless
    // below an aggregate, and otherwise an internal error.
    options.execution.skip_physical_aggregate_schema_check = true;
    // DataFusion 55 lets one minimum's rows stand for another's that has found none yet: `min(a), min(b) FILTER (...)`.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}

/// Plans a statement. Plans are made of SQL here alone.
pub async fn plan(state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
    if let Statement::Statement(statement) = &statement {
        joined_columns::refuse_natural(statement)?;
    }
    let mut planned = state.statement_to_plan(statement.clone()).await;
    let are_namesakes = match &planned {
        Ok(plan) => namesakes::are_grouped_by(plan)?,
        Err(error) => namesakes::is_about_names(error),
    };
    if are_namesakes && let Some(statement) = told_apart(state, statement) {
        // If that does not help, the error is about the text as it was written.
        planned = state.statement_to_plan(statement).await.or(planned);
    }
    let planned = joined_columns::compared(copies::counted(planned?)?)?;
    coerced::coerced(orders::named_once(planned)?, state)
}

fn told_apart(state: &SessionState, statement: Statement) -> Option<Statement> {
    let Statement::Statement(mut statement) = statement else { return None };
    let ast::Statement::Query(query) = statement.as_mut() else { return None };
    namesakes::tell_apart(query, |name| state.aggregate_functions().contains_key(name));
    Some(Statement::Statement(statement))
}

/// An expression over such columns, of its text.
pub fn expression(state: &SessionState, text: &str, schema: &DFSchema) -> Result<Expr> {
    coerced::coerced_expr(state.create_logical_expr(text, schema)?, schema, state)
}

/// A plan of a model's statement as it is computed: subqueries that the engine does not make joins of are such.
pub fn computed(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    correlated::joined_as_needed(plan, state)
}

async fn plan_sql(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let dialect = state.config_options().sql_parser.dialect;
    computed(plan(state, state.sql_to_statement(sql, &dialect)?).await?, state)
}

/// Plans a query's text, down to what can be executed.
pub fn plan_text<'a>(
    state: &'a Opaque<SessionState>,
    sql: &'a str,
) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
    async move {
        let plan = plan_sql(state, sql).await?;
        state.create_physical_plan(&plan).await
    }
    .boxed()
}

/// Plans a query's text.
pub fn logical_plan<'a>(
    state: &'a Opaque<SessionState>,
    sql: &'a str,
) -> BoxFuture<'a, Result<Opaque<LogicalPlan>>> {
    async move { plan_sql(state, sql).await.map(Opaque::new) }.boxed()
}

/// What can be executed of a plan.
pub fn physical_plan<'a>(
    state: &'a Opaque<SessionState>,
    plan: &'a Opaque<LogicalPlan>,
) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
    async move { state.create_physical_plan(plan).await }.boxed()
}

/// What can be executed of a plan that is optimized already.
pub fn laid_out<'a>(
    state: &'a Opaque<SessionState>,
    plan: &'a Opaque<LogicalPlan>,
) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
    async move { state.query_planner().create_physical_plan(plan, &**state).await }.boxed()
}

/// What can be executed of a plan, with partitions that share as little as may be, and what to execute them in: files are
/// read by the partition that they were dealt to, and no rows are dealt anew just to have more partitions.
pub fn physical_plan_in_parts<'a>(
    state: &'a Opaque<SessionState>,
    plan: &'a Opaque<LogicalPlan>,
    is_optimized: bool,
) -> BoxFuture<'a, Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)>> {
    async move {
        let mut state = SessionState::clone(state);
        let options = state.config_mut().options_mut();
        options.optimizer.enable_round_robin_repartition = false;
        options.execution.enable_file_stream_work_stealing = false;
        let state = Opaque::new(state);
        let physical = match is_optimized {
            true => laid_out(&state, plan).await?,
            false => physical_plan(&state, plan).await?,
        };
        Ok((physical, state.task_ctx()))
    }
    .boxed()
}
