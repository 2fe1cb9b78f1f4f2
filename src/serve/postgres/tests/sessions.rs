use super::fixture::{Server, code, cut};
use std::time::Duration;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The first value of a statement's only row.
async fn value(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_string),
        _ => None,
    });
    row.unwrap_or_else(|| panic!("{sql} gave no row"))
}

async fn fails(client: &Client, sql: &str) -> String {
    code(&client.simple_query(sql).await.unwrap_err()).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_one_cut() {
    let server = Server::default().await;
    let client = server.connect().await;
    let count = "select count(*) from silver.names";
    client.simple_query("begin isolation level repeatable read").await.unwrap();
    assert_eq!(value(&client, count).await, "3");
    server.cuts.send(cut(2, 5)).unwrap();
    assert_eq!(value(&client, count).await, "3");
    client.simple_query("commit").await.unwrap();
    assert_eq!(value(&client, count).await, "5");
    let statement = client.prepare(count).await.unwrap();
    server.cuts.send(cut(3, 7)).unwrap();
    assert_eq!(client.query_one(&statement, &[]).await.unwrap().get::<_, i64>(0), 7);
    assert_eq!(client.query_one(&statement, &[]).await.unwrap().get::<_, i64>(0), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transaction_waits_for_its_end() {
    let server = Server::default().await;
    let client = server.connect().await;
    client.simple_query("begin; set jit = on; savepoint a").await.unwrap();
    assert_eq!(fails(&client, "select 1/0").await, "22012");
    assert_eq!(fails(&client, "select 1").await, "25P02");
    assert_eq!(code(&client.query("select 1", &[]).await.unwrap_err()).0, "25P02");
    client.simple_query("rollback to a").await.unwrap();
    assert_eq!(value(&client, "show jit").await, "on");
    assert_eq!(fails(&client, "release b").await, "3B001");
    client.simple_query("commit").await.unwrap();
    assert_eq!(value(&client, "show jit").await, "off");
    assert_eq!(fails(&client, "savepoint a").await, "25P01");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_functions_of_the_session() {
    let server = Server::default().await;
    let client = server
        .try_connect("user=sluice application_name=here options='-c timezone=Asia/Tokyo'")
        .await
        .unwrap();
    assert_eq!(value(&client, "show application_name").await, "here");
    assert_eq!(value(&client, "select tz from gold.sales where id = 0").await, "2024-02-29 21:34:56+09");
    client.simple_query("set timezone = 'UTC'; set application_name to 'there'").await.unwrap();
    assert_eq!(value(&client, "select tz from gold.sales where id = 0").await, "2024-02-29 12:34:56+00");
    assert_eq!(value(&client, "select current_setting('application_name')").await, "there");
    client.simple_query("discard all").await.unwrap();
    assert_eq!(value(&client, "show time zone").await, "Asia/Tokyo");
    assert_eq!(value(&client, "select set_config('search_path', 'gold', false)").await, "gold");
    assert_eq!(value(&client, "select count(*) from sales").await, "3");
    assert_eq!(value(&client, "select current_schema()").await, "gold");
    assert_eq!(value(&client, "select current_database()").await, "sluice");
    assert_eq!(value(&client, "select session_user").await, "sluice");
    assert!(value(&client, "select version()").await.starts_with("PostgreSQL 13."));
    assert_eq!(fails(&client, "select current_setting('nothing')").await, "42704");
    client.simple_query("prepare p (int8) as select count(*) from sales where id < $1").await.unwrap();
    assert_eq!(value(&client, "execute p (2)").await, "2");
    assert_eq!(fails(&client, "execute p").await, "42601");
    client.simple_query("deallocate all").await.unwrap();
    assert_eq!(fails(&client, "execute p (2)").await, "26000");
    let reset = "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP";
    assert_eq!(
        client
            .simple_query(reset)
            .await
            .unwrap()
            .iter()
            .filter(|m| matches!(m, SimpleQueryMessage::CommandComplete(_)))
            .count(),
        7
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_ones_own_writes() {
    let server = Server::default().await;
    let client = server.connect().await;
    client
        .simple_query("set sluice.read_after = 'gold.sales@2'; set statement_timeout = '200ms'")
        .await
        .unwrap();
    assert_eq!(fails(&client, "select 1").await, "57014");
    client.simple_query("set statement_timeout = 0").await.unwrap();
    let (answer, ()) = tokio::join!(value(&client, "select count(*) from gold.sales"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.cuts.send(cut(2, 4)).unwrap();
    });
    assert_eq!(answer, "4");
    client.simple_query("set sluice.read_after = 'nonsense'").await.unwrap();
    assert_eq!(fails(&client, "select 1").await, "22023");
    client.simple_query("reset sluice.read_after; set sluice.staleness_max = '1ms'").await.unwrap();
    assert_eq!(fails(&client, "select 1").await, "55000");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_end_at_their_time_limit() {
    let server = Server::default().await;
    let client = server.connect().await;
    client.simple_query("set statement_timeout = '300ms'").await.unwrap();
    let endless = "select count(*) from generate_series(1, 10000000000) a";
    assert_eq!(fails(&client, endless).await, "57014");
    assert_eq!(code(&client.query(endless, &[]).await.unwrap_err()).0, "57014");
    // Sending counts, too: nobody reads the rest of this.
    assert_eq!(fails(&client, "select * from generate_series(1, 10000000000) a").await, "57014");
    client.simple_query("reset statement_timeout").await.unwrap();
    assert_eq!(value(&client, "select 1").await, "1");
}
