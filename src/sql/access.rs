//! Statements about who may do what: roles, grants, row policies, column masks. The words are PostgreSQL's, but for
//! masks, which are Databricks'. The same text stands in files of the project and is typed in psql.

use super::cursor::Cursor;
use super::{Error, Origin};
use crate::lake::TableName;
use datafusion::sql::sqlparser::tokenizer::Token;

/// A statement about who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessDefinition {
    /// What it says.
    pub statement: AccessStatement,
    /// Where it stands.
    pub origin: Origin,
}

/// What a statement says of roles and rights. A table that was written without a schema has an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessStatement {
    /// `CREATE ROLE`, `CREATE USER`
    CreateRole {
        /// The role.
        name: String,
        /// What it may.
        attributes: RoleAttributes,
    },
    /// `ALTER ROLE`
    AlterRole {
        /// The role.
        name: String,
        /// What changes.
        attributes: RoleAttributes,
    },
    /// `DROP ROLE`
    DropRoles {
        /// The roles.
        names: Vec<String>,
        /// `IF EXISTS`
        if_exists: bool,
    },
    /// `GRANT role TO role`
    GrantRoles(Memberships),
    /// `REVOKE role FROM role`
    RevokeRoles(Memberships),
    /// `GRANT privilege ON object TO role`
    Grant(Grants),
    /// `REVOKE privilege ON object FROM role`
    Revoke(Grants),
    /// `CREATE POLICY`
    CreatePolicy(PolicyDefinition),
    /// `DROP POLICY`
    DropPolicy {
        /// The policy.
        name: String,
        /// Its table.
        on: TableName,
        /// `IF EXISTS`
        if_exists: bool,
    },
    /// `ALTER TABLE table ALTER COLUMN column SET MASK`
    SetMask(MaskDefinition),
    /// `ALTER TABLE table ALTER COLUMN column DROP MASK`
    DropMask {
        /// The table.
        on: TableName,
        /// The column.
        column: String,
    },
}

/// What `CREATE ROLE` and `ALTER ROLE` say; what they leave out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleAttributes {
    /// `LOGIN`, `NOLOGIN`
    pub login: Option<bool>,
    /// `SUPERUSER`, `NOSUPERUSER`
    pub superuser: Option<bool>,
    /// `BYPASSRLS`, `NOBYPASSRLS`
    pub bypass: Option<bool>,
    /// `CREATEROLE`, `NOCREATEROLE`
    pub create_role: Option<bool>,
    /// `PASSWORD`
    pub password: Option<Password>,
    /// `IN ROLE`
    pub member_of: Vec<String>,
}

/// How a password is given: never as itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// `PASSWORD SECRET name`
    Secret(String),
    /// `PASSWORD 'SCRAM-SHA-256$...'`
    Verifier(String),
    /// `PASSWORD NULL`
    None,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Password::Secret(name) => write!(f, "Secret({name})"),
            Password::Verifier(_) => f.write_str("Verifier(..)"),
            Password::None => f.write_str("None"),
        }
    }
}

/// What a role may be given on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// Read rows.
    Select,
    /// Put rows into a source.
    Insert,
    /// Refresh and verify, as in PostgreSQL 17.
    Maintain,
    /// Find what is in a schema. Any right on something in a schema implies it.
    Usage,
    /// Define views in a schema.
    Create,
}

impl Privilege {
    /// All of them.
    pub const ALL: [Privilege; 5] =
        [Privilege::Select, Privilege::Insert, Privilege::Maintain, Privilege::Usage, Privilege::Create];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Privilege::Select => "SELECT",
            Privilege::Insert => "INSERT",
            Privilege::Maintain => "MAINTAIN",
            Privilege::Usage => "USAGE",
            Privilege::Create => "CREATE",
        }
    }

    /// Its letter in PostgreSQL's access lists.
    pub fn letter(self) -> char {
        match self {
            Privilege::Select => 'r',
            Privilege::Insert => 'a',
            Privilege::Maintain => 'm',
            Privilege::Usage => 'U',
            Privilege::Create => 'C',
        }
    }

    /// True for what is given on a table and not only on a schema.
    pub fn is_of_tables(self) -> bool {
        matches!(self, Privilege::Select | Privilege::Insert | Privilege::Maintain)
    }
}

/// What a right is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantedOn {
    /// Everything in a schema, what comes later included.
    Schema(String),
    /// One relation.
    Table(TableName),
}

/// Roles whose rights others have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// The roles whose rights are given or taken away.
    pub roles: Vec<String>,
    /// Whom.
    pub members: Vec<String>,
    /// `WITH ADMIN OPTION`, `ADMIN OPTION FOR`
    pub option: bool,
    /// `GRANTED BY`
    pub by: Option<String>,
}

/// Rights on objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// The privileges, each on some columns or on all.
    pub privileges: Vec<(Privilege, Vec<String>)>,
    /// They were said as ALL.
    pub all: bool,
    /// The objects.
    pub on: Vec<GrantedOn>,
    /// The roles.
    pub roles: Vec<String>,
    /// `WITH GRANT OPTION`, `GRANT OPTION FOR`
    pub option: bool,
    /// `GRANTED BY`
    pub by: Option<String>,
    /// `REVOKE ... CASCADE`
    pub cascade: bool,
}

/// `CREATE POLICY`: which rows a role sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDefinition {
    /// Its name, one of its own among the policies of the table.
    pub name: String,
    /// The table.
    pub on: TableName,
    /// Rows have to satisfy all policies `AS RESTRICTIVE`, and one of the others.
    pub restrictive: bool,
    /// Whom it is for.
    pub roles: Vec<String>,
    /// What must be true of a row.
    pub using: String,
}

/// `SET MASK`: what takes a column's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskDefinition {
    /// The table.
    pub on: TableName,
    /// The column.
    pub column: String,
    /// What is shown.
    pub mask: String,
    /// Who sees the column itself.
    pub except: Vec<String>,
}

/// Everyone.
pub const PUBLIC: &str = "public";

/// True where a statement about rights begins.
pub(super) fn is_access(cursor: &Cursor<'_>) -> bool {
    const HEADS: &[&[&str]] = &[
        &["CREATE", "ROLE"],
        &["CREATE", "USER"],
        &["CREATE", "POLICY"],
        &["ALTER", "ROLE"],
        &["ALTER", "USER"],
        &["DROP", "ROLE"],
        &["DROP", "USER"],
        &["DROP", "POLICY"],
        &["GRANT"],
        &["REVOKE"],
    ];
    HEADS.iter().any(|words| cursor.at_words(words)) || alters_mask(cursor)
}

fn alters_mask(cursor: &Cursor<'_>) -> bool {
    const WORDS_MAX: usize = 12;
    cursor.at_words(&["ALTER"])
        && (1..WORDS_MAX).any(|n| {
            matches!(cursor.peek_nth(n), Some(Token::Word(word))
                if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("MASK"))
        })
}

/// Reads a statement about rights.
pub(super) fn access(cursor: &mut Cursor<'_>) -> Result<AccessDefinition, Error> {
    let origin = cursor.statement_origin();
    let statement = statement(cursor)?;
    cursor.expect_end()?;
    Ok(AccessDefinition { statement, origin })
}

fn statement(cursor: &mut Cursor<'_>) -> Result<AccessStatement, Error> {
    if cursor.take_words(&["GRANT"]) {
        return grant(cursor, true);
    }
    if cursor.take_words(&["REVOKE"]) {
        return grant(cursor, false);
    }
    if cursor.take_words(&["CREATE", "POLICY"]) {
        return policy(cursor).map(AccessStatement::CreatePolicy);
    }
    if cursor.take_words(&["DROP", "POLICY"]) {
        let if_exists = cursor.take_words(&["IF", "EXISTS"]);
        let name = cursor.object_name("a policy")?.text;
        cursor.expect_words(&["ON"])?;
        return Ok(AccessStatement::DropPolicy { name, on: relation(cursor)?, if_exists });
    }
    let is_user = |cursor: &Cursor<'_>| cursor.at_words(&["CREATE", "USER"]);
    if is_user(cursor) || cursor.at_words(&["CREATE", "ROLE"]) {
        let login = is_user(cursor);
        cursor.advance();
        cursor.advance();
        let name = new_role(cursor)?;
        let mut attributes = attributes(cursor)?;
        attributes.login.get_or_insert(login);
        return Ok(AccessStatement::CreateRole { name, attributes });
    }
    if cursor.take_words(&["ALTER", "ROLE"]) || cursor.take_words(&["ALTER", "USER"]) {
        let name = role(cursor)?;
        return Ok(AccessStatement::AlterRole { name, attributes: attributes(cursor)? });
    }
    if cursor.take_words(&["DROP", "ROLE"]) || cursor.take_words(&["DROP", "USER"]) {
        let if_exists = cursor.take_words(&["IF", "EXISTS"]);
        return Ok(AccessStatement::DropRoles { names: roles(cursor)?, if_exists });
    }
    mask(cursor)
}

/// Names of roles that are the server's own begin so.
pub const RESERVED_ROLES: &str = "pg_";

fn new_role(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let origin = cursor.origin();
    let name = cursor.object_name("a role")?.text;
    if name.starts_with(RESERVED_ROLES) || [PUBLIC, "none"].contains(&name.as_str()) {
        let message = format!("role name \"{name}\" is reserved");
        return Err(Error::new("42939", origin, message).with_hint("Choose another name."));
    }
    Ok(name)
}

fn role(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    Ok(cursor.identifier("a role")?.text)
}

fn roles(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    listed(cursor, role)
}

fn listed<T>(
    cursor: &mut Cursor<'_>,
    one: impl Fn(&mut Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut all = vec![one(cursor)?];
    while cursor.take(&Token::Comma) {
        all.push(one(cursor)?);
    }
    Ok(all)
}

/// `[schema.]name`
fn relation(cursor: &mut Cursor<'_>) -> Result<TableName, Error> {
    match cursor.peek_nth(1) {
        Some(Token::Period) => Ok(cursor.table_name("a table")?.0),
        _ => Ok(TableName::new("", cursor.object_name("a table")?.text)),
    }
}

fn attributes(cursor: &mut Cursor<'_>) -> Result<RoleAttributes, Error> {
    let mut attributes = RoleAttributes::default();
    let _ = cursor.take_word("WITH");
    while !cursor.at_end() {
        let origin = cursor.origin();
        let word = cursor.identifier("LOGIN, NOLOGIN, PASSWORD or SUPERUSER")?.text;
        match word.as_str() {
            "login" => attributes.login = Some(true),
            "nologin" => attributes.login = Some(false),
            "superuser" => attributes.superuser = Some(true),
            "nosuperuser" => attributes.superuser = Some(false),
            "bypassrls" => attributes.bypass = Some(true),
            "nobypassrls" => attributes.bypass = Some(false),
            "createrole" => attributes.create_role = Some(true),
            "nocreaterole" => attributes.create_role = Some(false),
            // What every role has, or has not.
            "inherit" | "nocreatedb" | "noreplication" | "encrypted" => {}
            "password" => attributes.password = Some(password(cursor)?),
            "in" => {
                cursor.expect_words(&["ROLE"])?;
                attributes.member_of = roles(cursor)?;
            }
            other => {
                let message = format!("{} is not supported for a role", other.to_uppercase());
                return Err(Error::unsupported(origin, message).with_hint(
                    "A role has LOGIN or NOLOGIN, PASSWORD SECRET name, SUPERUSER, CREATEROLE, BYPASSRLS and IN ROLE.",
                ));
            }
        }
    }
    Ok(attributes)
}

/// Errors repeat nothing of what stands there: it may be a password.
fn password(cursor: &mut Cursor<'_>) -> Result<Password, Error> {
    let origin = cursor.statement_origin();
    if cursor.take_word("NULL") {
        return Ok(Password::None);
    }
    if cursor.take_word("SECRET") {
        return Ok(Password::Secret(cursor.identifier("a secret")?.text));
    }
    let verifier = cursor.string("a verifier").ok().filter(|text| text.starts_with("SCRAM-SHA-256$"));
    verifier.map(Password::Verifier).ok_or_else(|| {
        Error::unsupported(origin, "a password is written out").with_hint(
            "Write PASSWORD SECRET name and a CREATE SECRET in catalog/, or a verifier: sluice user NAME prints one.",
        )
    })
}

/// What stands behind GRANT (`gives`) or REVOKE.
fn grant(cursor: &mut Cursor<'_>, gives: bool) -> Result<AccessStatement, Error> {
    let of_rights = !gives && cursor.take_words(&["GRANT", "OPTION", "FOR"]);
    let of_roles = !gives && cursor.take_words(&["ADMIN", "OPTION", "FOR"]);
    let items = listed(cursor, |cursor| {
        let (origin, word) = (cursor.origin(), cursor.identifier("a privilege or a role")?.text);
        let _ = word == "all" && cursor.take_word("PRIVILEGES");
        let columns = match cursor.peek() {
            Some(Token::LParen) => cursor.column_list()?.into_iter().map(|name| name.text).collect(),
            _ => vec![],
        };
        Ok((origin, word, columns))
    })?;
    let direction = if gives { "TO" } else { "FROM" };
    if of_roles || !of_rights && !cursor.at_word("ON") {
        cursor.expect_words(&[direction])?;
        let named = items.into_iter().map(|(_, word, _)| word).collect();
        let Ending { roles: members, option, by, .. } = ending(cursor, gives, "ADMIN")?;
        let memberships = Memberships { roles: named, members, option: option || of_roles, by };
        return Ok(match gives {
            true => AccessStatement::GrantRoles(memberships),
            false => AccessStatement::RevokeRoles(memberships),
        });
    }
    cursor.expect_words(&["ON"])?;
    let all = items.iter().any(|(_, word, _)| word == "all");
    let on = granted_on(cursor)?;
    let is_schema = on.iter().all(|on| matches!(on, GrantedOn::Schema(_)));
    let mut privileges = vec![];
    for (origin, word, columns) in items {
        privileges.extend(privilege(origin, &word, columns, is_schema)?);
    }
    cursor.expect_words(&[direction])?;
    let Ending { roles, option, by, cascade } = ending(cursor, gives, "GRANT")?;
    let option = option || of_rights;
    if let Some(public) = roles.iter().find(|role| gives && option && *role == PUBLIC) {
        let message = "grant options can only be granted to roles";
        return Err(Error::new("0LP01", cursor.statement_origin(), message)
            .with_hint(format!("Leave WITH GRANT OPTION out: {public} is everyone.")));
    }
    let grants = Grants { privileges, all, on, roles, option, by, cascade };
    Ok(if gives { AccessStatement::Grant(grants) } else { AccessStatement::Revoke(grants) })
}

/// What stands behind TO or FROM.
struct Ending {
    roles: Vec<String>,
    option: bool,
    by: Option<String>,
    cascade: bool,
}

/// `role, ... [WITH GRANT OPTION] [GRANTED BY role] [CASCADE | RESTRICT]`; of roles, `WITH ADMIN OPTION`.
fn ending(cursor: &mut Cursor<'_>, gives: bool, option: &str) -> Result<Ending, Error> {
    let roles = roles(cursor)?;
    let with_option = gives && cursor.take_word("WITH");
    if with_option {
        cursor.expect_words(&[option, "OPTION"])?;
    }
    let by = if cursor.take_words(&["GRANTED", "BY"]) { Some(role(cursor)?) } else { None };
    let cascade = !gives && cursor.take_word("CASCADE");
    let _ = !gives && !cascade && cursor.take_word("RESTRICT");
    Ok(Ending { roles, option: with_option, by, cascade })
}

fn granted_on(cursor: &mut Cursor<'_>) -> Result<Vec<GrantedOn>, Error> {
    let schema = |cursor: &mut Cursor<'_>| Ok(GrantedOn::Schema(cursor.object_name("a schema")?.text));
    if cursor.take_words(&["ALL", "TABLES", "IN", "SCHEMA"]) || cursor.take_word("SCHEMA") {
        return listed(cursor, schema);
    }
    if cursor.at_word("DATABASE") {
        return Err(Error::unsupported(cursor.origin(), "rights on the database are not supported")
            .with_hint("A role with LOGIN may connect; what it may read is granted on schemas and tables."));
    }
    let kinds: [&[&str]; 5] =
        [&["TABLE"], &["VIEW"], &["MATERIALIZED", "VIEW"], &["STREAMING", "TABLE"], &["SOURCE"]];
    let _ = kinds.iter().any(|words| cursor.take_words(words));
    listed(cursor, |cursor| relation(cursor).map(GrantedOn::Table))
}

fn privilege(
    origin: Origin,
    word: &str,
    columns: Vec<String>,
    is_schema: bool,
) -> Result<Vec<(Privilege, Vec<String>)>, Error> {
    if word == "all" && columns.is_empty() {
        let all = Privilege::ALL.into_iter().filter(|privilege| is_schema || privilege.is_of_tables());
        return Ok(all.map(|privilege| (privilege, vec![])).collect());
    }
    let known = Privilege::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(word));
    let Some(privilege) = known else {
        let message = format!("privilege {} is not supported", word.to_uppercase());
        return Err(Error::unsupported(origin, message).with_hint(
            "Privileges are SELECT, INSERT (into a source) and MAINTAIN (refresh) on tables and schemas, and USAGE and CREATE on \
             schemas. Rows are never changed over a connection.",
        ));
    };
    if !is_schema && !privilege.is_of_tables() {
        let message = format!("invalid privilege type {} for relation", privilege.as_str());
        return Err(Error::new("0LP01", origin, message).with_hint("Write ON SCHEMA name."));
    }
    if !columns.is_empty() && (is_schema || privilege != Privilege::Select) {
        let message = format!("{} of columns is not supported here", privilege.as_str());
        return Err(Error::new("0LP01", origin, message)
            .with_hint("SELECT (column, ...) ON schema.table is what columns are granted by."));
    }
    Ok(vec![(privilege, columns)])
}

/// `name ON table [AS PERMISSIVE | RESTRICTIVE] [FOR SELECT | ALL] [TO role, ...] USING (expression)`
fn policy(cursor: &mut Cursor<'_>) -> Result<PolicyDefinition, Error> {
    let name = cursor.object_name("a policy")?.text;
    cursor.expect_words(&["ON"])?;
    let on = relation(cursor)?;
    let mut restrictive = false;
    if cursor.take_word("AS") {
        restrictive = cursor.take_word("RESTRICTIVE");
        if !restrictive {
            cursor.expect_words(&["PERMISSIVE"])?;
        }
    }
    if cursor.take_word("FOR") && !cursor.take_word("SELECT") && !cursor.take_word("ALL") {
        return Err(Error::unsupported(cursor.origin(), "policies are for SELECT")
            .with_hint("Rows are never changed over a connection: write FOR SELECT."));
    }
    let roles = if cursor.take_word("TO") { roles(cursor)? } else { vec![PUBLIC.to_string()] };
    cursor.expect_words(&["USING"])?;
    Ok(PolicyDefinition { name, on, restrictive, roles, using: expression(cursor)? })
}

/// `ALTER TABLE table ALTER [COLUMN] column SET MASK (expression) [EXCEPT role, ...]`, or `DROP MASK`
fn mask(cursor: &mut Cursor<'_>) -> Result<AccessStatement, Error> {
    cursor.expect_words(&["ALTER"])?;
    let kinds: [&[&str]; 5] =
        [&["TABLE"], &["VIEW"], &["MATERIALIZED", "VIEW"], &["STREAMING", "TABLE"], &["SOURCE"]];
    if !kinds.iter().any(|words| cursor.take_words(words)) {
        return Err(cursor.unexpected("TABLE"));
    }
    let on = relation(cursor)?;
    cursor.expect_words(&["ALTER"])?;
    let _ = cursor.take_word("COLUMN");
    let column = cursor.column_name()?.text;
    if cursor.take_words(&["DROP", "MASK"]) {
        return Ok(AccessStatement::DropMask { on, column });
    }
    cursor.expect_words(&["SET", "MASK"])?;
    let mask = expression(cursor)?;
    let except = if cursor.take_word("EXCEPT") { roles(cursor)? } else { vec![] };
    Ok(AccessStatement::SetMask(MaskDefinition { on, column, mask, except }))
}

/// The text between parentheses.
fn expression(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let mut inner = cursor.parenthesized()?;
    let tokens = inner.rest();
    if tokens.is_empty() {
        return Err(cursor.unexpected("an expression"));
    }
    Ok(cursor.source.covered(tokens).to_string())
}
