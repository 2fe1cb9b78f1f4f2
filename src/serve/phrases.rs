//! What the engine says of a statement that does not mean anything, in PostgreSQL's words and with its SQLSTATE.

use super::Error;
use super::blamed::OPERATOR;
use super::misread::postgres_type;
use super::postgres::catalog::types::types;

/// Says of an argument what the engine says in many ways.
const CASTS: &str = "You might need to add explicit type casts.";

/// What always reads the same: a part of the engine's message, the SQLSTATE, and PostgreSQL's message.
const FIXED: [(&str, &str, &str); 21] = [
    ("NTILE requires a positive integer", "22014", "argument of ntile must be greater than zero"),
    ("onth value '", "22008", "date field value out of range"),
    ("ay value '", "22008", "date field value out of range"),
    ("not allowed in the WHERE clause", "42803", "aggregate functions are not allowed in WHERE"),
    ("ggregate function calls cannot be nested", "42803", "aggregate function calls cannot be nested"),
    ("logical expression WindowFunction(", "42P20", "window functions are not allowed in WHERE"),
    ("nconsistent data length across values list", "42601", "VALUES lists must all be the same length"),
    ("subquery should only return one column", "42601", "subquery must return only one column"),
    ("egative count not allowed", "22011", "negative substring length not allowed"),
    (
        "or SELECT DISTINCT, ORDER BY expressions",
        "42P10",
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    ),
    (
        "ggregate ORDER BY is not implemented for window functions",
        "0A000",
        "aggregate ORDER BY is not implemented for window functions",
    ),
    ("LIMIT must be >= 0", "2201W", "LIMIT must not be negative"),
    ("OFFSET must be >=0", "2201X", "OFFSET must not be negative"),
    ("annot take square root of a negative number", "2201F", "cannot take square root of a negative number"),
    ("ero raised to a negative power is undefined", "2201F", "zero raised to a negative power is undefined"),
    ("tep cannot be zero", "22023", "step size cannot equal zero"),
    ("SingleQuotedByteStringLiteral", "0A000", "type \"bit\" is not supported"),
    ("nteger overflow in GCD", "22003", "bigint out of range"),
    ("nteger overflow in LCM", "22003", "bigint out of range"),
    ("Int32Array overflow on abs", "22003", "integer out of range"),
    ("Int64Array overflow on abs", "22003", "bigint out of range"),
];

/// PostgreSQL's error for an engine's message; `None` for what is said elsewhere.
pub(super) fn phrased(message: &str) -> Option<Error> {
    let fixed = FIXED.iter().find(|(part, ..)| message.contains(part));
    if let Some((_, code, words)) = fixed {
        return Some(Error::new(code, *words));
    }
    operator(message)
        .or_else(|| condition(message))
        .or_else(|| cast(message))
        .or_else(|| unknown_type(message))
        .or_else(|| twice(message))
        .or_else(|| unit(message))
        .or_else(|| place_in_list(message))
        .or_else(|| unequal(message))
}

/// `UNION queries have different number of columns`
fn unequal(message: &str) -> Option<Error> {
    let (before, _) = message.split_once(" queries have different number of columns")?;
    let operation = before.rsplit(' ').next()?;
    Some(Error::new("42601", format!("each {operation} query must have the same number of columns")))
}

/// `Order by column out of bounds, specified: 5, max: 1`
fn place_in_list(message: &str) -> Option<Error> {
    const FORMS: [(&str, &str, &str); 2] = [
        ("ORDER BY", "rder by column out of bounds, specified: ", ", max"),
        ("GROUP BY", "annot find column with position ", " in SELECT clause"),
    ];
    FORMS.iter().find_map(|(clause, before, behind)| {
        let (number, _) = message.split_once(before)?.1.split_once(behind)?;
        Some(Error::new("42P10", format!("{clause} position {number} is not in select list")))
    })
}

/// `Date part 'FOO' not supported`
fn unit(message: &str) -> Option<Error> {
    const FORMS: [(&str, &str); 2] =
        [("ate part '", "' not supported"), ("date_trunc granularity: '", "'. Supported")];
    let unit = FORMS.iter().find_map(|(before, after)| {
        message.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(unit, _)| unit)
    })?;
    Some(Error::new("22023", format!("unit \"{}\" not recognized", unit.to_lowercase())))
}

/// `Cannot coerce arithmetic expression Utf8 + Int32 to valid types`
fn operator(message: &str) -> Option<Error> {
    const FORMS: [(&str, &str); 4] = [
        ("annot coerce arithmetic expression ", " to valid types"),
        ("annot infer common string type for string concat operation ", ""),
        ("annot infer common argument type for comparison operation ", ""),
        ("annot infer common type for bitwise operation ", ""),
    ];
    let (_, sides) = FORMS.iter().find_map(|(before, after)| {
        let (_, rest) = message.split_once(before)?;
        let rest = rest.lines().next()?.trim_end_matches('.');
        Some(((), rest.strip_suffix(after).unwrap_or(rest)))
    })?;
    let symbol = |word: &str| !word.is_empty() && word.chars().all(|c| "+-*/<>=~!@#%^&|".contains(c));
    let at = sides.split(' ').position(symbol)?;
    let words: Vec<&str> = sides.split(' ').collect();
    let (left, right) = (words[..at].join(" "), words[at + 1..].join(" "));
    let operation = format!("{} {} {}", named(&left), words[at], named(&right));
    let hint = format!("No operator matches the given name and argument types. {CASTS}");
    Some(Error::new("42883", format!("{OPERATOR}{operation}")).with_hint(hint))
}

/// A type that Arrow prints, as PostgreSQL does.
fn named(arrow: &str) -> String {
    let arrow = arrow.trim();
    match arrow.strip_prefix("List(").and_then(|item| item.strip_suffix(')')) {
        Some(item) => format!("{}[]", named(item)),
        None if arrow.starts_with("Timestamp(") && arrow.contains('"') => {
            "timestamp with time zone".to_string()
        }
        // As they are called where no modifier stands between.
        None => match postgres_type(arrow) {
            name @ ("timestamp" | "time") => format!("{name} without time zone"),
            name => name.to_string(),
        },
    }
}

/// What has to be true or false, and is neither.
fn condition(message: &str) -> Option<Error> {
    let (place, found) = match message.split_once("' returning ") {
        Some((before, found)) if before.contains("filter with non-boolean predicate") => ("WHERE", found),
        None if message.contains("oin condition must be boolean type") => {
            ("JOIN/ON", message.split_once("but got ")?.1)
        }
        _ => ("NOT", message.split_once("operator 'NOT' requires a boolean expression, got ")?.1),
    };
    let found = named(found.lines().next()?);
    Some(Error::new("42804", format!("argument of {place} must be type boolean, not type {found}")))
}

/// `Unsupported CAST from Boolean to Date32`
fn cast(message: &str) -> Option<Error> {
    let (_, types) = message.split_once("nsupported CAST from ")?;
    let (from, to) = types.lines().next()?.split_once(" to ")?;
    Some(Error::new("42846", format!("cannot cast type {} to {}", named(from), named(to))))
}

/// `Unsupported SQL type nosuchtype`
fn unknown_type(message: &str) -> Option<Error> {
    let (_, name) = message.split_once("nsupported SQL type ")?;
    let name = name.lines().next()?.trim().to_lowercase();
    Some(match types().by_name(&name) {
        Some(_) => Error::new("0A000", format!("type \"{name}\" is not supported")),
        None => Error::new("42704", format!("type \"{name}\" does not exist")),
    })
}

/// `WITH query name "a" specified more than once`
fn twice(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("WITH query name \"")?;
    let (name, _) = rest.split_once("\" specified more than once")?;
    Some(Error::new("42712", format!("WITH query name \"{name}\" specified more than once")))
}

#[cfg(test)]
mod tests {
    use super::phrased;

    #[test]
    fn in_postgresqls_words() {
        for (message, code, words) in [
            (
                "Cannot coerce arithmetic expression Utf8View + Int32 to valid types",
                "42883",
                "operator does not exist: text + integer",
            ),
            (
                "Cannot infer common argument type for comparison operation Timestamp(ns, \"UTC\") = Boolean",
                "42883",
                "operator does not exist: timestamp with time zone = boolean",
            ),
            (
                "Cannot create filter with non-boolean predicate 'o.status' returning Utf8View",
                "42804",
                "argument of WHERE must be type boolean, not type text",
            ),
            (
                "Unary operator 'NOT' requires a boolean expression, got Int64",
                "42804",
                "argument of NOT must be type boolean, not type bigint",
            ),
            ("Unsupported CAST from Boolean to Date32", "42846", "cannot cast type boolean to date"),
            ("Unsupported SQL type nosuch", "42704", "type \"nosuch\" does not exist"),
            ("Unsupported SQL type TSQUERY", "0A000", "type \"tsquery\" is not supported"),
            (
                "WITH query name \"a\" specified more than once",
                "42712",
                "WITH query name \"a\" specified more than once",
            ),
            (
                "EXCEPT queries have different number of columns",
                "42601",
                "each EXCEPT query must have the same number of columns",
            ),
            (
                "Cannot find column with position 5 in SELECT clause. Valid columns: 1 to 1",
                "42P10",
                "GROUP BY position 5 is not in select list",
            ),
            ("LIMIT must be >= 0, '-1' was provided", "2201W", "LIMIT must not be negative"),
        ] {
            let error = phrased(message).unwrap_or_else(|| panic!("{message}"));
            assert_eq!((error.code, error.message.as_str()), (code, words));
        }
        assert!(phrased("something else").is_none());
    }
}
