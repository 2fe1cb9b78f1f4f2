//! Clauses that several statements share: options in parentheses, triggers, keys.

use super::cursor::Cursor;
use super::{Error, OptionValue, Options, Trigger};
use arrow::array::timezone::Tz;
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::BTreeMap;

/// `(key = value, ...)`. Keys are dotted words (or quoted), values strings, numbers, words or `SECRET name`.
pub(super) fn options(cursor: &mut Cursor<'_>) -> Result<Options, Error> {
    let mut options: Options = BTreeMap::new();
    cursor.expect(&Token::LParen)?;
    if cursor.take(&Token::RParen) {
        return Ok(options);
    }
    loop {
        let origin = cursor.origin();
        let key = option_key(cursor)?;
        cursor.expect(&Token::Eq)?;
        let value = option_value(cursor)?;
        if options.insert(key.clone(), value).is_some() {
            return Err(Error::syntax(origin, format!("option \"{key}\" stands twice")));
        }
        if cursor.take(&Token::Comma) {
            continue;
        }
        if cursor.take(&Token::RParen) {
            return Ok(options);
        }
        return Err(cursor.unexpected("\",\" or \")\""));
    }
}

fn option_key(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    if matches!(cursor.peek(), Some(Token::SingleQuotedString(_))) {
        return Ok(cursor.string("an option")?.to_lowercase());
    }
    let mut key = cursor.identifier("an option")?.text.to_lowercase();
    while cursor.take(&Token::Period) {
        key.push('.');
        key.push_str(&cursor.identifier("the rest of the option's name")?.text.to_lowercase());
    }
    Ok(key)
}

fn option_value(cursor: &mut Cursor<'_>) -> Result<OptionValue, Error> {
    if cursor.at_word("SECRET") && matches!(cursor.peek_nth(1), Some(Token::Word(_))) {
        cursor.take_word("SECRET");
        return Ok(OptionValue::Secret(cursor.object_name("a secret")?.text));
    }
    let negative = cursor.take(&Token::Minus);
    match cursor.peek() {
        Some(Token::Number(digits, _)) => {
            cursor.advance();
            Ok(OptionValue::Text(if negative { format!("-{digits}") } else { digits.clone() }))
        }
        Some(Token::Word(word)) if !negative => {
            cursor.advance();
            Ok(OptionValue::Text(if word.quote_style.is_some() {
                word.value.clone()
            } else {
                word.value.to_lowercase()
            }))
        }
        _ if !negative => cursor.string("a value").map(OptionValue::Text),
        _ => Err(cursor.unexpected("a number")),
    }
}

/// `TRIGGER ON UPDATE ...` or `SCHEDULE ...`, if one comes next.
pub(super) fn trigger(cursor: &mut Cursor<'_>) -> Result<Option<Trigger>, Error> {
    if cursor.take_word("TRIGGER") {
        cursor.expect_words(&["ON", "UPDATE"])?;
        let at_most_every = if cursor.take_words(&["AT", "MOST", "EVERY"]) {
            cursor.interval()?
        } else {
            std::time::Duration::ZERO
        };
        return Ok(Some(Trigger::OnUpdate { at_most_every }));
    }
    if !cursor.at_word("SCHEDULE") {
        return Ok(None);
    }
    cursor.take_word("SCHEDULE");
    cursor.take_word("REFRESH");
    if cursor.take_word("EVERY") {
        let origin = cursor.origin();
        let every = cursor.every()?;
        if every.is_zero() {
            return Err(Error::new("22023", origin, "a schedule needs a length of time above zero")
                .with_hint("Write TRIGGER ON UPDATE to refresh with every wave."));
        }
        return Ok(Some(Trigger::Every(every)));
    }
    if !cursor.take_word("CRON") {
        return Err(cursor.unexpected("EVERY or CRON").with_hint(
            "Write SCHEDULE EVERY 1 HOUR, or SCHEDULE CRON '0 2 * * *' AT TIME ZONE 'Europe/Berlin'.",
        ));
    }
    cron(cursor).map(Some)
}

fn cron(cursor: &mut Cursor<'_>) -> Result<Trigger, Error> {
    let origin = cursor.origin();
    let expression = cursor.string("a cron expression")?;
    let fields = expression.split_whitespace().count();
    let parsed = expression.parse::<croner::Cron>();
    if fields != 5 || parsed.is_err() {
        let why = match parsed {
            Err(error) if fields == 5 => {
                format!(": {}", error.to_string().trim_end_matches('.').to_lowercase())
            }
            _ => format!(": it has {fields} fields"),
        };
        return Err(Error::new("22023", origin, format!("'{expression}' is not a cron expression{why}"))
            .with_hint(
                "Write minute, hour, day of month, month, day of week: '0 2 * * *' is every night at two.",
            ));
    }
    let mut zone = "UTC".to_string();
    if cursor.take_words(&["AT", "TIME", "ZONE"]) {
        let origin = cursor.origin();
        zone = cursor.string("a time zone")?;
        if zone.parse::<Tz>().is_err() {
            return Err(Error::new("22023", origin, format!("time zone '{zone}' does not exist"))
                .with_hint("Use a name of the IANA list, as in 'Europe/Berlin'."));
        }
    }
    Ok(Trigger::Cron { expression, zone })
}
