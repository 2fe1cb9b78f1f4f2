//! Who ran what: a record of each statement that reads, changes or defines something, and of each push, once it has ended;
//! and who could not log in.
//!
//! Records go out without waiting: what becomes of them is no matter of the statement's. Settings and transactions, which
//! touch nothing, are left out.

use super::Error;
use super::failed_logins::FailedLogin;
use super::session::Session;
use super::statement::{Copy, CopyIn, Ddl, Declaration, Insert, Named, Statement};
use crate::lake::TableName;
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::sql::{AccessStatement, GrantedOn, Memberships};
use chrono::{DateTime, Utc};
use datafusion::sql::sqlparser::ast::{self, ObjectName};
use regex::Regex;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// Letters of a statement that are kept.
const STATEMENT_MAX: usize = 10_000;

/// What is known of a statement that has ended.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// When it began.
    pub at: DateTime<Utc>,
    /// By whose rights.
    pub role: String,
    /// Who logged in.
    pub login: String,
    /// The number of the session.
    pub session: i32,
    /// From where.
    pub client: String,
    /// Over which protocol.
    pub protocol: &'static str,
    /// What was said, without passwords and without whom it erases.
    pub statement: String,
    /// The relations and roles that it names.
    pub objects: Vec<String>,
    /// `ok`, `denied`, `failed`, or `cancelled` for one that was given up.
    pub outcome: &'static str,
    /// The error's SQLSTATE.
    pub sqlstate: Option<&'static str>,
    /// How long it took, sending included.
    pub seconds: f64,
}

/// What is noted.
#[derive(Clone, Debug)]
pub enum Event {
    /// A statement or a push has ended.
    Ended(AuditRecord),
    /// Somebody was not let in.
    FailedLogin(FailedLogin),
}

/// Where records go.
#[derive(Clone)]
pub struct AuditLog(Arc<dyn Fn(Event) + Send + Sync>);

impl AuditLog {
    /// To whoever notes them.
    pub fn new(note: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(note))
    }

    /// Tells of somebody who was not let in, if that is what an error says.
    pub(super) fn refused(&self, protocol: &'static str, address: IpAddr, user: &str, error: &Error) {
        if error.code.starts_with(LOGIN_CLASS) {
            let (user, address, at) = (user.to_string(), Some(address), clock::now());
            (self.0)(Event::FailedLogin(FailedLogin { at, user, address, protocol, sqlstate: error.code }));
        }
    }

    /// A push that begins now.
    pub(super) fn pushed(&self, push: Pushed<'_>) -> Audited {
        let Pushed { role, address, protocol, said, channel, table } = push;
        let statement = match channel {
            Some((channel, token)) => format!("{said} (channel {channel}, token {token})"),
            None => said,
        };
        let statement = shortened(&statement);
        let record = AuditRecord {
            at: clock::now(),
            role: role.to_string(),
            login: role.to_string(),
            session: 0,
            client: address.to_canonical().to_string(),
            protocol,
            statement,
            objects: table.into_iter().collect(),
            outcome: "ok",
            sqlstate: None,
            seconds: 0.0,
        };
        Audited { record: Some(record), began: clock::instant(), log: self.clone() }
    }
}

/// Rows that somebody sends without a session.
pub(super) struct Pushed<'a> {
    /// By whose rights.
    pub(super) role: &'a str,
    /// From where.
    pub(super) address: IpAddr,
    /// Over which protocol.
    pub(super) protocol: &'static str,
    /// What is asked for.
    pub(super) said: String,
    /// The sender's channel and token.
    pub(super) channel: Option<&'a (String, i64)>,
    /// The table that the rows are for, if there is one of that name.
    pub(super) table: Option<String>,
}

/// The class of SQLSTATE that says that somebody was not let in.
const LOGIN_CLASS: &str = "28";

impl Default for AuditLog {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog")
    }
}

/// A statement that runs. Dropped before it ended, it was given up.
#[derive(Debug)]
pub(super) struct Audited {
    record: Option<AuditRecord>,
    began: Instant,
    log: AuditLog,
}

impl Audited {
    /// It has ended.
    pub(super) fn end(self, error: Option<&Error>) {
        self.end_with(error.map(|error| error.code));
    }

    /// It has ended, with this SQLSTATE if it failed.
    pub(super) fn end_with(mut self, sqlstate: Option<&'static str>) {
        let outcome = match sqlstate {
            None => "ok",
            Some("42501") => "denied",
            Some(_) => "failed",
        };
        self.note(outcome, sqlstate);
    }

    /// It has not begun yet.
    pub(super) fn forget(mut self) {
        self.record = None;
    }

    fn note(&mut self, outcome: &'static str, sqlstate: Option<&'static str>) {
        let Some(record) = self.record.take() else { return };
        let seconds = clock::instant().saturating_duration_since(self.began).as_secs_f64();
        (self.log.0)(Event::Ended(AuditRecord { outcome, sqlstate, seconds, ..record }));
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        self.note("cancelled", Some("57014"));
    }
}

impl Session {
    /// A statement that begins now.
    pub(super) fn audited(&self, statement: &Statement, text: &str) -> Audited {
        let names = named(statement);
        let record = names.map(|names| AuditRecord {
            at: clock::now(),
            role: self.role(),
            login: self.user().to_string(),
            session: self.process_id(),
            client: self.client(),
            protocol: self.protocol(),
            statement: without_passwords(text),
            objects: self.resolved(names),
            outcome: "ok",
            sqlstate: None,
            seconds: 0.0,
        });
        Audited { record, began: clock::instant(), log: self.audit_log().clone() }
    }

    /// Names as they are in the warehouse; those that are none of its are left out.
    fn resolved(&self, names: Names) -> Vec<String> {
        let cut = self.newest_cut();
        let found = names.relations.iter().filter_map(|name| self.find(name, &cut).ok());
        let mut all: BTreeSet<String> = found.map(|table| table.relation.name.to_string()).collect();
        all.extend(names.others);
        all.into_iter().collect()
    }
}

/// What a statement names.
#[derive(Debug, Default)]
struct Names {
    relations: Vec<Named>,
    others: Vec<String>,
}

impl Names {
    fn of(relations: impl IntoIterator<Item = Named>) -> Self {
        Self { relations: relations.into_iter().collect(), others: vec![] }
    }
}

/// What a statement names; `None` for one that touches nothing.
fn named(statement: &Statement) -> Option<Names> {
    Some(match statement {
        Statement::Query(query)
        | Statement::Explain { query, .. }
        | Statement::Copy(Copy { query, .. })
        | Statement::Declare(Declaration { query, .. }) => Names::of(in_query(query)),
        Statement::Prepare { statement, .. } => return named(statement),
        Statement::Verify(name)
        | Statement::Refresh { name, .. }
        | Statement::Backfill { name, .. }
        | Statement::Replay { name, .. } => Names::of([name.clone()]),
        Statement::CopyIn(CopyIn { table, .. }) => Names::of([table.clone()]),
        Statement::Insert(Insert { table, query, .. }) => {
            Names::of([table.clone()].into_iter().chain(in_query(query)))
        }
        Statement::Define(ddl) => match ddl {
            Ddl::Create { name, .. } | Ddl::Rename { name, .. } | Ddl::Comment { name, .. } => {
                Names { relations: vec![], others: vec![spelt(name)] }
            }
            Ddl::Drop { names, .. } => Names { relations: vec![], others: names.iter().map(spelt).collect() },
            Ddl::CreateSchema { name, .. } => Names { relations: vec![], others: vec![name.clone()] },
            Ddl::DropSchema { names, .. } => Names { relations: vec![], others: names.clone() },
            Ddl::Watch(watching) => {
                let (on, names) = (watching.on().cloned(), watching.names());
                Names { relations: on.into_iter().collect(), others: names.to_vec() }
            }
        },
        Statement::Access(access) => in_access(access),
        Statement::SetRole { role, .. } => {
            Names { relations: vec![], others: role.iter().cloned().collect() }
        }
        Statement::ExplainModel(_)
        | Statement::UnitTest(_)
        | Statement::Erase { .. }
        | Statement::Plan
        | Statement::Apply(_)
        | Statement::Execute { .. } => Names::default(),
        Statement::Empty
        | Statement::Show(_)
        | Statement::ShowAll
        | Statement::Set { .. }
        | Statement::Reset(_)
        | Statement::ResetAll
        | Statement::Begin(_)
        | Statement::SetTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint(_)
        | Statement::RollbackTo(_)
        | Statement::Release(_)
        | Statement::Discard(_)
        | Statement::Deallocate(_)
        | Statement::Fetch { .. }
        | Statement::Close(_)
        | Statement::Unlisten => return None,
    })
}

fn spelt(name: &Named) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

fn in_query(query: &Opaque<ast::Query>) -> Vec<Named> {
    let mut names = vec![];
    let _ = ast::visit_relations(&**query, |name: &ObjectName| {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        if let [.., schema, name] = parts.as_slice() {
            names.push(Named { schema: Some(schema.clone()), name: name.clone() });
        } else if let [name] = parts.as_slice() {
            names.push(Named { schema: None, name: name.clone() });
        }
        ControlFlow::<()>::Continue(())
    });
    names
}

fn folded(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

fn in_access(statement: &AccessStatement) -> Names {
    let table = |name: &TableName| Named {
        schema: Some(name.schema.clone()).filter(|schema| !schema.is_empty()),
        name: name.name.clone(),
    };
    let roles = |names: &[String]| Names { relations: vec![], others: names.to_vec() };
    match statement {
        AccessStatement::CreateRole { name, .. } | AccessStatement::AlterRole { name, .. } => {
            roles(std::slice::from_ref(name))
        }
        AccessStatement::DropRoles { names, .. } => roles(names),
        AccessStatement::GrantRoles(Memberships { roles: of, members, .. })
        | AccessStatement::RevokeRoles(Memberships { roles: of, members, .. }) => {
            roles(&[of.as_slice(), members].concat())
        }
        AccessStatement::Grant(grants) | AccessStatement::Revoke(grants) => {
            let mut names = roles(&grants.roles);
            for on in &grants.on {
                match on {
                    GrantedOn::Table(name) => names.relations.push(table(name)),
                    GrantedOn::Schema(schema) => names.others.push(schema.clone()),
                }
            }
            names
        }
        AccessStatement::CreatePolicy(policy) => Names::of([table(&policy.on)]),
        AccessStatement::SetMask(mask) => Names::of([table(&mask.on)]),
        AccessStatement::DropPolicy { on, .. } | AccessStatement::DropMask { on, .. } => {
            Names::of([table(on)])
        }
    }
}

/// Strings behind PASSWORD, ERASE SUBJECT and the URL of a webhook, which lets in who knows it, in all their forms, and what
/// looks like a verifier.
static PASSWORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let string = r"[eE]?'(?:[^']|'')*'|\$\$.*?\$\$";
    Regex::new(&format!(
        r"(?is)(\bpassword\b\s*=?\s*|\berase\s+subject\s+|\bwebhook\s+\S+\s+url\s+)(?:{string})|'SCRAM-SHA-256\$[^']*'"
    ))
    .ok()
});

/// A statement's text as it may be kept.
pub(super) fn without_passwords(text: &str) -> String {
    let text = match PASSWORDS.as_ref() {
        Some(passwords) => passwords.replace_all(text, "$1'***'"),
        None => "".into(),
    };
    shortened(&text)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(STATEMENT_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn passwords_are_kept_nowhere() {
        for (said, kept) in [
            ("ALTER ROLE a PASSWORD 'it''s me' LOGIN", "ALTER ROLE a PASSWORD '***' LOGIN"),
            ("CREATE USER a password E'x'", "CREATE USER a password '***'"),
            ("CREATE USER a PASSWORD $$x'y$$", "CREATE USER a PASSWORD '***'"),
            ("SELECT 'SCRAM-SHA-256$4096:a$b:c'", "SELECT '***'"),
            ("erase SUBJECT '42' DRY RUN", "erase SUBJECT '***' DRY RUN"),
            ("CREATE ROLE a PASSWORD SECRET s", "CREATE ROLE a PASSWORD SECRET s"),
            ("THEN NOTIFY (WEBHOOK chat URL 'https://x/y')", "THEN NOTIFY (WEBHOOK chat URL '***')"),
            ("SELECT password FROM t WHERE a = 'x'", "SELECT password FROM t WHERE a = 'x'"),
        ] {
            assert_eq!(without_passwords(said), kept);
        }
        assert_eq!(without_passwords(&"a".repeat(20_000)).len(), 10_003);
    }
}
