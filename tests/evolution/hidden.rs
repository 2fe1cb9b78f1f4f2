//! Hidden tables that no view uses any more.

use super::{define, project, push_readings, view, wait_for};
use crate::failpoints;
use crate::support::{FLOW, Server, Warehouse, trial, until};
use libtest_mimic::Trial;
use std::fs;

pub fn trials() -> Vec<Trial> {
    vec![trial("evolution::hidden_tables_go_with_their_views", hidden_tables_go_with_their_views)]
}

/// Hidden tables on disk, by name; what is dropped and not deleted yet counts.
fn hidden_tables(warehouse: &Warehouse) -> Vec<String> {
    let names = |folder: std::path::PathBuf| {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut hidden = names(warehouse.data().join("sluice_state"));
    hidden.extend(names(warehouse.data()).into_iter().filter(|name| name.starts_with(".dropped")));
    hidden.sort_unstable();
    hidden
}

fn wait_for_hidden(warehouse: &Warehouse, expected: &[&str]) {
    until(&format!("hidden tables {expected:?}"), FLOW, || match hidden_tables(warehouse) {
        hidden if hidden == expected => Ok(()),
        hidden => Err(format!("{hidden:?}")),
    });
}

fn hidden_tables_go_with_their_views() {
    let mean =
        "SELECT sensor, avg(CAST(value AS DECIMAL(10,2))) AS mean FROM bronze.readings GROUP BY sensor";
    let above = format!(
        "{mean} HAVING avg(CAST(value AS DECIMAL(10,2))) > (SELECT avg(CAST(value AS DECIMAL(10,2))) AS m FROM bronze.readings)"
    );
    let warehouse =
        project(&[("gold.mean", &view("gold.mean", mean)), ("gold.above", &view("gold.above", &above))]);
    // What is left over is kept for as long as epochs are.
    let settings = fs::read_to_string(warehouse.project().join("catalog/warehouse.toml")).unwrap();
    warehouse.write("catalog/warehouse.toml", format!("{settings}[limits]\nepochs_keep_seconds = 1\n"));
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("a", 2.0), ("b", 4.0)]);
    wait_for(&server, "SELECT * FROM gold.above", "sensor|mean\nb|4.000000");
    wait_for(&server, "SELECT * FROM gold.mean ORDER BY 1", "sensor|mean\na|1.500000\nb|4.000000");
    let all = ["gold.above.1", "gold.above.2", "gold.mean.1"];
    wait_for_hidden(&warehouse, &all);

    // One table fewer; a definition that fails needs those of the rows that stand.
    define(&warehouse, "gold.above", &view("gold.above", mean));
    let fails = "SELECT sensor, CAST(sensor AS INT) AS mean FROM bronze.readings";
    define(&warehouse, "gold.mean", &view("gold.mean", fails));
    wait_for(&server, "SELECT * FROM gold.above ORDER BY 1", "sensor|mean\na|1.500000\nb|4.000000");
    wait_for_hidden(&warehouse, &["gold.above.1", "gold.mean.1"]);
    // So does one that cannot even be read.
    warehouse.write("sql/gold/mean.sql", "CREATE MATERIALISED VIEW gold.mean AS");
    push_readings(&server, 2, &[("c", 7.0)]);
    wait_for(&server, "SELECT mean FROM gold.above WHERE sensor = 'c'", "mean\n7.000000");
    server.kill9();

    // A view that is no more, and a kill before the files are.
    fs::remove_file(warehouse.project().join("sql/gold/mean.sql")).unwrap();
    let armed = format!("SLUICE_FAILPOINTS={}", failpoints::DROP[0]);
    let ended = Server::launch_within(&["env", &armed], &warehouse, &[]).ready().unwrap().ended();
    assert!(ended.stderr.contains("failpoint lake.table.dropped reached"), "{}", ended.stderr);
    assert_eq!(hidden_tables(&warehouse).len(), 2, "{:?}", hidden_tables(&warehouse));
    let server = warehouse.serve();
    wait_for_hidden(&warehouse, &["gold.above.1"]);
    push_readings(&server, 3, &[("c", 8.0)]);
    wait_for(&server, "SELECT mean FROM gold.above WHERE sensor = 'c'", "mean\n7.500000");
    assert!(server.query("VERIFY MATERIALIZED VIEW gold.above").contains("|0|0|equal|"));
}
