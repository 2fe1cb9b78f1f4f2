//! Constants taken out of a query's text, so that one plan serves all queries that differ in nothing else.
//!
//! `WHERE customer = 7 AND status = 'open'` becomes `WHERE customer = $1 AND status = $2`, with the values beside it. Only
//! what a condition compares with is taken: elsewhere a constant may be more than its value (a column's place, a label, a
//! precision). Of texts only those beside a column are, since the column says what they are.

use super::ParameterType;
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, Expr, Query, SetExpr, TableFactor, TimezoneInfo, Value,
};
use std::ops::ControlFlow;

/// So many constants of a query are taken at most.
const CONSTANTS_MAX: usize = 64;

/// A constant that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    /// Of a type that its text alone tells.
    Typed(ScalarValue),
    /// Text of the type that its place asks for.
    Untyped(String),
}

impl Constant {
    /// The type that it is declared with.
    pub(super) fn declared(&self) -> Option<ParameterType> {
        match self {
            Self::Typed(value) => Some(value.data_type().into()),
            Self::Untyped(_) => None,
        }
    }

    /// Its value where its place asks for this type; `None` if it takes more than reading the text as it stands.
    pub(super) fn value(self, data_type: &DataType) -> Option<ScalarValue> {
        match (self, data_type) {
            (Self::Typed(value), _) => Some(value),
            (Self::Untyped(text), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
                Some(ScalarValue::Utf8(Some(text)))
            }
            (Self::Untyped(text), DataType::Date32) => date(&text),
            (Self::Untyped(text), DataType::Timestamp(_, None)) => timestamp(&text),
            _ => None,
        }
    }
}

/// `2024-01-31`.
fn date(text: &str) -> Option<ScalarValue> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    // Years of other lengths are written otherwise.
    let days = day.signed_duration_since(NaiveDate::default()).num_days();
    (text.len() == 10).then_some(ScalarValue::Date32(Some(i32::try_from(days).ok()?)))
}

/// `2024-01-31 12:30:00`, or the day alone.
fn timestamp(text: &str) -> Option<ScalarValue> {
    let time = match text.len() {
        10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?,
        19 => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?,
        _ => return None,
    };
    Some(ScalarValue::TimestampMicrosecond(Some(time.and_utc().timestamp_micros()), None))
}

/// A query with parameters in the place of its constants, and these; `None` if there are none, too many, or if it has
/// parameters already.
pub(super) fn lifted(query: &Query) -> Option<(Query, Vec<Constant>)> {
    let is_parameter =
        |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
    let parameters = ast::visit_expressions(query, |expr| match is_parameter(expr) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    if parameters.is_break() {
        return None;
    }
    let (mut query, mut lift) = (query.clone(), Lift::default());
    lift.query(&mut query);
    (1..=CONSTANTS_MAX).contains(&lift.constants.len()).then_some((query, lift.constants))
}

#[derive(Default)]
struct Lift {
    constants: Vec<Constant>,
}

impl Lift {
    /// A query and those it selects from; not those within its expressions, which may be planned apart.
    fn query(&mut self, query: &mut Query) {
        let tables = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
        tables.for_each(|table| self.query(&mut table.query));
        self.body(&mut query.body);
    }

    fn body(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            SetExpr::Select(select) => {
                for from in &mut select.from {
                    let joined = from.joins.iter_mut().map(|join| &mut join.relation);
                    for table in std::iter::once(&mut from.relation).chain(joined) {
                        if let TableFactor::Derived { lateral: false, subquery, .. } = table {
                            self.query(subquery);
                        }
                    }
                }
                if let Some(condition) = &mut select.selection {
                    self.condition(condition);
                }
            }
            _ => {}
        }
    }

    fn condition(&mut self, expr: &mut Expr) {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
        match expr {
            Expr::Nested(inner) => self.condition(inner),
            Expr::BinaryOp { left, op: And | Or, right } => {
                self.condition(left);
                self.condition(right);
            }
            Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right } => {
                let (of_left, of_right) = (is_column(right), is_column(left));
                self.operand(left, of_left);
                self.operand(right, of_right);
            }
            Expr::Between { expr, low, high, .. } => {
                self.operand(low, is_column(expr));
                self.operand(high, is_column(expr));
            }
            Expr::InList { expr, list, .. } if is_column(expr) => {
                list.iter_mut().for_each(|item| self.operand(item, true));
            }
            _ => {}
        }
    }

    /// One side of a comparison; `beside_column` if the other is a column.
    fn operand(&mut self, expr: &mut Expr, beside_column: bool) {
        match expr {
            Expr::Nested(inner) => self.operand(inner, beside_column),
            Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
                self.operand(left, false);
                self.operand(right, false);
            }
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => {
                    if let Some(number) = number(digits) {
                        self.take(&mut value.value, Constant::Typed(number));
                    }
                }
                Value::SingleQuotedString(text) if beside_column => {
                    let text = Constant::Untyped(text.clone());
                    self.take(&mut value.value, text);
                }
                _ => {}
            },
            Expr::TypedString(typed) if !typed.uses_odbc_syntax => {
                if let Some(constant) = typed_constant(&typed.data_type, &typed.value.value) {
                    let mut value = typed.value.clone();
                    self.take(&mut value.value, Constant::Typed(constant));
                    // As a cast, the text still says what it is.
                    *expr = Expr::Cast {
                        kind: CastKind::Cast,
                        expr: Box::new(Expr::Value(value)),
                        data_type: typed.data_type.clone(),
                        array: false,
                        format: None,
                    };
                }
            }
            Expr::Cast { expr, data_type, array: false, format: None, .. } => {
                if let Expr::Value(value) = expr.as_mut()
                    && let Some(constant) = typed_constant(data_type, &value.value)
                {
                    self.take(&mut value.value, Constant::Typed(constant));
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, place: &mut Value, constant: Constant) {
        self.constants.push(constant);
        *place = Value::Placeholder(format!("${}", self.constants.len()));
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// As PostgreSQL types it: the smallest that holds it, from four bytes on; `None` if it is no whole number.
fn number(digits: &str) -> Option<ScalarValue> {
    match (digits.parse::<i32>(), digits.parse::<i64>()) {
        (Ok(number), _) => Some(ScalarValue::Int32(Some(number))),
        (_, Ok(number)) => Some(ScalarValue::Int64(Some(number))),
        _ => None,
    }
}

/// A constant beside the name of its type.
fn typed_constant(data_type: &ast::DataType, value: &Value) -> Option<ScalarValue> {
    use ast::DataType::{BigInt, Date, Int, Int4, Int8, Integer, Timestamp};
    match (data_type, value) {
        (Int(None) | Integer(None) | Int4(None) | BigInt(None) | Int8(None), Value::Number(digits, _)) => {
            number(digits)
        }
        (Date, Value::SingleQuotedString(text)) => date(text),
        (Timestamp(None, TimezoneInfo::None), Value::SingleQuotedString(text)) => timestamp(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::statement::{Statement, parse};

    fn lift(sql: &str) -> Option<(String, String)> {
        let Some(Statement::Query(query)) = parse(sql).unwrap().pop() else { panic!("{sql} is no query") };
        let (query, constants) = lifted(&query)?;
        let shown = |constant: Constant| match constant {
            Constant::Typed(value) => format!("{value}"),
            Constant::Untyped(text) => format!("{text:?}"),
        };
        Some((query.to_string(), constants.into_iter().map(shown).collect::<Vec<_>>().join(", ")))
    }

    #[track_caller]
    fn lifts(sql: &str, to: &str, constants: &str) {
        assert_eq!(lift(sql), Some((to.to_string(), constants.to_string())));
    }

    #[test]
    fn numbers_that_are_compared_with_are_taken() {
        lifts(
            "SELECT a, 3 FROM t WHERE a = 7 AND (b BETWEEN 1 AND 1 + 10 OR 4 < c) ORDER BY 1 LIMIT 5",
            "SELECT a, 3 FROM t WHERE a = $1 AND (b BETWEEN $2 AND $3 + $4 OR $5 < c) ORDER BY 1 LIMIT 5",
            "7, 1, 1, 10, 4",
        );
        lifts(
            "SELECT a FROM (SELECT a FROM t WHERE b = 5000000000) u WHERE a = 2",
            "SELECT a FROM (SELECT a FROM t WHERE b = $1) u WHERE a = $2",
            "5000000000, 2",
        );
        lifts("SELECT a FROM t WHERE b IN (1, 2, a)", "SELECT a FROM t WHERE b IN ($1, $2, a)", "1, 2");
    }

    #[test]
    fn texts_beside_columns_and_constants_with_a_type_are_taken() {
        lifts(
            "SELECT a FROM t WHERE t.b = 'x' AND c IN ('y', 'z') AND lower(b) = 'w'",
            "SELECT a FROM t WHERE t.b = $1 AND c IN ($2, $3) AND lower(b) = 'w'",
            r#""x", "y", "z""#,
        );
        lifts(
            "SELECT a FROM t WHERE d BETWEEN date '2024-01-31' + 7::int AND '2024-02-29'::date AND \
             e < timestamp '2024-01-31 12:30:00'",
            "SELECT a FROM t WHERE d BETWEEN CAST($1 AS DATE) + $2::INT AND $3::DATE AND e < CAST($4 AS TIMESTAMP)",
            "2024-01-31, 7, 2024-02-29, 1706704200000000",
        );
    }

    #[test]
    fn what_may_be_more_than_a_value_stays() {
        for stays in [
            "SELECT 1, round(a, 2) FROM t WHERE a LIKE '5' GROUP BY 1 LIMIT 10",
            "SELECT a FROM t WHERE round(a, 2) = 1.5 AND a > 99999999999999999999",
            "SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE c = 1)",
            "SELECT a FROM t WHERE a = 1 AND b = $1",
            "SELECT $1 FROM t WHERE a = 1 AND b = 2",
            "SELECT a FROM t WHERE a = E'x' AND b = date 'tomorrow' AND c = '1.5'::int",
        ] {
            assert_eq!(lift(stays), None, "{stays}");
        }
    }

    #[test]
    fn texts_are_read_as_the_type_of_their_place_asks() {
        let read = |text: &str, data_type| Constant::Untyped(text.to_string()).value(&data_type);
        let noon = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
        assert_eq!(read("x", DataType::Utf8View), Some(ScalarValue::from("x")));
        assert_eq!(read("1970-01-02", DataType::Date32), Some(ScalarValue::Date32(Some(1))));
        assert_eq!(
            read("1970-01-01 00:00:01", noon),
            Some(ScalarValue::TimestampMicrosecond(Some(1_000_000), None))
        );
        for (text, data_type) in [("1", DataType::Int32), ("01/02/1970", DataType::Date32)] {
            assert_eq!(read(text, data_type), None, "{text}");
        }
    }
}
