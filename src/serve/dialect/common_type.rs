//! The type that several values have in common: PostgreSQL's rule for CASE, COALESCE, UNION and arrays.

use crate::serve::postgres::catalog::casts::is_implicit;
use crate::serve::postgres::catalog::types::oid;

/// The common type: a later one is taken where what came before turns into it by itself, and not the other way round.
/// Literals without a type take the others'.
pub(super) fn common_type(types: impl IntoIterator<Item = i32>) -> i32 {
    types.into_iter().fold(oid::UNKNOWN, |known, next| {
        let takes = known == oid::UNKNOWN || (is_implicit(known, next) && !is_implicit(next, known));
        if next != oid::UNKNOWN && takes { next } else { known }
    })
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
