//! Text to values, exactly: the same rules for a JSON number, a quoted number and a CSV field.
//!
//! Numbers never pass through a float unless the column is one. What does not fit is `None`; the caller names it.

/// An integer of 64 bits. `12.0` and `1e3` are integers too; `12.5` is not.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    // Eighteen digits cannot overflow.
    if (1..=18).contains(&digits.len()) {
        let mut value = 0i64;
        let mut plain = true;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            plain &= digit < 10;
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        if plain {
            return Some(if negative { -value } else { value });
        }
    }
    i64::try_from(decimal(text, 38, 0)?).ok()
}

/// A decimal as an integer of `scale` implied fraction digits. More fraction digits than that must be zeros, and the
/// integer digits must fit the precision.
pub(super) fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let number = Number::parse(text)?;
    let point = i64::try_from(number.whole.len()).ok()? + number.exponent + i64::from(scale);
    let length = i64::try_from(number.whole.len() + number.fraction.len()).ok()?;
    let kept = usize::try_from(point.clamp(0, length)).ok()?;
    if number.digits().skip(kept).any(|digit| digit != b'0') {
        return None;
    }
    let value = if kept <= 18 {
        let small =
            number.digits().take(kept).fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        u128::from(small)
    } else {
        let mut value = 0u128;
        for digit in number.digits().take(kept) {
            value = value.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
        }
        value
    };
    let zeros = u32::try_from((point - length).max(0)).ok()?;
    let value = if value == 0 { 0 } else { value.checked_mul(10u128.checked_pow(zeros)?)? };
    if value >= 10u128.checked_pow(u32::from(precision))? {
        return None;
    }
    let value = i128::try_from(value).ok()?;
    Some(if number.negative { -value } else { value })
}

/// A decimal of any number of digits, rounded half up to `scale` fraction digits; `None` beyond 38 digits.
pub(super) fn rounded(text: &[u8], scale: i8) -> Option<i128> {
    let number = Number::parse(text)?;
    let point = i64::try_from(number.whole.len()).ok()? + number.exponent + i64::from(scale);
    if point > 38 {
        return None;
    }
    let mut digits = number.digits();
    let mut value = 0i128;
    for _ in 0..point.max(0) {
        value = value.checked_mul(10)?.checked_add(i128::from(digits.next().unwrap_or(b'0') - b'0'))?;
    }
    if point >= 0 && digits.next().is_some_and(|digit| digit >= b'5') {
        value = value.checked_add(1)?;
    }
    Some(if number.negative { -value } else { value })
}

/// A double. `NaN` and `Infinity` are values (as text); a number too large or too small for one is not.
pub(super) fn float64(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    in_range(text, value.is_infinite(), value == 0.0).then_some(value)
}

/// A float of 32 bits, with the rules of [`float64`].
pub(super) fn float32(text: &str) -> Option<f32> {
    let value: f32 = text.parse().ok()?;
    in_range(text, value.is_infinite(), value == 0.0).then_some(value)
}

/// A truth value: `true`, `false`, `t`, `f`, `1`, `0`, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || is("t") || is("1") {
        Some(true)
    } else if is("false") || is("f") || is("0") {
        Some(false)
    } else {
        None
    }
}

/// Bytes: `\x` and hex digits as PostgreSQL writes BYTEA, or else the text's own bytes.
pub(super) fn binary(text: &str, out: &mut Vec<u8>) -> Option<()> {
    match text.strip_prefix("\\x") {
        Some(digits) => out.extend(hex::decode(digits).ok()?),
        None => out.extend_from_slice(text.as_bytes()),
    }
    Some(())
}

/// A number's parts as written.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = sign(text);
        let (whole, rest) = leading_digits(rest);
        let (fraction, rest) = match rest.split_first() {
            Some((b'.', rest)) => leading_digits(rest),
            _ => (&rest[..0], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest.split_first() {
            None => 0,
            Some((b'e' | b'E', power)) => exponent(power)?,
            Some(_) => return None,
        };
        Some(Self { negative, whole, fraction, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).copied()
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

fn leading_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Far beyond any precision, and small enough to add to.
const EXPONENT_MAX: i64 = 1_000_000_000;

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(EXPONENT_MAX);
    }
    Some(if negative { -value } else { value })
}

/// As PostgreSQL has it: a float that became infinite or zero although its text is neither is out of range.
fn in_range(text: &str, infinite: bool, zero: bool) -> bool {
    if infinite {
        return text.bytes().any(|byte| matches!(byte, b'i' | b'I'));
    }
    if zero {
        let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
        return !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    }
    true
}
