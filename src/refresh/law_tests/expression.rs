//! Scalar expressions over the columns in scope, and conditions.

use super::query::Grammar;
use super::values::{Column, Kind};

impl Grammar<'_, '_> {
    /// A column in scope that conditions can be made of.
    pub(super) fn plain_column(&mut self, scope: &[Column]) -> Option<Column> {
        let plain: Vec<&Column> = scope.iter().filter(|c| c.kind.is_plain()).collect();
        self.tape.one_of(&plain).map(|column| Column::clone(column))
    }

    /// A column in scope of one of these kinds.
    pub(super) fn column_where(&mut self, scope: &[Column], fits: impl Fn(Kind) -> bool) -> Option<Column> {
        let fitting: Vec<&Column> = scope.iter().filter(|c| fits(c.kind)).collect();
        self.tape.one_of(&fitting).map(|column| Column::clone(column))
    }

    /// Two columns of one kind, one of each scope.
    pub(super) fn pair(&mut self, left: &[Column], right: &[Column]) -> Option<(Column, Column)> {
        let pairs: Vec<(&Column, &Column)> = left
            .iter()
            .filter(|l| l.kind != Kind::Other)
            .flat_map(|l| right.iter().filter(|r| r.kind == l.kind).map(move |r| (l, r)))
            .collect();
        self.tape.one_of(&pairs).map(|(l, r)| (Column::clone(l), Column::clone(r)))
    }

    /// Any expression, with its kind.
    pub(super) fn expression(&mut self, scope: &[Column]) -> (String, Kind) {
        let Some(column) = self.tape.one_of(scope).cloned() else { return ("1".to_string(), Kind::Big) };
        if column.kind == Kind::Other || !self.tape.chance(40) {
            return (column.name, column.kind);
        }
        let kind = if self.tape.chance(20) { Kind::Big } else { column.kind };
        (self.of_kind(kind, scope), kind)
    }

    /// An expression of this kind.
    pub(super) fn of_kind(&mut self, kind: Kind, scope: &[Column]) -> String {
        let Some(column) = self.column_where(scope, |k| k == kind) else {
            return match kind {
                Kind::Big => self.big(scope),
                _ if self.tape.chance(20) => format!("CAST(NULL AS {})", kind.sql()),
                _ => self.literal(kind),
            };
        };
        let name = column.name;
        match self.tape.weighted(&[6, 2, 2, 2]) {
            0 => name,
            1 => format!("coalesce({name}, {})", self.literal(kind)),
            2 => {
                let condition = self.condition(scope, 0);
                format!("CASE WHEN {condition} THEN {name} ELSE {} END", self.literal(kind))
            }
            _ => match kind {
                Kind::Big => self.big(scope),
                Kind::Text => self.text(&name),
                Kind::Bool => format!("NOT {name}"),
                Kind::Double | Kind::Odd => format!("abs({name})"),
                Kind::Date => format!("CAST(date_trunc('month', {name}) AS DATE)"),
                Kind::Time => format!("date_trunc('day', {name})"),
                Kind::Edge | Kind::Int | Kind::Decimal | Kind::Wide | Kind::Large | Kind::Other => {
                    format!("nullif({name}, {})", self.literal(kind))
                }
            },
        }
    }

    pub(super) fn literal(&mut self, kind: Kind) -> String {
        kind.some_literal(self.tape)
    }

    /// A whole number, of whatever there is.
    fn big(&mut self, scope: &[Column]) -> String {
        let Some(column) = self.plain_column(scope) else { return self.literal(Kind::Big) };
        let name = column.name;
        match column.kind {
            Kind::Big => match self.tape.pick(4) {
                0 => format!("{name} + 1"),
                1 => format!("{name} % 3"),
                2 => format!("-{name}"),
                _ => format!("{name} * 2"),
            },
            Kind::Int => format!("CAST({name} AS BIGINT)"),
            Kind::Text => format!("CAST(length({name}) AS BIGINT)"),
            Kind::Date | Kind::Time => format!("CAST(extract(day FROM {name}) AS BIGINT)"),
            Kind::Bool => format!("CASE WHEN {name} THEN 1 WHEN NOT {name} THEN 0 END"),
            _ => format!("CASE WHEN {name} > {} THEN 1 ELSE 2 END", self.literal(column.kind)),
        }
    }

    fn text(&mut self, name: &str) -> String {
        match self.tape.pick(4) {
            0 => format!("upper({name})"),
            1 => format!("{name} || 'x'"),
            2 => format!("lower({name})"),
            _ => format!("substr({name}, 1, 1)"),
        }
    }

    /// A condition of one to a few comparisons.
    pub(super) fn condition(&mut self, scope: &[Column], depth: usize) -> String {
        if depth > 0 {
            match self.tape.weighted(&[6, 1, 1, 1]) {
                1 => {
                    let (a, b) = (self.condition(scope, depth - 1), self.condition(scope, 0));
                    return format!("({a} AND {b})");
                }
                2 => {
                    let (a, b) = (self.condition(scope, depth - 1), self.condition(scope, 0));
                    return format!("({a} OR {b})");
                }
                3 => return format!("NOT ({})", self.condition(scope, depth - 1)),
                _ => {}
            }
        }
        let Some(column) = self.plain_column(scope) else { return "TRUE".to_string() };
        let (name, kind) = (column.name, column.kind);
        match self.tape.weighted(&[3, 4, 1, 1, 2, 1, 1, 1]) {
            0 => format!("{name} IS NOT NULL"),
            1 => format!("{name} {} {}", self.comparison(), self.literal(kind)),
            2 => format!("{name} IS NULL"),
            // sqlparser would take an AND behind it in.
            3 => format!("({name} IS DISTINCT FROM {})", self.literal(kind)),
            4 => match self.column_where(scope, |k| k == kind) {
                Some(other) => format!("{name} {} {}", self.comparison(), other.name),
                None => format!("{name} IS NOT NULL"),
            },
            5 => format!("{name} IN ({}, {})", self.literal(kind), self.literal(kind)),
            6 => format!("({name} BETWEEN {} AND {})", self.literal(kind), self.literal(kind)),
            _ if kind == Kind::Text => format!("{name} LIKE 'a%'"),
            _ if kind == Kind::Bool => name,
            _ => format!("{name} NOT IN ({}, {})", self.literal(kind), self.literal(kind)),
        }
    }

    pub(super) fn comparison(&mut self) -> &'static str {
        self.tape.one_of(&["=", ">", "<", ">=", "<=", "<>"]).copied().unwrap_or("=")
    }
}
