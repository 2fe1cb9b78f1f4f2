//! The change of a join.
//!
//! ```text
//! inner join                   ΔL ⋈ R'  +  L ⋈ ΔR
//! a side that is kept          ΔL ⟕ R'  +  what L ⟕ R' and L ⟕ R differ in, for the keys of ΔR alone
//! full join                    what L' ⟗ R' and L ⟗ R differ in, for the keys of both
//! ```
//!
//! L and R are the sides as they were, L' and R' as they are now. Semi, anti and mark joins keep their left side too.

use super::{
    Derived, Sources, before, change, difference, distinct, key_rows, no_rule, restrict, union_of, weight,
};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, Join, JoinConstraint, JoinType, LogicalPlan, Projection};
use std::sync::Arc;

/// The change of a join; `None` when neither side has changed.
pub(super) fn change_of(join: &Join, sources: &Sources) -> Derived<Option<LogicalPlan>> {
    let (left, right) = (change(&join.left, sources)?, change(&join.right, sources)?);
    let (keeps_left, keeps_right) = kept_sides(join.join_type);
    let (new_left, new_right) = (join.left.as_ref(), join.right.as_ref());
    match (left, right) {
        (None, None) => Ok(None),
        // Each row of a kept side stands for itself while the other side rests.
        (Some(left), None) if keeps_left => Ok(Some(joined(join, left, new_right.clone())?)),
        (None, Some(right)) if keeps_right => Ok(Some(joined(join, new_left.clone(), right)?)),
        (Some(left), Some(right)) if join.join_type == JoinType::Inner => {
            let came_left = joined(join, left, new_right.clone())?;
            let came_right = joined(join, before(new_left, sources)?, right)?;
            Ok(Some(union_of(vec![came_left, came_right])?))
        }
        (left, right) => by_keys(join, left, right, sources).map(Some),
    }
}

/// The change of a join with affected keys. Where both sides have changed, a kept side's changed rows meet the other side
/// as it is now, and the side as it was meets the other's change: keys of that one alone are affected.
fn by_keys(
    join: &Join,
    left: Option<LogicalPlan>,
    right: Option<LogicalPlan>,
    sources: &Sources,
) -> Derived<LogicalPlan> {
    if join.on.is_empty() {
        return no_rule(format!("{} join has no equality to key on", join.join_type));
    }
    if join.null_aware {
        return no_rule("NOT IN whose subquery refers to the outer row has no rule: write NOT EXISTS");
    }
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let (keeps_left, keeps_right) = kept_sides(join.join_type);
    let (old_left, old_right) = (before(&join.left, sources)?, before(&join.right, sources)?);
    let (mut new_left, mut new_right) = (join.left.as_ref().clone(), join.right.as_ref().clone());
    let (mut parts, mut keys) = (Vec::new(), Vec::new());
    match (left, right) {
        (Some(left), Some(right)) if keeps_left => {
            parts.push(joined(join, left, new_right.clone())?);
            new_left = old_left.clone();
            keys.push(key_rows(right, &right_keys)?);
        }
        (Some(left), Some(right)) if keeps_right => {
            parts.push(joined(join, new_left.clone(), right)?);
            new_right = old_right.clone();
            keys.push(key_rows(left, &left_keys)?);
        }
        (left, right) => {
            keys.extend(left.map(|change| key_rows(change, &left_keys)).transpose()?);
            keys.extend(right.map(|change| key_rows(change, &right_keys)).transpose()?);
        }
    }
    let keys = distinct(union_of(keys)?)?;
    let restricted = |left: LogicalPlan, right: LogicalPlan| -> Derived<LogicalPlan> {
        let left = restrict(left, &left_keys, keys.clone())?;
        Ok(rejoin(join, left, restrict(right, &right_keys, keys.clone())?)?)
    };
    parts.push(difference(restricted(new_left, new_right)?, restricted(old_left, old_right)?)?);
    union_of(parts)
}

/// A join of two sides of which one is a change: what it gives has that one's weights.
fn joined(join: &Join, left: LogicalPlan, right: LogicalPlan) -> Derived<LogicalPlan> {
    let joined = rejoin(join, left, right)?;
    let mut columns: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
    columns.push(weight());
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(joined))?))
}

/// Whether each row of the left, of the right side stands for itself while the other side rests.
pub(super) fn kept_sides(join_type: JoinType) -> (bool, bool) {
    let left = matches!(
        join_type,
        JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
    );
    let right = matches!(
        join_type,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    );
    (left, right)
}

/// A join with other rows on its sides.
pub(in crate::refresh) fn rejoin(
    join: &Join,
    left: LogicalPlan,
    right: LogicalPlan,
) -> Result<LogicalPlan, DataFusionError> {
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        // The keys are spelt out, and a weight is no column to join by.
        JoinConstraint::On,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(LogicalPlan::Join(joined))
}
