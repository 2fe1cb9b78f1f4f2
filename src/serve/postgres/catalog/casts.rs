//! What PostgreSQL casts to what: `pg_cast`, and the casts that stand in no catalog: by text, and of arrays by their items.

use super::data;
use super::types::{oid, types};
use std::collections::HashMap;
use std::sync::LazyLock;

/// When a value of one type becomes one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// By itself.
    Implicit,
    /// In the column that it is for.
    Assignment,
    /// Where a cast is written.
    Explicit,
}

/// When a value of one type becomes one of another; `None` if it never does.
pub fn context(from: i32, to: i32) -> Option<Context> {
    static CASTS: LazyLock<HashMap<(i32, i32), Context>> = LazyLock::new(|| {
        let context = |letter: &str| match letter {
            "i" => Context::Implicit,
            "a" => Context::Assignment,
            _ => Context::Explicit,
        };
        let casts = data::records(data::PG_CAST).into_iter();
        let cast = |cast: data::Record| {
            ((cast.int("castsource"), cast.int("casttarget")), context(cast.text("castcontext")))
        };
        casts.map(cast).collect()
    });
    if from == to || from == oid::UNKNOWN {
        return Some(Context::Implicit);
    }
    if let Some(known) = CASTS.get(&(from, to)) {
        return Some(*known);
    }
    let element = |ty| types().by_oid(ty)?.element;
    if let Some((from, to)) = element(from).zip(element(to)) {
        return context(from, to);
    }
    match (category(from), category(to)) {
        (_, "S") => Some(Context::Assignment),
        ("S", _) => Some(Context::Explicit),
        _ => None,
    }
}

/// Whether a value becomes one of another type by itself.
pub fn is_implicit(from: i32, to: i32) -> bool {
    context(from, to) == Some(Context::Implicit)
}

/// `pg_type.typcategory`: `N` are numbers, `S` texts, `D` dates and times.
pub fn category(ty: i32) -> &'static str {
    types().by_oid(ty).map_or("", |ty| ty.record.text("typcategory"))
}

/// The type that a cast between arrays fails at, and the one that it is to become: their items.
pub fn refused(from: i32, to: i32) -> (i32, i32) {
    let element = |ty| types().by_oid(ty)?.element;
    element(from).zip(element(to)).unwrap_or((from, to))
}

#[cfg(test)]
mod tests {
    use super::{Context, context, oid, types};

    #[test]
    fn as_postgresql_casts() {
        let array = |item: i32| types().by_oid(item).unwrap().array;
        for (from, to, expected) in [
            (oid::INT4, oid::INT8, Some(Context::Implicit)),
            (oid::INT8, oid::INT4, Some(Context::Assignment)),
            (oid::BOOL, oid::INT4, Some(Context::Explicit)),
            (oid::DATE, oid::INT4, None),
            (oid::DATE, oid::TEXT, Some(Context::Assignment)),
            (oid::TEXT, oid::DATE, Some(Context::Explicit)),
            (oid::UNKNOWN, oid::DATE, Some(Context::Implicit)),
            (oid::VARCHAR, oid::TEXT, Some(Context::Implicit)),
            (array(oid::INT4), array(oid::INT8), Some(Context::Implicit)),
            (array(oid::DATE), array(oid::INT4), None),
            (array(oid::INT4), oid::INT4, None),
            (oid::JSON, oid::INT4, None),
        ] {
            assert_eq!(context(from, to), expected, "{from} to {to}");
        }
    }
}
