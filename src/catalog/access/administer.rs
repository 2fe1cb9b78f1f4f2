//! Who may change roles and rights, and what comes of a statement that does.
//!
//! As in PostgreSQL 15: superusers may all; who has a right WITH GRANT OPTION passes it on and takes back what it passed on;
//! who has a role WITH ADMIN OPTION has others be members of it; who has CREATEROLE makes roles. Otherwise than there,
//! CREATEROLE is no way to rights that one has not: it gives, and takes over, only roles whose rights its own cover.

use super::rules::{Right, depended_on, grant_keys, members, refusal};
use super::{Access, Attributes, Given, Key, MAINTAIN_ALL, READ_ALL, Rule, Rules, WRITE_ALL};
use crate::catalog::definitions::Refusal;
use crate::lake::TableName;
use crate::sql::{AccessStatement, GrantedOn, Grants, Memberships, PUBLIC, Privilege, RoleAttributes};
use chrono::{DateTime, Utc};

const DENIED: &str = "42501";

/// A statement that was typed.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// What it says.
    pub statement: &'a AccessStatement,
    /// By whose rights.
    pub role: &'a str,
    /// Who logged in.
    pub by: &'a str,
    /// When.
    pub at: DateTime<Utc>,
}

impl Rules {
    /// Does what was typed, if the role may; what is to be told beside. `others` are the rules of files and of the settings.
    pub fn say(&mut self, said: &Said<'_>, others: &Rules) -> Result<Vec<Refusal>, Refusal> {
        let before = Access::new(others.clone().over(self.clone()));
        let mut notices = vec![];
        let rights = before.decide_on(said.role, said.statement, &mut notices)?;
        self.change(said.statement, rights, others, said.by, said.at)?;
        if let AccessStatement::Revoke(Grants { cascade, .. }) = said.statement {
            self.take_what_was_passed_on(&before, others, *cascade)?;
        }
        Ok(notices)
    }

    /// What somebody passed on who may not any more goes, too.
    fn take_what_was_passed_on(
        &mut self,
        before: &Access,
        others: &Rules,
        cascade: bool,
    ) -> Result<(), Refusal> {
        loop {
            let after = Access::new(others.clone().over(self.clone()));
            let held = self.0.iter().filter_map(|(key, held)| match (key, &held.rule) {
                (Key::Grant { .. }, Rule::Given(Given { by: Some(by), .. })) => Some((key, by)),
                _ => None,
            });
            let lost = held.filter(|(key, by)| before.passes_on(by, key) && !after.passes_on(by, key));
            let lost: Vec<Key> = lost.map(|(key, _)| key.clone()).collect();
            if lost.is_empty() {
                return Ok(());
            }
            if !cascade {
                let hint = "Use CASCADE to revoke them too.".to_string();
                return Err(refusal("2BP01", "dependent privileges exist".to_string(), Some(hint)));
            }
            self.0.retain(|key, _| !lost.contains(key));
        }
    }
}

impl Access {
    /// Whether a role may do what a statement says; the rights that it comes to, where it is about rights.
    fn decide_on(
        &self,
        role: &str,
        statement: &AccessStatement,
        notices: &mut Vec<Refusal>,
    ) -> Result<Vec<Right>, Refusal> {
        match statement {
            AccessStatement::CreateRole { attributes, .. } => self.may_create(role, attributes)?,
            AccessStatement::AlterRole { name, attributes } => self.may_alter(role, name, attributes)?,
            AccessStatement::DropRoles { names, .. } => {
                names.iter().try_for_each(|name| self.may_drop(role, name))?;
            }
            AccessStatement::GrantRoles(Memberships { roles, members: to, by, .. }) => {
                is_grantor(role, by.as_deref())?;
                roles.iter().try_for_each(|of| self.may_give_role(role, of))?;
                let by = (!self.is_superuser(role)).then(|| role.to_string());
                return Ok(members(roles, to).map(|key| Right { key, by: by.clone() }).collect());
            }
            AccessStatement::RevokeRoles(Memberships { roles, by, .. }) => {
                is_grantor(role, by.as_deref())?;
                roles.iter().try_for_each(|of| self.may_take_role(role, of))?;
            }
            AccessStatement::Grant(grants) => return self.rights(role, grants, true, notices),
            AccessStatement::Revoke(grants) => return self.rights(role, grants, false, notices),
            AccessStatement::CreatePolicy(_)
            | AccessStatement::DropPolicy { .. }
            | AccessStatement::SetMask(_)
            | AccessStatement::DropMask { .. } => {
                if !self.is_superuser(role) {
                    return Err(denied("permission denied: policies and masks are set by superusers"));
                }
            }
        }
        Ok(vec![])
    }

    fn attributes(&self, role: &str) -> Attributes {
        self.roles.get(role).cloned().unwrap_or_default()
    }

    fn creates_roles(&self, role: &str) -> bool {
        self.is_superuser(role) || self.attributes(role).create_role
    }

    fn may_create(&self, role: &str, said: &RoleAttributes) -> Result<(), Refusal> {
        if self.is_superuser(role) {
            return Ok(());
        }
        if said.superuser == Some(true) {
            return Err(denied("must be superuser to create superusers"));
        }
        if said.bypass == Some(true) {
            return Err(denied("must be superuser to create bypassrls users"));
        }
        if !self.creates_roles(role) {
            return Err(denied("permission denied to create role"));
        }
        said.member_of.iter().try_for_each(|of| self.may_give_role(role, of))
    }

    fn may_alter(&self, role: &str, name: &str, said: &RoleAttributes) -> Result<(), Refusal> {
        if self.is_superuser(role) {
            return Ok(());
        }
        if self.is_superuser(name) || said.superuser.is_some() {
            return Err(denied("must be superuser to alter superuser roles or change superuser attribute"));
        }
        if said.bypass.is_some() {
            return Err(denied("must be superuser to change bypassrls attribute"));
        }
        if self.creates_roles(role) {
            // Who sets a password may log in with it.
            return match self.covers(role, name) {
                true => said.member_of.iter().try_for_each(|of| self.may_give_role(role, of)),
                false => Err(beyond(role, name, "permission denied".to_string())),
            };
        }
        let password_alone = RoleAttributes { password: said.password.clone(), ..RoleAttributes::default() };
        match role == name && said.password.is_some() && *said == password_alone {
            true => Ok(()),
            false => Err(denied("permission denied")),
        }
    }

    fn may_drop(&self, role: &str, name: &str) -> Result<(), Refusal> {
        if !self.creates_roles(role) {
            return Err(denied("permission denied to drop role"));
        }
        if role == name {
            return Err(refusal("55006", "current user cannot be dropped".to_string(), None));
        }
        if self.is_superuser(role) {
            return Ok(());
        }
        if self.is_superuser(name) {
            return Err(denied("must be superuser to drop superusers"));
        }
        let is_excepted = self.rules.0.values().any(|held| match &held.rule {
            Rule::Mask(mask) => mask.except.iter().any(|of| of == name),
            Rule::Policy(_) | Rule::Role(_) | Rule::Given(_) => false,
        });
        if is_excepted {
            return Err(depended_on(name).hinted("A mask names it: a superuser changes that first."));
        }
        Ok(())
    }

    fn may_give_role(&self, role: &str, of: &str) -> Result<(), Refusal> {
        if let Some((message, hint)) = self.unknown(of) {
            return Err(refusal("42704", message, Some(hint)));
        }
        if self.is_superuser(role) {
            return Ok(());
        }
        if self.is_superuser(of) {
            return Err(denied("must be superuser to alter superusers"));
        }
        match (self.is_admin(role, of), self.creates_roles(role)) {
            (true, _) => Ok(()),
            (false, true) if self.covers(role, of) => Ok(()),
            (false, true) => Err(beyond(role, of, format!("permission denied to grant role \"{of}\""))),
            (false, false) => Err(denied(&format!("must have admin option on role \"{of}\""))),
        }
    }

    fn may_take_role(&self, role: &str, of: &str) -> Result<(), Refusal> {
        if self.is_superuser(role) || self.is_admin(role, of) {
            return Ok(());
        }
        if self.is_superuser(of) {
            return Err(denied("must be superuser to alter superusers"));
        }
        if !self.creates_roles(role) {
            return Err(denied(&format!("must have admin option on role \"{of}\"")));
        }
        // Who leaves a role that a restrictive policy is for sees more than before.
        let is_restricted = self.rules.0.values().any(|held| match &held.rule {
            Rule::Policy(policy) => policy.restrictive && policy.roles.iter().any(|to| to == of),
            _ => false,
        });
        match is_restricted {
            true => Err(beyond(role, of, format!("permission denied to revoke role \"{of}\""))),
            false => Ok(()),
        }
    }

    /// True when a role may have others be members of another.
    pub fn is_admin(&self, role: &str, of: &str) -> bool {
        let by = |holder: &String| {
            let key = Key::Member { member: holder.clone(), of: of.to_string() };
            // As in PostgreSQL, no role is its own administrator.
            holder != of && self.may_be_passed_on(&key)
        };
        self.is_superuser(role) || self.closures.get(role).is_some_and(|closure| closure.iter().any(by))
    }

    fn may_be_passed_on(&self, key: &Key) -> bool {
        self.rules.given(key).is_some_and(|given| given.option)
    }

    /// True when a role has all that another has, so that it gains nothing by becoming it.
    fn covers(&self, role: &str, other: &str) -> bool {
        let Some(theirs) = self.closures.get(other) else { return self.has_rights_of(role, other) };
        theirs.iter().filter(|of| *of != PUBLIC && !self.has_rights_of(role, of)).all(|of| {
            let (own, theirs) = (self.attributes(role), self.attributes(of));
            let is_known = self.roles.contains_key(of);
            is_known
                && !theirs.superuser
                && (own.bypass || !theirs.bypass)
                && self.rules.0.iter().all(|(key, held)| self.covers_rule(role, of, key, &held.rule))
        })
    }

    /// False when a rule gives to `of` what `role` has not.
    fn covers_rule(&self, role: &str, of: &str, key: &Key, rule: &Rule) -> bool {
        match (key, rule) {
            (Key::Grant { to, privilege, on, column }, Rule::Given(given)) if to == of => {
                self.holds(role, *privilege, on, column.as_ref())
                    && (!given.option || self.passes_on(role, key))
            }
            (Key::Member { member, of: other }, Rule::Given(Given { option: true, .. })) if member == of => {
                self.is_admin(role, other)
            }
            (_, Rule::Policy(policy)) => policy.restrictive || !policy.roles.iter().any(|to| to == of),
            (_, Rule::Mask(mask)) => !mask.except.iter().any(|to| to == of),
            _ => true,
        }
    }

    fn holds(&self, role: &str, privilege: Privilege, on: &GrantedOn, column: Option<&String>) -> bool {
        let of_all = match privilege {
            Privilege::Select => Some(READ_ALL),
            Privilege::Insert => Some(WRITE_ALL),
            Privilege::Maintain => Some(MAINTAIN_ALL),
            Privilege::Usage | Privilege::Create => None,
        };
        of_all.is_some_and(|all| self.has_rights_of(role, all))
            || wider(on, column).iter().any(|(on, column)| self.given(role, privilege, on, column.as_ref()))
    }

    fn passes_on(&self, role: &str, key: &Key) -> bool {
        match key {
            Key::Grant { privilege, on, column, .. } => {
                self.is_superuser(role) || self.passing_on(role, *privilege, on, column.as_ref()).is_some()
            }
            _ => false,
        }
    }

    /// True when a role may pass a privilege on: it has it, or one that holds more, with that option.
    pub fn may_grant(
        &self,
        role: &str,
        privilege: Privilege,
        on: &GrantedOn,
        column: Option<&String>,
    ) -> bool {
        self.is_superuser(role) || self.passing_on(role, privilege, on, column).is_some()
    }

    /// By whom of those whose rights a role has a privilege is passed on: itself before others.
    fn passing_on(
        &self,
        role: &str,
        privilege: Privilege,
        on: &GrantedOn,
        column: Option<&String>,
    ) -> Option<String> {
        let others = self.closures.get(role)?.iter().filter(|other| *other != role).cloned();
        let mut holders = std::iter::once(role.to_string()).chain(others);
        holders.find(|to| {
            wider(on, column).into_iter().any(|(on, column)| {
                self.may_be_passed_on(&Key::Grant { to: to.clone(), on, column, privilege })
            })
        })
    }

    /// The rights that a statement comes to when a role says it: those that it may pass on.
    fn rights(
        &self,
        role: &str,
        grants: &Grants,
        gives: bool,
        notices: &mut Vec<Refusal>,
    ) -> Result<Vec<Right>, Refusal> {
        is_grantor(role, grants.by.as_deref())?;
        if self.is_superuser(role) {
            return Ok(grant_keys(grants).map(|key| Right { key, by: None }).collect());
        }
        let mut rights = vec![];
        for on in &grants.on {
            let said: Vec<Key> = grant_keys(grants).filter(|key| is_on(key, on)).collect();
            let may = said.iter().filter_map(|key| {
                let Key::Grant { privilege, on, column, .. } = key else { return None };
                let by = self.passing_on(role, *privilege, on, column.as_ref())?;
                Some(Right { key: key.clone(), by: Some(by) })
            });
            let may: Vec<Right> = may.collect();
            if may.is_empty() && !self.has_any(role, on) {
                return Err(denied(&format!("permission denied for {}", named(on)))
                    .hinted("Superusers give rights, and who has them WITH GRANT OPTION."));
            }
            notices.extend(unsaid(on, (may.len(), said.len()), grants.all, gives));
            rights.extend(may);
        }
        Ok(rights)
    }

    fn has_any(&self, role: &str, on: &GrantedOn) -> bool {
        match on {
            GrantedOn::Table(table) => self.shows(role, table),
            GrantedOn::Schema(schema) => self.uses(role, schema) && !["public"].contains(&schema.as_str()),
        }
    }
}

/// What a right on something is part of, itself first.
fn wider(on: &GrantedOn, column: Option<&String>) -> Vec<(GrantedOn, Option<String>)> {
    let mut all = vec![(on.clone(), column.cloned())];
    if column.is_some() {
        all.push((on.clone(), None));
    }
    if let GrantedOn::Table(TableName { schema, .. }) = on {
        all.push((GrantedOn::Schema(schema.clone()), None));
    }
    all
}

fn is_on(key: &Key, object: &GrantedOn) -> bool {
    matches!(key, Key::Grant { on, .. } if on == object)
}

fn named(on: &GrantedOn) -> String {
    match on {
        GrantedOn::Schema(schema) => format!("schema {schema}"),
        GrantedOn::Table(table) => format!("table {}", table.name),
    }
}

/// PostgreSQL's warning where less is done than was said.
fn unsaid(on: &GrantedOn, (done, said): (usize, usize), all: bool, gives: bool) -> Option<Refusal> {
    let name = match on {
        GrantedOn::Schema(schema) => schema,
        GrantedOn::Table(table) => &table.name,
    };
    let (code, what) = match gives {
        true => ("01007", "privileges were granted"),
        false => ("01006", "privileges could be revoked"),
    };
    let how_many = match done {
        0 => "no",
        _ if done < said && !all => "not all",
        _ => return None,
    };
    Some(refusal(code, format!("{how_many} {what} for \"{name}\""), None))
}

/// As in PostgreSQL 15, nobody gives in another's name.
fn is_grantor(role: &str, by: Option<&str>) -> Result<(), Refusal> {
    match by {
        Some(by) if ![role, "current_user", "current_role"].contains(&by) => {
            Err(refusal("0A000", "grantor must be current user".to_string(), None))
        }
        _ => Ok(()),
    }
}

fn denied(message: &str) -> Refusal {
    let hint = "Superusers may: roles with SUPERUSER, and users with may_define = true in catalog/warehouse.toml; who has \
                CREATEROLE may for roles that have no more rights than it has.";
    refusal(DENIED, message.to_string(), Some(hint.to_string()))
}

/// CREATEROLE is no way to what one has not.
fn beyond(role: &str, other: &str, message: String) -> Refusal {
    let hint = format!("\"{other}\" may what \"{role}\" may not: a superuser has to.");
    refusal(DENIED, message, Some(hint))
}

impl Refusal {
    pub(super) fn hinted(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }
}
