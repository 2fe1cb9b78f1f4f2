use super::fixture::{Server, code, cut};
use super::limits::eventually;
use std::sync::Arc;
use tokio_postgres::{Client, SimpleQueryMessage};

/// What a text of statements answers: rows with commas between values, and the number that each statement ends with.
async fn run(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let answers = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let cells = (0..row.len()).map(|i| row.get(i).unwrap_or("null"));
            Some(cells.collect::<Vec<_>>().join(","))
        }
        SimpleQueryMessage::CommandComplete(count) => Some(format!("#{count}")),
        _ => None,
    });
    answers.collect()
}

async fn fails(client: &Client, sql: &str) -> String {
    code(&client.simple_query(sql).await.unwrap_err()).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_read_in_steps_over_one_cut() {
    let server = Server::default().await;
    let client = server.connect().await;
    run(&client, "begin; declare c cursor for select id, u from gold.sales order by id").await;
    server.cuts.send(cut(2, 9)).unwrap();
    assert_eq!(
        run(&client, "fetch c; fetch 5 from c; fetch c").await,
        ["0,name 0", "#1", "1,null", "2,name 2", "#2", "#0"]
    );
    assert_eq!(
        run(&client, "move backward all in c; fetch forward all from c").await,
        ["#3", "0,name 0", "1,null", "2,name 2", "#3"]
    );
    let listed = "select name, is_holdable, is_scrollable, statement from pg_cursors";
    let text = "c,f,f,declare c cursor for select id, u from gold.sales order by id";
    assert_eq!(run(&client, listed).await, [text, "#1"]);
    assert_eq!(fails(&client, "fetch prior from c").await, "55000");
    assert_eq!(fails(&client, "fetch c").await, "25P02");
    run(&client, "rollback").await;
    assert_eq!(fails(&client, "fetch c").await, "34000");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_end_with_what_they_were_declared_in() {
    let server = Server::default().await;
    let client = server.connect().await;
    let declare = |name: &str, rest: &str| {
        format!("declare {name} {rest} for select n from generate_series(1, 3) as n")
    };
    assert_eq!(fails(&client, &declare("c", "cursor")).await, "25P01");
    // The statements of one message are a transaction.
    let batch = format!("{}; fetch all c", declare("c", "cursor"));
    assert_eq!(run(&client, &batch).await, ["#0", "1", "2", "3", "#3"]);
    assert_eq!(fails(&client, "fetch c").await, "34000");

    run(&client, &declare("held", "no scroll cursor with hold")).await;
    run(&client, "begin; savepoint a").await;
    run(&client, &declare("late", "cursor")).await;
    run(&client, &declare("kept", "scroll cursor with hold")).await;
    assert_eq!(fails(&client, &declare("kept", "cursor")).await, "42P03");
    run(&client, "rollback to a").await;
    assert_eq!(fails(&client, "fetch kept").await, "34000");
    run(&client, "rollback to a").await;
    run(&client, &declare("kept", "scroll cursor with hold")).await;
    assert_eq!(
        run(&client, "release a; commit; fetch last kept; fetch backward all kept").await,
        ["#0", "#0", "3", "#1", "2", "1", "#2"]
    );
    assert_eq!(run(&client, "fetch held").await, ["1", "#1"]);
    assert_eq!(fails(&client, "move backward all in held").await, "55000");
    assert_eq!(run(&client, "close held; select name from pg_cursors").await, ["#0", "kept", "#1"]);
    run(&client, "discard all").await;
    assert_eq!(fails(&client, "close kept").await, "34000");
    run(&client, &format!("begin; {}; rollback", declare("gone", "cursor with hold"))).await;
    assert_eq!(fails(&client, "fetch gone").await, "34000");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extended_protocol_describes_what_is_fetched() {
    let server = Server::default().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let declare = "declare c cursor for select id, f from gold.sales where id >= $1 order by id";
    transaction.execute(declare, &[&1_i64]).await.unwrap();
    let fetch = transaction.prepare("fetch 1 from c").await.unwrap();
    let names: Vec<_> = fetch.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["id", "f"]);
    assert_eq!(transaction.query_one(&fetch, &[]).await.unwrap().get::<_, i64>(0), 1);
    assert_eq!(transaction.query_one(&fetch, &[]).await.unwrap().get::<_, f64>(1), 0.5);
    assert!(transaction.query(&fetch, &[]).await.unwrap().is_empty());
    assert_eq!(transaction.execute("move backward all in c", &[]).await.unwrap(), 2);
    transaction.execute("close c", &[]).await.unwrap();
    // A portal takes the columns of the cursor that has the name now.
    transaction.execute("declare c cursor for select u from gold.sales order by id", &[]).await.unwrap();
    let portal = transaction.bind("fetch all from c", &[]).await.unwrap();
    let rows = transaction.query_portal(&portal, 2).await.unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "name 0");
    // The portal still reads.
    let error = transaction.query("fetch c", &[]).await.unwrap_err();
    assert_eq!(code(&error).0, "55006");
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_and_cursors_are_one() {
    let server = Server::default().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select n from generate_series(1, 9) as n", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 2);
    let name = transaction.query_one("select name from pg_cursors", &[]).await.unwrap();
    let name: &str = name.get(0);
    assert_eq!(transaction.execute(&format!("move 3 in \"{name}\""), &[]).await.unwrap(), 3);
    let rows = transaction.query_portal(&portal, 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [6, 7]);
    transaction.execute(&format!("close \"{name}\""), &[]).await.unwrap();
    let error = transaction.query_portal(&portal, 2).await.unwrap_err();
    assert_eq!(code(&error).0, "34000");
    transaction.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_for_too_long_is_sent_away() {
    let server = Server::default().await;
    for (begin, expected) in [
        ("set idle_session_timeout = '100ms'", "57P05"),
        ("set idle_in_transaction_session_timeout = '100ms'; begin", "25P03"),
    ] {
        let (client, connection) =
            tokio_postgres::connect(&server.config("user=sluice"), tokio_postgres::NoTls).await.unwrap();
        let ended = tokio::spawn(connection);
        run(&client, begin).await;
        let error = ended.await.unwrap().unwrap_err();
        assert_eq!(code(&error).0, expected);
    }
    // In a transaction only its own limit counts, and a statement is not idle.
    let client = server.connect().await;
    run(&client, "set idle_session_timeout = '50ms'; begin").await;
    run(&client, "select count(*) from generate_series(1, 30000000) as n").await;
    run(&client, "select 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_lets_go_of_its_cursors() {
    let server = Server::default().await;
    let client = server.connect().await;
    run(&client, "declare c cursor with hold for select id, current_user from gold.sales; fetch 1 from c")
        .await;
    let pinned = Arc::downgrade(&server.cuts.borrow());
    server.cuts.send(cut(2, 9)).unwrap();
    assert_eq!(run(&client, "select count(*) from gold.sales; fetch all from c").await.len(), 5);
    assert!(pinned.upgrade().is_some(), "the cursor reads it still");
    drop(client);
    eventually(async || pinned.upgrade().is_none()).await;
}
