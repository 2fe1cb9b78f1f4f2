//! Parameters as clients send them, in text or binary, to values of the engine.
//!
//! Comes in: the type a value has (declared, or the one that `ParameterDescription` told), its format, its bytes. Goes
//! out: a value of exactly that content; a numeric keeps its own scale, so that nothing is rounded. What does not read is
//! 22P02 or 22P03.

mod arrays;

pub(in crate::serve) use arrays::elements as array_elements;

use super::encode::Format;
use super::types::{self, oid};
use crate::serve::Error;
use crate::serve::datetime::{Kind, Reading, iso};
use crate::sql::{interval_parts, with_seconds};
use arrow::array::types::DecimalType;
use arrow::array::{ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal256Type, IntervalMonthDayNano,
    TimeUnit, i256,
};
use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;
use std::sync::Arc;

const DAY_US: i64 = 86_400_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// The value of a parameter; `reading` is for texts of dates and times.
pub(super) fn value(
    oid: u32,
    format: Format,
    bytes: Option<&Bytes>,
    null: &DataType,
    reading: &Reading,
) -> Result<ScalarValue, Error> {
    match (bytes, format) {
        (None, _) => Ok(ScalarValue::try_from(null)?),
        (Some(bytes), Format::Text) => {
            let text = std::str::from_utf8(bytes).map_err(|_| not_utf8(bytes))?;
            text_value(oid, text, reading)
        }
        (Some(bytes), Format::Binary) => {
            let mut reader = Reader { oid, bytes: bytes.clone() };
            let value = binary_value(oid, &mut reader)?;
            if reader.bytes.has_remaining() { Err(reader.malformed()) } else { Ok(value) }
        }
    }
}

/// The error of text that is none, with the first bytes that are wrong.
pub(super) fn not_utf8(bytes: &[u8]) -> Error {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let wrong: Vec<String> = bytes[valid..].iter().take(1).map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", wrong.join(" "));
    Error::new("22021", message)
}

fn invalid(oid: u32, text: &str) -> Error {
    let code = match oid {
        oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => "22007",
        _ => "22P02",
    };
    Error::new(code, format!("invalid input syntax for type {}: \"{text}\"", types::name(oid)))
}

fn text_value(oid: u32, text: &str, reading: &Reading) -> Result<ScalarValue, Error> {
    let trimmed = text.trim();
    let bad = || invalid(oid, text);
    Ok(match oid {
        oid::BOOL => match trimmed.to_lowercase().as_str() {
            "t" | "true" | "on" | "1" | "y" | "yes" => ScalarValue::Boolean(Some(true)),
            "f" | "false" | "off" | "0" | "n" | "no" => ScalarValue::Boolean(Some(false)),
            _ => return Err(bad()),
        },
        oid::INT2 => ScalarValue::Int16(Some(integer(oid, trimmed)?)),
        oid::INT4 => ScalarValue::Int32(Some(integer(oid, trimmed)?)),
        oid::INT8 | oid::OID => ScalarValue::Int64(Some(integer(oid, trimmed)?)),
        oid::FLOAT4 => ScalarValue::Float32(Some(trimmed.parse().map_err(|_| bad())?)),
        oid::FLOAT8 => ScalarValue::Float64(Some(trimmed.parse().map_err(|_| bad())?)),
        oid::NUMERIC => decimal(trimmed).ok_or_else(bad)??,
        oid::BYTEA => ScalarValue::Binary(Some(bytea(text).ok_or_else(bad)?)),
        oid::DATE => {
            let read = |text: &str| cast(text, &DataType::Date32);
            read(text).or_else(|| read(&iso(text, Kind::Date, reading.order)?)).ok_or_else(bad)?
        }
        oid::TIME => cast(text, &DataType::Time64(TimeUnit::Microsecond)).ok_or_else(bad)?,
        oid::TIMESTAMP => {
            let read = |text: &str| cast(text, &DataType::Timestamp(TimeUnit::Microsecond, None));
            read(text).or_else(|| read(&iso(text, Kind::Timestamp, reading.order)?)).ok_or_else(bad)?
        }
        oid::TIMESTAMPTZ => {
            let local = DataType::Timestamp(TimeUnit::Microsecond, Some(reading.zone.as_str().into()));
            let read = |text: &str| cast(text, &local);
            let moment = read(text).or_else(|| read(&iso(text, Kind::Moment, reading.order)?));
            match moment.ok_or_else(bad)? {
                ScalarValue::TimestampMicrosecond(us, _) => {
                    ScalarValue::TimestampMicrosecond(us, Some("UTC".into()))
                }
                _ => return Err(bad()),
            }
        }
        oid::INTERVAL => {
            let (months, days, us) = interval_parts(text).ok_or_else(bad)?;
            interval_of(months, days, us)?
        }
        array => match types::element_of(array) {
            Some(element) => arrays::of_text(element, text, reading)?,
            None => ScalarValue::Utf8(Some(text.to_string())),
        },
    })
}

fn integer<T: std::str::FromStr<Err = std::num::ParseIntError>>(oid: u32, text: &str) -> Result<T, Error> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse::<T>().map_err(|error| match error.kind() {
        PosOverflow | NegOverflow => {
            Error::new("22003", format!("value \"{text}\" is out of range for type {}", types::name(oid)))
        }
        _ => invalid(oid, text),
    })
}

/// Arrow's own reading of a text.
fn cast(text: &str, target: &DataType) -> Option<ScalarValue> {
    let with_seconds = matches!(target, DataType::Timestamp(..)).then(|| with_seconds(text)).flatten();
    let text = with_seconds.as_deref().unwrap_or_else(|| text.trim());
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(&texts, target, &strict).ok()?;
    ScalarValue::try_from_array(&cast, 0).ok()
}

fn null(oid: u32) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::try_from(&types::arrow_type(oid)?.unwrap_or(DataType::Utf8))?)
}

/// `-12.5e-3` with exactly its digits. `None` if it is no number; an error if it has too many digits.
fn decimal(text: &str) -> Option<Result<ScalarValue, Error>> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(scaled(sign, &digits, fraction.len() as i64 - exponent))
}

/// The decimal `digits` * 10^-`scale`.
fn scaled(sign: &str, digits: &str, scale: i64) -> Result<ScalarValue, Error> {
    let too_long = || {
        Error::new("22003", "value overflows numeric format")
            .with_detail(format!("At most {DECIMAL256_MAX_PRECISION} digits are kept."))
    };
    let digits = digits.trim_start_matches('0');
    let zeros = usize::try_from(-scale).unwrap_or(0);
    let scale = usize::try_from(scale).unwrap_or(0);
    let longest = usize::from(DECIMAL256_MAX_PRECISION);
    if digits.len() + zeros > longest || scale > longest {
        return Err(too_long());
    }
    let digits = if digits.is_empty() { "0".to_string() } else { format!("{digits}{}", "0".repeat(zeros)) };
    let precision = digits.len().max(scale).max(1);
    let (precision, scale) = (precision as u8, scale as i8);
    let signed = format!("{sign}{digits}");
    if precision <= DECIMAL128_MAX_PRECISION {
        let number = signed.parse().map_err(|_| too_long())?;
        return Ok(ScalarValue::Decimal128(Some(number), precision, scale));
    }
    let number = i256::from_string(&signed).ok_or_else(too_long)?;
    Decimal256Type::validate_decimal_precision(number, precision, scale).map_err(|_| too_long())?;
    Ok(ScalarValue::Decimal256(Some(number), precision, scale))
}

/// `\x6162`, or characters with `\\` and octal escapes.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        return hex::decode(digits).ok();
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
        } else if let Some(after) = rest.strip_prefix(b"\\") {
            bytes.push(b'\\');
            rest = after;
        } else {
            let octal = std::str::from_utf8(rest.get(..3)?).ok()?;
            bytes.push(u8::from_str_radix(octal, 8).ok()?);
            rest = &rest[3..];
        }
    }
    Some(bytes)
}

struct Reader {
    oid: u32,
    bytes: Bytes,
}

impl Reader {
    fn malformed(&self) -> Error {
        Error::new(
            "22P03",
            format!("incorrect binary data format in a parameter of type {}", types::name(self.oid)),
        )
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.bytes.remaining() < N {
            return Err(self.malformed());
        }
        let mut taken = [0; N];
        self.bytes.copy_to_slice(&mut taken);
        Ok(taken)
    }

    fn i16(&mut self) -> Result<i16, Error> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Error> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Error> {
        self.take().map(i64::from_be_bytes)
    }

    fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }
}

fn binary_value(oid: u32, reader: &mut Reader) -> Result<ScalarValue, Error> {
    Ok(match oid {
        oid::BOOL => ScalarValue::Boolean(Some(reader.take::<1>()?[0] != 0)),
        oid::INT2 => ScalarValue::Int16(Some(reader.i16()?)),
        oid::INT4 => ScalarValue::Int32(Some(reader.i32()?)),
        oid::INT8 => ScalarValue::Int64(Some(reader.i64()?)),
        oid::OID => ScalarValue::Int64(Some(i64::from(reader.i32()? as u32))),
        oid::FLOAT4 => ScalarValue::Float32(Some(reader.take().map(f32::from_be_bytes)?)),
        oid::FLOAT8 => ScalarValue::Float64(Some(reader.take().map(f64::from_be_bytes)?)),
        oid::NUMERIC => binary_decimal(reader)?,
        oid::BYTEA => ScalarValue::Binary(Some(reader.rest().to_vec())),
        oid::DATE => {
            let days = reader.i32()?.checked_add(EPOCH_DAYS);
            ScalarValue::Date32(Some(days.ok_or_else(|| Error::new("22008", "date out of range"))?))
        }
        oid::TIME => ScalarValue::Time64Microsecond(Some(reader.i64()?)),
        oid::TIMESTAMP => ScalarValue::TimestampMicrosecond(Some(moment(reader)?), None),
        oid::TIMESTAMPTZ => ScalarValue::TimestampMicrosecond(Some(moment(reader)?), Some("UTC".into())),
        oid::INTERVAL => {
            let (us, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
            interval_of(months, days, us)?
        }
        oid::UUID => {
            let bytes: [u8; 16] = reader.take()?;
            ScalarValue::Utf8(Some(uuid::Uuid::from_bytes(bytes).to_string()))
        }
        identifier if types::is_identifier(identifier) => {
            ScalarValue::Utf8(Some((reader.i32()? as u32).to_string()))
        }
        array if types::element_of(array).is_some() => arrays::of_binary(reader)?,
        _ => {
            if oid == oid::JSONB && reader.take::<1>()?[0] != 1 {
                return Err(reader.malformed());
            }
            let text = String::from_utf8(reader.rest().to_vec())
                .map_err(|_| Error::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
            ScalarValue::Utf8(Some(text))
        }
    })
}

fn interval_of(months: i32, days: i32, us: i64) -> Result<ScalarValue, Error> {
    let nanoseconds = us.checked_mul(1_000).ok_or_else(|| Error::new("22008", "interval out of range"))?;
    Ok(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanoseconds))))
}

fn moment(reader: &mut Reader) -> Result<i64, Error> {
    let us = reader.i64()?;
    us.checked_add(i64::from(EPOCH_DAYS) * DAY_US)
        .ok_or_else(|| Error::new("22008", "timestamp out of range"))
}

/// `numeric_send`'s groups of four digits.
fn binary_decimal(reader: &mut Reader) -> Result<ScalarValue, Error> {
    let (groups, weight) = (reader.i16()?, i64::from(reader.i16()?));
    let (sign, shown) = (reader.i16()? as u16, i64::from(reader.i16()?));
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        _ => return Err(Error::new("22003", "NaN and infinity are not supported in numeric parameters")),
    };
    let groups = usize::try_from(groups).map_err(|_| reader.malformed())?;
    let mut digits = String::new();
    for _ in 0..groups {
        let group = reader.i16()?;
        if !(0..10_000).contains(&group) {
            return Err(reader.malformed());
        }
        digits.push_str(&format!("{group:04}"));
    }
    // Digits behind the point that are written; as many as are shown are meant.
    let written = (groups as i64 - 1 - weight) * 4;
    let (digits, scale) = if written > shown && written - shown < 4 {
        let cut = digits.len().saturating_sub((written - shown) as usize);
        (digits[..cut].to_string(), shown)
    } else {
        (digits, written)
    };
    scaled(sign, &digits, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::datetime::Order;

    fn reading(zone: &str) -> Reading {
        Reading { zone: zone.to_string(), order: Order::Dmy }
    }

    fn text(oid: u32, text: &str) -> Result<ScalarValue, Error> {
        value(
            oid,
            Format::Text,
            Some(&Bytes::copy_from_slice(text.as_bytes())),
            &DataType::Null,
            &reading("Europe/Berlin"),
        )
    }

    fn binary(oid: u32, bytes: &[u8]) -> Result<ScalarValue, Error> {
        value(oid, Format::Binary, Some(&Bytes::copy_from_slice(bytes)), &DataType::Null, &reading("UTC"))
    }

    #[test]
    fn texts() {
        assert_eq!(text(oid::NUMERIC, "-12.50").unwrap(), ScalarValue::Decimal128(Some(-1250), 4, 2));
        assert_eq!(text(oid::NUMERIC, "1.5e3").unwrap(), ScalarValue::Decimal128(Some(1500), 4, 0));
        assert_eq!(text(oid::NUMERIC, "0.001").unwrap(), ScalarValue::Decimal128(Some(1), 3, 3));
        let long = "1".repeat(60);
        assert!(matches!(text(oid::NUMERIC, &long).unwrap(), ScalarValue::Decimal256(Some(_), 60, 0)));
        assert_eq!(text(oid::NUMERIC, &"1".repeat(80)).unwrap_err().code, "22003");
        assert_eq!(text(oid::INT4, "3000000000").unwrap_err().code, "22003");
        let error = text(oid::INT4, "x").unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            ("22P02", "invalid input syntax for type integer: \"x\"")
        );
        assert_eq!(text(oid::DATE, "2000-01-02").unwrap(), ScalarValue::Date32(Some(10_958)));
        assert_eq!(text(oid::DATE, "02/01/2000").unwrap(), ScalarValue::Date32(Some(10_958)));
        assert_eq!(text(oid::DATE, "soon").unwrap_err().code, "22007");
        let noon = ScalarValue::TimestampMicrosecond(Some(1_704_106_800_000_000), Some("UTC".into()));
        assert_eq!(text(oid::TIMESTAMPTZ, "2024-01-01 12:00:00").unwrap(), noon);
        assert_eq!(text(oid::TIMESTAMPTZ, "2024-01-01 11:00:00+00").unwrap(), noon);
        assert_eq!(text(oid::TIMESTAMPTZ, "1 Jan 2024 12:00 PM").unwrap(), noon);
        assert_eq!(text(oid::BYTEA, "\\x00ff").unwrap(), ScalarValue::Binary(Some(vec![0, 255])));
        assert_eq!(text(oid::BYTEA, "a\\\\\\001").unwrap(), ScalarValue::Binary(Some(b"a\\\x01".to_vec())));
        assert_eq!(text(oid::BOOL, "T").unwrap(), ScalarValue::Boolean(Some(true)));
    }

    #[test]
    fn binaries() {
        assert_eq!(binary(oid::INT4, &[0, 0, 1, 0]).unwrap(), ScalarValue::Int32(Some(256)));
        assert_eq!(binary(oid::INT4, &[0, 0, 1]).unwrap_err().code, "22P03");
        assert_eq!(binary(oid::INT4, &[0, 0, 1, 0, 0]).unwrap_err().code, "22P03");
        // 12345.678
        let number = [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c];
        assert_eq!(binary(oid::NUMERIC, &number).unwrap(), ScalarValue::Decimal128(Some(12_345_678), 8, 3));
        assert_eq!(
            binary(oid::NUMERIC, &[0, 0, 0, 0, 0, 0, 0, 0]).unwrap(),
            ScalarValue::Decimal128(Some(0), 1, 0)
        );
        assert_eq!(binary(oid::NUMERIC, &[0x7f, 0xff, 0, 0, 0, 0, 0, 0]).unwrap_err().code, "22P03");
        let epoch = ScalarValue::TimestampMicrosecond(Some(946_684_800_000_000), None);
        assert_eq!(binary(oid::TIMESTAMP, &[0; 8]).unwrap(), epoch);
        let array = [
            0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255,
            255, 255,
        ];
        assert!(
            matches!(binary(1007, &array).unwrap(), ScalarValue::List(list) if list.value(0).null_count() == 1)
        );
        for length in 0..array.len() {
            assert_eq!(binary(1007, &array[..length]).unwrap_err().code, "22P03", "{length}");
        }
    }
}
