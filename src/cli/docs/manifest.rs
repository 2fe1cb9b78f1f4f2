//! The project as dbt's `manifest.json` (schema version 12): catalogue tools that read dbt projects read this one.
//!
//! Sources and tables of others are dbt's sources, models its models, audits its tests, unit tests its unit tests.

use super::object::{Column, Object};
use crate::engine::DATABASE;
use crate::lake::TableName;
use crate::sql::{UnitTestDefinition, quoted, quoted_table};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The version of dbt whose manifests look like this.
const DBT_VERSION: &str = "1.10.0";

/// The manifest of a project.
pub(super) fn manifest(project: &str, objects: &[Object], now: DateTime<Utc>) -> Value {
    let package = package_name(project);
    let ids: BTreeMap<&TableName, String> =
        objects.iter().map(|object| (&object.name, id(&package, object))).collect();
    let described = Described { package: &package, ids: &ids, created_at: now.timestamp() };
    let (mut nodes, mut sources, mut unit_tests) = (Map::new(), Map::new(), Map::new());
    for object in objects {
        let id = ids[&object.name].clone();
        if object.is_outside {
            sources.insert(id, described.source(object));
        } else {
            nodes.insert(id, described.model(object));
        }
        for (name, code, file) in object.audits.iter().map(|a| (&a.name, &a.sql, &a.origin.file)) {
            let id = format!("test.{package}.{}_{}_{name}", object.name.schema, object.name.name);
            let test = described.test(&id, name, code, &file.to_string_lossy(), object);
            nodes.insert(id, test);
        }
        for test in &object.unit_tests {
            let id = format!("unit_test.{package}.{}_{}.{}", object.name.schema, object.name.name, test.name);
            let described = described.unit_test(&id, test, object);
            unit_tests.insert(id, described);
        }
    }
    let (parents, children) = maps(objects, &ids);
    json!({
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": DBT_VERSION,
            "generated_at": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "invocation_id": null,
            "env": {},
            "project_name": package,
            "adapter_type": "postgres",
        },
        "nodes": nodes,
        "sources": sources,
        "macros": {},
        "docs": {},
        "exposures": {},
        "metrics": {},
        "groups": {},
        "selectors": {},
        "disabled": {},
        "parent_map": parents,
        "child_map": children,
        "group_map": {},
        "saved_queries": {},
        "semantic_models": {},
        "unit_tests": unit_tests,
    })
}

/// A name that dbt allows: letters, digits and underscores.
fn package_name(project: &str) -> String {
    project.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn id(package: &str, object: &Object) -> String {
    let TableName { schema, name } = &object.name;
    if object.is_outside {
        format!("source.{package}.{schema}.{name}")
    } else {
        // Models of two schemas may have one name.
        format!("model.{package}.{schema}_{name}")
    }
}

/// Which ids are above and below each.
fn maps(objects: &[Object], ids: &BTreeMap<&TableName, String>) -> (Value, Value) {
    let of = |next: fn(&Object) -> &std::collections::BTreeSet<TableName>| -> Value {
        let pairs = objects.iter().map(|object| {
            let next: Vec<Value> =
                next(object).iter().filter_map(|name| ids.get(name)).cloned().map(Value::from).collect();
            (ids[&object.name].clone(), Value::from(next))
        });
        Value::Object(pairs.collect())
    };
    (of(|object| &object.inputs), of(|object| &object.readers))
}

struct Described<'a> {
    package: &'a str,
    ids: &'a BTreeMap<&'a TableName, String>,
    created_at: i64,
}

impl Described<'_> {
    fn model(&self, object: &Object) -> Value {
        let mut node = self.node(object, &object.name.name, &self.ids[&object.name], &object.sql);
        node["resource_type"] = "model".into();
        node["schema"] = object.name.schema.as_str().into();
        node["alias"] = object.name.name.as_str().into();
        node["config"] = json!({
            "enabled": true,
            "materialized": if object.kind == "view" { "view" } else { "table" },
            "meta": { "kind": object.kind },
        });
        node["columns"] = columns(&object.columns);
        node["primary_key"] = object.primary_key.clone().into();
        node["description"] = object.comment.clone().unwrap_or_default().into();
        node["relation_name"] = relation(&object.name).into();
        let inputs = object.inputs.iter();
        let (outside, models): (Vec<&TableName>, Vec<&TableName>) =
            inputs.partition(|name| self.ids.get(name).is_none_or(|id| id.starts_with("source.")));
        node["refs"] = models.iter().map(|name| json!({ "name": name.name })).collect();
        node["sources"] = outside.iter().map(|name| json!([name.schema, name.name])).collect();
        node["depends_on"] = json!({
            "macros": [],
            "nodes": object.inputs.iter().filter_map(|name| self.ids.get(name)).collect::<Vec<_>>(),
        });
        node
    }

    fn test(&self, id: &str, name: &str, code: &str, file: &str, object: &Object) -> Value {
        let mut node = self.node(object, name, id, code);
        node["resource_type"] = "test".into();
        node["schema"] = object.name.schema.as_str().into();
        node["alias"] = name.into();
        node["original_file_path"] = file.into();
        node["depends_on"] = json!({ "macros": [], "nodes": [self.ids[&object.name]] });
        node
    }

    /// What every node says of itself.
    fn node(&self, object: &Object, name: &str, id: &str, code: &str) -> Value {
        let file = object.file.to_string_lossy();
        json!({
            "database": DATABASE,
            "name": name,
            "package_name": self.package,
            "path": file,
            "original_file_path": file,
            "unique_id": id,
            "fqn": [self.package, object.name.schema, name],
            "checksum": { "name": "sha256", "checksum": hex::encode(Sha256::digest(code.as_bytes())) },
            "language": "sql",
            "raw_code": code,
            "compiled": true,
            "compiled_code": code,
            "created_at": self.created_at,
        })
    }

    fn source(&self, object: &Object) -> Value {
        let TableName { schema, name } = &object.name;
        let file = object.file.to_string_lossy();
        json!({
            "database": DATABASE,
            "schema": schema,
            "name": name,
            "resource_type": "source",
            "package_name": self.package,
            "path": file,
            "original_file_path": file,
            "unique_id": self.ids[&object.name],
            "fqn": [self.package, schema, name],
            "source_name": schema,
            "source_description": "",
            "loader": object.kind,
            "identifier": name,
            "description": object.comment.clone().unwrap_or_default(),
            "columns": columns(&object.columns),
            "relation_name": relation(&object.name),
            "created_at": self.created_at,
        })
    }

    fn unit_test(&self, id: &str, test: &UnitTestDefinition, object: &Object) -> Value {
        let file = test.origin.file.to_string_lossy();
        json!({
            "name": test.name,
            "resource_type": "unit_test",
            "package_name": self.package,
            "path": file,
            "original_file_path": file,
            "unique_id": id,
            "fqn": [self.package, object.name.name, test.name],
            "model": object.name.name,
            "given": [],
            "expect": { "rows": test.sql, "format": "sql" },
            "depends_on": { "macros": [], "nodes": [self.ids[&object.name]] },
            "schema": object.name.schema,
            "created_at": self.created_at,
        })
    }
}

fn columns(columns: &[Column]) -> Value {
    let column = |column: &Column| {
        let constraints = if column.nullable { json!([]) } else { json!([{ "type": "not_null" }]) };
        let described = json!({
            "name": column.name,
            "description": column.comment.clone().unwrap_or_default(),
            "data_type": column.data_type,
            "constraints": constraints,
            "tags": column.tags,
        });
        (column.name.clone(), described)
    };
    Value::Object(columns.iter().map(column).collect())
}

fn relation(name: &TableName) -> String {
    format!("{}.{}", quoted(DATABASE), quoted_table(name))
}
