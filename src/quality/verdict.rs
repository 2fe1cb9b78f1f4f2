//! What a model's rules and audits say of its result, and whether they object to it. Pure.

use super::expectations::RuleCount;
use super::rows::show_some;
use crate::sql::{AuditDefinition, Origin, ViolationAction};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;

/// How an audit fared once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its name.
    pub name: String,
    /// Whether a result that breaks it is given up.
    pub blocking: bool,
    /// Where it stands.
    pub origin: Origin,
    /// Rows that should not be there.
    pub rows: i64,
    /// Some of them.
    pub examples: Vec<String>,
    /// Why it could not be judged.
    pub error: Option<String>,
}

impl Audited {
    /// An audit that no row has spoken against yet.
    pub fn of(audit: &AuditDefinition) -> Self {
        Self {
            name: audit.name.clone(),
            blocking: audit.blocking,
            origin: audit.origin.clone(),
            rows: 0,
            examples: Vec::new(),
            error: None,
        }
    }

    /// Takes rows that should not be there.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.rows = self.rows.saturating_add(i64::try_from(batch.num_rows()).unwrap_or(i64::MAX));
        show_some(&mut self.examples, batch, 0..batch.num_rows())
    }

    /// The word in system tables.
    pub fn outcome(&self) -> &'static str {
        match (&self.error, self.rows) {
            (Some(_), _) => "error",
            (None, 0) => "passed",
            (None, _) => "failed",
        }
    }
}

/// What was found of a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// How the rules fared.
    pub rules: Vec<RuleCount>,
    /// How the audits fared.
    pub audits: Vec<Audited>,
}

impl Verdict {
    /// Why the result must not be committed; `None` when nothing speaks against it.
    pub fn objection(&self, model: &str) -> Option<String> {
        let rules =
            self.rules.iter().filter(|rule| rule.action == ViolationAction::FailUpdate && !rule.is_met());
        let rules = rules.map(|rule| {
            let RuleCount { origin, name, predicate, passed, failed, .. } = rule;
            let wanted = match rule.at_least {
                Some(percent) => format!(", of which at least {percent} percent must"),
                None => String::new(),
            };
            let all = passed + failed;
            format!(
                "{origin}: expectation \"{name}\" of {model}: {failed} of {all} rows do not meet ({predicate}){wanted}{}",
                such_as(&rule.examples)
            )
        });
        let audits = self.audits.iter().filter(|audit| audit.blocking && audit.outcome() != "passed");
        let audits = audits.map(|audit| {
            let Audited { origin, name, rows, examples, error, .. } = audit;
            match error {
                Some(error) => format!("{origin}: audit \"{name}\" of {model} could not be judged: {error}"),
                None => format!(
                    "{origin}: audit \"{name}\" of {model} found {}{}",
                    counted(*rows, "row that should not be there", "rows that should not be there"),
                    such_as(examples)
                ),
            }
        });
        let objections: Vec<String> = rules.chain(audits).collect();
        (!objections.is_empty()).then(|| {
            format!(
                "{}; the last good rows stand, and what reads them waits: mend what {model} reads, or change the rule, \
                 and it heals by itself",
                objections.join("; ")
            )
        })
    }
}

fn such_as(examples: &[String]) -> String {
    if examples.is_empty() { String::new() } else { format!(", such as ({})", examples.join("), (")) }
}

fn counted(count: i64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: ViolationAction, at_least: Option<f64>, passed: i64, failed: i64) -> RuleCount {
        RuleCount {
            name: "known".to_string(),
            predicate: "a > 0".to_string(),
            action,
            at_least,
            origin: Origin { file: "sql/gold/x.sql".into(), line: 3, column: 14 },
            passed,
            failed,
            examples: vec!["a = 0".to_string(), "a = NULL".to_string()],
        }
    }

    fn objection(rule: RuleCount) -> Option<String> {
        Verdict { rules: vec![rule], audits: Vec::new() }.objection("gold.x")
    }

    #[test]
    fn rules_object_that_fail_the_update() {
        use ViolationAction::{FailUpdate, Warn};
        assert_eq!(objection(rule(Warn, None, 0, 9)), None);
        assert_eq!(objection(rule(FailUpdate, None, 9, 0)), None);
        let message = objection(rule(FailUpdate, None, 9, 2)).unwrap();
        let start = "sql/gold/x.sql:3:14: expectation \"known\" of gold.x: 2 of 11 rows do not meet (a > 0), such as (a = 0), (a = NULL)";
        assert!(message.starts_with(start), "{message}");
    }

    #[test]
    fn shares_are_met_or_not() {
        use ViolationAction::{FailUpdate, Warn};
        assert!(rule(Warn, Some(85.0), 85, 15).is_met());
        assert!(!rule(Warn, Some(85.0), 84, 16).is_met());
        assert!(rule(Warn, Some(85.0), 0, 0).is_met(), "of no rows none is missing");
        assert_eq!(objection(rule(Warn, Some(85.0), 0, 16)), None);
        let message = objection(rule(FailUpdate, Some(85.5), 84, 16)).unwrap();
        assert!(message.contains("16 of 100 rows do not meet (a > 0), of which at least 85.5 percent must"));
    }

    #[test]
    fn audits_object_that_block() {
        let audited = |blocking, rows, error: Option<&str>| Audited {
            name: "one_row".to_string(),
            blocking,
            origin: Origin { file: "sql/gold/x.sql".into(), line: 9, column: 1 },
            rows,
            examples: vec!["a = 1".to_string()],
            error: error.map(str::to_string),
        };
        let objection = |audit| Verdict { rules: Vec::new(), audits: vec![audit] }.objection("gold.x");
        assert_eq!(objection(audited(false, 7, None)), None);
        assert_eq!(objection(audited(true, 0, None)), None);
        let message = objection(audited(true, 1, None)).unwrap();
        assert!(message.contains(
            "9:1: audit \"one_row\" of gold.x found 1 row that should not be there, such as (a = 1);"
        ));
        assert!(objection(audited(true, 0, Some("gone"))).unwrap().contains("could not be judged: gone"));
    }
}
