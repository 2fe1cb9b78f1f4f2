//! Pieces of SQL: of trees, for rules that rewrite them, and of text.

use crate::lake::TableName;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    TableFactor, Value,
};

/// `"name"`
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."name"`
pub fn quoted_table(table: &TableName) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

/// `name(arguments)`
pub fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(function(name, arguments))
}

/// `name(arguments)`, to be added to.
pub fn function(name: &str, arguments: Vec<Expr>) -> Function {
    Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a))).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// `'text'`
pub fn literal(text: &str) -> Expr {
    Expr::value(text_value(text.to_string()))
}

/// A text in a tree. The printer takes two quotes side by side, or one behind a backslash, for one that is escaped already:
/// such texts are written as `E'...'`.
pub fn text_value(text: String) -> Value {
    match text.contains("''") || text.contains("\\'") {
        true => Value::EscapedStringLiteral(text),
        false => Value::SingleQuotedString(text),
    }
}

/// Moves an expression out of its place, which is NULL then.
pub fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

/// True for `table TABLESAMPLE ...`.
pub fn is_sampled(factor: &TableFactor) -> bool {
    matches!(
        factor,
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. }
    )
}
