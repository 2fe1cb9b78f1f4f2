//! The server as its clients see it: a real listener, arrow-flight's own client, a cut of tables in memory.

use super::listen;
use super::messages::{GetSessionOptionsResult, OptionValue, SetSessionOptionsRequest};
use crate::catalog::cut::Cut;
use crate::config::LimitSettings;
use crate::ops::clock;
use crate::ops::shutdown::Shutdown;
use crate::serve::fixture::{cut, readers};
use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCancelQueryRequest, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
    ProstMessageExt as _, SqlInfo,
};
use arrow_flight::{Action, CancelFlightInfoRequest, FlightDescriptor, FlightInfo, IpcMessage};
use futures::TryStreamExt as _;
use prost::Message as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Channel;

type Client = FlightSqlServiceClient<Channel>;

struct Server {
    address: SocketAddr,
    cuts: watch::Sender<Arc<Cut>>,
    shutdown: Shutdown,
    done: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start(limits: LimitSettings, trust_loopback: bool) -> Server {
    let (readers, cuts) = readers(limits, trust_loopback);
    let shutdown = readers.shutdown.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let done = tokio::spawn(listen(listener, readers));
    Server { address, cuts, shutdown, done }
}

impl Server {
    async fn client(&self) -> Client {
        let channel =
            Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        Client::new(channel)
    }
}

async fn read(client: &mut Client, info: &FlightInfo) -> Result<RecordBatch, tonic::Status> {
    let schema = Arc::new(info.clone().try_decode_schema().unwrap());
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream = client.do_get(ticket).await.map_err(|e| tonic::Status::unknown(e.to_string()))?;
    let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(tonic::Status::from)?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

async fn ask(client: &mut Client, sql: &str) -> RecordBatch {
    let info = client.execute(sql.to_string(), None).await.unwrap();
    read(client, &info).await.unwrap()
}

/// The error's text of a statement that is refused when planned.
async fn refusal(client: &mut Client, sql: &str) -> String {
    client.execute(sql.to_string(), None).await.unwrap_err().to_string()
}

fn text(batch: &RecordBatch, column: &str) -> Vec<String> {
    let array = batch.column_by_name(column).unwrap();
    let array = array.as_any().downcast_ref::<StringArray>().unwrap();
    array.iter().map(|v| v.unwrap_or("null").to_string()).collect()
}

fn number(batch: &RecordBatch) -> i64 {
    batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_stream_plain_columns() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let batch = ask(&mut client, "SELECT * FROM gold.days ORDER BY visits LIMIT 2").await;
    assert_eq!(batch.schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(text(&batch, "day"), ["day number 0 of the calendar", "day number 1 of the calendar"]);
    // A view is planned when it is read; an empty result has its columns.
    assert_eq!(number(&ask(&mut client, "SELECT count(*) FROM silver.names").await), 1000);
    assert_eq!(ask(&mut client, "SELECT day FROM gold.days WHERE visits < 0").await.num_columns(), 1);
    // Large results come whole.
    let all = "SELECT a.visits FROM gold.days a CROSS JOIN gold.days b";
    assert_eq!(ask(&mut client, all).await.num_rows(), 1_000_000);
    client.set_header("sluice-compression", "lz4");
    assert_eq!(ask(&mut client, all).await.num_rows(), 1_000_000);
    client.set_header("sluice-compression", "zip");
    let refused = refusal(&mut client, "SELECT 1").await;
    assert!(refused.contains("22023") && refused.contains("none, lz4, zstd"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_reads_the_cut_it_was_made_on_and_can_be_read_again() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let info = client.execute("SELECT count(*) FROM gold.days".to_string(), None).await.unwrap();
    server.cuts.send(cut(2, 2000)).unwrap();
    for _ in 0..2 {
        assert_eq!(number(&read(&mut client, &info).await.unwrap()), 1000);
    }
    assert_eq!(number(&ask(&mut client, "SELECT count(*) FROM gold.days").await), 2000);
    assert!(info.endpoint[0].expiration_time.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_query_is_refused() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO gold.days VALUES ('a', 1)",
        "DROP TABLE gold.days",
        "COPY gold.days TO '/tmp/x'",
        "SET statement_timeout = 1",
        "BEGIN",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    ] {
        let error = client.execute(sql.to_string(), None).await.unwrap_err();
        assert!(!error.to_string().contains("XX000"), "{sql}: {error}");
    }
    for (sql, code) in [
        ("SET jit = on", "0A000"),
        ("SELEC 1", "42601"),
        ("", "42601"),
        ("SELECT 1; SELECT 2", "42601"),
        ("SELECT * FROM gold.none", "42P01"),
        ("SELECT none FROM gold.days", "42703"),
        ("SELECT no_such_function(1)", "42883"),
    ] {
        let error = refusal(&mut client, sql).await;
        assert!(error.contains(code), "{sql}: {error}");
    }
    assert!(client.execute_update("DELETE FROM gold.days".to_string(), None).await.is_err());
    assert_eq!(number(&ask(&mut client, "SELECT count(*) FROM gold.days").await), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_set_what_a_session_would() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    client.set_header("sluice-time-zone", "Asia/Tokyo");
    assert_eq!(text(&ask(&mut client, "SHOW timezone").await, "TimeZone"), ["Asia/Tokyo"]);
    let explained = ask(&mut client, "EXPLAIN SELECT * FROM gold.days").await;
    assert!(explained.num_rows() > 0);
    client.set_header("sluice-time-zone", "Mars/Olympus");
    assert!(refusal(&mut client, "SELECT 1").await.contains("22023"));
    // A read token makes the query wait for the epoch that holds it.
    let mut client = server.client().await;
    client.set_header("sluice-read-after", "gold.days@2");
    let waiting =
        tokio::spawn(async move { number(&ask(&mut client, "SELECT count(*) FROM gold.days").await) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    server.cuts.send(cut(2, 2000)).unwrap();
    assert_eq!(waiting.await.unwrap(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_of_a_stream_is_told() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let info = client.execute("SELECT 1 / (visits - 999) FROM gold.days".to_string(), None).await.unwrap();
    let error = read(&mut client, &info).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.message().contains("22012"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_take_parameters() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let sql = "SELECT visits FROM gold.days WHERE day = ? AND visits >= ?";
    let mut prepared = client.prepare(sql.to_string(), None).await.unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().field(0).name(), "visits");
    let parameters: Vec<DataType> =
        prepared.parameter_schema().unwrap().fields().iter().map(|f| f.data_type().clone()).collect();
    assert_eq!(parameters, [DataType::Utf8, DataType::Int64]);
    let unbound = prepared.execute().await.unwrap_err();
    assert!(unbound.to_string().contains("08P01"), "{unbound}");
    for wanted in [7, 8] {
        let day = StringArray::from(vec![format!("day number {wanted} of the calendar")]);
        // A number may come as text, as from clients that know no types.
        let least = StringArray::from(vec!["5"]);
        let row = RecordBatch::try_from_iter([
            ("1", Arc::new(day) as ArrayRef),
            ("2", Arc::new(least) as ArrayRef),
        ]);
        prepared.set_parameters(row.unwrap()).unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(number(&read(&mut client, &info).await.unwrap()), wanted);
    }
    // Several rows of values: the results follow one another.
    let days: ArrayRef = Arc::new(
        [7, 3, 5]
            .map(|n| Some(format!("day number {n} of the calendar")))
            .into_iter()
            .collect::<StringArray>(),
    );
    let least: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(5)]));
    prepared.set_parameters(RecordBatch::try_from_iter([("1", days), ("2", least)]).unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    let found = read(&mut client, &info).await.unwrap();
    let found: Vec<_> =
        found.column(0).as_any().downcast_ref::<Int64Array>().unwrap().iter().flatten().collect();
    assert_eq!(found, [7, 5]);
    let one =
        RecordBatch::try_from_iter([("1", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    prepared.set_parameters(one).unwrap();
    let error = prepared.execute().await.unwrap_err().to_string();
    assert!(error.contains("1 parameters are bound, but the statement has 2"), "{error}");
    prepared.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_describes_the_cut() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(text(&read(&mut client, &info).await.unwrap(), "catalog_name"), ["sluice"]);
    let all = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let info = client.get_db_schemas(all).await.unwrap();
    assert_eq!(text(&read(&mut client, &info).await.unwrap(), "db_schema_name"), ["gold", "silver"]);
    let wanted = CommandGetTables {
        catalog: Some("sluice".into()),
        db_schema_filter_pattern: Some("g%".into()),
        table_name_filter_pattern: Some("d_ys".into()),
        table_types: vec![],
        include_schema: true,
    };
    let info = client.get_tables(wanted).await.unwrap();
    let tables = read(&mut client, &info).await.unwrap();
    assert_eq!(text(&tables, "table_name"), ["days"]);
    assert_eq!(text(&tables, "table_type"), ["MATERIALIZED VIEW"]);
    let schema = tables.column_by_name("table_schema").unwrap();
    let schema = schema.as_any().downcast_ref::<arrow::array::BinaryArray>().unwrap().value(0).to_vec();
    let schema = Schema::try_from(IpcMessage(schema.into())).unwrap();
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    assert_eq!(schema.field(1).metadata()["ARROW:FLIGHT:SQL:REMARKS"], "how many came");
    let key = CommandGetPrimaryKeys { catalog: None, db_schema: Some("gold".into()), table: "days".into() };
    let info = client.get_primary_keys(key).await.unwrap();
    let keys = read(&mut client, &info).await.unwrap();
    assert_eq!(text(&keys, "column_name"), ["day"]);
    let keys_of = |table: &str| CommandGetImportedKeys {
        catalog: None,
        db_schema: Some("gold".into()),
        table: table.into(),
    };
    let info = client.get_imported_keys(keys_of("days")).await.unwrap();
    let keys = read(&mut client, &info).await.unwrap();
    let shown =
        ["pk_table_name", "pk_column_name", "fk_table_name", "fk_column_name", "fk_key_name", "pk_key_name"];
    assert_eq!(
        shown.map(|c| text(&keys, c)[0].clone()),
        ["days", "day", "days", "visits", "days_visits_fkey", "days_pkey"]
    );
    let info = client.get_imported_keys(keys_of("names")).await.unwrap();
    assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), 0);
    let exported = |schema: &str| CommandGetExportedKeys {
        catalog: None,
        db_schema: Some(schema.into()),
        table: "days".into(),
    };
    for (schema, rows) in [("gold", 1), ("silver", 0)] {
        let info = client.get_exported_keys(exported(schema)).await.unwrap();
        assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), rows, "{schema}");
    }
    for (schema, rows) in [("gold", 1), ("silver", 0)] {
        let (of, to) = (Some("gold".to_string()), Some(schema.to_string()));
        let between = CommandGetCrossReference {
            pk_catalog: None,
            pk_db_schema: to,
            pk_table: "days".into(),
            fk_catalog: None,
            fk_db_schema: of,
            fk_table: "days".into(),
        };
        let info = client.get_cross_reference(between).await.unwrap();
        assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), rows, "{schema}");
    }
    let info = client.get_table_types().await.unwrap();
    assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), 4);
    let info = client
        .get_sql_info(vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerReadOnly])
        .await
        .unwrap();
    assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), 2);
    let info = client.get_sql_info(vec![]).await.unwrap();
    assert!(read(&mut client, &info).await.unwrap().num_rows() > 20);
    let info = client.get_xdbc_type_info(Default::default()).await.unwrap();
    let types = read(&mut client, &info).await.unwrap();
    let codes = types.column_by_name("data_type").unwrap().as_primitive::<Int32Type>();
    let codes: Vec<(String, i32)> =
        text(&types, "type_name").into_iter().zip(codes.values().iter().copied()).collect();
    for (name, code) in [("bigint", -5), ("boolean", -7), ("date", 91), ("numeric", 3), ("text", 12)] {
        assert!(codes.contains(&(name.to_string(), code)), "{name} {code}: {codes:?}");
    }
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: Some(3) }).await.unwrap();
    assert_eq!(text(&read(&mut client, &info).await.unwrap(), "type_name"), ["numeric"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_compressed_if_asked_for() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let mut sizes = vec![];
    for compression in ["none", "lz4", "zstd"] {
        client.set_header("sluice-compression", compression);
        let info = client.execute("SELECT day FROM gold.days".to_string(), None).await.unwrap();
        let mut request = tonic::Request::new(info.endpoint[0].ticket.clone().unwrap());
        request.metadata_mut().insert("sluice-compression", compression.parse().unwrap());
        let sent = client.inner_mut().do_get(request).await.unwrap().into_inner();
        let sent: Vec<_> = sent.try_collect().await.unwrap();
        sizes.push(sent.iter().map(|message| message.data_body.len()).sum::<usize>());
    }
    assert!(sizes[0] > 20_000 && sizes[1..].iter().all(|size| *size < sizes[0] / 2), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_session_has_no_options() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let token = client.handshake("ana", "pencil").await.unwrap();
    let token = String::from_utf8(token.to_vec()).unwrap();
    client.set_token(token.clone());
    let set = SetSessionOptionsRequest {
        session_options: [("TimeZone".to_string(), OptionValue::String("Asia/Tokyo".to_string()).into())]
            .into(),
    };
    let act = async |client: &mut Client, name: &str, body: Vec<u8>| {
        let mut request = tonic::Request::new(Action::new(name, body));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let done = client.inner_mut().do_action(request).await.unwrap().into_inner();
        done.try_collect::<Vec<_>>().await.unwrap().remove(0).body
    };
    act(&mut client, "SetSessionOptions", set.encode_to_vec()).await;
    let zone = async |client: &mut Client| {
        let shown = act(client, "GetSessionOptions", vec![]).await;
        let options = GetSessionOptionsResult::decode(shown).unwrap().session_options;
        options["TimeZone"].option_value.clone()
    };
    assert_eq!(zone(&mut client).await, Some(OptionValue::String("Asia/Tokyo".to_string())));
    act(&mut client, "CloseSession", vec![]).await;
    assert_eq!(zone(&mut client).await, Some(OptionValue::String("UTC".to_string())));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_flight_clients_ask_in_sql_or_by_path() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    for descriptor in [
        FlightDescriptor::new_cmd("SELECT * FROM gold.days"),
        FlightDescriptor::new_path(vec!["gold".into(), "days".into()]),
    ] {
        let info = client.inner_mut().get_flight_info(descriptor.clone()).await.unwrap().into_inner();
        assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), 1000);
        let schema = client.inner_mut().get_schema(descriptor).await.unwrap().into_inner();
        assert_eq!(schema.schema, info.schema);
    }
    // A query is planned at once and runs as it is read: what is polled is complete.
    let descriptor = FlightDescriptor::new_cmd("SELECT * FROM gold.days");
    let poll = client.inner_mut().poll_flight_info(descriptor).await.unwrap().into_inner();
    assert_eq!((poll.progress, poll.flight_descriptor), (Some(1.0), None));
    assert_eq!(read(&mut client, &poll.info.unwrap()).await.unwrap().num_rows(), 1000);
    let descriptor = FlightDescriptor::new_cmd(vec![0xffu8, 0xfe]);
    assert_eq!(
        client.inner_mut().get_flight_info(descriptor).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let listed = client.inner_mut().list_flights(arrow_flight::Criteria::default()).await.unwrap();
    assert_eq!(listed.into_inner().try_collect::<Vec<_>>().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_known() {
    let server = start(LimitSettings::default(), false).await;
    let mut client = server.client().await;
    assert!(refusal(&mut client, "SELECT 1").await.contains("28000"));
    assert!(client.handshake("ana", "wrong").await.unwrap_err().to_string().contains("28P01"));
    assert!(client.handshake("sluice", "").await.is_err());
    client.handshake("ana", "pencil").await.unwrap();
    let info = client.execute("SELECT 1".to_string(), None).await.unwrap();
    assert_eq!(read(&mut client, &info).await.unwrap().num_rows(), 1);
    client.set_token("guess".to_string());
    assert!(refusal(&mut client, "SELECT 1").await.contains("28000"));
    assert!(client.get_catalogs().await.is_err());
    // Another user's ticket is of no use; anybody's is none without a login.
    let trusting = start(LimitSettings::default(), true).await;
    let mut sluice = trusting.client().await;
    let mut ana = trusting.client().await;
    ana.handshake("ana", "pencil").await.unwrap();
    let info = sluice.execute("SELECT 1".to_string(), None).await.unwrap();
    let error = read(&mut ana, &info).await.unwrap_err();
    assert!(error.message().contains("26000"), "{error}");
    assert_eq!(read(&mut sluice, &info).await.unwrap().num_rows(), 1);
}

const ENDLESS: &str = "SELECT sum(a.visits * b.visits * c.visits) FROM gold.days a CROSS JOIN gold.days b \
                       CROSS JOIN gold.days c CROSS JOIN gold.days d";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_at_its_timeout() {
    let limits = LimitSettings { statement_timeout_ms: 200, ..LimitSettings::default() };
    let server = start(limits, true).await;
    let mut client = server.client().await;
    let info = client.execute(ENDLESS.to_string(), None).await.unwrap();
    let error = read(&mut client, &info).await.unwrap_err();
    assert!(error.message().contains("statement timeout"), "{error}");
    assert_eq!(ask(&mut client, "SELECT 1").await.num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_holds_nothing_for_long() {
    let limits = LimitSettings { stall_ms_max: 200, ..LimitSettings::default() };
    let server = start(limits, true).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let all = "SELECT a.visits FROM gold.days a CROSS JOIN gold.days b CROSS JOIN gold.days c";
    let info = client.execute(all.to_string(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT a.visits%' AND state = 'active'";
    while number(&ask(&mut other, running).await) > 0 {}
    // Who reads on after all is told that it is not all.
    let rest = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(rest.to_string().contains("has taken nothing for 200 ms"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_expire() {
    let limits = LimitSettings { ticket_idle_seconds_max: 1, ..LimitSettings::default() };
    let server = start(limits, true).await;
    let mut client = server.client().await;
    let info = client.execute("SELECT 1".to_string(), None).await.unwrap();
    let expires = info.endpoint[0].expiration_time.unwrap();
    let until_then = expires.seconds - clock::now().timestamp() + 1;
    // Time is what is waited for here.
    tokio::time::sleep(Duration::from_secs(u64::try_from(until_then).unwrap())).await;
    let error = read(&mut client, &info).await.unwrap_err();
    assert!(error.message().contains("26000"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_can_be_cancelled_from_another_connection() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    let mut other = server.client().await;
    let info = client.execute(ENDLESS.to_string(), None).await.unwrap();
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let cancel = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let action = Action::new("CancelFlightInfo", body);
        other.inner_mut().do_action(action.clone()).await.unwrap();
        // What is gone cannot be cancelled twice.
        other.inner_mut().do_action(action).await.unwrap_err()
    });
    let error = read(&mut client, &info).await.unwrap_err();
    assert!(error.message().contains("user request"), "{error}");
    assert_eq!(cancel.await.unwrap().code(), Code::NotFound);
    // The action's older form.
    let info = client.execute("SELECT 1".to_string(), None).await.unwrap();
    let body = ActionCancelQueryRequest { info: info.encode_to_vec().into() }.as_any().encode_to_vec();
    let results = client.inner_mut().do_action(Action::new("CancelQuery", body)).await.unwrap().into_inner();
    assert_eq!(results.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert!(read(&mut client, &info).await.unwrap_err().message().contains("26000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_room_comes_back() {
    let server = start(LimitSettings { connections_max: 1, ..LimitSettings::default() }, true).await;
    let mut first = server.client().await;
    assert_eq!(ask(&mut first, "SELECT 1").await.num_rows(), 1);
    let second = Channel::from_shared(format!("http://{}", server.address)).unwrap().connect().await;
    let refused = match second {
        Ok(channel) => Client::new(channel).execute("SELECT 1".to_string(), None).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    drop(first);
    for _ in 0..50 {
        if let Ok(channel) =
            Channel::from_shared(format!("http://{}", server.address)).unwrap().connect().await
            && Client::new(channel).execute("SELECT 1".to_string(), None).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no room came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_idle_clients_go_at_once() {
    let server = start(LimitSettings::default(), true).await;
    let mut client = server.client().await;
    assert_eq!(ask(&mut client, "SELECT 1").await.num_rows(), 1);
    server.shutdown.request();
    tokio::time::timeout(Duration::from_secs(5), server.done).await.unwrap().unwrap().unwrap();
    assert!(client.execute("SELECT 1".to_string(), None).await.is_err());
}
