//! What a session defines: at once, or all that a transaction defined when it commits.
//!
//! In a transaction each statement is planned as it is said, and what it makes is seen by the transaction alone, computed
//! when it is read. COMMIT hands everything over; what is stored then is computed before COMMIT is answered.

use super::{Answer, Session, TransactionStatus};
use crate::catalog::access::Action;
use crate::catalog::cut::{Cut, CutTable, Freshness, RelationKind};
use crate::catalog::definer::{Defined, Purpose};
use crate::catalog::definitions::{Change, Refusal, Typed, TypedKind};
use crate::engine::DATABASE;
use crate::lake::TableName;
use crate::ops::clock;
use crate::refresh::{self, Extent};
use crate::serve::statement::{Behind, Ddl, Named, Object, qualified};
use crate::serve::{Error, functions};
use crate::sql::quoted_table;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The shapes of cuts that only one transaction sees are numbered from here.
pub const DRAFT_SHAPES: u64 = 1 << 63;

static NEXT_DRAFT: AtomicU64 = AtomicU64::new(DRAFT_SHAPES);

impl Session {
    /// Does what a statement defines.
    pub(super) async fn define(&self, ddl: &Ddl, deadline: Option<Instant>) -> Result<Answer, Error> {
        let cut = self.cut(deadline).await?;
        self.check_may_define(ddl, &cut)?;
        let changes = self.changes(ddl, &cut)?;
        if changes.is_empty() {
            return Ok(Answer::Tag(ddl.tag().into()));
        }
        match self.transaction_status() {
            TransactionStatus::Idle => self.apply(changes).await?,
            _ => self.draft(changes, &cut).await?,
        }
        Ok(Answer::Tag(ddl.tag().into()))
    }

    /// Tells warnings about the changes from one on.
    fn warn(&self, notices: &[(usize, Refusal)], from: usize) {
        let told = notices.iter().filter(|(change, _)| *change >= from);
        told.for_each(|(_, notice)| self.notice(notice.clone().into()));
    }

    /// Hands over what the transaction defined, if it is about to commit.
    pub(super) async fn commit_definitions(&self) -> Result<(), Error> {
        let changes = match &mut self.state.lock().transaction {
            Some(transaction) if !transaction.failed => std::mem::take(&mut transaction.changes),
            _ => return Ok(()),
        };
        // Warnings were told as the statements came.
        if changes.is_empty() { Ok(()) } else { self.applied(changes).await.map(drop) }
    }

    pub(super) async fn apply(&self, changes: Vec<Change>) -> Result<(), Error> {
        let notices = self.applied(changes).await?;
        self.warn(&notices, 0);
        Ok(())
    }

    async fn applied(&self, changes: Vec<Change>) -> Result<Vec<(usize, Refusal)>, Error> {
        let created: Vec<TableName> = changes.iter().filter_map(Change::defines).cloned().collect();
        let Defined { relations, lost, notices, .. } =
            self.readers.definer.ask(changes, self.user(), Purpose::Apply).await?;
        for name in lost {
            let message =
                format!("drop cascades to {name}: it cannot be computed from what its input is now");
            self.notice(Error::new("00000", message));
        }
        let stored = relations.into_iter().filter(|relation| relation.kind == RelationKind::MaterializedView);
        // What is only called otherwise is computed as time allows: nobody waits for it.
        for relation in stored.filter(|relation| created.contains(&relation.name)) {
            self.compute(&relation.name).await?;
        }
        Ok(notices)
    }

    /// Computes what was defined. While the project is reloaded, since others define something too, nobody can be asked.
    async fn compute(&self, name: &TableName) -> Result<(), Error> {
        let stopping = || Error::new("57P01", "the warehouse is shutting down");
        let mut cuts = self.readers.cuts.clone();
        loop {
            let shape = cuts.borrow().shape;
            match self.readers.control.refresh(name, Extent::Changes).await {
                Err(refresh::Refusal::Stopping) => tokio::select! {
                    () = self.readers.shutdown.requested() => return Err(stopping()),
                    reloaded = cuts.wait_for(|cut| cut.shape != shape) => drop(reloaded.map_err(|_| stopping())?),
                },
                // Someone else has dropped it meanwhile.
                Err(refresh::Refusal::NoModel(_)) => return Ok(()),
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Plans what a transaction has defined so far and shows it to the transaction.
    pub(super) async fn draft(&self, changes: Vec<Change>, cut: &Arc<Cut>) -> Result<(), Error> {
        let (mut all, undrafted) = match &self.state.lock().transaction {
            Some(transaction) => (transaction.changes.clone(), transaction.undrafted.clone()),
            None => (vec![], None),
        };
        let before = all.len();
        all.extend(changes);
        let undrafted = undrafted.unwrap_or_else(|| Arc::clone(cut));
        let defined = self.readers.definer.ask(all.clone(), self.user(), Purpose::Check).await?;
        self.warn(&defined.notices, before);
        let cut = Arc::new(with(&undrafted, defined));
        if let Some(transaction) = &mut self.state.lock().transaction {
            transaction.changes = all;
            transaction.cut = Some(cut);
            transaction.undrafted = Some(undrafted);
        }
        Ok(())
    }

    /// Superusers define anything; others in schemas on which they have CREATE, of what they may read whole: what they make
    /// is read by its owner's rights.
    fn check_may_define(&self, ddl: &Ddl, cut: &Cut) -> Result<(), Error> {
        let (access, role) = (self.access(), self.role());
        if access.is_superuser(&role) {
            return Ok(());
        }
        let schemas = match ddl {
            Ddl::Create { name, .. } => vec![self.name_to_be(name)?.schema],
            Ddl::Rename { name, .. } | Ddl::Comment { name, .. } => vec![self.schema_of(name, cut)],
            Ddl::Drop { names, .. } => names.iter().map(|name| self.schema_of(name, cut)).collect(),
            Ddl::CreateSchema { name, .. } => vec![name.clone()],
            Ddl::DropSchema { names, .. } => names.clone(),
            Ddl::Watch(watching) => return self.check_may_watch(watching, cut),
        };
        if schemas.iter().all(|schema| access.allows(&role, Action::Create(schema))) {
            return self.check_reads(ddl, cut);
        }
        Err(self.may_not_define(ddl, &schemas))
    }

    pub(super) fn may_not_define(&self, ddl: &Ddl, schemas: &[String]) -> Error {
        let role = self.role();
        let message = format!("permission denied: user \"{role}\" may not {}", ddl.tag());
        Error::new("42501", message).with_hint(format!(
            "Write may_define = true under [users.{role}] in catalog/warehouse.toml, GRANT CREATE ON SCHEMA {} TO {role}, or \
             define it in a file of sql/.",
            schemas.join(", ")
        ))
    }

    pub(super) fn schema_of(&self, name: &Named, cut: &Cut) -> String {
        let found = self.find(name, cut).ok().map(|table| table.relation.name.schema.clone());
        found.or_else(|| name.schema.clone()).unwrap_or_default()
    }

    /// Whoever reads what is made need not be allowed to read what it is made of: who makes it has to be.
    pub(super) fn check_reads(&self, ddl: &Ddl, cut: &Cut) -> Result<(), Error> {
        for change in self.changes(ddl, cut)? {
            // What does not read is refused when it is planned.
            let inputs = match change {
                Change::Create { model, .. } => model.inputs(),
                Change::Watch { watch, .. } => watch.inputs(),
                _ => continue,
            };
            for input in inputs {
                self.check_may(Action::Select(&input), &input, cut)?;
            }
        }
        Ok(())
    }

    fn changes(&self, ddl: &Ddl, cut: &Cut) -> Result<Vec<Change>, Error> {
        match ddl {
            Ddl::Create { object, name, body, replace, if_not_exists } => {
                let name = self.name_to_be(name)?;
                if cut.tables.contains_key(&name) && *if_not_exists {
                    let message = format!("relation \"{}\" already exists, skipping", name.name);
                    self.notice(Error::new("42P07", message));
                    return Ok(vec![]);
                }
                let kind = match object {
                    Object::View => TypedKind::View,
                    Object::Table | Object::MaterializedView => TypedKind::MaterializedView,
                };
                let body = qualified(body, Behind::As, |parts| self.written_out(parts, cut));
                let (comment, column_comments) = (None, BTreeMap::new());
                let (changed_by, changed_at) = (self.user().to_string(), clock::now());
                let model = Typed { name, kind, body, comment, column_comments, changed_by, changed_at };
                Ok(vec![Change::Create { model, replace: *replace }])
            }
            Ddl::Rename { object, name, to, if_exists } => {
                let Some(from) = self.existing(name, (*object, true), *if_exists, cut)? else {
                    return Ok(vec![]);
                };
                let to = TableName::new(&from.schema, to);
                Ok(vec![Change::Rename { from, to }])
            }
            Ddl::Drop { object, names, if_exists, cascade } => {
                let mut changes = vec![];
                for name in names {
                    let found = self.existing(name, (*object, false), *if_exists, cut)?;
                    changes.extend(found.map(|name| Change::Drop { name, cascade: *cascade }));
                }
                Ok(changes)
            }
            Ddl::Comment { name, column, text } => {
                let on = self.find(name, cut)?;
                if let Some(column) = column.as_ref().filter(|c| on.relation.schema.index_of(c).is_err()) {
                    let message = format!(
                        "column \"{column}\" of relation \"{}\" does not exist",
                        on.relation.name.name
                    );
                    return Err(Error::new("42703", message));
                }
                let on = on.relation.name.clone();
                // As in PostgreSQL, an empty comment is none.
                let text = text.clone().filter(|text| !text.is_empty());
                Ok(vec![Change::Comment { on, column: column.clone(), text }])
            }
            Ddl::Watch(watching) => self.watch_changes(watching, cut),
            Ddl::CreateSchema { name, if_not_exists } => {
                if is_schema(name, cut) && !if_not_exists {
                    return Err(Error::new("42P06", format!("schema \"{name}\" already exists")));
                }
                Ok(vec![])
            }
            Ddl::DropSchema { names, if_exists, cascade } => {
                names.iter().try_fold(vec![], |mut changes, name| {
                    changes.extend(self.schema_drop(name, *if_exists, *cascade, cut)?);
                    Ok(changes)
                })
            }
        }
    }

    fn schema_drop(
        &self,
        name: &str,
        if_exists: bool,
        cascade: bool,
        cut: &Cut,
    ) -> Result<Vec<Change>, Error> {
        if !is_schema(name, cut) {
            let message = format!("schema \"{name}\" does not exist");
            return if if_exists {
                self.notice(Error::new("3F000", format!("{message}, skipping")));
                Ok(vec![])
            } else {
                Err(Error::new("3F000", message))
            };
        }
        let inside = cut.tables.keys().filter(|table| table.schema == name);
        if !cascade {
            let message = format!("cannot drop schema {name} because other objects depend on it");
            return Err(Error::new("2BP01", message)
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        Ok(inside.map(|name| Change::Drop { name: name.clone(), cascade: true }).collect())
    }

    /// The name that something new gets: in the first schema of the search path, if it says none.
    fn name_to_be(&self, name: &Named) -> Result<TableName, Error> {
        let schema = match &name.schema {
            Some(schema) => schema.clone(),
            None => functions::search_path(&self.surroundings).into_iter().next().ok_or_else(|| {
                Error::new("3F000", "no schema has been selected to create in")
                    .with_hint("Write schema.name, or SET search_path.")
            })?,
        };
        Ok(TableName::new(schema, &name.name))
    }

    /// A relation that a statement changes; `None` where there is none, and that is fine. As in PostgreSQL, ALTER TABLE
    /// renames views, too.
    fn existing(
        &self,
        name: &Named,
        (object, renames): (Object, bool),
        if_exists: bool,
        cut: &Cut,
    ) -> Result<Option<TableName>, Error> {
        let table = match self.find(name, cut) {
            Ok(table) => table,
            Err(error) if if_exists && error.code == "42P01" => {
                let message = format!("{} \"{}\" does not exist, skipping", object.words(), name.name);
                self.notice(Error::new("00000", message));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let fits = match table.relation.kind {
            RelationKind::View => object == Object::View || object == Object::Table && renames,
            // CREATE TABLE ... AS made it, perhaps.
            RelationKind::MaterializedView => object != Object::View,
            _ => true,
        };
        if !fits {
            let message = format!("\"{}\" is not a {}", table.relation.name.name, object.words());
            return Err(Error::new("42809", message));
        }
        Ok(Some(table.relation.name.clone()))
    }

    /// A name of a query with its schema, and without its database.
    pub(super) fn written_out(&self, parts: &[String], cut: &Cut) -> Option<String> {
        let name = match parts {
            [name] => self.find(&Named { schema: None, name: name.clone() }, cut).ok()?.relation.name.clone(),
            [database, schema, name] if database == DATABASE => TableName::new(schema, name),
            _ => return None,
        };
        Some(quoted_table(&name))
    }
}

pub(super) fn is_schema(name: &str, cut: &Cut) -> bool {
    ["public", "pg_catalog", "information_schema"].contains(&name)
        || cut.tables.keys().any(|table| table.schema == name)
}

/// A cut with what one transaction defined: its relations are computed when they are read.
fn with(cut: &Cut, defined: Defined) -> Cut {
    let mut cut = Cut { shape: NEXT_DRAFT.fetch_add(1, Ordering::Relaxed), ..cut.clone() };
    for name in defined.gone {
        cut.tables.remove(&name);
    }
    for relation in defined.relations {
        let relation = Arc::new(relation);
        let (version, freshness, provider, computed) = (0, Freshness::Fresh, None, None);
        let name = relation.name.clone();
        cut.tables.insert(name, CutTable { relation, version, freshness, provider, computed });
    }
    cut
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, message, detail, hint } = refusal;
        Error { detail, hint, ..Error::new(code, message) }
    }
}
