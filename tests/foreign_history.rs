//! A long random history of a table that others write: after each stretch of it the views over the table hold what the
//! test knows the table to hold, and what their queries give.

use crate::support::delta::{COLUMNS, DeltaTable, Row, moving, protocol, removed, with_inline_vector};
use crate::support::{FLOW, Server, Warehouse, pg, seed, trial, until};
use libtest_mimic::Trial;
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Stretches of the history, each of some commits.
const STRETCHES: usize = 25;

pub fn trials() -> Vec<Trial> {
    vec![trial("foreign_history::views_hold_what_the_table_holds", views_hold_what_the_table_holds)]
}

const VIEWS: [(&str, &str); 4] = [
    (
        "by_region",
        "SELECT region, count(*) AS sales, sum(amount) AS total, min(id) AS least, max(id) AS greatest \
         FROM lakehouse.sales GROUP BY region",
    ),
    ("odd", "SELECT id, region, amount FROM lakehouse.sales WHERE amount % 2 = 1"),
    (
        "shares",
        "SELECT s.id, s.amount, r.total FROM lakehouse.sales AS s JOIN gold.by_region AS r ON s.region = r.region",
    ),
    (
        "alone",
        "SELECT a.id, a.region FROM lakehouse.sales AS a WHERE NOT EXISTS (SELECT 1 FROM lakehouse.sales AS b \
         WHERE b.id = a.id AND b.region <> a.region)",
    ),
];

fn views_hold_what_the_table_holds() {
    let mut random = seed::generator("foreign_history::views_hold_what_the_table_holds");
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/lake.sql",
        "CREATE SOURCE lakehouse.sales WITH (connector = 'delta', path = '../lake/sales', poll_ms = 20);\n",
    );
    for (name, query) in VIEWS {
        let text = format!("CREATE MATERIALIZED VIEW gold.{name} REFRESH POLICY INCREMENTAL AS {query};\n");
        warehouse.write(&format!("sql/gold/{name}.sql"), text);
    }
    let folder = warehouse.folder().join("lake/sales");
    let table = DeltaTable::create(&folder, &COLUMNS, &json!({"delta.enableChangeDataFeed": "true"}));
    let mut history = History { table, live: Vec::new() };
    let mut server = warehouse.serve();
    for _ in 0..STRETCHES {
        let restarts = random.random_bool(0.15);
        let commits = random.random_range(1..4);
        let mut some_commits = || (0..commits).for_each(|_| history.step(&mut random));
        if restarts {
            assert_eq!(server.terminate().0.code(), Some(0));
            some_commits();
            server = warehouse.serve();
        } else {
            some_commits();
        }
        history.compare(&server);
    }
    assert_eq!(server.query("SELECT count(*) FROM sluice.refreshes WHERE outcome = 'failed'"), "0");
    let incremental = "SELECT count(DISTINCT model) FROM sluice.refreshes WHERE mode = 'incremental'";
    assert_eq!(server.query(incremental), VIEWS.len().to_string());
    history.table.assert_only_read();
}

/// A live file: its line, its rows, which of them a vector hides.
struct LiveFile {
    add: Value,
    rows: Vec<Row>,
    hidden: BTreeSet<u64>,
}

impl LiveFile {
    fn visible(&self) -> Vec<Row> {
        let rows = (0u64..).zip(&self.rows);
        rows.filter(|(at, _)| !self.hidden.contains(at)).map(|(_, row)| *row).collect()
    }
}

struct History {
    table: DeltaTable,
    live: Vec<LiveFile>,
}

impl History {
    /// One commit, or what a writer does to its log.
    fn step(&mut self, random: &mut ChaCha8Rng) {
        match random.random_range(0..10) {
            0..3 => self.append(random),
            3 | 4 => self.rewrite(random),
            5 | 6 => self.hide(random),
            7 => self.fold(),
            8 => self.drop_file(random),
            _ => self.clean_up(),
        }
    }

    fn append(&mut self, random: &mut ChaCha8Rng) {
        let rows: Vec<Row> = (0..random.random_range(1..6)).map(|_| any_row(random)).collect();
        let add = self.table.append(&rows);
        self.live.push(LiveFile { add, rows, hidden: BTreeSet::new() });
    }

    /// A file written again with some rows changed, with change data or without.
    fn rewrite(&mut self, random: &mut ChaCha8Rng) {
        let Some(old) = self.take(random) else { return self.append(random) };
        let (mut rows, mut images) = (Vec::new(), Vec::new());
        for row in old.visible() {
            match random.random_range(0..3) {
                0 => images.push((row, "delete")),
                1 => {
                    let new = any_row(random);
                    images.extend([(row, "update_preimage"), (new, "update_postimage")]);
                    rows.push(new);
                }
                _ => rows.push(row),
            }
        }
        let new = any_row(random);
        images.push((new, "insert"));
        rows.push(new);
        let add = self.table.file(&rows);
        let mut lines = vec![removed(&old.add), add.clone()];
        if random.random_bool(0.5) {
            lines.push(self.table.change_file(&images));
        }
        self.table.commit(&lines);
        self.live.push(LiveFile { add, rows, hidden: BTreeSet::new() });
    }

    /// A vector that hides one row more.
    fn hide(&mut self, random: &mut ChaCha8Rng) {
        let Some(mut file) = self.take(random) else { return self.append(random) };
        let rows = file.rows.len() as u64;
        file.hidden.insert(random.random_range(0..rows));
        let hidden: Vec<u64> = file.hidden.iter().copied().collect();
        let add = match random.random_bool(0.5) {
            true => with_inline_vector(&file.add, rows, &hidden),
            false => self.table.with_vector(&file.add, rows, &hidden),
        };
        self.table.commit(&[removed(&file.add), add.clone()]);
        self.live.push(LiveFile { add, ..file });
    }

    /// All rows in one file: nothing changes.
    fn fold(&mut self) {
        let rows: Vec<Row> = self.rows();
        if rows.is_empty() {
            return;
        }
        let add = moving(&self.table.file(&rows));
        let mut lines: Vec<Value> = self.live.iter().map(|file| moving(&removed(&file.add))).collect();
        lines.push(add.clone());
        self.table.commit(&lines);
        let mut add = add;
        add["add"]["dataChange"] = json!(true);
        self.live = vec![LiveFile { add, rows, hidden: BTreeSet::new() }];
    }

    fn drop_file(&mut self, random: &mut ChaCha8Rng) {
        let Some(file) = self.take(random) else { return self.append(random) };
        self.table.commit(&[removed(&file.add)]);
    }

    /// A checkpoint, and the log before it deleted.
    fn clean_up(&mut self) {
        let mut lines = vec![protocol(&["deletionVectors"]), self.table.metadata()];
        lines.extend(self.live.iter().map(|file| moving(&file.add)));
        self.table.checkpoint(&lines, 1);
        self.table.clean_log();
    }

    fn take(&mut self, random: &mut ChaCha8Rng) -> Option<LiveFile> {
        let at = (0..self.live.len()).collect::<Vec<_>>().choose(random).copied()?;
        Some(self.live.remove(at))
    }

    fn rows(&self) -> Vec<Row> {
        self.live.iter().flat_map(LiveFile::visible).collect()
    }

    fn compare(&self, server: &Server) {
        let mut groups: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (_, region, amount) in self.rows() {
            let group = groups.entry(region).or_default();
            *group = (group.0 + 1, group.1 + amount);
        }
        let groups = groups.iter().map(|(region, (sales, total))| format!("{region}|{sales}|{total}"));
        let groups = groups.collect::<Vec<_>>().join("\n");
        server.wait_until("SELECT region, sales, total FROM gold.by_region ORDER BY region", &groups);
        let odd = self.rows().iter().filter(|row| row.2 % 2 == 1).count().to_string();
        server.wait_until("SELECT count(*) FROM gold.odd", &odd);
        server.wait_until("SELECT count(*) FROM gold.shares", &self.rows().len().to_string());
        for (view, _) in VIEWS {
            until(&format!("gold.{view} is what its query gives"), FLOW, || {
                // A view that has yet to come round may stand on a version that the log has forgotten.
                let verified = server.connect().try_text(&format!("VERIFY MATERIALIZED VIEW gold.{view}"));
                let verified = verified.map_err(|error| pg::describe(&error))?;
                assert!(verified.contains("|0|0|equal|"), "version {}: {verified}", self.table.version());
                let fresh = format!("SELECT state FROM sluice.freshness WHERE table_name = 'gold.{view}'");
                let state = server.query(&fresh);
                if state == "fresh" { Ok(()) } else { Err(state) }
            });
        }
    }
}

/// Rows of few values, so that many are alike.
fn any_row(random: &mut ChaCha8Rng) -> Row {
    let region = ["north", "south", "east"].choose(random).unwrap();
    (random.random_range(0..8), region, random.random_range(0..4))
}
