//! What the text of a query says of its parameters, before anything is planned.
//!
//! Comes in: a parsed query. Goes out: the numbers of its parameters, and the types of those whose place tells: a count of
//! rows, a cast, an argument for which every function of the name asks for one type. Those of the others follow from the
//! plan, or are the client's.

use super::Error;
use super::postgres::catalog::types::PG_TYPE_KEY;
use super::postgres::catalog::{in_catalog, signatures};
use super::postgres::parameter_type;
use crate::ops::opaque::Opaque;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::sql::sqlparser::ast::{
    self, AccessExpr, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query,
    Subscript, Value, VisitMut, VisitorMut,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Parameters that a statement may have: the protocol counts them in 16 bits.
const PARAMETERS_MAX: usize = 65_535;

/// Operators of JSON whose right side is a list of keys.
const KEYED_OPERATORS: [BinaryOperator; 3] =
    [BinaryOperator::HashMinus, BinaryOperator::QuestionPipe, BinaryOperator::QuestionAnd];
/// What `#>` and `#>>` are spelt as for the engine.
const KEYED_FUNCTIONS: [&str; 2] = ["json_get_path", "json_get_path_text"];

/// A type that a parameter has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterType {
    /// What its values are to the engine.
    pub data_type: DataType,
    /// As PostgreSQL names it, where that tells more: `jsonb` is text to the engine.
    pub name: Option<String>,
}

impl From<DataType> for ParameterType {
    fn from(data_type: DataType) -> Self {
        Self { data_type, name: None }
    }
}

impl ParameterType {
    /// That of a field.
    pub(super) fn of_field(field: &Field) -> Self {
        Self { data_type: field.data_type().clone(), name: field.metadata().get(PG_TYPE_KEY).cloned() }
    }
}

/// What a query's text says of its parameters, by their numbers.
#[derive(Default)]
pub(super) struct Parameters {
    /// All of them, in order.
    pub(super) numbers: BTreeSet<usize>,
    /// Those whose place tells their type, whatever stands beside them.
    pub(super) placed: BTreeMap<usize, ParameterType>,
    /// What others are cast to, as SQL spells it.
    pub(super) casts: BTreeMap<usize, String>,
    /// Those that are lists, in ANY and ALL.
    pub(super) lists: BTreeSet<usize>,
}

impl Parameters {
    pub(super) fn of(query: &mut Query) -> Result<Self, Error> {
        let mut found = Self::default();
        match VisitMut::visit(query, &mut found) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(found),
        }
    }

    fn place(&mut self, parameter: Option<usize>, asked: impl FnOnce() -> Option<ParameterType>) {
        if let Some(number) = parameter
            && let Some(asked) = asked()
        {
            self.placed.entry(number).or_insert(asked);
        }
    }

    /// Those that are arguments of a function, and nothing else.
    fn of_call(&mut self, function: &ast::Function) {
        let FunctionArguments::List(list) = &function.args else { return };
        let arguments = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        });
        let ordered = function.within_group.iter().map(|order| Some(&order.expr));
        let arguments: Vec<_> = arguments.chain(ordered).collect();
        for (at, argument) in arguments.iter().enumerate() {
            self.place(argument.and_then(parameter_in), || {
                let name = in_catalog(&function.name)?;
                match function.within_group.as_slice() {
                    [_, ..] if name.starts_with("percentile_") => return Some(DataType::Float64.into()),
                    _ if at == 1 && KEYED_FUNCTIONS.contains(&name.as_str()) => return Some(keys()),
                    _ => {}
                }
                parameter_type(signatures::argument_of(&name, arguments.len(), at)?.cast_unsigned()).ok()?
            });
        }
    }
}

impl VisitorMut for Parameters {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let (limit, offset) = match &query.limit_clause {
            Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit), Some(offset)),
            None => (None, None),
        };
        let fetch = query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref());
        for count in [limit, offset, fetch].into_iter().flatten() {
            self.place(parameter_in(count), || Some(DataType::Int64.into()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Error> {
        for condition in [&select.selection, &select.having].into_iter().flatten() {
            self.place(parameter_in(condition), || Some(DataType::Boolean.into()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Cast { expr, data_type, .. } => {
                if let Some(number) = parameter_in(expr) {
                    self.casts.entry(number).or_insert_with(|| data_type.to_string());
                }
            }
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => self.lists.extend(parameter_in(right)),
            Expr::Function(function) => self.of_call(function),
            Expr::BinaryOp { op, right, .. } if KEYED_OPERATORS.contains(op) => {
                self.place(parameter_in(right), || Some(keys()));
            }
            Expr::CompoundFieldAccess { access_chain, .. } => {
                for access in access_chain {
                    if let AccessExpr::Subscript(Subscript::Index { index }) = access {
                        self.place(parameter_in(index), || Some(DataType::Int32.into()));
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ast::ValueWithSpan) -> ControlFlow<Error> {
        if let Value::Placeholder(name) = &value.value {
            match number_of(&value.value) {
                Some(number) => self.numbers.insert(number),
                None => {
                    return ControlFlow::Break(Error::new("42P02", format!("there is no parameter {name}")));
                }
            };
        }
        ControlFlow::Continue(())
    }
}

fn keys() -> ParameterType {
    DataType::new_list(DataType::Utf8, true).into()
}

/// The number of an expression that is a parameter.
fn parameter_in(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => number_of(&value.value),
        Expr::Nested(inner) => parameter_in(inner),
        _ => None,
    }
}

/// The number of `$1`.
fn number_of(value: &Value) -> Option<usize> {
    match value {
        Value::Placeholder(name) => {
            name.strip_prefix('$')?.parse().ok().filter(|number| (1..=PARAMETERS_MAX).contains(number))
        }
        _ => None,
    }
}

/// `x = $1` in the place of `x = ANY ($1)`: what `$1` is there, the items of the list are.
pub(super) fn one_item_each(query: &Query) -> Opaque<Query> {
    let mut query = query.clone();
    let _ = ast::visit_expressions_mut(&mut query, |expr| {
        if let Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right } = expr
            && parameter_in(right).is_some()
        {
            *expr = Expr::BinaryOp { left: left.clone(), op: compare_op.clone(), right: right.clone() };
        }
        ControlFlow::<()>::Continue(())
    });
    Opaque::new(query)
}

/// Writes `CAST($1 AS bigint)` for a parameter declared as bigint, so that the plan has its type.
pub(super) fn declare(query: &mut Query, declared: &[Option<ParameterType>]) {
    let _ = VisitMut::visit(query, &mut Declare { declared });
}

struct Declare<'a> {
    declared: &'a [Option<ParameterType>],
}

impl VisitorMut for Declare<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Some(number) = number_of(&value.value)
            && let Some(Some(declared)) = self.declared.get(number - 1)
            && let Some(data_type) = declared.written()
        {
            *expr = Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: Box::new(expr.clone()),
                data_type,
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

impl ParameterType {
    fn written(&self) -> Option<ast::DataType> {
        match self.name.as_deref() {
            Some("json") => Some(ast::DataType::JSON),
            Some("jsonb") => Some(ast::DataType::JSONB),
            _ => written(&self.data_type),
        }
    }
}

/// A type as SQL writes it; `None` where there is no word for it.
pub(super) fn written(data_type: &DataType) -> Option<ast::DataType> {
    Some(match data_type {
        DataType::Boolean => ast::DataType::Boolean,
        DataType::Int8 | DataType::Int16 => ast::DataType::SmallInt(None),
        DataType::Int32 => ast::DataType::Integer(None),
        DataType::Int64 => ast::DataType::BigInt(None),
        DataType::Float32 => ast::DataType::Real,
        DataType::Float64 => ast::DataType::DoublePrecision,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            let (precision, scale) = (u64::from(*precision), i64::from(*scale));
            ast::DataType::Numeric(ast::ExactNumberInfo::PrecisionAndScale(precision, scale))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ast::DataType::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => ast::DataType::Bytea,
        DataType::Date32 => ast::DataType::Date,
        DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond) => {
            ast::DataType::Time(None, ast::TimezoneInfo::None)
        }
        DataType::Timestamp(_, None) => ast::DataType::Timestamp(Some(6), ast::TimezoneInfo::None),
        DataType::Timestamp(_, Some(_)) => ast::DataType::Timestamp(Some(6), ast::TimezoneInfo::Tz),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            ast::DataType::Interval { fields: None, precision: None }
        }
        DataType::List(item) => {
            let item = written(item.data_type())?;
            ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(item), None))
        }
        _ => return None,
    })
}
