//! Options, right and wrong.

use super::*;
use crate::lake::TableName;
use crate::sql::Origin;

fn definition(connector: Connector, encode: Encode, options: &[(&str, &str)]) -> Arc<SourceDefinition> {
    let option = |(key, value): &(&str, &str)| (key.to_string(), OptionValue::Text(value.to_string()));
    Arc::new(SourceDefinition {
        name: TableName::new("bronze", "orders"),
        columns: Vec::new(),
        tags: vec![],
        watermark: None,
        includes: Vec::new(),
        masking: Default::default(),
        connector,
        connection: None,
        options: options.iter().map(option).collect(),
        encode,
        sql: String::new(),
        origin: Origin::default(),
    })
}

fn open(definition: &Arc<SourceDefinition>) -> Result<Opened, String> {
    let resolve = |value: &OptionValue| match value {
        OptionValue::Text(text) => Ok(text.clone()),
        OptionValue::Secret(name) => Err(SourceError::Setting(format!("no secret \"{name}\""))),
    };
    open_source(definition, Path::new("/project"), &resolve, None, None).map_err(|error| error.to_string())
}

#[track_caller]
fn check(connector: Connector, encode: Encode, options: &[(&str, &str)], expected: &str) {
    let error = open(&definition(connector, encode, options)).err();
    assert_eq!(error.as_deref(), Some(expected));
}

#[test]
fn sources_open_with_their_options() {
    let files = [("path", "in/*.csv"), ("on_change", "error"), ("poll_ms", "50")];
    let opened =
        open(&definition(Connector::Files, Encode::Json, &files)).unwrap_or_else(|error| panic!("{error}"));
    assert!(opened.inbox.is_none());
    let opened =
        open(&definition(Connector::Http, Encode::Json, &[])).unwrap_or_else(|error| panic!("{error}"));
    assert!(opened.inbox.is_some());
}

#[test]
fn wrong_options_are_named_with_their_source() {
    use Connector::{Files, Http};
    let json = || Encode::Json;
    check(Files, json(), &[], "source bronze.orders: connector 'files' needs option \"path\"");
    check(Files, json(), &[("path", " ")], "source bronze.orders: option \"path\" is empty");
    check(
        Files,
        json(),
        &[("path", "a"), ("pol_ms", "5")],
        "source bronze.orders: connector 'files' has no option \"pol_ms\"; it has on_change, path, poll_ms",
    );
    check(
        Files,
        json(),
        &[("path", "a"), ("poll_ms", "0")],
        "source bronze.orders: option \"poll_ms\" is a number from 1 to 86400000, not '0'",
    );
    check(
        Files,
        json(),
        &[("path", "a"), ("on_change", "skip")],
        "source bronze.orders: option \"on_change\" is 'take' or 'error', not 'skip'",
    );
    check(
        Http,
        json(),
        &[("path", "a")],
        "source bronze.orders: connector 'http' has no options, but \"path\" is given",
    );
    check(
        Http,
        Encode::Parquet,
        &[],
        "source bronze.orders: connector 'http' reads JSON or CSV; PARQUET is for files",
    );
    let mut with_connection = definition(Files, json(), &[("path", "a")]).as_ref().clone();
    with_connection.connection = Some("hub".to_string());
    let error = open(&Arc::new(with_connection)).err();
    let expected = "source bronze.orders: connector 'files' takes no connection, but \"hub\" is given";
    assert_eq!(error.as_deref(), Some(expected));
    let mut with_secret = definition(Files, json(), &[]).as_ref().clone();
    with_secret.options.insert("path".to_string(), OptionValue::Secret("s".to_string()));
    assert_eq!(open(&Arc::new(with_secret)).err().as_deref(), Some("no secret \"s\""));
}

#[test]
fn kafka_options_are_the_connections_and_over_them_the_sources() {
    let option = |key: &str, value| (key.to_string(), value);
    let text = |value: &str| OptionValue::Text(value.to_string());
    let hub = ConnectionDefinition {
        name: "hub".to_string(),
        kind: "kafka".to_string(),
        options: Options::from([
            option("bootstrap.servers", text("127.0.0.1:1")),
            option("client.id", text("connection")),
            option("sasl.password", OptionValue::Secret("password".to_string())),
        ]),
        origin: Origin::default(),
    };
    let options = [("topic", "orders"), ("client.id", "source")];
    let orders = definition(Connector::Kafka, Encode::Json, &options);
    let resolve = |value: &OptionValue| match value {
        OptionValue::Text(text) => Ok(text.clone()),
        OptionValue::Secret(name) => Ok(format!("the {name}")),
    };
    let settings = Settings { definition: &orders, resolve: &resolve };
    let merged = settings.with_connection(Some(&hub)).unwrap();
    let merged: Vec<_> = merged.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(
        merged,
        [
            ("bootstrap.servers", "127.0.0.1:1"),
            ("client.id", "source"),
            ("sasl.password", "the password"),
            ("topic", "orders"),
        ]
    );
    let postgres = ConnectionDefinition { kind: "postgres".to_string(), ..hub.clone() };
    let error = settings.with_connection(Some(&postgres)).unwrap_err().to_string();
    assert_eq!(error, "source bronze.orders: connection \"hub\" is to postgres, not to kafka");
    let opened = open_source(&orders, Path::new("/project"), &resolve, Some(&hub), None);
    assert!(opened.map_err(|error| panic!("{error}")).is_ok_and(|opened| opened.inbox.is_none()));
}

#[test]
fn generators_open_with_their_options() {
    let options = [("generator", "no such generator")];
    assert!(open(&definition(Connector::Datagen, Encode::Json, &options)).is_err());
    let known = crate::ingest::datagen::Generator::named("shopsmart.clickstream");
    assert!(known.is_some());
    let options = [("generator", "shopsmart.clickstream"), ("rows", "10")];
    open(&definition(Connector::Datagen, Encode::Json, &options)).unwrap_or_else(|error| panic!("{error}"));
}
