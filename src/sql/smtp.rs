//! `CREATE CONNECTION name TO SMTP (...)`: the server that takes the warehouse's mail.

use super::{Error, OptionValue, Options, Origin, hint_did_you_mean};
use lettre::message::Mailbox;

const EXAMPLE: &str = "Write CREATE CONNECTION name TO SMTP (host = 'mail.example.com', from = 'sluice@example.com', user = 'sluice', \
    password = SECRET s); tls is 'starttls' unless it is set to 'tls' or 'none', port what belongs to it.";
const OPTIONS: [&str; 6] = ["host", "port", "user", "password", "tls", "from"];

/// Checks a connection's options.
pub(super) fn check(name: &str, options: &Options, origin: &Origin) -> Result<(), Error> {
    let wrong = |code, message: String| Err(Error::new(code, origin.clone(), message).with_hint(EXAMPLE));
    if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        let message = format!("a connection to SMTP has no option \"{unknown}\"");
        let hint = hint_did_you_mean(unknown, OPTIONS).unwrap_or_else(|| EXAMPLE.to_string());
        return Err(Error::new("42601", origin.clone(), message).with_hint(hint));
    }
    let text = |key: &str| match options.get(key) {
        Some(OptionValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    if let Some(missing) = ["host", "from"].into_iter().find(|key| text(key).is_none_or(str::is_empty)) {
        return wrong("42601", format!("connection \"{name}\" has no {missing}"));
    }
    if text("from").is_some_and(|from| from.parse::<Mailbox>().is_err()) {
        return wrong("22023", format!("\"from\" of connection \"{name}\" is not an address"));
    }
    if options.contains_key("port") && text("port").is_none_or(|port| port.parse::<u16>().is_err()) {
        return wrong("22023", format!("\"port\" of connection \"{name}\" is not a port"));
    }
    if options.contains_key("user") != options.contains_key("password") {
        return wrong("42601", format!("connection \"{name}\" has one of user and password only"));
    }
    if options.contains_key("tls") && !["starttls", "tls", "none"].contains(&text("tls").unwrap_or_default())
    {
        return wrong("22023", format!("\"tls\" of connection \"{name}\" is starttls, tls or none"));
    }
    if options.contains_key("password") && text("tls") == Some("none") {
        return wrong("0A000", format!("connection \"{name}\" would send its password for everyone to read"));
    }
    Ok(())
}
