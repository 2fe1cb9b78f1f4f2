//! Values that do not read as a type, or do not fit into it: what the engine says, in PostgreSQL's words.

use super::Error;

/// The error behind an engine's message about a value; `None` if it is about something else.
pub(super) fn misread(message: &str) -> Option<Error> {
    for (before, between) in
        [("Cannot cast string '", "' to value of "), ("Cannot cast value '", "' to value of ")]
    {
        if let Some((value, rest)) = behind(message, before).and_then(|rest| rest.rsplit_once(between)) {
            return Some(unreadable(value, postgres_type(rest.trim_end_matches(" type"))));
        }
    }
    if let Some((_, data_type)) =
        behind(message, "Can't cast value ").and_then(|rest| rest.rsplit_once(" to type "))
    {
        return Some(Error::new("22003", format!("{} out of range", postgres_type(data_type))));
    }
    // `value of 99999999999 is out of range Int32`
    if let Some((_, data_type)) = message.rsplit_once(" is out of range ")
        && data_type.starts_with("Int")
    {
        return Some(Error::new("22003", format!("{} out of range", postgres_type(data_type))));
    }
    if message.contains(" is too large to store in a Decimal")
        || message.contains("is too small to store in a Decimal")
    {
        let error = Error::new("22003", "numeric field overflow");
        return Some(match field(message) {
            Some(detail) => error.with_detail(detail),
            None => error,
        });
    }
    for (before, name) in
        [("Error parsing timestamp from '", "timestamp"), ("Error parsing date from '", "date")]
    {
        if let Some((value, _)) = behind(message, before).and_then(|rest| rest.split_once("': ")) {
            return Some(unreadable(value, name));
        }
    }
    None
}

/// `1234.5 is too large to store in a Decimal128 of precision 5. Max is 999.99`: what the field holds.
fn field(message: &str) -> Option<String> {
    let (precision, rest) = behind(message, " of precision ")?.split_once(". M")?;
    let (precision, end): (usize, _) = (precision.parse().ok()?, rest.split_once(" is ")?.1);
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    let scale = end.split_once('.').map_or(0, |(_, fraction)| digits(fraction));
    let power = match precision.checked_sub(scale)? {
        0 => "1".to_string(),
        power => format!("10^{power}"),
    };
    Some(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {power}."
    ))
}

fn behind<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.split_once(before).map(|(_, rest)| rest)
}

fn unreadable(value: &str, name: &str) -> Error {
    let is_integer = ["smallint", "integer", "bigint"].contains(&name);
    let digits = value.trim().trim_start_matches(['-', '+']);
    if is_integer && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Error::new("22003", format!("value \"{value}\" is out of range for type {name}"));
    }
    if ["date", "timestamp", "time"].contains(&name) || name.starts_with("timestamp") {
        let date = value.split([' ', 'T']).next().unwrap_or(value);
        let mut parts: Vec<&str> = date.split(['-', '/']).collect();
        let is_numbers = parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok());
        if is_numbers {
            if date.contains('/') {
                // The year comes last.
                parts.rotate_right(1);
            }
            let error = Error::new("22008", format!("date/time field value out of range: \"{value}\""));
            let above = |part: &str, most: u32| part.parse::<u32>().is_ok_and(|part| part > most);
            // No month has that day, no year that month: as if the order were another.
            return match above(parts[1], 12) || above(parts[2], 31) {
                true => error.with_hint("Perhaps you need a different \"datestyle\" setting."),
                false => error,
            };
        }
        let parts: Vec<&str> = value.trim().split(':').collect();
        let is_number = |part: &&str| part.parse::<f64>().is_ok();
        if name == "time" && (2..=3).contains(&parts.len()) && parts.iter().all(is_number) {
            return Error::new("22008", format!("date/time field value out of range: \"{value}\""));
        }
        return Error::new("22007", format!("invalid input syntax for type {name}: \"{value}\""));
    }
    Error::new("22P02", format!("invalid input syntax for type {name}: \"{value}\""))
}

/// PostgreSQL's name of a type that Arrow prints.
pub(super) fn postgres_type(arrow: &str) -> &str {
    match arrow.split(['(', '<']).next().unwrap_or(arrow) {
        "Int8" | "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        "Decimal128" | "Decimal256" => "numeric",
        "Utf8" | "Utf8View" | "LargeUtf8" => "text",
        "Binary" | "BinaryView" | "LargeBinary" => "bytea",
        "Null" => "unknown",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Time32" | "Time64" => "time",
        "Timestamp" => "timestamp",
        "Interval" | "Duration" => "interval",
        _ => arrow,
    }
}

#[cfg(test)]
mod tests {
    use super::misread;

    #[test]
    fn in_postgresqls_words() {
        for (message, code, words) in [
            (
                "Cannot cast string 'abc' to value of Int32 type",
                "22P02",
                "invalid input syntax for type integer: \"abc\"",
            ),
            (
                "Cannot cast string '99999999999' to value of Int32 type",
                "22003",
                "value \"99999999999\" is out of range for type integer",
            ),
            (
                "Cannot cast string '2024-13-01' to value of Date32 type",
                "22008",
                "date/time field value out of range: \"2024-13-01\"",
            ),
            (
                "Cannot cast string '25:00' to value of Time64(µs) type",
                "22008",
                "date/time field value out of range: \"25:00\"",
            ),
            ("Can't cast value 99999999999 to type Int32", "22003", "integer out of range"),
            ("value of 100000000000000000000 is out of range Int64", "22003", "bigint out of range"),
        ] {
            let error = misread(message).unwrap();
            assert_eq!((error.code, error.message.as_str()), (code, words));
        }
        assert!(misread("something else").is_none());
        let message = "12345678.12 is too large to store in a Decimal128 of precision 5. Max is 999.99";
        let detail = "A field with precision 5, scale 2 must round to an absolute value less than 10^3.";
        assert_eq!(misread(message).unwrap().detail.as_deref(), Some(detail));
    }
}
