//! `TUMBLE`, `HOP` and `SESSION` in FROM, turned into plain queries that give the table's columns, `window_start` and
//! `window_end`.
//!
//! ```text
//! TUMBLE(table, time, size)              each row in the one window that holds its time
//! HOP(table, time, slide, size)          each row once for each of the size / slide windows that hold its time
//! SESSION(table, time, gap, key, ...)    each row in its key's session: no gap within it is longer than this
//! ```
//!
//! Windows begin at multiples of their slide from 1970-01-01 00:00 UTC, hold their start and not their end. A row without a
//! time is in no window. Parsed trees in, trees out: what plans, checks and refreshes queries meets no window function.
//!
//! A row is late for a window that ended before its own commit began: at its own `_watermark`, so that it stays late
//! whatever comes after it. Where a session ends, other rows decide; late for it is a row that alone would be a session that
//! has ended.

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Interval, ObjectName, ObjectNamePart, Query, Spanned,
    TableAlias, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, TokenWithSpan, Tokenizer};
use std::ops::ControlFlow;

/// Windows that one row may be in.
const HOPS_MAX: i64 = 1_000;

/// What is wrong with a window function in a query.
#[derive(Debug, PartialEq, Eq)]
pub struct WindowError {
    /// The SQLSTATE.
    pub code: &'static str,
    /// Where it stands in the text that was parsed.
    pub at: Location,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// True for the name of a window function.
pub(super) fn is_window_function(name: &ObjectName) -> bool {
    Function::of(name).is_some()
}

/// Which rows a window function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// All.
    All,
    /// Those that came before their window was closed.
    InTime,
    /// The others.
    Late,
}

/// Turns the window functions of a query into what they stand for.
pub fn expand_windows(query: &mut Query) -> Result<(), WindowError> {
    expand_windows_given(query, Given::All)
}

/// As [`expand_windows`], with some of the rows.
pub(super) fn expand_windows_given(query: &mut Query, given: Given) -> Result<(), WindowError> {
    match VisitMut::visit(query, &mut Expander { given }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Tumble,
    Hop,
    Session,
}

impl Function {
    fn of(name: &ObjectName) -> Option<(Self, &Ident)> {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
        let function = match ident.value.to_ascii_uppercase().as_str() {
            "TUMBLE" => Self::Tumble,
            "HOP" => Self::Hop,
            "SESSION" => Self::Session,
            _ => return None,
        };
        Some((function, ident))
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Tumble => "Write TUMBLE(schema.table, time_column, INTERVAL '5' MINUTE).",
            Self::Hop => {
                "Write HOP(schema.table, time_column, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE): the slide, then the size."
            }
            Self::Session => {
                "Write SESSION(schema.table, time_column, INTERVAL '30' MINUTE, key, ...): the keys stand behind the gap."
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tumble => "TUMBLE",
            Self::Hop => "HOP",
            Self::Session => "SESSION",
        }
    }
}

struct Expander {
    given: Given,
}

impl VisitorMut for Expander {
    type Break = WindowError;

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<WindowError> {
        match expanded(factor, self.given) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(query)) => {
                *factor = query;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// A window function as the query that it stands for; `None` for any other relation.
fn expanded(factor: &TableFactor, rows: Given) -> Result<Option<TableFactor>, WindowError> {
    let TableFactor::Table { name, alias, args: Some(arguments), .. } = factor else { return Ok(None) };
    let Some((function, ident)) = Function::of(name) else { return Ok(None) };
    let at = ident.span.start;
    let misused =
        |at: Location, message: String| WindowError { code: "42601", at, message, hint: function.usage() };
    let mut given = Vec::with_capacity(arguments.args.len());
    for argument in &arguments.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => given.push(expr),
            other => {
                let message = format!("{} takes no argument {other}", function.name());
                return Err(misused(at, message));
            }
        }
    }
    let (table, time, rest) = match (function, given.as_slice()) {
        (Function::Tumble, [table, time, rest @ ..]) if rest.len() == 1 => (*table, *time, rest),
        (Function::Hop, [table, time, rest @ ..]) if rest.len() == 2 => (*table, *time, rest),
        (Function::Session, [table, time, rest @ ..]) if !rest.is_empty() => (*table, *time, rest),
        _ => {
            let message = format!("{} does not take {} arguments", function.name(), given.len());
            return Err(misused(at, message));
        }
    };
    let (table, own_name) = match relation(table) {
        Some(relation) => relation,
        None => {
            let message = format!("{} reads a table, not {table}", function.name());
            return Err(misused(place(table, at), message));
        }
    };
    let column = |expr: &Expr| match expr {
        Expr::Identifier(ident) => Ok(ident.clone()),
        Expr::CompoundIdentifier(parts) if !parts.is_empty() => Ok(parts[parts.len() - 1].clone()),
        other => {
            let message = format!("{} takes the name of a column here, not {other}", function.name());
            Err(misused(place(other, at), message))
        }
    };
    let time = column(time)?;
    let sizes = match function {
        Function::Tumble | Function::Session => [micros(rest[0], at, function)?, 0],
        Function::Hop => [micros(rest[0], at, function)?, micros(rest[1], at, function)?],
    };
    let keys = match function {
        Function::Session => rest[1..].iter().map(|key| column(key)).collect::<Result<Vec<_>, _>>()?,
        Function::Tumble | Function::Hop => Vec::new(),
    };
    let text = match function {
        Function::Tumble => tumble(sizes[0], rows),
        Function::Hop => hop(sizes, place(rest[1], at), rows)?,
        Function::Session => session(sizes[0], keys.len(), rows),
    };
    let own_name = own_name.unwrap_or_else(|| Ident::new(function.name().to_lowercase()));
    let names = Names { table, own_name: own_name.clone(), time, keys };
    let subquery = filled_in(&text, at, names).map_err(|message| WindowError {
        code: "XX000",
        at,
        message,
        hint: function.usage(),
    })?;
    let alias =
        alias.clone().unwrap_or(TableAlias { explicit: true, name: own_name, columns: Vec::new(), at: None });
    Ok(Some(TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias: Some(alias),
        sample: None,
    }))
}

/// The relation that a first argument names, and the name that its columns go by.
fn relation(table: &Expr) -> Option<(TableFactor, Option<Ident>)> {
    let named = |parts: Vec<Ident>| {
        let name = parts.last().cloned();
        let name_of = ObjectName(parts.into_iter().map(ObjectNamePart::Identifier).collect());
        let table = TableFactor::Table {
            name: name_of,
            alias: None,
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        };
        (table, name)
    };
    match table {
        Expr::Identifier(ident) => Some(named(vec![ident.clone()])),
        Expr::CompoundIdentifier(parts) => Some(named(parts.clone())),
        Expr::Subquery(query) => {
            let subquery = query.clone();
            Some((TableFactor::Derived { lateral: false, subquery, alias: None, sample: None }, None))
        }
        Expr::Nested(inner) => relation(inner),
        _ => None,
    }
}

/// Where an expression stands, or else the function.
fn place(expr: &Expr, at: Location) -> Location {
    let start = expr.span().start;
    if start.line == 0 { at } else { start }
}

/// An interval's microseconds.
fn micros(expr: &Expr, at: Location, function: Function) -> Result<i64, WindowError> {
    let at = place(expr, at);
    let wrong = |message: String, hint| Err(WindowError { code: "22023", at, message, hint });
    let Expr::Interval(Interval { value, leading_field, last_field: None, .. }) = expr else {
        return wrong(format!("{} takes an interval here, not {expr}", function.name()), function.usage());
    };
    let text = match value.as_ref() {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text) | Value::Number(text, _),
            ..
        }) => text,
        other => {
            return wrong(
                format!("{} takes an interval here, not {other}", function.name()),
                function.usage(),
            );
        }
    };
    let text = match leading_field {
        Some(field) => format!("{text} {field}"),
        None => text.clone(),
    };
    let Ok(interval) = parse_interval_month_day_nano(&text) else {
        return wrong(format!("{expr} is no interval"), function.usage());
    };
    if interval.months != 0 {
        return wrong(
            format!("{expr} has months, which differ in length"),
            "Write it in days, or group by date_trunc('month', time_column).",
        );
    }
    let days = i64::from(interval.days).checked_mul(86_400_000_000);
    match days.and_then(|days| days.checked_add(interval.nanoseconds / 1_000)) {
        Some(micros) if micros > 0 && interval.nanoseconds % 1_000 == 0 => Ok(micros),
        Some(micros) if micros > 0 => {
            wrong(format!("{expr} is finer than a microsecond"), "Timestamps have microseconds.")
        }
        _ => wrong(
            format!("{expr} is no length of a window"),
            "Write an interval that is longer than nothing.",
        ),
    }
}

/// The condition on rows of windows that end at `end`.
fn condition(rows: Given, end: &str) -> String {
    match rows {
        Given::All => String::new(),
        Given::InTime => format!(" AND ({end} <= _watermark) IS NOT TRUE"),
        Given::Late => format!(" AND {end} <= _watermark"),
    }
}

fn tumble(size: i64, rows: Given) -> String {
    let end = format!("window_floor(__time, {size}, {size})");
    format!(
        "SELECT *, window_floor(__time, {size}, 0) AS window_start, {end} AS window_end \
         FROM __table AS __own WHERE __time IS NOT NULL{}",
        condition(rows, &end)
    )
}

fn hop([slide, size]: [i64; 2], at: Location, rows: Given) -> Result<String, WindowError> {
    if size % slide != 0 {
        return Err(WindowError {
            code: "22023",
            at,
            message: "the size of a hopping window is no multiple of its slide".to_string(),
            hint: "Choose a slide that divides the size: every row is then in as many windows.",
        });
    }
    let hops = size / slide;
    if hops > HOPS_MAX {
        return Err(WindowError {
            code: "54000",
            at,
            message: format!("each row would be in {hops} windows, and {HOPS_MAX} are the most"),
            hint: "Choose a longer slide.",
        });
    }
    // The latest window that holds a row is the one of its slide; the others began so much earlier.
    let shifts: Vec<String> = (0..hops).map(|hop| format!("({})", -hop * slide)).collect();
    let end = format!("window_floor(__time, {slide}, __hops.__shift + {size})");
    Ok(format!(
        "SELECT __own.*, window_floor(__time, {slide}, __hops.__shift) AS window_start, {end} AS window_end \
         FROM __table AS __own CROSS JOIN (VALUES {}) AS __hops(__shift) WHERE __time IS NOT NULL{}",
        shifts.join(", "),
        condition(rows, &end)
    ))
}

fn session(gap: i64, keys: usize, rows: Given) -> String {
    // The session that a row alone would be.
    let (own_start, own_end) =
        ("window_floor(__time, 1, 0)".to_string(), format!("window_floor(__time, 1, {gap})"));
    let (start, end) = match rows {
        Given::Late => (own_start, own_end.clone()),
        Given::All | Given::InTime => {
            let keys: Vec<String> = (0..keys).map(|key| format!("__key{key}")).collect();
            let partition =
                if keys.is_empty() { String::new() } else { format!("PARTITION BY {} ", keys.join(", ")) };
            let bound = |function| format!("{function}(__time, {gap}) OVER ({partition}ORDER BY __time)");
            (bound("session_start"), bound("session_end"))
        }
    };
    format!(
        "SELECT *, {start} AS window_start, {end} AS window_end FROM __table AS __own WHERE __time IS NOT NULL{}",
        condition(rows, &own_end)
    )
}

/// What stands for `__table`, `__own`, `__time` and `__key0`... in a text.
pub(super) struct Names {
    pub(super) table: TableFactor,
    pub(super) own_name: Ident,
    pub(super) time: Ident,
    pub(super) keys: Vec<Ident>,
}

/// The query of a text, placed where the function stands, with names filled in.
pub(super) fn filled_in(text: &str, at: Location, mut names: Names) -> Result<Query, String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_err(|e| e.to_string())?;
    let tokens = tokens.into_iter().map(|token| TokenWithSpan::new(token, Span::new(at, at))).collect();
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens);
    let mut query = parser.parse_query().map_err(|e| e.to_string())?;
    let _ = VisitMut::visit(&mut *query, &mut names);
    Ok(*query)
}

impl Names {
    fn ident(&self, placeholder: &Ident) -> Option<&Ident> {
        match placeholder.value.as_str() {
            "__own" => Some(&self.own_name),
            "__time" => Some(&self.time),
            other => self.keys.get(other.strip_prefix("__key")?.parse::<usize>().ok()?),
        }
    }
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        use datafusion::sql::sqlparser::ast::{SelectItem, SelectItemQualifiedWildcardKind, SetExpr};
        if let SetExpr::Select(select) = query.body.as_mut() {
            for item in &mut select.projection {
                if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) =
                    item
                {
                    *name = ObjectName(vec![ObjectNamePart::Identifier(self.own_name.clone())]);
                }
            }
        }
        ControlFlow::Continue(())
    }

    // After its parts were visited: what is put in is the user's own.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && name.to_string() == "__table"
        {
            let own_name =
                TableAlias { explicit: true, name: self.own_name.clone(), columns: Vec::new(), at: None };
            *factor = self.table.clone();
            if let TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } = factor {
                *alias = Some(own_name);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let first = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.first_mut(),
            _ => None,
        };
        if let Some(ident) = first
            && let Some(name) = self.ident(ident)
        {
            *ident = name.clone();
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, WindowError> {
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).unwrap().parse_query().unwrap();
        expand_windows(&mut query).map(|()| query.to_string())
    }

    fn from(arguments: &str) -> Result<String, WindowError> {
        expand(&format!("SELECT *\nFROM {arguments}"))
    }

    #[test]
    fn windows_become_plain_queries() {
        assert_eq!(
            from("TUMBLE(silver.sales, event_time, INTERVAL '5' MINUTE)").unwrap(),
            "SELECT * FROM (SELECT *, window_floor(event_time, 300000000, 0) AS window_start, \
             window_floor(event_time, 300000000, 300000000) AS window_end \
             FROM silver.sales AS sales WHERE event_time IS NOT NULL) AS sales"
        );
        assert_eq!(
            from("hop(silver.sales, sales.\"At\", INTERVAL '1 minute', INTERVAL '2' MINUTE) s").unwrap(),
            "SELECT * FROM (SELECT sales.*, window_floor(\"At\", 60000000, __hops.__shift) AS window_start, \
             window_floor(\"At\", 60000000, __hops.__shift + 120000000) AS window_end \
             FROM silver.sales AS sales CROSS JOIN (VALUES (0), (-60000000)) AS __hops (__shift) \
             WHERE \"At\" IS NOT NULL) s"
        );
        assert_eq!(
            from("SESSION((SELECT 1), at, INTERVAL '1' DAY, a, b)").unwrap(),
            "SELECT * FROM (SELECT *, session_start(at, 86400000000) OVER (PARTITION BY a, b ORDER BY at) AS \
             window_start, session_end(at, 86400000000) OVER (PARTITION BY a, b ORDER BY at) AS window_end \
             FROM (SELECT 1) AS session WHERE at IS NOT NULL) AS session"
        );
    }

    #[test]
    fn each_row_is_late_or_in_time() {
        let given = |rows: Given, from: &str| {
            let text = format!("SELECT * FROM {from}");
            let mut query =
                Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).unwrap().parse_query().unwrap();
            expand_windows_given(&mut query, rows).unwrap();
            query.to_string()
        };
        let tumble = "TUMBLE(a.b, t, INTERVAL '1' SECOND)";
        let end = "window_floor(t, 1000000, 1000000)";
        assert!(given(Given::Late, tumble).contains(&format!("t IS NOT NULL AND {end} <= _watermark)")));
        let in_time = given(Given::InTime, tumble);
        assert!(
            in_time.contains(&format!("t IS NOT NULL AND ({end} <= _watermark) IS NOT TRUE)")),
            "{in_time}"
        );
        let late = given(Given::Late, "SESSION(a.b, t, INTERVAL '1' SECOND, k)");
        assert!(
            !late.contains("OVER") && late.contains("window_floor(t, 1, 1000000) <= _watermark"),
            "{late}"
        );
        assert!(
            given(Given::InTime, "SESSION(a.b, t, INTERVAL '1' SECOND, k)").contains("OVER (PARTITION BY k")
        );
    }

    #[test]
    fn names_that_look_like_ours_are_the_users() {
        let text = from("TUMBLE(silver.__table, __own, INTERVAL '1' DAY)").unwrap();
        assert!(text.contains("FROM silver.__table AS __table WHERE __own IS NOT NULL"), "{text}");
    }

    #[test]
    fn windows_of_windows_are_expanded_from_within() {
        let text = from("TUMBLE((SELECT * FROM TUMBLE(a.b, c, INTERVAL '1' HOUR)), d, INTERVAL '1' DAY)");
        assert!(!text.unwrap().contains("TUMBLE"));
    }

    #[test]
    fn mistakes_are_placed() {
        let wrong = |arguments: &str| {
            let error = from(arguments).unwrap_err();
            format!("{} {}:{} {}", error.code, error.at.line, error.at.column, error.message)
        };
        assert_eq!(wrong("TUMBLE(silver.a, t)"), "42601 2:6 TUMBLE does not take 2 arguments");
        assert_eq!(wrong("TUMBLE(silver.a, t, NULL)"), "22023 2:26 TUMBLE takes an interval here, not NULL");
        assert!(wrong("TUMBLE(silver.a, t, INTERVAL '1' MONTH)").contains("has months"));
        assert!(wrong("TUMBLE(silver.a, t, INTERVAL '-5' MINUTE)").contains("is no length of a window"));
        assert!(wrong("TUMBLE(silver.a, t, INTERVAL '0' MINUTE)").contains("is no length of a window"));
        assert!(wrong("TUMBLE(silver.a, t, INTERVAL 'soon')").contains("is no interval"));
        assert!(wrong("TUMBLE(silver.a, t, INTERVAL '1 nanosecond')").contains("no length of a window"));
        assert!(wrong("TUMBLE('a', t, INTERVAL '1' DAY)").contains("reads a table, not 'a'"));
        assert!(wrong("TUMBLE(silver.a, t + 1, INTERVAL '1' DAY)").contains("the name of a column"));
        assert!(wrong("HOP(silver.a, t, INTERVAL '2' MINUTE, INTERVAL '5' MINUTE)").contains("no multiple"));
        assert!(wrong("HOP(silver.a, t, INTERVAL '1' SECOND, INTERVAL '1' DAY)").starts_with("54000"));
    }
}
