//! Policies and masks hold where a way around them is near: the record's bytes, roles that are dropped, what the server tells of
//! rows elsewhere.

use crate::roles::{of, shop, shop_with};
use crate::support::{Server, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("policies::of_sources_hide_rows_and_the_bytes_behind_masks", sources_hide_rows_and_bytes),
        trial("policies::keep_the_roles_that_they_are_for", a_role_that_a_policy_is_for_stays),
        trial("policies::hide_what_alerts_say_of_rows", hide_what_alerts_say_of_rows),
    ]
}

/// A source's rows have the record as it came: it shows what a mask covers.
fn sources_hide_rows_and_bytes() {
    let (_warehouse, server) = shop_with(
        "GRANT SELECT ON SCHEMA bronze TO bob, ann;
         CREATE POLICY of_bob ON bronze.customers TO bob USING (customer_id = 11);
         CREATE POLICY of_ann ON bronze.customers TO ann USING (true);
         ALTER TABLE bronze.customers ALTER COLUMN name SET MASK (upper(substr(name, 1, 1))) EXCEPT ann;\n",
    );
    let (bob, ann) = (of(&server, "bob"), of(&server, "ann"));
    let rows = "SELECT customer_id, name, _raw IS NULL, _offset IS NULL FROM bronze.customers ORDER BY 1";
    assert_eq!(bob.text(rows), "11|B|t|f");
    assert_eq!(
        ann.text("SELECT count(*), count(_raw), max(length(name)) > 1 FROM bronze.customers"),
        "4|4|t"
    );
    assert_eq!(bob.text("SELECT count(*) FROM bronze.orders WHERE _raw IS NOT NULL"), "8", "it has no mask");
    let root = server.connect();
    root.text("CREATE POLICY cheap ON bronze.orders TO bob USING (amount < 30)");
    assert_eq!(bob.text("SELECT count(*), count(_raw) FROM bronze.orders"), "5|5");
    root.text("ALTER TABLE bronze.orders ALTER COLUMN _raw SET MASK (NULL)");
    assert_eq!(bob.text("SELECT count(*), count(_raw), count(amount) FROM bronze.orders"), "5|0|5");
}

/// Were it dropped, its table would have no policy, and everybody would see it whole.
fn a_role_that_a_policy_is_for_stays() {
    let (warehouse, server) = shop();
    let root = server.connect();
    root.text("CREATE ROLE team; CREATE ROLE other; GRANT SELECT ON silver.orders TO bob");
    root.text("CREATE POLICY few ON silver.orders TO team USING (amount < 30)");
    root.text("CREATE POLICY paid ON silver.orders AS RESTRICTIVE TO team, other USING (status = 'paid')");
    let hidden = |server: &Server| {
        assert_eq!(of(server, "bob").text("SELECT count(*) FROM silver.orders"), "0");
    };
    hidden(&server);
    for role in ["team", "other", "other, team"] {
        let (code, said) = root.refusal(&format!("DROP ROLE {role}"));
        assert_eq!(code, "2BP01", "{said}");
        assert!(said.contains("cannot be dropped because some objects depend on it"), "{said}");
        assert!(said.contains("policy paid on table silver.orders"), "{said}");
        assert!(said.contains("DROP POLICY paid ON silver.orders"), "{said}");
    }
    assert!(root.refusal("DROP ROLE team").1.contains("policy few on table silver.orders"));
    hidden(&server);
    server.kill9();
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM silver.orders", "6");
    hidden(&server);
    server
        .connect()
        .text("DROP POLICY few ON silver.orders; DROP POLICY paid ON silver.orders; DROP ROLE team, other");
    assert_eq!(
        of(&server, "bob").text("SELECT count(*) FROM silver.orders"),
        "6",
        "there is no policy any more"
    );
}

fn hide_what_alerts_say_of_rows() {
    let (_warehouse, server) = shop_with(
        "CREATE ALERT dear BY (order_id) IF (EXISTS (SELECT order_id, amount FROM silver.orders WHERE amount > 1000));
         GRANT SELECT ON SCHEMA sluice TO bob;\n",
    );
    server.wait_until("SELECT labels FROM sluice.alert_instances", "{\"order_id\":\"6\"}");
    let (bob, old) = (of(&server, "bob"), of(&server, "old"));
    for session in [&bob, &old] {
        assert_eq!(session.text("SELECT \"values\" FROM sluice.alert_instances"), "{\"amount\":\"1250.00\"}");
    }
    server.query("CREATE POLICY cheap ON silver.orders USING (amount < 30)");
    for session in [&bob, &old] {
        for table in ["alert_instances", "alert_log", "quarantine", "refreshes", "audits", "incidents"] {
            assert_eq!(session.refusal(&format!("SELECT * FROM sluice.{table}")).0, "42501", "{table}");
        }
        assert_eq!(session.text("SELECT firing FROM sluice.alerts"), "1", "how many is no row");
    }
}
