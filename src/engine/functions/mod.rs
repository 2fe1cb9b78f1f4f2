//! Functions beyond DataFusion's: hashing and masking of personal data, surrogate keys, PostgreSQL's `to_char`.
//!
//! All are immutable: the same values give the same result in every query, on every machine, so that models which use
//! them can be kept up to date from changes alone. Of text they make text, and NULL of NULL; a surrogate key is never NULL.
//!
//! | function | `'...'` | result |
//! |---|---|---|
//! | `sha256(text)` | `'abc'` | `ba7816bf...f20015ad`, 64 lower-case hex digits |
//! | `mask_email(text)` | `'anna.smith@example.com'` | `a***@example.com` |
//! | `mask_phone(text)` | `'+1 (555) 123-4567'` | `+* (***) ***-4567` |
//! | `mask_name(text)` | `'Anna Smith'` | `A*** S***` |
//! | `to_char(value, pattern)` | `DATE '2026-01-31', 'DD.MM.YYYY'` | `31.01.2026`: PostgreSQL's patterns |
//! | `to_number(text, pattern)` | `'1,234.5', '9,999.9'` | `1234.5`: PostgreSQL's patterns |
//! | `encode(bytes, form)`, `decode(text, form)`, `convert_from(bytes, encoding)`, `convert_to` | | as in PostgreSQL |
//! | `age(end, start)`, `timezone(zone, time)`, `make_timestamp(y, mo, d, h, mi, s)` | | as in PostgreSQL |
//! | `to_date(text, pattern)`, `to_timestamp(text, pattern)`, `make_interval(...)`, `justify_days(interval)` | | as in PostgreSQL |
//! | `div(numeric, numeric)`, `width_bucket(number, from, to, count)` | | as in PostgreSQL |
//! | `regexp_split_to_array(text, pattern)`, `regexp_matches`, `regexp_substring`, `string_to_table` | | as in PostgreSQL; rows are lists |
//! | `json_get(json, key)`, `json_get_text`, `json_get_path`, `json_array_length`, `json_typeof` | | `->`, `->>`, `#>` ... |
//! | `json_object_keys(json)`, `json_each_keys(json)`, `json_each_values(json)`, `json_array_elements(json)` ... | | as in PostgreSQL; rows are lists |
//! | `mode()`, `percentile_disc(fraction)` WITHIN GROUP (ORDER BY value) | | as in PostgreSQL |
//! | `surrogate_key(any, ...)` | `7, 'abc'` | a BIGINT: 64 bits of a hash of all values |

mod encodings;
mod intervals;
mod json;
mod json_rows;
pub(crate) mod mask;
mod mended;
mod numbers;
mod ordered_set;
mod regex;
mod rowwise;
mod surrogate;
mod text;
mod times;
mod to_char;
mod windows;

use datafusion::logical_expr::{ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;
use surrogate::SurrogateKey;
use text::{TextFunction, TextOperation};
use to_char::ToChar;
use windows::{SessionBound, WindowFloor};

/// Makes the functions known to a session. `sha256` replaces DataFusion's, which gives bytes; so do those that are mended.
pub fn register(context: &SessionContext) {
    for operation in TextOperation::ALL {
        context.register_udf(ScalarUDF::from(TextFunction::new(operation)));
    }
    let rowwise = times::FUNCTIONS.into_iter().chain(intervals::FUNCTIONS).chain(to_char::read::FUNCTIONS);
    let rowwise = rowwise
        .chain(json::FUNCTIONS)
        .chain(json_rows::FUNCTIONS)
        .chain(regex::FUNCTIONS)
        .chain(numbers::FUNCTIONS)
        .chain(encodings::FUNCTIONS);
    for of in rowwise {
        context.register_udf(ScalarUDF::from(rowwise::Function::new(of)));
    }
    context.register_udf(ScalarUDF::from(ToChar::new()));
    context.register_udf(ScalarUDF::from(to_char::ToNumber::new()));
    context.register_udf(ScalarUDF::from(SurrogateKey::new()));
    context.register_udf(ScalarUDF::from(WindowFloor::new()));
    for aggregate in mended::functions().into_iter().chain(ordered_set::functions()) {
        context.register_udaf(aggregate);
    }
    for is_end in [false, true] {
        context.register_udwf(WindowUDF::from(SessionBound::new(is_end)));
    }
}

/// `timezone(zone, time)`, which AT TIME ZONE is.
pub fn in_zone() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(times::FUNCTIONS[0]))
}

/// `justify_hours(interval)`: days of what two timestamps are apart.
pub fn justified() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(intervals::FUNCTIONS[0]))
}

pub(crate) use intervals::Unit;
pub use json::place as json_place;
pub use times::interval_over;

/// `date_trunc(unit, interval)`
pub fn interval_trunc() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(intervals::FUNCTIONS[5]))
}

/// `date_part(unit, interval)`
pub fn interval_part() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(intervals::FUNCTIONS[6]))
}

/// `make_interval(years, ...)`
pub fn make_interval() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(intervals::FUNCTIONS[3]))
}

/// `json_get(json, key)`
pub fn json_get() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(json::FUNCTIONS[0]))
}

/// `interval * number`.
pub fn interval_times() -> ScalarUDF {
    ScalarUDF::from(rowwise::Function::new(times::TIMES))
}

#[cfg(test)]
mod tests;
