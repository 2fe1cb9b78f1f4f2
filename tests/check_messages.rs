//! What `sluice check` says, to the letter: one project for each kind of mistake.

use crate::support::{Warehouse, trial_of};
use libtest_mimic::Trial;

/// A source that every project here has.
const ORDERS: (&str, &str) = (
    "catalog/orders.sql",
    "CREATE SOURCE bronze.orders (order_id BIGINT, amount DECIMAL(18,2), status TEXT, ts TIMESTAMPTZ)\n\
     WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
);

/// A mistake: what it is called, the file that holds it, and what `sluice check` says of it.
struct Mistake {
    name: &'static str,
    file: (&'static str, &'static str),
    says: &'static str,
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "syntax",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.a AS\nSELECT order_id,\nFROM bronze.orders;\n"),
        says: "error: expected an expression, found \"FROM\"
 --> sql/gold/a.sql:3:1
  |
3 | FROM bronze.orders;
  | ^^^^
",
    },
    Mistake {
        name: "unknown_statement",
        file: ("catalog/a.sql", "CRAETE SOURCE bronze.a (x INT);\n"),
        says: "error: \"CRAETE\" begins no statement of this language
 --> catalog/a.sql:1:1
  |
1 | CRAETE SOURCE bronze.a (x INT);
  | ^^^^^^
hint: Did you mean \"CREATE SOURCE\"?
",
    },
    Mistake {
        name: "not_done_yet",
        file: ("catalog/a.sql", "CREATE SINK s FROM gold.a WITH (connector = 'kafka') FORMAT UPSERT;\n"),
        says: "error: CREATE SINK is not supported yet
 --> catalog/a.sql:1:1
  |
1 | CREATE SINK s FROM gold.a WITH (connector = 'kafka') FORMAT UPSERT;
  | ^^^^^^
hint: Read the table over the PostgreSQL protocol or Arrow Flight SQL meanwhile.
",
    },
    Mistake {
        name: "alert_of_unknown_column",
        file: (
            "catalog/a.sql",
            "CREATE ALERT a\nIF (EXISTS (SELECT source FROM sluice.sources WHERE lag_secons > 300));\n",
        ),
        says: "error: alert \"a\": column \"lag_secons\" does not exist
 --> catalog/a.sql:2:53
  |
2 | IF (EXISTS (SELECT source FROM sluice.sources WHERE lag_secons > 300));
  |                                                     ^^^^^^^^^^
hint: Did you mean \"lag_seconds\"?
",
    },
    Mistake {
        name: "alert_over_unknown_table",
        file: ("catalog/a.sql", "CREATE ALERT a IF EXISTS (SELECT source FROM sluice.source);\n"),
        says: "error: table \"sluice.source\" does not exist
 --> catalog/a.sql:1:46
  |
1 | CREATE ALERT a IF EXISTS (SELECT source FROM sluice.source);
  |                                              ^^^^^^
hint: Did you mean \"sluice.sources\"?
",
    },
    Mistake {
        name: "alert_by_unknown_column",
        file: ("catalog/a.sql", "CREATE ALERT a BY (orderid) IF EXISTS (SELECT order_id FROM bronze.orders);\n"),
        says: "error: alert \"a\": column \"orderid\" of BY is none of its query
 --> catalog/a.sql:1:20
  |
1 | CREATE ALERT a BY (orderid) IF EXISTS (SELECT order_id FROM bronze.orders);
  |                    ^^^^^^^
hint: Did you mean \"order_id\"?
",
    },
    Mistake {
        name: "alert_to_unknown_secret",
        file: (
            "catalog/a.sql",
            "CREATE ALERT a IF EXISTS (SELECT 1 FROM bronze.orders)\nTHEN NOTIFY (WEBHOOK w URL SECRET hook);\n",
        ),
        says: "error: secret \"hook\" does not exist
 --> catalog/a.sql:2:14
  |
2 | THEN NOTIFY (WEBHOOK w URL SECRET hook);
  |              ^^^^^^^
hint: Write CREATE SECRET hook WITH (backend = 'env') AS 'VARIABLE_NAME'; in catalog/.
",
    },
    Mistake {
        name: "alert_over_unknown_connection",
        file: (
            "catalog/a.sql",
            "CREATE ALERT a IF EXISTS (SELECT 1 FROM bronze.orders)\nTHEN NOTIFY (EMAIL 'a@example.com' CONNECTION post);\n",
        ),
        says: "error: connection \"post\" does not exist
 --> catalog/a.sql:2:14
  |
2 | THEN NOTIFY (EMAIL 'a@example.com' CONNECTION post);
  |              ^^^^^
hint: Write CREATE CONNECTION post TO SMTP (host = '...', from = '...') in catalog/.
",
    },
    Mistake {
        name: "mail_without_sender",
        file: ("catalog/a.sql", "CREATE CONNECTION post TO SMTP (host = 'mail.example.com');\n"),
        says: "error: connection \"post\" has no from
 --> catalog/a.sql:1:32
  |
1 | CREATE CONNECTION post TO SMTP (host = 'mail.example.com');
  |                                ^
hint: Write CREATE CONNECTION name TO SMTP (host = 'mail.example.com', from = 'sluice@example.com', user = 'sluice', password = SECRET s); tls is 'starttls' unless it is set to 'tls' or 'none', port what belongs to it.
",
    },
    Mistake {
        name: "unknown_type",
        file: (
            "catalog/a.sql",
            "CREATE SOURCE bronze.a (\n\tid BIGNIT\n) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
        ),
        says: "error: type \"bignit\" does not exist
 --> catalog/a.sql:2:5
  |
2 | \tid BIGNIT
  | \t   ^^^^^^
hint: Did you mean \"bigint\"?
",
    },
    Mistake {
        name: "unknown_table",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.a AS\nSELECT * FROM bronze.ordres;\n"),
        says: "error: table \"bronze.ordres\" does not exist
 --> sql/gold/a.sql:2:15
  |
2 | SELECT * FROM bronze.ordres;
  |               ^^^^^^
hint: Did you mean \"bronze.orders\"?
",
    },
    Mistake {
        name: "unknown_column",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.a AS\nSELECT order_id,\n       amuont\nFROM bronze.orders;\n"),
        says: "error: column \"amuont\" does not exist
 --> sql/gold/a.sql:3:8
  |
3 |        amuont
  |        ^^^^^^
hint: Did you mean \"amount\"?
",
    },
    Mistake {
        name: "unknown_function",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.a AS SELECT flor(amount) AS x FROM bronze.orders;\n"),
        says: "error: function flor() does not exist
 --> sql/gold/a.sql:1:30
  |
1 | CREATE VIEW gold.a AS SELECT flor(amount) AS x FROM bronze.orders;
  |                              ^^^^
hint: Did you mean floor()?
",
    },
    Mistake {
        name: "path_and_name",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.b AS SELECT order_id FROM bronze.orders;\n"),
        says: "error: sql/gold/a.sql defines \"gold.b\"
 --> sql/gold/a.sql:1:1
  |
1 | CREATE VIEW gold.b AS SELECT order_id FROM bronze.orders;
  | ^^^^^^
hint: Rename the file to sql/gold/b.sql, or the object to gold.a.
",
    },
    Mistake {
        name: "circle",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.a AS SELECT * FROM gold.a;\n"),
        says: "error: models read each other in a circle: gold.a -> gold.a
 --> sql/gold/a.sql:1:1
  |
1 | CREATE VIEW gold.a AS SELECT * FROM gold.a;
  | ^^^^^^
hint: Take one of these inputs out.
",
    },
    Mistake {
        name: "no_stream",
        file: ("sql/silver/a.sql", "CREATE STREAMING TABLE silver.a AS SELECT order_id FROM bronze.orders;\n"),
        says: "error: streaming table \"silver.a\" reads no STREAM
 --> sql/silver/a.sql:1:1
  |
1 | CREATE STREAMING TABLE silver.a AS SELECT order_id FROM bronze.orders;
  | ^^^^^^
hint: Write FROM STREAM schema.table for the input whose rows are taken once each, or make it a materialized view.
",
    },
    Mistake {
        name: "expectation",
        file: (
            "sql/silver/a.sql",
            "CREATE STREAMING TABLE silver.a (\n  order_id BIGINT,\n  CONSTRAINT known EXPECT (oder_id IS NOT NULL)\n)\nAS SELECT \
             order_id FROM STREAM bronze.orders;\n",
        ),
        says: "error: expectation \"known\": column \"oder_id\" does not exist
 --> sql/silver/a.sql:3:14
  |
3 |   CONSTRAINT known EXPECT (oder_id IS NOT NULL)
  |              ^^^^^
hint: Did you mean \"order_id\"?
",
    },
    Mistake {
        name: "volatile",
        file: ("sql/gold/a.sql", "CREATE VIEW gold.a AS\nSELECT order_id, random() AS x FROM bronze.orders;\n"),
        says: "error: volatile function random() gives another value each time a model is computed
 --> sql/gold/a.sql:2:18
  |
2 | SELECT order_id, random() AS x FROM bronze.orders;
  |                  ^^^^^^
hint: Take it out: a model must give the same rows however often it is computed.
",
    },
    Mistake {
        name: "strict",
        file: (
            "sql/gold/a.sql",
            "CREATE MATERIALIZED VIEW gold.a\nREFRESH POLICY INCREMENTAL STRICT\nAS SELECT \
             median(order_id) AS middle FROM bronze.orders;\n",
        ),
        says: "error: \"gold.a\" cannot be refreshed incrementally: an aggregate over everything has no key
 --> sql/gold/a.sql:2:28
  |
2 | REFRESH POLICY INCREMENTAL STRICT
  |                            ^^^^^^
hint: Change the query where EXPLAIN CREATE MATERIALIZED VIEW says \"recomputed\", or leave STRICT out.
",
    },
    Mistake {
        name: "strict_clock",
        file: (
            "sql/gold/a.sql",
            "CREATE MATERIALIZED VIEW gold.a REFRESH POLICY INCREMENTAL STRICT\nAS SELECT order_id, now() AS seen FROM \
             bronze.orders;\n",
        ),
        says: "error: \"gold.a\" cannot be refreshed incrementally: the time has a rule in conditions of WHERE and HAVING alone
 --> sql/gold/a.sql:1:60
  |
1 | CREATE MATERIALIZED VIEW gold.a REFRESH POLICY INCREMENTAL STRICT
  |                                                            ^^^^^^
hint: Change the query where EXPLAIN CREATE MATERIALIZED VIEW says \"recomputed\", or leave STRICT out.
",
    },
    Mistake {
        name: "secret_value",
        file: ("catalog/a.sql", "CREATE SECRET s AS 'hunter2';\n"),
        says: "error: secret \"s\" cannot be read
 --> catalog/a.sql:1:1
  |
1 | CREATE SECRET s AS '*******';
  | ^^^^^^
hint: Write CREATE SECRET name WITH (backend = 'env') AS 'VARIABLE_NAME' (or 'file' and a path): never the value itself.
",
    },
    Mistake {
        name: "settings",
        file: ("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\n\n[limits]\nconections_max = 3\n"),
        says: "error: unknown key \"conections_max\"
 --> catalog/warehouse.toml:5:1
hint: Did you mean \"connections_max\"?
",
    },
];

pub fn trials() -> Vec<Trial> {
    let mistakes = MISTAKES
        .iter()
        .map(|mistake| trial_of(format!("check_messages::{}", mistake.name), || says(mistake)));
    let others = [
        trial_of("check_messages::summary".to_string(), summary),
        trial_of("check_messages::notes".to_string(), notes),
        trial_of("check_messages::json".to_string(), json),
        trial_of("check_messages::no_project".to_string(), no_project),
        trial_of("check_messages::user".to_string(), user),
    ];
    mistakes.chain(others).collect()
}

fn says(mistake: &Mistake) {
    let warehouse = Warehouse::new();
    for (path, text) in [ORDERS, mistake.file] {
        warehouse.write(path, text);
    }
    let finished = warehouse.sluice(&["check"]);
    finished.expect(1, &[]);
    assert_eq!(finished.stderr, format!("{}\n", mistake.says));
    assert_eq!(finished.stdout, "1 error\n");
}

fn summary() {
    let warehouse = Warehouse::new();
    warehouse.write(ORDERS.0, ORDERS.1);
    warehouse.write("sql/gold/a.sql", "CREATE VIEW gold.a AS SELECT order_id FROM bronze.orders;\n");
    let finished = warehouse.sluice(&["check"]);
    finished.expect(0, &["ok: 1 source, 1 model (read in ", " ms, planned in ", " ms)\n"]);
    assert_eq!(finished.stderr, "");
}

/// Where a stored view has more than one answer; a view that is computed when it is read may have.
fn notes() {
    let warehouse = Warehouse::new();
    warehouse.write(ORDERS.0, ORDERS.1);
    warehouse.write(
        "sql/gold/a.sql",
        "CREATE MATERIALIZED VIEW gold.a AS\nSELECT status, array_agg(order_id) AS ids\nFROM bronze.orders GROUP BY status;\n",
    );
    warehouse.write("sql/gold/b.sql", "CREATE VIEW gold.b AS SELECT order_id FROM bronze.orders LIMIT 3;\n");
    let finished = warehouse.sluice(&["check"]);
    finished.expect(0, &["ok: 1 source, 2 models"]);
    let note = "array_agg(order_id) has no ORDER BY: the answer is not determined, and VERIFY may differ";
    assert_eq!(finished.stderr, format!("note: sql/gold/a.sql:2:16: {note}\n"));
    let json: serde_json::Value =
        serde_json::from_str(&warehouse.sluice(&["check", "--json"]).stdout).unwrap();
    let expected = serde_json::json!([{"file": "sql/gold/a.sql", "line": 2, "column": 16, "message": note}]);
    assert_eq!(json["notes"], expected);
}

fn json() {
    let warehouse = Warehouse::new();
    warehouse.write(ORDERS.0, ORDERS.1);
    let json = |finished: &str| serde_json::from_str::<serde_json::Value>(finished).unwrap();
    let good = warehouse.sluice(&["check", "--json"]);
    good.expect(0, &[]);
    assert_eq!(json(&good.stdout)["ok"], true);
    assert_eq!(json(&good.stdout)["sources"], 1);
    warehouse.write("sql/gold/a.sql", "CREATE VIEW gold.a AS SELECT amuont FROM bronze.orders;\n");
    let bad = warehouse.sluice(&["check", "--json"]);
    bad.expect(1, &[]);
    assert_eq!(
        json(&bad.stdout)["errors"],
        serde_json::json!([{
            "file": "sql/gold/a.sql",
            "line": 1,
            "column": 30,
            "code": "42703",
            "message": "column \"amuont\" does not exist",
            "hint": "Did you mean \"amount\"?",
        }])
    );
}

fn no_project() {
    let warehouse = Warehouse::new();
    warehouse.sluice(&["check", "--project", "nowhere"]).expect(1, &["is no project", "sluice init DIR"]);
}

/// The lines that `sluice user` prints are settings with which the server would start.
fn user() {
    let warehouse = Warehouse::new();
    let finished = warehouse.sluice_given(&["user", "ann", "--password-stdin"], "hunter2\n");
    finished.expect(0, &["[users.ann]\nverifier = \"SCRAM-SHA-256$4096:"]);
    assert!(!finished.text().contains("hunter2"));
    warehouse.write("catalog/warehouse.toml", &finished.stdout);
    warehouse.sluice(&["check"]).expect(0, &[]);
    warehouse.sluice_given(&["user", "Ann!", "--password-stdin"], "x\n").expect(1, &["cannot name a user"]);
    warehouse.sluice_given(&["user", "ann", "--password-stdin"], "\n").expect(1, &["the password is empty"]);
    warehouse.sluice(&["user", "ann"]).expect(1, &["--password-stdin"]);
}
