//! Incidents: troubles that did not pass by themselves, from when they are known to be such until they have healed. Pure.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// How something that is watched does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does what it is for.
    Well,
    /// Not known yet: nothing was tried since the start.
    Unknown,
    /// What it tries has failed, so many times in a row.
    Troubled {
        /// What is in trouble: `ingest`, `refresh`, `rejected`, `alert`, `notification`, `definition`.
        kind: &'static str,
        /// Tries that failed.
        attempts: u32,
        /// Trying again alone will not help.
        is_lasting: bool,
        /// The newest error.
        error: String,
    },
}

/// An incident as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its name.
    pub id: String,
    /// What is in trouble.
    pub object: String,
    /// The kind of trouble.
    pub kind: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// Until when; `None` while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// Tries that failed.
    pub attempts: u32,
    /// The newest error.
    pub error: String,
}

/// The incidents that are open, one an object.
#[derive(Debug, Default)]
pub struct Incidents {
    open: BTreeMap<String, Incident>,
}

impl Incidents {
    /// Goes on from what was noted, oldest first.
    pub fn recall(noted: impl IntoIterator<Item = Incident>) -> Self {
        let mut open: BTreeMap<String, Incident> = BTreeMap::new();
        for incident in noted {
            match incident.closed_at {
                None => drop(open.insert(incident.object.clone(), incident)),
                Some(_) => {
                    let is_same = |other: &Incident| other.id == incident.id;
                    if open.get(&incident.object).is_some_and(is_same) {
                        open.remove(&incident.object);
                    }
                }
            }
        }
        Self { open }
    }

    /// Looks at all that is watched; what is to be noted. A trouble is an incident once more than `retries_max` tries in
    /// a row after the first have failed, or when tries will not help. What is watched no more is in no trouble.
    pub fn observe(
        &mut self,
        seen: &[(String, Health)],
        retries_max: u32,
        now: DateTime<Utc>,
        name: impl Fn() -> String,
    ) -> Vec<Incident> {
        let mut noted = Vec::new();
        let watched: BTreeSet<&String> = seen.iter().map(|(object, _)| object).collect();
        let gone = self.open.extract_if(.., |object, _| !watched.contains(object));
        noted.extend(gone.map(|(_, incident)| Incident { closed_at: Some(now), ..incident }));
        for (object, health) in seen {
            match health {
                Health::Unknown => {}
                Health::Well => noted.extend(
                    self.open.remove(object).map(|incident| Incident { closed_at: Some(now), ..incident }),
                ),
                Health::Troubled { kind, attempts, is_lasting, error } => {
                    if let Some(incident) = self.open.get_mut(object) {
                        let is_news =
                            incident.error != *error || *attempts >= incident.attempts.saturating_mul(2);
                        if is_news && (&incident.error, incident.attempts) != (error, *attempts) {
                            (incident.error, incident.attempts) = (error.clone(), *attempts);
                            noted.push(incident.clone());
                        }
                    } else if *is_lasting || *attempts > retries_max {
                        let incident = Incident {
                            id: name(),
                            object: object.clone(),
                            kind: kind.to_string(),
                            opened_at: now,
                            closed_at: None,
                            attempts: *attempts,
                            error: error.clone(),
                        };
                        self.open.insert(object.clone(), incident.clone());
                        noted.push(incident);
                    }
                }
            }
        }
        noted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn troubled(attempts: u32, is_lasting: bool, error: &str) -> Vec<(String, Health)> {
        let health = Health::Troubled { kind: "refresh", attempts, is_lasting, error: error.to_string() };
        vec![("gold.x".to_string(), health)]
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn what_passes_is_no_incident() {
        let mut incidents = Incidents::default();
        for attempts in 1..=3 {
            assert!(incidents.observe(&troubled(attempts, false, "away"), 3, at(1), String::new).is_empty());
        }
        assert!(incidents.observe(&[("gold.x".to_string(), Health::Well)], 3, at(2), String::new).is_empty());
    }

    #[test]
    fn what_does_not_pass_is_one_until_it_heals() {
        let mut incidents = Incidents::default();
        let name = || "one".to_string();
        let opened = incidents.observe(&troubled(4, false, "away"), 3, at(5), name);
        let [incident] = opened.as_slice() else { panic!("{opened:?}") };
        assert_eq!((incident.attempts, incident.opened_at, incident.closed_at), (4, at(5), None));
        assert!(incidents.observe(&troubled(5, false, "away"), 3, at(6), name).is_empty(), "no news");
        assert_eq!(incidents.observe(&troubled(8, false, "away"), 3, at(7), name)[0].attempts, 8);
        assert_eq!(incidents.observe(&troubled(9, false, "full"), 3, at(8), name)[0].error, "full");
        assert!(incidents.observe(&[("gold.x".to_string(), Health::Unknown)], 3, at(9), name).is_empty());
        let closed = incidents.observe(&[("gold.x".to_string(), Health::Well)], 3, at(9), name);
        assert_eq!((closed[0].closed_at, closed[0].opened_at, closed[0].attempts), (Some(at(9)), at(5), 9));
        assert!(incidents.observe(&[("gold.x".to_string(), Health::Well)], 3, at(10), name).is_empty());
    }

    #[test]
    fn what_will_not_pass_is_one_at_once_and_ends_with_its_object() {
        let mut incidents = Incidents::default();
        let noted = incidents.observe(&troubled(1, true, "rejected"), 3, at(1), || "one".to_string());
        assert_eq!(noted.len(), 1);
        let mut recalled = Incidents::recall(noted.clone());
        assert!(recalled.observe(&troubled(1, true, "rejected"), 3, at(2), String::new).is_empty());
        let closed = recalled.observe(&[], 3, at(3), String::new);
        assert_eq!((closed[0].id.as_str(), closed[0].closed_at), ("one", Some(at(3))));
        let mut none = Incidents::recall(noted.into_iter().chain(closed));
        assert!(none.observe(&[], 3, at(4), String::new).is_empty());
    }
}
