//! Whole rows as JSON: `row_to_json(t)`, `json_agg(t)`, `to_jsonb(t.*)`, `row_to_json(ROW(1, 'a'))`.
//!
//! The name of a table as a value is `t.*`, of which [`crate::serve::dialect`] makes a struct where columns are known.

use super::Rewriter;
use super::fragments::{argument_of, call, literal, outside_subqueries, take};
use super::names::{in_catalog, normalized};
use super::relations::qualify;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select, TableFactor,
};

/// Functions that take rows.
const OF_ROWS: [&str; 5] = ["row_to_json", "to_json", "to_jsonb", "json_agg", "jsonb_agg"];

/// Applies the rule to one SELECT.
pub fn rewrite(select: &mut Select, around: &Rewriter<'_>) {
    let factors = select
        .from
        .iter()
        .flat_map(|from| [&from.relation].into_iter().chain(from.joins.iter().map(|join| &join.relation)));
    let tables: Vec<(Ident, ObjectName)> = factors.filter_map(|factor| around.row_of(factor)).collect();
    let from = std::mem::take(&mut select.from);
    outside_subqueries(select, |expr| of_rows(expr, &tables));
    select.from = from;
}

/// The name that rows go by; `None` where a column goes by it, too: then that is meant.
fn name_of(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias: None, args: None, .. } => name.0.last()?.as_ident().cloned(),
        TableFactor::Table { alias: Some(alias), args: None, .. }
        | TableFactor::Derived { alias: Some(alias), .. } => {
            let name = normalized(&alias.name);
            let is_column = alias.columns.iter().any(|column| normalized(&column.name) == name);
            (!is_column).then(|| alias.name.clone())
        }
        _ => None,
    }
}

impl Rewriter<'_> {
    /// The name that rows go by, and the one that their columns are found by.
    pub fn row_of(&self, factor: &TableFactor) -> Option<(Ident, ObjectName)> {
        let name = name_of(factor)?;
        let table = match factor {
            TableFactor::Table { name: table, alias: None, .. } if table.0.len() > 1 => table.clone(),
            TableFactor::Table { name: table, alias: None, .. } => {
                let mut table = table.clone();
                qualify(&mut table, self.model, self.search_path, &self.common);
                table
            }
            _ => ObjectName::from(vec![name.clone()]),
        };
        Some((name, table))
    }
}

fn of_rows(expr: &mut Expr, tables: &[(Ident, ObjectName)]) {
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).is_some_and(|name| OF_ROWS.contains(&name.as_str()))
        && let FunctionArguments::List(list) = &mut function.args
        && let [FunctionArg::Unnamed(argument)] = list.args.as_mut_slice()
    {
        as_row(argument, tables);
    }
}

fn as_row(argument: &mut FunctionArgExpr, tables: &[(Ident, ObjectName)]) {
    let FunctionArgExpr::Expr(expr) = argument else { return };
    match expr {
        Expr::Identifier(name) => {
            if let Some((_, table)) = tables.iter().find(|(row, _)| normalized(row) == normalized(name)) {
                *argument = FunctionArgExpr::QualifiedWildcard(table.clone());
            }
        }
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("row") => {
            if let FunctionArguments::List(list) = &function.args
                && let Some(fields) = list.args.iter().map(argument_of).collect::<Option<Vec<_>>>()
            {
                *expr = fields_numbered(fields);
            }
        }
        Expr::Tuple(fields) => *expr = fields_numbered(fields.iter_mut().map(take).collect()),
        _ => {}
    }
}

/// Columns without names are `f1`, `f2` ...
fn fields_numbered(fields: Vec<Expr>) -> Expr {
    let named =
        fields.into_iter().enumerate().flat_map(|(at, field)| [literal(&format!("f{}", at + 1)), field]);
    call("named_struct", named.collect())
}
