//! Rights that are passed on, and roles that are made, by who is no superuser.

use crate::roles::{of, shop_with};
use crate::support::trial;
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("grants::are_passed_on_by_who_may", are_passed_on_by_who_may),
        trial("grants::createrole_makes_roles_of_no_more_rights", createrole_makes_roles_of_no_more_rights),
    ]
}

fn are_passed_on_by_who_may() {
    let (warehouse, server) = shop_with(
        "GRANT SELECT ON silver.orders TO ann WITH GRANT OPTION;
         CREATE ROLE team NOLOGIN;
         GRANT team TO ann WITH ADMIN OPTION;\n",
    );
    let (ann, bob) = (of(&server, "ann"), of(&server, "bob"));
    ann.text("GRANT SELECT (order_id, status) ON silver.orders TO bob WITH GRANT OPTION");
    assert_eq!(bob.text("SELECT count(order_id) FROM silver.orders"), "6");
    let root = server.connect();
    root.text("CREATE ROLE eve LOGIN");
    bob.text("GRANT SELECT (order_id) ON silver.orders TO eve");
    let (code, said) = bob.refusal("GRANT SELECT ON gold.daily_sales TO eve");
    assert_eq!(code, "42501");
    assert!(said.contains("permission denied for table daily_sales"), "{said}");
    // Of more than one may pass on, PostgreSQL does what may be, and warns.
    bob.text("GRANT SELECT (order_id, amount) ON silver.orders TO eve");
    let grants = "SELECT grantor, grantee, column_name, is_grantable FROM information_schema.column_privileges \
                  WHERE table_name = 'orders' AND table_schema = 'silver' AND grantee IN ('bob', 'eve') ORDER BY 2, 3";
    let passed_on = "ann|bob|order_id|YES\nann|bob|status|YES\nbob|eve|order_id|NO";
    assert_eq!(root.text(grants), passed_on);
    assert_eq!(
        root.text(
            "SELECT grantee, is_grantable FROM information_schema.table_privileges WHERE table_schema = 'silver'"
        ),
        "ann|YES"
    );
    assert_eq!(
        ann.text(
            "SELECT has_table_privilege('silver.orders', 'SELECT WITH GRANT OPTION'), \
                    has_table_privilege('gold.daily_sales', 'SELECT WITH GRANT OPTION'), \
                    has_column_privilege('bob', 'silver.orders', 'status', 'SELECT WITH GRANT OPTION'), \
                    pg_has_role('team', 'MEMBER WITH ADMIN OPTION'), pg_has_role('reader', 'MEMBER WITH ADMIN OPTION')"
        ),
        "t|f|t|t|f"
    );
    // A role that is one's to give.
    ann.text("GRANT team TO bob");
    assert_eq!(bob.refusal("GRANT team TO eve").0, "42501");
    let members = "SELECT pg_get_userbyid(member), pg_get_userbyid(grantor), admin_option FROM pg_auth_members \
                   WHERE pg_get_userbyid(roleid) = 'team' ORDER BY 1";
    assert_eq!(root.text(members), "ann|sluice|t\nbob|ann|f");
    server.kill9();

    let server = warehouse.serve();
    let (ann, root) = (of(&server, "ann"), server.connect());
    assert_eq!(root.text(grants), passed_on);
    // What bob passed on goes with what he has.
    let (code, said) = ann.refusal("REVOKE SELECT (order_id) ON silver.orders FROM bob");
    assert_eq!(code, "2BP01");
    assert!(said.contains("dependent privileges exist") && said.contains("Use CASCADE"), "{said}");
    ann.text("REVOKE GRANT OPTION FOR SELECT (status) ON silver.orders FROM bob");
    ann.text("REVOKE SELECT (order_id) ON silver.orders FROM bob CASCADE");
    assert_eq!(root.text(grants), "ann|bob|status|NO");
    let (code, said) = root.refusal("REVOKE GRANT OPTION FOR SELECT ON silver.orders FROM ann");
    assert_eq!(code, "42501");
    assert!(said.contains("catalog/roles.sql"), "{said}");
}

fn createrole_makes_roles_of_no_more_rights() {
    let (_warehouse, server) = shop_with("CREATE ROLE chief LOGIN CREATEROLE IN ROLE reader;\n");
    let root = server.connect();
    root.text("SET ROLE chief; CREATE ROLE eve NOLOGIN; GRANT reader TO eve; ALTER ROLE eve LOGIN");
    assert_eq!(
        root.text("SELECT rolname, rolcreaterole FROM pg_roles WHERE rolname IN ('chief', 'eve')"),
        "chief|t\neve|f"
    );
    for (statement, message) in [
        ("CREATE ROLE x SUPERUSER", "must be superuser to create superusers"),
        ("ALTER ROLE sluice NOLOGIN", "must be superuser to alter superuser roles"),
        ("GRANT pg_read_all_data TO chief", "permission denied to grant role"),
        ("GRANT sluice TO chief", "must be superuser to alter superusers"),
        ("GRANT SELECT ON silver.orders TO eve", "permission denied for table orders"),
        ("CREATE POLICY p ON gold.daily_sales USING (true)", "may not CREATE POLICY"),
    ] {
        let (code, said) = root.refusal(statement);
        assert_eq!(code, "42501", "{statement}: {said}");
        assert!(said.contains(message), "{statement}: {said}");
    }
    // In a transaction what came before in it counts.
    root.text("BEGIN; CREATE ROLE team; GRANT team TO eve; COMMIT");
    root.text("RESET ROLE; GRANT SELECT ON silver.orders TO team; SET ROLE chief");
    let (code, said) = root.refusal("GRANT team TO chief");
    assert_eq!(code, "42501");
    assert!(said.contains("\"team\" may what \"chief\" may not"), "{said}");
    root.text("DROP ROLE team, eve");
    assert_eq!(root.text("SELECT count(*) FROM pg_roles WHERE rolname IN ('team', 'eve')"), "0");
}
