//! Functions that there are not, or not for such arguments: PostgreSQL names the types of what they were called with.
//!
//! The engine looks a function up before it knows its arguments' types. Where it finds none, the statement is planned once
//! more with one in its place that takes anything, and says of what when it is asked for its result's type.

use super::checks::no_function;
use crate::engine;
use crate::serve::Error;
use crate::serve::postgres::catalog::types::{column_type, oid};
use crate::serve::postgres::catalog::{cast, fits_integer};
use crate::sql::{call, literal, take};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable as _, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Statement, TableFactor, Visit,
    VisitMut, Visitor, VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// So many of a statement's functions are told of at most.
const MISSING_MAX: usize = 16;

/// What SQL has its own syntax for: the engine's name, PostgreSQL's, and what tells that it was written so.
const SYNTAX: [(&str, &str, fn(&Expr) -> bool); 3] = [
    ("date_part", "extract", |expr| matches!(expr, Expr::Extract { .. })),
    ("strpos", "position", |expr| matches!(expr, Expr::Position { .. })),
    ("btrim", "btrim", |expr| matches!(expr, Expr::Trim { .. })),
];

/// What PostgreSQL says of a statement that the engine could not plan for this error.
pub(in crate::serve) async fn explained(
    state: &SessionState,
    mut statement: Statement,
    error: DataFusionError,
) -> Error {
    let message = error.strip_backtrace();
    if let Some(error) = unsupported(&message).or_else(|| elsewhere(state, &message)) {
        return error;
    }
    let (mut state, mut last, mut known) = (state.clone(), error, BTreeSet::new());
    while known.len() < MISSING_MAX {
        let message = last.strip_backtrace();
        let name = match missing(&message) {
            Some(Missing::Function(name)) => name,
            Some(Missing::Table(name)) => {
                let Some(selected) = selected(&statement, &name) else { break };
                statement = selected;
                name
            }
            None => break,
        };
        if !known.insert(name.clone()) {
            break;
        }
        let stand_in = match written_as(&statement, &name) {
            Some(syntax) => StandIn::new(syntax.to_string(), format!("pg_catalog.{syntax}")),
            None => StandIn::new(name.clone(), name.clone()),
        };
        let _ = VisitMut::visit(&mut statement, &mut Plain { name: &name, stands_for: &stand_in.name });
        if state.register_udf(Arc::new(ScalarUDF::new_from_impl(stand_in))).is_err() {
            break;
        }
        let planned = engine::plan(&state, EngineStatement::Statement(Box::new(statement.clone()))).await;
        match planned.and_then(|plan| asked(&plan)) {
            Err(next) => last = next,
            Ok(()) => break,
        }
    }
    of_membership(last.into(), &statement)
}

/// The error about a subquery of several columns, where it stands behind IN.
fn of_membership(error: Error, statement: &Statement) -> Error {
    let is_membership = || {
        let found = ast::visit_expressions(statement, |expr| match expr {
            Expr::InSubquery { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    };
    match error.message == "subquery must return only one column" && is_membership() {
        true => Error { message: "subquery has too many columns".to_string(), place: None, ..error },
        false => error,
    }
}

/// Asks every call of a plan for its result's type: in a condition or an order nothing else does.
fn asked(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let datafusion::logical_expr::Expr::ScalarFunction(_) = expr {
                    expr.to_field(&schema)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// An error that names a function as the engine does, with the name, or of the syntax, that was written.
pub(super) fn as_written(error: Error, statement: &Statement, functions: &dyn FunctionRegistry) -> Error {
    let name = error.message.strip_prefix("function ").and_then(|rest| rest.split('(').next());
    let Some(name) = name.filter(|_| error.code == "42883") else { return error };
    let syntax = written_as(statement, name).map(|syntax| format!("pg_catalog.{syntax}"));
    match syntax.or_else(|| called_as(statement, name, functions)) {
        Some(written) => Error { message: error.message.replacen(name, &written, 1), ..error },
        None => error,
    }
}

/// The other name of a function by which the statement calls it.
fn called_as(statement: &Statement, name: &str, functions: &dyn FunctionRegistry) -> Option<String> {
    let called = ast::visit_expressions(statement, |expr| {
        let written = match expr {
            Expr::Function(function) => function.name.to_string().to_lowercase(),
            _ => return ControlFlow::Continue(()),
        };
        match functions.udf(&written) {
            Ok(function) if function.name() == name => ControlFlow::Break(written),
            _ => ControlFlow::Continue(()),
        }
    });
    called.break_value()
}

/// What PostgreSQL has under the name and this server has not.
fn unsupported(message: &str) -> Option<Error> {
    let (Missing::Function(name) | Missing::Table(name)) = missing(message)?;
    name.starts_with("jsonb_path_").then(|| {
        let hint = "Take values out by -> and ->>, members and items by jsonb_each and jsonb_array_elements.";
        Error::new("0A000", format!("function {name} is not supported")).with_hint(hint)
    })
}

/// A function that is one of windows, and one of a schema that there is not.
fn elsewhere(state: &SessionState, message: &str) -> Option<Error> {
    let (Missing::Function(name) | Missing::Table(name)) = missing(message)?;
    let is_called_plainly = message.contains("Invalid function '");
    if is_called_plainly && state.window_functions().contains_key(&name) {
        let message = format!("window function {name} requires an OVER clause");
        return Some(Error::new("42809", message));
    }
    let (schema, _) = name.split_once('.')?;
    let catalog = state.catalog_list().catalog(engine::DATABASE)?;
    let is_known = catalog.schema(schema).is_some();
    (!is_known).then(|| Error::new("3F000", format!("schema \"{schema}\" does not exist")))
}

enum Missing {
    Function(String),
    /// One that stands in FROM.
    Table(String),
}

fn missing(message: &str) -> Option<Missing> {
    let after = |before: &str, end: &str| {
        let (_, rest) = message.split_once(before)?;
        rest.split_once(end).map(|(name, _)| name.to_string())
    };
    let function = after("Invalid function '", "'")
        .or_else(|| after("No function matches the given name and argument types '", "("));
    let table = || after("able function '", "'").map(Missing::Table);
    function.map(Missing::Function).or_else(table)
}

/// PostgreSQL's name for a function of which the statement has the syntax, and no call.
fn written_as(statement: &Statement, name: &str) -> Option<&'static str> {
    let (_, syntax, is_written) = SYNTAX.iter().find(|(of, ..)| *of == name)?;
    let found = |is_meant: &dyn Fn(&Expr) -> bool| {
        let found = ast::visit_expressions(statement, |expr| match is_meant(expr) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        found.is_break()
    };
    let is_call = |expr: &Expr| matches!(expr, Expr::Function(function) if is_named(&function.name, name));
    (found(is_written) && !found(&is_call)).then_some(*syntax)
}

fn is_named(written: &ObjectName, name: &str) -> bool {
    let parts: Option<Vec<String>> = written
        .0
        .iter()
        .map(|part| {
            let ident = part.as_ident()?;
            let folded = ident.quote_style.is_none();
            Some(if folded { ident.value.to_lowercase() } else { ident.value.clone() })
        })
        .collect();
    parts.is_some_and(|parts| parts.join(".") == name)
}

/// `SELECT f(...)` of a call in FROM.
fn selected(statement: &Statement, name: &str) -> Option<Statement> {
    struct Find<'a>(&'a str);
    impl Visitor for Find<'_> {
        type Break = Vec<FunctionArg>;

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
            match factor {
                TableFactor::Table { name, args: Some(arguments), .. } if is_named(name, self.0) => {
                    ControlFlow::Break(arguments.args.clone())
                }
                TableFactor::Function { name, args, .. } if is_named(name, self.0) => {
                    ControlFlow::Break(args.clone())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let ControlFlow::Break(arguments) = Visit::visit(statement, &mut Find(name)) else { return None };
    let arguments = arguments.into_iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(match fits_integer(&expr) {
            true => cast(expr, ast::DataType::Int(None)),
            false => expr,
        }),
        _ => None,
    });
    let query = crate::serve::query::select(vec![call(name, arguments.collect::<Option<_>>()?)]).ok()?;
    Some(Statement::Query(Box::new(ast::Query::clone(&query))))
}

/// Calls of a function become plain ones: no windows, no filters, no star. What is written in a syntax of its own becomes
/// a call.
struct Plain<'a> {
    name: &'a str,
    stands_for: &'a str,
}

impl VisitorMut for Plain<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let is_syntax = SYNTAX.iter().any(|(name, _, is_written)| *name == self.name && is_written(expr));
        match expr {
            Expr::Function(function) if is_named(&function.name, self.name) => {
                let mut arguments = match &mut function.args {
                    FunctionArguments::List(list) => std::mem::take(&mut list.args),
                    _ => vec![],
                };
                let is_star = |argument: &FunctionArg| {
                    matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard))
                };
                arguments.retain(|argument| !is_star(argument));
                let mut plain = crate::sql::function(self.name, vec![]);
                plain.name = function.name.clone();
                if let FunctionArguments::List(list) = &mut plain.args {
                    list.args = arguments;
                }
                *function = plain;
            }
            Expr::Extract { field, expr: of, .. } if is_syntax => {
                *expr = call(self.stands_for, vec![literal(&field.to_string()), take(of)]);
            }
            Expr::Position { expr: what, r#in } if is_syntax => {
                *expr = call(self.stands_for, vec![take(r#in), take(what)]);
            }
            Expr::Trim { expr: of, trim_what, .. } if is_syntax => {
                let what = trim_what.as_mut().map(|what| take(what));
                *expr = call(self.stands_for, std::iter::once(take(of)).chain(what).collect());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A function in the place of one that is missing.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StandIn {
    name: String,
    /// As PostgreSQL calls it.
    shown: String,
    signature: Signature,
}

impl StandIn {
    fn new(name: String, shown: String) -> Self {
        let any = vec![TypeSignature::VariadicAny, TypeSignature::Nullary];
        Self { name, shown, signature: Signature::one_of(any, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for StandIn {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Null)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types = args.arg_fields.iter().zip(args.scalar_arguments).map(|(field, constant)| {
            let is_text = field.data_type().is_string() || field.data_type() == &DataType::Null;
            if constant.is_some() && is_text { oid::UNKNOWN } else { column_type(field).oid }
        });
        Err(DataFusionError::External(Box::new(no_function(&self.shown, types))))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(format!("{} stands for no function", self.name)))
    }
}
