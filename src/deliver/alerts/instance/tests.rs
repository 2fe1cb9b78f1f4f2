//! The phases one by one, and their laws over any course of events.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn seen(names: &[u8], is_complete: bool) -> Seen {
    let instance = |name: &u8| (labels(*name), Values::from([("n".to_string(), name.to_string())]));
    Seen { instances: names.iter().map(instance).collect(), rows: names.len(), is_complete }
}

fn labels(name: u8) -> Labels {
    Labels::from([("name".to_string(), name.to_string())])
}

fn timing(hold: u64, keep_firing: u64) -> Timing {
    Timing { hold: Duration::from_secs(hold), keep_firing: Duration::from_secs(keep_firing) }
}

fn words(changes: &Changes) -> Vec<&'static str> {
    changes.moved.iter().map(|(_, words)| *words).collect()
}

#[test]
fn without_times_it_fires_and_is_resolved_at_once() {
    let mut alert = Instances::default();
    let changes = alert.observe(&seen(&[1], true), timing(0, 0), at(1));
    assert_eq!((words(&changes), changes.fired.len()), (vec!["firing"], 1));
    assert!(alert.observe(&seen(&[1], true), timing(0, 0), at(2)).moved.is_empty());
    let changes = alert.observe(&seen(&[], true), timing(0, 0), at(3));
    assert_eq!((words(&changes), changes.resolved[0].fired_at), (vec!["resolved"], Some(at(1))));
    assert_eq!(alert.phase(), None);
}

#[test]
fn what_does_not_hold_for_long_enough_tells_nobody() {
    let mut alert = Instances::default();
    assert_eq!(words(&alert.observe(&seen(&[1], true), timing(10, 0), at(0))), ["pending"]);
    assert_eq!(alert.next_due(timing(10, 0)), Some(at(10)));
    let changes = alert.observe(&seen(&[], true), timing(10, 0), at(9));
    assert_eq!(words(&changes), ["inactive"]);
    alert.observe(&seen(&[1], true), timing(10, 0), at(10));
    let changes = alert.observe(&seen(&[1], true), timing(10, 0), at(19));
    assert!(changes.moved.is_empty(), "time counts anew");
    assert_eq!(alert.observe(&seen(&[1], true), timing(10, 0), at(20)).fired.len(), 1);
}

#[test]
fn what_comes_back_while_it_keeps_firing_was_never_gone() {
    let (mut alert, timing) = (Instances::default(), timing(0, 10));
    alert.observe(&seen(&[1], true), timing, at(0));
    assert_eq!(words(&alert.observe(&seen(&[], true), timing, at(5))), ["keep firing"]);
    assert_eq!(alert.next_due(timing), Some(at(15)));
    let changes = alert.observe(&seen(&[1], true), timing, at(14));
    assert_eq!((words(&changes), changes.fired.len()), (vec!["firing"], 0));
    alert.observe(&seen(&[], true), timing, at(20));
    assert!(alert.observe(&seen(&[], true), timing, at(29)).resolved.is_empty());
    assert_eq!(alert.observe(&seen(&[], true), timing, at(30)).resolved.len(), 1);
}

#[test]
fn what_was_not_read_to_its_end_resolves_nothing_and_there_are_no_more_than_so_many() {
    let (mut alert, timing) = (Instances::default(), timing(0, 0));
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(alert.observe(&seen(&all, true), timing, at(0)).fired.len(), INSTANCES_MAX);
    assert_eq!(alert.beyond, 256 - INSTANCES_MAX);
    assert!(alert.observe(&seen(&[0], false), timing, at(1)).resolved.is_empty());
    assert_eq!(alert.observe(&seen(&[0], true), timing, at(2)).resolved.len(), INSTANCES_MAX - 1);
}

proptest! {
    /// Whatever comes: each instance is told to fire and to be resolved in turns, it fires only after it was seen at each
    /// look for as long as FOR says, and it is resolved only after it was seen at none for as long as KEEP FIRING FOR says.
    #[test]
    fn they_fire_and_are_resolved_in_turns_and_in_time(
        looks in vec((1..20i64, vec(0..4u8, 0..4), prop::bool::weighted(0.9)), 1..60),
        hold in 0..30u64,
        keep in 0..30u64,
    ) {
        let mut alert = Instances::default();
        let mut fires: BTreeSet<Labels> = BTreeSet::new();
        let (mut held, mut over): (BTreeMap<Labels, i64>, BTreeMap<Labels, i64>) = Default::default();
        let mut second = 0;
        for (pause, names, is_complete) in looks {
            second += pause;
            let seen = seen(&names, is_complete);
            for labels in (0..4).map(labels) {
                if seen.instances.contains_key(&labels) {
                    held.entry(labels.clone()).or_insert(second);
                    over.remove(&labels);
                } else if is_complete {
                    held.remove(&labels);
                    over.entry(labels).or_insert(second);
                }
            }
            // A restart between two looks changes nothing.
            alert = Instances::recall(alert.all().cloned().collect::<Vec<_>>());
            let changes = alert.observe(&seen, timing(hold, keep), at(second));
            for fired in changes.fired {
                prop_assert!(fires.insert(fired.labels.clone()), "told twice: {fired:?}");
                prop_assert!(second - held[&fired.labels] >= i64::try_from(hold).unwrap());
            }
            for resolved in changes.resolved {
                prop_assert!(fires.remove(&resolved.labels), "never told: {resolved:?}");
                prop_assert!(second - over[&resolved.labels] >= i64::try_from(keep).unwrap());
            }
            let told: BTreeSet<Labels> =
                alert.all().filter(|i| i.phase != Phase::Pending).map(|i| i.labels.clone()).collect();
            prop_assert_eq!(&told, &fires);
            // What is due is never behind: this look would have moved it.
            prop_assert!(!is_complete || alert.next_due(timing(hold, keep)).is_none_or(|due| due > at(second)));
        }
    }
}
