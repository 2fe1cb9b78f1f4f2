//! A graph of tables as SVG: a column of boxes for each step from the outside, inputs left of what reads them.

use super::object::Object;
use crate::lake::TableName;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// Sizes in pixels.
const BOX_WIDTH: usize = 190;
const BOX_HEIGHT: usize = 26;
const GAP_ACROSS: usize = 60;
const GAP_DOWN: usize = 12;
/// Letters of a name that fit into a box.
const LETTERS_MAX: usize = 28;

/// The tables that one comes of and those that come of it, itself among them.
pub(super) fn around(name: &TableName, objects: &[Object]) -> BTreeSet<TableName> {
    let by_name: BTreeMap<&TableName, &Object> =
        objects.iter().map(|object| (&object.name, object)).collect();
    let mut found = BTreeSet::from([name.clone()]);
    let ways: [fn(&Object) -> &BTreeSet<TableName>; 2] = [|object| &object.inputs, |object| &object.readers];
    for next in ways {
        let mut open = vec![name];
        let mut seen = BTreeSet::new();
        while let Some(object) = open.pop().and_then(|name| by_name.get(name)) {
            open.extend(next(object).iter().filter(|name| seen.insert((*name).clone())));
        }
        found.extend(seen);
    }
    found
}

/// Draws some tables of a project, one of them marked; boxes lead to `prefix` and the table's page.
pub(super) fn drawn(
    objects: &[Object],
    shown: &BTreeSet<TableName>,
    marked: Option<&TableName>,
    prefix: &str,
) -> Markup {
    let shown: Vec<&Object> = objects.iter().filter(|object| shown.contains(&object.name)).collect();
    let places = places(&shown);
    let (across, down) =
        places.values().fold((0, 0), |(x, y), (column, row)| (x.max(column + 1), y.max(row + 1)));
    let (width, height) = (across * (BOX_WIDTH + GAP_ACROSS), down * (BOX_HEIGHT + GAP_DOWN));
    let corner = |name: &TableName| {
        let (column, row) = places.get(name)?;
        Some((column * (BOX_WIDTH + GAP_ACROSS) + 1, row * (BOX_HEIGHT + GAP_DOWN) + 1))
    };
    html! {
        svg class="graph" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img" {
            @for object in &shown {
                @for input in &object.inputs {
                    @if let (Some((from_x, from_y)), Some((to_x, to_y))) = (corner(input), corner(&object.name)) {
                        path d=(curve((from_x + BOX_WIDTH, from_y + BOX_HEIGHT / 2), (to_x, to_y + BOX_HEIGHT / 2))) {}
                    }
                }
            }
            @for object in &shown {
                @if let Some((x, y)) = corner(&object.name) {
                    a href={ (prefix) (super::site::page_of(&object.name)) } {
                        rect x=(x) y=(y) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="4"
                            class={ (object.name.schema) @if marked == Some(&object.name) { " marked" } } {}
                        text x=(x + 8) y=(y + BOX_HEIGHT / 2 + 4) { (shortened(&object.name.to_string())) }
                        title { (object.name) }
                    }
                }
            }
        }
    }
}

/// A column and a row for each table: behind all of its inputs, below what came there before.
fn places(objects: &[&Object]) -> BTreeMap<TableName, (usize, usize)> {
    let mut places: BTreeMap<TableName, (usize, usize)> = BTreeMap::new();
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    // Objects come in the order in which they are computed.
    for object in objects {
        let column =
            object.inputs.iter().filter_map(|input| places.get(input)).map(|place| place.0 + 1).max();
        let column = column.unwrap_or(0);
        let row = rows.entry(column).or_default();
        places.insert(object.name.clone(), (column, *row));
        *row += 1;
    }
    places
}

fn curve((x, y): (usize, usize), (to_x, to_y): (usize, usize)) -> String {
    let middle = usize::midpoint(x, to_x);
    format!("M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}")
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS_MAX {
        return name.to_string();
    }
    name.chars().take(LETTERS_MAX - 1).chain(['…']).collect()
}
