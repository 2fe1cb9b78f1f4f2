//! The warehouse that ships with the project, against the truth that a seed plants.
//!
//! Everything is real but the lake: the project's own files are parsed, its sources generate and decode, its models run
//! on the engine, their rules are applied. Two seeds, so that nothing is fitted to one data set.

use super::{DatagenSource, Generator, shopsmart_truth};
use crate::catalog::plan::plan;
use crate::catalog::project::{Model, Project};
use crate::engine::{DATABASE, Engine};
use crate::ingest::{Outlet, Reporter, Resume, Source as _, row_schema};
use crate::lake::TableName;
use crate::sql::{ColumnDefinition, Expectation, OptionValue, SourceDefinition, ViolationAction, schema_of};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Records taken from live streams.
const LIVE_ROWS: u64 = 700;

struct Silent;

impl Reporter for Silent {
    fn trouble(&self, message: &str) {
        panic!("a generator has no trouble: {message}");
    }
    fn healthy(&self) {}
    fn lag_records(&self, _records: i64) {}
}

/// All that a source sends from `resume` to its end.
async fn generate(definition: &SourceDefinition, resume: Resume) -> Vec<RecordBatch> {
    let source = Box::new(DatagenSource::new(definition).unwrap());
    let mut next = resume.positions.get("0").copied().unwrap_or(0);
    let (batches, mut received) = mpsc::channel(4);
    let outlet = Outlet { batches, reporter: Arc::new(Silent), stop: CancellationToken::new() };
    let running = tokio::spawn(source.run(resume, outlet));
    let mut rows = vec![];
    while let Some(batch) = received.recv().await {
        assert!(batch.rejected.is_empty(), "{}: {:?}", definition.name, batch.rejected.first());
        assert_eq!(batch.positions[0].next, next + batch.rows.num_rows() as i64);
        next = batch.positions[0].next;
        rows.push(batch.rows);
    }
    running.await.unwrap().unwrap();
    rows
}

fn shipped_project() -> Project {
    Project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    })
}

fn with_seed(definition: &SourceDefinition, seed: u64) -> SourceDefinition {
    let mut definition = definition.clone();
    let mut set = |key: &str, value: u64| {
        definition.options.insert(key.to_string(), OptionValue::Text(value.to_string()));
    };
    set("seed", seed);
    set("rows_per_second", 0);
    set("rows", LIVE_ROWS);
    let name = format!("shopsmart.{}", definition.name.name);
    if Generator::named(&name).is_some_and(|generator| !generator.is_live()) {
        definition.options.remove("rows");
    }
    definition
}

#[tokio::test]
async fn the_shipped_project_plans() {
    let project = shipped_project();
    let engine = Engine::new(1 << 30, 2).unwrap();
    let planned = plan(&project, &Default::default(), &engine).await.unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    });
    assert_eq!(planned.len(), project.models.len());
}

/// The whole warehouse in memory.
struct Warehouse {
    context: SessionContext,
    catalog: Arc<MemoryCatalogProvider>,
    /// Rows that broke each rule, by model and rule.
    violations: BTreeMap<(String, String), i64>,
}

impl Warehouse {
    async fn build(project: &Project, seed: u64) -> Self {
        let engine = Engine::new(1 << 30, 2).unwrap();
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let context = engine.session(Arc::clone(&catalog) as Arc<dyn CatalogProvider>);
        let mut warehouse = Self { context, catalog, violations: BTreeMap::new() };
        for definition in project.sources.values() {
            let rows = generate(&with_seed(definition, seed), Resume::default()).await;
            warehouse.put(&definition.name, row_schema(definition), rows);
        }
        let planned =
            plan(project, &Default::default(), &engine).await.unwrap_or_else(|errors| panic!("{errors:?}"));
        for model in &project.models {
            warehouse.refresh(model, &planned[model.name()].query).await;
            warehouse.check_comments(project, model.name()).await;
        }
        warehouse
    }

    fn put(&self, name: &TableName, schema: SchemaRef, rows: Vec<RecordBatch>) {
        if self.catalog.schema(&name.schema).is_none() {
            self.catalog.register_schema(&name.schema, Arc::new(MemorySchemaProvider::new())).unwrap();
        }
        let schema_provider = self.catalog.schema(&name.schema).unwrap();
        let table = MemTable::try_new(schema, vec![rows]).unwrap();
        schema_provider.register_table(name.name.clone(), Arc::new(table)).unwrap();
    }

    async fn refresh(&mut self, model: &Model, query: &str) {
        let name = model.name();
        let plan = self.context.state().create_logical_plan(query).await;
        let plan = plan.unwrap_or_else(|error| panic!("{name}: {error}"));
        let result = self.context.execute_logical_plan(plan).await.unwrap();
        let schema: SchemaRef = Arc::new(result.schema().as_arrow().clone());
        let rows = result.collect().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let none = (None, vec![], vec![]);
        let (columns, rules, key) = match model {
            Model::StreamingTable(d) => (d.columns.clone(), d.expectations.clone(), d.primary_key.clone()),
            Model::MaterializedView(d) => (d.columns.clone(), d.expectations.clone(), d.primary_key.clone()),
            Model::View(_) => none,
        };
        let Some(columns) = columns else { return self.put(name, schema, rows) };
        let rows = declared(name, &columns, &rows);
        let nullable: Vec<_> =
            columns.iter().map(|c| ColumnDefinition { nullable: true, ..c.clone() }).collect();
        self.put(name, schema_of(&nullable), rows);
        let kept = self.keep(name, &rules).await;
        // What is declared NOT NULL is not null once the rules have done their work.
        let kept = kept.iter().map(|batch| {
            RecordBatch::try_new(schema_of(&columns), batch.columns().to_vec())
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        let kept = kept.collect();
        self.put(name, schema_of(&columns), kept);
        if !key.is_empty() {
            let key = key.join(", ");
            let twice =
                format!("SELECT count(*) FROM (SELECT {key} FROM {name} GROUP BY {key} HAVING count(*) > 1)");
            assert_eq!(self.count(&twice).await, 0, "{name}: primary key ({key}) is not unique");
        }
    }

    /// Counts what breaks each rule; the rows that stay.
    async fn keep(&mut self, name: &TableName, rules: &[Expectation]) -> Vec<RecordBatch> {
        let mut conditions = vec!["true".to_string()];
        for rule in rules {
            let broken = format!("SELECT count(*) FROM {name} WHERE ({}) IS NOT TRUE", rule.predicate);
            let broken = self.count(&broken).await;
            self.violations.insert((name.to_string(), rule.name.clone()), broken);
            if rule.action != ViolationAction::Warn {
                conditions.push(format!("({}) IS TRUE", rule.predicate));
            }
        }
        let kept = format!("SELECT * FROM {name} WHERE {}", conditions.join(" AND "));
        let kept = self.context.sql(&kept).await.unwrap().collect().await.unwrap();
        let schema = self.catalog.schema(&name.schema).unwrap();
        schema.deregister_table(&name.name).unwrap();
        kept
    }

    async fn check_comments(&self, project: &Project, name: &TableName) {
        assert!(project.comments.contains_key(name), "{name} has no comment");
        let table = self.context.table(format!("{DATABASE}.{name}")).await.unwrap();
        for (_, column) in project.column_comments.keys().filter(|(table, _)| table == name) {
            assert!(table.schema().has_column_with_unqualified_name(column), "{name} has no column {column}");
        }
    }

    async fn count(&self, sql: &str) -> i64 {
        let batches = self.context.sql(sql).await.unwrap().collect().await.unwrap();
        let values = cast(batches[0].column(0), &arrow::datatypes::DataType::Int64).unwrap();
        values.as_primitive::<Int64Type>().value(0)
    }

    async fn text(&self, sql: &str) -> String {
        let batches = self.context.sql(sql).await.unwrap().collect().await.unwrap();
        let values = cast(batches[0].column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        values.as_string::<i32>().value(0).to_string()
    }

    fn broken(&self, model: &str, rule: &str) -> i64 {
        self.violations[&(model.to_string(), rule.to_string())]
    }
}

/// A query's output as the declared columns, which it must have in this order.
fn declared(name: &TableName, columns: &[ColumnDefinition], rows: &[RecordBatch]) -> Vec<RecordBatch> {
    let nullable: Vec<_> = columns.iter().map(|c| ColumnDefinition { nullable: true, ..c.clone() }).collect();
    rows.iter()
        .map(|batch| {
            let names: Vec<&str> = batch.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
            assert_eq!(names, columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), "{name}");
            let arrays = batch.columns().iter().zip(columns).map(|(array, column)| {
                let is = cast(array, &column.data_type).unwrap();
                assert_eq!(is.null_count(), array.null_count(), "{name}.{} loses values", column.name);
                is
            });
            RecordBatch::try_new(schema_of(&nullable), arrays.collect()).unwrap()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_find_what_was_planted() {
    let project = shipped_project();
    for seed in [42, 7] {
        let truth = shopsmart_truth(seed);
        let warehouse = Warehouse::build(&project, seed).await;
        let expected = [
            ("silver.orders", truth.orders.good),
            ("silver.order_items", truth.order_items),
            ("silver.customers", truth.customers.rows),
            ("silver.customers WHERE email_missing", truth.customers.missing_email),
            ("silver.customers WHERE email_hash IS NULL", truth.customers.missing_email),
            ("silver.products", truth.products),
            ("silver.inventory", truth.inventory.rows),
            ("silver.inventory WHERE stock_corrected", truth.inventory.negative),
            ("silver.inventory WHERE quantity_on_hand < 0", 0),
            ("silver.payments", truth.payments.rows),
            ("silver.clickstream", truth.clickstream.events),
            ("silver.streaming_clickstream", LIVE_ROWS as usize),
            ("silver.sales", LIVE_ROWS as usize),
            ("gold.dim_date", 366 + 365 + 365),
            ("gold.dim_customer", truth.customers.rows),
            ("gold.dim_product", truth.products),
            ("gold.fact_sales", truth.fact_sales),
            ("gold.agg_daily_sales", truth.days_with_sales),
            ("gold.sessions", truth.clickstream.sessions),
            ("gold.sessions WHERE event_count = 1", truth.clickstream.events),
            ("gold.ml_customer_rfm", truth.customers.with_orders),
            ("gold.ml_anomaly_detection", truth.payments.rows),
            ("gold.ml_anomaly_detection WHERE is_statistical_anomaly", truth.payments.statistical),
        ];
        for (relation, expected) in expected {
            let found = warehouse.count(&format!("SELECT count(*) FROM {relation}")).await;
            assert_eq!(found, expected as i64, "seed {seed}: {relation}");
        }
        for (segment, expected) in truth.rfm {
            let sql = format!("SELECT customers FROM gold.rfm_segments WHERE segment = '{segment}'");
            assert_eq!(warehouse.count(&sql).await, expected as i64, "seed {seed}: {segment}");
        }
        for (tier, expected) in truth.payments.tiers {
            let sql = format!("SELECT count(*) FROM gold.ml_anomaly_detection WHERE severity = '{tier}'");
            assert_eq!(warehouse.count(&sql).await, expected as i64, "seed {seed}: {tier}");
        }
        assert_eq!(warehouse.broken("silver.orders", "status_known"), truth.orders.quarantined as i64);
        assert_eq!(
            warehouse.broken("silver.customer_changes", "email_given"),
            truth.customers.missing_email as i64
        );
        assert_eq!(
            warehouse.broken("silver.inventory", "stock_not_negative"),
            truth.inventory.negative as i64
        );
        let counted_above = 52 + 53 + 4;
        assert_eq!(warehouse.violations.values().sum::<i64>(), counted_above, "no other rule is broken");
        for total in ["sum(net_amount) FROM gold.fact_sales", "sum(net_amount) FROM gold.agg_daily_sales"] {
            assert_eq!(
                warehouse.text(&format!("SELECT {total}")).await,
                truth.net_sales,
                "seed {seed}: {total}"
            );
        }
        tidied(&warehouse).await;
        consistent(&warehouse).await;
    }
}

/// Whatever people typed, silver has one spelling of it, and no personal data.
async fn tidied(warehouse: &Warehouse) {
    let spellings = [
        ("silver.orders", "order_status", 6),
        ("silver.orders", "channel", 3),
        ("silver.orders", "currency", 1),
        ("silver.payments", "payment_method", 4),
        ("silver.payments", "payment_status", 4),
        ("silver.payments", "payment_type", 2),
        ("silver.customers", "country", 1),
        ("silver.customers", "city", 20),
        ("silver.customers", "first_name", 50),
        ("silver.customers", "last_name", 50),
    ];
    for (table, column, expected) in spellings {
        let sql = format!("SELECT count(DISTINCT {column}) FROM {table}");
        assert_eq!(warehouse.count(&sql).await, expected, "{table}.{column}");
    }
    let leaks = [
        "silver.customers WHERE length(email_hash) <> 64",
        "silver.customers WHERE regexp_replace(phone, '[^0-9]', '', 'g') !~ '^[0-9]{4}$'",
        "bronze.customers b JOIN silver.customers s ON s.customer_id = b.customer_id \
         WHERE s.email_hash <> sha256(lower(trim(b.contact['email'])))",
    ];
    for leak in leaks {
        assert_eq!(warehouse.count(&format!("SELECT count(*) FROM {leak}")).await, 0, "{leak}");
    }
}

/// Tables agree with each other.
async fn consistent(warehouse: &Warehouse) {
    let none = [
        // Orders say what their lines add up to.
        "SELECT count(*) FROM (SELECT o.order_id FROM silver.orders o JOIN silver.order_items i ON i.order_id = o.order_id \
         GROUP BY o.order_id, o.total_amount, o.shipping_amount HAVING sum(i.net_amount) + o.shipping_amount <> o.total_amount)",
        "SELECT count(*) FROM gold.fact_sales f LEFT JOIN gold.dim_date d ON d.date_key = f.date_key WHERE d.date_key IS NULL",
        "SELECT count(*) FROM gold.fact_sales f LEFT JOIN gold.dim_customer c ON c.customer_key = f.customer_key \
         WHERE c.customer_id IS NULL OR c.customer_id <> f.customer_id",
        "SELECT count(*) FROM gold.fact_sales WHERE cost_amount IS NULL OR margin_amount IS NULL",
        "SELECT count(*) FROM silver.payments p LEFT JOIN bronze.orders o ON o.order_id = p.order_id WHERE o.order_id IS NULL",
        // Charges are for what the order costs.
        "SELECT count(*) FROM silver.payments p JOIN silver.orders o ON o.order_id = p.order_id \
         WHERE p.payment_type = 'charge' AND p.amount <> o.total_amount",
        "SELECT count(*) FROM silver.payments p JOIN silver.orders o ON o.order_id = p.order_id WHERE p.paid_at < o.ordered_at",
        "SELECT count(*) FROM silver.customers c JOIN silver.orders o ON o.customer_id = c.customer_id WHERE o.ordered_at < c.created_at",
    ];
    for sql in none {
        assert_eq!(warehouse.count(sql).await, 0, "{sql}");
    }
    let live = warehouse.count("SELECT sum(sale_count) FROM gold.sales_per_minute").await;
    assert_eq!(live, LIVE_ROWS as i64);
}

#[tokio::test]
async fn a_restart_goes_on_with_what_is_missing() {
    let project = shipped_project();
    for definition in project.sources.values() {
        let definition = with_seed(definition, 42);
        let whole = generate(&definition, Resume::default()).await;
        let rows: usize = whole.iter().map(RecordBatch::num_rows).sum();
        let resume = Resume {
            positions: BTreeMap::from([("0".to_string(), 100.min(rows as i64))]),
            ..Resume::default()
        };
        let rest = generate(&definition, resume).await;
        let rest_rows: usize = rest.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rest_rows, rows.saturating_sub(100), "{}", definition.name);
        let at_end = BTreeMap::from([("0".to_string(), rows as i64)]);
        let nothing = generate(&definition, Resume { positions: at_end, ..Resume::default() }).await;
        assert!(nothing.is_empty(), "{}", definition.name);
    }
}
