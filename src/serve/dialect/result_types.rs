//! What PostgreSQL calls the types of a query's columns, where Arrow's types do not tell: `name`, `"char"`, `oid`,
//! `regclass`.
//!
//! Comes in: a plan as it was written. Goes out: a type for each column, which follows from catalog columns, casts and
//! functions through everything above them by PostgreSQL's rules. What is computed does not depend on it.

use super::columns::{Knowledge, of_columns};
use super::common_type::common_type;
use super::typed::Typed as _;
use super::{dimensions, modifiers};
use crate::serve::postgres::catalog::types::{
    NO_TYPMOD, PG_TYPE_KEY, PG_TYPMOD_KEY, arrow_type, column_type, data_column_type, oid, types,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// The types of a query's columns, and their modifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct ResultTypes(Vec<i32>, Vec<i32>);

impl ResultTypes {
    /// The columns with their types' names.
    pub(in crate::serve) fn apply(&self, schema: &Schema) -> SchemaRef {
        let fields = schema.fields().iter().enumerate().map(|(i, field)| match self.0.get(i) {
            Some(oid) => modified(named(field, *oid), self.1.get(i).copied()),
            None => Arc::clone(field),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The field under a type's name, if its values can be of that type.
fn named(field: &FieldRef, oid: i32) -> FieldRef {
    let plain = data_column_type(field.data_type()).oid;
    let mut metadata = field.metadata().clone();
    metadata.remove(PG_TYPE_KEY);
    if let Some(ty) = types().by_oid(oid)
        && oid != plain
        && data_column_type(&arrow_type(&ty.name)).oid == plain
    {
        metadata.insert(PG_TYPE_KEY.to_string(), ty.name.clone());
    } else if oid::IDENTIFIERS.contains(&oid) && matches!(field.data_type(), DataType::Struct(_)) {
        metadata.extend(types().by_oid(oid).map(|ty| (PG_TYPE_KEY.to_string(), ty.name.clone())));
    }
    Arc::new(Field::clone(field).with_metadata(metadata))
}

/// The field with a modifier, where its type alone would tell another.
fn modified(field: FieldRef, typmod: Option<i32>) -> FieldRef {
    let typmod = typmod.unwrap_or(NO_TYPMOD);
    let mut metadata = field.metadata().clone();
    metadata.remove(PG_TYPMOD_KEY);
    let plain = Field::clone(&field).with_metadata(metadata.clone());
    if column_type(&plain).typmod == typmod {
        return Arc::new(plain);
    }
    metadata.insert(PG_TYPMOD_KEY.to_string(), typmod.to_string());
    Arc::new(plain.with_metadata(metadata))
}

/// The types of a plan's columns.
pub(in crate::serve) fn result_types(plan: &LogicalPlan) -> ResultTypes {
    let known = of_plan(plan);
    let known = known.into_iter().map(|ty| if ty == oid::UNKNOWN { oid::TEXT } else { ty });
    ResultTypes(known.collect(), modifiers::of_plan(plan))
}

/// Numbers that print as names (`regclass`) get their names beside them: clients that read text want these, others the
/// numbers.
pub(in crate::serve) fn identifiers_with_names(
    plan: LogicalPlan,
    types: &ResultTypes,
    functions: &dyn FunctionRegistry,
) -> Result<LogicalPlan> {
    let is_identifier = |i: usize| {
        types.0.get(i).is_some_and(|oid| oid::IDENTIFIERS.contains(oid))
            && plan.schema().field(i).data_type() == &DataType::Int32
    };
    if !(0..plan.schema().fields().len()).any(is_identifier) {
        return Ok(plan);
    }
    let columns = plan.schema().columns().into_iter().enumerate().map(|(i, column)| {
        let number = Expr::Column(column.clone());
        if !is_identifier(i) {
            return Ok(number);
        }
        let name = types.0.get(i).and_then(|oid| self::types().by_oid(*oid)).map_or("", |ty| &ty.name);
        let printed = functions.udf(&format!("{name}out"))?.call(vec![number.clone()]);
        let both = functions.udf("identified")?.call(vec![number, printed]);
        Ok(both.alias_qualified(column.relation, column.name))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// The types of a plan's columns, of literals without a type that of none.
pub(super) fn of_plan(plan: &LogicalPlan) -> Vec<i32> {
    of_columns(&Types, plan)
}

struct Types;

impl Knowledge for Types {
    type Fact = i32;

    fn of_itself(&self, _: &LogicalPlan) -> Option<Vec<i32>> {
        None
    }

    fn of_expr(&self, expr: &Expr, schema: &DFSchema, types: &[i32]) -> i32 {
        Scope { schema, types: Some(types) }.of(expr)
    }

    fn together(&self, types: Vec<i32>) -> i32 {
        common_type(types)
    }

    fn otherwise(&self, field: &Field) -> i32 {
        column_type(field).oid
    }
}

/// What an expression may name.
struct Scope<'a> {
    schema: &'a DFSchema,
    /// What is known of the schema's columns; where it is not, their fields tell.
    types: Option<&'a [i32]>,
}

/// The type of an expression over such columns; that of none, where it has a structure that no type has.
pub(super) fn type_in(expr: &Expr, schema: &DFSchema) -> i32 {
    let is_structured =
        |found: DataType| matches!(found, DataType::Struct(_) | DataType::Map(..) | DataType::Union(..));
    match expr.type_of(schema).is_ok_and(is_structured) {
        true => oid::UNKNOWN,
        false => Scope { schema, types: None }.of(expr),
    }
}

impl Scope<'_> {
    fn of(&self, expr: &Expr) -> i32 {
        match expr {
            Expr::Alias(alias) => self.of(&alias.expr),
            Expr::Column(column) => {
                let index = self.schema.index_of_column(column).ok();
                let known = index.and_then(|i| match self.types {
                    Some(types) => types.get(i).copied(),
                    None => Some(column_type(self.schema.field(i)).oid),
                });
                known.unwrap_or(oid::TEXT)
            }
            Expr::OuterReferenceColumn(field, _) => column_type(field).oid,
            Expr::Literal(value, _) if is_untyped(value) => oid::UNKNOWN,
            Expr::Placeholder(placeholder) => {
                placeholder.field.as_ref().map_or(oid::UNKNOWN, |field| column_type(field).oid)
            }
            Expr::Cast(cast) => column_type(&cast.field).oid,
            Expr::TryCast(cast) => column_type(&cast.field).oid,
            // As in PostgreSQL, ELSE counts first.
            Expr::Case(case) => {
                let otherwise = case.else_expr.iter().map(|expr| self.of(expr));
                common_type(otherwise.chain(case.when_then_expr.iter().map(|(_, then)| self.of(then))))
            }
            Expr::ScalarSubquery(subquery) => {
                of_plan(&subquery.subquery).first().copied().unwrap_or(oid::TEXT)
            }
            Expr::ScalarFunction(function) => self.of_function(function, expr),
            Expr::AggregateFunction(AggregateFunction { func, params }) => {
                self.of_aggregate(func.name(), &params.args, expr)
            }
            Expr::WindowFunction(window) => {
                let WindowFunction { fun, params } = window.as_ref();
                self.of_aggregate(fun.name(), &params.args, expr)
            }
            // The engine would print each operator of a chain to tell its field, of which only the type is its own.
            Expr::BinaryExpr(_) => match expr.type_of(self.schema) {
                Ok(found) => column_type(&Field::new("", found, true)).oid,
                Err(_) => oid::TEXT,
            },
            Expr::Unnest(unnest) => element_of(self.of(&unnest.expr)).unwrap_or_else(|| self.plain(expr)),
            other => self.plain(other),
        }
    }

    fn of_function(&self, function: &ScalarFunction, expr: &Expr) -> i32 {
        let arguments = || function.args.iter().map(|argument| self.of(argument));
        match function.name() {
            "coalesce" | "greatest" | "least" => common_type(arguments()),
            "nullif" | "array_or_empty" | dimensions::NAME => arguments().next().unwrap_or(oid::TEXT),
            "make_array" => array_of(common_type(arguments())).unwrap_or_else(|| self.plain(expr)),
            "array_element" => arguments().next().and_then(element_of).unwrap_or_else(|| self.plain(expr)),
            _ => self.plain(expr),
        }
    }

    fn of_aggregate(&self, name: &str, arguments: &[Expr], expr: &Expr) -> i32 {
        let Some(argument) = arguments.first().map(|argument| self.of(argument)) else {
            return self.plain(expr);
        };
        match name {
            "min" | "max" if [oid::NAME, oid::VARCHAR, oid::CHAR, oid::UNKNOWN].contains(&argument) => {
                oid::TEXT
            }
            "min" | "max" | "first_value" | "last_value" | "nth_value" | "lag" | "lead" => argument,
            "array_agg" => array_of(argument).unwrap_or_else(|| self.plain(expr)),
            _ => self.plain(expr),
        }
    }

    /// As Arrow's type, and a function's own field, have it.
    fn plain(&self, expr: &Expr) -> i32 {
        expr.to_field(self.schema).map_or(oid::TEXT, |(_, field)| column_type(&field).oid)
    }
}

fn is_untyped(value: &ScalarValue) -> bool {
    matches!(
        value,
        ScalarValue::Null | ScalarValue::Utf8(_) | ScalarValue::Utf8View(_) | ScalarValue::LargeUtf8(_)
    )
}

fn array_of(item: i32) -> Option<i32> {
    let item = if item == oid::UNKNOWN { oid::TEXT } else { item };
    types().by_oid(item).map(|ty| ty.array).filter(|array| *array != 0)
}

fn element_of(array: i32) -> Option<i32> {
    types().by_oid(array)?.element
}
