//! `tests/slt/*.slt` over the wire, through the simple protocol (text) and the extended one (binary): the same expected
//! rows hold for both, so that the two encodings are checked against each other.
//!
//! Files named `shop*.slt` and `functions*.slt` run against project `shop`.

use crate::support::pg::{code, describe};
use crate::support::{shared, trial_of};
use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, TimeDelta};
use libtest_mimic::Trial;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio_postgres::types::{FromSql, Kind, Type};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

pub fn trials() -> Vec<Trial> {
    let mut files: Vec<PathBuf> = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/slt")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Files of another project run in the module of that project.
            name.ends_with(".slt") && !name.starts_with("shopsmart")
        })
        .collect();
    files.sort();
    let mut trials = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let copy = file.clone();
        trials.push(trial_of(format!("sql::{name}::simple"), move || {
            run_file(&copy, shared::server().pg, Protocol::Simple);
        }));
        trials.push(trial_of(format!("sql::{name}::extended"), move || {
            run_file(&file, shared::server().pg, Protocol::Extended);
        }));
    }
    trials
}

/// How statements are sent.
#[derive(Clone, Copy)]
pub enum Protocol {
    /// One Query message; values come as text.
    Simple,
    /// Parse, Bind, Execute; values come in binary.
    Extended,
}

/// Runs one file against a server; panics with the first difference.
pub fn run_file(file: &Path, address: SocketAddr, protocol: Protocol) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut runner = Runner::new(|| Session::connect(address, protocol));
        if let Err(error) = runner.run_file_async(file).await {
            panic!("{}", error.display(false));
        }
        runner.shutdown_async().await;
    });
}

struct Session {
    client: Client,
    protocol: Protocol,
}

/// What the server said, with its SQLSTATE in front so that `statement error 42P01` can ask for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(format!("{}: {}", code(&error), describe(&error)))
    }
}

impl Session {
    async fn connect(address: SocketAddr, protocol: Protocol) -> Result<Self, Refused> {
        let settings = format!("host={} port={} user=sluice dbname=sluice", address.ip(), address.port());
        let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        tokio::spawn(async move { connection.await.ok() });
        Ok(Self { client, protocol })
    }

    async fn simple(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        for _ in 0..rehearsals(sql) {
            self.client.simple_query(sql).await?;
        }
        let (mut rows, mut columns, mut count) = (Vec::new(), None, 0);
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(description) => columns = Some(description.len()),
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|i| cell(row.get(i).map(ToString::to_string)));
                    rows.push(cells.collect());
                }
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        Ok(match columns {
            Some(n) => DBOutput::Rows { types: vec![DefaultColumnType::Any; n], rows },
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn extended(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let statement = self.client.prepare(sql).await?;
        if statement.columns().is_empty() {
            return Ok(DBOutput::StatementComplete(self.client.execute(&statement, &[]).await?));
        }
        for _ in 0..rehearsals(sql) {
            self.client.query(&statement, &[]).await?;
        }
        let mut rows = Vec::new();
        for row in self.client.query(&statement, &[]).await? {
            let mut cells = Vec::new();
            for i in 0..row.len() {
                let value: Option<Text> = row.try_get(i)?;
                cells.push(cell(value.map(|text| text.0)));
            }
            rows.push(cells);
        }
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; statement.columns().len()], rows })
    }
}

/// A query that is asked for the third time has its plan from the second.
fn rehearsals(sql: &str) -> usize {
    let is_query = ["SELECT", "WITH", "VALUES"].iter().any(|word| sql.trim_start().starts_with(word));
    if is_query { 2 } else { 0 }
}

/// NULL and the empty string are shown as sqllogictest shows them.
fn cell(value: Option<String>) -> String {
    match value {
        None => "NULL".to_string(),
        Some(text) if text.is_empty() => "(empty)".to_string(),
        Some(text) => text,
    }
}

#[async_trait]
impl AsyncDB for Session {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        match self.protocol {
            Protocol::Simple => self.simple(sql).await,
            Protocol::Extended => self.extended(sql).await,
        }
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        match self.protocol {
            Protocol::Simple => "simple",
            Protocol::Extended => "extended",
        }
    }

    async fn sleep(duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A binary value, written out as PostgreSQL writes it as text.
struct Text(String);

impl<'a> FromSql<'a> for Text {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        text_of(ty, raw).map(Text)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn text_of(ty: &Type, raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let day_zero = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    let moment = |us: i64| day_zero.and_hms_opt(0, 0, 0).unwrap() + TimeDelta::microseconds(us);
    if let Kind::Array(element) = ty.kind() {
        return array(element, raw);
    }
    Ok(match *ty {
        Type::BOOL => if bool::from_sql(ty, raw)? { "t" } else { "f" }.to_string(),
        Type::INT2 => i16::from_sql(ty, raw)?.to_string(),
        Type::INT4 => i32::from_sql(ty, raw)?.to_string(),
        Type::INT8 => i64::from_sql(ty, raw)?.to_string(),
        Type::OID => u32::from_sql(ty, raw)?.to_string(),
        Type::FLOAT4 => float(f64::from(f32::from_sql(ty, raw)?), f32::from_sql(ty, raw)?.to_string()),
        Type::FLOAT8 => float(f64::from_sql(ty, raw)?, f64::from_sql(ty, raw)?.to_string()),
        Type::NUMERIC => numeric(raw)?,
        Type::BYTEA => format!("\\x{}", hex::encode(raw)),
        Type::DATE => {
            let days = i32::from_be_bytes(raw.try_into()?);
            let date = match u64::try_from(days) {
                Ok(days) => day_zero.checked_add_days(Days::new(days)),
                Err(_) => day_zero.checked_sub_days(Days::new(u64::from(days.unsigned_abs()))),
            };
            date.ok_or("date out of range")?.to_string()
        }
        Type::TIMESTAMP => fraction_trimmed(&moment(i64::from_be_bytes(raw.try_into()?)).to_string()),
        Type::TIMESTAMPTZ => {
            let utc: DateTime<chrono::Utc> = moment(i64::from_be_bytes(raw.try_into()?)).and_utc();
            fraction_trimmed(&utc.naive_utc().to_string()) + "+00"
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            std::str::from_utf8(raw)?.to_string()
        }
        _ => return Err(format!("no text for binary values of type {ty}").into()),
    })
}

/// chrono prints 3, 6 or 9 digits; PostgreSQL cuts trailing zeros.
fn fraction_trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').to_string() } else { text.to_string() }
}

/// Rust prints the shortest digits that read back, as PostgreSQL does; the words and the exponent differ.
fn float(value: f64, shortest: String) -> String {
    if value.is_nan() {
        "NaN".to_string()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string()
    } else {
        shortest
    }
}

/// Base 10,000 digits, most significant first, with weight and display scale.
fn numeric(raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let mut fields = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let mut field = || fields.next().ok_or("short numeric");
    let (_count, weight, sign, scale) = (field()?, field()?, field()?, usize::try_from(field()?)?);
    if sign == i16::from_be_bytes([0xC0, 0]) {
        return Ok("NaN".to_string());
    }
    let digits: Vec<i16> = fields.collect();
    let digit = |at: i16| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut text = if sign == 0x4000 { "-".to_string() } else { String::new() };
    let mut whole = String::new();
    for at in 0..=weight {
        write!(whole, "{:04}", digit(at))?;
    }
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let mut fraction = String::new();
        let mut at = weight + 1;
        while fraction.len() < scale {
            write!(fraction, "{:04}", if at < 0 { 0 } else { digit(at) })?;
            at += 1;
        }
        fraction.truncate(scale);
        write!(text, ".{fraction}")?;
    }
    Ok(text)
}

/// One dimension: `{a,b,NULL}`, quoted where PostgreSQL quotes.
fn array(element: &Type, raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let word = |at: usize| -> Result<i32, Box<dyn Error + Sync + Send>> {
        Ok(i32::from_be_bytes(raw.get(at..at + 4).ok_or("short array")?.try_into()?))
    };
    if word(0)? == 0 {
        return Ok("{}".to_string());
    }
    let (count, mut at, mut items) = (word(12)?, 20, Vec::new());
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            items.push("NULL".to_string());
            continue;
        };
        let text = text_of(element, raw.get(at..at + length).ok_or("short array item")?)?;
        let plain = !text.is_empty()
            && !text.eq_ignore_ascii_case("null")
            && !text.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
        items.push(if plain {
            text
        } else {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        });
        at += length;
    }
    Ok(format!("{{{}}}", items.join(",")))
}
