//! Row rules of a model, compiled once a refresh and applied batch by batch.

use super::quarantine::{Entry, Trace, entries};
use super::rows::show_some;
use crate::engine::expression;
use crate::sql::{Expectation, Origin, ViolationAction, quoted};
use arrow::array::{Array, AsArray as _, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

/// The rule that a declared `NOT NULL` stands for.
const NOT_NULL: &str = "not_null";

/// How a rule fared in one refresh.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleCount {
    /// The rule's name.
    pub name: String,
    /// Its predicate.
    pub predicate: String,
    /// What happens to rows that break it.
    pub action: ViolationAction,
    /// The share of rows in percent for which it must be true; all of them without.
    pub at_least: Option<f64>,
    /// Where it stands.
    pub origin: Origin,
    /// Rows for which it is true.
    pub passed: i64,
    /// Rows for which it is false or NULL.
    pub failed: i64,
    /// Some of them, of a rule that fails the update.
    pub examples: Vec<String>,
}

impl RuleCount {
    /// True when as many rows pass as must.
    pub fn is_met(&self) -> bool {
        match self.at_least {
            None => self.failed == 0,
            Some(percent) => self.passed as f64 * 100.0 >= percent * (self.passed + self.failed) as f64,
        }
    }
}

#[derive(Clone, Debug)]
struct Rule {
    predicate: Arc<dyn PhysicalExpr>,
    count: RuleCount,
    declared: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Judged {
    /// Rows that stay.
    pub kept: RecordBatch,
    /// Rows set apart, in the shape of [`crate::sql::quarantine_schema`].
    pub quarantined: Option<RecordBatch>,
}

/// The compiled rules of one model.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// Compiles a model's expectations over its output columns; declared NOT NULL columns are rules that quarantine.
    pub fn compile(state: &SessionState, expectations: &[Expectation], output: &SchemaRef) -> Result<Self> {
        let schema = DFSchema::try_from(Arc::clone(output))?;
        let rule = |rule: &Expectation, declared: bool| {
            let expression = expression(state, &rule.predicate, &schema)?;
            Ok::<_, DataFusionError>(Rule {
                predicate: state.create_physical_expr(expression, &schema)?,
                count: RuleCount {
                    name: rule.name.clone(),
                    predicate: rule.predicate.clone(),
                    action: rule.action,
                    at_least: rule.at_least,
                    origin: rule.origin.clone(),
                    passed: 0,
                    failed: 0,
                    examples: Vec::new(),
                },
                declared,
            })
        };
        let mut rules = Vec::new();
        for field in output.fields().iter().filter(|f| !f.is_nullable()) {
            rules.push(rule(&not_null(field.name()), true)?);
        }
        for expectation in expectations {
            rules.push(rule(expectation, false)?);
        }
        Ok(Self { rules })
    }

    /// Judges a batch. A row is set apart by the first rule that it breaks and that quarantines; otherwise dropped by
    /// any that drops; otherwise kept.
    pub fn judge(&mut self, batch: RecordBatch, trace: Option<&Trace>, entry: &Entry<'_>) -> Result<Judged> {
        let rows = batch.num_rows();
        let mut keep = vec![true; rows];
        let mut apart: Vec<Option<usize>> = vec![None; rows];
        for (index, rule) in self.rules.iter_mut().enumerate() {
            let verdict = rule.predicate.evaluate(&batch)?.into_array(rows)?;
            let verdict = verdict.as_boolean_opt().ok_or_else(|| {
                DataFusionError::Plan(format!("expectation \"{}\" is not a boolean", rule.count.name))
            })?;
            let passes = |row: usize| verdict.is_valid(row) && verdict.value(row);
            let failed = (0..rows).filter(|row| !passes(*row)).count();
            rule.count.failed += count(failed);
            rule.count.passed += count(rows - failed);
            if rule.count.action == ViolationAction::FailUpdate {
                show_some(&mut rule.count.examples, &batch, (0..rows).filter(|row| !passes(*row)))?;
            }
            for row in (0..rows).filter(|row| !passes(*row)) {
                match rule.count.action {
                    ViolationAction::Warn | ViolationAction::FailUpdate => {}
                    ViolationAction::DropRow => keep[row] = false,
                    ViolationAction::QuarantineRow => {
                        keep[row] = false;
                        apart[row].get_or_insert(index);
                    }
                }
            }
        }
        let quarantined = self.set_apart(&batch, &apart, trace, entry)?;
        let kept = if keep.iter().all(|k| *k) {
            batch
        } else {
            filter_record_batch(&batch, &BooleanArray::from(keep))?
        };
        Ok(Judged { kept, quarantined })
    }

    /// True when a row was NULL where its column is declared `NOT NULL`.
    pub fn breaks_declared(&self) -> bool {
        self.rules.iter().any(|rule| rule.declared && rule.count.failed > 0)
    }

    /// How the named expectations fared.
    pub fn counts(&self) -> Vec<RuleCount> {
        self.rules.iter().filter(|r| !r.declared || r.count.failed > 0).map(|r| r.count.clone()).collect()
    }

    fn set_apart(
        &self,
        batch: &RecordBatch,
        apart: &[Option<usize>],
        trace: Option<&Trace>,
        entry: &Entry<'_>,
    ) -> Result<Option<RecordBatch>> {
        let broken: Vec<&Rule> = apart.iter().flatten().filter_map(|i| self.rules.get(*i)).collect();
        if broken.is_empty() {
            return Ok(None);
        }
        let mask = BooleanArray::from_iter(apart.iter().map(|a| Some(a.is_some())));
        let reason = |rule: &&Rule| {
            format!("expectation \"{}\" is not met: {}", rule.count.name, rule.count.predicate)
        };
        let rules = StringArray::from_iter_values(broken.iter().map(|r| r.count.name.as_str()));
        let reasons = StringArray::from_iter_values(broken.iter().map(reason));
        Ok(Some(entries(batch, &mask, trace, entry, (rules, reasons))?))
    }
}

/// The rule of a column that is declared `NOT NULL`.
fn not_null(column: &str) -> Expectation {
    Expectation {
        name: NOT_NULL.to_string(),
        predicate: format!("{} IS NOT NULL", quoted(column)),
        action: ViolationAction::QuarantineRow,
        at_least: None,
        origin: Origin::default(),
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
