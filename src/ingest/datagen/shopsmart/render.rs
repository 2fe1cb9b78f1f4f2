//! Values as raw exports write them.

use super::super::random::Random;
use chrono::DateTime;

/// `1234` cents as `12.34`.
pub(super) fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

/// `1234` cents as the JSON number 12.34.
pub(super) fn json_money(cents: i64) -> serde_json::Value {
    // The nearest float is written with the fewest digits that name it, so never as 12.340000000000001.
    serde_json::Value::from(cents as f64 / 100.0)
}

/// Seconds since 1970 as PostgreSQL exports a timestamp: `2025-03-01 12:33:11`.
pub(super) fn sql_time(seconds: i64) -> String {
    instant(seconds).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Seconds since 1970 as an API writes them: `2025-03-01T12:33:11Z`.
pub(super) fn iso_time(seconds: i64) -> String {
    instant(seconds).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Days since 1970 as `2025-03-01`.
pub(super) fn date(day: i64) -> String {
    instant(day * super::DAY_SECONDS).format("%Y-%m-%d").to_string()
}

/// A word as people and programs type it: other case, blanks around it.
pub(super) fn untidy(random: &mut Random, word: &str) -> String {
    match random.below(10) {
        0 => word.to_uppercase(),
        1 => format!(" {word}"),
        2 => format!("{word}  "),
        3 => {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
        _ => word.to_string(),
    }
}

/// One line of CSV, without its line break.
pub(super) fn csv_line(fields: &[String], delimiter: u8) -> Vec<u8> {
    let mut line = vec![];
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            line.push(delimiter);
        }
        let quoted = field.bytes().any(|b| b == delimiter || b == b'"' || b == b'\n' || b == b'\r');
        if quoted {
            line.push(b'"');
            line.extend_from_slice(field.replace('"', "\"\"").as_bytes());
            line.push(b'"');
        } else {
            line.extend_from_slice(field.as_bytes());
        }
    }
    line
}

fn instant(seconds: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_keeps_cents_and_sign() {
        assert_eq!([money(5), money(-5), money(-123_456), money(100)], ["0.05", "-0.05", "-1234.56", "1.00"]);
        assert_eq!(json_money(1_999).to_string(), "19.99");
        assert_eq!(json_money(-150_010).to_string(), "-1500.1");
    }

    #[test]
    fn days_are_what_their_names_say() {
        assert_eq!(
            [date(super::super::FIRST_DAY), date(super::super::LAST_DAY)],
            ["2024-01-01", "2025-12-31"]
        );
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let fields = ["a", "b,c", "say \"x\"", ""].map(String::from);
        assert_eq!(csv_line(&fields, b','), b"a,\"b,c\",\"say \"\"x\"\"\",");
        assert_eq!(csv_line(&fields, b';'), b"a;b,c;\"say \"\"x\"\"\";");
    }
}
