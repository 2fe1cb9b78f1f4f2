//! Logging in as a role, with a password that is a secret; secrets that come late; what is noted of who ran what.

use crate::roles::{ROLES, SETTINGS, of, shop};
use crate::support::pg::Pg;
use crate::support::{Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("logins::go_by_a_secret_that_may_change", go_by_a_secret_that_may_change),
        trial(
            "logins::sources_start_once_their_secrets_can_be_had",
            sources_start_once_their_secrets_can_be_had,
        ),
        trial("logins::who_ran_what_is_noted", who_ran_what_is_noted),
    ]
}

fn go_by_a_secret_that_may_change() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", SETTINGS);
    warehouse.write("secrets/eve", "pencil\n");
    warehouse.write(
        "catalog/roles.sql",
        format!(
            "{ROLES}CREATE SECRET eve_password WITH (backend = 'file') AS 'secrets/eve';
             CREATE ROLE eve LOGIN PASSWORD SECRET eve_password IN ROLE reader;
             CREATE ROLE closed NOLOGIN PASSWORD SECRET eve_password;\n"
        ),
    );
    let server = warehouse.serve();
    let log_in = |user: &str, password: &str| Pg::connect(server.pg, user, Some(password));
    assert_eq!(log_in("eve", "pencil").unwrap().text("SELECT current_user"), "eve");
    for (user, password) in [("eve", "pen"), ("closed", "pencil"), ("nobody", "pencil")] {
        let error = log_in(user, password).err().unwrap();
        assert_eq!(crate::support::pg::code(&error), "28P01", "{user}");
    }
    warehouse.write("secrets/eve", "pen\n");
    assert_eq!(log_in("eve", "pen").unwrap().text("SELECT current_user"), "eve");
    assert!(log_in("eve", "pencil").is_err());
    let log = server.log();
    assert!(!log.contains("pencil"), "{log}");
}

fn sources_start_once_their_secrets_can_be_had() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/late.sql",
        "CREATE SECRET place WITH (backend = 'file') AS 'secrets/place';
         CREATE SOURCE bronze.late (a INT) WITH (connector = 'files', path = SECRET place) FORMAT PLAIN ENCODE CSV;\n",
    );
    warehouse.write("input/late/1.csv", "a\n1\n2\n");
    let server = warehouse.serve();
    let state = "SELECT state, error FROM sluice.sources WHERE source = 'bronze.late'";
    server.wait_until(&format!("SELECT state FROM ({state})"), "failed");
    assert!(server.query(state).contains("secret \"place\": could not read file"), "{}", server.query(state));
    warehouse.write("secrets/place", "input/late\n");
    server.wait_until("SELECT count(*) FROM bronze.late", "2");
}

fn who_ran_what_is_noted() {
    let (warehouse, server) = shop();
    let bob = of(&server, "bob");
    assert_eq!(bob.refusal("SELECT * FROM silver.orders").0, "42501");
    let root = server.connect();
    root.text("SELECT count(*) FROM silver.orders; SET ROLE ann; SELECT 1; RESET ROLE");
    assert_eq!(root.refusal("SELECT nothing FROM gold.daily_sales").0, "42703");
    assert_eq!(root.refusal("SELECT 1 / (order_id - order_id) FROM silver.orders").0, "22012");
    root.refusal("ALTER ROLE ann PASSWORD 'SCRAM-SHA-256$4096:hunter2$a:b'");
    root.run(root.client().query("SELECT order_id FROM silver.orders WHERE order_id = $1", &[&1_i64]))
        .unwrap();
    let noted = "SELECT role, login, protocol, objects, outcome, coalesce(sqlstate, '-'), statement FROM sluice.audit_log \
                 WHERE at > now() - interval '1 hour' AND statement NOT LIKE '%sluice.audit_log%' AND \
                 (statement LIKE '%orders%' OR statement LIKE '%1%' OR statement LIKE '%ann%' OR outcome <> 'ok') ORDER BY at";
    let expected = [
        "bob|bob|postgres|silver.orders|denied|42501|SELECT * FROM silver.orders",
        "sluice|sluice|postgres|silver.orders|ok|-|SELECT count(*) FROM silver.orders",
        "sluice|sluice|postgres|ann|ok|-|SET ROLE ann",
        "ann|sluice|postgres||ok|-|SELECT 1",
        "sluice|sluice|postgres|gold.daily_sales|failed|42703|SELECT nothing FROM gold.daily_sales",
        "sluice|sluice|postgres|silver.orders|failed|22012|SELECT 1 / (order_id - order_id) FROM silver.orders",
        "sluice|sluice|postgres|ann|denied|42501|ALTER ROLE ann PASSWORD '***'",
        "sluice|sluice|postgres|silver.orders|ok|-|SELECT order_id FROM silver.orders WHERE order_id = $1",
    ];
    let ours = |text: String| {
        let ours = |line: &&str| expected.contains(line);
        text.lines().filter(ours).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(ours(root.text(noted)), expected);
    assert_eq!(root.text("SELECT count(*) FROM sluice.audit_log WHERE statement LIKE '%hunter2%'"), "0");
    assert!(root.text("SELECT client FROM sluice.audit_log LIMIT 1").starts_with("127.0.0.1"));
    // It outlasts the server once it is written.
    let (status, _) = server.terminate();
    assert!(status.success());
    let server = warehouse.serve();
    assert_eq!(ours(server.query(noted)), expected);
}
