use super::*;

/// A project folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

const ORDERS: (&str, &str) = (
    "catalog/orders.sql",
    "CREATE SOURCE bronze.orders (id BIGINT, amount DECIMAL(18,2)) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;",
);

fn errors(files: &[(&str, &str)]) -> Vec<String> {
    match Project::load(folder(files).path()) {
        Ok(_) => vec![],
        Err(errors) => errors.iter().map(|e| format!("{} {e}", e.code)).collect(),
    }
}

fn check(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(errors(files), expected);
}

#[test]
fn models_stand_behind_their_inputs() {
    let folder = folder(&[
        ORDERS,
        ("sql/gold/a.sql", "CREATE MATERIALIZED VIEW gold.a AS SELECT * FROM silver.z;"),
        ("sql/silver/z.sql", "CREATE STREAMING TABLE silver.z AS SELECT * FROM STREAM bronze.orders;"),
        ("sql/gold/b.sql", "CREATE VIEW gold.b AS SELECT * FROM silver.z__quarantine, gold.a;"),
    ]);
    let project = Project::load(folder.path()).unwrap();
    let names: Vec<String> = project.models.iter().map(|m| m.name().to_string()).collect();
    assert_eq!(names, ["silver.z", "gold.a", "gold.b"]);
}

#[test]
fn path_and_name_must_agree() {
    check(
        &[ORDERS, ("sql/gold/a.sql", "CREATE VIEW gold.b AS SELECT * FROM bronze.orders;")],
        &[
            "42P16 sql/gold/a.sql:1:1: sql/gold/a.sql defines \"gold.b\"\n  hint: Rename the file to sql/gold/b.sql, or \
           the object to gold.a.",
        ],
    );
}

#[test]
fn a_torn_file_causes_one_error() {
    let found = errors(&[
        ("catalog/x.sql", "CREATE SOURCE"),
        ("sql/silver/a.sql", "CREATE STREAMING TABLE silver.a AS SELEC"),
        ("sql/gold/b.sql", "CREATE VIEW gold.b AS SELECT * FROM silver.a, bronze.orders;"),
    ]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn circles_are_named() {
    check(
        &[
            ("sql/gold/a.sql", "CREATE VIEW gold.a AS SELECT * FROM gold.b;"),
            ("sql/gold/b.sql", "CREATE VIEW gold.b AS SELECT * FROM gold.a;"),
        ],
        &[
            "42P17 sql/gold/a.sql:1:1: models read each other in a circle: gold.a -> gold.b -> gold.a\n  hint: Take one \
           of these inputs out.",
        ],
    );
}

#[test]
fn streams_are_of_sources_and_streaming_tables() {
    check(
        &[
            ORDERS,
            ("sql/gold/a.sql", "CREATE MATERIALIZED VIEW gold.a AS SELECT * FROM bronze.orders;"),
            ("sql/gold/b.sql", "CREATE STREAMING TABLE gold.b AS\nSELECT * FROM STREAM gold.a;"),
        ],
        &[
            "42809 sql/gold/b.sql:2:22: STREAM \"gold.a\" is a materialized view, whose rows come and go with every \
           refresh\n  hint: Only sources and streaming tables can be read as a stream: leave STREAM out and make this a \
           materialized view.",
        ],
    );
}

#[test]
fn unknown_names_are_placed_and_suggested() {
    check(
        &[
            ORDERS,
            ("sql/gold/a.sql", "CREATE VIEW gold.a AS\nSELECT * FROM bronze.ordesr;"),
            ("sql/gold/b.sql", "CREATE VIEW gold.b AS SELECT * FROM silver.orders;"),
            ("sql/gold/c.sql", "CREATE VIEW gold.c AS SELECT * FROM silver.nothing_like_it;"),
        ],
        &[
            "42P01 sql/gold/a.sql:2:15: table \"bronze.ordesr\" does not exist\n  hint: Did you mean \"bronze.orders\"?",
            "42P01 sql/gold/b.sql:1:37: table \"silver.orders\" does not exist\n  hint: Did you mean \"bronze.orders\"?",
            "42P01 sql/gold/c.sql:1:37: table \"silver.nothing_like_it\" does not exist\n  hint: Define it in \
             sql/silver/nothing_like_it.sql.",
        ],
    );
}

#[test]
fn everything_in_its_place() {
    check(
        &[
            ORDERS,
            ("catalog/v.sql", "CREATE VIEW gold.v AS SELECT 1 AS x;"),
            ("sql/bronze/x.sql", "CREATE VIEW bronze.x AS SELECT 1 AS x;"),
            ("sql/sluice/x.sql", "CREATE VIEW sluice.x AS SELECT 1 AS x;"),
            ("sql/gold/s.sql", "CREATE SECRET s WITH (backend = 'env') AS 'S';"),
            (
                "sql/gold/two.sql",
                "CREATE VIEW gold.two AS SELECT 1 AS x; CREATE VIEW gold.three AS SELECT 1 AS x;",
            ),
            ("sql/gold/nothing.sql", "-- later\n"),
        ],
        &[
            "42P16 catalog/v.sql:1:1: a view is defined outside of sql/<schema>/<name>.sql\n  hint: Move it to \
             sql/<schema>/<name>.sql.",
            "42939 sql/bronze/x.sql:1:1: \"bronze.x\" cannot be defined: schema bronze is for sources\n  hint: Use \
             silver, gold or a schema of your own.",
            "42P16 sql/gold/nothing.sql:1:1: the file defines nothing\n  hint: A file under sql/ holds one CREATE \
             STREAMING TABLE, MATERIALIZED VIEW or VIEW.",
            "42P16 sql/gold/s.sql:1:1: a secret is defined outside of catalog/\n  hint: Move it to catalog/.",
            "42P16 sql/gold/two.sql:1:40: the file defines \"gold.three\" beside \"gold.two\"\n  hint: One object a \
             file: put it into sql/gold/three.sql.",
            "42939 sql/sluice/x.sql:1:1: \"sluice.x\" cannot be defined: schema sluice is the server's own\n  hint: Use \
             silver, gold or a schema of your own.",
        ],
    );
}

#[test]
fn references_exist_once() {
    check(
        &[(
            "catalog/a.sql",
            "CREATE CONNECTION hub TO KAFKA (bootstrap.servers = 'h:9092', sasl.password = SECRET pasword);\n\
                 CREATE SECRET password WITH (backend = 'env') AS 'P';\n\
                 CREATE SECRET password WITH (backend = 'file') AS 'p.txt';\n\
                 CREATE SOURCE bronze.x (a TEXT) WITH (connector = 'kafka', connection = hubb, topic = 't') FORMAT PLAIN \
                 ENCODE JSON;\n\
                 COMMENT ON TABLE bronze.y IS 'no';\n\
                 COMMENT ON COLUMN bronze.x.aa IS 'no';",
        )],
        &[
            "42704 catalog/a.sql:1:1: secret \"pasword\" does not exist\n  hint: Did you mean \"password\"?",
            "42P07 catalog/a.sql:3:1: secret \"password\" is defined twice\n  hint: It is defined first at \
             catalog/a.sql:2:1.",
            "42704 catalog/a.sql:4:1: connection \"hubb\" does not exist\n  hint: Did you mean \"hub\"?",
            "42703 catalog/a.sql:4:1: the comment's column \"aa\" does not exist in \"bronze.x\"",
            "42P01 catalog/a.sql:5:1: the comment's object \"bronze.y\" is not defined above it in this file\n  hint: Did \
             you mean \"bronze.x\"?",
        ],
    );
}

#[test]
fn foreign_keys_lead_to_primary_keys() {
    let fact = |key: &str| {
        format!(
            "CREATE MATERIALIZED VIEW gold.fact (k INT, n INT,\n{key})\nAS SELECT 1 AS k, 1 AS n FROM bronze.orders;"
        )
    };
    let refused = |key: &str, expected: &str| {
        check(
            &[
                ORDERS,
                (
                    "sql/gold/dim.sql",
                    "CREATE MATERIALIZED VIEW gold.dim (k INT, n INT, PRIMARY KEY (k)) AS SELECT 1 AS k, 1 AS n;",
                ),
                ("sql/gold/plain.sql", "CREATE MATERIALIZED VIEW gold.plain AS SELECT 1 AS k;"),
                ("sql/gold/v.sql", "CREATE VIEW gold.v AS SELECT 1 AS k;"),
                ("sql/gold/fact.sql", &fact(key)),
            ],
            &[expected],
        );
    };
    refused(
        "FOREIGN KEY (k) REFERENCES gold.dimm",
        "42P01 sql/gold/fact.sql:2:28: table \"gold.dimm\" does not exist\n  hint: Did you mean \"gold.dim\"?",
    );
    refused(
        "FOREIGN KEY (k) REFERENCES gold.plain",
        "42704 sql/gold/fact.sql:2:28: there is no primary key for referenced table \"gold.plain\"\n  hint: Refer to a \
         table that declares one, or leave the reference out: declare PRIMARY KEY (...) in its column list.",
    );
    refused(
        "FOREIGN KEY (k) REFERENCES gold.v",
        "42704 sql/gold/fact.sql:2:28: there is no primary key for referenced table \"gold.v\"\n  hint: Refer to a \
         table that declares one, or leave the reference out: a view is not stored and has none.",
    );
    refused(
        "FOREIGN KEY (k) REFERENCES bronze.orders",
        "42704 sql/gold/fact.sql:2:28: there is no primary key for referenced table \"bronze.orders\"\n  hint: Refer to \
         a table that declares one, or leave the reference out: bronze keeps every record that came.",
    );
    refused(
        "FOREIGN KEY (k) REFERENCES gold.dim (n)",
        "42830 sql/gold/fact.sql:2:28: there is no unique constraint matching given keys for referenced table \
         \"gold.dim\"\n  hint: Refer to its primary key, (k).",
    );
    refused(
        "FOREIGN KEY (k, n) REFERENCES gold.dim",
        "42830 sql/gold/fact.sql:2:31: number of referencing and referenced columns for foreign key disagree\n  hint: The \
         primary key of \"gold.dim\" is (k): name a column for each before REFERENCES.",
    );
}

#[test]
fn an_empty_folder_is_no_project() {
    let found = errors(&[("README.md", "")]);
    assert!(found[0].contains("is no project"), "{found:?}");
}
