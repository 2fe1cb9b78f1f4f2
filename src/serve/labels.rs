//! What PostgreSQL calls the columns of a query that the user gave no name: `?column?`, `count`, `int4`.
//!
//! The engine names them after their text and refuses two of one name; clients look them up by PostgreSQL's names. So
//! clashing columns get names of their own inside, and the labels are put on when the result goes out.

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArguments, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor,
    VisitMut as _, VisitorMut, visit_expressions, visit_expressions_mut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The labels of a query's columns as far as its text tells: `*` stands for unknown many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    first: Vec<String>,
    /// Columns of stars, and what stands between two of them: they keep the engine's names.
    open: bool,
    last: Vec<String>,
}

impl Labels {
    /// The schema with labels as names; every column may be null, as far as a client is told.
    pub(super) fn apply(&self, schema: &Schema) -> SchemaRef {
        let count = schema.fields().len();
        let known = self.first.len() + self.last.len();
        let fits = if self.open { known <= count } else { known == count };
        let fields = schema.fields().iter().enumerate().map(|(i, field)| {
            let label = match (fits, i < self.first.len(), i + self.last.len() >= count) {
                (true, true, _) => self.first[i].as_str(),
                (true, false, true) => self.last[i + self.last.len() - count].as_str(),
                _ => of_star(field.name(), schema),
            };
            Field::new(label, field.data_type().clone(), true).with_metadata(field.metadata().clone())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// Of two columns of one name in a query in FROM, the second is called `a:2` inside.
fn of_star<'a>(name: &'a str, schema: &Schema) -> &'a str {
    match name.rsplit_once(':') {
        Some((shared, place)) if place.parse::<usize>().is_ok() && schema.index_of(shared).is_ok() => shared,
        _ => name,
    }
}

/// Which columns get names of their own inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Those whose text is another's.
    AsWritten,
    /// All that are computed.
    Apart,
}

/// Finds a query's labels, and gives clashing columns names of their own. Columns of queries in FROM and WITH get their
/// labels as names, by which the query around them calls them.
pub(super) fn label(query: &mut Query, naming: Naming) -> Labels {
    let _ = query.visit(&mut Inner);
    match leftmost(&mut query.body) {
        Some(select) => label_select(select, naming),
        None => Labels { open: true, ..Labels::default() },
    }
}

struct Inner;

impl VisitorMut for Inner {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let ctes = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
        ctes.for_each(|cte| name_columns(&mut cte.query));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, .. } = factor {
            name_columns(subquery);
        }
        ControlFlow::Continue(())
    }
}

/// Two of one label keep the engine's names: nobody can tell them apart by their label.
fn name_columns(query: &mut Query) {
    let Some(select) = leftmost(&mut query.body) else { return };
    let label_of = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Some(figure(expr).0),
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        _ => None,
    };
    let labels: Vec<Option<String>> = select.projection.iter().map(label_of).collect();
    let is_single = |label: &String| labels.iter().flatten().filter(|other| *other == label).count() == 1;
    for (item, label) in select.projection.iter_mut().zip(&labels) {
        if let (SelectItem::UnnamedExpr(expr), Some(label)) = (&*item, label)
            && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
            && is_single(label)
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', label) };
        }
    }
}

/// A set operation takes its names from its first branch.
fn leftmost(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => leftmost(&mut query.body),
        SetExpr::SetOperation { left, .. } => leftmost(left),
        _ => None,
    }
}

fn label_select(select: &mut Select, naming: Naming) -> Labels {
    let star =
        |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let open = select.projection.iter().any(star);
    let mut labels = Labels { open, ..Labels::default() };
    let mut seen = HashSet::new();
    let mut after_star = false;
    for (i, item) in select.projection.iter_mut().enumerate() {
        let (label, key) = match &*item {
            SelectItem::UnnamedExpr(expr) => (figure(expr).0, engine_name(expr)),
            SelectItem::ExprWithAlias { alias, .. } => (fold(alias), fold(alias)),
            _ => {
                after_star = true;
                labels.last.clear();
                continue;
            }
        };
        let plain =
            matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        // The engine names every subquery alike, whatever its text.
        let nested = matches!(item, SelectItem::UnnamedExpr(expr) if holds_subquery(expr));
        let apart = naming == Naming::Apart && !plain && matches!(item, SelectItem::UnnamedExpr(_));
        let clashes =
            apart | nested | !seen.insert(key) | (plain && (!seen.insert(format!("{label} ")) || open));
        if clashes {
            let inside = Ident::with_quote('"', format!("{label} #{}", i + 1));
            let expr = match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr.clone(),
                _ => continue,
            };
            *item = SelectItem::ExprWithAlias { expr, alias: inside };
        }
        if after_star { labels.last.push(label) } else { labels.first.push(label) }
    }
    labels
}

/// What the engine tells columns apart by: their text without casts.
fn engine_name(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _ = visit_expressions_mut(&mut expr, |expr| {
        while let Expr::Cast { expr: inner, .. } = expr {
            let inner = std::mem::replace(inner.as_mut(), Expr::value(ast::Value::Null));
            *expr = inner;
        }
        if let Expr::TypedString(typed) = expr {
            *expr = Expr::Value(typed.value.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    expr.to_string()
}

fn holds_subquery(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |inner| match inner {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn fold(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// How sure PostgreSQL is of a label: a type's name gives way to a better one.
#[derive(PartialEq, PartialOrd)]
enum Strength {
    None,
    Weak,
    Strong,
}

/// PostgreSQL's `FigureColname`.
fn figure(expr: &Expr) -> (String, Strength) {
    let strong = |name: &str| (name.to_string(), Strength::Strong);
    match expr {
        Expr::Identifier(name) => (fold(name), Strength::Strong),
        Expr::CompoundIdentifier(names) => (names.last().map(fold).unwrap_or_default(), Strength::Strong),
        Expr::CompoundFieldAccess { root, access_chain } => access_chain
            .iter()
            .rev()
            .find_map(|access| match access {
                ast::AccessExpr::Dot(Expr::Identifier(name)) => Some((fold(name), Strength::Strong)),
                _ => None,
            })
            .unwrap_or_else(|| figure(root)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Function(function) => {
            let name = match function.name.0.last() {
                Some(ObjectNamePart::Identifier(name)) => fold(name),
                _ => String::new(),
            };
            if let FunctionArguments::Subquery(_) = function.args
                && name == "array"
            {
                return strong("array");
            }
            (name, Strength::Strong)
        }
        Expr::Cast { expr, data_type, .. } => {
            let inner = figure(expr);
            // A weaker label gives way to the type's.
            if inner.1 < Strength::Strong { (type_label(data_type), Strength::Weak) } else { inner }
        }
        Expr::TypedString(typed) => (type_label(&typed.data_type), Strength::Weak),
        Expr::Interval(_) => ("interval".to_string(), Strength::Weak),
        Expr::Case { else_result, .. } => {
            let inner = else_result.as_ref().map(|expr| figure(expr));
            match inner {
                Some((name, Strength::Strong)) => (name, Strength::Strong),
                _ => ("case".to_string(), Strength::Weak),
            }
        }
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) => strong("row"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Position { .. } => strong("position"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::BinaryOp { op: ast::BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::Subquery(query) => {
            match leftmost_read(&query.body).and_then(|select| select.projection.first()) {
                Some(SelectItem::UnnamedExpr(expr)) => figure(expr),
                Some(SelectItem::ExprWithAlias { alias, .. }) => (fold(alias), Strength::Strong),
                _ => ("?column?".to_string(), Strength::None),
            }
        }
        _ => ("?column?".to_string(), Strength::None),
    }
}

fn leftmost_read(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => leftmost_read(&query.body),
        SetExpr::SetOperation { left, .. } => leftmost_read(left),
        _ => None,
    }
}

/// The system's name of a type: `integer` is `int4`.
fn type_label(data_type: &ast::DataType) -> String {
    let text = data_type.to_string().to_lowercase();
    let base = text.trim_end_matches("[]");
    let base = base.split('(').next().unwrap_or(base).trim();
    let base = base.strip_prefix("pg_catalog.").unwrap_or(base);
    let name = match base {
        "smallint" | "int2" => "int2",
        "integer" | "int" | "int4" => "int4",
        "bigint" | "int8" => "int8",
        "real" | "float4" => "float4",
        "double precision" | "double" | "float8" | "float" => "float8",
        "decimal" | "dec" | "numeric" => "numeric",
        "boolean" | "bool" => "bool",
        "character varying" | "varchar" => "varchar",
        "character" | "char" => "bpchar",
        "timestamp without time zone" | "timestamp" => "timestamp",
        "timestamp with time zone" | "timestamptz" => "timestamptz",
        "time without time zone" | "time" => "time",
        "bytea" | "varbinary" | "blob" => "bytea",
        other => other,
    };
    let timestamptz = name == "timestamp" && text.contains("with time zone");
    let name = if timestamptz { "timestamptz" } else { name.trim_matches('"') };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Naming, label};
    use crate::serve::statement::{Statement, parse};
    use arrow::datatypes::{DataType, Field, Schema};

    fn labels(sql: &str, engine: &[&str]) -> Vec<String> {
        let Statement::Query(query) = parse(sql).unwrap().remove(0) else { panic!("{sql}") };
        let mut query = Clone::clone(&*query);
        let fields: Vec<_> = engine.iter().map(|name| Field::new(*name, DataType::Null, true)).collect();
        label(&mut query, Naming::AsWritten)
            .apply(&Schema::new(fields))
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    #[test]
    fn columns_are_called_as_postgresql_calls_them() {
        assert_eq!(
            labels(
                "select 1, count(*), a.B, x::int, 1::int, (2), 'a' as \"Q\", coalesce(a), true",
                &["z"; 9]
            ),
            ["?column?", "count", "b", "x", "int4", "?column?", "Q", "coalesce", "?column?"]
        );
        assert_eq!(
            labels(
                "select case when a then b else c end, case when a then 1 end, exists(select 1), date '2020-01-01', current_user, (select max(x) from t)",
                &["z"; 6]
            ),
            ["c", "case", "exists", "date", "current_user", "max"]
        );
        assert_eq!(
            labels("select 1, *, 2 from t", &["x", "p", "q", "y"]),
            ["?column?", "p", "q", "?column?"]
        );
        assert_eq!(labels("values (1, 2)", &["column1", "column2"]), ["column1", "column2"]);
        assert_eq!(labels("select 1 union select 2", &["x"]), ["?column?"]);
    }

    #[test]
    fn columns_of_inner_queries_can_be_called_by_their_labels() {
        let Statement::Query(query) = parse(
            "with w as (select lower(a), count(1) from t) select w.lower, count from w, (select 1, 2, a::int, max(b)) x",
        )
        .unwrap()
        .remove(0) else {
            panic!()
        };
        let mut query = Clone::clone(&*query);
        label(&mut query, Naming::AsWritten);
        assert_eq!(
            query.to_string(),
            "WITH w AS (SELECT lower(a) AS \"lower\", count(1) AS \"count\" FROM t) SELECT w.lower, count FROM w, \
             (SELECT 1, 2, a::INT AS \"a\", max(b) AS \"max\") x"
        );
    }

    #[test]
    fn columns_that_clash_get_names_of_their_own_inside() {
        let Statement::Query(query) = parse("select 1, 1, id, id, 2 as x, 3 as x from t").unwrap().remove(0)
        else {
            panic!()
        };
        let mut query = Clone::clone(&*query);
        label(&mut query, Naming::AsWritten);
        assert_eq!(
            query.to_string(),
            "SELECT 1, 1 AS \"?column? #2\", id, id AS \"id #4\", 2 AS x, 3 AS \"x #6\" FROM t"
        );
    }
}
