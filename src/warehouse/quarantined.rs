//! `sluice.quarantine`: one shape for all that was set apart, whatever table it stands beside: records that do not
//! decode, rows that break a rule, rows that came too late for their window.

use super::Planned;
use crate::catalog::project::Model;
use crate::lake::TableName;
use crate::refresh;
use crate::sql::{APART_REASON, APART_RULE, literal, quoted, quoted_table};
use arrow::datatypes::Schema;
use std::sync::Arc;

/// The query behind `sluice.quarantine`, over the quarantine tables that stand, and the views of rows that are late or set apart.
pub(super) fn query(
    quarantines: &[TableName],
    definitions: &[Model],
    open: &[Arc<refresh::Model>],
    planned: &Planned,
) -> String {
    let of_views = |definition: &Model| {
        let view = Beside {
            kept_in: definition.name(),
            view: definition.beside()?,
            input: definition.query().inputs.first(),
            columns: &planned.get(definition.name())?.schema,
            definition: &open.iter().find(|model| model.name == *definition.name())?.definition_id(),
        };
        Some(if definition.late_of().is_some() { view.late_rows() } else { view.rows_apart() })
    };
    let parts = quarantines.iter().map(set_apart).chain(definitions.iter().filter_map(of_views));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return "SELECT CAST(NULL AS TEXT) AS table_name, CAST(NULL AS TEXT) AS source, CAST(NULL AS TEXT) AS position, \
                CAST(NULL AS TEXT) AS rule, CAST(NULL AS TEXT) AS reason, CAST(NULL AS BYTEA) AS raw, \
                CAST(NULL AS BIGINT) AS epoch, CAST(NULL AS TEXT) AS state, CAST(NULL AS TEXT) AS definition_hash, \
                CAST(NULL AS TIMESTAMPTZ) AS quarantined_at, CAST(NULL AS TEXT) AS untraced_because WHERE false"
            .to_string();
    }
    parts.join(" UNION ALL ")
}

/// Why a row cannot be replayed: a source's record is not kept whole, or a model's row has a position that others may have,
/// too, or it has none.
const UNTRACED_BECAUSE: &str = "CASE WHEN coalesce(state, 'untraced') <> 'untraced' THEN NULL \
     WHEN definition IS NULL THEN 'it was set apart by a release that kept no positions' \
     WHEN input_batch IS NOT NULL THEN 'the record that it comes from gives several rows, and which of them were kept is not known' \
     WHEN origin IS NOT NULL THEN 'its bytes are not kept as they came' \
     ELSE 'it comes of no single record of a source' END";

/// The rows of a quarantine table. Those from before positions were kept cannot be replayed.
fn set_apart(table: &TableName) -> String {
    let beside = table.to_string();
    let beside = beside.strip_suffix("__quarantine").unwrap_or(&beside);
    format!(
        "SELECT CAST('{beside}' AS TEXT) AS table_name, source, concat_ws(':', partition, CAST(\"offset\" AS TEXT)) AS \
         position, rule, reason, raw, batch AS epoch, coalesce(state, 'untraced') AS state, definition AS \
         definition_hash, quarantined_at, {UNTRACED_BECAUSE} AS untraced_because FROM {}",
        quoted_table(table)
    )
}

/// A view that keeps rows of another one, whose rows come and go with its inputs.
struct Beside<'a> {
    kept_in: &'a TableName,
    view: &'a TableName,
    input: Option<&'a TableName>,
    columns: &'a Schema,
    definition: &'a str,
}

impl Beside<'_> {
    /// The rows that came too late, in the same shape as far as they hold it.
    fn late_rows(&self) -> String {
        let reason = "concat('the watermark had passed the end of its window, ', CAST(window_end AS TEXT))";
        self.rows("'late'", reason, "late")
    }

    /// The rows that break a rule.
    fn rows_apart(&self) -> String {
        self.rows(APART_RULE, APART_REASON, "in view")
    }

    fn rows(&self, rule: &str, reason: &str, state: &str) -> String {
        let Self { kept_in, view, input, columns, definition } = self;
        let column = |name: &str, data_type: &str, otherwise: &str| match columns.field_with_name(name) {
            Ok(_) => format!("CAST(\"{name}\" AS {data_type})"),
            Err(_) => format!("CAST({otherwise} AS {data_type})"),
        };
        let source = input.map_or("NULL".to_string(), |input| format!("'{input}'"));
        let (partition, offset) = (column("_partition", "TEXT", "NULL"), column("_offset", "TEXT", "NULL"));
        let (raw, batch) = (column("_raw", "BYTEA", &self.as_json()), column("_batch", "BIGINT", "NULL"));
        let at = column("_ingested_at", "TIMESTAMPTZ", "NULL");
        format!(
            "SELECT CAST('{view}' AS TEXT) AS table_name, CAST({source} AS TEXT) AS source, concat_ws(':', {partition}, {offset}) AS position, \
             CAST({rule} AS TEXT) AS rule, CAST({reason} AS TEXT) AS reason, {raw} AS raw, {batch} AS epoch, \
             CAST('{state}' AS TEXT) AS state, CAST('{definition}' AS TEXT) AS definition_hash, {at} AS quarantined_at, \
             CAST(NULL AS TEXT) AS untraced_because FROM {}",
            quoted_table(kept_in)
        )
    }

    /// The row itself, where the record that it comes from is not in it.
    fn as_json(&self) -> String {
        let names = self.columns.fields().iter().map(|field| field.name().as_str());
        let own = names.filter(|name| ![APART_RULE, APART_REASON].contains(name));
        let fields = own.map(|name| format!("{}, {}", literal(name), quoted(name)));
        format!("row_as_json(named_struct({}))", fields.collect::<Vec<_>>().join(", "))
    }
}
