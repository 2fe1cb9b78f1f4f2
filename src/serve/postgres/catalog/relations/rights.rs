//! Roles' memberships, rights and policies: what `\du`, `\dp` and `information_schema`'s views of privileges read.

use super::Writer;
use crate::catalog::access::{Access, Given, Key, Rule};
use crate::engine::DATABASE;
use crate::serve::postgres::catalog::model::{Class, Model, OWNER, OWNER_OID};
use crate::serve::postgres::catalog::rows::Value;
use crate::sql::{GrantedOn, PUBLIC, Privilege};
use std::collections::BTreeMap;

/// Rights on relations, by who has them from whom, with the column if they are on one.
type Rights<'a> = BTreeMap<(Option<&'a str>, Holder<'a>), Privileges>;

/// Privileges; true for those that may be passed on.
type Privileges = BTreeMap<Privilege, bool>;

/// Who has a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Holder<'a> {
    name: &'a str,
    /// Who gave it.
    by: &'a str,
}

impl<'a> Holder<'a> {
    fn of(name: &'a str, given: &'a Given) -> Self {
        Self { name, by: given.by.as_deref().unwrap_or(OWNER) }
    }
}

/// The rights that were given on a relation, those on its schema included.
fn rights<'a>(access: &'a Access, class: &Class) -> Rights<'a> {
    let mut rights = Rights::new();
    for (key, held) in &access.rules().0 {
        let (Key::Grant { to, on, column, privilege }, Rule::Given(given)) = (key, &held.rule) else {
            continue;
        };
        let is_here = match on {
            GrantedOn::Table(table) => *table == class.name,
            GrantedOn::Schema(schema) => *schema == class.name.schema && privilege.is_of_tables(),
        };
        if is_here && !class.builtin {
            let privileges = rights.entry((column.as_deref(), Holder::of(to, given))).or_default();
            *privileges.entry(*privilege).or_default() |= given.option;
        }
    }
    rights
}

/// `{sluice=arm/sluice,reader=r*/sluice}`; NULL where nothing was given.
fn access_list<'a>(given: impl Iterator<Item = (Holder<'a>, &'a Privileges)>) -> Value {
    let letter = |(privilege, option): (&Privilege, &bool)| {
        let star = if *option { "*" } else { "" };
        format!("{}{star}", privilege.letter())
    };
    let entries = given.map(|(Holder { name, by }, privileges)| {
        let name = if name == PUBLIC { "" } else { name };
        format!("{name}={}/{by}", privileges.iter().map(letter).collect::<String>())
    });
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() { Value::Null } else { Value::Texts(entries) }
}

/// `pg_class.relacl`
pub(super) fn relation_list(model: &Model, class: &Class) -> Value {
    let rights = rights(&model.access, class);
    if rights.is_empty() {
        return Value::Null;
    }
    let all = [Privilege::Select, Privilege::Insert, Privilege::Maintain];
    let (owner, owns) = (Holder { name: OWNER, by: OWNER }, all.map(|privilege| (privilege, false)).into());
    let given = rights.iter().filter(|((column, _), _)| column.is_none());
    access_list(std::iter::once((owner, &owns)).chain(given.map(|((_, to), privileges)| (*to, privileges))))
}

/// `pg_attribute.attacl`
pub(super) fn column_list(model: &Model, class: &Class, column: &str) -> Value {
    let rights = rights(&model.access, class);
    let given = rights.iter().filter(|((on, _), _)| *on == Some(column));
    access_list(given.map(|((_, to), privileges)| (*to, privileges)))
}

/// `pg_namespace.nspacl`
pub(super) fn schema_list(model: &Model, schema: &str) -> Value {
    let mut given: BTreeMap<Holder<'_>, Privileges> = BTreeMap::new();
    for (key, held) in &model.access.rules().0 {
        if let (Key::Grant { to, on: GrantedOn::Schema(on), privilege, .. }, Rule::Given(how)) =
            (key, &held.rule)
            && on == schema
        {
            let privileges = given.entry(Holder::of(to, how)).or_default();
            *privileges.entry(*privilege).or_default() |= how.option;
            // What is given on all that is in a schema lets it be found there.
            privileges.entry(Privilege::Usage).or_default();
            privileges.retain(|privilege, _| !privilege.is_of_tables());
        }
    }
    access_list(given.iter().map(|(to, privileges)| (*to, privileges)))
}

/// True when a relation has policies.
pub(super) fn has_policies(model: &Model, class: &Class) -> bool {
    model.access.policies(&class.name).next().is_some()
}

pub(super) fn write(model: &Model, writer: &mut Writer) {
    write_members(model, writer);
    let is_enabled = |role: &str| role == PUBLIC || model.access.is_member(&model.reader, role);
    for role in model.roles.iter().filter(|role| is_enabled(&role.name)) {
        writer.schema_view("enabled_roles", [("role_name", (&role.name).into())]);
    }
    for class in model.classes.iter().filter(|class| !class.builtin) {
        for ((column, to), privileges) in
            rights(&model.access, class).into_iter().filter(|((_, to), _)| is_enabled(to.name))
        {
            for right in privileges {
                write_right(class, column, to, right, writer);
            }
        }
        for policy in model.access.policies(&class.name) {
            let roles: Vec<i64> = policy
                .roles
                .iter()
                .map(|name| {
                    let role = model.roles.iter().find(|role| role.name == *name);
                    role.map_or(0, |role| i64::from(role.oid))
                })
                .collect();
            let oid = model.policy_oids.get(&(class.oid, policy.name.clone())).copied().unwrap_or(0);
            writer.catalog(
                "pg_policy",
                [
                    ("oid", oid.into()),
                    ("polname", (&policy.name).into()),
                    ("polrelid", class.oid.into()),
                    ("polcmd", "r".into()),
                    ("polpermissive", (!policy.restrictive).into()),
                    ("polroles", Value::Ints(roles)),
                    ("polqual", format!("({})", policy.using).into()),
                ],
            );
            writer.catalog(
                "pg_policies",
                [
                    ("schemaname", (&class.name.schema).into()),
                    ("tablename", (&class.name.name).into()),
                    ("policyname", (&policy.name).into()),
                    ("permissive", (if policy.restrictive { "RESTRICTIVE" } else { "PERMISSIVE" }).into()),
                    ("roles", Value::Texts(policy.roles.clone())),
                    ("cmd", "SELECT".into()),
                    ("qual", format!("({})", policy.using).into()),
                ],
            );
        }
    }
}

fn write_members(model: &Model, writer: &mut Writer) {
    let number = |name: &str| model.roles.iter().find(|role| role.name == name).map(|role| role.oid);
    for (key, held) in &model.access.rules().0 {
        let (Key::Member { member, of }, Rule::Given(given)) = (key, &held.rule) else { continue };
        let Some((role, member_oid)) = number(of).zip(number(member)) else { continue };
        writer.catalog(
            "pg_auth_members",
            [
                ("roleid", role.into()),
                ("member", member_oid.into()),
                ("grantor", given.by.as_deref().and_then(number).unwrap_or(OWNER_OID).into()),
                ("admin_option", given.option.into()),
            ],
        );
        if model.access.is_member(&model.reader, member) {
            writer.schema_view(
                "applicable_roles",
                [("grantee", member.into()), ("role_name", of.into()), ("is_grantable", yes(given.option))],
            );
        }
    }
}

/// A truth as `information_schema` tells it.
fn yes(is_so: bool) -> Value {
    if is_so { "YES" } else { "NO" }.into()
}

fn write_right(
    class: &Class,
    column: Option<&str>,
    Holder { name: to, by }: Holder<'_>,
    (privilege, option): (Privilege, bool),
    writer: &mut Writer,
) {
    let to = if to == PUBLIC { "PUBLIC" } else { to };
    let common = || {
        [
            ("grantor", Value::from(by)),
            ("grantee", to.into()),
            ("table_catalog", DATABASE.into()),
            ("table_schema", (&class.name.schema).into()),
            ("table_name", (&class.name.name).into()),
            ("privilege_type", privilege.as_str().into()),
            ("is_grantable", yes(option)),
        ]
    };
    if column.is_none() {
        for view in ["table_privileges", "role_table_grants"] {
            let hierarchy = yes(privilege == Privilege::Select);
            writer.schema_view(view, common().into_iter().chain([("with_hierarchy", hierarchy)]));
        }
    }
    if privilege != Privilege::Select {
        return;
    }
    let columns = class.columns.iter().map(|column| column.name.as_str());
    for name in columns.filter(|name| column.is_none_or(|only| only == *name)) {
        writer.schema_view("column_privileges", common().into_iter().chain([("column_name", name.into())]));
    }
}
