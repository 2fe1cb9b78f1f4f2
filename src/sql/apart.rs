//! The rows that a materialized view's rules set apart: a view of its own beside it, `<view>__quarantine`, whose rows come and
//! go with the inputs as the view's do.

use super::precedence::bind_as_written;
use super::syntax::{literal, quoted};
use super::types::type_name;
use super::{ColumnDefinition, Error, Expectation, MaterializedViewDefinition, ModelQuery, ViolationAction};
use crate::ops::opaque::Opaque;
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// The columns that such a view has beyond those of its view.
pub const APART_RULE: &str = "_rule";
/// Why the rule is broken.
pub const APART_REASON: &str = "_reason";

/// How a view's columns are called, and of which types they are.
#[derive(Clone, Copy)]
pub(super) enum Named<'a> {
    /// As the query has them.
    ByQuery,
    /// By these names.
    Names(&'a [String]),
    /// By these names, with types that the query's rows are cast to.
    Columns(&'a [ColumnDefinition]),
}

/// The query of the rows that a view's rules set apart, each with the first rule that it breaks; `None` without such rules.
pub(super) fn query_apart(
    query: &ModelQuery,
    named: Named<'_>,
    expectations: &[Expectation],
) -> Result<Option<Box<ModelQuery>>, Error> {
    let sets_apart = |rule: &&Expectation| rule.action == ViolationAction::QuarantineRow;
    let rules: Vec<&Expectation> = expectations.iter().filter(sets_apart).collect();
    let Some(first) = rules.first() else { return Ok(None) };
    let broken = |rule: &&Expectation| format!("({}) IS NOT TRUE", rule.predicate);
    let case = |says: &dyn Fn(&Expectation) -> String| {
        let whens = rules.iter().map(|rule| format!("WHEN {} THEN {}", broken(rule), literal(&says(rule))));
        format!("CASE {} END", whens.collect::<Vec<_>>().join(" "))
    };
    let reason = |rule: &Expectation| format!("expectation \"{}\" is not met: {}", rule.name, rule.predicate);
    let text = format!(
        "SELECT __rows.*, {} AS {APART_RULE}, {} AS {APART_REASON} FROM {} WHERE {}",
        case(&|rule| rule.name.clone()),
        case(&reason),
        rows(query, named),
        rules.iter().map(broken).collect::<Vec<_>>().join(" OR "),
    );
    let ast = parsed(&text).map_err(|message| Error::new("XX000", first.origin.clone(), message))?;
    Ok(Some(Box::new(ModelQuery { ast: Opaque::new(ast), sql: text, late: None, ..query.clone() })))
}

/// The rows that rules judge.
fn rows(query: &ModelQuery, named: Named<'_>) -> String {
    let list = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
    let query = &*query.ast;
    match named {
        Named::ByQuery => format!("({query}) AS __rows"),
        Named::Names(names) => {
            format!("({query}) AS __rows ({})", list(&mut names.iter().map(|name| quoted(name))))
        }
        Named::Columns(columns) => {
            let names = list(&mut columns.iter().map(|column| quoted(&column.name)));
            let typed = list(&mut columns.iter().map(typed));
            format!("(SELECT {typed} FROM ({query}) AS __given ({names})) AS __rows")
        }
    }
}

/// A column as it is stored: a rule judges the value that is rounded.
fn typed(column: &ColumnDefinition) -> String {
    let name = quoted(&column.name);
    let is_cast = match &column.data_type {
        DataType::Boolean | DataType::Date32 | DataType::Utf8 | DataType::Decimal128(..) => true,
        number => number.is_integer() || number.is_floating(),
    };
    match is_cast {
        true => format!("CAST({name} AS {}) AS {name}", type_name(&column.data_type)),
        false => name,
    }
}

fn parsed(text: &str) -> Result<Query, String> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(|e| e.to_string())?;
    let mut query = parser.parse_query().map_err(|e| e.to_string())?;
    bind_as_written(&mut query);
    Ok(*query)
}

/// The view that keeps the rows that a view's rules set apart, if there are such.
pub fn apart_view(view: &MaterializedViewDefinition) -> Option<MaterializedViewDefinition> {
    let query = view.apart.as_deref()?.clone();
    Some(MaterializedViewDefinition {
        name: view.name.quarantine(),
        columns: None,
        column_names: None,
        expectations: Vec::new(),
        partitioned_by: Vec::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        query,
        apart: None,
        late_of: None,
        apart_of: Some(view.name.clone()),
        ..view.clone()
    })
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definition, apart_view, parse_file};

    fn apart(list: &str) -> Option<String> {
        let text = format!(
            "CREATE MATERIALIZED VIEW gold.x {list} AS SELECT a, sum(b) AS n FROM silver.t GROUP BY a;"
        );
        let Some(Definition::MaterializedView(view)) =
            parse_file("sql/gold/x.sql".as_ref(), &text).unwrap().pop()
        else {
            panic!("{text}")
        };
        let apart = apart_view(&view)?;
        assert_eq!(
            (apart.name.to_string(), apart.apart_of),
            ("gold.x__quarantine".to_string(), Some(view.name))
        );
        Some(apart.query.ast.to_string())
    }

    #[test]
    fn rows_that_break_a_rule_are_a_view_beside() {
        let text = apart(
            "(k INT, \"N\" BIGINT, CONSTRAINT few EXPECT (\"N\" < 10) ON VIOLATION QUARANTINE ROW, \
             CONSTRAINT known EXPECT (k <> '''') ON VIOLATION QUARANTINE ROW, CONSTRAINT usual EXPECT (k > 1))",
        );
        assert_eq!(
            text.unwrap(),
            "SELECT __rows.*, CASE WHEN (\"N\" < 10) IS NOT TRUE THEN 'few' WHEN (k <> '''') IS NOT TRUE THEN 'known' END AS _rule, \
             CASE WHEN (\"N\" < 10) IS NOT TRUE THEN 'expectation \"few\" is not met: \"N\" < 10' WHEN (k <> '''') IS NOT TRUE \
             THEN E'expectation \"known\" is not met: k <> \\'\\'\\'\\'' END AS _reason FROM (SELECT CAST(\"k\" AS INT) AS \"k\", \
             CAST(\"N\" AS BIGINT) AS \"N\" FROM (SELECT a, sum(b) AS n FROM silver.t GROUP BY a) AS __given (\"k\", \"N\")) AS __rows WHERE (\"N\" < 10) IS NOT TRUE OR (k <> '''') IS NOT TRUE"
        );
        assert_eq!(apart("(k INT, n BIGINT, CONSTRAINT few EXPECT (n < 10) ON VIOLATION DROP ROW)"), None);
        assert_eq!(apart(""), None);
    }
}
