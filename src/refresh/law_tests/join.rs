//! Joins, and subqueries that become joins.

use super::query::{Grammar, Relation, Source};
use super::values::{Column, Columns, Kind};

impl Grammar<'_, '_> {
    /// Two or three sources, joined.
    pub(super) fn join(&mut self, depth: usize) -> Source {
        let below = depth.saturating_sub(1);
        let first = self.tape.pick(self.table_count());
        let mut joined = if self.tape.chance(25) { self.source(below) } else { self.table(first) };
        let more = 1 + usize::from(self.tape.chance(20));
        for _ in 0..more {
            let right = if self.tape.chance(15) {
                self.uses("self join");
                self.table(first)
            } else {
                self.source(below)
            };
            joined = self.joined_with(joined, right);
        }
        joined
    }

    fn joined_with(&mut self, left: Source, right: Source) -> Source {
        const KINDS: [(&str, &str); 5] = [
            ("inner join", "JOIN"),
            ("left join", "LEFT JOIN"),
            ("right join", "RIGHT JOIN"),
            ("full join", "FULL JOIN"),
            ("cross join", "CROSS JOIN"),
        ];
        let (operator, word) = KINDS[self.tape.weighted(&[6, 4, 2, 2, 1])];
        let columns = [left.columns.clone(), right.columns.clone()].concat();
        let pair = self.pair(&left.columns, &right.columns);
        let (Some((a, b)), true) = (pair, operator != "cross join") else {
            self.uses("cross join");
            return Source { sql: format!("{} CROSS JOIN {}", left.sql, right.sql), columns };
        };
        self.uses(operator);
        let mut on = vec![format!("{} = {}", a.name, b.name)];
        if operator == "inner join" && self.tape.chance(10) {
            self.uses("join by inequality");
            on = vec![format!("{} < {}", a.name, b.name)];
        }
        if self.tape.chance(15) {
            on.extend(
                self.pair(&left.columns, &right.columns).map(|(a, b)| format!("{} = {}", a.name, b.name)),
            );
        }
        if self.tape.chance(20) {
            self.uses("join with a condition");
            on.push(self.condition(&columns, 0));
        }
        Source { sql: format!("{} {word} {} ON {}", left.sql, right.sql, on.join(" AND ")), columns }
    }

    /// EXISTS, NOT EXISTS, IN, NOT IN.
    pub(super) fn filtered_by_subquery(&mut self, depth: usize) -> Relation {
        let below = depth.saturating_sub(1);
        let outer = self.source(below);
        let inner = self.source(below);
        let (list, columns) = Self::list(self.items(&outer.columns, 4));
        let Some((a, b)) = self.pair(&outer.columns, &inner.columns) else {
            return Relation { sql: format!("SELECT {list} FROM {}", outer.sql), columns };
        };
        let (a, b) = (a.name, b.name);
        let choice = self.tape.weighted(&[4, 4, 3, 2]);
        self.uses(["EXISTS", "NOT EXISTS", "IN", "NOT IN"][choice]);
        let mut subquery = match choice {
            0 | 1 => {
                let correlated = format!("SELECT 1 FROM {} WHERE {b} = {a}", inner.sql);
                match self.pair(&outer.columns, &inner.columns).filter(|_| self.tape.chance(20)) {
                    Some((a, b)) => {
                        let operator = self.comparison();
                        format!("{correlated} AND {} {operator} {}", b.name, a.name)
                    }
                    None => correlated,
                }
            }
            // Among NULLs nothing is known not to be.
            3 if self.tape.chance(60) => format!("SELECT {b} FROM {} WHERE {b} IS NOT NULL", inner.sql),
            _ => format!("SELECT {b} FROM {}{}", inner.sql, self.where_clause(&inner.columns, 40)),
        };
        if choice < 2 && self.tape.chance(25) {
            subquery = format!("{subquery} AND {}", self.condition(&inner.columns, 0));
        }
        let condition = match choice {
            0 => format!("EXISTS ({subquery})"),
            1 => format!("NOT EXISTS ({subquery})"),
            2 => format!("{a} IN ({subquery})"),
            _ => format!("{a} NOT IN ({subquery})"),
        };
        let condition = match self.tape.weighted(&[6, 2, 2]) {
            0 => condition,
            1 => format!("{condition} AND {}", self.condition(&outer.columns, 1)),
            // A NULL is not known to be in or not in, but the engine's mark is false, and its negation true.
            _ if choice == 3 && self.shared => condition,
            _ => {
                self.uses("subquery under OR");
                format!("{condition} OR {}", self.condition(&outer.columns, 0))
            }
        };
        Relation { sql: format!("SELECT {list} FROM {} WHERE {condition}", outer.sql), columns }
    }

    /// An aggregate of the rows that go with each row.
    pub(super) fn scalar_subquery(&mut self, depth: usize) -> Relation {
        let below = depth.saturating_sub(1);
        let outer = self.source(below);
        let inner = self.source(below);
        let mut items = self.items(&outer.columns, 3);
        let is_correlated = self.tape.chance(70);
        if !is_correlated {
            self.uses("uncorrelated subquery");
            let (value, kind) = self.subquery_value(&inner.columns);
            let subquery = format!("(SELECT {value} FROM {})", inner.sql);
            match self.column_where(&outer.columns, |k| k == kind) {
                Some(column) => {
                    let (list, columns) = Self::list(items);
                    let condition = format!("{} {} {subquery}", column.name, self.comparison());
                    return Relation {
                        sql: format!("SELECT {list} FROM {} WHERE {condition}", outer.sql),
                        columns,
                    };
                }
                None => items.push((subquery, kind)),
            }
        } else if let Some((a, b)) = self.pair(&outer.columns, &inner.columns) {
            self.uses("scalar subquery");
            let plain: Columns = inner.columns.iter().filter(|c| c.kind != Kind::Other).cloned().collect();
            let (value, kind) = self.subquery_value(&plain);
            let subquery = format!("(SELECT {value} FROM {} WHERE {} = {})", inner.sql, b.name, a.name);
            items.push((subquery, kind));
        }
        let (list, columns) = Self::list(items);
        let filter = self.where_clause(&outer.columns, 20);
        Relation { sql: format!("SELECT {list} FROM {}{filter}", outer.sql), columns }
    }

    fn subquery_value(&mut self, scope: &[Column]) -> (String, Kind) {
        let shared = self.shared;
        let column = self.column_where(scope, |kind| kind.has_extremes(shared));
        match (self.tape.pick(3), column) {
            (0, Some(column)) => (format!("max({})", column.name), column.kind),
            (1, Some(column)) => (format!("min({})", column.name), column.kind),
            (_, Some(column)) => (format!("count({})", column.name), Kind::Big),
            (_, None) => ("count(*)".to_string(), Kind::Big),
        }
    }
}
