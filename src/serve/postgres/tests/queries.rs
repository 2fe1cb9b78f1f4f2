use super::fixture::{Server, code};
use futures::{StreamExt, TryStreamExt, pin_mut};
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

#[tokio::test(flavor = "multi_thread")]
async fn psql_reads_every_type() {
    let server = Server::default().await;
    let script = "select * from gold.sales order by id";
    let Some(printed) = server.psql(script).await else { return };
    assert_eq!(
        printed,
        "id|amount|qty|d|ts|tz|tags|ok|f|u|b\n\
         0|0.00|0|2024-02-29|2024-02-29 12:34:56|2024-02-29 12:34:56+00|{t0,NULL}|t|0|name 0|\\x00ff\n\
         1||||||||||\n\
         2|21.00|2|2024-03-02|2024-02-29 12:34:56.000002|2024-02-29 12:34:56+00|{t2,NULL}|f|0.5|name 2|\\x02ff\n\
         (3 rows)\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_runs_several_statements_and_points_at_errors() {
    let server = Server::default().await;
    let Some(printed) =
        server.psql("select 1 as a; values (2); set time zone 'Europe/Berlin'; show timezone").await
    else {
        return;
    };
    assert_eq!(printed, "a\n1\n(1 row)\ncolumn1\n2\n(1 row)\nSET\nTimeZone\nEurope/Berlin\n(1 row)\n");
    let printed = server.psql("select 1 frm x").await.unwrap();
    assert!(printed.contains("ERROR:  42601: syntax error at or near \"x\""), "{printed}");
    assert!(printed.contains("LINE 1: select 1 frm x\n                     ^"), "{printed}");
    let printed = server.psql("select id,\n  nothing from gold.sales").await.unwrap();
    assert!(printed.contains("ERROR:  42703: column \"nothing\" does not exist"), "{printed}");
    assert!(printed.contains("LINE 2:   nothing from gold.sales\n          ^"), "{printed}");
    let printed = server.psql("explain select id from gold.sales").await.unwrap();
    assert!(printed.starts_with("QUERY PLAN\nlogical plan\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_postgresqls() {
    let server = Server::default().await;
    let client = server.connect().await;
    let sql = "select 1, 1, count(*), max(id), sum(qty) as s, id::int4 % 2, current_user, now() from gold.sales group by id limit 1";
    let statement = client.prepare(sql).await.unwrap();
    let names: Vec<_> = statement.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["?column?", "?column?", "count", "max", "s", "?column?", "current_user", "now"]);
    let rows = client.query(&statement, &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, &str>(6), "sluice");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_every_type_in_binary() {
    let server = Server::default().await;
    let client = server.connect().await;
    let row = client
        .query_one(
            "select id, qty, f, ok, u, b, tags, amount::text from gold.sales where id = $1 and u = $2",
            &[&2_i64, &"name 2"],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    assert_eq!(row.get::<_, i32>(1), 2);
    assert_eq!(row.get::<_, f64>(2), 0.5);
    assert!(!row.get::<_, bool>(3));
    assert_eq!(row.get::<_, &str>(4), "name 2");
    assert_eq!(row.get::<_, &[u8]>(5), [2, 255]);
    assert_eq!(row.get::<_, Vec<Option<&str>>>(6), [Some("t2"), None]);
    assert_eq!(row.get::<_, &str>(7), "21.00");
    let row = client.query_one("select * from gold.sales where id = 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, Option<i32>>(2), None);
    assert_eq!(row.get::<_, Option<Vec<Option<&str>>>>(6), None);

    // A null among the others stays in its place.
    let nothing: Option<i64> = None;
    let rows = client
        .query(
            "select coalesce($1::int8, 5), $2::text, id from gold.sales where id > $3 order by id",
            &[&nothing, &"x", &1_i64],
        )
        .await
        .unwrap();
    assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, &str>(1), rows[0].get::<_, i64>(2)), (5, "x", 2));

    // Declared types win over the place's: an int4 against a numeric column, text where nothing tells.
    let statement =
        client.prepare_typed("select id from gold.sales where amount > $1", &[Type::INT4]).await.unwrap();
    assert_eq!(client.query(&statement, &[&20_i32]).await.unwrap().len(), 1);
    let statement = client.prepare("select $1, id from gold.sales limit $2").await.unwrap();
    assert_eq!(statement.params(), [Type::TEXT, Type::INT8]);
    assert_eq!(client.query(&statement, &[&"x", &2_i64]).await.unwrap().len(), 2);
    let rows = client.query("select id from gold.sales where id = any($1::int8[])", &[&vec![0_i64, 2]]).await;
    assert_eq!(rows.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stream_and_portals_wait() {
    let server = Server::default().await;
    let mut client = server.connect().await;
    let endless = "select n, n * 2 from generate_series(1, 10000000000) as n";
    // Both protocols give the first rows of what never ends.
    let none: [i64; 0] = [];
    {
        let rows = tokio::time::timeout(Duration::from_secs(20), client.query_raw(endless, none))
            .await
            .unwrap()
            .unwrap();
        pin_mut!(rows);
        // Several threads compute them: each comes once, in any order.
        let mut seen = std::collections::HashSet::new();
        for _ in 1..5_000 {
            let row = rows.try_next().await.unwrap().unwrap();
            assert_eq!(row.get::<_, i64>(1), row.get::<_, i64>(0) * 2);
            assert!(seen.insert(row.get::<_, i64>(0)));
        }
        client.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
        let error = loop {
            match rows.try_next().await {
                Ok(row) => assert!(row.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(code(&error).0, "57014");
    }
    let rows = client.simple_query_raw(endless).await.unwrap();
    pin_mut!(rows);
    assert!(matches!(rows.next().await, Some(Ok(SimpleQueryMessage::RowDescription(_)))));
    assert!(matches!(rows.next().await, Some(Ok(SimpleQueryMessage::Row(_)))));
    client.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
    while let Some(Ok(_)) = rows.next().await {}

    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select id from gold.sales order by id", &[]).await.unwrap();
    let counts = [2, 2, 2].map(|max| (max, &portal));
    let mut got = Vec::new();
    for (max, portal) in counts {
        got.push(transaction.query_portal(portal, max).await.unwrap().len());
    }
    assert_eq!(got, [2, 1, 0]);
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_postgresqls_codes_and_words() {
    let server = Server::default().await;
    let client = server.connect().await;
    for (sql, expected, message) in [
        ("select * from gold.nothing", "42P01", "relation \"gold.nothing\" does not exist"),
        ("select * from nothing", "42P01", "relation \"nothing\" does not exist"),
        ("select nothing from gold.sales", "42703", "column \"nothing\" does not exist"),
        ("select s.nothing from gold.sales s", "42703", "column s.nothing does not exist"),
        ("select x.id from gold.sales s", "42P01", "missing FROM-clause entry for table \"x\""),
        ("select nothing(1)", "42883", "function nothing(integer) does not exist"),
        ("select abs('x', 'y')", "42883", ""),
        (
            "select a.id from gold.sales a, gold.sales b where id = 1",
            "42702",
            "column reference \"id\" is ambiguous",
        ),
        ("selec 1", "42601", "syntax error at or near \"selec\""),
        ("select 1/0", "22012", "division by zero"),
        ("select id / (id - id) from gold.sales", "22012", "division by zero"),
        ("select 'x'::int", "22P02", ""),
        ("select u::int from gold.sales", "22P02", ""),
        ("select 300000::int2", "22003", ""),
        ("select id, count(*) from gold.sales", "42803", ""),
        ("insert into gold.sales values (1)", "42809", "\"gold.sales\" takes no rows over a connection"),
        (
            "create table t (a int)",
            "0A000",
            "CREATE TABLE without a query is not supported over a connection",
        ),
        ("copy gold.sales to '/tmp/x'", "42501", ""),
        ("select * from '/etc/passwd'", "42P01", ""),
        ("select * from gold.sales for update", "0A000", ""),
        ("set nothing = 1", "42704", "unrecognized configuration parameter \"nothing\""),
        (
            "set datafusion.execution.batch_size = 1; show datafusion.execution.batch_size; select nothing(1)",
            "42883",
            "",
        ),
        ("show nothing", "42704", ""),
        ("select $1", "42P02", ""),
        ("execute nothing", "26000", ""),
        ("set session authorization ann", "42501", ""),
    ] {
        let error = client.simple_query(sql).await.err().unwrap_or_else(|| panic!("{sql} did not fail"));
        let (code, words) = code(&error);
        assert_eq!(code, expected, "{sql}: {words}");
        assert!(message.is_empty() || words == message, "{sql}: {words}");
    }
    let error =
        client.query("select sum(amount) from gold.sales where nothing = $1", &[&1_i64]).await.unwrap_err();
    assert_eq!(code(&error).0, "42703");
    assert_eq!(client.query_one("select 1::int8", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_too_much_memory_ends_and_the_server_goes_on() {
    let server = Server::default().await;
    let client = server.connect().await;
    let greedy = "select array_agg(n) from generate_series(1, 100000000) as n";
    let error = client.simple_query(greedy).await.unwrap_err();
    assert_eq!(code(&error).0, "53200");
    assert!(client.simple_query("select count(*) from gold.sales").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_the_type_they_are_cast_to() {
    let server = Server::default().await;
    let client = server.connect().await;
    let sql =
        "select $1::numeric, $2::uuid, $3::oid[] is null, $4::jsonb, $5::int2, $6::timestamptz, $7::varchar";
    let statement = client.prepare(sql).await.unwrap();
    let expected = [
        Type::NUMERIC,
        Type::UUID,
        Type::OID_ARRAY,
        Type::JSONB,
        Type::INT2,
        Type::TIMESTAMPTZ,
        Type::VARCHAR,
    ];
    assert_eq!(statement.params(), expected);
}

/// `numeric_recv`'s form of 12345678901234567890.123 and -0.5.
const NUMERICS: [(&[u8], &str); 2] = [
    (&[0, 6, 0, 4, 0, 0, 0, 3, 0x04, 0xd2, 0x16, 0x2e, 0x23, 0x34, 0x0d, 0x80, 0x1e, 0xd2, 0x04, 0xce], ""),
    (&[0, 1, 0xff, 0xff, 0x40, 0, 0, 1, 0x13, 0x88], "-0.5"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_numeric_keeps_its_digits() {
    let server = Server::default().await;
    let client = server.connect().await;
    let statement = client.prepare_typed("select $1, $1 * 2, $1::text", &[Type::NUMERIC]).await.unwrap();
    assert_eq!(statement.columns()[0].type_(), &Type::NUMERIC);
    assert_eq!(statement.columns()[1].type_(), &Type::NUMERIC);
    for (sent, text) in NUMERICS {
        let row = client.query_one(&statement, &[&Raw(sent)]).await.unwrap();
        assert_eq!(row.get::<_, Received>(0).0, sent, "{text}");
        if !text.is_empty() {
            assert_eq!(row.get::<_, &str>(2), text);
        }
    }
    let compared =
        client.prepare_typed("select id from gold.sales where amount > $1", &[Type::NUMERIC]).await.unwrap();
    assert_eq!(client.query(&compared, &[&Raw(NUMERICS[1].0)]).await.unwrap().len(), 2);
    assert_eq!(client.query(&compared, &[&Raw(NUMERICS[0].0)]).await.unwrap().len(), 0);
}

/// Bytes as they go over the wire.
#[derive(Debug)]
struct Raw(&'static [u8]);

impl tokio_postgres::types::ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0);
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Bytes as they came over the wire.
struct Received(Vec<u8>);

impl tokio_postgres::types::FromSql<'_> for Received {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
