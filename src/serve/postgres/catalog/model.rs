//! What the system catalogs describe: the cut's relations with the numbers that PostgreSQL would give them.
//!
//! Comes in: a cut and the users. Goes out: schemas, relations, columns and keys, each with an OID. An OID is a hash of
//! the kind and the qualified name, so that it is the same after a restart and on every server of a warehouse; when two
//! hashes meet, the later name in alphabetical order moves on. Opens no table and reads no data.

use super::data;
use super::types::{ColumnType, column_type};
pub use crate::catalog::access::OWNER;
use crate::catalog::access::{Access, Attributes, MAINTAIN_ALL, READ_ALL, WRITE_ALL};
use crate::catalog::cut::{Cut, Relation, RelationKind};
use crate::engine::DATABASE;
use crate::lake::TableName;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// `pg_namespace.oid` of `pg_catalog`.
pub const PG_CATALOG_OID: i32 = 11;
/// `pg_namespace.oid` of `public`.
pub const PUBLIC_OID: i32 = 2200;
/// `pg_namespace.oid` of `information_schema`.
pub const INFORMATION_SCHEMA_OID: i32 = 13207;
/// `pg_roles.oid` of the first of the roles that are there from the start.
const READ_ALL_OID: i32 = 6181;
/// `pg_roles.oid` of [`OWNER`].
pub const OWNER_OID: i32 = 10;
/// `pg_am.oid` of the access method that stores tables.
pub const TABLE_ACCESS_METHOD_OID: i32 = 2;
/// `pg_am.oid` of the access method that keys are shown with.
pub const KEY_ACCESS_METHOD_OID: i32 = 403;

/// The first number that is free for objects of users.
const OID_MIN: i32 = 16_384;

/// A schema.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// `pg_namespace.oid`
    pub oid: i32,
    /// Its name.
    pub name: String,
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// `pg_roles.oid`
    pub oid: i32,
    /// Its name.
    pub name: String,
    /// Whether it may log in.
    pub login: bool,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether policies are not for it.
    pub bypass: bool,
    /// Whether it may make others.
    pub create_role: bool,
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: ColumnType,
    /// NOT NULL.
    pub not_null: bool,
    /// `COMMENT ON COLUMN`.
    pub comment: Option<String>,
}

/// A declared primary key, with the index that PostgreSQL would keep for it.
#[derive(Clone, Debug)]
pub struct Key {
    /// `pg_constraint.oid`
    pub oid: i32,
    /// `pg_class.oid` of its index.
    pub index_oid: i32,
    /// Name of the constraint and of its index.
    pub name: String,
    /// 1-based positions of its columns.
    pub columns: Vec<i16>,
}

/// A declared reference to the key of another relation, or of the same.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// `pg_constraint.oid`
    pub oid: i32,
    /// Its name.
    pub name: String,
    /// 1-based positions of the columns that refer.
    pub columns: Vec<i16>,
    /// `pg_class.oid` of the relation that they refer to.
    pub relation: i32,
    /// 1-based positions of its columns that they refer to.
    pub referenced: Vec<i16>,
}

/// What a relation is to PostgreSQL: `pg_class.relkind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassKind {
    /// `r`
    Table,
    /// `v`
    View,
    /// `m`
    MaterializedView,
}

impl ClassKind {
    /// The letter in `pg_class.relkind`.
    pub fn letter(self) -> &'static str {
        match self {
            ClassKind::Table => "r",
            ClassKind::View => "v",
            ClassKind::MaterializedView => "m",
        }
    }
}

/// A relation: of the cut, or one of the system catalogs themselves.
#[derive(Clone, Debug)]
pub struct Class {
    /// `pg_class.oid`
    pub oid: i32,
    /// Its name.
    pub name: TableName,
    /// `pg_class.relnamespace`
    pub namespace: i32,
    /// Its kind.
    pub kind: ClassKind,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its declared key.
    pub key: Option<Key>,
    /// Its declared references to the keys of others, by name.
    pub foreign_keys: Vec<ForeignKey>,
    /// Whether others refer to its key.
    pub is_referenced: bool,
    /// `COMMENT ON TABLE`.
    pub comment: Option<String>,
    /// Its query's text, of models and views.
    pub query: Option<String>,
    /// True for `pg_catalog` and `information_schema`.
    pub builtin: bool,
}

impl Class {
    /// The column at a 1-based position.
    pub fn column(&self, position: i16) -> Option<&Column> {
        usize::try_from(position).ok()?.checked_sub(1).and_then(|index| self.columns.get(index))
    }
}

/// Everything that the catalogs describe.
#[derive(Debug)]
pub struct Model {
    /// Schemas, by name.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Relations, ordered by name, the cut's first.
    pub classes: Vec<Class>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Roles and rights.
    pub access: Arc<Access>,
    /// The role whom the objects are shown to.
    pub reader: String,
    /// `pg_policy.oid`, by relation and name.
    pub policy_oids: HashMap<(i32, String), i32>,
    /// `pg_database.oid`
    pub database_oid: i32,
    by_oid: HashMap<i32, usize>,
    by_name: HashMap<TableName, usize>,
    keys: HashMap<i32, usize>,
}

impl Model {
    /// The objects of a cut.
    pub fn new(cut: &Cut, access: &Arc<Access>, reader: &str) -> Self {
        let mut oids = Oids::default();
        let database_oid = oids.assign(&format!("database {DATABASE}"));
        let namespaces = namespaces(cut, &mut oids);
        let mut classes: Vec<Class> =
            cut.tables.values().map(|table| class(&table.relation, &namespaces, &mut oids)).collect();
        refer(&mut classes, cut, &mut oids);
        classes.extend(data::relations().iter().map(builtin_class));
        let roles = roles(access, &mut oids);
        let policies = classes
            .iter()
            .flat_map(|class| access.policies(&class.name).map(move |policy| (class, &policy.name)));
        let policies = policies.map(|(class, name)| {
            ((class.oid, name.clone()), oids.assign(&format!("policy {name} on {}", class.name)))
        });
        let policy_oids = policies.collect();
        let by_oid = classes.iter().enumerate().map(|(index, c)| (c.oid, index)).collect();
        let by_name = classes.iter().enumerate().map(|(index, c)| (c.name.clone(), index)).collect();
        let keys = classes
            .iter()
            .enumerate()
            .flat_map(|(index, c)| c.key.iter().flat_map(move |k| [(k.oid, index), (k.index_oid, index)]))
            .collect();
        let (access, reader) = (Arc::clone(access), reader.to_string());
        Self { namespaces, classes, roles, access, reader, policy_oids, database_oid, by_oid, by_name, keys }
    }

    /// The relation of a number.
    pub fn class(&self, oid: i32) -> Option<&Class> {
        self.by_oid.get(&oid).and_then(|index| self.classes.get(*index))
    }

    /// The relation of a name.
    pub fn class_named(&self, name: &TableName) -> Option<&Class> {
        self.by_name.get(name).and_then(|index| self.classes.get(*index))
    }

    /// The relation whose key, or whose key's index, has a number.
    pub fn class_of_key(&self, oid: i32) -> Option<(&Class, &Key)> {
        let class = self.keys.get(&oid).and_then(|index| self.classes.get(*index))?;
        class.key.as_ref().map(|key| (class, key))
    }

    /// The relation whose foreign key has a number.
    pub fn class_of_foreign_key(&self, oid: i32) -> Option<(&Class, &ForeignKey)> {
        let keys =
            self.classes.iter().flat_map(|class| class.foreign_keys.iter().map(move |key| (class, key)));
        keys.into_iter().find(|(_, key)| key.oid == oid)
    }

    /// The schema of a number.
    pub fn namespace(&self, oid: i32) -> Option<&Namespace> {
        self.namespaces.values().find(|n| n.oid == oid)
    }

    /// The relation that a name without schema means on a search path; `pg_catalog` comes first unless it is listed.
    pub fn find(&self, name: &str, search_path: &[String]) -> Option<&Class> {
        let implicit = (!search_path.iter().any(|schema| schema == "pg_catalog")).then_some("pg_catalog");
        implicit
            .into_iter()
            .chain(search_path.iter().map(String::as_str))
            .find_map(|schema| self.class_named(&TableName::new(schema, name)))
    }
}

/// The owner first, then the others by name.
fn roles(access: &Access, oids: &mut Oids) -> Vec<Role> {
    let role = |oid: i32, name: &str, attributes: &Attributes| Role {
        oid,
        name: name.to_string(),
        login: attributes.login,
        superuser: attributes.superuser,
        bypass: attributes.bypass,
        create_role: attributes.create_role,
    };
    let owner = access.roles().get(OWNER).cloned().unwrap_or_default();
    // All that there is belongs to it.
    let owner = Attributes { superuser: true, ..owner };
    let mut roles = vec![role(OWNER_OID, OWNER, &owner)];
    for (name, attributes) in access.roles().iter().filter(|(name, _)| *name != OWNER) {
        roles.push(role(oids.assign(&format!("role {name}")), name, attributes));
    }
    let built_in = [READ_ALL, WRITE_ALL, MAINTAIN_ALL].into_iter().zip(READ_ALL_OID..);
    roles.extend(built_in.map(|(name, oid)| role(oid, name, &Attributes::default())));
    roles
}

fn namespaces(cut: &Cut, oids: &mut Oids) -> BTreeMap<String, Namespace> {
    let mut namespaces = BTreeMap::new();
    let fixed = [
        ("pg_catalog", PG_CATALOG_OID),
        ("public", PUBLIC_OID),
        ("information_schema", INFORMATION_SCHEMA_OID),
    ];
    for (name, oid) in fixed {
        namespaces.insert(name.to_string(), Namespace { oid, name: name.to_string() });
    }
    for table in cut.tables.keys() {
        if !namespaces.contains_key(&table.schema) {
            let oid = oids.assign(&format!("schema {}", table.schema));
            namespaces.insert(table.schema.clone(), Namespace { oid, name: table.schema.clone() });
        }
    }
    namespaces
}

fn class(relation: &Arc<Relation>, namespaces: &BTreeMap<String, Namespace>, oids: &mut Oids) -> Class {
    let name = relation.name.clone();
    let columns: Vec<Column> = relation
        .schema
        .fields()
        .iter()
        .map(|field| Column {
            name: field.name().clone(),
            ty: column_type(field),
            not_null: !field.is_nullable() || relation.primary_key.contains(field.name()),
            comment: relation.column_comments.get(field.name()).cloned(),
        })
        .collect();
    let oid = oids.assign(&format!("relation {name}"));
    let key = positions(relation, &relation.primary_key).map(|columns| Key {
        oid: oids.assign(&format!("constraint {name} primary key")),
        index_oid: oids.assign(&format!("index {name} primary key")),
        name: format!("{}_pkey", name.name),
        columns,
    });
    Class {
        oid,
        namespace: namespaces.get(&name.schema).map_or(PUBLIC_OID, |n| n.oid),
        kind: match relation.kind {
            RelationKind::Source
            | RelationKind::Foreign
            | RelationKind::StreamingTable
            | RelationKind::System => ClassKind::Table,
            RelationKind::MaterializedView => ClassKind::MaterializedView,
            RelationKind::View => ClassKind::View,
        },
        columns,
        key,
        foreign_keys: vec![],
        is_referenced: false,
        comment: relation.comment.clone(),
        query: relation.query.clone(),
        builtin: false,
        name,
    }
}

/// The 1-based positions of columns; `None` when there are none, or one of them is missing.
fn positions(relation: &Relation, names: &[String]) -> Option<Vec<i16>> {
    let position = |name| i16::try_from(relation.schema.index_of(name).ok()? + 1).ok();
    let positions: Option<Vec<i16>> = names.iter().map(|name| position(name)).collect();
    positions.filter(|positions| !positions.is_empty())
}

/// Adds the foreign keys, once every relation has its number. One to a table that is not there (it failed) is left out.
fn refer(classes: &mut [Class], cut: &Cut, oids: &mut Oids) {
    let numbers: HashMap<TableName, usize> =
        classes.iter().enumerate().map(|(index, class)| (class.name.clone(), index)).collect();
    for (name, table) in &cut.tables {
        for declared in &table.relation.foreign_keys {
            let target = cut.tables.get(&declared.table).map(|table| &table.relation);
            let indexes = numbers.get(name).zip(numbers.get(&declared.table));
            let Some((target, (from, to))) = target.zip(indexes) else { continue };
            let columns = positions(&table.relation, &declared.columns);
            let referenced = positions(target, declared.referenced(&target.primary_key));
            let Some((columns, referenced)) = columns.zip(referenced) else { continue };
            let key_name = declared.name_in(name);
            let oid = oids.assign(&format!("constraint {name} foreign key {key_name}"));
            let relation = classes[*to].oid;
            classes[*to].is_referenced = true;
            let keys = &mut classes[*from].foreign_keys;
            keys.push(ForeignKey { oid, name: key_name, columns, relation, referenced });
            keys.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
}

fn builtin_class(relation: &data::CatalogRelation) -> Class {
    let in_catalog = relation.schema == "pg_catalog";
    Class {
        oid: relation.oid,
        name: TableName::new(relation.schema, relation.name),
        namespace: if in_catalog { PG_CATALOG_OID } else { INFORMATION_SCHEMA_OID },
        kind: if relation.kind == "v" { ClassKind::View } else { ClassKind::Table },
        columns: relation
            .columns
            .iter()
            .zip(relation.arrow.fields())
            .map(|(column, field)| Column {
                name: column.name.to_string(),
                ty: column_type(field),
                not_null: column.not_null,
                comment: None,
            })
            .collect(),
        key: None,
        foreign_keys: vec![],
        is_referenced: false,
        comment: None,
        query: None,
        builtin: true,
    }
}

/// Numbers given so far.
#[derive(Default)]
struct Oids {
    taken: HashSet<i32>,
}

impl Oids {
    fn assign(&mut self, name: &str) -> i32 {
        let range = u64::from(i32::MAX.unsigned_abs() - OID_MIN.unsigned_abs());
        let offset = i32::try_from(fnv1a(name.as_bytes()) % range).unwrap_or(0);
        let mut oid = OID_MIN + offset;
        while !self.taken.insert(oid) {
            oid = if oid == i32::MAX { OID_MIN } else { oid + 1 };
        }
        oid
    }
}

/// FNV-1a: a hash that stays the same across versions of the program, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
