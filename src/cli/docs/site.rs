//! The pages: one that lists every table, one for each.

use super::graph::{around, drawn};
use super::object::{Column, Object};
use crate::catalog::lineage::{Flow, TableColumn, Transformation};
use crate::lake::TableName;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeSet;

/// Files by their paths below the site's folder.
pub(super) fn pages(project: &str, objects: &[Object]) -> Vec<(String, String)> {
    let mut files = vec![
        ("index.html".to_string(), index(project, objects).into_string()),
        ("style.css".to_string(), include_str!("style.css").to_string()),
    ];
    files.extend(
        objects.iter().map(|object| (page_of(&object.name), page(project, object, objects).into_string())),
    );
    files
}

/// `gold.daily_sales` → `gold/daily_sales.html`
pub(super) fn page_of(name: &TableName) -> String {
    format!("{}/{}.html", name.schema, name.name)
}

fn layout(title: &str, root: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href={ (root) "style.css" };
            }
            body { (body) }
        }
    }
}

/// Hides the rows of the list that do not hold what is typed.
const FILTER: &str = "const box = document.getElementById('filter');\n\
    box.addEventListener('input', () => {\n  const wanted = box.value.toLowerCase();\n  \
    for (const row of document.querySelectorAll('tr[data-text]'))\n    row.hidden = !row.dataset.text.includes(wanted);\n});";

fn index(project: &str, objects: &[Object]) -> Markup {
    let schemas: BTreeSet<&String> = objects.iter().map(|object| &object.name.schema).collect();
    let all = objects.iter().map(|object| object.name.clone()).collect();
    layout(
        project,
        "",
        &html! {
            h1 { (project) }
            p { (objects.len()) " tables. " a href="manifest.json" { "manifest.json" } " is what catalogue tools read." }
            input id="filter" type="search" placeholder="Find a table or a column" autofocus;
            @for schema in schemas {
                h2 { (schema) }
                table {
                    @for object in objects.iter().filter(|object| object.name.schema == *schema) {
                        tr data-text=(searched(object)) {
                            td { a href=(page_of(&object.name)) { (object.name.name) } }
                            td class="kind" { (object.kind) }
                            td { (object.comment.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
            h2 { "What comes of what" }
            div class="wide" { (drawn(objects, &all, None, "")) }
            script { (PreEscaped(FILTER)) }
        },
    )
}

fn searched(object: &Object) -> String {
    let columns = object.columns.iter().map(|column| column.name.as_str());
    let name = object.name.to_string();
    [name.as_str(), object.comment.as_deref().unwrap_or_default()]
        .into_iter()
        .chain(columns)
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

fn page(project: &str, object: &Object, objects: &[Object]) -> Markup {
    let known: BTreeSet<&TableName> = objects.iter().map(|object| &object.name).collect();
    let title = object.name.to_string();
    layout(
        &title,
        "../",
        &html! {
            p { a href="../index.html" { (project) } }
            h1 { (title) }
            p class="kind" { (object.kind) " in " code { (object.file.display()) } }
            @if let Some(comment) = &object.comment { p { (comment) } }
            h2 { "Columns" }
            table {
                tr { th { "name" } th { "type" } th { "comes of" } th { "" } }
                @for column in &object.columns { (row(column, object, &known)) }
            }
            @if !object.foreign_keys.is_empty() {
                h2 { "Refers to" }
                ul {
                    @for key in &object.foreign_keys {
                        li { (key.columns.join(", ")) " → " (link(&key.table, &known)) }
                    }
                }
            }
            @if !object.expectations.is_empty() || !object.audits.is_empty() || !object.unit_tests.is_empty() {
                h2 { "What must hold" }
                ul {
                    @for rule in &object.expectations {
                        li { b { (rule.name) } ": " code { (rule.predicate) } " (" (rule.action.as_str()) ")" }
                    }
                    @for audit in &object.audits {
                        li { "audit " b { (audit.name) } @if audit.blocking { " (blocking)" } ": " code { (audit.sql) } }
                    }
                    @for test in &object.unit_tests { li { "unit test " b { (test.name) } } }
                }
            }
            h2 { "What comes of what" }
            div class="wide" { (drawn(objects, &around(&object.name, objects), Some(&object.name), "../")) }
            h2 { "Definition" }
            pre { (object.sql) }
        },
    )
}

fn row(column: &Column, object: &Object, known: &BTreeSet<&TableName>) -> Markup {
    html! {
        tr id=(column.name) {
            td {
                code { (column.name) }
                @if object.primary_key.contains(&column.name) { " " span class="tag" { "key" } }
                @for tag in &column.tags { " " span class="tag" { (tag) } }
            }
            td class="kind" { (column.data_type) @if !column.nullable { " not null" } }
            td {
                @for (at, (from, flow)) in column.lineage.direct.iter().enumerate() {
                    @if at > 0 { ", " }
                    (column_link(from, known)) (flow_note(*flow))
                }
            }
            td { (column.comment.as_deref().unwrap_or_default()) }
        }
    }
}

fn flow_note(flow: Flow) -> &'static str {
    match (flow.masked, flow.transformation) {
        (true, _) => " (masked)",
        (_, Transformation::Identity) => "",
        (_, Transformation::Transformation) => " (computed)",
        (_, Transformation::Aggregation) => " (aggregated)",
    }
}

fn link(table: &TableName, known: &BTreeSet<&TableName>) -> Markup {
    html! {
        @if known.contains(table) { a href={ "../" (page_of(table)) } { (table) } } @else { (table) }
    }
}

fn column_link(column: &TableColumn, known: &BTreeSet<&TableName>) -> Markup {
    html! {
        @if known.contains(&column.table) {
            a href={ "../" (page_of(&column.table)) "#" (column.column) } { (column) }
        } @else { (column) }
    }
}
