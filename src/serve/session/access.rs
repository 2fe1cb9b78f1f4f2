//! Statements about roles and rights, over relations and columns that there are. Who may say them is decided where they are
//! kept, over the rights as they are then; policies and masks, which are planned here, are superusers'.

use super::{Answer, Session, TransactionStatus};
use crate::catalog::access::{Action, rules_of};
use crate::catalog::cut::Cut;
use crate::catalog::definitions::Change;
use crate::lake::TableName;
use crate::serve::statement::{Named, Statement};
use crate::serve::{Error, guard};
use crate::sql::{AccessStatement, GrantedOn, Grants, MaskDefinition, PolicyDefinition, hint_did_you_mean};
use arrow::datatypes::Schema;
use std::time::Instant;

impl Session {
    /// Does what a statement says of roles and rights.
    pub(super) async fn change_access(
        &self,
        statement: &AccessStatement,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let tag = Statement::Access(statement.clone()).tag();
        if is_of_rows(statement) {
            self.check_administers(tag)?;
        }
        let cut = self.cut(deadline).await?;
        let statement = self.with_names(statement, &cut)?;
        let guard = self.guard(&cut)?;
        for (_, rule) in rules_of(&statement) {
            let on = match &statement {
                AccessStatement::CreatePolicy(PolicyDefinition { on, .. })
                | AccessStatement::SetMask(MaskDefinition { on, .. }) => on,
                _ => continue,
            };
            if let Some(table) = cut.tables.get(on) {
                guard::check_rule(&guard, &table.relation, &rule).await?;
            }
        }
        let changes = vec![Change::Access { statement, role: self.role() }];
        match self.transaction_status() {
            TransactionStatus::Idle => self.apply(changes).await?,
            _ => self.draft(changes, &cut).await?,
        }
        Ok(Answer::Tag(tag.into()))
    }

    /// Refuses a statement of superusers to all others.
    pub(super) fn check_administers(&self, tag: &str) -> Result<(), Error> {
        if self.access().allows(&self.role(), Action::Administer) {
            return Ok(());
        }
        let message = format!("permission denied: role \"{}\" may not {tag}", self.role());
        Err(Error::new("42501", message).with_hint(
            "Superusers do: roles with SUPERUSER, and users with may_define = true in catalog/warehouse.toml.",
        ))
    }

    /// The statement with the schemas of its relations; what it names is there.
    fn with_names(&self, statement: &AccessStatement, cut: &Cut) -> Result<AccessStatement, Error> {
        let mut statement = statement.clone();
        match &mut statement {
            AccessStatement::Grant(grants) | AccessStatement::Revoke(grants) => self.name_all(grants, cut)?,
            AccessStatement::CreatePolicy(PolicyDefinition { on, .. })
            | AccessStatement::DropPolicy { on, .. } => self.name(on, &[], cut)?,
            AccessStatement::SetMask(MaskDefinition { on, column, .. })
            | AccessStatement::DropMask { on, column } => {
                self.name(on, std::slice::from_ref(column), cut)?;
            }
            _ => {}
        }
        Ok(statement)
    }

    fn name_all(&self, grants: &mut Grants, cut: &Cut) -> Result<(), Error> {
        let columns: Vec<String> =
            grants.privileges.iter().flat_map(|(_, columns)| columns).cloned().collect();
        grants.on.iter_mut().try_for_each(|on| match on {
            GrantedOn::Table(table) => self.name(table, &columns, cut),
            GrantedOn::Schema(schema) if super::define::is_schema(schema, cut) => Ok(()),
            GrantedOn::Schema(schema) => {
                let known = cut.tables.keys().map(|name| name.schema.as_str());
                let hint = hint_did_you_mean(schema, known);
                Err(Error { hint, ..Error::new("3F000", format!("schema \"{schema}\" does not exist")) })
            }
        })
    }

    fn name(&self, table: &mut TableName, columns: &[String], cut: &Cut) -> Result<(), Error> {
        let schema = Some(table.schema.clone()).filter(|schema| !schema.is_empty());
        let found = self.find(&Named { schema, name: table.name.clone() }, cut)?;
        let relation = &found.relation;
        if let Some(column) = columns.iter().find(|column| relation.schema.index_of(column).is_err()) {
            let message =
                format!("column \"{column}\" of relation \"{}\" does not exist", relation.name.name);
            let hint = hint_did_you_mean(column, names(&relation.schema));
            return Err(Error { hint, ..Error::new("42703", message) });
        }
        *table = relation.name.clone();
        Ok(())
    }

    /// Refuses what a role may not do with a relation.
    pub(super) fn check_may(&self, action: Action<'_>, name: &TableName, cut: &Cut) -> Result<(), Error> {
        let role = self.role();
        match cut.tables.get(name) {
            Some(table) if !self.access().allows(&role, action) => {
                Err(guard::denied(&role, action, &table.relation))
            }
            _ => Ok(()),
        }
    }
}

/// True for policies and masks.
fn is_of_rows(statement: &AccessStatement) -> bool {
    matches!(
        statement,
        AccessStatement::CreatePolicy(_)
            | AccessStatement::DropPolicy { .. }
            | AccessStatement::SetMask(_)
            | AccessStatement::DropMask { .. }
    )
}

fn names(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.fields().iter().map(|field| field.name().as_str())
}
