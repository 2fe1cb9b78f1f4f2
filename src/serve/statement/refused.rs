//! Everything else, refused by name.

use crate::serve::Error;
use crate::sql::{TABLESAMPLE, is_sampled};
use datafusion::sql::sqlparser::ast::{self, SetExpr, Visit, Visitor};
use std::ops::ControlFlow;

const DEFINED_IN_FILES: &str = "Definitions are read from the project's files: change catalog/ or sql/, and the warehouse \
     follows. A connection may define views, materialized views, tables by their query (CREATE TABLE ... AS), audits and alerts.";

const SOURCES: &str = "A table without a query is a source: declare it in catalog/, with connector = 'http' for INSERT and COPY ... FROM STDIN, \
     or with connector = 'files' for CSV files in a folder (a dbt seed's, for one).";

const KEPT_UP_TO_DATE: &str = "Models are kept up to date by the warehouse: define a view or a table by its query in place of a dbt \
     incremental model, and FLOW AUTO CDC ... STORED AS SCD TYPE 2 in sql/ in place of a snapshot.";

/// Why a statement that begins with these words is not answered; `None` if they begin no statement at all.
pub(super) fn refusal(first: &str, second: Option<&str>) -> Option<Error> {
    let named = match second {
        Some(second) => format!("{first} {second}"),
        None => first.to_string(),
    };
    Some(match first {
        "CREATE" if second.is_some_and(|word| word.eq_ignore_ascii_case("TABLE")) => {
            Error::new("0A000", "CREATE TABLE without a query is not supported over a connection")
                .with_hint(SOURCES)
        }
        "CREATE"
            if second.is_some_and(|word| ["TEMP", "TEMPORARY"].contains(&word.to_uppercase().as_str())) =>
        {
            Error::new("0A000", format!("{named} is not supported over a connection"))
                .with_hint(KEPT_UP_TO_DATE)
        }
        "CREATE" | "ALTER" | "DROP" | "COMMENT" | "TRUNCATE" => {
            Error::new("0A000", format!("{named} is not supported over a connection"))
                .with_hint(DEFINED_IN_FILES)
        }
        "INSERT" => Error::new("0A000", "INSERT inside a query is not supported").with_hint(
            "INSERT INTO puts rows into a source with connector = 'http', as a statement of its own.",
        ),
        "UPDATE" | "DELETE" | "MERGE" => Error::new(
            "42501",
            format!("permission denied for {first}: rows are never changed over a connection"),
        )
        .with_hint(KEPT_UP_TO_DATE),
        "REASSIGN" | "SECURITY" => Error::new("0A000", format!("{first} is not supported over a connection"))
            .with_hint("Everything belongs to one owner; rights are given with GRANT."),
        "LISTEN" | "NOTIFY" | "LOCK" | "VACUUM" | "ANALYZE" | "ANALYSE" | "CLUSTER" | "REINDEX" | "CALL"
        | "DO" | "LOAD" | "CHECKPOINT" | "IMPORT" | "USE" | "ATTACH" | "DETACH" | "INSTALL" | "PRAGMA"
        | "DESCRIBE" | "DESC" | "KILL" | "UNLOAD" | "EXPORT" | "MSCK" | "REPLACE" | "AUDIT" => {
            Error::new("0A000", format!("{named} is not supported over a connection"))
        }
        _ => return None,
    })
}

/// Queries can hide what writes or locks; the parser reads it, readers may not say it.
pub(super) fn check_query(query: &ast::Query) -> Result<(), Error> {
    match query.visit(&mut Hidden) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Hidden;

impl Visitor for Hidden {
    type Break = Error;

    fn pre_visit_statement(&mut self, statement: &ast::Statement) -> ControlFlow<Error> {
        let text = statement.to_string();
        let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
        ControlFlow::Break(
            refusal(&word, None)
                .unwrap_or_else(|| Error::new("0A000", format!("{word} inside a query is not supported"))),
        )
    }

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Error> {
        let unsupported = if !query.locks.is_empty() {
            Some("FOR UPDATE and FOR SHARE")
        } else if query.for_clause.is_some() {
            Some("FOR XML, FOR JSON and FOR BROWSE")
        } else if query.settings.is_some() || query.format_clause.is_some() {
            Some("SETTINGS and FORMAT")
        } else if selects_into(&query.body) {
            Some("SELECT INTO")
        } else {
            None
        };
        match unsupported {
            Some(what) => ControlFlow::Break(Error::new("0A000", format!("{what} is not supported"))),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<Error> {
        match is_sampled(factor) {
            true => {
                ControlFlow::Break(Error::new("0A000", "TABLESAMPLE is not supported").with_hint(TABLESAMPLE))
            }
            false => ControlFlow::Continue(()),
        }
    }
}

fn selects_into(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_some(),
        SetExpr::SetOperation { left, right, .. } => selects_into(left) || selects_into(right),
        _ => false,
    }
}
