//! Every kind of table that is kept from changes, as others find it: a feed with and without history, a streaming table, a
//! view in partitions, one that has hidden tables, after updates and deletes (by vectors and by partition), after columns
//! became wider and came anew, after files were folded. Its columns are ours, and no others; its rows are ours.
//!
//! What no reader can do: tell an empty text from NULL in a column that parts a table. Delta's log has one sign for both.
//! What one cannot: [`is_misread`].

use super::{Question, read, sorted};
use crate::evolution::table;
use crate::push::push;
use crate::support::{FLOW, Server, Warehouse, trial_of, until};
use libtest_mimic::Trial;
use std::fs;
use std::ops::Range;

/// Tables, and columns that tell some order.
const KINDS: [(&str, &str); 7] = [
    ("silver.lines", "line_id"),
    ("silver.prices", "line_id"),
    ("silver.taken", "line_id"),
    ("gold.by_day", "item"),
    ("gold.by_place", "item"),
    ("gold.above", "item"),
    ("gold.widest", "item"),
];

const VIEWS: [&str; 4] = ["gold.by_day", "gold.by_place", "gold.above", "gold.widest"];

/// Lines of orders, with columns as they are first.
const COLUMNS: &str = "line_id BIGINT, op STRING, day DATE, item STRING, place STRING, qty INT, price DECIMAL(10,2), at TIMESTAMPTZ";

const MODELS: [(&str, &str); 7] = [
    (
        "silver/lines",
        "STREAMING TABLE silver.lines FLOW AUTO CDC FROM STREAM bronze.lines KEYS (line_id)\n\
         APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS * EXCEPT (op)",
    ),
    (
        "silver/prices",
        "STREAMING TABLE silver.prices FLOW AUTO CDC FROM STREAM bronze.lines KEYS (line_id)\n\
         APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS (item, price) STORED AS SCD TYPE 2 TRACK HISTORY ON price",
    ),
    ("silver/taken", "STREAMING TABLE silver.taken AS SELECT line_id, qty, price FROM STREAM bronze.lines"),
    // Few keys of a day change its files by vectors, most of its keys make them anew.
    (
        "gold/by_day",
        "MATERIALIZED VIEW gold.by_day PARTITIONED BY (day) AS SELECT day, item, median(line_id) AS middle,\n\
         sum(qty) AS qty, max(price) AS dearest FROM silver.lines GROUP BY day, item",
    ),
    (
        "gold/by_place",
        "MATERIALIZED VIEW gold.by_place PARTITIONED BY (place, is_dear) AS SELECT place, price > 6 AS is_dear, item,\n\
         count(*) AS lines FROM silver.lines GROUP BY 1, 2, 3",
    ),
    // What it is made of is kept in hidden tables.
    (
        "gold/above",
        "MATERIALIZED VIEW gold.above AS SELECT item, avg(price) AS mean, count(*) AS lines FROM silver.lines GROUP BY item\n\
         HAVING avg(price) > (SELECT avg(price) AS of_all FROM silver.lines)",
    ),
    (
        "gold/widest",
        "MATERIALIZED VIEW gold.widest AS SELECT item, qty, price, line_id FROM silver.lines WHERE qty > 2",
    ),
];

/// Reads of both stages by these engines.
pub fn trial(name: &str, engines: &'static [&'static str]) -> Trial {
    trial_of(format!("lake_readers::{name}_reads_every_kind_of_table"), move || reads_every_kind(engines))
}

/// A table at a version, with the names of its columns and its rows.
struct Seen {
    table: &'static str,
    order: &'static str,
    version: String,
    rows: String,
}

fn reads_every_kind(engines: &[&str]) {
    let warehouse = Warehouse::new();
    declare(&warehouse, COLUMNS);
    for (file, definition) in MODELS {
        warehouse.write(&format!("sql/{file}.sql"), format!("CREATE {definition};\n"));
    }
    let server = warehouse.serve_with(&["--watch"]);
    let mut feed = Feed { server: &server, token: 0, rows: 0 };
    feed.settle("I", 0..180, 0, |_| true);
    feed.settle("U", 0..4, 1, |_| true);
    feed.settle("D", 7..9, 2, |_| true);
    // All lines of a day.
    feed.settle("U", 9..180, 3, |line| line % 3 == 0);
    // All lines of an item, and once more: it is dear before, and otherwise dear after.
    for minute in [4, 5] {
        feed.settle("U", 9..180, minute, |line| line / 3 % 20 == 3);
    }
    let modes = "SELECT string_agg(DISTINCT mode, ', ' ORDER BY mode) FROM sluice.refreshes WHERE rows_deleted > 0 AND model = ";
    assert_eq!(server.query(&format!("{modes}'gold.by_day'")), "incremental, partition overwrite");
    for (table, _) in KINDS {
        let is_kept = table != "silver.taken";
        assert_eq!(log(&warehouse, table).contains("\"deletionVector\":{"), is_kept, "{table}");
    }
    assert!(warehouse.data().join("sluice_state/gold.above.1").is_dir());
    let mut stages = seen(&server);

    let wider = COLUMNS.replace("qty INT", "qty BIGINT, note STRING").replace("(10,2)", "(18,2)");
    declare(&warehouse, &wider);
    let types = "SELECT string_agg(data_type, ',') FROM information_schema.columns WHERE column_name = 'qty' \
                 AND table_name IN ('lines', 'taken', 'widest')";
    server.wait_until(types, "bigint,bigint,bigint,bigint");
    feed.settle("U", 150..200, 6, |_| true);
    // Much of each file goes, and small files come by the dozen.
    feed.settle("D", 20..110, 7, |_| true);
    for line in 110..145 {
        feed.send("U", line..line + 1, 8, |_| true);
    }
    feed.settle("U", 0..4, 9, |_| true);
    for (table, _) in KINDS {
        until(&format!("files of {table} are folded"), FLOW, || {
            if log(&warehouse, table).contains("\"OPTIMIZE\"") {
                Ok(())
            } else {
                Err("they are not".to_string())
            }
        });
    }
    for view in VIEWS {
        let verified = server.query(&format!("VERIFY MATERIALIZED VIEW {view}"));
        assert!(verified.contains("|0|0|equal|"), "{verified}");
    }
    let newest = seen(&server).into_iter().map(|seen| Seen { version: String::new(), ..seen });
    stages.extend(newest);
    assert_eq!(server.terminate().0.code(), Some(0));
    engines.iter().for_each(|engine| compare(engine, &warehouse, &stages));
}

fn declare(warehouse: &Warehouse, columns: &str) {
    let source = format!(
        "CREATE SOURCE bronze.lines ({columns}) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n"
    );
    warehouse.write("catalog/lines.sql", source);
}

/// All commits of a table.
fn log(warehouse: &Warehouse, table: &str) -> String {
    let folder = warehouse.data().join(table.replace('.', "/")).join("_delta_log");
    let commits = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let commits = commits.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    commits.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Changes of lines, one push after the other.
struct Feed<'a> {
    server: &'a Server,
    token: i64,
    rows: usize,
}

impl Feed<'_> {
    /// Sends a change of these lines, and waits until the streaming table has taken it.
    fn send(&mut self, op: &str, lines: Range<i64>, minute: i64, is_meant: fn(&i64) -> bool) {
        let lines: Vec<String> = lines.filter(is_meant).map(|line| change(op, line, minute)).collect();
        self.token += 1;
        self.rows += lines.len();
        let reply = push(self.server, "lines", Some(("one", self.token)), &lines.join("\n")).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        self.server.wait_until("SELECT count(*) FROM silver.taken", &self.rows.to_string());
    }

    /// Sends a change, and waits until all that follows from it is there.
    fn settle(&mut self, op: &str, lines: Range<i64>, minute: i64, is_meant: fn(&i64) -> bool) {
        self.send(op, lines, minute, is_meant);
        self.server.wait_until("SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "0");
    }
}

/// A change of a line. From the sixth minute on there is what fits into the wider columns alone.
fn change(op: &str, line: i64, minute: i64) -> String {
    let (item, place) =
        (line / 3 % 20, ["\"a b/c=50%\"", "null", "\"ü'\\\"\"", "\"p\""][(line % 4) as usize]);
    let cents = line * 37 % 1_000 + minute * 100;
    let (billions, digits, note) = match minute < 6 {
        true => ("", "", ""),
        false => ("500000000", "12345678901", ", \"note\": \"wide\""),
    };
    format!(
        "{{\"line_id\": {line}, \"op\": \"{op}\", \"day\": \"2026-01-0{}\", \"item\": \"item {item:02}\", \"place\": {place}, \
         \"qty\": {billions}{}, \"price\": {digits}{}.{:02}, \"at\": \"2026-01-01T00:{minute:02}:00Z\"{note}}}",
        line % 3 + 1,
        line % 7,
        cents / 100,
        cents % 100
    )
}

/// All tables as this server shows them.
fn seen(server: &Server) -> Vec<Seen> {
    let session = server.connect();
    let seen = |(name, order): (&'static str, &'static str)| Seen {
        table: name,
        order,
        version: session.text(&format!("SELECT max(version) FROM sluice.epochs WHERE table_name = '{name}'")),
        rows: table(&session, &format!("SELECT * FROM {name}")).unwrap(),
    };
    KINDS.map(seen).into_iter().collect()
}

fn compare(engine: &str, warehouse: &Warehouse, stages: &[Seen]) {
    let folders: Vec<_> =
        stages.iter().map(|seen| warehouse.data().join(seen.table.replace('.', "/"))).collect();
    let questions: Vec<Question<'_>> = folders
        .iter()
        .zip(stages)
        .map(|(folder, seen)| (folder, "*", seen.order, seen.version.as_str()))
        .collect();
    let mut wrong = Vec::new();
    for (seen, theirs) in stages.iter().zip(read(engine, &questions)) {
        let Seen { table, version, rows, .. } = seen;
        let is_read = |row: &&str| !is_misread(engine, table, row);
        let told =
            |rows: &str| sorted(rows).into_iter().filter(is_read).map(str::to_string).collect::<Vec<_>>();
        assert!(told(rows).len() > 5, "{table}: hardly a row is compared");
        if theirs.lines().next() != rows.lines().next() || told(&theirs) != told(rows) {
            wrong.push(format!("{table} at version {version:?}\n  psql:\n{rows}\n  {engine}:\n{theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{engine} reads other rows:\n{}", wrong.join("\n\n"));
}

/// Polars 2.1 and delta-rs 1.6 look for a file's deletion vector under its path in a URL, where the path of the file has the
/// escapes of its name: rows that went come back where a partition's value is not written as it is in its folder's name.
fn is_misread(engine: &str, table: &str, row: &str) -> bool {
    let is_plain = ["place|", "p|", "|"].iter().any(|place| row.starts_with(place));
    engine == "polars" && table == "gold.by_place" && !is_plain
}
