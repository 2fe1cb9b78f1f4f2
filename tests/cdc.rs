//! Change feeds: pushes in any order end in the rows that the sequence says, with and without history.

use crate::push::push;
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("cdc::the_newest_row_of_each_key_stands", the_newest_row_of_each_key_stands),
        trial("cdc::late_changes_find_their_place_in_history", late_changes_find_their_place_in_history),
        trial("cdc::what_reads_a_feed_follows_its_changes", what_reads_a_feed_follows_its_changes),
        trial("cdc::a_streaming_table_becomes_a_feed", a_streaming_table_becomes_a_feed),
        trial("cdc::nested_columns_are_tracked_too", nested_columns_are_tracked_too),
        trial("cdc::mistakes_are_placed", mistakes_are_placed),
    ]
}

const SOURCE: &str = "CREATE SOURCE bronze.customers (customer_id BIGINT, op STRING, city STRING, seen INT, updated_at \
                      TIMESTAMPTZ) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;";

const NEWEST: &str = "CREATE OR REFRESH STREAMING TABLE silver.customers (\n  customer_id BIGINT, city STRING, seen INT, updated_at \
                      TIMESTAMPTZ,\n  CONSTRAINT has_key EXPECT (customer_id IS NOT NULL) ON VIOLATION DROP ROW,\n  CONSTRAINT \
                      has_city EXPECT (city IS NOT NULL)\n)\nFLOW AUTO CDC FROM STREAM bronze.customers KEYS (customer_id) \
                      APPLY AS DELETE WHEN op = 'D' SEQUENCE BY updated_at\n  COLUMNS * EXCEPT (op) STORED AS SCD TYPE 1;";

const HISTORY: &str = "CREATE OR REFRESH STREAMING TABLE silver.customers_history\nFLOW AUTO CDC FROM STREAM bronze.customers KEYS \
                       (customer_id) APPLY AS DELETE WHEN op = 'D' SEQUENCE BY updated_at\n  COLUMNS (city, seen) STORED AS SCD \
                       TYPE 2 TRACK HISTORY ON city;";

fn warehouse() -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/customers.sql", SOURCE);
    warehouse
}

/// Changes as (customer, op, city, seen, hour), each pushed for itself and by itself in this order.
fn send(server: &Server, first_token: i64, changes: &[(i64, &str, &str, i64, u8)]) {
    for (number, (customer, op, city, seen, hour)) in changes.iter().enumerate() {
        let body = format!(
            "{{\"customer_id\": {customer}, \"op\": \"{op}\", \"city\": \"{city}\", \"seen\": {seen}, \"updated_at\": \
             \"2026-01-01T{hour:02}:00:00Z\"}}"
        );
        let reply = push(server, "customers", Some(("one", first_token + number as i64)), &body).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

fn the_newest_row_of_each_key_stands() {
    let warehouse = warehouse();
    warehouse.write("sql/silver/customers.sql", NEWEST);
    let server = warehouse.serve();
    let rows = "SELECT customer_id, city, seen FROM silver.customers ORDER BY customer_id";
    send(&server, 1, &[(1, "I", "Oslo", 1, 2), (2, "I", "Rome", 1, 2), (3, "I", "Lima", 1, 2)]);
    server.wait_until(rows, "1|Oslo|1\n2|Rome|1\n3|Lima|1");
    // An older change comes late, a tie goes to the later position, a delete leaves no row; and NULL is no order at all.
    send(&server, 4, &[(1, "U", "Bonn", 2, 1), (2, "U", "Pisa", 2, 2), (3, "D", "", 0, 3)]);
    server.wait_until(rows, "1|Oslo|1\n2|Pisa|2");
    let null = "{\"customer_id\": 1, \"op\": \"U\", \"city\": \"Nowhere\", \"updated_at\": null}\n{\"customer_id\": 4, \"op\": \"I\"}\n\
                {\"op\": \"I\", \"city\": \"Nobody\", \"updated_at\": \"2026-01-01T05:00:00Z\"}";
    assert_eq!(push(&server, "customers", Some(("one", 7)), null).unwrap().status, 200);
    server.wait_until(rows, "1|Oslo|1\n2|Pisa|2\n4||");
    // What deletes stays deleted, until something newer comes.
    send(&server, 8, &[(3, "U", "Lima", 4, 2)]);
    send(&server, 9, &[(3, "U", "Cusco", 5, 4)]);
    server.wait_until(rows, "1|Oslo|1\n2|Pisa|2\n3|Cusco|5\n4||");
    assert_eq!(
        server.query(
            "SELECT kind, refresh_policy, key_columns, incremental, why_not FROM sluice.models WHERE model = 'silver.customers'"
        ),
        "streaming table|scd type 1|customer_id|t|"
    );
    // The first refresh computes everything; after it, only keys that changed are.
    assert_eq!(
        server.query(
            "SELECT DISTINCT mode FROM sluice.refreshes WHERE model = 'silver.customers' AND reason NOT LIKE 'first%' \
             AND reason NOT LIKE 'what stands%'"
        ),
        "incremental"
    );
    server.wait_until(
        "SELECT name, sum(failed) >= 1 FROM sluice.expectations WHERE model = 'silver.customers' GROUP BY 1 ORDER BY 1",
        "has_city|t\nhas_key|t",
    );
    // The same after a kill.
    server.kill9();
    let server = warehouse.serve();
    send(&server, 10, &[(2, "D", "", 0, 9)]);
    server.wait_until(rows, "1|Oslo|1\n3|Cusco|5\n4||");
}

const VERSIONS: &str = "SELECT city, seen, to_char(__START_AT, '%H'), to_char(__END_AT, '%H') FROM silver.customers_history \
                        WHERE customer_id = 1 ORDER BY __start_at";

fn late_changes_find_their_place_in_history() {
    let warehouse = warehouse();
    warehouse.write("sql/silver/customers_history.sql", HISTORY);
    let server = warehouse.serve();
    send(&server, 1, &[(1, "I", "Oslo", 1, 1), (1, "U", "Rome", 2, 5), (2, "I", "Lima", 1, 1)]);
    server.wait_until(VERSIONS, "Oslo|1|01|05\nRome|2|05|");
    // What is not tracked changes within its version.
    send(&server, 4, &[(1, "U", "Rome", 3, 6)]);
    server.wait_until(VERSIONS, "Oslo|1|01|05\nRome|3|05|");
    // A late change cuts a version in two; a late delete leaves a gap.
    send(&server, 5, &[(1, "U", "Bonn", 9, 3)]);
    server.wait_until(VERSIONS, "Oslo|1|01|03\nBonn|9|03|05\nRome|3|05|");
    send(&server, 6, &[(1, "D", "", 0, 4)]);
    server.wait_until(VERSIONS, "Oslo|1|01|03\nBonn|9|03|04\nRome|3|05|");
    // A late change that says what the next one says moves that one's start.
    send(&server, 7, &[(1, "U", "Rome", 0, 4)]);
    server.wait_until(VERSIONS, "Oslo|1|01|03\nBonn|9|03|04\nRome|3|04|");
    send(&server, 8, &[(1, "D", "", 0, 8), (1, "D", "", 0, 9)]);
    server.wait_until(VERSIONS, "Oslo|1|01|03\nBonn|9|03|04\nRome|3|04|08");
    assert_eq!(
        server.query(
            "SELECT refresh_policy, key_columns, incremental FROM sluice.models WHERE model LIKE '%history'"
        ),
        "scd type 2|customer_id, __start_at|t"
    );
    assert_eq!(server.query("SELECT count(*) FROM silver.customers_history WHERE __END_AT IS NULL"), "1");
}

fn what_reads_a_feed_follows_its_changes() {
    let warehouse = warehouse();
    warehouse.write("sql/silver/customers_history.sql", HISTORY);
    warehouse.write(
        "sql/gold/dim_customer.sql",
        "CREATE MATERIALIZED VIEW gold.dim_customer (customer_key BIGINT NOT NULL, customer_id BIGINT, city STRING, PRIMARY KEY \
         (customer_key)) AS SELECT surrogate_key(customer_id, __start_at) AS customer_key, customer_id, city FROM \
         silver.customers_history;",
    );
    let server = warehouse.serve();
    let rows = "SELECT customer_id, city FROM gold.dim_customer ORDER BY 1, 2";
    let keys = "SELECT customer_key FROM gold.dim_customer WHERE city IN ('Lima', 'Oslo') ORDER BY city";
    send(&server, 1, &[(1, "I", "Oslo", 1, 1), (2, "I", "Lima", 1, 1)]);
    server.wait_until(rows, "1|Oslo\n2|Lima");
    let given = server.query(keys);
    send(&server, 3, &[(1, "U", "Rome", 1, 4), (1, "U", "Bonn", 1, 3)]);
    server.wait_until(rows, "1|Bonn\n1|Oslo\n1|Rome\n2|Lima");
    // A key that was given is given for ever.
    assert_eq!(server.query(keys), given);
    assert_eq!(server.query("SELECT count(DISTINCT customer_key) FROM gold.dim_customer"), "4");
}

fn a_streaming_table_becomes_a_feed() {
    let warehouse = warehouse();
    warehouse.write(
        "sql/silver/customers.sql",
        "CREATE STREAMING TABLE silver.customers AS SELECT customer_id, city FROM STREAM bronze.customers;",
    );
    let rows = "SELECT customer_id, city FROM silver.customers ORDER BY 1, 2";
    let server = warehouse.serve();
    send(&server, 1, &[(1, "I", "Oslo", 1, 1), (1, "U", "Rome", 2, 5)]);
    server.wait_until(rows, "1|Oslo\n1|Rome");
    server.kill9();
    warehouse.write(
        "sql/silver/customers.sql",
        "CREATE STREAMING TABLE silver.customers FLOW AUTO CDC FROM STREAM bronze.customers KEYS (customer_id) SEQUENCE BY \
         updated_at COLUMNS (city);",
    );
    let server = warehouse.serve();
    server.wait_until(rows, "1|Rome");
    send(&server, 3, &[(1, "U", "Bonn", 2, 6)]);
    server.wait_until(rows, "1|Bonn");
}

fn nested_columns_are_tracked_too() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/parts.sql",
        "CREATE SOURCE bronze.parts (shop STRING, part INT, size STRUCT<w INT, h INT>, tags ARRAY<STRING>, seq INT) WITH \
         (connector = 'http') FORMAT PLAIN ENCODE JSON;",
    );
    warehouse.write(
        "sql/silver/parts.sql",
        "CREATE STREAMING TABLE silver.parts FLOW AUTO CDC FROM STREAM bronze.parts KEYS (shop, part) SEQUENCE BY seq\nCOLUMNS \
         (size, tags) STORED AS SCD TYPE 2;",
    );
    let server = warehouse.serve();
    let part = |rest: &str, seq: i64| format!("{{\"shop\": \"a\", \"part\": 1, {rest}, \"seq\": {seq}}}\n");
    let first = "\"size\": {\"w\": 1, \"h\": 2}, \"tags\": [\"x\"]";
    let wider = "\"size\": {\"w\": 2, \"h\": 2}, \"tags\": [\"x\"]";
    let tagged = "\"size\": {\"w\": 2, \"h\": 2}, \"tags\": [\"x\", null]";
    let changes = [first, first, wider, wider, tagged, tagged];
    // The last comes first.
    for (token, (number, rest)) in changes.iter().enumerate().rev().enumerate() {
        let reply =
            push(&server, "parts", Some(("one", token as i64 + 1)), &part(rest, number as i64)).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    server.wait_until(
        "SELECT shop, part, size['w'], array_length(tags, 1), __start_at, __end_at FROM silver.parts ORDER BY __start_at",
        "a|1|1|1|0|2\na|1|2|1|2|4\na|1|2|2|4|",
    );
}

fn mistakes_are_placed() {
    let warehouse = warehouse();
    warehouse.write("sql/silver/customers.sql", NEWEST);
    let check = |text: &str, expected: &[&str]| {
        warehouse.write("sql/silver/moves.sql", text);
        warehouse.sluice(&["check"]).expect(1, expected);
    };
    check(
        "CREATE STREAMING TABLE silver.moves\nAS SELECT city FROM STREAM silver.customers;",
        &[
            "STREAM \"silver.customers\" is kept by AUTO CDC, whose rows come and go",
            "sql/silver/moves.sql:2:28",
            "leave STREAM out and make this a materialized view",
        ],
    );
    check(
        "CREATE STREAMING TABLE silver.moves FLOW AUTO CDC\nFROM STREAM bronze.customers KEYS (customer)\nAPPLY AS DELETE WHEN \
         opp = 'D' SEQUENCE BY updated;",
        &[
            "APPLY AS DELETE WHEN: column \"opp\" does not exist",
            "sql/silver/moves.sql:3:22",
            "Did you mean \"op\"?",
        ],
    );
    check(
        "CREATE STREAMING TABLE silver.moves (a INT)\nFLOW AUTO CDC FROM STREAM bronze.customers KEYS (customer)\nSEQUENCE BY \
         updated;",
        &[
            "KEYS column \"customer\" does not exist",
            "sql/silver/moves.sql:2:50",
            "SEQUENCE BY column \"updated\" does not exist",
            "sql/silver/moves.sql:3:13",
        ],
    );
}
