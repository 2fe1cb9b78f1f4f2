//! Columns that `JOIN ... USING` makes one of two: in PostgreSQL their bare name is the left table's value, the right
//! table's in a RIGHT JOIN, and whichever there is in a FULL JOIN. The engine knows no such name in WHERE, and has the
//! left table's everywhere else.

use super::forms::fragments::outside_subqueries;
use super::query::normal;
use super::syntax::call;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, ReplaceSelectElement,
    ReplaceSelectItem, Select, SelectItem, TableFactor, TableWithJoins,
};
use std::collections::HashMap;

/// Gives the bare names of a SELECT's joined columns the tables that they are of. Names in subqueries may be of other
/// tables: they stay.
pub(super) fn name_tables(select: &mut Select) {
    let mut joined = Joined::default();
    select.from.iter().for_each(|tables| joined.note(tables));
    let Joined { mut kept, moved } = joined;
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) if moved.contains_key(&normal(ident)) => {
                let (expr, alias) = (moved[&normal(ident)].clone(), ident.clone());
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
            SelectItem::Wildcard(options) if options.opt_replace.is_none() && !moved.is_empty() => {
                options.opt_replace = Some(replaced(&moved));
            }
            other => outside_subqueries(other, |expr| name(expr, &moved)),
        }
    }
    outside_subqueries(&mut select.group_by, |expr| name(expr, &moved));
    outside_subqueries(&mut select.having, |expr| name(expr, &moved));
    kept.extend(moved);
    outside_subqueries(&mut select.selection, |expr| name(expr, &kept));
}

/// `* REPLACE (b.k AS k)`: a star has the values, too.
fn replaced(values: &HashMap<String, Expr>) -> ReplaceSelectItem {
    let mut items: Vec<_> = values.iter().collect();
    items.sort_by_key(|(name, _)| *name);
    let element = |(name, expr): (&String, &Expr)| ReplaceSelectElement {
        expr: expr.clone(),
        column_name: Ident::with_quote('"', name),
        as_keyword: true,
    };
    ReplaceSelectItem { items: items.into_iter().map(element).map(Box::new).collect() }
}

/// Puts a value in the place of its name.
fn name(expr: &mut Expr, values: &HashMap<String, Expr>) {
    if let Expr::Identifier(ident) = expr
        && let Some(value) = values.get(&normal(ident))
    {
        *expr = value.clone();
    }
}

/// What the bare names of joined columns stand for.
#[derive(Default)]
struct Joined {
    /// The left table's value.
    kept: HashMap<String, Expr>,
    /// Another than the left table's.
    moved: HashMap<String, Expr>,
}

impl Joined {
    fn note(&mut self, tables: &TableWithJoins) {
        // The table that a column of the left side is of, as long as there is one alone.
        let mut only = name_of(&tables.relation);
        for join in &tables.joins {
            let right = name_of(&join.relation);
            if let (Some((kind, columns)), Some(right)) = (using(&join.join_operator), right) {
                for column in columns {
                    self.join(kind, column, only.as_ref(), &right);
                }
            }
            only = None;
        }
    }

    fn join(&mut self, kind: Kind, column: &Ident, only: Option<&Ident>, right: &Ident) {
        let name = normal(column);
        let of = |table: &Ident| Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
        let before = self.moved.remove(&name);
        let left = before.clone().or_else(|| self.kept.remove(&name)).or_else(|| only.map(of));
        match (kind, left) {
            (Kind::Left, Some(left)) if before.is_some() => self.moved.insert(name, left),
            (Kind::Left, Some(left)) => self.kept.insert(name, left),
            (Kind::Right, _) => self.moved.insert(name, of(right)),
            (Kind::Either, Some(left)) => self.moved.insert(name, call("coalesce", vec![left, of(right)])),
            (Kind::Left | Kind::Either, None) => None,
        };
    }
}

/// Which side's value a joined column has.
#[derive(Clone, Copy)]
enum Kind {
    Left,
    Right,
    Either,
}

fn using(operator: &JoinOperator) -> Option<(Kind, impl Iterator<Item = &Ident>)> {
    let (kind, constraint) = match operator {
        JoinOperator::Join(of) | JoinOperator::Inner(of) => (Kind::Left, of),
        JoinOperator::Left(of) | JoinOperator::LeftOuter(of) => (Kind::Left, of),
        JoinOperator::Right(of) | JoinOperator::RightOuter(of) => (Kind::Right, of),
        JoinOperator::FullOuter(of) => (Kind::Either, of),
        _ => return None,
    };
    match constraint {
        JoinConstraint::Using(columns) => Some((kind, columns.iter().filter_map(last))),
        _ => None,
    }
}

fn name_of(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        TableFactor::Table { name, .. } => last(name).cloned(),
        _ => None,
    }
}

fn last(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(ObjectNamePart::as_ident)
}

#[cfg(test)]
mod tests {
    use super::super::spell_for_engine;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn spelled(text: &str) -> String {
        let mut query =
            *Parser::new(&PostgreSqlDialect {}).try_with_sql(text).unwrap().parse_query().unwrap();
        spell_for_engine(&mut query);
        query.to_string()
    }

    #[test]
    fn joined_columns_have_the_table_of_their_value() {
        for (query, expected) in [
            (
                "SELECT k FROM s.a JOIN b USING (k) WHERE k > 1",
                "SELECT k FROM s.a JOIN b USING(k) WHERE a.k > 1",
            ),
            (
                "SELECT K, x FROM a AS l RIGHT JOIN b USING (k) GROUP BY k",
                "SELECT b.k AS K, x FROM a AS l RIGHT JOIN b USING(k) GROUP BY b.k",
            ),
            (
                "SELECT *, x FROM a FULL JOIN b USING (k)",
                "SELECT * REPLACE (coalesce(a.k, b.k) AS \"k\"), x FROM a FULL JOIN b USING(k)",
            ),
            (
                "SELECT k + 1 FROM a FULL JOIN b USING (k) WHERE EXISTS (SELECT 1 FROM c WHERE k = 1)",
                "SELECT coalesce(a.k, b.k) + 1 FROM a FULL JOIN b USING(k) WHERE EXISTS (SELECT 1 FROM c WHERE k = 1)",
            ),
            (
                "SELECT 1 FROM a FULL JOIN b USING (k) LEFT JOIN c USING (k) WHERE k = 1",
                "SELECT 1 FROM a FULL JOIN b USING(k) LEFT JOIN c USING(k) WHERE coalesce(a.k, b.k) = 1",
            ),
            (
                "SELECT 1 FROM a JOIN b ON a.x = b.y JOIN c USING (k) WHERE k = 1",
                "SELECT 1 FROM a JOIN b ON a.x = b.y JOIN c USING(k) WHERE k = 1",
            ),
        ] {
            assert_eq!(spelled(query), expected);
        }
    }
}
