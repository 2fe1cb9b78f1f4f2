//! DuckDB as a second opinion: it computes the queries over the same rows and compares.

use super::values::Columns;
use arrow::array::{Array as _, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A Python process that holds a DuckDB.
pub(super) struct Oracle {
    process: Mutex<Process>,
}

struct Process {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is this test's own, and has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it makes of a query.
#[derive(Debug)]
pub(super) enum Answer {
    /// The same rows.
    Same,
    /// Other rows; which.
    Different(String),
    /// It cannot compute the query.
    NotComputed(String),
}

impl Oracle {
    /// Starts it; `None` when there is no Python with DuckDB.
    pub(super) fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/law.py");
        let mut child = Command::new(python_path())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (ask, answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut process = Process { child, ask, answers };
        let mut greeting = String::new();
        let is_ready = process.answers.read_line(&mut greeting).is_ok() && greeting.trim() == "ready";
        is_ready.then(|| Self { process: Mutex::new(process) })
    }

    /// Compares the results of queries over these tables, and over these views of them.
    pub(super) fn ask(
        &self,
        tables: &[(String, Columns, Vec<RecordBatch>)],
        views: &[(String, String)],
        results: &[(String, Vec<RecordBatch>)],
    ) -> Result<Vec<Answer>, String> {
        let tables = tables.iter().map(|(name, columns, rows)| {
            let columns = columns.iter().map(|column| json!([column.name, column.kind.sql()]));
            json!({"name": name, "columns": columns.collect::<Vec<_>>(), "rows": texts(rows)})
        });
        let queries = results.iter().map(|(sql, rows)| json!({"sql": sql, "rows": texts(rows)}));
        let views = views.iter().map(|(name, sql)| json!({"name": name, "sql": sql}));
        let question = json!({
            "tables": tables.collect::<Vec<_>>(),
            "views": views.collect::<Vec<_>>(),
            "queries": queries.collect::<Vec<_>>(),
        });
        let mut process = self.process.lock();
        let mut line = String::new();
        writeln!(process.ask, "{question}").map_err(|error| format!("DuckDB: {error}"))?;
        process.answers.read_line(&mut line).map_err(|error| format!("DuckDB: {error}"))?;
        let answers: Vec<[Option<String>; 2]> =
            serde_json::from_str(&line).map_err(|error| format!("DuckDB: {error}: {line}"))?;
        let answers = answers.into_iter().map(|answer| match answer {
            [None, None] => Answer::Same,
            [Some(difference), _] => Answer::Different(difference),
            [None, Some(why)] => Answer::NotComputed(why),
        });
        Ok(answers.collect())
    }
}

/// Rows as lists of texts.
fn texts(rows: &[RecordBatch]) -> Vec<Value> {
    let options = FormatOptions::new();
    let mut all = Vec::new();
    for batch in rows {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| (column, ArrayFormatter::try_new(column, &options).unwrap()))
            .collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|(column, text)| match column.is_null(row) {
                true => Value::Null,
                false => Value::String(text.value(row).to_string()),
            });
            all.push(Value::Array(cells.collect()));
        }
    }
    all
}

/// As the outer tests find it.
fn python_path() -> PathBuf {
    if let Some(path) = std::env::var_os("SLUICE_TEST_PYTHON") {
        return path.into();
    }
    let cached = std::env::home_dir().unwrap_or_default().join(".cache/sluice-test-python/bin/python");
    if cached.exists() { cached } else { "python3".into() }
}
