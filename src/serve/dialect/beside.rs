//! The types of parameters that nobody has declared and no operator gives: PostgreSQL takes a value without a type to be of
//! that which CASE, COALESCE, an array or UNION reconciles the others with, of that of a condition, or of that which a
//! function asks for.

use super::common_type::common_type;
use super::result_types::{of_plan, type_in};
use super::typed::Typed as _;
use crate::serve::postgres::catalog::signatures::arguments_of;
use crate::serve::postgres::catalog::types::{PG_TYPE_KEY, oid, types};
use crate::serve::postgres::{arrow_type, parameter_type};
use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, Case, Expr, LogicalPlan, Union};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// A parameter's name, `$1`, and its type.
type Found = (String, DataType);

/// The parameters whose types what stands beside them tells; each place for itself.
pub(in crate::serve) fn types_beside(plan: &LogicalPlan) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Union(union) = node {
            found.extend(of_union(union));
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found.extend(of_expr(expr, &schema));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn of_expr(expr: &Expr, schema: &DFSchema) -> Vec<Found> {
    match expr {
        Expr::Not(value) | Expr::IsTrue(value) | Expr::IsFalse(value) => conditions(&[value]),
        Expr::InList(InList { expr, list, .. }) => {
            alike(&std::iter::once(expr.as_ref()).chain(list).collect::<Vec<_>>(), schema)
        }
        Expr::Between(Between { expr, low, high, .. }) => alike(&[expr, low, high], schema),
        Expr::WindowFunction(window) if ["lag", "lead"].contains(&window.fun.name()) => {
            match window.params.args.as_slice() {
                [value, _, otherwise] => alike(&[value, otherwise], schema),
                _ => Vec::new(),
            }
        }
        Expr::Case(case) => of_case(case, schema),
        Expr::ScalarFunction(call) => {
            let arguments: Vec<&Expr> = call.args.iter().collect();
            match call.name() {
                "coalesce" | "greatest" | "least" | "nullif" | "make_array" => alike(&arguments, schema),
                "array_has" | "array_append" | "array_position" | "array_positions" | "array_remove" => {
                    item_of(&arguments, schema)
                }
                _ => of_call(call, schema),
            }
        }
        _ => Vec::new(),
    }
}

fn of_case(case: &Case, schema: &DFSchema) -> Vec<Found> {
    let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
    let mut found = match &case.expr {
        None => conditions(&whens.collect::<Vec<_>>()),
        Some(operand) => alike(&std::iter::once(operand.as_ref()).chain(whens).collect::<Vec<_>>(), schema),
    };
    let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    found.extend(alike(&results.map(AsRef::as_ref).collect::<Vec<_>>(), schema));
    found
}

fn conditions(values: &[&Expr]) -> Vec<Found> {
    values.iter().filter_map(|value| untyped(value)).map(|name| (name, DataType::Boolean)).collect()
}

/// Of expressions that are to be of one type those without are of the others'.
fn alike(values: &[&Expr], schema: &DFSchema) -> Vec<Found> {
    let types: Vec<i32> = values.iter().map(|value| type_in(value, schema)).collect();
    let Some(known) = first_of_common(&types) else { return Vec::new() };
    let Ok(known) = values[known].type_of(schema) else { return Vec::new() };
    values.iter().filter_map(|value| Some((untyped(value)?, known.clone()))).collect()
}

/// The item that a function takes beside a list.
fn item_of(arguments: &[&Expr], schema: &DFSchema) -> Vec<Found> {
    let [list, item, ..] = arguments else { return Vec::new() };
    match (untyped(item), list.type_of(schema)) {
        (Some(name), Ok(DataType::List(of))) => vec![(name, of.data_type().clone())],
        _ => Vec::new(),
    }
}

/// The first of the types that is the one which they have in common.
fn first_of_common(types: &[i32]) -> Option<usize> {
    let common = common_type(types.iter().copied());
    types.iter().position(|found| *found == common && common != oid::UNKNOWN)
}

fn of_call(call: &ScalarFunction, schema: &DFSchema) -> Vec<Found> {
    if call.args.iter().all(|argument| untyped(argument).is_none()) {
        return Vec::new();
    }
    let given: Vec<i32> = call.args.iter().map(|argument| type_in(argument, schema)).collect();
    let names = std::iter::once(call.name()).chain(call.func.aliases().iter().map(String::as_str));
    let Some(wanted) = names.filter_map(|name| arguments_of(name, &given)).next() else { return Vec::new() };
    let of_argument = |(argument, wanted): (&Expr, i32)| {
        let data_type = arrow_type(u32::try_from(wanted).ok()?).ok()??;
        Some((untyped(argument)?, data_type))
    };
    call.args.iter().zip(wanted).filter_map(of_argument).collect()
}

/// Columns of UNION, side by side.
fn of_union(union: &Union) -> Vec<Found> {
    let types: Vec<Vec<i32>> = union.inputs.iter().map(|input| of_plan(input)).collect();
    let mut found = Vec::new();
    for input in &union.inputs {
        let LogicalPlan::Projection(projection) = input.as_ref() else { continue };
        for (at, expr) in projection.expr.iter().enumerate() {
            let Some(name) = untyped(expr) else { continue };
            let column: Vec<i32> =
                types.iter().map(|types| types.get(at).copied().unwrap_or(oid::UNKNOWN)).collect();
            let known = first_of_common(&column).map(|input| union.inputs[input].schema().field(at));
            found.extend(known.map(|field| (name, field.data_type().clone())));
        }
    }
    found
}

/// Gives a parameter without a type beside an operator the one that PostgreSQL's operator asks for, where that is not the
/// other side's or the engine would not plan on.
pub(super) fn of_operand(expr: &mut RawBinaryExpr, schema: &DFSchema) {
    let (parameter, other, is_left) = match (untyped(&expr.left), untyped(&expr.right)) {
        (Some(_), None) => (&mut expr.left, &expr.right, true),
        (None, Some(_)) => (&mut expr.right, &expr.left, false),
        _ => return,
    };
    let Some(asked) = asked_beside(&expr.op, type_in(other, schema), is_left) else { return };
    if let Expr::Placeholder(placeholder) = parameter
        && let Ok(Some(asked)) = parameter_type(asked.cast_unsigned())
    {
        let metadata = asked.name.map(|name| (PG_TYPE_KEY.to_string(), name));
        let field = Field::new("", asked.data_type, true).with_metadata(metadata.into_iter().collect());
        placeholder.field = Some(Arc::new(field));
    }
}

/// What an operator asks for beside a value of a type.
fn asked_beside(operator: &BinaryOperator, other: i32, is_left: bool) -> Option<i32> {
    use BinaryOperator as Op;
    let is_list = types().by_oid(other).is_some_and(|ty| ty.element.is_some());
    match operator {
        Op::Multiply if other == oid::INTERVAL => Some(oid::FLOAT8),
        Op::Divide if other == oid::INTERVAL && !is_left => Some(oid::FLOAT8),
        Op::Plus if [oid::TIMESTAMP, oid::TIMESTAMPTZ].contains(&other) => Some(oid::INTERVAL),
        Op::Minus if other == oid::DATE => Some(other),
        Op::StringConcat | Op::AtArrow | Op::ArrowAt | Op::PGOverlap if is_list => Some(other),
        Op::StringConcat | Op::AtArrow | Op::ArrowAt | Op::Eq | Op::NotEq if other == oid::JSONB => {
            Some(other)
        }
        Op::Eq | Op::NotEq if other == oid::UUID => Some(other),
        _ => None,
    }
}

/// The name of a parameter that has no type.
fn untyped(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Alias(alias) => untyped(&alias.expr),
        Expr::Placeholder(placeholder) if placeholder.field.is_none() => Some(placeholder.id.clone()),
        _ => None,
    }
}
