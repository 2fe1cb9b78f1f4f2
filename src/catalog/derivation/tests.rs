use crate::catalog::lineage::tests::planned;
use crate::lake::TableName;

/// Which columns of two queries, by name, are computed alike; and whether their rows are.
#[track_caller]
fn check(before: &str, after: &str, alike: &[&str], rows: bool) {
    let planned = planned(&[("gold.before", before), ("gold.after", after)]);
    let [before, after] = ["before", "after"].map(|name| &planned[&TableName::new("gold", name)]);
    let columns = before.schema.fields().iter().zip(&before.derivation.columns);
    let found = columns.filter(|(field, derivation)| {
        let at = after.schema.index_of(field.name());
        at.is_ok_and(|at| after.derivation.columns[at] == **derivation)
    });
    let found: Vec<&str> = found.map(|(field, _)| field.name().as_str()).collect();
    assert_eq!((found.as_slice(), before.derivation.rows == after.derivation.rows), (alike, rows));
}

#[test]
fn other_words_for_the_same() {
    check(
        "SELECT a.id, sum(x) AS s FROM bronze.a GROUP BY a.id",
        "WITH t AS (SELECT y, x, id FROM bronze.a) SELECT sum(t.x) AS s, id FROM t GROUP BY id ORDER BY s",
        &["id", "s"],
        true,
    );
    check(
        "SELECT a.id, z FROM bronze.a JOIN bronze.b ON a.id = b.id",
        "SELECT l.id, r.z, l.x + 1 AS more FROM bronze.a AS l JOIN bronze.b AS r ON l.id = r.id",
        &["id", "z"],
        true,
    );
}

#[test]
fn a_column_is_computed_otherwise() {
    check("SELECT id, x + 1 AS v FROM bronze.a", "SELECT id, x + 2 AS v FROM bronze.a", &["id"], true);
    check(
        "SELECT id, sum(x) AS v, max(x) AS m FROM bronze.a GROUP BY id",
        "SELECT id, sum(y) AS v, max(x) AS m FROM bronze.a GROUP BY id",
        &["id", "m"],
        true,
    );
    check(
        "SELECT id, (SELECT max(z) FROM bronze.b WHERE b.id = a.id) AS v FROM bronze.a",
        "SELECT id, (SELECT max(z) FROM bronze.b WHERE b.id = a.x) AS v FROM bronze.a",
        &["id"],
        true,
    );
}

#[test]
fn other_rows() {
    check("SELECT id FROM bronze.a", "SELECT id FROM bronze.a WHERE x > 0", &["id"], false);
    check("SELECT id FROM bronze.a LIMIT 3", "SELECT id FROM bronze.a LIMIT 4", &[], false);
    check("SELECT id FROM bronze.a", "SELECT DISTINCT id FROM bronze.a", &["id"], false);
    // Sums are over other rows, keys are as they were.
    check(
        "SELECT id, sum(x) AS v FROM bronze.a GROUP BY id",
        "SELECT id, sum(x) AS v FROM bronze.a WHERE y > 0 GROUP BY id",
        &["id"],
        false,
    );
    check(
        "SELECT id, x FROM bronze.a WHERE x IN (SELECT z FROM bronze.b)",
        "SELECT id, x FROM bronze.a WHERE x IN (SELECT z FROM bronze.b WHERE id > 1)",
        &["id", "x"],
        false,
    );
}
