//! `EMIT ON WINDOW CLOSE`: a window's rows appear once the watermark of its source has passed the window's end.
//!
//! The watermark is taken from the rows, each of which has the one that stood when its commit began: the same rows give
//! the same result, however commits are cut into waves.

use super::cursor::{Cursor, is_word};
use super::query::normal;
use super::windows::{Names, filled_in, is_window_function};
use super::{Error, Origin};
use crate::lake::TableName;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Query, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};
use std::ops::ControlFlow;

const CLAUSE: [&str; 4] = ["EMIT", "ON", "WINDOW", "CLOSE"];

/// The tokens of a query without the clause at its end, and where that stands.
pub(super) fn take_emit(tokens: &[TokenWithSpan]) -> (&[TokenWithSpan], Option<Location>) {
    let Some(start) = tokens.len().checked_sub(CLAUSE.len()) else { return (tokens, None) };
    let (query, clause) = tokens.split_at(start);
    match clause.iter().zip(CLAUSE).all(|(token, word)| is_word(&token.token, word)) {
        true => (query, clause.first().map(|token| token.span.start)),
        false => (tokens, None),
    }
}

/// A query, its window functions not expanded yet, as one that shows closed windows alone; and the source whose watermark
/// closes them.
pub(super) fn on_close(query: Query, at: Location, cursor: &Cursor<'_>) -> Result<(Query, TableName), Error> {
    let origin = || cursor.source.origin(at);
    let source = source_of(&query, origin())?;
    let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    let text = format!(
        "SELECT * FROM __table AS __own WHERE window_end <= (SELECT max(_watermark) FROM {}.{})",
        quoted(&source.schema),
        quoted(&source.name)
    );
    let subquery = Box::new(query);
    let table = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
    let name = Ident::new("windows");
    let names = Names { table, own_name: name.clone(), time: name, keys: Vec::new() };
    let closed = filled_in(&text, at, names).map_err(|message| Error::new("XX000", origin(), message))?;
    Ok((closed, source))
}

/// The one source that a query's windows are over.
fn source_of(query: &Query, origin: Origin) -> Result<TableName, Error> {
    let mut windows = Windows { tables: Vec::new() };
    let _ = Visit::visit(query, &mut windows);
    let refused =
        |code, message: String, hint| Err(Error::new(code, origin.clone(), message).with_hint(hint));
    let hint = "Write FROM TUMBLE(bronze.source, time_column, INTERVAL '5' MINUTE) for one source that declares a WATERMARK.";
    match windows.tables.as_slice() {
        [] => refused("42P16", "EMIT ON WINDOW CLOSE without a window".to_string(), hint),
        [Some(source)] if source.schema == "bronze" => Ok(source.clone()),
        [Some(table)] => refused(
            "0A000",
            format!("EMIT ON WINDOW CLOSE needs a watermark, and {table} is no source"),
            hint,
        ),
        _ => refused("0A000", "EMIT ON WINDOW CLOSE takes windows over one source".to_string(), hint),
    }
}

/// What window functions are over, each once; `None` for what is no table.
struct Windows {
    tables: Vec<Option<TableName>>,
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
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definition, parse_file};

    fn parsed(query: &str) -> Result<String, String> {
        let text = format!("CREATE MATERIALIZED VIEW gold.x AS\n{query};");
        let parsed = parse_file("sql/gold/x.sql".as_ref(), &text).map_err(|e| format!("{e:?}"))?;
        match parsed.as_slice() {
            [Definition::MaterializedView(view)] => Ok(view.query.ast.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn closed_windows_alone_are_shown() {
        let query = "SELECT window_end, count(*) AS n FROM TUMBLE(bronze.a, t, INTERVAL '1' DAY) GROUP BY 1 EMIT ON WINDOW CLOSE";
        let text = parsed(query).unwrap();
        assert!(
            text.starts_with("SELECT * FROM (SELECT window_end, count(*) AS n FROM (SELECT *, window_floor("),
            "{text}"
        );
        assert!(
            text.ends_with("WHERE window_end <= (SELECT max(_watermark) FROM \"bronze\".\"a\")"),
            "{text}"
        );
    }

    #[test]
    fn what_has_no_watermark_is_refused() {
        for (query, why) in [
            ("SELECT 1 AS a EMIT ON WINDOW CLOSE", "without a window"),
            (
                "SELECT * FROM TUMBLE(silver.a, t, INTERVAL '1' DAY) EMIT ON WINDOW CLOSE",
                "silver.a is no source",
            ),
            ("SELECT * FROM TUMBLE((SELECT 1), t, INTERVAL '1' DAY) EMIT ON WINDOW CLOSE", "over one source"),
        ] {
            let error = parsed(query).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
