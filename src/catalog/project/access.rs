//! Roles and rights of a project's files: what they name exists.

use super::Loader;
use crate::catalog::access::{Access, Held, Key, Rule, RuleSource, Rules, rules_of, rules_of_users};
use crate::config::user_names;
use crate::lake::TableName;
use crate::sql::{
    AccessDefinition, AccessStatement, Error, GrantedOn, OptionValue, Origin, Password, SecretBackend,
    SecretDefinition, hint_did_you_mean, table_schema,
};
use std::collections::BTreeSet;
use std::path::Path;

impl Loader {
    /// Takes a statement of a file.
    pub(super) fn access(&mut self, definition: AccessDefinition) {
        let AccessDefinition { statement, origin } = definition;
        if let Some(error) = undone(&statement, &origin) {
            self.errors.push(error);
        }
        for (key, rule) in rules_of(&statement) {
            let what = match &key {
                Key::Role(name) => format!("role \"{name}\""),
                Key::Policy { on, name } => format!("policy \"{name}\" on \"{on}\""),
                Key::Mask { on, column } => format!("the mask of \"{column}\" of \"{on}\""),
                Key::Grant { .. } | Key::Member { .. } => "a right".to_string(),
            };
            if let Some(earlier) = self.access.add_of_file(key, rule, origin.clone()) {
                let message = format!("{what} is defined twice");
                let hint = format!("It is defined first at {earlier}.");
                self.errors.push(Error::new("42710", origin.clone(), message).with_hint(hint));
            }
        }
    }

    /// Roles, tables, columns and secrets that rules name exist. What is in files with errors counts as known.
    pub(super) fn check_access(&mut self, folder: &Path) {
        let users = user_names(folder);
        let users = rules_of_users(users.iter().map(|name| (name, false)), &self.access);
        let mut errors = match self.catalog_torn {
            true => vec![],
            false => Access::new(users.over(self.access.clone())).errors(),
        };
        let Rules(rules) = &self.access;
        for (key, Held { rule, source }) in rules {
            let RuleSource::File(origin) = source else { continue };
            errors.extend(self.object_error(key, origin));
            if let Rule::Role(attributes) = rule
                && let Some(Password::Secret(secret)) = &attributes.password
                && !self.secrets.contains_key(secret)
                && !self.catalog_torn
            {
                let hint = hint_did_you_mean(secret, self.secrets.keys().map(String::as_str));
                let hint = hint.unwrap_or_else(|| {
                    format!(
                        "Write CREATE SECRET {secret} WITH (backend = 'env') AS 'VARIABLE_NAME'; in catalog/."
                    )
                });
                let message = format!("secret \"{secret}\" does not exist");
                errors.push(Error::new("42704", origin.clone(), message).with_hint(hint));
            }
        }
        self.errors.extend(errors);
    }

    /// What is wrong with the secrets by which a vault is asked: they are kept in the environment or in a file.
    pub(super) fn unreachable(&self, secret: &SecretDefinition) -> Vec<Error> {
        let mut errors = self.unknown_secrets(&secret.options, &secret.origin);
        for value in secret.options.values() {
            let OptionValue::Secret(name) = value else { continue };
            let Some(by) = self.secrets.get(name) else { continue };
            if !matches!(by.backend, SecretBackend::Env | SecretBackend::File) {
                let message = format!(
                    "secret \"{}\" is asked for with \"{name}\", which is in a vault itself",
                    secret.name
                );
                let hint = format!("Keep \"{name}\" in the environment or in a file.");
                errors.push(Error::new("42P17", secret.origin.clone(), message).with_hint(hint));
            }
        }
        errors
    }

    /// What is wrong with the object of a rule.
    fn object_error(&self, key: &Key, origin: &Origin) -> Option<Error> {
        let (table, column) = match key {
            Key::Grant { on: GrantedOn::Schema(schema), .. } => return self.schema_error(schema, origin),
            Key::Grant { on: GrantedOn::Table(on), column, .. } => (on, column.as_ref()),
            Key::Policy { on, .. } => (on, None),
            Key::Mask { on, column } => (on, Some(column)),
            Key::Role(_) | Key::Member { .. } => return None,
        };
        if table.schema.is_empty() {
            let message = format!("\"{}\" names no schema", table.name);
            return Some(
                Error::syntax(origin.clone(), message).with_hint("Write schema.name, as in silver.orders."),
            );
        }
        let is_known = table.schema == "sluice" || self.is_table(table) || self.guarded(table).is_some();
        if !is_known && !self.missing.contains(table) && !self.may_be_torn(table) {
            return Some(self.unknown_input(table, origin.clone()));
        }
        // Columns of models are known once they are planned.
        let schema = table_schema(self.sources.get(table)?);
        let column = column.filter(|column| schema.index_of(column).is_err())?;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
        Some(Error::new("42703", origin.clone(), message).with_hint_if(hint_did_you_mean(column, names)))
    }

    fn schema_error(&self, schema: &str, origin: &Origin) -> Option<Error> {
        let tables = self.sources.keys().chain(self.foreign.keys()).chain(self.models.keys());
        let tables = tables.chain(&self.missing).map(|table: &TableName| table.schema.as_str());
        let known: BTreeSet<&str> = tables.chain(["sluice", "bronze"]).collect();
        if known.contains(schema) || self.catalog_torn {
            return None;
        }
        let hint = hint_did_you_mean(schema, known.iter().copied());
        let hint = hint.unwrap_or_else(|| "A schema is there as soon as something is in it.".to_string());
        Some(
            Error::new("3F000", origin.clone(), format!("schema \"{schema}\" does not exist"))
                .with_hint(hint),
        )
    }
}

/// Files say what is; what takes back belongs into psql.
fn undone(statement: &AccessStatement, origin: &Origin) -> Option<Error> {
    let by = match statement {
        AccessStatement::Grant(grants) => &grants.by,
        AccessStatement::GrantRoles(memberships) => &memberships.by,
        _ => &None,
    };
    if by.is_some() {
        let hint = "What files say, no role passes on: leave it out.";
        return Some(
            Error::unsupported(origin.clone(), "GRANTED BY does not stand in files").with_hint(hint),
        );
    }
    let what = match statement {
        AccessStatement::AlterRole { .. } => "ALTER ROLE",
        AccessStatement::DropRoles { .. } => "DROP ROLE",
        AccessStatement::RevokeRoles(_) | AccessStatement::Revoke(_) => "REVOKE",
        AccessStatement::DropPolicy { .. } => "DROP POLICY",
        AccessStatement::DropMask { .. } => "DROP MASK",
        _ => return None,
    };
    let message = format!("{what} does not stand in files");
    Some(
        Error::unsupported(origin.clone(), message)
            .with_hint("Files say what is: change what was said there."),
    )
}
