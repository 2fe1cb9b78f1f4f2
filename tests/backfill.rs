//! BACKFILL: a range of time of a streaming table is made anew by the present definition, once, whatever is killed when.

use crate::push::{READINGS, push};
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::fs;
use std::time::{Duration, Instant};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("backfill::a_range_is_made_anew_and_no_more", a_range),
        trial("backfill::a_kill_neither_loses_rows_nor_doubles_them", killed),
        trial("backfill::a_long_slice_holds_up_no_other_table", long_slice),
        trial("backfill::what_cannot_be_backfilled_is_refused", refused),
        trial("backfill::lost_history_is_not_backfilled_unasked", history),
    ]
}

const DAYS: i64 = 8;

/// A sale an hour over some days; each seventh has no amount.
fn sales(price: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE bronze.sales (sale_id BIGINT, amount INT, sold_at TIMESTAMPTZ,\n  \
         WATERMARK FOR sold_at AS sold_at - INTERVAL '10' MINUTE)\n\
         WITH (connector = 'files', path = 'input/sales') FORMAT PLAIN ENCODE CSV;\n",
    );
    model(&warehouse, price);
    warehouse.write(
        "sql/silver/copies.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.copies AS SELECT sale_id, price FROM STREAM silver.sales;\n",
    );
    warehouse.write(
        "sql/gold/daily.sql",
        "CREATE MATERIALIZED VIEW gold.daily AS SELECT CAST(sold_at AS DATE) AS day, count(*) AS sales, sum(price) AS total\n\
         FROM silver.sales GROUP BY CAST(sold_at AS DATE);\n",
    );
    for day in 1..=DAYS {
        let line = |hour: i64| {
            let id = day * 100 + hour;
            let amount = if id % 7 == 0 { String::new() } else { "10".to_string() };
            format!("{id},{amount},2026-01-{day:02}T{hour:02}:00:00Z\n")
        };
        let lines: String = (0..24).map(line).collect();
        warehouse.write(&format!("input/sales/{day}.csv"), format!("sale_id,amount,sold_at\n{lines}"));
    }
    warehouse
}

fn model(warehouse: &Warehouse, price: &str) {
    warehouse.write(
        "sql/silver/sales.sql",
        format!(
            "CREATE OR REFRESH STREAMING TABLE silver.sales (\n  sale_id BIGINT, price INT, sold_at TIMESTAMPTZ,\n  \
             CONSTRAINT priced EXPECT (price IS NOT NULL) ON VIOLATION QUARANTINE ROW\n)\n\
             AS SELECT s.sale_id, {price} AS price, s.sold_at FROM STREAM bronze.sales AS s WHERE s.sale_id % 5 <> 0;\n"
        ),
    );
}

/// Sales of a day that silver has a row of, and those that it sets apart.
fn of_day(day: i64) -> (i64, i64) {
    let ids = || (0..24).map(|hour| day * 100 + hour).filter(|id| id % 5 != 0);
    let count = |is: &dyn Fn(&i64) -> bool| i64::try_from(ids().filter(is).count()).unwrap();
    (count(&|id| id % 7 != 0), count(&|id| id % 7 == 0))
}

fn of_days(days: std::ops::RangeInclusive<i64>) -> (i64, i64) {
    days.map(of_day).fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1))
}

/// Each sale is in one place, once.
const MISSING: &str = "SELECT (SELECT count(*) FROM bronze.sales WHERE sale_id % 5 <> 0) - (SELECT count(*) FROM silver.sales) \
     - (SELECT count(*) FROM silver.sales__quarantine), (SELECT count(*) - count(DISTINCT sale_id) FROM silver.sales)";

fn all_is_there(server: &Server) {
    server.wait_until("SELECT count(*) FROM bronze.sales", &(DAYS * 24).to_string());
    server.wait_until(MISSING, "0|0");
}

const BACKFILL: &str = "BACKFILL silver.sales FROM '2026-01-03' TO '2026-01-06'";
const STATE: &str =
    "SELECT table_name, from_time, to_time, done_to, rows_taken, rows_made, state FROM sluice.backfills";

/// The model with another price, and NULL amounts of days 3 to 5 priced.
fn made_anew(server: &Server) {
    let (good, bad) = of_days(3..=5);
    let shown = format!(
        "silver.sales|2026-01-03 00:00:00+00|2026-01-06 00:00:00+00|2026-01-06 00:00:00+00|{}|{}|done",
        72,
        good + bad
    );
    server.wait_until(STATE, &shown);
    server.wait_until(MISSING, "0|0");
    let (all_good, all_bad) = of_days(1..=DAYS);
    let prices = "SELECT price, count(*), min(sold_at) >= '2026-01-03' AND max(sold_at) < '2026-01-06' FROM silver.sales \
                  GROUP BY price ORDER BY price";
    assert_eq!(server.query(prices), format!("1|{bad}|t\n10|{}|f\n21|{good}|t", all_good - good));
    assert_eq!(
        server.query("SELECT count(*) FROM silver.sales__quarantine"),
        (all_bad - bad).to_string(),
        "those of other days stay"
    );
    // What reads it follows.
    server.wait_until(
        "SELECT count(*), count(DISTINCT sale_id), count(*) FILTER (WHERE price = 21) FROM silver.copies",
        &format!("{0}|{0}|{good}", all_good + bad),
    );
    let (day_good, day_bad) = of_day(4);
    server.wait_until(
        "SELECT sales, total FROM gold.daily WHERE day = '2026-01-04'",
        &format!("{}|{}", day_good + day_bad, day_good * 21 + day_bad),
    );
    assert!(server.query("VERIFY MATERIALIZED VIEW gold.daily").contains("|equal|"));
}

const ANEW: &str = "coalesce(s.amount * 2, 0) + 1";

fn a_range() {
    let warehouse = sales("s.amount");
    let server = warehouse.serve();
    all_is_there(&server);
    server.terminate();
    model(&warehouse, ANEW);
    let server = warehouse.serve();
    all_is_there(&server);
    assert_eq!(
        server.query("SELECT count(*) FROM silver.sales WHERE price <> 10"),
        "0",
        "it holds for new rows"
    );
    assert_eq!(server.query(BACKFILL), "");
    made_anew(&server);
    let refreshes = "SELECT count(*) > 1, sum(rows_read), sum(rows_deleted) FROM sluice.refreshes WHERE mode = 'backfill'";
    assert_eq!(server.query(refreshes), format!("t|72|{}", of_days(3..=5).0));
    // Between two slices is a rest as long as the first of them took.
    let rests = "SELECT count(*) > 0, bool_and(extract(epoch FROM at - before) + 0.001 >= seconds + seconds_before) FROM (SELECT at, seconds, \
                 lag(at) OVER (ORDER BY at) AS before, lag(seconds) OVER (ORDER BY at) AS seconds_before FROM sluice.refreshes \
                 WHERE mode = 'backfill') AS slices WHERE before IS NOT NULL";
    assert_eq!(server.query(rests), "t|t");
    // What comes goes on.
    warehouse.write("input/sales/new.csv", "sale_id,amount,sold_at\n9999,1,2026-01-04T12:30:00Z\n");
    server.wait_until("SELECT price FROM silver.sales WHERE sale_id = 9999", "3");
}

fn killed() {
    let warehouse = sales("s.amount");
    let server = warehouse.serve();
    all_is_there(&server);
    server.terminate();
    model(&warehouse, ANEW);
    let strike = |failpoint: &str, statement: Option<&str>| {
        let armed = format!("SLUICE_FAILPOINTS={failpoint}");
        let ended = match Server::launch_within(&["env", &armed], &warehouse, &[]).ready() {
            Ok(server) => {
                if let Some(statement) = statement {
                    // It may end before it answers.
                    let _ = server.connect().try_text(statement);
                }
                server.ended()
            }
            Err(ended) => ended,
        };
        assert!(ended.stderr.contains("failpoint"), "{failpoint}: it said:\n{}", ended.stderr);
    };
    strike("refresh.stream.side.committed[silver.sales]=kill@2", Some(BACKFILL));
    strike("refresh.stream.committed[silver.sales]=kill", None);
    strike("lake.commit.linked[silver.sales]=kill@2", None);
    let server = warehouse.serve();
    server.wait_until("SELECT state, done_to = to_time FROM sluice.backfills", "done|t");
    server.wait_until(MISSING, "0|0");
    let (good, bad) = of_days(3..=5);
    let prices = "SELECT price, count(*) FROM silver.sales WHERE price <> 10 GROUP BY price ORDER BY price";
    assert_eq!(server.query(prices), format!("1|{bad}\n21|{good}"));
    let copies = format!("{0}|{0}", of_days(1..=DAYS).0 + bad);
    server.wait_until("SELECT count(*), count(DISTINCT sale_id) FROM silver.copies", &copies);
}

/// An expression over a sale that takes about so long to compute on this machine.
fn slow(server: &Server, time: Duration) -> String {
    let hash = |who: &str, length: u64| format!("length(sha256(repeat(CAST({who} AS TEXT), {length})))");
    let (probe, started) = (20_000_000, Instant::now());
    server.query(&format!("SELECT {} FROM bronze.sales WHERE sale_id = 301", hash("sale_id", probe)));
    // One text alone would take much memory.
    let parts = 32;
    let length = (time.as_secs_f64() / started.elapsed().as_secs_f64() * probe as f64) as u64 / parts;
    let length = length.clamp(1, 60_000_000);
    (0..parts).map(|part| hash(&format!("(s.sale_id + {part})"), length)).collect::<Vec<_>>().join(" + ")
}

fn long_slice() {
    let warehouse = sales("s.amount");
    warehouse.write("catalog/readings.sql", READINGS);
    warehouse.write(
        "sql/silver/readings.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.readings AS SELECT sensor, value FROM STREAM bronze.readings;\n",
    );
    warehouse.write(
        "sql/gold/readings.sql",
        "CREATE MATERIALIZED VIEW gold.readings AS SELECT sensor, count(*) AS readings FROM silver.readings GROUP BY sensor;\n",
    );
    let server = warehouse.serve();
    all_is_there(&server);
    let price = slow(&server, Duration::from_secs(8));
    server.terminate();
    model(&warehouse, &price);
    let server = warehouse.serve();
    all_is_there(&server);
    // One hour, one sale, one slice.
    assert_eq!(
        server.query("BACKFILL silver.sales FROM '2026-01-03 01:00:00Z' TO '2026-01-03 02:00:00Z'"),
        ""
    );
    for token in 1..=3 {
        let body = "{\"sensor\": \"a\", \"value\": 1}";
        assert_eq!(push(&server, "readings", Some(("one", token)), body).unwrap().status, 200);
        server.wait_until("SELECT readings FROM gold.readings", &token.to_string());
        let untouched = "SELECT b.state, b.done_to = b.from_time, s.state FROM sluice.backfills AS b, sluice.freshness AS s \
                         WHERE s.table_name = 'silver.sales'";
        assert_eq!(server.query(untouched), "running|t|fresh", "after {token} readings");
    }
    // What comes for the table itself, and who asks for it, waits for the slice.
    warehouse.write("input/sales/new.csv", "sale_id,amount,sold_at\n105,1,2026-01-04T12:30:00Z\n");
    server.query("REFRESH TABLE silver.sales");
    let hour = "SELECT price FROM silver.sales WHERE sold_at = '2026-01-03 01:00:00Z'";
    server.wait_until("SELECT state, rows_taken, rows_made FROM sluice.backfills", "done|1|1");
    assert_eq!(server.query(hour), (32 * 64).to_string());
    server.wait_until(MISSING, "0|0");
}

fn refused() {
    let warehouse = sales("s.amount");
    warehouse.write(
        "sql/silver/untimed.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.untimed AS SELECT sale_id, sold_at + INTERVAL '1' HOUR AS sold_at\n\
         FROM STREAM bronze.sales;\n",
    );
    let server = warehouse.serve();
    all_is_there(&server);
    for (statement, code, says) in [
        ("BACKFILL gold.daily FROM '2026-01-01' TO '2026-01-02'", "42809", "is not a streaming table"),
        ("BACKFILL silver.copies FROM '2026-01-01' TO '2026-01-02'", "0A000", "silver.sales is no source"),
        (
            "BACKFILL silver.untimed FROM '2026-01-01' TO '2026-01-02'",
            "0A000",
            "does not show column \"sold_at\"",
        ),
        ("BACKFILL silver.sales FROM '2026-01-02' TO '2026-01-02'", "22007", "is not before"),
        ("BACKFILL silver.sales FROM 'soon' TO '2026-01-02'", "22007", "\"soon\""),
        ("BACKFILL silver.sales TO '2026-01-02'", "42601", "syntax error"),
    ] {
        let (found, message) = server.connect().refusal(statement);
        assert_eq!(found, code, "{statement}: {message}");
        assert!(message.contains(says), "{statement}: {message}");
    }
    assert_eq!(server.query("SELECT count(*) FROM sluice.backfills"), "0");
}

fn history() {
    let warehouse = sales("s.amount");
    let server = warehouse.serve();
    all_is_there(&server);
    server.terminate();
    // Bronze begins anew, without the first days.
    fs::remove_dir_all(warehouse.data().join("bronze")).unwrap();
    for day in 1..DAYS {
        fs::remove_file(warehouse.project().join(format!("input/sales/{day}.csv"))).unwrap();
    }
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM bronze.sales", "24");
    let (code, message) = server.connect().refusal(BACKFILL);
    assert_eq!(code, "55000", "{message}");
    assert!(message.contains("bronze.sales does not hold all rows"), "{message}");
    let rows = of_days(1..=DAYS).0;
    assert_eq!(server.query("SELECT count(*) FROM silver.sales"), rows.to_string());
    assert_eq!(server.query(&format!("{BACKFILL} ALLOW HISTORY LOSS")), "");
    server.wait_until("SELECT state, rows_taken FROM sluice.backfills", "done|0");
    let left = (rows - of_days(3..=5).0).to_string();
    server.wait_until("SELECT count(*) FROM silver.sales", &left);
}
