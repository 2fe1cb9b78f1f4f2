//! The form of `jsonb`, in which equal values are equal texts: a space behind colons and commas, members by the length of
//! their names, then by the names, the last of one name; numbers with the digits that they were written with.

use super::json::unreadable;
use datafusion::error::Result;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How deep values may stand in each other, as in all JSON that is read.
const DEPTH_MAX: usize = 128;

/// Zeros that an exponent may stand for; above, a number stays as it is written.
const ZEROS_MAX: i64 = 1_000;

/// A text of JSON in that form.
pub fn as_jsonb(text: &str) -> Result<String> {
    let mut form = String::with_capacity(text.len());
    let value: Box<RawValue> =
        serde_json::from_str(text).map_err(|error| unreadable(text, &error.to_string()))?;
    put(value.get(), DEPTH_MAX, &mut form).map_err(|why| unreadable(text, &why))?;
    Ok(form)
}

/// The order of an object's members.
pub fn by_name(a: &str, b: &str) -> Ordering {
    (a.len(), a).cmp(&(b.len(), b))
}

fn put(value: &str, depth: usize, form: &mut String) -> std::result::Result<(), String> {
    let Some(deeper) = depth.checked_sub(1) else { return Err("recursion limit exceeded".to_string()) };
    match value.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, Box<RawValue>> = read(value)?;
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| by_name(a, b));
            form.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                form.push_str(if at == 0 { "" } else { ", " });
                form.push_str(&Value::String(name).to_string());
                form.push_str(": ");
                put(value.get(), deeper, form)?;
            }
            form.push('}');
        }
        Some(b'[') => {
            form.push('[');
            for (at, item) in read::<Vec<Box<RawValue>>>(value)?.iter().enumerate() {
                form.push_str(if at == 0 { "" } else { ", " });
                put(item.get(), deeper, form)?;
            }
            form.push(']');
        }
        Some(b'"') => form.push_str(&Value::String(read(value)?).to_string()),
        Some(b'-' | b'0'..=b'9') => form.push_str(&number(value).unwrap_or_else(|| value.to_string())),
        _ => form.push_str(value),
    }
    Ok(())
}

fn read<'a, T: serde::Deserialize<'a>>(value: &'a str) -> std::result::Result<T, String> {
    serde_json::from_str(value).map_err(|error| error.to_string())
}

/// A number as a numeric prints it: without an exponent, and zero without a sign.
fn number(written: &str) -> Option<String> {
    let (sign, digits) = written.strip_prefix('-').map_or(("", written), |digits| ("-", digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent: i64 = exponent.parse().ok().filter(|exponent: &i64| exponent.abs() <= ZEROS_MAX)?;
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{before}{behind}");
    let point = i64::try_from(before.len()).ok()? + exponent;
    let plain = match usize::try_from(point) {
        Ok(point) if point < all.len() => format!("{}.{}", &all[..point], &all[point..]),
        Ok(point) => format!("{all:0<point$}"),
        Err(_) => format!("0.{}{all}", "0".repeat(usize::try_from(-point).ok()?)),
    };
    let (whole, fraction) = plain.split_once('.').map_or((plain.as_str(), None), |(a, b)| (a, Some(b)));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = plain.bytes().all(|digit| digit == b'0' || digit == b'.');
    let sign = if is_zero { "" } else { sign };
    Some(match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form() {
        for (text, form) in [
            ("20.00", "20.00"),
            ("-0.0", "0.0"),
            ("1e2", "100"),
            ("1.50e1", "15.0"),
            ("15e-3", "0.015"),
            ("-1.5E+1", "-15"),
            ("0e5", "0"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("1e5000", "1e5000"),
            (" { \"bb\":1 , \"a\" : [ ] , \"bb\" : {\"x\":null}} ", "{\"a\": [], \"bb\": {\"x\": null}}"),
            ("\"\\u00e4\\/\"", "\"ä/\""),
            ("[true,false , \"x\"]", "[true, false, \"x\"]"),
        ] {
            assert_eq!(as_jsonb(text).unwrap(), form, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(as_jsonb(&deep).is_err());
        assert!(as_jsonb("{\"a\":").is_err());
    }
}
