//! Flight SQL with arrow-flight's own client: statements, parameters, catalogue, logging in, large results.

use crate::support::pg::Pg;
use crate::support::{Server, Warehouse, shared, trial};
use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables, SqlInfo};
use arrow_flight::{FlightInfo, error::FlightError};
use futures::TryStreamExt as _;
use libtest_mimic::Trial;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("flight::answers_what_psql_answers", answers_what_psql_answers),
        trial("flight::parameters", parameters),
        trial("flight::models_are_explained_and_verified", models_are_explained_and_verified),
        trial("flight::definitions_and_rows_by_updates", definitions_and_rows_by_updates),
        trial("flight::catalogue", catalogue),
        trial("flight::wrong_passwords_and_statements", wrong_passwords_and_statements),
        trial("flight::a_large_result_streams", a_large_result_streams),
    ]
}

/// One session, driven from ordinary functions.
pub struct Flight {
    pub runtime: Runtime,
    pub client: FlightSqlServiceClient<Channel>,
}

impl Flight {
    pub fn connect(server: &Server, user: &str, password: &str) -> Result<Self, FlightError> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
        let client = runtime.block_on(async {
            let channel = endpoint.connect().await.unwrap();
            let mut client = FlightSqlServiceClient::new(channel);
            // Basic credentials go in, a bearer token comes out and is sent from here on.
            client.handshake(user, password).await?;
            Ok::<_, FlightError>(client)
        })?;
        Ok(Self { runtime, client })
    }

    pub fn query(&mut self, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
        let (runtime, client) = (&self.runtime, &mut self.client);
        runtime.block_on(async {
            let info = client.execute(sql.to_string(), None).await?;
            collect(client, info).await
        })
    }

    pub fn update(&mut self, sql: &str) -> Result<i64, FlightError> {
        let (runtime, client) = (&self.runtime, &mut self.client);
        runtime.block_on(client.execute_update(sql.to_string(), None))
    }
}

async fn collect(
    client: &mut FlightSqlServiceClient<Channel>,
    info: FlightInfo,
) -> Result<Vec<RecordBatch>, FlightError> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let stream = client.do_get(endpoint.ticket.expect("an endpoint has a ticket")).await?;
        batches.extend(stream.try_collect::<Vec<_>>().await?);
    }
    Ok(batches)
}

/// Rows as `psql -A -t` prints them, for columns whose Arrow text is PostgreSQL's too.
pub fn text(batches: &[RecordBatch]) -> String {
    let options = FormatOptions::default();
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines.join("\n")
}

fn answers_what_psql_answers() {
    let server = shared::server();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let pg: Pg = server.connect();
    for sql in [
        crate::smoke::CUSTOMER_SALES_SQL,
        "SELECT order_date, orders, revenue FROM gold.daily_sales ORDER BY 1",
        "SELECT * FROM gold.open_orders ORDER BY 1",
        "SELECT count(*), sum(amount) FROM silver.orders WHERE status = 'paid'",
        "SELECT source, rows_in FROM sluice.sources ORDER BY 1",
        "SELECT order_id FROM silver.orders WHERE false",
    ] {
        assert_eq!(text(&flight.query(sql).unwrap()), pg.text(sql), "{sql}");
    }
    // What Delta holds is what arrives: types are not squeezed through text.
    let batches = flight.query("SELECT amount, ordered_at, tags FROM silver.orders o JOIN silver.customers c ON o.customer_id = c.customer_id").unwrap();
    let schema = batches[0].schema();
    let types: Vec<String> = schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    assert!(types[0].starts_with("Decimal128(18, 2"), "{types:?}");
    assert!(types[1].starts_with("Timestamp(") && types[1].contains("UTC"), "{types:?}");
    assert!(types[2].starts_with("List("), "{types:?}");
}

fn parameters() {
    let server = shared::server();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let (runtime, client) = (&flight.runtime, &mut flight.client);
    runtime.block_on(async {
        let sql = "SELECT customer_id, orders FROM gold.customer_sales WHERE customer_id >= $1 AND name <> $2 ORDER BY 1";
        let mut prepared = client.prepare(sql.to_string(), None).await.unwrap();
        assert_eq!(prepared.dataset_schema().unwrap().fields().len(), 2);
        for (from, name, expected) in [(11, "Çelik", "11|2\n13|1"), (12, "Ada", "12|1\n13|1"), (14, "", "")] {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("$1", Arc::new(Int64Array::from(vec![from]))),
                ("$2", Arc::new(StringArray::from(vec![name]))),
            ];
            prepared.set_parameters(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
            let info = prepared.execute().await.unwrap();
            assert_eq!(text(&collect(client, info).await.unwrap()), expected, "{from} {name}");
        }
        prepared.close().await.unwrap();
    });
}

fn models_are_explained_and_verified() {
    let server = shared::server();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let explain = "EXPLAIN CREATE MATERIALIZED VIEW gold.x AS SELECT status, count(*) AS n FROM silver.orders GROUP BY status";
    assert_eq!(text(&flight.query(explain).unwrap()), server.query(explain));
    let verified = text(&flight.query("VERIFY MATERIALIZED VIEW gold.daily_sales").unwrap());
    assert!(verified.starts_with("gold.daily_sales|") && verified.ends_with("|2|0|0|equal|"), "{verified}");
    let refused = flight.query("REFRESH TABLE gold.daily_sales").unwrap_err().to_string();
    assert!(refused.contains("REFRESH TABLE gives no rows"), "{refused}");
    assert_eq!(flight.update("REFRESH TABLE gold.daily_sales").unwrap(), 0);
    let refused = flight.update("SET statement_timeout = 1").unwrap_err().to_string();
    assert!(refused.contains("SET is not supported over Flight SQL"), "{refused}");
}

fn definitions_and_rows_by_updates() {
    let warehouse = Warehouse::of("events");
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\nmay_define = true\n");
    let server = warehouse.serve();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let view = "CREATE MATERIALIZED VIEW gold.hot AS SELECT sensor, count(*) AS n FROM bronze.readings WHERE value > 5 GROUP BY 1";
    assert_eq!(flight.update(view).unwrap(), 0);
    assert_eq!(
        flight.update("INSERT INTO bronze.readings VALUES ('a', 9.5), ('b', 1), ('a', 7)").unwrap(),
        3
    );
    server.wait_until("SELECT * FROM gold.hot", "a|2");
    let (runtime, client) = (&flight.runtime, &mut flight.client);
    runtime.block_on(async {
        let insert = "INSERT INTO bronze.readings (sensor, value) VALUES ($1, $2)".to_string();
        let mut prepared = client.prepare(insert, None).await.unwrap();
        assert!(prepared.dataset_schema().unwrap().fields().is_empty());
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("$1", Arc::new(StringArray::from(vec!["c", "c", "d"]))),
            ("$2", Arc::new(Int32Array::from(vec![6, 7, 8]))),
        ];
        prepared.set_parameters(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        assert_eq!(prepared.execute_update().await.unwrap(), 3);
        prepared.close().await.unwrap();
    });
    server.wait_until("SELECT * FROM gold.hot ORDER BY 1", "a|2\nc|2\nd|1");
    let twice = flight.update(view).unwrap_err().to_string();
    assert!(twice.contains("42P07"), "{twice}");
    assert_eq!(flight.update("DROP MATERIALIZED VIEW gold.hot").unwrap(), 0);
    let gone = flight.query("SELECT * FROM gold.hot").unwrap_err().to_string();
    assert!(gone.contains("42P01"), "{gone}");
}

fn catalogue() {
    let server = shared::server();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let (runtime, client) = (&flight.runtime, &mut flight.client);
    runtime.block_on(async {
        let info = client.get_catalogs().await.unwrap();
        assert_eq!(text(&collect(client, info).await.unwrap()), "sluice");

        let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
        let schemas = text(&collect(client, info).await.unwrap());
        for schema in ["bronze", "silver", "gold", "sluice"] {
            assert!(schemas.lines().any(|line| line.ends_with(&format!("|{schema}"))), "{schemas}");
        }

        let request = CommandGetTables {
            db_schema_filter_pattern: Some("gold".to_string()),
            include_schema: true,
            ..CommandGetTables::default()
        };
        let info = client.get_tables(request).await.unwrap();
        let batches = collect(client, info).await.unwrap();
        let names = names_of(&batches, "table_name");
        assert_eq!(names, ["customer_sales", "daily_sales", "open_orders"]);

        let info = client.get_table_types().await.unwrap();
        assert!(!text(&collect(client, info).await.unwrap()).is_empty());
        let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
        let told = format!("{:?}", collect(client, info).await.unwrap());
        assert!(told.to_lowercase().contains("sluice"), "{told}");
    });
}

fn names_of(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let mut names = Vec::new();
    for batch in batches {
        let column = batch.column_by_name(column).unwrap();
        let column = column.as_any().downcast_ref::<StringArray>().unwrap();
        names.extend((0..column.len()).map(|row| column.value(row).to_string()));
    }
    names.sort();
    names
}

fn wrong_passwords_and_statements() {
    let warehouse = Warehouse::of("shop");
    let verifier = crate::readers::VERIFIER;
    warehouse.write("catalog/warehouse.toml", format!("[users.ada]\nverifier = \"{verifier}\"\n"));
    let server = warehouse.serve();
    for (user, password) in [("ada", "niagara"), ("nobody", "wasserfall"), ("sluice", ""), ("ada", "")] {
        let error = Flight::connect(&server, user, password).err().expect("must be refused");
        assert!(format!("{error:?}").contains("28P01"), "{user}: {error:?}");
    }
    let mut flight = Flight::connect(&server, "ada", "wasserfall").unwrap();
    assert_eq!(text(&flight.query("SELECT 1").unwrap()), "1");
    for (sql, word) in [
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM gold.nothing", "gold.nothing"),
        ("DROP TABLE silver.orders", "DROP"),
    ] {
        let error = flight.query(sql).expect_err(sql).to_string();
        assert!(error.contains(word), "{sql}: {error}");
    }
    // Without a token nothing is answered.
    flight.client.clear_token();
    let error = flight.query("SELECT 1").expect_err("no token");
    assert!(format!("{error:?}").to_lowercase().contains("authent"), "{error:?}");
}

fn a_large_result_streams() {
    const ROWS: u64 = 20_000_000;
    let server = shared::server();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let (runtime, client) = (&flight.runtime, &mut flight.client);
    let (rows, sum) = runtime.block_on(async {
        let sql = format!("SELECT value FROM generate_series(1, {ROWS}) AS t(value)");
        let info = client.execute(sql, None).await.unwrap();
        let (mut rows, mut sum) = (0_u64, 0_i64);
        for endpoint in info.endpoint {
            let mut stream = client.do_get(endpoint.ticket.unwrap()).await.unwrap();
            while let Some(batch) = stream.try_next().await.unwrap() {
                rows += batch.num_rows() as u64;
                sum += batch
                    .column(0)
                    .as_any()
                    .downcast_ref::<Int32Array>()
                    .unwrap()
                    .values()
                    .iter()
                    .map(|value| i64::from(*value))
                    .sum::<i64>();
            }
        }
        (rows, sum)
    });
    assert_eq!(rows, ROWS);
    assert_eq!(u64::try_from(sum).unwrap(), ROWS * (ROWS + 1) / 2);
}
