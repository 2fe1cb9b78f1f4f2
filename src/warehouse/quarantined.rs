//! `sluice.quarantine`: one shape for all that was set apart, whatever table it stands beside: records that do not
//! decode, rows that break a rule, rows that came too late for their window.

use super::Planned;
use crate::catalog::project::Model;
use crate::lake::TableName;
use crate::refresh;
use crate::sql::quoted_table;
use arrow::datatypes::Schema;
use std::sync::Arc;

/// The query behind `sluice.quarantine`, over the quarantine tables and the views of late rows that stand.
pub(super) fn query(
    quarantines: &[TableName],
    definitions: &[Model],
    open: &[Arc<refresh::Model>],
    planned: &Planned,
) -> String {
    let late = |definition: &Model| {
        let view = definition.name();
        let model = open.iter().find(|model| model.name == *view)?;
        Some(late_rows(view, definition.late_of()?, &planned.get(view)?.schema, &model.definition_id()))
    };
    let parts = quarantines.iter().map(set_apart).chain(definitions.iter().filter_map(late));
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

/// The rows that came too late for a view, in the same shape as far as they hold it.
fn late_rows(kept_in: &TableName, view: &TableName, columns: &Schema, definition: &str) -> String {
    let column = |name: &str, data_type: &str| match columns.field_with_name(name) {
        Ok(_) => format!("CAST(\"{name}\" AS {data_type})"),
        Err(_) => format!("CAST(NULL AS {data_type})"),
    };
    let (source, raw, at) =
        (column("_source", "TEXT"), column("_raw", "BYTEA"), column("_ingested_at", "TIMESTAMPTZ"));
    let (partition, offset) = (column("_partition", "TEXT"), column("_offset", "TEXT"));
    format!(
        "SELECT CAST('{view}' AS TEXT) AS table_name, {source} AS source, concat_ws(':', {partition}, {offset}) AS \
         position, CAST('late' AS TEXT) AS rule, concat('the watermark had passed the end of its window, ', \
         CAST(window_end AS TEXT)) AS reason, {raw} AS raw, {} AS epoch, CAST('late' AS TEXT) AS state, \
         CAST('{definition}' AS TEXT) AS definition_hash, {at} AS quarantined_at, CAST(NULL AS TEXT) AS \
         untraced_because FROM {}",
        column("_batch", "BIGINT"),
        quoted_table(kept_in)
    )
}
