//! The type that several values have in common: PostgreSQL's rule for CASE, COALESCE, UNION and arrays.

use crate::serve::postgres::catalog::types::oid;

/// The common type: a later one is taken where what came before turns into it by itself, and not the other way round.
/// Literals without a type take the others'.
pub(super) fn common_type(types: impl IntoIterator<Item = i32>) -> i32 {
    types.into_iter().fold(oid::UNKNOWN, |known, next| {
        let takes = known == oid::UNKNOWN || (becomes(known, next) && !becomes(next, known));
        if next != oid::UNKNOWN && takes { next } else { known }
    })
}

/// Whether PostgreSQL casts from one type to the other unasked (`pg_cast.castcontext = 'i'`).
fn becomes(from: i32, to: i32) -> bool {
    const NUMBERS: [i32; 6] = [oid::INT2, oid::INT4, oid::INT8, oid::NUMERIC, oid::FLOAT4, oid::FLOAT8];
    const TIMES: [i32; 3] = [oid::DATE, oid::TIMESTAMP, oid::TIMESTAMPTZ];
    let grows = |order: &[i32]| {
        let place = |ty| order.iter().position(|known| *known == ty);
        place(from).zip(place(to)).is_some_and(|(from, to)| from < to)
    };
    let is_integer = |ty| [oid::INT2, oid::INT4, oid::INT8].contains(&ty);
    let is_number_of_object = |ty| ty == oid::OID || oid::IDENTIFIERS.contains(&ty);
    match (from, to) {
        (from, to) if is_integer(from) => grows(&NUMBERS) || is_number_of_object(to),
        (from, oid::OID) => oid::IDENTIFIERS.contains(&from),
        (oid::OID, to) => to == oid::INT8 || oid::IDENTIFIERS.contains(&to),
        (from, oid::INT8) if oid::IDENTIFIERS.contains(&from) => true,
        (oid::CHAR | oid::NAME | oid::BPCHAR | oid::VARCHAR, oid::TEXT) => true,
        (oid::TEXT | oid::BPCHAR, oid::VARCHAR) | (oid::TEXT | oid::VARCHAR, oid::BPCHAR | oid::NAME) => true,
        _ => grows(&NUMBERS) || grows(&TIMES),
    }
}

#[cfg(test)]
mod tests {
    use super::{common_type, oid};

    #[test]
    fn as_in_postgresql() {
        for (types, common) in [
            (vec![oid::UNKNOWN, oid::CHAR], oid::CHAR),
            (vec![oid::INT4, oid::OID], oid::OID),
            (vec![oid::VARCHAR, oid::TEXT], oid::VARCHAR),
            (vec![oid::TEXT, oid::NAME], oid::TEXT),
            (vec![oid::NAME, oid::TEXT], oid::NAME),
            (vec![oid::CHAR, oid::TEXT], oid::TEXT),
            (vec![oid::INT8, oid::INT4, oid::NUMERIC], oid::NUMERIC),
            (vec![oid::DATE, oid::UNKNOWN, oid::TIMESTAMPTZ], oid::TIMESTAMPTZ),
            (vec![oid::UNKNOWN, oid::UNKNOWN], oid::UNKNOWN),
        ] {
            assert_eq!(common_type(types.clone()), common, "{types:?}");
        }
    }
}
