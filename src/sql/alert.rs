//! `CREATE ALERT`: a question that is asked again and again, and who is told while it has an answer.
//!
//! ```text
//! CREATE [OR REPLACE] ALERT name
//!   [SCHEDULE EVERY 1 MINUTE | SCHEDULE CRON '...' AT TIME ZONE '...']   with each epoch, without it
//!   [FOR INTERVAL '5' MINUTE]                 how long it must hold before it fires
//!   [KEEP FIRING FOR INTERVAL '10' MINUTE]    how long it must be over before it is resolved
//!   [LABELS (team = 'ops', ...)]              what each message carries
//!   [BY (column, ...)]                        which columns tell instances apart
//!   IF (EXISTS (query))
//!   [THEN NOTIFY (WEBHOOK name URL 'https://...' | SECRET s [FORMAT generic | teams | slack] [SIGNED SECRET s]),
//!                (EMAIL 'someone@example.com' CONNECTION c [SUBJECT '...'])]
//! ```
//!
//! The words are GreptimeDB's and Snowflake's. Each row of the query is an instance of the alert.

use super::clauses::trigger;
use super::cursor::Cursor;
use super::query::plain_query;
use super::{Error, OptionValue, Origin, Trigger, hint_did_you_mean};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::Token;
use lettre::message::Mailboxes;
use reqwest::Url;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// `CREATE ALERT`
#[derive(Clone, Debug)]
pub struct AlertDefinition {
    /// Its name.
    pub name: String,
    /// When its query is asked.
    pub schedule: Trigger,
    /// How long the condition must hold before the alert fires.
    pub hold: Duration,
    /// How long the condition must be over before the alert is resolved.
    pub keep_firing: Duration,
    /// What each of its messages carries.
    pub labels: BTreeMap<String, String>,
    /// The columns that tell instances apart; all that are neither numbers nor times, without it.
    pub by: Option<Vec<String>>,
    /// The rows that it fires for.
    pub query: Opaque<Query>,
    /// Every table that the query names.
    pub inputs: Vec<TableName>,
    /// Who is told.
    pub targets: Vec<Target>,
    /// The whole statement, for display.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// Who is told of an alert. Displayed, it is the name that keeps its messages in order; never its address, which may be a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `WEBHOOK name URL ...`
    Webhook(Webhook),
    /// `EMAIL 'address' CONNECTION name`
    Email(Email),
}

/// What is posted to over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Its address, or the secret that holds it.
    pub url: OptionValue,
    /// How messages are laid out.
    pub format: PayloadFormat,
    /// The secret that messages are signed with.
    pub signed: Option<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// Who gets mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// One address, or several behind commas.
    pub to: String,
    /// The connection that it goes over.
    pub connection: String,
    /// What stands in the subject; the alert's name without.
    pub subject: Option<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// How a webhook's messages are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadFormat {
    /// As Prometheus' Alertmanager does.
    Generic,
    /// An Adaptive Card, for Microsoft Teams.
    Teams,
    /// Blocks, for Slack.
    Slack,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Webhook(webhook) => write!(f, "webhook {}", webhook.name),
            Target::Email(email) => write!(f, "email {} over {}", email.to, email.connection),
        }
    }
}

impl Target {
    /// Where it stands.
    pub fn origin(&self) -> &Origin {
        match self {
            Target::Webhook(webhook) => &webhook.origin,
            Target::Email(email) => &email.origin,
        }
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> Vec<&String> {
        match self {
            Target::Webhook(Webhook { url, signed, .. }) => {
                let url = match url {
                    OptionValue::Secret(name) => Some(name),
                    OptionValue::Text(_) => None,
                };
                url.into_iter().chain(signed).collect()
            }
            Target::Email(_) => vec![],
        }
    }

    /// The same wherever it may stand.
    pub fn is_same_as(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Webhook(one), Target::Webhook(two)) => {
                (&one.url, one.format, &one.signed) == (&two.url, two.format, &two.signed)
            }
            // The subject is the alert's, not the target's.
            (Target::Email(_), Target::Email(_)) => true,
            _ => false,
        }
    }
}

/// `CREATE ALERT ...`, the cursor at `CREATE`.
pub(super) fn alert(cursor: &mut Cursor<'_>) -> Result<AlertDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE"])?;
    cursor.take_words(&["OR", "REPLACE"]);
    cursor.expect_words(&["ALERT"])?;
    super::parser::refuse_if_not_exists(cursor)?;
    let name = cursor.object_name("an alert")?.text;
    let clauses = clauses(cursor)?;
    let (query, inputs) = condition(cursor)?;
    let targets = if cursor.take_word("THEN") { targets(cursor)? } else { vec![] };
    cursor.expect_end()?;
    let sql = cursor.statement_text().to_string();
    let query = Opaque::new(query);
    Ok(AlertDefinition {
        name,
        schedule: clauses.schedule.unwrap_or_default(),
        hold: clauses.hold.unwrap_or_default(),
        keep_firing: clauses.keep_firing.unwrap_or_default(),
        labels: clauses.labels.unwrap_or_default(),
        by: clauses.by,
        query,
        inputs,
        targets,
        sql,
        origin,
    })
}

/// What stands between the name and the condition, in any order.
#[derive(Default)]
struct Clauses {
    schedule: Option<Trigger>,
    hold: Option<Duration>,
    keep_firing: Option<Duration>,
    labels: Option<BTreeMap<String, String>>,
    by: Option<Vec<String>>,
}

fn clauses(cursor: &mut Cursor<'_>) -> Result<Clauses, Error> {
    let mut clauses = Clauses::default();
    while !cursor.at_word("IF") {
        if clauses.schedule.is_none() && cursor.at_word("SCHEDULE") {
            clauses.schedule = trigger(cursor)?;
        } else if clauses.hold.is_none() && cursor.take_word("FOR") {
            clauses.hold = Some(cursor.interval()?);
        } else if clauses.keep_firing.is_none() && cursor.take_words(&["KEEP", "FIRING", "FOR"]) {
            clauses.keep_firing = Some(cursor.interval()?);
        } else if clauses.labels.is_none() && cursor.take_word("LABELS") {
            clauses.labels = Some(labels(cursor)?);
        } else if clauses.by.is_none() && cursor.take_word("BY") {
            clauses.by = Some(cursor.column_list()?.into_iter().map(|name| name.text).collect());
        } else {
            return Err(cursor
                .unexpected("SCHEDULE, FOR, KEEP FIRING FOR, LABELS, BY, each once, or IF")
                .with_hint("Write CREATE ALERT name SCHEDULE EVERY 1 MINUTE IF (EXISTS (SELECT ...))."));
        }
    }
    Ok(clauses)
}

/// The label that names the alert in messages.
pub const ALERT_NAME: &str = "alertname";

fn labels(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = BTreeMap::new();
    cursor.expect(&Token::LParen)?;
    loop {
        let name = cursor.object_name("a label")?;
        let origin = cursor.source.origin(name.at);
        if name.text == ALERT_NAME {
            let message = format!("label \"{ALERT_NAME}\" is the alert's own");
            return Err(Error::new("42710", origin, message).with_hint("Choose another name."));
        }
        cursor.expect(&Token::Eq)?;
        let value = cursor.string("the label's value")?;
        if labels.insert(name.text.clone(), value).is_some() {
            return Err(Error::syntax(origin, format!("label \"{}\" stands twice", name.text)));
        }
        if !cursor.take(&Token::Comma) {
            cursor.expect(&Token::RParen)?;
            return Ok(labels);
        }
    }
}

/// `IF (EXISTS (query))`, with or without the outer parentheses.
fn condition(cursor: &mut Cursor<'_>) -> Result<(Query, Vec<TableName>), Error> {
    cursor.expect_words(&["IF"])?;
    if cursor.take_word("EXISTS") {
        return rows(cursor);
    }
    let mut inside = cursor.parenthesized()?;
    if !inside.take_word("EXISTS") {
        return Err(inside
            .unexpected("EXISTS")
            .with_hint("Write IF (EXISTS (SELECT ... FROM ... WHERE ...))."));
    }
    let rows = rows(&mut inside)?;
    if !inside.at_end() {
        return Err(inside.unexpected("\")\"").with_hint("Put all of the condition into the query."));
    }
    Ok(rows)
}

fn rows(cursor: &mut Cursor<'_>) -> Result<(Query, Vec<TableName>), Error> {
    let mut inside = cursor.parenthesized()?;
    if !["SELECT", "WITH", "VALUES", "("].iter().any(|word| inside.at_word(word)) {
        return Err(inside
            .unexpected("a query")
            .with_hint("Write IF (EXISTS (SELECT ... FROM ... WHERE ...))."));
    }
    let end = inside.end_origin();
    let tokens = inside.rest();
    plain_query(&inside, tokens, &end, |_| {})
}

/// `NOTIFY (...), (...)`
fn targets(cursor: &mut Cursor<'_>) -> Result<Vec<Target>, Error> {
    cursor.expect_words(&["NOTIFY"])?;
    let mut targets: Vec<Target> = vec![];
    loop {
        let mut inside = cursor.parenthesized()?;
        let target = target(&mut inside)?;
        if !inside.at_end() {
            return Err(inside.unexpected("\")\""));
        }
        if targets.iter().any(|other| other.to_string() == target.to_string()) {
            let message = format!("{target} stands twice");
            return Err(Error::syntax(target.origin().clone(), message));
        }
        targets.push(target);
        if !cursor.take(&Token::Comma) {
            return Ok(targets);
        }
    }
}

fn target(cursor: &mut Cursor<'_>) -> Result<Target, Error> {
    if cursor.at_word("WEBHOOK") {
        return webhook(cursor).map(Target::Webhook);
    }
    if cursor.at_word("EMAIL") {
        return email(cursor).map(Target::Email);
    }
    Err(cursor.unexpected("WEBHOOK or EMAIL").with_hint(
        "Write NOTIFY (WEBHOOK name URL SECRET s), or (EMAIL 'someone@example.com' CONNECTION name).",
    ))
}

fn webhook(cursor: &mut Cursor<'_>) -> Result<Webhook, Error> {
    let origin = cursor.origin();
    cursor.expect_words(&["WEBHOOK"])?;
    let name = cursor.object_name("a webhook")?.text;
    cursor.expect_words(&["URL"])?;
    let url = url(cursor)?;
    let (mut format, mut signed) = (None, None);
    while !cursor.at_end() {
        if format.is_none() && cursor.take_word("FORMAT") {
            format = Some(payload_format(cursor)?);
        } else if signed.is_none() && cursor.take_word("SIGNED") {
            cursor.expect_words(&["SECRET"])?;
            signed = Some(cursor.object_name("a secret")?.text);
        } else {
            return Err(cursor.unexpected("FORMAT, SIGNED SECRET or \")\""));
        }
    }
    Ok(Webhook { name, url, format: format.unwrap_or(PayloadFormat::Generic), signed, origin })
}

fn url(cursor: &mut Cursor<'_>) -> Result<OptionValue, Error> {
    if cursor.take_word("SECRET") {
        return Ok(OptionValue::Secret(cursor.object_name("a secret")?.text));
    }
    let origin = cursor.origin();
    let text = cursor.string("the webhook's address")?;
    let parsed = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    match parsed {
        Some(url) if url.username().is_empty() && url.password().is_none() => Ok(OptionValue::Text(text)),
        Some(_) => {
            Err(Error::new("0A000", origin, "the webhook's address holds a login in a file of the project")
                .with_hint("Keep the address in a secret: URL SECRET name."))
        }
        None => Err(Error::new("22023", origin, "the webhook's address is none of the web")
            .with_hint("Write URL 'https://host/path', or URL SECRET name.")),
    }
}

fn payload_format(cursor: &mut Cursor<'_>) -> Result<PayloadFormat, Error> {
    let origin = cursor.origin();
    let word = cursor.identifier("generic, teams or slack")?.text;
    match word.as_str() {
        "generic" => Ok(PayloadFormat::Generic),
        "teams" => Ok(PayloadFormat::Teams),
        "slack" => Ok(PayloadFormat::Slack),
        _ => {
            let hint = hint_did_you_mean(&word, ["generic", "teams", "slack"]);
            Err(Error::new("22023", origin, format!("a webhook has no format \"{word}\""))
                .with_hint(hint.unwrap_or_else(|| "Formats are generic, teams and slack.".to_string())))
        }
    }
}

fn email(cursor: &mut Cursor<'_>) -> Result<Email, Error> {
    let origin = cursor.origin();
    cursor.expect_words(&["EMAIL"])?;
    let at = cursor.origin();
    let to = cursor.string("an address")?;
    if to.parse::<Mailboxes>().is_err() {
        return Err(Error::new("22023", at, format!("'{to}' is not an address that mail goes to"))
            .with_hint("Write EMAIL 'someone@example.com'; several go behind commas."));
    }
    cursor.expect_words(&["CONNECTION"])?;
    let connection = cursor.object_name("a connection")?.text;
    let subject = if cursor.take_word("SUBJECT") { Some(cursor.string("a subject")?) } else { None };
    Ok(Email { to, connection, subject, origin })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definition, parse_file};

    fn alert(text: &str) -> Result<AlertDefinition, String> {
        let mut parsed =
            parse_file("catalog/x.sql".as_ref(), text).map_err(|errors| errors[0].to_string())?;
        match parsed.pop() {
            Some(Definition::Alert(alert)) => Ok(alert),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn every_clause_is_read() {
        let text = "CREATE OR REPLACE ALERT no_input SCHEDULE EVERY 1 MINUTE FOR INTERVAL '5' MINUTE KEEP FIRING FOR \
                    INTERVAL '10' MINUTE LABELS (team = 'ops', severity = 'page') BY (source)\nIF (EXISTS (SELECT source, \
                    lag_seconds FROM sluice.sources WHERE lag_seconds > 300))\nTHEN NOTIFY (WEBHOOK chat URL SECRET chat_url \
                    FORMAT teams SIGNED SECRET key), (EMAIL 'a@example.com, b@example.com' CONNECTION smtp SUBJECT 'No \
                    input');";
        let alert = alert(text).unwrap();
        assert_eq!(alert.name, "no_input");
        assert_eq!(alert.schedule, Trigger::Every(Duration::from_secs(60)));
        assert_eq!((alert.hold, alert.keep_firing), (Duration::from_secs(300), Duration::from_secs(600)));
        assert_eq!(alert.labels["severity"], "page");
        assert_eq!(alert.by.as_deref(), Some(&["source".to_string()][..]));
        assert_eq!(alert.inputs, [TableName::new("sluice", "sources")]);
        let names: Vec<String> = alert.targets.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["webhook chat", "email a@example.com, b@example.com over smtp"]);
        assert_eq!(alert.targets[0].secrets(), ["chat_url", "key"]);
    }

    #[test]
    fn little_is_enough() {
        let alert = alert("CREATE ALERT a IF EXISTS (SELECT 1 AS one)").unwrap();
        assert_eq!(
            (alert.schedule, alert.hold, alert.targets.len()),
            (Trigger::default(), Duration::ZERO, 0)
        );
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, message) in [
            ("CREATE ALERT IF EXISTS (SELECT 1)", "1:17: expected SCHEDULE"),
            ("CREATE ALERT a SELECT 1", "1:16: expected SCHEDULE, FOR"),
            ("CREATE ALERT a FOR INTERVAL '1' MONTH IF EXISTS (SELECT 1)", "1:33: \"MONTH\" is not a unit"),
            ("CREATE ALERT a IF (SELECT 1)", "1:20: expected EXISTS"),
            ("CREATE ALERT a IF (EXISTS (SELECT 1) AND true)", "1:38: expected \")\""),
            ("CREATE ALERT a IF (EXISTS (DELETE FROM a.b))", "1:28: expected a query"),
            ("CREATE ALERT a IF EXISTS (SELECT 1 FROM b)", "1:41: \"b\" names no schema"),
            (
                "CREATE ALERT a IF EXISTS (SELECT 1) THEN NOTIFY (PHONE '1')",
                "1:50: expected WEBHOOK or EMAIL",
            ),
            (
                "CREATE ALERT a IF EXISTS (SELECT 1) THEN NOTIFY (WEBHOOK w URL 'ftp://x')",
                "1:64: the webhook's address is none of the web",
            ),
            (
                "CREATE ALERT a IF EXISTS (SELECT 1) THEN NOTIFY (WEBHOOK w URL 'http://u:p@x/')",
                "1:64: the webhook's address holds a login",
            ),
            (
                "CREATE ALERT a IF EXISTS (SELECT 1) THEN NOTIFY (WEBHOOK w URL 'http://x/' FORMAT team)",
                "hint: Did you mean \"teams\"?",
            ),
            (
                "CREATE ALERT a IF EXISTS (SELECT 1) THEN NOTIFY (EMAIL 'nobody' CONNECTION c)",
                "1:56: 'nobody' is not an address",
            ),
            (
                "CREATE ALERT a IF EXISTS (SELECT 1) THEN NOTIFY (EMAIL 'a@b.c' CONNECTION c), (EMAIL 'a@b.c' CONNECTION c)",
                "1:80: email a@b.c over c stands twice",
            ),
            ("CREATE ALERT a LABELS (alertname = 'x') IF EXISTS (SELECT 1)", "1:24: label \"alertname\""),
        ] {
            let error = alert(text).unwrap_err();
            assert!(error.contains(message), "{text}\n{error}");
        }
    }
}
