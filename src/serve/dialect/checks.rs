//! What the engine takes of a query and PostgreSQL does not: casts between types that have nothing to do with each other,
//! operators and functions that there are not for such arguments, choices between types that nothing reconciles.
//!
//! Comes in: what a query was planned to, before anything of it is changed. Goes out: PostgreSQL's error. The engine would
//! cast one side to the other, and fail at the first row that does not read as such, or compare what cannot be compared.

use super::result_types::{of_plan, type_in};
use crate::serve::Error;
use crate::serve::blamed::OPERATOR;
use crate::serve::postgres::catalog::casts::{self, category};
use crate::serve::postgres::catalog::signatures::{has_function, has_operator};
use crate::serve::postgres::catalog::types::{column_type, oid, types};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Between, InList, InSubquery, Like};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Functions that take more than PostgreSQL's of the same name.
const WIDER: [&str; 6] = ["max", "min", "percentile_cont", "percentile_disc", "sha256", "to_timestamp"];

/// What the operators of JSON are planned as.
const OF_JSON: [(&str, &str); 4] =
    [("json_get", "->"), ("json_get_text", "->>"), ("json_get_path", "#>"), ("json_get_path_text", "#>>")];

/// Refuses what PostgreSQL refuses in a plan, the innermost first.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Union(union) = node {
            let inputs: Vec<Vec<i32>> = union.inputs.iter().map(|input| of_plan(input)).collect();
            for at in 0..node.schema().fields().len() {
                reconciled("UNION", inputs.iter().filter_map(|types| types.get(at).copied()))?;
            }
        }
        let twice = named_twice(&schema);
        node.apply_expressions(|expr| {
            let mut inner = Vec::new();
            expr.apply(|expr| {
                inner.push(expr);
                Ok(TreeNodeRecursion::Continue)
            })?;
            inner.into_iter().rev().try_for_each(|expr| {
                unambiguous(expr, &twice)?;
                of_expr(expr, &schema)
            })?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

/// Refuses an operator that there is not for its sides.
pub(super) fn operator(op: &BinaryOperator, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    if let BinaryOperator::And | BinaryOperator::Or = op {
        let place = if op == &BinaryOperator::And { "AND" } else { "OR" };
        return [left, right].into_iter().try_for_each(|side| condition(place, side, schema));
    }
    between(&op.to_string(), left, right, schema)
}

/// Refuses a function of what it takes by none of its names: one function of the engine's may be several of PostgreSQL's.
fn function(name: &str, aliases: &[String], arguments: &[Expr], schema: &DFSchema) -> Result<()> {
    // A star is no argument.
    #[expect(deprecated, reason = "the engine still plans count(*) with it")]
    if WIDER.contains(&name) || arguments.iter().any(|argument| matches!(argument, Expr::Wildcard { .. })) {
        return Ok(());
    }
    let of_json = name.starts_with("json");
    let given = arguments.iter().map(|argument| match type_in(argument, schema) {
        // A text may hold JSON.
        oid::TEXT if of_json => oid::UNKNOWN,
        found => found,
    });
    let given: Vec<i32> = given.collect();
    let names = std::iter::once(name).chain(aliases.iter().map(String::as_str));
    let takes: Vec<bool> = names.filter_map(|name| has_function(name, &given)).collect();
    if takes.is_empty() || takes.contains(&true) {
        return Ok(());
    }
    Err(external(no_function(name, arguments.iter().map(|argument| type_in(argument, schema)))))
}

/// PostgreSQL's error about a function that there is not for such arguments.
pub(super) fn no_function(name: &str, arguments: impl Iterator<Item = i32>) -> Error {
    let arguments: Vec<String> = arguments.map(named).collect();
    let hint =
        "No function matches the given name and argument types. You might need to add explicit type casts.";
    Error::new("42883", format!("function {name}({}) does not exist", arguments.join(", "))).with_hint(hint)
}

fn of_expr(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let ty = |expr: &Expr| type_in(expr, schema);
    match expr {
        Expr::Cast(cast) => {
            castable(ty(&cast.expr), column_type(&cast.field).oid)?;
            match cast.expr.as_ref() {
                Expr::Literal(ScalarValue::Utf8(Some(text)), _) => readable(text, cast.field.data_type()),
                _ => Ok(()),
            }
        }
        Expr::TryCast(cast) => castable(ty(&cast.expr), column_type(&cast.field).oid),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom,
            right,
        }) => between("=", left, right, schema),
        Expr::Like(Like { negated, expr, pattern, case_insensitive, .. }) => {
            let symbol = match (negated, case_insensitive) {
                (false, false) => "~~",
                (false, true) => "~~*",
                (true, false) => "!~~",
                (true, true) => "!~~*",
            };
            between(symbol, expr, pattern, schema)
        }
        Expr::InList(InList { expr, list, negated }) => {
            let symbol = if *negated { "<>" } else { "=" };
            list.iter().try_for_each(|item| between(symbol, expr, item, schema))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let symbol = if *negated { "<>" } else { "=" };
            let found = subquery.subquery.schema().fields().first().map(|field| column_type(field).oid);
            found.map_or(Ok(()), |found| of_types(symbol, ty(expr), found, &[expr]))
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            between(">=", expr, low, schema)?;
            between("<=", expr, high, schema)
        }
        Expr::Case(case) => {
            for (when, _) in &case.when_then_expr {
                match &case.expr {
                    Some(operand) => between("=", operand, when, schema)?,
                    None => condition("CASE/WHEN", when, schema)?,
                }
            }
            let otherwise = case.else_expr.iter().map(|expr| ty(expr));
            reconciled("CASE", otherwise.chain(case.when_then_expr.iter().map(|(_, then)| ty(then))))
        }
        Expr::IsTrue(inner) => condition("IS TRUE", inner, schema),
        Expr::IsFalse(inner) => condition("IS FALSE", inner, schema),
        Expr::IsNotTrue(inner) => condition("IS NOT TRUE", inner, schema),
        Expr::IsNotFalse(inner) => condition("IS NOT FALSE", inner, schema),
        Expr::AggregateFunction(call) => {
            function(call.func.name(), call.func.aliases(), &call.params.args, schema)
        }
        Expr::ScalarFunction(call) => {
            let name = call.name();
            if let Some((_, symbol)) = OF_JSON.iter().find(|(of, _)| *of == name)
                && let [json, at] = call.args.as_slice()
            {
                // A text may hold JSON.
                let of = if ty(json) == oid::TEXT { oid::JSON } else { ty(json) };
                return of_types(symbol, of, ty(at), &[json, at]);
            }
            let arguments = call.args.iter().map(ty);
            match name {
                "coalesce" | "greatest" | "least" => reconciled(&name.to_uppercase(), arguments),
                "make_array" => reconciled("ARRAY", arguments),
                "nullif" => match call.args.as_slice() {
                    [left, right] => between("=", left, right, schema),
                    _ => Ok(()),
                },
                // `item = ANY (list)`
                "array_has" => match call.args.as_slice() {
                    [list, item] => match types().by_oid(ty(list)).and_then(|list| list.element) {
                        Some(items) => of_types("=", ty(item), items, &[item, list]),
                        None => Ok(()),
                    },
                    _ => Ok(()),
                },
                // What makes rows of members is called by another name.
                "jsonb_each_keys" | "json_each_keys" => {
                    function(name.trim_end_matches("_keys"), &[], &call.args, schema)
                }
                name => function(name, call.func.aliases(), &call.args, schema),
            }
        }
        _ => Ok(()),
    }
}

fn castable(from: i32, to: i32) -> Result<()> {
    if from == oid::UNKNOWN || casts::context(from, to).is_some() {
        return Ok(());
    }
    let (from, to) = casts::refused(from, to);
    let message = format!("cannot cast type {} to {}", named(from), named(to));
    Err(external(Error::new("42846", message)))
}

/// Refuses a text that the engine would read as something else than PostgreSQL, or say something else of.
fn readable(text: &str, data_type: &DataType) -> Result<()> {
    let float = match data_type {
        DataType::Float64 => text.trim().parse::<f64>().is_ok_and(f64::is_infinite),
        DataType::Float32 => text.trim().parse::<f32>().is_ok_and(f32::is_infinite),
        _ => false,
    };
    if float && text.contains(|letter: char| letter.is_ascii_digit()) {
        let name = if data_type == &DataType::Float64 { "double precision" } else { "real" };
        let message = format!("\"{}\" is out of range for type {name}", text.trim());
        return Err(external(Error::new("22003", message)));
    }
    match matches!(data_type, DataType::List(_)) && why_no_array(text).is_some() {
        true => Err(malformed_array(text)),
        false => Ok(()),
    }
}

/// The error about a text that is no array.
pub(super) fn malformed_array(text: &str) -> DataFusionError {
    let error = Error::new("22P02", format!("malformed array literal: \"{text}\""));
    external(match why_no_array(text) {
        Some(detail) => error.with_detail(detail),
        None => error,
    })
}

/// Why a text is no array, if that is seen from its braces.
fn why_no_array(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return Some("Array value must start with \"{\" or dimension information.");
    }
    let (mut depth, mut quoted) = (0_i64, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 && letter == '}' && !letters.as_str().is_empty() {
            return Some("Junk after closing right brace.");
        }
    }
    (depth > 0).then_some("Unexpected end of input.")
}

/// The columns of one table that have one name in PostgreSQL: here the second has its place behind it (`a:2`).
fn named_twice(schema: &DFSchema) -> Vec<(TableReference, String)> {
    let twice = schema.iter().filter_map(|(table, field)| {
        let (name, place) = field.name().rsplit_once(':')?;
        let (table, _) = (table?, place.parse::<usize>().ok()?);
        schema.has_column_with_qualified_name(table, name).then(|| (table.clone(), name.to_string()))
    });
    twice.collect()
}

/// Refuses the name of several columns, where it was written: a star means all of them.
fn unambiguous(expr: &Expr, twice: &[(TableReference, String)]) -> Result<()> {
    let Expr::Column(column) = expr else { return Ok(()) };
    let is_meant = |(table, name): &(TableReference, String)| {
        column.name == *name && column.relation.as_ref() == Some(table)
    };
    match place_of(expr).filter(|_| twice.iter().any(is_meant)) {
        Some(place) => {
            let error = Error::new("42702", format!("column reference \"{}\" is ambiguous", column.name));
            Err(external(Error { place: Some(place), ..error }))
        }
        None => Ok(()),
    }
}

fn between(symbol: &str, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    of_types(symbol, type_in(left, schema), type_in(right, schema), &[left, right])
}

fn of_types(symbol: &str, left: i32, right: i32, sides: &[&Expr]) -> Result<()> {
    let untyped = left == oid::UNKNOWN && right == oid::UNKNOWN;
    if untyped && has_operator(symbol, Some(oid::TEXT), oid::TEXT) == Some(false) {
        let message = format!("operator is not unique: unknown {symbol} unknown");
        let hint = "Could not choose a best candidate operator. You might need to add explicit type casts.";
        return Err(external(Error::new("42725", message).with_hint(hint)));
    }
    if has_operator(symbol, Some(left), right) != Some(false) {
        return Ok(());
    }
    let message = format!("{OPERATOR}{} {symbol} {}", named(left), named(right));
    let hint =
        "No operator matches the given name and argument types. You might need to add explicit type casts.";
    let error = Error::new("42883", message).with_hint(hint);
    Err(external(Error { place: sides.iter().find_map(|side| place_of(side)), ..error }))
}

/// What has to be true or false.
fn condition(place: &str, expr: &Expr, schema: &DFSchema) -> Result<()> {
    match type_in(expr, schema) {
        oid::BOOL | oid::UNKNOWN => Ok(()),
        found => {
            let message = format!("argument of {place} must be type boolean, not type {}", named(found));
            Err(external(Error { place: place_of(expr), ..Error::new("42804", message) }))
        }
    }
}

/// Refuses types of different kinds in one place, as PostgreSQL's `select_common_type` does.
fn reconciled(place: &str, of: impl Iterator<Item = i32>) -> Result<()> {
    let known: Vec<i32> = of.filter(|ty| *ty != oid::UNKNOWN).collect();
    let Some(first) = known.first() else { return Ok(()) };
    match known.iter().find(|other| category(**other) != category(*first)) {
        Some(other) => {
            let message = format!("{place} types {} and {} cannot be matched", named(*first), named(*other));
            Err(external(Error::new("42804", message)))
        }
        None => Ok(()),
    }
}

/// Where the first column of an expression stands.
fn place_of(expr: &Expr) -> Option<(u64, u64)> {
    let mut place = None;
    let _ = expr.apply(|expr| {
        let span = match expr {
            Expr::Column(column) => column.spans().first(),
            _ => None,
        };
        place = span.map(|span| (span.start.line, span.start.column));
        Ok(if place.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    place
}

fn named(ty: i32) -> String {
    types().format(ty, None)
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
