//! Single rules about roles and rights: what statements come apart into, and are kept as.
//!
//! A rule is the smallest that can be taken back: one privilege of one role on one object or column. Files hold some, and
//! what was typed in psql is kept beside them. Files are the truth for what they say: nothing here touches their rules.

use crate::catalog::definitions::Refusal;
use crate::lake::TableName;
use crate::sql::{
    AccessDefinition, AccessStatement, GrantedOn, Grants, MaskDefinition, Memberships, Origin, Password,
    PolicyDefinition, Privilege, RoleAttributes, quoted, quoted_table,
};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A role.
    Role(String),
    /// A membership.
    Member {
        /// Who has the rights of the other.
        member: String,
        /// The other.
        of: String,
    },
    /// A right.
    Grant {
        /// Who has it.
        to: String,
        /// On what.
        on: GrantedOn,
        /// On which of its columns.
        column: Option<String>,
        /// Which.
        privilege: Privilege,
    },
    /// A row policy.
    Policy {
        /// Its table.
        on: TableName,
        /// Its name.
        name: String,
    },
    /// A column's mask.
    Mask {
        /// The table.
        on: TableName,
        /// The column.
        column: String,
    },
}

impl Key {
    /// What kind of thing a rule is about.
    pub fn object(&self) -> &'static str {
        match self {
            Key::Role(_) => "role",
            Key::Member { .. } => "membership",
            Key::Grant { .. } => "grant",
            Key::Policy { .. } => "policy",
            Key::Mask { .. } => "mask",
        }
    }
}

/// What a rule is about, for people.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Role(name) => f.write_str(name),
            Key::Member { member, of } => write!(f, "{member} in {of}"),
            Key::Grant { to, on, column, privilege } => {
                write!(f, "{}", privilege.as_str())?;
                column.iter().try_for_each(|column| write!(f, " ({column})"))?;
                match on {
                    GrantedOn::Schema(schema) => write!(f, " on schema {schema} to {to}"),
                    GrantedOn::Table(table) => write!(f, " on {table} to {to}"),
                }
            }
            Key::Policy { on, name } => write!(f, "{name} on {on}"),
            Key::Mask { on, column } => write!(f, "{column} of {on}"),
        }
    }
}

/// What a role is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// May log in.
    pub login: bool,
    /// May do everything.
    pub superuser: bool,
    /// Policies and masks are not for it.
    pub bypass: bool,
    /// May make other roles.
    pub create_role: bool,
    /// How it proves to be itself.
    pub password: Option<Password>,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Of a role.
    Role(Attributes),
    /// Of a membership or a right.
    Given(Given),
    /// Of a policy.
    Policy(PolicyDefinition),
    /// Of a mask.
    Mask(MaskDefinition),
}

/// How a membership or a right was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// It may be passed on.
    pub option: bool,
    /// The role that passed it on; a superuser gave what names none.
    pub by: Option<String>,
}

/// A rule, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it says.
    pub rule: Rule,
    /// Where it stands, or by whom and when it was typed.
    pub source: RuleSource,
}

/// Where a rule is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// A file of the project.
    File(Origin),
    /// A connection.
    Typed {
        /// Who said it.
        by: String,
        /// And when.
        at: DateTime<Utc>,
    },
    /// The settings.
    Settings,
}

/// A right that is to be given or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) key: Key,
    /// The role that passes it on; `None` for superusers.
    pub(super) by: Option<String>,
}

/// Rules, by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub BTreeMap<Key, Held>);

/// The rules that a statement adds, in order.
pub fn rules_of(statement: &AccessStatement) -> Vec<(Key, Rule)> {
    match statement {
        AccessStatement::CreateRole { name, attributes } => {
            let rule = Rule::Role(changed(&Attributes::default(), attributes));
            let members = members(&attributes.member_of, std::slice::from_ref(name));
            let members = members.map(|key| (key, Rule::Given(Given::default())));
            std::iter::once((Key::Role(name.clone()), rule)).chain(members).collect()
        }
        AccessStatement::GrantRoles(Memberships { roles, members: to, option, by }) => {
            let given = Given { option: *option, by: by.clone() };
            members(roles, to).map(|key| (key, Rule::Given(given.clone()))).collect()
        }
        AccessStatement::Grant(grants) => {
            let given = Given { option: grants.option, by: grants.by.clone() };
            grant_keys(grants).map(|key| (key, Rule::Given(given.clone()))).collect()
        }
        AccessStatement::CreatePolicy(policy) => {
            let key = Key::Policy { on: policy.on.clone(), name: policy.name.clone() };
            vec![(key, Rule::Policy(policy.clone()))]
        }
        AccessStatement::SetMask(mask) => {
            let key = Key::Mask { on: mask.on.clone(), column: mask.column.clone() };
            vec![(key, Rule::Mask(mask.clone()))]
        }
        AccessStatement::AlterRole { .. }
        | AccessStatement::DropRoles { .. }
        | AccessStatement::RevokeRoles(_)
        | AccessStatement::Revoke(_)
        | AccessStatement::DropPolicy { .. }
        | AccessStatement::DropMask { .. } => vec![],
    }
}

fn changed(before: &Attributes, said: &RoleAttributes) -> Attributes {
    Attributes {
        login: said.login.unwrap_or(before.login),
        superuser: said.superuser.unwrap_or(before.superuser),
        bypass: said.bypass.unwrap_or(before.bypass),
        create_role: said.create_role.unwrap_or(before.create_role),
        password: said.password.clone().or_else(|| before.password.clone()),
    }
}

pub(super) fn members<'a>(roles: &'a [String], to: &'a [String]) -> impl Iterator<Item = Key> + 'a {
    roles.iter().flat_map(move |of| {
        to.iter().map(move |member| Key::Member { member: member.clone(), of: of.clone() })
    })
}

pub(super) fn grant_keys(grants: &Grants) -> impl Iterator<Item = Key> + '_ {
    grants.roles.iter().flat_map(move |to| {
        grants.on.iter().flat_map(move |on| {
            grants.privileges.iter().flat_map(move |(privilege, columns)| {
                let columns: Vec<Option<String>> = match columns.as_slice() {
                    [] => vec![None],
                    columns => columns.iter().cloned().map(Some).collect(),
                };
                let (to, on, privilege) = (to.clone(), on.clone(), *privilege);
                let key = move |column| Key::Grant { to: to.clone(), on: on.clone(), column, privilege };
                columns.into_iter().map(key)
            })
        })
    })
}

/// The refusal to drop a role that something else needs.
pub(super) fn depended_on(role: &str) -> Refusal {
    refusal("2BP01", format!("role \"{role}\" cannot be dropped because some objects depend on it"), None)
}

pub(super) fn refusal(code: &'static str, message: String, hint: Option<String>) -> Refusal {
    Refusal { code, message, detail: None, hint }
}

impl Rules {
    /// Does what was typed by who may. `others` are the rules that are not ours to change: those of files and of the
    /// settings; `rights` are those that it comes to give or to take away, each with who passes it on.
    pub(super) fn change(
        &mut self,
        statement: &AccessStatement,
        rights: Vec<Right>,
        others: &Rules,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        match statement {
            AccessStatement::AlterRole { name, attributes } => {
                let before = match self.0.get(&Key::Role(name.clone())) {
                    Some(Held { rule: Rule::Role(before), .. }) => before.clone(),
                    _ => return Err(others.not_typed(&Key::Role(name.clone()))),
                };
                let rule = Rule::Role(changed(&before, attributes));
                self.put(Key::Role(name.clone()), rule, by, at);
                let members = members(&attributes.member_of, std::slice::from_ref(name));
                members.for_each(|key| self.put(key, Rule::Given(Given::default()), by, at));
                Ok(())
            }
            AccessStatement::DropRoles { names, if_exists } => {
                names.iter().try_for_each(|name| self.drop_role(name, *if_exists, others))
            }
            AccessStatement::RevokeRoles(Memberships { roles, members: from, option, .. }) => {
                members(roles, from).try_for_each(|key| match option {
                    true => self.take_option(&key, others),
                    false => self.take(&key, others),
                })
            }
            AccessStatement::Grant(Grants { option, .. })
            | AccessStatement::GrantRoles(Memberships { option, .. }) => {
                rights.into_iter().try_for_each(|Right { key, by: passed_by }| {
                    let given = Given { option: *option, by: passed_by };
                    self.give(key, given, others, by, at)
                })
            }
            AccessStatement::Revoke(grants) => rights.into_iter().try_for_each(|right| {
                // Who is no superuser takes back what it gave itself, and nothing else.
                let is_mine =
                    |held: &Held| matches!(&held.rule, Rule::Given(Given { by, .. }) if *by == right.by);
                let mut all = self.with_columns(&right.key);
                all.retain(|key| right.by.is_none() || self.0.get(key).is_some_and(is_mine));
                let is_others = right.by.is_none().then(|| right.key.clone());
                all.into_iter().chain(is_others).try_for_each(|key| match grants.option {
                    true => self.take_option(&key, others),
                    false => self.take(&key, others),
                })
            }),
            AccessStatement::DropPolicy { on, name, if_exists } => {
                let key = Key::Policy { on: on.clone(), name: name.clone() };
                match self.0.remove(&key) {
                    None if *if_exists && !others.0.contains_key(&key) => Ok(()),
                    None => Err(others.not_typed(&key)),
                    Some(_) => Ok(()),
                }
            }
            AccessStatement::DropMask { on, column } => {
                let key = Key::Mask { on: on.clone(), column: column.clone() };
                self.0.remove(&key).map(|_| ()).ok_or_else(|| others.not_typed(&key))
            }
            adds => {
                rules_of(adds).into_iter().try_for_each(|(key, rule)| self.add(key, rule, others, by, at))
            }
        }
    }

    fn add(
        &mut self,
        key: Key,
        rule: Rule,
        others: &Rules,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let is_known = self.0.contains_key(&key) || others.0.contains_key(&key);
        let exists = match &key {
            Key::Role(name) => format!("role \"{name}\" already exists"),
            Key::Policy { on, name } => format!("policy \"{name}\" for table \"{}\" already exists", on.name),
            Key::Mask { .. } if others.0.contains_key(&key) => return Err(others.not_typed(&key)),
            Key::Member { .. } | Key::Grant { .. } => {
                let Rule::Given(given) = rule else { return Ok(()) };
                return self.give(key, given, others, by, at);
            }
            Key::Mask { .. } => {
                self.put(key, rule, by, at);
                return Ok(());
            }
        };
        if is_known {
            return Err(refusal("42710", exists, None));
        }
        self.put(key, rule, by, at);
        Ok(())
    }

    /// What is given twice is given once, and by a superuser if one did. A right has one giver: another one cannot add the
    /// option to pass it on, which would hang on the first.
    fn give(
        &mut self,
        key: Key,
        given: Given,
        others: &Rules,
        by: &str,
        at: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if let Some(there) = others.given(&key) {
            let is_less = given.option && !there.option;
            return if is_less { Err(others.not_typed(&key)) } else { Ok(()) };
        }
        let Some(there) = self.given(&key).cloned() else {
            self.put(key, Rule::Given(given), by, at);
            return Ok(());
        };
        let is_right = matches!(key, Key::Grant { .. });
        if is_right && given.option && !there.option && given.by.is_some() && given.by != there.by {
            let giver = there.by.map_or("a superuser".to_string(), |by| format!("role \"{by}\""));
            let message = format!("a privilege of \"{}\" was given by {giver}", names_of(&key).join(", "));
            let hint = "Who gave it adds WITH GRANT OPTION.".to_string();
            return Err(refusal("0A000", message, Some(hint)));
        }
        let now = Given { option: there.option || given.option, by: given.by.and(there.by.clone()) };
        if now != there {
            self.put(key, Rule::Given(now), by, at);
        }
        Ok(())
    }

    /// How a membership or a right was given, if it was.
    pub(super) fn given(&self, key: &Key) -> Option<&Given> {
        match self.0.get(key).map(|held| &held.rule) {
            Some(Rule::Given(given)) => Some(given),
            _ => None,
        }
    }

    fn put(&mut self, key: Key, rule: Rule, by: &str, at: DateTime<Utc>) {
        self.0.insert(key, Held { rule, source: RuleSource::Typed { by: by.to_string(), at } });
    }

    fn drop_role(&mut self, name: &str, if_exists: bool, others: &Rules) -> Result<(), Refusal> {
        let key = Key::Role(name.to_string());
        if !self.0.contains_key(&key) {
            return match if_exists && !others.0.contains_key(&key) {
                true => Ok(()),
                false => Err(others.not_typed(&key)),
            };
        }
        if let Some((_, held)) = others.0.iter().find(|(key, held)| names(key, held).contains(&name)) {
            return Err(depended_on(name).hinted(&others.where_it_is(held)));
        }
        self.refuse_without_policies(name)?;
        let passed_on = |(key, held): (&Key, &Held)| match (key, &held.rule) {
            (Key::Grant { to, .. }, Rule::Given(Given { by: Some(by), .. })) => by == name && to != name,
            _ => false,
        };
        if self.0.iter().any(passed_on) {
            return Err(depended_on(name).hinted("Others have privileges from it: REVOKE these first."));
        }
        self.0.remove(&key);
        self.0.retain(|key, held| match &mut held.rule {
            Rule::Mask(mask) => {
                mask.except.retain(|role| role != name);
                true
            }
            Rule::Policy(_) | Rule::Role(_) | Rule::Given(_) => !names_of(key).contains(&name),
        });
        Ok(())
    }

    /// Refuses that a policy loses a role that it is for. Without its only one there would be no policy, and everybody
    /// would see the table whole; a restrictive one would not hold for the role's members any more.
    fn refuse_without_policies(&self, name: &str) -> Result<(), Refusal> {
        let of_role = self.0.values().filter_map(|held| match &held.rule {
            Rule::Policy(policy) if policy.roles.iter().any(|role| role == name) => Some(policy),
            _ => None,
        });
        let policies: Vec<&PolicyDefinition> = of_role.collect();
        if policies.is_empty() {
            return Ok(());
        }
        let targets =
            policies.iter().map(|policy| format!("target of policy {} on table {}", policy.name, policy.on));
        let drops = policies.iter().map(|policy| format!("DROP POLICY {} ON {};", policy.name, policy.on));
        let detail = Some(targets.collect::<Vec<_>>().join("\n"));
        let hint = format!("Say first {}", drops.collect::<Vec<_>>().join(" "));
        Err(Refusal { detail, ..depended_on(name).hinted(&hint) })
    }

    /// Takes a rule away, if it is there.
    fn take(&mut self, key: &Key, others: &Rules) -> Result<(), Refusal> {
        match self.0.remove(key) {
            None if others.0.contains_key(key) => Err(others.not_typed(key)),
            _ => Ok(()),
        }
    }

    /// Takes away that a rule may be passed on.
    fn take_option(&mut self, key: &Key, others: &Rules) -> Result<(), Refusal> {
        let may_be_passed_on = |held: &Held| matches!(&held.rule, Rule::Given(Given { option: true, .. }));
        match self.0.get_mut(key) {
            Some(Held { rule: Rule::Given(given), .. }) => given.option = false,
            _ if others.0.get(key).is_some_and(may_be_passed_on) => return Err(others.not_typed(key)),
            _ => {}
        }
        Ok(())
    }

    /// A right on a table is taken away with that on its columns.
    fn with_columns(&self, revoked: &Key) -> Vec<Key> {
        let Key::Grant { to, on, column, privilege } = revoked else { return vec![] };
        let goes = |key: &&Key| {
            matches!(key, Key::Grant { to: t, on: o, privilege: p, column: c }
                if t == to && o == on && p == privilege && (column.is_none() || c == column))
        };
        self.0.keys().filter(goes).cloned().collect()
    }

    /// Forgets what was given on a relation that is gone.
    pub fn forget(&mut self, table: &TableName) {
        self.0.retain(|key, _| match key {
            Key::Grant { on: GrantedOn::Table(on), .. } => on != table,
            Key::Policy { on, .. } | Key::Mask { on, .. } => on != table,
            _ => true,
        });
    }

    /// Why a rule cannot be changed by who types.
    fn not_typed(&self, key: &Key) -> Refusal {
        let what = match key {
            Key::Role(name) => format!("role \"{name}\""),
            Key::Member { member, of } => format!("membership of \"{member}\" in role \"{of}\""),
            Key::Grant { to, .. } => format!("the privilege of \"{to}\""),
            Key::Policy { name, on } => format!("policy \"{name}\" for table \"{}\"", on.name),
            Key::Mask { on, column } => format!("the mask of column \"{column}\" of \"{}\"", on.name),
        };
        match self.0.get(key) {
            Some(held) => {
                refusal("42501", format!("{what} is defined outside of psql"), Some(self.where_it_is(held)))
            }
            None => refusal("42704", format!("{what} does not exist"), None),
        }
    }

    fn where_it_is(&self, held: &Held) -> String {
        match &held.source {
            RuleSource::File(origin) => format!("Change {origin}, and the warehouse follows."),
            RuleSource::Settings => "Change catalog/warehouse.toml and restart the server.".to_string(),
            RuleSource::Typed { by, .. } => format!("It was typed by {by}."),
        }
    }
}

/// The roles that a rule names, but for the one that it defines.
pub(super) fn names<'a>(key: &'a Key, held: &'a Held) -> Vec<&'a str> {
    match &held.rule {
        Rule::Policy(policy) => policy.roles.iter().map(String::as_str).collect(),
        Rule::Mask(mask) => mask.except.iter().map(String::as_str).collect(),
        Rule::Role(_) | Rule::Given(_) => names_of(key),
    }
}

fn names_of(key: &Key) -> Vec<&str> {
    match key {
        Key::Member { member, of } => vec![member, of],
        Key::Grant { to, .. } => vec![to],
        Key::Role(_) | Key::Policy { .. } | Key::Mask { .. } => vec![],
    }
}

/// The statement that says a rule.
pub fn statement_of(key: &Key, rule: &Rule) -> String {
    let all = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    match (key, rule) {
        (Key::Role(name), Rule::Role(attributes)) => {
            let flag = |on: bool, word: &str| if on { format!(" {word}") } else { String::new() };
            let password = match &attributes.password {
                Some(Password::Secret(secret)) => format!(" PASSWORD SECRET {}", quoted(secret)),
                Some(Password::Verifier(verifier)) => format!(" PASSWORD '{verifier}'"),
                Some(Password::None) | None => String::new(),
            };
            let login = if attributes.login { "LOGIN" } else { "NOLOGIN" };
            let more = flag(attributes.superuser, "SUPERUSER")
                + &flag(attributes.create_role, "CREATEROLE")
                + &flag(attributes.bypass, "BYPASSRLS");
            format!("CREATE ROLE {} {login}{more}{password}", quoted(name))
        }
        (Key::Member { member, of }, Rule::Given(given)) => {
            format!("GRANT {} TO {}{}", quoted(of), quoted(member), how(given, "ADMIN"))
        }
        (Key::Grant { to, on, column, privilege }, Rule::Given(given)) => {
            let column = column.as_ref().map(|column| format!(" ({})", quoted(column))).unwrap_or_default();
            let on = match on {
                GrantedOn::Schema(schema) => format!("SCHEMA {}", quoted(schema)),
                GrantedOn::Table(table) => quoted_table(table),
            };
            let how = how(given, "GRANT");
            format!("GRANT {}{column} ON {on} TO {}{how}", privilege.as_str(), quoted(to))
        }
        (Key::Policy { .. }, Rule::Policy(policy)) => {
            let kind = if policy.restrictive { "RESTRICTIVE" } else { "PERMISSIVE" };
            format!(
                "CREATE POLICY {} ON {} AS {kind} FOR SELECT TO {} USING ({})",
                quoted(&policy.name),
                quoted_table(&policy.on),
                all(&policy.roles),
                policy.using
            )
        }
        (Key::Mask { .. }, Rule::Mask(mask)) => {
            let except =
                if mask.except.is_empty() { String::new() } else { format!(" EXCEPT {}", all(&mask.except)) };
            let (table, column) = (quoted_table(&mask.on), quoted(&mask.column));
            format!("ALTER TABLE {table} ALTER COLUMN {column} SET MASK ({}){except}", mask.mask)
        }
        _ => String::new(),
    }
}

fn how(given: &Given, word: &str) -> String {
    let option = if given.option { format!(" WITH {word} OPTION") } else { String::new() };
    let by = given.by.as_ref().map(|by| format!(" GRANTED BY {}", quoted(by))).unwrap_or_default();
    option + &by
}

/// The rules of statements that were kept.
pub fn read(statement: &str) -> Option<Vec<(Key, Rule)>> {
    let definitions = crate::sql::parse_file(Path::new(""), statement).ok()?;
    definitions.into_iter().try_fold(vec![], |mut all, definition| match definition {
        crate::sql::Definition::Access(AccessDefinition { statement, .. }) => {
            all.extend(rules_of(&statement));
            Some(all)
        }
        _ => None,
    })
}
