//! The statements of `catalog/`: secrets, connections, sources.

use super::clauses::options;
use super::columns::{ColumnList, Owner, column_list};
use super::cursor::{Cursor, length_of_time};
use super::mask::{FieldMask, mask_list, masking};
use super::refusal::{self, refuse};
use super::{
    ConnectionDefinition, Connector, Encode, Error, Include, IncludeKind, OptionValue, Options,
    SchemaDefinition, SecretBackend, SecretDefinition, SourceDefinition, Watermark, hint_did_you_mean,
};
use super::{smtp, vault};
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::tokenizer::Token;
use std::time::Duration;

pub(super) const SECRET_EXAMPLE: &str = "Write CREATE SECRET name WITH (backend = 'env') AS 'VARIABLE_NAME' (or 'file' and a path): \
    never the value itself.";

/// `CREATE SCHEMA name PUBLIC`
pub(super) fn schema(cursor: &mut Cursor<'_>) -> Result<SchemaDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE", "SCHEMA"])?;
    super::parser::refuse_if_not_exists(cursor)?;
    let name = cursor.object_name("a schema")?.text;
    if cursor.at_end() {
        return Err(Error::unsupported(origin, "CREATE SCHEMA without PUBLIC says nothing").with_hint(format!(
            "Schemas need no statement: sql/{name}/x.sql makes schema {name}. Write PUBLIC behind it to keep personal data out."
        )));
    }
    cursor.expect_words(&["PUBLIC"])?;
    cursor.expect_end()?;
    Ok(SchemaDefinition { name, origin })
}

/// `CREATE SECRET name WITH (backend = 'env') AS 'KEY'`. Errors stand at the statement's start and repeat nothing of
/// it: people write the value where the variable's name belongs.
pub(super) fn secret(cursor: &mut Cursor<'_>) -> Result<SecretDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE", "SECRET"])?;
    let name = cursor.object_name("a secret")?.text;
    let unreadable = |_| {
        Error::syntax(origin.clone(), format!("secret \"{name}\" cannot be read")).with_hint(SECRET_EXAMPLE)
    };
    cursor.expect_words(&["WITH"]).map_err(unreadable)?;
    let options = options(cursor).map_err(unreadable)?;
    cursor.expect_words(&["AS"]).map_err(unreadable)?;
    let key = cursor.string("a key").map_err(unreadable)?;
    cursor.expect_end().map_err(unreadable)?;

    let backend = match options.get("backend") {
        Some(OptionValue::Text(backend)) => backend.to_lowercase(),
        _ => {
            let message = format!("secret \"{name}\" does not say where its value is kept");
            return Err(Error::syntax(origin, message).with_hint(SECRET_EXAMPLE));
        }
    };
    let backend = match backend.as_str() {
        "env" => SecretBackend::Env,
        "file" => SecretBackend::File,
        "azure_key_vault" => SecretBackend::AzureKeyVault,
        "vault" => SecretBackend::Vault,
        later if refusal::SECRET_BACKENDS.contains(&later) => {
            return Err(Error::unsupported(origin, format!("secret backend '{later}' is not supported yet"))
                .with_hint(SECRET_EXAMPLE));
        }
        _ => {
            let message = format!("secret \"{name}\" has an unknown backend");
            return Err(Error::unsupported(origin, message).with_hint(SECRET_EXAMPLE));
        }
    };
    let ttl = vault::check(&name, backend, &options, &key, &origin)?;
    let is_variable = |key: &str| {
        !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if backend == SecretBackend::Env && !is_variable(&key) {
        let message = format!("secret \"{name}\" names no environment variable");
        return Err(Error::new("22023", origin, message).with_hint(SECRET_EXAMPLE));
    }
    if backend == SecretBackend::File && (key.is_empty() || key.contains(['\n', '\0'])) {
        return Err(
            Error::new("22023", origin, format!("secret \"{name}\" names no file")).with_hint(SECRET_EXAMPLE)
        );
    }
    Ok(SecretDefinition { name, backend, key, options, ttl, origin })
}

/// `CREATE CONNECTION name TO KAFKA (...)`, `... TO SMTP (...)`
pub(super) fn connection(cursor: &mut Cursor<'_>) -> Result<ConnectionDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE", "CONNECTION"])?;
    let name = cursor.object_name("a connection")?.text;
    cursor.expect_words(&["TO"])?;
    let kind_origin = cursor.origin();
    let kind = cursor.identifier("KAFKA or SMTP")?.text;
    if !["kafka", "smtp"].contains(&kind.as_str()) {
        let known = refusal::CONNECTIONS.contains(&kind.as_str());
        let message = format!(
            "CONNECTION TO {} is not supported{}",
            kind.to_uppercase(),
            if known { " yet" } else { "" }
        );
        return Err(Error::unsupported(kind_origin, message).with_hint(
            "Connections are to Kafka brokers and mail servers: CREATE CONNECTION name TO KAFKA (bootstrap.servers = '...'), or TO \
             SMTP (host = '...', from = '...').",
        ));
    }
    let options_origin = cursor.origin();
    let options = options(cursor)?;
    cursor.expect_end()?;
    if let Some(key) = written_out_secret(&options) {
        return Err(Error::new(
            "0A000",
            options_origin,
            format!("\"{key}\" holds a secret in a file of the project"),
        )
        .with_hint(format!(
            "Write CREATE SECRET s WITH (backend = 'env') AS 'VARIABLE'; and {key} = SECRET s."
        )));
    }
    if kind == "smtp" {
        smtp::check(&name, &options, &options_origin)?;
    } else if !options.contains_key("bootstrap.servers") {
        return Err(Error::syntax(options_origin, format!("connection \"{name}\" has no bootstrap.servers"))
            .with_hint("Write bootstrap.servers = 'host:9092'."));
    }
    Ok(ConnectionDefinition { name, kind, options, origin })
}

/// The first option that must refer to a secret and holds text.
fn written_out_secret(options: &Options) -> Option<&str> {
    let is_secret = |key: &str| {
        let last = key.rsplit('.').next().unwrap_or(key);
        ["password", "secret", "pem", "token"].contains(&last)
            && !key.contains("certificate")
            && key != "ssl.ca.pem"
    };
    let is_text = |value: &OptionValue| matches!(value, OptionValue::Text(_));
    options.iter().find(|(key, value)| is_secret(key) && is_text(value)).map(|(key, _)| key.as_str())
}

/// `CREATE SOURCE bronze.name (columns) [INCLUDE ...] WITH (...) FORMAT PLAIN ENCODE ...`
pub(super) fn source(cursor: &mut Cursor<'_>) -> Result<SourceDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE", "SOURCE"])?;
    super::parser::refuse_if_not_exists(cursor)?;
    let (name, name_at) = cursor.table_name("a source")?;
    if name.schema != "bronze" {
        let message = format!("source \"{name}\" is not in schema bronze");
        return Err(Error::new("42P16", cursor.source.origin(name_at), message)
            .with_hint(format!("Sources are the bronze layer: write bronze.{}.", name.name)));
    }
    if cursor.peek() != Some(&Token::LParen) {
        return Err(cursor
            .unexpected("\"(\" and the columns")
            .with_hint("Declare the columns you need; what is not declared stays in _raw."));
    }
    let mut list = column_list(cursor, Owner::Source)?;

    let (mut includes, mut with, mut encode): (Option<Vec<Include>>, Option<Options>, Option<Encode>) =
        (None, None, None);
    let mut masks: Option<Vec<FieldMask>> = None;
    let mut with_origin = cursor.origin();
    let mut encode_origin = cursor.origin();
    while !cursor.at_end() {
        refuse(cursor, refusal::SOURCE_CLAUSES)?;
        if includes.is_none() && cursor.take_word("INCLUDE") {
            includes = Some(include_list(cursor)?);
        } else if masks.is_none() && cursor.take_word("MASK") {
            masks = Some(mask_list(cursor)?);
        } else if with.is_none() && cursor.take_word("WITH") {
            with_origin = cursor.origin();
            with = Some(options(cursor)?);
        } else if encode.is_none() && cursor.at_word("FORMAT") {
            encode_origin = cursor.origin();
            encode = Some(format(cursor)?);
        } else {
            return Err(cursor.unexpected("INCLUDE, MASK, WITH or FORMAT, each once"));
        }
    }
    let Some(mut options) = with else {
        return Err(Error::syntax(
            cursor.end_origin(),
            format!("source \"{name}\" has no WITH (connector = ...)"),
        )
        .with_hint(CONNECTORS_HINT));
    };
    let connector = connector(&mut options, &with_origin)?;
    let connection = connection_of(connector, &mut options, &with_origin)?;
    if let Some(key) = written_out_secret(&options) {
        return Err(Error::new(
            "0A000",
            with_origin,
            format!("\"{key}\" holds a secret in a file of the project"),
        )
        .with_hint(format!(
            "Write CREATE SECRET s WITH (backend = 'env') AS 'VARIABLE'; and {key} = SECRET s."
        )));
    }
    let encode = match encode {
        Some(encode) => encode,
        // A generator has no format of its own to read.
        None if connector == Connector::Datagen => Encode::Json,
        None => {
            return Err(Error::syntax(cursor.end_origin(), format!("source \"{name}\" has no FORMAT"))
                .with_hint("Write FORMAT PLAIN ENCODE JSON, CSV or PARQUET behind WITH (...)."));
        }
    };
    if encode == Encode::Parquet && connector != Connector::Files {
        return Err(Error::unsupported(
            encode_origin,
            format!("ENCODE PARQUET of connector '{connector}' is not supported"),
        )
        .with_hint("Parquet is read from files: write connector = 'files', or ENCODE JSON."));
    }
    check_columns(&list, &encode, &origin)?;
    let watermark = watermark(list.watermark.take(), &mut options, &with_origin)?;
    let includes = included_columns(includes.unwrap_or_default(), &list, &origin)?;
    let masks = masks.unwrap_or_default();
    let masking = masking(masks, &mut options, &with_origin, &list, &includes, &encode)?;
    let sql = cursor.statement_text().to_string();
    Ok(SourceDefinition {
        name,
        columns: list.columns,
        tags: list.tags,
        watermark,
        includes,
        masking,
        connector,
        connection,
        options,
        encode,
        sql,
        origin,
    })
}

/// Takes the watermark's settings out of the options.
fn watermark(
    declared: Option<Watermark>,
    options: &mut Options,
    origin: &super::Origin,
) -> Result<Option<Watermark>, Error> {
    let mut watermark = declared;
    for key in options.keys().filter(|key| key.starts_with(WATERMARK_PREFIX)).cloned().collect::<Vec<_>>() {
        let value = options.remove(&key);
        let Some(watermark) = &mut watermark else {
            let message = format!("\"{key}\" is set, and the source declares no WATERMARK");
            return Err(Error::new("42P16", origin.clone(), message).with_hint(
                "Declare WATERMARK FOR column AS column - INTERVAL '10' MINUTE among the columns.",
            ));
        };
        let setting = match key.as_str() {
            WATERMARK_IDLE => &mut watermark.idle_after,
            WATERMARK_TOLERANCE => &mut watermark.tolerance,
            _ => {
                let hint = hint_did_you_mean(&key, [WATERMARK_IDLE, WATERMARK_TOLERANCE]);
                return Err(Error::new(
                    "42704",
                    origin.clone(),
                    format!("a watermark has no option \"{key}\""),
                )
                .with_hint(
                    hint.unwrap_or_else(|| format!("It has {WATERMARK_IDLE} and {WATERMARK_TOLERANCE}.")),
                ));
            }
        };
        let time = match value {
            Some(OptionValue::Text(text)) => length_of_time(&text),
            _ => None,
        };
        let least = if key == WATERMARK_IDLE { Duration::from_millis(1) } else { Duration::ZERO };
        match time.filter(|time| (least..=WATERMARK_TIME_MAX).contains(time)) {
            Some(time) => *setting = time,
            None => {
                let message =
                    format!("\"{key}\" is a length of time from {} ms to 365 days", least.as_millis());
                return Err(Error::new("22023", origin.clone(), message)
                    .with_hint(format!("Write {key} = '1 minute'.")));
            }
        }
    }
    Ok(watermark)
}

const WATERMARK_PREFIX: &str = "watermark.";
const WATERMARK_IDLE: &str = "watermark.idle_after";
const WATERMARK_TOLERANCE: &str = "watermark.tolerance";
const WATERMARK_TIME_MAX: Duration = Duration::from_secs(365 * 86_400);

const CONNECTORS_HINT: &str = "Connectors are kafka, http, files, datagen and delta.";

/// Takes `connector` out of the options.
fn connector(options: &mut Options, origin: &super::Origin) -> Result<Connector, Error> {
    let name = match options.remove("connector") {
        Some(OptionValue::Text(name)) => name.to_lowercase(),
        _ => {
            return Err(
                Error::syntax(origin.clone(), "WITH (...) names no connector").with_hint(CONNECTORS_HINT)
            );
        }
    };
    Ok(match name.as_str() {
        "kafka" => Connector::Kafka,
        "http" => Connector::Http,
        "files" => Connector::Files,
        "datagen" => Connector::Datagen,
        later if refusal::CONNECTORS.contains(&later) => {
            return Err(Error::unsupported(
                origin.clone(),
                format!("connector '{later}' is not supported yet"),
            )
            .with_hint(CONNECTORS_HINT));
        }
        _ => {
            let hint = hint_did_you_mean(&name, ["kafka", "http", "files", "datagen", "delta"]);
            return Err(Error::new("42704", origin.clone(), format!("connector '{name}' does not exist"))
                .with_hint(hint.unwrap_or_else(|| CONNECTORS_HINT.to_string())));
        }
    })
}

/// Takes `connection` out of the options: Kafka needs one, the others have none.
fn connection_of(
    connector: Connector,
    options: &mut Options,
    origin: &super::Origin,
) -> Result<Option<String>, Error> {
    match (connector, options.remove("connection")) {
        (Connector::Kafka, Some(OptionValue::Text(name))) => Ok(Some(name)),
        (Connector::Kafka, _) => Err(Error::syntax(origin.clone(), "connector 'kafka' needs a connection")
            .with_hint("Write CREATE CONNECTION hub TO KAFKA (...); and connection = hub.")),
        (_, None) => Ok(None),
        (_, Some(_)) => {
            Err(Error::syntax(origin.clone(), format!("connector '{connector}' takes no connection"))
                .with_hint("Leave connection out."))
        }
    }
}

/// `key AS _key, partition AS _partition, offset AS _offset, timestamp AS _ts, header 'trace' AS _trace`
fn include_list(cursor: &mut Cursor<'_>) -> Result<Vec<Include>, Error> {
    let mut includes = vec![];
    loop {
        let origin = cursor.origin();
        let what = cursor.identifier("key, partition, offset, timestamp or header")?.text;
        let kind = match what.as_str() {
            "key" => IncludeKind::Key,
            "partition" => IncludeKind::Partition,
            "offset" => IncludeKind::Offset,
            "timestamp" => IncludeKind::Timestamp,
            "header" => IncludeKind::Header(cursor.string("the header's name")?),
            _ => {
                let hint = hint_did_you_mean(&what, ["key", "partition", "offset", "timestamp", "header"]);
                return Err(Error::syntax(origin, format!("INCLUDE knows no \"{what}\"")).with_hint(
                    hint.unwrap_or_else(|| {
                        "It knows key, partition, offset, timestamp and header 'name'.".to_string()
                    }),
                ));
            }
        };
        cursor.expect_words(&["AS"])?;
        includes.push(Include { kind, column: cursor.column_name()?.text });
        if !cursor.take(&Token::Comma) {
            return Ok(includes);
        }
    }
}

/// Columns that every bronze table has.
const BRONZE_COLUMNS: &[&str] =
    &["_raw", "_source", "_partition", "_offset", "_batch", "_watermark", "_ingested_at"];

/// The included columns without those that bronze has anyway; none may stand twice.
fn included_columns(
    includes: Vec<Include>,
    list: &ColumnList,
    origin: &super::Origin,
) -> Result<Vec<Include>, Error> {
    let mut names: Vec<String> = list.columns.iter().map(|c| c.name.to_lowercase()).collect();
    let mut kept = vec![];
    for include in includes {
        let is_bronze_own = matches!(
            (&include.kind, include.column.as_str()),
            (IncludeKind::Partition, "_partition") | (IncludeKind::Offset, "_offset")
        );
        if is_bronze_own {
            continue;
        }
        let name = include.column.to_lowercase();
        if BRONZE_COLUMNS.contains(&name.as_str()) || names.contains(&name) {
            let message = format!("INCLUDE gives column \"{}\", which the table has already", include.column);
            return Err(
                Error::new("42701", origin.clone(), message).with_hint("Choose another name behind AS.")
            );
        }
        names.push(name);
        kept.push(include);
    }
    Ok(kept)
}

/// `FORMAT PLAIN ENCODE JSON | CSV (...) | PARQUET`
fn format(cursor: &mut Cursor<'_>) -> Result<Encode, Error> {
    cursor.expect_words(&["FORMAT"])?;
    if !cursor.take_word("PLAIN") {
        return Err(cursor.unexpected("PLAIN"));
    }
    refuse(cursor, refusal::SOURCE_CLAUSES)?;
    cursor.expect_words(&["ENCODE"])?;
    if cursor.take_word("JSON") {
        Ok(Encode::Json)
    } else if cursor.take_word("PARQUET") {
        Ok(Encode::Parquet)
    } else if cursor.take_word("CSV") {
        csv(cursor)
    } else {
        Err(cursor.unexpected("JSON, CSV or PARQUET"))
    }
}

/// What stands behind `ENCODE CSV`.
fn csv(cursor: &mut Cursor<'_>) -> Result<Encode, Error> {
    let (mut delimiter, mut header) = (b',', true);
    if cursor.peek() != Some(&Token::LParen) {
        return Ok(Encode::Csv { delimiter, header });
    }
    let origin = cursor.origin();
    for (key, value) in options(cursor)? {
        let text = match value {
            OptionValue::Text(text) => text,
            OptionValue::Secret(_) => {
                return Err(Error::syntax(origin, format!("\"{key}\" takes no secret")));
            }
        };
        match (key.as_str(), text.as_str()) {
            ("delimiter", "\\t" | "tab") => delimiter = b'\t',
            ("delimiter", one) if one.len() == 1 && !"\"\n\r".contains(one) => delimiter = one.as_bytes()[0],
            ("delimiter", _) => {
                return Err(Error::new("22023", origin, "a CSV delimiter is one character of one byte")
                    .with_hint("Write delimiter = ';', or '\\t' for a tab."));
            }
            ("header", "true") => header = true,
            ("header", "false") => header = false,
            ("header", _) => return Err(Error::new("22023", origin, "CSV header is true or false")),
            (key, _) => {
                let hint = hint_did_you_mean(key, ["delimiter", "header"]);
                return Err(Error::syntax(origin, format!("ENCODE CSV has no option \"{key}\""))
                    .with_hint(hint.unwrap_or_else(|| "Its options are delimiter and header.".to_string())));
            }
        }
    }
    Ok(Encode::Csv { delimiter, header })
}

/// What must hold of a source's columns together.
fn check_columns(list: &ColumnList, encode: &Encode, origin: &super::Origin) -> Result<(), Error> {
    if list.columns.is_empty() {
        return Err(Error::syntax(origin.clone(), "the source declares no column"));
    }
    for column in &list.columns {
        if BRONZE_COLUMNS.contains(&column.name.to_lowercase().as_str()) {
            let message = format!("column \"{}\" is one that every bronze table has", column.name);
            return Err(Error::new("42701", origin.clone(), message)
                .with_hint("Leave it out: it is filled in for each record."));
        }
        if matches!(encode, Encode::Csv { .. }) && column.data_type.is_nested() {
            let message = format!("column \"{}\" is nested, and CSV has no nesting", column.name);
            return Err(Error::unsupported(origin.clone(), message)
                .with_hint("Declare it TEXT, and parse it in the model."));
        }
    }
    let Some(watermark) = &list.watermark else { return Ok(()) };
    let column = list.columns.iter().find(|c| c.name == watermark.column);
    match column.map(|c| &c.data_type) {
        Some(DataType::Timestamp(_, _)) => Ok(()),
        Some(_) => Err(Error::new(
            "42804",
            origin.clone(),
            format!("the watermark's column \"{}\" is no timestamp", watermark.column),
        )
        .with_hint("Declare it TIMESTAMPTZ.")),
        None => {
            let names = list.columns.iter().map(|c| c.name.as_str());
            let message = format!("the watermark's column \"{}\" is not declared", watermark.column);
            Err(Error::new("42703", origin.clone(), message)
                .with_hint_if(hint_did_you_mean(&watermark.column, names)))
        }
    }
}
