//! The decision, over a few roles.

use super::{Access, Action, Decision, Held, RuleSource, Rules, Said, read, rules_of_users, statement_of};
use crate::catalog::definitions::Refusal;
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
CREATE ROLE boss LOGIN CREATEROLE;
GRANT reader TO boss WITH ADMIN OPTION;
GRANT SELECT ON gold.days TO boss WITH GRANT OPTION;
GRANT SELECT (id) ON gold.people TO ann WITH GRANT OPTION GRANTED BY boss;
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
    let files = files.over(rules_of_users([(&"root".to_string(), true)].into_iter(), &Rules::default()));
    let mut typed = Rules::default();
    let mut change = |text: &str| {
        let outcome = say(&mut typed, &files, "root", text);
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
    assert_eq!(change("DROP ROLE a"), (Some("2BP01"), 8));
    assert_eq!(change("DROP POLICY p ON gold.days; DROP ROLE a"), (None, 1));
    assert_eq!(change("DROP ROLE filed"), (Some("42501"), 1));
    assert_eq!(change("DROP ROLE IF EXISTS nobody"), (None, 1));
}

/// Does what a role says; the warnings.
fn say(typed: &mut Rules, others: &Rules, role: &str, text: &str) -> Result<Vec<String>, Refusal> {
    let (by, at) = (role, DateTime::UNIX_EPOCH);
    let told = statements(text).iter().try_fold(vec![], |mut told, statement| {
        told.extend(typed.say(&Said { statement, role, by, at }, others)?);
        Ok(told)
    })?;
    Ok(told.into_iter().map(|notice| format!("{} {}", notice.code, notice.message)).collect())
}

/// A warehouse in which everything was typed, and what comes of more that is.
struct Typed {
    typed: Rules,
    others: Rules,
}

impl Typed {
    fn new(by_root: &str) -> Self {
        let others = rules_of_users([(&"root".to_string(), true)].into_iter(), &Rules::default());
        let mut typed = Self { typed: Rules::default(), others };
        assert_eq!(typed.say("root", by_root), "");
        typed
    }

    /// What is told, be it warnings or a refusal, which changes nothing.
    fn say(&mut self, role: &str, text: &str) -> String {
        let mut typed = self.typed.clone();
        match say(&mut typed, &self.others, role, text) {
            Ok(told) => {
                self.typed = typed;
                told.join("; ")
            }
            Err(refusal) => format!("{} {}", refusal.code, refusal.message),
        }
    }

    fn all(&self) -> Vec<String> {
        let grants = self.typed.0.iter().map(|(key, held)| statement_of(key, &held.rule));
        grants.filter(|statement| statement.starts_with("GRANT")).collect()
    }
}

#[test]
fn rights_are_passed_on_as_far_as_they_may_be() {
    let mut house = Typed::new(
        "CREATE ROLE ann; CREATE ROLE bob; CREATE ROLE eve; CREATE ROLE team; GRANT team TO ann;
         GRANT SELECT ON gold.days TO ann WITH GRANT OPTION; GRANT INSERT ON gold.days TO ann;
         GRANT SELECT ON SCHEMA silver TO team WITH GRANT OPTION; GRANT SELECT ON gold.weeks TO ann",
    );
    assert_eq!(
        house.say("eve", "GRANT SELECT ON gold.days TO bob"),
        "42501 permission denied for table days"
    );
    assert_eq!(
        house.say("eve", "REVOKE SELECT ON gold.days FROM ann"),
        "42501 permission denied for table days"
    );
    let none = "01007 no privileges were granted for \"weeks\"";
    assert_eq!(house.say("ann", "GRANT SELECT ON gold.weeks TO bob"), none);
    let partly = "01007 not all privileges were granted for \"days\"";
    assert_eq!(house.say("ann", "GRANT SELECT, INSERT ON gold.days TO bob"), partly);
    assert_eq!(house.say("ann", "GRANT ALL ON gold.days TO bob WITH GRANT OPTION"), "");
    assert_eq!(house.say("bob", "GRANT SELECT (a) ON gold.days TO eve"), "");
    // By a role that she is a member of, and in its name.
    assert_eq!(house.say("ann", "GRANT SELECT ON silver.orders TO eve"), "");
    assert_eq!(
        house.say("ann", "GRANT SELECT ON SCHEMA gold TO eve"),
        "01007 no privileges were granted for \"gold\""
    );
    assert_eq!(
        house.say("ann", "GRANT SELECT ON gold.days TO eve GRANTED BY root"),
        "0A000 grantor must be current user"
    );
    assert_eq!(
        house.all(),
        [
            "GRANT \"team\" TO \"ann\"",
            "GRANT SELECT ON \"gold\".\"days\" TO \"ann\" WITH GRANT OPTION",
            "GRANT INSERT ON \"gold\".\"days\" TO \"ann\"",
            "GRANT SELECT ON \"gold\".\"weeks\" TO \"ann\"",
            "GRANT SELECT ON \"gold\".\"days\" TO \"bob\" WITH GRANT OPTION GRANTED BY \"ann\"",
            "GRANT SELECT (\"a\") ON \"gold\".\"days\" TO \"eve\" GRANTED BY \"bob\"",
            "GRANT SELECT ON \"silver\".\"orders\" TO \"eve\" GRANTED BY \"team\"",
            "GRANT SELECT ON SCHEMA \"silver\" TO \"team\" WITH GRANT OPTION",
        ]
    );
    // What somebody else gave is not bob's to take back.
    assert_eq!(house.say("bob", "REVOKE SELECT ON gold.days FROM ann"), "");
    assert_eq!(house.all().len(), 8);
    let dependent = "2BP01 dependent privileges exist";
    for said in
        ["REVOKE SELECT ON gold.days FROM ann", "REVOKE GRANT OPTION FOR SELECT ON gold.days FROM ann"]
    {
        assert_eq!(house.say("root", said), dependent);
    }
    let mut other = Typed { typed: house.typed.clone(), others: house.others.clone() };
    assert_eq!(other.say("root", "REVOKE SELECT ON gold.days FROM ann CASCADE"), "");
    assert_eq!(other.all().len(), 5);
    assert_eq!(house.say("root", "REVOKE GRANT OPTION FOR SELECT ON gold.days FROM ann CASCADE"), "");
    assert!(house.all().contains(&"GRANT SELECT ON \"gold\".\"days\" TO \"ann\"".to_string()));
    assert_eq!(house.all().len(), 6);
    // What a superuser gives, too, does not hang on who gave it first.
    assert_eq!(house.say("root", "GRANT SELECT ON silver.orders TO eve"), "");
    assert_eq!(house.say("root", "REVOKE SELECT ON SCHEMA silver FROM team"), "");
    assert!(house.all().contains(&"GRANT SELECT ON \"silver\".\"orders\" TO \"eve\"".to_string()));
}

#[test]
fn who_has_a_role_with_admin_option_gives_it() {
    let mut house = Typed::new(
        "CREATE ROLE reader; CREATE ROLE ann; CREATE ROLE bob; CREATE ROLE boss SUPERUSER;
         GRANT reader TO ann WITH ADMIN OPTION",
    );
    let refused = "42501 must have admin option on role \"reader\"";
    assert_eq!(house.say("bob", "GRANT reader TO bob"), refused);
    assert_eq!(house.say("reader", "GRANT reader TO bob"), refused, "no role is its own administrator");
    assert_eq!(house.say("ann", "GRANT boss TO ann"), "42501 must be superuser to alter superusers");
    assert_eq!(house.say("ann", "GRANT reader TO bob"), "");
    assert_eq!(house.say("bob", "REVOKE reader FROM ann"), refused);
    assert_eq!(house.say("ann", "REVOKE reader FROM bob"), "");
    assert_eq!(house.say("root", "REVOKE ADMIN OPTION FOR reader FROM ann"), "");
    assert_eq!(house.all(), ["GRANT \"reader\" TO \"ann\""]);
    assert_eq!(house.say("ann", "GRANT reader TO bob"), refused);
    assert_eq!(house.say("ann", "GRANT nobody TO bob"), "42704 role \"nobody\" does not exist");
}

#[test]
fn createrole_is_no_way_to_more_than_one_has() {
    let mut house = Typed::new(
        "CREATE ROLE chief LOGIN CREATEROLE; CREATE ROLE reader; CREATE ROLE rich; CREATE ROLE open; CREATE ROLE held;
         CREATE ROLE boss SUPERUSER; CREATE ROLE seer BYPASSRLS; CREATE ROLE ann LOGIN; GRANT rich TO ann;
         GRANT SELECT ON SCHEMA gold TO reader, chief; GRANT SELECT ON silver.secrets TO rich;
         CREATE POLICY some ON gold.days TO open USING (true); CREATE POLICY few ON gold.days AS RESTRICTIVE TO held USING (false);
         ALTER TABLE gold.days ALTER COLUMN day SET MASK (NULL) EXCEPT reader",
    );
    for (said, told) in [
        ("CREATE ROLE x SUPERUSER", "42501 must be superuser to create superusers"),
        ("CREATE ROLE x BYPASSRLS", "42501 must be superuser to create bypassrls users"),
        ("CREATE ROLE x IN ROLE rich", "42501 permission denied to grant role \"rich\""),
        (
            "ALTER ROLE boss NOLOGIN",
            "42501 must be superuser to alter superuser roles or change superuser attribute",
        ),
        (
            "ALTER ROLE ann NOSUPERUSER",
            "42501 must be superuser to alter superuser roles or change superuser attribute",
        ),
        ("ALTER ROLE chief BYPASSRLS", "42501 must be superuser to change bypassrls attribute"),
        // Whose password one sets, one may become.
        ("ALTER ROLE ann PASSWORD NULL", "42501 permission denied"),
        ("GRANT rich TO chief", "42501 permission denied to grant role \"rich\""),
        ("GRANT ann TO chief", "42501 permission denied to grant role \"ann\""),
        ("GRANT seer TO chief", "42501 permission denied to grant role \"seer\""),
        ("GRANT boss TO chief", "42501 must be superuser to alter superusers"),
        ("GRANT pg_read_all_data TO chief", "42501 permission denied to grant role \"pg_read_all_data\""),
        // A policy and a mask let them see what others do not.
        ("GRANT open TO chief", "42501 permission denied to grant role \"open\""),
        ("GRANT reader TO chief", "42501 permission denied to grant role \"reader\""),
        ("REVOKE held FROM chief", "42501 permission denied to revoke role \"held\""),
        ("DROP ROLE open", "2BP01 role \"open\" cannot be dropped because some objects depend on it"),
        ("DROP ROLE boss", "42501 must be superuser to drop superusers"),
        ("DROP ROLE chief", "55006 current user cannot be dropped"),
        ("GRANT SELECT ON gold.days TO ann", "01007 no privileges were granted for \"days\""),
        ("GRANT SELECT ON silver.secrets TO ann", "42501 permission denied for table secrets"),
    ] {
        assert_eq!(house.say("chief", said), told, "{said}");
    }
    for said in [
        "CREATE ROLE team CREATEROLE; CREATE ROLE eve LOGIN IN ROLE team; ALTER ROLE eve PASSWORD NULL NOLOGIN",
        "GRANT team TO ann WITH ADMIN OPTION; REVOKE team FROM ann; REVOKE rich FROM ann",
        "DROP ROLE eve, team",
    ] {
        assert_eq!(house.say("chief", said), "", "{said}");
    }
    for (said, told) in [
        ("CREATE ROLE x", "42501 permission denied to create role"),
        ("DROP ROLE rich", "42501 permission denied to drop role"),
        ("ALTER ROLE rich LOGIN", "42501 permission denied"),
        ("ALTER ROLE ann PASSWORD NULL LOGIN", "42501 permission denied"),
        (
            "CREATE POLICY p ON gold.days USING (true)",
            "42501 permission denied: policies and masks are set by superusers",
        ),
        ("ALTER ROLE ann PASSWORD NULL", ""),
    ] {
        assert_eq!(house.say("ann", said), told, "{said}");
    }
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
