//! Which operators and functions PostgreSQL has for arguments of which types: `pg_operator`, and of `pg_proc` what a
//! statement can call.
//!
//! Comes in: a name and the types of arguments. Goes out: whether one of the candidates takes them, as PostgreSQL decides
//! it: unasked casts are made, a literal without a type is of any. Which candidate it is does not matter here.

use super::casts::{category, is_implicit};
use super::data;
use super::types::{oid, types};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a candidate takes.
#[derive(Debug)]
struct Signature {
    arguments: Vec<i32>,
    /// The last one may come any number of times, as items of this type.
    variadic: Option<i32>,
    /// So many of the last may be left out.
    defaults: usize,
}

/// Between which types a number becomes another unasked, beside those that PostgreSQL names: the engine's functions and
/// sums have other types here and there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    /// Whole ones.
    Whole,
    All,
}

/// Whether there is an operator of this symbol between such types, `None` for the left one if it stands before its value;
/// nothing if PostgreSQL knows no such symbol.
pub fn has_operator(symbol: &str, left: Option<i32>, right: i32) -> Option<bool> {
    static OPERATORS: LazyLock<HashMap<(&'static str, usize), Vec<Signature>>> = LazyLock::new(|| {
        let mut operators: HashMap<_, Vec<Signature>> = HashMap::new();
        for operator in data::records(data::PG_OPERATOR) {
            let sides = [operator.int("oprleft"), operator.int("oprright")];
            let arguments: Vec<i32> = sides.into_iter().filter(|side| *side != 0).collect();
            let signature = Signature { variadic: None, defaults: 0, arguments };
            let key = (operator.text("oprname"), signature.arguments.len());
            operators.entry(key).or_default().push(signature);
        }
        operators
    });
    let given: Vec<i32> = left.into_iter().chain([right]).collect();
    let candidates = OPERATORS.get(&(symbol, given.len()))?;
    Some(candidates.iter().any(|candidate| candidate.takes(&given, Numbers::Whole)))
}

/// Whether there is a function of this name for such arguments; nothing if PostgreSQL has none of the name, or if ours takes
/// numbers and names of any kind.
pub fn has_function(name: &str, given: &[i32]) -> Option<bool> {
    if name.starts_with("pg_") || name.starts_with("has_") || name.ends_with("_description") {
        return None;
    }
    Some(functions(name)?.iter().any(|candidate| candidate.takes(given, Numbers::All)))
}

/// What the function takes that PostgreSQL decides for, of those of this name, where some arguments have no type; nothing
/// where none is left, or more than one.
///
/// PostgreSQL's rules ("Function Type Resolution"): the most exact matches win; a value without a type is a text where one
/// candidate takes that, else of the kind that all ask for, and of the kind's preferred type where one asks for it.
pub fn arguments_of(name: &str, given: &[i32]) -> Option<Vec<i32>> {
    let mut left: Vec<&[i32]> = functions(name)?
        .iter()
        .filter(|candidate| {
            candidate.arguments.len() == given.len() && candidate.takes(given, Numbers::Whole)
        })
        .map(|candidate| candidate.arguments.as_slice())
        .collect();
    let exact = |wanted: &[i32]| wanted.iter().zip(given).filter(|(wanted, given)| wanted == given).count();
    let most = left.iter().map(|wanted| exact(wanted)).max()?;
    left.retain(|wanted| exact(wanted) == most);
    for at in (0..given.len()).filter(|at| given[*at] == oid::UNKNOWN) {
        let kind = match left.iter().any(|wanted| category(wanted[at]) == "S") {
            true => "S",
            false => category(left.first()?[at]),
        };
        left.retain(|wanted| category(wanted[at]) == kind);
        if left.iter().any(|wanted| is_preferred(wanted[at])) {
            left.retain(|wanted| is_preferred(wanted[at]));
        }
    }
    <[&[i32]; 1]>::try_from(left).ok().map(|[only]| only.to_vec())
}

/// What every function of this name that takes so many arguments asks for at a place; nothing where they differ.
pub fn argument_of(name: &str, count: usize, at: usize) -> Option<i32> {
    let mut asked = functions(name)?.iter().filter(|candidate| candidate.takes_so_many(count));
    let first = asked.next()?.argument(at)?;
    asked.all(|other| other.argument(at) == Some(first)).then_some(first)
}

/// `pg_type.oid` of what a type's values are read from.
const CSTRING: i32 = 2275;
const INTERNAL: i32 = 2281;

/// True for a type that is taken before others of its kind.
fn is_preferred(ty: i32) -> bool {
    types().by_oid(ty).is_some_and(|ty| ty.record.text("typispreferred") == "t")
}

/// The functions of a name.
fn functions(name: &str) -> Option<&'static [Signature]> {
    static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Signature>>> = LazyLock::new(|| {
        let mut functions: HashMap<_, Vec<Signature>> = HashMap::new();
        for function in data::records(data::PG_PROC) {
            let arguments: Vec<i32> =
                function.text("proargtypes").split(' ').filter_map(|ty| ty.parse().ok()).collect();
            // Of types that no value has: the server calls it, not a statement.
            if arguments.iter().any(|ty| [CSTRING, INTERNAL].contains(ty)) {
                continue;
            }
            let variadic = Some(function.int("provariadic")).filter(|item| *item != 0);
            let defaults = usize::try_from(function.int("pronargdefaults")).unwrap_or(0);
            let signature = Signature { arguments, variadic, defaults };
            functions.entry(function.text("proname")).or_default().push(signature);
        }
        functions
    });
    FUNCTIONS.get(name).map(Vec::as_slice)
}

impl Signature {
    fn takes_so_many(&self, count: usize) -> bool {
        let most = self.arguments.len();
        count + self.defaults >= most && count <= most || self.variadic.is_some() && count + 1 >= most
    }

    /// What it asks for at a place.
    fn argument(&self, at: usize) -> Option<i32> {
        let fixed = self.arguments.len() - usize::from(self.variadic.is_some());
        self.arguments.get(at).filter(|_| at < fixed).copied().or(self.variadic)
    }

    fn takes(&self, given: &[i32], numbers: Numbers) -> bool {
        let wanted = &self.arguments;
        let fits = |wanted: &[i32]| {
            wanted.len() == given.len()
                && wanted.iter().zip(given).all(|(wanted, given)| takes(*wanted, *given, numbers))
                && agree(wanted, given)
        };
        let is_short = given.len() < wanted.len() && given.len() + self.defaults >= wanted.len();
        if fits(wanted) || is_short && fits(&wanted[..given.len()]) {
            return true;
        }
        let Some((item, fixed)) = self.variadic.zip(wanted.len().checked_sub(1)) else { return false };
        let items = given.len().checked_sub(fixed).filter(|items| *items > 0);
        items.is_some_and(|items| fits(&[&wanted[..fixed], &vec![item; items]].concat()))
    }
}

/// `pg_type.oid` of types that stand for others.
mod any {
    pub(super) const ANY: i32 = 2276;
    pub(super) const ARRAY: i32 = 2277;
    pub(super) const ELEMENT: i32 = 2283;
    pub(super) const NON_ARRAY: i32 = 2776;
    pub(super) const COMPATIBLE: i32 = 5077;
    pub(super) const COMPATIBLE_ARRAY: i32 = 5078;
    pub(super) const COMPATIBLE_NON_ARRAY: i32 = 5079;
}

fn element(ty: i32) -> Option<i32> {
    types().by_oid(ty)?.element
}

/// Whether a value of one type can be an argument of another.
fn takes(wanted: i32, given: i32, numbers: Numbers) -> bool {
    let is_whole = |ty| [oid::INT2, oid::INT4, oid::INT8].contains(&ty);
    let is_number = |ty| is_whole(ty) || [oid::NUMERIC, oid::FLOAT4, oid::FLOAT8].contains(&ty);
    if given == oid::UNKNOWN {
        return true;
    }
    match wanted {
        any::ANY | any::ELEMENT | any::COMPATIBLE => true,
        any::ARRAY | any::COMPATIBLE_ARRAY => element(given).is_some(),
        any::NON_ARRAY | any::COMPATIBLE_NON_ARRAY => element(given).is_none(),
        wanted if is_implicit(given, wanted) => true,
        wanted => match numbers {
            Numbers::Whole => is_whole(wanted) && is_whole(given),
            Numbers::All => is_number(wanted) && is_number(given),
        },
    }
}

/// Whether arguments that stand for one type have one: the same, or one that the others become.
fn agree(wanted: &[i32], given: &[i32]) -> bool {
    let of = |arrays: &[i32], items: &[i32]| -> Vec<i32> {
        let known = wanted.iter().zip(given).filter(|(_, given)| **given != oid::UNKNOWN);
        known
            .filter_map(|(wanted, given)| match wanted {
                wanted if arrays.contains(wanted) => element(*given),
                wanted if items.contains(wanted) => Some(*given),
                _ => None,
            })
            .collect()
    };
    let same = of(&[any::ARRAY], &[any::ELEMENT, any::NON_ARRAY]);
    let compatible = of(&[any::COMPATIBLE_ARRAY], &[any::COMPATIBLE, any::COMPATIBLE_NON_ARRAY]);
    let is_alike = |a: i32, b: i32| a == b || category(a) == category(b) && ["S", "N"].contains(&category(a));
    same.windows(2).all(|pair| is_alike(pair[0], pair[1]))
        && compatible.windows(2).all(|pair| {
            is_implicit(pair[0], pair[1]) || is_implicit(pair[1], pair[0]) || is_alike(pair[0], pair[1])
        })
}

#[cfg(test)]
mod tests {
    use super::{argument_of, arguments_of, has_function, has_operator, oid, types};

    #[test]
    fn operators_as_in_postgresql() {
        let texts = types().by_oid(oid::TEXT).unwrap().array;
        let integers = types().by_oid(oid::INT4).unwrap().array;
        for (symbol, left, right, expected) in [
            ("=", oid::INT8, oid::TEXT, Some(false)),
            ("=", oid::INT8, oid::UNKNOWN, Some(true)),
            (">", oid::DATE, oid::INT4, Some(false)),
            (">", oid::DATE, oid::TIMESTAMPTZ, Some(true)),
            ("=", oid::NAME, oid::TEXT, Some(true)),
            ("+", oid::DATE, oid::INT8, Some(true)),
            ("+", oid::DATE, oid::NUMERIC, Some(false)),
            ("||", oid::TEXT, oid::INT4, Some(true)),
            ("||", oid::INT4, oid::INT4, Some(false)),
            ("||", integers, oid::TEXT, Some(false)),
            ("||", integers, oid::INT8, Some(true)),
            ("=", texts, texts, Some(true)),
            ("=", integers, texts, Some(false)),
            ("~~", oid::INT4, oid::UNKNOWN, Some(false)),
            ("<=>", oid::INT4, oid::INT4, None),
        ] {
            assert_eq!(has_operator(symbol, Some(left), right), expected, "{left} {symbol} {right}");
        }
        assert_eq!(has_operator("-", None, oid::TEXT), Some(false));
        assert_eq!(has_operator("-", None, oid::INTERVAL), Some(true));
    }

    #[test]
    fn values_without_a_type_are_what_a_function_asks_for() {
        let none = oid::UNKNOWN;
        for (name, given, expected) in [
            ("abs", vec![none], Some(vec![oid::FLOAT8])),
            ("round", vec![none, oid::INT4], Some(vec![oid::NUMERIC, oid::INT4])),
            ("lower", vec![none], Some(vec![oid::TEXT])),
            ("date_trunc", vec![none, oid::TIMESTAMP], Some(vec![oid::TEXT, oid::TIMESTAMP])),
            ("left", vec![oid::TEXT, none], Some(vec![oid::TEXT, oid::INT4])),
            ("substring", vec![none, none, none], Some(vec![oid::TEXT; 3])),
            ("generate_series", vec![none, none], None),
            ("nothing_like_it", vec![none], None),
        ] {
            assert_eq!(arguments_of(name, &given), expected, "{name} {given:?}");
        }
    }

    #[test]
    fn what_all_functions_of_a_name_ask_for() {
        for (name, count, at, expected) in [
            ("set_config", 3, 2, Some(oid::BOOL)),
            ("format_type", 2, 0, Some(oid::OID)),
            ("regclassin", 1, 0, None),
            ("lag", 2, 1, Some(oid::INT4)),
            ("concat_ws", 3, 0, Some(oid::TEXT)),
            ("jsonb_extract_path_text", 3, 2, Some(oid::TEXT)),
            ("jsonb_set", 3, 2, Some(oid::JSONB)),
            ("round", 1, 0, None),
            ("round", 3, 0, None),
            ("nothing_like_it", 1, 0, None),
        ] {
            assert_eq!(argument_of(name, count, at), expected, "{name} {count} {at}");
        }
    }

    #[test]
    fn functions_as_in_postgresql() {
        for (name, given, expected) in [
            ("length", vec![oid::INT4], Some(false)),
            ("length", vec![oid::VARCHAR], Some(true)),
            ("round", vec![oid::FLOAT8, oid::INT4], Some(true)),
            ("round", vec![oid::TEXT], Some(false)),
            ("concat", vec![oid::INT4, oid::TEXT, oid::DATE], Some(true)),
            ("format", vec![oid::TEXT], Some(true)),
            ("format", vec![oid::TEXT, oid::INT4, oid::DATE], Some(true)),
            ("make_interval", vec![oid::INT4], Some(true)),
            ("date_trunc", vec![oid::UNKNOWN, oid::DATE], Some(true)),
            ("date_trunc", vec![oid::UNKNOWN, oid::INT4], Some(false)),
            ("sum", vec![oid::TEXT], Some(false)),
            ("nothing_like_it", vec![], None),
        ] {
            assert_eq!(has_function(name, &given), expected, "{name} {given:?}");
        }
    }
}
