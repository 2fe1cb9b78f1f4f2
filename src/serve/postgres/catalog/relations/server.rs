//! What belongs to the server and not to a table: types, functions, roles, the database, access methods.

use super::Writer;
use crate::engine::DATABASE;
use crate::serve::postgres::catalog::data;
use crate::serve::postgres::catalog::model::{
    KEY_ACCESS_METHOD_OID, Model, OWNER_OID, PG_CATALOG_OID, TABLE_ACCESS_METHOD_OID,
};
use crate::serve::postgres::catalog::rows::Value;
use crate::serve::postgres::catalog::types::types;

/// `pg_tablespace.oid` of `pg_default`.
const DEFAULT_TABLESPACE_OID: i32 = 1663;
/// `pg_database.encoding` of UTF8.
pub(in crate::serve::postgres::catalog) const ENCODING_UTF8: i32 = 6;
/// `pg_language.oid` of functions that are built in.
const LANGUAGE_INTERNAL_OID: i32 = 12;

pub(super) fn write(model: &Model, writer: &mut Writer) {
    write_types(writer);
    write_functions(writer);
    write_roles(model, writer);
    writer.catalog(
        "pg_database",
        [
            ("oid", model.database_oid.into()),
            ("datname", DATABASE.into()),
            ("datdba", OWNER_OID.into()),
            ("encoding", ENCODING_UTF8.into()),
            ("datlocprovider", "c".into()),
            ("datallowconn", true.into()),
            ("datconnlimit", (-1).into()),
            ("dattablespace", DEFAULT_TABLESPACE_OID.into()),
            ("datcollate", "C".into()),
            ("datctype", "C".into()),
        ],
    );
    for (oid, name) in [(DEFAULT_TABLESPACE_OID, "pg_default"), (1664, "pg_global")] {
        writer.catalog(
            "pg_tablespace",
            [("oid", oid.into()), ("spcname", name.into()), ("spcowner", OWNER_OID.into())],
        );
    }
    // Tables are Delta tables; a declared key is shown as the unique btree index that PostgreSQL would have.
    for (oid, name, kind) in [(TABLE_ACCESS_METHOD_OID, "delta", "t"), (KEY_ACCESS_METHOD_OID, "btree", "i")]
    {
        writer.catalog("pg_am", [("oid", oid.into()), ("amname", name.into()), ("amtype", kind.into())]);
    }
    for (oid, name, provider, encoding) in [
        (100, "default", "d", -1),
        (950, "C", "c", -1),
        (951, "POSIX", "c", -1),
        (12340, "ucs_basic", "c", 6),
    ] {
        writer.catalog(
            "pg_collation",
            [
                ("oid", oid.into()),
                ("collname", name.into()),
                ("collnamespace", PG_CATALOG_OID.into()),
                ("collowner", OWNER_OID.into()),
                ("collprovider", provider.into()),
                ("collisdeterministic", true.into()),
                ("collencoding", encoding.into()),
                ("collcollate", (provider == "c").then(|| "C".to_string()).into()),
                ("collctype", (provider == "c").then(|| "C".to_string()).into()),
            ],
        );
    }
    for (oid, name) in [(LANGUAGE_INTERNAL_OID, "internal"), (13, "c"), (14, "sql")] {
        writer.catalog(
            "pg_language",
            [("oid", oid.into()), ("lanname", name.into()), ("lanowner", OWNER_OID.into())],
        );
    }
}

fn write_types(writer: &mut Writer) {
    for ty in types().all() {
        let fixed = [
            ("typnamespace", PG_CATALOG_OID.into()),
            ("typowner", OWNER_OID.into()),
            ("typisdefined", true.into()),
            ("typtypmod", (-1).into()),
        ];
        writer.catalog("pg_type", fixed.into_iter().chain(ty.record.fields().map(|(c, v)| (c, v.into()))));
    }
    for record in data::records(data::PG_CAST) {
        writer.catalog("pg_cast", record.fields().map(|(c, v)| (c, v.into())));
    }
    for record in data::records(data::PG_OPERATOR) {
        let fixed = [("oprnamespace", PG_CATALOG_OID.into()), ("oprowner", OWNER_OID.into())];
        writer.catalog("pg_operator", fixed.into_iter().chain(record.fields().map(|(c, v)| (c, v.into()))));
    }
    for record in data::records(data::PG_RANGE) {
        writer.catalog("pg_range", record.fields().map(|(c, v)| (c, v.into())));
    }
}

fn write_functions(writer: &mut Writer) {
    for record in data::records(data::PG_PROC) {
        let arguments =
            record.text("proargtypes").split(' ').filter_map(|oid| oid.parse().ok()).collect::<Vec<i64>>();
        let fixed = [
            ("pronamespace", PG_CATALOG_OID.into()),
            ("proowner", OWNER_OID.into()),
            ("prolang", LANGUAGE_INTERNAL_OID.into()),
            ("procost", Value::Float(1.0)),
            ("proparallel", "s".into()),
            ("prosrc", record.text("proname").into()),
        ];
        let recorded = record.fields().filter(|(column, _)| !["arguments", "result"].contains(column));
        let recorded = recorded.map(|(column, value)| match column {
            "proargtypes" => (column, Value::Ints(arguments.clone())),
            _ => (column, value.into()),
        });
        writer.catalog("pg_proc", fixed.into_iter().chain(recorded));
    }
}

/// Passwords are never shown: `********` where PostgreSQL's views say so, NULL in `pg_authid`.
fn write_roles(model: &Model, writer: &mut Writer) {
    for role in &model.roles {
        let shared = || {
            [
                ("oid", role.oid.into()),
                ("rolname", Value::from(&role.name)),
                ("rolsuper", role.superuser.into()),
                ("rolinherit", true.into()),
                ("rolcanlogin", role.login.into()),
                ("rolconnlimit", (-1).into()),
            ]
        };
        let creates_roles = role.superuser || role.create_role;
        writer.catalog("pg_authid", shared().into_iter().chain([("rolcreaterole", creates_roles.into())]));
        // Views have no NOT NULL columns: what pg_authid leaves at false must be said here.
        let unused = ["rolcreatedb", "rolreplication"];
        let rest = unused.into_iter().map(|column| (column, Value::from(false)));
        let rest = rest.chain([
            ("rolcreaterole", creates_roles.into()),
            ("rolbypassrls", (role.superuser || role.bypass).into()),
        ]);
        writer.catalog(
            "pg_roles",
            shared().into_iter().chain(rest).chain([("rolpassword", "********".into())]),
        );
        if role.login {
            for view in ["pg_user", "pg_shadow"] {
                let password = if view == "pg_user" { Value::from("********") } else { Value::Null };
                writer.catalog(
                    view,
                    [
                        ("usename", (&role.name).into()),
                        ("usesysid", role.oid.into()),
                        ("usecreatedb", false.into()),
                        ("usesuper", role.superuser.into()),
                        ("userepl", false.into()),
                        ("usebypassrls", (role.superuser || role.bypass).into()),
                        ("passwd", password),
                    ],
                );
            }
        }
    }
}
