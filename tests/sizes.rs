//! What the catalogue says of sizes is what lies on the disk: the files of the version of each table that readers see, none of
//! those before it.

use crate::psql::psql;
use crate::support::{Server, Warehouse, needs, trial};
use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("sizes::are_those_of_the_files", are_those_of_the_files)];
    trials.extend(needs::psql(vec![trial("sizes::are_shown_by_psql", are_shown_by_psql)]));
    trials
}

/// Bytes of the files that a version of a table has, and how many files it no longer has, as its log and the disk tell.
fn bytes_on_disk(warehouse: &Warehouse, table: &str, version: u64) -> (u64, usize) {
    let folder = warehouse.data().join(table.replace('.', "/"));
    let (mut live, mut gone) = (BTreeSet::new(), 0);
    for version in 0..=version {
        let commit = fs::read_to_string(folder.join(format!("_delta_log/{version:020}.json"))).unwrap();
        let actions: Vec<Value> = commit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let paths =
            |kind: &'static str| actions.iter().filter_map(move |action| action[kind]["path"].as_str());
        // A file that has other rows hidden is taken out and put in again.
        live.retain(|path: &String| !paths("remove").any(|removed| removed == path));
        live.extend(paths("add").map(str::to_string));
        gone += paths("remove").filter(|path| !live.contains(*path)).count();
    }
    (live.iter().map(|path| fs::metadata(folder.join(path)).unwrap().len()).sum(), gone)
}

/// The version of a table that readers see: one in which files are only folded comes with the next change.
fn version(table: &str) -> String {
    format!("(SELECT max(version) FROM sluice.epochs WHERE table_name = '{table}')")
}

/// Project `shop` once each row of its views has been another one: of the files that held them nothing is left.
fn shop() -> (Warehouse, Server) {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n\
         10,10,1.00,paid,2026-01-01T00:00:00Z\n11,11,1.00,paid,2026-01-02T00:00:00Z\n\
         12,12,1.00,paid,2026-01-01T00:00:00Z\n13,13,1.00,paid,2026-01-02T00:00:00Z\n",
    );
    server.wait_until("SELECT sum(orders), sum(revenue) FROM gold.daily_sales", "10|1355.00");
    server.wait_until("SELECT sum(orders), sum(revenue) FROM gold.customer_sales", "10|1355.00");
    (warehouse, server)
}

const TABLES: [&str; 6] = [
    "bronze.customers",
    "bronze.orders",
    "silver.customers",
    "silver.orders",
    "gold.customer_sales",
    "gold.daily_sales",
];

fn are_those_of_the_files() {
    let (warehouse, server) = shop();
    let pg = server.connect();
    let mut gone_at_all = 0;
    for table in TABLES {
        let asked = format!(
            "SELECT {}, pg_relation_size('{table}'), pg_table_size('{table}'::regclass), \
             pg_total_relation_size('{table}'), pg_indexes_size('{table}')",
            version(table)
        );
        let said = pg.text(&asked);
        let version = said.split('|').next().unwrap().parse().unwrap();
        let (live, gone) = bytes_on_disk(&warehouse, table, version);
        assert!(live > 0, "{table}");
        assert_eq!(said, format!("{version}|{live}|{live}|{live}|0"), "{table}");
        gone_at_all += gone;
    }
    assert!(gone_at_all > 0, "no table has files that it no longer uses");
    // A view has none; what does not exist is an error by name, and nothing by number.
    assert_eq!(pg.text("SELECT pg_total_relation_size('gold.open_orders')"), "0");
    assert_eq!(pg.refusal("SELECT pg_total_relation_size('gold.nothing')").0, "42P01");
    assert_eq!(pg.text("SELECT pg_total_relation_size(1::oid) IS NULL"), "t");
    let whole = "SELECT pg_database_size('sluice') = sum(pg_total_relation_size(oid)), \
                 pg_database_size('sluice') = pg_database_size(current_database()) \
                 FROM pg_class WHERE relkind IN ('r', 'm')";
    assert_eq!(pg.text(whole), "t|t");
}

/// As PostgreSQL prints a size, which is less than ten MiB here.
fn pretty(bytes: u64) -> String {
    if bytes < 10 << 10 { format!("{bytes} bytes") } else { format!("{} kB", (bytes / 512).div_ceil(2)) }
}

fn are_shown_by_psql() {
    let (warehouse, server) = shop();
    for table in TABLES {
        let (schema, name) = table.split_once('.').unwrap();
        let command = if schema == "gold" { "\\dm+" } else { "\\dt+" };
        let shown = psql(&server, &["-A", "-t"], &[&format!("{command} {table}")]);
        let version = server.query(&format!("SELECT {}", version(table))).parse().unwrap();
        let fields: Vec<&str> = shown.trim_end().split('|').collect();
        assert_eq!((fields[0], fields[1]), (schema, name), "{shown}");
        let expected = pretty(bytes_on_disk(&warehouse, table, version).0);
        assert!(fields.contains(&expected.as_str()), "{expected} is not in {shown}");
    }
}
