//! Parts and beginnings of times: what `date_part` and `date_trunc` are is decided by the type of what they are of.
//!
//! The engine's are of dates and times. Intervals have functions of their own, and some units the engine does not know.

use super::Manner;
use super::typed::Typed as _;
use crate::engine::functions::{Unit, interval_part, interval_trunc, justified, make_interval};
use crate::serve::Error;
use crate::serve::postgres::catalog::types::{data_column_type, types};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::datetime::{date_part, date_trunc};
use datafusion::functions::math::floor;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use std::sync::Arc;

/// `date_trunc` until types are known.
pub(super) fn beginnings() -> ScalarUDF {
    ScalarUDF::new_from_impl(Beginnings { signature: Signature::user_defined(Volatility::Immutable) })
}

/// A call of `date_part` or `date_trunc` as the type of its second argument has it.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema, manner: &Manner<'_>) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(Transformed::no(expr)) };
    let is_trunc = func.name() == "date_trunc";
    let [unit, of] = args.as_slice() else {
        return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
    };
    if !is_trunc && func.name() != "date_part" {
        return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
    }
    let (unit, of, found) = (unit.clone(), of.clone(), of.type_of(schema)?);
    if let DataType::Interval(_) | DataType::Duration(_) = found {
        let of = match found {
            // What two timestamps are apart has days.
            DataType::Duration(_) => Arc::new(justified()).call(vec![of]),
            _ => of,
        };
        let function = if is_trunc { interval_trunc() } else { interval_part() };
        return Ok(Transformed::yes(Arc::new(function).call(vec![unit, of])));
    }
    let named = written(&unit).map(|name| checked(&name, &found)).transpose()?.flatten();
    let unit = match named.and_then(engine_name) {
        Some(name) => lit(name),
        None => unit,
    };
    if is_trunc {
        let of = match found {
            DataType::Date32 => cast(of, moment(manner)),
            _ => of,
        };
        return Ok(Transformed::yes(begun(named, unit, of)));
    }
    let part = |unit: &str| cast(func.call(vec![lit(unit), of.clone()]), DataType::Float64);
    let whole = |part: Expr| floor().call(vec![part]);
    Ok(Transformed::yes(match named {
        Some(Unit::Decade) => whole(part("year") / lit(10.0)),
        Some(Unit::Century) => whole((part("year") + lit(99.0)) / lit(100.0)),
        Some(Unit::Millennium) => whole((part("year") + lit(999.0)) / lit(1000.0)),
        Some(Unit::Millisecond) => part("microsecond") / lit(1000.0),
        Some(Unit::OfDates) if written(&unit).is_some_and(|name| name == "julian") => {
            part("epoch") / lit(86_400.0) + lit(2_440_588.0)
        }
        _ => func.call(vec![unit, of]),
    }))
}

/// The beginning of a unit; of several years, some years before that of the year.
fn begun(named: Option<Unit>, unit: Expr, of: Expr) -> Expr {
    let year = || cast(date_part().call(vec![lit("year"), of.clone()]), DataType::Int64);
    let passed = match named {
        Some(Unit::Decade) => year() % lit(10_i64),
        Some(Unit::Century) => (year() - lit(1_i64)) % lit(100_i64),
        Some(Unit::Millennium) => (year() - lit(1_i64)) % lit(1000_i64),
        _ => return date_trunc().call(vec![unit, of]),
    };
    let passed = Arc::new(make_interval()).call(vec![passed]);
    date_trunc().call(vec![lit("year"), of]) - passed
}

/// What the engine calls a unit that it knows.
fn engine_name(unit: Unit) -> Option<&'static str> {
    Some(match unit {
        Unit::Microsecond => "microsecond",
        Unit::Millisecond => "millisecond",
        Unit::Second => "second",
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::Week => "week",
        Unit::Month => "month",
        Unit::Quarter => "quarter",
        Unit::Year => "year",
        Unit::Epoch => "epoch",
        Unit::Decade | Unit::Century | Unit::Millennium | Unit::OfDates => return None,
    })
}

fn moment(manner: &Manner<'_>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(manner.zone.into()))
}

/// A unit that is a literal.
fn written(unit: &Expr) -> Option<String> {
    match unit {
        Expr::Literal(unit, _) => unit.try_as_str().flatten().map(str::to_lowercase),
        _ => None,
    }
}

/// The unit, if a time of such a type has it; nothing of what is no time.
fn checked(name: &str, of: &DataType) -> Result<Option<Unit>> {
    let is_clock = matches!(of, DataType::Time32(_) | DataType::Time64(_));
    if !is_clock && !matches!(of, DataType::Date32 | DataType::Timestamp(..)) {
        return Ok(None);
    }
    let refuse = |code, what: &str| {
        let of = types().format(data_column_type(of).oid, None);
        let error = Error::new(code, format!("unit \"{name}\" {what} for type {of}"));
        Err(DataFusionError::External(Box::new(error)))
    };
    match Unit::named(name) {
        None => refuse("22023", "not recognized"),
        Some(
            Unit::Day
            | Unit::Week
            | Unit::Month
            | Unit::Quarter
            | Unit::Year
            | Unit::Decade
            | Unit::Century
            | Unit::Millennium
            | Unit::OfDates,
        ) if is_clock => refuse("0A000", "not supported"),
        known => Ok(known),
    }
}

/// `date_trunc` as statements name it: of what, is known once they are planned.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Beginnings {
    signature: Signature,
}

impl ScalarUDFImpl for Beginnings {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn aliases(&self) -> &[String] {
        date_trunc_aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let known = match types {
            [_, DataType::Interval(_) | DataType::Duration(_)] => {
                Some(DataType::Interval(IntervalUnit::MonthDayNano))
            }
            [_, of @ (DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_))] => {
                Some(of.clone())
            }
            [_, DataType::Date32 | DataType::Null] => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            // A literal without a type is a moment.
            [_, of] if of.is_string() => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            _ => None,
        };
        match known {
            Some(of) => Ok(vec![DataType::Utf8, of]),
            None => {
                let types: Vec<String> = types.iter().map(ToString::to_string).collect();
                let call = format!("date_trunc({})", types.join(", "));
                datafusion::common::plan_err!(
                    "No function matches the given name and argument types '{call}'"
                )
            }
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.get(1).cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.return_type() {
            DataType::Interval(_) => interval_trunc().invoke_with_args(args),
            _ => date_trunc().invoke_with_args(args),
        }
    }
}

fn date_trunc_aliases() -> &'static [String] {
    use std::sync::LazyLock;
    static ALIASES: LazyLock<Vec<String>> = LazyLock::new(|| date_trunc().aliases().to_vec());
    &ALIASES
}
