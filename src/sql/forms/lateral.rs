//! Items of FROM that are computed of the item before them: `t, unnest(t.list) AS x`, `t CROSS JOIN generate_series(1,
//! t.n) AS s`, `t JOIN LATERAL (SELECT t.a * 2 AS b) AS y ON true`, `t LEFT JOIN LATERAL unnest(t.list) AS x ON true`.
//!
//! They become columns of the table before: `(SELECT *, unnest(t.list) AS x FROM t) AS t`. The engine makes rows of lists
//! in a select list only, and knows no table that depends on another.

use super::fragments::{argument_of, call, filled, query, select_of, take};
use super::json_rows;
use super::names::{in_catalog, normalized};
use datafusion::sql::sqlparser::ast::{
    Array, ExcludeSelectItem, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator,
    SetQuantifier, TableAlias, TableFactor, TableWithJoins, Value, visit_expressions, visit_expressions_mut,
};
use std::ops::ControlFlow;

/// Functions that return rows in PostgreSQL and a list here.
pub const SET_RETURNING: [&str; 10] = [
    "unnest",
    "generate_series",
    "generate_subscripts",
    "pg_partition_ancestors",
    "_pg_expandarray",
    "regexp_split_to_table",
    "regexp_matches",
    "string_to_table",
    "json_object_keys",
    "jsonb_object_keys",
];

/// Applies the rule to one SELECT.
pub fn rewrite(select: &mut Select) {
    let mut renamed: Vec<Renamed> = vec![];
    let mut from: Vec<TableWithJoins> = vec![];
    for mut item in std::mem::take(&mut select.from) {
        // What stands behind a comma may depend on what stands before it.
        if let Some(before) = from.last_mut().filter(|before| before.joins.is_empty())
            && let Some(columns) = dependent(&item.relation, false)
            && let Some(name) = widen(&mut before.relation, &columns)
        {
            renamed.push(Renamed::new(columns, name));
            before.joins = item.joins;
            continue;
        }
        while let Some(columns) = item
            .joins
            .first()
            .filter(|join| is_true(join))
            .and_then(|join| dependent(&join.relation, is_left(join)))
            && let Some(name) = widen(&mut item.relation, &columns)
        {
            renamed.push(Renamed::new(columns, name));
            item.joins.remove(0);
        }
        from.push(item);
    }
    select.from = from;
    if renamed.is_empty() {
        return;
    }
    let items = std::mem::take(&mut select.projection).into_iter();
    select.projection = items.flat_map(|item| own_columns(item, &renamed)).collect();
    let _ = visit_expressions_mut(select, |expr| {
        if let Expr::CompoundIdentifier(names) = expr
            && let [table, _] = names.as_mut_slice()
            && let Some(now) = renamed.iter().find(|item| item.name == normalized(table))
        {
            *table = Ident { span: table.span, ..now.table.clone() };
        }
        ControlFlow::<()>::Continue(())
    });
}

/// An item of FROM whose columns are another table's now.
struct Renamed {
    name: String,
    table: Ident,
    columns: Vec<Ident>,
}

impl Renamed {
    fn new(columns: Columns, table: Ident) -> Self {
        let named = columns.items.into_iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            _ => None,
        });
        Self { name: columns.name, table, columns: named.collect() }
    }
}

/// The star of one item, `e.*`, without what the table has of others.
fn own_columns(mut item: SelectItem, renamed: &[Renamed]) -> Vec<SelectItem> {
    let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) = &mut item
    else {
        return vec![item];
    };
    let Some(table) = name.0.last().and_then(ObjectNamePart::as_ident).map(normalized) else {
        return vec![item];
    };
    if let Some(of) = renamed.iter().find(|of| of.name == table) {
        let column = |name: &Ident| Expr::CompoundIdentifier(vec![of.table.clone(), name.clone()]);
        return of.columns.iter().map(|name| SelectItem::UnnamedExpr(column(name))).collect();
    }
    let others =
        renamed.iter().filter(|of| normalized(&of.table) == table).flat_map(|of| of.columns.iter().cloned());
    let others: Vec<ObjectName> = others.map(|name| ObjectName::from(vec![name])).collect();
    if !others.is_empty() && options.opt_exclude.is_none() {
        options.opt_exclude = Some(ExcludeSelectItem::Multiple(others));
    }
    vec![item]
}

/// The columns that an item gives, and the name of the item.
struct Columns {
    name: String,
    items: Vec<SelectItem>,
}

/// The columns of an item that depends on others; `None` for what the engine can do itself, and what cannot be done so.
/// `keeps_rows` if what an item gives no rows for stays, with NULL.
fn dependent(factor: &TableFactor, keeps_rows: bool) -> Option<Columns> {
    if !keeps_rows
        && let Some((function, arguments, alias, numbered)) = json_rows::called(factor)
        && arguments.iter().any(names_columns)
        && let Some(mut columns) = json_rows::columns(&function, &arguments)
    {
        if numbered {
            columns.push(("ordinality", json_rows::places(&function, &arguments)?));
        }
        let name = alias.map_or_else(|| Ident::new(&function), |alias| alias.name.clone());
        let named = alias.into_iter().flat_map(|alias| &alias.columns).map(|column| column.name.clone());
        let named = named.map(Some).chain(std::iter::repeat(None));
        let items = columns.into_iter().zip(named).map(|((known, expr), named)| {
            let alias = named.unwrap_or_else(|| Ident::with_quote('"', known));
            SelectItem::ExprWithAlias { expr, alias }
        });
        return Some(Columns { name: normalized(&name), items: items.collect() });
    }
    if !keeps_rows
        && let Some((function, arguments, Some(alias), false)) = json_rows::called(factor)
        && arguments.iter().any(names_columns)
        && let Some(columns) = json_rows::record_columns(&function, &arguments, Some(alias))
    {
        let items = columns.into_iter().map(|(alias, expr)| SelectItem::ExprWithAlias { expr, alias });
        return Some(Columns { name: normalized(&alias.name), items: items.collect() });
    }
    let (function, mut arguments, alias) = match factor {
        TableFactor::Table { name, args: Some(arguments), alias, .. } => {
            (in_catalog(name)?, arguments.args.iter().map(argument_of).collect::<Option<Vec<_>>>()?, alias)
        }
        TableFactor::Function { name, args, alias, .. } => {
            (in_catalog(name)?, args.iter().map(argument_of).collect::<Option<Vec<_>>>()?, alias)
        }
        TableFactor::UNNEST { array_exprs, alias, .. } => ("unnest".to_string(), array_exprs.clone(), alias),
        TableFactor::Derived { lateral: true, subquery, alias: Some(alias), .. } => {
            let items = computed(subquery, alias)?;
            return Some(Columns { name: normalized(&alias.name), items });
        }
        _ => return None,
    };
    let numbered = matches!(
        factor,
        TableFactor::Table { with_ordinality: true, .. }
            | TableFactor::Function { with_ordinality: true, .. }
            | TableFactor::UNNEST { with_ordinality: true, .. }
    );
    if numbered && (keeps_rows || function != "unnest" || arguments.len() != 1) {
        return None;
    }
    if keeps_rows {
        let ([list], "unnest") = (arguments.as_mut_slice(), function.as_str()) else { return None };
        // One of NULL in the place of none and of an empty one.
        let or_null = "SELECT CASE WHEN cardinality(x) > 0 THEN x ELSE array_append(x, NULL) END";
        *list = filled(or_null, take(list))?;
    }
    let refers = arguments.iter().any(names_columns);
    if !refers || !SET_RETURNING.contains(&function.as_str()) {
        return None;
    }
    let alias = alias.clone();
    let name = alias.as_ref().map_or_else(|| Ident::new(&function), |alias| alias.name.clone());
    let mut named = alias.into_iter().flat_map(|alias| alias.columns).map(|column| column.name);
    let column = named.next().unwrap_or_else(|| name.clone());
    let places = numbered
        .then(|| filled("SELECT generate_series(1, CAST(cardinality(x) AS BIGINT))", arguments[0].clone()));
    let mut items = vec![SelectItem::ExprWithAlias { expr: call(&function, arguments), alias: column }];
    if let Some(expr) = places {
        let alias = named.next().unwrap_or_else(|| Ident::new("ordinality"));
        items.push(SelectItem::ExprWithAlias { expr: expr?, alias });
    }
    Some(Columns { name: normalized(&name), items })
}

/// The columns of a query without FROM, of `VALUES` and of a `UNION ALL` of such queries: several rows are lists side by side.
fn computed(subquery: &Query, alias: &TableAlias) -> Option<Vec<SelectItem>> {
    if subquery.with.is_some() || subquery.limit_clause.is_some() || subquery.fetch.is_some() {
        return None;
    }
    let rows = rows_of(&subquery.body)?;
    if !rows.iter().flatten().any(|(expr, _)| names_columns(expr)) {
        return None;
    }
    let named = alias.columns.iter().map(|column| Some(column.name.clone())).chain(std::iter::repeat(None));
    let columns = rows.first()?.iter().zip(named).enumerate().map(|(place, ((_, known), named))| {
        let mut values = rows.iter().map(|row| row.get(place).map(|(expr, _)| expr.clone()));
        let expr = match rows.len() {
            1 => values.next()??,
            _ => {
                let elem = values.collect::<Option<_>>()?;
                call("unnest", vec![Expr::Array(Array { elem, named: true })])
            }
        };
        Some(SelectItem::ExprWithAlias { expr, alias: named.or_else(|| known.clone())? })
    });
    columns.collect()
}

/// Rows of values, with the names of their columns where they have some.
fn rows_of(body: &SetExpr) -> Option<Vec<Vec<(Expr, Option<Ident>)>>> {
    match body {
        SetExpr::Values(values) => {
            let named = |(place, expr): (usize, &Expr)| {
                (expr.clone(), Some(Ident::new(format!("column{}", place + 1))))
            };
            Some(values.rows.iter().map(|row| row.iter().enumerate().map(named).collect()).collect())
        }
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            let mut rows = rows_of(left)?;
            rows.extend(rows_of(right)?);
            Some(rows)
        }
        SetExpr::Select(select) => {
            let is_plain = select.from.is_empty()
                && select.selection.is_none()
                && select.having.is_none()
                && select.distinct.is_none()
                && matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
            let row = select.projection.iter().map(|item| match item {
                SelectItem::UnnamedExpr(expr) => Some((expr.clone(), None)),
                SelectItem::ExprWithAlias { expr, alias } => Some((expr.clone(), Some(alias.clone()))),
                _ => None,
            });
            is_plain.then(|| row.collect::<Option<_>>()).flatten().map(|row| vec![row])
        }
        _ => None,
    }
}

/// Gives a table these columns beside its own; its name then.
fn widen(factor: &mut TableFactor, columns: &Columns) -> Option<Ident> {
    let name = match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => alias.name.clone(),
        TableFactor::Table { name, alias: None, args: None, .. } => name.0.last()?.as_ident()?.clone(),
        _ => return None,
    };
    let mut inner = query("SELECT * FROM t")?;
    let select = select_of(&mut inner)?;
    select.projection.extend(columns.items.iter().cloned());
    std::mem::swap(&mut select.from.first_mut()?.relation, factor);
    let alias = TableAlias { explicit: true, name: name.clone(), columns: vec![], at: None };
    *factor = TableFactor::Derived { lateral: false, subquery: inner, alias: Some(alias), sample: None };
    Some(name)
}

fn names_columns(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// True for a join whose condition holds for every pair.
fn is_true(join: &Join) -> bool {
    match &join.join_operator {
        JoinOperator::CrossJoin(_) => true,
        JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on)) => {
            matches!(on, Expr::Value(value) if value.value == Value::Boolean(true))
        }
        _ => false,
    }
}

/// True for a join that keeps rows without a pair.
fn is_left(join: &Join) -> bool {
    matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_))
}
