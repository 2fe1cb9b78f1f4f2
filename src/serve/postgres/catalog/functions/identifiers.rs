//! Numbers that print as names: `regclass`, `regtype`, `regproc`, `regnamespace`, `regrole`.
//!
//! They are held as `int4`, so that they compare with OIDs. The statement rewriter turns casts into `reg*in` and
//! `reg*out` calls (PostgreSQL's own names for these conversions); here is what they do.

use super::row::{Cell, RowFunction, int4, text};
use crate::lake::TableName;
use crate::serve::Error;
use crate::serve::functions::{self, Surroundings};
use crate::serve::postgres::catalog::definitions::{
    constraint_definition, foreign_key_definition, quote_identifier,
};
use crate::serve::postgres::catalog::model::{Class, Model};
use crate::serve::postgres::catalog::procedures;
use crate::serve::postgres::catalog::types::types;
use arrow::datatypes::DataType::{Int32, Utf8};
use datafusion::error::{DataFusionError, Result};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// The schemas that names are looked up in, as the session's setting has them at the time of the call.
#[derive(Clone, Debug)]
pub struct SearchPath {
    model: Arc<Model>,
    session: Arc<Surroundings>,
}

impl SearchPath {
    /// A session's search path.
    pub fn new(model: &Arc<Model>, session: &Arc<Surroundings>) -> Self {
        Self { model: Arc::clone(model), session: Arc::clone(session) }
    }

    /// The schemas that exist, in order.
    pub fn schemas(&self) -> Vec<String> {
        let mut schemas = functions::search_path(&self.session);
        schemas.retain(|name| self.model.namespaces.contains_key(name));
        schemas
    }

    /// Whether a relation is what its bare name means; `None` when there is none of this number.
    pub fn is_visible(&self, oid: i32) -> Option<bool> {
        let schemas = self.schemas();
        if let Some((class, _)) = self.model.class_of_key(oid) {
            return Some(schemas.contains(&class.name.schema));
        }
        let class = self.model.class(oid)?;
        Some(self.model.find(&class.name.name, &schemas).is_some_and(|found| found.oid == oid))
    }

    /// The relation that a name, qualified or not, quoted or not, means.
    pub fn class(&self, name: &str) -> Option<&Class> {
        let parts = parse_names(name, '.');
        match parts.as_slice() {
            [name] => self.model.find(name, &self.schemas()),
            [.., schema, name] => self.model.class_named(&TableName::new(schema, name)),
            [] => None,
        }
    }

    /// The definition of the constraint of a number.
    fn constraint(&self, oid: i32) -> Option<String> {
        if let Some((class, key)) = self.model.class_of_foreign_key(oid) {
            let target = self.model.class(key.relation)?;
            return Some(foreign_key_definition(class, key, target, &self.printed(target.oid)));
        }
        self.model.class_of_key(oid).map(|(class, key)| constraint_definition(class, key))
    }

    fn printed(&self, oid: i32) -> String {
        let named = |schema: &str, name: &str| {
            if self.is_visible(oid) == Some(true) {
                quote_identifier(name)
            } else {
                format!("{}.{}", quote_identifier(schema), quote_identifier(name))
            }
        };
        if let Some(class) = self.model.class(oid) {
            return named(&class.name.schema, &class.name.name);
        }
        match self.model.class_of_key(oid) {
            Some((class, key)) if key.index_oid == oid => named(&class.name.schema, &key.name),
            _ => oid.to_string(),
        }
    }
}

/// The functions.
pub fn functions(model: &Arc<Model>, path: &SearchPath) -> Vec<RowFunction> {
    let mut functions = relations(path);
    functions.extend(types_and_functions());
    functions.extend(schemas_and_roles(model));
    functions
}

fn relations(path: &SearchPath) -> Vec<RowFunction> {
    let (reader, printer, lenient, constraints) = (path.clone(), path.clone(), path.clone(), path.clone());
    vec![
        RowFunction::new("regclassin", 1..=1, Int32, move |row| {
            read(&row[0], "42P01", "relation", |name| reader.class(name).map(|class| class.oid))
        })
        .of_type("regclass"),
        RowFunction::new("regclassout", 1..=1, Utf8, move |row| print(&row[0], |oid| printer.printed(oid))),
        RowFunction::new("to_regclass", 1..=1, Int32, move |row| {
            Ok(int4(row[0].oid().or_else(|| lenient.class(row[0].text()?).map(|class| class.oid))))
        })
        .of_type("regclass"),
        RowFunction::new("pg_get_constraintdef", 1..=2, Utf8, move |row| {
            Ok(text(row[0].oid().and_then(|oid| constraints.constraint(oid))))
        }),
    ]
}

fn types_and_functions() -> Vec<RowFunction> {
    let type_of = |name: &str| types().by_name(name).map(|ty| ty.oid);
    let mut functions = vec![
        RowFunction::new("regtypein", 1..=1, Int32, move |row| read(&row[0], "42704", "type", type_of))
            .of_type("regtype"),
        RowFunction::new("regtypeout", 1..=1, Utf8, |row| {
            print(&row[0], |oid| match types().by_oid(oid) {
                Some(_) => types().format(oid, None),
                None => oid.to_string(),
            })
        }),
        RowFunction::new("to_regtype", 1..=1, Int32, move |row| {
            Ok(int4(row[0].oid().or_else(|| type_of(row[0].text()?))))
        })
        .of_type("regtype"),
    ];
    let of_name = |name: &str| {
        let name = name.split('(').next().unwrap_or(name);
        parse_names(name, '.').last().and_then(|name| procedures::number_of(name))
    };
    for (kind, input, output) in
        [("regproc", "regprocin", "regprocout"), ("regprocedure", "regprocedurein", "regprocedureout")]
    {
        let reads =
            RowFunction::new(input, 1..=1, Int32, move |row| read(&row[0], "42883", "function", of_name));
        functions.push(reads.of_type(kind));
        functions.push(RowFunction::new(output, 1..=1, Utf8, |row| print(&row[0], procedures::name_of)));
    }
    let lenient = RowFunction::new("to_regproc", 1..=1, Int32, move |row| {
        Ok(int4(row[0].oid().or_else(|| of_name(row[0].text()?))))
    });
    functions.push(lenient.of_type("regproc"));
    functions
}

fn schemas_and_roles(model: &Arc<Model>) -> Vec<RowFunction> {
    fn schema(model: &Model, name: &str) -> Option<i32> {
        model.namespaces.get(parse_names(name, '.').last()?).map(|n| n.oid)
    }
    fn role(model: &Model, name: &str) -> Option<i32> {
        let name = parse_names(name, '.').pop()?;
        model.roles.iter().find(|role| role.name == name).map(|role| role.oid)
    }
    let shared = |body: fn(&Model, &[Cell<'_>]) -> Result<ScalarValue>| {
        let model = Arc::clone(model);
        move |row: &[Cell<'_>]| body(&model, row)
    };
    vec![
        RowFunction::new(
            "regnamespacein",
            1..=1,
            Int32,
            shared(|model, row| read(&row[0], "3F000", "schema", |name| schema(model, name))),
        )
        .of_type("regnamespace"),
        RowFunction::new(
            "regnamespaceout",
            1..=1,
            Utf8,
            shared(|model, row| {
                print(&row[0], |oid| {
                    model.namespace(oid).map_or_else(|| oid.to_string(), |n| quote_identifier(&n.name))
                })
            }),
        ),
        RowFunction::new(
            "to_regnamespace",
            1..=1,
            Int32,
            shared(|model, row| Ok(int4(row[0].oid().or_else(|| schema(model, row[0].text()?))))),
        )
        .of_type("regnamespace"),
        RowFunction::new(
            "regrolein",
            1..=1,
            Int32,
            shared(|model, row| read(&row[0], "42704", "role", |name| role(model, name))),
        )
        .of_type("regrole"),
        RowFunction::new(
            "regroleout",
            1..=1,
            Utf8,
            shared(|model, row| {
                print(&row[0], |oid| {
                    let role = model.roles.iter().find(|role| role.oid == oid);
                    role.map_or_else(|| oid.to_string(), |role| quote_identifier(&role.name))
                })
            }),
        ),
        RowFunction::new(
            "to_regrole",
            1..=1,
            Int32,
            shared(|model, row| Ok(int4(row[0].oid().or_else(|| role(model, row[0].text()?))))),
        )
        .of_type("regrole"),
    ]
}

/// A number as it is, a name looked up; `-` is no object.
fn read(
    cell: &Cell<'_>,
    code: &'static str,
    kind: &str,
    find: impl Fn(&str) -> Option<i32>,
) -> Result<ScalarValue> {
    if let Some(oid) = cell.oid() {
        return Ok(int4(oid));
    }
    match cell.text() {
        None => Ok(int4(None)),
        Some("-") => Ok(int4(0)),
        Some(name) => match find(name) {
            Some(oid) => Ok(int4(oid)),
            None => {
                let error = Error::new(code, format!("{kind} \"{name}\" does not exist"));
                Err(DataFusionError::External(Box::new(error)))
            }
        },
    }
}

fn print(cell: &Cell<'_>, name: impl Fn(i32) -> String) -> Result<ScalarValue> {
    Ok(text(cell.oid().map(|oid| if oid == 0 { "-".to_string() } else { name(oid) })))
}

/// Identifiers separated by a character: quoted ones as they stand, others in lower case.
pub fn parse_names(text: &str, separator: char) -> Vec<String> {
    let mut names = vec![];
    let mut rest = text.trim();
    while !rest.is_empty() {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut value = String::new();
            let mut characters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((index, character)) = characters.next() {
                if character != '"' {
                    value.push(character);
                } else if characters.peek().is_some_and(|(_, next)| *next == '"') {
                    characters.next();
                    value.push('"');
                } else {
                    end = index + 1;
                    break;
                }
            }
            name = value;
            rest = quoted[end..].trim_start().trim_start_matches(separator).trim_start();
        } else {
            let (head, tail) = rest.split_once(separator).unwrap_or((rest, ""));
            name = head.trim().to_lowercase();
            rest = tail.trim_start();
        }
        names.push(name);
    }
    names
}
