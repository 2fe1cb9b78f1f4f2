//! PostgreSQL's functions over numbers that the engine has not: `div` and `width_bucket`.

use super::rowwise::RowWise;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::scalar::ScalarValue;

/// The functions.
pub(super) const FUNCTIONS: [RowWise; 2] = [
    RowWise {
        name: "div",
        accepts: |types| (types.len() == 2).then(|| alike(types)).flatten(),
        returns: |_| DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
        body: div,
    },
    RowWise {
        name: "width_bucket",
        accepts: |types| {
            let [numbers @ .., _] = types else { return None };
            let is_float = numbers.iter().any(DataType::is_floating);
            let mut taken = if is_float { vec![DataType::Float64; 3] } else { alike(numbers)? };
            taken.push(DataType::Int32);
            (types.len() == 4).then_some(taken)
        },
        returns: |_| DataType::Int32,
        body: width_bucket,
    },
];

/// Numerics with as many digits behind the point as that of them which has the most.
fn alike(types: &[DataType]) -> Option<Vec<DataType>> {
    let scale = |data_type: &DataType| match data_type {
        DataType::Decimal128(_, scale) => Some(*scale),
        whole if whole.is_integer() || whole == &DataType::Null => Some(0),
        _ => None,
    };
    let scales = types.iter().map(scale).collect::<Option<Vec<i8>>>()?;
    let scale = scales.into_iter().max()?;
    Some(vec![DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale); types.len()])
}

fn digits(value: &ScalarValue) -> Result<i128> {
    match value {
        ScalarValue::Decimal128(Some(digits), ..) => Ok(*digits),
        other => exec_err!("{other} is no numeric"),
    }
}

/// A quotient without what is behind its point.
fn div(row: &[ScalarValue]) -> Result<ScalarValue> {
    let (of, by) = (digits(&row[0])?, digits(&row[1])?);
    let quotient = of.checked_div(by).ok_or_else(|| exec_datafusion_err!("division by zero"))?;
    Ok(ScalarValue::Decimal128(Some(quotient), DECIMAL128_MAX_PRECISION, 0))
}

/// In which of so many parts of a range a number is: 0 before the first, one more than there are behind the last.
fn width_bucket(row: &[ScalarValue]) -> Result<ScalarValue> {
    let ScalarValue::Int32(Some(count)) = row[3] else { return exec_err!("a count is an integer") };
    if count <= 0 {
        return exec_err!("count must be greater than zero");
    }
    let floats: Option<Vec<f64>> = row[..3]
        .iter()
        .map(|value| if let ScalarValue::Float64(Some(value)) = value { Some(*value) } else { None })
        .collect();
    let (below, at_end, part) = match floats.as_deref() {
        Some([of, from, to]) if of.is_nan() || from.is_nan() || to.is_nan() => {
            return exec_err!("operand, lower bound, and upper bound cannot be NaN");
        }
        Some([_, from, to]) if !from.is_finite() || !to.is_finite() => {
            return exec_err!("lower and upper bounds must be finite");
        }
        Some([_, from, to]) if from == to => return exec_err!("lower bound cannot equal upper bound"),
        Some([of, from, to]) => {
            let (of, width) = if to > from { (of - from, to - from) } else { (from - of, from - to) };
            // As many parts as there are at most, which any count of this type is far below 2^53 of.
            (of < 0.0, of >= width, (f64::from(count) * of / width) as i64)
        }
        _ => {
            let (of, from, to) = (digits(&row[0])?, digits(&row[1])?, digits(&row[2])?);
            if from == to {
                return exec_err!("lower bound cannot equal upper bound");
            }
            let (of, width) = if to > from { (of - from, to - from) } else { (from - of, from - to) };
            let is_inside = 0 <= of && of < width;
            let part =
                if is_inside { of.checked_mul(i128::from(count)).map(|of| of / width) } else { Some(0) };
            let part = part.and_then(|part| i64::try_from(part).ok());
            (of < 0, of >= width, part.ok_or_else(|| exec_datafusion_err!("value out of range: overflow"))?)
        }
    };
    let bucket = match (below, at_end) {
        (true, _) => Some(0),
        (_, true) => count.checked_add(1),
        _ => i32::try_from(part + 1).ok(),
    };
    let bucket = bucket.ok_or_else(|| exec_datafusion_err!("integer out of range"))?;
    Ok(ScalarValue::Int32(Some(bucket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_as_in_postgresql() {
        let decimal = |digits| ScalarValue::Decimal128(Some(digits), DECIMAL128_MAX_PRECISION, 2);
        let float = |value| ScalarValue::Float64(Some(value));
        let bucket = |of: &[ScalarValue], count| {
            let row = [of, &[ScalarValue::Int32(Some(count))]].concat();
            match width_bucket(&row) {
                Ok(ScalarValue::Int32(Some(bucket))) => Some(bucket),
                _ => None,
            }
        };
        for (of, from, to, count, expected) in [
            (500, 0, 1000, 5, Some(3)),
            (-1, 0, 1000, 5, Some(0)),
            (1000, 0, 1000, 5, Some(6)),
            (30, 0, 100, 10, Some(4)),
            (100, 1000, 0, 10, Some(10)),
            (1, 5, 5, 10, None),
            (1, 0, 5, 0, None),
        ] {
            assert_eq!(bucket(&[decimal(of), decimal(from), decimal(to)], count), expected, "{of}");
            let floats = [of, from, to].map(|digits| float(digits as f64 / 100.0));
            assert_eq!(bucket(&floats, count), expected, "{of} as a float");
        }
    }
}
