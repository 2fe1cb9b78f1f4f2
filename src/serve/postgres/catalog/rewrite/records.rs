//! Whole rows as values of their own: `SELECT t FROM t`, `SELECT ROW(1, 'a')`. They print as PostgreSQL's records do: `(1,a)`.

use super::Rewriter;
use super::fragments::{argument_of, call, outside_subqueries, select_of, take};
use super::names::{in_catalog, normalized, parts};
use crate::lake::TableName;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinOperator, ObjectName, Query,
    Select, SelectItem, TableFactor,
};

/// Applies the rule to what one SELECT gives.
pub fn rewrite(select: &mut Select, around: &Rewriter<'_>) {
    let factors: Vec<&TableFactor> = factors(select).collect();
    let row = |name: &Ident| {
        let named = factors.iter().filter_map(|factor| around.row_of(factor));
        let (_, table) = named.into_iter().find(|(row, _)| same(row, name))?;
        factors.iter().all(|factor| around.lacks_column(factor, name)).then_some(table)
    };
    let rows: Vec<Option<ObjectName>> =
        select.projection.iter().map(|item| named(item).and_then(&row)).collect();
    let asked: Vec<(Ident, ObjectName)> = factors
        .iter()
        .filter_map(|factor| around.row_of(factor))
        .filter(|(name, _)| factors.iter().all(|factor| around.lacks_column(factor, name)))
        .collect();
    // A row that an outer join did not find is NULL.
    let function = if has_outer_join(select) { "record_or_null" } else { "record_text" };
    for (item, row) in select.projection.iter_mut().zip(rows) {
        if let Some(value) = value_of(item) {
            match value {
                Expr::Identifier(_) => {
                    if let Some(table) = row {
                        *value = call_with_all_of(function, table);
                    }
                }
                Expr::Tuple(fields) => *value = call("record_text", fields.iter_mut().map(take).collect()),
                Expr::Function(row) if in_catalog(&row.name).as_deref() == Some("row") => {
                    if let FunctionArguments::List(list) = &row.args
                        && let Some(fields) = list.args.iter().map(argument_of).collect::<Option<Vec<_>>>()
                    {
                        *value = call("record_text", fields);
                    }
                }
                _ => {}
            }
        }
    }
    let finds_all = function == "record_text";
    let from = std::mem::take(&mut select.from);
    outside_subqueries(select, |expr| whether_found(expr, &asked, finds_all));
    select.from = from;
}

/// `count(t)`, `count(t.*)`, `t IS NULL`.
fn whether_found(expr: &mut Expr, tables: &[(Ident, ObjectName)], finds_all: bool) {
    let table = |name: &Ident| tables.iter().find(|(row, _)| same(row, name)).map(|(_, table)| table.clone());
    match expr {
        Expr::IsNull(row) => {
            if let Expr::Identifier(name) = row.as_ref()
                && let Some(table) = table(name)
            {
                **row = call_with_all_of("record_or_null", table);
            }
        }
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("count") => {
            let FunctionArguments::List(list) = &mut function.args else { return };
            let [FunctionArg::Unnamed(argument)] = list.args.as_mut_slice() else { return };
            let row = match &*argument {
                FunctionArgExpr::Expr(Expr::Identifier(name)) => table(name),
                FunctionArgExpr::QualifiedWildcard(table) => Some(table.clone()),
                _ => None,
            };
            if let Some(row) = row {
                *argument = match finds_all {
                    true => FunctionArgExpr::QualifiedWildcard(row),
                    false => FunctionArgExpr::Expr(call_with_all_of("record_or_null", row)),
                };
            }
        }
        _ => {}
    }
}

impl Rewriter<'_> {
    /// Whether an item of FROM is known to have no column of a name: where one has, that is meant.
    fn lacks_column(&self, factor: &TableFactor, name: &Ident) -> bool {
        match factor {
            TableFactor::Table { name: table, alias, args: None, .. } => {
                let class = match parts(table).unwrap_or_default().as_slice() {
                    [table] if self.common.contains(table) => None,
                    [table] => self.model.find(table, self.search_path),
                    [.., schema, table] => self.model.class_named(&TableName::new(schema, table)),
                    [] => None,
                };
                let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                let name = normalized(name);
                !renames && class.is_some_and(|class| class.columns.iter().all(|column| column.name != name))
            }
            TableFactor::Derived { subquery, alias: Some(alias), .. } if alias.columns.is_empty() => {
                gives_no(&mut subquery.clone(), name)
            }
            TableFactor::Derived { alias: Some(alias), .. } => {
                alias.columns.iter().all(|column| !same(&column.name, name))
            }
            _ => false,
        }
    }
}

/// Whether all columns of a subquery are known, and none has a name.
fn gives_no(subquery: &mut Query, name: &Ident) -> bool {
    let Some(select) = select_of(subquery) else { return false };
    select.projection.iter().all(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => !same(alias, name),
        SelectItem::UnnamedExpr(Expr::Identifier(column)) => !same(column, name),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(column)) => {
            column.last().is_some_and(|column| !same(column, name))
        }
        _ => false,
    })
}

/// What a SELECT reads.
fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

fn has_outer_join(select: &Select) -> bool {
    let joins = select.from.iter().flat_map(|from| &from.joins);
    joins.into_iter().any(|join| {
        use JoinOperator::{FullOuter, Left, LeftOuter, Right, RightOuter};
        matches!(join.join_operator, Left(_) | LeftOuter(_) | Right(_) | RightOuter(_) | FullOuter(_))
    })
}

/// The name whose value an item gives.
fn named(item: &SelectItem) -> Option<&Ident> {
    let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item else {
        return None;
    };
    let mut value = value;
    while let Expr::Nested(inner) | Expr::Cast { expr: inner, data_type: DataType::Text, .. } = value {
        value = inner;
    }
    match value {
        Expr::Identifier(name) => Some(name),
        _ => None,
    }
}

/// What an item gives, without a cast to text: that is what it becomes.
fn value_of(item: &mut SelectItem) -> Option<&mut Expr> {
    let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item else {
        return None;
    };
    Some(uncast(value))
}

fn uncast(value: &mut Expr) -> &mut Expr {
    match value {
        Expr::Nested(inner) | Expr::Cast { expr: inner, data_type: DataType::Text, .. } => uncast(inner),
        value => value,
    }
}

fn same(one: &Ident, other: &Ident) -> bool {
    normalized(one) == normalized(other)
}

/// `function(t.*)`
fn call_with_all_of(function: &str, table: ObjectName) -> Expr {
    let mut call = call(function, vec![]);
    if let Expr::Function(function) = &mut call
        && let FunctionArguments::List(list) = &mut function.args
    {
        let all = FunctionArgExpr::QualifiedWildcard(table);
        list.args.push(FunctionArg::Unnamed(all));
    }
    call
}
