//! What comes of what, as tables: `sluice.lineage`, `sluice.column_lineage`, `sluice.column_tags`,
//! `sluice.source_masks`.

use super::columns::{TEXT, columns};
use super::{optional_text, text};
use crate::catalog::lineage::{Graph, Influence, TableColumn};
use crate::catalog::live::Row;
use crate::catalog::project::Project;
use crate::catalog::tags::{Tagged, tagged};
use crate::lake::TableName;
use crate::warehouse::loaded::Planned;
use arrow::datatypes::{DataType, SchemaRef};

pub(super) fn tables_schema() -> SchemaRef {
    columns(&[("table_name", TEXT), ("input_table", TEXT), ("read_as", TEXT)])
}

/// A row for each table that a model reads.
pub(super) fn table_rows(project: &Project) -> Vec<Row> {
    let row = |model: &TableName, input: &TableName, is_stream: bool| {
        vec![
            text(&model.to_string()),
            text(&input.to_string()),
            text(if is_stream { "stream" } else { "table" }),
        ]
    };
    let models = project.models.iter();
    let rows = models.flat_map(|model| {
        let query = model.query();
        query.inputs.iter().map(move |input| row(model.name(), input, query.streams.contains(input)))
    });
    rows.collect()
}

pub(super) fn columns_schema() -> SchemaRef {
    columns(&[
        ("table_name", TEXT),
        ("column_name", TEXT),
        ("input_table", TEXT),
        ("input_column", TEXT),
        ("kind", TEXT),
        ("how", TEXT),
        ("masked", DataType::Boolean),
    ])
}

pub(super) fn masks_schema() -> SchemaRef {
    columns(&[("source", TEXT), ("field", TEXT), ("method", TEXT)])
}

/// A row for each field that a source masks or drops.
pub(super) fn mask_rows(project: &Project) -> Vec<Row> {
    let fields = project.sources.values().flat_map(|source| {
        source.masking.fields.iter().map(|field| {
            vec![text(&source.name.to_string()), text(&field.name()), text(field.method.as_str())]
        })
    });
    fields.collect()
}

pub(super) fn tags_schema() -> SchemaRef {
    columns(&[("table_name", TEXT), ("column_name", TEXT), ("tag", TEXT), ("way", TEXT)])
}

/// A row for each tagged column.
pub(super) fn tag_rows(project: &Project, planned: &Planned) -> Vec<Row> {
    let row = |tagged: Tagged| {
        let way: Vec<String> = tagged.way.iter().map(ToString::to_string).collect();
        let column = tagged.column;
        vec![
            text(&column.table.to_string()),
            text(&column.column),
            text(&tagged.tag),
            text(&way.join(" -> ")),
        ]
    };
    tagged(project, planned).into_iter().map(row).collect()
}

/// A row for each column that another comes of. What bears on all columns of a table, since it decides which rows there
/// are, has no column_name.
pub(super) fn column_rows(planned: &Planned) -> Vec<Row> {
    let graph = Graph::of(planned);
    let mut rows = vec![];
    for (to, lineage) in graph.columns() {
        let direct = lineage.direct.iter();
        rows.extend(direct.map(|(from, flow)| {
            row(&to.table, Some(&to.column), from, "direct", flow.transformation.as_str(), Some(flow.masked))
        }));
        let indirect = lineage.indirect.iter();
        rows.extend(indirect.map(|(from, how)| influence(&to.table, Some(&to.column), from, *how)));
    }
    for (table, influences) in graph.rows() {
        rows.extend(influences.iter().map(|(from, how)| influence(table, None, from, *how)));
    }
    rows
}

fn influence(table: &TableName, column: Option<&str>, from: &TableColumn, how: Influence) -> Row {
    row(table, column, from, "indirect", how.as_str(), None)
}

fn row(
    table: &TableName,
    column: Option<&str>,
    from: &TableColumn,
    kind: &str,
    how: &str,
    masked: Option<bool>,
) -> Row {
    vec![
        text(&table.to_string()),
        optional_text(column),
        text(&from.table.to_string()),
        text(&from.column),
        text(kind),
        text(how),
        masked.into(),
    ]
}
