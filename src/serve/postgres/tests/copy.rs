use super::fixture::{Server, code};
use futures::TryStreamExt as _;
use tokio_postgres::Client;

/// Everything that a `COPY` sends.
async fn copied(client: &Client, sql: &str) -> Vec<u8> {
    let chunks = client.copy_out(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let chunks: Vec<_> = chunks.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    chunks.concat()
}

async fn text(client: &Client, sql: &str) -> String {
    String::from_utf8(copied(client, sql).await).unwrap()
}

/// The error of a `COPY` that must fail, before or after its first row.
async fn fails(client: &Client, sql: &str) -> String {
    let error = match client.copy_out(sql).await {
        Ok(chunks) => chunks.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap_err(),
        Err(error) => error,
    };
    code(&error).0
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_csv() {
    let server = Server::default().await;
    let client = server.connect().await;
    assert_eq!(
        text(&client, "copy gold.sales (id, amount, d, tags, ok) to stdout").await,
        "0\t0.00\t2024-02-29\t{t0,NULL}\tt\n1\t\\N\t\\N\t\\N\t\\N\n2\t21.00\t2024-03-02\t{t2,NULL}\tf\n"
    );
    let odd = "select E'a\\tb\\\\c\\nd' as x, '' as y, null as z";
    assert_eq!(text(&client, &format!("copy ({odd}) to stdout")).await, "a\\tb\\\\c\\nd\t\t\\N\n");
    assert_eq!(
        text(&client, &format!("copy ({odd}) to stdout (format csv, header)")).await,
        "x,y,z\n\"a\tb\\c\nd\",\"\",\n"
    );
    let quotes = "select 'say \"a\"' as x, 'b;c' as y, null as \"z;\", 'N' as n";
    assert_eq!(
        text(
            &client,
            &format!("copy ({quotes}) to stdout csv header delimiter ';' null 'N' escape '\\' force quote y")
        )
        .await,
        "x;y;\"z;\";\"n\"\n\"say \\\"a\\\"\";\"b;c\";N;\"N\"\n".replace("\"n\"", "n")
    );
    assert_eq!(text(&client, "copy (select '\\.') to stdout csv").await, "\"\\.\"\n");
    assert_eq!(text(&client, "copy (select 1 where false) to stdout csv header").await, "?column?\n");
    let tz = "copy (select tz from gold.sales where id = 0) to stdout";
    client.simple_query("set timezone = 'Asia/Tokyo'").await.unwrap();
    assert_eq!(text(&client, tz).await, "2024-02-29 21:34:56+09\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn binary() {
    let server = Server::default().await;
    let client = server.connect().await;
    let signature = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice();
    let rows =
        copied(&client, "copy (select id, u from gold.sales where id < 2 order by id) to stdout binary")
            .await;
    let first = b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\x06name 0".as_slice();
    let second = b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x01\xff\xff\xff\xff".as_slice();
    assert_eq!(rows, [signature, first, second, b"\xff\xff"].concat());
    let none = copied(&client, "copy (select 1 where false) to stdout (format binary)").await;
    assert_eq!(none, [signature, b"\xff\xff"].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_streams_and_stops() {
    let server = Server::default().await;
    let client = server.connect().await;
    let endless = "copy (select n from generate_series(1, 10000000000) as n) to stdout";
    client.simple_query("set statement_timeout = '300ms'").await.unwrap();
    assert_eq!(fails(&client, endless).await, "57014");
    client.simple_query("reset statement_timeout").await.unwrap();
    let mut rows = Box::pin(client.copy_out(endless).await.unwrap());
    assert_eq!(rows.try_next().await.unwrap().unwrap(), b"1\n".as_slice());
    client.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
    let error = loop {
        match rows.try_next().await {
            Ok(chunk) => assert!(chunk.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(code(&error).0, "57014");
    for (sql, expected) in [
        ("copy gold.nothing to stdout", "42P01"),
        ("copy gold.sales (nothing) to stdout", "42703"),
        ("copy (select 1/0) to stdout", "22012"),
        ("copy gold.sales to stdout csv force quote nothing", "42703"),
        ("copy gold.sales from stdin", "42809"),
    ] {
        assert_eq!(fails(&client, sql).await, expected, "{sql}");
    }
    client.simple_query("begin").await.unwrap();
    assert_eq!(fails(&client, "copy (select nothing) to stdout").await, "42703");
    assert_eq!(fails(&client, "copy (select 1) to stdout").await, "25P02");
}
