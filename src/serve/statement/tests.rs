use super::{Begin, Behind, Ddl, Discarded, Named, Object, Statement, Watching, parse, qualified};
use crate::refresh::Extent;

fn one(sql: &str) -> Statement {
    let mut statements = parse(sql).unwrap();
    assert_eq!(statements.len(), 1, "{sql}");
    statements.remove(0)
}

fn refused(sql: &str) -> (String, String) {
    let error = parse(sql).unwrap_err();
    (error.code.to_string(), error.message)
}

#[test]
fn several_statements_and_none() {
    assert_eq!(parse(" ;; -- nothing\n").unwrap(), vec![]);
    let tags: Vec<_> =
        parse("select 1; VALUES (1);table t;(select 1)").unwrap().iter().map(Statement::tag).collect();
    assert_eq!(tags, ["SELECT"; 4]);
    assert_eq!(parse("select ';'; select 2").unwrap().len(), 2);
}

#[test]
fn settings() {
    let set = |name: &str, value: Option<&str>, local| Statement::Set {
        name: name.into(),
        value: value.map(Into::into),
        local,
    };
    assert_eq!(one("SET DateStyle = ISO, MDY"), set("datestyle", Some("iso, mdy"), false));
    assert_eq!(one("set local a.b to 'X'"), set("a.b", Some("X"), true));
    assert_eq!(one("set session extra_float_digits = -3"), set("extra_float_digits", Some("-3"), false));
    assert_eq!(one("SET TIME ZONE 'Europe/Berlin'"), set("timezone", Some("Europe/Berlin"), false));
    assert_eq!(one("SET TIME ZONE \"Etc/UTC\""), set("timezone", Some("Etc/UTC"), false));
    assert_eq!(one("SET search_path = \"A\", b"), set("search_path", Some("\"A\", b"), false));
    assert_eq!(one("SET TIME ZONE LOCAL"), set("timezone", None, false));
    assert_eq!(one("set jit = on"), set("jit", Some("on"), false));
    assert_eq!(one("set x to default"), set("x", None, false));
    assert_eq!(one("SET SESSION AUTHORIZATION DEFAULT"), Statement::SetRole { role: None, local: false });
    assert_eq!(one("RESET SESSION AUTHORIZATION"), Statement::Reset("role".to_string()));
    assert_eq!(one("RESET ALL"), Statement::ResetAll);
    assert_eq!(one("show transaction isolation level"), Statement::Show("transaction_isolation".into()));
}

#[test]
fn transactions_and_resets() {
    let (isolation, reads) = ("transaction_isolation", ("transaction_read_only", "on"));
    let begin = Begin { starts: false, modes: vec![(isolation, "repeatable read"), reads] };
    assert_eq!(one("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"), Statement::Begin(begin));
    let modes = vec![(isolation, "serializable"), reads, ("transaction_deferrable", "on")];
    assert_eq!(
        one("start transaction isolation level serializable, read only, deferrable"),
        Statement::Begin(Begin { starts: true, modes })
    );
    assert_eq!(one("END"), Statement::Commit { chain: false });
    assert_eq!(one("abort and chain"), Statement::Rollback { chain: true });
    assert_eq!(one("rollback to savepoint a"), Statement::RollbackTo("a".into()));
    assert_eq!(one("RELEASE SAVEPOINT \"A\""), Statement::Release("A".into()));
    assert_eq!(
        one("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
        Statement::SetTransaction { modes: vec![reads], session: true }
    );
    assert_eq!(one("DISCARD ALL"), Statement::Discard(Discarded::All));
    assert_eq!(one("CLOSE ALL"), Statement::Close(None));
    assert_eq!(one("UNLISTEN *"), Statement::Unlisten);
    assert_eq!(one("DEALLOCATE \"_PLAN1\""), Statement::Deallocate(Some("_PLAN1".into())));
}

#[test]
fn explain_and_prepare() {
    assert!(matches!(
        one("explain analyze verbose select 1"),
        Statement::Explain { analyze: true, verbose: true, .. }
    ));
    assert!(matches!(
        one("EXPLAIN (ANALYZE, COSTS off, FORMAT text) (select 1)"),
        Statement::Explain { analyze: true, verbose: false, .. }
    ));
    assert_eq!(refused("explain insert into t values (1)").0, "0A000");
    assert_eq!(refused("explain (format json) select 1").0, "0A000");
    let Statement::Prepare { name, types, .. } = one("prepare p (int, text) as select $1, $2") else {
        panic!()
    };
    assert_eq!((name.as_str(), types.len()), ("p", 2));
    assert!(
        matches!(one("execute p (1, 'a')"), Statement::Execute { arguments, .. } if arguments.len() == 2)
    );
}

#[test]
fn models() {
    let named =
        |schema: Option<&str>, name: &str| Named { schema: schema.map(str::to_string), name: name.into() };
    let refresh =
        |extent, only_view| Statement::Refresh { name: named(Some("gold"), "x"), extent, only_view };
    assert_eq!(one("refresh table gold.x"), refresh(Extent::Changes, false));
    assert_eq!(one("REFRESH STREAMING TABLE Gold.X"), refresh(Extent::Changes, false));
    assert_eq!(one("REFRESH TABLE gold.x FULL ALLOW HISTORY LOSS"), refresh(Extent::WhatIsLeft, false));
    assert_eq!(
        one("REFRESH MATERIALIZED VIEW CONCURRENTLY gold.x WITH DATA"),
        refresh(Extent::Changes, true)
    );
    assert_eq!(one("REFRESH MATERIALIZED VIEW gold.x FULL"), refresh(Extent::Full, true));
    assert_eq!(one("VERIFY MATERIALIZED VIEW \"X\""), Statement::Verify(named(None, "X")));
    assert_eq!(refused("refresh view gold.x").0, "42601");
    assert_eq!(refused("refresh table gold.x full allow").0, "42601");
    assert_eq!(refused("verify gold.x").0, "42601");
    // A definition keeps its lines and columns, and loses what stands before and behind it.
    let text = "select 'ä';\nEXPLAIN CREATE MATERIALIZED VIEW gold.x AS\nSELECT 1 AS a; select 2";
    let explained = parse(text).unwrap().swap_remove(1);
    let blank = " ".repeat(11) + "\n" + &" ".repeat(8);
    assert_eq!(
        explained,
        Statement::ExplainModel(blank + "CREATE MATERIALIZED VIEW gold.x AS\nSELECT 1 AS a")
    );
    assert!(matches!(
        one("explain create or replace materialized view x as select 1"),
        Statement::ExplainModel(_)
    ));
    assert_eq!(refused("explain analyze create materialized view gold.x as select 1 as a").0, "0A000");
    assert_eq!(refused("explain create view gold.x as select 1 as a").0, "0A000");
}

#[test]
fn what_is_not_on_the_list_is_refused_by_name() {
    for (sql, code, word) in [
        ("CREATE SOURCE bronze.x FROM kafka", "0A000", "CREATE SOURCE"),
        ("create external table t stored as csv location '/etc/passwd'", "0A000", "CREATE EXTERNAL"),
        ("with x as (insert into t values (1) returning *) select * from x", "0A000", "INSERT"),
        ("insert into t values (1) returning a", "0A000", "RETURNING"),
        ("insert into t values (1) on conflict do nothing", "0A000", "ON CONFLICT"),
        ("insert into t default values", "0A000", "INSERT without VALUES"),
        ("insert into t select * from a for update", "0A000", "FOR UPDATE"),
        ("with x as (delete from t returning *) select * from x", "42501", "DELETE"),
        ("copy (select 1) to '/tmp/x'", "42501", "COPY"),
        ("DROP INDEX t", "0A000", "DROP INDEX"),
        ("select 1 into t", "0A000", "SELECT INTO"),
        ("select * from t for update", "0A000", "FOR UPDATE"),
        ("select * from t tablesample bernoulli (50)", "0A000", "TABLESAMPLE"),
        (
            "select (select count(*) from t as u tablesample system (1) repeatable (2))",
            "0A000",
            "TABLESAMPLE",
        ),
        ("call f()", "0A000", "CALL"),
        ("vacuum", "0A000", "VACUUM"),
        ("select 1; drop function t", "0A000", "DROP FUNCTION"),
    ] {
        let (found, message) = refused(sql);
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains(word), "{sql}: {message}");
    }
}

/// What dbt says for seeds, incremental models and snapshots.
#[test]
fn a_refusal_names_the_way_out() {
    for (sql, way) in [
        ("create table s.seed (a int, b text)", "connector = 'files'"),
        ("insert into t values (1) on conflict (a) do update set b = 1", "FLOW AUTO CDC"),
        ("create temporary table \"x__dbt_tmp\" as (select 1)", "SCD TYPE 2"),
        ("merge into a using b on a.x = b.x when matched then delete", "SCD TYPE 2"),
    ] {
        let hint = parse(sql).unwrap_err().hint.unwrap_or_default();
        assert!(hint.contains(way), "{sql}: {hint}");
    }
}

#[test]
fn definitions() {
    let named =
        |schema: Option<&str>, name: &str| Named { schema: schema.map(Into::into), name: name.into() };
    let Statement::Define(Ddl::Create { object, name, body, replace: false, if_not_exists: true }) =
        one("create table if not exists \"sluice\".r.\"T\"\n as ( -- why\nselect 1 ) with data")
    else {
        panic!()
    };
    assert_eq!(
        (object, name, body.as_str()),
        (Object::Table, named(Some("r"), "T"), "as ( -- why\nselect 1 )")
    );
    let rename =
        Ddl::Rename { object: Object::Table, name: named(None, "a"), to: "b".into(), if_exists: false };
    assert_eq!(one("ALTER TABLE a RENAME TO b"), Statement::Define(rename));
    let drop = Ddl::Drop {
        object: Object::MaterializedView,
        names: vec![named(None, "a"), named(Some("s"), "b")],
        if_exists: true,
        cascade: true,
    };
    assert_eq!(one("drop materialized view if exists a, s.b cascade"), Statement::Define(drop));
    let comment = |column: Option<&str>, text: Option<&str>| {
        let (column, text) = (column.map(Into::into), text.map(Into::into));
        Statement::Define(Ddl::Comment { name: named(Some("r"), "v"), column, text })
    };
    assert_eq!(one("comment on view sluice.r.v is $x$it's$x$"), comment(None, Some("it's")));
    assert_eq!(one("COMMENT ON COLUMN r.v.c IS NULL"), comment(Some("c"), None));
    let tags = ["create schema if not exists r", "drop schema r cascade"].map(|sql| one(sql).tag());
    assert_eq!(tags, ["CREATE SCHEMA", "DROP SCHEMA"]);
    assert_eq!(refused("create table t (a int, b text)").0, "0A000");
    assert_eq!(refused("create temporary table t as select 1").0, "0A000");
    assert_eq!(refused("create view other.r.v as select 1").0, "0A000");
    assert_eq!(refused("create table t as select 1 with no data").0, "0A000");
    assert_eq!(refused("alter view v set schema s").0, "0A000");
    assert_eq!(refused("drop view a b").0, "42601");
}

#[test]
fn audits_and_alerts() {
    let on = Some(Named { schema: Some("s".into()), name: "T".into() });
    let watching = |on, name: &str, body: &str, replace| {
        let (names, body) = ([name.to_string()], body.to_string());
        Statement::Define(Ddl::Watch(Watching::Create { on, names, body, replace }))
    };
    let audit = watching(on.clone(), "a", "blocking unique (\"B\")", true);
    assert_eq!(one("create or replace audit A on s.\"T\" blocking unique (\"B\")"), audit);
    let alert = watching(None, "a", "IF (EXISTS (SELECT 1))", false);
    assert_eq!(one("CREATE ALERT a IF (EXISTS (SELECT 1))"), alert);
    let drop = |on, names: &[&str], if_exists| {
        let names = names.iter().map(ToString::to_string).collect();
        Statement::Define(Ddl::Watch(Watching::Drop { on, names, if_exists }))
    };
    assert_eq!(one("DROP AUDIT IF EXISTS a, b ON s.\"T\""), drop(on, &["a", "b"], true));
    assert_eq!(one("drop alert a"), drop(None, &["a"], false));
    let tags = ["CREATE AUDIT a ON b UNIQUE (c)", "DROP ALERT a"].map(|sql| one(sql).tag());
    assert_eq!(tags, ["CREATE AUDIT", "DROP ALERT"]);
    for wrong in ["CREATE AUDIT a UNIQUE (b)", "CREATE AUDIT a ON b", "CREATE ALERT a", "DROP ALERT a b"] {
        assert_eq!(refused(wrong).0, "42601", "{wrong}");
    }
}

#[test]
fn names_are_written_out() {
    let written = |body: &str| {
        qualified(body, Behind::As, |parts| match parts {
            [name] => Some(format!("s.{name}")),
            [_, schema, name] => Some(format!("{schema}.{name}")),
            _ => None,
        })
    };
    for (body, expected) in [
        ("AS SELECT * FROM a", "AS SELECT * FROM s.a"),
        ("(x, y) AS SELECT x AS c FROM \"d\".\"e\".\"F\" f, g.h", "(x, y) AS SELECT x AS c FROM e.F f, g.h"),
        (
            "AS WITH a AS (SELECT * FROM b) SELECT * FROM a WHERE x IN (SELECT y FROM A, generate_series(1, 2))",
            "AS WITH a AS (SELECT * FROM s.b) SELECT * FROM a WHERE x IN (SELECT y FROM A, generate_series(1, 2))",
        ),
        (
            "AS (-- from a\n SELECT 'é', 1 FROM a\n JOIN b USING (a))",
            "AS (-- from a\n SELECT 'é', 1 FROM s.a\n JOIN s.b USING (a))",
        ),
        ("AS SELECT * FROM (a", "AS SELECT * FROM (a"),
    ] {
        assert_eq!(written(body), expected, "{body}");
    }
    let body = "LABELS (a = 'AS') IF ((EXISTS ((SELECT * FROM a JOIN b.c USING (d))))) THEN NOTIFY (WEBHOOK a URL SECRET b)";
    let expected = body.replace("FROM a", "FROM s.a");
    assert_eq!(qualified(body, Behind::Exists, |parts| (parts == ["a"]).then(|| "s.a".into())), expected);
}

#[test]
fn syntax_errors_have_a_position() {
    let error = parse("select 1;\nselec 2").unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("42601", "syntax error at or near \"selec\""));
    assert_eq!(error.position, Some(11));
    let error = parse("select 1 from t group 2").unwrap_err();
    assert_eq!(error.code, "42601");
    assert!(error.position.is_some());
    let error = parse("select (1").unwrap_err();
    assert_eq!(error.message, "syntax error at end of input");
    let error = parse("select 'open").unwrap_err();
    assert_eq!(error.code, "42601");
    let deep = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(parse(&deep).unwrap_err().code, "54001");
}
