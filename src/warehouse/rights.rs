//! Roles and rights that were typed over a connection, kept in `sluice.access_rules` as the statements that say them.

use super::House;
use crate::catalog::access::{
    Access, Attributes, Held, Key, Rule, RuleSource, Rules, Said, access_of, read, rules_of, statement_of,
};
use crate::catalog::definitions::{Change, Refusal};
use crate::catalog::live::{Row, rewrite, unreadable, written};
use crate::catalog::project::Project;
use crate::lake::{Error, Lake, Table, TableDefinition, TableName};
use crate::ops::clock;
use crate::sql::{AccessStatement, Memberships, Password};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use datafusion::common::ScalarValue;
use parking_lot::Mutex;
use std::sync::Arc;

/// The rules as they are now, and the table that keeps them.
pub(super) struct Rights {
    table: Arc<Table>,
    now: Mutex<Rules>,
}

pub(super) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("statement"),
        text("changed_by"),
        Field::new("changed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]))
}

impl Rights {
    /// Opens (and creates) `sluice.access_rules`. Blocks.
    pub(super) fn open(lake: &Lake) -> Result<Self, Error> {
        let name = TableName::new("sluice", "access_rules");
        let table = lake.ensure(&name, &TableDefinition::append_only(schema()))?;
        let mut now = Rules::default();
        for batch in written(&table)? {
            now.0.extend(rules_in(&batch).ok_or_else(|| unreadable(&table, "a rule cannot be read"))?);
        }
        Ok(Self { table, now: Mutex::new(now) })
    }

    /// The table itself.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The columns of the rules.
    pub(super) fn schema(&self) -> SchemaRef {
        schema()
    }

    /// The rules as they are shown: without what passwords are proven by.
    pub(super) fn rows(&self) -> Vec<Row> {
        let covered = |held: &Held| match &held.rule {
            Rule::Role(Attributes { password: Some(Password::Verifier(_)), .. }) => {
                let mut covered = held.clone();
                if let Rule::Role(attributes) = &mut covered.rule {
                    attributes.password = Some(Password::Verifier("***".to_string()));
                }
                covered
            }
            _ => held.clone(),
        };
        self.now.lock().0.iter().map(|(key, held)| row_of(key, &covered(held))).collect()
    }

    /// The rules as they are.
    pub(super) fn now(&self) -> Rules {
        self.now.lock().clone()
    }

    /// Makes these the rules, durably, in the place of those that were.
    pub(super) async fn keep(&self, rules: Rules) -> Result<(), Error> {
        if *self.now.lock() == rules {
            return Ok(());
        }
        let rows = rules.0.iter().map(|(key, held)| row_of(key, held)).collect();
        rewrite(&self.table, &schema(), rows).await?;
        *self.now.lock() = rules;
        Ok(())
    }
}

fn row_of(key: &Key, held: &Held) -> Row {
    let statement = ScalarValue::from(statement_of(key, &held.rule).as_str());
    match &held.source {
        RuleSource::Typed { by, at } => {
            let at = ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), Some("UTC".into()));
            vec![statement, by.as_str().into(), at]
        }
        RuleSource::File(_) | RuleSource::Settings => vec![statement],
    }
}

fn rules_in(batch: &RecordBatch) -> Option<Vec<(Key, Held)>> {
    let statements = batch.column_by_name("statement")?.as_string_opt::<i32>()?;
    let users = batch.column_by_name("changed_by")?.as_string_opt::<i32>()?;
    let times = batch.column_by_name("changed_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let mut rules = vec![];
    for row in 0..batch.num_rows() {
        let by = users.value(row).to_string();
        let at = DateTime::from_timestamp_micros(times.value(row))?;
        let source = RuleSource::Typed { by, at };
        let read: Vec<(Key, Rule)> = read(statements.value(row))?;
        rules.extend(read.into_iter().map(|(key, rule)| (key, Held { rule, source: source.clone() })));
    }
    Some(rules)
}

impl House {
    /// Roles and rights of a project, with what was typed. Files come first.
    pub(super) fn access_with(&self, project: &Project, typed: Rules) -> Access {
        access_of(&self.settings.users, project.access.clone().over(typed))
    }

    /// The typed rules after these changes, and what is to be told of which.
    pub(super) fn changed_rules(
        &self,
        project: &Project,
        changes: &[Change],
        user: &str,
    ) -> Result<(Rules, Vec<(usize, Refusal)>), Refusal> {
        let mut typed = self.rights.now();
        let others = access_of(&self.settings.users, project.access.clone());
        let (at, mut notices, mut statements) = (clock::now(), vec![], vec![]);
        for (number, change) in changes.iter().enumerate() {
            let Change::Access { statement, role } = change else { continue };
            let said = Said { statement, role, by: user, at };
            let told = typed.say(&said, others.rules())?;
            notices.extend(told.into_iter().map(|notice| (number, notice)));
            statements.push(statement);
        }
        let access = self.access_with(project, typed.clone());
        let refused = |code, message, hint| Refusal { code, message, detail: None, hint };
        for statement in statements {
            if let Some((message, hint)) = named(statement).iter().find_map(|role| access.unknown(role)) {
                return Err(refused("42704", message, Some(hint)));
            }
            for (key, rule) in rules_of(statement) {
                if let Some(message) = access.circle(&key) {
                    return Err(refused("0LP01", message, None));
                }
                self.check_secret(project, &rule)?;
            }
        }
        Ok((typed, notices))
    }

    fn check_secret(&self, project: &Project, rule: &Rule) -> Result<(), Refusal> {
        let Rule::Role(attributes) = rule else { return Ok(()) };
        match &attributes.password {
            Some(Password::Secret(name)) if !project.secrets.contains_key(name) => Err(Refusal {
                code: "42704",
                message: format!("secret \"{name}\" does not exist"),
                detail: None,
                hint: Some(format!(
                    "Write CREATE SECRET {name} WITH (backend = 'env') AS 'VARIABLE_NAME'; in catalog/."
                )),
            }),
            _ => Ok(()),
        }
    }
}

/// The roles that a statement names and that have to be there.
fn named(statement: &AccessStatement) -> Vec<String> {
    match statement {
        AccessStatement::Grant(grants) | AccessStatement::Revoke(grants) => grants.roles.clone(),
        AccessStatement::GrantRoles(Memberships { roles, members, .. })
        | AccessStatement::RevokeRoles(Memberships { roles, members, .. }) => {
            [roles.clone(), members.clone()].concat()
        }
        AccessStatement::CreatePolicy(policy) => policy.roles.clone(),
        AccessStatement::SetMask(mask) => mask.except.clone(),
        AccessStatement::CreateRole { attributes, .. } | AccessStatement::AlterRole { attributes, .. } => {
            attributes.member_of.clone()
        }
        AccessStatement::DropRoles { .. }
        | AccessStatement::DropPolicy { .. }
        | AccessStatement::DropMask { .. } => vec![],
    }
}
