//! Aggregate functions: every one that the engine has by default, as long as its value follows from which rows there are.

use super::query::Grammar;
use super::values::{Column, Kind};

/// What a function's call stands in, so that its value is one and the same for the same rows.
type Frame = (&'static str, &'static str);

const BARE: Frame = ("", "");
/// Unsigned numbers are stored as BIGINT.
const BIG: Frame = ("CAST(", " AS BIGINT)");
/// The last bits of a float depend on the order of the rows that made it. What is added puts the ratios of small whole
/// numbers where no rounding is near, and makes 0.0 of -0.0.
const ROUNDED: Frame = ("round(", " + 0.7390851332151607, 6)");

/// Functions that queries are drawn with.
const COMMON: [&str; 9] =
    ["count", "sum", "min", "max", "avg", "bool_and", "bool_or", "string_agg", "array_agg"];
const MOMENTS: [&str; 4] = ["var", "var_pop", "stddev", "stddev_pop"];
const OF_PAIRS: [&str; 13] = [
    "covar_samp",
    "covar_pop",
    "corr",
    "regr_slope",
    "regr_intercept",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "regr_count",
    "nth_value",
];
const OF_BITS: [&str; 3] = ["bit_and", "bit_or", "bit_xor"];
const OTHERS: [&str; 8] = [
    "any_value",
    "first_value",
    "last_value",
    "median",
    "percentile_cont",
    "percentile_disc",
    "mode",
    "approx_distinct",
];
/// Drawn by the grammar of grouping sets.
pub(super) const GROUPING: &str = "grouping";

/// Functions whose values depend on more than which rows there are.
const NOT_DRAWN: [(&str, &str); 3] = [
    ("approx_median", "a digest depends on the order in which it met the values"),
    ("approx_percentile_cont", "a digest depends on the order in which it met the values"),
    ("approx_percentile_cont_with_weight", "a digest depends on the order in which it met the values"),
];

/// Those that DuckDB computes alike.
const SHARED: [&str; 8] =
    ["bit_and", "bit_or", "bit_xor", "var_pop", "stddev", "stddev_pop", "covar_samp", "covar_pop"];

/// All functions that queries are drawn with.
pub(super) fn drawn() -> impl Iterator<Item = &'static str> {
    COMMON.into_iter().chain(uncommon()).chain([GROUPING])
}

fn uncommon() -> impl Iterator<Item = &'static str> {
    MOMENTS.into_iter().chain(OF_PAIRS).chain(OF_BITS).chain(OTHERS)
}

/// A call, the kind of its values, and what it stands in.
struct Call {
    sql: String,
    kind: Kind,
    frame: Frame,
}

impl Call {
    fn bare(sql: String, kind: Kind) -> Self {
        Self { sql, kind, frame: BARE }
    }
}

impl Grammar<'_, '_> {
    /// An aggregate function's call, with the kind of its values.
    pub(super) fn aggregate(&mut self, scope: &[Column]) -> (String, Kind) {
        let call = if self.tape.chance(22) { self.uncommon_call(scope) } else { None };
        let call = call.unwrap_or_else(|| self.common_call(scope));
        let mut sql = call.sql;
        if self.tape.chance(15) {
            self.uses("FILTER");
            sql = format!("{sql} FILTER (WHERE {})", self.condition(scope, 0));
        }
        (format!("{}{sql}{}", call.frame.0, call.frame.1), call.kind)
    }

    fn common_call(&mut self, scope: &[Column]) -> Call {
        let choice = self.tape.weighted(&[4, 3, 6, 3, 3, 3, 2, 2, 2, 2, 1]);
        let shared = self.shared;
        let found = self.column_where(scope, |kind| match choice {
            2 => kind.sums_exactly(),
            6 | 7 => kind == Kind::Big || kind == Kind::Int || (kind == Kind::Decimal && !shared),
            3 | 4 => kind.has_extremes(shared),
            8 => kind == Kind::Bool,
            9 => kind == Kind::Text,
            _ => kind.is_plain(),
        });
        let Some(column) = found.filter(|_| choice > 0) else {
            self.uses("count");
            return Call::bare("count(*)".to_string(), Kind::Big);
        };
        let (name, kind) = (column.name, column.kind);
        let summed = match kind {
            Kind::Decimal => Kind::Large,
            Kind::Int => Kind::Big,
            other => other,
        };
        let (operator, sql, kind) = match choice {
            2 => ("sum", format!("sum({name})"), summed),
            3 => ("min", format!("min({name})"), kind),
            4 => ("max", format!("max({name})"), kind),
            5 => ("count(DISTINCT)", format!("count(DISTINCT {name})"), Kind::Big),
            // Of an exact sum of small whole numbers, a float is exact too.
            6 if kind == Kind::Decimal => ("avg", format!("avg({name})"), Kind::Other),
            6 => ("avg", format!("avg({name})"), Kind::Double),
            7 if kind != Kind::Decimal => ("sum(DISTINCT)", format!("sum(DISTINCT {name})"), summed),
            8 if self.tape.chance(50) => ("bool_or", format!("bool_or({name})"), Kind::Bool),
            8 => ("bool_and", format!("bool_and({name})"), Kind::Bool),
            9 => {
                // Equal texts are the same in whatever order.
                ("string_agg", format!("string_agg({name}, ',' ORDER BY {name} ASC NULLS LAST)"), Kind::Text)
            }
            // DuckDB's lists are not compared.
            10 if !shared => {
                ("array_agg", format!("array_agg({name} ORDER BY {name} ASC NULLS LAST)"), Kind::Other)
            }
            _ => ("count", format!("count({name})"), Kind::Big),
        };
        self.uses(operator);
        Call::bare(sql, kind)
    }

    /// A call of one of the functions that have no state; `None` where no column fits.
    fn uncommon_call(&mut self, scope: &[Column]) -> Option<Call> {
        let shared = self.shared;
        let functions: Vec<&str> = uncommon().filter(|f| !shared || SHARED.contains(f)).collect();
        let function = *self.tape.one_of(&functions)?;
        let call = if MOMENTS.contains(&function) {
            let value = self.small_number(scope)?;
            Call { sql: format!("{function}({value})"), kind: Kind::Double, frame: ROUNDED }
        } else if function == "regr_count" {
            let (y, x) = (self.small_number(scope)?, self.small_number(scope)?);
            Call { sql: format!("{function}({y}, {x})"), kind: Kind::Big, frame: BIG }
        } else if function == "nth_value" {
            let (name, kind, order) = self.placed(scope)?;
            let place = ["1", "2", "-1"][self.tape.pick(3)];
            Call::bare(format!("{function}({name}, {place} ORDER BY {order})"), kind)
        } else if OF_PAIRS.contains(&function) {
            let (y, x) = (self.small_number(scope)?, self.small_number(scope)?);
            Call { sql: format!("{function}({y}, {x})"), kind: Kind::Double, frame: ROUNDED }
        } else if OF_BITS.contains(&function) {
            let name = self.whole_number(scope)?;
            let distinct = if self.tape.chance(20) { "DISTINCT " } else { "" };
            Call { sql: format!("{function}({distinct}{name})"), kind: Kind::Big, frame: BIG }
        } else {
            self.other_call(function, scope)?
        };
        self.uses(function);
        Some(call)
    }

    fn other_call(&mut self, function: &'static str, scope: &[Column]) -> Option<Call> {
        Some(match function {
            // Whichever of its values it takes: they are all the same.
            "any_value" => {
                let condition = self.condition(scope, 0);
                Call::bare(format!("any_value(CASE WHEN {condition} THEN 1 END)"), Kind::Big)
            }
            "approx_distinct" => {
                // Its registers keep what is greatest: the order is all one.
                let counts = |kind| !matches!(kind, Kind::Double | Kind::Odd | Kind::Other);
                let name = self.column_where(scope, counts)?.name;
                Call { sql: format!("approx_distinct({name})"), kind: Kind::Big, frame: BIG }
            }
            "median" => {
                let column = self.column_where(scope, Kind::sums_exactly)?;
                let distinct = if self.tape.chance(20) { "DISTINCT " } else { "" };
                Call::bare(format!("median({distinct}{})", column.name), column.kind)
            }
            "percentile_cont" => {
                let name = self.whole_number(scope)?;
                let share = ["0.5", "0.25", "1.0"][self.tape.pick(3)];
                let direction = ["", " DESC"][self.tape.pick(2)];
                let order = format!("WITHIN GROUP (ORDER BY {name}{direction})");
                Call { sql: format!("percentile_cont({share}) {order}"), kind: Kind::Double, frame: ROUNDED }
            }
            "percentile_disc" | "mode" => {
                let column = self.plain_column(scope)?;
                let share = if function == "mode" { "" } else { ["0.5", "0.25", "1.0"][self.tape.pick(3)] };
                let direction = ["", " DESC"][self.tape.pick(2)];
                let order = format!("WITHIN GROUP (ORDER BY {}{direction})", column.name);
                Call::bare(format!("{function}({share}) {order}"), column.kind)
            }
            _ => {
                let (name, kind, order) = self.placed(scope)?;
                Call::bare(format!("{function}({name} ORDER BY {order})"), kind)
            }
        })
    }

    /// A column, and an order in which rows of one place have one value of it.
    fn placed(&mut self, scope: &[Column]) -> Option<(String, Kind, String)> {
        let column = self.plain_column(scope)?;
        let mut order = format!("{} {}", column.name, self.direction());
        // By the same column twice, too, of which the second tells nothing.
        if let Some(by) = self.plain_column(scope) {
            order = format!("{} {}, {order}", by.name, self.direction());
        }
        Some((column.name, column.kind, order))
    }

    fn whole_number(&mut self, scope: &[Column]) -> Option<String> {
        self.column_where(scope, |kind| matches!(kind, Kind::Big | Kind::Edge | Kind::Int))
            .map(|column| column.name)
    }

    /// So small that six digits behind the point are exact, whatever is made of some of them.
    fn small_number(&mut self, scope: &[Column]) -> Option<String> {
        self.whole_number(scope).map(|name| format!("CAST({name} % 7 AS DOUBLE)"))
    }
}

/// Whoever gives the engine another function has to say here how it is tried, or why it cannot be.
#[test]
fn every_aggregate_is_drawn_or_has_no_one_value() {
    use crate::catalog::cut::Cut;
    use std::collections::{BTreeMap, BTreeSet};
    let engine = crate::engine::Engine::new(1 << 20, 1).unwrap();
    let now = crate::ops::clock::now();
    let cut = Cut { epoch: 1, wave_time: now, tables: BTreeMap::new(), shape: 1 };
    let state = engine.state_at(&std::sync::Arc::new(cut), now);
    let registered = state.aggregate_functions().values().map(|function| function.name().to_string());
    let registered: BTreeSet<String> = registered.collect();
    let known = drawn().chain(NOT_DRAWN.iter().map(|(name, _)| *name)).map(str::to_string);
    assert_eq!(registered, known.collect::<BTreeSet<_>>());
}
