//! Values as PostgreSQL's send functions send them.

use super::super::types::{self, oid};
use super::{Style, Writer, flat, list, numeric, text, time};
use crate::serve::Error;
use arrow::array::timezone::Tz;
use arrow::array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};
use std::net::IpAddr;
use text::primitive;

/// The writer of an array's values; `oid` is the column's type.
pub(super) fn writer(array: &ArrayRef, oid: u32) -> Result<Writer, Error> {
    let array = &flat(array)?;
    Ok(match array.data_type() {
        DataType::Struct(_) if types::is_identifier(oid) => writer(array.as_struct().column(0), oid)?,
        DataType::Boolean => {
            let array = array.as_boolean().clone();
            Box::new(move |row, out| {
                out.put_u8(u8::from(array.value(row)));
                Ok(())
            })
        }
        DataType::Int8 => primitive::<Int8Type>(array, |value, out| {
            out.put_i16(i16::from(value));
            Ok(())
        }),
        DataType::UInt8 => primitive::<UInt8Type>(array, |value, out| {
            out.put_i16(i16::from(value));
            Ok(())
        }),
        DataType::Int16 => primitive::<Int16Type>(array, |value, out| {
            out.put_i16(value);
            Ok(())
        }),
        DataType::UInt16 => primitive::<UInt16Type>(array, |value, out| {
            out.put_i32(i32::from(value));
            Ok(())
        }),
        DataType::Int32 => primitive::<Int32Type>(array, |value, out| {
            out.put_i32(value);
            Ok(())
        }),
        DataType::UInt32 => primitive::<UInt32Type>(array, |value, out| {
            out.put_i64(i64::from(value));
            Ok(())
        }),
        DataType::Int64 => primitive::<Int64Type>(array, |value, out| {
            out.put_i64(value);
            Ok(())
        }),
        DataType::UInt64 => primitive::<UInt64Type>(array, |value, out| {
            numeric::put_binary(&value.to_string(), 0, out);
            Ok(())
        }),
        DataType::Float32 => primitive::<Float32Type>(array, |value, out| {
            out.put_f32(value);
            Ok(())
        }),
        DataType::Float64 => primitive::<Float64Type>(array, |value, out| {
            out.put_f64(value);
            Ok(())
        }),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            primitive::<Decimal128Type>(array, move |value, out| {
                if !numeric::put_few_binary(value, scale, out) {
                    numeric::put_binary(&value.to_string(), scale, out);
                }
                Ok(())
            })
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            primitive::<Decimal256Type>(array, move |value, out| {
                numeric::put_binary(&value.to_string(), scale, out);
                Ok(())
            })
        }
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            text::bytes(array, |value, out| out.put_slice(value))?
        }
        DataType::Date32 => primitive::<Date32Type>(array, |days, out| put_date(i64::from(days), out)),
        DataType::Date64 => {
            primitive::<Date64Type>(array, |ms, out| put_date(ms.div_euclid(86_400_000), out))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let us = text::microseconds(array)?;
            Box::new(move |row, out| {
                out.put_i64(us(row)?);
                Ok(())
            })
        }
        DataType::Timestamp(..) => {
            let us = text::microseconds(array)?;
            Box::new(move |row, out| {
                out.put_i64(us(row)?.saturating_sub(time::EPOCH_DAYS * time::DAY_US));
                Ok(())
            })
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let parts = text::parts_of_intervals(array)?;
            Box::new(move |row, out| {
                let (months, days, us) = parts(row)?;
                out.put_i64(us);
                out.put_i32(days);
                out.put_i32(months);
                Ok(())
            })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => list::binary(array, oid)?,
        _ if oid == oid::UUID => {
            let plain = text::writer(array, oid, Style::exact(utc()?))?;
            Box::new(move |row, out| {
                let mut written = BytesMut::new();
                plain(row, &mut written)?;
                let id = uuid::Uuid::try_parse_ascii(&written).map_err(Error::internal)?;
                out.put_slice(id.as_bytes());
                Ok(())
            })
        }
        _ if oid == oid::INET => {
            let plain = text::writer(array, oid, Style::exact(utc()?))?;
            Box::new(move |row, out| {
                let mut written = BytesMut::new();
                plain(row, &mut written)?;
                put_address(&String::from_utf8_lossy(&written), out)
            })
        }
        // Texts, JSON and what is printed only are the same in both forms; jsonb has its version before it.
        _ => {
            let plain = text::writer(array, oid, Style::exact(utc()?))?;
            Box::new(move |row, out| {
                if oid == oid::JSONB {
                    out.put_u8(1);
                }
                plain(row, out)
            })
        }
    })
}

fn put_date(days: i64, out: &mut bytes::BytesMut) -> Result<(), Error> {
    let days =
        i32::try_from(days - time::EPOCH_DAYS).map_err(|_| Error::new("22008", "date out of range"))?;
    out.put_i32(days);
    Ok(())
}

/// An `inet` that is the address of one host: its family, the bits that count, that it is no network, its bytes.
fn put_address(text: &str, out: &mut BytesMut) -> Result<(), Error> {
    /// PostgreSQL's numbers of the families.
    const FAMILIES: [u8; 2] = [2, 3];
    let [v4, v6] = FAMILIES;
    match text.parse::<IpAddr>().map_err(Error::internal)? {
        IpAddr::V4(address) => {
            out.put_slice(&[v4, 32, 0, 4]);
            out.put_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.put_slice(&[v6, 128, 0, 16]);
            out.put_slice(&address.octets());
        }
    }
    Ok(())
}

/// The zone of timestamps inside JSON that is sent in binary.
fn utc() -> Result<Tz, Error> {
    Ok("+00:00".parse::<Tz>()?)
}
