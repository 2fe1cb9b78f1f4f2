//! Numbers: shortest floats, and decimals of any precision as digits or in PostgreSQL's base 10000.

use bytes::{BufMut, BytesMut};
use std::fmt::{LowerExp, Write as _};

/// Digits of a double that are always right, and of a single.
const F64_DIGITS: i32 = 15;
const F32_DIGITS: i32 = 6;

/// Whole numbers.
pub(super) fn put_integer(value: impl itoa::Integer, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A double as `float8out` writes it: the shortest digits that read back, with an exponent outside of 1e-5 .. 1e15; or
/// fewer digits where `extra_float_digits` is not above zero.
pub(super) fn put_f64(value: f64, extra: i32, out: &mut BytesMut) {
    put_float(value, F64_DIGITS, extra, out);
}

/// A single as `float4out` writes it, with an exponent from 1e6 on.
pub(super) fn put_f32(value: f32, extra: i32, out: &mut BytesMut) {
    put_float(value, F32_DIGITS, extra, out);
}

fn put_float(value: impl ryu::Float + LowerExp + Into<f64>, digits: i32, extra: i32, out: &mut BytesMut) {
    let wide: f64 = value.into();
    if !wide.is_finite() {
        return put_special(wide.is_nan(), wide.is_sign_negative(), out);
    }
    let digits = (digits + extra.min(0)).max(1);
    match extra > 0 {
        true => put_digits(ryu::Buffer::new().format_finite(value), digits, out),
        false => put_digits(&format!("{value:.*e}", digits as usize - 1), digits, out),
    }
}

fn put_special(nan: bool, negative: bool, out: &mut BytesMut) {
    out.put_slice(match (nan, negative) {
        (true, _) => b"NaN",
        (false, true) => b"-Infinity",
        (false, false) => b"Infinity",
    });
}

/// The digits of a finite float, which is written in any form that Rust reads (`1.5e-7`, `0.001`, `123.0`), where
/// PostgreSQL puts point and exponent.
fn put_digits(text: &str, digits_max: i32, out: &mut BytesMut) {
    let (sign, text) = split_sign(text);
    out.put_slice(sign.as_bytes());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // No form of a float has as many.
    let mut all = [0; 64];
    let length = (whole.len() + fraction.len()).min(all.len());
    all.iter_mut().zip(whole.bytes().chain(fraction.bytes())).for_each(|(digit, byte)| *digit = byte);
    let all = &all[..length];
    let Some(first) = all.iter().position(|digit| *digit != b'0') else { return out.put_u8(b'0') };
    let last = all.iter().rposition(|digit| *digit != b'0').unwrap_or(first);
    let digits = &all[first..=last];
    // Of the first digit.
    let exponent = exponent.parse().unwrap_or(0) + whole.len() as i32 - 1 - first as i32;
    if !(-4..digits_max).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        out.put_slice(first);
        if !rest.is_empty() {
            out.put_u8(b'.');
            out.put_slice(rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing into memory does not fail.
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', exponent.unsigned_abs() as usize - 1);
        out.put_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        match digits.split_at_checked(whole) {
            Some((whole, fraction)) if !fraction.is_empty() => {
                out.put_slice(whole);
                out.put_u8(b'.');
                out.put_slice(fraction);
            }
            _ => {
                out.put_slice(digits);
                out.put_bytes(b'0', whole - digits.len());
            }
        }
    }
}

/// A decimal in text. `digits` is the unscaled integer, with its sign.
pub(super) fn put_text(digits: &str, scale: i8, out: &mut BytesMut) {
    let (sign, digits) = split_sign(digits);
    out.put_slice(sign.as_bytes());
    match usize::try_from(scale) {
        Ok(0) => out.put_slice(digits.as_bytes()),
        Ok(scale) => {
            let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
            out.put_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
            out.put_u8(b'.');
            out.put_bytes(b'0', scale - fraction.len());
            out.put_slice(fraction.as_bytes());
        }
        Err(_) => {
            out.put_slice(digits.as_bytes());
            out.put_bytes(b'0', if digits == "0" { 0 } else { usize::from(scale.unsigned_abs()) });
        }
    }
}

fn split_sign(digits: &str) -> (&str, &str) {
    match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    }
}

/// The most digits behind the point of a decimal of few: filled up to whole groups they still fit.
const FEW_SCALE_MAX: u32 = 16;
/// The most groups that such a decimal has, five before the point (20 digits) and four behind it.
const GROUPS_MAX: usize = 9;

/// A decimal of few digits as `numeric_send` sends it, without making text of it; false when it is too large.
pub(super) fn put_few_binary(value: i128, scale: i8, out: &mut BytesMut) -> bool {
    let (Ok(digits), Ok(scale)) = (u64::try_from(value.unsigned_abs()), u32::try_from(scale)) else {
        return false;
    };
    if scale > FEW_SCALE_MAX {
        return false;
    }
    let fraction_groups = scale.div_ceil(4);
    let point = 10_u64.pow(scale);
    let (mut whole, mut fraction) =
        (digits / point, digits % point * 10_u64.pow(fraction_groups * 4 - scale));
    let mut groups = [0_i16; GROUPS_MAX];
    let mut at = groups.len();
    let mut put = |rest: &mut u64| {
        at -= 1;
        groups[at] = (*rest % 10_000) as i16;
        *rest /= 10_000;
    };
    (0..fraction_groups).for_each(|_| put(&mut fraction));
    let mut whole_groups = 0;
    while whole > 0 {
        put(&mut whole);
        whole_groups += 1;
    }
    put_groups(value < 0, &groups[at..], whole_groups, scale as u16, out);
    true
}

/// What `numeric_send` sends of a number's groups, of which so many stand before the point.
fn put_groups(negative: bool, groups: &[i16], whole_groups: i16, scale: u16, out: &mut BytesMut) {
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let kept = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    let kept = groups.get(leading..kept).unwrap_or_default();
    let weight = if kept.is_empty() { 0 } else { whole_groups - 1 - leading as i16 };
    out.put_i16(kept.len() as i16);
    out.put_i16(weight);
    out.put_u16(if negative && !kept.is_empty() { 0x4000 } else { 0 });
    out.put_u16(scale);
    kept.iter().for_each(|group| out.put_i16(*group));
}

/// A decimal as `numeric_send` sends it: groups of four digits around the point.
pub(super) fn put_binary(digits: &str, scale: i8, out: &mut BytesMut) {
    let (sign, digits) = split_sign(digits);
    let mut text = BytesMut::new();
    put_text(digits, scale, &mut text);
    let text = String::from_utf8_lossy(&text);
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
    put_groups(sign == "-", &groups, whole_groups as i16, fraction.len() as u16, out);
}
