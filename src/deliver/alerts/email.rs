//! Messages by mail. Each has its key in its `Message-ID`, by which a mailbox knows that it has it already.

use super::message::{Message, written};
use super::outbox::Outcome;
use crate::catalog::options::{doubt, value_of};
use crate::lake::chain;
use crate::ops::secret::{self, Secrets};
use crate::sql::{ConnectionDefinition, Email, OptionValue};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::{self, authentication::Credentials};
use lettre::{SmtpTransport, Transport as _};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the server may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Sends a message.
pub(super) async fn send(
    email: &Email,
    connection: &ConnectionDefinition,
    secrets: &Secrets,
    message: &Message,
) -> Outcome {
    let (transport, mail) = match prepared(email, connection, secrets, message).await {
        Ok(prepared) => prepared,
        Err(error) => return Outcome::Failed(error),
    };
    let (done, outcome) = oneshot::channel();
    // A thread of its own: lettre's asynchronous transport asks for another build of what all crates here share, and a
    // server that does not answer must hold up neither the runtime's threads nor its end.
    std::thread::spawn(move || done.send(transport.send(&mail)));
    match outcome.await {
        Ok(Ok(_)) => Outcome::Delivered,
        Ok(Err(error)) => {
            let code = error.status().map(|code| code.to_string());
            // 550 to 559: there is no such mailbox, or it takes no such mail. Others, a wrong password too, may be mended.
            let is_final = code.is_some_and(|code| code.starts_with("55"));
            connection.options.get("password").inspect(|password| doubt(password, secrets));
            let why = why(&error, connection);
            if is_final { Outcome::Refused(why) } else { Outcome::Failed(why) }
        }
        Err(_) => Outcome::Failed("the mail's thread ended".to_string()),
    }
}

async fn prepared(
    email: &Email,
    connection: &ConnectionDefinition,
    secrets: &Secrets,
    message: &Message,
) -> Result<(SmtpTransport, lettre::Message), String> {
    let text = |name: &str| match connection.options.get(name) {
        Some(OptionValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let host = text("host").unwrap_or_default();
    let builder = match text("tls") {
        Some("none") => Ok(SmtpTransport::builder_dangerous(host)),
        Some("tls") => SmtpTransport::relay(host),
        _ => SmtpTransport::starttls_relay(host),
    };
    let mut builder = builder.map_err(|error| chain(&error))?.timeout(Some(ANSWER_MAX));
    if let Some(port) = text("port").and_then(|port| port.parse().ok()) {
        builder = builder.port(port);
    }
    if let Some(user) = connection.options.get("user") {
        let unknown = |error: secret::Error| error.to_string();
        let user = value_of(user, secrets).await.map_err(unknown)?;
        let password = match connection.options.get("password") {
            Some(password) => value_of(password, secrets).await.map_err(unknown)?,
            None => String::new(),
        };
        builder = builder.credentials(Credentials::new(user, password));
    }
    Ok((builder.build(), mail(email, text("from").unwrap_or_default(), message)?))
}

/// Why a mail did not go, and what to do where that is known.
fn why(error: &smtp::Error, connection: &ConnectionDefinition) -> String {
    let said = chain(error);
    let host = match connection.options.get("host") {
        Some(OptionValue::Text(host)) => host.as_str(),
        _ => "the mail server",
    };
    if said.contains("invalid peer certificate") {
        return format!(
            "the certificate of {host} is not trusted: {said}. It has to be made out to that name, by an authority of \
             this machine or of the file that the variable SSL_CERT_FILE names"
        );
    }
    // 530: log in first; 534, 535: not so, and not with this password.
    if error.status().is_some_and(|code| ["530", "534", "535"].contains(&code.to_string().as_str())) {
        let name = &connection.name;
        return format!("{host} does not take the login of connection \"{name}\": {said}");
    }
    said
}

fn mail(email: &Email, from: &str, message: &Message) -> Result<lettre::Message, String> {
    let from: Mailbox =
        from.parse().map_err(|_| "the connection's \"from\" is not an address".to_string())?;
    let to: Mailboxes = email.to.parse().map_err(|_| format!("'{}' is not an address", email.to))?;
    let header =
        |name: &'static str, value: String| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
    let mut builder = lettre::Message::builder()
        .from(from)
        .subject(message.title(email.subject.as_deref()))
        .message_id(Some(format!("<{}@sluice>", message.key)))
        .raw_header(header("Idempotency-Key", message.key.clone()))
        .raw_header(header("Auto-Submitted", "auto-generated".to_string()))
        .header(ContentType::TEXT_PLAIN);
    for mailbox in to {
        builder = builder.to(mailbox);
    }
    builder.body(body(message)).map_err(|error| chain(&error))
}

/// What the mail says.
fn body(message: &Message) -> String {
    let mut lines = vec![format!("Alert {} at {}", message.alert, written(message.at_us))];
    lines.extend(message.labels.iter().map(|(name, value)| format!("{name} = {value}")));
    lines.push(String::new());
    for news in &message.news {
        let since = written(news.started_us);
        lines.push(format!("{}: {} (since {since})", news.status().to_uppercase(), news.words()));
    }
    if message.beyond > 0 {
        lines.push(format!("and {} more", message.beyond));
    }
    lines.push(String::new());
    lines.push(format!("{} firing", message.firing));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::alerts::message::News;
    use crate::sql::Origin;
    use std::collections::BTreeMap;

    #[test]
    fn a_mail_has_its_key_and_says_what_fires() {
        let email = Email {
            to: "a@example.com, B <b@example.com>".to_string(),
            connection: "smtp".to_string(),
            subject: Some("Kein Eingang ü".to_string()),
            origin: Origin::default(),
        };
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_string(), value.to_string())]);
        let news = News {
            labels: map("source", "bronze.sales\r\nBcc: c@example.com"),
            values: map("lag", "301.5"),
            started_us: 0,
            ended_us: None,
        };
        let message = Message {
            key: "k-1".to_string(),
            alert: "no_input".to_string(),
            target: String::new(),
            at_us: 1_000_000,
            labels: map("team", "ops"),
            firing: 1,
            beyond: 2,
            news: vec![news],
        };
        let text = mail(&email, "Sluice <s@example.com>", &message).unwrap().formatted();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "Message-ID: <k-1@sluice>",
            "Idempotency-Key: k-1",
            "Auto-Submitted: auto-generated",
            "To: a@example.com",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("c@example.com"), "{head}");
        assert!(body.contains("team =") && body.contains("lag =") && body.contains("and 2 more"), "{body}");
    }
}
