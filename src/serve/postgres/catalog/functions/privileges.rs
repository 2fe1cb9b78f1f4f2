//! Who may do what, as PostgreSQL's functions tell it: answered by the one decision.

use super::identifiers::{SearchPath, parse_names};
use super::row::{Cell, RowFunction, boolean};
use crate::catalog::access::{Access, Action, Decision};
use crate::lake::TableName;
use crate::serve::postgres::catalog::model::{Class, Model};
use crate::sql::{GrantedOn, Privilege};
use arrow::datatypes::DataType::Boolean;
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// What stands behind a privilege that is to be passed on.
const GRANT_OPTION: &str = " WITH GRANT OPTION";
/// The same of a role.
const ADMIN_OPTION: &str = " WITH ADMIN OPTION";

/// The functions.
pub fn functions(model: &Arc<Model>, path: &SearchPath) -> Vec<RowFunction> {
    let mut functions = vec![
        asked(model, path, "has_table_privilege", 1, |asked, row| {
            let table = asked.table(&row[0])?;
            Some(any(row.last(), |privilege| asked.may(privilege, &table, None)))
        }),
        asked(model, path, "has_any_column_privilege", 1, |asked, row| {
            let table = asked.table(&row[0])?;
            Some(any(row.last(), |privilege| match privilege {
                "SELECT" => asked.select(&table) != Decision::Denied,
                privilege => asked.may(privilege, &table, None),
            }))
        }),
        asked(model, path, "has_column_privilege", 2, |asked, row| {
            let table = asked.table(&row[0])?;
            let column = asked.column(&table, &row[1])?;
            Some(any(row.last(), |privilege| asked.may(privilege, &table, Some(&column))))
        }),
        asked(model, path, "has_schema_privilege", 1, |asked, row| {
            let schema = asked.schema(&row[0])?;
            Some(any(row.last(), |privilege| match privilege {
                "USAGE" => asked.access().uses(&asked.role, &schema),
                "CREATE" => asked.access().allows(&asked.role, Action::Create(&schema)),
                privilege => asked.may_grant(privilege, &GrantedOn::Schema(schema.clone()), None),
            }))
        }),
        asked(model, path, "has_database_privilege", 1, |asked, row| {
            Some(any(row.last(), |privilege| match privilege {
                "CONNECT" => asked.access().roles().get(&asked.role).is_some_and(|role| role.login),
                _ => false,
            }))
        }),
        asked(model, path, "pg_has_role", 1, |asked, row| {
            let other = asked.role_of(&row[0])?;
            Some(any(row.last(), |privilege| match privilege.ends_with(ADMIN_OPTION) {
                true => asked.access().is_admin(&asked.role, &other),
                false => asked.access().is_member(&asked.role, &other),
            }))
        }),
    ];
    // What is not granted here is everyone's to use, and nobody's to change.
    let open = [
        "has_function_privilege",
        "has_sequence_privilege",
        "has_type_privilege",
        "has_language_privilege",
        "has_server_privilege",
        "has_foreign_data_wrapper_privilege",
        "has_tablespace_privilege",
    ];
    functions.extend(open.map(|name| {
        RowFunction::new(name, 2..=3, Boolean, |row| {
            Ok(boolean(any(row.last(), |privilege| ["USAGE", "EXECUTE", "SELECT"].contains(&privilege))))
        })
    }));
    functions
}

/// True when any of the privileges in a list is had.
fn any(privileges: Option<&Cell<'_>>, has: impl Fn(&str) -> bool) -> bool {
    let privileges = privileges.and_then(Cell::text).unwrap_or("").to_uppercase();
    privileges.split(',').any(|privilege| has(privilege.trim()))
}

/// A function of `objects` arguments and a privilege; before them there may be a role.
fn asked(
    model: &Arc<Model>,
    path: &SearchPath,
    name: &'static str,
    objects: usize,
    body: impl Fn(&Asked, &[Cell<'_>]) -> Option<bool> + Send + Sync + 'static,
) -> RowFunction {
    let (model, path) = (Arc::clone(model), path.clone());
    RowFunction::new(name, objects + 1..=objects + 2, Boolean, move |row| {
        let mut asked = Asked { role: model.reader.clone(), model: Arc::clone(&model), path: path.clone() };
        let mut row = row;
        if row.len() > objects + 1 {
            let (of, rest) = (&row[0], &row[1..]);
            let Some(role) = asked.role_of(of) else { return Ok(ScalarValue::Boolean(None)) };
            (asked.role, row) = (role, rest);
        }
        Ok(boolean(body(&asked, row)))
    })
}

/// Whom a function is about.
struct Asked {
    role: String,
    model: Arc<Model>,
    path: SearchPath,
}

impl Asked {
    fn access(&self) -> &Access {
        &self.model.access
    }

    fn role_of(&self, cell: &Cell<'_>) -> Option<String> {
        let by_number = |oid| self.model.roles.iter().find(|role| role.oid == oid);
        match cell {
            Cell::Text(name) if name.parse::<i32>().is_err() => Some((*name).to_string()),
            other => Some(by_number(other.oid()?)?.name.clone()),
        }
    }

    fn class(&self, cell: &Cell<'_>) -> Option<&Class> {
        match cell {
            Cell::Text(name) if name.parse::<i32>().is_err() => self.path.class(name),
            other => self.model.class(other.oid()?),
        }
    }

    /// A relation; one that the reader is not shown is known by its whole name.
    fn table(&self, cell: &Cell<'_>) -> Option<TableName> {
        if let Some(class) = self.class(cell) {
            return Some(class.name.clone());
        }
        let names = parse_names(cell.text()?, '.');
        match names.as_slice() {
            [schema, name] => Some(TableName::new(schema, name)),
            _ => None,
        }
    }

    fn column(&self, table: &TableName, cell: &Cell<'_>) -> Option<String> {
        match cell {
            Cell::Text(name) => Some((*name).to_string()),
            other => {
                let position = i16::try_from(other.int()?).ok()?;
                Some(self.model.class_named(table)?.column(position)?.name.clone())
            }
        }
    }

    fn schema(&self, cell: &Cell<'_>) -> Option<String> {
        match cell {
            Cell::Text(name) if name.parse::<i32>().is_err() => parse_names(name, '.').pop(),
            other => Some(self.model.namespace(other.oid()?)?.name.clone()),
        }
    }

    fn select(&self, table: &TableName) -> Decision {
        self.access().decide(&self.role, Action::Select(table))
    }

    fn may(&self, privilege: &str, table: &TableName, column: Option<&String>) -> bool {
        if ["pg_catalog", "information_schema"].contains(&table.schema.as_str()) {
            return privilege == Privilege::Select.as_str();
        }
        match privilege {
            "SELECT" => match self.select(table) {
                Decision::Granted => true,
                Decision::Denied => false,
                Decision::Restricted(restriction) => match (restriction.columns, column) {
                    (None, _) => true,
                    (Some(columns), Some(column)) => columns.contains(column),
                    (Some(_), None) => false,
                },
            },
            "INSERT" if column.is_none() => self.access().allows(&self.role, Action::Insert(table)),
            "MAINTAIN" if column.is_none() => self.access().allows(&self.role, Action::Maintain(table)),
            privilege => self.may_grant(privilege, &GrantedOn::Table(table.clone()), column),
        }
    }

    /// True for `SELECT WITH GRANT OPTION` and the like that the role has.
    fn may_grant(&self, privilege: &str, on: &GrantedOn, column: Option<&String>) -> bool {
        let privilege = privilege.strip_suffix(GRANT_OPTION);
        let known = Privilege::ALL.into_iter().find(|known| Some(known.as_str()) == privilege);
        known.is_some_and(|privilege| self.access().may_grant(&self.role, privilege, on, column))
    }
}
