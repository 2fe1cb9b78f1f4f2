//! The decision, over a few roles.

use super::{Access, Action, Decision, Held, RuleSource, Rules, read, rules_of_users, statement_of};
use crate::lake::TableName;
use crate::sql::{AccessStatement, Definition, parse_file};
use chrono::DateTime;
use std::path::Path;

const ROLES: &str = "
CREATE ROLE reader NOLOGIN;
CREATE ROLE ann LOGIN PASSWORD SECRET ann_password IN ROLE reader;
CREATE ROLE bob LOGIN;
CREATE ROLE support NOLOGIN;
GRANT support TO bob;
GRANT SELECT ON SCHEMA gold TO reader;
GRANT SELECT (id, name) ON silver.people TO bob;
GRANT INSERT ON bronze.readings TO bob;
GRANT MAINTAIN ON gold.sales TO ann;
CREATE POLICY own ON gold.sales FOR SELECT TO reader USING (region = current_user);
CREATE POLICY open ON gold.sales AS RESTRICTIVE USING (amount < 10);
ALTER TABLE silver.people ALTER COLUMN name SET MASK ('x') EXCEPT support;
ALTER TABLE gold.people ALTER COLUMN name SET MASK ('x') EXCEPT support;
";

fn access() -> Access {
    let mut rules = Rules::default();
    for (key, rule) in read(ROLES).unwrap() {
        rules.0.insert(key, Held { rule, source: RuleSource::Settings });
    }
    let users = [("root".to_string(), true), ("old".to_string(), false), ("bob".to_string(), false)];
    let users = rules_of_users(users.iter().map(|(name, superuser)| (name, *superuser)), &rules);
    Access::new(users.over(rules))
}

fn of(table: &str) -> TableName {
    let (schema, name) = table.split_once('.').unwrap();
    TableName::new(schema, name)
}

fn select(access: &Access, role: &str, table: &str) -> String {
    match access.decide(role, Action::Select(&of(table))) {
        Decision::Denied => "denied".to_string(),
        Decision::Granted => "granted".to_string(),
        Decision::Restricted(restriction) => {
            let columns =
                restriction.columns.map(|columns| columns.into_iter().collect::<Vec<_>>().join(","));
            format!("{:?} {:?} {:?}", columns, restriction.filter, restriction.masks)
        }
    }
}

#[test]
fn nothing_is_allowed_that_was_not_granted() {
    let access = access();
    for (role, table, expected) in [
        ("ann", "gold.days", "granted"),
        ("ann", "silver.people", "denied"),
        ("bob", "gold.days", "denied"),
        ("support", "gold.days", "denied"),
        ("nobody", "gold.days", "denied"),
        ("root", "gold.sales", "granted"),
        ("root", "sluice.audit_log", "granted"),
        ("old", "silver.orders", "granted"),
        ("old", "sluice.audit_log", "denied"),
        // A user of the settings whose role is declared has what that one has.
        ("bob", "silver.orders", "denied"),
        ("bob", "silver.people", r#"Some("id,name") None {}"#),
        ("ann", "gold.sales", r#"None Some("((region = current_user)) AND (amount < 10)") {}"#),
        ("old", "gold.sales", r#"None Some("(false) AND (amount < 10)") {}"#),
        ("ann", "gold.people", r#"None None {"name": "'x'"}"#),
        // What stands beside a table holds its rows as they came.
        ("ann", "gold.sales__quarantine", "denied"),
        ("ann", "gold.days__quarantine", "granted"),
        ("old", "sluice.quarantine", "denied"),
        ("old", "sluice.sources", "granted"),
    ] {
        assert_eq!(select(&access, role, table), expected, "{role} {table}");
    }
    for (role, action, expected) in [
        ("bob", Action::Insert(&of("bronze.readings")), true),
        ("ann", Action::Insert(&of("bronze.readings")), false),
        ("old", Action::Insert(&of("bronze.readings")), true),
        ("ann", Action::Maintain(&of("gold.sales")), true),
        ("bob", Action::Maintain(&of("gold.sales")), false),
        ("ann", Action::Create("gold"), false),
        ("root", Action::Create("gold"), true),
        ("root", Action::Administer, true),
        ("old", Action::Administer, false),
    ] {
        assert_eq!(access.allows(role, action), expected, "{role} {action:?}");
    }
}

#[test]
fn rules_are_kept_as_statements_that_say_the_same() {
    for (key, rule) in read(ROLES).unwrap() {
        let statement = statement_of(&key, &rule);
        assert_eq!(read(&statement).unwrap(), [(key, rule)], "{statement}");
    }
}

fn statements(text: &str) -> Vec<AccessStatement> {
    let of = |definition| match definition {
        Definition::Access(access) => access.statement,
        other => panic!("{other:?}"),
    };
    parse_file(Path::new("x.sql"), text).unwrap().into_iter().map(of).collect()
}

#[test]
fn what_was_typed_can_be_taken_back_and_files_are_left_alone() {
    let mut files = Rules::default();
    for (key, rule) in read("CREATE ROLE filed; GRANT SELECT ON gold.days TO filed").unwrap() {
        files.add_of_file(key, rule, crate::sql::Origin::default());
    }
    let mut typed = Rules::default();
    let mut change = |text: &str| {
        let outcome = statements(text)
            .iter()
            .try_for_each(|said| typed.change(said, &files, "root", DateTime::UNIX_EPOCH));
        (outcome.err().map(|refusal| refusal.code), typed.0.len())
    };
    assert_eq!(change("CREATE ROLE a LOGIN; CREATE ROLE b; GRANT a TO b"), (None, 3));
    assert_eq!(change("CREATE ROLE a"), (Some("42710"), 3));
    assert_eq!(change("CREATE ROLE filed"), (Some("42710"), 3));
    assert_eq!(change("GRANT SELECT (x, y), INSERT ON gold.days, gold.weeks TO a"), (None, 9));
    assert_eq!(change("REVOKE SELECT ON gold.days FROM a"), (None, 7));
    assert_eq!(change("REVOKE SELECT ON gold.days FROM filed"), (Some("42501"), 7));
    assert_eq!(change("REVOKE SELECT ON gold.nothing FROM a"), (None, 7));
    assert_eq!(change("ALTER ROLE filed LOGIN"), (Some("42501"), 7));
    assert_eq!(change("ALTER ROLE nobody LOGIN"), (Some("42704"), 7));
    assert_eq!(change("CREATE POLICY p ON gold.days TO a USING (true)"), (None, 8));
    assert_eq!(change("DROP ROLE a"), (None, 1));
    assert_eq!(change("DROP ROLE filed"), (Some("42501"), 1));
    assert_eq!(change("DROP ROLE IF EXISTS nobody"), (None, 1));
}

#[test]
fn circles_are_found() {
    let mut rules = Rules::default();
    for (key, rule) in
        read("CREATE ROLE a; CREATE ROLE b; GRANT a TO b; GRANT b TO a; GRANT a TO nobody").unwrap()
    {
        rules.add_of_file(key, rule, crate::sql::Origin::default());
    }
    let errors: Vec<_> = Access::new(rules).errors().into_iter().map(|error| error.message).collect();
    assert_eq!(
        errors,
        [
            "role \"a\" is a member of role \"b\", and that one of it",
            "role \"b\" is a member of role \"a\", and that one of it",
            "role \"nobody\" does not exist",
        ]
    );
}
