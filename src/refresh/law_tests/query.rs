//! Random queries: a grammar of typed relations, drawn from a tape and written as SQL.
//!
//! Only what has one answer is drawn: a window's or a LIMIT's order is by all columns, and sums are of exact types. A
//! query says which operators it has. `shared` queries keep to what DuckDB understands alike. Some views have a rule that
//! drops rows.

use super::aggregate::GROUPING;
use super::tape::Tape;
use super::values::{Column, Columns, Kind};
use std::collections::BTreeSet;

/// A query and what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) columns: Columns,
    /// The tables it reads.
    pub(super) tables: BTreeSet<String>,
    pub(super) operators: BTreeSet<&'static str>,
    /// The column whose values divide the view's files.
    pub(super) partitioned_by: Option<String>,
    /// What rows must be true of that are stored.
    pub(super) rule: Option<String>,
}

impl Query {
    /// The rows that are stored of it.
    pub(super) fn stored(&self) -> String {
        match &self.rule {
            Some(rule) => format!("SELECT * FROM ({}) AS v WHERE {rule}", self.sql),
            None => self.sql.clone(),
        }
    }
}

/// What a query may read.
pub(super) struct Readable<'a> {
    pub(super) name: String,
    pub(super) columns: &'a [Column],
}

/// What a query is drawn with.
pub(super) struct Grammar<'a, 't> {
    pub(super) tape: &'a mut Tape<'t>,
    tables: &'a [Readable<'a>],
    pub(super) shared: bool,
    read: BTreeSet<String>,
    operators: BTreeSet<&'static str>,
    aliases: usize,
}

/// A relation as a query's text.
pub(super) struct Relation {
    pub(super) sql: String,
    pub(super) columns: Columns,
}

/// A relation in a FROM, its columns named with its alias.
pub(super) struct Source {
    pub(super) sql: String,
    pub(super) columns: Columns,
}

/// How deep relations nest.
const DEPTH: usize = 2;

/// The query that a tape says, over tables of schema `s`.
pub(super) fn query(bytes: &[u8], tables: &[Readable<'_>], shared: bool) -> Query {
    let mut tape = Tape::new(bytes);
    let (read, operators) = (BTreeSet::new(), BTreeSet::new());
    let mut grammar = Grammar { tape: &mut tape, tables, shared, read, operators, aliases: 0 };
    let has_rule = grammar.tape.chance(12);
    let Relation { sql, columns } = grammar.relation(DEPTH);
    let partitioned_by = grammar.partition_column(&columns);
    let rule = has_rule.then(|| {
        grammar.uses("DROP ROW");
        grammar.condition(&columns, 1)
    });
    Query { sql, columns, tables: grammar.read, operators: grammar.operators, partitioned_by, rule }
}

impl Grammar<'_, '_> {
    /// Notes an operator.
    pub(super) fn uses(&mut self, operator: &'static str) {
        self.operators.insert(operator);
    }

    /// A column to partition a view by, for some; one is left in its files.
    fn partition_column(&mut self, columns: &[Column]) -> Option<String> {
        let divides =
            |kind| matches!(kind, Kind::Big | Kind::Int | Kind::Date | Kind::Time | Kind::Text | Kind::Bool);
        let column = self.column_where(columns, divides)?;
        if columns.len() == 1 || !self.tape.chance(25) {
            return None;
        }
        self.uses("PARTITIONED BY");
        Some(column.name)
    }

    fn relation(&mut self, depth: usize) -> Relation {
        let weights: &[usize] =
            if depth == 0 { &[4, 2, 2, 1] } else { &[3, 6, 7, 2, 2, 4, 5, 4, 3, 3, 2, 2, 2, 2] };
        match self.tape.weighted(weights) {
            0 => self.plain(depth),
            1 => self.joined(depth),
            2 => self.grouped(depth),
            3 => self.distinct(depth),
            4 => self.distinct_on(depth),
            5 => self.set_operation(depth),
            6 => self.window(depth),
            7 => self.filtered_by_subquery(depth),
            8 => self.scalar_subquery(depth),
            9 => self.newest(depth),
            10 => self.grouping_sets(depth),
            11 => self.top(depth),
            12 => self.cte(depth),
            _ => self.unnested(depth),
        }
    }

    pub(super) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("a{}", self.aliases)
    }

    /// A table, or a relation in brackets.
    pub(super) fn source(&mut self, depth: usize) -> Source {
        if depth > 0 && self.tape.chance(35) {
            self.uses("subquery");
            let relation = self.relation(depth - 1);
            return self.named(&format!("({})", relation.sql), &relation.columns);
        }
        let table = self.tape.pick(self.tables.len());
        self.table(table)
    }

    pub(super) fn table(&mut self, table: usize) -> Source {
        let tables = self.tables;
        let Readable { name, columns } = &tables[table];
        self.read.insert(name.clone());
        self.named(&format!("s.{name}"), columns)
    }

    pub(super) fn table_count(&self) -> usize {
        self.tables.len()
    }

    fn named(&mut self, sql: &str, columns: &[Column]) -> Source {
        let alias = self.alias();
        let columns = columns.iter().map(|c| Column { name: format!("{alias}.{}", c.name), kind: c.kind });
        Source { sql: format!("{sql} AS {alias}"), columns: columns.collect() }
    }

    /// A SELECT list of given items.
    pub(super) fn list(items: Vec<(String, Kind)>) -> (String, Columns) {
        let columns: Columns = items
            .iter()
            .enumerate()
            .map(|(i, (_, kind))| Column { name: format!("x{i}"), kind: *kind })
            .collect();
        let list = items.iter().zip(&columns).map(|((sql, _), column)| format!("{sql} AS {}", column.name));
        (list.collect::<Vec<_>>().join(", "), columns)
    }

    pub(super) fn items(&mut self, scope: &[Column], most: usize) -> Vec<(String, Kind)> {
        let count = 1 + self.tape.pick(most);
        (0..count).map(|_| self.expression(scope)).collect()
    }

    pub(super) fn where_clause(&mut self, scope: &[Column], percent: usize) -> String {
        if !self.tape.chance(percent) {
            return String::new();
        }
        self.uses("WHERE");
        format!(" WHERE {}", self.condition(scope, 2))
    }

    /// All columns as an order, NULLs where both engines are told to put them.
    fn total_order(&mut self, columns: &[Column]) -> String {
        let order = columns.iter().map(|column| format!("{} {}", column.name, self.direction()));
        order.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn direction(&mut self) -> &'static str {
        let all = ["ASC NULLS LAST", "DESC NULLS LAST", "ASC NULLS FIRST", "DESC NULLS FIRST"];
        all[self.tape.pick(4)]
    }

    fn plain(&mut self, depth: usize) -> Relation {
        self.uses("project");
        let from = self.source(depth);
        let (list, columns) = Self::list(self.items(&from.columns, 4));
        let filter = self.where_clause(&from.columns, 50);
        Relation { sql: format!("SELECT {list} FROM {}{filter}", from.sql), columns }
    }

    fn joined(&mut self, depth: usize) -> Relation {
        let from = self.join(depth);
        let (list, columns) = Self::list(self.items(&from.columns, 5));
        let filter = self.where_clause(&from.columns, 25);
        Relation { sql: format!("SELECT {list} FROM {}{filter}", from.sql), columns }
    }

    /// What groups and windows are made over.
    fn base(&mut self, depth: usize) -> Source {
        if self.tape.chance(30) { self.join(depth) } else { self.source(depth) }
    }

    fn grouped(&mut self, depth: usize) -> Relation {
        let from = self.base(depth);
        let filter = self.where_clause(&from.columns, 25);
        let keys = self.tape.weighted(&[12, 6, 2]);
        let keys = if keys == 2 { 0 } else { keys + 1 };
        self.uses(if keys == 0 { "aggregate of all" } else { "GROUP BY" });
        let mut items: Vec<(String, Kind)> = Vec::new();
        for _ in 0..keys {
            // Without literals: an ordinal would mean a column.
            if let Some(column) = self.plain_column(&from.columns) {
                let computed = column.kind == Kind::Big && self.tape.chance(20);
                let key = if computed { format!("{} % 2", column.name) } else { column.name };
                items.push((key, column.kind));
            }
        }
        let group: Vec<String> = items.iter().map(|(key, _)| key.clone()).collect();
        if !group.is_empty() && self.tape.chance(10) {
            // A group whose key does not show.
            items.remove(0);
        }
        for _ in 0..1 + self.tape.pick(4) {
            items.push(self.aggregate(&from.columns));
        }
        let group = if group.is_empty() { String::new() } else { format!(" GROUP BY {}", group.join(", ")) };
        let having = if self.tape.chance(20) {
            self.uses("HAVING");
            let (value, kind) = self.aggregate(&from.columns);
            match kind {
                Kind::Other => format!(" HAVING {value} IS NOT NULL"),
                _ => format!(" HAVING {value} {} {}", self.comparison(), self.literal(kind)),
            }
        } else {
            String::new()
        };
        let (list, columns) = Self::list(items);
        Relation { sql: format!("SELECT {list} FROM {}{filter}{group}{having}", from.sql), columns }
    }

    fn grouping_sets(&mut self, depth: usize) -> Relation {
        let from = self.base(depth);
        let Some(a) = self.plain_column(&from.columns) else { return self.plain(depth) };
        let b = self.plain_column(&from.columns).filter(|b| b.name != a.name);
        let both = match &b {
            Some(b) => format!("{}, {}", a.name, b.name),
            None => a.name.clone(),
        };
        let group = match self.tape.pick(3) {
            0 => {
                self.uses("ROLLUP");
                format!("ROLLUP ({both})")
            }
            1 => {
                self.uses("CUBE");
                format!("CUBE ({both})")
            }
            _ => {
                self.uses("GROUPING SETS");
                let rest = ["", ", ()"][self.tape.pick(2)];
                format!("GROUPING SETS (({both}), ({}){rest})", a.name)
            }
        };
        let mut items = vec![(a.name, a.kind)];
        items.extend(b.map(|b| (b.name, b.kind)));
        if self.tape.chance(40) {
            self.uses(GROUPING);
            items.push((format!("CAST(grouping({both}) AS BIGINT)"), Kind::Big));
        }
        for _ in 0..1 + self.tape.pick(3) {
            items.push(self.aggregate(&from.columns));
        }
        let (list, columns) = Self::list(items);
        Relation { sql: format!("SELECT {list} FROM {} GROUP BY {group}", from.sql), columns }
    }

    fn distinct(&mut self, depth: usize) -> Relation {
        self.uses("DISTINCT");
        let from = self.base(depth);
        let (list, columns) = Self::list(self.items(&from.columns, 3));
        let filter = self.where_clause(&from.columns, 25);
        Relation { sql: format!("SELECT DISTINCT {list} FROM {}{filter}", from.sql), columns }
    }

    fn distinct_on(&mut self, depth: usize) -> Relation {
        let from = self.source(depth);
        let sorted: Columns = from.columns.iter().filter(|c| c.kind != Kind::Other).cloned().collect();
        let Some(key) = self.plain_column(&sorted) else { return self.plain(depth) };
        self.uses("DISTINCT ON");
        let mut order = vec![key.clone()];
        order.extend(sorted.iter().filter(|c| c.name != key.name).cloned());
        let order = self.total_order(&order);
        let (list, columns) = Self::list(sorted.iter().map(|c| (c.name.clone(), c.kind)).collect());
        let sql = format!("SELECT DISTINCT ON ({}) {list} FROM {} ORDER BY {order}", key.name, from.sql);
        Relation { sql, columns }
    }

    fn set_operation(&mut self, depth: usize) -> Relation {
        let left = self.source(depth);
        let right = self.source(depth);
        let plain: Columns = left.columns.iter().filter(|c| c.kind != Kind::Other).cloned().collect();
        let count = 1 + self.tape.pick(3);
        let mut lefts: Vec<(String, Kind)> =
            plain.iter().take(count).map(|c| (c.name.clone(), c.kind)).collect();
        if lefts.is_empty() {
            lefts.push(("1".to_string(), Kind::Big));
        }
        let rights = lefts.iter().map(|(_, kind)| (self.of_kind(*kind, &right.columns), *kind)).collect();
        let all = ["UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"];
        let operator = all[self.tape.pick(all.len())];
        self.uses(operator);
        let filter = self.where_clause(&left.columns, 25);
        let (left_list, columns) = Self::list(lefts);
        let (right_list, _) = Self::list(rights);
        let sql = format!(
            "SELECT {left_list} FROM {}{filter} {operator} SELECT {right_list} FROM {}",
            left.sql, right.sql
        );
        Relation { sql, columns }
    }

    fn partition(&mut self, scope: &[Column]) -> String {
        let keys = [1, 2, 0][self.tape.weighted(&[12, 3, 1])];
        if keys == 0 {
            self.uses("window over all");
            return String::new();
        }
        let keys: Vec<String> =
            (0..keys).filter_map(|_| self.plain_column(scope).map(|column| column.name)).collect();
        if keys.is_empty() { String::new() } else { format!("PARTITION BY {} ", keys.join(", ")) }
    }

    fn window(&mut self, depth: usize) -> Relation {
        self.uses("window");
        let from = self.base(depth);
        let sorted: Columns = from.columns.iter().filter(|c| c.kind != Kind::Other).cloned().collect();
        let shared = self.shared;
        let Some(column) = self.column_where(&sorted, |kind| kind.has_extremes(shared)) else {
            return self.plain(depth);
        };
        let shown = self.items(&from.columns, 3);
        let mut items = shown;
        // One order for all: two orders number the copies of a row in pairs that are left to the engine.
        let order = self.total_order(&sorted);
        let partition = self.partition(&sorted);
        for _ in 0..1 + self.tape.pick(2) {
            let (name, kind) = (&column.name, column.kind);
            let summed = self.column_where(&sorted, Kind::sums_exactly);
            items.push(match (self.tape.pick(9), summed) {
                (0, _) => (format!("row_number() OVER ({partition}ORDER BY {order})"), Kind::Big),
                (1, Some(summed)) => {
                    let kind = match summed.kind {
                        Kind::Int => Kind::Big,
                        Kind::Decimal => Kind::Large,
                        kind => kind,
                    };
                    (format!("sum({}) OVER ({partition})", summed.name), kind)
                }
                (2, Some(summed)) => {
                    let kind = match summed.kind {
                        Kind::Int => Kind::Big,
                        Kind::Decimal => Kind::Large,
                        kind => kind,
                    };
                    let frame = "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW";
                    (format!("sum({}) OVER ({partition}ORDER BY {order} {frame})", summed.name), kind)
                }
                (3, _) => {
                    let direction = self.direction();
                    (format!("rank() OVER ({partition}ORDER BY {name} {direction})"), Kind::Big)
                }
                (4, _) => {
                    let direction = self.direction();
                    (format!("count(*) OVER ({partition}ORDER BY {name} {direction})"), Kind::Big)
                }
                (5, _) => (format!("lag({name}) OVER ({partition}ORDER BY {order})"), kind),
                (6, _) => (format!("first_value({name}) OVER ({partition}ORDER BY {order})"), kind),
                (7, _) => (format!("max({name}) OVER ({partition})"), kind),
                _ => (format!("dense_rank() OVER ({partition}ORDER BY {name} ASC NULLS LAST)"), Kind::Big),
            });
        }
        let (list, columns) = Self::list(items);
        Relation { sql: format!("SELECT {list} FROM {}", from.sql), columns }
    }

    /// The first rows of each key.
    fn newest(&mut self, depth: usize) -> Relation {
        self.uses("first of each key");
        let from = self.source(depth);
        let sorted: Columns = from.columns.iter().filter(|c| c.kind != Kind::Other).cloned().collect();
        let Some(key) = self.plain_column(&sorted) else { return self.plain(depth) };
        let (function, order) = match self.tape.weighted(&[4, 1, 1]) {
            0 => ("row_number()", self.total_order(&sorted)),
            // Rows of one rank are all kept, or none.
            choice => {
                let function = ["rank()", "dense_rank()"][choice - 1];
                self.uses(function);
                let by: Columns = self.tape.one_of(&sorted).cloned().into_iter().collect();
                (function, self.total_order(&by))
            }
        };
        let mut items: Vec<(String, Kind)> = sorted.iter().map(|c| (c.name.clone(), c.kind)).collect();
        items.push((format!("{function} OVER (PARTITION BY {} ORDER BY {order})", key.name), Kind::Big));
        let (list, mut columns) = Self::list(items);
        let number = columns.pop().map(|column| column.name).unwrap_or_default();
        let shown: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let alias = self.alias();
        let most = 1 + self.tape.pick(2);
        let sql = format!(
            "SELECT {} FROM (SELECT {list} FROM {}) AS {alias} WHERE {number} <= {most}",
            shown.join(", "),
            from.sql
        );
        Relation { sql, columns }
    }

    fn top(&mut self, depth: usize) -> Relation {
        self.uses("LIMIT");
        let from = self.source(depth);
        let sorted: Columns = from.columns.iter().filter(|c| c.kind != Kind::Other).cloned().collect();
        if sorted.is_empty() {
            return self.plain(depth);
        }
        let order = self.total_order(&sorted);
        let (list, columns) = Self::list(sorted.iter().map(|c| (c.name.clone(), c.kind)).collect());
        let most = 1 + self.tape.pick(6);
        let skipped = if self.tape.chance(25) { " OFFSET 1" } else { "" };
        // In brackets, so that a set operation may hold it.
        let alias = self.alias();
        let shown: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let sql = format!(
            "SELECT {} FROM (SELECT {list} FROM {} ORDER BY {order} LIMIT {most}{skipped}) AS {alias}",
            shown.join(", "),
            from.sql
        );
        Relation { sql, columns }
    }

    fn cte(&mut self, depth: usize) -> Relation {
        self.uses("CTE");
        let inner = self.relation(depth.saturating_sub(1));
        let name = format!("w{}", self.alias());
        let (left, right) = (self.named(&name, &inner.columns), self.named(&name, &inner.columns));
        let (from, scope) = match self.pair(&left.columns, &right.columns).filter(|_| self.tape.chance(50)) {
            Some((a, b)) => {
                self.uses("self join");
                let scope = [left.columns, right.columns].concat();
                (format!("{} JOIN {} ON {} = {}", left.sql, right.sql, a.name, b.name), scope)
            }
            None => (left.sql, left.columns),
        };
        let (list, columns) = Self::list(self.items(&scope, 4));
        let alias = self.alias();
        let shown: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let sql = format!(
            "SELECT {} FROM (WITH {name} AS ({}) SELECT {list} FROM {from}) AS {alias}",
            shown.join(", "),
            inner.sql
        );
        Relation { sql, columns }
    }

    /// A row for each element of a list, none where the list is NULL.
    fn unnested(&mut self, depth: usize) -> Relation {
        let from = self.source(depth);
        let Some(first) = self.plain_column(&from.columns) else { return self.plain(depth) };
        self.uses("unnest");
        let mut elements = vec![first.name];
        for _ in 0..self.tape.pick(3) {
            elements.push(self.of_kind(first.kind, &from.columns));
        }
        let elements = elements.iter().map(|element| format!("CAST({element} AS {})", first.kind.sql()));
        let elements: Vec<String> = elements.collect();
        let mut array = format!("ARRAY[{}]", elements.join(", "));
        // DuckDB's lists have no such function.
        if !self.shared && self.tape.chance(30) {
            self.uses("empty list");
            let (condition, element) = (self.condition(&from.columns, 0), &elements[0]);
            let empty = format!("array_remove_all(ARRAY[{element}], {element})");
            array = format!("CASE WHEN {condition} THEN {array} ELSE {empty} END");
        }
        if self.tape.chance(30) {
            array = format!("CASE WHEN {} THEN {array} END", self.condition(&from.columns, 0));
        }
        let mut items = self.items(&from.columns, 3);
        items.push((format!("unnest({array})"), first.kind));
        let (list, columns) = Self::list(items);
        let filter = self.where_clause(&from.columns, 25);
        Relation { sql: format!("SELECT {list} FROM {}{filter}", from.sql), columns }
    }
}
