use super::*;
use crate::catalog::fixture;
use crate::catalog::plan::PlannedModel;

const SOURCES: &str = "CREATE SOURCE bronze.a (id BIGINT, email TEXT, x INT, y INT, at TIMESTAMPTZ, tags TEXT[]) WITH (connector = \
    'http') FORMAT PLAIN ENCODE JSON; CREATE SOURCE bronze.b (id BIGINT, z INT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;";

pub(in crate::catalog) fn planned(models: &[(&str, &str)]) -> BTreeMap<TableName, PlannedModel> {
    let files = models.iter().map(|(name, query)| {
        let text = format!("CREATE VIEW {name} AS {query};");
        (format!("sql/{}.sql", name.replace('.', "/")), text)
    });
    let project = fixture::project(files.chain([("catalog/sources.sql".to_string(), SOURCES.to_string())]));
    fixture::planned(project).unwrap()
}

fn shown(influences: &Influences) -> String {
    let shown = influences.iter().map(|(c, how)| format!("{}.{}:{how:?}", c.table.name, c.column));
    shown.collect::<Vec<_>>().join(" ")
}

/// `column = direct | indirect` for each column, and the rows' influences last.
#[track_caller]
fn check(query: &str, columns: &[&str], rows: &str) {
    let planned = planned(&[("gold.v", query)]);
    let planned = &planned[&TableName::new("gold", "v")];
    let found = planned.schema.fields().iter().zip(&planned.lineage.columns).map(|(field, lineage)| {
        let direct = lineage.direct.iter().map(|(c, flow)| {
            let masked = if flow.masked { "*" } else { "" };
            format!("{}.{}:{:?}{masked}", c.table.name, c.column, flow.transformation)
        });
        let direct = direct.collect::<Vec<_>>().join(" ");
        let indirect = shown(&lineage.indirect);
        let bar = if indirect.is_empty() { "" } else { " | " };
        format!("{} = {direct}{bar}{indirect}", field.name())
    });
    assert_eq!(found.collect::<Vec<_>>(), columns);
    assert_eq!(shown(&planned.lineage.rows), rows);
}

#[test]
fn values_are_taken_computed_masked_and_chosen() {
    check(
        "SELECT id, x + y AS s, sha256(email) AS h, email IS NULL AS none, CASE WHEN x > 0 THEN y END AS c, 1 AS one \
         FROM bronze.a WHERE at IS NOT NULL",
        &[
            "id = a.id:Identity",
            "s = a.x:Transformation a.y:Transformation",
            "h = a.email:Transformation*",
            "none = a.email:Transformation*",
            "c = a.y:Transformation | a.x:Conditional",
            "one = ",
        ],
        "a.at:Filter",
    );
}

#[test]
fn a_value_is_masked_only_if_it_is_on_every_way() {
    check(
        "SELECT sha256(email) || email AS both, mask_email(upper(email)) AS m FROM bronze.a",
        &["both = a.email:Transformation", "m = a.email:Transformation*"],
        "",
    );
}

#[test]
fn groups_sets_and_counts() {
    check(
        "SELECT x, sum(y) AS s, count(DISTINCT email) AS n FROM bronze.a GROUP BY ROLLUP (x) HAVING max(id) > 3",
        &["x = a.x:Identity", "s = a.y:Aggregation", "n = a.email:Aggregation*"],
        "a.id:Filter a.x:GroupBy",
    );
}

#[test]
fn joins_unions_and_common_tables() {
    check(
        "WITH j AS (SELECT a.id, z, x FROM bronze.a JOIN bronze.b USING (id)) \
         SELECT id, z FROM j UNION ALL SELECT x, y FROM bronze.a",
        &["id = a.id:Identity a.x:Identity", "z = a.y:Identity b.z:Identity"],
        "a.id:Join b.id:Join",
    );
}

#[test]
fn subqueries_and_what_they_take_from_outside() {
    check(
        "SELECT id, (SELECT max(z) FROM bronze.b WHERE b.id = a.id) AS m FROM bronze.a \
         WHERE EXISTS (SELECT 1 FROM bronze.b WHERE b.z = a.y) AND x IN (SELECT z FROM bronze.b)",
        &["id = a.id:Identity", "m = b.z:Aggregation | a.id:Conditional b.id:Conditional"],
        "a.x:Filter a.y:Filter b.z:Filter",
    );
}

#[test]
fn windows_lists_and_limits() {
    check(
        "SELECT lag(x) OVER (PARTITION BY y ORDER BY at) AS before, unnest(tags) AS tag FROM bronze.a",
        &["before = a.x:Transformation | a.at:Window a.y:Window", "tag = a.tags:Identity"],
        "",
    );
    check("SELECT x FROM bronze.a ORDER BY id LIMIT 3", &["x = a.x:Identity"], "a.id:Sort");
    check("SELECT x FROM bronze.a ORDER BY id", &["x = a.x:Identity"], "");
    check(
        "SELECT DISTINCT ON (x) x, y FROM bronze.a ORDER BY x, at",
        &["x = a.x:Identity", "y = a.y:Identity"],
        "a.at:Sort a.x:GroupBy a.x:Sort",
    );
}

#[test]
fn a_graph_is_walked_both_ways() {
    let planned = planned(&[
        ("silver.s", "SELECT id, email, x FROM bronze.a"),
        ("gold.g", "SELECT s.id, sha256(email) AS h, email || 'x' AS e, x FROM silver.s"),
    ]);
    let graph = Graph::of(&planned);
    let column = |table: &str, column: &str| {
        let (schema, name) = table.split_once('.').unwrap();
        TableColumn { table: TableName::new(schema, name), column: column.into() }
    };
    let walk = |from, direction| {
        let steps = graph.walk(&from, direction).into_iter();
        steps.map(|step| format!("{} {}", step.depth, step.column)).collect::<Vec<_>>()
    };
    assert_eq!(walk(column("gold.g", "e"), Direction::Upstream), ["1 silver.s.email", "2 bronze.a.email"]);
    assert_eq!(
        walk(column("bronze.a", "email"), Direction::Downstream),
        ["1 silver.s.email", "2 gold.g.e", "2 gold.g.h"]
    );
    let reached = graph.unmasked(&column("bronze.a", "email"), |_| false);
    let ways: Vec<String> = reached
        .values()
        .map(|way| way.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> "))
        .collect();
    assert_eq!(ways, ["bronze.a.email -> silver.s.email -> gold.g.e", "bronze.a.email -> silver.s.email"]);
}
