//! Who may do what: roles, memberships, rights, row policies and masks, and the one decision over them.
//!
//! Comes in: [`Rules`] of files, of the settings and of psql. Goes out: an [`Access`], which [`Access::decide`] answers
//! from: a pure function of role, action and object. Nothing is allowed that was not granted. Superusers may do all; a
//! user of `catalog/warehouse.toml` for whom there is no CREATE ROLE may read, push and refresh all, as before there were
//! roles, unless a policy or a mask says otherwise.

mod administer;
mod rules;
#[cfg(test)]
mod tests;

pub use administer::Said;
pub use rules::{Attributes, Given, Held, Key, Rule, RuleSource, Rules, read, rules_of, statement_of};

use crate::config::UserSettings;
use crate::lake::TableName;
use crate::sql::{Error, GrantedOn, Origin, PUBLIC, PolicyDefinition, Privilege, hint_did_you_mean};
use arrow::datatypes::DataType;
use std::collections::{BTreeMap, BTreeSet};

/// Reads everything but the audit log.
pub const READ_ALL: &str = "pg_read_all_data";
/// Pushes into every source.
pub const WRITE_ALL: &str = "pg_write_all_data";
/// Refreshes every model.
pub const MAINTAIN_ALL: &str = "pg_maintain";
/// The role that everything belongs to: policies are not for it.
pub const OWNER: &str = "sluice";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Read rows of a relation.
    Select(&'a TableName),
    /// Put rows into a source.
    Insert(&'a TableName),
    /// Refresh or verify a model.
    Maintain(&'a TableName),
    /// Define something in a schema.
    Create(&'a str),
    /// Change policies and masks, and what runs; roles and rights go by `Rules::say`.
    Administer,
}

/// Whether it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No.
    Denied,
    /// Yes.
    Granted,
    /// Some of it may be read.
    Restricted(Restriction),
}

/// What a role sees of a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    /// The columns that may be read; `None` for all.
    pub columns: Option<BTreeSet<String>>,
    /// What must be true of a row.
    pub filter: Option<String>,
    /// What stands in a column's place.
    pub masks: BTreeMap<String, String>,
}

impl Restriction {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Tables of the server's own that show rows of others.
const WITH_ROWS: &[&str] =
    &["alert_instances", "alert_log", "audits", "incident_log", "incidents", "quarantine", "refreshes"];
/// What users did: not for who merely reads all data.
const AUDIT_LOG: &str = "audit_log";

/// Roles and rights, put together. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub struct Access {
    roles: BTreeMap<String, Attributes>,
    /// Whose rights a role has: its own, those that it is a member of, everyone's.
    closures: BTreeMap<String, BTreeSet<String>>,
    rules: Rules,
}

impl Access {
    /// What these rules come to. Rules of a role that is not there are nobody's.
    pub fn new(rules: Rules) -> Self {
        let mut roles = BTreeMap::new();
        let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, held) in &rules.0 {
            match (key, &held.rule) {
                (Key::Role(name), Rule::Role(attributes)) => {
                    roles.insert(name.clone(), attributes.clone());
                }
                (Key::Member { member, of: role }, _) => of.entry(member).or_default().push(role),
                _ => {}
            }
        }
        let closures = roles.keys().map(|role| (role.clone(), closure(role, &of))).collect();
        Self { roles, closures, rules }
    }

    /// The rules themselves.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The roles, by name.
    pub fn roles(&self) -> &BTreeMap<String, Attributes> {
        &self.roles
    }

    /// True for who may do everything.
    pub fn is_superuser(&self, role: &str) -> bool {
        self.roles.get(role).is_some_and(|attributes| attributes.superuser)
    }

    /// True when a role has the rights of another, itself included.
    pub fn is_member(&self, role: &str, of: &str) -> bool {
        self.is_superuser(role) || self.has_rights_of(role, of)
    }

    fn has_rights_of(&self, role: &str, of: &str) -> bool {
        self.closures.get(role).is_some_and(|closure| closure.contains(of))
    }

    /// The decision: who, what, on which object.
    pub fn decide(&self, role: &str, action: Action<'_>) -> Decision {
        if self.is_superuser(role) {
            return Decision::Granted;
        }
        let granted = |yes: bool| if yes { Decision::Granted } else { Decision::Denied };
        match action {
            Action::Select(table) => self.select(role, table),
            Action::Insert(table) => {
                granted(self.has_rights_of(role, WRITE_ALL) || self.has(role, Privilege::Insert, table))
            }
            Action::Maintain(table) => {
                granted(self.has_rights_of(role, MAINTAIN_ALL) || self.has(role, Privilege::Maintain, table))
            }
            Action::Create(schema) => granted(self.has_on_schema(role, Privilege::Create, schema)),
            Action::Administer => Decision::Denied,
        }
    }

    /// True for what a role may do without limits.
    pub fn allows(&self, role: &str, action: Action<'_>) -> bool {
        self.decide(role, action) == Decision::Granted
    }

    /// True when a role may do anything with a relation: only then is it shown.
    pub fn shows(&self, role: &str, table: &TableName) -> bool {
        self.decide(role, Action::Select(table)) != Decision::Denied
            || self.allows(role, Action::Insert(table))
            || self.allows(role, Action::Maintain(table))
    }

    /// True for who has a privilege on a schema.
    pub fn has_on_schema(&self, role: &str, privilege: Privilege, schema: &str) -> bool {
        let on = GrantedOn::Schema(schema.to_string());
        self.is_superuser(role) || self.given(role, privilege, &on, None)
    }

    /// True for who may do anything in a schema.
    pub fn uses(&self, role: &str, schema: &str) -> bool {
        let Some(closure) = self.closures.get(role) else { return false };
        let is_open = ["public", "pg_catalog", "information_schema"].contains(&schema);
        let sees_all = [READ_ALL, WRITE_ALL, MAINTAIN_ALL].iter().any(|all| closure.contains(*all));
        is_open
            || sees_all
            || self.is_superuser(role)
            || self.rules.0.keys().any(|key| match key {
                Key::Grant { to, on: GrantedOn::Schema(on), .. } => on == schema && closure.contains(to),
                Key::Grant { to, on: GrantedOn::Table(on), .. } => {
                    on.schema == schema && closure.contains(to)
                }
                _ => false,
            })
    }

    fn select(&self, role: &str, table: &TableName) -> Decision {
        let is_log = table.schema == "sluice" && table.name == AUDIT_LOG;
        let all = self.has_rights_of(role, READ_ALL) && !is_log || self.has(role, Privilege::Select, table);
        let columns = match all {
            true => None,
            false => Some(self.granted_columns(role, table)),
        };
        if columns.as_ref().is_some_and(BTreeSet::is_empty) {
            return Decision::Denied;
        }
        if role == OWNER || self.roles.get(role).is_some_and(|attributes| attributes.bypass) {
            return Restriction { columns, ..Restriction::default() }.into();
        }
        if self.shows_hidden_rows(role, table) {
            return Decision::Denied;
        }
        Restriction { columns, ..self.restriction(role, table) }.into()
    }

    /// True for tables beside one that the role does not see whole: they hold its rows as they came.
    fn shows_hidden_rows(&self, role: &str, table: &TableName) -> bool {
        if table.schema == "sluice" && WITH_ROWS.contains(&table.name.as_str()) {
            return self.guarded().any(|table| !self.restriction(role, table).is_none());
        }
        let Some(base) = table.name.strip_suffix("__quarantine") else { return false };
        let base = TableName::new(&table.schema, base);
        !self.restriction(role, &base).is_none()
            || matches!(self.decide(role, Action::Select(&base)), Decision::Restricted(_))
    }

    /// Tables with policies or masks.
    fn guarded(&self) -> impl Iterator<Item = &TableName> {
        self.rules.0.keys().filter_map(|key| match key {
            Key::Policy { on, .. } | Key::Mask { on, .. } => Some(on),
            _ => None,
        })
    }

    /// The policies and masks of a table, as they are for a role.
    fn restriction(&self, role: &str, table: &TableName) -> Restriction {
        let policies: Vec<&PolicyDefinition> = self.policies(table).collect();
        let for_role = |policy: &&&PolicyDefinition| {
            policy.roles.iter().any(|of| of == PUBLIC || self.has_rights_of(role, of))
        };
        let text = |policy: &&PolicyDefinition| format!("({})", policy.using);
        let filter = (!policies.is_empty()).then(|| {
            let (must, may): (Vec<_>, Vec<_>) =
                policies.iter().filter(for_role).partition(|policy| policy.restrictive);
            // As in PostgreSQL: where no policy lets rows through, none come.
            let may = match may.as_slice() {
                [] => "false".to_string(),
                may => may.iter().map(&text).collect::<Vec<_>>().join(" OR "),
            };
            let must = must.iter().map(&text);
            must.fold(format!("({may})"), |all, must| format!("{all} AND {must}"))
        });
        let masks = self.rules.0.iter().filter_map(|(key, held)| match (key, &held.rule) {
            (Key::Mask { on, column }, Rule::Mask(mask)) if on == table => {
                let sees = mask.except.iter().any(|of| self.has_rights_of(role, of));
                (!sees).then(|| (column.clone(), mask.mask.clone()))
            }
            _ => None,
        });
        Restriction { columns: None, filter, masks: masks.collect() }
    }

    /// The policies of a table.
    pub fn policies<'a>(&'a self, table: &'a TableName) -> impl Iterator<Item = &'a PolicyDefinition> {
        self.rules.0.iter().filter_map(move |(key, held)| match (key, &held.rule) {
            (Key::Policy { on, .. }, Rule::Policy(policy)) if on == table => Some(policy),
            _ => None,
        })
    }

    /// True for who has a privilege on a whole relation, by itself or by its schema.
    pub fn has(&self, role: &str, privilege: Privilege, table: &TableName) -> bool {
        self.given(role, privilege, &GrantedOn::Table(table.clone()), None)
            || self.given(role, privilege, &GrantedOn::Schema(table.schema.clone()), None)
    }

    fn granted_columns(&self, role: &str, table: &TableName) -> BTreeSet<String> {
        let Some(closure) = self.closures.get(role) else { return BTreeSet::new() };
        let columns = self.rules.0.keys().filter_map(|key| match key {
            Key::Grant { to, on: GrantedOn::Table(on), column: Some(column), privilege }
                if on == table && *privilege == Privilege::Select && closure.contains(to) =>
            {
                Some(column.clone())
            }
            _ => None,
        });
        columns.collect()
    }

    fn given(&self, role: &str, privilege: Privilege, on: &GrantedOn, column: Option<&String>) -> bool {
        let Some(closure) = self.closures.get(role) else { return false };
        closure.iter().any(|to| {
            let key = Key::Grant { to: to.clone(), on: on.clone(), column: column.cloned(), privilege };
            self.rules.0.contains_key(&key)
        })
    }

    /// What is wrong with rules of files: roles that are not there, memberships in a circle.
    pub fn errors(&self) -> Vec<Error> {
        let mut errors = vec![];
        for (key, held) in &self.rules.0 {
            let RuleSource::File(origin) = &held.source else { continue };
            for name in rules::names(key, held) {
                if let Some((message, hint)) = self.unknown(name) {
                    errors.push(Error::new("42704", origin.clone(), message).with_hint(hint));
                }
            }
            if let Some(message) = self.circle(key) {
                let hint = "Take one of these memberships out.";
                errors.push(Error::new("0LP01", origin.clone(), message).with_hint(hint));
            }
        }
        errors
    }

    /// What is wrong with a name of a role, and what to do.
    pub fn unknown(&self, name: &str) -> Option<(String, String)> {
        let built_in = [PUBLIC, OWNER, READ_ALL, WRITE_ALL, MAINTAIN_ALL];
        if self.roles.contains_key(name) || built_in.contains(&name) {
            return None;
        }
        let hint = hint_did_you_mean(name, self.roles.keys().map(String::as_str));
        let hint = hint.unwrap_or_else(|| format!("Write CREATE ROLE {name} NOLOGIN; in catalog/roles.sql."));
        Some((format!("role \"{name}\" does not exist"), hint))
    }

    /// What is wrong with a membership that closes a circle.
    pub fn circle(&self, key: &Key) -> Option<String> {
        let Key::Member { member, of } = key else { return None };
        (member == of || self.has_rights_of(of, member))
            .then(|| format!("role \"{member}\" is a member of role \"{of}\", and that one of it"))
    }
}

/// Whether what a mask shows can stand in a column's place.
pub fn mask_fits(is: &DataType, column: &DataType) -> bool {
    let is_number = |ty: &DataType| ty.is_numeric();
    let is_time = |ty: &DataType| matches!(ty, DataType::Timestamp(..) | DataType::Date32);
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let is_binary =
        |ty: &DataType| matches!(ty, DataType::Binary | DataType::BinaryView | DataType::LargeBinary);
    let both = |kind: &dyn Fn(&DataType) -> bool| kind(is) && kind(column);
    let is_alike = both(&is_number) || both(&is_time) || both(&is_text) || both(&is_binary);
    is == column || is.is_null() || is_alike
}

impl From<Restriction> for Decision {
    fn from(restriction: Restriction) -> Self {
        if restriction.is_none() { Decision::Granted } else { Decision::Restricted(restriction) }
    }
}

fn closure(role: &str, of: &BTreeMap<&str, Vec<&str>>) -> BTreeSet<String> {
    let mut found = BTreeSet::from([PUBLIC.to_string(), role.to_string()]);
    let mut open = vec![role];
    while let Some(role) = open.pop() {
        for other in of.get(role).into_iter().flatten() {
            if found.insert((*other).to_string()) {
                open.push(other);
            }
        }
    }
    found
}

/// The roles and rights of a server with these users and rules.
pub fn access_of(users: &BTreeMap<String, UserSettings>, rules: Rules) -> Access {
    let of_users = rules_of_users(users.iter().map(|(name, user)| (name, user.may_define)), &rules);
    Access::new(of_users.over(rules))
}

/// The rules of users of the settings: a superuser's are none, the others read, push and refresh all unless there is a
/// role of their name.
pub fn rules_of_users<'a>(users: impl Iterator<Item = (&'a String, bool)>, roles: &Rules) -> Rules {
    let mut rules = BTreeMap::new();
    let source = || RuleSource::Settings;
    for (name, superuser) in users {
        let role = Key::Role(name.clone());
        if let Some(Held { rule: Rule::Role(declared), source }) = roles.0.get(&role) {
            let rule = Rule::Role(Attributes {
                login: true,
                superuser: superuser || declared.superuser,
                ..declared.clone()
            });
            rules.insert(role, Held { rule, source: source.clone() });
            continue;
        }
        let attributes = Attributes { login: true, superuser, ..Attributes::default() };
        rules.insert(role, Held { rule: Rule::Role(attributes), source: source() });
        for of in [READ_ALL, WRITE_ALL, MAINTAIN_ALL] {
            let key = Key::Member { member: name.clone(), of: of.to_string() };
            rules.insert(key, Held { rule: Rule::Given(Given::default()), source: source() });
        }
    }
    Rules(rules)
}

impl Rules {
    /// Puts these over others.
    pub fn over(mut self, below: Rules) -> Rules {
        for (key, held) in below.0 {
            self.0.entry(key).or_insert(held);
        }
        self
    }

    /// Adds a rule of a file; the earlier place if it is defined twice.
    pub fn add_of_file(&mut self, key: Key, rule: Rule, origin: Origin) -> Option<Origin> {
        if let Some(Held { source: RuleSource::File(earlier), .. }) = self.0.get(&key)
            && !matches!(key, Key::Grant { .. } | Key::Member { .. })
        {
            return Some(earlier.clone());
        }
        self.0.insert(key, Held { rule, source: RuleSource::File(origin) });
        None
    }
}
