//! The commands besides `serve`: check, init, datagen, help, exit codes.

use crate::support::{Pg, Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("check::a_good_project_passes", a_good_project_passes),
        trial("check::errors_are_placed_and_come_together", errors_are_placed_and_come_together),
        trial("check::what_is_not_done_yet_is_refused_by_name", what_is_not_done_yet_is_refused_by_name),
        trial("check::init_makes_a_project_that_runs", init_makes_a_project_that_runs),
        trial("check::init_overwrites_nothing", init_overwrites_nothing),
        trial("check::user_prints_what_lets_in", user_prints_what_lets_in),
        trial("check::help_and_exit_codes", help_and_exit_codes),
    ]
}

fn a_good_project_passes() {
    let warehouse = Warehouse::of("shop");
    let project = warehouse.project();
    warehouse.sluice(&["check", "--project", project.to_str().unwrap()]).expect(0, &[]);
    assert!(!warehouse.data().exists() && !project.join("data").exists(), "check touches no data");
}

fn errors_are_placed_and_come_together() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("sql/gold/a.sql", "CREATE MATERIALIZED VIEW gold.b AS SELECT 1 AS one;\n");
    warehouse.write("sql/gold/c.sql", "CREATE VIEW gold.c AS\nSELECT 1 AS one\nFROM silver.ordres;\n");
    warehouse.write(
        "catalog/d.sql",
        "CREATE SOURCE bronze.d (id BIGNIT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.sluice(&["check"]).expect(
        1,
        &[
            "catalog/d.sql:1:",
            "BIGNIT",
            "sql/gold/a.sql:1:",
            "gold.a",
            "gold.b",
            "sql/gold/c.sql:3:",
            "silver.ordres",
            "silver.orders",
        ],
    );
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "sql/gold/e.sql",
        "CREATE VIEW gold.e AS\nSELECT order_id,\n  custmer_id\nFROM silver.orders;\n",
    );
    warehouse.sluice(&["check"]).expect(1, &["sql/gold/e.sql:", "custmer_id", "customer_id"]);
    let warehouse = Warehouse::of("shop");
    warehouse.write("sql/gold/f.sql", "CREATE VIEW gold.f AS SELECT * FROM gold.g;\n");
    warehouse.write("sql/gold/g.sql", "CREATE VIEW gold.g AS SELECT * FROM gold.f;\n");
    warehouse.sluice(&["check"]).expect(1, &["gold.f", "gold.g"]);
}

fn what_is_not_done_yet_is_refused_by_name() {
    for (path, sql, word) in [
        (
            "catalog/x.sql",
            "CREATE SINK s FROM gold.daily_sales WITH (connector = 'http') FORMAT UPSERT;",
            "SINK",
        ),
        ("sql/gold/x.sql", "DROP TABLE gold.daily_sales;", "DROP"),
        ("sql/gold/x.sql", "CREATE TABLE gold.x (a INT);", "TABLE"),
        ("sql/gold/x.sql", "INSERT INTO gold.daily_sales VALUES (1);", "INSERT"),
    ] {
        let warehouse = Warehouse::of("shop");
        warehouse.write(path, format!("{sql}\n"));
        warehouse.sluice(&["check"]).expect(1, &[&format!("{path}:1:"), word]);
    }
}

fn init_makes_a_project_that_runs() {
    let warehouse = Warehouse::new();
    let project = warehouse.folder().join("mine");
    warehouse.sluice(&["init", project.to_str().unwrap()]).expect(0, &[]);
    warehouse.sluice(&["check", "--project", project.to_str().unwrap()]).expect(0, &[]);
    let tested = warehouse.sluice(&["test", "--project", project.to_str().unwrap()]);
    tested.expect(
        0,
        &[
            "ok      silver.orders ",
            "ok      gold.daily_sales ",
            "ok      gold.page_views ",
            "3 passed, 0 failed",
        ],
    );
    let server = warehouse.serve_with(&["--project", project.to_str().unwrap()]);
    server.wait_until("SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = 'gold'", "t");
    server.wait_until(
        "SELECT count(*) > 0, bool_and(state = 'fresh') FROM sluice.freshness WHERE table_name LIKE 'gold.%'",
        "t|t",
    );
}

fn init_overwrites_nothing() {
    let warehouse = Warehouse::new();
    warehouse.write("README.txt", "mine");
    let project = warehouse.project();
    warehouse.sluice(&["init", project.to_str().unwrap()]).expect(1, &[project.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(project.join("README.txt")).unwrap(), "mine");
}

fn help_and_exit_codes() {
    let warehouse = Warehouse::new();
    warehouse.sluice(&["--help"]).expect(0, &["serve", "check", "init", "datagen"]);
    warehouse
        .sluice(&["serve", "--help"])
        .expect(0, &["--project", "--data", "--pg-listen", "5433", "5434", "5435"]);
    warehouse.sluice(&["--version"]).expect(0, &["sluice "]);
    warehouse.sluice(&["serve", "--no-such-flag"]).expect(2, &["--no-such-flag"]);
    warehouse.sluice(&["conquer"]).expect(2, &["conquer"]);
    warehouse.sluice(&[]).expect(2, &["Usage"]);
}

/// The lines that `sluice user` prints let the user in; the password itself stands nowhere.
fn user_prints_what_lets_in() {
    let warehouse = Warehouse::of("shop");
    let printed = warehouse.sluice_given(&["user", "grace", "--password-stdin"], "hopper 1906\n");
    printed.expect(0, &["[users.grace]", "SCRAM-SHA-256$4096:"]);
    assert!(!printed.text().contains("hopper"), "{}", printed.text());
    warehouse.write("catalog/warehouse.toml", &printed.stdout);
    let server = warehouse.serve();
    let session = Pg::connect(server.pg, "grace", Some("hopper 1906")).unwrap();
    assert_eq!(session.text("SELECT current_user"), "grace");
    assert!(Pg::connect(server.pg, "grace", Some("hopper 1907")).is_err());
}
