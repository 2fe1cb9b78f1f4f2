//! The functions of `pg_proc`: those that a statement can call, and those that `pg_type` names.

use super::data::{self, Record};
use super::types::types;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The functions by their numbers.
static BY_NUMBER: LazyLock<HashMap<i32, Record>> =
    LazyLock::new(|| data::records(data::PG_PROC).into_iter().map(|row| (row.int("oid"), row)).collect());

/// The numbers of those that alone have their name.
static BY_NAME: LazyLock<HashMap<&'static str, Option<i32>>> = LazyLock::new(|| {
    let mut numbers = HashMap::new();
    for (number, function) in BY_NUMBER.iter() {
        let of_name = numbers.entry(function.text("proname"));
        of_name.and_modify(|known| *known = None).or_insert(Some(*number));
    }
    numbers
});

/// The number of the only function of a name.
pub fn number_of(name: &str) -> Option<i32> {
    BY_NAME.get(name).copied().flatten()
}

/// The name of a function; with its schema where others have the same.
pub fn name_of(number: i32) -> String {
    match BY_NUMBER.get(&number).map(|function| function.text("proname")) {
        None => number.to_string(),
        Some(name) if number_of(name).is_some() => name.to_string(),
        Some(name) => format!("pg_catalog.{name}"),
    }
}

/// What a function takes, as its definition would say it.
pub fn arguments_of(number: i32) -> Option<String> {
    let function = BY_NUMBER.get(&number)?;
    let types = || function.text("proargtypes").split(' ').filter_map(|ty| ty.parse().ok()).map(spelt);
    Some(match function.text("arguments") {
        "" => types().collect::<Vec<_>>().join(", "),
        said => said.to_string(),
    })
}

/// What tells it from others of its name: what it takes, without what that is otherwise.
pub fn identity_of(number: i32) -> Option<String> {
    let arguments = arguments_of(number)?;
    let parts = arguments.split(", ").map(|argument| argument.split(" DEFAULT ").next().unwrap_or(argument));
    Some(parts.collect::<Vec<_>>().join(", "))
}

/// What a function gives.
pub fn result_of(number: i32) -> Option<String> {
    let function = BY_NUMBER.get(&number)?;
    let result = spelt(function.int("prorettype"));
    Some(match (function.text("result"), function.text("proretset")) {
        ("", "t") => format!("SETOF {result}"),
        ("", _) => result,
        (said, _) => said.to_string(),
    })
}

fn spelt(ty: i32) -> String {
    types().format(ty, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_as_postgresql_tells_them() {
        for (name, arguments, identity, result) in [
            ("now", "", "", "timestamp with time zone"),
            ("initcap", "text", "text", "text"),
            ("pg_encoding_to_char", "integer", "integer", "name"),
            ("pg_backend_pid", "", "", "integer"),
            (
                "jsonb_set",
                "jsonb_in jsonb, path text[], replacement jsonb, create_if_missing boolean DEFAULT true",
                "jsonb_in jsonb, path text[], replacement jsonb, create_if_missing boolean",
                "jsonb",
            ),
            ("jsonb_object_keys", "jsonb", "jsonb", "SETOF text"),
        ] {
            let number = number_of(name).unwrap();
            let told =
                (arguments_of(number).unwrap(), identity_of(number).unwrap(), result_of(number).unwrap());
            assert_eq!(told, (arguments.to_string(), identity.to_string(), result.to_string()), "{name}");
        }
        assert_eq!(number_of("now"), Some(1299));
        assert_eq!(number_of("length"), None, "several have the name");
        assert_eq!((name_of(1299), name_of(1317)), ("now".to_string(), "pg_catalog.length".to_string()));
    }
}
