//! `pg_tables`, `pg_views`, `pg_matviews`, `pg_indexes`: what others read instead of joining the catalogs.

use super::{Writer, rights};
use crate::serve::postgres::catalog::definitions::{index_definition, view_definition};
use crate::serve::postgres::catalog::model::{ClassKind, Model, OWNER};

pub(super) fn write(model: &Model, writer: &mut Writer) {
    for class in &model.classes {
        let (schema, name) = (&class.name.schema, &class.name.name);
        let has_index = class.key.is_some();
        match class.kind {
            ClassKind::Table => writer.catalog(
                "pg_tables",
                [
                    ("schemaname", schema.into()),
                    ("tablename", name.into()),
                    ("tableowner", OWNER.into()),
                    ("hasindexes", has_index.into()),
                    ("hasrules", false.into()),
                    ("hastriggers", false.into()),
                    ("rowsecurity", rights::has_policies(model, class).into()),
                ],
            ),
            ClassKind::View => writer.catalog(
                "pg_views",
                [
                    ("schemaname", schema.into()),
                    ("viewname", name.into()),
                    ("viewowner", OWNER.into()),
                    ("definition", view_definition(class).into()),
                ],
            ),
            ClassKind::MaterializedView => writer.catalog(
                "pg_matviews",
                [
                    ("schemaname", schema.into()),
                    ("matviewname", name.into()),
                    ("matviewowner", OWNER.into()),
                    ("hasindexes", has_index.into()),
                    ("ispopulated", true.into()),
                    ("definition", view_definition(class).into()),
                ],
            ),
        }
        if let Some(key) = &class.key {
            writer.catalog(
                "pg_indexes",
                [
                    ("schemaname", schema.into()),
                    ("tablename", name.into()),
                    ("indexname", (&key.name).into()),
                    ("indexdef", index_definition(class, key).into()),
                ],
            );
        }
    }
}
