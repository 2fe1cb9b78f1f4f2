//! Statements about the session itself: settings, transactions, what it keeps.

use super::prepared::no_such_statement;
use super::{Answer, Savepoint, Session, Transaction};
use crate::serve::settings::NO_ROLE;
use crate::serve::statement::{Begin, Discarded, Modes, Statement};
use crate::serve::{Error, settings};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use std::sync::Arc;

/// What a transaction that follows another by AND CHAIN takes over.
const TRANSACTION_MODES: [&str; 3] =
    ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];

impl Session {
    /// Does what a statement says of the session.
    pub(super) fn manage(&self, statement: &Statement) -> Result<Answer, Error> {
        match statement {
            Statement::Show(name) => {
                let value = self.settings().lock().get(name)?;
                return one_batch(show_columns(name), vec![Arc::new(StringArray::from(vec![value]))]);
            }
            Statement::ShowAll => {
                let all = self.settings().lock().all();
                let names = StringArray::from_iter_values(all.iter().map(|(d, _)| d.name));
                let values = StringArray::from_iter_values(all.iter().map(|(_, value)| value));
                let descriptions = StringArray::from_iter_values(all.iter().map(|(d, _)| d.description));
                return one_batch(
                    show_all_columns(),
                    vec![Arc::new(names), Arc::new(values), Arc::new(descriptions)],
                );
            }
            // There is no transaction that it could be for.
            Statement::Set { local: true, .. } if self.state.lock().transaction.is_none() => {}
            Statement::Set { name, value, local } if name == "role" => {
                self.set_role(value.as_deref().filter(|role| *role != NO_ROLE), *local)?;
            }
            Statement::Reset(name) if name == "role" => self.set_role(None, false)?,
            Statement::Set { name, value, local } => {
                self.settings().lock().set(name, value.as_deref(), *local)?;
            }
            Statement::Reset(name) => {
                self.settings().lock().set(name, None, false)?;
            }
            Statement::ResetAll => self.settings().lock().reset_all(),
            Statement::SetRole { local: true, .. } if self.state.lock().transaction.is_none() => {}
            Statement::SetRole { role, local } => self.set_role(role.as_deref(), *local)?,
            Statement::Deallocate(Some(name)) if !self.drop_prepared(name) => {
                return Err(no_such_statement(name));
            }
            Statement::Deallocate(None) => self.drop_all_prepared(),
            Statement::Discard(Discarded::All) => {
                if self.state.lock().transaction.is_some() {
                    return Err(Error::new("25001", "DISCARD ALL cannot run inside a transaction block"));
                }
                self.settings().lock().reset_all();
                self.settings().lock().set_role(None, false);
                self.drop_all_prepared();
                self.cursors().lock().close_all();
            }
            Statement::Close(Some(name)) => self.cursors().lock().close(name)?,
            Statement::Close(None) => self.cursors().lock().close_all(),
            Statement::Begin(_)
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint(_)
            | Statement::RollbackTo(_)
            | Statement::Release(_) => return self.transact(statement),
            Statement::SetTransaction { modes, session } => {
                let is_open = self.state.lock().transaction.is_some();
                if *session || is_open {
                    self.say(modes, !*session)?;
                }
                for (name, value) in modes.iter().filter(|_| *session) {
                    self.settings().lock().set(&format!("default_{name}"), Some(value), false)?;
                }
            }
            _ => {}
        }
        Ok(Answer::Tag(statement.tag().into()))
    }

    /// Keeps what was said of a transaction, for those who ask.
    fn say(&self, modes: &Modes, local: bool) -> Result<(), Error> {
        let mut settings = self.settings().lock();
        modes.iter().try_for_each(|(name, value)| settings.set(name, Some(value), local).map(drop))
    }

    /// Takes on the rights of a role that who logged in is a member of.
    fn set_role(&self, role: Option<&str>, local: bool) -> Result<(), Error> {
        if let Some(role) = role.filter(|role| *role != self.user()) {
            let access = self.access();
            if !access.is_member(self.user(), role) {
                return Err(Error::new("42501", format!("permission denied to set role \"{role}\"")));
            }
            if let Some((message, hint)) = access.unknown(role) {
                return Err(Error::new("22023", message).with_hint(hint));
            }
        }
        self.settings().lock().set_role(role, local);
        Ok(())
    }

    /// A transaction is a pinned cut, the settings to go back to, what it defines and the rows that it has for sources.
    fn transact(&self, statement: &Statement) -> Result<Answer, Error> {
        let mut state = self.state.lock();
        let no_transaction =
            |what: &str| Error::new("25P01", format!("{what} can only be used in transaction blocks"));
        let no_savepoint = |name: &str| Error::new("3B001", format!("savepoint \"{name}\" does not exist"));
        match statement {
            Statement::Begin(Begin { modes, .. }) => {
                let settings = self.settings().lock().clone();
                // As in PostgreSQL, a second BEGIN changes nothing.
                // What the batch has gathered is a part of it.
                let rows = std::mem::take(&mut state.gathered);
                state.transaction.get_or_insert(Transaction { settings, rows, ..Transaction::default() });
                self.say(modes, true)?;
            }
            Statement::Commit { chain } | Statement::Rollback { chain } => {
                let Some(transaction) = state.transaction.take() else {
                    let tag = statement.tag();
                    state.gathered.clear();
                    return match chain {
                        true => Err(no_transaction(&format!("{tag} AND CHAIN"))),
                        false => Ok(Answer::Tag(tag.into())),
                    };
                };
                let said: Vec<(&str, String)> = {
                    let settings = self.settings().lock();
                    let said = TRANSACTION_MODES.into_iter().filter(|_| *chain);
                    said.map(|name| Ok((name, settings.get(name)?))).collect::<Result<_, Error>>()?
                };
                let committed = !transaction.failed && matches!(statement, Statement::Commit { .. });
                self.cursors().lock().end_transaction(committed);
                match committed {
                    true => self.settings().lock().end_local(),
                    false => self.settings().lock().restore(transaction.settings),
                }
                if let Some(before) = &mut state.before {
                    before.clone_from(&self.settings().lock());
                }
                if *chain {
                    let mut settings = self.settings().lock();
                    let before = settings.clone();
                    state.transaction = Some(Transaction { settings: before, ..Transaction::default() });
                    for (name, value) in said {
                        settings.set(name, Some(&value), true)?;
                    }
                }
                return Ok(Answer::Tag(if committed { "COMMIT" } else { "ROLLBACK" }.into()));
            }
            Statement::Savepoint(name) => match &mut state.transaction {
                Some(transaction) => {
                    let (changes, cut) = (transaction.changes.len(), transaction.cut.clone());
                    let (rows, settings) = (transaction.rows.len(), self.settings().lock().clone());
                    transaction.savepoints.push(Savepoint {
                        name: name.clone(),
                        changes,
                        rows,
                        cut,
                        settings,
                    });
                }
                None => return Err(no_transaction("SAVEPOINT")),
            },
            Statement::RollbackTo(name) | Statement::Release(name) => {
                let Some(transaction) = &mut state.transaction else {
                    let what = if let Statement::Release(_) = statement { "RELEASE" } else { "ROLLBACK TO" };
                    return Err(no_transaction(&format!("{what} SAVEPOINT")));
                };
                let Some(at) = transaction.savepoints.iter().rposition(|savepoint| savepoint.name == *name)
                else {
                    return Err(no_savepoint(name));
                };
                if let Statement::Release(_) = statement {
                    transaction.savepoints.truncate(at);
                    self.cursors().lock().released(at);
                } else {
                    transaction.savepoints.truncate(at + 1);
                    transaction.failed = false;
                    if let Some(savepoint) = transaction.savepoints.last() {
                        transaction.rows.truncate(savepoint.rows);
                        self.settings().lock().go_back(savepoint.settings.clone());
                    }
                    if let Some(savepoint) = transaction.savepoints.last()
                        && transaction.changes.len() > savepoint.changes
                    {
                        transaction.changes.truncate(savepoint.changes);
                        transaction.cut = savepoint.cut.clone();
                    }
                    self.cursors().lock().rolled_back_to(at);
                }
            }
            _ => {}
        }
        Ok(Answer::Tag(statement.tag().into()))
    }
}

/// The column of `SHOW name`.
pub(super) fn show_columns(name: &str) -> SchemaRef {
    let shown = settings::find(name).map_or(name, |definition| definition.name);
    Arc::new(Schema::new(vec![Field::new(shown, DataType::Utf8, true)]))
}

/// The columns of `SHOW ALL`.
pub(super) fn show_all_columns() -> SchemaRef {
    let fields = ["name", "setting", "description"].map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn one_batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Answer, Error> {
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let rows = futures::stream::iter([Ok(batch)]).boxed();
    Ok(Answer::Rows { schema, rows, tag: "SHOW", deadline: None })
}
