//! Alerts of a project's files: what they read exists, and whom they tell can be reached.

use super::Loader;
use crate::lake::TableName;
use crate::sql::{
    AlertDefinition, Email, Error, OptionValue, Options, Origin, Target, hint_did_you_mean, relations,
};

/// The schema of the server's own tables. Which there are is known where alerts are planned.
const SYSTEM: &str = "sluice";

impl Loader {
    /// Tables, secrets and connections that alerts name exist.
    pub(super) fn check_alerts(&mut self) {
        let alerts = self.alerts.values();
        let mut errors: Vec<Error> = alerts.clone().flat_map(|alert| self.unknown_tables(alert)).collect();
        if !self.catalog_torn {
            errors.extend(alerts.clone().flat_map(|alert| &alert.targets).flat_map(|t| self.unreached(t)));
        }
        errors.extend(contradictions(alerts.flat_map(|alert| &alert.targets)));
        self.errors.extend(errors);
    }

    fn unknown_tables(&self, alert: &AlertDefinition) -> Vec<Error> {
        let named = relations(&alert.query).into_iter().filter(|relation| relation.name.schema != SYSTEM);
        let error = |(name, line, column): (TableName, u64, u64)| {
            let origin = Origin { file: alert.origin.file.clone(), line, column };
            self.input_error(&name, false, origin)
        };
        named.filter_map(|relation| error((relation.name, relation.line, relation.column))).collect()
    }

    /// Why a target cannot be reached: what it names is not there.
    fn unreached(&self, target: &Target) -> Vec<Error> {
        let secrets = target.secrets().into_iter();
        let secrets: Options =
            secrets.map(|name| (name.clone(), OptionValue::Secret(name.clone()))).collect();
        let mut errors = self.unknown_secrets(&secrets, target.origin());
        let Target::Email(Email { connection, origin, .. }) = target else { return errors };
        let found = self.connections.get(connection);
        errors.extend(match found.map(|found| found.kind.as_str()) {
            Some("smtp") => None,
            Some(kind) => {
                let message = format!("connection \"{connection}\" is to {kind}, and mail goes over SMTP");
                Some(Error::new("42809", origin.clone(), message))
            }
            None => {
                let known = self.connections.keys().map(String::as_str);
                let hint = hint_did_you_mean(connection, known).unwrap_or_else(|| {
                    format!("Write CREATE CONNECTION {connection} TO SMTP (host = '...', from = '...') in catalog/.")
                });
                let message = format!("connection \"{connection}\" does not exist");
                Some(Error::new("42704", origin.clone(), message).with_hint(hint))
            }
        });
        errors
    }
}

/// A target's name says where messages go: two of one name go to the same place.
fn contradictions<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<Error> {
    let (mut first, mut errors): (Vec<&Target>, Vec<Error>) = (vec![], vec![]);
    for target in targets {
        match first.iter().find(|other| other.to_string() == target.to_string()) {
            Some(earlier) if !earlier.is_same_as(target) => {
                let message = format!("{target} is another one at {}", earlier.origin());
                errors
                    .push(Error::new("42710", target.origin().clone(), message).with_hint(
                        "Give both the same URL, FORMAT and SIGNED, or one of them another name.",
                    ));
            }
            Some(_) => {}
            None => first.push(target),
        }
    }
    errors
}
