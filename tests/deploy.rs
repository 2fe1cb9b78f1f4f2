//! PLAN and APPLY: what edited files change, running them, and the way back.

use crate::support::warehouse::copy;
use crate::support::{Pg, Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::fs;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("deploy::folders_are_compared", folders_are_compared),
        trial("deploy::rights_are_planned_too", rights_are_planned_too),
        trial("deploy::plan_says_what_apply_does", plan_says_what_apply_does),
        trial("deploy::other_spaces_compute_nothing", other_spaces_compute_nothing),
        trial("deploy::there_is_a_way_back", there_is_a_way_back),
        trial("deploy::errors_leave_all_as_it_was", errors_leave_all_as_it_was),
        trial("deploy::who_may_not_define_may_not_apply", who_may_not_define_may_not_apply),
    ]
}

/// The shop, with somebody who may define and somebody who may not.
fn shop() -> Warehouse {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\nmay_define = true\n[users.guest]\ntrust_loopback = true\n",
    );
    warehouse
}

const DAILY: &str = "sql/gold/daily_sales.sql";
const WITH_COUNT: &str = "CREATE MATERIALIZED VIEW gold.daily_sales AS\n\
    SELECT order_date, count(*) AS orders, sum(amount) AS revenue, max(amount) AS largest FROM silver.orders GROUP BY order_date;\n";

fn folders_are_compared() {
    let warehouse = Warehouse::of("shop");
    let before = warehouse.folder().join("before");
    copy(&warehouse.project(), &before);
    let plan = |more: &[&str]| {
        let all = [&["plan", "--against", before.to_str().unwrap()], more].concat();
        warehouse.sluice(&all)
    };
    assert_eq!(plan(&[]).expect(0, &[]).stdout, "Nothing is changed.\n");

    // Comments and spaces are not what a model is.
    let daily = fs::read_to_string(warehouse.project().join(DAILY)).unwrap();
    warehouse.write(DAILY, daily.replace("AS\nSELECT", "AS -- by day\n  SELECT"));
    plan(&["--refuse", "additive"])
        .expect(0, &["~ gold.daily_sales  materialized view\n", "computed as before"]);

    warehouse.write(DAILY, WITH_COUNT);
    plan(&["--refuse", "values"]).expect(
        0,
        &["~ gold.daily_sales  materialized view, additive, rebuilt\n    column largest is new\n"],
    );
    plan(&["--refuse", "additive"])
        .expect(1, &["the change of gold.daily_sales is refused: its impact is additive"]);

    let silver = fs::read_to_string(warehouse.project().join("sql/silver/orders.sql")).unwrap();
    warehouse.write(
        "sql/silver/orders.sql",
        silver.replace("  amount,\n  lower", "  amount * 2 AS amount,\n  lower"),
    );
    warehouse.write("sql/gold/new.sql", "CREATE VIEW gold.new AS SELECT * FROM gold.daily_sales;\n");
    fs::remove_file(warehouse.project().join("sql/gold/customer_sales.sql")).unwrap();
    assert_eq!(
        plan(&[]).expect(0, &[]).stdout,
        "- gold.customer_sales  materialized view, breaking\n    readers find it no more\n\
         ~ silver.orders        streaming table, values, from now on\n    column amount is computed otherwise\n    \
         reaches gold.daily_sales.largest, gold.daily_sales.revenue, gold.new.largest, gold.new.revenue, \
         gold.open_orders.amount\n\
         ~ gold.daily_sales     materialized view, additive, rebuilt\n    column largest is new\n\
         + gold.new             view\n\
         1 added, 2 changed, 1 removed; 1 to compute\n"
    );
    plan(&["--refuse", "breaking"]).expect(1, &["the change of gold.customer_sales is refused"]);
    plan(&["--json"]).expect(
        0,
        &["{\"name\":\"gold.customer_sales\",\"object\":\"materialized view\",\"change\":\"removed\""],
    );

    // Whom a loss reaches was read of what ran before.
    fs::remove_dir_all(&before).unwrap();
    copy(&warehouse.project(), &before);
    warehouse.write(
        DAILY,
        "CREATE MATERIALIZED VIEW gold.daily_sales AS\n\
         SELECT order_date, CAST(sum(amount) AS DOUBLE) AS revenue FROM silver.orders GROUP BY order_date;\n",
    );
    assert_eq!(
        plan(&[]).expect(0, &[]).stdout,
        "~ gold.daily_sales  materialized view, breaking, rebuilt\n    column orders is gone\n    \
         column revenue was DECIMAL(28,2) and is DOUBLE\n    column revenue is computed otherwise\n    column largest is gone\n    \
         reaches gold.new.largest, gold.new.orders, gold.new.revenue\n\
         0 added, 1 changed, 0 removed; 1 to compute\n"
    );

    // A source's column that is lost reaches those that are made of it.
    fs::remove_dir_all(&before).unwrap();
    copy(&warehouse.project(), &before);
    let source = fs::read_to_string(warehouse.project().join("catalog/customers.sql")).unwrap();
    warehouse.write("catalog/customers.sql", source.replace("  joined DATE", "  joined TEXT"));
    plan(&[]).expect(
        0,
        &[
            "~ bronze.customers  source, breaking, from now on\n    column joined was DATE and is TEXT\n    reaches silver.customers.joined\n",
        ],
    );
}

/// Roles and rights are part of what a folder does.
fn rights_are_planned_too() {
    let warehouse = Warehouse::of("shop");
    let roles = |more: &str| {
        let text = "CREATE ROLE reader NOLOGIN;\nCREATE ROLE ann LOGIN IN ROLE reader;\n";
        warehouse.write("catalog/roles.sql", format!("{text}{more}"));
    };
    roles(
        "GRANT SELECT ON SCHEMA gold TO reader;\nCREATE POLICY few ON silver.orders TO reader USING (amount < 30);\n",
    );
    let before = warehouse.folder().join("before");
    copy(&warehouse.project(), &before);
    roles(
        "GRANT SELECT (order_id) ON silver.orders TO ann;\nCREATE POLICY few ON silver.orders TO reader USING (amount < 50);\n\
         ALTER TABLE silver.orders ALTER COLUMN status SET MASK ('x') EXCEPT ann;\n",
    );
    let plan = warehouse.sluice(&["plan", "--against", before.to_str().unwrap()]);
    let shown = plan.expect(0, &["2 added, 1 changed, 1 removed; 0 to compute\n"]).stdout.clone();
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines[..4],
        [
            "+ SELECT (order_id) on silver.orders to ann grant",
            "- SELECT on schema gold to reader grant",
            "~ few on silver.orders policy",
            "+ status of silver.orders mask",
        ]
    );
}

/// `sluice plan`, `sluice apply` against a server.
fn asked(warehouse: &Warehouse, server: &Server, arguments: &[&str]) -> String {
    let url = format!("postgres://sluice@{}/sluice", server.pg);
    let all = [arguments, &["--server", &url]].concat();
    warehouse.sluice(&all).expect(0, &[]).stdout.clone()
}

const COLUMNS: &str = "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE \
    table_name = 'daily_sales'";

fn plan_says_what_apply_does() {
    let warehouse = shop();
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    let days = server.query("SELECT count(*) FROM gold.daily_sales");
    assert_eq!(asked(&warehouse, &server, &["plan"]), "Nothing is changed.\n");
    warehouse.write(DAILY, WITH_COUNT);
    assert_eq!(
        asked(&warehouse, &server, &["plan"]),
        format!(
            "~ gold.daily_sales  materialized view, additive, {days} rows rebuilt\n    column largest is new\n\
             0 added, 1 changed, 0 removed; 1 to compute\n"
        )
    );
    assert_eq!(server.query(COLUMNS), "order_date orders revenue", "PLAN changes nothing");
    assert_eq!(
        server.query("PLAN"),
        format!("gold.daily_sales|materialized view|changed|additive|rebuilt|{days}|column largest is new|")
    );
    assert!(asked(&warehouse, &server, &["apply"]).contains("column largest is new"));
    server.wait_until(COLUMNS, "order_date orders revenue largest");
    server.wait_until(
        "SELECT count(*), bool_and(largest IS NOT NULL) FROM gold.daily_sales",
        &format!("{days}|t"),
    );
    assert_eq!(server.query("PLAN"), "");
    assert_eq!(
        server.query("SELECT deployment, deployed_by, how FROM sluice.deployments ORDER BY 1"),
        "1||start\n2|sluice|apply"
    );
}

fn other_spaces_compute_nothing() {
    let warehouse = shop();
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    let hash = "SELECT definition_hash FROM sluice.models WHERE model = 'gold.daily_sales'";
    let refreshes =
        "SELECT count(*) FROM sluice.refreshes WHERE model = 'gold.daily_sales' AND mode = 'recompute'";
    server.query("REFRESH TABLE gold.daily_sales");
    let (known, done) = (server.query(hash), server.query(refreshes));
    let daily = fs::read_to_string(warehouse.project().join(DAILY)).unwrap();
    warehouse.write(DAILY, daily.replace("AS\nSELECT", "AS /* by day */\n   SELECT"));
    let url = format!("postgres://sluice@{}/sluice", server.pg);
    warehouse.sluice(&["apply", "--server", &url]).expect(0, &["computed as before"]);
    server.query("REFRESH TABLE gold.daily_sales");
    assert_eq!((server.query(hash), server.query(refreshes)), (known, done));
}

fn there_is_a_way_back() {
    let warehouse = shop();
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    let connection = server.connect();
    let (code, message) = connection.refusal("APPLY ROLLBACK");
    assert_eq!((code.as_str(), message.contains("no deployment before")), ("55000", true), "{message}");
    let old = server.query("SELECT * FROM gold.daily_sales ORDER BY 1");
    warehouse.write(DAILY, WITH_COUNT);
    server.query("APPLY");
    server.wait_until(COLUMNS, "order_date orders revenue largest");

    assert!(asked(&warehouse, &server, &["apply", "--rollback"]).contains("column largest is gone"));
    server.wait_until(COLUMNS, "order_date orders revenue");
    server.wait_until("SELECT * FROM gold.daily_sales ORDER BY 1", &old);
    assert_eq!(
        server.query("SELECT deployment, how, back_to FROM sluice.deployments ORDER BY 1"),
        "1|start|\n2|apply|\n3|rollback|1"
    );
    // The folder still holds what was left: a restart does not bring it back, PLAN shows it, APPLY takes it.
    server.terminate();
    let server = warehouse.serve();
    server.wait_until(COLUMNS, "order_date orders revenue");
    assert!(server.query("PLAN").starts_with("gold.daily_sales|materialized view|changed|additive"));
    let (code, _) = server.connect().refusal("APPLY ROLLBACK TO 77");
    assert_eq!(code, "55000");
    server.query("APPLY ROLLBACK TO 2");
    server.wait_until(COLUMNS, "order_date orders revenue largest");
    server.query("APPLY ROLLBACK");
    server.wait_until(COLUMNS, "order_date orders revenue");
    // Other files are a new beginning.
    server.terminate();
    warehouse.write(DAILY, WITH_COUNT.replace("largest", "top"));
    let server = warehouse.serve();
    server.wait_until(COLUMNS, "order_date orders revenue top");
}

fn errors_leave_all_as_it_was() {
    let warehouse = shop();
    let server = warehouse.serve();
    warehouse
        .write(DAILY, "CREATE MATERIALIZED VIEW gold.daily_sales AS\nSELECT amout FROM silver.orders;\n");
    let connection = server.connect();
    for statement in ["PLAN", "APPLY"] {
        let (code, message) = connection.refusal(statement);
        assert_eq!(code, "42703");
        assert!(message.contains("amout"), "{message}");
    }
    assert_eq!(server.query(COLUMNS), "order_date orders revenue");
    let (code, _) = connection.refusal("APPLY ROLLBACK TO x");
    assert_eq!(code, "42601");
    connection.text("BEGIN");
    assert_eq!(connection.refusal("APPLY").0, "25001");
}

fn who_may_not_define_may_not_apply() {
    let warehouse = shop();
    let server = warehouse.serve();
    let reader = Pg::connect(server.pg, "guest", None).unwrap();
    assert_eq!(reader.refusal("PLAN").0, "42501");
    assert_eq!(reader.refusal("APPLY").0, "42501");
}
