//! Prepared statements: planned once, kept under a name, executed any number of times with other values.

use super::plans::KeptPlan;
use super::scope::Seen;
use super::shared::Kept;
use super::{Answer, Scope, Session};
use crate::catalog::cut::Cut;
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::serve::postgres::catalog::types::{column_type, data_column_type};
use crate::serve::query::{self, Planned};
use crate::serve::statement::Statement;
use crate::serve::{Error, ParameterType};
use arrow::datatypes::{DataType, Field, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// Prepared statements of one session.
const PREPARED_MAX: usize = 10_000;

/// A statement with its types known, ready to be executed any number of times.
#[derive(Debug)]
pub struct Prepared {
    pub(super) statement: Statement,
    /// The columns of its rows; `None` if it gives none.
    pub columns: Option<SchemaRef>,
    /// The types of its parameters.
    pub parameters: Vec<DataType>,
    /// Its text, where a protocol has it.
    pub text: String,
    /// A protocol's own numbers of those types, kept for it.
    pub parameter_ids: Vec<u32>,
    /// The types that parameters are cast to, as SQL spells them.
    pub parameters_spelt: Vec<Option<String>>,
    /// The plan made while preparing, for the first execution, if that still sees the same cut.
    pub(super) planned: Mutex<Option<(Seen, Planned)>>,
    /// The plan for all executions after it.
    pub(super) kept: Kept,
}

/// What others are told of a prepared statement.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its text.
    pub text: String,
    /// When it was prepared.
    pub since: DateTime<Utc>,
    /// The types of its parameters, by PostgreSQL's numbers.
    pub parameters: Vec<u32>,
    /// It came by `PREPARE`, not by a protocol's message.
    pub from_sql: bool,
}

impl Prepared {
    /// A statement with its columns, the types of its parameters and how these are spelt, and its plans.
    pub(super) fn new(
        statement: Statement,
        columns: Option<SchemaRef>,
        (parameters, parameters_spelt): (Vec<DataType>, Vec<Option<String>>),
        planned: Option<(Seen, Planned)>,
        kept: Kept,
    ) -> Self {
        let (text, parameter_ids, planned) = (String::new(), vec![], Mutex::new(planned));
        Self { statement, columns, parameters, text, parameter_ids, parameters_spelt, planned, kept }
    }

    /// What was prepared.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

impl Session {
    /// Keeps a prepared statement under a name; the name without letters may be taken again and again.
    pub fn keep(&self, name: &str, prepared: Prepared) -> Result<(), Error> {
        self.keep_from(name, prepared, false)
    }

    fn keep_from(&self, name: &str, prepared: Prepared, from_sql: bool) -> Result<(), Error> {
        let mut state = self.state.lock();
        if !name.is_empty() && state.prepared.contains_key(name) {
            return Err(Error::new("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        if state.prepared.len() >= PREPARED_MAX {
            let message = format!("a session keeps at most {PREPARED_MAX} prepared statements");
            return Err(Error::new("54000", message).with_hint("DEALLOCATE what is not needed any more."));
        }
        // The one without a name is nobody's to see.
        if !name.is_empty() {
            let (text, since, parameters) =
                (prepared.text.clone(), clock::now(), prepared.parameter_ids.clone());
            let listed = Listed { text, since, parameters, from_sql };
            self.surroundings.statements.lock().insert(name.to_string(), listed);
        }
        state.prepared.insert(name.to_string(), Arc::new(prepared));
        Ok(())
    }

    /// A statement that is kept.
    pub fn kept(&self, name: &str) -> Result<Arc<Prepared>, Error> {
        self.state.lock().prepared.get(name).cloned().ok_or_else(|| no_such_statement(name))
    }

    /// Keeps it no longer; no matter if it was.
    pub fn forget(&self, name: &str) {
        let _ = self.drop_prepared(name);
    }

    /// True if there was one.
    pub(super) fn drop_prepared(&self, name: &str) -> bool {
        self.surroundings.statements.lock().remove(name);
        self.state.lock().prepared.remove(name).is_some()
    }

    pub(super) fn drop_all_prepared(&self) {
        self.surroundings.statements.lock().clear();
        self.state.lock().prepared.clear();
    }

    /// A prepared query's plan, with the values that are still to be put in, and what to run it in.
    pub(super) async fn ready(
        &self,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        deadline: Option<Instant>,
    ) -> Result<(Scope, Planned, Vec<ScalarValue>), Error> {
        self.ready_over(&self.cut(deadline).await?, prepared, values).await
    }

    /// The same over a cut that was taken.
    pub(super) async fn ready_over(
        &self,
        cut: &Arc<Cut>,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
    ) -> Result<(Scope, Planned, Vec<ScalarValue>), Error> {
        let meaning = self.meaning(cut)?;
        let kept = prepared.kept.lock().clone();
        if let Some(kept) = kept
            && let Some((planned, scope)) =
                kept.over(&meaning, cut, &types_now(prepared, &values), &values)?
        {
            return Ok((scope, planned, vec![]));
        }
        let is_again = prepared.planned.lock().is_none();
        let planned = self.planned(prepared, &values, cut).await?;
        let scope = self.scope(cut)?;
        if is_again {
            let lasting = self.readers.plans.scope(&meaning, || self.lasting_scope(cut))?;
            *prepared.kept.lock() = KeptPlan::of(meaning, &planned, lasting, cut).map(Arc::new);
        }
        Ok((scope, planned, values))
    }

    /// A prepared query's plan over a cut. A decimal's type is its value's: how many digits there
    /// are is known only now.
    pub(super) async fn planned(
        &self,
        prepared: &Prepared,
        values: &[ScalarValue],
        cut: &Arc<Cut>,
    ) -> Result<Planned, Error> {
        let Some(query) = prepared.statement.query() else {
            return Err(Error::internal("a statement without rows was planned"));
        };
        let types = types_now(prepared, values);
        let fits = |planned: &Planned| types == planned.parameters;
        let seen = self.seen(cut);
        let same = |planned: (Seen, Planned)| (planned.0 == seen).then_some(planned.1);
        let kept = prepared.planned.lock().take().and_then(same).filter(fits);
        let planned = match kept {
            Some(planned) => planned,
            None => {
                let names = prepared.parameters_spelt.iter().cloned().chain(std::iter::repeat(None));
                let declared = types.into_iter().zip(names);
                let declared: Vec<_> =
                    declared.map(|(data_type, name)| Some(ParameterType { data_type, name })).collect();
                query::plan(&self.scope(cut)?, query, &declared).await?
            }
        };
        // The client decodes by the columns it was told of: by their types, each of which may be laid out in several ways.
        let same = |a: &Field, b: &Field| a.name() == b.name() && column_type(a).oid == column_type(b).oid;
        if let Some(told) = &prepared.columns {
            let now = &planned.columns;
            let fits = told.fields().len() == now.fields().len()
                && told.fields().iter().zip(now.fields()).all(|(a, b)| same(a, b));
            if !fits {
                return Err(Error::new("0A000", "cached plan must not change result type"));
            }
        }
        Ok(planned)
    }

    /// `PREPARE name (types) AS query or INSERT`, whose whole text this is.
    pub(super) async fn sql_prepare(
        &self,
        name: &str,
        types: &Opaque<Vec<ast::DataType>>,
        statement: &Statement,
        text: &str,
    ) -> Result<Answer, Error> {
        let cut = self.cut(self.deadline()).await?;
        let declared = query::declared_types(&self.scope(&cut)?, types).await?;
        let mut prepared = Box::pin(self.prepare(statement.clone(), &declared)).await?;
        prepared.text = text.to_string();
        prepared.parameter_ids = prepared.parameters.iter().map(type_number).collect();
        self.keep_from(name, prepared, true)?;
        Ok(Answer::Tag("PREPARE".into()))
    }

    /// The values of `EXECUTE name (expressions)`.
    pub(super) async fn arguments(
        &self,
        name: &str,
        prepared: &Prepared,
        arguments: &Opaque<Vec<ast::Expr>>,
        deadline: Option<Instant>,
    ) -> Result<Vec<ScalarValue>, Error> {
        let (given, wanted) = (arguments.len(), prepared.parameters.len());
        if given != wanted {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {wanted} parameters but got {given}.");
            return Err(Error::new("42601", message).with_detail(detail));
        }
        if arguments.is_empty() {
            return Ok(vec![]);
        }
        let cut = self.cut(deadline).await?;
        query::evaluate(&self.scope(&cut)?, arguments, &prepared.parameters).await
    }
}

fn type_number(data_type: &DataType) -> u32 {
    data_column_type(data_type).oid.cast_unsigned()
}

/// The types of parameters that have their values.
fn types_now(prepared: &Prepared, values: &[ScalarValue]) -> Vec<DataType> {
    let parameters = prepared.parameters.iter().zip(values);
    parameters.map(|(declared, value)| type_now(declared, value)).collect()
}

/// The type of a parameter that has its value: only that tells the digits of a numeric, and the dimensions of an array.
fn type_now(declared: &DataType, value: &ScalarValue) -> DataType {
    match value {
        ScalarValue::Decimal128(Some(_), ..) | ScalarValue::Decimal256(Some(_), ..) => value.data_type(),
        ScalarValue::List(_) if dimensions(&value.data_type()) > dimensions(declared) => value.data_type(),
        _ => declared.clone(),
    }
}

fn dimensions(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(item) => 1 + dimensions(item.data_type()),
        _ => 0,
    }
}

pub(super) fn no_such_statement(name: &str) -> Error {
    if name.is_empty() {
        return Error::new("26000", "unnamed prepared statement does not exist");
    }
    Error::new("26000", format!("prepared statement \"{name}\" does not exist"))
}
