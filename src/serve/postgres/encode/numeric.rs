//! Numbers: shortest floats, and decimals of any precision as digits or in PostgreSQL's base 10000.

use bytes::{BufMut, BytesMut};
use std::fmt::Write as _;

/// Digits of a double that are always right, and of a single.
const F64_DIGITS: i32 = 15;
const F32_DIGITS: i32 = 6;

/// A double as `float8out` writes it: the shortest digits that read back, with an exponent outside of 1e-5 .. 1e15; or
/// fewer digits where `extra_float_digits` is not above zero.
pub(super) fn put_f64(value: f64, extra: i32, out: &mut BytesMut) {
    let digits = (F64_DIGITS + extra.min(0)).max(1);
    let text = if extra > 0 { format!("{value:e}") } else { format!("{value:.*e}", digits as usize - 1) };
    put_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), &text, digits, out);
}

/// A single as `float4out` writes it, with an exponent from 1e6 on.
pub(super) fn put_f32(value: f32, extra: i32, out: &mut BytesMut) {
    let digits = (F32_DIGITS + extra.min(0)).max(1);
    let text = if extra > 0 { format!("{value:e}") } else { format!("{value:.*e}", digits as usize - 1) };
    put_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), &text, digits, out);
}

fn put_float(
    nan: bool,
    infinite: bool,
    negative: bool,
    scientific: &str,
    digits_max: i32,
    out: &mut BytesMut,
) {
    if nan {
        return out.put_slice(b"NaN");
    }
    if negative {
        out.put_u8(b'-');
    }
    if infinite {
        return out.put_slice(b"Infinity");
    }
    // Rust writes the shortest digits, too: 1.5e-7.
    let (mantissa, exponent) =
        scientific.trim_start_matches('-').split_once('e').unwrap_or((scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return out.put_u8(b'0');
    }
    if !(-4..digits_max).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing into memory does not fail.
        let _ = write!(out, "{first}{point}{rest}e{sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        let _ = write!(out, "0.{zeros}{digits}");
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            let _ = write!(out, "{digits}{}", "0".repeat(whole - digits.len()));
        } else {
            let _ = write!(out, "{}.{}", &digits[..whole], &digits[whole..]);
        }
    }
}

/// A decimal in text. `digits` is the unscaled integer, with its sign.
pub(super) fn put_text(digits: &str, scale: i8, out: &mut BytesMut) {
    let (sign, digits) = split_sign(digits);
    out.put_slice(sign.as_bytes());
    out.put_slice(digits_of(digits, scale).as_bytes());
}

fn split_sign(digits: &str) -> (&str, &str) {
    match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    }
}

fn digits_of(digits: &str, scale: i8) -> String {
    match usize::try_from(scale) {
        Ok(0) => digits.to_string(),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{whole}.{fraction}")
        }
        Err(_) if digits == "0" => digits.to_string(),
        Err(_) => format!("{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
    }
}

/// A decimal as `numeric_send` sends it: groups of four digits around the point.
pub(super) fn put_binary(digits: &str, scale: i8, out: &mut BytesMut) {
    let (sign, digits) = split_sign(digits);
    let text = digits_of(digits, scale);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.trim_start_matches('0');
    let whole_groups = whole.len().div_ceil(4);
    let padded = format!("{whole:0>width$}", width = whole_groups * 4);
    let fraction_groups = fraction.len().div_ceil(4);
    let padded = format!("{padded}{fraction:0<width$}", width = fraction_groups * 4);
    let groups: Vec<i16> = padded
        .as_bytes()
        .chunks(4)
        .map(|group| group.iter().fold(0, |value, digit| value * 10 + i16::from(digit - b'0')))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let kept = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    let kept = groups.get(leading..kept).unwrap_or_default();
    let weight = if kept.is_empty() { 0 } else { whole_groups as i16 - 1 - leading as i16 };
    out.put_i16(kept.len() as i16);
    out.put_i16(weight);
    out.put_u16(if sign == "-" && !kept.is_empty() { 0x4000 } else { 0 });
    out.put_i16(fraction.len() as i16);
    kept.iter().for_each(|group| out.put_i16(*group));
}
