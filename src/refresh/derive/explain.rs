//! What [`change`] makes of each operator of a query, in words, as a tree.
//!
//! Whether an operator has a rule is asked of `change` itself, for its part of the plan; the words follow the same
//! functions that the rules decide by.

use super::clock::asks_itself;
use super::closing::passing;
use super::join::kept_sides;
use super::top::top;
use super::{Derived, Refusal, Sources, change, group_keys, is_touched, operator, partition_keys};
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

/// How the end of a query is refreshed: its last groups or partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::refresh) enum Ending {
    /// What comes is added to the stored rows of its keys, what goes is taken off.
    Merged,
    /// What comes is added to the stored rows of its keys; where rows go, the affected keys are computed anew.
    MergedWhileRowsCome,
    /// The affected keys are computed anew and compared with their stored rows.
    Keyed,
    /// As every other operator.
    Derived,
}

/// A line an operator, those that it reads below it.
pub(in crate::refresh) fn explain(
    plan: &LogicalPlan,
    sources: &Sources,
    ending: Ending,
) -> Derived<Vec<String>> {
    let end = match ending {
        Ending::Derived => None,
        Ending::Merged | Ending::MergedWhileRowsCome | Ending::Keyed => top(plan).map(|top| top.node),
    };
    let mut tree = Tree { sources, end, ending, lines: Vec::new() };
    tree.grow(plan, 0)?;
    Ok(tree.lines)
}

/// What sees all of its input, which is hidden, whenever a row changes.
const ANEW: &str = "computed new and old from the hidden table";

struct Tree<'a> {
    sources: &'a Sources,
    /// The operator that the query ends in, if that has a way of its own.
    end: Option<&'a LogicalPlan>,
    ending: Ending,
    lines: Vec<String>,
}

impl Tree<'_> {
    fn grow(&mut self, plan: &LogicalPlan, depth: usize) -> Derived<()> {
        let arrow = match depth {
            0 => String::new(),
            depth => format!("{}->  ", " ".repeat(6 * depth - 4)),
        };
        let mode = self.mode(plan)?;
        self.lines.push(format!("{arrow}{}  ({mode})", shown(plan)));
        plan.inputs().into_iter().try_for_each(|input| self.grow(input, depth + 1))
    }

    fn mode(&self, plan: &LogicalPlan) -> Derived<String> {
        if !is_touched(plan, self.sources)? {
            return Ok("never changes".to_string());
        }
        if let Some(why) = refused(plan, self.sources)? {
            for input in plan.inputs() {
                if refused(input, self.sources)?.is_some() {
                    return Ok("recomputed with its input".to_string());
                }
            }
            return Ok(format!("recomputed: {why}"));
        }
        let is_end = self.end.is_some_and(|end| std::ptr::eq(end, plan));
        Ok(match plan {
            LogicalPlan::Projection(projection) if passing(projection, self.sources)?.is_some() => {
                "passes the change through, and windows that the watermark has passed".to_string()
            }
            LogicalPlan::TableScan(_) => "changed rows, read from its commits".to_string(),
            LogicalPlan::Join(join) => joined(join, self.sources)?,
            LogicalPlan::Aggregate(aggregate) => self.by_keys(&group_keys(aggregate)?, is_end),
            LogicalPlan::Window(window) => match partition_keys(window) {
                Ok(keys) => self.by_keys(&keys, is_end),
                Err(_) => ANEW.to_string(),
            },
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => ANEW.to_string(),
            LogicalPlan::Filter(_) if asks_itself(plan) => {
                "passes the change through, and rows that enter or leave as time passes".to_string()
            }
            _ => "passes the change through".to_string(),
        })
    }

    fn by_keys(&self, keys: &[Expr], is_end: bool) -> String {
        let keys = listed(keys);
        match self.ending {
            Ending::Merged if is_end => format!("merged with the stored rows of {keys}"),
            Ending::MergedWhileRowsCome if is_end => {
                format!("merged with the stored rows of {keys}; where rows go, affected keys")
            }
            Ending::Keyed if is_end => format!("affected keys {keys}, compared with the stored rows"),
            _ => format!("affected keys {keys}, computed new and old"),
        }
    }
}

/// Why a part of a plan has no derived change.
fn refused(plan: &LogicalPlan, sources: &Sources) -> Derived<Option<String>> {
    match change(plan, sources) {
        Ok(_) => Ok(None),
        Err(Refusal::NoRule(why)) => Ok(Some(why)),
        Err(error) => Err(error),
    }
}

fn joined(join: &Join, sources: &Sources) -> Derived<String> {
    let touched = (is_touched(&join.left, sources)?, is_touched(&join.right, sources)?);
    let kept = kept_sides(join.join_type);
    let keys = || format!("affected keys ({})", equalities(join).join(", "));
    Ok(match (touched, kept) {
        ((true, true), _) if join.join_type == JoinType::Inner => {
            "each side's change joined with the other side".to_string()
        }
        ((true, false), (true, _)) | ((false, true), (_, true)) => {
            "the change joined with the other side".to_string()
        }
        ((true, true), (true, _)) => {
            format!("the left side's change joined with the right side; of the right's, {}", keys())
        }
        ((true, true), (_, true)) => {
            format!("the right side's change joined with the left side; of the left's, {}", keys())
        }
        _ => keys(),
    })
}

fn equalities(join: &Join) -> Vec<String> {
    let equal =
        |(left, right): &(Expr, Expr)| format!("{} = {}", left.human_display(), right.human_display());
    join.on.iter().map(equal).collect()
}

fn listed(keys: &[Expr]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.human_display().to_string()).collect();
    format!("({})", keys.join(", "))
}

/// An operator as PostgreSQL's readers know it.
fn shown(plan: &LogicalPlan) -> String {
    match plan {
        LogicalPlan::TableScan(scan) => format!("Scan {}", scan.table_name),
        LogicalPlan::SubqueryAlias(alias) => format!("Alias {}", alias.alias),
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.is_empty() => {
            format!("Distinct {}", listed(&aggregate.group_expr))
        }
        LogicalPlan::Aggregate(aggregate) => {
            format!("Aggregate {} by {}", listed(&aggregate.aggr_expr), listed(&aggregate.group_expr))
        }
        LogicalPlan::Projection(projection) => {
            let names: Vec<&str> =
                projection.schema.fields().iter().map(|field| field.name().as_str()).collect();
            format!("Project ({})", names.join(", "))
        }
        LogicalPlan::Filter(filter) => format!("Filter {}", filter.predicate.human_display()),
        LogicalPlan::Window(window) => format!("Window {}", listed(&window.window_expr)),
        LogicalPlan::Join(join) => {
            let mut on = equalities(join);
            on.extend(join.filter.as_ref().map(|filter| filter.human_display().to_string()));
            match on.is_empty() {
                true => format!("{} Join", join.join_type),
                false => format!("{} Join on {}", join.join_type, on.join(" AND ")),
            }
        }
        other => {
            let shown = other.display().to_string();
            if shown.is_empty() { operator(other) } else { shown }
        }
    }
}
