//! What may stand behind a view over time windows: `EMIT ON WINDOW CLOSE`, `LATE ROWS TO table`.
//!
//! ```text
//! EMIT ON WINDOW CLOSE    the query's rows of windows that the watermark has passed
//! LATE ROWS TO table      the view reads the rows that are in time; the table, a view of its own, the late ones
//! ```
//!
//! A row is late at the watermark that stood when its commit began, which the row has. Windows are closed by the one that
//! the source's newest commit came to; where they are over a streaming table, the newest that it has followed. So the same
//! versions of the inputs give the same result, however commits are cut into waves.

use super::cursor::{Cursor, is_word};
use super::query::normal;
use super::syntax::quoted_table;
use super::windows::{Given, Names, expand_windows_given, filled_in, is_window_function};
use super::{Error, LateRows, MaterializedViewDefinition, ModelQuery, Origin, WindowError};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};
use std::ops::ControlFlow;

const EMIT: [&str; 4] = ["EMIT", "ON", "WINDOW", "CLOSE"];
const LATE: [&str; 3] = ["LATE", "ROWS", "TO"];

/// The clauses behind a query, and where they stand.
#[derive(Default)]
pub(super) struct Clauses {
    pub(super) emit: Option<Location>,
    pub(super) late: Option<(Location, TableName)>,
}

/// The tokens of a query without the clauses behind it.
pub(super) fn take_clauses<'a>(
    cursor: &Cursor<'a>,
    tokens: &'a [TokenWithSpan],
) -> Result<(&'a [TokenWithSpan], Clauses), Error> {
    let begins = |at: &usize| {
        let stands = |words: &[&str]| {
            let tokens = tokens[*at..].iter().map(|token| &token.token);
            tokens.len() >= words.len() && tokens.zip(words).all(|(token, word)| is_word(token, word))
        };
        stands(&EMIT) || stands(&LATE)
    };
    let mut clauses = Clauses::default();
    let Some(start) = (0..tokens.len()).find(begins) else { return Ok((tokens, clauses)) };
    let (query, behind) = tokens.split_at(start);
    let mut behind = cursor.within(behind, cursor.location());
    while !behind.at_end() {
        let at = behind.location();
        if clauses.emit.is_none() && behind.take_words(&EMIT) {
            clauses.emit = Some(at);
        } else if clauses.late.is_none() && behind.take_words(&LATE) {
            clauses.late = Some((at, behind.table_name("a table for late rows")?.0));
        } else {
            return Err(behind.unexpected("the end of the statement").with_hint(
                "EMIT ON WINDOW CLOSE and LATE ROWS TO schema.table stand at the end of a view, each once.",
            ));
        }
    }
    Ok((query, clauses))
}

/// A query, its window functions not expanded yet, as one that shows closed windows alone.
pub(super) fn on_close(query: Query, table: &TableName, at: Location) -> Result<Query, String> {
    let text = format!(
        "SELECT __own.* FROM __table AS __own JOIN {} AS mark ON __own.window_end <= mark.watermark",
        quoted_table(&table.watermark())
    );
    let subquery = Box::new(query);
    filled_in(&text, at, names(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None }))
}

fn names(table: TableFactor) -> Names {
    let name = Ident::new("windows");
    Names { table, own_name: name.clone(), time: name, keys: Vec::new() }
}

/// The rows that are late for a query's windows, and where they are kept.
pub(super) fn late_rows(
    query: &Query,
    table: &TableName,
    (at, to): (Location, TableName),
    cursor: &Cursor<'_>,
) -> Result<LateRows, Error> {
    let origin = || cursor.source.origin(at);
    let Some(function) = Windows::of(query).function else {
        return Err(Error::new("0A000", origin(), "LATE ROWS TO takes one window function")
            .with_hint("Keep the late rows of each by a view of its own, and join the views."));
    };
    let internal = |message: String| Error::new("XX000", origin(), message);
    let mut ast = filled_in("SELECT * FROM __table AS __own", at, names(function)).map_err(internal)?;
    let sql = ast.to_string();
    expand_windows_given(&mut ast, Given::Late).map_err(|error| window_mistake(cursor, error))?;
    let query = ModelQuery {
        ast: Opaque::new(ast),
        sql,
        streams: Vec::new(),
        inputs: vec![table.clone()],
        watermark_of: Some(table.clone()),
        late: None,
    };
    Ok(LateRows { to, query })
}

/// A window function's mistake in its file.
pub(super) fn window_mistake(cursor: &Cursor<'_>, error: WindowError) -> Error {
    Error::new(error.code, cursor.source.origin(error.at), error.message).with_hint(error.hint)
}

/// The one table that a query's windows are over.
pub(super) fn windowed_table(query: &Query, clause: &str, origin: Origin) -> Result<TableName, Error> {
    let hint = "Write FROM TUMBLE(bronze.source, time_column, INTERVAL '5' MINUTE) for one source that declares a WATERMARK.";
    let refused = |code, message: String| Err(Error::new(code, origin.clone(), message).with_hint(hint));
    match Windows::of(query).tables.as_slice() {
        [] => refused("42P16", format!("{clause} without a window")),
        [Some(table)] => Ok(table.clone()),
        _ => refused("0A000", format!("{clause} takes windows over one table")),
    }
}

/// The window functions of a query.
#[derive(Default)]
struct Windows {
    /// What they are over, each once; `None` for what is no table.
    tables: Vec<Option<TableName>>,
    /// The function, if there is one alone.
    function: Option<TableFactor>,
    count: usize,
}

impl Windows {
    fn of(query: &Query) -> Self {
        let mut windows = Self::default();
        let _ = Visit::visit(query, &mut windows);
        windows
    }
}

impl Visitor for Windows {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(arguments), .. } = factor
            && is_window_function(name)
        {
            let table = match arguments.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)))) => {
                    match parts.as_slice() {
                        [schema, table] => Some(TableName::new(normal(schema), normal(table))),
                        _ => None,
                    }
                }
                _ => None,
            };
            if !self.tables.contains(&table) {
                self.tables.push(table);
            }
            self.count += 1;
            self.function = (self.count == 1).then(|| factor.clone());
        }
        ControlFlow::Continue(())
    }
}

/// The view that keeps a view's late rows, if they are kept apart.
pub fn late_view(view: &MaterializedViewDefinition) -> Option<MaterializedViewDefinition> {
    let LateRows { to, query } = view.query.late.as_deref()?.clone();
    Some(MaterializedViewDefinition {
        name: to,
        columns: None,
        column_names: None,
        expectations: Vec::new(),
        partitioned_by: Vec::new(),
        trigger: view.trigger.clone(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        tags: Vec::new(),
        refresh_policy: view.refresh_policy,
        query,
        apart: None,
        late_of: Some(view.name.clone()),
        apart_of: None,
        sql: view.sql.clone(),
        origin: view.origin.clone(),
    })
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definition, MaterializedViewDefinition, late_view, parse_file};

    fn view(query: &str) -> Result<MaterializedViewDefinition, String> {
        let text = format!("CREATE MATERIALIZED VIEW gold.x AS\n{query};");
        let mut parsed = parse_file("sql/gold/x.sql".as_ref(), &text).map_err(|e| format!("{e:?}"))?;
        match parsed.pop() {
            Some(Definition::MaterializedView(view)) => Ok(view),
            other => Err(format!("{other:?}")),
        }
    }

    const QUERY: &str =
        "SELECT window_end, count(*) AS n FROM TUMBLE(bronze.a, t, INTERVAL '1' DAY) GROUP BY 1";

    #[test]
    fn closed_windows_alone_are_shown() {
        let text = view(&format!("{QUERY} EMIT ON WINDOW CLOSE")).unwrap().query.ast.to_string();
        assert!(
            text.starts_with(
                "SELECT windows.* FROM (SELECT window_end, count(*) AS n FROM (SELECT *, window_floor("
            ),
            "{text}"
        );
        assert!(
            text.ends_with(
                "JOIN \"bronze\".\"a__watermark\" AS mark ON windows.window_end <= mark.watermark"
            ),
            "{text}"
        );
        let over = QUERY.replace("bronze", "silver");
        let text = view(&format!("{over} EMIT ON WINDOW CLOSE")).unwrap().query.ast.to_string();
        assert!(text.contains("JOIN \"silver\".\"a__watermark\" AS mark"), "{text}");
    }

    #[test]
    fn late_rows_are_a_view_beside() {
        for both in ["EMIT ON WINDOW CLOSE LATE ROWS TO gold.y", "LATE ROWS TO gold.y EMIT ON WINDOW CLOSE"] {
            let view = view(&format!("{QUERY} {both}")).unwrap();
            assert!(view.query.ast.to_string().contains("IS NOT TRUE) AS a GROUP BY 1) AS windows JOIN"));
            let late = late_view(&view).unwrap();
            assert_eq!(
                (late.name.to_string(), late.late_of.clone()),
                ("gold.y".to_string(), Some(view.name))
            );
            assert_eq!(late.query.sql, "SELECT * FROM TUMBLE(bronze.a, t, INTERVAL '1' DAY) AS windows");
            assert!(
                late.query.ast.to_string().contains(" <= _watermark) AS windows"),
                "{}",
                late.query.ast.to_string()
            );
        }
        assert!(late_view(&view(QUERY).unwrap()).is_none());
    }

    #[test]
    fn what_has_no_windows_is_refused() {
        for (query, why) in [
            ("SELECT 1 AS a EMIT ON WINDOW CLOSE", "EMIT ON WINDOW CLOSE without a window"),
            ("SELECT 1 AS a LATE ROWS TO gold.y", "LATE ROWS TO without a window"),
            ("SELECT * FROM TUMBLE((SELECT 1), t, INTERVAL '1' DAY) EMIT ON WINDOW CLOSE", "over one table"),
            (
                "SELECT * FROM TUMBLE(bronze.a, t, INTERVAL '1' DAY) a, TUMBLE(bronze.a, t, INTERVAL '2' DAY) b LATE ROWS TO gold.y",
                "takes one window function",
            ),
            ("SELECT 1 AS a LATE ROWS TO y", "names no schema"),
            ("SELECT 1 AS a EMIT ON WINDOW CLOSE ORDER BY 1", "expected the end of the statement"),
            ("SELECT 1 AS a LATE ROWS TO gold.x LATE ROWS TO gold.y", "expected the end of the statement"),
        ] {
            let error = view(query).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
