//! The functions whose answer depends on the session: who asks, where, under which settings.

use super::Error;
use super::backends::{Activity, Backends, Peer, Signal};
use super::postgres::catalog::types::PG_TYPE_KEY;
use super::session::{Cursors, Listed};
use super::settings::{NO_ROLE, SERVER_VERSION, Settings};
use super::sleep::sleep;
use super::terminate::terminate;
use crate::catalog::access::Access;
use crate::engine::DATABASE;
use arc_swap::ArcSwap;
use arrow::array::types::Int32Type;
use arrow::array::{ArrayRef, AsArray, BooleanArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::cast::as_boolean_array;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What session functions look at.
#[derive(Debug)]
pub struct Surroundings {
    /// Who asks.
    pub user: String,
    /// The number of the connection.
    pub process_id: i32,
    /// Its settings.
    pub settings: Mutex<Settings>,
    /// Its cursors.
    pub cursors: Mutex<Cursors>,
    /// Its prepared statements, by name.
    pub statements: Mutex<BTreeMap<String, Listed>>,
    /// Where its client is.
    pub peer: Peer,
    /// What it is doing.
    pub activity: Arc<Activity>,
    /// Roles and rights as they are now.
    pub access: Arc<ArcSwap<Access>>,
    /// All sessions, itself among them.
    pub backends: Arc<Backends>,
}

impl Surroundings {
    /// By whose rights: who asks, until SET ROLE says otherwise.
    pub fn role(&self) -> String {
        let role = self.settings.lock().get("role").unwrap_or_default();
        if role == NO_ROLE { self.user.clone() } else { role }
    }
}

type Body = fn(&Surroundings, &[ArrayRef], usize) -> Result<ColumnarValue>;

/// Every session function.
pub fn all(surroundings: &Arc<Surroundings>) -> Vec<ScalarUDF> {
    let text = |name: &'static str, body: Body| function(surroundings, name, &[vec![]], DataType::Utf8, body);
    let mut functions = vec![
        text("version", |_, _, _| constant(format!("PostgreSQL {SERVER_VERSION}, one binary"))),
        text("current_database", |_, _, _| constant(DATABASE)),
        text("current_catalog", |_, _, _| constant(DATABASE)),
        text("current_schema", |s, _, _| Ok(optional(search_path(s).into_iter().next()))),
    ];
    functions.push(text("session_user", |s, _, _| constant(&s.user)));
    for name in ["current_user", "user", "current_role"] {
        functions.push(text(name, |s, _, _| constant(s.role())));
    }
    let flag = vec![DataType::Boolean];
    let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    functions.push(function(surroundings, "current_schemas", &[flag], texts, current_schemas));
    functions.push(function(surroundings, "pg_backend_pid", &[vec![]], DataType::Int32, |s, _, _| {
        Ok(ColumnarValue::Scalar(ScalarValue::Int32(Some(s.process_id))))
    }));
    let pid = vec![DataType::Int32];
    functions.push(function(surroundings, "pg_cancel_backend", &[pid], DataType::Boolean, cancel));
    functions.push(terminate(surroundings));
    functions.push(sleep());
    for name in ["pg_is_in_recovery", "pg_is_wal_replay_paused"] {
        functions.push(function(surroundings, name, &[vec![]], DataType::Boolean, |_, _, _| {
            Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(false))))
        }));
    }
    functions.push(text("pg_advisory_unlock_all", |_, _, _| constant("")));
    let name = vec![DataType::Utf8];
    let name_and_flag = vec![DataType::Utf8, DataType::Boolean];
    functions.push(function(
        surroundings,
        "current_setting",
        &[name, name_and_flag],
        DataType::Utf8,
        current_setting,
    ));
    let assignment = vec![DataType::Utf8, DataType::Utf8, DataType::Boolean];
    functions.push(function(surroundings, "set_config", &[assignment], DataType::Utf8, set_config));
    functions
}

fn constant(text: impl Into<String>) -> Result<ColumnarValue> {
    Ok(optional(Some(text.into())))
}

fn optional(text: Option<String>) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Utf8(text))
}

/// The schemas of `search_path`, without `$user`.
pub fn search_path(surroundings: &Surroundings) -> Vec<String> {
    let path = surroundings.settings.lock().get("search_path").unwrap_or_default();
    path.split(',')
        .map(|name| name.trim().trim_matches('"').to_string())
        .filter(|name| !name.is_empty() && name != "$user")
        .collect()
}

fn current_schemas(
    surroundings: &Surroundings,
    arguments: &[ArrayRef],
    rows: usize,
) -> Result<ColumnarValue> {
    let implicit = as_boolean_array(&arguments[0])?;
    let path = search_path(surroundings);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        if implicit.iter().nth(row).flatten().unwrap_or(false)
            && !path.iter().any(|name| name == "pg_catalog")
        {
            lists.values().append_value("pg_catalog");
        }
        path.iter().for_each(|name| lists.values().append_value(name));
        lists.append(true);
    }
    Ok(ColumnarValue::Array(Arc::new(lists.finish())))
}

fn current_setting(
    surroundings: &Surroundings,
    arguments: &[ArrayRef],
    rows: usize,
) -> Result<ColumnarValue> {
    let names = arguments[0].as_string::<i32>();
    let missing_ok: Option<&BooleanArray> = arguments.get(1).map(|array| array.as_boolean());
    let settings = surroundings.settings.lock();
    let values: Vec<Option<String>> = (0..rows)
        .map(|row| {
            let Some(name) = names.iter().nth(row).flatten() else { return Ok(None) };
            match settings.get(name) {
                Ok(value) => Ok(Some(value)),
                Err(_) if missing_ok.is_some_and(|flags| flags.value(row)) => Ok(None),
                Err(error) => Err(external(error)),
            }
        })
        .collect::<Result<_>>()?;
    Ok(ColumnarValue::Array(Arc::new(StringArray::from(values))))
}

fn set_config(surroundings: &Surroundings, arguments: &[ArrayRef], rows: usize) -> Result<ColumnarValue> {
    let (names, values) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let local = arguments[2].as_boolean();
    let mut settings = surroundings.settings.lock();
    let mut set = Vec::with_capacity(rows);
    for ((name, value), local) in names.iter().zip(values).zip(local) {
        let name = name.ok_or_else(|| external(Error::new("22004", "SET requires parameter name")))?;
        settings.set(name, value, local.unwrap_or(false)).map_err(external)?;
        set.push(Some(settings.get(name).map_err(external)?));
    }
    Ok(ColumnarValue::Array(Arc::new(StringArray::from(set))))
}

/// True for each session that was there to be told.
fn cancel(surroundings: &Surroundings, arguments: &[ArrayRef], _: usize) -> Result<ColumnarValue> {
    let (role, access) = (surroundings.role(), surroundings.access.load());
    let told = arguments[0].as_primitive::<Int32Type>().iter().map(|process_id| {
        let told = process_id.map(|id| surroundings.backends.signal(id, Signal::Cancel, &role, &access));
        told.transpose().map_err(external)
    });
    Ok(ColumnarValue::Array(Arc::new(told.collect::<Result<BooleanArray>>()?)))
}

/// The field under a PostgreSQL type's name.
fn named(field: Field, typname: &str) -> Field {
    field.with_metadata([(PG_TYPE_KEY.to_string(), typname.to_string())].into())
}

pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn function(
    surroundings: &Arc<Surroundings>,
    name: &'static str,
    signatures: &[Vec<DataType>],
    returns: DataType,
    body: Body,
) -> ScalarUDF {
    let signatures = signatures.iter().map(|types| {
        if types.is_empty() { TypeSignature::Nullary } else { TypeSignature::Exact(types.clone()) }
    });
    // Settings change between two statements; what changes them itself, or acts on others, is run once for each row.
    let acts = ["set_config", "pg_cancel_backend"].contains(&name);
    let volatility = if acts { Volatility::Volatile } else { Volatility::Stable };
    ScalarUDF::new_from_impl(SessionFunction {
        name,
        signature: Signature::one_of(signatures.collect(), volatility),
        returns,
        body,
        surroundings: Arc::clone(surroundings),
    })
}

struct SessionFunction {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    body: Body,
    surroundings: Arc<Surroundings>,
}

impl fmt::Debug for SessionFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for SessionFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.surroundings, &other.surroundings)
    }
}

impl Eq for SessionFunction {}

impl Hash for SessionFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for SessionFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name, self.returns.clone(), true);
        Ok(Arc::new(match self.name {
            "current_schemas" => named(field, "_name"),
            "current_database" | "current_catalog" | "current_schema" | "current_user" | "session_user"
            | "user" | "current_role" => named(field, "name"),
            _ => field,
        }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays: Vec<ArrayRef> =
            arguments.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<_>>()?;
        (self.body)(&self.surroundings, &arrays, rows)
    }
}
