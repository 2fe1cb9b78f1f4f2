//! Values as PostgreSQL prints them.

use super::super::types::{self, oid};
use super::{Style, Writer, flat, interval, json, list, numeric, time, unsupported};
use crate::serve::Error;
use arrow::array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use bytes::{BufMut, BytesMut};

/// A writer of a primitive array's values.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    put: impl Fn(T::Native, &mut BytesMut) -> Result<(), Error> + Send + 'static,
) -> Writer {
    let array: PrimitiveArray<T> = array.as_primitive::<T>().clone();
    Box::new(move |row, out| put(array.value(row), out))
}

fn integer<T>(array: &ArrayRef) -> Writer
where
    T: ArrowPrimitiveType,
    T::Native: itoa::Integer,
{
    primitive::<T>(array, |value, out| {
        numeric::put_integer(value, out);
        Ok(())
    })
}

/// The writer of an array's values; `oid` is the column's type.
pub(super) fn writer(array: &ArrayRef, oid: u32, style: Style) -> Result<Writer, Error> {
    let array = &flat(array)?;
    Ok(match array.data_type() {
        DataType::Null => Box::new(|_, _| Ok(())),
        DataType::Boolean => {
            let array = array.as_boolean().clone();
            Box::new(move |row, out| {
                out.put_u8(if array.value(row) { b't' } else { b'f' });
                Ok(())
            })
        }
        DataType::Int8 => integer::<Int8Type>(array),
        DataType::Int16 => integer::<Int16Type>(array),
        DataType::Int32 if oid == oid::OID => primitive::<Int32Type>(array, |value, out| {
            numeric::put_integer(value as u32, out);
            Ok(())
        }),
        // The types of a list: one alone comes with its name beside it.
        DataType::Int32 if oid == oid::REGTYPE => primitive::<Int32Type>(array, |value, out| {
            out.put_slice(types::spelling(value).as_bytes());
            Ok(())
        }),
        DataType::Int32 => integer::<Int32Type>(array),
        DataType::Int64 => integer::<Int64Type>(array),
        DataType::UInt8 => integer::<UInt8Type>(array),
        DataType::UInt16 => integer::<UInt16Type>(array),
        DataType::UInt32 => integer::<UInt32Type>(array),
        DataType::UInt64 => integer::<UInt64Type>(array),
        DataType::Float32 => primitive::<Float32Type>(array, move |value, out| {
            numeric::put_f32(value, style.forms.extra_float_digits, out);
            Ok(())
        }),
        DataType::Float64 => primitive::<Float64Type>(array, move |value, out| {
            numeric::put_f64(value, style.forms.extra_float_digits, out);
            Ok(())
        }),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            primitive::<Decimal128Type>(array, move |value, out| {
                numeric::put_text(itoa::Buffer::new().format(value), scale, out);
                Ok(())
            })
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            primitive::<Decimal256Type>(array, move |value, out| {
                numeric::put_text(&value.to_string(), scale, out);
                Ok(())
            })
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>().clone();
            Box::new(move |row, out| {
                out.put_slice(array.value(row).as_bytes());
                Ok(())
            })
        }
        DataType::Utf8View => {
            let array = array.as_string_view().clone();
            Box::new(move |row, out| {
                out.put_slice(array.value(row).as_bytes());
                Ok(())
            })
        }
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) if oid == oid::UUID => {
            bytes(array, put_uuid)?
        }
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            bytes(array, if style.forms.escapes_bytes { put_escaped } else { put_digits })?
        }
        DataType::Date32 => primitive::<Date32Type>(array, move |days, out| {
            time::put_date(i64::from(days), style, out);
            Ok(())
        }),
        DataType::Date64 => primitive::<Date64Type>(array, move |ms, out| {
            time::put_date(ms.div_euclid(86_400_000), style, out);
            Ok(())
        }),
        DataType::Time32(_) | DataType::Time64(_) => {
            let us = microseconds(array)?;
            Box::new(move |row, out| {
                time::put_time(us(row)?, out);
                Ok(())
            })
        }
        DataType::Timestamp(_, None) => {
            let us = microseconds(array)?;
            Box::new(move |row, out| {
                time::put_timestamp(us(row)?, style, out);
                Ok(())
            })
        }
        DataType::Timestamp(_, Some(_)) => {
            let us = microseconds(array)?;
            Box::new(move |row, out| {
                time::put_timestamptz(us(row)?, style, out);
                Ok(())
            })
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let parts = parts_of_intervals(array)?;
            Box::new(move |row, out| {
                let (months, days, us) = parts(row)?;
                interval::put_interval(style.forms.intervals, months, days, us, out);
                Ok(())
            })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            list::text(array, oid, style)?
        }
        DataType::Struct(_) if types::is_identifier(oid) => {
            writer(array.as_struct().column(1), oid::TEXT, style)?
        }
        DataType::Struct(_) | DataType::Map(..) => json::writer(array, style)?,
        other => return Err(unsupported(other)),
    })
}

/// The type that the values of a list's item are printed as.
pub(super) fn item_oid(array: &ArrayRef) -> u32 {
    types::type_of_data(array.data_type()).0
}

fn put_hex(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

/// `\x00ff`
fn put_digits(bytes: &[u8], out: &mut BytesMut) {
    out.put_slice(b"\\x");
    put_hex(bytes, out);
}

/// `a\000\377`
fn put_escaped(bytes: &[u8], out: &mut BytesMut) {
    for byte in bytes {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            b' '..=b'~' => out.put_u8(*byte),
            _ => {
                let digits = [byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit);
                out.put_u8(b'\\');
                out.put_slice(&digits);
            }
        }
    }
}

fn put_uuid(bytes: &[u8], out: &mut BytesMut) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        put_hex(&[*byte], out);
    }
}

/// A writer of byte strings.
pub(super) fn bytes(array: &ArrayRef, put: fn(&[u8], &mut BytesMut)) -> Result<Writer, Error> {
    Ok(match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary::<i32>().clone();
            Box::new(move |row, out| {
                put(array.value(row), out);
                Ok(())
            })
        }
        DataType::BinaryView => {
            let array = array.as_binary_view().clone();
            Box::new(move |row, out| {
                put(array.value(row), out);
                Ok(())
            })
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary().clone();
            Box::new(move |row, out| {
                put(array.value(row), out);
                Ok(())
            })
        }
        other => return Err(unsupported(other)),
    })
}

/// Microseconds of a row's time or timestamp.
pub(super) fn microseconds(
    array: &ArrayRef,
) -> Result<Box<dyn Fn(usize) -> Result<i64, Error> + Send>, Error> {
    fn read<T>(array: &ArrayRef, unit: TimeUnit) -> Box<dyn Fn(usize) -> Result<i64, Error> + Send>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i64>,
    {
        let array = array.as_primitive::<T>().clone();
        Box::new(move |row| time::microseconds(array.value(row).into(), unit).ok_or_else(out_of_range))
    }
    Ok(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => read::<Time32SecondType>(array, TimeUnit::Second),
        DataType::Time32(_) => read::<Time32MillisecondType>(array, TimeUnit::Millisecond),
        DataType::Time64(TimeUnit::Nanosecond) => read::<Time64NanosecondType>(array, TimeUnit::Nanosecond),
        DataType::Time64(_) => read::<Time64MicrosecondType>(array, TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Second, _) => read::<TimestampSecondType>(array, TimeUnit::Second),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            read::<TimestampMillisecondType>(array, TimeUnit::Millisecond)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            read::<TimestampMicrosecondType>(array, TimeUnit::Microsecond)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            read::<TimestampNanosecondType>(array, TimeUnit::Nanosecond)
        }
        other => return Err(unsupported(other)),
    })
}

type Parts = Box<dyn Fn(usize) -> Result<(i32, i32, i64), Error> + Send>;

/// Months, days and microseconds of a row's interval. What two moments are apart has days, as in PostgreSQL.
pub(super) fn parts_of_intervals(array: &ArrayRef) -> Result<Parts, Error> {
    fn duration<T>(array: &ArrayRef, unit: TimeUnit) -> Parts
    where
        T: ArrowPrimitiveType<Native = i64>,
    {
        let array = array.as_primitive::<T>().clone();
        Box::new(move |row| {
            let us = time::microseconds(array.value(row), unit).ok_or_else(out_of_range)?;
            let days = i32::try_from(us / time::DAY_US).map_err(|_| out_of_range())?;
            Ok((0, days, us % time::DAY_US))
        })
    }
    Ok(match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            let array = array.as_primitive::<IntervalYearMonthType>().clone();
            Box::new(move |row| Ok((array.value(row), 0, 0)))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let array = array.as_primitive::<IntervalDayTimeType>().clone();
            Box::new(move |row| {
                let value = array.value(row);
                Ok((0, value.days, i64::from(value.milliseconds) * 1_000))
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let array = array.as_primitive::<IntervalMonthDayNanoType>().clone();
            Box::new(move |row| {
                let value = array.value(row);
                Ok((value.months, value.days, value.nanoseconds / 1_000))
            })
        }
        DataType::Duration(TimeUnit::Second) => duration::<DurationSecondType>(array, TimeUnit::Second),
        DataType::Duration(TimeUnit::Millisecond) => {
            duration::<DurationMillisecondType>(array, TimeUnit::Millisecond)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            duration::<DurationMicrosecondType>(array, TimeUnit::Microsecond)
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            duration::<DurationNanosecondType>(array, TimeUnit::Nanosecond)
        }
        other => return Err(unsupported(other)),
    })
}

fn out_of_range() -> Error {
    Error::new("22008", "timestamp out of range")
}
